"""`python -m bench.clock`: due dates in working time, beside the same by `businesstimedelta`, on the same calendar.

That package wants an older python-dateutil than the lock holds, so it is given an environment of its own: make bench-clock.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import businesstimedelta
import pytz

from bench.figures import interleaved, median, show, timed
from config import holidays
from states.calendar import Calendar, Pause, calendar

ZONE, MONDAY_TO_FRIDAY = "Europe/Paris", [0, 1, 2, 3, 4]
WEEK = {day: [["09:00", "12:00"], ["14:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
GOAL = 200
Case = tuple[datetime, timedelta, list[Pause]]


def ours() -> Calendar:
    """The calendar of an office in Paris."""
    return calendar({"timezone": ZONE, "week": WEEK}, holidays=holidays.of_zone("metropole"))


def theirs() -> Any:
    """The same calendar in the other's words: a day's work, less its lunch, less the same holidays."""
    zone = pytz.timezone(ZONE)
    day = businesstimedelta.WorkDayRule(time(9), time(18), MONDAY_TO_FRIDAY, tz=zone)
    lunch = businesstimedelta.LunchTimeRule(time(12), time(14), MONDAY_TO_FRIDAY, tz=zone)
    closed = businesstimedelta.HolidayRule(set(holidays.of_zone("metropole")), tz=zone)
    return businesstimedelta.Rules([day, lunch, closed])


def due_theirs(rules: Any, start: datetime, length: timedelta, pauses: Sequence[Pause]) -> datetime:
    """Their due date; it knows no pauses, so between them its own difference is taken off."""
    left = businesstimedelta.BusinessTimeDelta(rules, timedelta=length)
    for begins, ends in pauses:
        if begins > start:
            before = rules.difference(start, begins)
            if before.timedelta >= left.timedelta:
                break
            left -= before
        start = max(start, ends)
    found: datetime = start + left
    return found


def due_walked(hours: Calendar, start: datetime, length: timedelta, pauses: Sequence[Pause]) -> datetime:
    """Our due date without the tables: from day to day, each day's hours made anew."""
    held, day, local = [*pauses], hours.local(start).date() - timedelta(days=1), start
    while True:
        for begins, ends in hours._spans(day):  # noqa: SLF001  (the mechanism without its tables)
            at, until = max(local, hours.reached(day, begins)), hours.reached(day, ends)
            for low, high in [*held, (until, until)]:
                open_for = min(low, until) - at
                if open_for > timedelta(0):
                    if length <= open_for:
                        return at + length
                    length -= open_for
                at = max(at, high)
        day += timedelta(days=1)


def drawn(draw: random.Random, *, paused: bool) -> Case:
    """A start in 2026 or 2027, half of them near a clock change, 1 to 80 hours, and up to two pauses of some days."""
    near = draw.choice(
        [datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC), datetime(2027, 3, 26, tzinfo=UTC)]
    )
    anywhere = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=draw.randrange(600))
    start = (near if draw.random() < 0.5 else anywhere) + timedelta(seconds=draw.randrange(3 * 86_400))
    pauses: list[Pause] = []
    at = start
    for _ in range(draw.choice((1, 2)) if paused else 0):
        at += timedelta(hours=draw.randrange(1, 60))
        pauses.append((at, at + timedelta(hours=draw.randrange(1, 100))))
        at = pauses[-1][1]
    return start, timedelta(minutes=draw.randrange(60, 80 * 60)), pauses


def repeated(way: Callable[[Case], datetime], cases: Sequence[Case], times: int) -> Callable[[], float]:
    """The seconds of one pass over the cases, taken over several."""
    return lambda: timed(lambda: [way(case) for _ in range(times) for case in cases]) / times


def main() -> None:
    """Compare every answer, then time them in turn."""
    parser = argparse.ArgumentParser(prog="python -m bench.clock", description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    draw, hours, rules = random.Random(1), ours(), theirs()
    ways: dict[str, tuple[Callable[[Case], datetime], int]] = {
        "theirs": (lambda case: due_theirs(rules, *case), 1),
        "ours": (lambda case: hours.due(*case), 100),
        "walk": (lambda case: due_walked(hours, *case), 2),
    }
    for paused in (False, True):
        cases = [drawn(draw, paused=paused) for _ in range(chosen.cases)]
        answers = {name: [way(case) for case in cases] for name, (way, _) in ways.items()}
        assert answers["ours"] == answers["walk"] == answers["theirs"]
        passes = {name: repeated(way, cases, count) for name, (way, count) in ways.items()}
        times = interleaved(chosen.rounds, passes)
        for name, off in (("ours", ""), ("walk", "the tables: a walk from day to day")):
            us, theirs_us = (median(times[key], len(cases)) for key in (name, "theirs"))
            more = {"n": len(cases), "pauses": paused, "us": us, "theirs_us": theirs_us}
            show("due_date", times["theirs"], times[name], least=GOAL, off=off, **more)


if __name__ == "__main__":
    main()
