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

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from config import log_lines
from states.attachment import ATTACH, HOLDER, INSIDE, for_state
from states.decide import BREACH, IDLE, REFUSE, REMIND, SUBMIT
from states.definition import PASS_ON, Definition, Working
from states.dossier import Json
from states.migration import MIGRATE
from workflow import consultations, counters, definitions, parties, registration, vacancies, webhook_deliveries
from workflow.apply import connection
from workflow.confidentiality import MARK, REASON
from workflow.journal import SHAPE, dumps

log = logging.getLogger(__name__)

BATCH = 500
ATTEMPTS = 8
ONE_BY_ONE = 8
RETRY_FIRST = timedelta(seconds=30)
GATHERED = {ATTACH: timedelta(minutes=10)}
"""What often comes several times in a row is told a little later, once for all: `outbox` voids what was followed."""


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
    """A notice to be: a seat (`holder`, `manager`, `unit:12`, `head:12`, `assignee:12:7`), and why it is told.

    `digest` is the unit whose letter of the day it is a line of; None for a letter of its own.
    """

    target: str
    cause: Json
    digest: int | None = None


Subscriber = Callable[[Happened, Definition], Sequence[Told]]


def tell(event: Happened, definition: Definition) -> list[Told]:
    """Who is told of an event, as the definition says: each seat once."""
    told = {_target(seat, event): cause for seat, cause in _seats(event, definition)}
    return [Told(target, cause, _digest(target, event, definition)) for target, cause in told.items()]


def _digest(target: str, event: Happened, definition: Definition) -> int | None:
    """A reminder that counts days belongs to the letter of its day, of the unit that holds the dossier; « four hours
    before » is told at its hour.
    """
    if event.kind != REMIND or target in ("holder", "manager"):
        return None
    clock = definition.clocks.get(event.command.get("clock", ""))
    if clock is None or not clock.by_days:
        return None
    before = next((one.before for one in clock.reminders if one.id == event.command["step"]), None)
    by_hours = before is not None and not (isinstance(before, Working) and before.working_days is not None)
    unit: int | None = event.facts.get("unit")
    return None if by_hours else unit


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
        cause |= {name: event.facts[name] for name in ("appeal_until", "appeal_basis") if name in event.facts}
    elif event.kind == REMIND and clock is not None:
        step = event.command["step"]
        seats = next((reminder.to for reminder in clock.reminders if reminder.id == step), ())
        cause |= _of(event, "clock", "cycle", "step", "due")
    elif event.kind == REFUSE:
        seats = ("manager",) if event.command["first"] else ()
        cause |= _of(event, "clock", "trigger") | {"message": event.facts["message"]}
    elif event.kind == IDLE:
        seats = () if event.command["running"] else ("manager",)
    elif event.kind in parties.KINDS:
        seats = ("holder",)
        cause |= {"but": event.command["person"]}  # who did it knows
    elif event.kind == MARK:
        # At the deposit the other parties are told of the dossier itself.
        seats = ("holder",) if REASON in event.command["args"] else ()
        cause |= {"but": event.command["person"]}
    elif event.kind == ATTACH:
        theirs = event.command["args"]["audience"] != INSIDE
        cause |= {"for_state": True} if for_state(event.kind, event.command) else {}
        seats = () if not theirs else ("unit",) if event.role == HOLDER else ("holder",)
    elif event.kind == MIGRATE:
        seats = ()  # a migration records, and tells nobody
    else:
        seats = next((trigger.tell for trigger in definition.triggers if trigger.name == event.kind), ())
        cause |= _of(event, "clock")
        if isinstance(event.command.get("args"), dict) and "was" in event.facts:  # a date was changed
            named = event.command["args"].get("clock", "")
            after = event.effect.get("clocks", {}).get(named, {})
            cause |= {"clock": named, "was": event.facts["was"]["due"], "due": after.get("due")}
        cause |= {name: event.facts[name] for name in ("rung", "vacant") if name in event.facts}
    for seat in dict.fromkeys(seats):
        yield seat, cause


def _of(event: Happened, *names: str) -> Json:
    return {name: event.command[name] for name in names if name in event.command}


