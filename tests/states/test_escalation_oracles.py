"""The scenarios of escalation of other projects that apply here, each against its own figures: who is told when, once.

docs/people.md says of each of the nine whether it applies, and why not.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from states import clocks
from states.calendar import WEEKDAYS, calendar
from states.decide import BREACH, REMIND
from states.dossier import SYSTEM, Actor, Context, Rung
from tests.states.dossiers import HOLDING, Story, clock, compiled, only, small

SCENARIOS = json.loads((Path(__file__).parents[1] / "oracles" / "working_time_cases.json").read_text(encoding="utf-8"))[
    "escalation_scenarios"
]


def of(source: str) -> dict:
    """The one scenario that comes from there."""
    (found,) = [one for one in SCENARIOS if source in one["source"]]
    return found


HOURS = of("escalation_snapshot/utils.py")
WHO = Actor(2, 10, "referent")
TODAY = datetime(2026, 11, 24, tzinfo=UTC)


def at(words: str) -> datetime:
    """« today 09:00 » as an instant."""
    day, _, hour = words.rpartition(" ")
    found = datetime.strptime(hour, "%H:%M").replace(year=TODAY.year, month=TODAY.month, day=TODAY.day, tzinfo=UTC)
    return found + timedelta(days=day == "tomorrow")


@pytest.mark.parametrize("case", HOURS["expected"], ids=lambda case: f"{case['from']}-{case['to']} at {case['now']}")
def test_what_may_go_on_only_within_hours_goes_on_when_they_begin(case):
    begins, ends = case["from"], case["to"]
    spans = [[begins, ends]] if begins < ends else [["00:00", ends], [begins, "24:00"]]
    hours = calendar({"timezone": "UTC", "week": dict.fromkeys(WEEKDAYS, spans)})
    now = at(f"today {case['now']}")
    assert hours.next_open(now) == (now if case["eta"].startswith("none") else at(case["eta"]))


MINUTE = timedelta(minutes=1)
AT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def minutes(number: int) -> dict:
    return {"elapsed_minutes": str(number)}


def act(name: str, **more) -> dict:
    return {"name": name, "from": "open", "to": "=", "by": ["referent", "system"], **more}


CORRECT = act("correct", needs=["clock", "started", "reason"], guards=["clock_correctable"], effects=["correct_clock"])
FIELDS = {"clock": {"type": "clock"}, "started": {"type": "instant"}, "reason": {"type": "text", "max": "100"}}


def told(events, kind: str = REMIND) -> list[tuple[int, str]]:
    """The minute and the clock of each event of a kind."""
    return [((event.at - AT) // MINUTE, event.command["clock"]) for event in only(events, kind)]


def test_two_steps_each_after_its_delay():
    steps = of("smoke/escalation_test.go")["policy"]["steps"]
    machine = compiled(
        small(
            clocks={
                step["to"]: clock(start=["submit", "climb_"], stop=["close", "end_"], only={"rung": [step["to"]]},
                                  length=minutes(step["delay_minutes"]), due={"fire": "climb_", "else": "end_"})
                for step in steps
            },
            triggers=[act("climb_", guards=["rung_above_open"], effects=["climb"]),
                      act("end_", guards=["no_rung_above"], effects=["release_rung_clocks"])],
            ladder=[{"rung": step["to"], "level": "one"} for step in steps],
        )
    )  # fmt: skip
    story = Story(machine, at=AT, context=Context(tuple(Rung(number, number) for number in range(len(steps)))))
    story.wake_until(AT + 24 * 60 * MINUTE)
    given = [
        ((event.at - AT) // MINUTE, steps[event.effect["unit"]]["to"])
        for event in story.events
        if "unit" in event.effect
    ]
    assert given == [(one["at_minutes"], one["notify"]) for one in of("smoke/escalation_test.go")["expected"]]
    assert [event.kind for event in story.events].count("end_") == 1


def test_a_forced_escalation_is_a_cycle_of_its_own_and_what_both_would_say_is_said_once():
    rules = of("escalationnotification_test.go")["policy"]["user_rules"]
    later = max(after for _, after in rules)
    rule = clock(
        start=["submit", "again"],
        length=minutes(60),
        reminders=[{"id": "later", "after": minutes(later), "to": ["unit"]}],
    )
    story = Story(compiled(small(clocks={"step": rule}, triggers=[act("again")])), at=AT)
    story.act("again", WHO, AT)
    assert story.kinds() == ["submit", "again"]  # told twice, one per cycle
    story.wake_until(AT + later * MINUTE + MINUTE)
    (reminded,) = only(story.events, REMIND)
    assert ((reminded.at - AT) // MINUTE, reminded.command["cycle"]) == (30, 2)


def test_two_levels_before_the_due_date_each_at_its_look():
    policy = of("testEscalationLevelChangesSlaTtr")["policy"]
    levels = [
        {"id": f"level_{n}", "before": minutes(-one["offset_minutes"]), "to": ["unit"]}
        for n, one in enumerate(policy["levels"], 1)
    ]
    story = Story(
        compiled(small(clocks={"ttr": clock(length=minutes(policy["ttr_minutes"]), reminders=levels)})), at=AT
    )
    assert story.dossier.due_at == AT + 120 * MINUTE
    looks = [
        [event.command["step"] for event in only(story.due(AT + minute * MINUTE), REMIND)] for minute in (0, 61, 91, 92)
    ]
    assert looks == [[], ["level_1"], ["level_2"], []]


def test_a_policy_attached_later_counts_from_its_attachment_or_once_corrected_from_the_start():
    policy, before = of("testDatesAndEscalation")["policy"], 60
    rules, wanted = {}, {}
    for name in ("SLA", "OLA"):
        for (label, hours), level in zip(
            [(k, v) for k, v in policy[name].items() if k.endswith("_h")], policy[name]["levels_min"], strict=True
        ):
            key = f"{name}_{label}".lower()
            rules[key] = clock(
                start=["attach"],
                length=minutes(60 * hours),
                reminders=[{"id": "level", "before": minutes(-level), "to": ["unit"]}],
            )
            wanted[key] = (
                60 * hours - (before if name == "SLA" else 0),
                60 * hours + level - (before if name == "SLA" else 0),
            )
    assert wanted == {"sla_tto_h": (180, 165), "sla_ttr_h": (660, 630), "ola_tto_h": (120, 75), "ola_ttr_h": (480, 420)}
    story = Story(compiled(small(clocks=rules, triggers=[act("attach"), CORRECT], fields=FIELDS)), at=AT)
    now = AT + before * MINUTE
    story.act("attach", WHO, now)
    for name in ("sla_tto_h", "sla_ttr_h"):
        story.act("correct", WHO, now, clock=name, started=AT.isoformat(), reason="compté du dépôt")
    steps = {
        (name, step): (at - now) // MINUTE for at, name, step in clocks.steps(story.machine.definition, story.dossier)
    }
    assert {name: (steps[name, "due"], steps[name, "level"]) for name in rules} == wanted


def test_a_date_that_moves_frees_the_steps_of_its_own_clock_and_of_no_other():
    assert "only" in of("has_daily_event_locks_examples.rb")["expected"][0]
    rule = clock(length=minutes(60), reminders=[{"id": "warning", "before": minutes(30), "to": ["unit"]}])
    story = Story(
        compiled(small(clocks={"escalation": rule, "pending": rule}, triggers=[CORRECT], fields=FIELDS)), at=AT
    )
    now = AT + 35 * MINUTE
    story.due(now)
    assert {name: one.done for name, one in story.dossier.clocks.items()} == dict.fromkeys(
        ("escalation", "pending"), ("warning",)
    )
    story.act("correct", WHO, now, clock="escalation", started=(AT + 20 * MINUTE).isoformat(), reason="départ corrigé")
    assert {name: one.done for name, one in story.dossier.clocks.items()} == {"escalation": (), "pending": ("warning",)}
    story.wake_until(AT + 59 * MINUTE)
    assert told(story.events) == [(35, "escalation"), (35, "pending"), (50, "escalation")]


def test_an_answer_in_time_a_wait_that_moves_the_end_and_what_is_missed():
    policy = of("test_hd_ticket.py")["policy"]
    machine = compiled(
        small(
            clocks={
                "response": clock(stop=["close", "hold"], length=minutes(policy["response_min"])),
                "resolution": clock(length=minutes(policy["resolution_min"]), hold={"wait": "pause"}),
            },
            triggers=HOLDING,
        )
    )
    late = Story(machine, at=AT)
    late.wake_until(AT + 180 * MINUTE)
    assert told(late.events, BREACH) == [
        (30, "response"),
        (120, "resolution"),
    ]  # no reply: failed at T+60, and at T+180
    until = (AT + 600 * MINUTE).isoformat()
    story = Story(machine, at=AT)
    story.act("hold", WHO, AT + 10 * MINUTE, motive="wait", answer_by=until)
    assert story.dossier.clocks["response"].end == AT + 10 * MINUTE
    assert clocks.paused(story.dossier, "resolution")
    story.act("end_hold", SYSTEM, AT + 20 * MINUTE)
    assert story.dossier.due_at == AT + 130 * MINUTE
    assert told(story.wake_until(AT + 130 * MINUTE), BREACH) == []
    assert told(story.wake_until(AT + 135 * MINUTE), BREACH) == [(130, "resolution")]
    done = Story(machine, at=AT)
    done.act("close", WHO, AT + 10 * MINUTE)
    assert done.wake_until(AT + 180 * MINUTE) == []
