"""Whose court: at each instant exactly one party has the ball, and the parts add up to the whole.

The holder has it while a request to them stops at least one clock; a third party while one to them does; else the unit
that holds the dossier. A request that stops nothing leaves the ball where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from states.dossier import Dossier, Hold, Json
from states.fold import patch

HOLDER, THIRD_PARTY, NOBODY = "holder", "third_party", "nobody"
CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Turn:
    """From one instant to another, one party has the ball: `holder`, `third_party`, `unit:12`, or `nobody`."""

    party: str
    since: datetime
    until: datetime

    @property
    def lasted(self) -> timedelta:
        """How long, in real time."""
        return self.until - self.since


def turns(events: Iterable[tuple[datetime, Json]], until: datetime) -> list[Turn]:
    """Who had the ball, from (effective, effect) in order of seq; up to the closing, or `until` while it is open."""
    dossier, found, begun = Dossier(), list[Turn](), None
    party, since = NOBODY, until
    for effective, effect in events:
        patch(dossier, effect)
        if begun is None:
            begun = since = effective
        at = min(max(effective, since), until)
        now = party_of(dossier)
        if now != party:
            if at > since and party != CLOSED:
                found.append(Turn(party, since, at))
            party, since = now, at
    if begun is not None and not dossier.closed_at and until > since:
        found.append(Turn(party, since, until))
    return found


def party_of(dossier: Dossier) -> str:
    """Who has the ball of a dossier as it stands: a party of `Turn`, or `closed`."""
    if dossier.closed_at is not None:
        return CLOSED
    outside = awaited(dossier)
    if outside is not None:
        return outside
    return NOBODY if dossier.unit is None else f"unit:{dossier.unit}"


def awaited(dossier: Dossier) -> str | None:
    """Who outside has the ball, `holder` or `third_party`; None while a unit has it."""
    hold = dossier.hold
    if hold is None or not stops(hold):
        return None
    return THIRD_PARTY if hold.motive == THIRD_PARTY else HOLDER


def stops(hold: Hold) -> bool:
    """Whether a hold stops a clock, or will once the date set for the other side is past."""
    return any(how in ("pause", "restart", "late_only") for how in hold.touches.values())


def shares(found: Sequence[Turn]) -> dict[str, timedelta]:
    """How long each party had the ball; the sum is the whole, to the microsecond."""
    total: dict[str, timedelta] = {}
    for turn in found:
        total[turn.party] = total.get(turn.party, timedelta(0)) + turn.lasted
    return total
