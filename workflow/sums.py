"""The figures that add up, by what they are of: from the counters where they hold the answer, else from the dossiers asked about.

Both say the same: four boxes for each clock, how long past its date, who had the ball, from which rung to which. The
counters know whole months and départements; part of a month, or a Territoire d'industrie, is reckoned from the journals of
the dossiers that may be of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states import counters as core
from states.counters import COURT, LATE_BY, MICROSECOND, OPEN, SINCE, TURNED, TURNING, Key
from states.dossier import Actor
from states.report import Wanted
from workflow import access, business_time, counters, report
from workflow.report import Asked

DIMENSIONS = ("month", "departement", "territory", "topic", "definition", "unit", "rung")
MOST = 10_000
"""How many dossiers are read one by one for a page."""
HELD = "us"
"""How long a party had the ball, in microseconds, under the family of the court."""
Figure = tuple[str, str, str]
"""Family, clock, measure; of dossiers, an empty family and clock."""
Of = tuple[Any, ...]
"""One value for each dimension asked for."""


class Sums(Protocol):
    """Sums of a set of dossiers, as of `now`; `kept` says that they come from the counters."""

    @property
    def now(self) -> datetime:
        """As of when."""

    @property
    def kept(self) -> bool:
        """Whether they come from the counters."""

    def by(self, *dimensions: str, families: Sequence[str] = ()) -> Mapping[Of, Counter[Figure]]:
        """The figures for each value of some dimensions, of all families or of some; none is zero."""


def of(make: sessionmaker[Session], asked: Asked, *, actor: Actor) -> Sums:
    """The sums of what is asked, within a reader's scope. Raises BadInput: unknown, or too many to be read one by one."""
    with make() as session:
        wanted, now = report.wanted(session, asked), business_time.now(session)
        if whole(asked) and access.scope(actor).sql == "true":
            return Kept(make, now, asked, wanted.unit)
        near = report.around(session, asked)
        report.bounded(session, actor, near, MOST)
        places = report.perimeters(session)
    found, placed = Counter[Key](), dict[str, Counter[Key]]()
    for _, _, facts in report.stream(make, actor=actor, at=now, near=near):
        if wanted.dossier(facts):
            added = counters.added(facts)
            found.update(added)
            for territory in places(facts.commune, facts.submitted) or [""]:
                placed.setdefault(territory, Counter()).update(added)
    return Reckoned(now, found, placed, wanted)


def whole(asked: Asked) -> bool:
    """Whether the counters hold the answer: whole months, no Territoire d'industrie."""
    begins = asked.first is None or asked.first.day == 1
    ends = asked.last is None or (asked.last + timedelta(days=1)).day == 1
    return begins and ends and asked.territory is None and asked.by != "territory"


# --- from the counters ------------------------------------------------------------------------------------------------

_COLUMNS = {"month": "month", "departement": "departement", "topic": "topic", "definition": "definition",
            "unit": "unit_id", "rung": "rung"}  # fmt: skip
_US = "cast(extract(epoch from over) * 1000000 as bigint)"
# `offset 0`: how long each row is over is reckoned once, and not for each sum.
_READ = f"""
select {{columns}} family, clock, measure, coalesce(over > interval '0', false) as late, sum(value) as value,
    sum(case when measure = '{OPEN}' and over > interval '0' then value * {_US} else 0 end) as late_by,
    sum(case measure when '{TURNED}' then value when '{SINCE}' then -value when '{TURNING}' then value * {_US} else 0 end) as held
from (
    select *, case when due <> '' then :now - cast(due as timestamptz)
        when measure = '{TURNING}' then :now - (cast(month as timestamp) at time zone 'UTC') end as over
    from counters where (cast(:since as date) is null or month >= :since) and (cast(:until as date) is null or month <= :until)
      and (cast(:unit as integer) is null or unit_id = :unit) and (cast(:rung as text) is null or rung = :rung)
      and (cast(:departement as text) is null or departement = :departement)
      and (cast(:topic as text) is null or topic = :topic)
      and (cast(:version as text) is null or :version in (definition, split_part(definition, '@', 1)))
      and (cast(:families as text[]) is null or family = any(:families))
    offset 0
) one group by {{columns}} family, clock, measure, late
"""  # noqa: S608  (constants)


