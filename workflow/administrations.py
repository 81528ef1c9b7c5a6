"""What a sheet of units must hold together, what it would change, and what it may not close.

A unit that says what it does (`kinds`) says where (`areas`); then the ladder finds it. Codes that other lines or the database
have may be named.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from config import calendars, holidays
from config.administrations import shipped
from config.geography import search
from config.geography.france import france
from config.geography.search import UnknownPlaceError
from states import fields
from states.errors import Refused
from states.ladder import NATIONAL
from states.topics import CONFIDENCE
from workflow import places

COLUMNS = ("kinds", "areas", "topics", "parent", "calendar", "note", "confidence", "source")
LISTS = ("kinds", "areas", "topics")
LEVELS = ("territory", "service", "operator", "arrondissement", "departement", "region", "national")
TOLD = ("name", "level", "mailbox", "telephone", "zone", *COLUMNS, "valid_from", "valid_to")
FORMULA = ("=", "+", "-", "@", "\t")
"""A cell that begins so is a formula to a spreadsheet."""
PARIS, TERRITORY = "Europe/Paris", "territoire-industrie"
_COMMUNE, _SIREN = 5, 9
Cells = Mapping[str, str]
Line = tuple[int, Cells]
Found = tuple[int, str, str]
"""The line, the column, and what is wrong."""


# --- one cell ---------------------------------------------------------------------------------------------------------


def cell(column: str, value: str, territories: frozenset[str], desks: Collection[str]) -> str | None:
    """What is wrong with a cell of a unit that is not empty, or None; `territories` and `desks` are the codes that are known."""
    if value.startswith(FORMULA):
        return f"« {value[:20]} » commence par un signe que les tableurs prennent pour une formule ; accepté : un texte"
    if column in LISTS:
        words = value.split()
        if len(set(words)) < len(words):
            return "un mot est donné deux fois"
        wrong = (_WORDS[column](word, territories) for word in words)
        return next((one for one in wrong if one is not None), None)
    if column == "calendar" and value not in desks:
        return f"calendrier inconnu : « {value[:60]} » ; accepté : {', '.join(desks)}"
    if column == "confidence" and value not in CONFIDENCE:
        return f"« {value[:60]} » ; accepté : {', '.join(CONFIDENCE)}"
    return None


def _kind(word: str, _: frozenset[str]) -> str | None:
    return None if word in _kinds() else _near(word, _kinds(), "nature d'administration inconnue")


def _topic(word: str, _: frozenset[str]) -> str | None:
    return None if word in places.known_topics() else _near(word, places.known_topics(), "sujet inconnu")


def _area(word: str, territories: frozenset[str]) -> str | None:
    known = france()
    if word == NATIONAL or word in known.departements:
        return None
    if word.startswith("R"):
        return None if word[1:] in known.regions else _near(word[1:], known.regions, "région inconnue", "R")
    if word.startswith("T"):
        return None if word[1:] in territories else _near(word[1:], territories, "territoire inconnu", "T")
    if word.startswith("A"):
        return (
            None
            if word[1:] in known.arrondissements
            else _near(word[1:], known.arrondissements, "arrondissement inconnu", "A")
        )
    if len(word) == _SIREN:
        return None if word in known.groups else _near(word, known.groups, "groupement de communes inconnu")
    if len(word) == _COMMUNE:
        try:
            search.commune(word)
        except UnknownPlaceError as error:
            accepted = " ou ".join(match.shown for match in error.matches)
            return error.message + (f" ; accepté : {accepted}" if accepted else "")
        return None
    return f"zone inconnue : « {word[:60]} » ; accepté : *, R75, 64, A643, une commune (64300), un groupement (SIREN), T et un territoire"


_WORDS = {"kinds": _kind, "areas": _area, "topics": _topic}


@cache
def _kinds() -> frozenset[str]:
    return frozenset(shipped.kinds())


def _near(word: str, known: Iterable[str], sentence: str, sign: str = "") -> str:
    near = [f"{sign}{one}" for one in difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)]
    return f"{sentence} : « {sign}{word[:60]} »" + (f" ; accepté : {', '.join(near)}" if near else "")


# --- the lines together -----------------------------------------------------------------------------------------------


def together(lines: Iterable[Line], before: Mapping[str, Cells]) -> list[Found]:
    """What is wrong between lines that are each sound, and with the units that the database has (`before`, by code)."""
    given = list(lines)
    after: dict[str, Line] = {code: (0, cells) for code, cells in before.items()}
    after |= {cells["code"]: (line, {**before.get(cells["code"], {}), **cells}) for line, cells in given}
    return [*_halves(given), *_cycles(given, after), *_rivals(after)]


def _halves(given: Iterable[Line]) -> Iterator[Found]:
    for line, cells in given:
        kinds, areas, level = (cells.get(name, "") for name in ("kinds", "areas", "level"))
        if kinds and not areas:
            yield line, "areas", "une administration qui a une nature (kinds) dit où elle est compétente"
        if areas and not kinds:
            yield line, "kinds", "une administration qui a une zone (areas) dit ce qu'elle fait"
        if kinds and level and level not in LEVELS:
            yield line, "level", f"« {level} » ; accepté : {', '.join(LEVELS)}"


def _cycles(given: Iterable[Line], after: Mapping[str, Line]) -> Iterator[Found]:
    for line, cells in given:
        code, parent = cells["code"], cells.get("parent", "")
        if parent and parent not in after:
            yield line, "parent", _near(parent, after, "administration inconnue")
            continue
        way = [code]
        while parent and parent in after and parent not in way:
            way.append(parent)
            parent = after[parent][1].get("parent", "")
        if parent == code:
            yield line, "parent", f"cercle : {' → '.join([*way, code])}"


def _rivals(after: Mapping[str, Line]) -> Iterator[Found]:
    """Two units of one kind in one area, for a same topic, in office at the same time: nobody could choose."""
    held: dict[tuple[str, str, str], list[tuple[int, Cells]]] = {}
    for line, cells in sorted(after.values(), key=lambda one: one[0]):
        for kind in cells.get("kinds", "").split():
            for area in cells.get("areas", "").split():
                for topic in cells.get("topics", "").split() or [""]:
                    beside = held.setdefault((kind, area, topic), [])
                    for number, other in beside:
                        if line and _overlap(cells, other):
                            where = f" (ligne {number})" if number else ""
                            words = f"{kind} en {area}" + (f", {topic}" if topic else "")
                            yield line, "areas", f"déjà compétente pour {words} : {other['code']}{where}"
                    beside.append((line, cells))


def _overlap(one: Cells, other: Cells) -> bool:
    begins, ends = _span(one)
    since, until = _span(other)
    return (ends is None or since is None or since < ends) and (until is None or begins is None or begins < until)


def _span(cells: Cells) -> tuple[datetime | None, datetime | None]:
    begins, ends = cells.get("valid_from", ""), cells.get("valid_to", "")
    return (fields.instant("", begins) if begins else None, fields.instant("", ends) if ends else None)


# --- what it would change ---------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """What a sheet would do to a unit: add it, change a column, close it."""

    code: str
    name: str
    what: str
    column: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a sheet of units would change, in order of codes."""

    added: tuple[Change, ...]
    changed: tuple[Change, ...]
    closed: tuple[Change, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.added or self.changed or self.closed)


