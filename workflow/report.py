"""The report over the journal: the facts of the dossiers that a reader may see, as they were known at an instant.

Read in chunks, each in a transaction of its own, so that no snapshot outlives one. Metadata only: no text, no person.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from config.geography import search
from config.geography.france import france
from config.geography.search import UnknownPlaceError
from states import facts as core
from states.dossier import Actor
from states.effect import INSIDE, OUTSIDE
from states.errors import BadInput, shown
from states.facts import Facts, Kinds, Line
from states.report import Report, Wanted
from workflow import access, business_time, definitions, territories
from workflow.access import Scope
from workflow.apply import connection
from workflow.confidentiality import IDENTIFYING
from workflow.directory import departement

CHUNK = 500
ZONE = ZoneInfo("Europe/Paris")
"""The days of a period are those of Paris."""
ONE_DAY = timedelta(days=1)
GROUPS = ("unit", "departement", "territory", "topic", "rung", "definition", "month")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked about, in the words of its reader; `first` and `last` are days, both included."""

    first: date | None = None
    last: date | None = None
    unit: str | None = None
    territory: str | None = None
    departement: str | None = None
    topic: str | None = None
    rung: str | None = None
    version: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A dossier behind a figure: `times` how often it is in it; no text and no person."""

    id: int
    reference: str
    unit: int | None
    phase: str
    topic: str | None
    commune: str | None
    submitted: datetime
    closed: datetime | None
    times: int


@dataclass(slots=True)
class Made:
    """A report, and what its figures are called: units by id (code, name), clocks by name."""

    report: Report
    units: dict[int, tuple[str, str]] = field(default_factory=dict)
    clocks: dict[str, str] = field(default_factory=dict)
    listed: list[Listed] = field(default_factory=list)
    figures: set[str] = field(default_factory=set)


def make(
    sessions: sessionmaker[Session],
    asked: Asked,
    *,
    actor: Actor,
    at: datetime | None = None,
    listing: str | Sequence[str] = (),
    most: int | None = None,
) -> Made:
    """The report as of an instant, by default now; with `listing`, the dossiers behind those figures too; by default of any
    number of dossiers. Raises BadInput.
    """
    with sessions() as session:
        now, near = reading(session, asked, actor=actor, at=at, most=most)
        found = wanted(session, asked)
        units = {row[0]: (row[1], row[2]) for row in session.execute(text("select id, code, name from units"))}
        called = labels(session)
        coded = unnamed(session, actor) if listing else frozenset()
        by = None if asked.by is None else _by(asked.by, found, units, perimeters(session))
    listed = (listing,) if isinstance(listing, str) else listing
    made = Made(Report(now, found, by), units, called)
    for key, reference, facts in stream(sessions, actor=actor, at=now, near=near):
        figures = made.report.add(facts)
        made.figures.update(figures)
        if times := sum(figures[name] for name in listed):
            made.listed.append(
                Listed(key, reference, facts.unit, facts.phase, facts.topic, told(facts, coded, key).commune, facts.submitted,
                       facts.closed, times)
            )  # fmt: skip
    return made


def reading(
    session: Session, asked: Asked, *, actor: Actor, at: datetime | None, most: int | None
) -> tuple[datetime, Scope]:
    """As of when a report is, and which dossiers are worth reading for it. Raises BadInput: a time to come, or more dossiers
    than `most`.
    """
    now = business_time.now(session)
    if at is not None and at > now:
        raise BadInput("at", "cet instant est à venir", field="--at", accepted=f"au plus tard {now.isoformat()}")
    near = around(session, asked) if at is None else EVERYWHERE
    if most is not None:
        bounded(session, actor, near, most)
    return at or now, near


# --- the facts of many ------------------------------------------------------------------------------------------------

_kinds: WeakKeyDictionary[Engine, dict[int, Kinds]] = WeakKeyDictionary()
_DOSSIERS = (
    "select d.id, d.reference from dossiers d where d.id > :last and {scope} and {near} order by d.id limit :limit"
)
_SOME = "select count(*) from (select from dossiers d where {scope} and {near} limit :most) one"
EVERYWHERE = Scope("true", {})
EVENTS = """
select e.dossier_id, e.seq, e.at, e.effective, e.kind, e.role, e.command, e.facts, e.effect, e.definition_id
from events e where e.dossier_id = any(%(ids)s) and e.at <= %(at)s order by e.dossier_id, e.seq
"""
_END = datetime.max.replace(tzinfo=ZoneInfo("UTC"))


def stream(
    sessions: sessionmaker[Session], *, actor: Actor, at: datetime, chunk: int = CHUNK, near: Scope = EVERYWHERE
) -> Iterator[tuple[int, str, Facts]]:
    """The facts of each dossier that an actor may see, from the events recorded up to an instant, by id; with `near`,
    of those that are worth reading alone.
    """
    within = access.scope(actor)
    statement = text(_DOSSIERS.format(scope=within.sql, near=near.sql))
    last = 0
    while True:
        with sessions() as session:
            rows = session.execute(statement, {"last": last, "limit": chunk, **within.params, **near.params}).all()
            if not rows:
                return
            found = of(session, [row.id for row in rows], at)
        for row in rows:
            if row.id in found:
                yield row.id, row.reference, found[row.id]
        last = rows[-1].id


_UNNAMED = """
select d.id from dossiers d where (d.id in (select k.dossier_id from confidentialities k) or d.id in (
    select c.dossier_id from consultations c join confidentialities k on k.dossier_id = c.parent_id)) and not ({named})