SUBSCRIBERS: dict[str, Subscriber] = {
    "tell": tell,
}
FOLLOW, REGISTRATION, WEBHOOKS = "consultations", "registration", webhook_deliveries.SUBSCRIBER
"""The names that what follows from events is kept under when it fails: it is no rows of one event, but verbs or a whole batch."""

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
insert into notices (dossier_id, seq, subscriber, target, cause, not_before, digest_unit_id)
select * from unnest(%(dossier)s::bigint[], %(seq)s::integer[], %(subscriber)s::text[], %(target)s::text[],
                     %(cause)s::jsonb[], %(not_before)s::timestamptz[], %(digest)s::integer[])
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
on conflict do nothing
"""


# What the database says no to: the batch is tried again, smaller, until what it refuses is alone.
REFUSALS = (psycopg.IntegrityError, psycopg.DataError, psycopg.InternalError, psycopg.ProgrammingError)


def react(make: sessionmaker[Session], *, limit: int = BATCH) -> int:
    """Consume up to `limit` pending events and what failed before; returns how many events. Commits by itself."""
    _retry(make)
    try:
        return _consume(make, limit, alone=limit == 1)
    except REFUSALS:
        if limit == 1:
            raise
        return sum((react_one(make) for _ in range(limit)), 0) if limit <= ONE_BY_ONE else react(make, limit=limit // 8)


def react_one(make: sessionmaker[Session]) -> int:
    """Consume the next pending event; rows that the database refuses are kept as that subscriber's failure."""
    return _consume(make, 1, alone=True)


def _consume(make: sessionmaker[Session], limit: int, *, alone: bool) -> int:
    with make.begin() as session:
        params = {"known": definitions.readable(session), "shape": SHAPE, "limit": limit}
        keys = sorted((row.dossier_id, row.seq) for row in session.execute(text(_CLAIM), params))
        if not keys:
            return 0
        rows: list[tuple[Any, ...]] = []
        failures: list[tuple[int, int, str, str]] = []
        found = _happened(session, keys)
        for event, definition in found:
            for name, subscriber in SUBSCRIBERS.items():
                try:
                    made = _rows(name, event, subscriber(event, definition))
                    if alone:  # each subscriber apart: what the database refuses of one is its own failure
                        with session.begin_nested():
                            _write(session, made)
                    else:
                        rows += made
                except Exception as error:  # noqa: BLE001  (a subscriber's error is its own)
                    key = event.dossier_id
                    log.warning(
                        "subscriber %s failed on %s/%s: %r", name, key, event.seq, error, extra={"dossier": key}
                    )
                    failures.append((key, event.seq, name, _words(error)))
        failures += _after(session, FOLLOW, [event for event, _ in found if _ended(event) or event.kind == PASS_ON])
        if webhook_deliveries.wanted(session):
            failures += _after(session, WEBHOOKS, [event for event, _ in found])
        _write(session, rows)
        _keep_failures(session, failures)
        _count(session, [(event.dossier_id, event.seq) for event, _ in found])
        counters.count(session, {event.dossier_id for event, _ in found})
        given = {event.effect["unit"] for event, _ in found if event.effect.get("unit") is not None}
        if given:
            vacancies.look(session, given)
        return len(keys)


def _ended(event: Happened) -> bool:
    return event.effect.get("closed_at") is not None


def _after(session: Session, name: str, events: Sequence[Happened]) -> list[tuple[int, int, str, str]]:
    """Do what follows from these events, whole or not at all; its error is kept with its attempts, the events are reacted to."""
    if not events:
        return []
    try:
        with session.begin_nested():
            _FOLLOWING[name](session, events)
    except Exception as error:  # noqa: BLE001  (kept with its attempts)
        log.warning("%s not followed: %r", name, error)
        return [(event.dossier_id, event.seq, name, _words(error)) for event in events]
    return []


def _consulted(session: Session, events: Sequence[Happened]) -> None:
    consultations.follow(
        session,
        {event.dossier_id for event in events if _ended(event)},
        {(event.dossier_id, event.seq) for event in events if event.kind == PASS_ON},
    )


def _registered(session: Session, events: Sequence[Happened]) -> None:
    for event in events:
        registration.left(session, event.dossier_id)


def _called(session: Session, events: Sequence[Happened]) -> None:
    webhook_deliveries.follow(session, [(event.dossier_id, event.seq) for event in events])


_FOLLOWING = {FOLLOW: _consulted, REGISTRATION: _registered, WEBHOOKS: _called}


def acknowledged(session: Session, dossier_id: int, seq: int) -> None:
    """The letter of a submission has left: its registration is acknowledged. The letter is sent even if that fails, for the
    holder must not get it again; what failed is kept, and tried again.
    """
    try:
        with session.begin_nested():
            registration.left(session, dossier_id)
    except Exception as error:  # noqa: BLE001  (kept with its attempts)
        log.warning("registration of %s not acknowledged: %r", dossier_id, error, extra={"dossier": dossier_id})
        _keep_failures(session, [(dossier_id, seq, REGISTRATION, _words(error))])


