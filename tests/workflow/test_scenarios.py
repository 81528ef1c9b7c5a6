"""What happens when the clock was away, a dossier is poisoned, a worker dies or freezes, or two people act at once."""

import contextlib
import copy
import itertools
import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from config.settings import Settings
from states.dossier import SYSTEM
from states.errors import BadInput, Refused, Stale
from tasks.deliver import deliver_all
from workflow import access, business_time, definitions, dossiers, heartbeats, reactions, reconcile, schema, sweep
from workflow.dossiers import Submission
from workflow.reactions import Told
from workflow.sweep import Swept

SECOND = timedelta(seconds=1)


def settle_all(world, folder):
    """Sweep, react and deliver until nothing is left; the number of letters in the folder."""
    world.sweep()
    world.react()
    while deliver_all(world.make, Settings(mail=f"file:{folder}")):
        pass
    return len(list(folder.glob("*.eml")))


# --- the clock was away -----------------------------------------------------------------------------------------------


def test_three_days_without_a_clock_fire_each_due_thing_once_and_move_once(world, tmp_path):
    (key,) = world.submit()
    assert settle_all(world, tmp_path) == 2
    due = world.start + timedelta(days=2)
    now = world.jump(days=3)
    assert settle_all(world, tmp_path) == 4
    events = world.events(key)
    assert [(event.kind, event.fired) for event in events] == [
        ("submit", None),
        ("clock.breach", "triage:1:due"),
        ("clock.lapse", "triage:1:half"),
        ("clock.lapse", "triage:1:eve"),
        ("escalate", "triage:1:move"),
    ]
    assert (events[1].at, events[1].effective) == (now, due)
    assert (events[4].at, events[4].effective) == (now, now)
    row = world.row(key)
    assert (row.state, row.rung, row.due_at) == ("escalated", 1, now + timedelta(days=14))
    assert settle_all(world, tmp_path) == 4
    assert world.sql("select target from notices where seq > 1 order by target") == [("holder",), ("unit:2",)]
    assert {sent for (sent,) in world.sql("select state from notices")} == {"sent"}
    assert world.sound()


def test_sixty_days_without_a_clock_move_one_rung_and_the_new_rung_has_its_whole_time(world):
    key = world.triaged()
    now = world.jump(days=60)
    assert world.sweep() == Swept(done=1)
    assert world.kinds(key).count("escalate") == 1
    assert datetime.fromisoformat(world.row(key).clocks["rung"]["due"]) == now + timedelta(days=14)
    assert world.sweep() == Swept()


def test_a_dossier_left_to_the_clock_climbs_each_rung_once_and_then_tells_that_the_ladder_is_exhausted(world):
    key = world.triaged()
    for _ in range(45):
        world.jump(days=2, seconds=1)
        world.sweep()
    events = world.events(key)
    assert [event.facts["unit"] for event in events if event.kind == "escalate"] == [3, 4, 5, 6]
    assert [event.kind for event in events].count("exhaust") == 1
    fired = [event.fired for event in events if event.fired]
    assert len(fired) == len(set(fired))
    assert world.row(key).wake_at > world.now()
    assert world.sound()


def test_each_reminder_comes_once_in_its_time_when_the_clock_is_there(world):
    (key,) = world.submit()
    for _ in range(60):
        world.jump(hours=1)
        world.sweep()
        world.sweep()
    assert world.kinds(key) == ["submit", "clock.remind", "clock.remind", "clock.breach", "escalate"]
    reminded = [event for event in world.events(key) if event.kind == "clock.remind"]
    assert [event.command["step"] for event in reminded] == ["half", "eve"]
    assert reminded[0].at == world.start + timedelta(hours=25)  # the first tick strictly after its instant


def test_at_the_due_instant_a_person_is_still_in_time_and_the_clock_acts_strictly_after(world):
    (key,) = world.submit()
    due = world.row(key).due_at
    world.freeze(due)
    world.sweep()
    assert "clock.breach" not in world.kinds(key)
    world.act(key, "triage", to_unit="u1")
    world.jump(days=1)
    world.sweep()
    assert "clock.breach" not in world.kinds(key)
    assert "escalate" not in world.kinds(key)


def test_a_microsecond_after_the_due_instant_the_clock_acts(world):
    (key,) = world.submit()
    world.freeze(world.row(key).due_at + timedelta(microseconds=1))
    world.sweep()
    assert world.kinds(key)[-1] == "escalate"


def test_a_hold_begun_one_second_before_the_due_date_stops_the_clock(world):
    (key,) = world.submit()
    due = world.row(key).due_at
    now = world.jump(days=2, seconds=-1)
    until = now + timedelta(days=3)
    world.act(key, "hold", motive="clarification", answer_by=until, reason=world.reason)
    world.jump(days=2)
    world.sweep()
    assert {"clock.breach", "escalate"}.isdisjoint(world.kinds(key))
    assert world.row(key).due_at == due + timedelta(days=3)
    world.act(key, "answer", "holder", reason="Voici la précision demandée.")
    assert world.row(key).due_at == world.now() + SECOND
    world.jump(hours=3)
    world.sweep()
    assert world.kinds(key)[-1] != "escalate"  # the grace after a hold
    assert world.kinds(key).count("clock.breach") == 1
    world.jump(hours=1, seconds=1)
    world.sweep()
    assert world.kinds(key)[-1] == "escalate"
    assert world.sound()


