"""What the antivirus has to look at and what it said: rows, under a lease, tried again later. Real time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

LEASE = timedelta(minutes=3)
BACK_OFF, BACK_OFF_MOST = timedelta(seconds=10), timedelta(minutes=10)
LATE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A content to be scanned, under lease."""

    sha256: bytes
    size: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Contents that wait for the antivirus, since how many seconds the oldest does and why; those it found infected."""

    waiting: int
    oldest: float | None
    why: str | None
    infected: int


_CLAIM = """
update contents set attempts = attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
where sha256 = any(array(
    select sha256 from contents where verdict is null and gone_at is null and next_at <= clock_timestamp()
    order by next_at, sha256 limit :limit for update skip locked))
returning sha256, size, attempts
"""


def claim(session: Session, *, limit: int) -> list[Waiting]:
    """Contents to scan now; the caller commits before it scans. The lease ends by itself if nobody comes back."""
    rows = session.execute(text(_CLAIM), {"lease": LEASE, "limit": limit})
    return [Waiting(bytes(row.sha256), row.size, row.attempts) for row in rows]


def scanned(session: Session, sha256: bytes, found: str | None) -> None:
    """Keep what the antivirus said of a content: the name of what it found, or nothing."""
    statement = """
        update contents set verdict = :verdict, found = :found, scanned_at = clock_timestamp(), why = null
        where sha256 = :sha256 and gone_at is null"""
    verdict = "clean" if found is None else "infected"
    session.execute(text(statement), {"sha256": sha256, "verdict": verdict, "found": found and found[:200]})


def failed(session: Session, one: Waiting, why: str) -> None:
    """Note that a content could not be scanned; it is tried again, later and later, and stays closed until then."""
    wait = min(BACK_OFF * 2 ** min(one.attempts - 1, 20), BACK_OFF_MOST)
    statement = """
        update contents set why = :why, next_at = clock_timestamp() + cast(:wait as interval)
        where sha256 = :sha256 and verdict is null"""
    session.execute(text(statement), {"sha256": one.sha256, "why": why[:500], "wait": wait})


def again(session: Session) -> int:
    """Have everything scanned once more, as after new signatures; returns how many contents. Until then they are closed."""
    statement = """
        update contents set verdict = null, found = null, scanned_at = null, attempts = 0, next_at = clock_timestamp()
        where gone_at is null and verdict is not null returning 1"""
    return len(session.execute(text(statement)).all())


_STANDING = """
select count(*) filter (where verdict is null) as waiting,
       extract(epoch from clock_timestamp() - min(kept_at) filter (where verdict is null))::float8 as oldest,
       (array_agg(why order by kept_at) filter (where verdict is null and why is not null))[1] as why,
       count(*) filter (where verdict = 'infected') as infected
from contents where gone_at is null and (verdict is null or verdict = 'infected')
"""


def standing(session: Session) -> Standing:
    """How the antivirus stands with what it has to look at."""
    row = session.execute(text(_STANDING)).one()
    return Standing(row.waiting, row.oldest, row.why, row.infected)
