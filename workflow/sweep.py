"""The sweep: what the clock does to the dossiers whose time has come. Any number may run at once, or none for a while.

A batch is claimed by `wake_at <= now` with its rows locked, decided, and written in one transaction. Whoever fails,
fails alone: an error in a decision sets one dossier aside; a refusal by the database halves the batch; a batch that
killed its worker is found by its mark, and halved; a definition that fails widely is suspended whole.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from config import log_lines
from states.decide import decide
from states.dossier import DUE
from states.errors import CoupeFileError
from workflow import definitions, directory
from workflow.apply import LANE_BULK, Change, LostUpdate, apply, connection
from workflow.dossiers import COLUMNS, LOCK, NOW, Locked, locked

log = logging.getLogger(__name__)

BATCH = 1000
ORPHAN_AFTER = timedelta(seconds=20)  # longer than any batch of ours that is alive
RETRY_FIRST, RETRY_MOST = timedelta(minutes=1), timedelta(days=1)
RETRIES_AT_ONCE = 10
WIDELY = 20  # so many failures in one batch, and half of its dossiers of one definition
LOW_WATER_SECONDS = 5.0
LATE_BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 3600.0)
"""How late the clock acted is counted by these, in seconds of the dossiers' time; beyond the last in one more."""
# What the database says no to: the batch is halved. Anything else (a lost connection, a lock not had) is tried again whole.
REFUSALS = (psycopg.IntegrityError, psycopg.DataError, psycopg.InternalError, psycopg.ProgrammingError, LostUpdate)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: dossiers that moved on, dossiers set aside, and whether more may be waiting."""

    done: int = 0
    stuck: int = 0
    more: bool = False

    def __add__(self, other: Swept) -> Swept:
        """Both together."""
        return Swept(self.done + other.done, self.stuck + other.stuck, self.more or other.more)


def sweep(make: sessionmaker[Session], *, limit: int = BATCH) -> Swept:
    """One batch at most, after what an earlier sweep left behind. Commits by itself."""
    return _adopt(make) + _retry(make) + _claim(make, limit)


def due(session: Session, *, limit: int = BATCH) -> list[tuple[int, str, datetime]]:
    """What a sweep would now take: (dossier, reference, since when), longest due first. Changes nothing."""
    rows = session.execute(
        text(
            "select id, reference, wake_at from dossiers where wake_at <= (select business_now()) and not stuck "
            "and definition_id = any(:known) order by wake_at limit :limit"
        ),
        {"known": definitions.known(session), "limit": limit},
    )
    return [(row.id, row.reference, row.wake_at) for row in rows]


# --- a batch ----------------------------------------------------------------------------------------------------------

RECHECK = "d.wake_at <= (select business_now()) and not d.stuck"
_CLAIM = f"""
select d.id, d.wake_at from dossiers d where {RECHECK} and d.wake_at >= :low and d.definition_id = any(:known)
and d.id not in (select unnest(b.ids) from sweep_batches b)
order by d.wake_at limit :limit {LOCK} skip locked
"""  # noqa: S608  (constants)
_LOCK_IDS = f"""
select {COLUMNS} from dossiers d where d.id = any(%(ids)s) and d.definition_id = any(%(known)s) and {RECHECK}
order by d.id {LOCK} skip locked
"""  # noqa: S608  (constants)
_MARK = "insert into sweep_batches (ids) values (cast(:ids as bigint[])) returning id"
_UNMARK = "delete from sweep_batches where id = :id"
_EPOCH = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
_low: WeakKeyDictionary[Engine, tuple[datetime, float]] = WeakKeyDictionary()


def _claim(make: sessionmaker[Session], limit: int) -> Swept:
    """Claim what is due, then handle it. The mark is committed first, before anything is decided: it outlives a kill.

    One transaction after the other, never one within the other: behind a pooler, sweepers that each hold a connection
    and ask for a second would wait for each other.
    """
    with make() as session:
        session.execute(text("set local synchronous_commit = off"))  # a mark lost with the server marked nothing done
        params = {"low": _low_water(session), "limit": limit, "known": definitions.known(session)}
        rows = session.execute(text(_CLAIM), params).all()
        bound = session.get_bind().engine
        if not rows:
            _low.pop(bound, None)
            return Swept()
        ids = sorted(row.id for row in rows)
        mark = session.execute(text(_MARK), {"ids": ids}).scalar_one()
        session.commit()
    if len(rows) == limit:
        _low[bound] = (rows[-1].wake_at, monotonic())
    return _handle_ids(make, ids, mark) + Swept(more=len(rows) == limit)


def _low_water(session: Session) -> datetime:
    """Where the last full claim ended: behind an open snapshot, what lies before is dead. From the start every few seconds."""
    found, at = _low.get(session.get_bind().engine, (_EPOCH, 0.0))
    return found if monotonic() - at < LOW_WATER_SECONDS else _EPOCH


def _locked_rows(session: Session, statement: str, params: dict[str, Any]) -> tuple[list[Locked], datetime, int]:
    driver = connection(session)
    with driver.pipeline():
        rows = driver.execute(statement, params, binary=True)
        clock = driver.execute(NOW, binary=True)
        found = [locked(row) for row in rows]
        now, revision = clock.fetchone() or (_EPOCH, 0)
    found.sort(key=lambda row: row.id)
    return found, now, revision


def _handle(session: Session, rows: Sequence[Locked], now: datetime, revision: int) -> Swept:
    """Decide for each row, write those that could be decided, set the others aside. The caller commits."""
    failed: list[tuple[Locked, Exception]] = []
    contexts = directory.contexts(session, (row.dossier for row in rows), now, revision)
    done = 0

    def decided() -> Iterator[Change]:
        nonlocal done
        for row, context in zip(rows, contexts, strict=True):
            last = row.dossier.at
            if row.error is not None:
                failed.append((row, row.error))
                continue
            try:
                loaded = definitions.get(session, row.definition_id)
                at = now if last is None else max(now, last)
                decision = decide(loaded.compiled, row.dossier, DUE, context=context, at=at)
            except Exception as error:  # noqa: BLE001  (decisions are pure: one dossier's error is its own)
                failed.append((row, error))
                continue
            if decision.events:
                done += 1
                yield Change(row.id, row.head, loaded, decision)

    apply(session, decided(), lane=LANE_BULK, stream=len(rows) > 1)
    failed = _suspend_widely(session, rows, failed)
    for row, failure in failed:
        _set_aside(session, row.id, failure)
    return Swept(done=done, stuck=len(failed))


def _note(session: Session, rows: Sequence[Locked], now: datetime, swept: Swept) -> None:
    """Note what a batch did, and how late the clock came to each dossier."""
    lates = [
        max((now - row.dossier.wake_at).total_seconds(), 0.0)
        for row in rows
        if row.error is None and row.dossier.wake_at is not None
    ]
    if not lates:
        return
    counts = Counter(bisect_left(LATE_BOUNDS, late) for late in lates)
    params = {
        "done": swept.done,
        "stuck": swept.stuck,
        "late": [counts[index] for index in range(len(LATE_BOUNDS) + 1)],
        "sum": sum(lates),
        "most": max(lates),
    }
    session.execute(text(_NOTE), params)


_NOTE = """
insert into sweeps (done, stuck, late, late_sum, late_most)
values (:done, :stuck, cast(:late as integer[]), :sum, :most)
"""


def _suspend_widely(
    session: Session, rows: Sequence[Locked], failed: list[tuple[Locked, Exception]]
) -> list[tuple[Locked, Exception]]:
    """Suspend a definition that fails widely; its dossiers are not set aside one by one. Returns the other failures."""
    every = Counter(row.definition_id for row in rows)
    wide = {
        key
        for key, count in Counter(row.definition_id for row, _ in failed).items()
        if count >= WIDELY and count * 2 >= every[key]
    }
    for key in wide:
        first = next(failure for row, failure in failed if row.definition_id == key)
        log.error("definition %s fails widely, suspended: %r", key, first)
        definitions.suspend(session, key, f"échecs en nombre : {log_lines.told(first)}")
    return [(row, failure) for row, failure in failed if row.definition_id not in wide]


def _halve(make: sessionmaker[Session], ids: Sequence[int], mark: int, error: BaseException | None) -> Swept:
    """Handle a batch in halves, down to the one dossier that the database refuses, which is set aside."""
    if len(ids) == 1:
        with make.begin() as session:
            _set_aside(session, ids[0], error or RuntimeError("le traitement n'a jamais abouti : processus interrompu"))
            session.execute(text(_UNMARK), {"id": mark})
        return Swept(stuck=1)
    middle = len(ids) // 2
    with make.begin() as session:
        session.execute(text(_UNMARK), {"id": mark})
        marks = [
            (half, session.execute(text(_MARK), {"ids": half}).scalar_one())
            for half in (list(ids[:middle]), list(ids[middle:]))
        ]
    return sum((_handle_ids(make, half, half_mark) for half, half_mark in marks), Swept())


def _handle_ids(make: sessionmaker[Session], ids: Sequence[int], mark: int) -> Swept:
    with make() as session:
        try:
            params = {"ids": list(ids), "known": definitions.known(session)}
            rows, now, revision = _locked_rows(session, _LOCK_IDS, params)
            swept = _handle(session, rows, now, revision)
            _note(session, rows, now, swept)
            session.execute(text(_UNMARK), {"id": mark})
            session.commit()
        except REFUSALS as error:
            session.rollback()
            return _halve(make, ids, mark, error)
    return swept


# --- what was left behind ---------------------------------------------------------------------------------------------

_ORPHAN = """
update sweep_batches set started_at = clock_timestamp(), attempts = attempts + 1 where id = (
    select id from sweep_batches where started_at < clock_timestamp() - cast(:after as interval)
    order by id limit 1 for update skip locked)