def test_a_hold_begun_two_seconds_after_the_due_date_changes_nothing_of_the_breach(world):
    (key,) = world.submit()
    due = world.row(key).due_at
    now = world.jump(days=2, seconds=2)
    world.act(key, "hold", motive="clarification", answer_by=now + timedelta(days=3), reason=world.reason)
    events = world.events(key)
    assert [event.kind for event in events if event.kind != "clock.lapse"] == ["submit", "clock.breach", "hold"]
    assert next(event.effective for event in events if event.kind == "clock.breach") == due
    assert datetime.fromisoformat(world.row(key).clocks["triage"]["due"]) == due
    world.jump(days=2)
    world.sweep()
    assert world.kinds(key)[-1] == "hold"
    world.jump(days=1, hours=4, seconds=1)
    world.sweep()
    assert world.kinds(key)[-2:] == ["end_hold", "escalate"]
    assert world.sound()


def test_a_hold_that_ended_on_friday_and_was_noticed_on_monday_ended_on_friday(world):
    (key,) = world.submit()
    until = world.start + timedelta(days=4)
    world.act(key, "hold", motive="clarification", answer_by=until, reason=world.reason)
    now = world.jump(days=7)
    world.sweep()
    ended = next(event for event in world.events(key) if event.kind == "end_hold")
    assert (ended.at, ended.effective) == (now, until)
    assert world.row(key).holds[0]["end"] == world.row(key).holds[0]["until"]
    breach = next(event for event in world.events(key) if event.kind == "clock.breach")
    assert breach.effective == until + timedelta(days=2)
    assert world.sound()


def test_several_sweepers_at_once_fire_each_due_thing_once(world, together):
    world.submit(400)
    world.jump(days=3)
    swept = together(*[lambda: sweep.sweep(world.make, limit=60)] * 8)
    assert [one for one in swept if isinstance(one, Exception)] == []
    done = sum(one.done for one in swept) + world.sweep().done
    assert done == 400
    assert world.value("select count(*) from events where kind = 'escalate'") == 400
    assert world.value("select count(*) from sweep_batches") == 0
    assert world.sound()


# --- failing alone ----------------------------------------------------------------------------------------------------


def poison_decision(world, *keys):
    """A row whose state no definition knows: the core raises on it."""
    world.tamper("update dossiers set state = 'nowhere' where id = any(:keys)", keys=list(keys))


def mend_decision(world, *keys):
    world.tamper("update dossiers set state = 'submitted' where id = any(:keys)", keys=list(keys))


def poison_row(world, *keys):
    """A row whose clocks cannot even be read."""
    world.tamper("update dossiers set clocks = clocks || '{\"extra\": {}}' where id = any(:keys)", keys=list(keys))


def mend_row(world, *keys):
    world.tamper("update dossiers set clocks = clocks - 'extra' where id = any(:keys)", keys=list(keys))


def poison_write(world, *keys):
    """An event already there under the next number: the database refuses to write the dossier's own."""
    world.tamper(
        "insert into events select dossier_id, seq + 1, at, effective, 'poison', person_id, unit_id, role, definition_id, "
        "shape, command, facts, effect, null, null, hash from events where dossier_id = any(:keys) and seq = 1",
        keys=list(keys),
    )


def mend_write(world, *keys):
    world.tamper("delete from events where kind = 'poison' and dossier_id = any(:keys)", keys=list(keys))


POISONS = {
    "that the core cannot decide": (poison_decision, mend_decision),
    "that cannot be read": (poison_row, mend_row),
    "that the database refuses": (poison_write, mend_write),
}


@pytest.mark.parametrize("kind", POISONS)
def test_one_dossier_among_a_thousand_fails_alone(thousand, kind):
    world = thousand
    poison, mend = POISONS[kind]
    keys = list(range(1, 1001))
    bad = keys[617]
    poison(world, bad)
    world.jump(days=3)
    assert world.sweep() == Swept(done=999, stuck=1, more=True)
    assert world.sql("select id from dossiers where stuck") == [(bad,)]
    assert world.value("select count(*) from dossiers where state = 'escalated'") == 999
    (stuck,) = world.sql("select *, retry_at - clock_timestamp() as wait from stuck")
    assert stuck.dossier_id == bad
    assert stuck.error
    assert timedelta(seconds=50) < stuck.wait <= timedelta(minutes=1)
    assert world.value("select count(*) from sweep_batches") == 0
    mend(world, bad)
    assert sweep.retry_one(world.make, bad) == Swept(done=1)
    assert world.row(bad).state == "escalated"
    assert not world.row(bad).stuck
    assert world.sql("select * from stuck") == []
    assert world.sound()


@pytest.mark.parametrize("kind", POISONS)
def test_a_dossier_set_aside_is_tried_again_less_and_less_often_and_released_once_mended(world, kind):
    poison, mend = POISONS[kind]
    (bad,) = world.submit()
    poison(world, bad)
    world.jump(days=3)
    world.sweep()
    waits = []
    for _ in range(14):
        assert sweep.sweep(world.make) == Swept()  # before its retry nobody touches it
        world.sql("update stuck set retry_at = clock_timestamp()")
        assert sweep.sweep(world.make) == Swept(stuck=1)
        waits.append(world.value("select round(extract(epoch from retry_at - clock_timestamp()) / 60) from stuck"))
    assert waits[:4] == [2, 4, 8, 16]
    assert waits[-3:] == [1440] * 3
    assert world.value("select attempts from stuck") == 15
    mend(world, bad)
    world.sql("update stuck set retry_at = clock_timestamp()")
    assert sweep.sweep(world.make) == Swept(done=1)
    assert world.sql("select * from stuck") == []
    assert world.sound()


