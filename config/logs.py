"""A log of events read from CSV, a line at a time: what is wrong is said with its line, its column, and what is accepted."""

from __future__ import annotations

import csv
import unicodedata
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
MAX_LINE, MAX_CELL = 1 << 20, 500
FIRST_YEAR, LAST_YEAR = 1900, 2899
_SHOWN = 60
_SHOWN_COLUMNS = 40
_INSTANT = "un instant avec son fuseau, par exemple 2011-10-11T13:45:40+02:00"
_WHOLE = "un fichier CSV entier : une ligne d'en-tête, puis un événement par ligne, séparés par des virgules"


class LogError(ValueError):
    """A log that cannot be read: the rule that a line breaks, in which column, and what would be accepted."""

    def __init__(self, rule: str, *, accepted: str, line: int | None = None, column: str | None = None) -> None:
        super().__init__(rule if line is None else f"ligne {line} : {rule}")
        self.line, self.column, self.accepted = line, column, accepted


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


class Log:
    """A CSV file and the columns that it is read by: as `columns` (role to name) says, else by the names they go by.

    A file that was cut is noticed inside a line, not between two: CSV does not say how many lines there are.
    """

    def __init__(
        self, path: Path, columns: Mapping[str, str], *, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        self._path, self._columns, self._progress = path, columns, progress
        self._places: dict[str, tuple[int, str]] = {}

    def column(self, role: str) -> str:
        """The name of the column of a role, once the header has been read."""
        return self._places[role][1] if role in self._places else role

    def rows(self) -> Iterator[Row]:
        """Every row, in the order of the file; `progress` is given the bytes read. Raises LogError."""
        try:
            with self._path.open("rb") as raw:
                yield from self._rows(self._lines(raw))
        except OSError as error:
            raise LogError(f"fichier illisible ({error.strerror or error})", accepted=_WHOLE) from None

    def _lines(self, raw: IO[bytes]) -> Iterator[str]:
        """The physical lines of the file: strictly UTF-8, without NUL, none longer than memory should hold."""
        number = read = 0
        while line := raw.readline(MAX_LINE + 1):
            number, read = number + 1, read + len(line)
            if len(line) > MAX_LINE:
                raise LogError(f"plus de {MAX_LINE} octets", line=number, accepted=f"{MAX_LINE} octets au plus")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                rule = f"octet 0x{line[error.start]:02X} qui n'est pas de l'UTF-8, en position {error.start + 1}"
                raise LogError(rule, line=number, accepted="du texte en UTF-8") from None
            if "\0" in text:
                rule = f"caractère NUL en position {text.index(chr(0)) + 1}"
                raise LogError(rule, line=number, accepted="du texte sans caractère de contrôle")
            if number % 1000 == 0:
                self._progress(read)
            yield text
        self._progress(read)

    def _rows(self, lines: Iterator[str]) -> Iterator[Row]:
        reader = csv.reader(lines, strict=True)
        begins = 1
        try:
            header = next(reader, None)
            if not header:
                raise LogError("fichier vide, ou sans en-tête", line=1, accepted=_WHOLE)
            self._places = _places(header, self._columns)
            begins = reader.line_num + 1
            for cells in reader:
                if cells:
                    if len(cells) != len(header):
                        rule = f"{len(cells)} colonnes au lieu de {len(header)} : le fichier est peut-être coupé"
                        raise LogError(rule, line=begins, accepted=f"{len(header)} colonnes, comme l'en-tête")
                    yield self._row(cells, begins)
                begins = reader.line_num + 1
        except csv.Error as error:
            rule = f"CSV illisible ({error}) : le fichier est peut-être coupé"
            raise LogError(rule, line=begins, accepted=_WHOLE) from None

    def _row(self, cells: list[str], line: int) -> Row:
        case, activity, time = (self._cell(role, cells, line) for role in NEEDED)
        start, end, deadline = (
            self._instant(role, given, line) if (given := self._cell(role, cells, line)) else None
            for role in ("start", "end", "deadline")
        )
        return Row(line, case, activity, self._instant("time", time, line), start, end, deadline)

    def _cell(self, role: str, cells: list[str], line: int) -> str:
        if role not in self._places:
            return ""
        index, column = self._places[role]
        value = cells[index].strip()
        if not value and role in NEEDED:
            raise LogError(
                "vide", line=line, column=column, accepted=_INSTANT if role == "time" else "un texte qui se lit"
            )
        if len(value) > MAX_CELL:
            raise LogError(f"{len(value)} signes", line=line, column=column, accepted=f"{MAX_CELL} signes au plus")
        if not value.isprintable():
            for place, sign in enumerate(value, 1):
                if unicodedata.category(sign) in ("Cc", "Cs"):
                    rule = f"caractère interdit U+{ord(sign):04X} en position {place}"
                    raise LogError(rule, line=line, column=column, accepted="du texte sans caractère de contrôle")
        return value

    def _instant(self, role: str, given: str, line: int) -> datetime:
        column = self.column(role)
        try:
            instant = datetime.fromisoformat(given)
        except ValueError:
            raise LogError(
                f"« {_short(given)} » n'est pas un instant", line=line, column=column, accepted=_INSTANT
            ) from None
        if instant.tzinfo is None:
            raise LogError(f"« {_short(given)} » est sans fuseau horaire", line=line, column=column, accepted=_INSTANT)
        if not FIRST_YEAR <= instant.year <= LAST_YEAR:
            accepted = f"une année de {FIRST_YEAR} à {LAST_YEAR}"
            raise LogError(f"« {_short(given)} » est hors du calendrier", line=line, column=column, accepted=accepted)
        return instant.astimezone(UTC)


def _places(header: list[str], columns: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Where each role stands. Raises LogError: a column twice, or not there."""
    header = [name.strip() for name in header]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise LogError(
            "colonne donnée deux fois", line=1, column=_short(twice), accepted="des noms de colonne différents"
        )
    found: dict[str, tuple[int, str]] = {}
    for role, known in ROLES.items():
        names = (columns[role],) if role in columns else known
        name = next((name for name in names if name in header), None)
        if name is not None:
            found[role] = (header.index(name), name)
        elif role in NEEDED or role in columns:
            listed = ", ".join(map(_short, header[:_SHOWN_COLUMNS]))
            accepted = f"--map {role}=COLONNE, une de : {listed}"
            raise LogError(
                f"pas de colonne pour le rôle « {role} »", line=1, column=_short(names[0]), accepted=accepted
            )
    return found


def _short(words: str) -> str:
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "…"
