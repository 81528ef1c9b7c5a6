"""A database is brought up to date under the feet of those who work, and what only adds leaves the program of before at work."""

from __future__ import annotations

import re
import shutil
import threading
import uuid
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from states.errors import Refused
from tests.workflow.conftest import World, peopled
from workflow import schema, upgrade

HERE = Path(__file__).parent
KEPT = sorted(HERE.glob("*.sql"))
ADDS = """
create table planted (id integer primary key);
alter table dossiers add column planted text, add column planted_at timestamptz not null default clock_timestamp();
alter table dossiers add constraint ck_dossiers_planted check (planted <> '');
create index if not exists ix_dossiers_planted on dossiers (planted);
alter table events add column planted integer;
"""
REMOVES = "alter table dossiers drop column planted;"


def written(folder, *steps):
    """The migrations as they are, and these after them, each a (statements, module line or nothing)."""
    tree = folder / f"migrations-{uuid.uuid4().hex}"
    shutil.copytree(schema.MIGRATIONS, tree, ignore=shutil.ignore_patterns("__pycache__"))
    before = upgrade.known()[-1].revision
    for number, (statements, more) in enumerate(steps, start=9001):
        (tree / "versions" / f"{number}_planted.py").write_text(
            f'"""Planted."""\n\nfrom alembic import op\n\nrevision = "{number}"\ndown_revision = "{before}"\n{more}\n\n'
            f'def upgrade():\n    op.execute("""{statements}""")\n'
        )
        before = str(number)
    return tree


def upto(folder, revision):
    """The migrations as they were at a revision."""
    tree = written(folder)
    for step in upgrade.known(tree):
        if step.revision > revision:
            (tree / "versions" / step.file).unlink()
    return tree


@pytest.fixture
def empty(postgres):
    """Give the URL of an empty database."""
    name = f"empty_{uuid.uuid4().hex}"
    postgres.create_database(name)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def world(database):
    """Give a peopled world of the test's own."""
    engine = schema.engine(database, pool_size=10)
    yield peopled(database, engine)
    engine.dispose()


def connected(url, **options):
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, **options)


# --- what is there goes on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_a_database_of_an_earlier_release_is_migrated_step_by_step_and_lives_on(kept, empty, tmp_path):
    upgrade.migrate(empty, steps=upto(tmp_path, kept.stem))
    with connected(empty) as connection:
        connection.execute("truncate business_clock, directory")  # of each the steps made the one row
        connection.execute(kept.read_text(encoding="utf-8"))
    for step in upgrade.known():
        upgrade.migrate(empty, steps=upto(tmp_path, step.revision))
    engine = schema.engine(empty)
    old = World(empty, engine)
    assert old.value("select count(*) from dossiers") == 5
    assert old.sound()
    (last,) = old.sql("select max(id) as id from dossiers")
    old.act(last.id, "triage", to_unit="u1")
    old.jump(days=30)
    assert old.sweep().done > 0
    assert old.react() > 0
    old.resolve(last.id, old.value("select 'ref' || rung from dossiers where id = :key", key=last.id))
    assert old.sound()
    engine.dispose()


def test_the_program_of_before_works_while_a_step_adds_and_after(world, tmp_path):
    stop, made, errors = threading.Event(), [], []

    def work():
        while not stop.is_set():
            try:
                (key,) = world.submit()
                world.act(key, "triage", to_unit="u1")
                world.jump(hours=3)
                world.sweep()
                world.react()
                made.append(key)
            except Exception as error:  # noqa: BLE001  (looked at below)
                errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for one in workers:
        one.start()
    while not made and not errors:
        stop.wait(0.05)
    done = upgrade.migrate(
        world.url, steps=written(tmp_path, (ADDS, ""), ("create table planted_too (id integer);", ""))
    )
    count = len(made)
    while len(made) < count + 4 and not errors:
        stop.wait(0.05)
    stop.set()
    for one in workers:
        one.join()
    assert done == ["9001", "9002"]
    assert errors == []
    assert world.sound()


