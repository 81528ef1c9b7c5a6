"""Moving a dossier to another version of its definition, and back. It records, and fires nothing.

A clock keeps its start, its past pauses and what it has already done; its due instant is derived anew under the new
rule, unless it had passed: a missed date stays missed. A clock that the new version does not have stops; one that it
adds starts at the next act that starts it. What has thereby become due is for the next wake, as for any other clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from states import clocks
from states.almanac import NO_ALMANAC, Almanac
from states.definition import PHASES, ClockRule, Definition, GivenDays, UntilField
from states.dossier import Actor, Clock, Context, Decision, Dossier, Json
from states.draft import Draft
from states.errors import BadInput, Refused
from states.machine import Compiled

MIGRATE = "definition.migrate"
MIGRATION = Actor(None, None, "migration")


@dataclass(frozen=True, slots=True)
class Route:
    """From which definition to which, by their digests, and what stands for what; a name left out stands for itself."""

    source: str
    target: str
    states: Mapping[str, str] = field(default_factory=dict)
    rungs: Mapping[str, str] = field(default_factory=dict)

    def state(self, name: str) -> str:
        """The state of the target that stands for one of the source."""
        return self.states.get(name, name)

    def rung(self, name: str) -> str:
        """The rung of the target that stands for one of the source."""
        return self.rungs.get(name, name)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A migration that stands in the journal: its event, the route it took, and (kind, effective) of what came after."""

    seq: int
    route: Route
    facts: Json
    since: Sequence[tuple[str, datetime]] = ()


def check(old: Definition, new: Definition, route: Route) -> None:
    """Whether a route leads somewhere from every state and every rung. Raises BadInput with all that it leaves open."""
    _check_words(route.states, list(old.states), list(new.states), "--map-state", "un état")
    _check_words(
        route.rungs, [rung.rung for rung in old.ladder], [rung.rung for rung in new.ladder], "--map-rung", "un échelon"
    )
    lost = [name for name in old.states if route.state(name) not in new.states]
    if lost:
        raise BadInput(
            "unmapped",
            f"sans équivalent dans la version {new.version} : {_names(lost)} (état de la version {old.version})",
            field="--map-state",
            accepted=" ; ".join(f"{name}={'|'.join(_alike(old, new, name))}" for name in lost),
        )
    for name, state in old.states.items():
        if state.terminal != new.states[route.state(name)].terminal:
            words = "un dossier ouvert ne se clôt pas" if not state.terminal else "un dossier clos ne se rouvre pas"
            raise BadInput(
                "unmapped",
                f"« {name} » deviendrait « {route.state(name)} » : {words} par une migration",
                field="--map-state",
                accepted=f"{name}={'|'.join(_alike(old, new, name))}",
            )
    rungs = [rung.rung for rung in new.ladder]
    astray = [rung.rung for rung in old.ladder if route.rung(rung.rung) not in rungs]
    if astray:
        raise BadInput(
            "unmapped",
            f"sans équivalent dans la version {new.version} : {_names(astray)} (échelon de la version {old.version})",
            field="--map-rung",
            accepted=" ; ".join(f"{name}={'|'.join(rungs) or 'aucun'}" for name in astray),
        )


def _check_words(given: Mapping[str, str], old: Sequence[str], new: Sequence[str], option: str, what: str) -> None:
    for name, becomes in given.items():
        if name not in old:
            raise BadInput(
                "map", f"« {name} » n'est pas {what} de la version d'origine", field=option, accepted=", ".join(old)
            )
        if becomes not in new:
            raise BadInput(
                "map", f"« {becomes} » n'est pas {what} de la nouvelle version", field=option, accepted=", ".join(new)
            )


def _alike(old: Definition, new: Definition, name: str) -> list[str]:
    """The states of the new version that are open, or closed, as the old one is; by phase."""
    alike = [other for other, state in new.states.items() if state.terminal == old.states[name].terminal]
    return sorted(alike, key=lambda other: (PHASES.index(new.states[other].phase), other))


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"« {name} »" for name in names)


# --- there ------------------------------------------------------------------------------------------------------------


