"""Who an OpenID provider says somebody is, and who they are here. A provider names people; what they may do, the directory says."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.errors import Refused
from workflow.sessions import digest

GOOD_FOR = timedelta(minutes=10)
SECRET_BYTES = 36
"""48 signs: a PKCE verifier has 43 at least (RFC 7636), a state and a nonce of ProConnect 32."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a provider for one sign-in: only who holds the cookie can come back with its answer, once.

    `then` is where they go on; `kept` what they had typed before.
    """

    state: str
    nonce: str
    verifier: str
    then: str
    kept: str


def ask(session: Session, then: str, kept: str) -> tuple[str, Asked]:
    """Somebody leaves for a provider; returns the cookie to know them by, and what to ask. Old ones are swept away."""
    handle, state, nonce, verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(4))
    asked = Asked(state, nonce, verifier, then, kept)
    session.execute(text("delete from leavings where ends_at < clock_timestamp()"))
    statement = """insert into leavings (digest, state, nonce, verifier, goes_on, kept, ends_at)
                   values (:digest, :state, :nonce, :verifier, :then, :kept, clock_timestamp() + cast(:good as interval))"""
    params = {"state": state, "nonce": nonce, "verifier": verifier, "then": then, "kept": kept}
    session.execute(text(statement), {"digest": digest(handle), "good": GOOD_FOR, **params})
    return handle, asked


def come_back(session: Session, handle: str) -> Asked | None:
    """What was asked for who holds this cookie; None when they come too late, or a second time."""
    statement = "delete from leavings where digest = :digest returning state, nonce, verifier, goes_on, kept, ends_at > clock_timestamp() as good"
    row = session.execute(text(statement), {"digest": digest(handle)}).one_or_none()
    return Asked(row.state, row.nonce, row.verifier, row.goes_on, row.kept) if row is not None and row.good else None


_LINKED = """
select i.person_id, a.closed_at is not null as closed from identities i left join accounts a on a.person_id = i.person_id
where i.issuer = :issuer and i.sub = :sub
"""
_BY_MAIL = """
select p.id from persons p left join accounts a on a.person_id = p.id
where lower(p.mail) = lower(:mail) and a.closed_at is null limit 2
"""

_LINK = """
insert into identities (issuer, sub, person_id) values (:issuer, :sub, :person) on conflict do nothing returning person_id
"""


def person(session: Session, issuer: str, sub: str, mail: str | None) -> int:
    """The person that this identity is: the one it is linked to, else the one whose mail it has, who is linked from now on.

    `mail` is None when it is not verified. Nobody is created and no right is given. Raises Refused.
    """
    known = session.execute(text(_LINKED), {"issuer": issuer, "sub": sub}).one_or_none()
    if known is not None:
        if known.closed:
            raise Refused("closed", "ce compte est fermé")
        return int(known.person_id)
    if mail is None:
        raise Refused("unverified", "l'adresse de cette identité n'est pas vérifiée")
    found = session.execute(text(_BY_MAIL), {"issuer": issuer, "mail": mail}).all()
    if len(found) != 1:
        raise Refused("nobody", "aucun compte, ou plusieurs, ne porte cette adresse")
    link = {"issuer": issuer, "sub": sub, "person": found[0].id}
    if session.execute(text(_LINK), link).one_or_none() is None:  # also for who comes second of two at once
        raise Refused("another", "ce compte est déjà relié à une autre identité de ce fournisseur")
    return int(found[0].id)


def linked_since(session: Session, issuer: str, key: int) -> datetime | None:
    """Since when a person is linked to an identity of this provider; None when they are not."""
    statement = "select linked_at from identities where issuer = :issuer and person_id = :person"
    found: datetime | None = session.execute(text(statement), {"issuer": issuer, "person": key}).scalar()
    return found


def unlink(session: Session, issuer: str, key: int) -> None:
    """Forget which identity of a provider a person is."""
    statement = "delete from identities where issuer = :issuer and person_id = :person"
    session.execute(text(statement), {"issuer": issuer, "person": key})