@pytest.mark.parametrize("kind", POISONS)
def test_a_hundred_poisoned_dossiers_among_a_thousand_fail_alone(thousand, kind):
    world = thousand
    poison, _ = POISONS[kind]
    keys = list(range(1, 1001))
    poison(world, *keys[5::10])
    world.jump(days=3)
    assert world.sweep().done == 900
    assert {key for (key,) in world.sql("select dossier_id from stuck")} == set(keys[5::10])
    assert world.value("select count(*) from dossiers where state = 'escalated'") == 900
    assert world.value("select count(*) from definitions where state = 'suspended'") == 0


def test_a_poisoned_dossier_stops_no_act_on_others_in_the_same_call(world):
    keys = world.submit(3)
    poison_row(world, keys[1])
    with world.make.begin() as session:
        results = dossiers.act(session, keys, "triage", actor=world.actor("ref0"), args={"to_unit": "u1"})
    assert [result.error is None for result in results] == [True, False, True]


def test_what_a_person_does_meanwhile_to_a_dossier_set_aside_is_not_lost(world):
    (bad,) = world.submit()
    poison_write(world, bad)
    world.jump(days=3)
    world.sweep()
    mend_write(world, bad)
    world.act(bad, "triage", to_unit="u1")
    assert sweep.retry_one(world.make, bad).stuck == 0
    assert not world.row(bad).stuck
    assert world.row(bad).state == "triaged"
    assert world.sound()


def test_a_guard_that_refuses_for_ever_is_told_once_and_looked_at_again_each_day(world):
    key_of = world.define(copy.deepcopy(world.minimal))
    (key,) = world.submit(definition="minimal")
    for _ in range(5 * 24):
        world.jump(hours=1, seconds=1)
        world.sweep()
    refused = [event for event in world.events(key) if event.kind == "clock.refuse"]
    assert len(refused) == 5
    gaps = {later.at - earlier.at for earlier, later in itertools.pairwise(refused)}
    assert all(timedelta(days=1) < gap < timedelta(days=1, hours=2) for gap in gaps)
    assert [event.command["first"] for event in refused] == [True, False, False, False, False]
    assert refused[0].facts["code"] == "no_hold"
    world.react()
    assert world.sql("select target, seq from notices") == [("manager", refused[0].seq)]
    assert world.row(key).definition_id == key_of
    assert world.row(key).version == 1
    assert world.sound()


def test_a_definition_that_fails_widely_is_suspended_whole_and_turns_health_red(world):
    good = world.define(copy.deepcopy(world.minimal))
    bad = world.row(world.submit(60)[0]).definition_id
    poison_decision(world, *range(1, 51))
    (other,) = world.submit(definition="minimal")
    world.jump(days=3)
    with world.make.begin() as session:
        heartbeats.beat(session, "tick")
        assert "définitions suspendues" not in reconcile.health(session).red
    world.sweep()
    assert world.sql("select id, state from definitions order by id") == [(bad, "suspended"), (good, "published")]
    assert "KeyError" in world.value("select why from definitions where id = :bad", bad=bad)
    assert world.sql("select * from stuck") == []
    assert "clock.refuse" in world.kinds(other)
    with world.make() as session:
        assert "définitions suspendues" in reconcile.health(session).red
    # Once mended and resumed, everything that waited moves.
    mend_decision(world, *range(1, 51))
    world.sql("update definitions set state = 'published', why = null where id = :bad", bad=bad)
    world.sweep()
    assert world.value("select count(*) from dossiers where state = 'escalated'") == 60


def test_people_still_act_and_are_told_under_a_definition_whose_clock_is_suspended(world):
    key = world.triaged()
    with world.make.begin() as session:
        definitions.suspend(session, world.row(key).definition_id, "échecs en nombre")
    world.resolve(key)
    world.react()
    assert world.value("select count(*) from notices n where seq = (select max(seq) from events)") == 1


# --- sweepers that freeze or die --------------------------------------------------------------------------------------


def test_rows_that_a_frozen_transaction_holds_are_skipped_and_swept_once_the_server_has_freed_them(world):
    keys = world.submit(20)
    world.jump(days=3)
    frozen = world.another(timeouts={"idle_in_transaction_session_timeout": "1s"})
    with frozen.connect() as connection:
        connection.execute(text("select id from dossiers where id <= 5 for update"))
        assert world.sweep() == Swept(done=15)
        assert [world.row(key).state for key in keys[:6]] == ["submitted"] * 5 + ["escalated"]
        threading.Event().wait(1.3)
        assert world.sweep() == Swept(done=5)
        connection.invalidate()
    frozen.dispose()
    assert world.value("select count(*) from events where kind = 'escalate'") == 20


