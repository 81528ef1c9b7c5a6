"""What people write: kept beside the journal, erasable; the journal holds an id and a salted digest."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from states.definition import Definition
from states.dossier import Json
from workflow import business_time
from workflow.models import TextRow

SALT_BYTES = 16
ERASED = "(texte effacé)"
Kept = tuple[uuid.UUID, int, str, bytes, str]


def digest(salt: bytes, body: str) -> str:
    """The salted SHA-256 (hex) that stands for a text in the journal."""
    return hashlib.sha256(salt + body.encode()).hexdigest()


def set_aside(definition: Definition, dossier_id: int, args: Json) -> tuple[Json, list[Kept]]:
    """The arguments with each personal text replaced by its reference, and the texts to keep."""
    kept: list[Kept] = []
    values: Json = {}
    for name, value in args.items():
        rule = definition.fields.get(name)
        if rule is None or not rule.personal:
            values[name] = value
            continue
        values[name], one = referred(dossier_id, name, value)
        kept.append(one)
    return values, kept


def referred(dossier_id: int, name: str, value: str) -> tuple[Json, Kept]:
    """The reference that stands for a text in the journal, and the text to keep."""
    key, salt = fresh(), secrets.token_bytes(SALT_BYTES)
    return {"text": str(key), "sha256": digest(salt, value)}, (key, dossier_id, name, salt, value)


def fresh() -> uuid.UUID:
    """A new key: a UUID of version 7 (RFC 9562, 5.7): in order of time, so that texts written together share a page of the index."""
    milliseconds = int(business_time.real_now().timestamp() * 1000)
    drawn = secrets.randbits(74)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | drawn >> 62 << 64 | 2 << 62 | drawn & (1 << 62) - 1)


KEEP = """
insert into texts (id, dossier_id, field, salt, body)
select * from unnest(%(t_id)b::uuid[], %(t_dossier)b::bigint[], %(t_field)b::text[], %(t_salt)b::bytea[],
                     %(t_body)b::text[])
"""
"""Writes texts, in the statement that writes the events that refer to them; its parameters are `columns`."""
KEEP_ONE = """
insert into texts (id, dossier_id, field, salt, body)
values (%(t_id)s, %(t_dossier)s, %(t_field)s, %(t_salt)s, %(t_body)s)
"""
"""The same for one text; its parameters are `NAMES`, in the order of a `Kept`."""
NAMES = ("t_id", "t_dossier", "t_field", "t_salt", "t_body")


def columns(kept: Sequence[Kept]) -> dict[str, list[Any]]:
    """Texts as the parameters of `KEEP`."""
    return dict(zip(NAMES, map(list, zip(*kept, strict=True)), strict=True)) if kept else {name: [] for name in NAMES}


def bodies(session: Session, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str | None]:
    """The texts by id; None for one that was erased."""
    found = session.execute(select(TextRow.id, TextRow.body).where(TextRow.id.in_(list(ids))))
    return {row.id: row.body for row in found}


def sealed(session: Session, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[bytes, str]]:
    """The salt and the body of each text that was not erased: what its digest can be proved with."""
    wanted = TextRow.id.in_(list(ids)), TextRow.body.is_not(None), TextRow.salt.is_not(None)
    rows = session.execute(select(TextRow.id, TextRow.salt, TextRow.body).where(*wanted).order_by(TextRow.id))
    return {row.id: (bytes(row.salt), row.body) for row in rows}


def same(session: Session, given: Json, recorded: Json) -> bool:
    """Whether arguments say what a recorded command said; an erased text is taken at its word."""
    if given.keys() != recorded.keys():
        return False
    known = bodies(session, [uuid.UUID(v["text"]) for v in recorded.values() if isinstance(v, dict)])
    return all(_same(given[name], value, known) for name, value in recorded.items())


def _same(given: Any, recorded: Any, known: dict[uuid.UUID, str | None]) -> bool:
    if not isinstance(recorded, dict):
        return bool(given == recorded)
    body = known.get(uuid.UUID(recorded["text"]))
    return body is None or body == given


def altered(session: Session, references: Sequence[tuple[int, str, uuid.UUID, str]]) -> list[tuple[int, uuid.UUID]]:
    """The (dossier, text) that no longer are what the journal sealed, from (dossier, field, id, digest).

    What an erased text said cannot be checked; that it is there, and where it belongs, still is.
    """
    rows = session.execute(select(TextRow).where(TextRow.id.in_([key for _, _, key, _ in references]))).scalars()
    known = {row.id: row for row in rows}
    return [
        (dossier, key)
        for dossier, field, key, wanted in references
        if not _intact(known.get(key), dossier, field, wanted)
    ]


def _intact(row: TextRow | None, dossier: int, field: str, wanted: str) -> bool:
    if row is None or (row.dossier_id, row.field) != (dossier, field):
        return False
    return row.body is None or (row.salt is not None and digest(row.salt, row.body) == wanted)


def erase(session: Session, ids: Sequence[uuid.UUID]) -> int:
    """Erase texts and their salts; the journal stays whole and verifiable. Returns how many were erased."""
    done = session.execute(
        update(TextRow)
        .where(TextRow.id.in_(list(ids)), TextRow.body.is_not(None))
        .values(body=None, salt=None, erased_at=business_time.real_now())
        .returning(TextRow.id)
    )
    return len(done.all())
