"""What holds whatever is asked, in whatever order, at whatever instants."""

import copy
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from states.decide import BREACH, decide, submit
from states.dossier import DUE, Act, Actor, Context, Decision, Dossier, Event, Rung
from states.draft import MATERIAL
from states.errors import Refused
from states.fold import patch
from states.machine import Compiled
from tests.states.dossiers import COUPE_FILE, DATA, INSTANT, RACCORDEMENT, START, TEXT, folded
from workflow.journal import dumps

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SECONDS = (0, 1, 60, 3600, 4 * 3600, 86_400, 2 * 86_400, 5 * 86_400, 14 * 86_400, 40 * 86_400, 200 * 86_400)
STEPS = st.one_of(
    st.sampled_from([timedelta(0), INSTANT]),
    st.sampled_from(SECONDS).map(lambda seconds: timedelta(seconds=seconds)),
    st.timedeltas(timedelta(0), timedelta(days=20)),
)
CONTEXTS = st.builds(
    lambda staffed, members: Context(
        tuple(Rung(index, 10 + index if kind else None, kind > 1) for index, kind in enumerate(staffed)), members
    ),
    st.lists(st.sampled_from([0, 1, 2, 2, 2]), min_size=0, max_size=8),
    st.frozensets(st.integers(1, 4)),
)
PEOPLE: dict[str, list[Actor]] = {
    "coupe-file": [
        Actor(1, None, "holder"),
        Actor(2, 10, "referent"),
        Actor(3, 12, "head"),
        Actor(4, 13, "prefet"),
        Actor(5, None, "manager"),
    ],
    "raccordement": [Actor(1, None, "holder"), Actor(2, 10, "operator")],
}


@st.composite
def acts(draw: Any, machine: Compiled) -> tuple[str, Actor, dict[str, Any]]:
    """Give a trigger by somebody, with every argument that it knows; `answer_by` is a delay, for whoever asks to date."""
    definition = machine.definition
    trigger = draw(st.sampled_from(definition.triggers))
    usual = [actor for actor in PEOPLE[definition.id] if actor.role in trigger.by]
    actor = draw(st.sampled_from(usual or PEOPLE[definition.id]))
    args: dict[str, Any] = {}
    for name in (*trigger.needs, *trigger.optional):
        if name == "seen":
            continue
        rule = definition.fields[name]
        if rule.type == "choice":
            args[name] = draw(st.sampled_from(rule.of))
        elif rule.type == "text":
            args[name] = TEXT
        elif rule.type == "unit":
            args[name] = draw(st.integers(10, 18))
        elif rule.type == "person":
            args[name] = draw(st.integers(1, 5))
        elif rule.type == "boolean":
            args[name] = draw(st.booleans())
        elif rule.type == "instant":
            args[name] = draw(STEPS)
        elif rule.type == "code":
            args[name] = "64-0001-A1"
    return trigger.name, actor, args


def scripts(machine: Compiled) -> st.SearchStrategy[list[tuple[timedelta | None, Any]]]:
    """Give (how long after the last one, or None: at wake_at; what is asked, or None: the clock looks)."""
    step = st.tuples(st.one_of(st.none(), STEPS), st.one_of(st.none(), acts(machine)))
    return st.lists(step, max_size=20)


def begin(machine: Compiled, context: Context, *, ago: timedelta = timedelta(0)) -> Decision:
    data = {**DATA, "wanted_on": (START + timedelta(days=100)).isoformat()}
    actor = Actor(1, None, "holder")
    return submit(machine, actor, args={}, data=data, context=context, at=START, effective=START - ago)


def dated(asked: Any, at: datetime) -> Act:
    if asked is None:
        return DUE
    trigger, actor, args = asked
    given_ = {name: (at + value).isoformat() if isinstance(value, timedelta) else value for name, value in args.items()}
    return Act(trigger, actor, given_)


def play(machine: Compiled, context: Context, script: list[Any], ago: timedelta = timedelta(0)) -> list[Decision]:
    """Give the decisions of a script; what is refused changes nothing and is left out."""
    decisions = [begin(machine, context, ago=ago)]
    at = START
    for step, asked in script:
        dossier = decisions[-1].after
        at = max(at, dossier.wake_at) if step is None and dossier.wake_at is not None else at + (step or timedelta(0))
        kept = copy.deepcopy(dossier)
        try:
            decisions.append(decide(machine, dossier, dated(asked, at), context=context, at=at))
        except Refused as refused:
            assert refused.code
            assert refused.field
            assert refused.message
        assert dossier == kept
    return decisions