def migrate(
    old: Compiled, new: Compiled, before: Dossier, route: Route, *, at: datetime, almanac: Almanac = NO_ALMANAC
) -> Decision:
    """Move a dossier from `old` to `new` by a route that `check` accepts. Raises Refused when this dossier cannot go."""
    _refuse(new.definition, before)
    draft = _begin(new, before, at, almanac)
    _place(draft, route.state(before.state), _rung(old.definition, new.definition, before, route.rungs))
    was: dict[str, Clock] = {}
    passed: dict[str, list[str]] = {}
    for name, clock in before.clocks.items():
        if clock.end is not None:
            continue
        rule = new.definition.clocks.get(name)
        if rule is None:
            changed = _stopped(old.definition.clocks.get(name), name, clock, before, at, almanac)
        else:
            changed = _kept(rule, name, clock, before, at, almanac)
            gone = _passed(old.definition.clocks.get(name), rule, name, changed, before, at, almanac)
            if gone:
                passed[name] = gone
                changed = changed._replace(done=(*changed.done, *gone))
        if changed != clock:
            was[name] = clock
            draft.put_clock(name, changed)
    draft.facts["passed"] = passed
    return _end(draft, before, route, {"states": dict(route.states), "rungs": dict(route.rungs)}, was)


def _refuse(new: Definition, dossier: Dossier) -> None:
    if dossier.hold is not None and not new.hold_end():
        raise Refused("hold", "une demande au porteur est en cours, et la nouvelle version ne saurait pas la clore")
    for name, rule in new.clocks.items():
        read = rule.length.field if isinstance(rule.length, UntilField) else None
        read = rule.length.given_days if isinstance(rule.length, GivenDays) else read
        if read is not None and read not in dossier.data:
            raise Refused("field", f"le délai « {name} » lit le champ {read}, que ce dossier n'a pas")


def _begin(compiled: Compiled, before: Dossier, at: datetime, almanac: Almanac) -> Draft:
    draft = Draft(compiled.definition, before, Context(almanac=almanac), at)
    draft.actor = MIGRATION
    return draft


def _place(draft: Draft, state: str, rung: int | None) -> None:
    draft.put("state", state)
    draft.put("phase", draft.definition.states[state].phase)
    draft.put("rung", rung)


def _rung(old: Definition, new: Definition, dossier: Dossier, named: Mapping[str, str]) -> int | None:
    """The place in the new ladder of the rung that a dossier stands on; a place outside of the old ladder stays."""
    if dossier.rung is None or dossier.rung >= len(old.ladder):
        return dossier.rung
    name = old.ladder[dossier.rung].rung
    return [rung.rung for rung in new.ladder].index(named.get(name, name))


def _kept(rule: ClockRule, name: str, clock: Clock, dossier: Dossier, at: datetime, almanac: Almanac) -> Clock:
    if clock.due < at:  # missed, whether the breach is recorded or not yet
        return clock
    clock = clocks.placed(rule, clock, dossier.data, almanac, dossier.unit)
    return clock._replace(due=clocks.due(rule, name, clock, dossier.holds, dossier.data, almanac))


def _stopped(
    rule: ClockRule | None, name: str, clock: Clock, dossier: Dossier, at: datetime, almanac: Almanac
) -> Clock:
    due = clock.due if rule is None else clocks.due_when_stopped(rule, name, clock, dossier, at, almanac)
    return clock._replace(due=due, end=at, retry=None)


def _passed(
    old: ClockRule | None,
    new: ClockRule,
    name: str,
    clock: Clock,
    dossier: Dossier,
    at: datetime,
    almanac: Almanac,
) -> list[str]:
    """The reminders that only the new version has and whose instant is behind: nobody was promised them."""
    known = {reminder.id for reminder in old.reminders} if old is not None else set()
    return [
        reminder.id
        for reminder in new.reminders
        if reminder.id not in known
        and reminder.id not in clock.done
        and clocks.reminder_at(reminder, new, name, clock, dossier.holds, dossier.data, almanac) < at
    ]


def _end(draft: Draft, before: Dossier, route: Route, more: Json, was: Mapping[str, Clock]) -> Decision:
    """Write the one event: where from, where to, and what each part was before."""
    draft.facts["was"] = {"state": before.state, "rung": before.rung, "clocks": dict(was)}
    draft.effect["definition"] = route.target
    draft.emit(MIGRATE, {"from": route.source, "to": route.target, **more})
    draft.seal()
    return Decision(before, draft.dossier, draft.events)


# --- and back ---------------------------------------------------------------------------------------------------------


