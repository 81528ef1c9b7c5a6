"""Sessions of the portal: kept in the database, so that any process knows them and an operator can end them.

Real time. A session ends after a while without use, and after a longer while whatever its use.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor

IDLE, LONGEST = timedelta(hours=12), timedelta(days=7)
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Signed:
    """Who is at work. `actor` is None while a person of several seats has not chosen one."""

    person: int
    name: str
    actor: Actor | None
    unit: str | None
    unit_name: str | None
    zone: str
    csrf: str
    id_token: str | None


def digest(token: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(token.encode()).digest()


_BEGIN = """
insert into web_sessions (digest, person_id, unit_id, role, csrf, id_token, ends_at)
values (:digest, :person, :unit, :role, :csrf, :id_token, clock_timestamp() + cast(:idle as interval))
"""


def begin(session: Session, person: int, actor: Actor | None, *, id_token: str | None = None) -> str:
    """A new session, always under a new secret; returns the secret, which is the cookie. Old ones are swept away.

    `id_token` is what an OpenID provider said of the person: it is shown to it when they leave.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.execute(text("delete from web_sessions where ends_at < clock_timestamp()"))
    params = {"digest": digest(token), "person": person, "csrf": secrets.token_urlsafe(TOKEN_BYTES), "idle": IDLE}
    place = {"unit": actor.unit if actor else None, "role": actor.role if actor else None, "id_token": id_token}
    session.execute(text(_BEGIN), {**params, **place})
    return token


_FIND = """
select s.person_id, s.unit_id, s.role, s.csrf, s.id_token, p.name, u.code, u.name as unit_name, coalesce(u.zone, 'Europe/Paris') as zone,
       s.ends_at < clock_timestamp() + cast(:half as interval) as old,
       exists (select from memberships m where m.person_id = s.person_id and m.role = s.role
               and m.unit_id is not distinct from s.unit_id
               and (m.valid_from is null or m.valid_from <= (select business_now()))
               and (m.valid_to is null or (select business_now()) < m.valid_to)) as seated
from web_sessions s join persons p on p.id = s.person_id left join units u on u.id = s.unit_id
left join accounts a on a.person_id = s.person_id
where s.digest = :digest and s.ends_at > clock_timestamp() and a.closed_at is null
"""
_LONGER = """
update web_sessions set ends_at = least(clock_timestamp() + cast(:idle as interval), began_at + cast(:longest as interval))
where digest = :digest
"""


def find(session: Session, token: str) -> Signed | None:
    """Who a cookie is of; None when the session is over. A seat that was left since is no seat any more."""
    row: Any = session.execute(text(_FIND), {"digest": digest(token), "half": IDLE / 2}).one_or_none()
    if row is None:
        return None
    if row.old:
        session.execute(text(_LONGER), {"digest": digest(token), "idle": IDLE, "longest": LONGEST})
    actor = Actor(row.person_id, row.unit_id, row.role) if row.role is not None and row.seated else None
    return Signed(row.person_id, row.name, actor, row.code, row.unit_name, row.zone, row.csrf, row.id_token)


def end(session: Session, token: str) -> None:
    """End a session."""
    session.execute(text("delete from web_sessions where digest = :digest"), {"digest": digest(token)})