def test_a_step_whose_table_is_held_gives_way_so_that_nobody_waits_behind_it(world, tmp_path, monkeypatch):
    monkeypatch.setattr(upgrade, "LOCK_TIMEOUT", "200ms")
    told, results = [], []
    tree = written(tmp_path, (ADDS, ""))
    with connected(world.url) as reader:
        reader.execute("begin")
        reader.execute("select 1 from dossiers")  # a report that somebody left open
        asked = threading.Thread(
            target=lambda: results.append(
                upgrade.migrate(world.url, steps=tree, tell=lambda *step: told.append(step), attempts=1000)
            )
        )
        asked.start()
        while not told:
            asked.join(0.05)
        keys = [world.triaged() for _ in range(5)]
        assert results == [], "the step is still not made"
        reader.execute("rollback")
    asked.join()
    assert results == [["9001"]]
    assert told[0][1] == 2, "it came back"
    assert len(keys) == 5
    assert world.sound()


def test_of_a_step_and_a_writer_that_hold_what_the_other_wants_the_step_gives_way(world, tmp_path):
    told, results = [], []
    tree = written(tmp_path, (ADDS, ""))  # dossiers first, then events
    with connected(world.url) as writer:
        writer.execute("begin")
        writer.execute("lock table events in row exclusive mode")
        asked = threading.Thread(
            target=lambda: results.append(
                upgrade.migrate(world.url, steps=tree, tell=lambda *step: told.append(step), attempts=1000)
            )
        )
        asked.start()
        while not told:
            asked.join(0.05)
        holds = "select exists (select from pg_locks where relation = 'dossiers'::regclass and mode = 'AccessExclusiveLock' and granted)"
        while not world.value(holds):
            asked.join(0.01)
        writer.execute("lock table dossiers in row exclusive mode")  # which the step holds, while it asks for events
        writer.execute("commit")
    asked.join()
    assert results == [["9001"]]


def test_a_step_that_never_gets_its_table_is_given_up_and_says_who_holds_it(world, tmp_path, monkeypatch):
    monkeypatch.setattr(upgrade, "LOCK_TIMEOUT", "50ms")
    with connected(world.url, application_name="un rapport") as reader:
        reader.execute("begin")
        reader.execute("select 1 from dossiers")
        with pytest.raises(Refused, match=rf"9001 .* 2 essais .*{reader.info.backend_pid}.*un rapport") as refused:
            upgrade.migrate(world.url, steps=written(tmp_path, (ADDS, "")), attempts=2)
    assert refused.value.code == "busy"
    assert world.value("select to_regclass('planted')") is None


def test_a_step_that_fails_leaves_nothing_and_those_before_it_stay(world, tmp_path):
    tree = written(
        tmp_path, ("create table planted (id integer);", ""), ("create table other (id integer); select 1/0;", "")
    )
    with pytest.raises(Exception, match="division by zero"):
        upgrade.migrate(world.url, steps=tree)
    assert world.value("select max(version_num) from alembic_version") == "9001"
    assert world.value("select to_regclass('other')") is None


# --- going back -----------------------------------------------------------------------------------------------------


def test_the_program_of_before_may_be_put_back_after_a_step_that_adds(world, tmp_path):
    upgrade.migrate(world.url, steps=written(tmp_path, (ADDS, "")))
    assert upgrade.migrate(world.url) == []
    world.resolve(world.triaged())
    assert world.sound()


def test_the_program_of_before_is_refused_after_a_step_that_removed_what_it_needs(world, tmp_path):
    upgrade.migrate(world.url, steps=written(tmp_path, (ADDS, ""), (REMOVES, 'contract = "9001"')))
    with pytest.raises(Refused, match="plus récent") as refused:
        upgrade.migrate(world.url)
    assert "9001" in refused.value.accepted
    assert upgrade.migrate(world.url, steps=written(tmp_path, (ADDS, ""))) == [], "the one that knows 9001 is not"


# --- saying what would be done --------------------------------------------------------------------------------------


