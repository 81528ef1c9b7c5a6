"""When a definition was published: a suspended one goes back to what it was, and one version is published once."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
harmless = {
    "unique index definitions.uq_definitions_published": "a published version was already refused a second time",
    "trigger definitions.definitions_published": "gives a program of before the date that it does not know of",
}

# A program of before writes `published` without the date: the database gives it.
PUBLISHED = """
alter table definitions add column published_at timestamptz;
comment on column definitions.published_at is 'real time; null: still a draft, whether suspended or not';
update definitions set published_at = created_at where state = 'published';
create unique index if not exists uq_definitions_published on definitions (name, version) where published_at is not null;

create or replace function definitions_are_immutable() returns trigger language plpgsql as $$
begin
    if row(new.name, new.version, new.digest, new.body, new.schema)
       is distinct from row(old.name, old.version, old.digest, old.body, old.schema)
       or old.published_at is distinct from new.published_at and old.published_at is not null then
        raise exception 'a definition never changes: publish another version' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;
create function definitions_published() returns trigger language plpgsql as $$
begin
    if new.state = 'published' and new.published_at is null then
        new.published_at := clock_timestamp();
    end if;
    return new;
end $$;
create trigger definitions_published before insert or update on definitions
    for each row execute function definitions_published();
"""


def upgrade() -> None:
    """Add the date, and what keeps it."""
    op.execute(PUBLISHED)
