"""Tokens of the API: a program acts for a person, in one seat, within scopes, until a date. Real time."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from states.errors import BadInput
from states.fields import clean
from workflow.sessions import TOKEN_BYTES, digest

SCOPES = ("read", "write", "metrics")
CALENDAR = "calendar"
"""The one scope of a calendar feed's address: it opens the feed, and nothing of the API."""
LONGEST_DAYS = 366
PREFIX = "cf_"
NAME_SIGNS = 80


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its person sees it: never its secret."""

    id: int
    name: str
    scopes: tuple[str, ...]
    made_at: datetime
    ends_at: datetime
    used_at: datetime | None
    ended_at: datetime | None
    over: bool


def scopes_of(role: str) -> tuple[str, ...]:
    """What a token of this role may be given: the figures of the whole are for who steers."""
    return SCOPES if role == "manager" else SCOPES[:2]


def make(session: Session, actor: Actor, name: str, scopes: Sequence[str], days: int) -> str:
    """A new token for the seat of this actor; returns its secret, shown once. Raises BadInput."""
    name = clean("name", name)
    if len(name) > NAME_SIGNS:
        raise BadInput("length", f"{len(name)} signes", field="name", accepted=f"{NAME_SIGNS} signes au plus")
    offered = scopes_of(actor.role)
    chosen = [scope for scope in offered if scope in scopes]
    if not chosen or len(chosen) < len(set(scopes)):
        raise BadInput("scopes", "portée inconnue ou absente", field="scopes", accepted=", ".join(offered))
    if not 0 < days <= LONGEST_DAYS:
        raise BadInput("days", f"{days} jours", field="days", accepted=f"de 1 à {LONGEST_DAYS} jours")
    return _made(session, actor, name, chosen, days)


def make_feed(session: Session, actor: Actor) -> str:
    """A new secret for the calendar of this seat, as long as may be; the one before ends. Returns it, shown once."""
    session.execute(
        text(
            "update api_tokens set ended_at = clock_timestamp() where person_id = :person and role = :role "
            "and unit_id is not distinct from :unit and scopes = array[:scope] and ended_at is null"
        ),
        {"person": actor.person, "role": actor.role, "unit": actor.unit, "scope": CALENDAR},
    )
    return _made(session, actor, "Agenda", [CALENDAR], LONGEST_DAYS)


def _made(session: Session, actor: Actor, name: str, scopes: Sequence[str], days: int) -> str:
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    session.execute(
        text(
            "insert into api_tokens (person_id, unit_id, role, name, digest, scopes, ends_at) values "
            "(:person, :unit, :role, :name, :digest, :scopes, clock_timestamp() + cast(:days as interval))"
        ),
        {"person": actor.person, "unit": actor.unit, "role": actor.role, "name": name, "digest": digest(secret),
         "scopes": list(scopes), "days": timedelta(days=days)},
    )  # fmt: skip
    return secret


_FIND = """
update api_tokens t set used_at = clock_timestamp() where t.digest = :digest and t.ended_at is null and t.ends_at > clock_timestamp()
and not exists (select from accounts a where a.person_id = t.person_id and a.closed_at is not null)
and exists (select from memberships m where m.person_id = t.person_id and m.role = t.role and m.unit_id is not distinct from t.unit_id
    and (m.valid_from is null or m.valid_from <= (select business_now()))
    and (m.valid_to is null or (select business_now()) < m.valid_to))
returning t.person_id, t.unit_id, t.role, t.scopes
"""


def find(session: Session, secret: str) -> tuple[Actor, frozenset[str]] | None:
    """Whose token this is, and what it may do; None when it is unknown, ended, too old, or of a seat that was left."""
    row = session.execute(text(_FIND), {"digest": digest(secret)}).one_or_none()
    return (Actor(row.person_id, row.unit_id, row.role), frozenset(row.scopes)) if row is not None else None


def ends(session: Session, secret: str) -> datetime:
    """When a token that was found ends."""
    at: datetime = session.execute(
        text("select ends_at from api_tokens where digest = :digest"), {"digest": digest(secret)}
    ).scalar_one()
    return at


def every(session: Session, person: int) -> list[Token]:
    """The tokens of a person, the latest first."""
    rows = session.execute(
        text(
            "select id, name, scopes, made_at, ends_at, used_at, ended_at, ends_at < clock_timestamp() as over "
            "from api_tokens where person_id = :person order by id desc"
        ),
        {"person": person},
    )
    return [
        Token(row.id, row.name, tuple(row.scopes), row.made_at, row.ends_at, row.used_at, row.ended_at, row.over)
        for row in rows
    ]


def end(session: Session, key: int, person: int) -> None:
    """End a token of this person."""
    session.execute(
        text(
            "update api_tokens set ended_at = clock_timestamp() where id = :id and person_id = :person and ended_at is null"
        ),
        {"id": key, "person": person},
    )
