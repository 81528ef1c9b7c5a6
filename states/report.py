"""The report: what the facts of many dossiers add up to at an instant. Values in, values out.

Open dossiers count everywhere: a rate speaks of every promise whose fate is known, a wait is estimated with those that
still wait. Commitments and legal limits are never added up. What there is nothing to say of is None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from states import survival
from states.facts import Facts, Promise
from states.survival import Curve

BOXES = ("open_in_time", "open_late", "closed_in_time", "closed_late")
WAITS = ("triage", "first_answer", "resolution")
COUNTS = (
    "dossiers", "open", "open_late", "resolved", "withdrawn", "escalated", "reminded", "vacant", "reopened",
)  # fmt: skip
"""How many dossiers: all; open; open with a promise that is late; closed by an administration, by the holder; that were
escalated, reminded of, that passed over a vacant rung, that were opened again."""
TOTALS = ("escalations", "escalations_by_clock", "reminders", "vacancies", "reopenings")
AGES = (timedelta(days=7), timedelta(days=30), timedelta(days=90), timedelta(days=180))
COMMITMENT = "commitment"
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dossiers and promises a report is about; None: all.

    Dossiers are those submitted from `since` on and before `until`; what is asked beside a dossier (an avis) is none, unless
    its own definition is asked for by `version`. With a unit or a rung, a dossier is that of the one
    that has it now or had it last, a promise of the one that it is put to the account of.
    """

    since: datetime | None = None
    until: datetime | None = None
    unit: int | None = None
    rung: str | None = None
    topic: str | None = None
    version: str | None = None
    place: Callable[[str | None, datetime], bool] | None = None

    def dossier(self, facts: Facts) -> bool:
        """Whether a dossier is one of them, wherever it stands."""
        return (
            (self.since is None or facts.submitted >= self.since)
            and (self.until is None or facts.submitted < self.until)
            and (self.topic is None or facts.topic == self.topic)
            and (not facts.beside if self.version is None else self.version in _names(facts.definition))
            and (self.place is None or self.place(facts.commune, facts.submitted))
        )

    def at(self, unit: int | None, rung: str | None) -> bool:
        """Whether what stands there is."""
        return (self.unit is None or (unit or 0) == self.unit) and (self.rung is None or (rung or "") == self.rung)


def _names(definition: str) -> tuple[str, str]:
    """« coupe-file@2 » is asked for by that, or by its name alone."""
    return definition, definition.partition("@")[0]


@dataclass(slots=True)
class Box:
    """The promises of one clock: how many there are of each sort, and how long each ran, gross and net of stops."""

    counts: Counter[str] = field(default_factory=Counter)
    gross: list[tuple[timedelta, bool]] = field(default_factory=list)
    net: list[tuple[timedelta, bool]] = field(default_factory=list)

    def add(self, promise: Promise, now: datetime) -> None:
        """Count one promise."""
        over = promise.end is not None
        self.counts[box(promise, now)] += 1
        self.gross.append((promise.gross(now), over))
        self.net.append((promise.net(now), over))

    @property
    def known(self) -> int:
        """How many promises have a fate: kept, broken, or open and already late."""
        return self.counts.total() - self.counts["open_in_time"]

    @property
    def kept(self) -> float | None:
        """The share of them that was kept; None while none has a fate."""
        return self.counts["closed_in_time"] / self.known if self.known else None


def box(promise: Promise, now: datetime) -> str:
    """Which of the four a promise is."""
    return f"{'open' if promise.end is None else 'closed'}_{'late' if promise.late(now) else 'in_time'}"


