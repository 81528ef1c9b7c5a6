"""What was alive, and when: one row a name, in real time."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session


def beat(session: Session, name: str, note: str | None = None) -> None:
    """Note that something was alive just now, in real time."""
    session.execute(
        text(
            "insert into heartbeats (name, at, note) values (:name, clock_timestamp(), :note) "
            "on conflict (name) do update set at = excluded.at, note = excluded.note"
        ),
        {"name": name, "note": note},
    )
