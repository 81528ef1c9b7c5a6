"""The directory: administrations, people, who stands on which rung for a topic at a place. Read once by a process
for each revision, so that a decision costs no look-up of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, TextClause, select, text
from sqlalchemy.orm import Session

from config.geography.france import france
from states import ladder
from states.almanac import Almanac
from states.definition import Definition
from states.dossier import Context, Dossier, Json, Rung
from states.errors import BadInput
from states.ladder import Place
from states.ladder import Unit as Service
from workflow import administrations as units
from workflow import almanac, places, territories
from workflow.models import Commune, Competence, Person, Unit

STAFF = ("referent", "head", "prefet", "operator")
ANYWHERE = "*"
PARIS = ZoneInfo(almanac.PARIS)
MAIRIE = "mairie-"
"""How the code of a mairie begins: it has a row once a dossier concerns it."""


@dataclass(frozen=True, slots=True)
class Administrations:
    """The administrations of the database at one revision: who is competent where, the perimeters, and who is there.

    `keys` are those of the rows, by code.
    """

    directory: ladder.Directory
    perimeters: territories.Perimeters
    there: ladder.There
    keys: Mapping[str, int]

    def ladder(self, topic: str, commune: str, at: datetime) -> ladder.Ladder | None:
        """The ladder of a topic in a commune; None when either is not one that reference data knows."""
        known = places.known_topics().get(topic)
        if known is None or commune not in france():
            return None
        return self.directory.ladder(known, self._place(commune, at), at)

    def consulted(self, topic: str, commune: str, at: datetime) -> list[tuple[str, Service]]:
        """The services that are usually consulted on a topic in a commune, each with the kind that it is asked as."""
        known = places.known_topics().get(topic)
        if known is None or commune not in france():
            return []
        found = self.directory.consulted(known, self._place(commune, at), at)
        return [(kind, unit) for kind, unit in found if unit is not None]

    def _place(self, commune: str, at: datetime) -> Place:
        return places.place(commune, at.astimezone(PARIS).date(), self.perimeters)


@dataclass(slots=True)
class _Revision:
    number: int
    almanac: Almanac
    administrations: Administrations | None = None
    asked: bool = False
    staff: dict[int, list[tuple[int, Any, Any]]] = field(default_factory=dict)
    away: dict[int, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    ladders: dict[tuple[str, str], tuple[tuple[int, int | None], ...]] = field(default_factory=dict)


_revisions: WeakKeyDictionary[Engine, _Revision] = WeakKeyDictionary()

_STAFF = """
select m.unit_id, m.person_id, greatest(m.valid_from, u.valid_from) as valid_from,
       least(m.valid_to, u.valid_to) as valid_to