def difference(
    lines: Iterable[Line],
    before: Mapping[str, Cells],
    zones: Mapping[str, str],
    now: datetime,
    *,
    complete: bool = False,
) -> Difference:
    """What lines would change in the units that the database has; with `complete`, those that they do not name are closed.

    `zones` are the time zones of calendars.
    """
    given = {cells["code"]: cells for _, cells in lines}
    added = [Change(code, cells["name"], "added") for code, cells in given.items() if code not in before]
    changed: list[Change] = []
    closed: list[Change] = []
    for code, cells in given.items():
        if code in before:
            some = list(_columns(code, cells, before[code], zones))
            ends = [
                one for one in some if one.column == "valid_to" and one.after and fields.instant("", one.after) <= now
            ]
            closed += [one._replace(what="closed") for one in ends]
            changed += [one for one in some if one not in ends]
    if complete:
        kept = ("", TERRITORY)  # what says nothing of itself, and the desks that a list of territories made
        left = (
            code
            for code, cells in before.items()
            if code not in given and cells["kinds"] not in kept and _open(cells, now)
        )
        closed += [Change(code, before[code]["name"], "closed", "valid_to", "", now.isoformat()) for code in left]
    return Difference(*(tuple(sorted(changes)) for changes in (added, changed, closed)))


