"""Absences: who is away, from when until when, and who stands in. Why is nobody's business, and is not kept.

A substitute is somebody who has a seat in each administration where the absent person has one: nobody is told what they
may not see.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.errors import BadInput, Refused, shown
from workflow import business_time
from workflow.directory import PARIS, STAFF

LONGEST = timedelta(days=731)


@dataclass(frozen=True, slots=True)
class Absence:
    """A person away from an instant until another; `zone` is that of their administration."""

    id: int
    login: str
    name: str
    begins: datetime
    ends: datetime
    substitute: str | None
    substitute_name: str | None
    zone: str


_LISTED = """
select a.id, p.login, p.name, a.begins, a.ends, s.login as substitute, s.name as substitute_name,
       coalesce((select u.zone from memberships m join units u on u.id = m.unit_id
                 where m.person_id = p.id and m.role = any(:staff) order by m.id limit 1), 'Europe/Paris') as zone
from absences a join persons p on p.id = a.person_id left join persons s on s.id = a.substitute_id
where (cast(:person as integer) is null or a.person_id = :person) and (cast(:id as integer) is null or a.id = :id)
and a.ends > :since order by a.begins, a.id
"""


def listed(session: Session, *, past: bool = False) -> list[Absence]:
    """The absences that last or are to come; with `past`, all of them."""
    since = datetime.min.replace(tzinfo=PARIS) + timedelta(days=2) if past else business_time.now(session)
    return _some(session, since=since)


def _some(session: Session, *, since: datetime, person: int | None = None, key: int | None = None) -> list[Absence]:
    params = {"staff": list(STAFF), "since": since, "person": person, "id": key}
    return [Absence(**row._mapping) for row in session.execute(text(_LISTED), params)]  # noqa: SLF001  (SQLAlchemy's public name)


def add(session: Session, login: str, first: date, last: date, *, substitute: str | None = None) -> Absence:
    """Note that a person is away from the first day to the last, both included, in the time zone of their administration.

    Raises BadInput: unknown, nobody's seat, over already, too long, or a substitute without a seat there; Refused: the
    person, or the substitute, is away already in these days.
    """
    person, seats = _person(session, login, "LOGIN")
    if not seats:
        raise BadInput(
            "seat",
            f"« {login} » n'a de siège dans aucune administration",
            field="LOGIN",
            accepted="un référent, un chef de service, un préfet ou un opérateur",
        )
    zone = ZoneInfo(seats[0].zone)
    begins, ends = (datetime.combine(day, time(), zone) for day in (first, last + timedelta(days=1)))
    if last < first:
        raise BadInput("span", "la fin vient avant le début", field="--until", accepted=f"le {first:%d/%m/%Y} ou après")
    if ends - begins > LONGEST:
        raise BadInput("span", "une absence aussi longue est un départ", field="--until", accepted="deux ans au plus")
    if ends <= business_time.now(session):
        raise BadInput("span", "cette absence est déjà finie", field="--until", accepted="un jour à venir")
    session.execute(text("select id from persons where id = :id for update"), {"id": person})
    _refuse_overlap(session, person, begins, ends, f"« {login} »", "LOGIN")
    stand_in = None
    if substitute is not None:
        stand_in = _substitute(session, substitute, person, seats, begins, ends)
    key = session.execute(
        text(
            "insert into absences (person_id, substitute_id, begins, ends) values (:person, :substitute, :begins, :ends) returning id"
        ),
        {"person": person, "substitute": stand_in, "begins": begins, "ends": ends},
    ).scalar_one()
    return _some(session, since=begins, key=key)[0]


def _substitute(session: Session, login: str, person: int, seats: Any, begins: datetime, ends: datetime) -> int:
    found, theirs = _person(session, login, "--substitute")
    if found == person:
        raise BadInput(
            "substitute", "personne ne se remplace soi-même", field="--substitute", accepted="quelqu'un d'autre"
        )
    at = max(begins, business_time.now(session))
    held = {row.unit_id for row in theirs if _in_office(row, at) and _in_office(row, ends - timedelta(microseconds=1))}
    missing = [row.unit for row in seats if _in_office(row, at) and row.unit_id not in held]
    if missing:
        sentence = f"« {login} » n'a pas de siège pendant ces jours dans : {', '.join(dict.fromkeys(missing))}"
        accepted = "quelqu'un qui en a un, ou un siège daté (coupe-file directory import, memberships.csv)"
        raise BadInput("substitute", sentence, field="--substitute", accepted=accepted)
    _refuse_overlap(session, found, begins, ends, f"« {login} »", "--substitute")
    return found


def _in_office(seat: Any, at: datetime) -> bool:
    return (seat.valid_from is None or seat.valid_from <= at) and (seat.valid_to is None or at < seat.valid_to)


_SEATS = """
select p.id, m.unit_id, u.code as unit, u.zone, m.valid_from, m.valid_to from persons p
left join memberships m on m.person_id = p.id and m.role = any(:staff) left join units u on u.id = m.unit_id
where p.login = :login order by m.id
"""


def _person(session: Session, login: str, field: str) -> tuple[int, list[Any]]:
    rows = session.execute(text(_SEATS), {"login": login.replace("\x00", ""), "staff": list(STAFF)}).all()
    if not rows:
        known = session.execute(text("select login from persons order by login")).scalars().all()
        near = difflib.get_close_matches(login, known, n=3, cutoff=0.4)
        accepted = ", ".join(near) or "le login d'une personne de l'annuaire"
        raise BadInput("person", f"personne inconnue : « {shown(login)} »", field=field, accepted=accepted)
    return rows[0].id, [row for row in rows if row.unit_id is not None]


def _refuse_overlap(session: Session, person: int, begins: datetime, ends: datetime, who: str, field: str) -> None:
    beside = next((one for one in _some(session, since=begins, person=person) if one.begins < ends), None)
    if beside is not None:
        zone = ZoneInfo(beside.zone)
        last = (beside.ends - timedelta(microseconds=1)).astimezone(zone)
        sentence = (
            f"{who} est déjà absent du {beside.begins.astimezone(zone):%d/%m/%Y} au {last:%d/%m/%Y} (n° {beside.id})"
        )
        raise Refused("away", sentence, field=field, accepted="d'autres jours, ou mettre fin à cette absence d'abord")


def end(session: Session, key: int) -> Absence:
    """End an absence now; one that has not begun is as if it had never been. Raises BadInput, Refused."""
    now = business_time.now(session)
    found = _some(session, since=datetime.min.replace(tzinfo=PARIS) + timedelta(days=2), key=key)
    if not found:
        raise BadInput("absence", f"absence inconnue : {key}", field="ID", accepted="coupe-file absence list les donne")
    if found[0].ends <= now:
        raise Refused("ended", "cette absence est déjà finie", field="ID")
    if found[0].begins >= now:
        session.execute(text("delete from absences where id = :id"), {"id": key})
    else:
        session.execute(text("update absences set ends = :now where id = :id"), {"id": key, "now": now})
    return found[0]


# --- who stands in ----------------------------------------------------------------------------------------------------

_AWAY = "select person_id, substitute_id from absences where begins <= (select business_now()) and (select business_now()) < ends"


def away(session: Session) -> dict[int, int | None]:
    """Who is away now, and by whom each is replaced."""
    return {row.person_id: row.substitute_id for row in session.execute(text(_AWAY))}


def standing_in(person: int, away: Mapping[int, int | None]) -> int | None:
    """Who is there for a person: the person, their substitute, the substitute's substitute; None when nobody is."""
    found: int | None = person
    seen: set[int] = set()
    while found is not None and found in away:
        if found in seen:
            return None
        seen.add(found)
        found = away[found]
    return found
