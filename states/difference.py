"""What differs between two definitions, in French sentences: every difference of meaning is said, and nothing else.

Both meanings are walked together. A place with words of its own is said in them; any other is said plainly, so that a
part added to the schema is never passed over in silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from states.definition import Definition
from states.dossier import Json

GROUPS = ("définition", "états", "actes", "délais", "échelle", "champs")
# The named parts: group, what one is called, and what several are.
_PARTS = {
    "states": ("états", "L'état", "des états"),
    "triggers": ("actes", "L'acte", "des actes"),
    "clocks": ("délais", "Le délai", "des délais"),
    "ladder": ("échelle", "L'échelon", "des échelons"),
    "fields": ("champs", "Le champ", "des champs"),
}
_KEYS = ("name", "rung", "id")  # by what a part of a list is known
_UNITS = {
    "elapsed_days": ("jour", "jours"), "elapsed_hours": ("heure", "heures"), "elapsed_minutes": ("minute", "minutes"),
    "elapsed_seconds": ("seconde", "secondes"), "working_days": ("jour d'ouverture", "jours d'ouverture"),
    "working_hours": ("heure d'ouverture", "heures d'ouverture"),
    "working_minutes": ("minute d'ouverture", "minutes d'ouverture"),
}  # fmt: skip
_SEATS = {
    "holder": "le porteur", "assignee": "la personne chargée du dossier", "unit": "le service", "head": "le chef de service",
    "manager": "le pilote",
}  # fmt: skip
# What is said of a word that a list gains, and of one that it loses.
_LISTS = {
    "from": ("est possible dans l'état {}", "n'est plus possible dans l'état {}"),
    "by": ("est ouvert au rôle {}", "n'est plus ouvert au rôle {}"),
    "needs": ("exige le champ {}", "n'exige plus le champ {}"),
    "optional": ("accepte le champ {}", "n'accepte plus le champ {}"),
    "guards": ("est soumis à la condition {}", "n'est plus soumis à la condition {}"),
    "effects": ("a pour effet {}", "n'a plus pour effet {}"),
    "tell": ("prévient {}", "ne prévient plus {}"),
    "to": ("prévient {}", "ne prévient plus {}"),
    "start.when": ("part à l'acte {}", "ne part plus à l'acte {}"),
    "stop.when": ("s'arrête à l'acte {}", "ne s'arrête plus à l'acte {}"),
    "of": ("admet la valeur {}", "n'admet plus la valeur {}"),
    "may": ("a le pouvoir {}", "n'a plus le pouvoir {}"),
    "only_by": ("est réservé au rôle {}", "n'est plus réservé au rôle {}"),
    "after": ("vient après l'échelon {}", "ne vient plus après l'échelon {}"),
    "roles": ("connaît le rôle {}", "ne connaît plus le rôle {}"),
}
_ORDERS = {
    "from": "des états de départ", "by": "des rôles", "needs": "des champs exigés", "optional": "des champs acceptés",
    "guards": "des conditions", "effects": "des effets", "tell": "de ceux qui sont prévenus",
    "to": "de ceux qui sont prévenus", "start.when": "des actes de départ", "stop.when": "des actes d'arrêt",
    "of": "des valeurs", "may": "des pouvoirs", "only_by": "des rôles", "after": "des échelons", "roles": "des rôles",
}  # fmt: skip
_NAMES = {
    "id": "le nom", "version": "la version", "title": "le titre", "effective.from": "l'entrée en vigueur",
    "initial": "l'état de départ", "schema": "le format", "phase": "la phase", "terminal": "le caractère final",
    "to": "l'état d'arrivée", "sets.outcome": "l'issue donnée", "family": "la famille", "basis": "le fondement",
    "record": "la mention au dépassement", "due.record": "la mention au dépassement",
    "due.fire": "l'acte demandé à l'échéance", "due.else": "l'acte demandé à défaut", "due.reason": "le motif donné",
    "share": "la part du délai", "level": "le niveau", "auto": "la saisie par l'horloge", "type": "le type",
    "min": "le minimum", "max": "le maximum", "personal": "le caractère personnel", "audience": "le public",
    "start.from": "la date de départ", "start.given": "le départ sans sa date", "start.first": "le départ unique",
    "calendar": "le calendrier", "floor": "la durée minimale", "length.at": "l'heure de l'échéance",
    "grace": "le répit après une suspension", "before": "l'avance sur l'échéance", "after": "le temps depuis le départ",
    "idle": "l'examen d'un dossier sans échéance", "look_again": "l'attente avant de redemander",
    "reopen_window": "le délai de réouverture", "longest_hold": "la plus longue suspension",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: its group, its place in the definition, both values (None: absent) and a sentence."""

    group: str
    place: str
    old: Any
    new: Any
    sentence: str