def events_of(decisions: list[Decision]) -> list[Event]:
    return [event for decision in decisions for event in decision.events]


def whole(decision: Decision) -> list[Any]:
    """Give everything that a decision says, to compare two; the order of keys says nothing."""
    return [
        decision.after,
        *(
            (e.kind, e.actor, e.at, e.effective, dumps(e.command), dumps(e.facts), dumps(e.effect), e.fired, e.idem)
            for e in decision.events
        ),
    ]


@pytest.fixture(scope="module", params=[COUPE_FILE, RACCORDEMENT], ids=lambda machine: machine.definition.id)
def machine(request: pytest.FixtureRequest) -> Compiled:
    return request.param


@MANY
@given(st.data())
def test_the_journal_folds_to_the_dossier_at_each_step(machine: Compiled, data: Any):
    events: list[Event] = []
    for decision in play(machine, data.draw(CONTEXTS), data.draw(scripts(machine)), data.draw(STEPS)):
        events += decision.events
        assert folded(events) == decision.after
        assert decision.after.seq == len(events)


@MANY
@given(st.data())
def test_time_never_goes_backwards_and_nothing_counts_before_it_is_known(machine: Compiled, data: Any):
    events = events_of(play(machine, data.draw(CONTEXTS), data.draw(scripts(machine))))
    assert all(earlier.at <= later.at for earlier, later in zip(events, events[1:], strict=False))
    assert all(event.effective <= event.at for event in events)


@MANY
@given(st.data())
def test_what_the_clock_did_is_named_once(machine: Compiled, data: Any):
    events = events_of(play(machine, data.draw(CONTEXTS), data.draw(scripts(machine))))
    fired = [event.fired for event in events if event.fired is not None]
    assert len(fired) == len(set(fired))


@MANY
@given(st.data())
def test_an_open_dossier_is_woken_later_and_a_closed_one_never(machine: Compiled, data: Any):
    for decision in play(machine, data.draw(CONTEXTS), data.draw(scripts(machine))):
        after = decision.after
        terminal = machine.definition.states[after.state].terminal
        assert (after.wake_at is None) is terminal
        assert (after.closed_at is None) is not terminal
        assert after.phase == machine.definition.states[after.state].phase
        if decision.events and not terminal:
            assert after.wake_at is not None
            assert after.at is not None
            assert after.wake_at > after.at


@MANY
@given(st.data())
def test_no_clock_runs_and_no_hold_is_open_in_a_closed_dossier(machine: Compiled, data: Any):
    for decision in play(machine, data.draw(CONTEXTS), data.draw(scripts(machine))):
        if machine.definition.states[decision.after.state].terminal:
            assert all(clock.end is not None for clock in decision.after.clocks.values())
            assert decision.after.hold is None
            assert decision.after.due_at is None


def material(dossier: Dossier) -> tuple[Any, ...]:
    return tuple(getattr(dossier, name) for name in sorted(MATERIAL))


@MANY
@given(st.data())
def test_the_version_changes_when_and_only_when_a_material_part_does(machine: Compiled, data: Any):
    dossier = Dossier()
    for decision in play(machine, data.draw(CONTEXTS), data.draw(scripts(machine))):
        for event in decision.events:
            version, parts = dossier.version, material(dossier)
            patch(dossier, orjson.loads(dumps(event.effect)))
            assert dossier.version == version + (material(dossier) != parts), event.kind


@MANY
@given(st.data())
def test_one_look_of_the_clock_makes_one_move_at_most(machine: Compiled, data: Any):
    for decision in play(machine, data.draw(CONTEXTS), data.draw(scripts(machine)))[1:]:
        moves = [
            event for event in decision.events if (event.fired or "").endswith(":move") and event.kind != "clock.lapse"
        ]
        assert len(moves) <= 1
        rungs = [event for event in decision.events if "rung" in event.effect]
        assert len(rungs) <= 1


@MANY
@given(st.data())
def test_waking_when_it_said_yields_something_and_waking_before_yields_nothing(machine: Compiled, data: Any):
    context = data.draw(CONTEXTS)
    dossier = play(machine, context, data.draw(scripts(machine)))[-1].after
    for _ in range(5):
        if dossier.wake_at is None:
            return
        assert dossier.at is not None
        for early in (dossier.at + (dossier.wake_at - dossier.at) / 2, dossier.wake_at - INSTANT):
            if (
                dossier.at < early < dossier.wake_at
            ):  # what a person left ready at their own instant is for the next one
                assert decide(machine, dossier, DUE, context=context, at=early).events == []
        decision = decide(machine, dossier, DUE, context=context, at=dossier.wake_at)
        assert decision.events
        assert decide(machine, decision.after, DUE, context=context, at=dossier.wake_at).events == []
        dossier = decision.after


