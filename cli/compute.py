"""`coupe-file compute`: dates computed one line at a time, each with its explanation; nothing is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson
import typer

from cli.door import BAD_INPUT
from states.errors import BadInput

if TYPE_CHECKING:
    from states.compute import Reference

LONGEST = 1_000_000
"""A line longer than this many bytes is not read."""


def compute() -> None:
    """Calcule des dates : un cas par ligne à l'entrée, en JSON, et sur chaque ligne de sortie la date et pourquoi.

    Un cas porte « operation » (temps d'ouverture d'un calendrier), « rule » (délai légal), « procedure » et « clock » (délai d'une
    procédure), « deposit » (décision née du silence), « months » ou « days » (délai européen), ou « kind » (instants).
    La réponse porte l'« id » du cas, puis « result » et « explanation » (les étapes, et des phrases en français et en anglais),
    ou « error » ; les autres lignes continuent. Code de sortie 2 si une ligne n'a pas pu être lue.
    """
    from states.compute import answer

    reference, bad = law(), False
    out = sys.stdout.buffer
    sys.stdout.flush()
    for number, line in _lines(sys.stdin.buffer):
        said = _said(number, line, lambda case: answer(case, reference))
        bad = bad or "error" in said
        out.write(orjson.dumps(said) + b"\n")
        out.flush()
    if bad:
        raise typer.Exit(BAD_INPUT)


def law() -> Reference:
    """The shipped rules and holidays."""
    from config import holidays, legal_rules
    from states import legal
    from states.compute import Reference

    zones = {key: zone.timezone for key, zone in holidays.ZONES.items()}
    return Reference(
        legal.parse(legal_rules.document()),
        lambda zone, good_friday: holidays.of_zone(zone, good_friday=good_friday),
        zones,
        holidays.DOUBTS,
    )


def _lines(source: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Each line that is not blank, with its number; None for one that is too long."""
    number = 0
    while line := source.readline(LONGEST + 1):
        number += 1
        if len(line) > LONGEST and not line.endswith(b"\n"):
            while (rest := source.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif line.strip():
            yield number, line


def _said(number: int, line: bytes | None, answered: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    key = None
    try:
        if line is None:
            raise BadInput("line", f"plus de {LONGEST} octets", field="line", accepted=f"{LONGEST} octets au plus")  # noqa: TRY301
        case = _case(line)
        key = case.get("id") if isinstance(case, dict) else None
        return {"id": key, **answered(case)}
    except BadInput as error:
        return {"id": key, "line": number, "error": error.as_dict()}


def _case(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            "json", f"JSON illisible, signe {error.colno}", field="line", accepted="un objet JSON par ligne"
        ) from None
