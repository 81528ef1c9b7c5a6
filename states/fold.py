"""fold: the journal is the truth, and a dossier is what its effects add up to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from states.dossier import Clock, Dossier, Hold, Json

_PLAIN = frozenset({"state", "phase", "version", "unit", "rung", "assignee", "pinned", "outcome", "data"})
_INSTANTS = frozenset({"closed_at", "due_at", "wake_at"})
_OF_THE_EVENT = "definition"  # said by the event itself, which names the definition that it leaves the dossier under


class UnknownEffect(ValueError):
    """An effect written by a newer program: it is not guessed at."""


def fold(events: Iterable[tuple[int, datetime, Json]]) -> Dossier:
    """The dossier that a journal adds up to, from (seq, at, effect) in order of seq; reads effects, nothing else."""
    dossier = Dossier()
    for seq, at, effect in events:
        patch(dossier, effect)
        dossier.seq = seq
        dossier.at = at
    return dossier


def patch(dossier: Dossier, effect: Json) -> None:
    """Change `dossier` by one effect in its JSON form. Raises UnknownEffect on a key it does not know."""
    for key, value in effect.items():
        if key in _PLAIN:
            setattr(dossier, key, value)
        elif key in _INSTANTS:
            setattr(dossier, key, _instant(value))
        elif key == "clocks":
            for name, clock in value.items():
                dossier.clocks[name] = Clock.decode(clock)
        elif key == "holds":
            dossier.holds = tuple(Hold.decode(hold) for hold in value)
        elif key == "units":
            dossier.units = tuple(value)
        elif key != _OF_THE_EVENT:
            message = f"effet inconnu de cette version du programme : {key}"
            raise UnknownEffect(message)


def _instant(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
