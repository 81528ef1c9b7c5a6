"""A log of events read from CSV or XES, as it is or packed by gzip, one event at a time: what is wrong is said with its
line, its column, and what is accepted.
"""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import IO

from config import packed, xes
from config.log_error import LogError
from config.packed import Bounds
from config.xes import Cell

# What a column is for, and the names it goes by in exported logs; the first is that of the XES standard.
ROLES: dict[str, tuple[str, ...]] = {
    "case": ("case:concept:name", "case", "case_id"),
    "activity": ("concept:name", "activity"),
    "time": ("time:timestamp", "time", "timestamp"),
    "start": ("case:startdate", "start"),
    "end": ("case:enddate", "end"),
    "deadline": ("case:deadline", "deadline"),
    "lifecycle": ("lifecycle:transition", "lifecycle"),
}
NEEDED = ("case", "activity", "time")
COMPLETE = frozenset({"complete"})
MAX_LINE, MAX_CELL = 1 << 20, 500
FIRST_YEAR, LAST_YEAR = 1900, 2899
_SHOWN = 60
_SHOWN_COLUMNS = 40
_MOST_LEFT_OUT = 40
_OTHERS = "autres"
_INSTANT = "un instant avec son fuseau, par exemple 2011-10-11T13:45:40+02:00"
_WHOLE = "un fichier CSV entier : une ligne d'en-tête, puis un événement par ligne, séparés par des virgules"


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
    said: Mapping[str, str]
    """What the event says in every role that is not an instant, empty where it says nothing."""


@dataclass(frozen=True, slots=True)
class Columns:
    """By which names each role is found, and which roles a log must have; `hint` says where another name is given."""

    names: Mapping[str, tuple[str, ...]]
    needed: frozenset[str]
    hint: str

    @staticmethod
    def mapped(given: Mapping[str, str]) -> Columns:
        """The roles of any log, some of them under a name of one's own."""
        names = {role: (given[role],) if role in given else known for role, known in ROLES.items()}
        return Columns(names, frozenset((*NEEDED, *given)), "--map {}=COLONNE")


@dataclass(slots=True)
class LeftOut:
    """What a log holds and a replay does not count: events by their lifecycle transition, and cases without event."""

    events: Counter[str] = field(default_factory=Counter)
    cases: int = 0


