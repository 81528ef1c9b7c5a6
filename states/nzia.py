"""The report that Regulation (EU) 2024/1735 (NZIA) asks of a Member State, article 42(2)(e), over the projects of the base.

For each technology: permit-granting processes begun, applications refused, comprehensive decisions approved and refused,
and the duration of the processes in which a decision was taken, extensions included. The text asks for decided ones
only; the open ones stand beside, or a delay that never ends would be counted nowhere. An application that is refused
without having been acknowledged complete is a refused application, later it is a decision. A process begins when the
application is acknowledged to be complete (article 9), and lasts in calendar days until the decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from statistics import median
from typing import Any

from states.facts import Facts, Promise

CLOCKS = ("nzia", "nzia_strategic")
REGULATION, TECHNOLOGY, CAPACITY = "regulation", "technologie", "capacite"
UNSAID, OTHER = "non précisée", "autre"
APPROVED, REFUSED = "approved", "refused"


@dataclass(slots=True)
class Technology:
    """The figures of one technology in a period; durations and ages in calendar days."""

    begun: int = 0
    applications_refused: int = 0
    approved: int = 0
    refused: int = 0
    withdrawn: int = 0
    durations: list[int] = field(default_factory=list)
    late: int = 0
    extended: int = 0
    open: int = 0
    open_late: int = 0
    ages: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Nzia:
    """The figures by technology, and what is known to be missing: the reason, and the dossiers concerned."""

    technologies: dict[str, Technology] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)

    def lacks(self, what: str, reference: str) -> None:
        """Note that something is missing for a dossier."""
        self.missing.setdefault(what, []).append(reference)


MISSING = {
    "technology": "la technologie n'est pas précisée",
    "other": "la technologie est « autre » : le rapport la demande par technologie",
    "capacity": "la capacité n'est pas précisée : le délai dépend d'elle",
    "completeness": "aucun accusé de complétude : la procédure n'a pas de départ, ni de durée",
    "outcome": "la décision est rendue sans issue connue",
}
ALWAYS = (
    "les moyens des points de contact uniques (effectifs, budget), qui ne sont pas dans la base",
    "les demandes refusées avant l'accusé de complétude, si elles n'ont pas été déposées ici",
    "les projets instruits hors de ce service",
    "les projets exemptés pour des intérêts essentiels de sécurité (article 42, paragraphe 4)",
)
"""What no base of dossiers can know: said in each report."""


def nzia(
    dossiers: Iterable[tuple[str, Facts]], *, since: datetime, until: datetime, now: datetime, zone: tzinfo
) -> Nzia:
    """The figures of a period, from its first instant to before `until`, as known at `now`."""
    found = Nzia()
    for reference, facts in dossiers:
        if facts.data.get(REGULATION) not in CLOCKS or facts.submitted >= until:
            continue
        ran = [one for one in facts.promises if one.clock in CLOCKS]
        promise = max(ran, key=lambda one: one.start, default=None)
        closed = facts.closed is not None and facts.closed < until
        if closed and facts.closed is not None and facts.closed < since:
            continue
        for what in _missing(facts, promise, closed=closed):
            found.lacks(what, reference)
        one = found.technologies.setdefault(str(facts.data.get(TECHNOLOGY) or UNSAID), Technology())
        if promise is not None and since <= promise.start < until:
            one.begun += 1
        if promise is not None:
            one.extended += bool(promise.extended)
        if closed:
            _closed(one, facts, promise, zone)
        else:
            one.open += 1
            if promise is not None:
                one.open_late += promise.late(min(now, until))
                one.ages.append((min(now, until).astimezone(zone).date() - promise.start.astimezone(zone).date()).days)
    return found


def _closed(one: Technology, facts: Facts, promise: Promise | None, zone: tzinfo) -> None:
    if facts.outcome not in (APPROVED, REFUSED):
        one.withdrawn += 1
        return
    if promise is None:
        one.applications_refused += facts.outcome == REFUSED
        return
    one.approved += facts.outcome == APPROVED
    one.refused += facts.outcome == REFUSED
    if promise.end is not None:
        one.durations.append((promise.end.astimezone(zone).date() - promise.start.astimezone(zone).date()).days)
        one.late += promise.late(promise.end)


def _missing(facts: Facts, promise: Promise | None, *, closed: bool) -> Iterator[str]:
    given = facts.data.get(TECHNOLOGY)
    if given is None:
        yield "technology"
    elif given == OTHER:
        yield "other"
    if facts.data.get(CAPACITY) is None:
        yield "capacity"
    if promise is None:
        yield "completeness"
    if closed and facts.outcome is None:
        yield "outcome"


def plain(found: Nzia) -> dict[str, Any]:
    """As a document; None where there is no datum."""
    return {
        "technologies": {
            name: {
                "begun": one.begun, "applications_refused": one.applications_refused, "decisions_approved": one.approved,
                "decisions_refused": one.refused, "withdrawn": one.withdrawn, "extended": one.extended,
                "decided": _spread(one.durations), "decided_late": one.late, "open": one.open,
                "open_late": one.open_late, "open_ages": _spread(one.ages),
            }
            for name, one in sorted(found.technologies.items())
        },
        "missing": [
            {"what": what, "text": words, "dossiers": found.missing[what]}
            for what, words in MISSING.items()
            if what in found.missing
        ],
        "never_here": list(ALWAYS),
    }  # fmt: skip


def _spread(days: list[int]) -> dict[str, float] | None:
    """How many, the mean, the median, the shortest and the longest, in calendar days."""
    if not days:
        return None
    return {
        "count": len(days),
        "mean": sum(days) / len(days),
        "median": median(days),
        "min": min(days),
        "max": max(days),
    }