"""


def unnamed(session: Session, actor: Actor) -> frozenset[int]:
    """The dossiers whose project an actor may not know: few, and none where nothing is marked."""
    named = access.named(actor)
    return frozenset(session.execute(text(_UNNAMED.format(named=named.sql)), named.params).scalars())


def told(facts: Facts, coded: frozenset[int], key: int) -> Facts:
    """The facts of a dossier as they may be told one by one: without what names a project that is not to be known."""
    if key not in coded:
        return facts
    return replace(facts, commune=None, data={name: one for name, one in facts.data.items() if name not in IDENTIFYING})


def of(session: Session, ids: Sequence[int], at: datetime = _END) -> dict[int, Facts]:
    """The facts of some dossiers, from their events recorded up to an instant; those that had none are left out."""
    rows = connection(session).execute(EVENTS, {"ids": list(ids), "at": at}, binary=True)
    return {
        key: core.read(
            Line(row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], kinds(session, row[9]))
            for row in events
        )
        for key, events in groupby(rows, key=lambda row: row[0])
    }


def of_one(session: Session, key: int, upto: int) -> Facts:
    """The facts of a dossier by its events up to one. Raises Refused: an event of a newer program."""
    rows = connection(session).execute(_UPTO, {"id": key, "seq": upto}, binary=True)
    return core.read(
        Line(row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], kinds(session, row[9])) for row in rows
    )


_UPTO = """
select e.dossier_id, e.seq, e.at, e.effective, e.kind, e.role, e.command, e.facts, e.effect, e.definition_id
from events e where e.dossier_id = %(id)s and e.seq <= %(seq)s order by e.seq
"""


def kinds(session: Session, definition: int) -> Kinds:
    """What the kinds of events of a definition mean. Raises Refused when this program cannot read it."""
    known = _kinds.setdefault(session.get_bind().engine, {})
    if definition not in known:
        known[definition] = Kinds(definitions.get(session, definition).compiled.definition)
    return known[definition]


def labels(session: Session) -> dict[str, str]:
    """What clocks are called, by the newest definition that has them."""
    found: dict[str, str] = {}
    for key in definitions.readable(session):
        found.update(kinds(session, key).labels)
    return found


def bounded(session: Session, actor: Actor, near: Scope, most: int) -> None:
    """Raise BadInput when more dossiers than that would be read."""
    within = access.scope(actor)
    statement = text(_SOME.format(scope=within.sql, near=near.sql))
    if session.execute(statement, {"most": most + 1, **within.params, **near.params}).scalar_one() > most:
        raise BadInput(
            "many", f"plus de {most} dossiers seraient à lire un à un", field="--from",
            accepted="une période ou un périmètre plus étroits, ou la commande coupe-file report",
        )  # fmt: skip


def around(session: Session, asked: Asked) -> Scope:
    """The dossiers of now that may be of those asked about, and others: their rows tell, before their journals are read."""
    params: dict[str, Any] = {}
    conditions: list[str] = []
    if asked.first is not None or asked.last is not None:
        params |= {"near_first": asked.first and asked.first.replace(day=1), "near_last": asked.last}
        conditions.append(_MONTHS)
    if asked.unit is not None:
        params["near_unit"] = asked.unit
        conditions.append("(select u.id from units u where u.code = :near_unit) = any(d.units)")
    if asked.topic is not None:
        params["near_topic"] = asked.topic
        conditions.append("d.data ->> 'topic' = :near_topic")
    if asked.departement is not None:
        params["near_area"] = f"{asked.departement}%"
        conditions.append("d.data ->> 'commune' like :near_area")
    if asked.territory not in (None, INSIDE, OUTSIDE):
        params["near_communes"] = territories.communes(territories.versions(session), asked.territory or "")
        conditions.append("d.data ->> 'commune' = any(:near_communes)")
    return Scope(" and ".join(conditions) or "true", params)


# A dossier that has not been counted yet may be of any month.
_MONTHS = """not exists (select from facts f where f.dossier_id = d.id and (
    f.month < cast(:near_first as date) or f.month > cast(:near_last as date)))"""


# --- what is asked ----------------------------------------------------------------------------------------------------


def period(first: date | None, last: date | None) -> tuple[datetime | None, datetime | None]:
    """The instants of a period of days, both included: from one on, and before the other. Raises BadInput."""
    if first is not None and last is not None and last < first:
        raise BadInput(
            "period", f"la période finit ({last}) avant de commencer ({first})", field="--to",
            accepted=f"un jour à partir du {first}",
        )  # fmt: skip
    since = None if first is None else datetime.combine(first, time(), ZONE)
    until = None if last is None else datetime.combine(last + ONE_DAY, time(), ZONE)
    return since, until


def wanted(session: Session, asked: Asked) -> Wanted:
    """What is asked, checked against what the database knows. Raises BadInput naming what would be accepted."""
    since, until = period(asked.first, asked.last)
    unit = None
    if asked.unit is not None:
        codes = {row.code: row.id for row in session.execute(text("select code, id from units"))}
        unit = codes[_known("--unit", asked.unit, codes, "administration inconnue")]
    every = [kinds(session, key) for key in definitions.readable(session)]
    if asked.rung is not None:
        _known("--rung", asked.rung, {rung for one in every for rung in one.rungs}, "échelon inconnu")
    if asked.version is not None:
        names = {name for one in every for name in (one.name, one.name.partition("@")[0])}
        _known("--definition", asked.version, names, "définition inconnue")
    if asked.topic is not None:
        topics = session.execute(text("select distinct topic from competences where topic <> '*'")).scalars()
        used = session.execute(text("select distinct data ->> 'topic' from dossiers where data ? 'topic'")).scalars()
        _known("--topic", asked.topic, {*topics, *used}, "sujet inconnu")
    if asked.by is not None:
        _known("--by", asked.by, GROUPS, "regroupement inconnu")
    return Wanted(since, until, unit, asked.rung, asked.topic, asked.version, _place(session, asked))


def _known(option: str, given: str, known: Any, sentence: str) -> str:
    if given in known:
        return given
    near = difflib.get_close_matches(given, list(known), n=3, cutoff=0.4) or sorted(known)[:8]
    accepted = ", ".join(near) or "rien : la base n'en contient pas"
    raise BadInput("unknown", f"{sentence} : « {shown(given)} »", field=option, accepted=accepted)


def _place(session: Session, asked: Asked) -> Callable[[str | None, datetime], bool] | None:
    area, territory = asked.departement, asked.territory
    if area is not None:
        _known("--departement", area, france().departements, "département inconnu")
    if territory is None:
        return None if area is None else lambda commune, _: commune is not None and departement(commune) == area
    _known("--territory", territory, {*territories.codes(session), INSIDE, OUTSIDE}, "territoire d'industrie inconnu")
    known = perimeters(session)

    def inside(commune: str | None, on: datetime) -> bool:
        if area is not None and (commune is None or departement(commune) != area):
            return False
        found = known(commune, on)
        return bool(found) == (territory == INSIDE) if territory in (INSIDE, OUTSIDE) else territory in found

    return inside


Places = Callable[[str | None, datetime], list[str]]
"""The codes of the territories that a commune was in at an instant."""


def perimeters(session: Session) -> Places:
    """Which territories a commune was in, by the lists that the database has."""
    known = territories.Perimeters(territories.versions(session))

    def found(commune: str | None, on: datetime) -> list[str]:
        if commune is None:
            return []
        try:
            return [one.code for one in known.around(search.commune(commune), on.astimezone(ZONE).date())]
        except UnknownPlaceError:
            return []

    return found


def _by(
    name: str, whole: Wanted, units: Mapping[int, tuple[str, str]], places: Places
) -> Callable[[Facts], Iterable[tuple[str, Wanted]]]:
    """The lines that a dossier counts in. Its promises may be those of other units and rungs than the one it has come to."""
    if name == "unit":
        return lambda facts: [
            (units[unit][0] if unit else "", replace(whole, unit=unit))
            for unit in {facts.unit or 0, *(one.unit or 0 for one in facts.promises)}
            if whole.unit in (None, unit)
        ]
    if name == "rung":
        return lambda facts: [
            (rung, replace(whole, rung=rung))
            for rung in {facts.rung or "", *(one.rung or "" for one in facts.promises)}
            if whole.rung in (None, rung)
        ]
    if name == "territory":
        return lambda facts: [(code, whole) for code in places(facts.commune, facts.submitted) or [""]]
    ways: dict[str, Callable[[Facts], str | None]] = {
        "departement": lambda facts: None if facts.commune is None else departement(facts.commune),
        "topic": lambda facts: facts.topic,
        "definition": lambda facts: facts.definition,
        "month": lambda facts: f"{facts.submitted.astimezone(ZONE):%Y-%m}",
    }
    way = ways[name]
    return lambda facts: [(way(facts) or "", whole)]
