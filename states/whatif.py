"""What would have been: a dossier's journal lived again through the core under another definition. Nothing is written.

What people did is done again at its instant; what the clock did is left out, and the clock of the other definition acts
in its place, each time at once. The facts that the journal consulted (who stood on which rung, which rungs were vacant)
correct the directory of now. An act that the other definition refuses is counted and lost: the dossier goes on without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from states.clocks import STRICTLY_AFTER
from states.decide import SUBMIT, decide, submit
from states.dossier import DUE, Act, Actor, Context, Decision, Json, Rung
from states.errors import CoupeFileError
from states.machine import Compiled

SEEN = "seen"
MOST_WAKES = 10_000
"""A clock that looks more often than this between two acts would never end."""


@dataclass(frozen=True, slots=True)
class Past:
    """An event of a journal, as far as it is lived again; `by_person` leaves out what the clock and operators did."""

    at: datetime
    effective: datetime
    kind: str
    actor: Actor
    command: Json
    facts: Json
    effect: Json
    by_person: bool


@dataclass(slots=True)
class Relived:
    """What a dossier would have lived: the decisions, in order, and the acts that would have been refused, with why."""

    decisions: list[Decision] = field(default_factory=list)
    acts: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def relive(
    compiled: Compiled,
    journal: Sequence[Past],
    *,
    until: datetime,
    context: Callable[[datetime], Context],
    rung: Callable[[int], int | None] = lambda index: index,
) -> Relived:
    """Live a journal again up to an instant. `context` is the directory at an instant, for this dossier; `rung` says which
    rung of the other definition stands for one of its own. A dossier whose submission is refused lives nothing.
    """
    first, *rest = journal
    known, found = _ladder(journal, rung), Relived()
    try:
        found.acts += 1
        decision = submit(
            compiled, first.actor, args=first.command.get("args", {}), data=first.effect.get("data", {}),
            context=_corrected(context(first.at), known), at=first.at, effective=first.effective,
        )  # fmt: skip
    except CoupeFileError as error:
        found.refused.append((SUBMIT, error.message))
        return found
    found.decisions.append(decision)
    for past in rest:
        if not past.by_person or past.at > until:
            continue
        found.acts += 1
        _wake(compiled, found, past.at, context, known)
        dossier = found.decisions[-1].after
        args = {name: value for name, value in past.command.get("args", {}).items() if name != SEEN}
        at = past.at if dossier.at is None else max(past.at, dossier.at)
        try:
            act = Act(past.kind, past.actor, args)
            decision = decide(compiled, dossier, act, context=_corrected(context(at), known), at=at)
        except (CoupeFileError, KeyError) as error:
            found.refused.append((past.kind, error.message if isinstance(error, CoupeFileError) else "sans objet"))
            continue
        if decision.events:
            found.decisions.append(decision)
    _wake(compiled, found, until, context, known)
    return found


def _wake(
    compiled: Compiled,
    found: Relived,
    until: datetime,
    context: Callable[[datetime], Context],
    known: Mapping[int, Rung],
) -> None:
    """The clock looks each time that it should have, strictly after, and before `until`."""
    for _ in range(MOST_WAKES):
        dossier = found.decisions[-1].after
        if dossier.wake_at is None:
            return
        at = max(dossier.wake_at + STRICTLY_AFTER, dossier.at or dossier.wake_at)
        if at >= until:
            return
        decision = decide(compiled, dossier, DUE, context=_corrected(context(at), known), at=at)
        if not decision.events:
            return
        found.decisions.append(decision)


def _ladder(journal: Sequence[Past], rung: Callable[[int], int | None]) -> dict[int, Rung]:
    """What the journal says of the rungs: who stood there, and which were vacant."""
    known: dict[int, Rung] = {}
    for past in journal:
        at, unit = past.facts.get("rung"), past.effect.get("unit", past.facts.get("unit"))
        for index in past.facts.get("vacant", ()):
            place = rung(index)
            if place is not None and place not in known:
                known[place] = Rung(place, None, staffed=False)
        place = None if at is None else rung(at)
        if place is not None and unit is not None:
            known[place] = Rung(place, unit)
    return known


def _corrected(base: Context, known: Mapping[int, Rung]) -> Context:
    if not known:
        return base
    rungs: dict[int, Rung] = {one.index: one for one in base.rungs}
    for index, one in known.items():
        there = rungs.get(index)
        rungs[index] = one if one.unit is not None or there is None else Rung(index, there.unit, staffed=False)
    return Context(tuple(rungs[index] for index in sorted(rungs)), base.members, base.almanac)


def lines(found: Relived) -> Iterator[Any]:
    """The events of what was lived, in order."""
    for decision in found.decisions:
        yield from decision.events
