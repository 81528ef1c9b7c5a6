"""What-if: the journals of a period lived again under another definition, in memory, and what would have changed.

Dossiers are read in chunks and forgotten: memory does not grow with the journal. The transaction is read-only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states import facts as core
from states import migration, whatif
from states.attachment import ATTACH
from states.decide import BREACH, REMIND
from states.dossier import Actor, Context, Dossier
from states.facts import Facts, Kinds, Line
from states.machine import Compiled
from states.migration import Route
from states.report import Report, Wanted
from states.whatif import Past
from workflow import business_time, definitions, directory, parties
from workflow.apply import connection
from workflow.confidentiality import MARK
from workflow.journal import dumps
from workflow.report import CHUNK
from workflow.report import kinds as kinds_of

ACTORS = frozenset({"system", "migration"})
_IDS = """
select d.id from dossiers d join events e on e.dossier_id = d.id and e.seq = 1 join definitions f on f.id = e.definition_id
where d.id > :last and f.name = :name
  and (cast(:since as timestamptz) is null or e.effective >= :since)
  and (cast(:until as timestamptz) is null or e.effective < :until) order by d.id limit :limit
"""
_USED = "select distinct f.id from definitions f where f.name = :name and exists (select from events e where e.definition_id = f.id)"


@dataclass(slots=True)
class Side:
    """One of the two: what happened, or what would have. `load` is by unit: dossiers it had, and what it was asked."""

    breaches: Counter[str] = field(default_factory=Counter)
    reminders: Counter[str] = field(default_factory=Counter)
    escalations: int = 0
    by_clock: int = 0
    resolved: int = 0
    load: dict[str, Counter[str]] = field(default_factory=dict)
    held: dict[str, timedelta] = field(default_factory=dict)
    report: Report | None = None


@dataclass(slots=True)
class Outcome:
    """What a what-if found: how many dossiers and events were read, both sides, the acts that would have been refused."""

    dossiers: int = 0
    changed: int = 0
    events: int = 0
    acts: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    was: Side = field(default_factory=Side)
    would: Side = field(default_factory=Side)


def run(
    make: sessionmaker[Session],
    compiled: Compiled,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    states: Mapping[str, str] | None = None,
    rungs: Mapping[str, str] | None = None,
    chunk: int = CHUNK,
) -> Outcome:
    """Live again, under `compiled`, every dossier of its workflow submitted in a period. Raises BadInput: a state or a rung
    that the dossiers have and `compiled` has not, and which is not mapped.
    """
    name = compiled.definition.id
    with make() as session:
        now, routes = business_time.now(session), dict[str, Route]()
        for key in session.execute(text(_USED), {"name": name}).scalars().all():
            old = definitions.get(session, key)
            route = Route(old.digest, compiled.definition.digest(), states or {}, rungs or {})
            migration.check(old.compiled.definition, compiled.definition, route)
            routes[old.digest] = route
    found = Outcome()
    found.was.report, found.would.report = Report(now, Wanted(version=name)), Report(now, Wanted(version=name))
    kinds, last = Kinds(compiled.definition), 0
    asked = {"name": name, "since": since, "until": until, "limit": chunk}
    while True:
        with make() as session:
            session.execute(text("set transaction read only"))
            ids = list(session.execute(text(_IDS), {**asked, "last": last}).scalars())
            if not ids:
                return found
            revision: int = session.execute(text("select revision from directory")).scalar_one()
            for _, events in groupby(_read(session, ids), key=lambda row: row[0]):
                _one(session, found, compiled, kinds, list(events), routes, now, revision)
        last = ids[-1]


_EVENTS = """
select e.dossier_id, e.seq, e.at, e.effective, e.kind, e.person_id, e.unit_id, e.role, e.command, e.facts, e.effect,
       e.definition_id, e.fired
