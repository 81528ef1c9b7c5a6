"""Workflow definitions: what the validator refuses, in which words and where; what the digest covers; how YAML is read."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import yamltext
from states.decide import decide
from states.definition import Definition, parse
from states.diagram import mermaid
from states.dossier import DUE, SYSTEM, Act, Actor
from states.errors import DefinitionError
from states.machine import Compiled
from tests.states.dossiers import (
    CONTEXT,
    COUPE_FILE,
    DAY,
    ELAPSED,
    HOLDING,
    RACCORDEMENT,
    START,
    WORKFLOWS,
    Spoil,
    clock,
    compiled,
    opened,
    plain,
    small,
)

SHIPPED = sorted(WORKFLOWS.glob("*.yaml"))


def problems(data: Any) -> list[tuple[tuple[str, ...], str]]:
    """Give what the validator says against a definition."""
    with pytest.raises(DefinitionError) as refusal:
        parse(data)
    return refusal.value.problems


def spoiled(spoil: Spoil) -> dict[str, Any]:
    data = plain("coupe-file")
    spoil(data)
    return data


def trigger(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(trigger for trigger in data["triggers"] if trigger["name"] == name)


# The definitions that are shipped


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_definition_is_sound(path: Path):
    definition = parse(yamltext.read(path).data)
    assert path.name == f"{definition.id}.v{definition.version}.yaml"


@pytest.mark.parametrize("machine", [COUPE_FILE, RACCORDEMENT], ids=lambda machine: machine.definition.id)
def test_the_diagram_mentions_every_state_trigger_and_move_of_the_clock(machine: Any):
    definition: Definition = machine.definition
    lines = mermaid(definition).splitlines()
    assert lines[:2] == ["stateDiagram-v2", f"    [*] --> {definition.initial}"]
    for name, state in definition.states.items():
        assert f"    {name} : {state.label}" in lines
        assert (f"    {name} --> [*]" in lines) is state.terminal
    for asked in definition.triggers:
        for source in definition.sources(asked):
            target = source if asked.to == "=" else asked.to
            (line,) = [line for line in lines if line.startswith(f"    {source} --> {target} :")]
            names = line.split(" : ")[1].split(", ")
            assert (asked.name + " ⏱" * ("system" in asked.by)) in names


# What is refused: each row spoils the coupe-file in one way, and says the place and a word of the sentence.

REFUSED: dict[str, tuple[Spoil, tuple[str, ...], str]] = {
    "a state never reached": (
        lambda d: d["states"].update(lost={"phase": "triaged"}),
        ("states", "lost"),
        "jamais atteint",
    ),
    "no terminal state": (
        lambda d: d["states"]["resolved"].update(terminal="false", phase="escalated"),
        ("states",),
        "aucun état terminal",
    ),
    "a terminal state in another phase": (
        lambda d: d["states"]["triaged"].update(terminal="true"),
        ("states", "triaged"),
        "phase est resolved",
    ),
    "a phase that does not exist": (
        lambda d: d["states"]["triaged"].update(phase="pending"),
        ("states", "triaged", "phase"),
        "submitted",
    ),
    "a clock that a note on a closed dossier starts": (
        lambda d: (
            d["triggers"].append({"name": "note", "from": "closed", "to": "=", "by": ["holder"]}),
            d["clocks"]["rung"]["start"]["when"].append("note"),
        ),
        ("clocks", "rung"),
        "note",
    ),
    "a service consulted by another name": (
        lambda d: trigger(d, "consult").update(name="ask_service"),
        ("triggers",),
        "« consult »",
    ),
    "a service consulted without a question": (
        lambda d: trigger(d, "consult").update(needs=["consulted"]),
        ("triggers",),
        "consulted et question",
    ),
    "an act that is called as one that takes an avis back": (
        lambda d: trigger(d, "recall").update(effects=[]),
        ("triggers",),
        "« recall »",
    ),
    "days given by a field without bounds": (
        lambda d: (
            d["clocks"]["rung"].update(length={"given_days": "jobs"}, reminders=[]) or d["fields"]["jobs"].pop("max")
        ),
        ("clocks", "rung", "length"),
        "borné",
    ),
    "days given by a field that may be none": (
        lambda d: d["clocks"]["rung"].update(length={"given_days": "jobs"}, reminders=[]),
        ("fields", "jobs"),
        "entre 1 et",
    ),
    "a rung that comes after one above it": (
        lambda d: d["ladder"][1].update(after=["region"]),
        ("ladder", "1", "after"),
        "« region » n'est pas un échelon inférieur",
    ),
    "a statement that the clock would have to write": (
        lambda d: d["ladder"][1].update(needs=["reason"]),
        ("ladder", "1", "auto"),
        "l'horloge n'écrit pas",
    ),
    "a service consulted without a look at who holds the dossier": (
        lambda d: trigger(d, "consult").update(guards=[]),
        ("triggers",),
        "consults_another_unit",
    ),
    "an empty choice": (lambda d: d["fields"]["outcome"]["of"].append(""), ("fields", "outcome"), ""),
    "a broken character in a choice": (
        lambda d: d["fields"]["outcome"]["of"].append("a\ud800"),
        ("fields", "outcome"),
        "",
    ),
    "a bound that no number reaches": (
        lambda d: d["fields"]["reason"].update(max="9" * 25),
        ("fields", "reason"),
        "",
    ),
    "an empty role": (lambda d: d["roles"].append(""), ("roles",), ""),
    "a NUL in a role": (lambda d: d["roles"].append("a\0b"), ("roles",), ""),
    "an initial state that does not exist": (lambda d: d.update(initial="new"), ("initial",), "submitted, triaged"),
    "an initial state that is terminal": (lambda d: d.update(initial="resolved"), ("initial",), "terminal"),
    "a trigger that nobody may ask": (
        lambda d: trigger(d, "resolve").update(by=[]),
        ("triggers", "9", "by"),
        "personne",
    ),
    "a trigger asked from nowhere": (lambda d: trigger(d, "assign").update({"from": []}), ("triggers", "1"), ""),
    "a submission that nobody may make": (lambda d: d["submission"].update(by=[]), ("submission", "by"), "personne"),
    "an unknown role": (
        lambda d: trigger(d, "resolve").update(by=["mayor"]),
        ("triggers", "9", "by"),
        "accepté : holder, referent",
    ),
    "an unknown role at submission": (
        lambda d: d["submission"].update(by=["mayor"]),
        ("submission", "by"),
        "accepté : holder",
    ),
    "an unknown role on the ladder": (
        lambda d: d["ladder"][6].update(only_by=["mayor"]),
        ("ladder", "6", "only_by"),
        "inconnu « mayor »",
    ),
    "an unknown field that is needed": (
        lambda d: trigger(d, "resolve").update(needs=["colour"]),
        ("triggers", "9", "needs"),
        "accepté : topic, commune",
    ),
    "an unknown field that is optional": (
        lambda d: trigger(d, "resolve").update(optional=["colour"]),
        ("triggers", "9", "optional"),
        "accepté : topic, commune",
    ),
    "an unknown field at submission": (
        lambda d: d["submission"]["needs"].append("colour"),
        ("submission", "needs"),
        "colour",
    ),
    "an unknown state in from": (
        lambda d: trigger(d, "resolve").update({"from": "pending"}),
        ("triggers", "9", "from"),
        "accepté : open, closed, submitted",
    ),
    "an unknown state in to": (
        lambda d: trigger(d, "resolve").update(to="pending"),
        ("triggers", "9", "to"),
        "accepté : '=', submitted",
    ),
    "an unknown guard": (
        lambda d: trigger(d, "resolve").update(guards=["full_moon"]),
        ("triggers", "9", "guards", "0"),
        "accepté : 'actor_below_current_rung'",
    ),
    "an unknown effect": (
        lambda d: trigger(d, "resolve").update(effects=["explode"]),
        ("triggers", "9", "effects", "0"),
        "accepté : 'assign'",
    ),
    "an unknown seat": (
        lambda d: trigger(d, "resolve").update(tell=["everybody"]),
        ("triggers", "9", "tell", "0"),
        "accepté : 'holder'",
    ),
    "an unknown type of field": (
        lambda d: d["fields"]["reason"].update(type="essay"),
        ("fields", "reason", "type"),
        "accepté : 'text'",
    ),
    "an unknown key": (lambda d: d.update(colour="red"), ("colour",), "inconnu ici"),
    "a trigger declared twice from a state": (
        lambda d: d["triggers"].append(dict(trigger(d, "triage"))),
        ("triggers", "19", "from"),
        "deux fois",
    ),
    "a reserved name of trigger": (
        lambda d: trigger(d, "reopen").update(name="submit"),
        ("triggers", "11", "name"),
        "réservé",
    ),
    "a reserved name of state": (
        lambda d: d["states"].update(open={"phase": "triaged"}),
        ("states", "open"),
        "réservés",
    ),
    "a clock that nothing starts": (
        lambda d: d["clocks"]["rung"]["start"].update(when=[]),
        ("clocks", "rung", "start", "when"),
        "",
    ),
    "a clock that nothing stops": (
        lambda d: d["clocks"]["rung"]["stop"].update(when=[]),
        ("clocks", "rung", "stop", "when"),
        "",
    ),
    "a clock started by an unknown trigger": (
        lambda d: d["clocks"]["rung"]["start"].update(when=["dawn"]),
        ("clocks", "rung", "start", "when"),
        "accepté : answer, assign",
    ),
    "a clock that runs on after the end": (
        lambda d: d["clocks"]["rung"]["stop"].update(when=["resolve", "exhaust"]),
        ("clocks", "rung", "stop", "when"),
        "« withdraw » clôt le dossier",
    ),
    "a clock started by what ends the dossier": (
        lambda d: d["clocks"]["resolution"]["start"].update(when=["submit", "resolve"]),
        ("clocks", "resolution"),
        "resolve",
    ),
    "a clock that fires an unknown trigger": (
        lambda d: d["clocks"]["rung"]["due"].update(fire="explode"),
        ("clocks", "rung", "due"),
        "explode",
    ),
    "a clock that fires what the system may not ask": (
        lambda d: d["clocks"]["rung"]["due"].update(fire="resolve"),
        ("clocks", "rung", "due"),
        "system",
    ),
    "a clock that fires what asks for more than it can give": (
        lambda d: (trigger(d, "hold")["by"].append("system"), d["clocks"]["resolution"]["due"].update(fire="hold")),
        ("clocks", "resolution", "due"),
        "hold",
    ),
    "a clock that fires a trigger with a reason and gives none": (
        lambda d: d["clocks"]["rung"]["due"].pop("reason"),
        ("clocks", "rung", "due"),
        "reason",
    ),
    "an else without fire": (
        lambda d: d["clocks"]["resolution"]["due"].update({"else": "exhaust"}),
        ("clocks", "resolution", "due", "else"),
        "fire",
    ),
    "a ladder without end": (
        lambda d: d["clocks"]["rung"]["due"].pop("else"),
        ("clocks", "rung", "due", "else"),
        "l'échelle a une fin",
    ),
    "a ladder whose end starts the clock anew": (
        lambda d: d["clocks"]["rung"]["start"]["when"].append("exhaust"),
        ("clocks", "rung"),
        "exhaust",
    ),
    "a ladder that is climbed by else, and has no end": (
        lambda d: d["clocks"]["rung"]["due"].update({"fire": "exhaust", "else": "escalate"}),
        ("clocks", "rung"),
        "",
    ),
    "a ladder whose end is not possible where the clock runs": (
        lambda d: trigger(d, "exhaust").update({"from": ["submitted"]}),
        ("clocks", "rung"),
        "exhaust",
    ),
    "a climb without a ladder": (lambda d: d.update(ladder=[]), ("ladder",), "échelle"),
    "a climb without its guard": (
        lambda d: trigger(d, "escalate").update(guards=[]),
        ("triggers", "6", "guards"),
        "climb",
    ),
    "a descent without its guard": (
        lambda d: trigger(d, "take_back").update(guards=[]),
        ("triggers", "8", "guards"),
        "descend",
    ),
    "an assignment without its guard": (
        lambda d: trigger(d, "assign").update(guards=[]),
        ("triggers", "1", "guards"),
        "assign",
    ),
    "a hold without its guards": (
        lambda d: trigger(d, "hold").update(guards=[]),
        ("triggers", "2", "guards"),
        "open_hold",
    ),
    "a hold without a term": (
        lambda d: trigger(d, "hold").update(needs=["motive", "reason"]),
        ("triggers", "2", "needs"),
        "answer_by",
    ),
    "the end of a hold without its guard": (
        lambda d: trigger(d, "end_hold").update(guards=[]),
        ("triggers", "4", "guards"),
        "hold_open",
    ),
    "a hold that the clock cannot end": (
        lambda d: trigger(d, "end_hold").update(by=["head"]),
        ("triggers",),
        "finir seule",
    ),
    "a hold that the clock cannot end everywhere": (
        lambda d: trigger(d, "end_hold").update({"from": ["triaged"]}),
        ("triggers",),
        "finir seule",
    ),
    "the end of a hold behind another guard": (
        lambda d: trigger(d, "end_hold")["guards"].append("no_rung_above"),
        ("triggers",),
        "",
    ),
    "a guard that reads a field which is not asked": (
        lambda d: trigger(d, "resolve").update(guards=["member_of_unit"]),
        ("triggers", "9"),
        "to_user",
    ),
    "a placement without a unit": (
        lambda d: trigger(d, "triage").update(needs=[]),
        ("triggers", "0", "needs"),
        "to_unit",
    ),
    "an outcome that is not one": (
        lambda d: trigger(d, "withdraw").update(sets={"outcome": "vanished"}),
        ("triggers", "10"),
        "vanished",
    ),
    "an unknown motive of hold": (
        lambda d: d["clocks"]["rung"]["hold"].update(weather="pause"),
        ("clocks", "rung", "hold", "weather"),
        "accepté : default, piece_required",
    ),
    "an unknown effect of a hold": (
        lambda d: d["clocks"]["rung"]["hold"].update(default="stop"),
        ("clocks", "rung", "hold", "default"),
        "accepté : 'pause', 'restart', 'ignore', 'late_only' ou 'rule'",
    ),
    "two reminders of one name": (
        lambda d: d["clocks"]["rung"]["reminders"].append(dict(d["clocks"]["rung"]["reminders"][0])),
        ("clocks", "rung", "reminders"),
        "même nom",
    ),
    "a reminder at two instants": (
        lambda d: d["clocks"]["rung"]["reminders"][0].update(before={"elapsed_days": "1"}),
        ("clocks", "rung", "reminders", "0"),
        "exactement un",
    ),
    "a reminder named like a step": (
        lambda d: d["clocks"]["rung"]["reminders"][0].update(id="due"),
        ("clocks", "rung", "reminders", "0"),
        "réservés",
    ),
    "a reminder before its clock starts": (
        lambda d: d["clocks"]["triage"]["reminders"][1].update(before={"elapsed_days": "3"}),
        ("clocks", "triage", "reminders", "1"),
        "",
    ),
    "a reminder after its clock is due": (
        lambda d: d["clocks"]["triage"]["reminders"].append(
            {"id": "x", "after": {"elapsed_days": "3"}, "to": ["unit"]}
        ),
        ("clocks", "triage", "reminders", "2"),
        "",
    ),
    "a share over the whole": (
        lambda d: d["clocks"]["rung"]["reminders"][0].update(share="3/2"),
        ("clocks", "rung", "reminders", "0", "share"),
        "entre 0 et 1",
    ),
    "a share of nothing": (
        lambda d: d["clocks"]["rung"]["reminders"][0].update(share="1/0"),
        ("clocks", "rung", "reminders", "0", "share"),
        "entre 0 et 1",
    ),
    "a share as a decimal": (
        lambda d: d["clocks"]["rung"]["reminders"][0].update(share="0.5"),
        ("clocks", "rung", "reminders", "0", "share"),
        "1/2",
    ),
    "a length in two units": (
        lambda d: d.update(look_again={"elapsed_days": "1", "elapsed_hours": "2"}),
        ("look_again",),
        "une seule durée",
    ),
    "a length without a number": (lambda d: d.update(look_again={"elapsed_days": None}), ("look_again",), ""),
    "a clock without a length": (
        lambda d: d["clocks"]["rung"]["length"].update(elapsed_days=None),
        ("clocks", "rung", "length"),
        "",
    ),
    "a length of nothing": (lambda d: d.update(idle={"elapsed_days": "0"}), ("idle", "elapsed_days"), ""),
    "a length that no calendar holds": (
        lambda d: d["clocks"]["rung"].update(length={"elapsed_minutes": "9" * 15}),
        ("clocks", "rung", "length"),
        "",
    ),
    "a due date in a field that is not asked at submission": (
        lambda d: d["clocks"]["rung"].update(length={"field": "answer_by"}),
        ("clocks", "rung", "length", "field"),
        "soumission",
    ),
    "a choice without choices": (lambda d: d["fields"]["outcome"].update(of=[]), ("fields", "outcome"), "of"),
    "a text without a bound": (lambda d: d["fields"]["reason"].pop("max"), ("fields", "reason"), "max"),
    "a text that cannot be written": (
        lambda d: d["fields"].update(reason={"type": "text", "max": "0"}),
        ("fields", "reason"),
        "max",
    ),
    "bounds that cross": (lambda d: d["fields"]["reason"].update(min="9000"), ("fields", "reason"), "min dépasse max"),
    "a field whose name has a type of its own": (
        lambda d: d["fields"]["to_unit"].update(type="code"),
        ("fields", "to_unit", "type"),
        "unit",
    ),
    "two rungs of one name": (lambda d: d["ladder"][1].update(rung="territory"), ("ladder",), "même nom"),
    "a schema of the future": (lambda d: d.update(schema="2"), ("schema",), "trop grand"),
    "a version that is not a number": (lambda d: d.update(version="one"), ("version",), "entier"),
    "a version that no database holds": (lambda d: d.update(version="9" * 30), ("version",), ""),
    "an effective date that is not one": (
        lambda d: d["effective"].update({"from": "soon"}),
        ("effective", "from"),
        "AAAA-MM-JJ",
    ),
    "an effective date in seconds": (
        lambda d: d["effective"].update({"from": "86400"}),
        ("effective", "from"),
        "AAAA-MM-JJ",
    ),
    "a yes that is neither true nor false": (
        lambda d: d["states"]["resolved"].update(terminal="peut-être"),
        ("states", "resolved", "terminal"),
        "true ou false",
    ),
    "a list given as a word": (lambda d: d.update(roles="holder"), ("roles",), "une liste"),
    "keys given as a word": (lambda d: d.update(states="submitted"), ("states",), "clés"),
    "a missing part": (lambda d: d.pop("initial"), ("initial",), "obligatoire"),
    "a NUL in a title": (lambda d: d.update(title="a\0b"), ("title",), ""),
    "a broken character in a title": (lambda d: d.update(title="a\ud800b"), ("title",), ""),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_validator_refuses(what: str):
    spoil, place, words = REFUSED[what]
    found = problems(spoiled(spoil))
    near = [sentence for where, sentence in found if where[: len(place)] == place]
    assert any(words in sentence for sentence in near), found
    assert all(sentence for _, sentence in found)


@pytest.mark.parametrize("data", [None, [], "", "coupe-file", 1, {}, {1: 2}, {"schema": "1"}])
def test_something_that_is_no_definition_is_refused_in_words(data: Any):
    assert problems(data)


def test_every_problem_is_said_at_once():
    def spoil(data: dict[str, Any]) -> None:
        trigger(data, "resolve").update(by=["mayor"], to="nowhere")
        data["clocks"]["rung"]["due"].update(fire="explode")

    places = {place for place, _ in problems(spoiled(spoil))}
    assert {("triggers", "9", "by"), ("triggers", "9", "to"), ("clocks", "rung", "due")} <= places


ENGLISH = ("Input should", "should have", "Unable to", "Datetimes", "valid")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(idle={"elapsed_days": "0"}),
        lambda d: d["clocks"]["rung"]["stop"].update(when=[]),
        lambda d: d["effective"].update({"from": "2026"}),
        lambda d: d.update(version="9" * 5000),
        lambda d: d.update(title=["a"]),
        lambda d: d["states"].update(triaged="triaged"),
        lambda d: d["clocks"]["rung"].update(due=None),
    ],
    ids=["zero", "empty", "year", "digits", "list", "word", "nothing"],
)
def test_the_validator_speaks_french(spoil: Spoil):
    for _, sentence in problems(spoiled(spoil)):
        assert not any(word in sentence for word in ENGLISH), sentence


def test_a_place_holds_words_of_the_file_and_no_name_of_the_program():
    for place, _ in problems(spoiled(lambda d: d["clocks"]["rung"].update(length={"elapsed_weeks": "2"}))):
        assert not any(part in " ".join(place) for part in ("Elapsed", "UntilField", "function"))


def test_an_unknown_key_is_refused_with_those_that_are_accepted():
    ((_, sentence),) = problems(spoiled(lambda d: trigger(d, "resolve").update(form="triaged")))
    assert "from" in sentence


def test_the_line_of_a_problem_is_the_line_of_the_file():
    path = ELAPSED
    text = path.read_text(encoding="utf-8").replace(
        "by: [referent, head, prefet],\n     needs: [outcome", "by: [mayor],\n     needs: [outcome"
    )
    document = yamltext.parse(text)
    ((place, _),) = problems(document.data)
    assert place == ("triggers", "9", "by")
    line = document.line(place)
    assert "by: [mayor]" in "\n".join(text.splitlines()[line - 1 : line + 1])
    assert "resolve" in text.splitlines()[line - 1] or "[mayor]" in text.splitlines()[line - 1]


@pytest.mark.parametrize("what", REFUSED)
def test_every_place_of_a_problem_has_a_line(what: str):
    spoil, _, _ = REFUSED[what]
    document = yamltext.read(ELAPSED)
    spoil(document.data)
    try:
        parse(document.data)
    except DefinitionError as error:
        for place, _ in error.problems:
            assert document.line(place) > 1 or place[0] not in document.data


# What such a definition would do


@pytest.mark.parametrize(
    "name", ["state", "trigger", "args", "effect", "actor", "put", "emit", "initial", "add_model", "events", "may"]
)
def test_a_trigger_whatever_its_name_is_refused_by_the_validator_or_runs(name: str):
    data = small(clocks={}, triggers=[{"name": name, "from": "open", "to": "=", "by": ["referent"]}])
    try:
        definition = parse(data)
    except DefinitionError:
        return
    machine = Compiled(definition)
    act = Act(name, Actor(2, 10, "referent"))
    (event,) = decide(machine, opened(machine, data={}), act, context=CONTEXT, at=START).events
    assert event.kind == name


def test_a_definition_with_two_ends_of_a_hold_still_ends_it_by_itself_in_every_state():
    hold, end = HOLDING
    resume = {**end, "name": "resume", "from": ["later"], "by": ["system"]}
    data = small(
        clocks={},
        triggers=[resume, {"name": "go", "from": "open_", "to": "later", "by": ["referent"]}, hold, end,
                  {"name": "stop", "from": "later", "to": "shut", "by": ["referent"]}],
    )  # fmt: skip
    data["states"]["later"] = {"phase": "triaged"}
    machine = compiled(data)
    args = {"motive": "wait", "answer_by": (START + DAY).isoformat()}
    act = Act("hold", Actor(2, 10, "referent"), args)
    held = decide(machine, opened(machine, data={}), act, context=CONTEXT, at=START).after
    (event,) = decide(machine, held, DUE, context=CONTEXT, at=START + 2 * DAY).events
    assert (event.kind, event.actor) == ("end_hold", SYSTEM)


# The digest


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_digest_is_stable_under_comments_key_order_and_spacing(path: Path):
    definition = parse(yamltext.read(path).data)
    noisy = "# a comment\n\n" + path.read_text(encoding="utf-8").replace("{name:", "{  name:   ") + "\n# the end\n"
    assert parse(yamltext.parse(noisy).data).digest() == definition.digest()
    for width, flow in ((40, False), (1000, True)):
        written = yaml.safe_dump(
            shuffled(yamltext.read(path).data), sort_keys=False, width=width, default_flow_style=flow
        )
        assert parse(yamltext.parse(written).data).digest() == definition.digest()


def shuffled(value: Any) -> Any:
    """Give the same values with their keys in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.Random(len(keys)).shuffle(keys)
        return {key: shuffled(value[key]) for key in keys}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def test_a_default_written_out_says_the_same():
    same = spoiled(lambda d: (d.update(idle={"elapsed_days": "30"}), d["states"]["triaged"].update(terminal="false")))
    assert parse(same).digest() == COUPE_FILE.definition.digest()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["clocks"]["rung"]["length"].update(elapsed_days="15"),
        lambda d: d["clocks"]["rung"]["reminders"][0].update(share="1/3"),
        lambda d: d["clocks"]["rung"]["hold"].update(third_party="pause"),
        lambda d: trigger(d, "resolve")["by"].append("manager"),
        lambda d: trigger(d, "resolve").update(tell=[]),
        lambda d: d["ladder"][5].update(auto="false"),
        lambda d: d.update(title="Autre"),
        lambda d: d.update(version="2"),
        lambda d: d["fields"]["reason"].update(max="1999"),
        lambda d: d.update(reopen_window={"elapsed_days": "61"}),
        lambda d: d["triggers"].append(d["triggers"].pop(0)),
        lambda d: d["ladder"].append(d["ladder"].pop(0)),
    ],
)
def test_the_digest_changes_with_the_meaning(spoil: Spoil):
    assert parse(spoiled(spoil)).digest() != COUPE_FILE.definition.digest()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_what_is_stored_of_a_definition_reads_back_as_the_same_definition(path: Path):
    definition = parse(yamltext.read(path).data)
    again = parse(definition.meaning())
    assert again.digest() == definition.digest()
    assert again.meaning() == definition.meaning()
    assert again == definition


