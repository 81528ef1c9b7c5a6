"""The models and the migrations say the same, and a migration may be run twice, or from two places at once."""

import re
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, UniqueConstraint, create_engine, text

from workflow import schema, upgrade
from workflow.models import Base

PARTITION = re.compile(r"events_\d{6}.*")
NOT_OURS = {"alembic_version"}


def ours(thing, name, kind, reflected, against):
    return not (kind == "table" and (name in NOT_OURS or PARTITION.fullmatch(name or "")))


@pytest.fixture
def connection(database):
    """Give a connection to a migrated database."""
    engine = schema.engine(database)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def test_the_models_are_what_the_migrations_made(connection):
    options = {"include_object": ours, "compare_type": True, "compare_server_default": False}
    context = MigrationContext.configure(connection, opts=options)
    found = compare_metadata(context, Base.metadata)
    changes = [change for entry in found for change in (entry if isinstance(entry, list) else [entry])]
    assert [
        change for change in changes if not change[0].endswith("_comment")
    ] == []  # comments are the migrations' own


def named(connection, contype):
    rows = connection.execute(
        text(
            "select c.relname, n.conname from pg_constraint n join pg_class c on c.oid = n.conrelid "
            "join pg_namespace s on s.oid = c.relnamespace where s.nspname = 'public' and n.contype = :kind"
        ),
        {"kind": contype},
    )
    return {(table, name) for table, name in rows if not PARTITION.fullmatch(table) and table not in NOT_OURS}


def declared(kind):
    return {
        (table.name, rule.name)
        for table in Base.metadata.tables.values()
        for rule in table.constraints
        if isinstance(rule, kind)
    }


def test_every_check_has_the_same_name_in_the_models_and_in_the_database(connection):
    assert named(connection, "c") == declared(CheckConstraint)


def test_every_unique_constraint_has_the_same_name_in_the_models_and_in_the_database(connection):
    assert named(connection, "u") == declared(UniqueConstraint)


def test_every_check_means_the_same_in_the_models_and_in_the_database(connection, database):
    """PostgreSQL itself is asked: a table made from the model prints its CHECKs as the migrated one does."""
    wanted = "select conname, pg_get_constraintdef(oid) from pg_constraint where contype = 'c' and conrelid = cast(:t as regclass)"
    for table in Base.metadata.sorted_tables:
        migrated = dict(map(tuple, connection.execute(text(wanted), {"t": f"public.{table.name}"})))
        checks = [rule for rule in table.constraints if isinstance(rule, CheckConstraint)]
        connection.execute(text(f"create temporary table probe (like public.{table.name})"))
        for rule in checks:
            connection.execute(text(f"alter table probe add constraint {rule.name} check ({rule.sqltext})"))
        made = dict(map(tuple, connection.execute(text(wanted), {"t": "probe"})))
        connection.execute(text("drop table probe"))
        assert made == migrated, table.name


def test_every_index_is_the_same_in_the_models_and_in_the_database(connection):
    rows = connection.execute(text("select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'"))
    made = {name: definition for table, name, definition in rows if not PARTITION.fullmatch(table)}
    for table in Base.metadata.tables.values():
        for index in table.indexes:
            assert index.name in made
            where = index.dialect_options["postgresql"]["where"]
            assert (" WHERE " in made[index.name]) == (where is not None), index.name
            assert ("UNIQUE" in made[index.name]) == bool(index.unique), index.name


def tables(url):
    engine = create_engine(schema.engine(url).url)
    with engine.connect() as opened:
        names = opened.execute(text("select count(*) from pg_class where relkind in ('r', 'p', 'i')")).scalar()
    engine.dispose()
    return names


def test_a_migration_run_twice_changes_nothing(database):
    before = tables(database)
    upgrade.migrate(database)
    assert tables(database) == before


@pytest.fixture
def empty(postgres):
    """Give the URL of an empty database."""
    import uuid

    import psycopg

    name = f"empty_{uuid.uuid4().hex}"
    admin = postgres.url("postgres").replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as opened:
        opened.execute(f"create database {name}")
    yield postgres.url(name)
    with psycopg.connect(admin, autocommit=True) as opened:
        opened.execute(f"drop database {name} with (force)")


def test_migrations_from_four_places_at_once_make_one_schema(empty, database, together):
    every = [step.revision for step in upgrade.known()]
    made = together(*[lambda: upgrade.migrate(empty)] * 4)
    assert sorted(step for steps in made for step in steps) == every, "each step once, whoever makes it"
    assert tables(empty) == tables(database)


def test_a_migration_waits_for_another_that_takes_longer_than_any_lock_of_ours_may(database, monkeypatch, together):
    monkeypatch.setitem(schema.TIMEOUTS, "lock_timeout", "300ms")
    engine = schema.engine(database)
    held = threading.Event()

    def long():
        with engine.connect() as opened:
            opened.execute(text("select pg_advisory_lock(4077)"))
            held.set()
            threading.Event().wait(1)
            opened.rollback()
            opened.invalidate()

    def other():
        held.wait(5)
        upgrade.migrate(database)

    results = together(long, other)
    engine.dispose()
    assert results == [None, None]