from events e where e.dossier_id = any(%(ids)s) order by e.dossier_id, e.seq
"""


def _read(session: Session, ids: list[int]) -> list[Any]:
    return connection(session).execute(_EVENTS, {"ids": ids}, binary=True).fetchall()


def _one(
    session: Session,
    found: Outcome,
    compiled: Compiled,
    kinds: Kinds,
    rows: list[Any],
    routes: Mapping[str, Route],
    now: datetime,
    revision: int,
) -> None:
    old = definitions.get(session, rows[0][11])
    past = [
        Past(row[2], row[3], row[4], Actor(row[5], row[6], row[7]), row[8], row[9], row[10],
             row[12] is None and row[7] not in ACTORS and row[4] not in (ATTACH, MARK, *parties.KINDS)) for row in rows
    ]  # fmt: skip
    was = core.read(
        Line(row[1], row[2], row[3], row[4], row[7], row[8], row[9], row[10], kinds_of(session, row[11]))
        for row in rows
    )
    relived = whatif.relive(
        compiled, past, until=now, context=_directory(session, past[0].effect.get("data", {}), revision),
        rung=_rungs(old.compiled, compiled, routes[old.digest]),
    )  # fmt: skip
    found.dossiers, found.events, found.acts = found.dossiers + 1, found.events + len(rows), found.acts + relived.acts
    found.refused.update(relived.refused)
    _count(found.was, was, ((row[4], row[8]) for row in rows))
    if not relived.decisions:
        found.changed += 1
        return
    lived = [_line(seq, event, kinds) for seq, event in enumerate(whatif.lines(relived), 1)]
    would = core.read(lived)
    _count(found.would, would, ((line.kind, line.command) for line in lived))
    found.changed += _shape(was) != _shape(would)


def _shape(facts: Facts) -> Any:
    """What is compared: what was promised and late, who had it, how it climbed and ended."""
    return (
        facts.phase, facts.unit, facts.rung, facts.escalations, facts.reminders, facts.breaches, facts.reopened,
        sorted((one.clock, one.end is None, one.due, one.end is not None and one.late(one.end)) for one in facts.promises),
    )  # fmt: skip


def _line(seq: int, event: Any, kinds: Kinds) -> Line:
    """An event of the core as it would stand in a journal."""
    plain = [orjson.loads(dumps(part)) for part in (event.command, event.facts, event.effect)]
    return Line(seq, event.at, event.effective, event.kind, event.actor.role, plain[0], plain[1], plain[2], kinds)


def _count(side: Side, facts: Facts, events: Iterator[tuple[str, Any]]) -> None:
    for kind, command in events:
        if kind == BREACH:
            side.breaches[command["clock"]] += 1
        elif kind == REMIND:
            side.reminders[command["clock"]] += 1
    side.escalations += facts.escalations
    side.by_clock += facts.by_clock
    side.resolved += facts.resolved
    assert side.report is not None  # noqa: S101  (set where it begins)
    side.report.add(facts)
    for party in {party for _, party in facts.turns if party.startswith("unit:")}:
        side.load.setdefault(party, Counter())["dossiers"] += 1
    for one in facts.promises:
        if one.unit is not None:
            counted = side.load.setdefault(f"unit:{one.unit}", Counter())
            counted["promises"] += 1
            counted["late"] += one.late(side.report.now)
    for party, lasted in facts.shares(side.report.now).items():
        side.held[party] = side.held.get(party, timedelta(0)) + lasted


def _rungs(old: Compiled, new: Compiled, route: Route) -> Callable[[int], int | None]:
    """Which rung of the new ladder stands for one of the old, by name."""
    places = {one.rung: index for index, one in enumerate(new.definition.ladder)}
    names = [one.rung for one in old.definition.ladder]
    return lambda index: places.get(route.rung(names[index])) if index < len(names) else None


def _directory(session: Session, data: Any, revision: int) -> Callable[[datetime], Context]:
    """The directory of now, as it says who was there at an instant."""
    dossier = Dossier(data=data)
    return lambda at: directory.contexts(session, [dossier], at, revision)[0]