def test_a_sweeper_frozen_in_mid_batch_is_freed_its_batch_is_swept_and_nobody_is_set_aside(world, monkeypatch):
    keys = world.submit(10)
    world.jump(days=3)
    frozen = world.another(timeouts={"idle_in_transaction_session_timeout": "1s"})
    inside, wake, real = threading.Event(), threading.Event(), sweep.apply
    caught = []

    def freezing(session, changes, **how):
        changes = list(changes)
        if session.get_bind() is frozen and not inside.is_set():
            inside.set()
            wake.wait(30)
        real(session, changes, **how)

    def run():
        try:
            sweep.sweep(schema.sessions(frozen))
        except Exception as error:  # noqa: BLE001  (how it ends is not the point)
            caught.append(error)

    monkeypatch.setattr(sweep, "apply", freezing)
    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(10)
    assert sweep.sweep(world.make) == Swept()
    threading.Event().wait(1.3)
    world.sql("update sweep_batches set started_at = started_at - interval '1 minute'")
    assert world.sweep() == Swept(done=10)
    wake.set()
    thread.join(30)
    frozen.dispose()
    assert [world.kinds(key).count("escalate") for key in keys] == [1] * 10
    assert world.sql("select * from stuck") == []
    assert world.value("select count(*) from sweep_batches") == 0
    assert world.sound()


@pytest.mark.parametrize("rows", [1, 10])
def test_a_sweeper_that_wakes_before_anyone_took_its_batch_sets_nobody_aside(world, monkeypatch, rows):
    world.submit(rows)
    world.jump(days=3)
    frozen = world.another(timeouts={"idle_in_transaction_session_timeout": "500ms"})
    real, slept = sweep.apply, []

    def freezing(session, changes, **how):
        changes = list(changes)
        if not slept:
            slept.append(threading.Event().wait(0.9))
        real(session, changes, **how)

    monkeypatch.setattr(sweep, "apply", freezing)
    with contextlib.suppress(Exception):  # a task that fails is a tick lost
        sweep.sweep(schema.sessions(frozen))
    frozen.dispose()
    assert world.sql("select * from stuck") == []
    world.sql("update sweep_batches set started_at = started_at - interval '1 minute'")
    world.sweep()
    assert world.value("select count(*) from events where kind = 'escalate'") == rows
    assert world.sql("select * from stuck") == []


def leave_batch(world, keys, *, attempts=1, age="1 minute"):
    statement = "insert into sweep_batches (ids, attempts, started_at) values (:k, :n, clock_timestamp() - cast(:age as interval))"
    world.sql(statement, k=keys, n=attempts, age=age)


def test_the_dossiers_of_a_batch_that_is_alive_are_left_to_its_worker(world):
    keys = world.submit(5)
    world.jump(days=3)
    leave_batch(world, keys[:2], age="5 seconds")
    assert world.sweep() == Swept(done=3)


def test_a_batch_that_killed_its_worker_is_adopted_halved_and_swept(world, monkeypatch):
    keys = world.submit(8)
    world.jump(days=3)
    leave_batch(world, keys)
    sizes, real = [], sweep._handle
    monkeypatch.setattr(sweep, "_handle", lambda s, rows, *rest: sizes.append(len(rows)) or real(s, rows, *rest))
    assert world.sweep() == Swept(done=8)
    assert sizes == [4, 4]
    assert world.value("select count(*) from sweep_batches") == 0
    assert world.sound()


class Killed(BaseException):
    """What a SIGKILL is to a test: nothing catches it."""


def test_one_dossier_that_kills_every_worker_ends_set_aside_and_the_others_move(world, monkeypatch):
    keys = world.submit(8)
    world.jump(days=3)
    real, deaths = sweep.decide, []

    def deadly(compiled, dossier, *rest, **more):
        if dossier.data["title"] == fatal:
            deaths.append(1)
            raise Killed
        return real(compiled, dossier, *rest, **more)

    fatal = world.row(keys[5]).data["title"]
    monkeypatch.setattr(sweep, "decide", deadly)
    for _ in range(30):
        with contextlib.suppress(Killed):
            sweep.sweep(world.make)
        world.sql("update sweep_batches set started_at = started_at - interval '1 minute'")
    assert world.sql("select dossier_id from stuck") == [(keys[5],)]
    assert "interrompu" in world.value("select error from stuck")
    assert len(deaths) < 8
    assert world.value("select count(*) from dossiers where state = 'escalated'") == 7
    assert world.value("select count(*) from sweep_batches") == 0


def test_a_dossier_alone_in_an_unfinished_batch_gets_one_more_try_before_it_is_set_aside(world):
    first, second = world.submit(2)
    world.jump(days=3)
    leave_batch(world, [first], attempts=1)
    leave_batch(world, [second], attempts=2)
    swept = world.sweep()
    assert (swept.done, swept.stuck) == (1, 1)
    assert world.sql("select dossier_id from stuck") == [(second,)]
    assert sweep.retry_one(world.make, second) == Swept(done=1)


# --- two people, and the clock ----------------------------------------------------------------------------------------


