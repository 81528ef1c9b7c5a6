"""What time does to a dossier, to the microsecond: due dates, holds, reminders, moves, outages."""

from datetime import UTC, datetime, timedelta

import pytest

from states.decide import BREACH, IDLE, LAPSE, REFUSE, REMIND, decide
from states.dossier import DUE, SYSTEM, Act, Actor, Context, Rung
from states.errors import Refused, Stale
from tests.states.dossiers import (
    CONTEXT,
    DAY,
    HEAD,
    HOLDER,
    HOLDING,
    HOUR,
    INSTANT,
    PREFET,
    RACCORDEMENT,
    REFERENT,
    RUNGS,
    SECOND,
    START,
    TEXT,
    Story,
    clock,
    compiled,
    only,
    opened,
    said,
    small,
)

TRIAGE_DUE = START + 2 * DAY
RUNG = 14 * DAY
RESOLUTION = 84 * DAY
GRACE = 4 * HOUR


def triaged(at: datetime = START, context: Context = CONTEXT) -> Story:
    """Give a dossier triaged to the instructing service as soon as it is submitted."""
    story = Story(at=at, context=context)
    story.act("triage", REFERENT, at, to_unit=11)
    return story


def on_hold(rung_left: timedelta, length: timedelta = 10 * DAY, motive: str = "clarification") -> Story:
    """Give a dossier put on hold when this much of its rung's clock was left."""
    story = triaged()
    since = START + RUNG - rung_left
    story.wake_until(since)
    story.hold(since, since + length, motive)
    return story


# In time and late


def test_at_the_due_instant_a_person_is_still_in_time():
    story = Story()
    events = story.act("triage", REFERENT, TRIAGE_DUE, to_unit=11)
    assert BREACH not in [event.kind for event in events]
    assert story.dossier.clocks["triage"].done == ()


def test_a_microsecond_after_the_due_instant_the_breach_comes_before_the_act():
    story = Story()
    events = story.act("triage", REFERENT, TRIAGE_DUE + INSTANT, to_unit=11)
    assert [event.kind for event in events][0] == BREACH
    assert events[0].fired == "triage:1:due"
    assert events[0].actor is SYSTEM
    assert (events[0].effective, events[0].at) == (TRIAGE_DUE, TRIAGE_DUE + INSTANT)
    assert "triage" in [event.kind for event in events]


def test_the_clock_does_nothing_at_the_due_instant_and_acts_a_microsecond_later():
    story = Story()
    story.wake_until(TRIAGE_DUE - HOUR)
    assert story.dossier.wake_at == TRIAGE_DUE + INSTANT
    assert story.due(TRIAGE_DUE) == []
    assert said(story.due(TRIAGE_DUE + INSTANT)) == [(BREACH, "triage:1:due"), ("escalate", "triage:1:move")]


def test_the_clock_escalates_with_the_verb_of_a_person_as_system_and_with_its_reason():
    story = Story()
    (event,) = only(story.due(TRIAGE_DUE + SECOND), "escalate")
    assert event.actor is SYSTEM
    assert event.command["args"] == {"reason": "no_triage_in_time"}
    assert (story.dossier.state, story.dossier.rung, story.dossier.unit) == ("escalated", 1, 11)


def test_the_person_who_comes_before_the_sweep_finds_the_breach_recorded_and_the_move_lapsed():
    story = Story()
    events = story.act("escalate", REFERENT, TRIAGE_DUE + DAY, reason=TEXT)
    assert said(events) == [
        (BREACH, "triage:1:due"),
        (LAPSE, "triage:1:half"),
        (LAPSE, "triage:1:eve"),
        ("escalate", None),
        (LAPSE, "triage:1:move"),
    ]
    assert story.dossier.rung == 1
    assert story.due(TRIAGE_DUE + DAY + HOUR) == []


