"""The almanac: calendars and tables of legal limits, kept as versions that clocks name, read once by a process.

A version never changes; the last of a code is the one that clocks start with. What came with the program is followed by
what comes with a newer one, unless an administration has made that code its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import orjson
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from config import calendars, holidays, legal_rules
from states import legal
from states.almanac import Almanac, Desk
from states.calendar import calendar
from states.errors import BadInput, shown
from states.legal import Table
from workflow.models import AlmanacRow

CALENDAR, RULES = "calendar", "rules"
FRANCE = "france"
"""The code of the table of legal limits."""
PROGRAM = "programme"
PARIS = "Europe/Paris"

_desks: WeakKeyDictionary[Engine, dict[int, Desk]] = WeakKeyDictionary()
_tables: WeakKeyDictionary[Engine, dict[int, Table]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a calendar or of the table: its number, its code, whether it is new."""

    id: int
    kind: str
    code: str
    new: bool


def read(session: Session) -> Almanac:
    """Everything that clocks may name, as it stands; what a process has read once it does not read again."""
    engine = session.get_bind().engine
    desks, tables = _desks.setdefault(engine, {}), _tables.setdefault(engine, {})
    known = [*desks, *tables]
    fresh = session.execute(select(AlmanacRow).where(AlmanacRow.id.not_in(known)).order_by(AlmanacRow.id)).scalars()
    for row in fresh:
        if row.kind == CALENDAR:
            desks[row.id] = desk(row.code, row.body)
        else:
            tables[row.id] = legal.parse(row.body)
    codes = {each.code: number for number, each in sorted(desks.items())}
    by_zone = {desks[number].hours.zone: number for code, number in codes.items() if code in holidays.ZONES}
    units = {}
    for unit in session.execute(text("select id, calendar, zone from units")):
        found = codes.get(unit.calendar) if unit.calendar is not None else None
        if found is None and unit.zone != PARIS:  # of two territories with the same clocks, one is named by the unit
            found = by_zone.get(unit.zone)
        if found is not None:
            units[unit.id] = found
    return Almanac(dict(desks), units, codes, dict(tables), max(tables, default=None))


def desk(code: str, body: Any) -> Desk:
    """A calendar as clocks use it, with the holidays of its territory. Raises BadInput."""
    territory = body.get("territory") if isinstance(body, dict) else None
    if territory is not None and territory not in holidays.ZONES:
        accepted = ", ".join(holidays.ZONES)
        raise BadInput(
            "territory", f"« {shown(territory)} » n'est pas un territoire", field="territory", accepted=accepted
        )
    known = None
    if territory is not None:
        known = holidays.of_zone(territory, good_friday=body.get("good_friday") in (True, "true", "oui"))
        body = {"timezone": holidays.ZONES[territory].timezone, **body}
    return Desk(code, territory or "metropole", calendar(body, name=code, holidays=known))


def publish(session: Session, kind: str, code: str, body: Any, *, who: str, why: str, own: bool = True) -> Version:
    """Keep a version under a code; the same content as the last is no new one. Raises BadInput."""
    if kind == CALENDAR:
        desk(code, body)
    else:
        legal.parse(body)
    digest = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    last = latest(session, kind, code)
    if last is not None and last.digest == digest:
        return Version(last.id, kind, code, new=False)
    row = AlmanacRow(kind=kind, code=code, digest=digest, body=body, own=own, who=who, why=why)
    session.add(row)
    session.flush()
    return Version(row.id, kind, code, new=True)


def latest(session: Session, kind: str, code: str) -> AlmanacRow | None:
    """The version that holds now, if there is one."""
    wanted = select(AlmanacRow).where(AlmanacRow.kind == kind, AlmanacRow.code == code)
    return session.execute(wanted.order_by(AlmanacRow.id.desc()).limit(1)).scalar()


def keep_shipped(session: Session) -> list[Version]:
    """Keep what comes with the program, where it is not there or is an older program's; returns what is new."""
    session.execute(text("select pg_advisory_xact_lock(4080)"))  # two programs starting at once keep it once
    shipped = [(CALENDAR, code, body) for code, body in calendars.documents().items()]
    shipped.append((RULES, FRANCE, legal_rules.document()))
    kept = []
    for kind, code, body in shipped:
        last = latest(session, kind, code)
        if last is None or not last.own:
            kept.append(publish(session, kind, code, body, who=PROGRAM, why="livré avec le programme", own=False))
    return [version for version in kept if version.new]
