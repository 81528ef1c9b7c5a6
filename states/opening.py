"""Opening hours as a person writes them in a sheet: `mon-fri 08:30-12:00 14:00-17:30; sat 09:00-12:00`."""

from __future__ import annotations

import re

from states.calendar import WEEKDAYS
from states.errors import BadInput, shown

ACCEPTED = "mon-fri 08:30-12:00 14:00-17:30; sat 09:00-12:00"
_DAYS = re.compile(r"(\w{3})(?:-(\w{3}))?", re.ASCII)
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII)


def week(given: str, *, field: str = "hours") -> dict[str, list[list[str]]]:
    """The weekly hours as `states.calendar.calendar` takes them. Raises BadInput: a day or an hour that is none, a day twice."""
    found: dict[str, list[list[str]]] = {}
    for part in given.split(";"):
        days, *spans = part.split() or [""]
        for day in _between(days, given, field):
            if day in found:
                raise BadInput("hours", f"{day} est donné deux fois", field=field, accepted=ACCEPTED)
            found[day] = [_span(span, given, field) for span in spans]
        if not spans:
            raise _wrong(given, field)
    return found


def _between(days: str, given: str, field: str) -> tuple[str, ...]:
    read = _DAYS.fullmatch(days)
    if read is None or any(day not in WEEKDAYS for day in read.groups() if day is not None):
        raise _wrong(given, field)
    first = WEEKDAYS.index(read[1])
    last = WEEKDAYS.index(read[2]) if read[2] else first
    if last < first:
        raise _wrong(given, field)
    return WEEKDAYS[first : last + 1]


def _span(span: str, given: str, field: str) -> list[str]:
    begins, _, ends = span.partition("-")
    if _SPAN.fullmatch(span) is None or begins >= ends:
        raise _wrong(given, field)
    return [begins, ends]


def _wrong(given: str, field: str) -> BadInput:
    return BadInput("hours", f"horaires illisibles : « {shown(given)} »", field=field, accepted=ACCEPTED)
