"""Every state and trigger of the coupe-file, by every role, against a table written by hand."""

from dataclasses import replace

import pytest

from states import definition as schema
from states.decide import decide, submit
from states.dossier import SYSTEM, Act, Actor, Context, Dossier, Rung
from states.errors import BadInput, Refused
from states.vocabulary import EFFECTS, GUARDS
from tests.states.dossiers import CONTEXT, COUPE_FILE, DATA, DAY, HOUR, RUNGS, START, TEXT, Story

ACTORS = {
    "holder": Actor(1, None, "holder"),
    "referent": Actor(2, 10, "referent"),
    "head": Actor(3, 10, "head"),
    "prefet": Actor(4, 13, "prefet"),
    "manager": Actor(5, None, "manager"),
    "system": SYSTEM,
}

# One row a trigger: who may ask, then the state it leads to from each of the four; "-" where it may not be asked.
MATRIX = """
trigger    by                              submitted  triaged    escalated  resolved
triage     referent,head                   triaged    -          -          -
assign     referent,head                   submitted  triaged    escalated  -
hold       referent,head                   submitted  triaged    escalated  -
answer     holder                          submitted  triaged    escalated  -
end_hold   referent,head,system            submitted  triaged    escalated  -
transfer   referent,head,manager           -          triaged    escalated  -
escalate   referent,head,prefet,system     escalated  escalated  escalated  -
exhaust    system                          submitted  triaged    escalated  -
take_back  referent,head                   -          -          triaged    -
resolve    referent,head,prefet            -          resolved   resolved   -
withdraw   holder                          resolved   resolved   resolved   -
reopen     holder,head                     -          -          -          triaged
write      holder                          submitted  triaged    escalated  -
message    referent,head,prefet            submitted  triaged    escalated  -
note       referent,head,prefet            submitted  triaged    escalated  -
take       referent,head                   submitted  triaged    escalated  -
release    referent,head                   submitted  triaged    escalated  -
consult    referent,head,prefet            submitted  triaged    escalated  -
recall     referent,head,prefet            submitted  triaged    escalated  -
"""
_HEAD, *_ROWS = [line.split() for line in MATRIX.strip().splitlines()]
STATES = _HEAD[2:]
TABLE = {(row[0], state): (row[1].split(","), to) for row in _ROWS for state, to in zip(STATES, row[2:], strict=True)}
TRIGGERS = [row[0] for row in _ROWS]
PHASE = {"submitted": "submitted", "triaged": "triaged", "escalated": "escalated", "resolved": "resolved"}

NOW = START + 6 * HOUR
ARGS = {
    "triage": {"to_unit": 11},
    "assign": {"to_user": 2},
    "take": {},
    "release": {},
    "hold": {"motive": "clarification", "answer_by": (NOW + 5 * DAY).isoformat(), "reason": TEXT},
    "answer": {"reason": TEXT},
    "end_hold": {},
    "transfer": {"to_unit": 14, "reason": TEXT},
    "escalate": {"reason": TEXT},
    "exhaust": {},
    "take_back": {"reason": TEXT},
    "resolve": {"outcome": "unblocked", "statement": TEXT},
    "withdraw": {"reason": TEXT},
    "reopen": {"reason": TEXT},
    "write": {"message": TEXT},
    "message": {"message": TEXT},
    "note": {"note": TEXT},
    "consult": {"consulted": 15, "question": TEXT},
    "recall": {"request": "64-0001-A1", "reason": TEXT},
}
SPOKEN = ("exhaust", "write", "message", "note", "consult", "recall")
"""What changes nothing that a page shows as the state of the dossier: the version stays."""
TOP = Context((Rung(0, 10), Rung(1, 11)), CONTEXT.members)


def a_dossier(state: str, *, on_hold: bool = False) -> Dossier:
    """Give a dossier in this state an hour ago, on rung 1 when it was ever given to anybody."""
    story = Story()
    if state in ("triaged", "resolved"):
        story.act("triage", ACTORS["referent"], START + HOUR, to_unit=11)
    if state == "escalated":
        story.act("escalate", ACTORS["referent"], START + HOUR, reason=TEXT)
    if state == "resolved":
        story.act("resolve", ACTORS["referent"], START + 2 * HOUR, outcome="unblocked", statement=TEXT)
    if on_hold and state != "resolved":
        story.hold(START + 3 * HOUR, START + 30 * DAY)
    return story.dossier


def context_for(trigger: str, state: str) -> Context:
    """Give a ladder on which the guards of this trigger let it through."""
    if trigger == "exhaust":
        return Context((Rung(0, 10),), CONTEXT.members) if state == "submitted" else TOP
    return CONTEXT


def ask(trigger: str, state: str, role: str):
    dossier = a_dossier(state, on_hold=trigger in ("answer", "end_hold"))
    if trigger == "release":
        dossier.assignee = 2
    act = Act(trigger, ACTORS[role], ARGS[trigger])
    return dossier, lambda: decide(COUPE_FILE, dossier, act, context=context_for(trigger, state), at=NOW)


