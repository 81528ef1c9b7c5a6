"""Each word of a clock declaration: what starts a clock, what a hold does to it, what lengthens, corrects and ends it.

Dates are worked out by hand on the calendar of November and December 2026 in France: the 11th is a holiday, a Wednesday;
the 24th is a Tuesday.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config import calendars, holidays, legal_rules
from states import clocks, legal, reasons
from states.almanac import Almanac, Desk
from states.calendar import calendar
from states.decide import decide, submit
from states.definition import parse
from states.dossier import DUE, Act, Actor, Context, Decision, Dossier, Rung
from states.errors import BadInput, DefinitionError, Refused
from states.explanation import sentences
from states.machine import Compiled

PARIS = ZoneInfo("Europe/Paris")
HOLDER, REFERENT, HEAD = Actor(1, None, "holder"), Actor(2, 10, "referent"), Actor(3, 10, "head")


def desk(code: str) -> Desk:
    """A shipped calendar."""
    body = calendars.documents()[code]
    known = holidays.of_zone(body["territory"], good_friday=body["good_friday"])
    return Desk(code, body["territory"], calendar(body, holidays=known))


TABLE = legal.parse(legal_rules.document())
ALMANAC = Almanac(
    {1: desk("metropole"), 2: desk("974")}, {10: 1, 11: 1, 74: 2}, {"metropole": 1, "974": 2}, {9: TABLE}, 9
)
RUNGS = (Rung(0, 10), Rung(1, 11), Rung(2, 74))
CONTEXT = Context(RUNGS, frozenset({2, 3}), ALMANAC)
FIELDS = {
    "motive": {"type": "choice", "of": ["pieces", "question", "report"]},
    "answer_by": {"type": "instant"},
    "reason": {"type": "text", "max": "500"},
    "clock": {"type": "clock"},
    "extension": {"type": "code"},
    "started": {"type": "instant"},
    "outcome": {"type": "choice", "of": ["done"]},
    "to_unit": {"type": "unit"},
    "kind": {"type": "choice", "of": ["simple", "legal"]},
    "received_on": {"type": "date"},
    "evaluation_environnementale": {"type": "choice", "of": ["oui", "non"]},
}
TRIGGERS = [
    {"name": "hold", "from": "open", "to": "=", "by": ["referent"], "needs": ["motive", "answer_by", "reason"],
     "guards": ["no_open_hold", "answer_by_ahead"], "effects": ["open_hold"]},
    {"name": "answer", "from": "open", "to": "=", "by": ["holder"], "guards": ["hold_open"], "effects": ["close_hold"]},
    {"name": "end_hold", "from": "open", "to": "=", "by": ["system"], "guards": ["hold_open"], "effects": ["close_hold"]},
    {"name": "move", "from": "open", "to": "=", "by": ["referent"], "needs": ["to_unit"],
     "guards": ["unit_competent_or_forced"], "effects": ["place_on_rung"]},
    {"name": "extend", "from": "open", "to": "=", "by": ["head"], "needs": ["clock", "extension", "reason"],
     "guards": ["clock_extendable"], "effects": ["extend_clock"]},
    {"name": "correct", "from": "open", "to": "=", "by": ["head"], "needs": ["clock", "started", "reason"],
     "guards": ["clock_correctable"], "effects": ["correct_clock"]},
    {"name": "end", "from": "begun", "to": "over", "by": ["referent", "holder"], "sets": {"outcome": "done"}},
]  # fmt: skip


def definition(**clock_rules: Any) -> Compiled:
    """A definition with these clocks, each of which starts at submission and stops at the end unless it says otherwise."""
    usual = {"family": "commitment", "start": {"when": ["submit"]}, "stop": {"when": ["end"]}}
    data = {
        "schema": 1, "id": "words", "version": 1, "effective": {"from": "2026-01-01"}, "initial": "begun",
        "states": {"begun": {"phase": "submitted"}, "over": {"phase": "resolved", "terminal": True}},
        "roles": ["holder", "referent", "head", "system"], "fields": FIELDS, "triggers": TRIGGERS,
        "submission": {"by": ["holder"], "optional": ["kind", "received_on", "evaluation_environnementale"]},
        "ladder": [{"rung": "one", "level": "service"}, {"rung": "two", "level": "service"}, {"rung": "three", "level": "service"}],
        "clocks": {name: {**usual, **rule} for name, rule in clock_rules.items()},
    }  # fmt: skip
    return Compiled(parse(data))


def at(words: str, zone: ZoneInfo = PARIS) -> datetime:
    """An instant on the clocks of a place: 24/11 18:00."""
    day, _, hour = words.partition(" ")
    numbers = [int(part) for part in day.split("/")]
    year = numbers[2] if len(numbers) > 2 else 2026
    moment = hour or "23:59:59.999999"
    return (
        datetime.fromisoformat(f"{year}-{numbers[1]:02}-{numbers[0]:02}T{moment}").replace(tzinfo=zone).astimezone(UTC)
    )


class Story:
    """A dossier to which things happen."""

    def __init__(self, compiled: Compiled, begins: str, **data: str) -> None:
        self.compiled = compiled
        self.decisions: list[Decision] = []
        self._take(submit(compiled, HOLDER, args=data, data=dict(data), context=CONTEXT, at=at(begins)))

    def _take(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.dossier: Dossier = decision.after

    def act(self, trigger: str, when: str, actor: Actor = REFERENT, **args: Any) -> Story:
        given = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in args.items()}
        self._take(decide(self.compiled, self.dossier, Act(trigger, actor, given), context=CONTEXT, at=at(when)))
        return self

    def wait(self, until: str) -> Story:
        """Let the clock act whenever it wakes."""
        end = at(until)
        while self.dossier.wake_at is not None and self.dossier.wake_at <= end:
            wakes = self.dossier.wake_at
            self._take(decide(self.compiled, self.dossier, DUE, context=CONTEXT, at=wakes))
        return self

    def due(self, name: str) -> str:
        local = self.dossier.clocks[name].due.astimezone(PARIS)
        return f"{local:%d/%m/%Y}" if local.time().microsecond else f"{local:%d/%m %H:%M}"

    def happened(self) -> list[tuple[str, str, str]]:
        return [
            (f"{event.effective.astimezone(PARIS):%d/%m %H:%M}", event.kind, event.command.get("step") or event.command.get("record") or "")
            for decision in self.decisions
            for event in decision.events
        ]  # fmt: skip

    def why(self, name: str) -> list[str]:
        rule = self.compiled.definition.clocks[name]
        return sentences(reasons.why(rule, name, self.dossier.clocks[name], self.dossier, ALMANAC))


def one(length: Any, **rule: Any) -> Compiled:
    return definition(it={"length": length, **rule})


# --- lengths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "begins", "due"),
    [
        ({"working_days": "10"}, "09/11 11:00", "24/11 18:00"),  # over the holiday of the 11th
        ({"working_days": "2"}, "20/11 17:50", "24/11 18:00"),
        ({"working_days": "2"}, "21/11 10:00", "24/11 18:00"),  # from a Saturday
        ({"working_days": "1", "at": "same_time"}, "20/11 11:30", "23/11 11:30"),
        (
            {"working_days": "1", "days": "opening"},
            "20/11 09:00",
            "20/11 18:00",
        ),  # Saturday counts; closed: the closing before
        ({"working_hours": "4"}, "20/11 16:00", "23/11 10:00"),
        ({"working_minutes": "30"}, "20/11 11:45", "20/11 14:15"),
        ({"elapsed_days": "2"}, "20/11 17:50", "22/11 17:50"),
        ({"reckoning": "silence_mois", "months": "2"}, "30/12 10:00", "28/02/2027"),
        ({"reckoning": "jours_ouvres", "days": "10"}, "20/11 17:50", "04/12/2026"),
        ({"reckoning": "silence_mois", "months": "2", "at": "closing"}, "24/09 18:00", "24/11 18:00"),
    ],
)
def test_a_length_of_each_kind(length, begins, due):
    assert Story(one(length), begins).due("it") == due


def test_a_clock_goes_by_the_calendar_of_the_unit_that_held_the_dossier_at_its_start_and_keeps_it_after_a_transfer():
    compiled = definition(
        keeps={"length": {"working_days": "10"}},
        again={"length": {"working_days": "10"}, "start": {"when": ["submit", "move"]}},
        named={"length": {"working_days": "10"}, "calendar": "974"},
    )
    story = Story(compiled, "09/12 09:00").act("move", "10/12 09:00", to_unit=74)
    assert story.due("keeps") == "23/12 18:00"
    assert story.due("again") == "24/12 15:00", "18:00 in La Réunion; the 20th, abolition of slavery, is a Sunday"
    assert story.due("named") == "23/12 15:00"
    assert (story.dossier.clocks["keeps"].desk, story.dossier.clocks["again"].desk) == (1, 2)


def test_a_clock_without_a_calendar_is_refused_rather_than_left_without_a_date():
    compiled = one({"working_days": "2"})
    with pytest.raises(BadInput, match="calendrier"):
        submit(compiled, HOLDER, args={}, data={}, context=Context(RUNGS), at=at("20/11 09:00"))
    with pytest.raises(BadInput) as refused:
        Story(one({"procedure": "nzia", "clock": "octroi_en_cours"}), "20/11 09:00")
    assert refused.value.field == "clock"


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_a_start_is_dated_by_its_field_and_refused_in_the_future():
    compiled = one({"reckoning": "silence_mois", "months": "2"}, start={"when": ["submit"], "from": "received_on"})
    assert Story(compiled, "26/10 09:00", received_on="2026-09-28").due("it") == "28/11/2026"
    assert Story(compiled, "26/10 09:00").due("it") == "26/12/2026", "not given: from the submission"
    with pytest.raises(BadInput) as refused:
        Story(compiled, "26/10 09:00", received_on="2026-10-27")
    assert (refused.value.field, refused.value.code) == ("received_on", "future")


def test_a_clock_concerns_the_dossiers_whose_fields_say_so_and_may_want_its_date():
    compiled = definition(
        some={"length": {"working_days": "2"}, "only": {"kind": ["legal"]}},
        given={"length": {"working_days": "2"}, "start": {"when": ["submit"], "from": "received_on", "given": True}},
        high={"length": {"working_days": "2"}, "only": {"rung": ["two"]}, "start": {"when": ["submit", "move"]}},
    )
    story = Story(compiled, "24/11 09:00", kind="simple")
    assert story.dossier.clocks == {}
    assert set(Story(compiled, "24/11 09:00", kind="legal", received_on="2026-11-23").dossier.clocks) == {
        "some",
        "given",
    }
    story.act("move", "24/11 10:00", to_unit=11)
    assert story.due("high") == "26/11 18:00"
    story.act("move", "25/11 10:00", to_unit=74)
    assert story.dossier.clocks["high"].end == at("25/11 10:00"), "it no longer concerns the dossier: moot"


def test_a_start_while_running_is_a_new_cycle_unless_the_first_alone_counts():
    compiled = definition(
        each={"length": {"working_days": "2"}, "start": {"when": ["submit", "move"]}},
        first={"length": {"working_days": "2"}, "start": {"when": ["submit", "move"], "first": True}},
    )
    story = Story(compiled, "20/11 09:00").act("move", "23/11 09:00", to_unit=11)
    assert (story.due("each"), story.dossier.clocks["each"].n) == ("25/11 18:00", 2)
    assert (story.due("first"), story.dossier.clocks["first"].n) == ("24/11 18:00", 1)


def test_a_clock_that_falls_due_starts_the_next_from_its_own_date():
    """Authorisation filed on 1 September: examination to 1 December, report to the 22nd, decision to 22 February."""
    compiled = definition(
        examination={"length": {"procedure": "autorisation_environnementale", "clock": "examen"},
                     "start": {"when": ["submit"], "from": "received_on"}},
        report={"length": {"procedure": "autorisation_environnementale", "clock": "rapport"}, "start": {"when": ["examination.due"]}},
        decision={"length": {"procedure": "autorisation_environnementale", "clock": "decision"},
                  "start": {"when": ["report.due"]}, "due": {"record": "silence"}},
    )  # fmt: skip
    story = Story(compiled, "12/11 09:00", received_on="2026-09-01")
    assert story.due("examination") == "01/12/2026"
    story.wait("31/12 09:00")
    assert (story.due("report"), story.due("decision")) == ("22/12/2026", "22/02/2027")
    story.wait("23/02/2027 09:00")
    assert ("22/02 23:59", "clock.breach", "implied_rejection") in story.happened()


def test_met_missed_and_moot():
    compiled = definition(met={"length": {"working_days": "2"}}, missed={"length": {"working_hours": "1"}})
    story = Story(compiled, "24/11 09:00").wait("24/11 11:00").act("end", "24/11 15:00")
    met, missed = story.dossier.clocks["met"], story.dossier.clocks["missed"]
    assert (met.end, clocks.DUE_STEP in met.done) == (at("24/11 15:00"), False)
    assert (missed.end, clocks.DUE_STEP in missed.done) == (at("24/11 15:00"), True)


def test_a_person_may_not_stop_a_clock_before_its_floor():
    compiled = one({"working_days": "60"}, floor={"working_days": "5"})
    story = Story(compiled, "16/11 09:00")
    with pytest.raises(Refused, match="23/11/2026 à 18:00"):
        story.act("end", "20/11 09:00")
    assert story.act("end", "24/11 09:00").dossier.state == "over"


def test_a_holder_withdraws_whatever_the_floor_and_what_no_longer_concerns_the_dossier_ends():
    floored = {"length": {"working_days": "60"}, "floor": {"working_days": "5"}}
    withdrawn = Story(definition(it=floored), "16/11 09:00")
    assert withdrawn.act("end", "17/11 09:00", HOLDER).dossier.clocks["it"].end == at("17/11 09:00")
    low = {**floored, "start": {"when": ["submit", "move"]}, "only": {"rung": ["one"]}}
    moved = Story(definition(it=low), "16/11 09:00").act("move", "17/11 09:00", to_unit=11)
    assert moved.dossier.clocks["it"].end == at("17/11 09:00")


# --- holds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "how", "due"),
    [
        (
            {"working_days": "10"},
            "pause",
            "27/11 18:00",
        ),  # asked on Monday 16, answered on Thursday 19: 17, 18, 19 do not count
        ({"working_days": "10"}, "ignore", "24/11 18:00"),
        ({"working_days": "10"}, "restart", "03/12 18:00"),
        ({"working_hours": "80"}, "pause", "27/11 12:00"),
        ({"reckoning": "silence_mois", "months": "2"}, "pause", "12/01/2027"),
        ({"reckoning": "silence_mois", "months": "2"}, "restart", "19/01/2027"),
        ({"reckoning": "silence_mois", "months": "2"}, "ignore", "09/01/2027"),
    ],
)
def test_what_a_hold_does_to_a_clock(length, how, due):
    story = Story(one(length, hold={"question": how}), "09/11 11:00")
    story.act("hold", "16/11 09:00", motive="question", answer_by=at("30/11 18:00"), reason="r")
    story.act("answer", "19/11 10:00", HOLDER)
    assert story.due("it") == due


def test_a_hold_that_nobody_ends_is_ended_by_the_clock_at_its_term():
    story = Story(one({"working_days": "10"}, hold={"default": "pause"}), "09/11 11:00")
    story.act("hold", "16/11 09:00", motive="question", answer_by=at("20/11 18:00"), reason="r").wait("21/11 09:00")
    assert ("20/11 18:00", "end_hold", "") in story.happened()
    assert story.due("it") == "30/11 18:00"


def test_only_lateness_past_the_date_that_was_set_stops_the_european_clock():
    """Complete on 2 March, fifteen months; the report due on 15 September came on the 29th: 16 June 2027."""
    rule = {"hold": {"report": "late_only", "pieces": "ignore"}}
    story = Story(one({"reckoning": "ue_1182_71", "months": "15"}, **rule), "02/03 09:00")
    assert story.due("it") == "02/06/2027"
    story.act("hold", "01/07 10:00", motive="report", answer_by=at("15/09 23:59:59"), reason="r")
    assert story.due("it") == "02/06/2027", "in time, it stops nothing"
    story.wait("20/09 09:00")
    assert ("15/09 23:59", "hold.late", "") in story.happened()
    assert clocks.paused(story.dossier, "it")
    assert story.act("answer", "29/09 10:00", HOLDER).due("it") == "16/06/2027"


def test_a_hold_does_what_the_legal_rule_says_and_nothing_when_it_comes_too_late():
    rule = {"length": {"procedure": "permis_de_construire", "clock": "instruction"}, "hold": {"pieces": "rule"}}
    for asked, due in (("30/09 10:00", "30/01/2027"), ("20/10 10:00", "01/12/2026")):
        story = Story(definition(it=rule), "01/09 09:00")
        assert story.due("it") == "01/12/2026"
        story.act("hold", asked, motive="pieces", answer_by=at("30/11 18:00"), reason="r").act(
            "answer", "30/10 10:00", HOLDER
        )
        assert story.due("it") == due, (
            "asked within the month it starts again when the pieces are in; later it changes nothing"
        )


def test_implied_acceptance_starts_again_at_the_competent_authority_and_implied_rejection_runs_on():
    compiled = definition(
        acceptance={"length": {"procedure": "demande_electronique", "clock": "acceptation"},
                    "start": {"when": ["submit", "move"]}, "hold": {"pieces": "rule"}},
        rejection={"length": {"procedure": "demande_electronique", "clock": "rejet"}, "hold": {"pieces": "rule"}},
    )  # fmt: skip
    story = Story(compiled, "28/09 09:00").act("move", "27/10 10:00", to_unit=11)
    assert (story.due("rejection"), story.due("acceptance")) == ("28/11/2026", "27/12/2026")
    story.act("hold", "02/11 10:00", motive="pieces", answer_by=at("30/11 18:00"), reason="r")
    story.act("answer", "12/11 10:00", HOLDER)
    assert story.due("rejection") == "08/12/2026", "suspended for ten days (CRPA L114-5 al. 3)"
    assert story.due("acceptance") == "12/01/2027", "from the pieces (L114-5 al. 2)"


# --- change -----------------------------------------------------------------------------------------------------------


def test_an_extension_is_given_once_before_expiry_with_what_is_ahead_told_again():
    compiled = one(
        {"working_days": "4"},
        extensions={"more": {"working_days": "4"}},
        reminders=[{"id": "half", "share": "1/2", "to": ["unit"]}],
    )
    story = Story(compiled, "16/11 09:00").wait("19/11 09:00")
    story.act("extend", "19/11 10:00", HEAD, clock="it", extension="more", reason="r")
    assert (story.due("it"), story.dossier.clocks["it"].n) == ("26/11 18:00", 2)
    assert story.decisions[-1].events[-1].facts["was"]["due"] == at("20/11 18:00").isoformat()
    with pytest.raises(Refused, match="déjà été prolongé"):
        story.act("extend", "19/11 11:00", HEAD, clock="it", extension="more", reason="r")
    with pytest.raises(Refused, match="accepté : more"):
        story.act("extend", "19/11 11:00", HEAD, clock="it", extension="other", reason="r")
    story.wait("27/11 09:00")
    assert [when for when, kind, step in story.happened() if step == "half"] == ["18/11 08:00", "20/11 08:00"]
    with pytest.raises(Refused, match="expiré"):
        story.act("extend", "27/11 11:00", HEAD, clock="it", extension="more", reason="r")


def test_an_extension_of_the_law_is_refused_once_it_should_have_been_notified():
    rule = {
        "length": {"procedure": "permis_de_construire", "clock": "instruction"},
        "start": {"when": ["submit"], "from": "received_on"},
    }
    told = Story(definition(it=rule), "12/10 09:00", received_on="2026-09-15", evaluation_environnementale="oui")
    told.act("extend", "13/10 09:00", HEAD, clock="it", extension="commission", reason="r")
    assert told.due("it") == "15/02/2027"
    late = Story(definition(it=rule), "12/10 09:00", received_on="2026-09-15", evaluation_environnementale="oui")
    with pytest.raises(Refused, match="15/10/2026"):
        late.act("extend", "16/10 09:00", HEAD, clock="it", extension="commission", reason="r")
    assert late.due("it") == "15/12/2026"


def test_a_corrected_start_keeps_the_pauses_and_the_date_that_was():
    story = Story(one({"working_days": "10"}, hold={"question": "pause"}), "09/11 11:00")
    story.act("hold", "16/11 09:00", motive="question", answer_by=at("30/11 18:00"), reason="r").act(
        "answer", "19/11 10:00", HOLDER
    )
    story.act("correct", "20/11 09:00", HEAD, clock="it", started=at("06/11 15:00"), reason="reçu le vendredi")
    assert story.due("it") == "26/11 18:00"
    assert story.decisions[-1].events[-1].facts["was"] == {
        "start": at("09/11 11:00").isoformat(), "due": at("27/11 18:00").isoformat(), "cycle": 1,
    }  # fmt: skip
    with pytest.raises(Refused, match="à venir"):
        story.act("correct", "20/11 10:00", HEAD, clock="it", started=at("21/11 09:00"), reason="r")
    story.act("end", "20/11 12:00")
    with pytest.raises(Refused):
        story.act("correct", "20/11 13:00", HEAD, clock="it", started=at("06/11 15:00"), reason="r")


# --- reminders --------------------------------------------------------------------------------------------------------


def test_the_reminders_of_a_clock_that_counts_days_come_at_the_opening_of_their_day():
    reminders = [
        {"id": "half", "share": "1/2", "to": ["unit"]},
        {"id": "eve", "before": {"working_days": "2"}, "to": ["unit"]},
        {"id": "hours", "before": {"working_hours": "4"}, "to": ["unit"]},
        {"id": "third", "after": {"working_days": "3"}, "to": ["unit"]},
    ]
    story = Story(one({"working_days": "10"}, reminders=reminders), "17/11 18:00").wait("02/12 09:00")
    assert [line for line in story.happened() if line[1] != "submit"] == [
        ("20/11 08:00", "clock.remind", "third"),
        ("24/11 08:00", "clock.remind", "half"),
        ("27/11 08:00", "clock.remind", "eve"),
        ("01/12 14:00", "clock.remind", "hours"),
        ("01/12 18:00", "clock.breach", "missed"),
    ]


def test_working_days_before_a_saturday_are_counted_back_from_it():
    reminders = [{"id": "ahead", "before": {"working_days": "3"}, "to": ["unit"]}]
    compiled = one({"reckoning": "silence_mois", "months": "2"}, reminders=reminders)
    story = Story(compiled, "28/09 09:00").wait("29/11 09:00")
    assert [line[:2] for line in story.happened()[1:]] == [
        ("25/11 08:00", "clock.remind"),
        ("28/11 23:59", "clock.breach"),
    ]


def test_what_is_told_of_a_date_that_ends_at_midnight_waits_for_the_service_to_open():
    compiled = definition(
        it={"length": {"procedure": "demande_electronique", "clock": "rejet"}, "due": {"record": "silence"}}
    )
    story = Story(compiled, "28/09 09:00").wait("29/11 09:00")
    breach = story.decisions[-1].events[0]
    assert breach.facts["opens"] == at("30/11 08:00").isoformat()
    assert breach.facts["appeal_until"] == date(2027, 1, 29).isoformat(), "two months, franc"


def test_a_grace_is_left_after_a_hold_before_the_clock_moves():
    compiled = definition(
        it={"length": {"working_days": "2"}, "hold": {"default": "pause"}, "grace": {"working_hours": "4"},
            "due": {"fire": "end_hold"}},
    )  # fmt: skip
    story = Story(compiled, "23/11 09:00")
    story.act("hold", "24/11 09:00", motive="question", answer_by=at("30/11 18:00"), reason="r").act(
        "answer", "26/11 17:00", HOLDER
    )
    rule, clock = compiled.definition.clocks["it"], story.dossier.clocks["it"]
    assert clocks.move_at(rule, "it", clock, story.dossier.holds, ALMANAC) == max(clock.due, at("27/11 11:00"))


# --- why --------------------------------------------------------------------------------------------------------------


def test_a_due_date_says_why_in_french():
    story = Story(one({"working_days": "10"}, hold={"question": "pause"}), "09/11 11:00")
    story.act("hold", "16/11 09:00", motive="question", answer_by=at("30/11 18:00"), reason="r").act(
        "answer", "19/11 10:00", HOLDER
    )
    words = "\n".join(story.why("it"))
    for part in (
        "engagement de service", "metropole", "lundi 9 novembre 2026 à 11 h 00", "jour férié, 11 novembre",
        "lundi 16 novembre 2026 à 9 h 00 au jeudi 19 novembre 2026 à 10 h 00", "3 jours n'ont pas compté",
        "10 jours d'ouverture", "vendredi 27 novembre 2026 à 18 h 00, à la fermeture",
    ):  # fmt: skip
        assert part in words, words


def test_a_legal_date_says_its_rule_its_article_and_what_is_unsure():
    compiled = definition(it={"family": "legal", "length": {"procedure": "demande_electronique", "clock": "rejet"}})
    words = "\n".join(Story(compiled, "28/09 09:00").why("it"))
    for part in ("délai légal", "L231-4", "samedi 28 novembre 2026", "vaut rejet", "Incertain"):
        assert part in words, words


# --- what the validator refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"length": {"working_days": "2", "working_hours": "3"}}, "une seule durée"),
        ({"length": {"working_hours": "2", "at": "closing"}}, "ne se disent que de jours"),
        ({"length": {"working_days": "-1"}}, "trop petit"),
        ({"length": {"procedure": "nzia"}}, "procedure et clock"),
        ({"length": {"reckoning": "jours", "days": "1", "months": "1"}}, "procedure et clock"),
        ({"length": {"working_days": "2"}, "extensions": {"more": {"working_hours": "4"}}}, "se compte comme le délai"),
        ({"length": {"working_days": "2"}, "hold": {"pieces": "rule"}}, "règle légale"),
        ({"length": {"working_days": "2"}, "due": {"record": "silence"}}, "règle légale"),
        ({"length": {"working_days": "2"}, "only": {"kind": ["other"]}}, "accepté : simple, legal"),
        ({"length": {"working_days": "2"}, "only": {"rung": ["ten"]}}, "n'est pas un échelon"),
        ({"length": {"working_days": "2"}, "only": {"by": ["nobody"]}}, "n'est pas un rôle"),
        ({"length": {"working_days": "2"}, "only": {"reason": ["x"]}}, "donné à la soumission"),
        ({"length": {"working_days": "2"}, "start": {"when": ["submit"], "from": "motive"}}, "de type date ou instant"),
        ({"length": {"working_days": "2"}, "start": {"when": ["it.due"]}}, "n'est pas un déclencheur"),
        ({"length": {"working_days": "2"}, "floor": {"working_days": "3"}}, "moindre que le délai"),
        ({"length": {"working_days": "9"}, "floor": {"working_days": "3"}, "stop": {"when": ["end", "end_hold"]}}, "« end_hold », que le système"),
        ({"length": {"working_days": "2"}, "reminders": [{"id": "x", "before": {"working_days": "3"}, "to": ["unit"]}]}, "hors du délai"),
    ],
)  # fmt: skip
def test_a_declaration_that_means_nothing_is_refused_with_its_place(rule, words):
    with pytest.raises(DefinitionError) as refused:
        definition(it=rule)
    assert words in str(refused.value)
    assert all(place[:2] == ("clocks", "it") for place, _ in refused.value.problems)