def test_what_a_dry_run_writes_is_what_a_migration_does(empty, database, tmp_path):
    tree = written(tmp_path, (ADDS, ""))
    todo = upgrade.known(tree)
    statements = upgrade.sql(None, todo, tree)
    assert list(statements) == [step.revision for step in todo]
    with connected(empty) as connection:
        for one in statements.values():
            connection.execute(one)
    upgrade.migrate(database, steps=tree)
    assert seen(empty) == seen(database)


def test_a_dry_run_changes_nothing(empty, database):
    engine = create_engine(empty)
    with engine.begin() as connection:
        todo = upgrade.pending(connection)
    engine.dispose()
    upgrade.sql(None, todo)
    assert seen(empty)["column"] == {}
    assert upgrade.migrate(database) == []


# --- a step only adds, unless it says that it does not ------------------------------------------------------------------

SHAPE = {
    "column": (
        "select c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end "
        "|| case when a.atthasdef or a.attidentity <> '' then ' default' else '' end from pg_attribute a join pg_class c on c.oid = a.attrelid "
        "where c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition and a.attnum > 0 and not a.attisdropped"
    ),
    "constraint": (
        "select c.relname || '.' || k.conname, array(select a.attname from unnest(k.conkey) n join pg_attribute a on a.attrelid = c.oid and a.attnum = n)"
        "::text || ' ' || pg_get_constraintdef(k.oid) from pg_constraint k join pg_class c on c.oid = k.conrelid "
        "where k.contype in ('c', 'u', 'p', 'f', 'x') and not c.relispartition"
    ),
    "unique index": (
        "select c.relname || '.' || i.relname, array(select a.attname from unnest(x.indkey) n join pg_attribute a on a.attrelid = c.oid and a.attnum = n)"
        "::text || ' ' || pg_get_indexdef(i.oid) from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid "
        "where x.indisunique and not c.relispartition and not exists (select from pg_constraint where conindid = i.oid)"
    ),
    "trigger": (
        "select c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid "
        "where not t.tgisinternal and not c.relispartition"
    ),
    "function": "select p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', prorettype::regtype::text from pg_proc p",
}
OWNER = {"column": "c.relnamespace", "constraint": "c.relnamespace", "unique index": "c.relnamespace", "trigger": "c.relnamespace", "function": "p.pronamespace"}  # fmt: skip


def seen(url):
    """What a program can rely on, by kind and by name, as PostgreSQL itself tells it."""
    shape = {}
    with connected(url) as connection:
        for kind, query in SHAPE.items():
            joined = " and " if " where " in query else " where "
            rows = connection.execute(f"{query}{joined}{OWNER[kind]} = 'public'::regnamespace").fetchall()
            shape[kind] = {name: said for name, said in rows if not name.startswith("alembic_version.")}
    return shape


def narrowed(before, after):
    """What of `before` a program can no longer rely on, and what is now asked of it that was not."""
    tables = {name.partition(".")[0] for name in before["column"]}
    new_columns = {name for name in after["column"] if name not in before["column"]}
    found = []
    for name, was in before["column"].items():
        now = after["column"].get(name, "")
        if now.replace(" default", "") not in (
            was.replace(" default", ""),
            was.replace(" default", "").replace(" not null", ""),
        ) or ("default" in was and "not null" in now and "default" not in now):
            found.append(f"column {name}")
    found += [
        f"column {name}"
        for name in new_columns
        if name.partition(".")[0] in tables and after["column"][name].endswith(" not null")
    ]
    for kind in ("constraint", "unique index"):
        for name, said in after[kind].items():
            table = name.partition(".")[0]
            columns = {f"{table}.{one}" for one in re.match(r"\{(.*?)\}", said)[1].split(",") if one}
            if before[kind].get(name) != said and table in tables and not (columns and columns <= new_columns):
                found.append(f"{kind} {name}")
    found += [
        f"trigger {name}"
        for name, said in after["trigger"].items()
        if before["trigger"].get(name) != said and name.partition(".")[0] in tables
    ]
    found += [f"function {name}" for name, said in before["function"].items() if after["function"].get(name) != said]
    return sorted(found)


