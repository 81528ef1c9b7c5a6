"""Dossiers move to another version batch by batch while people act and the clock runs, and come back as they were."""

import copy
import random
import threading
from collections import Counter
from datetime import timedelta

import psycopg
import pytest

from states.decide import decide
from states.dossier import Act
from states.errors import BadInput, CoupeFileError, Refused
from states.migration import MIGRATE
from tests.workflow.conftest import World
from tests.workflow.test_event_shape import EVERYTHING
from workflow import apply, definitions, dossiers, migration, reactions, schema, sweep
from workflow.dossiers import COLUMNS, locked

ROW = "state, phase, rung, clocks, holds, due_at, wake_at, version, definition_id"


def published(world, spoil, number=2):
    """Publish the coupe-file in another version."""
    data = copy.deepcopy(world.coupe_file)
    data["version"] = str(number)
    spoil(data)
    return world.define(data)


def rung_of(days):
    return lambda data: data["clocks"]["rung"].update(length={"elapsed_days": str(days)})


def move(world, old, new, **maps):
    with world.make() as session:
        return migration.move(definitions.get(session, old), definitions.get(session, new), **maps)


def back(world, old, new):
    with world.make() as session:
        return migration.back(definitions.get(session, old), definitions.get(session, new))


def run(world, wanted, **rest):
    """Move; give how many were moved, and what was left with why."""
    done, left = 0, {}
    for moved in migration.run(world.make, wanted, **rest):
        done += len(moved.done)
        left.update(moved.left)
    return done, left


def planned(world, wanted):
    *_, plan = migration.plan(world.make, wanted)
    return plan


@pytest.fixture
def mixed(world):
    """Give a world with forty dossiers in every state, some on hold, some late, all reacted to."""
    keys = world.submit(40)

    def ask(some, trigger, by, **args):
        with world.make.begin() as session:
            results = dossiers.act(session, some, trigger, actor=world.actor(by), args=args)
            assert all(result.error is None for result in results)

    term = (world.now() + timedelta(days=20)).isoformat()
    ask(keys[5:], "triage", "ref0", to_unit="u1")
    ask(keys[10:15], "hold", "ref1", motive="piece_required", answer_by=term, reason=world.reason)
    ask(keys[15:20], "resolve", "ref1", outcome="unblocked", statement=world.statement)
    ask(keys[20:25], "escalate", "ref1", reason=world.reason)
    world.jump(days=12, hours=1)
    world.sweep()
    world.react()
    return world


# --- there ------------------------------------------------------------------------------------------------------------


def test_every_dossier_moves_in_batches_and_the_proof_holds_before_between_and_after(mixed):
    new = published(mixed, rung_of(21))
    assert mixed.sound()
    wanted, done = move(mixed, 1, new), 0
    for moved in migration.run(mixed.make, wanted, size=7):
        done += len(moved.done)
        assert mixed.sound()
        assert mixed.value("select count(*) from dossiers where definition_id = :new", new=new) == done
    assert done == 40
    assert mixed.sound()


def test_a_migration_tells_nobody_and_waits_behind_people(mixed):
    notices = mixed.sql("select * from notices order by id")
    run(mixed, move(mixed, 1, published(mixed, rung_of(3))))
    assert mixed.sql("select lane, count(*) from pending group by lane") == [(apply.LANE_BULK, 40)]
    assert mixed.react() == 40
    assert mixed.sql("select * from notices order by id") == notices
    assert mixed.sound()


def test_a_due_date_that_is_behind_does_nothing_in_the_migration_and_everything_once_at_the_next_wake(mixed):
    new = published(mixed, rung_of(11))
    before = mixed.value("select count(*) from events")
    plan = planned(mixed, move(mixed, 1, new))
    run(mixed, move(mixed, 1, new))
    assert mixed.value("select count(*) from events") == before + 40
    behind = {
        row.id
        for row in mixed.sql("select id from dossiers where wake_at <= (select business_now()) + interval '1 second'")
    }
    assert set(plan.acts) == behind
    assert set(plan.late) == behind
    assert len(behind) > 5
    mixed.jump(seconds=1)
    mixed.sweep()
    breached = Counter(
        row.dossier_id
        for row in mixed.sql("select dossier_id from events where kind = 'clock.breach' and fired like 'rung:%'")
    )
    assert {breached[key] for key in behind} == {1}
    assert mixed.sound()


