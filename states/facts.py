"""What a dossier contributes to every report: its promises, its waits, who had the ball; read from its journal alone.

A promise is one run of a clock, from its start to the event that stops it. Another cycle is another promise, but for a
clock whose date was extended or corrected: that is the same promise with another date. A promise is put to the account
of the unit, and the rung, that has the dossier when it ends; while it runs, of the one that has it now. Nothing here
depends on the instant of the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from states import clocks
from states.court import CLOSED, HOLDER, NOBODY, THIRD_PARTY, party_of
from states.decide import BREACH, REMIND, SUBMIT
from states.definition import Definition
from states.dossier import SYSTEM, Clock, Dossier, Hold, Json
from states.fold import patch

_NONE = timedelta(0)
Span = tuple[datetime, datetime]


class Kinds:
    """What the events of a definition mean to a report, by their kind; made once for each definition."""

    __slots__ = ("answers", "beside", "climbs", "families", "labels", "name", "rungs")

    def __init__(self, definition: Definition) -> None:
        self.name = f"{definition.id}@{definition.version}"
        self.beside = definition.purpose is not None
        self.families: Mapping[str, str] = {name: rule.family for name, rule in definition.clocks.items()}
        self.labels: Mapping[str, str] = {name: rule.label or name for name, rule in definition.clocks.items()}
        self.rungs = tuple(rung.rung for rung in definition.ladder)
        told = {name for name, rule in definition.fields.items() if rule.audience == HOLDER}
        closing = {name for name, state in definition.states.items() if state.terminal}
        self.climbs = frozenset(one.name for one in definition.triggers if "climb" in one.effects)
        self.answers = frozenset(
            one.name
            for one in definition.triggers
            if "open_hold" in one.effects or one.to in closing or told & {*one.needs, *one.optional}
        )
        """What reaches the holder in words, or asks something of them, when someone of an administration does it."""


@dataclass(frozen=True, slots=True)
class Line:
    """An event of a journal, with what its kind means under the definition that it was decided under."""

    seq: int
    at: datetime
    effective: datetime
    kind: str
    role: str
    command: Json
    facts: Json
    effect: Json
    kinds: Kinds


@dataclass(frozen=True, slots=True)
class Promise:
    """One run of a clock; `stopped` are the spans of it that did not count, `family` is commitment or legal."""

    clock: str
    family: str
    start: datetime
    due: datetime
    end: datetime | None
    unit: int | None
    rung: str | None
    stopped: tuple[Span, ...] = ()
    extended: tuple[str, ...] = ()

    def late(self, now: datetime) -> bool:
        """Whether it was not kept, or is not any more: at the due instant one is still in time."""
        return (now if self.end is None else self.end) > self.due

    def gross(self, now: datetime) -> timedelta:
        """How long it ran, in real time."""
        return max((now if self.end is None else self.end) - self.start, _NONE)

    def net(self, now: datetime) -> timedelta:
        """How long it ran, without what did not count."""
        until = now if self.end is None else self.end
        return self.gross(now) - within(self.stopped, self.start, until)


@dataclass(frozen=True, slots=True)
class Facts:
    """What one dossier contributes, at the event `seq` of its journal.

    `turns` are who had the ball since when, in order; the last one lasts. `triaged`, `answered`, `closed` are None as
    long as they have not come; `sorted_` says that there is a triage to wait for; `left` that the holder closed it.
    """

    seq: int
    at: datetime
    definition: str
    submitted: datetime
    topic: str | None
    commune: str | None
    unit: int | None
    rung: str | None
    phase: str
    data: Json
    outcome: str | None
    sorted_: bool
    triaged: datetime | None
    answered: datetime | None
    closed: datetime | None
    left: bool
    promises: tuple[Promise, ...]
    turns: tuple[tuple[datetime, str], ...]
    reminders: int = 0
    breaches: int = 0
    escalations: int = 0
    by_clock: int = 0
    vacant: tuple[int, ...] = ()
    reopened: int = 0
    path: tuple[str, ...] = ()
    """The rungs that it was on, in order."""
    climbs: tuple[tuple[datetime, str], ...] = ()
    """Each escalation: when it counts, and the rung that it came to."""
    beside: bool = False
    """Whether it is no dossier of a holder, but what a service is asked about one."""

    def held(self, until: datetime) -> timedelta:
        """How long the holder or a third party had the ball, up to an instant."""
        return sum((lasted for party, lasted in self.shares(until).items() if party in (HOLDER, THIRD_PARTY)), _NONE)

    def shares(self, until: datetime) -> dict[str, timedelta]:
        """How long each party had the ball up to an instant; the sum is the whole time that it was open."""
        found: dict[str, timedelta] = {}
        for place, (since, party) in enumerate(self.turns):
            ends = self.turns[place + 1][0] if place + 1 < len(self.turns) else until
            if party != CLOSED and min(ends, until) > since:
                found[party] = found.get(party, _NONE) + min(ends, until) - since
        return found

    @property
    def moves(self) -> list[str]:
        """« from>to »: from nowhere to its first rung, from each to the next, from the last to `=open`, `=resolved` or
        `=withdrawn`.
        """
        end = "open" if self.closed is None else "withdrawn" if self.left else "resolved"
        return [f"{one}>{other}" for one, other in pairwise(("", *self.path, f"={end}"))]

    @property
    def resolved(self) -> bool:
        """Whether an administration closed it."""
        return self.closed is not None and not self.left


def within(spans: Iterable[Span], since: datetime, until: datetime) -> timedelta:
    """How much of some spans, which do not overlap, lies between two instants."""
    return sum((max(min(ends, until) - max(begins, since), _NONE) for begins, ends in spans), _NONE)


def read(lines: Iterable[Line]) -> Facts:
    """The facts of a journal, from its first event on; at least one event."""
    draft: _Draft | None = None
    for line in lines:
        if draft is None:
            draft = _Draft(line)
        draft.take(line)
    if draft is None:
        message = "un journal a au moins un événement"
        raise ValueError(message)
    return draft.seal()


class _Draft:
    """The facts while a journal is being read."""

    def __init__(self, first: Line) -> None:
        self.dossier = Dossier()
        self.submitted = first.effective
        self.line = first
        self.sorted: bool | None = None
        self.triaged: datetime | None = None
        self.answered: datetime | None = None
        self.left = False
        self.rung: str | None = None
        self.path: list[str] = []
        self.climbs: list[tuple[datetime, str]] = []
        self.running: dict[str, tuple[Clock, str]] = {}
        self.promises: list[Promise] = []
        self.turns: list[tuple[datetime, str]] = [(first.effective, NOBODY)]
        self.reminders = self.breaches = self.escalations = self.by_clock = self.reopened = 0
        self.vacant: set[int] = set()

    def take(self, line: Line) -> None:
        """Count one event, and what it changes."""
        dossier, effect, self.line = self.dossier, line.effect, line
        unit, rung, was_closed = dossier.unit, self.rung, dossier.closed_at
        patch(dossier, effect)
        if "rung" in effect or "definition" in effect:
            rungs, at = line.kinds.rungs, dossier.rung
            self.rung = rungs[at] if at is not None and at < len(rungs) else None
            if self.rung is not None and self.path[-1:] != [self.rung]:
                self.path.append(self.rung)
        if self.sorted is None:
            self.sorted = dossier.phase == "submitted"
            unit, rung = dossier.unit, self.rung
        elif self.sorted and self.triaged is None and dossier.phase in ("triaged", "escalated"):
            self.triaged = line.effective
        by_administration = line.role not in (HOLDER, SYSTEM.role) and line.kind != SUBMIT
        if self.answered is None and by_administration and line.kind in line.kinds.answers:
            self.answered = line.effective
        if dossier.closed_at is not None and was_closed is None:
            self.left = line.role == HOLDER
        elif dossier.closed_at is None and was_closed is not None:
            self.reopened += 1
            self.left = False
        self._count(line)
        self._turn(line)
        for name, value in effect.get("clocks", {}).items():
            self._clock(name, Clock.decode(value), line, unit, rung)

    def _count(self, line: Line) -> None:
        self.reminders += line.kind == REMIND
        self.breaches += line.kind == BREACH
        if line.kind in line.kinds.climbs:
            self.escalations += 1
            self.by_clock += line.role == SYSTEM.role
            if self.rung is not None:
                self.climbs.append((line.effective, self.rung))
        self.vacant.update(line.facts.get("vacant", ()))

    def _turn(self, line: Line) -> None:
        since, party = self.turns[-1]
        now = party_of(self.dossier)
        if now != party:
            at = max(line.effective, since)
            if at == since:  # the party before had it for no time at all
                self.turns.pop()
                if self.turns and self.turns[-1][1] == now:
                    return
            self.turns.append((at, now))

    def _clock(self, name: str, clock: Clock, line: Line, unit: int | None, rung: str | None) -> None:
        family = line.kinds.families.get(name) or self.running.get(name, (None, "commitment"))[1]
        before = self.running.get(name)
        other = before is not None and before[0].n != clock.n
        if before is not None and other and before[0].end is None and not _dated_anew(line, before[0]):
            self._end(name, before[0]._replace(end=line.effective), before[1], unit, rung)
        ended = before is not None and before[0].n == clock.n and before[0].end is not None
        self.running[name] = (clock, family)
        if clock.end is not None and not ended:
            self._end(name, clock, family, unit, rung)

    def _end(self, name: str, clock: Clock, family: str, unit: int | None, rung: str | None) -> None:
        self.promises.append(_promise(name, clock, family, self.dossier.holds, unit, rung))

    def seal(self) -> Facts:
        """The facts as they stand; a clock that a closed dossier leaves running ends with it."""
        dossier, promises = self.dossier, list(self.promises)
        for name, (clock, family) in self.running.items():
            if clock.end is None:
                last = clock._replace(end=dossier.closed_at)
                promises.append(_promise(name, last, family, dossier.holds, dossier.unit, self.rung))
        topic, commune = dossier.data.get("topic"), dossier.data.get("commune")
        return Facts(
            self.line.seq,
            self.line.at,
            self.line.kinds.name,
            self.submitted,
            topic if isinstance(topic, str) else None,
            commune if isinstance(commune, str) else None,
            dossier.unit,
            self.rung,
            dossier.phase,
            {name: value for name, value in dossier.data.items() if not isinstance(value, dict)},
            dossier.outcome,
            bool(self.sorted),
            self.triaged,
            self.answered,
            dossier.closed_at,
            self.left,
            tuple(promises),
            tuple(self.turns),
            self.reminders,
            self.breaches,
            self.escalations,
            self.by_clock,
            tuple(sorted(self.vacant)),
            self.reopened,
            tuple(self.path),
            tuple(self.climbs),
            self.line.kinds.beside,
        )


def _dated_anew(line: Line, before: Clock) -> bool:
    """Whether a new cycle is the same promise with another date: an extension, or a start that was corrected."""
    was: Any = line.facts.get("was")
    return isinstance(was, Mapping) and was.get("cycle") == before.n


def _promise(
    name: str, clock: Clock, family: str, holds: Iterable[Hold], unit: int | None, rung: str | None
) -> Promise:
    ran = clocks.run(name, clock, [hold for hold in holds if clock.end is None or hold.since < clock.end])
    stopped = [(clock.start, ran.start)] if ran.start > clock.start else []
    return Promise(name, family, clock.start, clock.due, clock.end, unit, rung, (*stopped, *ran.pauses), clock.extended)
