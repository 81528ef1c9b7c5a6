"""A file joined to a dossier: an event of its journal, in any open state of any definition, that moves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from states.decide import settle
from states.dossier import Actor, Context, Decision, Dossier
from states.draft import Draft
from states.errors import Refused
from states.machine import Compiled

ATTACH = "file.add"
INSIDE, HOLDER, STATE = "inside", "holder", "state"
AUDIENCES = (HOLDER, STATE, INSIDE)
"""Who may read a file: the holder's side and the administrations, the holder's side and the State alone (no operator, no
collectivity), or the administrations alone."""


def attach(
    compiled: Compiled, before: Dossier, actor: Actor, args: Mapping[str, Any], *, context: Context, at: datetime,
    idem: str | None = None,
) -> Decision:  # fmt: skip
    """The decision that notes a file, after what time has made true; `args` name it by its hash. Raises Refused on a closed dossier."""
    draft = Draft(compiled.definition, before, context, at)
    settle(draft, compiled)
    if compiled.definition.states[draft.dossier.state].terminal:
        raise Refused(
            "closed", "le dossier est clos : il ne reçoit plus de pièce", accepted="rouvrir le dossier d'abord"
        )
    draft.actor, draft.effective = actor, at
    draft.emit(ATTACH, {"args": dict(args)}, idem=idem)
    draft.seal()
    return Decision(before, draft.dossier, draft.events)


def internal(kind: str, command: Mapping[str, Any]) -> bool:
    """Whether an event is a file that the holder does not even see to exist."""
    return kind == ATTACH and command.get("args", {}).get("audience") not in (HOLDER, STATE)


def for_state(kind: str, command: Mapping[str, Any]) -> bool:
    """Whether an event is a file that no operator and no collectivity even sees to exist."""
    return kind == ATTACH and command.get("args", {}).get("audience") == STATE