def test_the_table_names_every_state_trigger_and_role_of_the_definition():
    definition = COUPE_FILE.definition
    assert list(definition.states) == STATES
    assert [trigger.name for trigger in definition.triggers] == TRIGGERS
    assert sorted(ACTORS) == sorted(definition.roles)
    assert sorted(ARGS) == sorted(TRIGGERS)


@pytest.mark.parametrize("role", ACTORS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_each_trigger_does_in_each_state_for_each_role_what_the_table_says(trigger: str, state: str, role: str):
    roles, to = TABLE[trigger, state]
    dossier, decided = ask(trigger, state, role)
    before = dossier.copy()
    if to != "-" and role in roles:
        decision = decided()
        assert (decision.after.state, decision.after.phase) == (to, PHASE[to])
        (event,) = decision.events
        assert (event.kind, event.actor, event.at, event.effective) == (trigger, ACTORS[role], NOW, NOW)
        assert event.command == {"trigger": trigger, "args": ARGS[trigger]}
        assert decision.after.version == before.version + (trigger not in SPOKEN)
        assert decision.after.seq == before.seq + 1
    else:
        with pytest.raises(Refused) as refusal:
            decided()
        error = refusal.value
        if to == "-":
            allowed = [name for name in TRIGGERS if TABLE[name, state][1] != "-" and role in TABLE[name, state][0]]
            assert (error.code, error.field) == ("state", "trigger")
            assert error.accepted == (", ".join(allowed) or "rien pour ce rôle")
            assert trigger in error.message
            assert state in error.message
        else:
            assert (error.code, error.field, error.accepted) == ("role", "role", ", ".join(roles))
            assert role in error.message
    assert dossier == before


def test_a_trigger_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(Refused) as refusal:
        decide(COUPE_FILE, a_dossier("triaged"), Act("approve", ACTORS["prefet"]), context=CONTEXT, at=NOW)
    assert refusal.value.as_dict() == {
        "code": "state",
        "message": "« approve » n'est pas possible dans l'état triaged",
        "field": "trigger",
        "accepted": "escalate, resolve, message, note, consult, recall",
    }


@pytest.mark.parametrize("role", ["head", "prefet", "manager", "system"])
def test_only_a_holder_or_a_referent_submits(role: str):
    with pytest.raises(Refused) as refusal:
        submit(COUPE_FILE, ACTORS[role], args={}, data=DATA, context=CONTEXT, at=START)
    assert (refusal.value.code, refusal.value.accepted) == ("role", "holder, referent")


# Guards

VACANT = Context(tuple(replace(rung, staffed=False) for rung in RUNGS))
EARLY = {**ARGS["hold"], "answer_by": NOW.isoformat()}
UNIT_99 = {"to_unit": 99, "reason": TEXT}

REFUSALS = [
    ("rung_above_open", "escalate", "triaged", "referent", VACANT, {}, "ladder_exhausted", "l'échelle est épuisée"),
    ("no_rung_above", "exhaust", "triaged", "system", CONTEXT, {}, "rung_above", "échelon 2"),
    ("answer_by_ahead", "hold", "triaged", "head", CONTEXT, EARLY, "term_passed", "answer_by"),
    ("hold_open", "answer", "triaged", "holder", CONTEXT, {}, "no_hold", "aucune demande au porteur"),
    ("hold_open", "end_hold", "triaged", "head", CONTEXT, {}, "no_hold", "aucune demande au porteur"),
    ("member_of_unit", "assign", "triaged", "head", CONTEXT, {"to_user": 77}, "not_a_member", "pas en fonction"),
    ("actor_there", "take", "triaged", "head", Context(), {}, "not_a_member", "absent"),
    ("assigned", "release", "triaged", "head", CONTEXT, {}, "not_assigned", "personne ne suit"),
    ("unit_competent_or_forced", "transfer", "triaged", "head", CONTEXT, UNIT_99, "not_competent", "forced"),
    ("another_unit", "transfer", "triaged", "head", CONTEXT, {"to_unit": 11}, "same_unit", "tient déjà"),
    (
        "consults_another_unit",
        "consult",
        "triaged",
        "head",
        CONTEXT,
        {"consulted": 11},
        "same_unit",
        "tient le dossier",
    ),
    ("actor_below_current_rung", "take_back", "escalated", "head", Context(), {}, "not_below", "échelon inférieur"),
]


@pytest.mark.parametrize(("guard", "trigger", "state", "role", "context", "args", "code", "words"), REFUSALS)
def test_each_guard_refuses_with_its_sentence_and_changes_nothing(
    guard: str, trigger: str, state: str, role: str, context: Context, args: dict, code: str, words: str
):
    assert guard in COUPE_FILE.triggers[trigger, state].guards
    dossier = a_dossier(state)
    before = dossier.copy()
    with pytest.raises(Refused) as refusal:
        decide(COUPE_FILE, dossier, Act(trigger, ACTORS[role], {**ARGS[trigger], **args}), context=context, at=NOW)
    assert (refusal.value.code, refusal.value.field) == (code, trigger)
    assert words in refusal.value.message
    assert trigger in str(refusal.value)
    assert dossier == before


@pytest.mark.parametrize(("who", "code"), [(3, "yours"), (2, "taken")])
def test_what_somebody_follows_is_not_taken(who: int, code: str):
    dossier = replace(a_dossier("triaged"), assignee=who)
    with pytest.raises(Refused) as refusal:
        decide(COUPE_FILE, dossier, Act("take", ACTORS["head"]), context=CONTEXT, at=NOW)
    assert (refusal.value.code, refusal.value.field) == (code, "take")


def test_a_second_hold_is_refused_with_the_term_of_the_first():
    dossier = a_dossier("triaged", on_hold=True)
    with pytest.raises(Refused) as refusal:
        decide(COUPE_FILE, dossier, Act("hold", ACTORS["head"], ARGS["hold"]), context=CONTEXT, at=NOW)
    assert refusal.value.code == "hold_open"
    assert "24/12/2026 08:00 UTC" in refusal.value.message


def test_a_dossier_closed_for_too_long_is_refused_with_the_length_of_the_window():
    act = Act("reopen", ACTORS["head"], ARGS["reopen"])
    with pytest.raises(Refused) as refusal:
        decide(COUPE_FILE, a_dossier("resolved"), act, context=CONTEXT, at=START + 100 * DAY)
    assert refusal.value.code == "too_late"
    assert "60 jours" in refusal.value.message


def test_every_guard_and_effect_of_the_schema_is_one_that_the_core_knows_and_the_reverse():
    assert sorted(GUARDS) == sorted(schema.GUARDS) == sorted(schema.Guard.__args__)
    assert sorted(EFFECTS) == sorted(schema.EFFECTS) == sorted(schema.Effect.__args__)


def test_every_guard_of_the_vocabulary_has_a_refusal_in_this_file():
    elsewhere = {"no_open_hold", "within_reopen_window", "clock_correctable", "clock_extendable", "unassigned"}
    elsewhere |= {"lower_rungs_first", "statement_given"}  # test_simplification.py
    elsewhere |= {"actor_holds", "not_yet_asked"}  # tests/workflow/test_consultations.py
    assert {row[0] for row in REFUSALS} | elsewhere == set(GUARDS)


# What the effects do


def asked(trigger: str, state: str, role: str = "head", context: Context = CONTEXT, **args: object) -> Dossier:
    act = Act(trigger, ACTORS[role], {**ARGS[trigger], **args})
    return decide(COUPE_FILE, a_dossier(state), act, context=context, at=NOW).after


def test_a_transfer_gives_the_dossier_to_the_unit_on_its_rung_and_pins_the_route():
    after = asked("transfer", "triaged", to_unit=14)
    assert (after.unit, after.rung, after.pinned) == (14, 4, True)


def test_a_forced_transfer_outside_the_ladder_keeps_the_rung():
    after = asked("transfer", "triaged", to_unit=99, forced=True)
    assert (after.unit, after.rung, after.units) == (99, 1, (10, 11, 99))


def test_a_unit_that_was_solicited_keeps_its_place_after_an_escalation():
    after = asked("escalate", "triaged")
    assert (after.unit, after.units) == (12, (10, 11, 12))


def test_an_assignee_is_let_go_when_the_dossier_goes_to_another_unit():
    dossier = asked("assign", "triaged")
    assert dossier.assignee == 2
    after = decide(
        COUPE_FILE, dossier, Act("escalate", ACTORS["head"], ARGS["escalate"]), context=CONTEXT, at=NOW
    ).after
    assert after.assignee is None


def test_a_withdrawal_sets_its_outcome_and_a_resolution_takes_the_one_given():
    assert asked("withdraw", "triaged", "holder").outcome == "withdrawn"
    assert asked("resolve", "triaged", outcome="refused").outcome == "refused"


@pytest.mark.parametrize(("trigger", "state"), [("triage", "submitted"), ("transfer", "triaged")])
def test_a_rung_that_only_a_prefet_may_seize_is_not_reached_by_a_referent_by_another_verb(trigger: str, state: str):
    with pytest.raises(Refused):
        asked(trigger, state, "referent", to_unit=16)


def test_triage_to_a_unit_that_is_not_competent_is_refused_unless_forced():
    assert asked("triage", "submitted", to_unit=99, forced=True).unit == 99
    with pytest.raises(Refused):
        asked("triage", "submitted", to_unit=99)


def test_giving_a_dossier_to_the_person_who_has_it_makes_no_page_stale():
    dossier = asked("assign", "triaged")
    again = decide(COUPE_FILE, dossier, Act("assign", ACTORS["head"], ARGS["assign"]), context=CONTEXT, at=NOW).after
    assert again.version == dossier.version


def test_a_refusal_as_it_is_shown_names_the_trigger_once():
    with pytest.raises(Refused) as refusal:
        asked("answer", "triaged", "holder")
    assert str(refusal.value).count("answer") == 1


def test_the_refusal_is_not_an_error_of_form():
    assert not issubclass(Refused, BadInput)
