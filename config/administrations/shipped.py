"""The administrations and topics that come with the program, as they stand in their files."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from config import yamltext

FOLDER = Path(__file__).parent
FILE, RULES, KINDS, TOPICS = (FOLDER / name for name in ("units.csv", "rules.yaml", "kinds.yaml", "topics.yaml"))


def units() -> list[tuple[int, dict[str, str]]]:
    """The lines of the shipped directory: (line, cells by column)."""
    with FILE.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return [(reader.line_num, row) for row in reader]


def kinds() -> dict[str, dict[str, str]]:
    """The kinds of units: label and level, by name; `of` is `local` for those of a collectivity."""
    found: dict[str, dict[str, str]] = yamltext.read(KINDS).data
    return found


@cache
def local_kinds() -> frozenset[str]:
    """The kinds that are of a collectivity: no service of the State."""
    return frozenset(name for name, kind in kinds().items() if kind.get("of") == "local")


def topics() -> Any:
    """The document of topics, every scalar the text that was written; `states.topics.parse` checks it. Raises YamlError."""
    return yamltext.read(TOPICS).data