def test_a_reminder_overtaken_by_a_person_lapses_and_the_journal_says_so():
    story = Story()
    events = story.act("triage", REFERENT, START + DAY + HOUR, to_unit=11)
    assert said(events) == [("triage", None), (LAPSE, "triage:1:half")]


def test_what_a_person_overtakes_is_said_to_lapse_by_the_system():
    story = Story()
    (lapse,) = only(story.act("triage", REFERENT, START + DAY + HOUR, to_unit=11), LAPSE)
    assert lapse.actor == SYSTEM


def test_settling_twice_at_the_same_instant_settles_once():
    story = Story()
    first = story.due(TRIAGE_DUE + SECOND)
    assert first
    assert story.due(TRIAGE_DUE + SECOND) == []


def test_several_truths_are_settled_in_order_of_their_effective_instants():
    story = triaged()
    story.wake_until(START + RUNG - DAY)
    story.hold(START + RUNG - DAY, START + RUNG + DAY)
    events = story.due(START + 200 * DAY)
    facts = [(event.kind, event.effective) for event in events if event.kind in (BREACH, "end_hold")]
    assert facts == [
        ("end_hold", START + RUNG + DAY),
        (BREACH, START + RUNG + 2 * DAY),
        (BREACH, START + RESOLUTION + 2 * DAY),
    ]


def test_a_version_seen_before_the_clock_settled_something_is_not_stale_in_the_same_breath():
    story = triaged()
    story.hold(START + DAY, START + 2 * DAY)
    seen = story.dossier.version
    events = story.act("resolve", REFERENT, START + 3 * DAY, outcome="unblocked", statement=TEXT, seen=seen)
    assert [event.kind for event in events][:1] == ["end_hold"]
    assert story.dossier.state == "resolved"


def test_a_version_older_than_the_dossier_is_stale_and_says_which_is_current():
    story = triaged()
    with pytest.raises(Stale) as refusal:
        story.act("escalate", REFERENT, START + DAY, reason=TEXT, seen=1)
    assert (refusal.value.seen, refusal.value.version, refusal.value.code) == (1, 2, "stale")


def test_a_reminder_never_makes_a_page_stale():
    story = triaged()
    seen = story.dossier.version
    assert only(story.wake_until(START + 8 * DAY), REMIND)
    story.act("escalate", REFERENT, START + 8 * DAY, reason=TEXT, seen=seen)


# Outages


def test_three_days_out_makes_one_move_and_the_overtaken_reminders_lapse():
    story = Story()
    events = story.due(START + 5 * DAY)
    assert said(events) == [
        (BREACH, "triage:1:due"),
        (LAPSE, "triage:1:half"),
        (LAPSE, "triage:1:eve"),
        ("escalate", "triage:1:move"),
    ]
    assert {event.at for event in events} == {START + 5 * DAY}


def test_a_year_out_climbs_one_rung_only():
    story = triaged()
    events = story.due(START + 365 * DAY)
    assert len(only(events, "escalate")) == 1
    assert (story.dossier.rung, story.dossier.clocks["rung"].start) == (2, START + 365 * DAY)


def test_only_the_latest_of_two_reminders_missed_in_an_outage_is_sent():
    story = Story()
    events = story.due(TRIAGE_DUE - HOUR)
    assert said(events) == [(LAPSE, "triage:1:half"), (REMIND, "triage:1:eve")]


def test_the_rungs_clock_starts_when_it_was_solicited_not_when_it_should_have_been():
    story = Story()
    story.due(START + 30 * DAY)
    assert story.dossier.clocks["rung"].start == START + 30 * DAY
    assert story.dossier.clocks["rung"].due == START + 44 * DAY


# Holds


def test_a_hold_begun_one_second_before_the_due_instant_leaves_that_second():
    story = on_hold(SECOND, 10 * DAY)
    term = START + RUNG - SECOND + 10 * DAY
    assert story.dossier.clocks["rung"].due == term + SECOND
    events = story.due(term + HOUR)
    assert said(events) == [("end_hold", "hold:1"), (BREACH, "rung:1:due")]
    assert [event.effective for event in events] == [term, term + SECOND]


