"""Two times. Dossiers live in business time, one row that can be run, paused and jumped; operations use the real clock.

This is the only module that reads a clock of this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.errors import BadInput

FASTEST = 10_000_000.0  # seconds of business time for a real one: a demo, a test


def real_now() -> datetime:
    """The real instant, aware UTC: for leases, back-off and heartbeats, never for what happens to a dossier."""
    return datetime.now(UTC)


def now(session: Session) -> datetime:
    """The business instant."""
    instant: datetime = session.execute(text("select business_now()")).scalar_one()
    return instant


def follow(session: Session) -> None:
    """Business time is real time: what a new database begins with. Raises BadInput when that would turn it back."""
    if now(session) > real_now() + timedelta(seconds=1):
        raise BadInput(
            "time", "le temps de la base est en avance : il ne recule pas", field="clock", accepted="une base neuve"
        )
    session.execute(
        text(
            "update business_clock set anchor = t, set_at = t, rate = 1, running = true, until = null "
            "from clock_timestamp() t"
        )
    )


def freeze(session: Session, at: datetime | None = None) -> None:
    """Stop business time, where it stands or at a given instant. Raises BadInput when that would turn it back."""
    current = now(session)
    if at is not None and at < current:
        sentence = f"le temps ne recule pas : il est {current.isoformat()}"
        raise BadInput("time", sentence, field="at", accepted="un instant à venir")
    session.execute(
        text("update business_clock set anchor = :at, set_at = clock_timestamp(), running = false, until = null"),
        {"at": at or current},
    )


def run(session: Session, *, rate: float = 1.0) -> None:
    """Let business time run from where it stands, `rate` seconds of it for each real second."""
    if not 0 < rate <= FASTEST:
        raise BadInput(
            "time", f"« {rate} » n'est pas un rythme", field="rate", accepted=f"plus de 0, {FASTEST:.0f} au plus"
        )
    session.execute(
        text(
            "update business_clock set anchor = business_now(), set_at = clock_timestamp(), rate = :rate, "
            "running = true, until = null"
        ),
        {"rate": rate},
    )


def start_at(session: Session, at: datetime) -> None:
    """Freeze a database that holds no dossier yet at an instant of its own: a demo, a replay, a test."""
    used = session.execute(text("select exists (select from dossiers)")).scalar_one()
    if used:
        raise BadInput("time", "cette base contient déjà des dossiers", field="at", accepted="une base neuve")
    session.execute(
        text(
            "update business_clock set anchor = :at, set_at = clock_timestamp(), rate = 1, running = false, until = null"
        ),
        {"at": at},
    )


def jump(session: Session, by: timedelta) -> datetime:
    """Move frozen or running business time forward; returns where it now stands."""
    if by < timedelta(0):
        raise BadInput("time", "le temps ne recule pas", field="by", accepted="une durée positive")
    session.execute(text("update business_clock set anchor = anchor + :by"), {"by": by})
    return now(session)


@dataclass(frozen=True, slots=True)
class Driven:
    """Where driven business time stands: paused or not, busy with what is due, and the next instant something waits for."""

    now: datetime
    paused: bool
    busy: bool
    next: datetime | None


def resume(session: Session) -> None:
    """Let paused business time go on as its driver leads it: it stands until that driver comes."""
    session.execute(
        text(
            "update business_clock set anchor = business_now(), set_at = t, running = true, until = t "
            "from clock_timestamp() t where not running"
        )
    )


_DRIVEN = """
select business_now() as now, not running as paused, exists (select from pending) as pending,
       least((select min(wake_at) from dossiers where wake_at is not null and not stuck),
             (select min(not_before) from notices where state = 'queued' and attempts = 0)) as next
from business_clock for update of business_clock
"""
_DRIVE = """
update business_clock set anchor = business_now(), set_at = t, rate = :rate, until = t + :length
from clock_timestamp() t
"""
_HAIR = timedelta(microseconds=2)


def drive(session: Session, *, rate: float, lease: timedelta) -> Driven:
    """Let business time run on at `rate` for one more `lease` of real time: the driver calls this again before it ends.

    Time goes no further than the next instant that a dossier or a letter waits for, and not at all while something that is
    due was not handled, told and sent: what happens at 18:00 is seen at 18:00. Without its driver, time stands still.
    """
    row = session.execute(text(_DRIVEN)).one()
    busy = row.pending or (row.next is not None and row.next <= row.now)
    if not row.paused:
        length = timedelta(0)
        if not busy:
            length = lease if row.next is None else min(lease, (row.next - row.now) / rate + _HAIR)
        session.execute(text(_DRIVE), {"rate": rate, "length": length})
    return Driven(row.now, row.paused, busy, row.next)


def paused(session: Session) -> bool:
    """Whether somebody stopped business time."""
    running: bool = session.execute(text("select running from business_clock")).scalar_one()
    return not running


def drivable(session: Session) -> bool:
    """Whether business time is not real time here, so that it may be paused and moved on."""
    row = session.execute(text("select running, rate, until from business_clock")).one()
    return not (row.running and row.rate == 1 and row.until is None)
