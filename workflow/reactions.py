"""React: what follows from an event, once. A subscriber is a pure function, an event and its definition in, rows out.

Keys are claimed from `pending`; the subscribers' rows and the removal of the keys commit together. A subscriber that
fails is kept apart, with attempts and back-off, and stops nobody else. A new subscriber is one line in `SUBSCRIBERS`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states.decide import BREACH, IDLE, REFUSE, REMIND, SUBMIT
from states.definition import Definition
from states.dossier import Json
from states.errors import CoupeFileError
from workflow import definitions
from workflow.apply import connection
from workflow.journal import SHAPE, dumps

log = logging.getLogger(__name__)

BATCH = 500
ATTEMPTS = 8
RETRY_FIRST = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Happened:
    """An event as a subscriber sees it; `facts` name the unit and the assignee that it left the dossier with."""

    dossier_id: int
    seq: int
    at: datetime
    effective: datetime
    kind: str
    role: str
    command: Json
    facts: Json
    effect: Json


@dataclass(frozen=True, slots=True)
class Told:
    """A notice to be: a seat (`holder`, `manager`, `unit:12`, `head:12`, `assignee:12:7`), and why it is told."""

    target: str
    cause: Json


Subscriber = Callable[[Happened, Definition], Sequence[Told]]


def tell(event: Happened, definition: Definition) -> list[Told]:
    """Who is told of an event, as the definition says: each seat once."""
    told = {_target(seat, event): cause for seat, cause in _seats(event, definition)}
    return [Told(target, cause) for target, cause in told.items()]


def _target(seat: str, event: Happened) -> str:
    """A seat as it was when the event happened: who sits there is asked only when the notice is sent."""
    unit, assignee = event.facts.get("unit"), event.facts.get("assignee")
    if seat in ("holder", "manager"):
        return seat
    if seat == "assignee" and assignee is not None:
        return f"assignee:{unit}:{assignee}"
    return f"{'unit' if seat == 'assignee' else seat}:{unit}"


def _seats(event: Happened, definition: Definition) -> Iterator[tuple[str, Json]]:
    cause: Json = {"kind": event.kind, "effective": event.effective.isoformat()}
    clock = definition.clocks.get(event.command.get("clock", ""))
    if event.kind == SUBMIT:
        seats: Sequence[str] = definition.submission.tell
    elif event.kind == BREACH and clock is not None:
        seats = clock.due.tell
        cause |= _of(event, "clock", "cycle", "due", "record")
    elif event.kind == REMIND and clock is not None:
        step = event.command["step"]
        seats = next((reminder.to for reminder in clock.reminders if reminder.id == step), ())
        cause |= _of(event, "clock", "cycle", "step", "due")
    elif event.kind == REFUSE:
        seats = ("manager",) if event.command["first"] else ()
        cause |= _of(event, "clock", "trigger") | {"message": event.facts["message"]}
    elif event.kind == IDLE:
        seats = () if event.command["running"] else ("manager",)
    else:
        seats = next((trigger.tell for trigger in definition.triggers if trigger.name == event.kind), ())
        cause |= _of(event, "clock") | {name: event.facts[name] for name in ("rung", "vacant") if name in event.facts}
    for seat in dict.fromkeys(seats):
        yield seat, cause


def _of(event: Happened, *names: str) -> Json:
    return {name: event.command[name] for name in names if name in event.command}


SUBSCRIBERS: dict[str, Subscriber] = {
    "tell": tell,
}

_CLAIM = """
delete from pending where ctid = any(array(
    select ctid from pending where definition_id = any(:known) and shape <= :shape
    order by lane, dossier_id, seq limit :limit for update skip locked))
returning dossier_id, seq
"""
_EVENTS = """
select e.dossier_id, e.seq, e.at, e.effective, e.kind, e.role, e.command, e.facts, e.effect, e.definition_id
from unnest(%(ids)s::bigint[], %(seqs)s::integer[]) as k (id, seq)
join events e on e.dossier_id = k.id and e.seq = k.seq
order by e.dossier_id, e.seq
"""
NOTICES = """
insert into notices (dossier_id, seq, subscriber, target, cause, not_before)
select * from unnest(%(dossier)s::bigint[], %(seq)s::integer[], %(subscriber)s::text[], %(target)s::text[],
                     %(cause)s::jsonb[], %(not_before)s::timestamptz[])
