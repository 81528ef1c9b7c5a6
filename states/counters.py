"""What one dossier adds to the counters: whole numbers under keys that do not change with time, so that they add up.

Whether an open promise is late depends on the instant of the question: it is counted under its due date. Durations are
sums of whole microseconds over what is closed. Who had the ball is what is over, and of the turns that last how many they
are and the sum of when they began, from the first of the month: so their length at any instant adds up too.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from states.court import CLOSED
from states.facts import Facts

MICROSECOND = timedelta(microseconds=1)
OPEN, IN_TIME, LATE, GROSS, NET = "open", "closed_in_time", "closed_late", "gross_us", "net_us"
LATE_BY = "late_us"
"""How long after its date what was late ended."""
COURT, TURNED, TURNING, SINCE = "court", "turned_us", "turning", "since_us"
"""Who had the ball: a family of its own, whose clocks are parties."""
FLOW, MOVED = "flow", "moved"
"""From rung to rung: a family of its own, whose clocks are the `moves` of a dossier."""
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
        over = max(one.end - one.due, timedelta(0))
        for measure, lasted in ((GROSS, one.gross(one.end)), (NET, one.net(one.end)), (LATE_BY, over)):
            if lasted:
                found[Key(*place, measure, "")] += lasted // MICROSECOND
    now = *head, facts.unit or 0, facts.rung or NOWHERE
    for index, (since, party) in enumerate(facts.turns):
        if party == CLOSED:
            continue
        if index + 1 < len(facts.turns):
            if lasted := facts.turns[index + 1][0] - since:
                found[Key(*now, COURT, party, TURNED, "")] += lasted // MICROSECOND
            continue
        found[Key(*now, COURT, party, TURNING, "")] += 1
        if ahead := (since - begins(month)) // MICROSECOND:
            found[Key(*now, COURT, party, SINCE, "")] += ahead
    for move in facts.moves:
        found[Key(*now, FLOW, move, MOVED, "")] += 1
    return found


def begins(month: date) -> datetime:
    """The instant that the turns of a month are reckoned from."""
    return datetime.combine(month, time(), UTC)


def _word(instant: datetime) -> str:
    return instant.isoformat(timespec="microseconds")


def difference(before: Counter[Key], after: Counter[Key]) -> list[tuple[Key, int]]:
    """What is to be added to the counters, in order of keys; nothing of what stays the same."""
    keys = sorted(before.keys() | after.keys())
    return [(key, after[key] - before[key]) for key in keys if after[key] != before[key]]
