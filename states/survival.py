"""Kaplan and Meier: how long something takes, when some of it is not over yet.

What is not over counts: it was waited for at least so long. A rate of what is over alone would forget the worst. The
estimator is that of Kaplan and Meier (J. Am. Stat. Assoc. 53, 1958), its variance Greenwood's (1926), its interval taken
on the log(-log) scale (Kalbfleisch and Prentice, 1980), which stays between 0 and 1; the limits of a quantile are where
those of the curve cross it (Brookmeyer and Crowley, 1982).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

Z95 = 1.959963984540054
"""The 97.5 % point of the normal law: intervals are at 95 %."""
_EQUAL = 1e-9


@dataclass(frozen=True, slots=True)
class Step:
    """From this time on: how many still waited just before, for how many it came, the share that waits on, its interval."""

    time: timedelta
    at_risk: int
    events: int
    waiting: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quantile:
    """By when a share of all is over, with its bounds at 95 %. None: not reached, as far as can be seen."""

    at: timedelta | None
    low: timedelta | None
    high: timedelta | None


@dataclass(frozen=True, slots=True)
class Curve:
    """The share still waiting by time; `total` waited, and for `events` of them it came."""

    total: int
    events: int
    steps: tuple[Step, ...]

    def at(self, time: timedelta) -> tuple[float, float, float] | None:
        """The share still waiting after a time, and its interval; None when nobody ever waited."""
        if not self.total:
            return None
        found = 1.0, 1.0, 1.0
        for step in self.steps:
            if step.time > time:
                break
            found = step.waiting, step.low, step.high
        return found

    def quantile(self, share: float) -> Quantile:
        """The shortest time by which that share of all is over: 0.5 is the median."""
        return quantile(self.steps, share)


def quantile(found: Iterable[Step], share: float) -> Quantile:
    """The shortest time by which that share of all is over, from the steps of a curve, in one pass."""
    left, at, low, high = 1 - share + _EQUAL, None, None, None
    for step in found:
        low = step.time if low is None and step.low <= left else low
        at = step.time if at is None and step.waiting <= left else at
        if step.high <= left:
            high = step.time
            break
    return Quantile(at, low, high)


def curve(lasted: Iterable[tuple[timedelta, bool]]) -> Curve:
    """The curve of some waits: how long each lasted so far, and whether it is over. One that ends when another is over
    was still waiting then.
    """
    over: Counter[timedelta] = Counter()
    left: Counter[timedelta] = Counter()
    for length, ended in lasted:
        (over if ended else left)[length] += 1
    total = over.total() + left.total()
    counted = ((time, over[time], left[time]) for time in sorted(over.keys() | left.keys()))
    return Curve(total, over.total(), tuple(steps(counted, total)))


def steps(counted: Iterable[tuple[timedelta, int, int]], total: int) -> Iterator[Step]:
    """The steps of a curve, one by one: in order of time, for how many it came then, and how many were seen no longer."""
    at_risk, waiting, spread = total, 1.0, 0.0
    for time, events, left in counted:
        if events:
            waiting *= (at_risk - events) / at_risk
            spread += events / (at_risk * (at_risk - events)) if at_risk > events else math.inf
            yield Step(time, at_risk, events, waiting, *_interval(waiting, spread))
        at_risk -= events + left


def _interval(waiting: float, spread: float) -> tuple[float, float]:
    """On the log(-log) scale; a curve that has come down to nothing has no spread to be reckoned."""
    if waiting <= 0:
        return 0.0, 0.0
    off = Z95 * math.sqrt(spread) / abs(math.log(waiting))
    return waiting ** math.exp(off), waiting ** math.exp(-off)
