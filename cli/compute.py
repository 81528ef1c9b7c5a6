"""`coupe-file compute`: dates computed one line at a time, each with its explanation; nothing is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson
import typer

from cli.door import BAD_INPUT
from states.errors import BadInput

LONGEST = 1_000_000
"""A line longer than this many bytes is not read."""


def compute() -> None:
    """Calcule des dates : un cas par ligne à l'entrée, en JSON, et sur chaque ligne de sortie la date et pourquoi.

    Un cas porte « operation » (temps d'ouverture d'un calendrier), « rule » (délai légal), « procedure » et « clock » (délai d'une
    procédure), « deposit » (décision née du silence), « months » ou « days » (délai européen), ou « kind » (instants).
    La réponse porte l'« id » du cas, puis « result » et « explanation » (les étapes, et des phrases en français et en anglais),
    ou « error » ; les autres lignes continuent. Code de sortie 2 si une ligne n'a pas pu être lue.
    """
    bad = False
    out = sys.stdout.buffer
    sys.stdout.flush()
    for number, line in _lines(sys.stdin.buffer):
        said = _said(number, line)
        bad = bad or "error" in said
        out.write(orjson.dumps(said) + b"\n")
        out.flush()
    if bad:
        raise typer.Exit(BAD_INPUT)


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


def _said(number: int, line: bytes | None) -> dict[str, Any]:
    from workflow import law

    key = None
    try:
        if line is None:
            raise BadInput("line", f"plus de {LONGEST} octets", field="line", accepted=f"{LONGEST} octets au plus")  # noqa: TRY301
        case = law.read(line)
        key = law.name_of(case)
        return law.answered(case)
    except BadInput as error:
        return {"id": key, "line": number, "error": error.as_dict()}