def test_of_two_people_and_the_clock_on_one_dossier_exactly_one_moves_it_and_the_others_learn_why(world, together):
    ref, head = world.actor("ref0"), world.actor("head0")
    winners = set()
    for _ in range(25):
        (key,) = world.submit()
        world.jump(days=2, seconds=1)
        seen = world.row(key).version

        def person(actor, trigger, key=key, seen=seen, **args):
            with world.make.begin() as session:
                return dossiers.one(dossiers.act(session, [key], trigger, actor=actor, args={**args, "seen": seen}))

        outcomes = together(
            lambda person=person: person(ref, "triage", to_unit="u1"),
            lambda person=person: person(head, "escalate", reason=world.reason),
            lambda: sweep.sweep(world.make),
        )
        events = world.events(key)
        moves = [event for event in events if event.kind in ("triage", "escalate")]
        assert len(moves) == 1
        assert [event.kind for event in events].count("clock.breach") == 1
        lost = [outcome for outcome in outcomes[:2] if isinstance(outcome, Exception)]
        assert len(lost) == (2 if moves[0].actor == SYSTEM else 1)
        for error in lost:
            assert isinstance(error, Stale)
            assert str(seen) in error.message
            assert error.version == world.row(key).version
        assert isinstance(outcomes[2], Swept)
        winners.add(moves[0].actor.role)
        world.sweep()
        assert len([kind for kind in world.kinds(key) if kind in ("triage", "escalate")]) == 1
    assert winners
    assert world.sound()


def test_of_two_people_who_resolve_without_having_looked_one_is_refused_and_told_why(world, together):
    keys = [world.triaged() for _ in range(20)]
    for key in keys:
        one, two = together(lambda key=key: world.resolve(key), lambda key=key: world.resolve(key, "ref0"))
        (error,) = [outcome for outcome in (one, two) if isinstance(outcome, Exception)]
        assert isinstance(error, Refused)
        assert error.code == "state"
        assert "resolved" in error.message
        assert world.kinds(key).count("resolve") == 1
    assert world.sound()


def test_a_dossier_resolved_a_second_ago_wins_over_the_clock(world):
    key = world.triaged()
    world.jump(days=14, seconds=1)
    with world.make() as session:
        args = {"outcome": "unblocked", "statement": world.statement}
        dossiers.one(dossiers.act(session, [key], "resolve", actor=world.actor("ref1"), args=args))
        assert sweep.sweep(world.make) == Swept()  # the row is hers
        session.commit()
    assert world.sweep() == Swept()
    assert world.kinds(key)[-2:] == ["resolve", "clock.lapse"]
    assert "escalate" not in world.kinds(key)
    assert world.sound()


def test_a_person_who_waited_behind_the_clock_decides_on_what_the_clock_left(world, monkeypatch):
    key = world.triaged()
    world.jump(days=14, seconds=1)
    inside, go, real = threading.Event(), threading.Event(), sweep.apply

    def slow(session, changes, **how):
        changes = list(changes)
        inside.set()
        go.wait(10)
        real(session, changes, **how)

    monkeypatch.setattr(sweep, "apply", slow)
    thread = threading.Thread(target=lambda: sweep.sweep(world.make))
    thread.start()
    inside.wait(10)
    threading.Timer(0.3, go.set).start()
    result = world.resolve(key)
    thread.join(10)
    assert result.kinds == ("resolve",)
    assert world.kinds(key)[-2:] == ["escalate", "resolve"]
    assert world.sound()


def test_at_never_decreases_in_a_dossier_though_ten_hands_press_on_it_while_time_runs(world, together):
    with world.make.begin() as session:
        business_time.run(session, rate=50)
    (key,) = world.submit()
    ref, head = world.actor("ref0"), world.actor("head0")

    def press(actor):
        for _ in range(12):
            with world.make.begin() as session:
                dossiers.one(dossiers.act(session, [key], "assign", actor=actor, args={"to_user": "ref0"}))

    assert together(*[lambda: press(ref), lambda: press(head)] * 5) == [None] * 10
    events = world.events(key)
    assert [event.seq for event in events] == list(range(1, 122))
    assert all(earlier.at <= later.at for earlier, later in itertools.pairwise(events))
    assert world.sound()


def test_bulk_acts_on_the_same_dossiers_in_opposite_orders_do_not_lock_each_other_out(world, together):
    keys = world.submit(30)
    ref = world.actor("ref0")

    def bulk(ids):
        for _ in range(5):
            with world.make.begin() as session:
                dossiers.act(session, ids, "assign", actor=ref, args={"to_user": "ref0"})

    assert together(lambda: bulk(keys), lambda: bulk(keys[::-1]), lambda: bulk(keys[10:] + keys[:10])) == [None] * 3
    assert {world.row(key).seq for key in keys} == {16}
    assert world.sound()


# --- sent twice -------------------------------------------------------------------------------------------------------


def test_the_same_submission_sent_eight_times_in_one_instant_opens_one_dossier(world, together):
    holder = world.actor("holder")

    def send(key):
        with world.make.begin() as session:
            return dossiers.submit(session, [Submission(world.form, key=key)], actor=holder)[0]

    for n in range(10):
        sent = together(*[lambda n=n: send(f"envoi-{n}")] * 8)
        assert [one for one in sent if isinstance(one, Exception)] == []
        assert len({one.dossier_id for one in sent}) == 1
        assert [one.repeated for one in sent].count(False) == 1
    assert world.value("select count(*) from dossiers") == 10
    assert world.value("select count(*) from texts") == 20
    assert world.value("select count(*) from parties") == 10
    assert world.sound()