@dataclass(frozen=True, slots=True)
class _Subject:
    """What the sentences are about, and where it stands; `words` is empty for the definition itself."""

    group: str
    place: str
    words: str

    def said(self, inner: str, old: Any, new: Any, sentence: str) -> Difference:
        place = ".".join(filter(None, (self.place, inner)))
        return Difference(self.group, place, old, new, sentence[0].upper() + sentence[1:])


def differences(old: Definition, new: Definition) -> list[Difference]:
    """What changes from one definition to another, by group; empty if, and only if, they have the same digest."""
    before, after = old.meaning(), new.meaning()
    apart = {*_PARTS, "submission"}
    rest = [{name: value for name, value in one.items() if name not in apart} for one in (before, after)]
    found = list(_inside(_Subject("définition", "", ""), "", *rest))
    found += _inside(_Subject("actes", "submission", "Le dépôt"), "", before["submission"], after["submission"])
    for name, (group, one, several) in _PARTS.items():
        found += _parts(_Subject(group, name, ""), one, several, before.get(name, {}), after.get(name, {}))
    return sorted(found, key=lambda difference: GROUPS.index(difference.group))


def _parts(of: _Subject, one: str, several: str, old: Any, new: Any, among: str = "") -> Iterator[Difference]:
    """Named parts, those of a list too: the ones that go, the ones that come, what changes in each, and their order."""
    before, after = _by_name(old), _by_name(new)
    for name, value in before.items():
        if name not in after:
            yield of.said(name, value, None, f"{one} {_label(name, value)}{among} disparaît")
    for name, value in after.items():
        if name not in before:
            yield of.said(name, None, value, f"{one} {_label(name, value)}{among} apparaît")
        elif value != before[name]:
            words = f"{one} {_label(name, before[name])}{among}"
            subject = _Subject(of.group, ".".join(filter(None, (of.place, name))), words)
            yield from _inside(subject, "", before[name], value)
    kept = [name for name in before if name in after]
    if isinstance(new, list) and kept != [name for name in after if name in before]:
        yield of.said("", list(before), list(after), f"L'ordre {several}{among} change")


def _by_name(value: Any) -> dict[str, Json]:
    """Parts by name; those of a list that share a name are numbered."""
    if isinstance(value, dict):
        return value
    found: dict[str, Json] = {}
    for part in value:
        name = next(part[key] for key in _KEYS if key in part)
        again = sum(1 for other in found if other.partition("#")[0] == name)
        found[f"{name}#{again + 1}" if again else name] = part
    return found


def _label(name: str, part: Json) -> str:
    plain, _, number = name.partition("#")
    return f"« {part.get('label') or plain} »" + (f" ({number})" if number else "")


