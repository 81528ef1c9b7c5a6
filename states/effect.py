"""Is the promise kept? What dossiers add up to by territory, those of Territoires d'industrie beside those outside them.

Open dossiers count everywhere. A figure of fewer than `MEASURABLE` is not given, its number is. Two groups are compared over
the topics that both have, and a difference says nothing of its cause. Values in, values out; eight bytes for each length that
is kept, so that the dossiers of a country are added up in the memory of one process.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from states import survival
from states.court import HOLDER, NOBODY, THIRD_PARTY
from states.facts import Facts
from states.loss import MEASURABLE
from states.report import BOXES, standing

ALL, INSIDE, OUTSIDE = "", "@ti", "@hors-ti"
"""The lines of all dossiers, of those in any Territoire d'industrie, and of those in none."""
SIDES = (HOLDER, "state", "operators", "local", THIRD_PARTY, NOBODY)
"""Who may have had the ball: the holder; the State, the operators, the local authorities; a third party; nobody."""
UNBLOCKED = frozenset({"unblocked", "approved", "connected"})
"""The outcomes by which the shipped definitions say that what blocked does no more."""
LEGAL = "legal"
_US = timedelta(microseconds=1)
_OPEN, _FREED, _OTHER = 1, 2, 4


def _lengths() -> array[int]:
    return array("q")


def _kept(lasted: timedelta, *, over: bool) -> int:
    """A length in microseconds; that of a wait which is not over, as the complement of it."""
    return lasted // _US if over else ~(lasted // _US)


@dataclass(slots=True)
class Climb:
    """The escalations to one rung: how long dossiers had been open before, and took to be resolved after."""

    before: array[int] = field(default_factory=_lengths)
    after: array[int] = field(default_factory=_lengths)