def test_a_list_of_submissions_of_which_some_were_sent_before_opens_the_others(world):
    holder = world.actor("holder")
    with world.make.begin() as session:
        (first,) = dossiers.submit(session, [Submission(world.form, key="a")], actor=holder)
    with world.make.begin() as session:
        again = dossiers.submit(session, [Submission(world.form, key=key) for key in ("b", "a", None)], actor=holder)
    assert [one.repeated for one in again] == [False, True, False]
    assert again[1].dossier_id == first.dossier_id
    assert world.value("select count(*) from dossiers") == 3


def test_a_submission_key_of_somebody_else_does_not_give_their_dossier_away(world):
    with world.make.begin() as session:
        dossiers.submit(session, [Submission(world.form, key="commune-a-deviner")], actor=world.actor("holder"))
    with world.make() as session, pytest.raises((BadInput, Refused)):
        dossiers.submit(session, [Submission(world.form, key="commune-a-deviner")], actor=world.actor("other"))


def test_another_submission_under_a_key_already_used_is_refused(world):
    holder = world.actor("holder")
    with world.make.begin() as session:
        dossiers.submit(session, [Submission(world.form, key="clé")], actor=holder)
    another = {**world.form, "title": "Un tout autre blocage"}
    with world.make() as session, pytest.raises((BadInput, Refused)):
        dossiers.submit(session, [Submission(another, key="clé")], actor=holder)


def test_the_same_command_under_the_same_key_gives_the_same_result_and_one_event(world, together):
    key = world.triaged()
    results = together(*[lambda: world.act(key, "escalate", "ref1", idem="k", reason=world.reason)] * 6)
    assert [one for one in results if isinstance(one, Exception)] == []
    assert len({(one.seq, one.version, one.state) for one in results}) == 1
    assert [one.repeated for one in results].count(False) == 1
    assert world.kinds(key).count("escalate") == 1


@pytest.mark.parametrize(
    ("trigger", "args"),
    [
        ("escalate", {"reason": "Un tout autre motif, écrit plus tard."}),
        ("assign", {"to_user": "ref1"}),
        ("escalate", {"reason": "Deux relances sont restées sans réponse.", "seen": 2}),
    ],
)
def test_another_command_under_a_key_already_used_is_refused(world, trigger, args):
    key = world.triaged()
    world.act(key, "escalate", "ref1", idem="k", reason=world.reason)
    with pytest.raises(BadInput) as caught:
        world.act(key, trigger, "ref1", idem="k", **args)
    assert caught.value.field == "idem"
    assert world.kinds(key).count("escalate") == 1


def test_a_key_serves_again_on_another_dossier(world):
    one, two = world.triaged(), world.triaged()
    ref = world.actor("ref1")
    with world.make.begin() as session:
        results = dossiers.act(session, [one, two], "escalate", actor=ref, args={"reason": world.reason}, idem="k")
    assert [result.error for result in results] == [None, None]
    with world.make.begin() as session:
        again = dossiers.act(session, [two, one], "escalate", actor=ref, args={"reason": world.reason}, idem="k")
    assert [(result.dossier_id, result.repeated) for result in again] == [(two, True), (one, True)]


def test_a_refused_command_may_be_sent_again_under_its_key_once_it_is_possible(world):
    (key,) = world.submit()
    with pytest.raises(Refused):
        world.resolve(key, "ref0", idem="k")
    world.act(key, "triage", to_unit="u1")
    assert not world.resolve(key, "ref0", idem="k").repeated


# --- reactions --------------------------------------------------------------------------------------------------------


def boom(event, definition):
    message = "le raccord est cassé"
    raise RuntimeError(message)


def due_failures(world):
    world.sql("update reaction_failures set next_at = clock_timestamp() where next_at is not null")


def test_a_subscriber_that_throws_stops_nobody_else_is_tried_again_and_then_kept_for_an_operator(world, monkeypatch):
    monkeypatch.setattr(reactions, "SUBSCRIBERS", {"boom": boom, **reactions.SUBSCRIBERS})
    world.submit(3)
    assert world.react() == 3
    assert world.value("select count(*) from notices where subscriber = 'tell'") == 6
    assert world.value("select count(*) from pending") == 0
    rows = world.sql("select attempts, error, next_at - clock_timestamp() as wait from reaction_failures")
    assert len(rows) == 3
    assert all(row.attempts == 1 and "cassé" in row.error for row in rows)
    assert all(timedelta(seconds=20) < row.wait <= timedelta(seconds=30) for row in rows)
    waits = []
    for _ in range(reactions.ATTEMPTS - 1):
        reactions.react(world.make)
        due_failures(world)
        reactions.react(world.make)
        waits.append(world.value("select extract(epoch from max(next_at) - clock_timestamp()) from reaction_failures"))
    assert [round(wait) for wait in waits[:3]] == [60, 120, 240]
    assert waits[-1] is None
    assert world.sql("select distinct attempts, next_at from reaction_failures") == [(reactions.ATTEMPTS, None)]
    due_failures(world)
    reactions.react(world.make)
    assert world.sql("select distinct attempts from reaction_failures") == [(reactions.ATTEMPTS,)]
    with world.make() as session:
        health = reconcile.health(session)
    assert health.dead_reactions == 3
    assert "réactions abandonnées" in health.red
    assert world.sound()