def harmful(url, tree, step, folder):
    """What a step narrows, but for what its module declares harmless, with a reason, by name."""
    from alembic.script import ScriptDirectory

    module = ScriptDirectory(str(tree)).get_revision(step.revision).module
    declared = getattr(module, "harmless", {})
    before = seen(url)
    upgrade.migrate(url, steps=upto(folder, step.revision) if tree == schema.MIGRATIONS else tree)
    narrow = narrowed(before, seen(url))
    unneeded = [f"{name}: declared harmless, and it is not there" for name in declared if name not in narrow]
    return [name for name in narrow if not declared.get(name)] + unneeded


def blocking(statements, tables):
    """The indexes that a step would build on a table that is in use, while its writers wait."""
    made = r"create\s+(?:unique\s+)?index\s+(?!if\s+not\s+exists)(\w+)\s+on\s+(?:only\s+)?(\w+)"
    return [index for index, table in re.findall(made, statements, re.IGNORECASE) if table in tables]


def test_every_step_after_the_first_only_adds_or_says_that_it_contracts(empty, tmp_path):
    first, *others = upgrade.known()
    upgrade.migrate(empty, steps=upto(tmp_path, first.revision))
    previous = first.revision
    for step in others:
        tables = {name.partition(".")[0] for name in seen(empty)["column"]}
        assert blocking(upgrade.sql(previous, [step])[step.revision], tables) == [], (
            f"{step.file}: create index if not exists"
        )
        found = harmful(empty, schema.MIGRATIONS, step, tmp_path)
        assert step.contract is not None or found == [], step.file
        assert step.contract is None or step.contract <= step.revision, step.file
        previous = step.revision
    assert upgrade.known()[0] == first


@pytest.mark.parametrize(
    ("statements", "caught"),
    [
        (ADDS, []),
        ("alter table dossiers drop column outcome;", ["column dossiers.outcome"]),
        ("alter table notices rename column why to reason;", ["column notices.why"]),
        (
            "drop table stuck;",
            [
                f"column stuck.{one}"
                for one in (
                    "attempts",
                    "dossier_id",
                    "error",
                    "retry_at",
                    "since",
                    "skipped_at",
                    "skipped_by",
                    "skipped_why",
                )
            ],
        ),
        ("alter table units alter column level type varchar(9);", ["column units.level"]),
        ("alter table units alter column telephone set not null;", ["column units.telephone"]),
        ("alter table units alter column zone drop default;", ["column units.zone"]),
        ("alter table units add column planted text not null;", ["column units.planted"]),
        ("alter table units add constraint ck_units_x check (name <> '');", ["constraint units.ck_units_x"]),
        ("create unique index if not exists x on persons (mail);", ["unique index persons.x"]),
        ("drop function journal_ensure;", ["function journal_ensure(last_id bigint)"]),
        (
            "create trigger t before insert on units for each row execute function units_never_vanish();",
            ["trigger units.t"],
        ),
    ],
)
def test_a_step_that_takes_something_away_is_caught(database, tmp_path, statements, caught):
    tree = written(tmp_path, (statements, ""))
    assert harmful(database, tree, upgrade.known(tree)[-1], tmp_path) == sorted(caught)


def test_what_a_step_declares_harmless_passes_only_with_a_reason_and_only_if_it_is_there(database, tmp_path):
    unique = "create unique index if not exists x on persons (mail);"
    declared = {"unique index persons.x": "no two persons were ever given one address", "column persons.mail": "?"}
    tree = written(tmp_path, (unique, f"harmless = {declared}"))
    found = harmful(database, tree, upgrade.known(tree)[-1], tmp_path)
    assert found == ["column persons.mail: declared harmless, and it is not there"]


def test_an_index_that_would_make_writers_wait_is_caught():
    tables = {"dossiers"}
    assert blocking("CREATE UNIQUE INDEX a ON dossiers (x); create index b on planted (x);", tables) == ["a"]
    assert blocking("create index if not exists a on dossiers (x);", tables) == []