@dataclass(slots=True)
class Report:
    """The figures at `now`, as dossiers are added one by one."""

    now: datetime
    wanted: Wanted
    by: Callable[[Facts], Iterable[tuple[str, Wanted]]] | None = None
    """The groups that a dossier counts in, each with what of it counts there."""
    counts: Counter[str] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)
    waits: dict[str, dict[str, list[tuple[timedelta, bool]]]] = field(
        default_factory=lambda: {name: {"gross": [], "net": []} for name in WAITS}
    )
    clocks: dict[tuple[str, str], Box] = field(default_factory=dict)
    court: dict[str, timedelta] = field(default_factory=dict)
    ages: list[int] = field(default_factory=lambda: [0] * (len(AGES) + 1))
    groups: dict[str, Report] = field(default_factory=dict)

    def add(self, facts: Facts) -> Counter[str]:
        """Count one dossier, if it is one of those wanted; gives the figures that it is in, and how often."""
        if not self.wanted.dossier(facts):
            return Counter()
        names = Counter(self._figures(facts))
        if self.by is not None and names:
            for group, wanted in self.by(facts):
                self.groups.setdefault(group, Report(self.now, wanted)).add(facts)
        return names

    def _figures(self, facts: Facts) -> Iterator[str]:
        late_now = False
        for promise in facts.promises:
            if self.wanted.at(promise.unit, promise.rung):
                self.clocks.setdefault((promise.family, promise.clock), Box()).add(promise, self.now)
                yield f"{promise.clock}:{box(promise, self.now)}"
            late_now = late_now or (promise.end is None and promise.late(self.now))
        if not self.wanted.at(facts.unit, facts.rung):
            return
        yield from self._dossier(facts, late=late_now)
        for move in facts.moves:
            yield f"moved:{move}"
        for name, (start, end, over) in waits(facts, self.now):
            gross = end - start
            net = gross - (facts.held(end) - facts.held(start))
            self.waits[name]["gross"].append((gross, over))
            self.waits[name]["net"].append((net, over))
            yield f"{name}:{'over' if over else 'waiting'}"
        for party, lasted in facts.shares(self.now).items():
            self.court[party] = self.court.get(party, _NONE) + lasted
            yield f"court:{party}"

    def _dossier(self, facts: Facts, *, late: bool) -> Iterator[str]:
        is_open = facts.closed is None
        holds = {
            "dossiers": True, "open": is_open, "open_late": is_open and late, "resolved": facts.resolved,
            "withdrawn": facts.closed is not None and facts.left, "escalated": facts.escalations, "reminded": facts.reminders,
            "vacant": facts.vacant, "reopened": facts.reopened,
        }  # fmt: skip
        for name in COUNTS:
            if holds[name]:
                self.counts[name] += 1
                yield name
        if stands := standing(facts, self.now):
            yield f"kept:{stands}"
        given = (facts.escalations, facts.by_clock, facts.reminders, len(facts.vacant), facts.reopened)
        self.totals.update(dict(zip(TOTALS, given, strict=True)))
        if is_open:
            age = self.now - facts.submitted
            place = sum(age >= limit for limit in AGES)
            self.ages[place] += 1
            yield f"age:{place}"

    def curve(self, wait: str, which: str = "gross") -> Curve:
        """How long a wait takes, with those that still wait."""
        return survival.curve(self.waits[wait][which])


def standing(facts: Facts, now: datetime) -> str | None:
    """Which of the four boxes a dossier is in by its commitments: late from the first that was not kept, or is not any
    more; None when it has none.
    """
    promised = [one for one in facts.promises if one.family == COMMITMENT]
    if not promised:
        return None
    late = any(one.late(now) for one in promised)
    return f"{'open' if facts.closed is None else 'closed'}_{'late' if late else 'in_time'}"


def waits(facts: Facts, now: datetime) -> Iterator[tuple[str, tuple[datetime, datetime, bool]]]:
    """The three waits of a dossier: from when, until when, and whether what was waited for came.

    A dossier that was closed before it came waits no longer, and one that its holder withdrew was not resolved.
    """
    until = now if facts.closed is None else facts.closed
    if facts.sorted_:
        yield "triage", (facts.submitted, facts.triaged or until, facts.triaged is not None)
    yield "first_answer", (facts.submitted, facts.answered or until, facts.answered is not None)
    yield "resolution", (facts.submitted, until, facts.resolved)


# --- as plain values --------------------------------------------------------------------------------------------------


def plain(report: Report) -> dict[str, Any]:
    """The figures as a document: durations in seconds, shares from 0 to 1, None where there is no datum."""
    whole = sum(report.court.values(), _NONE)
    return {
        "counts": {name: report.counts[name] for name in COUNTS},
        "totals": {name: report.totals[name] for name in TOTALS},
        "waits": {
            name: {which: duration(report.waits[name][which]) for which in ("gross", "net")} for name in WAITS
        },
        "clocks": [
            {"clock": name, "family": family, **{each: one.counts[each] for each in BOXES}, "known": one.known,
             "kept": one.kept, "gross": duration(one.gross), "net": duration(one.net)}
            for (family, name), one in sorted(report.clocks.items())
        ],
        "court": {
            party: {"seconds": lasted.total_seconds(), "share": lasted / whole if whole else None}
            for party, lasted in sorted(report.court.items(), key=lambda item: (-item[1], item[0]))
        },
        "ages": [
            {"from_days": 0 if not place else AGES[place - 1].days,
             "to_days": AGES[place].days if place < len(AGES) else None, "open": number}
            for place, number in enumerate(report.ages)
        ],
    }  # fmt: skip


def duration(lasted: list[tuple[timedelta, bool]]) -> dict[str, Any] | None:
    """How long something takes: how many waited, for how many it is over, the median and p90 with their intervals."""
    if not lasted:
        return None
    found = survival.curve(lasted)
    said: dict[str, Any] = {"waited": found.total, "over": found.events}
    for name, share in (("p50", 0.5), ("p90", 0.9)):
        one = found.quantile(share)
        said[name] = None if one.at is None else one.at.total_seconds()
        said[f"{name}_interval"] = [None if each is None else each.total_seconds() for each in (one.low, one.high)]
    return said


def points(found: Curve) -> list[Mapping[str, float]]:
    """The steps of a curve: seconds, at risk, events, the share still waiting, and its interval."""
    return [
        {"seconds": step.time.total_seconds(), "at_risk": step.at_risk, "events": step.events,
         "waiting": step.waiting, "low": step.low, "high": step.high}
        for step in found.steps
    ]  # fmt: skip