# YAML


def test_every_scalar_is_the_text_that_was_written():
    text = (
        "on: off\nno: yes\nat: 18:00\ncommune: 01004\noctal: 0o17\nfloat: 1.0\ndate: 2026-01-01\nnull: ~\nbig: 1_000\n"
    )
    assert yamltext.parse(text).data == {
        "on": "off",
        "no": "yes",
        "at": "18:00",
        "commune": "01004",
        "octal": "0o17",
        "float": "1.0",
        "date": "2026-01-01",
        "null": "~",
        "big": "1_000",
    }


def test_nothing_written_is_none_and_an_empty_text_is_empty():
    assert yamltext.parse("a:\nb: ''\n").data == {"a": None, "b": ""}


def test_an_empty_file_is_no_definition():
    assert problems(yamltext.parse("# nothing\n").data)


def test_a_byte_order_mark_and_crlf_change_nothing():
    path = ELAPSED
    text = "\ufeff" + path.read_text(encoding="utf-8").replace("\n", "\r\n")
    assert yamltext.parse(text).data == yamltext.read(path).data


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "« a » est donnée deux fois"),
        ("a:\n  b: 1\n  b: 2\n", 3, "deux fois"),
        ("a: 1\n? [x, y]\n: 2\n", 2, "une clé"),
        ("a: &x [1]\nb: 1\nc: *x\n", 1, "alias"),
        ("a: &x foo\nb: 1\n*x : bar\n", 3, "alias"),
        ("a: &x [*x]\n", 1, "alias"),
        ("a: 1\nb: [1, 2\n", 3, ""),
        ("a: 1\nb: '2\n", 3, ""),
        ("a: 1\n\tb: 2\n", 2, ""),
        ("a: 1\n---\nb: 2\n", 2, ""),
        ("a: 1\nb: 2\nc: \0\n", 3, ""),
        ("a: 1\nb: \x07\n", 2, ""),
        ('a: 1\nb: "\\0"\n', 2, ""),
        ('a: 1\nb: "\\ud800"\n', 2, ""),
    ],
)  # fmt: skip
def test_yaml_that_cannot_be_read_is_refused_with_its_line(text: str, line: int, words: str):
    with pytest.raises(yamltext.YamlError) as refusal:
        yamltext.parse(text)
    assert f"ligne {line} " in str(refusal.value) or (words == "alias" and "ligne" in str(refusal.value))
    assert words in str(refusal.value)


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(yamltext.YamlError, match="alias"):
        yamltext.parse(text)