def test_the_plan_says_what_then_happens_and_writes_nothing(mixed):
    new = published(mixed, rung_of(21))
    before = mixed.value(EVERYTHING)
    plan = planned(mixed, move(mixed, 1, new))
    assert mixed.value(EVERYTHING) == before
    was = dict(map(tuple, mixed.sql("select id, clocks -> 'rung' ->> 'due' from dossiers")))
    states = dict(map(tuple, mixed.sql("select state, count(*) from dossiers group by state")))
    run(mixed, move(mixed, 1, new))
    now = dict(map(tuple, mixed.sql("select id, clocks -> 'rung' ->> 'due' from dossiers")))
    assert plan.total == 40
    assert plan.states == {(state, state): count for state, count in states.items()}
    assert plan.holds == 5
    assert len(plan.clocks["rung"].moved) == sum(was[key] != now[key] for key in was)
    assert set(plan.clocks["rung"].moved) == {timedelta(days=7)}
    assert (plan.late, plan.left) == ([], [])


def test_a_run_that_is_cut_off_goes_on_where_it_stopped_and_a_third_time_is_nothing(mixed):
    new = published(mixed, rung_of(21))
    assert run(mixed, move(mixed, 1, new), limit=15, size=10) == (15, {})
    assert [row.definition_id for row in mixed.sql("select definition_id from dossiers order by id")] == [new] * 15 + [
        1
    ] * 25
    assert run(mixed, move(mixed, 1, new)) == (25, {})
    assert run(mixed, move(mixed, 1, new)) == (0, {})
    assert mixed.value(f"select count(*) from events where kind = '{MIGRATE}'") == 40


def test_two_migrations_at_once_move_each_dossier_once(mixed, together):
    new = published(mixed, rung_of(21))
    results = together(*[lambda: run(mixed, move(mixed, 1, new), size=3)] * 4)
    assert sum(done for done, _ in results) == 40
    assert mixed.value(f"select count(distinct dossier_id) from events where kind = '{MIGRATE}'") == 40
    assert mixed.sound()


def test_what_was_decided_under_the_old_version_still_names_it(mixed):
    new = published(mixed, rung_of(21))
    before = {key: mixed.events(key) for key in (1, 20)}
    run(mixed, move(mixed, 1, new))
    mixed.act(20, "reopen", "holder", reason=mixed.reason)
    with mixed.make() as session:
        digests = [definitions.get(session, key).digest for key in (1, new)]
    for key, events in before.items():
        after = mixed.events(key)
        assert after[: len(events)] == events
        assert {event.definition for event in events} == {digests[0]}
        assert {event.definition for event in after[len(events) :]} == {digests[1]}
        moved = after[len(events)]
        assert (moved.command["from"], moved.command["to"]) == tuple(digests)
        assert moved.effect["definition"] == digests[1]


def test_a_dossier_that_somebody_holds_is_passed_over_and_taken_at_the_end(mixed):
    new = published(mixed, rung_of(21))
    wanted = move(mixed, 1, new)
    held = psycopg.connect(mixed.url.replace("+psycopg", ""))
    held.execute("select from dossiers where id = 3 for update")
    moved = migration.batch(mixed.make, wanted, limit=10)
    assert (moved.done, moved.last) == ((1, 2, *range(4, 12)), 11)
    threading.Timer(0.5, held.close).start()
    assert run(mixed, wanted) == (30, {})
    assert mixed.row(3).definition_id == new


def without_holds(data):
    data["triggers"] = [one for one in data["triggers"] if one["name"] not in ("hold", "answer", "end_hold")]


def test_a_dossier_that_cannot_move_is_left_with_the_reason_and_stops_no_other(mixed):
    new = published(mixed, without_holds)
    wanted = move(mixed, 1, new)
    plan = planned(mixed, wanted)
    done, left = run(mixed, wanted, size=6)
    assert done == 35
    assert sorted(left) == [11, 12, 13, 14, 15] == [key for key, _ in plan.left]
    assert "demande au porteur" in left[11]
    assert mixed.sound()


def test_a_dossier_that_the_database_refuses_is_left_and_stops_no_other(mixed):
    new = published(mixed, rung_of(21))
    mixed.sql(f"alter table events add constraint poison check (dossier_id <> 7 or kind <> '{MIGRATE}')")
    done, left = run(mixed, move(mixed, 1, new), size=10)
    assert done == 39
    assert list(left) == [7]
    assert mixed.row(7).definition_id == 1
    assert mixed.sound()


def test_a_dossier_that_was_set_aside_moves_and_is_tried_again_under_the_new_version(mixed):
    mixed.sql("insert into stuck (dossier_id, error, retry_at) values (1, 'x', clock_timestamp())")
    mixed.sql("update dossiers set stuck = true where id = 1")
    run(mixed, move(mixed, 1, published(mixed, rung_of(21))))
    assert mixed.row(1).stuck
    mixed.sweep()
    assert not mixed.row(1).stuck


