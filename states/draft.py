"""A draft: one dossier while a decision is being made about it. Whatever changes it stands in an event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from states import clocks
from states.definition import Definition
from states.dossier import SYSTEM, Actor, Clock, Context, Dossier, Event, Json

MATERIAL = frozenset({"state", "unit", "rung", "assignee", "holds", "outcome", "pinned"})


class Draft:
    """The throw-away object that the machine is triggered on; `state` is what `transitions` reads and sets."""

    __slots__ = (
        "actor",
        "args",
        "at",
        "context",
        "definition",
        "dossier",
        "effect",
        "effective",
        "events",
        "facts",
        "refusal",
    )

    def __init__(self, definition: Definition, dossier: Dossier, context: Context, at: datetime) -> None:
        self.definition = definition
        self.dossier = dossier.copy()
        self.context = context
        self.at = at
        self.effective = at
        self.actor: Actor = SYSTEM
        self.args: Mapping[str, Any] = {}
        self.facts: Json = {}
        self.effect: dict[str, Any] = {}
        self.events: list[Event] = []
        self.refusal: tuple[str, str] | None = None

    @property
    def state(self) -> str:
        """The state, for `transitions`."""
        return self.dossier.state

    @state.setter
    def state(self, value: str) -> None:
        if value == self.dossier.state:
            return
        state = self.definition.states[value]
        self.put("state", value)
        if state.phase != self.dossier.phase:
            self.put("phase", state.phase)
        if state.terminal != (self.dossier.closed_at is not None):
            self.put("closed_at", self.effective if state.terminal else None)
            if not state.terminal and self.dossier.outcome is not None:
                self.put("outcome", None)

    def put(self, name: str, value: Any) -> None:
        """Change one part of the dossier, and say so in the effect of the event being made; the same again is no change."""
        if getattr(self.dossier, name) == value:
            return
        setattr(self.dossier, name, value)
        self.effect[name] = value

    def put_clock(self, name: str, clock: Clock) -> None:
        """Change one clock, and say so in the effect of the event being made."""
        self.dossier.clocks[name] = clock
        self.effect.setdefault("clocks", {})[name] = clock

    def mark(self, name: str, step: str) -> None:
        """Note that a step of a clock has been dealt with, so that it never is again in this cycle."""
        clock = self.dossier.clocks[name]
        self.put_clock(name, clock._replace(done=(*clock.done, step)))

    def has_clock(self, name: str) -> bool:
        """Whether a clock is one of this dossier's, by its fields, the rung on which it stands, and who starts it."""
        rule = self.definition.clocks[name]
        if rule.only is None:
            return True
        ladder, rung = self.definition.ladder, self.dossier.rung
        named = {"rung": ladder[rung].rung} if rung is not None and rung < len(ladder) else {}
        return clocks.concerns(rule, {**self.dossier.data, **named, "by": self.actor.role})

    def start_clock(self, name: str, *, dated: bool = False) -> bool:
        """Start a clock, or its next cycle, if it is one of this dossier's; whether it started. `dated`: at submission,
        by its field. Raises BadInput.
        """
        rule, last = self.definition.clocks[name], self.dossier.clocks.get(name)
        if (rule.start.first and last is not None) or not self.has_clock(name):
            return False
        if dated and rule.start.given and self.dossier.data.get(rule.start.from_ or "") is None:
            return False
        clock = clocks.begin(
            rule,
            n=1 if last is None else last.n + 1,
            start=self.effective,
            fields=self.dossier.data,
            almanac=self.context.almanac,
            unit=self.dossier.unit,
            dated=dated,
        )
        self.put_clock(name, clock)
        return True

    def rate_clocks(self) -> None:
        """Derive anew the due instants of the clocks that run and are not yet past due: a missed date stays as it was."""
        dossier = self.dossier
        for name, clock in dossier.clocks.items():
            rule = self.definition.clocks.get(name)
            if rule is None or clock.end is not None or clocks.DUE_STEP in clock.done:
                continue
            due = clocks.due(rule, name, clock, dossier.holds, dossier.data, self.context.almanac)
            if due != clock.due:
                self.put_clock(name, clock._replace(due=due))

    def emit(self, kind: str, command: Json, *, fired: str | None = None, idem: str | None = None) -> None:
        """Close the event being made: its effect is everything put since the last one."""
        effect = self.effect
        if not MATERIAL.isdisjoint(effect):
            self.put("version", self.dossier.version + 1)
        self.dossier.seq += 1
        self.dossier.at = self.at
        if self.dossier.unit is not None:
            self.facts["unit"] = self.dossier.unit  # who held the ball then: whoever reacts later needs no fold
        if self.dossier.assignee is not None:
            self.facts["assignee"] = self.dossier.assignee
        self.events.append(
            Event(kind, self.actor, self.at, self.effective, command, self.facts, effect, fired, idem),
        )
        self.effect, self.facts = {}, {}

    def seal(self) -> None:
        """Say in the last event when the dossier is due and when the clock must next look at it."""
        name = clocks.next_due(self.definition, self.dossier)
        due = None if name is None else self.dossier.clocks[name].due
        wake = clocks.wake(self.definition, self.dossier, self.at, self.context.almanac)
        effect = self.events[-1].effect
        if due != self.dossier.due_at:
            self.dossier.due_at = effect["due_at"] = due
        if wake != self.dossier.wake_at:
            self.dossier.wake_at = effect["wake_at"] = wake
