"""A definition compiled once to a machine of `transitions`, triggered on a throw-away draft.

`transitions` lets a refusing guard pass for a silent False and raises only on a wrong source: `fire` turns both into
one error that says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transitions import EventData, Machine

from states.definition import Definition, Trigger
from states.draft import Draft
from states.errors import Refused
from states.vocabulary import EFFECTS, GUARDS


class Compiled:
    """A definition, its machine, and what each trigger means in each state."""

    __slots__ = ("clock_starts", "clock_stops", "definition", "hold_end", "machine", "names", "triggers")

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.triggers: dict[tuple[str, str], Trigger] = {
            (trigger.name, state): trigger for trigger in definition.triggers for state in definition.sources(trigger)
        }
        self.names = tuple(dict.fromkeys(trigger.name for trigger in definition.triggers))
        self.hold_end = definition.hold_end()
        self.clock_starts = _by_word(
            (word, name) for name, rule in definition.clocks.items() for word in rule.start.when
        )
        self.clock_stops = _by_word((word, name) for name, rule in definition.clocks.items() for word in rule.stop.when)
        self.machine = Machine(
            model=None,
            states=list(definition.states),
            initial=definition.initial,
            transitions=[_transition(definition, trigger) for trigger in definition.triggers],
            auto_transitions=False,
            queued=False,
            send_event=True,
        )

    def allowed(self, state: str) -> list[Trigger]:
        """The triggers that a dossier in this state knows, whoever asks."""
        return [self.triggers[name, state] for name in self.names if (name, state) in self.triggers]

    def fire(self, draft: Draft, name: str) -> Trigger:
        """Move the draft by a trigger: its guards, its state, its effects. Raises Refused."""
        trigger = self.triggers.get((name, draft.dossier.state))
        if trigger is None:
            raise _no_such_move(self, draft, name)
        if draft.actor.role not in trigger.by:
            raise Refused(
                "role",
                f"« {name} » n'est pas ouvert au rôle {draft.actor.role}",
                field="role",
                accepted=", ".join(trigger.by),
            )
        draft.refusal = None
        if not self.machine.events[name].trigger(draft):
            code, sentence = draft.refusal or ("guard", "refusé par la définition")
            raise Refused(code, sentence, field=name)
        for effect in trigger.effects:
            EFFECTS[effect](draft)
        if "outcome" in trigger.sets:
            draft.put("outcome", trigger.sets["outcome"])
        elif "outcome" in draft.args:
            draft.put("outcome", draft.args["outcome"])
        return trigger


def _by_word(pairs: Any) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for word, name in pairs:
        found[word] = (*found.get(word, ()), name)
    return found


def _transition(definition: Definition, trigger: Trigger) -> dict[str, Any]:
    return {
        "trigger": trigger.name,
        "source": list(definition.sources(trigger)),
        "dest": None if trigger.to == "=" else trigger.to,
        "conditions": [_condition(name) for name in trigger.guards],
    }


def _condition(name: str) -> Callable[[EventData], bool]:
    guard = GUARDS[name]

    def condition(event: EventData) -> bool:
        draft: Any = event.model
        draft.refusal = guard(draft)
        return draft.refusal is None

    return condition


def _no_such_move(compiled: Compiled, draft: Draft, name: str) -> Refused:
    state = draft.dossier.state
    accepted = ", ".join(trigger.name for trigger in compiled.allowed(state) if draft.actor.role in trigger.by)
    return Refused(
        "state",
        f"« {name} » n'est pas possible dans l'état {state}",
        field="trigger",
        accepted=accepted or "rien pour ce rôle",
    )
