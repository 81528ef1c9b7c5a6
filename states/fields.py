"""What a person gave, checked against what the definition asks: clear refusals, JSON-ready values."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from states.definition import Definition, FieldRule, Submission, Trigger
from states.errors import BadInput, shown

MAX_CODE = 64


def check(definition: Definition, asked: Trigger | Submission, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a trigger as JSON-ready values. Raises BadInput: unknown, missing, or against its rule."""
    known = (*asked.needs, *asked.optional)
    for name in args:
        if name not in known:
            raise BadInput(
                "unknown_field", "champ inconnu ici", field=shown(name), accepted=", ".join(known) or "aucun champ"
            )
    values: dict[str, Any] = {}
    for name in known:
        given = args.get(name)
        if given is None or (isinstance(given, str) and not given.strip()):
            if name in asked.needs:
                raise BadInput(
                    "missing", "obligatoire et absent", field=name, accepted=_expected(definition.fields[name])
                )
            continue
        rule = definition.fields[name]
        if rule.type == "clock":
            rule = rule.model_copy(update={"of": tuple(definition.clocks)})
        values[name] = _READ[rule.type](name, rule, given)
    return values


def _expected(rule: FieldRule) -> str:
    if rule.type == "choice":
        return ", ".join(rule.of)
    if rule.type == "text":
        return f"un texte de {rule.min or 1} à {rule.max} signes"
    if rule.type == "integer" and rule.min is not None and rule.max is not None:
        return f"un nombre entier de {rule.min} à {rule.max}"
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
    "clock": "le nom d'un délai de la définition",
    "siret": "les 14 chiffres d'un SIRET, par exemple 732 829 320 00074",
}


def _text(name: str, rule: FieldRule, given: Any) -> str:
    text = clean(name, given)
    low, high = rule.min or 1, rule.max or 0
    if not low <= len(text) <= high:
        raise BadInput("length", f"{len(text)} signes", field=name, accepted=_expected(rule))
    return text


def clean(name: str, given: Any) -> str:
    """A text in NFC without surrounding space. Raises BadInput on a control character, broken encoding, or nothing to see."""
    if not isinstance(given, str):
        raise BadInput("type", "un texte est attendu", field=name, accepted="un texte")
    for index, sign in enumerate("" if given.isprintable() else given):  # printable: no sign is looked at one by one
        if unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\r\t":
            raise BadInput(
                "encoding",
                f"caractère interdit U+{ord(sign):04X} en position {index + 1}",
                field=name,
                accepted="du texte UTF-8 sans caractère de contrôle",
            )
    text = unicodedata.normalize("NFC", given).strip()
    if not any(unicodedata.category(sign)[0] not in "CZ" for sign in text):
        raise BadInput("missing", "rien à lire", field=name, accepted="un texte qui se lit")
    return text


def _choice(name: str, rule: FieldRule, given: Any) -> str:
    if not isinstance(given, str) or given not in rule.of:
        raise BadInput("choice", f"« {shown(given)} » n'est pas un choix", field=name, accepted=", ".join(rule.of))
    return given


_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def _integer(name: str, rule: FieldRule, given: Any) -> int:
    value = _whole(given)
    if value is None:
        sentence = f"« {shown(given)} » n'est pas un nombre entier"
        raise BadInput("integer", sentence, field=name, accepted=_expected(rule))
    if (rule.min is not None and value < rule.min) or (rule.max is not None and value > rule.max):
        raise BadInput("bounds", f"{value} est hors bornes", field=name, accepted=f"de {rule.min} à {rule.max}")
    return value


def _whole(given: Any) -> int | None:
    if isinstance(given, int) and not isinstance(given, bool):
        return given if abs(given) < 10**18 else None
    if isinstance(given, str) and _WHOLE.fullmatch(given.strip()):
        return int(given)
    return None


def _key(name: str, rule: FieldRule, given: Any) -> int:
    value = _whole(given)
    if value is None or not 0 <= value < 2**31:
        raise BadInput("integer", f"« {shown(given)} » n'en est pas un", field=name, accepted=_expected(rule))
    return value


def _boolean(name: str, rule: FieldRule, given: Any) -> bool:
    word = shown(given).lower() if isinstance(given, (str, int)) else ""
    if word in ("oui", "true", "1", "yes"):
        return True
    if word in ("non", "false", "0", "no"):
        return False
    raise BadInput("boolean", f"« {shown(given)} »", field=name, accepted=_expected(rule))


FIRST_YEAR, LAST_YEAR = 1900, 2999


def instant(name: str, given: Any) -> datetime:
    """An aware UTC instant. Raises BadInput when it cannot be read, has no zone, or nothing can be reckoned from it."""
    try:
        value = given if isinstance(given, datetime) else datetime.fromisoformat(given)
    except (TypeError, ValueError):
        sentence = f"« {shown(given)} » n'est pas un instant"
        raise BadInput("instant", sentence, field=name, accepted=_EXPECTED["instant"]) from None
    if value.tzinfo is None:
        raise BadInput(
            "zone", f"« {shown(str(given))} » est sans fuseau horaire", field=name, accepted=_EXPECTED["instant"]
        )
    if not FIRST_YEAR < value.year < LAST_YEAR:
        sentence = f"« {shown(str(given))} » est hors du calendrier"
        raise BadInput("instant", sentence, field=name, accepted=f"entre {FIRST_YEAR + 1} et {LAST_YEAR - 1}")
    return value.astimezone(UTC)


def _instant(name: str, _rule: FieldRule, given: Any) -> str:
    return instant(name, given).isoformat()


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _date(name: str, rule: FieldRule, given: Any) -> str:
    if type(given) is date:
        return given.isoformat()
    try:
        return date.fromisoformat(given if isinstance(given, str) and _DAY.fullmatch(given) else "").isoformat()
    except ValueError:
        sentence = f"« {shown(given)} » n'est pas une date"
        raise BadInput("date", sentence, field=name, accepted=_expected(rule)) from None


def _code(name: str, rule: FieldRule, given: Any) -> str:
    text = clean(name, given)
    if len(text) > MAX_CODE:
        raise BadInput("length", f"{len(text)} signes", field=name, accepted=_expected(rule))
    return text


LA_POSTE = "356000000"
SIRET_DIGITS = 14


def _siret(name: str, rule: FieldRule, given: Any) -> str:
    """The 14 digits of an establishment. Its control key is Luhn's; La Poste's establishments, but for its head office,
    have digits that add up to a multiple of five instead (Insee, Sirene).
    """
    text = "".join(clean(name, given).split())
    if not (text.isascii() and text.isdecimal() and len(text) == SIRET_DIGITS):
        raise BadInput("siret", f"« {shown(given)} » n'a pas la forme d'un SIRET", field=name, accepted=_expected(rule))
    if not (_luhn(text) or (text.startswith(LA_POSTE) and sum(map(int, text)) % 5 == 0)) or not _luhn(text[:9]):
        raise BadInput("siret", "ce SIRET n'existe pas : sa clé est fausse, un chiffre a dû être mal recopié", field=name,
                       accepted=_expected(rule))  # fmt: skip
    return text


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 * (number > 9) for number in doubled) % 10 == 0  # noqa: PLR2004  (two digits added up)


_READ: dict[str, Callable[[str, FieldRule, Any], Any]] = {
    "text": _text,
    "choice": _choice,
    "unit": _key,
    "person": _key,
    "instant": _instant,
    "date": _date,
    "integer": _integer,
    "boolean": _boolean,
    "version": _key,
    "code": _code,
    "commune": _code,
    "topic": _code,
    "clock": _choice,
    "siret": _siret,
}
