"""The counters of the report: what each dossier adds now, and the sums."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COUNTERS = """
create table facts (
    dossier_id bigint primary key,
    seq        integer not null,
    month      date,
    counted    jsonb not null
);
create index ix_facts_month on facts (month);
comment on table facts is 'What each dossier adds to the counters, by its journal up to seq; written by the reaction.';
comment on column facts.month is 'the month of its submission, in Paris; null until it has been counted';

create table counters (
    month       date not null,
    departement text not null,
    topic       text not null,
    definition  text not null,
    unit_id     integer not null,
    rung        text not null,
    family      text not null,
    clock       text not null,
    measure     text not null,
    due         text not null,
    value       bigint not null,
    constraint pk_counters primary key
        (month, departement, topic, definition, unit_id, rung, family, clock, measure, due)
);
comment on table counters is 'The sum of facts.counted by key; coupe-file report verify proves it.';
comment on column counters.due is 'of an open promise, whose lateness depends on when it is asked for; else empty';
"""


def upgrade() -> None:
    """Add two tables: the program before this one goes on beside it."""
    op.execute(COUNTERS)