on conflict on constraint uq_notices_once do nothing
"""
_REACTED = """
insert into reacted (dossier_id, events) select * from unnest(%(ids)s::bigint[], %(counts)s::integer[])
on conflict (dossier_id) do update set events = reacted.events + excluded.events
"""
_FAILURES = """
insert into reaction_failures (dossier_id, seq, subscriber, attempts, next_at, error)
select d, s, n, 1, clock_timestamp() + %(first)s::interval, e
from unnest(%(dossier)s::bigint[], %(seq)s::integer[], %(subscriber)s::text[], %(error)s::text[]) as f (d, s, n, e)
"""


def react(make: sessionmaker[Session], *, limit: int = BATCH) -> int:
    """Consume up to `limit` pending events and what failed before; returns how many events. Commits by itself."""
    _retry(make)
    with make.begin() as session:
        params = {"known": definitions.readable(session), "shape": SHAPE, "limit": limit}
        keys = sorted((row.dossier_id, row.seq) for row in session.execute(text(_CLAIM), params))
        if not keys:
            return 0
        rows: list[tuple[Any, ...]] = []
        failures: list[tuple[int, int, str, str]] = []
        for event, definition in _happened(session, keys):
            for name, subscriber in SUBSCRIBERS.items():
                try:
                    rows += _rows(name, event, subscriber(event, definition))
                except Exception as error:  # noqa: BLE001  (a subscriber's error is its own)
                    log.warning("subscriber %s failed on %s/%s: %r", name, event.dossier_id, event.seq, error)
                    failures.append((event.dossier_id, event.seq, name, repr(error)[:2000]))
        _write(session, rows)
        _keep_failures(session, failures)
        counts = sorted(Counter(key for key, _ in keys).items())  # in key order: two reactors never wait in a ring
        ids, numbers = (list(column) for column in zip(*counts, strict=True))
        connection(session).execute(_REACTED, {"ids": ids, "counts": numbers})
        return len(keys)


def _happened(session: Session, keys: Sequence[tuple[int, int]]) -> list[tuple[Happened, Definition]]:
    ids, seqs = (list(column) for column in zip(*keys, strict=True))
    rows = connection(session).execute(_EVENTS, {"ids": ids, "seqs": seqs}, binary=True).fetchall()
    found = [(Happened(*row[:9]), definitions.get(session, row[9]).compiled.definition) for row in rows]
    if len(found) != len(keys):
        message = f"{len(keys) - len(found)} pending events are not in the journal"
        raise CoupeFileError("pending", message)
    return found


def _rows(name: str, event: Happened, told: Sequence[Told]) -> list[tuple[Any, ...]]:
    return [(event.dossier_id, event.seq, name, one.target, dumps(one.cause).decode(), event.at) for one in told]


def _write(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        names = ("dossier", "seq", "subscriber", "target", "cause", "not_before")
        connection(session).execute(NOTICES, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _keep_failures(session: Session, failures: Sequence[tuple[int, int, str, str]]) -> None:
    if failures:
        names = ("dossier", "seq", "subscriber", "error")
        columns = dict(zip(names, map(list, zip(*failures, strict=True)), strict=True))
        connection(session).execute(_FAILURES, {**columns, "first": RETRY_FIRST})


_DUE_FAILURES = """
select dossier_id, seq, subscriber, attempts from reaction_failures where next_at <= clock_timestamp()
order by next_at limit 100 for update skip locked
"""
_FAILED_AGAIN = """
update reaction_failures set attempts = attempts + 1, error = :error,
    next_at = case when attempts + 1 < :most then clock_timestamp() + cast(:first as interval) * power(2, attempts) end
where dossier_id = :id and seq = :seq and subscriber = :subscriber
"""


def _retry(make: sessionmaker[Session]) -> None:
    with make.begin() as session:
        for row in session.execute(text(_DUE_FAILURES)).all():
            key = {"id": row.dossier_id, "seq": row.seq, "subscriber": row.subscriber}
            try:
                ((event, definition),) = _happened(session, [(row.dossier_id, row.seq)])
                told = SUBSCRIBERS[row.subscriber](event, definition)
            except Exception as error:  # noqa: BLE001  (kept with its attempts)
                again = {**key, "error": repr(error)[:2000], "most": ATTEMPTS, "first": RETRY_FIRST}
                session.execute(text(_FAILED_AGAIN), again)
                continue
            _write(session, _rows(row.subscriber, event, told))
            session.execute(
                text(
                    "delete from reaction_failures where dossier_id = :id and seq = :seq and subscriber = :subscriber"
                ),
                key,
            )
