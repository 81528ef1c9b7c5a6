"""Who follows what in an administration: dossiers shared by load, and all of a person's handed over when they leave."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from states.errors import BadInput, Refused, shown
from workflow import access, business_time, dossiers, vacancies
from workflow.directory import STAFF
from workflow.dossiers import Request

FOLLOWS = ("referent", "operator")
"""The roles that dossiers are shared among."""
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Given:
    """A dossier that was given to a person; `login` is None when it was given back to the unit."""

    dossier_id: int
    reference: str
    login: str | None


# --- by load ----------------------------------------------------------------------------------------------------------

_LOADS = """
select p.login, p.id, (select count(*) from dossiers d where d.unit_id = :unit and d.phase <> 'resolved' and d.assignee_id = p.id) as load
from persons p where exists (select from memberships m where m.person_id = p.id and m.unit_id = :unit and m.role = any(:roles)
    and (m.valid_from is null or m.valid_from <= :now) and (m.valid_to is null or :now < m.valid_to))
and not exists (select from absences a where a.person_id = p.id and a.begins <= :now and :now < a.ends)
order by p.id
"""
_WAITING = """
select d.id, d.reference from dossiers d
where d.unit_id = :unit and d.phase <> 'resolved' and d.assignee_id is null and {scope}
and (cast(:ids as bigint[]) is null or d.id = any(:ids)) order by d.due_at nulls last, d.id
"""


def share(session: Session, actor: Actor, ids: Sequence[int] | None = None) -> list[Given]:
    """Assign the dossiers of the actor's administration that nobody follows, the most pressing first, each to whoever
    there follows the fewest; `ids` are those to share, all by default.

    Raises Refused: the actor has no administration, nobody is there, or the act itself is refused: then nothing is done.
    """
    if actor.unit is None:
        raise Refused("unit", "ce siège n'est dans aucune administration", field="--as", accepted="login@unité")
    now, scope = business_time.now(session), access.scope(actor)
    params = {"unit": actor.unit, "ids": None if ids is None else list(ids), **scope.params}
    waiting = session.execute(text(_WAITING.format(scope=scope.sql)), params).all()
    loads = session.execute(text(_LOADS), {"unit": actor.unit, "roles": list(FOLLOWS), "now": now}).all()
    if not loads and waiting:
        raise Refused(
            "vacant",
            "aucun référent ni opérateur n'est là pour les suivre",
            field="--as",
            accepted="coupe-file vacancies",
        )
    heap = [(row.load, row.id, row.login) for row in loads]
    heapq.heapify(heap)
    arguments = {row.login: {"to_user": row.login} for row in loads}
    given, requests = [], []
    for row in waiting:
        load, key, login = heap[0]
        heapq.heapreplace(heap, (load + 1, key, login))
        given.append(Given(row.id, row.reference, login))
        requests.append(Request(row.id, "assign", arguments[login]))
    _done(session, requests, given, actor)
    return given


def _done(session: Session, requests: Sequence[Request], given: Sequence[Given], actor: Actor) -> None:
    """Perform all of it, or raise what was refused with the dossiers concerned."""
    if not requests:
        return
    names = {one.dossier_id: one.reference for one in given}
    refused = [result for result in dossiers.perform(session, requests, actor=actor) if result.error is not None]
    if refused:
        told = "; ".join(f"{names[one.dossier_id]} : {one.error}" for one in refused[:SHOWN])
        more = f" (et {len(refused) - SHOWN} autres)" if len(refused) > SHOWN else ""
        raise Refused("refused", f"rien n'a été changé : {told}{more}", field="dossier")


# --- leaving ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Left:
    """What a person left: the seats that were closed, and each dossier with whoever has it now."""

    login: str
    at: datetime
    seats: list[str] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)


_SEATS = """
select m.id, m.unit_id, m.role, u.code, p.id as person_id from persons p
left join memberships m on m.person_id = p.id and m.role = any(:staff) and m.unit_id is not null
    and (m.valid_from is null or m.valid_from < :now) and (m.valid_to is null or :now < m.valid_to)
left join units u on u.id = m.unit_id where p.login = :login order by m.unit_id, m.id
"""
_FOLLOWED = """
select d.id, d.reference from dossiers d
where d.unit_id = :unit and d.phase <> 'resolved' and d.assignee_id = :person and {scope} order by d.id
"""
_CLOSE = "update memberships set valid_to = :now where id = any(:ids)"
_FORGET = (
    "delete from absences where person_id = :person and begins >= :now",
    "update absences set ends = :now where person_id = :person and begins < :now and ends > :now",
    "update absences set substitute_id = null where substitute_id = :person and ends > :now",
)


def leave(session: Session, login: str, actor: Actor, *, to: str | None = None) -> Left:
    """Close the seats of a person now, and hand over all that they follow: to `to`, else back to the administration.

    The person does it for each of their seats, a head of service for those in their administration. Raises BadInput:
    unknown, no seat; Refused: somebody else's business, or a dossier that cannot be handed over: then nothing is done.
    """
    now = business_time.now(session)
    rows = session.execute(text(_SEATS), {"login": login.replace("\x00", ""), "staff": list(STAFF), "now": now}).all()
    if not rows:
        raise BadInput(
            "person", f"personne inconnue : « {shown(login)} »", field="LOGIN", accepted="un login de l'annuaire"
        )
    person = rows[0].person_id
    themselves = actor.person == person
    seats = [row for row in rows if row.id is not None and (themselves or row.unit_id == actor.unit)]
    if not themselves and actor.role != "head":
        raise Refused(
            "role", "un départ est dit par la personne, ou par son chef de service", field="--as", accepted="head"
        )
    if not seats:
        where = "" if themselves else " dans votre administration"
        raise BadInput(
            "seat", f"« {login} » n'occupe aucun siège{where}", field="LOGIN", accepted="une personne en fonction"
        )
    if to == login:
        raise BadInput(
            "to", "on ne remet pas ses dossiers à soi-même", field="--to", accepted="quelqu'un d'autre, ou rien"
        )
    left = Left(login, now, [f"{row.code}:{row.role}" for row in seats])
    for unit in dict.fromkeys(row.unit_id for row in seats):
        own = next(Actor(person, unit, row.role) for row in seats if row.unit_id == unit)
        left.given += _handed_over(session, unit, person, own if themselves else actor, to)
    session.execute(text(_CLOSE), {"ids": [row.id for row in seats], "now": now})
    if len(seats) == len(rows):
        for statement in _FORGET:
            session.execute(text(statement), {"person": person, "now": now})
    vacancies.look(session, {row.unit_id for row in seats})
    return left


def _handed_over(session: Session, unit: int, person: int, actor: Actor, to: str | None) -> list[Given]:
    scope = access.scope(actor)
    params = {"unit": unit, "person": person, **scope.params}
    rows = session.execute(text(_FOLLOWED.format(scope=scope.sql)), params).all()
    args: dict[str, Any] = {} if to is None else {"to_user": to}
    given = [Given(row.id, row.reference, to) for row in rows]
    trigger = "release" if to is None else "assign"
    _done(session, [Request(row.id, trigger, args) for row in rows], given, actor)
    return given
