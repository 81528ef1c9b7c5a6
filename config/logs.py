"""A log of events read from CSV, line by line: what is wrong is said with its line and its column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

# What a column is for, and the names it goes by in exported logs.
ROLES: dict[str, tuple[str, ...]] = {
    "case": ("case:concept:name", "case", "case_id"),
    "activity": ("concept:name", "activity"),
    "time": ("time:timestamp", "time", "timestamp"),
    "start": ("case:startdate", "start"),
    "end": ("case:enddate", "end"),
    "deadline": ("case:deadline", "deadline"),
}
NEEDED = ("case", "activity", "time")
MAX_FIELD = 10_000
_READ_BYTES = 1 << 20


class LogError(ValueError):
    """A log that cannot be read: the message names the line, the column, the rule and what is accepted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event of a log. Instants are aware UTC; `start`, `end` and `deadline` are those of its case, if any."""

    line: int
    case: str
    activity: str
    time: datetime
    start: datetime | None
    end: datetime | None
    deadline: datetime | None


def rows(path: Path, columns: Mapping[str, str], *, progress: Callable[[int], None] = lambda _: None) -> Iterator[Row]:
    """Every row of a CSV log, in the order of the file. `progress` is given the bytes read. Raises LogError."""
    try:
        with path.open("rb") as raw:
            yield from _rows(_text(raw, path.name, progress), path.name, columns)
    except OSError as error:
        message = f"{path} : {error.strerror or error}"
        raise LogError(message) from None


def _text(raw: IO[bytes], name: str, progress: Callable[[int], None]) -> Iterator[str]:
    """The physical lines of a file, strictly UTF-8 and without NUL."""
    read = 0
    for number, line in enumerate(raw, 1):
        read += len(line)
        if len(line) > _READ_BYTES:
            message = f"{name}, ligne {number} : {len(line)} octets ; accepté : {_READ_BYTES} au plus"
            raise LogError(message)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            message = (
                f"{name}, ligne {number} : octet 0x{line[error.start]:02X} illisible ; accepté : du texte en UTF-8"
            )
            raise LogError(message) from None
        if "\0" in text:
            message = f"{name}, ligne {number} : caractère NUL ; accepté : du texte sans caractère de contrôle"
            raise LogError(message)
        if number % 1000 == 0:
            progress(read)
        yield text
    progress(read)


def _rows(lines: Iterator[str], name: str, columns: Mapping[str, str]) -> Iterator[Row]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
        if not header:
            message = f"{name} : fichier vide ; accepté : une ligne d'en-tête, puis un événement par ligne"
            raise LogError(message)
        place = _places(header, name, columns)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                message = (
                    f"{name}, ligne {reader.line_num} : {len(cells)} colonnes ; accepté : {len(header)}, comme l'en-tête "
                    "(le fichier est peut-être coupé)"
                )
                raise LogError(message)
            yield _row(cells, place, name, reader.line_num)
    except csv.Error as error:
        message = f"{name}, ligne {reader.line_num} : CSV illisible ({error}) ; le fichier est peut-être coupé"
        raise LogError(message) from None


def _places(header: list[str], name: str, columns: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Where each role stands: as `--map` says, else by the names it goes by."""
    if len(set(header)) != len(header):
        twice = next(word for word in header if header.count(word) > 1)
        message = f"{name}, ligne 1 : la colonne « {twice} » est donnée deux fois"
        raise LogError(message)
    found: dict[str, tuple[int, str]] = {}
    for role, known in ROLES.items():
        names = (columns[role],) if role in columns else known
        at = next((word for word in names if word in header), None)
        if at is not None:
            found[role] = (header.index(at), at)
        elif role in NEEDED or role in columns:
            message = f"{name}, ligne 1 : pas de colonne « {names[0]} » ({role}) ; accepté : {', '.join(header)} (--map {role}=COLONNE)"
            raise LogError(message)
    return found


def _row(cells: list[str], place: dict[str, tuple[int, str]], name: str, line: int) -> Row:
    def cell(role: str) -> str:
        if role not in place:
            return ""
        value = cells[place[role][0]].strip()
        if len(value) > MAX_FIELD or (not value and role in NEEDED):
            message = f"{name}, ligne {line}, colonne « {place[role][1]} » : {'vide' if not value else 'trop long'}"
            raise LogError(message)
        return value

    def instant(role: str) -> datetime | None:
        value = cell(role)
        return _instant(value, f"{name}, ligne {line}, colonne « {place[role][1]} »") if value else None

    time = instant("time")
    assert time is not None  # noqa: S101  (an empty one was refused just above)
    return Row(line, cell("case"), cell("activity"), time, instant("start"), instant("end"), instant("deadline"))


def _instant(value: str, where: str) -> datetime:
    example = "accepté : un instant avec son fuseau, par exemple 2011-10-11T13:45:40+02:00"
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        message = f"{where} : « {value[:60]} » n'est pas un instant ; {example}"
        raise LogError(message) from None
    if read.tzinfo is None:
        message = f"{where} : « {value[:60]} » est sans fuseau horaire ; {example}"
        raise LogError(message)
    if not 1900 < read.year < 2900:  # noqa: PLR2004  (nothing can be reckoned from the ends of the calendar)
        message = f"{where} : « {value[:60]} » est hors du calendrier ; {example}"
        raise LogError(message)
    return read.astimezone(UTC)
