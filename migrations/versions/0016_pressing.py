"""Lists in their order from an index: what a unit holds, what it was given, and all of them."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

LISTS = """
create index if not exists ix_dossiers_pressing on dossiers (unit_id, coalesce(due_at, 'infinity'), id) where phase <> 'resolved';
create index if not exists ix_dossiers_all_pressing on dossiers (coalesce(due_at, 'infinity'), id) where phase <> 'resolved';
create index if not exists ix_dossiers_units on dossiers using gin (units) with (fastupdate = off);
drop index if exists ix_dossiers_queue;
"""


def upgrade() -> None:
    """Add indexes, and take away the one that the first of them replaces; no program names them."""
    op.execute(LISTS)
