"""What one dossier adds to the counters: whole numbers under keys that do not change with time, so that they add up.

Whether an open promise is late depends on the instant of the question: it is counted under its due date. Durations are
sums of whole microseconds over what is closed.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import NamedTuple

from states.facts import Facts

MICROSECOND = timedelta(microseconds=1)
OPEN, IN_TIME, LATE, GROSS, NET = "open", "closed_in_time", "closed_late", "gross_us", "net_us"
NOWHERE = ""


class Key(NamedTuple):
    """What a counter counts: of which month of submission, where, for what, who, and when due (an ISO instant in UTC, or
    nothing). An empty word is none; `unit` 0 is none.
    """

    month: date
    departement: str
    topic: str
    definition: str
    unit: int
    rung: str
    family: str
    clock: str
    measure: str
    due: str


def contribution(facts: Facts, *, month: date, departement: str) -> Counter[Key]:
    """What a dossier adds now; nothing in it is zero."""
    found: Counter[Key] = Counter()
    head = month, departement, facts.topic or NOWHERE, facts.definition
    here = *head, facts.unit or 0, facts.rung or NOWHERE, "", ""
    counted = {
        "dossiers": 1, "open_dossiers": facts.closed is None, "resolved": facts.resolved,
        "withdrawn": facts.closed is not None and facts.left, "escalations": facts.escalations,
        "escalations_by_clock": facts.by_clock, "reminders": facts.reminders, "vacancies": len(facts.vacant),
        "reopenings": facts.reopened,
    }  # fmt: skip
    for measure, number in counted.items():
        if number:
            found[Key(*here, measure, "")] += int(number)
    for one in facts.promises:
        place = *head, one.unit or 0, one.rung or NOWHERE, one.family, one.clock
        if one.end is None:
            found[Key(*place, OPEN, _word(one.due))] += 1
            continue
        found[Key(*place, LATE if one.late(one.end) else IN_TIME, "")] += 1
        for measure, lasted in ((GROSS, one.gross(one.end)), (NET, one.net(one.end))):
            if lasted:
                found[Key(*place, measure, "")] += lasted // MICROSECOND
    return found


def _word(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds")


def difference(before: Counter[Key], after: Counter[Key]) -> list[tuple[Key, int]]:
    """What is to be added to the counters, in order of keys; nothing of what stays the same."""
    keys = sorted(before.keys() | after.keys())
    return [(key, after[key] - before[key]) for key in keys if after[key] != before[key]]