def _words(error: Exception) -> str:
    return log_lines.told(error)[:2000].replace("\x00", "")


def _count(session: Session, keys: Sequence[tuple[int, int]]) -> None:
    """Note how many events of each dossier were reacted to, in key order: two reactors never wait in a ring."""
    if keys:
        ids, counts = (list(part) for part in zip(*sorted(Counter(key for key, _ in keys).items()), strict=True))
        connection(session).execute(_REACTED, {"ids": ids, "counts": counts})


def _happened(session: Session, keys: Sequence[tuple[int, int]]) -> list[tuple[Happened, Definition]]:
    ids, seqs = (list(column) for column in zip(*keys, strict=True))
    rows = connection(session).execute(_EVENTS, {"ids": ids, "seqs": seqs}, binary=True).fetchall()
    found = [(Happened(*row[:9]), definitions.get(session, row[9]).compiled.definition) for row in rows]
    for dossier, seq in set(keys) - {(event.dossier_id, event.seq) for event, _ in found}:
        # Nothing to react to: the key goes, the count is not raised, and `verify` speaks of what is missing.
        log.error("pending %s/%s is not in the journal", dossier, seq, extra={"dossier": dossier})
    return found


def _rows(name: str, event: Happened, told: Sequence[Told]) -> list[tuple[Any, ...]]:
    opens = event.facts.get("opens")  # what is told of a date that ended at midnight waits for the service to open
    when = event.at if opens is None else max(event.at, datetime.fromisoformat(opens))
    when += GATHERED.get(event.kind, timedelta(0))
    return [
        (event.dossier_id, event.seq, name, one.target, dumps(one.cause).decode(), when, one.digest) for one in told
    ]


def _write(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        names = ("dossier", "seq", "subscriber", "target", "cause", "not_before", "digest")
        connection(session).execute(NOTICES, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _keep_failures(session: Session, failures: Sequence[tuple[int, int, str, str]]) -> None:
    if failures:
        names = ("dossier", "seq", "subscriber", "error")
        columns = dict(zip(names, map(list, zip(*failures, strict=True)), strict=True))
        connection(session).execute(_FAILURES, {**columns, "first": RETRY_FIRST})


_DUE_FAILURES = """
select f.dossier_id, f.seq, f.subscriber, f.attempts from reaction_failures f
join events e on e.dossier_id = f.dossier_id and e.seq = f.seq
where f.next_at <= clock_timestamp() and e.definition_id = any(:known) and e.shape <= :shape
order by f.next_at limit 100 for update of f skip locked
"""
_FAILED_AGAIN = """
update reaction_failures set attempts = attempts + 1, error = :error,
    next_at = case when attempts + 1 < :most then clock_timestamp() + cast(:first as interval) * power(2, attempts) end
where dossier_id = :id and seq = :seq and subscriber = :subscriber
"""


def _retry(make: sessionmaker[Session]) -> None:
    with make.begin() as session:
        for row in session.execute(text(_DUE_FAILURES), {"known": definitions.readable(session), "shape": SHAPE}).all():
            key = {"id": row.dossier_id, "seq": row.seq, "subscriber": row.subscriber}
            try:
                ((event, definition),) = _happened(session, [(row.dossier_id, row.seq)])
                with session.begin_nested():
                    if row.subscriber in _FOLLOWING:
                        _FOLLOWING[row.subscriber](session, [event])
                    else:
                        told = SUBSCRIBERS[row.subscriber](event, definition)
                        _write(session, _rows(row.subscriber, event, told))
            except Exception as error:  # noqa: BLE001  (kept with its attempts)
                again = {**key, "error": _words(error), "most": ATTEMPTS, "first": RETRY_FIRST}
                session.execute(text(_FAILED_AGAIN), again)
                continue
            session.execute(
                text(
                    "delete from reaction_failures where dossier_id = :id and seq = :seq and subscriber = :subscriber"
                ),
                key,
            )


def again(session: Session) -> int:
    """Try the reactions that were given up once more, from their first attempt; returns how many there are."""
    statement = (
        "update reaction_failures set attempts = 0, next_at = clock_timestamp() where next_at is null returning seq"
    )
    return len(session.execute(text(statement)).all())
