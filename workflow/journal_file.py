"""The journal of a dossier as a file that its reader keeps, and its proof without a database.

An event that this reader may not read stands there by its number and its hash alone: the chain goes through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy.orm import Session

from states.decide import LAPSE
from states.dossier import Actor
from states.errors import BadInput
from workflow import journal, texts
from workflow.confidentiality import IDENTIFYING
from workflow.journal import GENESIS, SHAPE, Recorded
from workflow.view import View

FORM = "coupe-file/journal/1"
HASH_BYTES = 32
READABLE = "un fichier téléchargé par « Vérifier mon journal »"


@dataclass(frozen=True, slots=True)
class Report:
    """What a file proves: how many events, how many of them by their hash alone, texts checked and not given, the last hash."""

    dossier: int
    reference: str
    events: int
    withheld: int
    texts: int
    unread: int
    head: str
    problems: tuple[str, ...]


# --- written ----------------------------------------------------------------------------------------------------------


def written(session: Session, view: View) -> bytes:
    """The file of a reader who may read texts: each event that they may read, and the texts of these with their salts."""
    hidden = (LAPSE,) if view.actor.role == "holder" else ()  # a reminder that lapsed is told to no holder
    shown = {event.seq for event in view.events if event.kind not in hidden}
    events = [event for event in journal.read(session, [view.id]) if event.seq <= view.dossier.seq]
    if not view.named:
        shown -= {event.seq for event in events if IDENTIFYING & event.command.get("args", {}).keys()}
    keys = [key for event in events if event.seq in shown for key in journal.texts_of(event.command)]
    return orjson.dumps(
        {
            "form": FORM,
            "dossier": view.id,
            "reference": view.reference,
            "read_at": view.now,
            "events": [_event(event) if event.seq in shown else _withheld(event) for event in events],
            "texts": {
                str(key): {"salt": salt.hex(), "body": body}
                for key, (salt, body) in texts.sealed(session, keys).items()
            },
        },
        option=orjson.OPT_INDENT_2,
    )


def _withheld(event: Recorded) -> dict[str, Any]:
    return {"seq": event.seq, "withheld": True, "hash": event.hash.hex()}


def _event(event: Recorded) -> dict[str, Any]:
    return {
        "seq": event.seq, "at": event.at, "effective": event.effective, "kind": event.kind, "person": event.actor.person,
        "unit": event.actor.unit, "role": event.actor.role, "definition": event.definition, "shape": event.shape,
        "command": event.command, "facts": event.facts, "effect": event.effect, "fired": event.fired, "idem": event.idem,
        "hash": event.hash.hex(),
    }  # fmt: skip


# --- proved -----------------------------------------------------------------------------------------------------------


def verified(raw: bytes, before: bytes | None = None) -> Report:
    """Whether a file holds a gapless chain and the texts that it seals, and begins as the file kept before did.

    Raises BadInput on what is not such a file.
    """
    document = _document(raw, "FICHIER")
    events, problems = document["events"], list[str]()
    given: Mapping[str, Any] = document["texts"]
    known, unread, previous, last = set[str](), set[str](), GENESIS, None
    for number, event in enumerate(events, 1):
        if event.get("seq") != number:
            problems.append(f"événement {number} absent du journal (trouvé : {event.get('seq')})")
            break
        try:
            sealed = _hash(event["hash"])
            if event.get("withheld") is not True:
                at = datetime.fromisoformat(event["at"])
                if last is not None and at < last:
                    problems.append(f"événement {number} daté avant le précédent")
                last = at
                if event["shape"] != SHAPE or _digest(previous, document["dossier"], event) != sealed:
                    problems.append(f"événement {number} : empreinte différente, le journal a été altéré")
                    break
                for _, key, wanted in journal.references(event["command"]):
                    (known if str(key) in given else unread).add(str(key))
                    if str(key) in given and not _same(given[str(key)], wanted):
                        problems.append(f"événement {number} : le texte {key} n'est plus celui que le journal a scellé")
            previous = sealed
        except (KeyError, TypeError, ValueError, AttributeError):
            problems.append(f"événement {number} : illisible")
            break
    else:
        problems += [f"le texte {key} n'est d'aucun événement" for key in sorted(given.keys() - known)]
    if before is not None:
        problems += _begins(document, _document(before, "avant"))
    withheld = sum(event.get("withheld") is True for event in events)
    return Report(document["dossier"], document["reference"], len(events), withheld, len(known), len(unread), previous.hex(),
                  tuple(problems))  # fmt: skip


def _document(raw: bytes, field: str) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadInput("json", f"JSON illisible, ligne {error.lineno}", field=field, accepted=READABLE) from None
    if not isinstance(found, dict) or found.get("form") != FORM:
        raise BadInput("form", "ce fichier n'est pas un journal", field=field, accepted=READABLE)
    events, given = found.get("events"), found.get("texts")
    sound = (
        isinstance(found.get("dossier"), int) and isinstance(found.get("reference"), str) and isinstance(given, dict)
        and isinstance(events, list) and bool(events) and all(isinstance(event, dict) for event in events)
    )  # fmt: skip
    if not sound:
        raise BadInput("form", "ce journal est incomplet", field=field, accepted=READABLE)
    return found


def _hash(given: str) -> bytes:
    found = bytes.fromhex(given)
    if len(found) != HASH_BYTES:
        raise ValueError(given)
    return found


def _digest(previous: bytes, dossier: int, event: Mapping[str, Any]) -> bytes:
    parts: Sequence[bytes] = [journal.dumps(event[name]) for name in ("command", "facts", "effect")]
    return journal.digest(
        previous, dossier, event["seq"], _instant(event["at"]), _instant(event["effective"]), event["kind"],
        Actor(event["person"], event["unit"], event["role"]), event["definition"], parts, event["fired"], event["idem"],
    )  # fmt: skip


def _instant(given: str) -> datetime:
    return datetime.fromisoformat(given).astimezone(UTC)


def _same(given: Any, wanted: str) -> bool:
    return bool(texts.digest(bytes.fromhex(given["salt"]), given["body"]) == wanted)


def _begins(document: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What differs between a journal and the beginning of it that was kept."""
    if document["dossier"] != before["dossier"]:
        return ["le fichier d'avant est celui d'un autre dossier"]
    kept, now = before["events"], document["events"]
    if len(now) < len(kept):
        return [f"il manque {len(kept) - len(now)} événements à la fin : le fichier d'avant les avait"]
    for old, new in zip(kept, now, strict=False):
        if old.get("hash") != new.get("hash"):
            return [f"événement {new.get('seq')} : ce n'est pas celui du fichier d'avant, le journal a été réécrit"]
    return []