def _inside(of: _Subject, place: str, old: Json, new: Json) -> Iterator[Difference]:
    """Every key of two values that differ."""
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        inner = f"{place}.{key}" if place else key
        if key == "reminders":
            whose = f" {of.words[0].lower()}{of.words[1:]}".replace(" le ", " du ", 1)
            subject = _Subject(of.group, f"{of.place}.reminders", "")
            yield from _parts(subject, "Le rappel", "des rappels", before or [], after or [], whose)
        elif isinstance(before or after, list):
            yield from _list(of, inner, before or [], after or [])
        elif isinstance(before or {}, dict) and isinstance(after or {}, dict) and not _length(before or after):
            yield from _inside(of, inner, before or {}, after or {})
        else:
            yield of.said(inner, before, after, _sentence(of, inner, before, after))


def _list(of: _Subject, place: str, old: list[Any], new: list[Any]) -> Iterator[Difference]:
    gained, lost = Counter(new) - Counter(old), Counter(old) - Counter(new)
    words = of.words or "La définition"
    gains, loses = _LISTS.get(place) or _LISTS.get(
        place.rpartition(".")[2], (f"a {{}} ({place})", f"n'a plus {{}} ({place})")
    )
    for word in gained:
        yield of.said(place, None, word, f"{words} {gains.format(_word(place, word))}")
    for word in lost:
        yield of.said(place, word, None, f"{words} {loses.format(_word(place, word))}")
    if not gained and not lost:
        what = _ORDERS.get(place) or _ORDERS.get(place.rpartition(".")[2], f"de {place}")
        yield of.said(place, old, new, f"{words} : l'ordre {what} change")


def _word(place: str, word: str) -> str:
    """A seat in words where somebody is told; elsewhere the word as it stands in the definition."""
    told = place.rpartition(".")[2] in ("tell", "to")
    return _SEATS.get(word, word) if told else f"« {word} »"


def _sentence(of: _Subject, place: str, old: Any, new: Any) -> str:
    if place == "label":
        return f"{of.words} s'appelle désormais « {new} »" if new is not None else f"{of.words} n'a plus de libellé"
    if place.startswith("hold."):
        return _held(of.words, place.partition(".")[2], new)
    if place == "length":
        return f"{of.words} passe {_change(old, new)}"
    name = _NAMES.get(place) or _NAMES.get(place.rpartition(".")[2], place)
    about = f"{of.words} : " if of.words else ""
    if old is None:
        return f"{about}{name} est désormais {_value(new)}"
    if new is None:
        return f"{about}{name} n'est plus fixé (c'était {_value(old)})"
    return f"{about}{name} passe {_change(old, new)}"


def _held(words: str, motive: str, new: str | None) -> str:
    during = "pendant toute autre suspension" if motive == "default" else f"pendant une suspension « {motive} »"
    if new is None:
        return f"{words} n'a plus de règle {during}"
    return f"{words} {_HELD[new]} désormais {during}"


_HELD = {
    "pause": "s'arrête",
    "ignore": "continue de courir",
    "restart": "repart à la fin, au lieu de courir,",
    "late_only": "ne s'arrête que pour le retard",
    "rule": "suit la règle légale",
}


def _change(old: Any, new: Any) -> str:
    """« de 14 à 10 jours », « de 2 jours à 48 heures », « de « a » à « b » »."""
    unit = next(iter(old)) if _length(old) else None
    if unit in _UNITS and _length(new) and next(iter(new)) == unit:
        return f"de {old[unit]} à {_value(new)}"
    return f"de {_value(old)} à {_value(new)}"


def _length(value: Any) -> bool:
    """Whether a value is a length: of elapsed time, or as a field says."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in (*_UNITS, "field", "given_days")


def _value(value: Any) -> str:
    if _length(value):
        ((unit, number),) = value.items()
        if unit == "field":
            return f"la date du champ {number}"
        if unit == "given_days":
            return f"autant de jours d'ouverture que dit le champ {number}"
        return f"{number} {_UNITS[unit][number > 1]}"
    if isinstance(value, bool):
        return "oui" if value else "non"
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return "/".join(reversed(value.split("-")))
    return f"« {value} »" if isinstance(value, str) else str(value)
