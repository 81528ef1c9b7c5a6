"""Two times. Dossiers live in business time, one row that can be run, paused and jumped; operations use the real clock.

This is the only module that reads a clock of this machine.
"""

from __future__ import annotations

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
        text("update business_clock set anchor = t, set_at = t, rate = 1, running = true from clock_timestamp() t")
    )


def freeze(session: Session, at: datetime | None = None) -> None:
    """Stop business time, where it stands or at a given instant. Raises BadInput when that would turn it back."""
    current = now(session)
    if at is not None and at < current:
        sentence = f"le temps ne recule pas : il est {current.isoformat()}"
        raise BadInput("time", sentence, field="at", accepted="un instant à venir")
    session.execute(
        text("update business_clock set anchor = :at, set_at = clock_timestamp(), running = false"),
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
            "update business_clock set anchor = business_now(), set_at = clock_timestamp(), rate = :rate, running = true"
        ),
        {"rate": rate},
    )


def start_at(session: Session, at: datetime) -> None:
    """Freeze a database that holds no dossier yet at an instant of its own: a demo, a replay, a test."""
    used = session.execute(text("select exists (select from dossiers)")).scalar_one()
    if used:
        raise BadInput("time", "cette base contient déjà des dossiers", field="at", accepted="une base neuve")
    session.execute(
        text("update business_clock set anchor = :at, set_at = clock_timestamp(), rate = 1, running = false"),
        {"at": at},
    )


def jump(session: Session, by: timedelta) -> datetime:
    """Move frozen or running business time forward; returns where it now stands."""
    if by < timedelta(0):
        raise BadInput("time", "le temps ne recule pas", field="by", accepted="une durée positive")
    session.execute(text("update business_clock set anchor = anchor + :by"), {"by": by})
    return now(session)
