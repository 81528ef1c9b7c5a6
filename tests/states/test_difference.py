"""What differs between two definitions is said in French, whole: nothing said means the same digest, and the reverse."""

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from states.definition import Definition, parse
from states.difference import GROUPS, differences
from tests.states.dossiers import COUPE_FILE, RACCORDEMENT, Spoil, plain


def said(spoil: Spoil) -> list[tuple[str, str]]:
    """Give the group and the sentence of each difference that a change to the coupe-file makes."""
    data = plain("coupe-file")
    spoil(data)
    return [(one.group, one.sentence) for one in differences(COUPE_FILE.definition, parse(data))]


def trigger(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(trigger for trigger in data["triggers"] if trigger["name"] == name)


# Each row changes the coupe-file in one way, and says the group and the whole sentence.
SENTENCES: dict[str, tuple[Spoil, str, str]] = {
    "a shorter delay": (
        lambda d: d["clocks"]["rung"].update(length={"elapsed_days": "10"}),
        "délais",
        "Le délai « Réponse de l'échelon » passe de 14 à 10 jours",
    ),
    "a delay in another unit": (
        lambda d: d["clocks"]["triage"].update(length={"elapsed_hours": "48"}),
        "délais",
        "Le délai « Orientation » passe de 2 jours à 48 heures",
    ),
    "a role that loses an act": (
        lambda d: trigger(d, "transfer")["by"].remove("manager"),
        "actes",
        "L'acte « Transmettre » n'est plus ouvert au rôle « manager »",
    ),
    "a role that gains an act": (
        lambda d: trigger(d, "resolve")["by"].append("manager"),
        "actes",
        "L'acte « Résoudre » est ouvert au rôle « manager »",
    ),
    "a field that is no longer asked": (
        lambda d: trigger(d, "transfer")["needs"].remove("reason"),
        "actes",
        "L'acte « Transmettre » n'exige plus le champ « reason »",
    ),
    "somebody who is told": (
        lambda d: trigger(d, "resolve")["tell"].append("unit"),
        "actes",
        "L'acte « Résoudre » prévient le service",
    ),
    "a submission that asks for less": (
        lambda d: d["submission"]["needs"].remove("blockage"),
        "actes",
        "Le dépôt n'exige plus le champ « blockage »",
    ),
    "an act that goes elsewhere": (
        lambda d: trigger(d, "reopen").update(to="escalated"),
        "actes",
        "L'acte « Rouvrir » : l'état d'arrivée passe de « triaged » à « escalated »",
    ),
    "a hold that stops a clock": (
        lambda d: d["clocks"]["rung"]["hold"].update(third_party="pause"),
        "délais",
        "Le délai « Réponse de l'échelon » s'arrête désormais pendant une suspension « third_party »",
    ),
    "a reminder": (
        lambda d: d["clocks"]["rung"]["reminders"][0].update(share="1/3"),
        "délais",
        "Le rappel « half » du délai « Réponse de l'échelon » : la part du délai passe de « 1/2 » à « 1/3 »",
    ),
    "a clock that goes": (lambda d: d["clocks"].pop("resolution"), "délais", "Le délai « Résolution » disparaît"),
    "a label": (
        lambda d: d["states"]["triaged"].update(label="Qualifié"),
        "états",
        "L'état « Orienté » s'appelle désormais « Qualifié »",
    ),
    "a rung that the clock may climb to": (
        lambda d: d["ladder"][6].update(auto="true"),
        "échelle",
        "L'échelon « France Simplification » : la saisie par l'horloge passe de non à oui",
    ),
    "two rungs exchanged": (lambda d: d["ladder"].insert(2, d["ladder"].pop(3)), "échelle", "L'ordre des échelons change"),
    "a bound": (
        lambda d: d["fields"]["reason"].update(max="1999"),
        "champs",
        "Le champ « reason » : le maximum passe de 2000 à 1999",
    ),
    "the version": (lambda d: d.update(version="2"), "définition", "La version passe de 1 à 2"),
}  # fmt: skip


@pytest.mark.parametrize("what", SENTENCES)
def test_a_difference_is_said_in_a_sentence_of_its_group(what: str):
    spoil, group, sentence = SENTENCES[what]
    assert said(spoil) == [(group, sentence)]


def test_differences_come_group_by_group():
    def spoil(data: dict[str, Any]) -> None:
        for one in SENTENCES.values():
            if one[2] != "Le délai « Résolution » disparaît":
                one[0](data)

    groups = [group for group, _ in said(spoil)]
    assert groups == sorted(groups, key=GROUPS.index)
    assert set(groups) == set(GROUPS)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the path of every part of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def changed(document: dict[str, Any], path: tuple[Any, ...], chance: random.Random) -> None:
    """Change one part of a document in one way that its kind allows."""
    *above, last = path
    inside: Any = document
    for key in above:
        inside = inside[key]
    value = inside[last]
    if isinstance(value, bool):
        inside[last] = not value
    elif isinstance(value, int):
        inside[last] = value + chance.choice([1, 2])
    elif isinstance(value, list) and value:
        what = chance.choice(["swap", "drop", "twice"])
        if what == "swap":
            value.append(value.pop(0))
        elif what == "drop":
            value.pop()
        else:
            value.append(copy.deepcopy(value[0]))
    elif isinstance(value, dict) and value and chance.random() < 0.7:
        value.pop(chance.choice(list(value)))
    elif isinstance(value, str) and chance.random() < 0.7:
        inside[last] = chance.choice(
            ["unit", "holder", "other", value + "s", "open_hold", "pause", "ignore", "resolved"]
        )
    else:
        del inside[last]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([COUPE_FILE, RACCORDEMENT]), st.integers(0, 2**32), st.integers(0, 4))
def test_two_definitions_have_the_same_digest_if_and_only_if_nothing_is_said(machine: Any, seed: int, changes: int):
    chance, before = random.Random(seed), machine.definition
    document = before.meaning()
    for _ in range(changes):
        path = chance.choice([place for place in places(document) if place])
        kept = copy.deepcopy(document)
        changed(document, path, chance)
        try:
            after = Definition.model_validate(document)
        except ValidationError:
            document = kept
    after = Definition.model_validate(document)
    there, back = differences(before, after), differences(after, before)
    assert (not there) == (before.digest() == after.digest())
    assert len(there) == len(back)
    assert len({(one.place, repr(one.old), repr(one.new)) for one in there}) == len(there)


@pytest.mark.parametrize("machine", [COUPE_FILE, RACCORDEMENT])
def test_every_single_change_of_a_definition_is_said_where_it_is(machine: Any):
    """Each leaf of the meaning in turn, set to something else of its kind."""
    tried = 0
    for path in places(machine.definition.meaning()):
        document = machine.definition.meaning()
        inside: Any = document
        for key in path[:-1]:
            inside = inside[key]
        value = inside[path[-1]] if path else None
        if isinstance(value, bool):
            inside[path[-1]] = not value
        elif isinstance(value, int):
            inside[path[-1]] = value + 1
        elif isinstance(value, str) and path[-1] in ("label", "title", "basis"):
            inside[path[-1]] = value + " bis"
        else:
            continue
        try:
            after = Definition.model_validate(document)
        except ValidationError:
            continue
        (one,) = differences(machine.definition, after)
        assert one.place.rpartition(".")[2] in map(str, path)
        tried += 1
    assert tried > 30
