"""A letter, or a paper of tables, as PDF: tagged for screen readers (PDF/UA-1), and the same bytes whenever it is made from the same facts.

The words reach typst as data and are never read as its markup. Fonts are those that typst carries; none is looked for on
the machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

_TEMPLATES = Path(__file__).parent / "typst"
STANDS_IN = "□"
"""What stands for a sign that the fonts cannot show: PDF/UA refuses a letter that has one."""
TOLD = (
    f"Le signe {STANDS_IN} tient la place d'un signe que ce document ne sait pas écrire ; le dossier le garde tel quel."
)
# What the fonts that typst carries can show, normalised (NFC): Latin, Greek, Cyrillic, Hebrew, Arabic, and signs.
SHOWN = (
    (0x20, 0x7E), (0xA0, 0xAC), (0xAE, 0x2FF), (0x370, 0x377), (0x37A, 0x37F), (0x384, 0x38A), (0x38E, 0x3A1),
    (0x3A3, 0x4FF), (0x5D0, 0x5EA), (0x60C, 0x60C), (0x61B, 0x61B), (0x61F, 0x61F), (0x621, 0x63A), (0x640, 0x655),
    (0x660, 0x66D), (0x1E00, 0x1F15), (0x2010, 0x2027), (0x202F, 0x205E), (0x20A0, 0x20BF), (0x2100, 0x2151),
    (0x2153, 0x2184), (0x2190, 0x22FF), (0x2500, 0x262F),
)  # fmt: skip
_NOT_SHOWN = re.compile(f"[^\n{''.join(f'{chr(first)}-{chr(last)}' for first, last in SHOWN)}]")
LONGEST_WORD, BREAK = 60, "\u200b"
_UNBROKEN = re.compile(rf"\S{{{LONGEST_WORD}}}(?=\S)")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a letter: facts by name, paragraphs, a list, and what somebody wrote."""

    title: str
    facts: Sequence[tuple[str, str]] = ()
    paragraphs: Sequence[str] = ()
    items: Sequence[str] = ()
    quote: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """What a letter says, from whom, of when; `dated` is the instant of the event that it tells of."""

    title: str
    author: str
    subject: str
    dated: datetime
    lead: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    foot: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a paper: paragraphs, a table of heads and rows, notes under it. A cell is text; the first names its row."""

    title: str
    paragraphs: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()
    items: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """What a paper of tables says, from whom, of when; it lies on its side where it is `wide`."""

    title: str
    author: str
    subject: str
    dated: datetime
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Part]
    foot: str
    lead: Sequence[str] = ()
    wide: bool = True


class NotTypeset(RuntimeError):
    """A letter or a paper that could not be made."""


def pdf(letter: Letter | Paper) -> bytes:
    """The letter or the paper as PDF/UA-1. Raises NotTypeset."""
    name = "letter" if isinstance(letter, Letter) else "paper"
    try:
        import typst  # noqa: PLC0415  (loaded by who makes a letter, not by every command)

        made = typst.compile(
            _template(name), format="pdf", sys_inputs={name: _data(letter)}, pdf_standards=["ua-1"],
            timestamp=int(letter.dated.timestamp()), ignore_system_fonts=True,
        )  # fmt: skip
    except Exception as error:
        raise NotTypeset(f"typst : {error}") from error
    except BaseException as error:  # a fault inside the library comes as an exception of its own that is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise NotTypeset(f"typst : {error}") from error
    return bytes(made)


@cache
def _template(name: str) -> bytes:
    return (_TEMPLATES / f"{name}.typ").read_bytes()


def _data(letter: Letter | Paper) -> str:
    """The letter as JSON, of signs that can be shown; what had to be replaced is told."""
    words = {name: getattr(letter, name) for name in letter.__slots__ if name != "dated"}
    said = orjson.dumps(words).decode()
    cleaned = _cleaned(orjson.loads(said))
    if STANDS_IN not in said and STANDS_IN in orjson.dumps(cleaned).decode():
        note = (Section if isinstance(letter, Letter) else Part)("À noter", paragraphs=[TOLD])
        cleaned["sections"].append(orjson.loads(orjson.dumps(note)))
    return orjson.dumps(cleaned).decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {name: _cleaned(one) for name, one in value.items()}
    return value


def shown(words: str) -> str:
    """A text of signs that the fonts have, without what reorders or hides signs, and with a place to break in long words."""
    plain = unicodedata.normalize("NFC", words).replace("\t", " ").replace("\r\n", "\n")
    kept = "".join(sign for sign in plain if sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cf"))
    return _UNBROKEN.sub(lambda found: found[0] + BREAK, _NOT_SHOWN.sub(STANDS_IN, kept))