@pytest.mark.parametrize("text", ["[" * 20_000, "{a: " * 20_000, "- " * 20_000, "[" * 20_000 + "]" * 20_000])
def test_a_bottomless_document_is_refused_in_words(text: str):
    with pytest.raises(yamltext.YamlError):
        yamltext.parse(text)


def test_python_in_yaml_is_only_text():
    assert yamltext.parse("a: !!python/object/apply:os.system [id]\n").data == {"a": ["id"]}


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(yamltext.YamlError, match=r"latin\.yaml, ligne 2 : .* UTF-8"):
        yamltext.read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_wide_encoding_is_refused(tmp_path: Path, encoding: str):
    path = tmp_path / "wide.yaml"
    path.write_bytes("a: 1\n".encode(encoding))
    with pytest.raises(yamltext.YamlError, match=r"wide\.yaml"):
        yamltext.read(path)


def test_a_file_that_is_too_large_is_refused_with_its_size_and_the_limit(tmp_path: Path):
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * yamltext.MAX_BYTES)
    with pytest.raises(yamltext.YamlError, match=r"1000005 octets ; accepté : 1000000"):
        yamltext.read(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_half_a_file_is_refused(path: Path):
    raw = path.read_bytes()
    for cut in range(0, len(raw) // 2, 61):
        with pytest.raises((yamltext.YamlError, DefinitionError)):
            parse(yamltext.parse(raw[:cut].decode("utf-8", "ignore")).data)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_file_cut_within_a_line_is_refused(path: Path):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    for number, line in list(enumerate(lines))[::4]:
        words = line.split("#")[0].rstrip()
        if len(words.strip()) < 4:
            continue
        middle = len(line) - len(line.lstrip()) + len(words.strip()) // 2
        with pytest.raises((yamltext.YamlError, DefinitionError)):
            parse(yamltext.parse("".join(lines[:number]) + line[:middle]).data)


def test_a_clock_of_the_small_definition_is_sound():
    assert compiled(small(clocks={"one": clock()})).definition.id == "small"
