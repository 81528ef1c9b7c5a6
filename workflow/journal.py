"""The journal: its canonical form, its hash chain, and how it is read.

The hash of an event covers every column of it and the hash before it, each part preceded by its length, instants in
UTC, JSON with sorted keys. `SHAPE` names this form; an event of a later shape is not guessed at.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor, Clock, Dossier, Hold, Json
from states.fold import fold
from states.migration import MIGRATE

SHAPE = 1
GENESIS = bytes(32)
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


def dumps(value: Any) -> bytes:
    """The canonical JSON of commands, facts, effects and clocks."""
    return orjson.dumps(value, default=_encode, option=_OPTIONS)


def _encode(value: Any) -> Any:
    if isinstance(value, (Clock, Hold)):
        return value.encode()
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    raise TypeError(type(value).__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the journal; `definition` is the digest of the definition it was decided under."""

    dossier_id: int
    seq: int
    at: datetime
    effective: datetime
    kind: str
    actor: Actor
    definition: str
    shape: int
    command: Json
    facts: Json
    effect: Json
    fired: str | None
    idem: str | None
    hash: bytes


def digest(
    previous: bytes,
    dossier_id: int,
    seq: int,
    at: datetime,
    effective: datetime,
    kind: str,
    actor: Actor,
    definition: str,
    parts: Sequence[bytes],
    fired: str | None,
    idem: str | None,
) -> bytes:
    """The hash of an event; `parts` are the canonical JSON of its command, facts and effect."""
    head = (
        f"{SHAPE}|{dossier_id}|{seq}|{at.astimezone(UTC).isoformat()}|{effective.astimezone(UTC).isoformat()}"
        f"|{actor.person}|{actor.unit}|{definition}"
    ).encode()
    named = [kind.encode(), actor.role.encode(), _optional(fired), _optional(idem)]
    every = [previous, head, *named, *parts]
    return hashlib.sha256(b"".join([b"%d:%b" % (len(part), part) for part in every])).digest()


def _optional(value: str | None) -> bytes:
    """None and the empty string differ."""
    return b"-" if value is None else b"+" + value.encode()


def verify_chain(events: Iterable[Recorded]) -> str | None:
    """None when the events of one dossier, in order from the first, are gapless and chained; else what is wrong."""
    previous, expected, last = GENESIS, 1, None
    for event in events:
        if event.seq != expected:
            return f"événement {expected} absent du journal (trouvé : {event.seq})"
        if last is not None and event.at < last:
            return f"événement {event.seq} daté avant le précédent"
        parts = [dumps(event.command), dumps(event.facts), dumps(event.effect)]
        wanted = digest(
            previous,
            event.dossier_id,
            event.seq,
            event.at,
            event.effective,
            event.kind,
            event.actor,
            event.definition,
            parts,
            event.fired,
            event.idem,
        )
        if event.shape != SHAPE or wanted != event.hash:
            return f"événement {event.seq} : empreinte différente, le journal a été altéré"
        previous, expected, last = event.hash, expected + 1, event.at
    return None


def verify_lineage(events: Sequence[Recorded]) -> str | None:
    """None when each event was decided under the definition of the one before, or moves the dossier from it to its own."""
    for before, event in pairwise(events):
        moved = event.effect.get("definition")
        if event.kind != MIGRATE and event.definition == before.definition and moved is None:
            continue
        if event.kind != MIGRATE or moved != event.definition or event.command.get("from") != before.definition:
            return f"événement {event.seq} : la définition change sans qu'une migration le dise"
    return None


_READ = """
select e.dossier_id, e.seq, e.at, e.effective, e.kind, e.person_id, e.unit_id, e.role, d.digest, e.shape,
       e.command, e.facts, e.effect, e.fired, e.idem, e.hash
from events e join definitions d on d.id = e.definition_id
where e.dossier_id = any(:ids) order by e.dossier_id, e.seq
"""


def read(session: Session, ids: Sequence[int]) -> list[Recorded]:
    """The events of some dossiers, by dossier and in order."""
    return [_recorded(row) for row in session.execute(text(_READ), {"ids": list(ids)})]


def _recorded(row: Any) -> Recorded:
    return Recorded(
        row[0], row[1], row[2], row[3], row[4], Actor(row[5], row[6], row[7]), row[8], row[9], row[10], row[11], row[12],
        row[13], row[14], bytes(row[15]),
    )  # fmt: skip


def folded(events: Iterable[Recorded]) -> Dossier:
    """The dossier that these events add up to."""
    return fold((event.seq, event.at, event.effect) for event in events)


def references(command: Any) -> Iterator[tuple[str, uuid.UUID, str]]:
    """The texts that a command refers to: (field, id, digest). What is not well formed is not one: the chain tells it."""
    args = command.get("args") if isinstance(command, dict) else None
    for name, value in args.items() if isinstance(args, dict) else ():
        try:
            yield name, uuid.UUID(value["text"]), str(value["sha256"])
        except (KeyError, TypeError, ValueError, AttributeError):
            continue


def texts_of(command: Any) -> Iterator[uuid.UUID]:
    """The ids of the texts that a command refers to."""
    return (key for _, key, _ in references(command))
