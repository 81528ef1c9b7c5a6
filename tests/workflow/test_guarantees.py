"""What the database itself refuses, whoever writes: psql, a restored dump, a program with a bug."""

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from states.decide import decide
from states.dossier import DUE, SYSTEM, Act
from workflow import apply, definitions, dossiers
from workflow.journal import GENESIS


def refused(world, statement, **params):
    """The constraint or the sentence that refuses a statement."""
    with pytest.raises(DBAPIError) as caught:
        world.sql(statement, **params)
    diag = caught.value.orig.diag
    return diag.constraint_name or diag.message_primary


@pytest.mark.parametrize("table", ["events", "events_000000", "events_000001"])
def test_a_journal_refuses_to_be_emptied_even_by_its_partitions(world, table):
    world.triaged()
    assert "append-only" in refused(world, f"truncate {table}")
    assert "append-only" in refused(world, f"truncate {table} cascade")
    assert world.value("select count(*) from events") == 2


@pytest.mark.parametrize("table", ["events", "events_000000"])
@pytest.mark.parametrize(
    "change",
    [
        "update {} set kind = 'x'",
        "update {} set hash = hash",
        "update {} set dossier_id = dossier_id + 1000000",
        "delete from {}",
        "delete from only {} where seq = 2",
        "update {} set facts = '{{}}' where seq = 1",
    ],
)
def test_a_journal_refuses_update_and_delete_even_by_its_partitions(world, table, change):
    world.triaged()
    if "only events" in change.format(table) and table == "events":
        change = "delete from {} where seq = 2"
    assert "append-only" in refused(world, change.format(table))
    assert world.value("select count(*) from events") == 2


def test_an_insert_that_would_overwrite_an_event_is_refused(world):
    key = world.triaged()
    copied = "insert into events select * from events where seq = 1"
    assert refused(world, copied) == "events_000000_pkey"
    assert "append-only" in refused(world, copied + " on conflict (dossier_id, seq) do update set kind = 'x'")
    assert world.kinds(key) == ["submit", "triage"]


def again(world, column, value):
    """Insert the last event once more under the next number, with one column set."""
    columns = {"seq": "seq + 1", "fired": "null", "idem": "null", column: value}
    names = [
        "dossier_id", "seq", "at", "effective", "kind", "person_id", "unit_id", "role", "definition_id", "shape", "command",
        "facts", "effect", "fired", "idem", "hash",
    ]  # fmt: skip
    chosen = ", ".join(columns.get(name, name) for name in names)
    return refused(world, f"insert into events select {chosen} from events order by seq desc limit 1")


def test_what_the_clock_did_once_it_cannot_have_done_twice(world):
    key = world.triaged()
    world.jump(days=15)
    world.sweep()
    fired = world.value("select fired from events where dossier_id = :key and kind = 'escalate'", key=key)
    assert "fired" in again(world, "fired", f"'{fired}'")


def test_what_a_person_sent_once_cannot_stand_twice_in_the_journal(world):
    key = world.triaged()
    world.act(key, "assign", "ref1", to_user="ref1", idem="k")
    assert "idem" in again(world, "idem", "'k'")


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("seq", "0", "ck_events_seq"),
        ("effective", "at + interval '1 microsecond'", "ck_events_effective"),
        ("hash", "'\\x00'", "ck_events_hash"),
    ],
)
def test_an_event_that_makes_no_sense_is_refused(world, column, value, constraint):
    world.triaged()
    assert again(world, column, value) == constraint


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("wake_at = null", "ck_dossiers_open_wakes"),
        ("wake_at = at", "ck_dossiers_wakes_later"),
        ("wake_at = at - interval '1 day'", "ck_dossiers_wakes_later"),
        ("phase = 'resolved', closed_at = at", "ck_dossiers_open_wakes"),
        ("phase = 'resolved', wake_at = null", "ck_dossiers_closed"),
        ("closed_at = at", "ck_dossiers_closed"),
        ("phase = 'oublié'", "ck_dossiers_phase"),
        ("seq = 0", "ck_dossiers_seq"),
        ("head = ''", "ck_dossiers_head"),
    ],
)
def test_a_dossier_that_the_clock_would_forget_or_that_makes_no_sense_is_refused(world, change, constraint):
    key = world.triaged()
    assert refused(world, f"update dossiers set {change} where id = {key}") == constraint


def test_two_dossiers_never_share_a_reference_nor_a_submit_key(world):
    world.submit(2)
    assert refused(world, "update dossiers set reference = 'x'") == "uq_dossiers_reference"
    assert refused(world, "update dossiers set submit_key = 'x'") == "uq_dossiers_submit_key"


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=-1), None])
def test_apply_writes_nothing_of_an_open_dossier_that_would_not_wake_later(world, late):
    key = world.triaged()
    before = world.row(key)
    with world.make() as session:
        (((row,), now, _, _),) = dossiers._lock(session, [dossiers.Request(key, None)], SYSTEM)
        loaded = definitions.get(session, row.definition_id)
        decision = decide(loaded.compiled, row.dossier, Act("exhaust", SYSTEM), at=now)
        wrong = replace(decision.after, wake_at=None if late is None else decision.after.at + late)
        with pytest.raises(psycopg.errors.CheckViolation):
            apply.apply(session, [apply.Change(key, row.head, loaded, replace(decision, after=wrong))])
        session.rollback()
    assert world.row(key) == before
    assert world.sound()


