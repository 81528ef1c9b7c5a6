"""Why a clock of a dossier is due when it is: the steps, from its rule and its start to its date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from states import clocks, explanation, legal
from states.almanac import Almanac, Desk
from states.clocks import DUE_STEP, Run
from states.definition import ClockRule, Elapsed, Law, UntilField, Working
from states.dossier import Clock, Dossier
from states.explanation import Step


def why(rule: ClockRule, name: str, clock: Clock, dossier: Dossier, almanac: Almanac) -> list[Step]:
    """The derivation of a due date. Raises BadInput when what it was reckoned with is not there."""
    desk = None if clock.desk is None else almanac.desk(clock.desk)
    steps = [Step("clock", {"label": rule.label or name, "family": rule.family})]
    if desk is not None:
        steps.append(Step("calendar", {"code": desk.code, "zone": desk.hours.zone}))
    if rule.basis:
        steps.append(Step("basis", {"basis": rule.basis}))
    steps += _reckoned(rule, name, clock, dossier, almanac, desk)
    if clock.end is not None:
        steps.append(Step("stopped", {"at": _local(clock.end, desk)}))
    elif DUE_STEP in clock.done:
        steps.append(Step("missed", {"at": _local(clock.due, desk)}))
    elif clocks.paused(dossier, name) and dossier.hold is not None:
        steps.append(Step("paused", {"until": _local(dossier.hold.until, desk)}))
    return steps


def _reckoned(
    rule: ClockRule, name: str, clock: Clock, dossier: Dossier, almanac: Almanac, desk: Desk | None
) -> Iterator[Step]:
    length = clocks.length_of(rule, dossier.data)
    if isinstance(length, Law):
        yield from _legal(rule, name, clock, dossier, almanac)
        return
    ran = clocks.run(name, clock, dossier.holds)
    for added in clock.extended:
        yield Step("lengthened", {"name": added})
    if isinstance(length, Working) and desk is not None:
        if length.working_days is None:
            yield from explanation.of_working_time(desk.hours, ran.start, clock.due, ran.pauses)
        else:
            yield from _days(length, clocks.days_of(rule, clock, dossier.data), clock, ran, desk)
        return
    yield Step("start", {"at": _local(ran.start, desk), "zone": "UTC" if desk is None else desk.hours.zone})
    yield from _pauses(ran, desk)
    if isinstance(length, UntilField):
        yield Step("given", {"field": length.field})
    elif isinstance(length, Elapsed):
        yield Step("elapsed_length", {"length": length.delta})
    yield Step("due", {"at": _local(clock.due, desk), "closing": False})


def _days(length: Working, count: int, clock: Clock, ran: Run, desk: Desk) -> Iterator[Step]:
    hours, kind = desk.hours, length.days or "open"
    yield Step("start_day", {"at": hours.local(ran.start), "zone": hours.zone})
    held = clocks.days_held(hours, ran, kind)
    yield from _pauses(ran, desk)
    if held:
        yield Step("held_days", {"count": held})
    due = hours.local(clock.due)
    counted = explanation.of_working_days(hours, ran.start, clock.due, count + held, kind)
    yield from (step for step in counted if step.code in ("skipped", "more_days"))
    yield Step("working_days", {"count": count, "kind": kind, "to": due.date(), "extension": 0})
    yield Step("due", {"at": due, "closing": length.at != "same_time"})


def _legal(rule: ClockRule, name: str, clock: Clock, dossier: Dossier, almanac: Almanac) -> Iterator[Step]:
    assert isinstance(rule.length, Law)  # noqa: S101  (asked of such clocks only)
    table, result = almanac.rules(clock.table), clocks.limit(rule, name, clock, dossier.holds, almanac)
    if clock.rule is not None:
        found = table.rule(clock.rule)
        yield from legal.explained(table, found, result, table.extended(found, clock.extended)[2])
    else:
        reckoning = table.reckoning(rule.length.reckoning or "")
        yield from result.steps
        yield Step("reckoning", {"title": reckoning.title, "basis": reckoning.basis})
    if rule.length.at == "closing" and clock.desk is not None:
        yield Step("due", {"at": almanac.desk(clock.desk).hours.local(clock.due), "closing": True})


def _pauses(ran: Run, desk: Desk | None) -> Iterator[Step]:
    for begins, ends in ran.pauses:
        yield Step("pause", {"from": _local(begins, desk), "to": _local(ends, desk)})


def _local(instant: datetime, desk: Desk | None) -> datetime:
    return instant if desk is None else desk.hours.local(instant)
