"""Why each date of a dossier is what it is, which dates it had before, and who had the ball."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from states import clocks, court, explanation, reasons
from states.court import HOLDER, NOBODY, THIRD_PARTY, Turn
from states.dossier import Actor, Clock
from states.errors import BadInput, shown
from states.explanation import Step
from workflow import words
from workflow.view import View


@dataclass(frozen=True, slots=True)
class Version:
    """A date that a clock had: from which event on, by whose act, and of which cycle."""

    since: datetime
    kind: str
    actor: Actor
    cycle: int
    due: datetime


@dataclass(frozen=True, slots=True)
class Explained:
    """A clock of a dossier and the derivation of its date; `gross` ran since its start, `net` without what was held."""

    name: str
    label: str
    family: str
    zone: str
    clock: Clock
    paused: bool
    gross: timedelta
    net: timedelta
    steps: list[Step]
    versions: list[Version]


def explained(seen: View, only: str | None = None) -> list[Explained]:
    """The clocks of a dossier, by date, or the one named. Raises BadInput when it has no such clock."""
    dossier, definition = seen.dossier, seen.definition
    if only is not None and only not in dossier.clocks:
        accepted = ", ".join(sorted(dossier.clocks)) or "aucun : ce dossier n'a pas de délai"
        raise BadInput("clock", f"ce dossier n'a pas de délai « {shown(only)} »", field="clock", accepted=accepted)
    almanac, found = seen.almanac, []
    for name, clock in sorted(dossier.clocks.items(), key=lambda item: item[1].due):
        rule = definition.clocks.get(name)
        if only not in (None, name) or rule is None:
            continue
        desk = None if clock.desk is None else almanac.desk(clock.desk)
        until = max(clock.end or seen.now, clock.start)
        ran = clocks.run(name, clock, dossier.holds)
        held = sum((min(ends, until) - begins for begins, ends in ran.pauses if begins < until), timedelta(0))
        found.append(
            Explained(
                name,
                words.clock(definition, name),
                rule.family,
                seen.zone if desk is None else desk.hours.zone,
                clock,
                clocks.paused(dossier, name) and clock.end is None,
                until - clock.start,
                until - clock.start - held,
                reasons.why(rule, name, clock, dossier, almanac),
                _versions(seen, name),
            )
        )
    return found


def _versions(seen: View, name: str) -> list[Version]:
    """Every date that the clock has had, the first of each; a reader who may not see an event still sees its date."""
    found: list[Version] = []
    for event in seen.events:
        given: Any = event.effect.get("clocks", {}).get(name)
        if given is None:
            continue
        due = datetime.fromisoformat(given["due"])
        if not found or (found[-1].due, found[-1].cycle) != (due, given["n"]):
            found.append(Version(event.at, event.kind, event.actor, given["n"], due))
    return found


def turns(seen: View) -> list[Turn]:
    """Who had the ball from the submission to the closing, or to now; the parts add up to the whole."""
    return court.turns(((event.effective, event.effect) for event in seen.events), seen.now)


PARTIES = {HOLDER: "le porteur", THIRD_PARTY: "un tiers", NOBODY: "personne"}


def name_of(seen: View, party: str) -> str:
    """Who a party of a turn is, in French."""
    unit = party.partition(":")[2]
    return PARTIES.get(party) or seen.names["unit"].get(int(unit), f"unité {unit}")


def data(each: Explained) -> dict[str, Any]:
    """A clock and its derivation for a program: the command and the API both answer this."""
    return {
        "name": each.name,
        "label": each.label,
        "family": each.family,
        "due": each.clock.due,
        "start": each.clock.start,
        "end": each.clock.end,
        "cycle": each.clock.n,
        "paused": each.paused,
        "gross_seconds": each.gross.total_seconds(),
        "net_seconds": each.net.total_seconds(),
        "steps": explanation.data(each.steps),
        **{name: explanation.sentences(each.steps, name) for name in explanation.LANGUAGES},
        "versions": [
            {"since": one.since, "event": one.kind, "role": one.actor.role, "cycle": one.cycle, "due": one.due}
            for one in each.versions
        ],
    }