def test_a_subscriber_that_works_again_catches_up_and_tells_once(world, monkeypatch):
    real = reactions.SUBSCRIBERS["tell"]
    monkeypatch.setitem(reactions.SUBSCRIBERS, "tell", boom)
    world.submit()
    world.react()
    assert world.value("select count(*) from notices") == 0
    monkeypatch.setitem(reactions.SUBSCRIBERS, "tell", real)
    due_failures(world)
    world.react()
    world.react()
    assert world.value("select count(*) from notices") == 2
    assert world.sql("select * from reaction_failures") == []


def test_a_subscriber_whose_rows_the_database_refuses_stops_nobody_else(world, monkeypatch):
    def refused(event, definition):
        return [Told("siège\x00", {"kind": event.kind})] if event.dossier_id == 2 else []

    monkeypatch.setitem(reactions.SUBSCRIBERS, "refused", refused)
    world.submit(3)
    assert world.react() == 3
    assert world.value("select count(*) from notices where subscriber = 'tell'") == 6
    assert world.sql("select dossier_id, subscriber from reaction_failures") == [(2, "refused")]


def test_a_pending_key_whose_event_is_missing_stops_nobody_else(world):
    world.submit(3)
    world.sql("insert into pending select dossier_id, 99, definition_id, shape, lane from pending where dossier_id = 2")
    for _ in range(3):
        with contextlib.suppress(Exception):  # what matters is what became of the others
            reactions.react(world.make)
    assert world.value("select count(*) from notices") == 6


def test_several_reactors_at_once_tell_each_seat_once(world, together):
    world.submit(300)
    counts = together(*[lambda: reactions.react(world.make, limit=40)] * 8)
    assert [one for one in counts if isinstance(one, Exception)] == []
    assert sum(counts) + world.react() == 300
    assert world.value("select count(*) from notices") == 600
    assert world.value("select sum(events) from reacted") == 300
    assert world.sound()


def test_an_event_of_a_person_goes_before_a_thousand_of_the_clock(thousand):
    world = thousand
    keys = list(range(1, 1001))
    world.react()
    world.jump(days=3)
    world.sweep()
    world.act(keys[-1], "assign", "ref1", to_user="ref1")
    reactions.react(world.make, limit=1)
    assert world.value("select max(seq) from events where dossier_id = :k", k=keys[-1]) == 6
    assert world.sql("select dossier_id, target from notices where seq > 1") == [(keys[-1], "assignee:2:4")]


def test_an_event_of_a_later_shape_is_left_pending_for_a_newer_program(world):
    world.submit(2)
    world.sql("update pending set shape = 2 where dossier_id = 1")
    assert world.react() == 1
    assert world.sql("select dossier_id, shape from pending") == [(1, 2)]


# --- an old worker beside a newer one ---------------------------------------------------------------------------------

NEWER = {
    "a later schema": ("2", "body"),
    "a word this program does not know": ("1", """jsonb_set(body, '{triggers,0,guards}', '["moon_is_full"]')"""),
}


@pytest.fixture(params=NEWER)
def newer(world, request):
    """Give a dossier of a definition that only a newer program can read, due, with an event to react to; and an old one."""
    schema_, body = NEWER[request.param]
    old, new = world.submit(2)
    world.sql(
        f"insert into definitions (name, version, digest, body, schema, state) "
        f"select name, 2, 'newer', {body}, {schema_}, 'published' from definitions where id = 1"
    )
    world.tamper(
        "update dossiers set definition_id = 2 where id = :k",
        "update pending set definition_id = 2 where dossier_id = :k",
        "update events set definition_id = 2 where dossier_id = :k",
        k=new,
    )
    return old, new


def test_an_old_worker_never_sweeps_what_only_a_newer_one_can_read(world, newer):
    old, new = newer
    world.jump(days=3)
    assert world.sweep() == Swept(done=1)
    assert (world.row(old).state, world.row(new).state) == ("escalated", "submitted")
    assert world.sql("select * from stuck") == []
    with world.make() as session:
        assert sweep.due(session) == []


def test_an_old_worker_never_reacts_to_what_only_a_newer_one_can_read(world, newer):
    old, new = newer
    assert world.react() == 1
    assert world.sql("select dossier_id from pending") == [(new,)]
    assert world.sql("select distinct dossier_id from notices") == [(old,)]


def test_an_old_worker_delivers_its_own_letters_beside_those_that_only_a_newer_one_can_write(world, newer, tmp_path):
    _old, new = newer
    world.react()
    world.sql(
        "insert into notices (dossier_id, seq, subscriber, target, cause, not_before) select :k, seq, subscriber, target, cause, "
        "not_before from notices where target = 'holder'",
        k=new,
    )
    assert settle_all(world, tmp_path) == 2
    assert world.sql("select dossier_id, state, attempts from notices where state = 'queued'") == [(new, "queued", 0)]


def test_an_old_worker_leaves_a_newer_definition_s_failed_reaction_to_a_newer_one(world, newer):
    _, new = newer
    world.sql(
        "insert into reaction_failures (dossier_id, seq, subscriber, attempts, next_at, error) "
        "values (:k, 1, 'tell', 1, clock_timestamp(), 'essai')",
        k=new,
    )
    world.react()
    assert world.sql("select attempts, error from reaction_failures") == [(1, "essai")]


def test_an_old_worker_refuses_a_person_s_act_on_what_it_cannot_read_and_says_to_update(world, newer):
    _, new = newer
    with pytest.raises(Refused, match="mettez-le à jour"):
        world.act(new, "triage", to_unit="u1")


