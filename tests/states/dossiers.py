"""Dossiers, rungs and people for the tests of the pure core, built by the core's own verbs."""

import copy
import functools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from config import yamltext
from states.decide import decide, submit
from states.definition import parse
from states.dossier import DUE, Act, Actor, Context, Decision, Dossier, Event, Rung
from states.fold import fold
from states.machine import Compiled
from workflow.journal import dumps

WORKFLOWS = Path(__file__).parents[2] / "config" / "workflows"
ELAPSED = Path(__file__).parents[1] / "definitions" / "elapsed.v1.yaml"
START = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SECOND, INSTANT = timedelta(seconds=1), timedelta(microseconds=1)

TEXT = {"text": "0b0c0a0e-0000-4000-8000-000000000000", "digest": "00"}
DATA = {"topic": "eau", "commune": "64300"}

# The unit on rung i is 10 + i; the units 10, 11, 12 … are the desk, the instructing service, the sous-préfecture …
RUNGS = tuple(Rung(index, 10 + index) for index in range(7))
CONTEXT = Context(RUNGS, frozenset({2, 3, 4}))

HOLDER = Actor(1, None, "holder")
REFERENT = Actor(2, 10, "referent")
HEAD = Actor(3, 10, "head")
PREFET = Actor(4, 13, "prefet")
MANAGER = Actor(5, None, "manager")


def plain(name: str) -> dict[str, Any]:
    """Give a definition as plain values that a test may spoil; that of the coupe-file in elapsed time."""
    return copy.deepcopy(_read(name))


@functools.cache
def _read(name: str) -> dict[str, Any]:
    return yamltext.read(ELAPSED if name == "coupe-file" else WORKFLOWS / f"{name}.v1.yaml").data


def compiled(data: dict[str, Any]) -> Compiled:
    """Give a definition, checked and compiled."""
    return Compiled(parse(data))


COUPE_FILE = compiled(plain("coupe-file"))
RACCORDEMENT = compiled(plain("raccordement"))


def small(
    *,
    clocks: dict[str, Any],
    triggers: Iterable[dict[str, Any]] = (),
    ladder: Iterable[dict[str, Any]] = (),
    **rest: Any,
) -> dict[str, Any]:
    """Give a definition of two states, `open_` and `shut`, with these clocks and triggers beside `close`."""
    return {
        "schema": "1",
        "id": "small",
        "version": "1",
        "effective": {"from": "2026-01-01"},
        "initial": "open_",
        "states": {"open_": {"phase": "submitted"}, "shut": {"phase": "resolved", "terminal": "true"}},
        "roles": ["referent", "prefet", "system"],
        "fields": {
            "reason": {"type": "text", "max": "100"},
            "to_unit": {"type": "unit"},
            "motive": {"type": "choice", "of": ["wait"]},
            "answer_by": {"type": "instant"},
            "wanted_on": {"type": "instant"},
            "outcome": {"type": "choice", "of": ["done"]},
        },
        "submission": {"by": ["referent"]},
        "triggers": [{"name": "close", "from": "open_", "to": "shut", "by": ["referent"]}, *triggers],
        "clocks": clocks,
        "ladder": list(ladder),
        **rest,
    }


HOLDING = (
    {
        "name": "hold",
        "from": "open",
        "to": "=",
        "by": ["referent"],
        "needs": ["motive", "answer_by"],
        "guards": ["no_open_hold", "answer_by_ahead"],
        "effects": ["open_hold"],
    },
    {
        "name": "end_hold",
        "from": "open",
        "to": "=",
        "by": ["referent", "system"],
        "guards": ["hold_open"],
        "effects": ["close_hold"],
    },
)


def clock(*, start: Iterable[str] = ("submit",), stop: Iterable[str] = ("close",), **rest: Any) -> dict[str, Any]:
    """Give a clock of two days, started at submission."""
    return {
        "family": "commitment",
        "start": {"when": list(start)},
        "stop": {"when": list(stop)},
        "length": {"elapsed_days": "2"},
        **rest,
    }


def opened(
    machine: Compiled = COUPE_FILE,
    *,
    at: datetime = START,
    context: Context = CONTEXT,
    data: dict[str, Any] = DATA,
    actor: Actor | None = None,
) -> Dossier:
    """Give a dossier just submitted."""
    who = actor or Actor(1, None, machine.definition.submission.by[0])
    return submit(machine, who, args={}, data=data, context=context, at=at).after


class Story:
    """One dossier and everything that happened to it: each call is a decision, folded and compared."""

    def __init__(
        self, machine: Compiled = COUPE_FILE, *, at: datetime = START, context: Context = CONTEXT, **rest: Any
    ) -> None:
        """Submit at `at`."""
        self.machine, self.context, self.at = machine, context, at
        who = rest.pop("actor", None) or Actor(1, None, machine.definition.submission.by[0])
        self.events: list[Event] = []
        self.dossier = Dossier()
        self._take(submit(machine, who, args={}, data=rest.pop("data", DATA), context=context, at=at, **rest))

    def act(self, trigger: str, actor: Actor, at: datetime, **args: Any) -> list[Event]:
        """Ask for a trigger at an instant; give the events."""
        return self._decide(Act(trigger, actor, args), at)

    def due(self, at: datetime) -> list[Event]:
        """Let the clock look at an instant; give the events."""
        return self._decide(DUE, at)

    def wake(self) -> list[Event]:
        """Let the clock look when it said that it would; give the events."""
        assert self.dossier.wake_at is not None
        return self.due(self.dossier.wake_at)

    def wake_until(self, end: datetime) -> list[Event]:
        """Let the clock look each time it asked to, up to an instant; give the events."""
        events: list[Event] = []
        while self.dossier.wake_at is not None and self.dossier.wake_at <= end:
            assert len(events) < 10_000, "the clock spins"
            events += self.wake()
        return events

    def hold(
        self, at: datetime, until: datetime, motive: str = "clarification", actor: Actor = REFERENT
    ) -> list[Event]:
        """Ask the holder for something until a term."""
        return self.act("hold", actor, at, motive=motive, answer_by=until.isoformat(), reason=TEXT)

    def kinds(self) -> list[str]:
        """Give the kinds of everything that happened."""
        return [event.kind for event in self.events]

    def _decide(self, act: Act, at: datetime) -> list[Event]:
        return self._take(decide(self.machine, self.dossier, act, context=self.context, at=at))

    def _take(self, decision: Decision) -> list[Event]:
        self.dossier = decision.after
        self.events += decision.events
        assert folded(self.events) == self.dossier
        return list(decision.events)


def folded(events: Iterable[Event]) -> Dossier:
    """Give what a journal adds up to once it has been written as JSON and read again."""
    return fold((seq, event.at, orjson.loads(dumps(event.effect))) for seq, event in enumerate(events, 1))


def said(events: Iterable[Event]) -> list[tuple[str, str | None]]:
    """Give the kind and the `fired` key of each event."""
    return [(event.kind, event.fired) for event in events]


def only(events: Iterable[Event], kind: str) -> list[Event]:
    """Give the events of one kind."""
    return [event for event in events if event.kind == kind]


Spoil = Callable[[dict[str, Any]], Any]
