"""What a command prints: JSON for a machine, French for a person, on any width of terminal, colour only on a real one."""

from __future__ import annotations

import dataclasses
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from states.explanation import ends_day

PLAIN_WIDTH = 110
"""The width of what goes to a file or a pipe, unless COLUMNS says otherwise."""
NARROW = 72
"""Below this a table is told as a list."""
PARIS = "Europe/Paris"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def console(*, stderr: bool = False) -> Console:
    """A console on the stream as it now is."""
    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or os.environ.get("COLUMNS") else PLAIN_WIDTH
    return Console(file=stream, width=wide, markup=False, highlight=False, emoji=False)


def document(value: Any) -> None:
    """One JSON document on stdout, UTF-8 whatever the terminal speaks, instants in UTC."""
    body = orjson.dumps(value, default=_encode, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)
    sys.stdout.flush()
    sys.stdout.buffer.write(body + b"\n")
    sys.stdout.buffer.flush()


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if hasattr(value, "encode"):
        return value.encode()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(type(value).__name__)


def line(words: str = "", *, style: str = "") -> None:
    """One line for a person, wrapped to the terminal."""
    console().print(Text(safe(words), style=style))


def entry(words: str, *, style: str = "") -> None:
    """One line of a log for a person: never wrapped, on a terminal or in a file."""
    console().print(Text(safe(words), style=style), soft_wrap=True)


def fact(label: str, words: str, *, style: str = "") -> None:
    """« Label : words », the label set off."""
    console().print(Text.assemble((f"{label} : ", "bold"), (safe(words), style)))


def aside(words: str) -> None:
    """A discreet line beside the answer, on stderr."""
    console(stderr=True).print(Text(safe(words), style="dim"))


def raw(words: str) -> None:
    """A text as it is, for another program to read."""
    sys.stdout.write(words)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; on a narrow terminal, the same as a list of « header : value »."""
    out = console()
    if out.width < NARROW:
        for row in rows:
            told = [f"{header} : {safe(cell)}" for header, cell in zip(headers, row, strict=True) if cell]
            out.print(Text("\n  ".join(told)))
        return
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for header in headers:
        shown.add_column(header, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(safe(cell)) for cell in row))
    out.print(shown)


@contextmanager
def steps(words: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar on a real terminal; gives what is called after each step, or with how many."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=total)

        def step(number: int = 1) -> None:
            bar.advance(task, number)

        yield step


def safe(words: str) -> str:
    """A text whose control and direction signs are made visible: what people wrote commands no terminal."""
    return "".join(
        "\ufffd" if unicodedata.category(sign) in ("Cc", "Cf", "Cs") and sign not in "\n\t" else sign for sign in words
    )


def short(instant: datetime, zone: str = PARIS) -> str:
    """An instant in a table: « 24/11/2026 18:00 » in a time zone; the end of a day by its date alone."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{local:%d/%m/%Y}" if ends_day(local) else f"{local:%d/%m/%Y %H:%M}"


def until(instant: datetime, now: datetime) -> str:
    """How far an instant is: « dans 3 jours », « dépassée depuis 2 h »."""
    ahead = instant >= now
    words = span(abs(instant - now))
    return f"dans {words}" if ahead else f"dépassée depuis {words}"


def span(length: timedelta) -> str:
    """A length of elapsed time, roughly, in words."""
    if length >= 2 * DAY:
        return f"{length // DAY} jours"
    if length >= HOUR:
        return f"{length // HOUR} h"
    return f"{max(length // timedelta(minutes=1), 1)} min"


def count(number: int, one: str, many: str | None = None) -> str:
    """« 1 dossier », « 3 dossiers »; French has no plural below two."""
    return f"{number} {one if number < 2 else many or one + 's'}"  # noqa: PLR2004


def utc(instant: datetime) -> str:
    """An instant for a machine to give back: ISO 8601 in UTC."""
    return instant.astimezone(UTC).isoformat()
