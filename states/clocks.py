"""What a clock says at an instant: when it is due, which steps remain, when to look next. Pure functions of values.

A step is a reminder, `due` (the due date has passed) or `move` (the clock asks for its trigger). Everything fires
strictly after its instant: at the due instant a person is still in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from states.definition import ClockRule, Definition, Elapsed, Reminder
from states.dossier import Clock, Dossier, Hold

STRICTLY_AFTER = timedelta(microseconds=1)
DUE_STEP = "due"
MOVE_STEP = "move"
_LAST = datetime.max.replace(tzinfo=UTC)


def begin(rule: ClockRule, *, n: int, start: datetime, fields: dict[str, str]) -> Clock:
    """Cycle `n` of a clock that starts at `start`; `fields` are those of the dossier, in their JSON form."""
    if isinstance(rule.length, Elapsed):
        return Clock(n, start, start + rule.length.delta)
    return Clock(n, start, datetime.fromisoformat(fields[rule.length.field]))


def due(rule: ClockRule, name: str, clock: Clock, holds: Sequence[Hold], fields: dict[str, str]) -> datetime:
    """The due instant of a running clock, derived from its start and the ledger of holds, never from a counter.

    A hold still open counts up to its term: the date shown is the latest that this hold can make it.
    """
    base = begin(rule, n=clock.n, start=clock.start, fields=fields).due
    return base + sum((_overlap(hold, clock.start) for hold in holds if pauses(hold, name)), timedelta(0))


def due_when_stopped(rule: ClockRule, name: str, clock: Clock, dossier: Dossier, at: datetime) -> datetime:
    """The due instant that a clock stopped at `at` is left with: a hold still open counts up to then only."""
    hold = dossier.hold
    if hold is None or DUE_STEP in clock.done:
        return clock.due
    return due(rule, name, clock, (*dossier.holds[:-1], replace(hold, end=at)), dossier.data)


def pauses(hold: Hold, name: str) -> bool:
    """Whether a hold stops this clock, as was said when it began."""
    return hold.touches.get(name) == "pause"


def _overlap(hold: Hold, start: datetime) -> timedelta:
    end = hold.until if hold.end is None else hold.end
    return max(end - max(hold.since, start), timedelta(0))


def paused(dossier: Dossier, name: str) -> bool:
    """Whether an open hold stops this clock now."""
    hold = dossier.hold
    return hold is not None and pauses(hold, name)


def reminder_at(reminder: Reminder, name: str, clock: Clock, holds: Sequence[Hold]) -> datetime:
    """The instant of a reminder: a share of the time that counts, or before the due date, or after the start."""
    if reminder.before is not None:
        return clock.due - reminder.before.delta
    ledger = [hold for hold in holds if pauses(hold, name)]
    if reminder.after is not None:
        consumed = reminder.after.delta
    else:
        share = reminder.share
        assert share is not None  # noqa: S101  (the schema demands exactly one of the three)
        held = sum((_overlap(hold, clock.start) for hold in ledger), timedelta(0))
        consumed = (clock.due - clock.start - held) * share.numerator / share.denominator
    instant = clock.start + consumed
    for hold in ledger:
        if hold.since < instant:
            instant += _overlap(hold, clock.start)
    return instant


def move_at(rule: ClockRule, name: str, clock: Clock, holds: Sequence[Hold]) -> datetime:
    """When the clock may ask for its trigger: once due, and after what a hold or a refusal makes it wait for."""
    instant = max(clock.due, clock.start)
    if rule.grace is not None:
        for hold in holds:
            if hold.end is not None and hold.end > clock.start and pauses(hold, name):
                instant = max(instant, hold.end + rule.grace.delta)
    return instant if clock.retry is None else max(instant, clock.retry)


def steps(definition: Definition, dossier: Dossier) -> Iterator[tuple[datetime, str, str]]:
    """Every (instant, clock, step) that a dossier still has before it, holds as they stand; clocks on pause have none."""
    for name, clock in dossier.clocks.items():
        if clock.end is not None or paused(dossier, name):
            continue
        rule = definition.clocks.get(name)
        if rule is None:
            continue
        done = clock.done
        if DUE_STEP not in done:
            yield max(clock.due, clock.start), name, DUE_STEP
            for reminder in rule.reminders:
                if reminder.id not in done:
                    yield max(reminder_at(reminder, name, clock, dossier.holds), clock.start), name, reminder.id
        if rule.due.fire is not None and MOVE_STEP not in done:
            yield move_at(rule, name, clock, dossier.holds), name, MOVE_STEP


def wake(definition: Definition, dossier: Dossier, at: datetime) -> datetime | None:
    """The first instant after `at` at which the clock has something to do; None once the dossier is closed.

    A dossier that no clock looks at is looked at all the same after `idle`: none is forgotten.
    """
    if definition.states[dossier.state].terminal:
        return None
    hold = dossier.hold
    instants = [instant for instant, _, _ in steps(definition, dossier)]
    if hold is not None:
        instants.append(hold.until)
    nearest = max(min(instants) if instants else at + definition.idle.delta, at)
    return nearest + STRICTLY_AFTER if nearest < _LAST else _LAST


def due_at(dossier: Dossier) -> datetime | None:
    """The nearest due instant of the running clocks, passed or not; None when none runs."""
    return min((clock.due for clock in dossier.clocks.values() if clock.end is None), default=None)
