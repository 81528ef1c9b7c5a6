"""decide: what an act does to a dossier at an instant. Settle first, then the act; one move at most.

Every decision first turns what time has already made true (a due date passed, a hold at its term) into events in order
of their effective instants, whoever comes first. Only then comes the act: a person's, or the clock's own (`DUE`). What
the clock had merely intended lapses when it was overtaken, and the journal says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from states import clocks, legal
from states.court import HOLDER
from states.dossier import NO_CONTEXT, SYSTEM, Act, Actor, Clock, Context, Decision, Dossier, Hold, Json
from states.draft import Draft
from states.errors import Refused, Stale
from states.machine import Compiled

BREACH = "clock.breach"
REMIND = "clock.remind"
LAPSE = "clock.lapse"
REFUSE = "clock.refuse"
LATE = "hold.late"
IDLE = "clock.idle"
REFUSED_STEP = "refused"
SUBMIT = "submit"


def submit(
    compiled: Compiled,
    actor: Actor,
    *,
    args: Mapping[str, Any],
    data: Json,
    context: Context = NO_CONTEXT,
    at: datetime,
    effective: datetime | None = None,
    idem: str | None = None,
) -> Decision:
    """The decision that opens a dossier on the lowest rung of its ladder. `data` is what clocks and routes may read."""
    definition = compiled.definition
    if actor.role not in definition.submission.by:
        raise Refused(
            "role",
            f"le rôle {actor.role} ne peut pas déposer",
            field="role",
            accepted=", ".join(definition.submission.by),
        )
    draft = Draft(definition, Dossier(), context, at)
    draft.actor, draft.effective = actor, effective or at
    draft.state = definition.initial
    draft.put("data", data)
    desk = next((rung for rung in context.rungs if rung.unit is not None), None)
    if desk is not None:
        draft.facts["rung"], draft.facts["staffed"] = desk.index, desk.staffed
        draft.put("rung", desk.index)
        draft.put("unit", desk.unit)
        draft.put("units", (desk.unit,))
    for name in compiled.clock_starts.get(SUBMIT, ()):
        draft.start_clock(name, dated=True)
    draft.emit(SUBMIT, {"args": dict(args)}, idem=idem)
    draft.seal()
    return Decision(Dossier(), draft.dossier, draft.events)


def decide(
    compiled: Compiled,
    before: Dossier,
    act: Act,
    *,
    context: Context = NO_CONTEXT,
    at: datetime,
    clock_runs: bool = True,
) -> Decision:
    """What `act` does to `before` at `at`, which is never before the dossier's last event. Raises Refused, Stale.

    With `clock_runs=False` nothing is settled and nothing fires: the state of affairs without a clock.
    """
    draft = Draft(compiled.definition, before, context, at)
    if act.trigger is not None:
        _check_seen(before, act)
    if clock_runs:
        settle(draft, compiled)
    if act.trigger is None:
        if clock_runs:
            _due(draft, compiled)
    else:
        draft.actor, draft.args, draft.effective = act.actor, act.args, at
        _move(draft, compiled, act.trigger, {"trigger": act.trigger, "args": dict(act.args)}, idem=act.idem)
    if draft.events:
        draft.seal()
    return Decision(before, draft.dossier, draft.events)


def _check_seen(before: Dossier, act: Act) -> None:
    seen = act.args.get("seen")
    if seen is not None and seen != before.version:
        message = f"le dossier a changé depuis que vous l'avez ouvert (version {seen} vue, version {before.version} à présent)"
        raise Stale(message, seen=seen, version=before.version)


def settle(draft: Draft, compiled: Compiled) -> None:
    """Turn what time has already made true into events, in order of their effective instants. A no-op when repeated."""
    if draft.definition.states[draft.dossier.state].terminal:
        return
    draft.actor, draft.args = SYSTEM, {}
    while True:
        effective, name = min(_facts(draft), default=(draft.at, ""))
        if effective >= draft.at:
            break
        draft.effective = effective
        hold = draft.dossier.hold
        if name:
            _breach(draft, compiled, name)
        elif hold is not None and clocks.awaits_lateness(hold):
            _let_pass(draft, hold)
        else:
            key = f"hold:{len(draft.dossier.holds)}"
            _move(draft, compiled, compiled.hold_end, {"trigger": compiled.hold_end, "args": {}}, fired=key)
    draft.effective = draft.at


def _facts(draft: Draft) -> Iterator[tuple[datetime, str]]:
    """What becomes true without anybody: (the term of a hold, "") and (the due instant of a clock, its name)."""
    dossier = draft.dossier
    hold = dossier.hold
    if hold is not None:
        yield hold.until, ""
    for name, clock in dossier.clocks.items():
        if clock.end is not None or clocks.DUE_STEP in clock.done or name not in draft.definition.clocks:
            continue
        if hold is None or not clocks.pauses(hold, name):
            yield max(clock.due, clock.start), name


def _let_pass(draft: Draft, hold: Hold) -> None:
    """The holder has let pass the date that was set: from it on, the clocks that only lateness stops stand still."""
    late = replace(hold, late=hold.until, until=hold.since + draft.definition.longest_hold.delta)
    draft.put("holds", (*draft.dossier.holds[:-1], late))
    draft.rate_clocks()
    draft.emit(LATE, {"motive": hold.motive, "asked": hold.until.isoformat()}, fired=f"late:{len(draft.dossier.holds)}")


def _breach(draft: Draft, compiled: Compiled, name: str) -> None:
    """Record that a due instant has passed; its reminders not yet sent are overtaken, and what it starts begins."""
    rule, clock = draft.definition.clocks[name], draft.dossier.clocks[name]
    overtaken = [reminder.id for reminder in rule.reminders if reminder.id not in clock.done]
    key = _key(name, clock, clocks.DUE_STEP)
    draft.put_clock(name, clock._replace(done=(*clock.done, *overtaken, clocks.DUE_STEP)))
    record = _silence(draft, clock) if rule.due.record == SILENCE else rule.due.record
    command = {"clock": name, "cycle": clock.n, "due": clock.due.isoformat(), "record": record}
    for started in compiled.clock_starts.get(f"{name}.{clocks.DUE_STEP}", ()):
        draft.start_clock(started)
    if rule.by_law and clock.desk is not None:
        _of_a_date(draft, clock, record)
    draft.emit(BREACH, command, fired=key)
    for step in overtaken:
        _lapse(draft, name, clock, step)


SILENCE = "silence"
_IMPLIED = {"acceptance": "implied_acceptance", "rejection": "implied_rejection", "none": "missed"}


def _silence(draft: Draft, clock: Clock) -> str:
    """What the legal rule of a clock makes of silence; plainly missed when it makes nothing of it."""
    if clock.rule is None:
        return "missed"
    silence = draft.context.almanac.rules(clock.table).rule(clock.rule).silence
    return _IMPLIED.get(silence, silence)


def _of_a_date(draft: Draft, clock: Clock, record: str) -> None:
    """What is told of a date that ends at midnight waits for the service to open; a refusal by silence can be contested."""
    almanac = draft.context.almanac
    desk = almanac.desk(clock.desk or 0)
    draft.facts["opens"] = desk.hours.next_open(draft.at).isoformat()
    if record == _IMPLIED["rejection"]:
        table, day = almanac.rules(clock.table), desk.hours.local(clock.due).date()
        appeal = table.choose("recours", "contentieux", on=day, zone=desk.territory)
        until = legal.due(table.limit(appeal), day, holidays=desk.hours.holidays).due
        draft.facts["appeal_until"], draft.facts["appeal_basis"] = until.isoformat(), appeal.basis


def _lapse(draft: Draft, name: str, clock: Clock, step: str) -> None:
    draft.actor = SYSTEM
    draft.emit(LAPSE, {"clock": name, "cycle": clock.n, "step": step}, fired=_key(name, clock, step))


def _key(name: str, clock: Clock, step: str) -> str:
    return f"{name}:{clock.n}:{step}"


def _due(draft: Draft, compiled: Compiled) -> None:
    """What the clock does now: each reminder that has come, then one move at most; if nothing, it says it looked."""
    if draft.definition.states[draft.dossier.state].terminal:
        return
    woken = draft.dossier.wake_at is not None and draft.dossier.wake_at <= draft.at
    draft.actor, draft.args, draft.effective = SYSTEM, {}, draft.at
    every = clocks.steps(draft.definition, draft.dossier, draft.context.almanac)
    ready = sorted(step for step in every if step[0] < draft.at)
    _remind(draft, [(name, step) for _, name, step in ready if step not in (clocks.DUE_STEP, clocks.MOVE_STEP)])
    moves = [name for _, name, step in ready if step == clocks.MOVE_STEP]
    if moves:
        _fire(draft, compiled, moves[0], waiting=moves[1:])
    if woken and not draft.events:
        running = any(clock.end is None for clock in draft.dossier.clocks.values())
        draft.emit(IDLE, {"running": running}, fired=f"idle:{draft.dossier.seq}")


def _remind(draft: Draft, ready: list[tuple[str, str]]) -> None:
    """Send the latest reminder of each clock; those that it overtakes, after an outage, lapse."""
    latest = dict(ready)
    for name, step in ready:
        clock = draft.dossier.clocks[name]
        draft.mark(name, step)
        if latest[name] != step:
            _lapse(draft, name, clock, step)
            continue
        command = {"clock": name, "cycle": clock.n, "step": step, "due": clock.due.isoformat()}
        if clock.desk is not None:
            opens = draft.context.almanac.desk(clock.desk).hours.next_open(draft.at)
            if opens != draft.at:  # seen late, out of hours: it is told when the service opens
                draft.facts["opens"] = opens.isoformat()
        draft.emit(REMIND, command, fired=_key(name, clock, step))


def _wait(draft: Draft, name: str) -> None:
    """Another clock moves the dossier now: this one asks again later, if it still runs."""
    clock = draft.dossier.clocks[name]
    draft.put_clock(name, clock._replace(retry=draft.at + draft.definition.look_again.delta))


def _fire(draft: Draft, compiled: Compiled, name: str, *, waiting: list[str]) -> None:
    """Ask for the trigger of a clock, or for the other one when it is refused; a refusal of both is an event."""
    rule, clock = draft.definition.clocks[name], draft.dossier.clocks[name]
    draft.args = {} if rule.due.reason is None else {"reason": rule.due.reason}
    refusal: Refused | None = None
    for trigger in (rule.due.fire, rule.due.otherwise):
        if trigger is None:
            continue
        command = {"trigger": trigger, "args": dict(draft.args), "clock": name, "cycle": clock.n}
        try:
            _move(
                draft,
                compiled,
                trigger,
                command,
                fired=_key(name, clock, clocks.MOVE_STEP),
                by_clock=name,
                waiting=waiting,
            )
        except Refused as error:
            refusal = refusal or error
        else:
            return
    assert refusal is not None  # noqa: S101  (a move step exists only where `fire` is declared)
    first = REFUSED_STEP not in clock.done
    key = _key(name, clock, f"{REFUSED_STEP}:{'first' if first or clock.retry is None else clock.retry.isoformat()}")
    if first:
        draft.mark(name, REFUSED_STEP)
    for waits in (name, *waiting):
        _wait(draft, waits)
    command = {"clock": name, "cycle": clock.n, "trigger": rule.due.fire, "first": first}
    draft.facts.update(code=refusal.code, message=refusal.message)
    draft.emit(REFUSE, command, fired=key)


def _move(
    draft: Draft,
    compiled: Compiled,
    name: str,
    command: Json,
    *,
    fired: str | None = None,
    idem: str | None = None,
    by_clock: str | None = None,
    waiting: Sequence[str] = (),
) -> None:
    """Fire a trigger, turn the clocks that it turns, write its event, and let lapse what it overtook."""
    overtaken = _overtaken(draft, compiled, name, by_clock)
    compiled.fire(draft, name)
    hold = draft.dossier.hold
    if draft.dossier.closed_at is not None and hold is not None:
        draft.put("holds", (*draft.dossier.holds[:-1], replace(hold, end=draft.effective)))
        draft.rate_clocks()
    _turn(draft, compiled, name)
    if by_clock is not None and draft.dossier.clocks[by_clock].end is None:
        same = draft.dossier.clocks[by_clock]
        if fired == _key(by_clock, same, clocks.MOVE_STEP):
            draft.mark(by_clock, clocks.MOVE_STEP)
    for waits in waiting:
        if (waits, clocks.MOVE_STEP) not in {(clock_name, step) for clock_name, _, step in overtaken}:
            _wait(draft, waits)
    draft.emit(name, command, fired=fired, idem=idem)
    for clock_name, clock, step in overtaken:
        _lapse(draft, clock_name, clock, step)


def _overtaken(draft: Draft, compiled: Compiled, name: str, by_clock: str | None) -> list[tuple[str, Clock, str]]:
    """Steps whose instant has come, of clocks that this trigger ends, and that nobody has dealt with."""
    turned = {*compiled.clock_stops.get(name, ()), *compiled.clock_starts.get(name, ())} - {by_clock}
    if not turned:
        return []
    return [
        (clock, draft.dossier.clocks[clock], step)
        for instant, clock, step in sorted(
            clocks.steps(draft.definition, draft.dossier, draft.context.almanac, only=turned)
        )
        if instant < draft.at and step != clocks.DUE_STEP
    ]


def _turn(draft: Draft, compiled: Compiled, name: str) -> None:
    """Stop and start the clocks that a trigger stops and starts; a start while running is a new cycle, or its end when
    the clock is no longer one of this dossier's.
    """
    wanted = compiled.clock_starts.get(name, ())
    started = {clock_name for clock_name in wanted if draft.start_clock(clock_name)}
    foreign = [clock_name for clock_name in wanted if clock_name not in started and not draft.has_clock(clock_name)]
    for clock_name in (*compiled.clock_stops.get(name, ()), *foreign):
        clock = draft.dossier.clocks.get(clock_name)
        if clock is not None and clock.end is None and clock_name not in started:
            if clock_name not in foreign:
                _check_floor(draft, name, clock_name, clock)
            _stop(draft, clock_name, clock)
    if started and draft.dossier.hold is not None:
        draft.rate_clocks()


def _check_floor(draft: Draft, name: str, clock_name: str, clock: Clock) -> None:
    """Refuse to stop a clock before its floor. A holder who leaves is free to; the definition keeps the system from it."""
    rule = draft.definition.clocks[clock_name]
    leaves = draft.actor.role == HOLDER and draft.dossier.closed_at is not None
    if rule.floor is None or leaves or draft.actor == SYSTEM:
        return
    desk = None if clock.desk is None else draft.context.almanac.desk(clock.desk)
    earliest = clocks.later(rule.floor, clock.start, desk)
    if draft.effective < earliest:
        shown = earliest if desk is None else desk.hours.local(earliest)
        sentence = f"« {name} » n'est pas possible avant le {shown:%d/%m/%Y à %H:%M} : durée minimale de « {rule.label or clock_name} »"
        raise Refused("floor", sentence, field=name)


def _stop(draft: Draft, name: str, clock: Clock) -> None:
    rule, almanac = draft.definition.clocks[name], draft.context.almanac
    due = clocks.due_when_stopped(rule, name, clock, draft.dossier, draft.effective, almanac)
    draft.put_clock(name, clock._replace(due=due, end=draft.effective, retry=None))
