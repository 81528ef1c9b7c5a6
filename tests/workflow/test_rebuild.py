"""A calendar that changes: what moves is reckoned again in bulk, once, and nothing else is touched."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cli import shipped
from config import calendars
from workflow import almanac, rebuild, why
from workflow.access import actor
from workflow.view import load

PARIS = ZoneInfo("Europe/Paris")
CLOSED = ["2026-10-07"]


@pytest.fixture
def worked(world):
    """A world whose definition is the shipped one, in working time."""
    with world.make.begin() as session:
        almanac.keep_shipped(session)
    world.define({**shipped.own().meaning(), "version": 2})
    return world


def closed_day(world, days):
    with world.make.begin() as session:
        body = {**calendars.documents()["metropole"], "holidays": days}
        return almanac.publish(session, almanac.CALENDAR, "metropole", body, who="admin", why="pont")


def run(world, **more):
    for found in rebuild.run(world.make, who="admin", why="pont", **more):
        last = found
    return last


def due(world, key, name):
    clock = world.value("select clocks -> :name from dossiers where id = :key", name=name, key=key)
    return f"{datetime.fromisoformat(clock['due']).astimezone(PARIS):%d/%m %H:%M}"


def test_a_closed_day_moves_what_it_falls_in_and_leaves_the_rest(worked):
    moved, stopped = worked.submit(2)
    worked.act(stopped, "triage", to_unit="u1")
    before = worked.sql("select id, seq, head from dossiers where id = :key", key=stopped)
    assert due(worked, moved, "triage") == "07/10 18:00"
    closed_day(worked, CLOSED)
    assert due(worked, moved, "triage") == "07/10 18:00", (
        "a clock that runs keeps the version that it was reckoned with"
    )

    foreseen = run(worked, dry=True)
    assert (foreseen.read, foreseen.dossiers) == (2, 2)
    assert due(worked, moved, "triage") == "07/10 18:00", "nothing is written"
    done = run(worked)
    assert (done.dossiers, done.left) == (2, [])
    assert due(worked, moved, "triage") == "08/10 18:00"
    assert due(worked, stopped, "triage") == "07/10 18:00", "a stopped clock stays as it was"
    assert before != worked.sql("select id, seq, head from dossiers where id = :key", key=stopped), (
        "its other clocks moved"
    )

    assert run(worked).dossiers == 0, "run again, nothing moves"
    worked.react()
    told = worked.value(
        "select count(*) from notices n join events e using (dossier_id, seq) where e.kind = 'clock.rebuild'"
    )
    assert told == 0, "it records, and tells nobody"
    assert worked.sound()


def test_what_does_not_move_is_not_touched_and_what_was_missed_stays_missed(worked):
    (key,) = worked.submit()
    worked.jump(days=4)
    worked.sweep()
    closed_day(worked, ["2028-01-05"])
    heads = worked.sql("select id, seq, head from dossiers order by id")
    assert run(worked).dossiers == 0
    assert worked.sql("select id, seq, head from dossiers order by id") == heads
    closed_day(worked, CLOSED)
    run(worked)
    assert due(worked, key, "triage") == "07/10 18:00"
    assert worked.sound()


def test_a_new_dossier_goes_by_the_calendar_of_now_and_an_explanation_keeps_the_dates_that_were(worked):
    (old,) = worked.submit()
    closed_day(worked, CLOSED)
    (new,) = worked.submit()
    assert (due(worked, old, "triage"), due(worked, new, "triage")) == ("07/10 18:00", "08/10 18:00")
    run(worked)
    with worked.make() as session:
        seen = load(session, old, actor(session, "ref0", worked.now()))
        (said,) = why.explained(seen, "triage")
    assert [(version.kind, f"{version.due.astimezone(PARIS):%d/%m}") for version in said.versions] == [
        ("submit", "07/10"), ("clock.rebuild", "08/10"),
    ]  # fmt: skip
    assert any(step.code == "skipped" and f"{step.facts['day']:%d/%m}" == "07/10" for step in said.steps)


def test_the_same_calendar_again_is_no_new_version_and_a_wrong_one_is_refused(worked):
    assert closed_day(worked, CLOSED).new
    assert not closed_day(worked, CLOSED).new
    from states.errors import BadInput

    with pytest.raises(BadInput, match="n'ouvre jamais"), worked.make.begin() as session:
        almanac.publish(
            session, almanac.CALENDAR, "metropole", {"territory": "metropole", "week": {}}, who="a", why="b"
        )
    with worked.make.begin() as session:
        assert almanac.keep_shipped(session) == [], "a program does not overwrite what an administration made its own"