def test_a_hold_begun_at_the_due_instant_is_in_time():
    story = on_hold(timedelta(0), 10 * DAY)
    term = START + RUNG + 10 * DAY
    assert only(story.events, BREACH) == []
    assert story.dossier.clocks["rung"].due == term
    assert said(story.due(term + INSTANT)) == [("end_hold", "hold:1"), (BREACH, "rung:1:due")]


def test_a_hold_begun_two_seconds_after_the_due_instant_hides_no_lateness():
    story = triaged()
    story.wake_until(START + RUNG - HOUR)
    at = START + RUNG + 2 * SECOND
    events = story.hold(at, at + 10 * DAY)
    assert [(event.kind, event.effective) for event in events] == [(BREACH, START + RUNG), ("hold", at)]
    assert story.dossier.clocks["rung"].due == START + RUNG
    story.wake_until(at + 30 * DAY)
    assert [event.effective for event in only(story.events, BREACH) if event.fired == "rung:1:due"] == [START + RUNG]


def test_the_move_of_a_missed_clock_waits_for_the_hold_and_then_for_the_grace():
    story = triaged()
    story.wake_until(START + RUNG - HOUR)
    at = START + RUNG + 2 * SECOND
    term = at + 10 * DAY
    story.hold(at, term)
    assert only(story.wake_until(term + GRACE), "escalate") == []
    assert story.dossier.wake_at == term + GRACE + INSTANT
    assert said(story.wake()) == [("escalate", "rung:1:move")]


def test_a_hold_ends_by_itself_at_its_term_although_noticed_later():
    story = on_hold(7 * DAY, 3 * DAY)
    term = START + RUNG - 7 * DAY + 3 * DAY
    events = story.due(term + 2 * DAY)
    assert (events[0].kind, events[0].actor, events[0].fired) == ("end_hold", SYSTEM, "hold:1")
    assert (events[0].effective, events[0].at) == (term, term + 2 * DAY)
    assert story.dossier.holds[-1].end == term
    assert story.dossier.clocks["rung"].due == START + RUNG + 3 * DAY


def test_the_clock_is_woken_for_the_term_of_a_hold():
    story = on_hold(7 * DAY, 3 * DAY)
    assert story.dossier.wake_at == START + RUNG - 4 * DAY + INSTANT


def test_an_answer_exactly_at_the_term_is_in_time():
    story = on_hold(7 * DAY, 3 * DAY)
    term = START + RUNG - 4 * DAY
    assert said(story.act("answer", HOLDER, term, reason=TEXT)) == [("answer", None)]
    assert story.dossier.holds[-1].end == term


def test_an_answer_a_microsecond_after_the_term_finds_no_hold():
    story = on_hold(7 * DAY, 3 * DAY)
    before = story.dossier.copy()
    with pytest.raises(Refused) as refusal:
        story.act("answer", HOLDER, START + RUNG - 4 * DAY + INSTANT, reason=TEXT)
    assert refusal.value.code == "no_hold"
    assert story.dossier == before


@pytest.mark.parametrize("waited", [INSTANT, SECOND, HOUR, 9 * DAY, 10 * DAY])
def test_a_pause_shifts_the_due_date_by_exactly_the_time_waited(waited: timedelta):
    story = on_hold(7 * DAY, 10 * DAY)
    resolution = START + RESOLUTION
    story.act("answer", HOLDER, START + RUNG - 7 * DAY + waited, reason=TEXT)
    assert story.dossier.clocks["rung"].due == START + RUNG + waited
    assert story.dossier.clocks["resolution"].due == resolution + waited


