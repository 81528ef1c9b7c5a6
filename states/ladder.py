"""Who stands on each rung for a topic at a place, and why: a pure function of a directory, a topic and a place.

Areas are written as in the directory: `*` (all of France), `R75` (a region), `64` (a département), `A643` (an
arrondissement), nine figures (a group of communes), five signs (a commune). The most precise area that has a unit wins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

NATIONAL = "*"
PER_COMMUNE = "mairie"
"""The kind of unit that each commune has without its standing in the directory."""
KEPT = 20_000
"""How many ladders a directory remembers; then it begins again."""
There = Callable[[str, datetime], bool]
"""Whether somebody is there for a unit, by its code, at an instant."""


class Unit(NamedTuple):
    """An administration as the ladder sees it. No topics: competent for all those of its kinds."""

    code: str
    name: str
    level: str
    kinds: tuple[str, ...]
    areas: tuple[str, ...]
    topics: tuple[str, ...] = ()
    note: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class Place(NamedTuple):
    """A commune with the areas that it is in, the most precise first, each with its French words (« est dans l'Ain »)."""

    commune: str
    name: str
    areas: tuple[tuple[str, str], ...]
    townhall: str = ""
    """« Mairie de Lacq »; empty where there is no mairie."""
    key: str = ""
    """What tells this place from the same commune in other areas (a territory that begins or ends)."""


class RungRule(NamedTuple):
    """What a topic says of one rung: which kinds of unit may stand on it, what it may do, and its conditions."""

    rung: str
    label: str
    level: str
    kinds: tuple[str, ...]
    may: tuple[str, ...]
    does: str = ""
    only_by: tuple[str, ...] = ()
    auto: bool = True
    after_local: bool = False
    statement: str = ""


class Lever(NamedTuple):
    """What may be asked for beside the decision itself, by whom, and on which basis."""

    name: str
    title: str
    by: str
    basis: str
    confidence: str


class Topic(NamedTuple):
    """A topic that a holder chooses, and the rule of each of its rungs, lowest first."""

    name: str
    label: str
    help: str
    rungs: tuple[RungRule, ...]
    consulted: tuple[str, ...]
    levers: tuple[Lever, ...]
    basis: str
    confidence: str


class Rung(NamedTuple):
    """One rung at a place. `same_as` is the lower rung that the same unit is already on: it is not solicited twice."""

    number: int
    rule: RungRule
    unit: Unit | None
    reason: str
    same_as: int | None = None
    vacant: bool = False

    @property
    def stands(self) -> bool:
        """Whether the rung can be solicited: it has a unit of its own, and somebody is there."""
        return self.unit is not None and self.same_as is None and not self.vacant


Ladder = tuple[Rung, ...]


@dataclass(slots=True, eq=False)
class Directory:
    """The units, found by kind and area; made once for each revision. Ladders are remembered between two changes of validity."""

    units: Mapping[str, Unit]
    _found: dict[str, dict[str, list[Unit]]] = field(default_factory=dict)
    _sorts: dict[str, set[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    _changes: list[datetime] = field(default_factory=list)
    _ladders: dict[tuple[str, str, int], Ladder] = field(default_factory=dict)

    @staticmethod
    def of(units: Iterable[Unit]) -> Directory:
        """The directory of these units, whose codes differ."""
        made = Directory({unit.code: unit for unit in units})
        instants: set[datetime] = set()
        for unit in made.units.values():
            for kind in unit.kinds:
                for area in unit.areas:
                    made._found.setdefault(kind, {}).setdefault(area, []).append(unit)
                    made._sorts.setdefault(area, set()).add((kind, unit.topics))
            instants |= {instant for instant in (unit.valid_from, unit.valid_to) if instant is not None}
        made._changes.extend(sorted(instants))
        return made

    def sorts(self, area: str) -> frozenset[tuple[str, tuple[str, ...]]]:
        """What the units of an area do: (kind, topics) of each."""
        return frozenset(self._sorts.get(area, ()))

    def competent(self, kind: str, topic: str, place: Place, at: datetime) -> tuple[Unit, str] | None:
        """The unit of a kind for a topic at a place and the words of the area it was found by; None when there is none.

        The most precise area wins; in an area, a unit that names the topic wins over one that is for all.
        """
        by_area = self._found.get(kind, {})
        for area, words in place.areas:
            found = by_area.get(area)
            if found is None:
                continue
            best: Unit | None = None
            for unit in found:
                if unit.valid_from is not None and at < unit.valid_from:
                    continue
                if unit.valid_to is not None and unit.valid_to <= at:
                    continue
                if unit.topics:
                    if topic in unit.topics:
                        return unit, words
                elif best is None:
                    best = unit
            if best is not None:
                return best, words
        if kind == PER_COMMUNE and place.townhall:
            return Unit(f"mairie-{place.commune}", place.townhall, "service", (kind,), (place.commune,)), place.areas[
                0
            ][1]
        return None

    def ladder(self, topic: Topic, place: Place, at: datetime, there: There | None = None) -> Ladder:
        """Every rung of a topic at a place, lowest first, with the reason of each; `there` says where nobody is.

        Without `there` nothing is said to be vacant. A rung without a unit is one too: it is skipped and reported.
        """
        key = (topic.name, place.key or place.commune, bisect_right(self._changes, at))
        found = self._ladders.get(key)
        if found is None:
            if len(self._ladders) >= KEPT:
                self._ladders.clear()
            found = self._ladders[key] = self._made(topic, place, at)
        if there is None:
            return found
        away = [rung.number for rung in found if rung.unit is not None and not there(rung.unit.code, at)]
        if not away:
            return found
        return tuple(rung._replace(vacant=True) if rung.number in away else rung for rung in found)

    def consulted(self, topic: Topic, place: Place, at: datetime) -> list[tuple[str, Unit | None]]:
        """Each kind that is consulted on a topic, with its unit at a place, if the directory has one."""
        found = [(kind, self.competent(kind, topic.name, place, at)) for kind in topic.consulted]
        return [(kind, unit[0] if unit else None) for kind, unit in found]

    def _made(self, topic: Topic, place: Place, at: datetime) -> Ladder:
        rungs: list[Rung] = []
        for index, rule in enumerate(topic.rungs):
            below = {rung.unit.code: rung.number for rung in reversed(rungs) if rung.unit is not None}
            chosen: tuple[Unit, str] | None = None
            for kind in rule.kinds:
                one = self.competent(kind, topic.name, place, at)
                if one is not None and (chosen is None or one[0].code not in below):
                    chosen = one
                    if one[0].code not in below:
                        break
            if chosen is None:
                reason = f"aucune administration de l'annuaire n'est compétente pour {place.name} à cet échelon"
                rungs.append(Rung(index, rule, None, reason, vacant=True))
                continue
            unit, words = chosen
            same = below.get(unit.code)
            rungs.append(Rung(index, rule, unit, _reason(place, rule, unit, words, same, topic.rungs), same))
        return tuple(rungs)


def _reason(place: Place, rule: RungRule, unit: Unit, words: str, same: int | None, rules: Sequence[RungRule]) -> str:
    if same is not None:
        return f"pas d'échelon distinct : {unit.name} tient déjà l'échelon « {rules[same].label} »"
    where = f"{place.name} {words}" if words else "compétence nationale"
    return " ; ".join(part for part in (where, unit.note, rule.does) if part)


def holes(ladder: Ladder) -> list[int]:
    """The rungs that no unit of the directory holds: a hole in the directory, whoever is at work."""
    return [rung.number for rung in ladder if rung.unit is None]
