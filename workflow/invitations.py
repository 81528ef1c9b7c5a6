"""Invitations: a party asks somebody, by mail, to be a party too, with the same rights. Real time.

The secret of a letter is made as it leaves and kept by its digest only. It is good once, for `GOOD_FOR`, until the
invitation is taken back; sent again, which is done once, it is another one and the one before is dead.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from states.errors import BadInput, Refused
from workflow import confidentiality, installation, parties
from workflow.outbox import ATTEMPTS, BACK_OFF, BACK_OFF_MOST, LEASE
from workflow.sessions import TOKEN_BYTES, digest

GOOD_FOR = timedelta(days=14)
KEPT = timedelta(days=30)
"""How long an address is kept after its link has ended."""
MOST = 10
"""The parties and open invitations that a dossier may have, together."""
SIDES = ("elected", "company")
LONGEST_NAME, LONGEST_MAIL = 100, 200
_MAIL = re.compile(r"[!#-'*+./0-9=?A-Z^_`a-z{|}~-]+@[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)+", re.ASCII)
_LOGIN = re.compile(r"[^a-z0-9._-]+")

Side = Literal["elected", "company"]
Became = Literal["sending", "waiting", "undelivered", "over", "accepted", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation as the parties see it; `mail` is None once it is over, `name` who came."""

    id: int
    side: Side
    mail: str | None
    inviter: str
    asked_at: datetime
    ends_at: datetime | None
    became: Became
    name: str | None
    again: bool
    repeated: bool = False

    @property
    def open(self) -> bool:
        """Whether it can still be accepted or taken back."""
        return self.became not in ("accepted", "withdrawn")


def invite(session: Session, dossier: int, actor: Actor, *, mail: str, side: str) -> Invitation:
    """Invite an address to a dossier; one that is invited already is not invited twice. Raises BadInput, Refused."""
    mail = mail.strip()
    if len(mail) > LONGEST_MAIL or not _MAIL.fullmatch(mail):
        raise BadInput("mail", "adresse électronique illisible", field="mail", accepted="une adresse nom@domaine.fr")
    if side not in SIDES:
        raise BadInput("side", "qualité inconnue", field="side", accepted=", ".join(SIDES))
    row = parties.lock(session, dossier, actor)
    parties.only_holders(actor)
    if side == "elected":
        confidentiality.only_visible_to_elected(session, dossier)
    session.execute(text(_FORGET), {"kept": KEPT})
    known = session.execute(text(_OPEN), {"id": dossier, "mail": mail}).scalar()
    if known is not None:
        return _one(session, dossier, known, repeated=True)
    if session.execute(text(_PARTY), {"id": dossier, "mail": mail}).scalar():
        raise Refused("already", "cette personne porte déjà le dossier", field="mail", accepted="une autre adresse")
    if session.execute(text(_NUMBER), {"id": dossier}).scalar_one() >= MOST:
        raise Refused("many", f"{MOST} personnes portent déjà ce dossier ou y sont invitées", field="mail",
                      accepted="reprendre une invitation")  # fmt: skip
    params = {"id": dossier, "inviter": actor.person, "side": side, "mail": mail}
    key: int = session.execute(text(_INVITE), params).scalar_one()
    parties.record(session, row, actor, parties.INVITE, {"invitation": key, "side": side})
    return _one(session, dossier, key)


_FORGET = """
update invitations set mail = null
where mail is not null and (accepted_at is not null or withdrawn_at is not null
                            or coalesce(ends_at, asked_at) < clock_timestamp() - cast(:kept as interval))
"""
_OPEN = """
select id from invitations where dossier_id = :id and lower(mail) = lower(:mail) and accepted_at is null and withdrawn_at is null
"""
_PARTY = """
select exists (select from parties q join persons p on p.id = q.person_id
               where q.dossier_id = :id and lower(p.mail) = lower(:mail))
"""
_NUMBER = """
select (select count(*) from parties where dossier_id = :id)
     + (select count(*) from invitations where dossier_id = :id and accepted_at is null and withdrawn_at is null)
"""
_INVITE = """
insert into invitations (dossier_id, inviter_id, side, mail) values (:id, :inviter, :side, :mail) returning id
"""


def take_back(session: Session, dossier: int, actor: Actor, key: int) -> Invitation:
    """Take an invitation back: its link is dead at once. Done twice it is done once. Raises Refused."""
    row = parties.lock(session, dossier, actor)
    parties.only_holders(actor)
    found = _one(session, dossier, key)
    if found.became == "accepted":
        raise Refused(
            "accepted", "cette invitation a déjà été acceptée", accepted="la personne peut quitter le dossier"
        )
    if found.became == "withdrawn":
        return found
    session.execute(
        text("update invitations set withdrawn_at = clock_timestamp(), mail = null, digest = null where id = :key"),
        {"key": key},
    )
    parties.record(session, row, actor, parties.TAKE_BACK, {"invitation": key})
    return _one(session, dossier, key)