@dataclass(slots=True)
class Line:
    """What the dossiers of one line add up to. Lengths are in microseconds, as `_kept` writes them."""

    dossiers: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    court: Counter[str] = field(default_factory=Counter)
    gross: dict[str, array[int]] = field(default_factory=dict)
    """How long the resolution took, by topic."""
    net: array[int] = field(default_factory=_lengths)
    """The same, without the time when the holder or a third party had the ball."""
    legal: dict[str, array[int]] = field(default_factory=dict)
    """By legal limit, how long before its date each ended: less than nothing, after it. Those that run in time are in none."""
    climbs: dict[str, Climb] = field(default_factory=dict)
    """By the rung that was called upon."""

    def add(self, facts: Facts, now: datetime, side: Callable[[str], str]) -> None:
        """Count one dossier."""
        self.dossiers += 1
        if stands := standing(facts, now):
            self.boxes[stands] += 1
        for party, lasted in facts.shares(now).items():
            self.court[side(party)] += lasted // _US
        until = now if facts.closed is None else facts.closed
        lasted = until - facts.submitted
        self.gross.setdefault(facts.topic or "", _lengths()).append(_kept(lasted, over=facts.resolved))
        self.net.append(_kept(lasted - facts.held(until), over=facts.resolved))
        for one in facts.promises:
            if one.family == LEGAL and (one.end is not None or one.late(now)):
                self.legal.setdefault(one.clock, _lengths()).append((one.due - (one.end or now)) // _US)
        seen: set[str] = set()
        for at, rung in facts.climbs:
            if rung not in seen:
                seen.add(rung)
                climb = self.climbs.setdefault(rung, Climb())
                climb.before.append(_kept(at - facts.submitted, over=True))
                climb.after.append(_kept(max(until - at, timedelta(0)), over=facts.resolved))


@dataclass(slots=True)
class Effect:
    """The lines at `now`, as dossiers are added one by one. `side` says on which side a party stands."""

    now: datetime
    side: Callable[[str], str]
    lines: dict[str, Line] = field(default_factory=lambda: {ALL: Line(), INSIDE: Line(), OUTSIDE: Line()})
    versions: Counter[str] = field(default_factory=Counter)
    """How many dossiers are under each version of a definition."""
    _stakes: dict[str, tuple[int, int, int, tuple[str, ...]]] = field(default_factory=dict)
    """By project: the most that was declared, what became of its dossiers, and the lines that it is in."""

    def add(self, reference: str, facts: Facts, territories: Sequence[str], departement: str) -> None:
        """Count one dossier: in each of its territories, or among those of its département that are in none."""
        names = (
            ALL, *((INSIDE, *territories) if territories else (OUTSIDE, f"{OUTSIDE}:{departement}")),
        )  # fmt: skip
        self.versions[facts.definition] += 1
        for name in names:
            self.lines.setdefault(name, Line()).add(facts, self.now, self.side)
        self._stake(reference, facts, names)

    def _stake(self, reference: str, facts: Facts, names: tuple[str, ...]) -> None:
        named = facts.data.get("project")
        jobs, invested = (_number(facts.data.get(name)) for name in ("jobs", "invested"))
        if named is None and not jobs and not invested:
            return
        key = str(named) if named is not None else reference
        before = self._stakes.get(key, (0, 0, 0, ()))
        how = _OPEN if facts.closed is None else _FREED if facts.outcome in UNBLOCKED else _OTHER
        lines = before[3] if set(names) <= set(before[3]) else tuple(dict.fromkeys((*before[3], *names)))
        self._stakes[key] = max(before[0], jobs), max(before[1], invested), before[2] | how, lines

    def stakes(self) -> dict[str, dict[str, int]]:
        """By line: projects that declare something, jobs and millions of euros, and those of projects that are unblocked."""
        found: dict[str, Counter[str]] = {}
        for jobs, invested, how, lines in self._stakes.values():
            if not jobs and not invested:
                continue
            freed = how == _FREED
            for name in lines:
                found.setdefault(name, Counter()).update(
                    projects=1, jobs=jobs, invested=invested, projects_unblocked=freed, jobs_unblocked=jobs * freed,
                    invested_unblocked=invested * freed,
                )  # fmt: skip
        return {name: {what: one[what] for what in STAKES} for name, one in found.items()}


STAKES = ("projects", "jobs", "invested", "projects_unblocked", "jobs_unblocked", "invested_unblocked")


def _number(given: Any) -> int:
    return given if isinstance(given, int) else 0


# --- figures ----------------------------------------------------------------------------------------------------------


def plain(effect: Effect) -> dict[str, Any]:
    """The figures as a document: durations in seconds, shares from 0 to 1, None where there is no datum or too few."""
    stakes, outside = effect.stakes(), effect.lines[OUTSIDE]
    return {
        "measurable_from": MEASURABLE,
        "definitions": dict(sorted(effect.versions.items())),
        "lines": [
            {"line": name, **_line(line), "usual": _usual(line, outside) if _comparable(name) else None, "stakes": stakes.get(name, dict.fromkeys(STAKES, 0))}
            for name, line in sorted(effect.lines.items())
        ],
    }  # fmt: skip


def _comparable(name: str) -> bool:
    """Whether a line has none of those that it would be compared with."""
    return name != ALL and not name.startswith(OUTSIDE)


def _line(line: Line) -> dict[str, Any]:
    whole = line.court.total()
    return {
        "dossiers": line.dossiers,
        "boxes": {box: line.boxes[box] for box in BOXES},
        "promised": line.boxes.total(),
        "kept": _kept_share(line.boxes),
        "resolution": {"gross": _wait(line.gross.values()), "net": _wait([line.net])},
        "court": {
            side: {"seconds": line.court[side] / 1e6, "share": line.court[side] / whole if whole else None} for side in SIDES
        },
        "legal": [
            {"clock": name, **_gained(lengths)} for name, lengths in sorted(line.legal.items())
        ],
        "escalations": [
            {"rung": rung, "before": _wait([climb.before]), "after": _wait([climb.after])}
            for rung, climb in sorted(line.climbs.items())
        ],
    }  # fmt: skip


def _kept_share(boxes: Counter[str]) -> float | None:
    """The share of dossiers whose promise was kept, among those whose fate is known; None below what is measured."""
    fate = boxes.total() - boxes["open_in_time"]
    return boxes["closed_in_time"] / fate if fate >= MEASURABLE else None


def _wait(parts: Iterable[array[int]]) -> dict[str, Any]:
    """How many waited, for how many it is over, and the median with its interval where there are enough of them."""
    lengths = sorted((one for part in parts for one in part), key=_length)
    said: dict[str, Any] = {
        "waited": len(lengths), "over": sum(one >= 0 for one in lengths), "median": None, "interval": [None, None],
    }  # fmt: skip
    if len(lengths) >= MEASURABLE:
        found = survival.quantile(survival.steps(_counted(lengths), len(lengths)), 0.5)
        said["median"], said["interval"] = _seconds(found.at), [_seconds(found.low), _seconds(found.high)]
    return said


def _length(kept: int) -> int:
    return kept if kept >= 0 else ~kept


def _counted(lengths: Iterable[int]) -> Iterator[tuple[timedelta, int, int]]:
    for length, same in groupby(lengths, key=_length):
        over = [one >= 0 for one in same]
        yield length * _US, sum(over), len(over) - sum(over)


def _seconds(lasted: timedelta | None) -> float | None:
    return None if lasted is None else lasted.total_seconds()


def _gained(lengths: array[int]) -> dict[str, Any]:
    """Of one legal limit: how many have a fate, what was gained before its date and lost after it, and the median of both,
    with the interval of its ranks at 95 % (Conover, Practical Nonparametric Statistics, 3.2).
    """
    found, number = sorted(lengths), len(lengths)
    said: dict[str, Any] = {
        "known": number, "gained": sum(one for one in found if one > 0) / 1e6,
        "lost": -sum(one for one in found if one < 0) / 1e6, "median": None, "interval": [None, None],
    }  # fmt: skip
    if number >= MEASURABLE:
        off = survival.Z95 * math.sqrt(number) / 2
        low, high = max(math.floor(number / 2 - off), 1), min(math.ceil(number / 2 + 1 + off), number)
        said["median"] = (found[(number - 1) // 2] + found[number // 2]) / 2e6
        said["interval"] = [found[low - 1] / 1e6, found[high - 1] / 1e6]
    return said


def _usual(line: Line, outside: Line) -> dict[str, Any]:
    """How long the resolution usually takes where there is no Territoire d'industrie, on the topics that both have, and the
    difference of the medians; its bounds are the widest that both intervals allow.
    """
    topics = sorted(line.gross.keys() & outside.gross.keys())
    mine = _wait(line.gross[topic] for topic in topics)
    theirs = _wait(outside.gross[topic] for topic in topics)
    said: dict[str, Any] = {
        "topics": topics, "all_topics": len(topics) == len(line.gross), "own": mine, "outside": theirs, "shorter_by": None,
        "interval": [None, None],
    }  # fmt: skip
    if mine["median"] is not None and theirs["median"] is not None:
        said["shorter_by"] = theirs["median"] - mine["median"]
        said["interval"] = [
            _less(theirs["interval"][0], mine["interval"][1]),
            _less(theirs["interval"][1], mine["interval"][0]),
        ]
    return said


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