from memberships m join units u on u.id = m.unit_id where m.role = any(:roles)
"""
_AWAY = "select person_id, begins, ends from absences where ends > (select business_now()) - interval '1 year'"


def contexts(session: Session, dossiers: Iterable[Dossier], at: datetime, revision: int) -> list[Context]:
    """The facts that decisions about these dossiers may consult, as they stand at `at`."""
    current = _current(session, revision)
    known: dict[tuple[Any, ...], Context] = {}
    found = []
    for dossier in dossiers:
        key = (dossier.unit, dossier.data.get("topic"), dossier.data.get("commune"))
        if key not in known:
            known[key] = _context(session, current, dossier, at)
        found.append(known[key])
    return found


def almanac_now(session: Session) -> Almanac:
    """The calendars and the table of rules, as they stand."""
    revision: int = session.execute(text("select revision from directory")).scalar_one()
    return _current(session, revision).almanac


def ladder_context(session: Session, data: Json, at: datetime) -> Context:
    """The ladder of a topic at a place, for a dossier about to be opened."""
    revision: int = session.execute(text("select revision from directory")).scalar_one()
    return contexts(session, [Dossier(data=data)], at, revision)[0]


def administrations(session: Session) -> Administrations | None:
    """Those of the database as it now is, read once for each revision; None when no unit says what it does."""
    return _administrations(
        session, _current(session, session.execute(text("select revision from directory")).scalar_one())
    )


def _administrations(session: Session, current: _Revision) -> Administrations | None:
    if not current.asked:
        keys = {row.code: row.id for row in session.execute(select(Unit.code, Unit.id))}
        said = [row for row in units.rows(session).values() if row["kinds"]]
        if said:
            current.administrations = Administrations(
                ladder.Directory.of(places.units(said)),
                territories.Perimeters(territories.versions(session)),
                lambda code, at: code in keys and bool(_there(current, keys[code], at)),
                keys,
            )
        current.asked = True
    return current.administrations


def _current(session: Session, revision: int) -> _Revision:
    engine = session.get_bind().engine
    held = _revisions.get(engine)
    if held is not None and held.number == revision:
        return held
    fresh = _Revision(revision, almanac.read(session))
    for row in session.execute(text(_STAFF), {"roles": list(STAFF)}):
        fresh.staff.setdefault(row.unit_id, []).append((row.person_id, row.valid_from, row.valid_to))
    for row in session.execute(text(_AWAY)):
        fresh.away.setdefault(row.person_id, []).append((row.begins, row.ends))
    _revisions[engine] = fresh
    return fresh


def _context(session: Session, current: _Revision, dossier: Dossier, at: datetime) -> Context:
    rungs = tuple(
        Rung(index, unit, staffed=unit is not None and bool(_there(current, unit, at)))
        for index, unit in _ladder(session, current, dossier.data, at)
    )
    members = frozenset(_there(current, dossier.unit, at)) if dossier.unit is not None else frozenset()
    return Context(rungs, members, current.almanac)


def _there(current: _Revision, unit: int, at: datetime) -> list[int]:
    """Who is in office in a unit and not away."""
    return [
        person
        for person, begins, ends in current.staff.get(unit, ())
        if (begins is None or begins <= at)
        and (ends is None or at < ends)
        and not any(since <= at < until for since, until in current.away.get(person, ()))
    ]


def _ladder(session: Session, current: _Revision, data: Json, at: datetime) -> Iterable[tuple[int, int | None]]:
    """(rung, unit) from the ladder of the topic where administrations say what they do, else from the competences.

    A rung that the unit of a lower one holds already is none: nobody is solicited twice.
    """
    topic, commune = data.get("topic", ANYWHERE), data.get("commune", ANYWHERE)
    found = _administrations(session, current)
    rungs = None if found is None else found.ladder(topic, commune, at)
    if found is None or rungs is None:
        return _competences(session, current, topic, commune)
    return [
        (rung.number, None if rung.unit is None else found.keys.get(rung.unit.code))
        for rung in rungs
        if rung.same_as is None
    ]


def _competences(session: Session, current: _Revision, topic: str, commune: str) -> tuple[tuple[int, int | None], ...]:
    key = (topic, commune)
    if key not in current.ladders:
        areas = [ANYWHERE, departement(commune), commune]  # the most precise wins; a precise topic wins over any
        best: dict[int, tuple[tuple[int, bool], int | None]] = {}
        rows = session.execute(
            select(Competence).where(Competence.topic.in_([topic, ANYWHERE]), Competence.area.in_(areas))
        ).scalars()
        for row in rows:
            rank = (areas.index(row.area), row.topic != ANYWHERE)
            if row.rung not in best or rank > best[row.rung][0]:
                best[row.rung] = (rank, row.unit_id)
        current.ladders[key] = tuple((rung, best[rung][1]) for rung in sorted(best))
    return current.ladders[key]


_MAIRIES = """
insert into units (code, name, level, zone, calendar)
select g.code, g.name, 'service', coalesce(p.zone, 'Europe/Paris'), p.calendar
from unnest(cast(:codes as text[]), cast(:names as text[]), cast(:near as text[])) as g (code, name, near)
left join units p on p.code = g.near order by g.code
on conflict (code) do nothing
"""
_PREFECTURE = "prefecture"


_COMMUNES = """
insert into communes (code, name)
select g.code, g.name from unnest(cast(:codes as text[]), cast(:names as text[])) as g (code, name)
where not exists (select from communes c where c.code = g.code) order by g.code
on conflict (code) do nothing
"""


def keep_places(session: Session, asked: Iterable[Mapping[str, Any]], at: datetime) -> None:
    """Give a row to every commune of dossiers about to be opened, and to every mairie on their ladders or to be consulted.

    A mairie keeps the calendar of its préfecture. `asked` are the fields of the dossiers; what is wrong in them is left to
    their own check.
    """
    found = administrations(session)
    if found is None:
        return
    wanted: dict[str, tuple[str, str | None]] = {}
    communes: dict[str, str] = {}
    for topic, commune in {(str(one.get("topic")), str(one.get("commune"))) for one in asked}:
        rungs = found.ladder(topic, commune, at)
        if rungs is None:
            continue
        communes[commune] = places.place(commune).name
        near = next((one.unit.code for one in rungs if one.unit and _PREFECTURE in one.unit.kinds), None)
        units = [rung.unit for rung in rungs if rung.unit is not None]
        units += [unit for _, unit in found.consulted(topic, commune, at)]
        wanted |= {unit.code: (unit.name, near) for unit in units if unit.code not in found.keys}
    if communes:
        session.execute(text(_COMMUNES), {"codes": list(communes), "names": list(communes.values())})
    if wanted:
        names, near_ = zip(*wanted.values(), strict=True)
        session.execute(text(_MAIRIES), {"codes": list(wanted), "names": list(names), "near": list(near_)})


def departement(commune: str) -> str:
    """The département of a commune's code: two signs, three overseas."""
    return commune[:3] if commune.startswith(("97", "98")) else commune[:2]


