"""What a dossier keeps from whom: a code name, reserved to the State, not for the elected official. Set by its parties.

Each change is an event of the journal, whatever the definition; `confidentialities` holds what the last one said, and `verify`
proves that both say the same. What the marks do is `access`'s: who reads the contents, and who may know the project.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor, Json
from states.errors import BadInput, Refused
from workflow import parties, texts
from workflow.journal import Recorded

MARK = "confidentiality.mark"
CODE_NAME, RESERVED, ELECTED, REASON = "code_name", "reserved", "elected", "reason"
SHORTEST, LONGEST = 3, 40
SHORTEST_REASON, LONGEST_REASON = 10, 2000
IDENTIFYING = frozenset({"commune", "project", "jobs", "invested"})
"""What a dossier says of its project besides its texts: not told to who reads a code name in place of it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of a dossier; `elected` is whether the elected officials who were invited see it. By default none."""

    code_name: str | None = None
    reserved: bool = False
    elected: bool = True


OPEN = Marks()
_OF = """
select t.body as code_name, k.code_name is not null as coded, k.reserved, k.elected
from confidentialities k left join texts t on t.id = k.code_name where k.dossier_id = :id
"""


def of(session: Session, dossier: int) -> Marks:
    """The marks of a dossier, whose key was found within the actor's scope."""
    row = session.execute(text(_OF), {"id": dossier}).one_or_none()
    if row is None:
        return OPEN
    return Marks(row.code_name or (texts.ERASED if row.coded else None), row.reserved, row.elected)


def marks(code_name: str, *, reserved: bool, elected: bool) -> Marks:
    """The marks that were asked for. Raises BadInput on a code name that is none."""
    name = unicodedata.normalize("NFC", " ".join(code_name.split()))
    if name and not (SHORTEST <= len(name) <= LONGEST and name.isprintable()):
        accepted = f"de {SHORTEST} à {LONGEST} signes, ou rien"
        raise BadInput("code_name", "ce nom de code ne convient pas", field=CODE_NAME, accepted=accepted)
    return Marks(name or None, reserved, elected)


_SET = """
insert into confidentialities (dossier_id, code_name, reserved, elected) values (:id, :code_name, :reserved, :elected)
on conflict (dossier_id) do update set code_name = excluded.code_name, reserved = excluded.reserved, elected = excluded.elected
"""


def mark(session: Session, dossier: int, actor: Actor, wanted: Marks, *, reason: str | None) -> bool:
    """Set the marks of a dossier, and say so in its journal; whether anything changed. No reason is asked at the deposit alone.

    Raises Refused for who is no party of it, BadInput on the reason.
    """
    row = parties.lock(session, dossier, actor)
    parties.only_holders(actor)
    said = {CODE_NAME: wanted.code_name, REASON: None if reason is None else _reason(reason)}
    if of(session, dossier) == wanted:
        return False
    args: Json = {RESERVED: wanted.reserved, ELECTED: wanted.elected}
    kept: list[texts.Kept] = []
    for name, body in said.items():
        if body is not None:
            args[name], one = texts.referred(dossier, name, body)
            kept.append(one)
    parties.record(session, row, actor, MARK, {"args": args}, kept=kept)
    key = uuid.UUID(args[CODE_NAME]["text"]) if CODE_NAME in args else None
    params = {"id": dossier, "code_name": key, "reserved": wanted.reserved, "elected": wanted.elected}
    session.execute(text(_SET), params)
    return True


def _reason(given: str) -> str:
    reason = given.strip().replace("\x00", "")
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise BadInput(
            "reason", "dites pourquoi", field=REASON, accepted=f"de {SHORTEST_REASON} à {LONGEST_REASON} signes"
        )
    return reason


def only_visible_to_elected(session: Session, dossier: int) -> None:
    """Raise Refused when the elected official would not see the dossier that they are invited to."""
    if not of(session, dossier).elected:
        raise Refused("hidden", "ce dossier n'est pas visible de l'élu", field="side",
                      accepted="changer d'abord sa confidentialité, ou inviter du côté de l'entreprise")  # fmt: skip


# --- the proof --------------------------------------------------------------------------------------------------------

_SETS = "select dossier_id, code_name::text as code_name, reserved, elected from confidentialities where dossier_id = any(:ids)"


def disagreements(session: Session, ids: Sequence[int], events: Sequence[Recorded]) -> Iterator[tuple[int, str]]:
    """What the marks of some dossiers are, and their journals do not say, or the reverse."""
    last = {event.dossier_id: _said(event.command) for event in events if event.kind == MARK}
    rows = session.execute(text(_SETS), {"ids": list(ids)})
    there = {row.dossier_id: (row.code_name, row.reserved, row.elected) for row in rows}
    for key in sorted(last.keys() | there.keys()):
        if last.get(key) != there.get(key):
            yield key, "le journal et le dossier ne disent pas la même confidentialité"


def _said(command: Any) -> tuple[Any, Any, Any]:
    args = command.get("args") if isinstance(command, dict) else None
    args = args if isinstance(args, dict) else {}
    code = args.get(CODE_NAME)
    return (code.get("text") if isinstance(code, dict) else None), args.get(RESERVED), args.get(ELECTED)
