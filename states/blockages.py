"""What blocks in several places: for each cause, how many dossiers, how much time past their dates, and how high they went.

A cause is the topic of a dossier. Time lost is that of commitments, as `states.loss` counts it. Values in, values out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from states.facts import Facts
from states.report import COMMITMENT

NOWHERE = ""
_US = timedelta(microseconds=1)


@dataclass(slots=True)
class Cause:
    """What the dossiers of one cause add up to; time lost in microseconds, by territory too."""

    dossiers: int = 0
    open: int = 0
    lost: int = 0
    places: Counter[str] = field(default_factory=Counter)
    lost_in: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    """How many dossiers went as high as each rung, and no higher."""


@dataclass(slots=True)
class Blockages:
    """The causes at `now`, as dossiers are added one by one; `ladder` are the rungs, the lowest first."""

    now: datetime
    ladder: Sequence[str]
    causes: dict[str, Cause] = field(default_factory=dict)

    def add(self, facts: Facts, places: Sequence[str]) -> None:
        """Count one dossier, in each of its places."""
        one = self.causes.setdefault(facts.topic or "", Cause())
        lost = sum(
            max((each.end or self.now) - each.due, timedelta(0)) // _US
            for each in facts.promises
            if each.family == COMMITMENT
        )
        one.dossiers += 1
        one.open += facts.closed is None
        one.lost += lost
        for place in places:
            one.places[place] += 1
            one.lost_in[place] += lost
        one.rungs[max(facts.path, key=self._height, default=NOWHERE)] += 1

    def _height(self, rung: str) -> int:
        return self.ladder.index(rung) if rung in self.ladder else -1


def plain(found: Blockages) -> list[dict[str, Any]]:
    """The causes, what loses most time first; durations in seconds."""
    order = sorted(found.causes, key=lambda topic: (-found.causes[topic].lost, -found.causes[topic].dossiers, topic))
    return [
        {
            "topic": topic, "dossiers": one.dossiers, "open": one.open, "lost": one.lost / 1e6,
            "places": [
                {"line": place, "dossiers": number, "lost": one.lost_in[place] / 1e6}
                for place, number in sorted(one.places.items(), key=lambda item: (-one.lost_in[item[0]], -item[1], item[0]))
            ],
            "rungs": {rung: one.rungs[rung] for rung in (*sorted(one.rungs.keys() - set(found.ladder)), *found.ladder) if one.rungs[rung]},
        }
        for topic, one in ((topic, found.causes[topic]) for topic in order)
    ]  # fmt: skip