@dataclass(frozen=True, slots=True)
class Kept:
    """Sums of the counters. What finer sums that were read already hold is added up from them."""

    make: sessionmaker[Session]
    now: datetime
    asked: Asked
    unit: int | None
    kept: bool = True
    _read: dict[tuple[tuple[str, ...], tuple[str, ...]], Mapping[Of, Counter[Figure]]] = field(default_factory=dict)

    def by(self, *dimensions: str, families: Sequence[str] = ()) -> Mapping[Of, Counter[Figure]]:
        """One query, or none."""
        for (finer, more), sums in self._read.items():
            if set(dimensions) <= set(finer) and (not more or (families and set(families) <= set(more))):
                return _folded(sums, [finer.index(name) for name in dimensions], families)
        found = self._read[dimensions, tuple(families)] = self._asked(dimensions, families)
        return found

    def _asked(self, dimensions: Sequence[str], families: Sequence[str]) -> Mapping[Of, Counter[Figure]]:
        asked, columns = self.asked, "".join(f"{_COLUMNS[name]}, " for name in dimensions)
        params = {
            "now": self.now, "since": asked.first, "until": asked.last and asked.last.replace(day=1), "unit": self.unit,
            "rung": asked.rung, "departement": asked.departement, "topic": asked.topic, "version": asked.version,
            "families": list(families) or None,
        }  # fmt: skip
        found: dict[Of, Counter[Figure]] = {}
        with self.make() as session:
            for *place, family, clock, measure, late, value, late_by, held in session.execute(
                text(_READ.format(columns=columns)), params
            ):
                into = found.setdefault(tuple(place), Counter())
                _into(into, (family, clock, measure), value=int(value), late=late, late_by=int(late_by), held=int(held))
        return found


def _folded(
    sums: Mapping[Of, Counter[Figure]], places: Sequence[int], families: Sequence[str]
) -> Mapping[Of, Counter[Figure]]:
    found: dict[Of, Counter[Figure]] = {}
    for finer, figures in sums.items():
        of_families = {key: value for key, value in figures.items() if not families or key[0] in families}
        if of_families:
            found.setdefault(tuple(finer[place] for place in places), Counter()).update(of_families)
    return found


# --- from the dossiers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reckoned:
    """Sums of the dossiers that were read; one that lies in two territories counts in the sums of both."""

    now: datetime
    found: Counter[Key]
    placed: Mapping[str, Counter[Key]]
    wanted: Wanted
    kept: bool = False

    def by(self, *dimensions: str, families: Sequence[str] = ()) -> Mapping[Of, Counter[Figure]]:
        """What the counters would say, had they been asked."""
        sums: dict[Of, Counter[Figure]] = {}
        parts = self.placed.items() if "territory" in dimensions else [("", self.found)]
        for territory, key, value in ((one, *item) for one, found in parts for item in found.items()):
            if not self.wanted.at(key.unit or None, key.rung or None) or (families and key.family not in families):
                continue
            values = {**key._asdict(), "territory": territory}
            late, late_by, held = False, 0, 0
            if key.due:
                over = self.now - datetime.fromisoformat(key.due)
                late = over > timedelta(0)
                late_by = value * (over // MICROSECOND) if late and key.measure == OPEN else 0
            if key.measure == TURNING:
                held = value * ((self.now - core.begins(key.month)) // MICROSECOND)
            elif key.measure in (TURNED, SINCE):
                held = value if key.measure == TURNED else -value
            into = sums.setdefault(tuple(values[name] for name in dimensions), Counter())
            _into(into, (key.family, key.clock, key.measure), value=value, late=late, late_by=late_by, held=held)
        return sums


def _into(sums: Counter[Figure], figure: Figure, *, value: int, late: bool, late_by: int, held: int) -> None:
    family, clock, measure = figure
    if family == COURT:
        sums[family, clock, HELD] += held
        return
    if measure == OPEN:
        measure = "open_late" if late else "open_in_time"
        if late_by:
            sums[family, clock, LATE_BY] += late_by
    sums[family, clock, measure] += value