returning id, ids, attempts
"""


def _adopt(make: sessionmaker[Session]) -> Swept:
    """Take over a batch that was begun and never finished: its worker died. It is halved; one alone gets a second try."""
    with make.begin() as session:
        orphan = session.execute(text(_ORPHAN), {"after": ORPHAN_AFTER}).one_or_none()
    if orphan is None:
        return Swept()
    log.warning("batch %s of %s dossiers was never finished", orphan.id, len(orphan.ids))
    alone_once = len(orphan.ids) == 1 and orphan.attempts <= 2  # noqa: PLR2004  (begun, then adopted: the second try)
    if alone_once:
        return _handle_ids(make, orphan.ids, orphan.id)
    return _halve(make, orphan.ids, orphan.id, None)


_STUCK = """
insert into stuck (dossier_id, error, retry_at) values (:id, :error, clock_timestamp() + cast(:first as interval))
on conflict (dossier_id) do update set error = excluded.error, attempts = stuck.attempts + 1,
    retry_at = clock_timestamp()
        + least(cast(:first as interval) * power(2, least(stuck.attempts, 20)), cast(:most as interval))
"""
_RETRY = """
select s.dossier_id from stuck s join dossiers d on d.id = s.dossier_id
where s.retry_at <= clock_timestamp() and s.skipped_at is null and d.definition_id = any(:known)
order by s.retry_at limit :limit for update of s skip locked
"""
_LEAVE = "update stuck set retry_at = clock_timestamp() + cast(:first as interval) where dossier_id = any(:ids)"
_LOCK_ONE = f"""
select {COLUMNS} from dossiers d where d.id = any(%(ids)s) and d.definition_id = any(%(known)s) {LOCK} skip locked
"""  # noqa: S608  (constants)


def _set_aside(session: Session, key: int, error: BaseException) -> None:
    """Mark a dossier stuck, with its error and a retry of its own, out of the sweep's way."""
    log.error("dossier %s set aside: %r", key, error, extra={"dossier": key})
    words = str(error) if isinstance(error, CoupeFileError) else log_lines.told(error)
    words = words[:2000].replace("\x00", "")
    params = {"id": key, "error": words, "first": RETRY_FIRST, "most": RETRY_MOST}
    session.execute(text(_STUCK), params)
    session.execute(text("update dossiers set stuck = true where id = :id and not stuck"), {"id": key})