def test_pauses_add_up():
    story = triaged()
    story.hold(START + HOUR, START + DAY)
    story.act("answer", HOLDER, START + 3 * HOUR, reason=TEXT)
    story.hold(START + 5 * HOUR, START + DAY)
    story.act("end_hold", HEAD, START + 10 * HOUR)
    assert story.dossier.clocks["rung"].due == START + RUNG + 7 * HOUR


def test_a_motive_that_pauses_nothing_moves_no_date_of_the_rung():
    story = on_hold(7 * DAY, 10 * DAY, "third_party")
    assert story.dossier.clocks["rung"].due == START + RUNG
    assert story.dossier.holds[-1].touches == {"triage": "ignore", "rung": "ignore", "resolution": "pause"}
    assert only(story.wake_until(START + RUNG + HOUR), "escalate")


def test_a_clock_on_pause_neither_reminds_nor_moves():
    story = on_hold(7 * DAY + HOUR, 100 * DAY)
    story.events.clear()
    assert decide(story.machine, story.dossier, DUE, context=CONTEXT, at=START + 90 * DAY).events == []


def test_a_reminder_shifts_with_the_pause():
    story = triaged()
    story.hold(START + DAY, START + 3 * DAY)
    story.wake_until(START + RUNG)
    (half,) = [event for event in only(story.events, REMIND) if event.fired == "rung:1:half"]
    assert half.at == START + 9 * DAY + INSTANT


def test_a_breach_never_moves_afterwards_whatever_holds_follow():
    story = triaged()
    story.due(START + RESOLUTION + DAY)
    missed = story.dossier.clocks["resolution"].due
    for day in range(10):
        at = START + RESOLUTION + (2 + day) * DAY
        story.hold(at, at + HOUR)
        story.act("answer", HOLDER, at + HOUR, reason=TEXT)
        assert story.dossier.clocks["resolution"].due == missed
    assert len([event for event in only(story.events, BREACH) if event.fired == "resolution:1:due"]) == 1


def test_after_a_hold_the_grace_remains_before_a_move_but_the_breach_is_not_delayed():
    story = on_hold(HOUR, 10 * DAY)
    ended = START + RUNG - HOUR + 10 * DAY
    events = story.wake_until(ended + DAY)
    breach, escalation = only(events, BREACH)[0], only(events, "escalate")[0]
    assert breach.effective == ended + HOUR
    assert escalation.at == ended + GRACE + INSTANT


def test_a_hold_that_ended_long_before_costs_no_grace():
    story = triaged()
    story.hold(START + DAY, START + 2 * DAY)
    events = story.wake_until(START + RUNG + 2 * DAY)
    assert only(events, "escalate")[0].at == START + RUNG + DAY + INSTANT


def test_a_hold_open_while_a_new_cycle_starts_pauses_the_new_cycle_from_its_start():
    story = on_hold(7 * DAY, 10 * DAY)
    at = START + RUNG - 6 * DAY
    story.act("escalate", REFERENT, at, reason=TEXT)
    assert story.dossier.clocks["rung"].due == at + RUNG + 9 * DAY


def test_a_hold_opened_before_triage_also_pauses_the_rung_clock_that_triage_starts():
    story = Story()
    story.hold(START + HOUR, START + 30 * DAY)
    story.act("triage", REFERENT, START + 2 * HOUR, to_unit=11)
    assert only(story.wake_until(START + 29 * DAY), "escalate") == []


def test_resolving_during_a_hold_counts_the_pause_up_to_the_resolution_only():
    story = on_hold(7 * DAY, 10 * DAY)
    at = START + RUNG - 6 * DAY
    story.act("resolve", REFERENT, at, outcome="unblocked", statement=TEXT)
    assert story.dossier.holds[-1].end == at
    assert story.dossier.clocks["rung"].due == START + RUNG + DAY


def test_a_clock_that_a_trigger_stops_during_a_hold_counts_the_pause_up_to_its_end_only():
    story = Story()
    story.hold(START + HOUR, START + 30 * DAY)
    story.act("triage", REFERENT, START + 3 * HOUR, to_unit=11)
    stopped = story.dossier.clocks["triage"]
    assert (stopped.end, stopped.due) == (START + 3 * HOUR, TRIAGE_DUE + 2 * HOUR)


