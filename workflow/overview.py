"""Where things stand, for who steers: counts by administration and phase, what is stuck, what did not leave.

Metadata only: no text, no name of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from states.errors import Refused
from workflow import access, business_time, definitions, outbox, reconcile
from workflow.reconcile import Health

SOON = timedelta(days=7)
LISTED = 50


@dataclass(frozen=True, slots=True)
class UnitLine:
    """The open dossiers that one administration holds; what it is asked an avis on is not among them. `held` waits for the holder or a third party, and is in no other
    count but `open`.
    """

    code: str | None
    name: str | None
    level: str | None
    open: int
    submitted: int
    triaged: int
    escalated: int
    late: int
    soon: int
    held: int
    staffed: bool


@dataclass(frozen=True, slots=True)
class Spot:
    """An open dossier that stands out: its reference, place and topic."""

    reference: str
    place: str | None
    topic: str | None
    unit: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Vacancy:
    """An administration that dossiers wait for, and where nobody is in office."""

    code: str
    name: str
    open: int


@dataclass(frozen=True, slots=True)
class Dead:
    """A letter that was given up: of which dossier and unit, about what. No address: why it died may hold one."""

    dossier: str
    unit: str | None
    kind: str
    attempts: int
    made_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole, as it stands at `now`."""

    units: tuple[UnitLine, ...]
    total: UnitLine
    vacancies: tuple[Vacancy, ...]
    exhausted: tuple[Spot, ...]
    dead: tuple[Dead, ...]
    health: Health
    now: datetime


_HELD = "(d.holds <> '[]' and not d.holds -> -1 ? 'end')"
_COUNTS = f"""
count(*) as open, count(*) filter (where d.phase = 'submitted') as submitted, count(*) filter (where d.phase = 'triaged') as triaged,
count(*) filter (where d.phase = 'escalated') as escalated,
count(*) filter (where not {_HELD} and d.due_at < :now) as late,
count(*) filter (where not {_HELD} and d.due_at >= :now and d.due_at < :soon) as soon,
count(*) filter (where {_HELD}) as held
"""
_STAFFED = """
exists (select from memberships m where m.unit_id = u.id and m.role in ('referent', 'head', 'prefet', 'operator')
        and (m.valid_from is null or m.valid_from <= :now) and (m.valid_to is null or :now < m.valid_to))
"""
_UNITS = f"""
select u.code, u.name, u.level, c.*, coalesce({_STAFFED}, false) as staffed
from (select d.unit_id, {_COUNTS} from dossiers d where d.phase <> 'resolved' and d.definition_id <> all(:beside) and {{scope}}
      group by d.unit_id) c
left join units u on u.id = c.unit_id order by c.late desc, c.open desc, u.name
"""  # noqa: S608  (constants)
# The clock that asks one rung after another has stopped, and the dossier is open: nobody is left to be asked.
_EXHAUSTED = """
select d.reference, c.name as place, d.data ->> 'topic' as topic, u.name as unit,
       (select max(e.effective) from events e where e.dossier_id = d.id and e.kind = 'exhaust') as since
from dossiers d left join units u on u.id = d.unit_id left join communes c on c.code = d.data ->> 'commune' and {named}
where d.phase <> 'resolved' and {scope} and d.clocks ? 'rung' and d.clocks -> 'rung' ? 'end'
order by d.id limit :listed
"""


def overview(session: Session, actor: Actor) -> Overview:
    """Where everything stands. Raises Refused for who does not steer."""
    if actor.role != "manager":
        raise Refused("role", "le tableau de bord est celui des pilotes", field="role", accepted="manager")
    scope, now = access.scope(actor).sql, business_time.now(session)
    params: dict[str, Any] = {"now": now, "soon": now + SOON, "listed": LISTED, "beside": definitions.beside(session)}
    rows = session.execute(text(_UNITS.format(scope=scope)), params).all()
    units = tuple(
        UnitLine(row.code, row.name, row.level, row.open, row.submitted, row.triaged, row.escalated, row.late, row.soon,
                 row.held, row.staffed)
        for row in rows
    )  # fmt: skip
    names = ("open", "submitted", "triaged", "escalated", "late", "soon", "held")
    total = UnitLine(
        None, None, None, **{name: sum(getattr(unit, name) for unit in units) for name in names}, staffed=True
    )
    vacancies = tuple(Vacancy(one.code, one.name or "", one.open) for one in units if one.code and not one.staffed)
    exhausted = session.execute(text(_EXHAUSTED.format(scope=scope, named=access.named(actor).sql)), params).all()
    spots = tuple(Spot(row.reference, row.place, row.topic, row.unit, row.since) for row in exhausted)
    dead = tuple(
        Dead(one.dossier, one.unit, one.kind, one.attempts, one.made_at)
        for one in outbox.letters(session, state="dead", limit=LISTED)
    )
    return Overview(units, total, vacancies, spots, dead, reconcile.health(session), now)
