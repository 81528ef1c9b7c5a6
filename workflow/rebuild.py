"""Reckoning again, in bulk, what a new version of a calendar or of the table of legal limits moves.

Each batch is one transaction: open dossiers locked by ascending id, decided by the pure core, written by `apply` in the
lane behind people's. What does not move is not written. A run that was cut off is run again: what has moved moves no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states import rebuild
from states.almanac import Almanac
from states.errors import CoupeFileError, Refused
from workflow import definitions, directory
from workflow.apply import LANE_BULK, SLICE, Change, apply, connection
from workflow.dossiers import COLUMNS, LOCK, NOW, Locked, locked

BATCH = 1000
AHEAD = 2
"""Slices that the server is asked for before the first is reckoned."""


@dataclass(slots=True)
class Rebuilt:
    """What a run did, or would do: dossiers read and moved, clocks by name with how far each date moves, those left."""

    read: int = 0
    dossiers: int = 0
    clocks: dict[str, list[timedelta]] = field(default_factory=dict)
    left: list[tuple[int, str]] = field(default_factory=list)
    last: int = 0


_IDS = "select id from dossiers where id > %(last)s and wake_at is not null order by id limit %(limit)s"
_ROWS = f"select {COLUMNS} from dossiers d where d.id = any(%(ids)s) order by d.id"  # noqa: S608  (constants)


def run(make: sessionmaker[Session], *, who: str, why: str, dry: bool = False, size: int = BATCH) -> Iterator[Rebuilt]:
    """Go through every open dossier; yields after each batch, which is then committed. `dry` writes nothing."""
    total = Rebuilt()
    while batch(make, total, who=who, why=why, size=size, dry=dry):
        yield total
    yield total


def batch(
    make: sessionmaker[Session], total: Rebuilt, *, who: str, why: str, size: int = BATCH, dry: bool = False
) -> bool:
    """Go through the next open dossiers by id, in one transaction of its own; False when there are none left."""
    with make.begin() as session:
        ids = [row[0] for row in connection(session).execute(_IDS, {"last": total.last, "limit": size}, binary=True)]
        if not ids:
            return False
        almanac = directory.almanac_now(session)

        def moved() -> Iterator[Change]:
            for rows, now in _slices(session, ids, lock=not dry):
                for row in rows:
                    change = _change(session, row, almanac, now, total, who=who, why=why)
                    if change is not None:
                        yield change

        if dry:
            deque(moved(), maxlen=0)
        else:
            apply(session, moved(), lane=LANE_BULK, stream=True)
        total.last = ids[-1]
        return True


def _slices(session: Session, ids: list[int], *, lock: bool) -> Iterator[tuple[list[Locked], datetime]]:
    """The rows in slices, each with the business time read once they are locked: the server reads one while another is
    reckoned.
    """
    driver, statement = connection(session), f"{_ROWS} {LOCK}" if lock else _ROWS
    asked: deque[tuple[psycopg.Cursor[Any], psycopg.Cursor[Any]]] = deque()
    parts = [ids[first : first + SLICE] for first in range(0, len(ids), SLICE)]
    while parts or asked:
        while parts and len(asked) < AHEAD:
            asked.append(
                (driver.execute(statement, {"ids": parts.pop(0)}, binary=True), driver.execute(NOW, binary=True))
            )
            if driver.pgconn.pipeline_status:
                driver.pgconn.send_flush_request()
        rows, clock = asked.popleft()
        yield [locked(row) for row in rows], clock.fetchone()[0]  # type: ignore[index]  # one row, by its CHECK


def _change(
    session: Session, row: Locked, almanac: Almanac, now: datetime, total: Rebuilt, *, who: str, why: str
) -> Change | None:
    """What moves of a dossier, counted; None when nothing does."""
    total.read += 1
    try:
        if row.error is not None:
            raise Refused("unreadable", f"le dossier {row.id} ne peut pas être lu")
        loaded = definitions.get(session, row.definition_id)
        at = now if row.dossier.at is None else max(now, row.dossier.at)
        decision = rebuild.rebuild(loaded.compiled, row.dossier, almanac, at=at, why=why, who=who)
    except CoupeFileError as error:
        total.left.append((row.id, error.message))
        return None
    if decision is None:
        return None
    total.dossiers += 1
    for name in decision.events[0].effect["clocks"]:
        by = decision.after.clocks[name].due - decision.before.clocks[name].due
        total.clocks.setdefault(name, []).append(by)
    return Change(row.id, row.head, loaded, decision)


def waiting(session: Session) -> int:
    """How many open dossiers there are to go through."""
    found: int = session.execute(text("select count(*) from dossiers where wake_at is not null")).scalar_one()
    return found