def test_a_hold_until_the_end_of_the_calendar_is_refused_and_breaks_nothing():
    story = triaged()
    with pytest.raises(Refused):
        story.hold(START + DAY, datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))


def test_a_hold_of_many_centuries_is_refused_and_breaks_nothing():
    story = triaged()
    with pytest.raises(Refused):
        story.hold(START + DAY, datetime(9999, 12, 1, tzinfo=UTC))


# Reminders


def test_a_reminder_is_sent_at_most_once_in_a_cycle_and_again_in_the_next():
    story = triaged()
    for hour in range(0, 24 * 40, 7):
        story.due(START + hour * HOUR)
    fired = [event.fired for event in story.events if event.kind == REMIND]
    assert len(fired) == len(set(fired))
    assert fired[:4] == ["rung:1:half", "rung:1:eve", "rung:2:half", "rung:2:eve"]


def test_a_reminder_already_sent_is_not_sent_again_when_a_pause_moves_the_due_date():
    story = triaged()
    story.wake_until(START + RUNG - DAY)
    assert [event.fired for event in only(story.events, REMIND)] == ["rung:1:half", "rung:1:eve"]
    story.hold(START + RUNG - DAY, START + RUNG + 20 * DAY)
    story.wake_until(START + RUNG + 20 * DAY)
    assert [event.fired for event in only(story.events, REMIND)] == ["rung:1:half", "rung:1:eve"]


def test_a_reminder_names_the_due_date_that_it_announces():
    story = triaged()
    (half,) = story.wake()
    assert half.command == {"clock": "rung", "cycle": 1, "step": "half", "due": (START + RUNG).isoformat()}


# The ladder


def test_a_vacant_rung_is_skipped_and_reported():
    rungs = tuple(Rung(r.index, r.unit, r.index != 2) if r.index != 3 else Rung(3, None) for r in RUNGS)
    story = triaged(context=Context(rungs))
    (event,) = only(story.due(START + RUNG + SECOND), "escalate")
    assert event.facts == {"rung": 4, "unit": 14, "vacant": [2, 3]}
    assert (story.dossier.rung, story.dossier.unit) == (4, 14)


def test_a_climb_past_no_vacancy_reports_none():
    story = triaged()
    (event,) = only(story.due(START + RUNG + SECOND), "escalate")
    assert "vacant" not in event.facts


def test_the_clock_stops_below_a_rung_that_is_not_automatic_and_says_that_the_ladder_is_exhausted():
    story = triaged()
    events = story.wake_until(START + 400 * DAY)
    assert [event.facts["rung"] for event in only(events, "escalate")] == [2, 3, 4, 5]
    assert len(only(events, "exhaust")) == 1
    assert story.dossier.rung == 5


def test_the_prefet_seizes_the_rung_that_the_clock_and_the_referent_may_not():
    story = triaged()
    story.wake_until(START + 69 * DAY)
    assert story.dossier.rung == 5
    with pytest.raises(Refused) as refusal:
        story.act("escalate", REFERENT, START + 69 * DAY, reason=TEXT)
    assert refusal.value.code == "ladder_exhausted"
    story.act("escalate", PREFET, START + 69 * DAY, reason=TEXT)
    assert (story.dossier.rung, story.dossier.unit) == (6, 16)


def test_a_rung_that_is_not_automatic_is_refused_to_any_actor_who_is_the_system():
    machine = compiled(
        small(
            clocks={},
            triggers=[
                {
                    "name": "escalate",
                    "from": "open",
                    "to": "=",
                    "by": ["referent", "system"],
                    "guards": ["rung_above_open"],
                    "effects": ["climb"],
                }
            ],
            ladder=[{"rung": "a", "level": "a"}, {"rung": "b", "level": "b", "auto": "false"}],
        )
    )
    again = Actor(SYSTEM.person, SYSTEM.unit, SYSTEM.role)  # as read back from a journal
    assert again == SYSTEM
    with pytest.raises(Refused):
        decide(machine, opened(machine), Act("escalate", again), context=CONTEXT, at=START + HOUR)


