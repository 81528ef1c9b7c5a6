"""The directory from sheets: units, people, memberships, competences, communes, checked whole, then written set-wise.

What is loaded again is brought up to date; what a sheet no longer names is left as it is: a unit or a seat is closed by
its `valid_to`, never deleted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import text
from sqlalchemy.orm import Session

from states import fields
from states.errors import BadInput
from workflow import administrations, territories
from workflow.directory import ANYWHERE

Cells = Mapping[str, str]
Lines = Sequence[tuple[int, Cells]]
MAX_NAME, MAX_LIST, MAX_RUNG = 200, 2_000, 99


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: its columns, those that may be left out, and how it is called in a folder."""

    name: str
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


SHEETS = (
    Sheet("communes", ("code", "name")),
    Sheet(
        "units",
        ("code", "name", "level"),
        ("mailbox", "telephone", "zone", "valid_from", "valid_to", *administrations.COLUMNS),
    ),
    Sheet("people", ("login", "name"), ("mail",)),
    Sheet("memberships", ("login", "role"), ("unit", "valid_from", "valid_to")),
    Sheet("competences", ("topic", "area", "rung"), ("unit",)),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a sheet: its line, its column, and a sentence."""

    sheet: str
    line: int
    column: str | None
    text: str


# --- check ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What the database has already: a sheet may refer to it."""

    units: Mapping[str, Cells] = field(default_factory=dict)
    logins: frozenset[str] = frozenset()
    territories: frozenset[str] = frozenset()
    calendars: Mapping[str, str] = field(default_factory=administrations.shipped_calendars)
    """The time zone of each calendar that a unit may name."""


NOTHING = Known()


def check(sheets: Mapping[str, Lines], known: Known = NOTHING) -> list[Problem]:
    """Everything wrong in sheets given as (line, cells by column), in order of lines."""
    codes = {
        "unit": _keys(sheets, "units", "code") | frozenset(known.units),
        "login": _keys(sheets, "people", "login") | known.logins,
        "territory": known.territories,
        "calendar": frozenset(known.calendars),
    }
    problems = [
        problem
        for name, lines in sheets.items()
        for line, cells in lines
        for problem in _line(name, line, cells, codes)
    ]
    twice = list(_twice(sheets))
    wrong = {problem.line for problem in (*problems, *twice) if problem.sheet == "units"}
    sound = [(line, cells) for line, cells in sheets.get("units", ()) if line not in wrong]
    between = [Problem("units", *found) for found in administrations.together(sound, known.units)]
    return sorted([*problems, *twice, *between], key=lambda problem: (problem.sheet, problem.line))


def _keys(sheets: Mapping[str, Lines], name: str, column: str) -> frozenset[str]:
    return frozenset(cells[column] for _, cells in sheets.get(name, ()))


_KEYS = {
    "communes": ("code",),
    "units": ("code",),
    "people": ("login",),
    "memberships": ("login", "unit", "role", "valid_from"),
    "competences": ("topic", "area", "rung"),
}


def _twice(sheets: Mapping[str, Lines]) -> Iterator[Problem]:
    for name, lines in sheets.items():
        seen: dict[tuple[str, ...], int] = {}
        for line, cells in lines:
            key = tuple(cells.get(column, "") for column in _KEYS[name])
            if key in seen:
                yield Problem(
                    name, line, _KEYS[name][0], f"déjà donné en ligne {seen[key]} : {', '.join(filter(None, key))}"
                )
            seen.setdefault(key, line)


_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_COMMUNE = re.compile(r"[0-9][0-9AB][0-9]{3}")
_AREA = re.compile(r"\*|[0-9][0-9AB]|9[78][0-9]|[0-9][0-9AB][0-9]{3}")
_MAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
_RULES: dict[str, tuple[re.Pattern[str], str]] = {
    "login": (_CODE, "lettres sans accent, chiffres, « . », « _ », « - »"),
    "level": (_NAME, "un mot en minuscules : service, departement…"),
    "role": (_NAME, "un rôle de la définition : holder, referent, head…"),
    "area": (_AREA, "une commune (64300), un département (64) ou *"),
    "mail": (_MAIL, "une adresse nom@domaine"),
    "mailbox": (_MAIL, "une adresse nom@domaine"),
}


def _line(name: str, line: int, cells: Cells, codes: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    sheet = next(sheet for sheet in SHEETS if sheet.name == name)
    for column in (*sheet.needed, *sheet.optional):
        value = cells.get(column, "")
        if not value:
            if column in sheet.needed:
                yield Problem(name, line, column, "obligatoire et vide")
            continue
        wrong = _cell(name, column, value, codes)
        if wrong is not None:
            yield Problem(name, line, column, wrong)
    begins, ends = cells.get("valid_from", ""), cells.get("valid_to", "")
    if begins and ends and not (_wrong_instant(begins) or _wrong_instant(ends)) and _instant(begins) >= _instant(ends):
        yield Problem(name, line, "valid_to", "la fin n'est pas après le début")


def _cell(name: str, column: str, value: str, codes: Mapping[str, frozenset[str]]) -> str | None:
    """What is wrong with a cell that is not empty, or None."""
    try:
        fields.clean(column, value)
    except BadInput as error:
        return f"{error.message} ; accepté : {error.accepted}"
    most = MAX_LIST if column in (*administrations.LISTS, "note") else MAX_NAME
    if len(value) > most:
        return f"{len(value)} signes ; accepté : {most} au plus"
    rule = (_COMMUNE, "un code INSEE de cinq signes") if (name, column) == ("communes", "code") else _RULES.get(column)
    if column == "code" and name == "units":
        rule = (_CODE, "lettres sans accent, chiffres, « . », « _ », « - »")
    if column == "topic" and value != ANYWHERE:
        rule = (_NAME, "un mot en minuscules, ou *")
    if rule is not None and not rule[0].fullmatch(value):
        return f"« {value} » ; accepté : {rule[1]}"
    if name == "units":
        wrong = administrations.cell(column, value, codes["territory"], sorted(codes["calendar"]))
        if wrong is not None:
            return wrong
    if column in ("unit", "login") and name != "people" and value not in codes[column]:
        return _unknown(column, value, codes[column])
    if column == "rung" and not (value.isascii() and value.isdecimal() and int(value) <= MAX_RUNG):
        return f"« {value} » ; accepté : un échelon de 0 à {MAX_RUNG}"
    if column in ("valid_from", "valid_to"):
        return _wrong_instant(value)
    if column == "zone" and not _is_zone(value):
        return f"fuseau inconnu : « {value} » ; accepté : un nom comme Europe/Paris ou Indian/Reunion"
    return None


def _unknown(column: str, value: str, codes: Iterable[str]) -> str:
    near = difflib.get_close_matches(value, sorted(codes), n=3, cutoff=0.4)
    words = {"unit": "administration inconnue", "login": "personne inconnue"}[column]
    return f"{words} : « {value} »" + (f" ; accepté : {', '.join(near)}" if near else "")


def _wrong_instant(value: str) -> str | None:
    try:
        fields.instant("", value)
    except BadInput as error:
        return f"{error.message} ; accepté : {error.accepted}"
    return None


def _instant(value: str) -> datetime:
    return fields.instant("", value)


@cache
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


# --- write ------------------------------------------------------------------------------------------------------------

_COMMUNES = """
insert into communes (code, name) select * from unnest(cast(:code as text[]), cast(:name as text[]))
on conflict (code) do update set name = excluded.name
"""
_UNITS = """
insert into units (code, name, level, mailbox, telephone, zone, valid_from, valid_to, kinds, areas, topics, calendar, note,
    confidence, source)
select code, name, level, mailbox, telephone, zone, valid_from, valid_to, string_to_array(kinds, ' '), string_to_array(areas, ' '),
    string_to_array(topics, ' '), calendar, note, confidence, source
from unnest(cast(:code as text[]), cast(:name as text[]), cast(:level as text[]), cast(:mailbox as text[]),
    cast(:telephone as text[]), cast(:zone as text[]), cast(:valid_from as timestamptz[]), cast(:valid_to as timestamptz[]),
    cast(:kinds as text[]), cast(:areas as text[]), cast(:topics as text[]), cast(:calendar as text[]),
    cast(:note as text[]), cast(:confidence as text[]), cast(:source as text[]))
    as g (code, name, level, mailbox, telephone, zone, valid_from, valid_to, kinds, areas, topics, calendar, note,
    confidence, source)
on conflict (code) do update set {updated}
"""
# A column that the sheet does not have is left as it is.
_UPDATED = (
    "name",
    "level",
    "mailbox",
    "telephone",
    "zone",
    "valid_from",
    "valid_to",
    "kinds",
    "areas",
    "topics",
    "calendar",
    "note",
    "confidence",
    "source",
)
_PARENTS = """
update units u set parent_id = p.id from unnest(cast(:code as text[]), cast(:parent as text[])) as g (code, parent)
left join units p on p.code = g.parent where u.code = g.code and u.parent_id is distinct from p.id
"""
_CLOSE = "update units set valid_to = :now where code = any(:codes)"
_PEOPLE = """
insert into persons (login, name, mail) select * from unnest(cast(:login as text[]), cast(:name as text[]), cast(:mail as text[]))
on conflict (login) do update set name = excluded.name, mail = excluded.mail
"""
# A seat is the same when person, unit, role and beginning are: only its end can then differ.
_SEATS = """
with given as (
    select p.id as person_id, u.id as unit_id, g.role, g.valid_from, g.valid_to
    from unnest(cast(:login as text[]), cast(:unit as text[]), cast(:role as text[]), cast(:valid_from as timestamptz[]),
                cast(:valid_to as timestamptz[])) as g (login, unit, role, valid_from, valid_to)
    join persons p on p.login = g.login left join units u on u.code = g.unit
), ended as (
    update memberships m set valid_to = g.valid_to from given g
    where m.person_id = g.person_id and m.unit_id is not distinct from g.unit_id and m.role = g.role
      and m.valid_from is not distinct from g.valid_from and m.valid_to is distinct from g.valid_to
)
insert into memberships (person_id, unit_id, role, valid_from, valid_to)
select g.person_id, g.unit_id, g.role, g.valid_from, g.valid_to from given g
where not exists (select from memberships m where m.person_id = g.person_id and m.unit_id is not distinct from g.unit_id
                  and m.role = g.role and m.valid_from is not distinct from g.valid_from)
"""
_COMPETENCES = """
insert into competences (topic, area, rung, unit_id)
select g.topic, g.area, g.rung, u.id
from unnest(cast(:topic as text[]), cast(:area as text[]), cast(:rung as smallint[]), cast(:unit as text[]))
    as g (topic, area, rung, unit) left join units u on u.code = g.unit
on conflict (topic, area, rung) do update set unit_id = excluded.unit_id
"""
_STATEMENTS = {
    "communes": _COMMUNES,
    "people": _PEOPLE,
    "memberships": _SEATS,
    "competences": _COMPETENCES,
}
_INSTANTS = ("valid_from", "valid_to")


def known(session: Session) -> Known:
    """What the database has: a sheet may refer to it."""
    return Known(
        administrations.rows(session),
        frozenset(session.execute(text("select login from persons")).scalars()),
        territories.codes(session),
        administrations.known_calendars(session),
    )


def write(session: Session, sheets: Mapping[str, Lines]) -> dict[str, int]:
    """Bring the directory up to date from sheets that `check` found nothing wrong with; returns the lines of each."""
    zones = administrations.known_calendars(session)
    for sheet in SHEETS:
        lines = sheets.get(sheet.name, ())
        if not lines:
            continue
        columns = {
            column: [_value(column, cells, zones) for _, cells in lines] for column in (*sheet.needed, *sheet.optional)
        }
        if sheet.name == "units":
            _write_units(session, columns, lines[0][1])
        else:
            session.execute(text(_STATEMENTS[sheet.name]), columns)
    return {sheet.name: len(sheets[sheet.name]) for sheet in SHEETS if sheet.name in sheets}


def _write_units(session: Session, columns: dict[str, list[Any]], header: Cells) -> None:
    parents = columns.pop("parent")
    given = {"name", "level", *header, *(["zone"] if "calendar" in header else [])}
    updated = [f"{name} = excluded.{name}" for name in _UPDATED if name in given]
    session.execute(text(_UNITS.format(updated=", ".join(updated))), columns)
    if "parent" in header:
        session.execute(text(_PARENTS), {"code": columns["code"], "parent": parents})


def close(session: Session, codes: Iterable[str], now: datetime) -> None:
    """Close units now, which `administrations.refuse_vanishing` let close."""
    session.execute(text(_CLOSE), {"codes": list(codes), "now": now})


def _value(column: str, cells: Cells, zones: Mapping[str, str]) -> Any:
    cell = cells.get(column, "")
    if column == "zone":
        return cell or zones.get(cells.get("calendar", ""), administrations.PARIS)
    if not cell:
        return None
    if column in administrations.LISTS:
        return " ".join(cell.split())
    if column in _INSTANTS:
        return _instant(cell)
    return int(cell) if column == "rung" else fields.clean(column, cell)
