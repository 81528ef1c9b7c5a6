"""What a person gave, checked against what the definition asks: clear refusals, JSON-ready values."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from states.definition import Definition, FieldRule, Submission, Trigger
from states.errors import BadInput

MAX_CODE = 64


def check(definition: Definition, asked: Trigger | Submission, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a trigger as JSON-ready values. Raises BadInput: unknown, missing, or against its rule."""
    known = (*asked.needs, *asked.optional)
    for name in args:
        if name not in known:
            raise BadInput("unknown_field", "champ inconnu ici", field=name, accepted=", ".join(known) or "aucun champ")
    values: dict[str, Any] = {}
    for name in known:
        given = args.get(name)
        if given is None or given == "":
            if name in asked.needs:
                raise BadInput("missing", "obligatoire et absent", field=name, accepted=_expected(definition.fields[name]))
            continue
        values[name] = _READ[definition.fields[name].type](name, definition.fields[name], given)
    return values


def _expected(rule: FieldRule) -> str:
    if rule.type == "choice":
        return ", ".join(rule.of)
    if rule.type == "text":
        return f"un texte de {rule.min or 1} à {rule.max} signes"
    return _EXPECTED[rule.type]


_EXPECTED = {
    "unit": "le code d'une administration",
    "person": "l'identifiant d'une personne",
    "instant": "un instant avec son fuseau, par exemple 2026-11-24T18:00:00+01:00",
    "date": "une date AAAA-MM-JJ",
    "integer": "un nombre entier",
    "boolean": "oui ou non",
    "version": "le numéro de version du dossier que vous avez sous les yeux",
    "code": f"un code de {MAX_CODE} signes au plus",
    "commune": "le code INSEE d'une commune, par exemple 64300",
    "topic": "le code d'un sujet de l'annuaire",
}


def _text(name: str, rule: FieldRule, given: Any) -> str:
    text = clean(name, given)
    low, high = rule.min or 1, rule.max or 0
    if not low <= len(text) <= high:
        raise BadInput("length", f"{len(text)} signes", field=name, accepted=_expected(rule))
    return text


def clean(name: str, given: Any) -> str:
    """A text in NFC without surrounding space. Raises BadInput on a NUL, another control character, or broken encoding."""
    if not isinstance(given, str):
        raise BadInput("type", "un texte est attendu", field=name, accepted="un texte")
    text = unicodedata.normalize("NFC", given).strip()
    for index, sign in enumerate(text):
        if (ord(sign) < 32 and sign not in "\n\r\t") or 0xD800 <= ord(sign) <= 0xDFFF:  # noqa: PLR2004  (Unicode: C0, surrogates)
            raise BadInput(
                "encoding",
                f"caractère interdit U+{ord(sign):04X} en position {index + 1}",
                field=name,
                accepted="du texte UTF-8 sans caractère de contrôle",
            )
    return text


def _choice(name: str, rule: FieldRule, given: Any) -> str:
    if given not in rule.of:
        raise BadInput("choice", f"« {given} » n'est pas un choix", field=name, accepted=", ".join(rule.of))
    return str(given)


def _integer(name: str, rule: FieldRule, given: Any) -> int:
    try:
        value = int(str(given))
    except ValueError:
        raise BadInput("integer", f"« {given} » n'est pas un nombre entier", field=name, accepted=_expected(rule)) from None
    if (rule.min is not None and value < rule.min) or (rule.max is not None and value > rule.max):
        raise BadInput("bounds", f"{value} est hors bornes", field=name, accepted=f"de {rule.min} à {rule.max}")
    return value


def _boolean(name: str, rule: FieldRule, given: Any) -> bool:
    word = str(given).lower()
    if word in ("oui", "true", "1", "yes"):
        return True
    if word in ("non", "false", "0", "no"):
        return False
    raise BadInput("boolean", f"« {given} »", field=name, accepted=_expected(rule))


def instant(name: str, given: Any) -> datetime:
    """An aware UTC instant. Raises BadInput when it cannot be read or has no zone."""
    try:
        value = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        raise BadInput("instant", f"« {given} » n'est pas un instant", field=name, accepted=_EXPECTED["instant"]) from None
    if value.tzinfo is None:
        raise BadInput("zone", f"« {given} » est sans fuseau horaire", field=name, accepted=_EXPECTED["instant"])
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise BadInput("instant", f"« {given} » est hors du calendrier", field=name, accepted=_EXPECTED["instant"]) from None


def _instant(name: str, _rule: FieldRule, given: Any) -> str:
    return instant(name, given).isoformat()


def _date(name: str, rule: FieldRule, given: Any) -> str:
    try:
        return date.fromisoformat(str(given)).isoformat()
    except ValueError:
        raise BadInput("date", f"« {given} » n'est pas une date", field=name, accepted=_expected(rule)) from None


def _code(name: str, rule: FieldRule, given: Any) -> str:
    text = clean(name, given)
    if len(text) > MAX_CODE:
        raise BadInput("length", f"{len(text)} signes", field=name, accepted=_expected(rule))
    return text


_READ: dict[str, Callable[[str, FieldRule, Any], Any]] = {
    "text": _text,
    "choice": _choice,
    "unit": _integer,
    "person": _integer,
    "instant": _instant,
    "date": _date,
    "integer": _integer,
    "boolean": _boolean,
    "version": _integer,
    "code": _code,
    "commune": _code,
    "topic": _code,
}