def test_an_exhausted_ladder_is_told_once_and_then_only_looked_at_when_idle():
    story = triaged()
    story.wake_until(START + 85 * DAY)
    assert len(only(story.events, "exhaust")) == 1
    rest = story.wake_until(START + 85 * DAY + 200 * DAY)
    assert {event.kind for event in rest} == {IDLE}
    gaps = {later.at - earlier.at for earlier, later in zip(rest, rest[1:], strict=False)}
    assert gaps == {30 * DAY + INSTANT}
    assert len({event.fired for event in rest}) == len(rest)


def test_a_ladder_that_is_empty_from_the_start_exhausts_once():
    story = Story(context=Context((Rung(0, 10),)))
    events = story.wake_until(START + 83 * DAY)
    assert [event.kind for event in events if not event.kind.startswith("clock.")] == ["exhaust"]
    assert story.dossier.clocks["triage"].end is not None


def test_a_unit_lower_on_the_ladder_takes_the_dossier_back_and_a_new_cycle_starts():
    story = Story()
    story.due(START + 3 * DAY)
    assert story.dossier.rung == 1
    story.act("take_back", REFERENT, START + 4 * DAY, reason=TEXT)
    assert (story.dossier.state, story.dossier.rung, story.dossier.unit) == ("triaged", 0, 10)
    cycle = story.dossier.clocks["rung"]
    assert (cycle.n, cycle.start, cycle.due) == (2, START + 4 * DAY, START + 4 * DAY + RUNG)


def test_a_unit_on_the_current_rung_cannot_take_back():
    story = Story()
    story.due(START + 3 * DAY)
    with pytest.raises(Refused) as refusal:
        story.act("take_back", Actor(9, 11, "referent"), START + 4 * DAY, reason=TEXT)
    assert refusal.value.code == "not_below"


def test_a_person_without_a_unit_cannot_take_back_to_a_vacant_rung():
    rungs = (Rung(0, 10), Rung(1, None), Rung(2, 12))
    story = Story(context=Context(rungs))
    story.due(START + 3 * DAY)
    assert story.dossier.rung == 2
    with pytest.raises(Refused):
        story.act("take_back", Actor(9, None, "head"), START + 4 * DAY, reason=TEXT)
    assert story.dossier.unit == 12


# A trigger of the clock that is refused


def nagging(**clock_rest: object) -> Story:
    """Give a dossier whose clock asks for a climb that no ladder allows, without `else`."""
    return Story(
        compiled(
            small(
                clocks={"nag": clock(due={"fire": "nudge", "reason": "late"}, **clock_rest)},
                triggers=[
                    {
                        "name": "nudge",
                        "from": "open",
                        "to": "=",
                        "by": ["referent", "system"],
                        "guards": ["hold_open"],
                        "tell": ["unit"],
                    },
                    *HOLDING,
                ],
                look_again={"elapsed_hours": "5"},
            )
        )
    )


def test_a_guard_that_refuses_the_clock_for_ever_is_told_once_and_looked_at_again_later():
    story = nagging()
    events = story.wake_until(START + 4 * DAY)
    refusals = only(events, REFUSE)
    assert [event.command["first"] for event in refusals] == [True] + [False] * (len(refusals) - 1)
    assert len(refusals) == 10
    gaps = [later.at - earlier.at for earlier, later in zip(refusals, refusals[1:], strict=False)]
    assert set(gaps) == {5 * HOUR + INSTANT}
    assert len({event.fired for event in refusals}) == len(refusals)
    assert refusals[0].facts["code"] == "no_hold"
    assert only(events, "nudge") == []


