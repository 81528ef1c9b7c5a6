"""Rounds, pairs, medians: how a figure is taken and printed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any


def timed(work: Callable[[], object]) -> float:
    """The seconds that some work takes."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


def interleaved(rounds: int, ways: Mapping[str, Callable[[], float]], *, warm: int = 1) -> dict[str, list[float]]:
    """The seconds of each way, taken in turn (A B C A B C …), after rounds that do not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-warm, rounds):
        for name, way in ways.items():
            seconds = way()
            if number >= 0:
                times[name].append(seconds)
    return times


def show(
    bench: str,
    over: Sequence[float],
    under: Sequence[float],
    *,
    least: float = 0,
    most: float = 0,
    off: str = "",
    **more: Any,
) -> None:
    """Print one figure: the median of over / under taken pair by pair, its goal, its spread, what it was made of."""
    pairs = sorted(a / b for a, b in zip(over, under, strict=True))
    ratio = statistics.median(pairs)
    line: dict[str, Any] = {"bench": bench, "ratio": round(ratio, 3), "goal": f">= {least}" if least else f"<= {most}"}
    line["met"] = ratio >= least if least else ratio <= most
    if off:
        line["off"] = off
    line |= {"rounds": len(pairs), "spread": [round(pairs[len(pairs) // 4], 3), round(pairs[-1 - len(pairs) // 4], 3)]}
    print(json.dumps(line | more, ensure_ascii=False), flush=True)


def median(seconds: Sequence[float], count: int = 1, *, unit: float = 1e6) -> float:
    """The median of some times, for one of `count`, in microseconds unless said."""
    return round(statistics.median(seconds) / count * unit, 1)
