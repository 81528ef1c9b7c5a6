"""Drafts: what a holder has typed is kept as it is typed, right or wrong, until it is submitted."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from states.errors import Refused

KEPT = timedelta(days=90)
LONGEST, MOST = 20_000, 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A draft: its key, what was typed by field, and when it was last saved (real time)."""

    id: uuid.UUID
    fields: dict[str, str]
    saved_at: datetime


_SAVE = """
insert into drafts (id, person_id, fields) values (:id, :person, cast(:fields as jsonb))
on conflict (id) do update set fields = excluded.fields, saved_at = clock_timestamp() where drafts.person_id = :person
returning saved_at
"""


def save(session: Session, key: uuid.UUID, person: int, fields: Mapping[str, str]) -> datetime:
    """Keep what was typed, as it was typed. Raises Refused: too long, too many, or another person's."""
    kept = {name: value.replace("\x00", "") for name, value in fields.items() if value.strip()}
    if sum(map(len, kept.values())) > LONGEST:
        raise Refused("draft", "ce brouillon est trop long pour être gardé", accepted=f"{LONGEST} signes en tout")
    number = "select count(*) from drafts where person_id = :person and id <> :id"
    if session.execute(text(number), {"person": person, "id": key}).scalar_one() >= MOST:
        raise Refused("draft", f"vous avez déjà {MOST} brouillons", accepted="en déposer ou en effacer un")
    session.execute(
        text("delete from drafts where saved_at < clock_timestamp() - cast(:kept as interval)"), {"kept": KEPT}
    )
    params = {"id": key, "person": person, "fields": orjson.dumps(kept).decode(errors="replace")}
    saved: datetime | None = session.execute(text(_SAVE), params).scalar()
    if saved is None:
        raise Refused("unknown", "brouillon inconnu")
    return saved


def get(session: Session, key: uuid.UUID, person: int) -> Kept | None:
    """A draft of this person; None when there is none, or it is another's."""
    statement = "select id, fields, saved_at from drafts where id = :id and person_id = :person"
    row = session.execute(text(statement), {"id": key, "person": person}).one_or_none()
    return Kept(row.id, row.fields, row.saved_at) if row is not None else None


def every(session: Session, person: int) -> list[Kept]:
    """The drafts of a person, the last saved first."""
    statement = "select id, fields, saved_at from drafts where person_id = :person order by saved_at desc"
    return [Kept(row.id, row.fields, row.saved_at) for row in session.execute(text(statement), {"person": person})]


def drop(session: Session, key: uuid.UUID, person: int) -> None:
    """Forget a draft."""
    session.execute(text("delete from drafts where id = :id and person_id = :person"), {"id": key, "person": person})
