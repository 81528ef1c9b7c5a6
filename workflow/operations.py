"""What operators do to the machine: each act is kept, with who, why and when, in real time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Json
from states.errors import BadInput
from workflow.journal import dumps

REASON = 500


def record(session: Session, what: str, *, who: str, why: str | None = None, subject: Json | None = None) -> None:
    """Keep an operator's act, in the transaction that does it."""
    statement = "insert into operations (what, who, why, subject) values (:what, :who, :why, cast(:subject as jsonb))"
    session.execute(text(statement), {"what": what, "who": who, "why": why, "subject": dumps(subject or {}).decode()})


def last(session: Session, whats: Sequence[str]) -> dict[str, tuple[datetime, Json]]:
    """When each kind of act was last done, and to what; a kind that never was is absent."""
    statement = """select distinct on (what) what, at, subject from operations where what = any(:whats)
                   order by what, at desc"""
    return {row.what: (row.at, row.subject) for row in session.execute(text(statement), {"whats": list(whats)})}


def reason(given: str, field: str = "--reason") -> str:
    """A reason that somebody can read later. Raises BadInput."""
    words = " ".join(given.split())
    if not words or len(words) > REASON or not words.isprintable():
        raise BadInput("reason", "motif vide ou trop long", field=field, accepted=f"1 à {REASON} signes")
    return words
