"""Alembic's entry: a connection in a transaction, given by `workflow.migration`; without one, a step is only written out."""

from __future__ import annotations

from alembic import context

from workflow.models import Base

if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
else:
    context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