@MANY
@given(st.data())
def test_the_clock_never_spins(machine: Compiled, data: Any):
    context = data.draw(CONTEXTS)
    dossier = play(machine, context, data.draw(scripts(machine)))[-1].after
    start, looks = dossier.at, 0
    assert start is not None
    while dossier.wake_at is not None and dossier.wake_at < start + timedelta(days=365):
        dossier = decide(machine, dossier, DUE, context=context, at=dossier.wake_at).after
        looks += 1
        assert looks < 200


@MANY
@given(st.data())
def test_the_same_question_has_the_same_answer(machine: Compiled, data: Any):
    context, script = data.draw(CONTEXTS), data.draw(scripts(machine))
    one, other = play(machine, context, script), play(machine, context, copy.deepcopy(script))
    assert [whole(decision) for decision in one] == [whole(decision) for decision in other]


@MANY
@given(st.data())
def test_a_dossier_read_back_from_its_journal_decides_the_same(machine: Compiled, data: Any):
    context = data.draw(CONTEXTS)
    decisions = play(machine, context, data.draw(scripts(machine)))
    dossier, again = decisions[-1].after, folded(events_of(decisions))
    assert dossier.at is not None
    at = dossier.at + data.draw(STEPS)
    act = dated(data.draw(st.one_of(st.none(), acts(machine))), at)
    try:
        decision = decide(machine, dossier, act, context=context, at=at)
    except Refused as refused:
        with pytest.raises(Refused) as same:
            decide(machine, again, act, context=context, at=at)
        assert same.value.as_dict() == refused.as_dict()
    else:
        assert whole(decide(machine, again, act, context=context, at=at)) == whole(decision)


@MANY
@given(st.data())
def test_a_missed_date_never_moves(machine: Compiled, data: Any):
    missed: dict[tuple[str, int], datetime] = {}
    for decision in play(machine, data.draw(CONTEXTS), data.draw(scripts(machine))):
        for event in decision.events:
            if event.kind == BREACH:
                missed[event.command["clock"], event.command["cycle"]] = event.effective
        for name, clock in decision.after.clocks.items():
            if (name, clock.n) in missed:
                assert clock.due == missed[name, clock.n]


@MANY
@given(st.data())
def test_a_running_clock_is_late_by_its_length_and_the_time_it_was_on_pause(machine: Compiled, data: Any):
    """The due date, reckoned another way: the pauses cut to the cycle, second by second of a ledger of our own."""
    for decision in play(machine, data.draw(CONTEXTS), data.draw(scripts(machine))):
        dossier = decision.after
        for name, clock in dossier.clocks.items():
            length = machine.definition.clocks[name].length
            if clock.end is not None or "due" in clock.done or not hasattr(length, "delta"):
                continue
            waited = timedelta(0)
            for hold in dossier.holds:
                if hold.touches.get(name) == "pause":
                    since, until = max(hold.since, clock.start), hold.end or hold.until
                    waited += max(until - since, timedelta(0))
            assert clock.due == clock.start + length.delta + waited


@MANY
@given(st.data())
def test_an_outage_noticed_in_many_looks_or_in_one_finds_the_same_dates_missed(machine: Compiled, data: Any):
    """Of the cycles that ran when the outage began: a move that the clock then makes begins cycles of its own."""
    context = data.draw(CONTEXTS)
    decisions = play(machine, context, data.draw(scripts(machine)))
    dossier = decisions[-1].after
    assert dossier.at is not None
    end = dossier.at + data.draw(st.timedeltas(timedelta(0), timedelta(days=120)))
    cycles = {(name, clock.n) for name, clock in dossier.clocks.items() if clock.end is None}
    cuts = sorted(dossier.at + (end - dossier.at) * data.draw(st.integers(0, 100)) / 100 for _ in range(4))

    def missed(instants: list[datetime]) -> set[tuple[str, int, datetime]]:
        now, found = dossier, set()
        for at in [*instants, end]:
            decision = decide(machine, now, DUE, context=context, at=at)
            now = decision.after
            for event in decision.events:
                cycle = (event.command.get("clock"), event.command.get("cycle"))
                if event.kind == BREACH and cycle in cycles:
                    found.add((*cycle, event.effective))
        return found

    assert missed(cuts) == missed([])