def _columns(code: str, cells: Cells, before: Cells, zones: Mapping[str, str]) -> Iterator[Change]:
    for column in TOLD:
        if column not in cells:
            continue
        old, new = before.get(column, ""), _same(column, cells[column], cells, zones)
        if old != new:
            yield Change(code, cells["name"], "changed", column, old, new)


def _same(column: str, value: str, cells: Cells, zones: Mapping[str, str]) -> str:
    """A cell as the database would give it back."""
    if column == "zone":
        return value or zones.get(cells.get("calendar", ""), PARIS)
    if column in LISTS:
        return " ".join(value.split())
    if column in ("valid_from", "valid_to"):
        return fields.instant("", value).isoformat() if value else ""
    return fields.clean(column, value) if value else ""


def _timezone(body: Mapping[str, str]) -> str:
    """The time zone of a calendar: its own, else that of its territory."""
    territory = holidays.ZONES.get(body.get("territory", ""))
    return body.get("timezone") or (territory.timezone if territory is not None else PARIS)


def shipped_calendars() -> dict[str, str]:
    """The time zone of each calendar that comes with the program, by code."""
    return {code: _timezone(body) for code, body in calendars.documents().items()}


_CALENDARS = "select distinct on (code) code, body from almanac where kind = 'calendar' order by code, id desc"


def known_calendars(session: Session) -> dict[str, str]:
    """The time zone of each calendar that a unit may name, by code."""
    return shipped_calendars() | {row.code: _timezone(row.body) for row in session.execute(text(_CALENDARS))}


def _open(cells: Cells, now: datetime) -> bool:
    _, ends = _span(cells)
    return ends is None or now < ends


_OPEN = """
select u.code, count(*) as dossiers from dossiers d join units u on u.id = d.unit_id
where d.phase <> 'resolved' and u.code = any(:codes) group by u.code order by u.code
"""


def refuse_vanishing(session: Session, found: Difference) -> None:
    """Raise Refused when a unit that has open dossiers would be closed: somebody must take them over first."""
    codes = [change.code for change in found.closed]
    rows = session.execute(text(_OPEN), {"codes": codes}).all() if codes else []
    if rows:
        told = ", ".join(f"{row.code} ({row.dossiers} en cours)" for row in rows)
        raise Refused(
            "open_dossiers",
            f"des administrations qui ont des dossiers en cours ne peuvent pas fermer : {told}",
            field="valid_to",
            accepted="transmettre ces dossiers d'abord",
        )


_UNITS = """
select u.code, u.name, u.level, u.kinds, u.areas, u.topics, p.code as parent, u.calendar, u.mailbox, u.telephone, u.zone,
       u.note, u.confidence, u.source, u.valid_from, u.valid_to
from units u left join units p on p.id = u.parent_id order by u.code
"""


def rows(session: Session) -> dict[str, dict[str, str]]:
    """The units of the database as the cells of a sheet, by code."""
    return {
        row.code: {name: _written(value) for name, value in row._mapping.items()}  # noqa: SLF001  (SQLAlchemy's public name)
        for row in session.execute(text(_UNITS))
    }


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
