"""Reckoning the clocks of a dossier again after a calendar, or the table of legal limits, has changed.

It records, and fires nothing. A clock keeps its start, its pauses and what it has done; one that is stopped or past due
stays as it was; one whose date does not move is not touched, and keeps the version that it was reckoned with.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from states import clocks
from states.almanac import Almanac
from states.clocks import DUE_STEP
from states.dossier import Actor, Clock, Context, Decision, Dossier
from states.draft import Draft
from states.machine import Compiled

REBUILD = "clock.rebuild"
REBUILDER = Actor(None, None, "rebuild")


def moved(compiled: Compiled, dossier: Dossier, almanac: Almanac) -> Iterator[tuple[str, Clock]]:
    """The clocks of a dossier whose date is another by today's calendars and table, as they then are."""
    for name, clock in dossier.clocks.items():
        if clock.end is not None or clock.desk is None or DUE_STEP in clock.done:
            continue
        rule = compiled.definition.clocks.get(name)
        if rule is None:
            continue
        desk = almanac.codes.get(almanac.desk(clock.desk).code, clock.desk)
        table = clock.table if clock.table is None else almanac.table
        if (desk, table) == (clock.desk, clock.table):
            continue
        fresh = clock._replace(desk=desk, table=table)
        due = clocks.due(rule, name, fresh, dossier.holds, dossier.data, almanac)
        if due != clock.due:
            yield name, fresh._replace(due=due)


def rebuild(
    compiled: Compiled, before: Dossier, almanac: Almanac, *, at: datetime, why: str, who: str
) -> Decision | None:
    """The one event that moves what moves; None when nothing does."""
    found = dict(moved(compiled, before, almanac))
    if not found:
        return None
    draft = Draft(compiled.definition, before, Context(almanac=almanac), at)
    draft.actor = REBUILDER
    draft.facts["was"] = {name: before.clocks[name].due.isoformat() for name in found}
    for name, clock in found.items():
        draft.put_clock(name, clock)
    draft.emit(REBUILD, {"why": why, "who": who})
    draft.seal()
    return Decision(before, draft.dossier, draft.events)