def resolve(session: Session, definition: Definition, args: dict[str, Any]) -> dict[str, Any]:
    """Arguments with the codes of units and the logins of people turned to ids, communes and topics known to exist.

    Raises BadInput naming the field and the nearest codes.
    """
    values = dict(args)
    kinds = {definition.fields[name].type for name in args if name in definition.fields}
    if kinds.isdisjoint({"unit", "person", "commune", "topic"}):
        return values
    nation = None if kinds.isdisjoint({"commune", "topic"}) else administrations(session)
    for name, given in args.items():
        rule = definition.fields.get(name)
        if rule is None or not isinstance(given, str) or not given:
            continue
        if rule.type == "unit":
            values[name] = _found(session, name, given, Unit.code, Unit.id, "administration inconnue", open_=_OPEN_UNIT)
        elif rule.type == "person":
            values[name] = _found(session, name, given, Person.login, Person.id, "personne inconnue")
        elif rule.type == "commune" and nation is not None:
            places.place(given, field=name)
        elif rule.type == "commune":
            _found(session, name, given, Commune.code, Commune.code, "commune inconnue (code INSEE)")
        elif rule.type == "topic" and nation is not None:
            places.topic(given, field=name)
        elif rule.type == "topic":
            _found(session, name, given, Competence.topic, Competence.topic, "sujet inconnu de l'annuaire")
    return values


# A unit that has closed, or is not open yet, is given nothing.
_OPEN_UNIT = text(
    "(valid_from is null or valid_from <= (select business_now())) and (valid_to is null or (select business_now()) < valid_to)"
)
_ANY = text("true")


def _found(
    session: Session, name: str, given: str, column: Any, wanted: Any, sentence: str, *, open_: TextClause = _ANY
) -> Any:
    if "\x00" not in given:
        found = session.execute(select(wanted).where(column == given, open_).limit(1)).scalar()
        if found is not None:
            return found
    codes = [code for code in session.execute(select(column).where(open_).distinct()).scalars() if code != ANYWHERE]
    near = difflib.get_close_matches(given, codes, n=3, cutoff=0.4) or sorted(codes)[:5]
    shown = given[:60].replace("\x00", "\\0")
    raise BadInput(
        "unknown", f"{sentence} : « {shown} »", field=name, accepted=", ".join(near) or "rien : l'annuaire est vide"
    )