_AGAIN = """
update invitations set state = 'queued', attempts = 0, next_at = clock_timestamp(), again_at = clock_timestamp(), why = null,
    message_id = gen_random_uuid(), digest = null, ends_at = null where id = :key
"""


def send_again(session: Session, dossier: int, actor: Actor, key: int) -> Invitation:
    """Send an invitation once more, once: with another secret, for as long as the first. Raises Refused."""
    parties.lock(session, dossier, actor)
    parties.only_holders(actor)
    found = _one(session, dossier, key)
    if not found.open or found.mail is None:
        raise Refused("over", "cette invitation n'a plus cours", accepted="en faire une autre")
    if not found.again:
        raise Refused(
            "again", "cette invitation a déjà été renvoyée une fois", accepted="la reprendre et en faire une autre"
        )
    if found.became != "sending":
        session.execute(text(_AGAIN), {"key": key})
    return _one(session, dossier, key)


_LISTED = """
select i.id, i.side, i.mail, q.name as inviter, i.asked_at, i.ends_at, p.name, i.again_at is null as again,
       case when i.accepted_at is not null then 'accepted' when i.withdrawn_at is not null then 'withdrawn'
            when i.state = 'dead' then 'undelivered' when i.ends_at < clock_timestamp() then 'over'
            when i.state = 'queued' then 'sending' else 'waiting' end as became
from invitations i join persons q on q.id = i.inviter_id left join persons p on p.id = i.person_id
where i.dossier_id = :id and (cast(:key as bigint) is null or i.id = :key) order by i.id
"""


def listed(session: Session, dossier: int, actor: Actor) -> list[Invitation]:
    """The invitations of a dossier, whose key was found within the actor's scope; to its parties alone. Raises Refused."""
    parties.only_holders(actor)
    return [Invitation(**row._mapping) for row in session.execute(text(_LISTED), {"id": dossier, "key": None})]  # noqa: SLF001  (SQLAlchemy's public name)


def _one(session: Session, dossier: int, key: int, *, repeated: bool = False) -> Invitation:
    row = session.execute(text(_LISTED), {"id": dossier, "key": key}).one_or_none()
    if row is None:
        raise Refused("unknown", f"invitation {key} inconnue pour ce dossier", field="invitation")
    return Invitation(**row._mapping, repeated=repeated)  # noqa: SLF001  (SQLAlchemy's public name)


# --- opened -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link opens: by whom, to which dossier, for whom; `person` is None for an address that has no account yet."""

    id: int
    dossier: int
    reference: str
    inviter: str
    side: Side
    person: int | None
    people: tuple[int, ...]


_LINK = """
select i.id, i.dossier_id, i.side, i.mail, i.accepted_at is not null as accepted, i.ends_at < clock_timestamp() as over,
       q.name as inviter, d.reference
from invitations i join persons q on q.id = i.inviter_id join dossiers d on d.id = i.dossier_id
where i.digest = :digest
"""
_ACCOUNTS = """
select p.id, a.closed_at is not null as closed from persons p left join accounts a on a.person_id = p.id
where lower(p.mail) = lower(:mail) order by p.id
"""


REFUSALS = {
    "gone": "ce lien n'ouvre rien : l'invitation a été reprise, ou un autre lien a été envoyé depuis",
    "used": "cette invitation a déjà servi",
    "over": "cette invitation n'est plus valable : demandez à qui vous a invité de la renvoyer",
    "closed": "le compte de cette adresse est fermé",
    "another": "cette invitation a été envoyée à une autre adresse que celle de votre compte : déconnectez-vous, puis ouvrez de nouveau le lien",
    "several": "plusieurs comptes ont cette adresse : connectez-vous d'abord, puis ouvrez de nouveau le lien",
    "already": "vous portez déjà ce dossier",
}
"""Why a link does not let somebody in, by code."""


def _refused(code: str) -> Refused:
    return Refused(code, REFUSALS[code])


def opened(session: Session, secret: str, signed: int | None) -> Opened:
    """What a link opens for who holds it, signed in as `signed` or not at all. Nothing is changed.

    Raises Refused: unknown (also one that was taken back or sent again), used, over, for another account, of a closed
    one, or of an address that several have.
    """
    row = session.execute(text(_LINK), {"digest": digest(secret)}).one_or_none()
    if row is None:
        raise _refused("gone")
    if row.accepted:
        raise _refused("used")
    if row.over or row.mail is None:
        raise _refused("over")
    found = session.execute(text(_ACCOUNTS), {"mail": row.mail}).all()
    people = tuple(one.id for one in found if not one.closed)
    if found and not people:
        raise _refused("closed")
    if signed is not None and signed not in people:
        raise _refused("another")
    if signed is None and len(people) > 1:
        raise _refused("several")
    person = signed if signed is not None else people[0] if people else None
    return Opened(row.id, row.dossier_id, row.reference, row.inviter, row.side, person, people)