def undo(
    new: Compiled, old: Compiled, before: Dossier, crossing: Crossing, *, at: datetime, almanac: Almanac = NO_ALMANAC
) -> Decision:
    """Bring a dossier from `new` back to `old`, as if it had not crossed: same state if it has not moved since, and
    the due instants that the old rule gives. A breach recorded meanwhile stays. Raises Refused when it cannot go back.
    """
    _refuse_back(old.definition, before)
    route = crossing.route
    draft = _begin(old, before, at, almanac)
    _place(draft, _origin_state(old, before, crossing), _origin_rung(old, new, before, crossing))
    was: dict[str, Clock] = {}
    for name in dict.fromkeys([*before.clocks, *old.definition.clocks]):
        changed = _back(new, old, name, before, crossing, at, almanac)
        clock = before.clocks.get(name)
        if changed is not None and changed != clock:
            if clock is not None:
                was[name] = clock
            draft.put_clock(name, changed)
    return _end(draft, before, Route(route.target, route.source), {"undoes": crossing.seq}, was)


def _refuse_back(old: Definition, dossier: Dossier) -> None:
    if dossier.hold is not None and not old.hold_end():
        raise Refused("hold", "une demande au porteur est en cours, et l'ancienne version ne saurait pas la clore")


def _origin_state(old: Compiled, dossier: Dossier, crossing: Crossing) -> str:
    """The state to go back to: the one it came from, or the only one that its present state stands for."""
    was: str = crossing.facts["was"]["state"]
    if crossing.route.state(was) == dossier.state:
        return was
    found = [name for name in old.definition.states if crossing.route.state(name) == dossier.state]
    if len(found) != 1:
        raise Refused("state", f"l'état « {dossier.state} » n'a pas d'équivalent unique dans l'ancienne version")
    return found[0]


def _origin_rung(old: Compiled, new: Compiled, dossier: Dossier, crossing: Crossing) -> int | None:
    if dossier.rung is None or dossier.rung >= len(new.definition.ladder):
        return dossier.rung
    name = new.definition.ladder[dossier.rung].rung
    ladder = [rung.rung for rung in old.definition.ladder]
    was: int | None = crossing.facts["was"]["rung"]
    found = [index for index, rung in enumerate(ladder) if crossing.route.rung(rung) == name]
    if was in found:
        return was
    if len(found) != 1:
        raise Refused("rung", f"l'échelon « {name} » n'a pas d'équivalent unique dans l'ancienne version")
    return found[0]


def _back(
    new: Compiled, old: Compiled, name: str, dossier: Dossier, crossing: Crossing, at: datetime, almanac: Almanac
) -> Clock | None:
    """One clock as the old version would have it now; None when it would not have it."""
    clock, rule = dossier.clocks.get(name), old.definition.clocks.get(name)
    if rule is None:
        return (
            clock if clock is None or clock.end is not None
            else _stopped(new.definition.clocks.get(name), name, clock, dossier, at, almanac)
        )  # fmt: skip
    origin: Json | None = crossing.facts["was"]["clocks"].get(name)
    if name not in new.definition.clocks:
        clock = _lived(old, name, clock if origin is None else Clock.decode(origin), dossier, crossing.since, almanac)
    elif clock is not None and origin is not None and origin["n"] == clock.n:
        gone = crossing.facts["passed"].get(name, ())
        reckoned = Clock.decode(origin)
        clock = clock._replace(
            done=tuple(step for step in clock.done if step not in gone),
            desk=reckoned.desk,
            table=reckoned.table,
            rule=reckoned.rule,
        )
    if clock is None or clock.end is not None or clocks.DUE_STEP in clock.done:
        return clock
    return clock._replace(due=clocks.due(rule, name, clock, dossier.holds, dossier.data, almanac))


def _lived(
    old: Compiled,
    name: str,
    clock: Clock | None,
    dossier: Dossier,
    since: Iterable[tuple[str, datetime]],
    almanac: Almanac,
) -> Clock | None:
    """A clock that the newer version did not have, as what happened since would have turned it."""
    for kind, effective in since:
        if name in old.clock_starts.get(kind, ()):
            n = 1 if clock is None else clock.n + 1
            rule = old.definition.clocks[name]
            clock = clocks.begin(rule, n=n, start=effective, fields=dossier.data, almanac=almanac, unit=dossier.unit)
        elif clock is not None and clock.end is None and name in old.clock_stops.get(kind, ()):
            clock = clock._replace(end=effective, retry=None)
    return clock