def test_apply_refuses_a_decision_made_on_a_row_that_has_moved_on(world):
    key = world.triaged()
    with world.make() as session:
        (((row,), now, _, _),) = dossiers._lock(session, [dossiers.Request(key, None)], SYSTEM)
        session.rollback()
        loaded = definitions.get(session, row.definition_id)
        session.rollback()
        world.act(key, "assign", "ref1", to_user="ref1")
        decision = decide(loaded.compiled, row.dossier, DUE, at=now + timedelta(days=30))
        with pytest.raises((apply.LostUpdate, psycopg.errors.UniqueViolation)):
            apply.apply(session, [apply.Change(key, row.head, loaded, decision)])
        session.rollback()
    assert world.kinds(key) == ["submit", "triage", "assign"]
    assert row.head != GENESIS


@pytest.mark.parametrize("change", ["name = 'x'", "version = 9", "digest = 'x'", "body = '{}'", "schema = 2"])
def test_a_definition_never_changes(world, change):
    assert "never changes" in refused(world, f"update definitions set {change}")


def test_a_definition_may_be_suspended_and_resumed(world):
    world.sql("update definitions set state = 'suspended', why = 'essai'")
    world.sql("update definitions set state = 'published', why = null")
    assert refused(world, "update definitions set state = 'x'") == "ck_definitions_state"


def test_a_definition_that_dossiers_live_under_is_never_deleted(world):
    world.submit()
    assert refused(world, "delete from definitions")


def test_a_unit_is_never_deleted(world):
    assert "never deleted" in refused(world, "delete from units where code = 'u6'")
    assert refused(world, "truncate units")
    assert world.value("select count(*) from units") == 7


def test_a_unit_a_membership_that_ends_before_it_begins_is_refused(world):
    backwards = "set valid_from = '2026-02-01', valid_to = '2026-01-01'"
    assert refused(world, f"update units {backwards}") == "ck_units_valid"
    assert refused(world, f"update memberships {backwards}") == "ck_memberships_valid"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("body = null", "ck_texts_erased"),
        ("salt = null", "ck_texts_erased"),
        ("erased_at = clock_timestamp()", "ck_texts_erased"),
        ("body = null, erased_at = clock_timestamp()", "ck_texts_erased"),
    ],
)
def test_a_text_is_erased_whole_or_not_at_all(world, change, constraint):
    world.submit()
    assert refused(world, f"update texts set {change}") == constraint


def test_a_notice_is_one_by_event_subscriber_and_seat(world):
    world.submit()
    world.react()
    copied = "insert into notices (dossier_id, seq, subscriber, target, cause, not_before) select dossier_id, seq, subscriber, target, cause, not_before from notices"  # fmt: skip
    assert refused(world, copied) == "uq_notices_once"
    assert refused(world, "update notices set state = 'sent'") == "ck_notices_sent"
    assert refused(world, "update notices set message_id = gen_random_uuid(), state = 'x'") == "ck_notices_state"


def test_one_row_of_business_time_and_of_the_directory_s_revision(world):
    assert refused(world, "insert into business_clock values (2, now(), now(), 1, true)") == "ck_business_clock_one_row"
    assert refused(world, "insert into directory values (2, 1)") == "ck_directory_one_row"
    assert refused(world, "update business_clock set rate = 0") == "ck_business_clock_rate"


def test_every_change_of_the_directory_is_a_new_revision(world):
    for change in (
        "update units set name = 'X' where id = 1",
        "update memberships set role = 'head' where id = 4",
        "update competences set unit_id = null where rung = 5",
        "delete from competences where rung = 5",
    ):
        before = world.value("select revision from directory")
        world.sql(change)
        assert world.value("select revision from directory") > before, change


# --- partitions -------------------------------------------------------------------------------------------------------


def partitions(world):
    return {
        name
        for (name,) in world.sql(
            "select inhrelid::regclass::text from pg_inherits where inhparent = 'events'::regclass"
        )
    }


def test_partitions_are_made_once_and_reach_a_dossier_numbered_five_million(world):
    assert world.value("select journal_ensure(5000000)") == 4
    assert world.value("select journal_ensure(5000000)") == 0
    assert partitions(world) == {f"events_{n:06}" for n in range(6)}
    world.sql("select setval(pg_get_serial_sequence('dossiers', 'id'), 4999999)")
    key = world.triaged()
    assert key == 5_000_000
    assert world.value("select count(*) from events_000005") == 2
    for change in ("delete from events_000005", "update events_000005 set kind = 'x'", "truncate events_000005"):
        assert "append-only" in refused(world, change)
    world.jump(days=15)
    world.sweep()
    fired = world.value("select fired from events where kind = 'escalate'")
    assert "fired" in again(world, "fired", f"'{fired}'")
    assert world.sound()


def test_dossiers_of_two_partitions_are_swept_in_one_batch(world):
    world.submit(2)
    world.sql("select setval(pg_get_serial_sequence('dossiers', 'id'), 999999)")
    world.submit(2)
    world.jump(days=3)
    assert world.sweep().done == 4
    assert world.sound()


def test_a_partition_is_made_behind_an_open_report_without_blocking_writers(world):
    world.submit()
    with world.make() as report:
        assert report.connection().exec_driver_sql("select count(*) from events").scalar() == 1
        assert world.value("select journal_ensure(2000000)") == 1
        world.triaged()
        report.rollback()


def test_partitions_made_from_two_places_at_once_are_made_once(world, together):
    made = together(*[lambda: world.value("select journal_ensure(6000000)")] * 4)
    assert [one for one in made if isinstance(one, Exception)] == []
    assert sum(made) == 5


def test_an_event_of_a_dossier_beyond_the_last_partition_is_refused_not_lost(world):
    world.sql("select setval(pg_get_serial_sequence('dossiers', 'id'), 9000000)")
    with pytest.raises((IntegrityError, psycopg.IntegrityError)):
        world.submit()
    assert world.value("select count(*) from dossiers") == 0
