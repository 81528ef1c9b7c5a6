"""Who is there: a revision of the directory is a number that no other transaction ever has, committed or not."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

REVISIONS = """
create sequence directory_revisions;
select setval('directory_revisions', (select max(revision) + 1 from directory));
create or replace function directory_changed() returns trigger language plpgsql as $$
begin
    update directory set revision = nextval('directory_revisions');
    return null;
end $$;
"""


def upgrade() -> None:
    """Add a sequence and a function: the program before this one goes on beside it."""
    op.execute(REVISIONS)
