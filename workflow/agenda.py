"""The due dates of a reader's dossiers, for their calendar: nothing that anybody wrote, since a calendar goes elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from states import clocks, court
from states.definition import Definition
from states.dossier import Actor
from workflow import access, definitions
from workflow.apply import connection
from workflow.dossiers import COLUMNS, dossier_of

MOST = 500
"""How many dossiers a calendar holds, the most pressing first."""


@dataclass(frozen=True, slots=True)
class Due:
    """A date: of a running clock, or (without one) until when an answer is waited for. `cycle` counts its starts."""

    dossier_id: int
    reference: str
    definition: Definition
    clock: str | None
    cycle: int
    family: str
    at: datetime
    zone: str
    unit: str | None


_OPEN = f"""
select d.reference, u.name, coalesce(u.zone, 'Europe/Paris'), {COLUMNS}
from dossiers d left join units u on u.id = d.unit_id
where d.phase <> 'resolved' and (cast(%(unit)s as integer) is null or d.unit_id = %(unit)s) and {{scope}}
order by coalesce(d.due_at, 'infinity'), d.id limit {MOST}
"""  # noqa: S608  (constants)


def due_dates(session: Session, actor: Actor) -> list[Due]:
    """What is due in the open dossiers of a holder, or of those that a desk holds now; a clock that stands still has no date."""
    scope = access.scope(actor)
    rows = connection(session).execute(_OPEN.format(scope=scope.raw), {**scope.params, "unit": actor.unit})
    found: list[Due] = []
    for row in rows.fetchall():
        reference, unit, zone, key, definition_id = row[:5]
        dossier, definition = dossier_of(row[6:]), definitions.get(session, definition_id).compiled.definition
        for name, clock in dossier.clocks.items():
            rule = definition.clocks.get(name)
            if clock.end is None and rule is not None and not clocks.paused(dossier, name):
                found.append(Due(key, reference, definition, name, clock.n, rule.family, clock.due, zone, unit))
        if dossier.hold is not None and court.awaited(dossier) is not None:
            number = len(dossier.holds)
            found.append(Due(key, reference, definition, None, number, "answer", dossier.hold.until, zone, unit))
    return sorted(found, key=lambda due: (due.at, due.dossier_id, due.clock or ""))
