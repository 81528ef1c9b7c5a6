"""Versions of workflow definitions: kept under the digest of their meaning, read once by a process, never changed.

A draft is published once. A version, draft or published, may be suspended: its clocks then stand still, its people go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Select, case, select, text, update
from sqlalchemy.orm import Session

from states.definition import SCHEMA, parse
from states.errors import BadInput, DefinitionError, Refused
from states.machine import Compiled
from workflow.models import DefinitionRow


@dataclass(frozen=True, slots=True)
class Loaded:
    """A definition that this program can read, with its key and digest."""

    id: int
    digest: str
    compiled: Compiled


_caches: WeakKeyDictionary[Engine, dict[int, Loaded | None]] = WeakKeyDictionary()


def _cache(session: Session) -> dict[int, Loaded | None]:
    return _caches.setdefault(session.get_bind().engine, {})


def add(session: Session, data: Any, *, state: str = "draft") -> Loaded:
    """Keep a definition; the same meaning twice is the same version. Raises DefinitionError, Refused."""
    definition = parse(data)
    digest = definition.digest()
    row = session.execute(select(DefinitionRow).where(DefinitionRow.digest == digest)).scalar_one_or_none()
    if row is None:
        _refuse_published(session, definition.id, definition.version)
        row = DefinitionRow(
            name=definition.id,
            version=definition.version,
            digest=digest,
            body=definition.meaning(),
            schema=SCHEMA,
            state=state,
        )
        session.add(row)
        session.flush()
    return Loaded(row.id, digest, Compiled(definition))


def _refuse_published(session: Session, name: str, version: int) -> None:
    published = select(DefinitionRow.id).where(
        DefinitionRow.name == name, DefinitionRow.version == version, DefinitionRow.published_at.is_not(None)
    )
    if session.execute(published).first() is not None:
        raise Refused(
            "published",
            f"{name} version {version} est publiée et ne change plus",
            field="version",
            accepted=f"la version {version + 1}",
        )


def publish(session: Session, key: int) -> bool:
    """Publish a draft; False when it was already. Raises Refused: suspended, or another content has this version."""
    session.execute(text("select pg_advisory_xact_lock(4079)"))  # two people publish one after the other
    row = session.execute(select(DefinitionRow).where(DefinitionRow.id == key)).scalar_one()
    if row.state == "suspended":
        raise Refused(
            "suspended",
            f"{row.name} version {row.version} est suspendue ({row.why})",
            field="version",
            accepted=f"sa reprise d'abord : coupe-file workflow resume {row.name}@{row.version}",
        )
    if row.published_at is not None:
        return False
    _refuse_published(session, row.name, row.version)
    session.execute(update(DefinitionRow).where(DefinitionRow.id == key).values(state="published"))
    return True


def get(session: Session, key: int) -> Loaded:
    """A definition by key. Raises Refused when there is none or this program cannot read it (a newer one may)."""
    cache = _cache(session)
    if key not in cache:
        row = session.execute(
            select(DefinitionRow.digest, DefinitionRow.body, DefinitionRow.schema).where(DefinitionRow.id == key)
        ).one_or_none()
        if row is None:
            raise Refused("definition", f"définition {key} inconnue", field="definition")
        cache[key] = _read(key, row.digest, row.body, row.schema)
    found = cache[key]
    if found is None:
        raise Refused(
            "definition", f"la définition {key} est d'un format que ce programme ne sait pas lire : mettez-le à jour"
        )
    return found


def _read(key: int, digest: str, body: Any, schema: int) -> Loaded | None:
    """None for what this program does not know: such a definition is left to a newer one, never guessed at."""
    if schema > SCHEMA:
        return None
    try:
        return Loaded(key, digest, Compiled(parse(body)))
    except DefinitionError:
        return None


def for_submission(session: Session, name: str, on: datetime) -> Loaded:
    """The version that a dossier submitted on a date begins under: the latest published one in effect; a draft only
    when none is. Raises BadInput; and Refused when that version is suspended, rather than begin under an older one.
    """
    rows = session.execute(
        select(DefinitionRow)
        .where(DefinitionRow.name == name)
        .order_by(DefinitionRow.published_at.is_(None), DefinitionRow.version.desc(), DefinitionRow.id.desc())
    ).scalars()
    row = next((row for row in rows if row.body["effective"]["from"] <= on.date().isoformat()), None)
    if row is not None and row.state == "suspended":
        raise Refused(
            "suspended",
            f"la version {row.version} de « {name} » est suspendue ({row.why}) : aucun dépôt n'est pris d'ici sa reprise, "
            "ni sous elle ni sous une version antérieure",
            field="definition",
            accepted=f"sa reprise (coupe-file workflow resume {name}@{row.version}), ou une version suivante publiée",
        )
    if row is not None:
        return get(session, row.id)
    names = session.execute(select(DefinitionRow.name).distinct()).scalars().all()
    raise BadInput(
        "definition",
        f"aucune version de « {name} » n'est en vigueur le {on:%d/%m/%Y}",
        field="definition",
        accepted=", ".join(sorted(names)) or "aucune : chargez-en une",
    )


def known(session: Session) -> list[int]:
    """The keys of the definitions that this program can read and that are not suspended: what a sweep may claim."""
    return _readable(session, select(DefinitionRow.id).where(DefinitionRow.state != "suspended"))


def readable(session: Session) -> list[int]:
    """The keys of the definitions that this program can read: whose events it may react to, whose notices it may send."""
    return _readable(session, select(DefinitionRow.id))


def _readable(session: Session, wanted: Select[Any]) -> list[int]:
    found: list[int] = []
    keys: list[int] = list(session.execute(wanted).scalars())
    for key in keys:
        try:
            get(session, key)
        except Refused:
            continue
        found.append(key)
    return found


def beside(session: Session) -> list[int]:
    """The keys of the definitions of what is asked beside a dossier: of avis."""
    found = text("select id from definitions where body ->> 'purpose' is not null")
    return list(session.execute(found).scalars())


def suspend(session: Session, key: int, why: str) -> None:
    """Stop the clock on a whole version, whose people go on. Health is red until it is resumed."""
    session.execute(update(DefinitionRow).where(DefinitionRow.id == key).values(state="suspended", why=why[:500]))


def resume(session: Session, key: int) -> bool:
    """Let the clock of a suspended version run again, from where it stood; False when it was not suspended."""
    back = case((DefinitionRow.published_at.is_(None), "draft"), else_="published")
    suspended = update(DefinitionRow).where(DefinitionRow.id == key, DefinitionRow.state == "suspended")
    resumed = session.execute(suspended.values(state=back, why=None).returning(DefinitionRow.id))
    return resumed.first() is not None
