"""The proof finds what should never be, goes round for ever, and health says so until it is mended."""

import contextlib
from datetime import timedelta

import pytest

from workflow import heartbeats, reconcile, sweep
from workflow.models import Base


@pytest.fixture
def healthy(world):
    """Give a world with a beating clock and three dossiers, all told and proved."""
    for _ in range(3):
        world.triaged()
    world.react()
    world.sql("update notices set state = 'sent', sent_at = clock_timestamp()")
    beat(world)
    go_round(world)
    assert health(world).red == ()
    return world


def beat(world):
    with world.make.begin() as session:
        heartbeats.beat(session, "tick")


def health(world):
    with world.make() as session:
        return reconcile.health(session)


def go_round(world):
    """Until the reconciler has come back to the beginning; the problems of the round."""
    found = reconcile.reconcile(world.make)
    while not world.value("select note from heartbeats where name = 'reconcile'").startswith("0 "):
        found += reconcile.reconcile(world.make)
    return found


BROKEN = {
    "a lost pending event": ("delete from pending where dossier_id = 2", "reactions"),
    "an event reacted to twice": ("update reacted set events = events + 1 where dossier_id = 2", "reactions"),
    "a count of reactions lost": ("delete from reacted where dossier_id = 2", "reactions"),
    "a wrong wake_at": ("update dossiers set wake_at = wake_at + interval '1 hour' where id = 2", "fold"),
    "a lost event": ("delete from events where dossier_id = 2 and seq = 1", "chain"),
    "an event altered": ("update events set kind = 'x' where dossier_id = 2 and seq = 2", "chain"),
    "a head of another chain": ("update dossiers set head = sha256(head) where id = 2", "chain"),
    "a text altered": ("update texts set body = body || '!' where dossier_id = 2 and field = 'title'", "texts"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_should_never_be_is_found_where_it_is_and_turns_health_red(world, what):
    for _ in range(3):
        world.triaged()
    if "pending" not in BROKEN[what][0]:
        world.react()
    beat(world)
    assert world.sound()
    world.tamper(BROKEN[what][0])
    assert [(problem.dossier_id, problem.proof) for problem in world.problems()] == [(2, BROKEN[what][1])]
    assert go_round(world) == 1
    assert health(world).problems == 1
    assert "écarts trouvés par la vérification" in health(world).red


def test_a_wake_that_both_row_and_journal_carry_wrongly_is_found(world, monkeypatch):
    from states import draft

    right = draft.clocks.wake
    monkeypatch.setattr(draft.clocks, "wake", lambda *args: right(*args) + timedelta(hours=1))
    key = world.triaged()
    monkeypatch.undo()
    assert [(problem.dossier_id, problem.proof) for problem in world.problems()] == [(key, "wake")]


def test_health_is_red_before_the_first_tick_and_green_after_it(world):
    assert health(world).red == ("aucun battement récent de l'horloge",)
    beat(world)
    assert health(world).red == ()


REDS = {
    "a stale tick": (
        "update heartbeats set at = at - interval '3 minutes' where name = 'tick'",
        "update heartbeats set at = clock_timestamp() where name = 'tick'",
        "aucun battement récent de l'horloge",
    ),
    "a dossier set aside": (
        "insert into stuck (dossier_id, error, retry_at) values (1, 'x', clock_timestamp())",
        "delete from stuck",
        "dossiers mis de côté",
    ),
    "a dead letter": (
        "update notices set state = 'dead', sent_at = null where id = 1",
        "update notices set state = 'void' where id = 1",
        "messages abandonnés",
    ),
    "a letter that waits": (
        "update notices set state = 'queued', sent_at = null, next_at = clock_timestamp() - interval '6 minutes' where id = 1",
        "update notices set state = 'void' where id = 1",
        "des messages attendent d'être envoyés",
    ),
    "a reaction given up": (
        "insert into reaction_failures values (1, 1, 'tell', 8, null, 'x')",
        "delete from reaction_failures",
        "réactions abandonnées",
    ),
    "a definition suspended": (
        "update definitions set state = 'suspended'",
        "update definitions set state = 'published'",
        "définitions suspendues",
    ),
    "a clock that nobody sweeps": (
        "update business_clock set anchor = anchor + interval '15 days'",
        "update business_clock set anchor = anchor - interval '15 days'",
        "des dossiers échus attendent l'horloge",
    ),
    "a reconciler that no longer goes round": (
        "update heartbeats set at = at - interval '1 day' where name = 'reconcile'",
        "update heartbeats set at = clock_timestamp() where name = 'reconcile'",
        None,
    ),
    "an event that nobody reacts to": (
        "insert into pending select dossier_id, seq, definition_id, shape, 0 from events",
        "delete from pending",
        None,
    ),
}


@pytest.mark.parametrize("what", REDS)
def test_health_turns_red_for_its_reason_and_green_again_once_mended(healthy, what):
    broken, mended, words = REDS[what]
    healthy.sql(broken)
    if what == "an event that nobody reacts to":
        healthy.jump(hours=2)  # recorded two hours ago, in the time of dossiers
    red = health(healthy).red
    assert len(red) == 1
    assert words is None or red == (words,)
    healthy.sql(mended)
    assert health(healthy).red == ()


def test_a_sweep_turns_health_green_again(healthy):
    healthy.jump(days=15)
    assert health(healthy).oldest_due > 300
    healthy.sweep()
    assert health(healthy).oldest_due is None


def test_the_reconciler_goes_round_in_slices_and_begins_again(world):
    for _ in range(5):
        world.triaged()
    notes = []
    for _ in range(8):
        reconcile.reconcile(world.make, size=2)
        notes.append(world.value("select note from heartbeats where name = 'reconcile'"))
    assert notes == ["2 0", "4 0", "5 0", "0 0", "2 0", "4 0", "5 0", "0 0"]


def test_a_dossier_of_any_age_is_looked_at(world):
    key = world.triaged()
    for _ in range(3):
        world.triaged()
    world.jump(days=4000)
    world.sweep()
    world.tamper(f"update dossiers set version = 99 where id = {key}")
    assert go_round(world) == 1


def test_health_stays_red_all_through_the_next_round_while_a_problem_is_there(world):
    for _ in range(4):
        world.triaged()
    beat(world)
    world.tamper("update dossiers set version = 99 where id = 4")
    for _ in range(5):
        reconcile.reconcile(world.make, size=1)
    seen = []
    for _ in range(10):
        reconcile.reconcile(world.make, size=1)
        seen.append(health(world).problems > 0)
    assert all(seen)


def test_health_turns_green_after_a_round_that_found_nothing(world):
    for _ in range(4):
        world.triaged()
    beat(world)
    world.tamper("update dossiers set version = 99 where id = 4")
    assert go_round(world) == 1
    world.tamper("update dossiers set version = 2 where id = 4")
    go_round(world)
    go_round(world)
    assert health(world).red == ()


def test_two_reconcilers_at_once_do_no_harm(world, together):
    for _ in range(6):
        world.triaged()
    for _ in range(6):
        assert together(*[lambda: reconcile.reconcile(world.make, size=2)] * 3) == [0, 0, 0]


def test_a_row_that_cannot_be_read_stops_neither_the_reconciler_nor_the_health_it_reports(world):
    for _ in range(3):
        world.triaged()
    beat(world)
    world.tamper("update dossiers set clocks = '{\"triage\": {}}' where id = 1")
    for _ in range(4):
        with contextlib.suppress(Exception):  # a task that fails is a tick lost
            reconcile.reconcile(world.make, size=1)
    assert "écarts trouvés par la vérification" in health(world).red


def test_the_reconciler_keeps_a_million_numbers_of_the_journal_ahead(world):
    world.sql("select setval(pg_get_serial_sequence('dossiers', 'id'), 1999998)")
    world.submit()
    reconcile.reconcile(world.make)
    assert world.value("select to_regclass('events_000002') is not null")


def test_verifying_writes_nothing(world):
    world.triaged()
    world.react()
    counts = " union all ".join(
        f"select '{name}', count(*), coalesce(max(xmin::text::bigint), 0) from {name}"
        for name in Base.metadata.tables
        if name != "events"
    )
    before = world.sql(counts)
    assert world.sound()
    assert world.sql(counts) == before


def test_a_verification_running_while_dossiers_move_reports_nothing(world, together):
    world.submit(300)

    def move():
        for _ in range(6):
            world.jump(days=4)
            sweep.sweep(world.make)
            world.react()

    def check():
        return [problem for _ in range(6) for problem in world.problems()]

    _, *found = together(move, check, check)
    assert found == [[], []]
