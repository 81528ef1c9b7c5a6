"""`python -m bench.clock`: one due date in working time, beside the same by `businesstimedelta`, on the same calendar.

That package asks for an older python-dateutil than the lock holds: `make bench-clock` gives it an environment of its own.
"""

from __future__ import annotations

import argparse
import random
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

import businesstimedelta
import pytz

from bench.figures import interleaved, median, show, timed
from config import holidays
from states.calendar import Calendar, Pause, calendar

ZONE = "Europe/Paris"
WEEK = {day: [["09:00", "12:00"], ["14:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
Case = tuple[datetime, timedelta]


def ours() -> Calendar:
    """The calendar of an office in Paris."""
    return calendar({"timezone": ZONE, "week": WEEK}, holidays=holidays.of_zone("metropole"))


def theirs() -> businesstimedelta.Rules:
    """The same, in the other's words: two work days, less a lunch and the same holidays."""
    rules = businesstimedelta.Rules(
        [
            businesstimedelta.WorkDayRule(
                start_time=datetime(2000, 1, 1, 9).time(),
                end_time=datetime(2000, 1, 1, 18).time(),
                working_days=[0, 1, 2, 3, 4],
                tz=pytz.timezone(ZONE),
            ),
            businesstimedelta.LunchTimeRule(
                start_time=datetime(2000, 1, 1, 12).time(),
                end_time=datetime(2000, 1, 1, 14).time(),
                working_days=[0, 1, 2, 3, 4],
                tz=pytz.timezone(ZONE),
            ),
            businesstimedelta.HolidayRule(list(holidays.of_zone("metropole")), tz=pytz.timezone(ZONE)),
        ]
    )
    return rules