def accept(session: Session, secret: str, signed: int | None, *, name: str = "") -> tuple[int, str]:
    """Make who holds a link a party, once, with an account if its address has none; returns them and the reference.

    `name` is what a new account is called. Raises as `opened` does; BadInput for a name; Refused for who is a party.
    """
    found = opened(session, secret, signed)
    row = parties.lock(session, found.dossier, None)
    found = opened(session, secret, signed)  # under the lock: who comes second of two at once is told so
    person = found.person if found.person is not None else _made(session, found.id, name)
    there = "select exists (select from parties where dossier_id = :id and person_id = :person)"
    if session.execute(text(there), {"id": found.dossier, "person": person}).scalar():
        raise _refused("already")
    actor = Actor(person, None, parties.HOLDER)
    session.execute(text("insert into parties (dossier_id, person_id) values (:id, :person)"),
                    {"id": found.dossier, "person": person})  # fmt: skip
    used = "update invitations set accepted_at = clock_timestamp(), person_id = :person, mail = null where id = :key"
    session.execute(text(used), {"key": found.id, "person": person})
    parties.record(session, row, actor, parties.JOIN, {"invitation": found.id})
    if not session.execute(text(_SEATED), {"person": person}).scalar():
        session.execute(text(_SEAT), {"person": person})  # last: it changes the directory, that the record has read
    return person, found.reference


_SEATED = """
select exists (select from memberships where person_id = :person and role = 'holder'
               and (valid_from is null or valid_from <= (select business_now()))
               and (valid_to is null or (select business_now()) < valid_to))
"""
_SEAT = "insert into memberships (person_id, role, valid_from) values (:person, 'holder', (select business_now()))"


def _made(session: Session, key: int, name: str) -> int:
    """A person for the address of an invitation, under a login of their own."""
    name = " ".join(name.split())
    if not 2 <= len(name) <= LONGEST_NAME or not name.isprintable():  # noqa: PLR2004  (the shortest of names)
        raise BadInput("name", "votre nom est nécessaire", field="name", accepted=f"de 2 à {LONGEST_NAME} signes")
    mail: str = session.execute(text("select mail from invitations where id = :key"), {"key": key}).scalar_one()
    plain = unicodedata.normalize("NFKD", mail.partition("@")[0].lower())
    login = f"{_LOGIN.sub('-', plain).strip('._-')[:40] or 'invite'}-{secrets.token_hex(4)}"
    made: int = session.execute(
        text("insert into persons (login, name, mail) values (:login, :name, :mail) returning id"),
        {"login": login, "name": name, "mail": mail},
    ).scalar_one()
    return made


# --- sent -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Letter:
    """An invitation under lease, ready to be sent."""

    id: int
    message_id: uuid.UUID
    mail: str
    inviter: str
    side: Side
    reference: str
    secret: str
    attempts: int


_CLAIM = """
update invitations i set attempts = i.attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
from persons q, dossiers d where q.id = i.inviter_id and d.id = i.dossier_id and i.mail is not null and i.id = any(array(
    select id from invitations where state = 'queued' and accepted_at is null and withdrawn_at is null
    and next_at <= clock_timestamp() order by next_at, id limit :limit for update skip locked))
returning i.id, i.message_id, i.mail, q.name as inviter, i.side, d.reference, i.attempts
"""
_KEEP = """
update invitations set digest = :digest, ends_at = clock_timestamp() + cast(:good_for as interval) where id = :id
"""


def claim(session: Session, *, limit: int) -> list[Letter]:
    """Invitations to send now, each with a new secret; none while deliveries are held. The caller commits before it sends."""
    if not installation.may_deliver(session):
        return []
    found = []
    rows: list[Any] = list(session.execute(text(_CLAIM), {"lease": LEASE, "limit": limit}))
    for row in rows:
        secret = secrets.token_urlsafe(TOKEN_BYTES)
        session.execute(text(_KEEP), {"id": row.id, "digest": digest(secret), "good_for": GOOD_FOR})
        found.append(
            Letter(row.id, row.message_id, row.mail, row.inviter, row.side, row.reference, secret, row.attempts)
        )
    return found


def count_as_sent(session: Session) -> None:
    """Take those that wait to be sent as sent, though no letter left and no link opens them: they can be sent again."""
    statement = "update invitations set state = 'sent', ends_at = clock_timestamp() + cast(:good_for as interval) where state = 'queued'"
    session.execute(text(statement), {"good_for": GOOD_FOR})


def sent(session: Session, key: int) -> None:
    """Mark an invitation as sent."""
    session.execute(
        text("update invitations set state = 'sent', why = null where id = :id and state = 'queued'"), {"id": key}
    )


def failed(session: Session, letter: Letter, why: str) -> None:
    """Note a failed attempt: tried again later, or given up."""
    wait = min(BACK_OFF * 2 ** min(letter.attempts - 1, 20), BACK_OFF_MOST)
    statement = (
        "update invitations set why = :why, next_at = clock_timestamp() + cast(:wait as interval), "
        "state = case when attempts >= :most then 'dead' else state end where id = :id and state = 'queued'"
    )
    session.execute(text(statement), {"id": letter.id, "why": why[:2000], "wait": wait, "most": ATTEMPTS})
