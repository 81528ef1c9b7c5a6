"""Where time is lost: how long past their dates the promises of each administration ran. Sums in, figures out.

Commitments alone: a legal limit is not a promise of the administration that has the dossier. An administration of fewer
than `MEASURABLE` promises is not compared with the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from states.counters import COURT, LATE_BY
from states.court import HOLDER, THIRD_PARTY
from states.report import BOXES, COMMITMENT

MEASURABLE = 10
LEAST = timedelta(hours=1)
"""Less is the breath of the clock, which acts strictly after a date."""
_LATE = ("open_late", "closed_late")
Figure = tuple[str, str, str]


@dataclass(slots=True)
class Loss:
    """What one administration has lost: `lost` past the dates of `late` of its `promises`, by rung and by clock."""

    unit: int
    promises: int = 0
    late: int = 0
    lost: timedelta = timedelta(0)
    rungs: Counter[str] = field(default_factory=Counter)
    clocks: Counter[str] = field(default_factory=Counter)

    @property
    def measurable(self) -> bool:
        """Whether there is enough of it to be compared."""
        return self.promises >= MEASURABLE


def losses(sums: Mapping[tuple[int, str], Mapping[Figure, int]]) -> list[Loss]:
    """The administrations, who loses most first, from the sums by unit (0 is none) and rung."""
    found: dict[int, Loss] = {}
    for (unit, rung), figures in sums.items():
        if not unit:
            continue
        for (family, clock, measure), value in figures.items():
            if family != COMMITMENT:
                continue
            one = found.setdefault(unit, Loss(unit))
            if measure == LATE_BY:
                one.lost += timedelta(microseconds=value)
                one.rungs[rung] += value
                one.clocks[clock] += value
            elif measure in BOXES:
                one.promises += value
                one.late += value if measure in _LATE else 0
    return sorted(found.values(), key=lambda one: (-one.lost, one.unit))


@dataclass(frozen=True, slots=True)
class Most:
    """Who loses most: its loss, its share of all that is lost, where most of it, and who had the ball how much of the time."""

    loss: Loss
    share: float
    rung: str
    clock: str
    court: float | None
    held: float | None


def most(found: list[Loss], court: Mapping[str, int]) -> Most | None:
    """Who loses most, of those that are measurable; None when nobody is, or nothing is lost. `court` by party."""
    first = next((one for one in found if one.measurable and one.lost >= LEAST), None)
    if first is None:
        return None
    whole, lost = sum(court.values()), sum((one.lost for one in found), timedelta(0))
    outside = court.get(HOLDER, 0) + court.get(THIRD_PARTY, 0)
    return Most(
        first, first.lost / lost, first.rungs.most_common(1)[0][0], first.clocks.most_common(1)[0][0],
        court.get(f"unit:{first.unit}", 0) / whole if whole else None, outside / whole if whole else None,
    )  # fmt: skip


def parties(figures: Mapping[Figure, int]) -> dict[str, int]:
    """How long each party had the ball, the longest first."""
    found = {clock: value for (family, clock, _), value in figures.items() if family == COURT and value}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
