"""Vacancies: an administration that holds open dossiers while nobody is there. Told to the manager once, and seen to end.

Looked at when a dossier is placed, and each time the clock beats: people leave without a dossier moving.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.errors import BadInput
from workflow import business_time, directory
from workflow.directory import STAFF
from workflow.journal import dumps

KIND = "vacancy"

SOMEBODY = """
exists (select from memberships m join units mu on mu.id = m.unit_id
    where m.unit_id = {unit} and m.role = any(:staff)
    and (m.valid_from is null or m.valid_from <= (select business_now())) and (m.valid_to is null or (select business_now()) < m.valid_to)
    and (mu.valid_from is null or mu.valid_from <= (select business_now())) and (mu.valid_to is null or (select business_now()) < mu.valid_to)
    and not exists (select from absences a where a.person_id = m.person_id
                    and a.begins <= (select business_now()) and (select business_now()) < a.ends))
"""
# Each unit once, by a leap in the index from one to the next: a million open dossiers cost no more than their units.
_HOLDING = """
with recursive holding as (
    (select unit_id from dossiers where phase <> 'resolved' and unit_id is not null order by unit_id limit 1)
    union all
    select (select d.unit_id from dossiers d where d.phase <> 'resolved' and d.unit_id > holding.unit_id order by d.unit_id limit 1)
    from holding where holding.unit_id is not null
)
select unit_id from holding where unit_id is not null
"""
_BEGIN = f"""
insert into vacancies (unit_id, since)
select h.unit_id, (select business_now()) from ({{holding}}) h
where not exists (select from vacancies v where v.unit_id = h.unit_id and v.until is null) and not {SOMEBODY.format(unit="h.unit_id")}
order by h.unit_id
on conflict do nothing
returning id, unit_id, since
"""  # noqa: S608  (constants)
_SOME = "select distinct unit_id from dossiers where phase <> 'resolved' and unit_id = any(:units)"
_END = f"""
update vacancies v set until = (select business_now()) where v.until is null and ({SOMEBODY.format(unit="v.unit_id")}
or not exists (select from dossiers d where d.unit_id = v.unit_id and d.phase <> 'resolved'))
"""  # noqa: S608  (constants)
_FIRST = """
select d.id, d.seq, (select count(*) from dossiers n where n.unit_id = d.unit_id and n.phase <> 'resolved') as dossiers
from dossiers d where d.unit_id = :unit and d.phase <> 'resolved' order by d.id limit 1
"""
_TELL = """
insert into notices (dossier_id, seq, subscriber, target, cause, not_before)
values (:dossier, :seq, :subscriber, 'manager', cast(:cause as jsonb), :not_before)
on conflict on constraint uq_notices_once do nothing
"""


def look(session: Session, units: Collection[int] | None = None) -> int:
    """Note the vacancies that began and those that are over, and have the manager told of each that began; how many began.

    `units` are those to look at; without them, all that hold an open dossier, and what is over is closed.
    """
    holding, params = (_HOLDING, {}) if units is None else (_SOME, {"units": sorted(units)})
    began = session.execute(text(_BEGIN.format(holding=holding)), {"staff": list(STAFF), **params}).all()
    if units is None:
        session.execute(text(_END), {"staff": list(STAFF)})
    for row in sorted(began):
        first = session.execute(text(_FIRST), {"unit": row.unit_id}).one()
        cause = {"kind": KIND, "unit": row.unit_id, "effective": row.since.isoformat(), "dossiers": first.dossiers}
        session.execute(
            text(_TELL),
            {
                "dossier": first.id,
                "seq": first.seq,
                "subscriber": f"{KIND}:{row.id}",
                "cause": dumps(cause).decode(),
                "not_before": _opening(session, row.unit_id, row.since),
            },
        )
    return len(began)


def _opening(session: Session, unit: int, at: datetime) -> datetime:
    """When the administration is next at work: the manager of its territory reads it then."""
    almanac = directory.almanac_now(session)
    try:
        return almanac.desk(almanac.desk_of(unit, None)).hours.next_open(at)
    except BadInput:  # no calendar was loaded
        return at


def again(session: Session) -> None:
    """Have what was not yet told leave when its administration is next at work."""
    now = business_time.now(session)
    rows = session.execute(
        text("select id, cause ->> 'unit' as unit from notices where cause ->> 'kind' = 'vacancy' and state = 'queued'")
    )
    for row in rows.all():
        moved = {"id": row.id, "at": _opening(session, int(row.unit), now)}
        session.execute(text("update notices set not_before = :at where id = :id"), moved)


def over(session: Session, unit: int) -> bool:
    """Whether a vacancy has ended."""
    statement = "select exists (select from vacancies where unit_id = :unit and until is null)"
    return not session.execute(text(statement), {"unit": unit}).scalar_one()


@dataclass(frozen=True, slots=True)
class Vacancy:
    """An administration where nobody is: since when it is known, and how many open dossiers it holds."""

    code: str
    name: str
    since: datetime | None
    dossiers: int
    zone: str


_STANDING = f"""
select u.code, u.name, v.since, u.zone,
       (select count(*) from dossiers d where d.unit_id = u.id and d.phase <> 'resolved') as dossiers
from units u left join vacancies v on v.unit_id = u.id and v.until is null
where not {SOMEBODY.format(unit="u.id")} and (u.valid_from is null or u.valid_from <= (select business_now()))
and (u.valid_to is null or (select business_now()) < u.valid_to)
and (:every or exists (select from dossiers d where d.unit_id = u.id and d.phase <> 'resolved'))
order by dossiers desc, v.since nulls last, u.code
"""  # noqa: S608  (constants)


def standing(session: Session, *, every: bool = False) -> list[Vacancy]:
    """The administrations that hold open dossiers while nobody is there; with `every`, also those that hold none."""
    rows = session.execute(text(_STANDING), {"staff": list(STAFF), "every": every})
    return [Vacancy(**row._mapping) for row in rows]  # noqa: SLF001  (SQLAlchemy's public name)
