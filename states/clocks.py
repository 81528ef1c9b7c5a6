"""What a clock says at an instant: when it is due, which steps remain, when to look next. Pure functions of values.

A step is a reminder, `due` (the due date has passed) or `move` (the clock asks for its trigger). Everything fires
strictly after its instant: at the due instant a person is still in time. A clock that counts days is due at the end of
a day (its last microsecond for a legal limit, the closing of the service for a commitment), and its reminders belong to
the opening of theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from states import legal
from states.almanac import NO_ALMANAC, Almanac, Desk
from states.calendar import Calendar, Pause, WorkingDays
from states.definition import ClockRule, Definition, Elapsed, GivenDays, Law, Reminder, UntilField, Working
from states.dossier import Clock, Dossier, Hold
from states.errors import BadInput

STRICTLY_AFTER = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)
DUE_STEP = "due"
MOVE_STEP = "move"
_LAST = datetime.max.replace(tzinfo=UTC)
_NONE = timedelta(0)
_HOW: Mapping[str, legal.Effect] = {"pause": "pause", "restart": "restart"}


class Run(NamedTuple):
    """What a clock is reckoned from: its start, or where a hold made it start again, and what does not count since."""

    start: datetime
    pauses: tuple[Pause, ...] = ()

    @property
    def held(self) -> timedelta:
        """How long it was stopped in all."""
        return sum((ends - begins for begins, ends in self.pauses), _NONE)


# --- start ------------------------------------------------------------------------------------------------------------


def begin(
    rule: ClockRule,
    *,
    n: int,
    start: datetime,
    fields: Mapping[str, Any],
    almanac: Almanac = NO_ALMANAC,
    unit: int | None = None,
    dated: bool = False,
) -> Clock:
    """Cycle `n` of a clock that starts at `start`; when `dated`, at the date that its declaration reads in a field.

    `fields` are those of the dossier, in their JSON form; `unit` holds it. Raises BadInput: no calendar, no legal rule for
    this case, a start to come, a date outside 2000-2199.
    """
    desk = almanac.desk_of(unit, rule.calendar) if rule.timed else None
    begun = _dated(rule, start, fields, almanac.desk(desk).hours) if dated and desk is not None else start
    clock = placed(rule, Clock(n, begun, begun, desk=desk), fields, almanac, unit)
    return clock._replace(due=due(rule, "", clock, (), fields, almanac))


def placed(rule: ClockRule, clock: Clock, fields: Mapping[str, Any], almanac: Almanac, unit: int | None) -> Clock:
    """A clock with the calendar, the table and the legal rule that it wants and lacks, as they stand now."""
    if not rule.timed:
        return clock
    desk = almanac.desk_of(unit, rule.calendar) if clock.desk is None else clock.desk
    length = rule.length
    if not isinstance(length, Law) or clock.table is not None:
        return clock._replace(desk=desk)
    chosen, place = None, almanac.desk(desk)
    if length.procedure is not None:
        chosen = almanac.rules(almanac.table).choose(
            length.procedure,
            length.clock or "",
            on=place.hours.local(clock.start).date(),
            applicant=_word(fields.get("applicant")),
            zone=place.territory,
            attributes={name: _word(value) or "" for name, value in fields.items()},
        )
    return clock._replace(desk=desk, table=almanac.table, rule=None if chosen is None else chosen.id)


def concerns(rule: ClockRule, fields: Mapping[str, Any]) -> bool:
    """Whether this clock is one of a dossier with these fields."""
    if isinstance(rule.length, GivenDays) and fields.get(rule.length.given_days) is None:
        return False
    return rule.only is None or all(_word(fields.get(name)) in accepted for name, accepted in rule.only.items())


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _dated(rule: ClockRule, start: datetime, fields: Mapping[str, Any], hours: Calendar) -> datetime:
    name = rule.start.from_
    given = None if name is None else fields.get(name)
    if name is None or given is None:
        return start
    found = (
        hours.reached(date.fromisoformat(given), 0)
        if len(given) == len("2026-01-01")
        else datetime.fromisoformat(given)
    )
    if found > start:
        raise BadInput(
            "future", "cette date est à venir", field=name, accepted=f"au plus tard le {hours.local(start):%d/%m/%Y}"
        )
    return found


# --- due --------------------------------------------------------------------------------------------------------------


def run(name: str, clock: Clock, holds: Sequence[Hold]) -> Run:
    """What the ledger of holds makes of a clock: derived from its instants, never from a counter.

    A hold still open counts up to its term: the date shown is the latest that this hold can make it.
    """
    if not holds:
        return Run(clock.start)
    start, pauses = clock.start, list[Pause]()
    for hold in holds:
        how = hold.touches.get(name)
        begins: datetime | None = hold.since
        ends = hold.until if hold.end is None else hold.end
        if how == "restart" and ends > start:
            start, pauses = ends, []
        if how == "late_only":
            begins = hold.late
        elif how != "pause":
            continue
        if begins is not None and ends > (begins := max(begins, start)):
            pauses.append((begins, ends))
    return Run(start, tuple(pauses))


def due(
    rule: ClockRule,
    name: str,
    clock: Clock,
    holds: Sequence[Hold],
    fields: Mapping[str, Any],
    almanac: Almanac = NO_ALMANAC,
) -> datetime:
    """The due instant of a running clock, derived from its start and the ledger of holds. Raises BadInput."""
    length = length_of(rule, fields)
    if isinstance(length, Law):
        hours, day = _desk(clock, almanac).hours, limit(rule, name, clock, holds, almanac).due
        return hours.closing(day) if length.at == "closing" else end_of_day(hours, day)
    ran = run(name, clock, holds)
    if isinstance(length, UntilField):
        return datetime.fromisoformat(fields[length.field]) + ran.held
    if isinstance(length, Elapsed):
        return ran.start + length.delta + sum((each.delta for each in _added(rule, clock)), _NONE) + ran.held
    hours = _desk(clock, almanac).hours
    if length.working_days is None:
        return hours.due(ran.start, length.delta + sum((each.delta for each in _added(rule, clock)), _NONE), ran.pauses)
    count, kind = days_of(rule, clock, fields), length.days or "open"
    if ran.pauses:
        count += days_held(hours, ran, kind)
    if length.at == "same_time":
        return hours.add_days(ran.start, count, kind)
    return hours.nth_closing(hours.local(ran.start).date(), count, kind)


def length_of(rule: ClockRule, fields: Mapping[str, Any]) -> Elapsed | Working | Law | UntilField:
    """How long a clock is for a dossier with these fields."""
    length = rule.length
    return _days_given(int(fields[length.given_days])) if isinstance(length, GivenDays) else length


@cache
def _days_given(count: int) -> Working:
    return Working(working_days=count)


def days_of(rule: ClockRule, clock: Clock, fields: Mapping[str, Any]) -> int:
    """How many working days a clock that counts them has, what was added to it included."""
    length = length_of(rule, fields)
    assert isinstance(length, Working)  # noqa: S101  (asked of such clocks only)
    own = length.working_days or 0
    if not clock.extended:
        return own
    return own + sum(each.working_days or 0 for each in _added(rule, clock) if isinstance(each, Working))


def days_held(hours: Calendar, ran: Run, kind: WorkingDays) -> int:
    """How many working days were stopped: those after the day on which a hold begins, up to the day on which it ends."""
    return sum(
        hours.working_days(hours.local(begins).date(), hours.local(ends).date(), kind) for begins, ends in ran.pauses
    )


def limit(rule: ClockRule, name: str, clock: Clock, holds: Sequence[Hold], almanac: Almanac) -> legal.Result:
    """The date of a legal limit, and the steps that lead there. Raises BadInput."""
    assert isinstance(rule.length, Law)  # noqa: S101  (asked of such clocks only)
    desk, table = _desk(clock, almanac), almanac.rules(clock.table)
    hours, months, days = desk.hours, 0, 0
    if clock.rule is not None:
        found = table.rule(clock.rule)
        bare = table.limit(found)
        months, days, _ = table.extended(found, clock.extended)
    else:
        reckoning = table.reckoning(rule.length.reckoning or "")
        bare = reckoning.limit(months=rule.length.months or 0, days=rule.length.days or 0)
    start = hours.local(clock.start).date()
    told, late = [], 0
    for hold in holds:
        how, ends = hold.touches.get(name, ""), hold.until if hold.end is None else hold.end
        if ends <= clock.start:
            continue
        if how in _HOW:
            opened = max(hours.local(hold.since).date(), start)
            told.append(legal.Hold(opened, hours.local(ends).date(), how))
        elif how == "late_only" and hold.late is not None:
            late += (hours.local(ends).date() - hours.local(hold.late).date()).days
    return legal.due(
        replace(bare, holds=_HOW, hold_within=None),
        start,
        holidays=hours.holidays,
        extension_months=months,
        extension_days=days,
        not_counted=late,
        holds=told,
    )


def end_of_day(hours: Calendar, day: date) -> datetime:
    """The last microsecond of a date on the clocks of the service: until then one is in time, and the date reads right."""
    return hours.reached(day + ONE_DAY, 0) - STRICTLY_AFTER


def _added(rule: ClockRule, clock: Clock) -> Iterator[Elapsed | Working]:
    for name in clock.extended:
        found = (rule.extensions or {}).get(name)
        if found is not None:
            yield found


def _desk(clock: Clock, almanac: Almanac) -> Desk:
    if clock.desk is None:
        raise BadInput("calendar", "ce délai n'a pas de calendrier : son départ est à corriger", field="calendar")
    return almanac.desk(clock.desk)


def due_when_stopped(
    rule: ClockRule, name: str, clock: Clock, dossier: Dossier, at: datetime, almanac: Almanac = NO_ALMANAC
) -> datetime:
    """The due instant that a clock stopped at `at` is left with: a hold still open counts up to then only."""
    hold = dossier.hold
    if hold is None or DUE_STEP in clock.done:
        return clock.due
    return due(rule, name, clock, (*dossier.holds[:-1], replace(hold, end=at)), dossier.data, almanac)


def pauses(hold: Hold, name: str) -> bool:
    """Whether a hold stops this clock, as was said when it began; one that only lateness stops, once there is some."""
    how = hold.touches.get(name)
    return how in ("pause", "restart") or (how == "late_only" and hold.late is not None)


def awaits_lateness(hold: Hold) -> bool:
    """Whether the term of a hold is the date set for the holder, past which alone a clock stops: it then goes on."""
    return hold.late is None and "late_only" in hold.touches.values()


def paused(dossier: Dossier, name: str) -> bool:
    """Whether an open hold stops this clock now."""
    hold = dossier.hold
    return hold is not None and pauses(hold, name)


# --- lengths from an instant ------------------------------------------------------------------------------------------


def later(span: Elapsed | Working, instant: datetime, desk: Desk | None) -> datetime:
    """An instant so much later: of working days, the closing of the last. Raises BadInput without a calendar."""
    if isinstance(span, Elapsed):
        return instant + span.delta
    hours = _hours(desk)
    if span.working_days is None:
        return hours.add(instant, span.delta)
    if span.at == "same_time":
        return hours.add_days(instant, span.working_days, span.days or "open")
    return hours.nth_closing(hours.local(instant).date(), span.working_days, span.days or "open")


def _hours(desk: Desk | None) -> Calendar:
    if desk is None:
        raise BadInput("calendar", "ce délai n'a pas de calendrier", field="calendar")
    return desk.hours


# --- steps ------------------------------------------------------------------------------------------------------------


def reminder_at(
    reminder: Reminder,
    rule: ClockRule,
    name: str,
    clock: Clock,
    holds: Sequence[Hold],
    fields: Mapping[str, Any],
    almanac: Almanac = NO_ALMANAC,
) -> datetime:
    """The instant of a reminder: a share of the time that counts, or before the due date, or after the start."""
    desk = None if clock.desk is None else almanac.desk(clock.desk)
    if reminder.before is not None:
        return _before(reminder.before, rule, clock, desk)
    ran = run(name, clock, holds)
    length = length_of(rule, fields)
    if reminder.after is not None:
        return _after(reminder.after, rule, ran, desk)
    share = reminder.share
    assert share is not None  # noqa: S101  (the schema demands exactly one of the three)
    if isinstance(length, Working):
        hours = _hours(desk)
        if length.working_days is None:
            total = hours.between(ran.start, clock.due, ran.pauses)
            return hours.due(ran.start, total * share.numerator / share.denominator, ran.pauses)
        count = -(-days_of(rule, clock, fields) * share.numerator // share.denominator)  # rounded up
        return _day_after(hours, ran, count, length.days or "open")
    consumed = (clock.due - ran.start - ran.held) * share.numerator / share.denominator
    instant = _put_off(ran, consumed)
    return instant if not rule.by_days else _day_opening(desk, instant)


def _day_opening(desk: Desk | None, instant: datetime) -> datetime:
    """The opening of the day of an instant, on the clocks of the service."""
    hours = _hours(desk)
    return hours.opening(hours.local(instant).date())


def _before(span: Elapsed | Working, rule: ClockRule, clock: Clock, desk: Desk | None) -> datetime:
    if isinstance(span, Working):
        hours = _hours(desk)
        if span.working_days is None:
            return hours.subtract(clock.due, span.delta)
        day = hours.local(clock.due).date()
        return hours.nth_opening(day, -span.working_days, span.days or "open")
    instant = clock.due - span.delta
    return instant if not rule.by_days else _day_opening(desk, instant)


def _after(span: Elapsed | Working, rule: ClockRule, ran: Run, desk: Desk | None) -> datetime:
    if isinstance(span, Working):
        hours = _hours(desk)
        if span.working_days is None:
            return hours.due(ran.start, span.delta, ran.pauses)
        return _day_after(hours, ran, span.working_days, span.days or "open")
    instant = _put_off(ran, span.delta)
    return instant if not rule.by_days else _day_opening(desk, instant)


def _day_after(hours: Calendar, ran: Run, count: int, kind: WorkingDays) -> datetime:
    """The opening of the n-th working day that counted since the start."""
    first = hours.local(ran.start).date()
    if not ran.pauses:
        return hours.nth_opening(first, count, kind)
    day = hours.nth_day(first, count, kind)
    done: list[Pause] = []
    for pause in ran.pauses:
        if hours.local(pause[0]).date() < day:
            done.append(pause)
            day = hours.nth_day(first, count + days_held(hours, Run(ran.start, tuple(done)), kind), kind)
    return hours.opening(day)


def _put_off(ran: Run, consumed: timedelta) -> datetime:
    instant = ran.start + consumed
    for begins, ends in ran.pauses:
        if begins < instant:
            instant += ends - begins
    return instant


def move_at(rule: ClockRule, name: str, clock: Clock, holds: Sequence[Hold], almanac: Almanac = NO_ALMANAC) -> datetime:
    """When the clock may ask for its trigger: once due, and after what a hold or a refusal makes it wait for."""
    instant = max(clock.due, clock.start)
    if rule.grace is not None:
        desk = None if clock.desk is None else almanac.desk(clock.desk)
        for hold in holds:
            if hold.end is not None and hold.end > clock.start and pauses(hold, name):
                instant = max(instant, later(rule.grace, hold.end, desk))
    return instant if clock.retry is None else max(instant, clock.retry)


def steps(
    definition: Definition, dossier: Dossier, almanac: Almanac = NO_ALMANAC, only: Collection[str] | None = None
) -> Iterator[tuple[datetime, str, str]]:
    """Every (instant, clock, step) that a dossier still has before it, holds as they stand; clocks on pause have none.

    `only` names the clocks to look at, when not all are wanted.
    """
    hold = dossier.hold
    for name, clock in dossier.clocks.items():
        if clock.end is not None or (only is not None and name not in only):
            continue
        rule = definition.clocks.get(name)
        if rule is None or (hold is not None and pauses(hold, name)):
            continue
        done = clock.done
        if DUE_STEP not in done:
            yield max(clock.due, clock.start), name, DUE_STEP
            for reminder in rule.reminders:
                if reminder.id not in done:
                    at = reminder_at(reminder, rule, name, clock, dossier.holds, dossier.data, almanac)
                    yield max(at, clock.start), name, reminder.id
        if rule.due.fire is not None and MOVE_STEP not in done:
            yield move_at(rule, name, clock, dossier.holds, almanac), name, MOVE_STEP


def wake(definition: Definition, dossier: Dossier, at: datetime, almanac: Almanac = NO_ALMANAC) -> datetime | None:
    """The first instant after `at` at which the clock has something to do; None once the dossier is closed.

    A dossier that no clock looks at is looked at all the same after `idle`: none is forgotten.
    """
    if definition.states[dossier.state].terminal:
        return None
    hold = dossier.hold
    instants = [instant for instant, _, _ in steps(definition, dossier, almanac)]
    if hold is not None:
        instants.append(hold.until)
    nearest = max(min(instants) if instants else at + definition.idle.delta, at)
    return nearest + STRICTLY_AFTER if nearest < _LAST else _LAST


def next_due(definition: Definition, dossier: Dossier) -> str | None:
    """The running clock whose due date comes first, passed or not; None when none runs, or only what the system alone meets."""
    alone = definition.met_by_system
    running = [(clock.due, name) for name, clock in dossier.clocks.items() if clock.end is None and name not in alone]
    return min(running)[1] if running else None
