"""Signing in with an OpenID provider: who is linked, who is awaited, and what is shown to the provider at the end."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None

IDENTITIES = """
create table identities (
    issuer    text not null,
    sub       text not null,
    person_id integer not null,
    linked_at timestamptz not null default clock_timestamp(),
    constraint pk_identities primary key (issuer, sub),
    constraint fk_identities_person foreign key (person_id) references persons (id),
    constraint uq_identities_person unique (issuer, person_id)
);
comment on table identities is 'Whom an OpenID provider knows by sub, and the person that they are here.';

create table leavings (
    digest   bytea not null,
    state    text not null,
    nonce    text not null,
    verifier text not null,
    goes_on  text not null,
    kept     text not null,
    ends_at  timestamptz not null,
    constraint pk_leavings primary key (digest),
    constraint ck_leavings_digest check (length(digest) = 32)
);
create index ix_leavings_ends on leavings (ends_at);
comment on table leavings is 'Who was sent to an OpenID provider and is awaited: for ten minutes, once.';

alter table web_sessions add column id_token text;
"""


def upgrade() -> None:
    """Add two tables and a column: the program before this one goes on beside it."""
    op.execute(IDENTITIES)