def _retry(make: sessionmaker[Session]) -> Swept:
    """Try dossiers set aside again, each in a transaction of its own."""
    with make.begin() as session:
        params = {"limit": RETRIES_AT_ONCE, "known": definitions.known(session)}
        keys = session.execute(text(_RETRY), params).scalars().all()
        if keys:  # whoever looks next in the coming minute leaves them to us
            session.execute(text(_LEAVE), {"first": RETRY_FIRST, "ids": list(keys)})
    return sum((retry_one(make, key) for key in keys), Swept())


def retry_one(make: sessionmaker[Session], key: int) -> Swept:
    """Try one dossier that was set aside; it goes back to the clock when it can be decided and written."""
    try:
        with make() as session:
            params = {"ids": [key], "known": definitions.known(session)}
            rows, now, revision = _locked_rows(session, _LOCK_ONE, params)
            swept = _handle(session, rows, now, revision)
            if rows and not swept.stuck:
                session.execute(text("update dossiers set stuck = false where id = :id"), {"id": key})
                session.execute(text("delete from stuck where dossier_id = :id"), {"id": key})
            session.commit()
            return swept
    except REFUSALS as error:
        with make.begin() as session:
            _set_aside(session, key, error)
        return Swept(stuck=1)


# --- what an operator does --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aside:
    """A dossier that is out of the clock's way: why, since when, when it is tried again, or who decided that it is not."""

    dossier_id: int
    reference: str
    error: str
    since: datetime
    attempts: int
    retry_at: datetime
    skipped_at: datetime | None
    skipped_by: str | None
    skipped_why: str | None


_ASIDE = """
select s.dossier_id, d.reference, s.error, s.since, s.attempts, s.retry_at, s.skipped_at, s.skipped_by, s.skipped_why
from stuck s join dossiers d on d.id = s.dossier_id
where cast(:key as bigint) is null or s.dossier_id = :key
order by s.since, s.dossier_id limit :limit
"""


def aside(session: Session, *, key: int | None = None, limit: int = BATCH) -> list[Aside]:
    """The dossiers that are set aside, the oldest first."""
    rows = session.execute(text(_ASIDE), {"key": key, "limit": limit})
    return [Aside(**row._mapping) for row in rows]  # noqa: SLF001  (SQLAlchemy's public name)


def skip(session: Session, key: int, *, who: str, why: str) -> bool:
    """Leave a dossier that is set aside out of the clock's way until `resume`; False when it is not set aside."""
    statement = """update stuck set skipped_at = coalesce(skipped_at, clock_timestamp()), skipped_by = :who, skipped_why = :why
                   where dossier_id = :id returning dossier_id"""
    return bool(session.execute(text(statement), {"id": key, "who": who, "why": why}).first())


def resume(session: Session, keys: Sequence[int]) -> None:
    """Give dossiers that were left out back to the retries."""
    statement = """update stuck set skipped_at = null, skipped_by = null, skipped_why = null, retry_at = clock_timestamp()
                   where dossier_id = any(:ids)"""
    session.execute(text(statement), {"ids": list(keys)})
