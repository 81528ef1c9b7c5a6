"""Working time: when a service is open, and what that makes of a length of hours or of days. Pure functions of values.

Instants are aware datetimes; results are in UTC. Everything counts in whole microseconds, so it is exact across both
clock changes. A calendar keeps, for each year it was asked about, its opening segments and the open time before each:
a due date is one bisection.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from states.errors import BadInput, shown

FIRST_YEAR, LAST_YEAR = 2000, 2199
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KEPT_EDGES = 10_000
KEPT_YEARS = 32
"""How many yearly tables a calendar keeps; the one made first goes first."""

Span = tuple[int, int]
"""From and to, in seconds after 0 h of a local date; past 24 h the span ends on the next date."""
Pause = tuple[datetime, datetime]
WorkingDays = Literal["open", "working", "opening"]
"""Which days count: those on which this calendar opens, the jours ouvrés (Monday to Friday) or the jours ouvrables (Monday
to Saturday); public holidays and closures never do."""

_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (local wall time, before it is given its zone)
_ZERO = timedelta(0)
_YEARS = f"de {FIRST_YEAR} à {LAST_YEAR}"
_TIME = re.compile(r"(\d{2}):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_TIMES = "HH:MM, la fin jusqu'à 24:00, ou au-delà pour finir le lendemain (22:00 à 30:00)"


class Closed(NamedTuple):
    """Why a date does not count: `reason` is weekday, holiday or closure; `name` is that of the holiday, if it has one."""

    reason: str
    name: str


class _Year(NamedTuple):
    """The opening segments that begin in one UTC year, in microseconds, and the open time up to the end of each."""

    starts: list[int]
    ends: list[int]
    worked: list[int]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Calendar:
    """When a service is open, as a value; made by `calendar()`, which checks it.

    A holiday or a closed range closes its whole local date, also the end of a night that began the day before. Closures
    win over everything; an exceptional opening replaces the weekly hours of its date.
    """

    zone: str
    week: tuple[tuple[Span, ...], ...]
    holidays: Mapping[date, str] = field(default_factory=dict)
    yearly: Mapping[tuple[int, int], str] = field(default_factory=dict)
    ranges: tuple[tuple[date, date], ...] = ()
    breaks: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    openings: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    _years: dict[int, _Year] = field(default_factory=dict, init=False, repr=False)
    _edges: dict[tuple[date, bool], datetime] = field(default_factory=dict, init=False, repr=False)
    _nth: dict[tuple[date, int, WorkingDays, bool], datetime] = field(default_factory=dict, init=False, repr=False)
    _days: dict[tuple[int, str], list[int]] = field(default_factory=dict, init=False, repr=False)

    # --- the days -----------------------------------------------------------------------------------------------------

    def holiday(self, day: date) -> str | None:
        """The name of the holiday on a date ("" if it was given none), or None."""
        name = self.holidays.get(day)
        return self.yearly.get((day.month, day.day)) if name is None else name

    def is_holiday(self, day: date) -> bool:
        """Whether a whole date is closed: a holiday, or within a closed range."""
        return self.holiday(day) is not None or self._in_range(day)

    def _in_range(self, day: date) -> bool:
        return any(first <= day <= last for first, last in self.ranges)

    def counts(self, day: date, kind: WorkingDays = "open") -> bool:
        """Whether a date is a working day of this kind."""
        return self.closed(day, kind) is None

    def closed(self, day: date, kind: WorkingDays = "open") -> Closed | None:
        """Why a date is not a working day of this kind; None if it is one."""
        name = self.holiday(day)
        if name is not None:
            return Closed("holiday", name)
        if self._in_range(day):
            return Closed("closure", "")
        if kind == "open":
            if not self.hours(day):
                return Closed("weekday", "")
            return None if self._spans(day) else Closed("closure", "")
        return Closed("weekday", "") if day.weekday() >= (5 if kind == "working" else 6) else None

    def hours(self, day: date) -> tuple[Span, ...]:
        """The opening hours set for a date, before anything closes it."""
        found = self.openings.get(day)
        return self.week[day.weekday()] if found is None else found

    def _spans(self, day: date) -> list[Span]:
        """The spans that begin on a date, less every closure."""
        spans: list[Span] = list(self.hours(day))
        if not spans:
            return spans
        for ahead in (-1, 0, 1):
            beside = day + timedelta(days=ahead)
            cuts = self.breaks.get(beside, ())
            if self.is_holiday(beside):
                cuts = (*cuts, (0, _DAY))
            for begins, ends in cuts:
                low, high = begins + ahead * _DAY, ends + ahead * _DAY
                spans = [
                    (start, end)
                    for before, after in spans
                    for start, end in ((before, min(after, low)), (max(before, high), after))
                    if start < end
                ]
        return spans

    # --- local time ---------------------------------------------------------------------------------------------------

    def local(self, instant: datetime) -> datetime:
        """An instant on the clocks of this calendar's zone."""
        return instant.astimezone(ZoneInfo(self.zone))

    def resolve(self, wall: datetime, *, second: bool = False, name: str = "start") -> datetime:
        """The instant of a local wall time; of an hour that comes twice, the first. Raises BadInput in a skipped hour."""
        wall = wall.replace(tzinfo=None)
        zone = ZoneInfo(self.zone)
        earlier, later = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        if earlier.utcoffset() != later.utcoffset() and later.astimezone(UTC).astimezone(zone).fold == 0:
            raise BadInput(
                "skipped_hour",
                f"{wall:%d/%m/%Y %H:%M} n'existe pas dans le fuseau {self.zone} : l'heure change",
                field=name,
                accepted="une heure que les pendules ont montrée, ou un instant avec son décalage",
            )
        return _utc(later if second else earlier, name)

    def reached(self, day: date, seconds: int) -> datetime:
        """The first instant at which the clocks of the zone show this time of a date, or a later one.

        So an opening or a closing in the hour that comes twice is the first of the two, and in the skipped hour it is
        the very change.
        """
        return _EPOCH + timedelta(seconds=self._reached(day.toordinal() - _ORDINAL, seconds, ZoneInfo(self.zone)))

    @staticmethod
    def _reached(days: int, seconds: int, zone: ZoneInfo) -> int:
        """The same, for a count of days since 1970, as seconds since 1970 began in UTC."""
        wall = days * _DAY + seconds
        local = _NAIVE_EPOCH + timedelta(seconds=wall)
        before = _seconds(local.replace(tzinfo=zone).utcoffset())
        after = _seconds(local.replace(tzinfo=zone, fold=1).utcoffset())
        if before >= after:
            return wall - before
        low, high = wall - after, wall - before  # the change lies in (low, high]
        while high - low > 1:
            middle = (low + high) // 2
            here = _seconds((_EPOCH + timedelta(seconds=middle)).astimezone(zone).utcoffset())
            low, high = (low, middle) if here == after else (middle, high)
        return high

    # --- the yearly tables --------------------------------------------------------------------------------------------

    def _year(self, year: int) -> _Year:
        found = self._years.get(year)
        if found is None:
            found = self._made(year)
            if len(self._years) >= KEPT_YEARS:
                self._years.pop(next(iter(self._years)), None)
            self._years[year] = found
        return found

    def _made(self, year: int) -> _Year:
        if not FIRST_YEAR - 1 <= year <= LAST_YEAR:
            raise BadInput(
                "year", "la date cherchée sort du calendrier", field="calendar", accepted=f"une date {_YEARS}"
            )
        zone, total, last = ZoneInfo(self.zone), 0, 0
        table = _Year([], [], [])
        low, high = ((datetime(at, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) for at in (year, year + 1))
        day = date(year, 1, 1) - timedelta(days=3)
        while day <= date(year + 1, 1, 2):
            days = day.toordinal() - _ORDINAL
            for begins, ends in self._spans(day):
                start, end = self._reached(days, begins, zone), self._reached(days, ends, zone)
                start, last = max(start, last), max(end, last)
                if start < end and low <= start < high:
                    total += (end - start) * 1_000_000
                    table.starts.append(start * 1_000_000)
                    table.ends.append(end * 1_000_000)
                    table.worked.append(total)
            day += timedelta(days=1)
        return table

    def _locate(self, instant: datetime, name: str) -> tuple[int, _Year, int, int]:
        """The year, its table, the index of the last segment begun at or before an instant (-1: none), and the instant."""
        if instant.tzinfo is not UTC:
            instant = _utc(instant, name)
        year = instant.year
        if not FIRST_YEAR <= year <= LAST_YEAR:
            raise BadInput("year", f"l'année {year} est hors du calendrier", field=name, accepted=_YEARS)
        since = instant - _EPOCH
        at = (since.days * _DAY + since.seconds) * 1_000_000 + since.microseconds
        table = self._years.get(year) or self._year(year)
        index = bisect_right(table.starts, at) - 1
        if index < 0:  # a segment that began last year may still be open
            table, year = self._year(year - 1), year - 1
            index = len(table.starts) - 1
        return year, table, index, at

    # --- working time -------------------------------------------------------------------------------------------------

    def is_open(self, instant: datetime) -> bool:
        """Whether the service is open: from its opening on, and no more at its closing."""
        _, table, index, at = self._locate(instant, "start")
        return index >= 0 and at < table.ends[index]

    def next_open(self, instant: datetime) -> datetime:
        """The first instant, from this one on, at which the service is open."""
        year, table, index, at = self._locate(instant, "start")
        if index >= 0 and at < table.ends[index]:
            return _instant(at)
        index += 1
        while index >= len(table.starts):
            year, index = year + 1, 0
            table = self._year(year)
        return _instant(table.starts[index])

    def previous_open_end(self, instant: datetime) -> datetime:
        """The last instant, up to this one, that has open time just before it: this one, or an earlier closing."""
        year, table, index, at = self._locate(instant, "start")
        if index >= 0 and table.starts[index] == at:
            index -= 1
        while index < 0:
            year -= 1
            table = self._year(year)
            index = len(table.starts) - 1
        return _instant(min(at, table.ends[index]))

    def open_periods(self, instant: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The opening segments from an instant on, the first cut there."""
        year, table, index, at = self._locate(instant, "start")
        if index < 0 or at >= table.ends[index]:
            index += 1
        while True:
            while index >= len(table.starts):
                year, index = year + 1, 0
                table = self._year(year)
            yield _instant(max(at, table.starts[index])), _instant(table.ends[index])
            index += 1

    def add(self, start: datetime, length: timedelta) -> datetime:
        """The earliest instant at which so much working time has passed since `start`: used up at closing, it is closing."""
        if length <= _ZERO:
            _refuse_negative(length)
            return self.next_open(start)
        year, table, index, at = self._locate(start, "start")
        target = (length.days * _DAY + length.seconds) * 1_000_000 + length.microseconds
        if index >= 0:
            end = table.ends[index]
            target += table.worked[index] - (end - at if at < end else 0)
        worked = table.worked
        index = bisect_left(worked, target)
        while index >= len(worked):
            target -= worked[-1] if worked else 0
            year += 1
            table = self._year(year)
            worked = table.worked
            index = bisect_left(worked, target)
        return _EPOCH + timedelta(microseconds=table.ends[index] - worked[index] + target)

    def subtract(self, start: datetime, length: timedelta) -> datetime:
        """The latest instant since which so much working time has passed at `start`."""
        if length <= _ZERO:
            _refuse_negative(length)
            return self.previous_open_end(start)
        year, table, index, at = self._locate(start, "start")
        target = _worked(table, index, at) - length // timedelta(microseconds=1)
        while target < 0:
            year -= 1
            table = self._year(year)
            target += table.worked[-1] if table.worked else 0
        index = bisect_right(table.worked, target)
        return _instant(table.ends[index] - (table.worked[index] - target))

    def between(self, start: datetime, end: datetime, pauses: Sequence[Pause] = ()) -> timedelta:
        """The working time from `start` to `end`, less what falls in a pause. Raises BadInput: it ends before it starts."""
        if end < start:
            raise BadInput("order", "la fin précède le début", field="end", accepted="un instant égal ou postérieur")
        total = self._between(start, end)
        for begins, ends in merged(pauses):
            low, high = max(begins, start), min(ends, end)
            if low < high:
                total -= self._between(low, high)
        return total

    def _between(self, start: datetime, end: datetime) -> timedelta:
        year, table, index, at = self._locate(start, "start")
        last, final, high, until = self._locate(end, "end")
        total = -_worked(table, index, at)
        while year < last:
            total += table.worked[-1] if table.worked else 0
            year += 1
            table = self._year(year)
        return timedelta(microseconds=total + _worked(final, high, until))

    def due(self, start: datetime, length: timedelta, pauses: Sequence[Pause] = ()) -> datetime:
        """When a length of working time is used up, nothing counting during a pause."""
        if not pauses:
            return self.add(start, length)
        _refuse_negative(length)
        for begins, ends in merged(pauses):
            if ends <= start:
                continue
            if begins > start:
                before = self._between(start, begins)
                if before >= length and (length or self.next_open(start) < begins):
                    break
                length -= before
            start = ends
        return self.add(start, length)

    # --- working days -------------------------------------------------------------------------------------------------

    def add_days(self, start: datetime, count: int, kind: WorkingDays = "open") -> datetime:
        """The same time of day on the n-th working day after `start` (before it, for a negative count).

        The day's opening hours are not looked at. A time of day in a skipped hour is the instant of the change.
        """
        if count == 0:
            return _utc(start, "start")
        local = self.local(start)
        day = self.nth_day(local.date(), count, kind)
        wall = local.hour * 3600 + local.minute * 60 + local.second
        earlier = self.reached(day, wall) + timedelta(microseconds=local.microsecond)
        if local.fold:
            again = local.replace(year=day.year, month=day.month, day=day.day, fold=1)
            if again.astimezone(UTC).astimezone(again.tzinfo).fold:
                return again.astimezone(UTC)
        return earlier

    def end_of_day(self, instant: datetime) -> datetime:
        """The last closing of an instant's local date; on a date that does not open, the closing before it."""
        day = self.local(instant).date()
        spans = self._spans(day)
        return self.reached(day, spans[-1][1]) if spans else self.previous_open_end(self.reached(day, 0))

    def closing(self, day: date) -> datetime:
        """The last closing of a date; on a date that does not open, the closing before it."""
        return self._edge(day, closing=True)

    def opening(self, day: date) -> datetime:
        """The first opening of a date; on a date that does not open, the next."""
        return self._edge(day, closing=False)

    def nth_closing(self, day: date, count: int, kind: WorkingDays = "open") -> datetime:
        """The last closing of the n-th working day after a date. Raises BadInput outside 2000-2199."""
        return self._nth.get((day, count, kind, True)) or self._nth_edge(day, count, kind, closing=True)

    def nth_opening(self, day: date, count: int, kind: WorkingDays = "open") -> datetime:
        """The first opening of the n-th working day after a date, before it for a negative count. Raises BadInput."""
        return self._nth.get((day, count, kind, False)) or self._nth_edge(day, count, kind, closing=False)

    def _nth_edge(self, day: date, count: int, kind: WorkingDays, *, closing: bool) -> datetime:
        if len(self._nth) >= KEPT_EDGES:
            self._nth.clear()
        found = self._nth[day, count, kind, closing] = self._edge(self.nth_day(day, count, kind), closing=closing)
        return found

    def _edge(self, day: date, *, closing: bool) -> datetime:
        found = self._edges.get((day, closing))
        if found is None:
            if len(self._edges) >= KEPT_EDGES:
                self._edges.clear()
            begins = self.reached(day, 0)
            found = self._edges[day, closing] = self.end_of_day(begins) if closing else self.next_open(begins)
        return found

    def nth_day(self, day: date, count: int, kind: WorkingDays = "open") -> date:
        """The n-th working day after a date, or before it for a negative count. Raises BadInput outside 2000-2199."""
        if not count:
            return day
        year, here = day.year, day.toordinal()
        days = self._working_days(year, kind)
        index = (bisect_right(days, here) - 1 if count > 0 else bisect_left(days, here)) + count
        while index >= len(days):
            index -= len(days)
            year += 1
            days = self._working_days(year, kind)
        while index < 0:
            year -= 1
            days = self._working_days(year, kind)
            index += len(days)
        return date.fromordinal(days[index])

    def working_days(self, after: date, until: date, kind: WorkingDays = "open") -> int:
        """How many working days there are after a date, up to another and with it; none when it does not follow."""
        found = 0
        for year in range(after.year, until.year + 1):
            days = self._working_days(year, kind)
            found += bisect_right(days, until.toordinal()) - bisect_right(days, after.toordinal())
        return max(found, 0)

    def _working_days(self, year: int, kind: WorkingDays) -> list[int]:
        """The working days of a year, as ordinals: made once, as the opening segments are."""
        found = self._days.get((year, kind))
        if found is None:
            if not FIRST_YEAR <= year <= LAST_YEAR:
                raise BadInput(
                    "year", "la date cherchée sort du calendrier", field="amount", accepted=f"une date {_YEARS}"
                )
            first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
            found = [day for day in range(first, last + 1) if self.counts(date.fromordinal(day), kind)]
            if len(self._days) >= KEPT_YEARS:
                self._days.pop(next(iter(self._days)), None)
            self._days[year, kind] = found
        return found


_ORDINAL = date(1970, 1, 1).toordinal()


def _worked(table: _Year, index: int, at: int) -> int:
    return 0 if index < 0 else table.worked[index] - max(table.ends[index] - at, 0)


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None  # noqa: S101  (a ZoneInfo always says)
    return offset.days * _DAY + offset.seconds


def _utc(instant: datetime, name: str) -> datetime:
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise BadInput("zone", "cet instant ne dit pas son fuseau", field=name, accepted="un instant avec son décalage")
    if not FIRST_YEAR - 1 <= instant.year <= LAST_YEAR + 1:
        raise BadInput("year", f"l'année {instant.year} est hors du calendrier", field=name, accepted=_YEARS)
    return instant.astimezone(UTC)


def _refuse_negative(length: timedelta) -> None:
    if length < _ZERO:
        raise BadInput("negative", "une durée ne peut pas être négative", field="length", accepted="0 ou davantage")


def merged(pauses: Sequence[Pause]) -> list[Pause]:
    """Pauses in order, those that touch or overlap as one. Raises BadInput when one ends before it begins."""
    found: list[Pause] = []
    for number, (begins, ends) in enumerate(pauses):
        name = f"pauses[{number}]"
        low, high = _utc(begins, name), _utc(ends, name)
        if high < low:
            raise BadInput("order", "cette pause finit avant de commencer", field=name, accepted="début, puis fin")
        found.append((low, high))
    found.sort()
    result: list[Pause] = []
    for low, high in found:
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return result


# --- reading a calendar -----------------------------------------------------------------------------------------------


def calendar(data: Any, *, name: str = "calendar", holidays: Mapping[date, str] | None = None) -> Calendar:
    """The calendar that a mapping describes; `holidays` are those of its territory, by name. Raises BadInput.

    Its keys: `timezone` (IANA), `week` (mon…sun, a list of [from, to]), `holidays` (dates), `yearly_holidays` (MM-DD),
    `holiday_ranges` ([first, last]), `breaks` and `shifts` (a date, then a list of [from, to]).
    """
    _mapping(data, name)
    week = _mapping(data.get("week", {}), f"{name}.week")
    for key in week:
        if key not in WEEKDAYS:
            raise BadInput(
                "weekday", f"« {shown(key)} » n'est pas un jour", field=f"{name}.week", accepted=", ".join(WEEKDAYS)
            )
    days = tuple(_spans(week.get(day), f"{name}.week.{day}") for day in WEEKDAYS)
    _refuse_overlap_overnight(days, f"{name}.week")
    openings = _dated(data.get("shifts"), f"{name}.shifts")
    if not any(days) and not any(openings.values()):
        raise BadInput(
            "no_hours", "ce calendrier n'ouvre jamais", field=f"{name}.week", accepted="au moins un intervalle"
        )
    return Calendar(
        zone=zone_name(data.get("timezone"), f"{name}.timezone"),
        week=days,
        holidays={**(holidays or {}), **_holidays(data.get("holidays"), f"{name}.holidays")},
        yearly=dict(_yearly(data.get("yearly_holidays"), f"{name}.yearly_holidays")),
        ranges=tuple(_ranges(data.get("holiday_ranges"), f"{name}.holiday_ranges")),
        breaks=_dated(data.get("breaks"), f"{name}.breaks"),
        openings=openings,
    )


def zone_name(given: Any, name: str) -> str:
    """The name of a time zone that exists. Raises BadInput."""
    if isinstance(given, str) and given and given.isascii():
        try:
            return ZoneInfo(given).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise BadInput(
        "timezone", f"« {shown(given)} » n'est pas un fuseau", field=name, accepted="un nom IANA : Europe/Paris"
    )


def day_of(given: Any, name: str) -> date:
    """A date within the years of calendars. Raises BadInput."""
    if isinstance(given, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", given, re.ASCII):
        try:
            day = date.fromisoformat(given)
        except ValueError:
            pass
        else:
            if FIRST_YEAR <= day.year <= LAST_YEAR:
                return day
            raise BadInput("year", f"l'année {day.year} est hors du calendrier", field=name, accepted=_YEARS)
    raise BadInput("date", f"« {shown(given)} » n'est pas une date", field=name, accepted="AAAA-MM-JJ")


def _mapping(given: Any, name: str) -> Mapping[Any, Any]:
    if not isinstance(given, Mapping):
        raise BadInput("type", f"« {shown(given)} » n'a pas de champs", field=name, accepted="un objet")
    return given


def _list(given: Any, name: str) -> Sequence[Any]:
    if given is None:
        return ()
    if not isinstance(given, list | tuple):
        raise BadInput("type", f"« {shown(given)} » n'est pas une liste", field=name, accepted="une liste")
    return given


def _pairs(given: Any, name: str, what: str) -> Iterator[tuple[Any, Any, str]]:
    for number, item in enumerate(_list(given, name)):
        where = f"{name}[{number}]"
        if not isinstance(item, list | tuple) or len(item) != 2:  # noqa: PLR2004
            raise BadInput("type", f"« {shown(item)} » n'est pas un intervalle", field=where, accepted=what)
        yield item[0], item[1], where


def _spans(given: Any, name: str) -> tuple[Span, ...]:
    spans: list[Span] = []
    for begins, ends, where in _pairs(given, name, "[début, fin]"):
        low, high = _time(begins, where), _time(ends, where)
        if low >= _DAY:
            raise BadInput(
                "start", f"un intervalle ne commence pas à {begins}", field=where, accepted="un début avant 24:00"
            )
        if high <= low:
            raise BadInput("order", f"{begins}-{ends} : la fin ne suit pas le début", field=where, accepted=_TIMES)
        if high - low > _DAY:
            raise BadInput("length", f"{begins}-{ends} dure plus de 24 h", field=where, accepted="24 h au plus")
        spans.append((low, high))
    spans.sort()
    for (_, before), (after, _) in pairwise(spans):
        if after < before:
            raise BadInput(
                "overlap", "deux intervalles se chevauchent", field=name, accepted="des intervalles disjoints"
            )
    return tuple(spans)


def _time(given: Any, name: str) -> int:
    found = _TIME.fullmatch(given) if isinstance(given, str) else None
    seconds = (
        -1
        if found is None
        else sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))
    )
    if not 0 <= seconds <= 2 * _DAY:
        raise BadInput("time", f"« {shown(given)} » n'est pas une heure", field=name, accepted=_TIMES)
    return seconds


def _refuse_overlap_overnight(days: Sequence[tuple[Span, ...]], name: str) -> None:
    for index, spans in enumerate(days):
        after = days[(index + 1) % len(days)]
        if spans and after and spans[-1][1] - _DAY > after[0][0]:
            raise BadInput(
                "overlap",
                f"la nuit de {WEEKDAYS[index]} chevauche l'ouverture du lendemain",
                field=f"{name}.{WEEKDAYS[index]}",
                accepted="des intervalles disjoints",
            )


def _dated(given: Any, name: str) -> dict[date, tuple[Span, ...]]:
    items: Iterable[tuple[Any, Any]] = _mapping(given, name).items() if given is not None else ()
    return {day_of(day, name): _spans(spans, f"{name}.{day}") for day, spans in items}


def _holidays(given: Any, name: str) -> dict[date, str]:
    if isinstance(given, Mapping):
        return {day_of(day, name): str(title) for day, title in given.items()}
    return {day_of(day, f"{name}[{number}]"): "" for number, day in enumerate(_list(given, name))}


def _yearly(given: Any, name: str) -> Iterator[tuple[tuple[int, int], str]]:
    for number, day in enumerate(_list(given, name)):
        try:
            found = date.fromisoformat(f"2000-{day}")  # a leap year: 29 February may be a holiday
        except ValueError:
            raise BadInput(
                "date", f"« {shown(day)} » n'est pas un jour", field=f"{name}[{number}]", accepted="MM-JJ"
            ) from None
        yield (found.month, found.day), ""


def _ranges(given: Any, name: str) -> Iterator[tuple[date, date]]:
    for first, last, where in _pairs(given, name, "[premier jour, dernier jour]"):
        low, high = day_of(first, where), day_of(last, where)
        if high < low:
            raise BadInput(
                "order",
                f"{first} - {last} : la fin précède le début",
                field=where,
                accepted="premier jour, puis dernier",
            )
        yield low, high