class Log:
    """A file of events, XES or CSV, and the columns that it is read by.

    An event whose lifecycle transition is not one of `lifecycle` is left out, and counted; None lets every one through.
    A CSV that was cut is noticed inside a line, not between two: CSV does not say how many lines there are.
    """

    def __init__(
        self,
        path: Path,
        columns: Columns,
        *,
        lifecycle: frozenset[str] | None = COMPLETE,
        bounds: Bounds = packed.USUAL,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._path, self._columns, self._bounds, self._progress = path, columns, bounds, progress
        self._lifecycle = lifecycle
        self._names = {role: names[0] for role, names in columns.names.items()}
        self.left_out = LeftOut()

    def column(self, role: str) -> str:
        """The name of the column of a role, once the log has been read."""
        return self._names[role]

    def rows(self) -> Iterator[Row]:
        """Every event that counts, in the order of the file; `progress` is given the bytes read. Raises LogError."""
        try:
            with self._path.open("rb") as raw:
                stream = packed.opened(raw, self._bounds)
                events = self._xes(stream) if self._is_xes(stream) else self._csv(stream)
                for number, (line, cells) in enumerate(events):
                    if number % 1000 == 0:
                        self._progress(raw.tell())
                    if not self._skipped(cells):
                        yield self._row(line, cells)
                self._progress(raw.tell())
        except OSError as error:
            raise LogError(f"fichier illisible ({error.strerror or error})", accepted="un journal entier") from None

    def _is_xes(self, stream: BufferedReader) -> bool:
        """By its name, else by its first sign."""
        named = self._path.name.lower().removesuffix(".gz").endswith((".xes", ".xml"))
        peeked = stream.peek(1)
        return named or peeked.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")

    def _skipped(self, cells: Mapping[str, Cell]) -> bool:
        """Whether an event does not count; it is then counted as left out."""
        given = cells["lifecycle"][0].strip() if "lifecycle" in cells else ""
        if self._lifecycle is None or not given or given.casefold() in self._lifecycle:
            return False
        left = self.left_out.events
        left[_short(given) if _short(given) in left or len(left) < _MOST_LEFT_OUT else _OTHERS] += 1
        return True

    # --- XES ---

    def _xes(self, stream: IO[bytes]) -> Iterator[tuple[int, Mapping[str, Cell]]]:
        wanted: dict[str, list[str]] = {}
        for role, name in self._names.items():
            wanted.setdefault(name, []).append(role)
        reader = xes.Reader(wanted)
        yield from reader.events(stream)
        self.left_out.cases = reader.empty
        for role in sorted(self._columns.needed):
            if reader.seen and self._names[role] not in reader.seen:
                accepted = f"{self._columns.hint.format(role)} ; un attribut du dossier s'écrit « case:… »"
                raise LogError("attribut que le journal ne donne jamais", column=self._names[role], accepted=accepted)

    # --- CSV ---

    def _csv(self, stream: IO[bytes]) -> Iterator[tuple[int, Mapping[str, Cell]]]:
        reader = csv.reader(_lines(stream), strict=True)
        begins = 1
        try:
            header = next(reader, None)
            if not header:
                raise LogError("fichier vide, ou sans en-tête", line=1, accepted=_WHOLE)
            places = _places(header, self._columns)
            self._names.update((role, name) for role, (_, name) in places.items())
            begins = reader.line_num + 1
            for cells in reader:
                if cells:
                    if len(cells) != len(header):
                        rule = f"{len(cells)} colonnes au lieu de {len(header)} : le fichier est peut-être coupé"
                        raise LogError(rule, line=begins, accepted=f"{len(header)} colonnes, comme l'en-tête")
                    yield begins, {role: (cells[index], begins) for role, (index, _) in places.items()}
                begins = reader.line_num + 1
        except csv.Error as error:
            rule = f"CSV illisible ({error}) : le fichier est peut-être coupé"
            raise LogError(rule, line=begins, accepted=_WHOLE) from None

    # --- the values ---

    def _row(self, line: int, cells: Mapping[str, Cell]) -> Row:
        said = {role: self._text(role, cells, line) for role in self._names}
        times = {
            role: self._instant(role, said.pop(role), cells[role][1]) if said.get(role) else None
            for role in ("time", "start", "end", "deadline")
        }
        time = times["time"]
        assert time is not None  # noqa: S101  (needed: `_text` refuses an empty one)
        return Row(
            line, said["case"], said["activity"], time, times["start"], times["end"], times["deadline"], said
        )  # fmt: skip

    def _text(self, role: str, cells: Mapping[str, Cell], line: int) -> str:
        column = self._names[role]
        given, at = cells.get(role, ("", line))
        value = given.strip()
        if not value and role in NEEDED:
            rule = "vide" if role in cells else "absent"
            raise LogError(rule, line=at, column=column, accepted=_INSTANT if role == "time" else "un texte qui se lit")
        if len(value) > MAX_CELL:
            raise LogError(f"{len(value)} signes", line=at, column=column, accepted=f"{MAX_CELL} signes au plus")
        if not value.isprintable():
            for place, sign in enumerate(value, 1):
                if unicodedata.category(sign) in ("Cc", "Cs"):
                    rule = f"caractère interdit U+{ord(sign):04X} en position {place}"
                    raise LogError(rule, line=at, column=column, accepted="du texte sans caractère de contrôle")
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


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """The physical lines of the file: strictly UTF-8, without NUL, none longer than memory should hold."""
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
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
        yield text


def _places(header: list[str], columns: Columns) -> dict[str, tuple[int, str]]:
    """Where each role stands. Raises LogError: a column twice, or not there."""
    header = [name.strip() for name in header]
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise LogError(
            "colonne donnée deux fois", line=1, column=_short(twice), accepted="des noms de colonne différents"
        )
    found: dict[str, tuple[int, str]] = {}
    for role, names in columns.names.items():
        name = next((name for name in names if name in header), None)
        if name is not None:
            found[role] = (header.index(name), name)
        elif role in columns.needed:
            listed = ", ".join(map(_short, header[:_SHOWN_COLUMNS]))
            accepted = f"{columns.hint.format(role)}, une de : {listed}"
            raise LogError(
                f"pas de colonne pour le rôle « {role} »", line=1, column=_short(names[0]), accepted=accepted
            )
    return found


def _short(words: str) -> str:
    return words if len(words) <= _SHOWN else words[:_SHOWN] + "…"
