"""Alembic's entry: one connection, given by `workflow.schema`, with timeouts of its own."""

from __future__ import annotations

from alembic import context

from workflow.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
