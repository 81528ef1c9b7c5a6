"""Reckoning again, in bulk, what a new version of a calendar or of the table of legal limits moves.

Each batch is one transaction: open dossiers locked by ascending id, decided by the pure core, written by `apply` in the
lane behind people's. What does not move is not written. A run that was cut off is run again: what has moved moves no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states import rebuild
from states.errors import CoupeFileError
from workflow import definitions, directory
from workflow.apply import LANE_BULK, Change, apply, connection
from workflow.dossiers import COLUMNS, LOCK, NOW, locked

BATCH = 1000


@dataclass(slots=True)
class Rebuilt:
    """What a run did, or would do: dossiers read and moved, clocks by name with how far each date moves, those left."""

    read: int = 0
    dossiers: int = 0
    clocks: dict[str, list[timedelta]] = field(default_factory=dict)
    left: list[tuple[int, str]] = field(default_factory=list)
    last: int = 0


_ROWS = (
    f"select {COLUMNS} from dossiers d where d.id > %(last)s and d.wake_at is not null order by d.id limit %(limit)s"  # noqa: S608  (constants)
)


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
        statement = _ROWS if dry else f"{_ROWS} {LOCK}"
        rows = [
            locked(row)
            for row in connection(session).execute(statement, {"last": total.last, "limit": size}, binary=True)
        ]
        if not rows:
            return False
        now: datetime = connection(session).execute(NOW).fetchone()[0]  # type: ignore[index]  # one row, by its CHECK
        almanac, changes = directory.almanac_now(session), []
        for row in rows:
            total.last, total.read = row.id, total.read + 1
            try:
                loaded = definitions.get(session, row.definition_id)
                at = now if row.dossier.at is None else max(now, row.dossier.at)
                decision = rebuild.rebuild(loaded.compiled, row.dossier, almanac, at=at, why=why, who=who)
            except CoupeFileError as error:
                total.left.append((row.id, error.message))
                continue
            if decision is None:
                continue
            changes.append(Change(row.id, row.head, loaded, decision))
            total.dossiers += 1
            for name in decision.events[0].effect["clocks"]:
                by = decision.after.clocks[name].due - decision.before.clocks[name].due
                total.clocks.setdefault(name, []).append(by)
        if not dry:
            apply(session, changes, lane=LANE_BULK)
        return True


def waiting(session: Session) -> int:
    """How many open dossiers there are to go through."""
    found: int = session.execute(text("select count(*) from dossiers where wake_at is not null")).scalar_one()
    return found
