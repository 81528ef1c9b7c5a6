"""Accounts: who a person is in the portal, their passwords, and the seats that they may take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from states.errors import BadInput

SHORTEST, LONGEST = 12, 200
_hasher = PasswordHasher()  # argon2id, with the parameters that RFC 9106 recommends second


@dataclass(frozen=True, slots=True)
class Seat:
    """One of the places that a person acts from: a role, in a unit or (a holder, a manager) in none."""

    actor: Actor
    unit: str | None
    unit_name: str | None


def person(session: Session, name: str) -> int | None:
    """The key of the person with this login, or with this mail if nobody else has it; closed accounts are not found."""
    if not name or "\x00" in name:
        return None
    rows = session.execute(text(_PERSON), {"name": name.strip()}).scalars().all()
    return rows[0] if len(rows) == 1 else None


_PERSON = """
select p.id from persons p left join accounts a on a.person_id = p.id
where (p.login = :name or lower(p.mail) = lower(:name)) and a.closed_at is null limit 2
"""


def known(session: Session, key: int, password: str) -> bool:
    """Whether this is the person's password. As slow for a person without one: the answer tells nothing more."""
    kept = session.execute(text("select password from accounts where person_id = :key"), {"key": key}).scalar()
    return matches(kept, password) and kept is not None


def matches(kept: str | None, password: str) -> bool:
    """Whether a password is the one kept; as slow when none is."""
    try:
        return _hasher.verify(kept or _nobody_s(), password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody_s() -> str:
    return _hasher.hash("the password of nobody")


def set_password(session: Session, key: int, password: str) -> None:
    """Give a person a password, and end every session and link of theirs. Raises BadInput."""
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable():
        raise BadInput(
            "password",
            "ce mot de passe ne convient pas",
            field="password",
            accepted=f"de {SHORTEST} à {LONGEST} signes",
        )
    statement = (
        "insert into accounts (person_id, password) values (:key, :password) "
        "on conflict (person_id) do update set password = excluded.password, changed_at = clock_timestamp()"
    )
    session.execute(text(statement), {"key": key, "password": _hasher.hash(password)})
    session.execute(text("delete from web_sessions where person_id = :key"), {"key": key})


def seats(session: Session, key: int) -> list[Seat]:
    """The seats that a person has at this business instant, in the order of the directory."""
    rows = session.execute(text(_SEATS), {"key": key})
    return [Seat(Actor(key, row.unit_id, row.role), row.code, row.name) for row in rows]


_SEATS = """
select m.unit_id, m.role, u.code, u.name from memberships m left join units u on u.id = m.unit_id
where m.person_id = :key
  and (m.valid_from is null or m.valid_from <= (select business_now()))
  and (m.valid_to is null or (select business_now()) < m.valid_to)
order by m.id
"""


def name_of(session: Session, key: int) -> str:
    """What a person is called."""
    found: str = session.execute(text("select name from persons where id = :key"), {"key": key}).scalar_one()
    return found
