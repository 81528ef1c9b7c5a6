"""Moving the dossiers of one version of a definition to another, batch by batch, and back.

Each batch is one transaction: rows locked by ascending id, decided by the pure core, written by `apply` in the lane
behind people's. Whoever is being handled is passed over, and waited for at the end. Nothing says how far it got but the
dossiers themselves: a run that was cut off goes on with those that are still under the old version.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states import clocks, migration
from states.almanac import Almanac
from states.dossier import Decision, Dossier
from states.errors import CoupeFileError, Refused
from states.migration import MIGRATE, Crossing, Route
from workflow import directory, journal
from workflow.apply import LANE_BULK, Change, apply, connection
from workflow.definitions import Loaded
from workflow.dossiers import COLUMNS, LOCK, NOW, Locked, locked
from workflow.sweep import REFUSALS

log = logging.getLogger(__name__)

BATCH = 200
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Move:
    """From which version to which, by which route; `back` undoes the same move."""

    source: Loaded
    target: Loaded
    route: Route
    back: bool = False

    @property
    def begins(self) -> Loaded:
        """The version that the dossiers to be moved are under."""
        return self.target if self.back else self.source

    @property
    def ends(self) -> Loaded:
        """The version that they are to be under."""
        return self.source if self.back else self.target


@dataclass(frozen=True, slots=True)
class Moved:
    """What a batch did: dossiers moved, those that cannot be with the reason, those that never made this move."""

    done: tuple[int, ...] = ()
    left: tuple[tuple[int, str], ...] = ()
    foreign: tuple[int, ...] = ()
    last: int | None = None


def move(
    source: Loaded, target: Loaded, *, states: dict[str, str] | None = None, rungs: dict[str, str] | None = None
) -> Move:
    """A move that leads somewhere from every state and rung. Raises BadInput with what is left open."""
    if source.id == target.id:
        raise Refused("same", "ces deux versions n'en font qu'une : il n'y a rien à migrer", field="TO")
    route = Route(source.digest, target.digest, states or {}, rungs or {})
    migration.check(source.compiled.definition, target.compiled.definition, route)
    return Move(source, target, route)


def back(source: Loaded, target: Loaded) -> Move:
    """The move that undoes the one from `source` to `target`; the route of each dossier stands in its journal."""
    return Move(source, target, Route(source.digest, target.digest), back=True)


def waiting(session: Session, wanted: Move) -> int:
    """How many dossiers are still under the version that the move begins at."""
    count: int = session.execute(
        text("select count(*) from dossiers where definition_id = :key"), {"key": wanted.begins.id}
    ).scalar_one()
    return count


# --- apply and undo ---------------------------------------------------------------------------------------------------


def run(make: sessionmaker[Session], wanted: Move, *, limit: int | None = None, size: int = BATCH) -> Iterator[Moved]:
    """Move every dossier that can be, or `limit` of them; yields after each batch, which is then committed.

    What is left is looked at a second time, with those that somebody was handling.
    """
    done = 0
    for wait in (False, True):
        after = 0
        while limit is None or done < limit:
            most = size if limit is None else min(size, limit - done)
            moved = batch(make, wanted, after=after, limit=most, wait=wait)
            if moved.last is None:
                break
            after, done = moved.last, done + len(moved.done)
            yield moved


_ROWS = f"""
select {COLUMNS} from dossiers d
where d.definition_id = %(under)s and d.id > %(after)s
order by d.id limit %(limit)s {LOCK}
"""  # noqa: S608  (constants)
_ONE = f"select {COLUMNS} from dossiers d where d.id = %(id)s and d.definition_id = %(under)s {LOCK}"  # noqa: S608  (constants)


def batch(
    make: sessionmaker[Session],
    wanted: Move,
    *,
    after: int = 0,
    limit: int = BATCH,
    wait: bool = False,
) -> Moved:
    """Move the next dossiers by id, in one transaction of its own; with `wait`, also those that others now hold."""
    params = {"under": wanted.begins.id, "after": after, "limit": limit}
    with make() as session:
        rows = _locked(session, _ROWS if wait else _ROWS + " skip locked", params)
        if not rows:
            return Moved()
        last = rows[-1].id
        try:
            moved = _write(session, wanted, rows, last)
            session.commit()
        except REFUSALS as error:
            session.rollback()
            log.warning("a batch of %s dossiers was refused, they go one by one: %r", len(rows), error)
        else:
            return moved
    singles = [_single(make, wanted, row.id) for row in rows]
    return Moved(
        tuple(key for one in singles for key in one.done),
        tuple(left for one in singles for left in one.left),
        tuple(key for one in singles for key in one.foreign),
        last,
    )


def _single(make: sessionmaker[Session], wanted: Move, key: int) -> Moved:
    try:
        with make.begin() as session:
            rows = _locked(session, _ONE, {"id": key, "under": wanted.begins.id})
            return _write(session, wanted, rows, key)
    except REFUSALS as error:
        log.error("dossier %s cannot be migrated: %r", key, error)  # noqa: TRY400  (what the database refused says it all)
        return Moved(left=((key, f"la base refuse : {type(error).__name__}"),))


def _locked(session: Session, statement: str, params: dict[str, Any]) -> list[Locked]:
    found = [locked(row) for row in connection(session).execute(statement, params, binary=True)]
    return sorted(found, key=lambda row: row.id)


def _write(session: Session, wanted: Move, rows: Sequence[Locked], last: int) -> Moved:
    now: datetime = connection(session).execute(NOW).fetchone()[0]  # type: ignore[index]  # one row, by its CHECK
    crossings = _crossings(session, wanted, [row.id for row in rows]) if wanted.back else {}
    almanac = directory.almanac_now(session)
    changes, left, foreign = [], [], []
    for row in rows:
        if wanted.back and row.id not in crossings:
            foreign.append(row.id)
            continue
        try:
            decision = _decide(wanted, row, crossings.get(row.id), now, almanac)
        except CoupeFileError as error:
            left.append((row.id, error.message))
            continue
        except Exception as error:  # noqa: BLE001  (decisions are pure: one dossier's error is its own)
            log.error("dossier %s cannot be migrated: %r", row.id, error)  # noqa: TRY400  (its own error says it all)
            left.append((row.id, f"erreur : {type(error).__name__}"))
            continue
        changes.append(Change(row.id, row.head, wanted.ends, decision))
    apply(session, changes, lane=LANE_BULK)
    return Moved(tuple(change.dossier_id for change in changes), tuple(left), tuple(foreign), last)


def _decide(wanted: Move, row: Locked, crossing: Crossing | None, now: datetime, almanac: Almanac) -> Decision:
    if row.error is not None:
        raise Refused("unreadable", "le dossier ne peut pas être lu")
    at = now if row.dossier.at is None else max(now, row.dossier.at)
    source, target = wanted.source.compiled, wanted.target.compiled
    if crossing is not None:
        return migration.undo(target, source, row.dossier, crossing, at=at, almanac=almanac)
    return migration.migrate(source, target, row.dossier, wanted.route, at=at, almanac=almanac)


def _crossings(session: Session, wanted: Move, ids: list[int]) -> dict[int, Crossing]:
    """The migration that brought each dossier to where it is, when it was this one."""
    found = {}
    for key, events in groupby(journal.read(session, ids), key=lambda event: event.dossier_id):
        since: list[journal.Recorded] = []
        moved = None
        for event in events:
            if event.kind == MIGRATE:
                moved, since = event, []
            else:
                since.append(event)
        if moved is None or "undoes" in moved.command:
            continue
        if (moved.command["from"], moved.command["to"]) == (wanted.source.digest, wanted.target.digest):
            route = Route(moved.command["from"], moved.command["to"], moved.command["states"], moved.command["rungs"])
            came_after = [(event.kind, event.effective) for event in since]
            found[key] = Crossing(moved.seq, route, moved.facts, came_after)
    return found


# --- plan -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shift:
    """What becomes of one running clock over all dossiers: kept, stopped, and how far its due dates move."""

    kept: int = 0
    stopped: int = 0
    moved: list[timedelta] = field(default_factory=list)
    late: int = 0


@dataclass(slots=True)
class Plan:
    """What a migration would do, dossier by dossier, at the business instant `at`; nothing is written."""

    at: datetime
    total: int = 0
    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    clocks: dict[str, Shift] = field(default_factory=dict)
    appear: tuple[str, ...] = ()
    holds: int = 0
    late: list[int] = field(default_factory=list)
    acts: list[int] = field(default_factory=list)
    left: list[tuple[int, str]] = field(default_factory=list)


def plan(make: sessionmaker[Session], wanted: Move, *, chunk: int = CHUNK) -> Iterator[Plan]:
    """What a move would do to every dossier, read in chunks, each in a snapshot of its own; yields as it grows."""
    old, new = wanted.source.compiled.definition, wanted.target.compiled.definition
    with make() as session:
        found = Plan(session.execute(text("select business_now()")).scalar_one())
        almanac = directory.almanac_now(session)
    found.appear = tuple(name for name in new.clocks if name not in old.clocks)
    last = 0
    statement = f"select {COLUMNS} from dossiers d where d.definition_id = %(under)s and d.id > %(last)s order by d.id limit %(chunk)s"  # noqa: S608  (constants)
    while True:
        with make() as session:
            session.execute(text("set transaction read only"))
            rows = _locked(session, statement, {"under": wanted.source.id, "last": last, "chunk": chunk})
        if not rows:
            break
        for row in rows:
            _foresee(found, wanted, row, almanac)
        last = rows[-1].id
        yield found
    yield found


def _foresee(found: Plan, wanted: Move, row: Locked, almanac: Almanac) -> None:
    found.total += 1
    try:
        decision = _decide(wanted, row, None, found.at, almanac)
    except CoupeFileError as error:
        found.left.append((row.id, error.message))
        return
    except Exception as error:  # noqa: BLE001  (decisions are pure: one dossier's error is its own)
        found.left.append((row.id, f"erreur : {type(error).__name__}"))
        return
    before, after = decision.before, decision.after
    found.states[before.state, after.state] += 1
    found.holds += before.hold is not None
    late = _shift(found, before, after, row)
    if late:
        found.late.append(row.id)
    if _awake(after, found.at) and not _awake(before, found.at):
        found.acts.append(row.id)


def _shift(found: Plan, before: Dossier, after: Dossier, row: Locked) -> bool:
    """Count what becomes of each running clock; whether one of them is late at once, and was not."""
    late = False
    at = max(found.at, row.dossier.at or found.at)
    for name, clock in before.clocks.items():
        if clock.end is not None:
            continue
        shift, now = found.clocks.setdefault(name, Shift()), after.clocks[name]
        if now.end is not None:
            shift.stopped += 1
            continue
        shift.kept += 1
        if now.due != clock.due:
            shift.moved.append(now.due - clock.due)
            if now.due < at:
                shift.late += 1
                late = True
    return late


def _awake(dossier: Dossier, at: datetime) -> bool:
    return dossier.wake_at is not None and dossier.wake_at <= at + clocks.STRICTLY_AFTER
