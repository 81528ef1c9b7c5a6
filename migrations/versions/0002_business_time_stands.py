"""Business time that is driven stands still when its driver is gone, and waits for what is due."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UNTIL = """
alter table business_clock add column until timestamptz;
comment on column business_clock.until is
    'real time: business time advances no further than this unless its driver says so again; null: it has no driver';

create or replace function business_now() returns timestamptz language sql volatile as $$
    select case when not running then anchor
                when rate = 1 and until is null then anchor + (clock_timestamp() - set_at)
                else anchor + greatest(least(clock_timestamp(), until) - set_at, interval '0') * rate end
    from business_clock
$$;
"""


def upgrade() -> None:
    """Add the column and teach the function; a program that does not know of it goes on as before."""
    op.execute(UNTIL)
