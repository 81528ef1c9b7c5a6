"""Whose deliveries these are. A database that was copied or restored finds that it is another one, and sends nothing.

The first delivery writes which database it came from: the server's own identifier, and the database's in it. Whoever
delivers compares. When they differ, or when an operator said so, nothing leaves until an operator says `release`.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

COPY = "cette base est la copie d'une autre : l'original envoie peut-être encore"

_IDENTITY = """
select (select system_identifier from pg_control_system()) as system,
       (select oid::bigint from pg_database where datname = current_database()) as database
"""
_STANDING = f"""
with me as ({_IDENTITY})
select i.held_why, i.system_identifier = me.system and i.database_oid = me.database as here
from installation i, me
"""  # noqa: S608  (constants)
_CLAIM = f"""
insert into installation (system_identifier, database_oid) select system, database from ({_IDENTITY}) me
on conflict (id) do nothing
"""  # noqa: S608  (constants)
_HOLD = f"""
insert into installation (system_identifier, database_oid, held_at, held_why)
select system, database, clock_timestamp(), :why from ({_IDENTITY}) me
on conflict (id) do update set held_at = coalesce(installation.held_at, excluded.held_at), held_why = excluded.held_why
"""  # noqa: S608  (constants)
_RELEASE = f"""
update installation set system_identifier = me.system, database_oid = me.database, since = clock_timestamp(),
    held_at = null, held_why = null
from ({_IDENTITY}) me
"""  # noqa: S608  (constants)


def held(session: Session) -> str | None:
    """Why nothing may leave, or None. Changes nothing."""
    row = session.execute(text(_STANDING)).one_or_none()
    if row is None:
        return None
    why: str | None = row.held_why
    return why or (None if row.here else COPY)


def may_deliver(session: Session) -> bool:
    """Whether letters may leave from this database; the first that asks makes it the one that delivers."""
    row = session.execute(text(_STANDING)).one_or_none()
    if row is None:
        session.execute(text(_CLAIM))
        return True
    return row.held_why is None and bool(row.here)


def hold(session: Session, why: str) -> None:
    """Let nothing leave from now on; what a sender has already taken, a batch at most, still does."""
    session.execute(text(_HOLD), {"why": why})


def release(session: Session) -> None:
    """Let letters leave, and from this database."""
    session.execute(text(_RELEASE))
