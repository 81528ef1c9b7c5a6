"""A dossier goes to another version of its definition and comes back: one quiet event each way, and nothing is lost."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from states import migration
from states.decide import decide
from states.definition import parse
from states.dossier import DUE, Act, Decision, Dossier, Event
from states.errors import BadInput, Refused
from states.machine import Compiled
from states.migration import MIGRATE, Crossing, Route
from tests.states.dossiers import (
    COUPE_FILE,
    DAY,
    HOLDING,
    HOUR,
    INSTANT,
    RACCORDEMENT,
    REFERENT,
    START,
    Spoil,
    Story,
    clock,
    compiled,
    folded,
    plain,
    small,
)
from tests.states.test_properties import CONTEXTS, MANY, STEPS, events_of, play, scripts
from workflow.journal import dumps


def variant(spoil: Spoil, name: str = "coupe-file") -> Compiled:
    """Give version 2 of a shipped definition."""
    data = plain(name)
    data["version"] = "2"
    spoil(data)
    return compiled(data)


def rung_of(days: int) -> Compiled:
    return variant(lambda d: d["clocks"]["rung"].update(length={"elapsed_days": str(days)}))


SHORT, LONG = rung_of(10), rung_of(21)
PLAIN = Route("old", "new")


def recorded(event: Event) -> dict[str, Any]:
    """Give the facts of an event as the journal gives them back."""
    return orjson.loads(dumps(event.facts))


def crossing(decision: Decision, route: Route, since: list[tuple[str, datetime]] | None = None) -> Crossing:
    (event,) = decision.events
    return Crossing(decision.after.seq, route, recorded(event), since or [])


def triaged(at: datetime = START) -> Story:
    """Give a dossier at the instructing service since `at`."""
    story = Story(at=at)
    story.act("triage", REFERENT, at, to_unit=11)
    return story


# --- there ------------------------------------------------------------------------------------------------------------


def test_a_clock_keeps_its_start_and_its_due_date_follows_the_new_length():
    story = triaged()
    was = story.dossier.clocks["rung"]
    decision = migration.migrate(COUPE_FILE, SHORT, story.dossier, PLAIN, at=START + DAY)
    now = decision.after.clocks["rung"]
    assert (was.due, now.due) == (START + 14 * DAY, START + 10 * DAY)
    assert (now.n, now.start, now.done, now.end) == (was.n, was.start, was.done, was.end)
    assert decision.after.due_at == START + 10 * DAY


def test_a_clock_keeps_the_pauses_that_it_had():
    story = triaged()
    story.hold(START + DAY, START + 4 * DAY)
    story.act("end_hold", REFERENT, START + 3 * DAY)
    decision = migration.migrate(COUPE_FILE, SHORT, story.dossier, PLAIN, at=START + 4 * DAY)
    assert decision.after.clocks["rung"].due == START + 12 * DAY
    assert decision.after.holds == story.dossier.holds


def test_an_open_hold_goes_on_and_pauses_what_it_said_that_it_pauses():
    story = triaged()
    story.hold(START + DAY, START + 4 * DAY)
    decision = migration.migrate(COUPE_FILE, SHORT, story.dossier, PLAIN, at=START + 2 * DAY)
    assert decision.after.hold == story.dossier.hold
    assert decision.after.clocks["rung"].due == START + 13 * DAY
    assert decision.after.wake_at == START + 4 * DAY + INSTANT


def test_a_migration_is_one_event_that_names_both_versions_and_the_due_dates_that_it_moved():
    story = triaged()
    decision = migration.migrate(COUPE_FILE, SHORT, story.dossier, PLAIN, at=START + DAY)
    (event,) = decision.events
    assert (event.kind, event.fired, event.idem, event.actor) == (MIGRATE, None, None, migration.MIGRATION)
    assert (event.command["from"], event.command["to"], event.effect["definition"]) == ("old", "new", "new")
    assert recorded(event)["was"]["clocks"]["rung"]["due"] == (START + 14 * DAY).isoformat()
    assert event.effect["clocks"]["rung"].due == START + 10 * DAY
    assert decision.after.version == story.dossier.version
    assert folded([*story.events, event]) == decision.after


def test_a_due_date_that_falls_behind_fires_nothing_until_the_next_wake_and_then_once():
    story = triaged()
    at = START + 12 * DAY
    story.wake_until(at)
    decision = migration.migrate(COUPE_FILE, SHORT, story.dossier, PLAIN, at=at)
    assert [event.kind for event in decision.events] == [MIGRATE]
    assert decision.after.clocks["rung"].due < at
    assert decision.after.wake_at == at + INSTANT
    woken = decide(SHORT, decision.after, DUE, context=story.context, at=at + HOUR)
    assert [event.fired for event in woken.events if event.fired in ("rung:1:due", "rung:1:move")] == [
        "rung:1:due",
        "rung:1:move",
    ]
    assert woken.after.clocks["rung"].n == 2
    assert woken.after.clocks["rung"].due == at + HOUR + 10 * DAY


def test_a_date_already_missed_stays_missed_however_long_the_new_delay():
    story = triaged()
    at = START + 14 * DAY + HOUR  # and nobody has swept yet
    decision = migration.migrate(COUPE_FILE, LONG, story.dossier, PLAIN, at=at)
    assert decision.after.clocks["rung"].due == START + 14 * DAY
    woken = decide(LONG, decision.after, DUE, context=story.context, at=at + HOUR)
    assert "rung:1:due" in [event.fired for event in woken.events]


def test_at_the_due_instant_itself_nothing_is_missed_and_the_new_delay_counts():
    story = triaged()
    decision = migration.migrate(COUPE_FILE, LONG, story.dossier, PLAIN, at=START + 14 * DAY)
    assert decision.after.clocks["rung"].due == START + 21 * DAY


def test_a_clock_that_vanishes_stops_and_is_no_longer_what_the_dossier_is_due_for():
    new = variant(lambda d: d["clocks"].pop("rung"))
    story = triaged()
    decision = migration.migrate(COUPE_FILE, new, story.dossier, PLAIN, at=START + DAY)
    assert decision.after.clocks["rung"].end == START + DAY
    assert decision.after.due_at == decision.after.clocks["resolution"].due
    assert decide(new, decision.after, DUE, context=story.context, at=START + 20 * DAY).after.clocks["rung"].n == 1


def test_a_clock_that_appears_starts_at_the_next_act_that_starts_it():
    more = {
        "family": "commitment",
        "start": {"when": ["submit", "transfer"]},
        "stop": {"when": ["resolve", "withdraw"]},
        "length": {"elapsed_days": "5"},
    }
    new = variant(lambda d: d["clocks"].update(more=more))
    story = triaged()
    decision = migration.migrate(COUPE_FILE, new, story.dossier, PLAIN, at=START + DAY)
    assert "more" not in decision.after.clocks
    act = Act("transfer", REFERENT, {"to_unit": 12, "reason": "x"})
    after = decide(new, decision.after, act, context=story.context, at=START + 2 * DAY).after
    assert after.clocks["more"].due == START + 7 * DAY


def test_a_reminder_that_only_the_new_version_has_is_not_sent_late_and_one_still_ahead_is():
    early = {"id": "early", "after": {"elapsed_days": "1"}, "to": ["unit"]}
    ahead = {"id": "ahead", "after": {"elapsed_days": "9"}, "to": ["unit"]}
    new = variant(lambda d: d["clocks"]["rung"]["reminders"].extend([early, ahead]))
    story = triaged()
    decision = migration.migrate(COUPE_FILE, new, story.dossier, PLAIN, at=START + 3 * DAY)
    assert decision.after.clocks["rung"].done == ("early",)
    dossier, sent = decision.after, []
    while dossier.wake_at is not None and dossier.wake_at < START + 12 * DAY:
        woken = decide(new, dossier, DUE, context=story.context, at=dossier.wake_at)
        dossier = woken.after
        sent += [event.command["step"] for event in woken.events if event.kind == "clock.remind"]
    assert sent == ["half", "ahead"]


def renamed(data: dict[str, Any]) -> None:
    """Two states become one, and one takes another name."""
    data["states"]["qualified"] = {**data["states"].pop("triaged"), "label": "Qualifié"}
    data["states"].pop("escalated")
    for trigger in data["triggers"]:
        for part in ("from", "to"):
            words = trigger[part] if isinstance(trigger[part], list) else [trigger[part]]
            words = ["qualified" if word in ("triaged", "escalated") else word for word in words]
            trigger[part] = list(dict.fromkeys(words)) if part == "from" else words[0]


RENAMED = variant(renamed)
MERGED = Route("old", "new", {"triaged": "qualified", "escalated": "qualified"})


def test_a_state_that_is_mapped_becomes_what_the_map_says_in_its_phase():
    story = triaged()
    decision = migration.migrate(COUPE_FILE, RENAMED, story.dossier, MERGED, at=START + DAY)
    assert (decision.after.state, decision.after.phase) == ("qualified", "triaged")
    assert decision.after.version == story.dossier.version + 1


def test_a_dossier_takes_the_phase_of_its_new_state():
    story = triaged()
    story.act("escalate", REFERENT, START + HOUR, reason="x")
    assert (story.dossier.state, story.dossier.phase) == ("escalated", "escalated")
    decision = migration.migrate(COUPE_FILE, RENAMED, story.dossier, MERGED, at=START + DAY)
    assert (decision.after.state, decision.after.phase) == ("qualified", "triaged")


def test_a_reminder_that_both_versions_have_and_whose_instant_is_now_behind_is_sent_once_at_the_next_wake():
    story = triaged()
    decision = migration.migrate(COUPE_FILE, SHORT, story.dossier, PLAIN, at=START + 6 * DAY)
    assert decision.after.clocks["rung"].done == ()
    woken = decide(SHORT, decision.after, DUE, context=story.context, at=START + 6 * DAY + HOUR)
    assert [event.fired for event in woken.events] == ["rung:1:half"]


def test_a_rung_is_found_by_its_name_in_the_new_ladder():
    new = variant(lambda d: d["ladder"].insert(0, {"rung": "mairie", "level": "territory"}))
    story = triaged()
    decision = migration.migrate(COUPE_FILE, new, story.dossier, PLAIN, at=START + DAY)
    assert (story.dossier.rung, decision.after.rung) == (1, 2)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "route", "field", "words"),
    [
        (RENAMED, PLAIN, "--map-state", ("« triaged », « escalated »", "triaged=")),
        (RENAMED, Route("", "", {"triaged": "qualified"}), "--map-state", ("« escalated »", "escalated=")),
        (RENAMED, Route("", "", {"nowhere": "qualified"}), "--map-state", ("nowhere", "submitted, triaged")),
        (RENAMED, Route("", "", {"triaged": "nowhere"}), "--map-state", ("nowhere", "qualified")),
        (COUPE_FILE, Route("", "", {"triaged": "resolved"}), "--map-state", ("ouvert ne se clôt pas", "triaged=")),
        (COUPE_FILE, Route("", "", {"resolved": "triaged"}), "--map-state", ("clos ne se rouvre pas", "resolved=")),
        (variant(lambda d: d["ladder"].pop()), PLAIN, "--map-rung", ("simplification", "prefet")),
        (COUPE_FILE, Route("", "", {}, {"x": "y"}), "--map-rung", ("« x »", "territory")),
    ],
)  # fmt: skip
def test_a_route_that_leaves_a_state_or_a_rung_open_is_refused_and_says_which(
    new: Compiled, route: Route, field: str, words: tuple[str, str]
):
    with pytest.raises(BadInput) as refusal:
        migration.check(COUPE_FILE.definition, new.definition, route)
    assert refusal.value.field == field
    assert words[0] in refusal.value.message
    assert words[1] in (refusal.value.accepted or "")


def test_a_dossier_whose_hold_the_new_version_could_not_end_is_refused():
    old = compiled(small(clocks={"one": clock()}, triggers=HOLDING))
    new = compiled(small(clocks={"one": clock()}, version="2"))
    story = Story(old, data={})
    story.act("hold", REFERENT, START, motive="wait", answer_by=(START + DAY).isoformat())
    with pytest.raises(Refused, match="demande au porteur"):
        migration.migrate(old, new, story.dossier, PLAIN, at=START + HOUR)


def test_a_dossier_without_the_date_that_a_clock_of_the_new_version_reads_is_refused():
    old = compiled(small(clocks={"one": clock()}))
    new = compiled(
        small(
            clocks={"one": clock(length={"field": "wanted_on"})},
            submission={"by": ["referent"], "needs": ["wanted_on"]},
        )
    )
    with pytest.raises(Refused, match="wanted_on"):
        migration.migrate(old, new, Story(old, data={}).dossier, PLAIN, at=START + HOUR)


# --- and back ---------------------------------------------------------------------------------------------------------

VERSIONS: dict[str, tuple[Compiled, Compiled, Route]] = {
    "shorter": (COUPE_FILE, SHORT, PLAIN),
    "longer": (COUPE_FILE, LONG, PLAIN),
    "a clock less": (COUPE_FILE, variant(lambda d: d["clocks"].pop("rung")), PLAIN),
    "states merged": (COUPE_FILE, RENAMED, MERGED),
    "reminders": (
        COUPE_FILE,
        variant(lambda d: (d["clocks"]["rung"]["reminders"].append({"id": "new", "after": {"elapsed_days": "1"}, "to": ["unit"]}),
                           d["clocks"]["triage"]["reminders"].pop())),
        PLAIN,
    ),
    "a rung more": (COUPE_FILE, variant(lambda d: d["ladder"].insert(1, {"rung": "mairie", "level": "territory"})), PLAIN),
    "fixed length": (
        RACCORDEMENT,
        variant(lambda d: d["clocks"]["wanted"].update(length={"elapsed_days": "60"}), "raccordement"),
        PLAIN,
    ),
}  # fmt: skip


@pytest.fixture(params=VERSIONS, scope="module")
def versions(request: pytest.FixtureRequest) -> tuple[Compiled, Compiled, Route]:
    return VERSIONS[request.param]


def essence(dossier: Dossier) -> tuple[Any, ...]:
    return (
        dossier.state,
        dossier.phase,
        dossier.rung,
        dossier.clocks,
        dossier.holds,
        dossier.due_at,
        dossier.closed_at,
    )


@MANY
@given(data=st.data())
def test_whatever_happened_a_dossier_that_goes_and_comes_back_is_as_it_was_but_for_two_events(
    versions: tuple[Compiled, Compiled, Route], data: Any
):
    old, new, route = versions
    migration.check(old.definition, new.definition, route)
    context = data.draw(CONTEXTS)
    decisions = play(old, context, data.draw(scripts(old)), data.draw(STEPS))
    before = decisions[-1].after
    assert before.at is not None
    at = before.at + data.draw(STEPS)
    there = migration.migrate(old, new, before, route, at=at)
    back = migration.undo(new, old, there.after, crossing(there, route), at=at + data.draw(STEPS))
    assert [event.kind for event in (*there.events, *back.events)] == [MIGRATE, MIGRATE]
    assert essence(back.after) == essence(before)
    assert back.after.seq == before.seq + 2
    assert folded([*events_of(decisions), *there.events, *back.events]) == back.after
    for after in (there.after, back.after):
        assert (after.wake_at is None) == (after.closed_at is not None)
        assert after.wake_at is None or after.wake_at > after.at


@MANY
@given(data=st.data())
def test_a_dossier_goes_on_under_the_new_version_and_its_journal_still_folds(
    versions: tuple[Compiled, Compiled, Route], data: Any
):
    old, new, route = versions
    context = data.draw(CONTEXTS)
    decisions = play(old, context, data.draw(scripts(old)))
    before = decisions[-1].after
    assert before.at is not None
    decisions.append(migration.migrate(old, new, before, route, at=before.at))
    for _ in range(10):
        dossier = decisions[-1].after
        if dossier.wake_at is None:
            break
        decisions.append(decide(new, dossier, DUE, context=context, at=dossier.wake_at))
    fired = [event.fired for event in events_of(decisions) if event.fired is not None]
    assert len(fired) == len(set(fired))
    assert folded(events_of(decisions)) == decisions[-1].after


def goes_and_comes_back(new: Compiled, between: Callable[[Story], object], route: Route = PLAIN) -> Dossier:
    """Give a triaged dossier that crossed on day 1, lived under the new version, and came back on day 20."""
    story = triaged()
    there = migration.migrate(COUPE_FILE, new, story.dossier, route, at=START + DAY)
    story.dossier, story.machine = there.after, new
    story.events += there.events
    count = len(story.events)
    between(story)
    since = [(event.kind, event.effective) for event in story.events[count:]]
    return migration.undo(new, COUPE_FILE, story.dossier, crossing(there, route, since), at=START + 20 * DAY).after


def test_a_hold_under_the_new_version_counts_once_the_dossier_is_back():
    def held(story: Story) -> None:
        story.hold(START + 2 * DAY, START + 5 * DAY)
        story.act("end_hold", REFERENT, START + 4 * DAY)

    assert goes_and_comes_back(SHORT, held).clocks["rung"].due == START + 16 * DAY


def test_a_breach_recorded_under_the_new_version_stays_recorded():
    back = goes_and_comes_back(SHORT, lambda story: story.act("assign", REFERENT, START + 11 * DAY, to_user=2))
    assert "due" in back.clocks["rung"].done
    assert back.clocks["rung"].due == START + 10 * DAY


def test_a_clock_that_the_new_version_did_not_have_is_turned_by_what_happened_meanwhile():
    new = variant(lambda d: d["clocks"].pop("rung"))
    back = goes_and_comes_back(
        new, lambda story: story.act("transfer", REFERENT, START + 3 * DAY, to_unit=12, reason="x")
    )
    assert (back.clocks["rung"].n, back.clocks["rung"].due) == (2, START + 17 * DAY)
    closed = goes_and_comes_back(
        new, lambda story: story.act("resolve", REFERENT, START + 3 * DAY, outcome="unblocked", statement="x")
    )
    assert closed.clocks["rung"].end == START + 3 * DAY
    assert (closed.state, closed.wake_at) == ("resolved", None)


def test_a_dossier_that_moved_to_a_state_of_two_origins_cannot_come_back_and_says_so():
    def reopened(story: Story) -> None:
        story.act("resolve", REFERENT, START + 2 * DAY, outcome="unblocked", statement="x")

    assert goes_and_comes_back(RENAMED, reopened, MERGED).state == "resolved"
    story = Story()
    there = migration.migrate(COUPE_FILE, RENAMED, story.dossier, MERGED, at=START)
    story.dossier, story.machine = there.after, RENAMED
    story.events += there.events
    story.act("triage", REFERENT, START, to_unit=11)
    with pytest.raises(Refused, match="qualified"):
        migration.undo(RENAMED, COUPE_FILE, story.dossier, crossing(there, MERGED), at=START + DAY)


def test_a_definition_is_the_same_after_it_was_written_briefly():
    for machine in (COUPE_FILE, RACCORDEMENT, SHORT, RENAMED):
        assert parse(machine.definition.brief()).digest() == machine.definition.digest()
