"""What a webhook is told of an event: CloudEvents 1.0, structured mode in JSON. No person, no text, no file.

Made from the journal up to the event, whenever it is sent: a repeat says the same, whatever has happened since.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.orm import Session

from states import clocks
from states.definition import Definition
from states.dossier import Dossier, Json
from states.errors import Refused
from states.fold import fold
from workflow import definitions
from workflow.journal import dumps

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
TYPE = "coupe-file.dossier."
TEST = "coupe-file.test"

_EVENTS = """
select seq, at, effective, kind, definition_id, command, effect from events where dossier_id = :dossier and seq <= :seq order by seq
"""
_UNIT = "select code from units where id = :unit"


def of(session: Session, dossier: int, seq: int, *, reference: str, base_url: str, message_id: uuid.UUID) -> bytes:
    """The body that tells an event of a dossier. Raises Refused when the journal does not have it, or cannot be read here."""
    rows = session.execute(text(_EVENTS), {"dossier": dossier, "seq": seq}).all()
    if not rows or rows[-1].seq != seq:
        raise Refused("unknown", f"l'événement {seq} du dossier {reference} n'est pas au journal")
    event = rows[-1]
    definition = definitions.get(session, event.definition_id).compiled.definition
    after = fold((row.seq, row.at, row.effect) for row in rows)
    unit = session.execute(text(_UNIT), {"unit": after.unit}).scalar()
    home = base_url.rstrip("/")
    data: Json = {
        "reference": reference,
        "definition": f"{definition.id}@{definition.version}",
        "seq": seq,
        "kind": event.kind,
        "trigger": event.kind if any(one.name == event.kind for one in definition.triggers) else None,
        "clock": event.command.get("clock"),
        "at": event.at,
        "effective": event.effective,
        "state": after.state,
        "phase": after.phase,
        "outcome": after.outcome,
        "unit": unit,
        "rung": _rung(definition, after.rung),
        "ball": "nobody" if after.closed_at else "holder" if after.hold else "unit",
        "due_at": after.due_at,
        "clocks": _clocks(definition, after),
        "about": after.data.get("dossier") if definition.purpose is not None else None,
        "link": f"{home}/dossiers/{quote(reference)}",
    }
    return _event(message_id, home, TYPE + event.kind, event.at, data, subject=reference, sequence=f"{seq:010d}")


def test(*, at: datetime, base_url: str, message_id: uuid.UUID) -> bytes:
    """The body of a trial: no dossier, nothing happened."""
    return _event(message_id, base_url.rstrip("/"), TEST, at, {})


def _event(message_id: uuid.UUID, source: str, kind: str, at: datetime, data: Json, **more: Any) -> bytes:
    return dumps(
        {"specversion": "1.0", "id": str(message_id), "source": source, "type": kind, "time": at,
         "datacontenttype": "application/json", "data": data, **more}
    )  # fmt: skip


def _rung(definition: Definition, index: int | None) -> str | None:
    return None if index is None or index >= len(definition.ladder) else definition.ladder[index].rung


def _clocks(definition: Definition, after: Dossier) -> list[Json]:
    return [
        {"name": name, "family": definition.clocks[name].family if name in definition.clocks else None, "start": one.start,
         "due": one.due, "end": one.end, "paused": clocks.paused(after, name)}
        for name, one in sorted(after.clocks.items())
    ]  # fmt: skip