def test_a_route_that_leaves_a_state_open_moves_nothing(mixed):
    def fewer(data):
        data["states"].pop("escalated")
        for trigger in data["triggers"]:
            trigger["to"] = "triaged" if trigger["to"] == "escalated" else trigger["to"]
            if isinstance(trigger["from"], list):
                trigger["from"] = ["triaged"]
        data["triggers"] = [one for one in data["triggers"] if one["name"] != "take_back"]
        data["clocks"]["rung"]["start"]["when"].remove("take_back")

    new = published(mixed, fewer)
    with pytest.raises(BadInput, match="« escalated »"):
        move(mixed, 1, new)
    with pytest.raises(Refused, match="n'en font qu'une"):
        move(mixed, 1, 1)
    done, _ = run(mixed, move(mixed, 1, new, states={"escalated": "triaged"}))
    assert done == 40
    assert mixed.sound()


def test_what_was_sent_under_an_act_that_the_new_version_no_longer_has_is_still_recognised(world):
    key = world.triaged()
    sent = world.act(key, "transfer", to_unit="u2", reason=world.reason, idem="une-fois")

    def without(data):
        data["triggers"] = [one for one in data["triggers"] if one["name"] != "transfer"]
        data["clocks"]["rung"]["start"]["when"].remove("transfer")

    run(world, move(world, 1, published(world, without)))
    again = world.act(key, "transfer", to_unit="u2", reason=world.reason, idem="une-fois")
    assert again.repeated
    assert again.seq == sent.seq
    with pytest.raises(BadInput, match="déjà servi"):
        world.act(key, "assign", "ref2", to_user="ref2", idem="une-fois")


def test_a_definition_that_changes_without_a_migration_is_detected(world):
    key = world.triaged()
    new = published(world, rung_of(21))
    with world.make.begin() as session:
        row = locked(session.connection().exec_driver_sql(f"select {COLUMNS} from dossiers d where id = {key}").one())
        loaded = definitions.get(session, new)
        act = Act("assign", world.actor("ref1"), {"to_user": 1})
        context = migration_context(session, row, world)
        decision = decide(loaded.compiled, row.dossier, act, context=context, at=world.now())
        apply.apply(session, [apply.Change(key, row.head, loaded, decision)])
    assert [(problem.dossier_id, problem.proof) for problem in world.problems()] == [(key, "definition")]


def migration_context(session, row, world):
    """The context of a decision, with person 1 in office whatever the directory says."""
    from dataclasses import replace

    from workflow import directory

    (found,) = directory.contexts(session, [row.dossier], world.now(), 1)
    return replace(found, members=frozenset({1}))


# --- and back ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [rung_of(3), rung_of(21), lambda data: data["clocks"].pop("rung")],
    ids=["shorter", "longer", "a clock less"],
)
def test_undone_every_dossier_is_as_it_was_but_for_two_events(mixed, spoil):
    new = published(mixed, spoil)
    before = {row.id: row for row in mixed.sql("select * from dossiers order by id")}
    was = mixed.sql(f"select {ROW} from dossiers order by id")
    run(mixed, move(mixed, 1, new))
    assert mixed.sql(f"select {ROW} from dossiers order by id") != was
    assert run(mixed, back(mixed, 1, new), size=9) == (40, {})
    assert mixed.sql(f"select {ROW} from dossiers order by id") == was
    assert {row.id: row.seq for row in mixed.sql("select id, seq from dossiers")} == {
        key: row.seq + 2 for key, row in before.items()
    }
    assert mixed.sound()
    assert run(mixed, move(mixed, 1, new))[0] == 40
    assert mixed.sound()


def test_only_what_came_by_this_migration_goes_back(mixed):
    new = published(mixed, rung_of(21))
    run(mixed, move(mixed, 1, new), limit=10)
    fresh = mixed.submit(3)
    assert run(mixed, back(mixed, 1, new)) == (10, {})
    assert {mixed.row(key).definition_id for key in fresh} == {new}
    assert run(mixed, back(mixed, 1, new)) == (0, {})
    assert run(mixed, back(mixed, new, 1)) == (0, {})  # what was undone is not a migration to be undone


def test_a_dossier_that_lived_under_the_new_version_comes_back_with_the_dates_that_it_would_have_had(world):
    key = world.triaged()
    start = world.now()
    run(world, move(world, 1, published(world, lambda data: data["clocks"].pop("rung"))))
    world.jump(days=2)
    world.act(key, "transfer", to_unit="u2", reason=world.reason)
    world.jump(days=1)
    run(world, back(world, 1, 2))
    assert world.row(key).clocks["rung"]["due"] == (start + timedelta(days=16)).isoformat()
    assert world.sound()
    world.jump(days=14)
    world.sweep()
    assert "escalate" in world.kinds(key)


# --- the drill: old and new programs side by side ---------------------------------------------------------------------

