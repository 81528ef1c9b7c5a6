"""Working time against a walk, minute by minute, that shares nothing with it: the zone's clocks and a keeper with a sheet.

The keeper opens and closes when the clocks first show the hour of the sheet, or have passed it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from states.calendar import WEEKDAYS, calendar

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
MICRO = timedelta(microseconds=1)
ZONES = (
    "Europe/Paris", "Europe/Paris", "Europe/Paris", "America/Guadeloupe", "America/Cayenne", "America/Miquelon",
    "Indian/Reunion", "Indian/Mayotte", "Pacific/Noumea", "Pacific/Tahiti", "Pacific/Wallis", "America/New_York",
    "America/Sao_Paulo", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "UTC",
)  # fmt: skip
WINDOW = 16 * 24 * 60
"""The minutes walked for one calendar."""


@cache
def changes(zone, year):
    """The dates of a year at which the offset of a zone is not what it was a day before."""
    days = [datetime(year, 1, 1, 12, tzinfo=UTC) + n * DAY for n in range(365)]
    clocks = ZoneInfo(zone)
    return [day for day in days[1:] if day.astimezone(clocks).utcoffset() != (day - DAY).astimezone(clocks).utcoffset()]


def minutes(text):
    hours, rest = text.split(":")
    return int(hours) * 60 + int(rest)


def drawn_spans(draw, *, overnight=True):
    """Some hours of a day, apart; the last may run into the next day."""
    edges = sorted(draw.sample(range(24 * 12 + 1), 2 * draw.choice((1, 1, 2, 3))))
    spans = [[5 * low, 5 * high] for low, high in zip(edges[::2], edges[1::2], strict=True)]
    if overnight and draw.random() < 0.25:
        spans[-1][1] = 24 * 60 + min(5 * draw.randrange(1, 48), spans[-1][0])
    return [[f"{low // 60:02}:{low % 60:02}", f"{high // 60:02}:{high % 60:02}"] for low, high in spans]


def drawn_calendar(draw, zone, first):
    """A sheet that the program accepts, with what closes and opens exceptionally around a date."""
    week = {day: drawn_spans(draw) for day in WEEKDAYS if draw.random() < 0.8}
    for index, day in enumerate(WEEKDAYS):  # a night must end before the next day opens
        following = week.get(WEEKDAYS[(index + 1) % 7])
        if following and day in week and minutes(week[day][-1][1]) - 1440 > minutes(following[0][0]):
            week[day][-1][1] = "24:00"
    week = week or {"mon": [["00:00", "24:00"]]}
    near = [str(first + n * DAY) for n in range(14)]
    return {
        "timezone": zone,
        "week": week,
        "holidays": draw.sample(near, draw.choice((0, 0, 1, 2))),
        "yearly_holidays": [near[3][5:]] if draw.random() < 0.1 else [],
        "holiday_ranges": [[near[7], near[8]]] if draw.random() < 0.1 else [],
        "breaks": {day: drawn_spans(draw) for day in draw.sample(near, draw.choice((0, 0, 1)))},
        "shifts": {day: drawn_spans(draw) for day in draw.sample(near, draw.choice((0, 0, 1)))},
    }


@dataclass
class Keeper:
    """Which minutes of a window are open, found by looking at the clocks at each."""

    sheet: dict
    begins: datetime

    def __post_init__(self):
        clocks, shown = ZoneInfo(self.sheet["timezone"]), datetime.min  # noqa: DTZ901  (a wall time)
        self.days, self.open = {}, bytearray(WINDOW)
        for minute in range(-3 * 24 * 60, WINDOW):
            wall = (self.begins + minute * MINUTE).astimezone(clocks).replace(tzinfo=None)
            shown = max(shown, wall)
            if minute >= 0:
                self.open[minute] = self.at_work(shown.date(), shown.hour * 60 + shown.minute)

    def at_work(self, day, minute):
        if day not in self.days:
            self.days[day] = self._day(day)
        return self.days[day][minute]

    def _day(self, day):
        """The 1,440 minutes of a date on the sheet: opened by its hours and the night before, then shut."""
        found = bytearray(1440)
        hours, cuts = self.sheet["week"], self.sheet["breaks"]
        for on, back in ((day - DAY, 1440), (day, 0)):
            for low, high in self.sheet["shifts"].get(str(on), hours.get(WEEKDAYS[on.weekday()], [])):
                for minute in range(max(minutes(low) - back, 0), min(minutes(high) - back, 1440)):
                    found[minute] = 1
        for on, back in ((day - DAY, 1440), (day, 0)):
            for low, high in cuts.get(str(on), []):
                for minute in range(max(minutes(low) - back, 0), min(minutes(high) - back, 1440)):
                    found[minute] = 0
        off = str(day) in self.sheet["holidays"] or str(day)[5:] in self.sheet["yearly_holidays"]
        return bytes(1440) if off or any(a <= str(day) <= b for a, b in self.sheet["holiday_ranges"]) else bytes(found)

    def due(self, start, length, pauses):
        """Walk from `start` until so much open, unpaused time has gone by; None past the window."""
        left, minute = length // MICRO, (start - self.begins) // MINUTE - 1
        edges = {(at - self.begins) // MINUTE for at in (start, *(at for pause in pauses for at in pause))}
        held = [((low - self.begins) // MINUTE, (high - self.begins) // MINUTE) for low, high in pauses]
        while (minute := self.open.find(1, minute + 1)) >= 0:
            if minute in edges:
                for low, high in self.pieces(self.begins + minute * MINUTE, start, pauses):
                    if left <= (high - low) // MICRO:
                        return low + left * MICRO
                    left -= (high - low) // MICRO
            elif not held or not any(low < minute < high for low, high in held):
                if left <= 60_000_000:
                    return self.begins + minute * MINUTE + left * MICRO
                left -= 60_000_000
        return None

    @staticmethod
    def pieces(at, start, pauses):
        """What of a minute is after the start and in no pause."""
        marks = sorted({at, at + MINUTE, start, *(mark for pause in pauses for mark in pause)})
        for low, high in zip(marks, marks[1:], strict=False):
            if at <= low < at + MINUTE and low >= start and not any(begins <= low < ends for begins, ends in pauses):
                yield low, high


def drawn_keeper(draw):
    zone, year = draw.choice(ZONES), draw.choice((2006, 2011, 2015, 2018, 2026, 2027, 2038, 2100, 2199))
    near = changes(zone, year)
    day = draw.choice(near) if near and draw.random() < 0.7 else datetime(year, draw.randrange(1, 12), 7, tzinfo=UTC)
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC) - draw.randrange(1, 5) * DAY
    return Keeper(drawn_calendar(draw, zone, date(begins.year, begins.month, begins.day)), begins)


def drawn_instant(draw, keeper, within):
    exact = draw.choice((0, 0, 0, 1_000_000 * draw.randrange(60), draw.randrange(60_000_000)))
    return keeper.begins + draw.randrange(within) * MINUTE + exact * MICRO


def check(seed, cases, each):
    """Compare so many cases, `each` on one calendar."""
    draw, compared = random.Random(seed), 0
    while compared < cases:
        keeper = drawn_keeper(draw)
        hours = calendar(keeper.sheet)
        for _ in range(each):
            start = drawn_instant(draw, keeper, 8 * 24 * 60)
            pauses = []
            for _ in range(draw.choice((0, 0, 1, 2))):
                low, high = sorted(drawn_instant(draw, keeper, WINDOW) for _ in range(2))
                pauses.append((low, min(high, low + draw.choice((40, 600, 3000)) * MINUTE)))
            length = draw.choice((1, 5, 60, 450, 1440)) * draw.randrange(1, 5) * MINUTE + draw.choice((0, 0, 7)) * MICRO
            expected = keeper.due(start, length, pauses)
            if expected is None:  # past the window
                continue
            told = f"seed {seed}: {keeper.sheet} from {start} for {length} with {pauses}"
            assert hours.due(start, length, pauses) == expected, told
            assert hours.between(start, expected, pauses) == length, told
            if not pauses:
                back = hours.subtract(expected, length)
                assert back == hours.next_open(start), told
                assert hours.add(back, length) == expected, told
            minute = draw.randrange(WINDOW)
            assert hours.is_open(keeper.begins + minute * MINUTE) == keeper.open[minute], told
            compared += 1


@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_random_cases_agree_with_the_walk(seed):
    check(seed, cases=1000, each=120)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1040))
def test_a_million_random_cases_agree_with_the_walk(seed):
    check(seed, cases=25_000, each=500)
