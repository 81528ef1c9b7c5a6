"""A case answered by the shipped law: what `coupe-file compute`, the API and the calculator's page all call."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from config import holidays, legal_rules
from states import legal
from states.compute import Reference, answer
from states.errors import BadInput


@cache
def law() -> Reference:
    """The shipped rules and holidays."""
    zones = {key: zone.timezone for key, zone in holidays.ZONES.items()}
    return Reference(
        legal.parse(legal_rules.document()),
        lambda zone, good_friday: holidays.of_zone(zone, good_friday=good_friday),
        zones,
        holidays.DOUBTS,
    )


def read(raw: bytes, field: str = "line") -> Any:
    """A case from its JSON, which stands in `field`. Raises BadInput."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        accepted = "un objet JSON par ligne"
        raise BadInput("json", f"JSON illisible, signe {error.colno}", field=field, accepted=accepted) from None


def name_of(case: Any) -> Any:
    """The `id` that a case gives itself. Raises BadInput when it is more than a word or a number."""
    found = case.get("id") if isinstance(case, dict) else None
    if isinstance(found, dict | list):
        raise BadInput("type", "l'« id » d'un cas est un mot ou un nombre", field="id", accepted="un texte, un nombre")
    return found


def answered(case: Any) -> dict[str, Any]:
    """The `id` of a case, its `result` and its `explanation`. Raises BadInput."""
    return {"id": name_of(case), **answer(case, law())}