OFTEN = ("triage", "hold", "end_hold", "answer", "escalate", "transfer", "reopen")
ACTS = (*OFTEN, *OFTEN, "assign", "resolve", "withdraw")


class Side(World):
    """A program with a pool of its own; an old one cannot read the definitions that it is told not to know."""

    def __init__(self, world, unknown=()):
        super().__init__(world.url, schema.engine(world.url, pool_size=8))
        definitions._caches[self.engine] = dict.fromkeys(unknown)
        self.accepted, self.refused = {}, Counter()

    def someone_acts(self, seed, stop):
        """Ask for something of a dossier, again and again, each under a key of its own."""
        chance, n = random.Random(seed), 0
        while not stop.is_set():
            n += 1
            key, trigger, idem = chance.randint(1, 120), chance.choice(ACTS), f"{seed}-{n}"
            args = {
                "triage": {"to_unit": "u1"}, "assign": {"to_user": "ref1"}, "transfer": {"to_unit": "u2", "reason": self.reason},
                "hold": {"motive": "clarification", "answer_by": (self.now() + timedelta(days=3)).isoformat(), "reason": self.reason},
                "resolve": {"outcome": "unblocked", "statement": self.statement}, "end_hold": {},
            }.get(trigger, {"reason": self.reason})  # fmt: skip
            by = {"answer": "holder", "withdraw": "holder", "reopen": "holder"}.get(
                trigger, f"ref{chance.randint(0, 1)}"
            )
            try:
                self.act(key, trigger, by, idem=idem, **args)
            except CoupeFileError as error:
                self.refused[error.code] += 1
            else:
                self.accepted[key, idem] = trigger

    def work(self, stop):
        """Sweep and react until told to stop."""
        while not stop.is_set():
            sweep.sweep(self.make, limit=15)
            reactions.react(self.make, limit=40)


def test_old_and_new_programs_work_side_by_side_while_every_dossier_moves_and_nothing_is_lost_nor_done_twice(
    world, together
):
    world.submit(120)
    for key in range(1, 61):
        world.act(key, "triage", to_unit="u1")
    new = published(world, rung_of(5))
    old_side, new_side, mover = Side(world, unknown=[new]), Side(world), Side(world)
    stop, moment = threading.Event(), threading.Event()
    steps = []

    def time_passes_and_dossiers_move():
        after = 0
        for step in range(40):
            world.jump(hours=5)
            moved = migration.batch(mover.make, move(mover, 1, new), after=after, limit=4)
            after = moved.last or 0
            steps.append(len(moved.done))
            while len(old_side.accepted) + len(new_side.accepted) < 3 * step and not stop.is_set():
                moment.wait(0.01)

    def until_the_first_ends(work):
        def working():
            try:
                work()
            finally:
                stop.set()

        return working

    people = [(0, old_side), (1, old_side), (2, new_side), (3, new_side)]
    outcome = together(
        *map(
            until_the_first_ends,
            (
                time_passes_and_dossiers_move,
                lambda: old_side.work(stop),
                lambda: new_side.work(stop),
                *[lambda seed=seed, side=side: side.someone_acts(seed, stop) for seed, side in people],
            ),
        )
    )
    assert outcome == [None] * 7
    assert sum(steps) > 60

    # The old program did its part, and was told when it no longer could.
    assert len(old_side.accepted) > 10
    assert len(new_side.accepted) > 20
    assert old_side.refused["definition"] > 0
    assert new_side.refused["definition"] == 0

    # What is left moves; then the new program alone catches up.
    run(mover, move(mover, 1, new))
    assert world.value("select count(*) from dossiers where definition_id <> :new", new=new) == 0
    world.sweep()
    world.react()
    assert world.sound()
    assert world.sql("select * from stuck") == []
    assert world.sql("select * from sweep_batches") == []
    assert world.sql("select * from reaction_failures") == []

    # Each dossier moved once; each thing that was accepted stands in the journal once, and nothing else does.
    migrated = world.sql(
        f"select dossier_id, count(*) from events where kind = '{MIGRATE}' group by dossier_id order by 1"
    )
    assert [tuple(row) for row in migrated] == [(key, 1) for key in range(1, 121)]
    recorded = {
        (row.dossier_id, row.idem): row.kind for row in world.sql("select * from events where idem is not null")
    }
    assert recorded == {**old_side.accepted, **new_side.accepted}
    assert world.value("select count(*) from pending") == 0
    assert world.value("select sum(seq) from dossiers") == world.value("select sum(events) from reacted")
    told = world.value(
        f"select count(*) from notices n join events e using (dossier_id, seq) where e.kind = '{MIGRATE}'"
    )
    assert told == 0
    for side in (old_side, new_side, mover):
        side.engine.dispose()
