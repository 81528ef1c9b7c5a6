"""The values of the core: what a dossier is, what is asked of it, what happened to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from states.almanac import NO_ALMANAC, Almanac

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person, in a unit, in a role. Never None: the clock is SYSTEM."""

    person: int | None
    unit: int | None
    role: str


SYSTEM = Actor(None, None, "system")


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the ladder of a topic at a place; `unit` is None or `staffed` is False on a vacancy."""

    index: int
    unit: int | None
    staffed: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """Facts that the core may consult, looked up once per call by whoever calls it."""

    rungs: tuple[Rung, ...] = ()
    members: frozenset[int] = frozenset()
    almanac: Almanac = NO_ALMANAC


NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class Act:
    """What is asked: a trigger with its arguments, by an actor. `trigger=None` asks for whatever time has made due."""

    trigger: str | None
    actor: Actor
    args: Mapping[str, Any] = field(default_factory=dict)
    idem: str | None = None


DUE = Act(None, SYSTEM)


class Clock(NamedTuple):
    """One running or stopped cycle of a clock. Instants are aware UTC; `done` names the steps already fired.

    `desk` and `table` number the versions of the calendar and of the table of rules that it is reckoned with, `rule` names
    the legal rule that was found to hold when it started, `extended` what was added to it since.
    """

    n: int
    start: datetime
    due: datetime
    end: datetime | None = None
    done: tuple[str, ...] = ()
    retry: datetime | None = None
    desk: int | None = None
    table: int | None = None
    rule: str | None = None
    extended: tuple[str, ...] = ()

    @staticmethod
    def decode(value: Json) -> Clock:
        """A clock from its JSON form."""
        end, retry = value.get("end"), value.get("retry")
        return Clock(
            value["n"],
            datetime.fromisoformat(value["start"]),
            datetime.fromisoformat(value["due"]),
            datetime.fromisoformat(end) if end else None,
            tuple(value["done"]) if "done" in value else (),
            datetime.fromisoformat(retry) if retry else None,
            value.get("desk"),
            value.get("table"),
            value.get("rule"),
            tuple(value["extended"]) if "extended" in value else (),
        )

    def encode(self) -> Json:
        """Values ready for a JSON writer that knows datetimes; what is absent is left out, so that a row stays lean."""
        value: Json = {"n": self.n, "start": self.start, "due": self.due}
        if self.end is not None:
            value["end"] = self.end
        if self.done:
            value["done"] = self.done
        if self.retry is not None:
            value["retry"] = self.retry
        if self.desk is not None:
            value["desk"] = self.desk
        if self.rule is not None:
            value["rule"] = self.rule
        if self.table is not None:
            value["table"] = self.table
        if self.extended:
            value["extended"] = self.extended
        return value


@dataclass(frozen=True, slots=True)
class Hold:
    """A wait for someone outside: which clocks it touches and how is said when it begins, and kept.

    It ends by itself at `until`; when only lateness stops a clock, `late` is the date that the other side let pass.
    """

    motive: str
    since: datetime
    until: datetime
    touches: Mapping[str, str]
    end: datetime | None = None
    late: datetime | None = None

    @staticmethod
    def decode(value: Json) -> Hold:
        """A hold from its JSON form."""
        end, late = value.get("end"), value.get("late")
        return Hold(
            value["motive"],
            datetime.fromisoformat(value["since"]),
            datetime.fromisoformat(value["until"]),
            value["touches"],
            datetime.fromisoformat(end) if end else None,
            datetime.fromisoformat(late) if late else None,
        )

    def encode(self) -> Json:
        """Values ready for a JSON writer that knows datetimes."""
        value: Json = {
            "motive": self.motive,
            "since": self.since,
            "until": self.until,
            "touches": dict(self.touches),
        }
        if self.end is not None:
            value["end"] = self.end
        if self.late is not None:
            value["late"] = self.late
        return value


@dataclass(slots=True)
class Dossier:
    """A dossier as fold yields it and as its row holds it: nothing here is computed from today's code or calendar."""

    state: str = ""
    phase: str = ""
    seq: int = 0
    version: int = 0
    at: datetime | None = None
    unit: int | None = None
    rung: int | None = None
    assignee: int | None = None
    pinned: bool = False
    outcome: str | None = None
    units: tuple[int, ...] = ()
    clocks: dict[str, Clock] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    data: Json = field(default_factory=dict)
    closed_at: datetime | None = None
    due_at: datetime | None = None
    wake_at: datetime | None = None

    def copy(self) -> Dossier:
        """A copy that may be changed without touching this one."""
        return Dossier(
            self.state,
            self.phase,
            self.seq,
            self.version,
            self.at,
            self.unit,
            self.rung,
            self.assignee,
            self.pinned,
            self.outcome,
            self.units,
            dict(self.clocks),
            self.holds,
            self.data,
            self.closed_at,
            self.due_at,
            self.wake_at,
        )

    @property
    def hold(self) -> Hold | None:
        """The hold that is open, or None."""
        if self.holds and self.holds[-1].end is None:
            return self.holds[-1]
        return None


@dataclass(slots=True)
class Event:
    """What happened: command + facts consulted + effect. Only `effect` is read by fold.

    `at` is when it is recorded and never decreases in a dossier; `effective` is when it counts, never after `at`.
    `fired` names what the clock did (clock, cycle, step), at most once for a dossier; `idem` names what a person sent.
    """

    kind: str
    actor: Actor
    at: datetime
    effective: datetime
    command: Json
    facts: Json
    effect: Json
    fired: str | None = None
    idem: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the core decided for one dossier: the events to write, and the dossier that they fold to."""

    before: Dossier
    after: Dossier
    events: Sequence[Event]
