"""The acknowledgement of registration has left (CRPA R112-11-2): the clock that waits for it stops.

What leaves is the letter of a submission to its holder, which says when it came. The system says so by the trigger `acknowledge`,
in the transaction that marks the letter as sent: silent, once, and only while such a clock runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from states.definition import Definition
from states.dossier import SYSTEM
from states.errors import Refused
from workflow import dossiers

ACKNOWLEDGE = "acknowledge"


def waits(definition: Definition, clocks: Mapping[str, Any]) -> bool:
    """Whether a clock of a dossier, as its row holds them, runs until its registration is acknowledged."""
    return any(
        "end" not in clock and name in definition.clocks and ACKNOWLEDGE in definition.clocks[name].stop.when
        for name, clock in clocks.items()
    )


def left(session: Session, dossier_id: int) -> None:
    """Say that the acknowledgement of a dossier has left, once; one that was closed meanwhile has nothing to acknowledge.
    Raises what made it impossible.
    """
    (result,) = dossiers.act(session, [dossier_id], ACKNOWLEDGE, actor=SYSTEM, idem=ACKNOWLEDGE)
    if result.error is not None and not (isinstance(result.error, Refused) and result.error.code == "state"):
        raise result.error