def test_what_the_clock_was_refused_it_does_once_the_guard_lets_it():
    story = nagging()
    story.wake_until(START + 3 * DAY)
    story.hold(START + 3 * DAY, START + 9 * DAY, "wait")
    events = story.wake_until(START + 8 * DAY)
    assert said(only(events, "nudge")) == [("nudge", "nag:1:move")]
    assert only(events, REFUSE) == []


def rivals() -> Story:
    """Give a dossier with two clocks due together: the first asks for `go`, the other for `nudge`, which is refused."""
    return Story(
        compiled(
            small(
                clocks={
                    "first": clock(due={"fire": "go"}),
                    "second": clock(due={"fire": "nudge"}),
                },
                triggers=[
                    {"name": "go", "from": "open", "to": "=", "by": ["system"]},
                    {"name": "nudge", "from": "open", "to": "=", "by": ["system"], "guards": ["hold_open"]},
                    *HOLDING,
                ],
            )
        )
    )


def test_of_two_clocks_due_together_one_moves_and_the_other_asks_later():
    story = rivals()
    events = story.due(START + 3 * DAY)
    assert [event.kind for event in events] == [BREACH, BREACH, "go"]
    assert [event.kind for event in story.wake()] == [REFUSE]


def test_a_refusal_after_waiting_for_another_clock_is_told_as_the_first():
    story = rivals()
    story.due(START + 3 * DAY)
    (refusal,) = story.wake()
    assert refusal.command["first"] is True


def test_the_move_of_a_clock_stopped_by_another_clocks_move_lapses_and_the_journal_says_so():
    stops = ["close", "go"]
    story = Story(
        compiled(
            small(
                clocks={
                    "first": clock(stop=stops, due={"fire": "go"}),
                    "second": clock(stop=stops, due={"fire": "go"}),
                },
                triggers=[{"name": "go", "from": "open", "to": "=", "by": ["system"]}],
            )
        )
    )
    assert said(story.due(START + 3 * DAY)) == [
        (BREACH, "first:1:due"),
        (BREACH, "second:1:due"),
        ("go", "first:1:move"),
        (LAPSE, "second:1:move"),
    ]


# Reopening


def closed() -> Story:
    story = triaged()
    story.act("resolve", REFERENT, START + DAY, outcome="unblocked", statement=TEXT)
    return story


def test_a_closed_dossier_has_no_clock_no_wake_and_no_due_date():
    story = closed()
    assert (story.dossier.wake_at, story.dossier.due_at, story.dossier.closed_at) == (None, None, START + DAY)
    assert all(
        clock.end == START + DAY for clock in story.dossier.clocks.values() if clock.n == 1 and clock.end != START
    )
    assert story.due(START + 300 * DAY) == []


def test_a_dossier_reopens_until_the_last_instant_of_the_window():
    story = closed()
    at = START + DAY + 60 * DAY
    story.act("reopen", HOLDER, at, reason=TEXT)
    dossier = story.dossier
    assert (dossier.state, dossier.phase, dossier.closed_at) == ("triaged", "triaged", None)
    assert (dossier.clocks["rung"].n, dossier.clocks["rung"].due) == (2, at + RUNG)
    assert (dossier.clocks["resolution"].n, dossier.clocks["resolution"].due) == (2, at + RESOLUTION)


def test_a_microsecond_after_the_window_a_dossier_stays_closed():
    story = closed()
    with pytest.raises(Refused) as refusal:
        story.act("reopen", HOLDER, START + 61 * DAY + INSTANT, reason=TEXT)
    assert refusal.value.code == "too_late"
    assert "60 jours" in refusal.value.message


def test_the_window_runs_again_from_the_second_closing():
    story = closed()
    story.act("reopen", HOLDER, START + 50 * DAY, reason=TEXT)
    story.act("withdraw", HOLDER, START + 51 * DAY, reason=TEXT)
    story.act("reopen", HOLDER, START + 111 * DAY, reason=TEXT)
    assert story.dossier.closed_at is None