def test_an_old_program_still_verifies_the_chain_of_what_it_cannot_read(world, newer):
    _, new = newer
    proofs = {(problem.dossier_id, problem.proof) for problem in world.problems()}
    assert proofs == {(new, "chain")}  # its digest is not the one it was written under: only the fixture's doing


# --- versions and seats -----------------------------------------------------------------------------------------------


def test_a_reminder_never_makes_a_page_stale(world):
    key = world.triaged()
    seen = world.row(key).version
    world.jump(days=7, seconds=1)
    world.sweep()
    assert world.kinds(key)[-1] == "clock.remind"
    assert world.row(key).version == seen
    assert world.act(key, "escalate", "ref1", reason=world.reason, seen=seen).version == seen + 1


def test_a_page_that_somebody_s_act_made_stale_is_told_what_it_saw_and_what_there_is(world):
    key = world.triaged()
    seen = world.row(key).version
    world.act(key, "assign", "ref1", to_user="ref1")
    before = world.row(key)
    with pytest.raises(Stale) as caught:
        world.act(key, "escalate", "ref0", reason=world.reason, seen=seen)
    assert (caught.value.seen, caught.value.version) == (seen, seen + 1)
    assert world.row(key) == before


def test_a_unit_that_was_solicited_keeps_the_right_to_act_after_an_escalation(world):
    key = world.triaged()
    world.act(key, "escalate", "ref1", reason=world.reason)
    world.act(key, "escalate", "ref2", reason=world.reason)
    assert world.row(key).units == [1, 2, 3, 4]
    assert world.act(key, "take_back", "ref1", reason=world.reason).state == "triaged"
    assert world.row(key).unit_id == 2
    world.act(key, "escalate", "ref0", reason=world.reason)


@pytest.mark.parametrize("stranger", ["ref6", "ref5", "prefet3", "other"])
def test_a_stranger_neither_sees_nor_touches_a_dossier_and_does_not_learn_that_it_exists(world, stranger):
    key = world.triaged()
    with pytest.raises(Refused) as there:
        world.act(key, "escalate", stranger, reason=world.reason)
    with pytest.raises(Refused) as nowhere:
        world.act(key + 1000, "escalate", stranger, reason=world.reason)
    assert there.value.message == nowhere.value.message.replace(str(key + 1000), str(key))
    assert seen_by(world, stranger) == set()
    assert world.row(key).seq == 2


def seen_by(world, name):
    scope = access.scope(world.actor(name))
    return {key for (key,) in world.sql(f"select d.id from dossiers d where {scope.sql}", **scope.params)}


def test_a_holder_sees_their_own_dossiers_only_a_unit_those_it_was_given_a_manager_all(world):
    (mine,) = world.submit()
    (theirs,) = world.submit(by="other")
    world.act(theirs, "triage", to_unit="u4")
    assert seen_by(world, "holder") == {mine}
    assert seen_by(world, "other") == {theirs}
    assert seen_by(world, "ref4") == {theirs}
    assert seen_by(world, "ref0") == seen_by(world, "boss") == {mine, theirs}
    with pytest.raises(Refused):
        world.act(theirs, "withdraw", "holder", reason=world.reason)


def test_an_act_on_a_list_gives_one_result_each_in_the_order_given_and_refuses_only_what_is_out_of_reach(world):
    one, two = world.submit(2)
    world.act(one, "triage", to_unit="u1")
    with world.make.begin() as session:
        results = dossiers.act(session, [two, 999, one], "resolve", actor=world.actor("ref0"),
                               args={"outcome": "unblocked", "statement": world.statement})  # fmt: skip
    assert [(result.dossier_id, getattr(result.error, "code", None)) for result in results] == [
        (two, "state"), (999, "unknown"), (one, None),
    ]  # fmt: skip


def test_a_rung_whose_administration_has_closed_is_a_vacancy(world):
    key = world.triaged()
    world.sql("update units set valid_to = :at where code = 'u2'", at=world.start)
    world.act(key, "escalate", "ref1", reason=world.reason)
    assert world.row(key).unit_id == 4
    assert world.events(key)[-1].facts["vacant"] == [2]


def test_a_rung_with_nobody_in_office_any_more_is_a_vacancy(world):
    key = world.triaged()
    world.sql("update memberships set valid_to = :at where unit_id = 3", at=world.start + timedelta(hours=1))
    world.jump(hours=2)
    world.act(key, "escalate", "ref1", reason=world.reason)
    assert world.row(key).unit_id == 4
    assert world.events(key)[-1].facts["vacant"] == [2]


@pytest.mark.parametrize("unit", [999, 0, -1, 2**31, 10**30])
def test_a_dossier_is_never_given_to_an_administration_that_does_not_exist(world, unit):
    (key,) = world.submit()
    with pytest.raises((BadInput, Refused)):
        world.act(key, "triage", to_unit=unit)
    assert world.row(key).unit_id == 1


def test_a_dossier_is_never_given_to_an_administration_that_has_closed(world):
    (key,) = world.submit()
    world.sql("update units set valid_to = :at where code = 'u1'", at=world.start)
    with pytest.raises((BadInput, Refused)):
        world.act(key, "triage", to_unit="u1")
