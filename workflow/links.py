"""Links to sign in, by mail: asked for, sent once their secret is made, used once. Real time.

The secret is made as the letter leaves and kept by its digest only; a letter sent again carries another one, and the
one before is dead.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from workflow import installation
from workflow.outbox import ATTEMPTS, BACK_OFF, BACK_OFF_MOST, LEASE
from workflow.sessions import TOKEN_BYTES, digest

GOOD_FOR = timedelta(minutes=20)
ASKED_FOR = timedelta(hours=1)
"""A link that could not leave for so long is of no use to anybody."""
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Link:
    """A link under lease, ready to be sent."""

    id: int
    message_id: uuid.UUID
    name: str
    mail: str
    secret: str
    attempts: int


def ask(session: Session, person: int) -> None:
    """Ask for a link to be sent to a person."""
    session.execute(
        text("delete from sign_in_links where asked_at < clock_timestamp() - cast(:kept as interval)"), {"kept": KEPT}
    )
    session.execute(text("insert into sign_in_links (person_id) values (:person)"), {"person": person})


_CLAIM = """
update sign_in_links l set attempts = attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
from persons p where p.id = l.person_id and l.id = any(array(
    select id from sign_in_links where state = 'queued' and next_at <= clock_timestamp()
    order by next_at, id limit :limit for update skip locked))
returning l.id, l.message_id, p.name, p.mail, l.attempts, l.asked_at < clock_timestamp() - cast(:useless as interval) as late
"""
_KEEP = """
update sign_in_links set digest = :digest, ends_at = clock_timestamp() + cast(:good_for as interval) where id = :id
"""
_DEAD = "update sign_in_links set state = 'dead', why = :why where id = :id"


def claim(session: Session, *, limit: int) -> list[Link]:
    """Links to send now, each with a new secret; none while deliveries are held. The caller commits before it sends."""
    if not installation.may_deliver(session):
        return []
    found = []
    for row in session.execute(text(_CLAIM), {"lease": LEASE, "limit": limit, "useless": ASKED_FOR}).all():
        if row.mail is None or row.late:
            why = "aucune adresse" if row.mail is None else "demandé il y a trop longtemps"
            session.execute(text(_DEAD), {"id": row.id, "why": why})
            continue
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        session.execute(text(_KEEP), {"id": row.id, "digest": digest(secret), "good_for": GOOD_FOR})
        found.append(Link(row.id, row.message_id, row.name, row.mail, secret, row.attempts))
    return found


def sent(session: Session, key: int) -> None:
    """Mark a link as sent."""
    session.execute(text("update sign_in_links set state = 'sent' where id = :id and state = 'queued'"), {"id": key})


def failed(session: Session, link: Link, why: str) -> None:
    """Note a failed attempt: tried again later, or given up."""
    wait = min(BACK_OFF * 2 ** min(link.attempts - 1, 20), BACK_OFF_MOST)
    statement = (
        "update sign_in_links set why = :why, next_at = clock_timestamp() + cast(:wait as interval), "
        "state = case when attempts >= :most then 'dead' else state end where id = :id and state = 'queued'"
    )
    session.execute(text(statement), {"id": link.id, "why": why[:2000], "wait": wait, "most": ATTEMPTS})


_GOOD = "digest = :digest and used_at is null and ends_at > clock_timestamp()"


def good(session: Session, secret: str) -> bool:
    """Whether a link can still be used."""
    statement = f"select exists (select from sign_in_links where {_GOOD})"  # noqa: S608  (constant)
    return bool(session.execute(text(statement), {"digest": digest(secret)}).scalar())


def use(session: Session, secret: str) -> int | None:
    """The person that a link lets in, once; None when it is unknown, used, or too old."""
    statement = f"update sign_in_links set used_at = clock_timestamp() where {_GOOD} returning person_id"  # noqa: S608  (constant)
    found: int | None = session.execute(text(statement), {"digest": digest(secret)}).scalar()
    return found