def test_a_reopened_dossier_has_no_outcome_any_more():
    story = closed()
    assert story.dossier.outcome == "unblocked"
    story.act("reopen", HOLDER, START + 2 * DAY, reason=TEXT)
    assert story.dossier.outcome is None


# Dates that come with the dossier


def connection(wanted_on: datetime) -> Story:
    return Story(RACCORDEMENT, data={"commune": "64300", "wanted_on": wanted_on.isoformat()})


def test_a_due_date_that_comes_with_the_dossier_is_kept_as_given():
    wanted = START + 300 * DAY
    story = connection(wanted)
    assert story.dossier.clocks["wanted"].due == wanted
    assert story.due(wanted) == []
    assert said(story.due(wanted + INSTANT)) == [(BREACH, "wanted:1:due")]


def test_a_wanted_date_at_the_end_of_the_calendar_is_kept_or_refused_in_words():
    last = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    try:
        story = connection(last)
    except Refused:
        return
    assert story.dossier.wake_at is not None


def test_a_breach_never_counts_from_before_the_dossier_was_submitted():
    try:
        story = connection(START - 10 * DAY)
    except Refused:
        return
    (breach,) = story.wake()
    assert breach.effective >= START


def test_a_date_already_past_at_submission_is_missed_before_the_clock_reminds_or_moves():
    story = Story(
        compiled(
            small(
                clocks={
                    "late": clock(
                        length={"field": "wanted_on"},
                        reminders=[{"id": "half", "share": "1/2", "to": ["unit"]}],
                        due={"fire": "go"},
                    )
                },
                triggers=[{"name": "go", "from": "open", "to": "=", "by": ["system"]}],
                submission={"by": ["referent"], "needs": ["wanted_on"]},
            )
        ),
        data={"wanted_on": (START - DAY).isoformat()},
    )
    events = story.due(START) + story.wake()  # a wake at the very instant of the submission does not overtake it
    assert said(events) == [(BREACH, "late:1:due"), (LAPSE, "late:1:half"), ("go", "late:1:move")]


def test_a_proposal_not_accepted_lapses_at_the_clocks_hand_and_closes_the_dossier():
    story = connection(START + 300 * DAY)
    operator = Actor(2, 20, "operator")
    story.act("study", operator, START + DAY)
    story.act("propose", operator, START + 2 * DAY)
    events = story.wake_until(START + 2 * DAY + 92 * DAY + INSTANT)
    assert said(events)[-2:] == [(BREACH, "acceptance:1:due"), ("lapse", "acceptance:1:move")]
    assert (story.dossier.state, story.dossier.outcome, story.dossier.wake_at) == ("caduque", "lapsed", None)


# Without a clock


def test_a_clock_that_is_off_settles_nothing_and_fires_nothing():
    dossier = opened()
    late = START + 10 * DAY
    assert decide(Story().machine, dossier, DUE, context=CONTEXT, at=late, clock_runs=False).events == []
    act = Act("triage", REFERENT, {"to_unit": 11})
    events = decide(Story().machine, dossier, act, context=CONTEXT, at=late, clock_runs=False).events
    assert BREACH not in [event.kind for event in events]


def test_a_dossier_that_no_clock_looks_at_is_looked_at_when_idle():
    story = Story(compiled(small(clocks={})))
    assert story.dossier.wake_at == START + 30 * DAY + INSTANT
    assert story.due(START + 30 * DAY) == []
    (idle,) = story.wake()
    assert (idle.kind, idle.command, idle.fired) == (IDLE, {"running": False}, "idle:1")
    assert story.dossier.version == 1


def test_a_wake_before_its_time_says_nothing():
    story = Story()
    assert story.dossier.wake_at is not None
    assert story.due(story.dossier.wake_at - INSTANT) == []
