"""An avis asked beside a dossier: what an act on one of the two wants of the other, read under the lock of the first.

`workflow.dossiers` calls this within the act, so that whoever asks, asks whole: what is refused here leaves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.definition import CONSULT, RECALL
from states.errors import BadInput, Refused, shown
from workflow import words

AVIS = "avis"
CALL_OFF = "call_off"
"""What a request is asked when it is taken back."""
NO_TEXT, DAYS = "sans_texte", 10
"""Without a text that gives them, the time of a request is its own, in working days, and this is what it is by default."""
QUESTION, REASON = "question", "reason"
APART = {CONSULT: QUESTION, RECALL: REASON}
"""By the act, the field that the service reads in its request, and that stands in no event of the dossier."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to be opened: what it says, its reference, the key that makes it once, the service that it is for."""

    args: Mapping[str, Any]
    reference: str
    key: str
    unit: int


_ASKED = """
select d.reference, d.data ->> 'topic' as topic, d.data ->> 'commune' as commune,
       cast(e.facts ->> 'consults' as integer) as unit, u.name as unit_name,
       u.zone
from events e join dossiers d on d.id = e.dossier_id left join units u on u.id = cast(e.facts ->> 'consults' as integer)
where e.dossier_id = :id and e.seq = :seq
"""
_OTHERS = """
select a.reference, a.due_at, c.unit_id, a.phase <> 'resolved' as open from consultations c
join dossiers a on a.id = c.dossier_id where c.parent_id = :id
"""


def asked(session: Session, key: int, seq: int, args: Mapping[str, Any], *, repeated: bool) -> Asked:
    """What the event `seq` of a dossier, whose lock is held, asks of a service. Raises BadInput, Refused.

    A service has one open request about a dossier at most; an act that is `repeated` is looked at as it was the first time.
    """
    row = session.execute(text(_ASKED), {"id": key, "seq": seq}).one()
    session.execute(text("select from consultations where parent_id = :id order by dossier_id for update"), {"id": key})
    others = session.execute(text(_OTHERS), {"id": key}).all()
    for one in others:
        if one.open and one.unit_id == row.unit and not repeated:
            until = "" if one.due_at is None else f", attendu avant le {words.on(one.due_at, row.zone)}"
            sentence = f"un avis est déjà demandé sur ce dossier à ce service, {row.unit_name} : {one.reference}{until}"
            raise Refused("consulted", sentence, field="consulted", accepted="un autre service, ou celui-ci ensuite")
    given = {
        "dossier": row.reference,
        "topic": row.topic,
        "commune": row.commune,
        QUESTION: args.get(QUESTION),
        **_time(args),
    }
    given = {name: value for name, value in given.items() if value is not None}
    return Asked(given, f"{row.reference}-A{len(others) + 1}", f"avis:{key}:{seq}", row.unit)


def _time(args: Mapping[str, Any]) -> dict[str, Any]:
    """On what basis it is asked, and within how many days where no text says that."""
    basis, days = args.get("basis") or NO_TEXT, args.get("days")
    if basis == NO_TEXT:
        return {"basis": basis, "days": days or DAYS}
    if days:
        raise BadInput("days", "le texte fixe le délai de cet avis", field="days", accepted="rien, ou basis sans_texte")
    return {"basis": basis}


def link(session: Session, request: int, about: int, unit: int) -> None:
    """Say which dossier a request is about, and which service it is for."""
    statement = "insert into consultations (dossier_id, parent_id, unit_id) values (:id, :parent, :unit)"
    session.execute(text(statement), {"id": request, "parent": about, "unit": unit})


_REQUESTS = """
select a.id, a.reference, a.phase <> 'resolved' as open from consultations c join dossiers a on a.id = c.dossier_id
where c.parent_id = :id order by a.id for update of a
"""


def taken_back(session: Session, key: int, reference: str, *, repeated: bool) -> int:
    """The request of this reference about a dossier, whose lock is held; locked too. Raises BadInput, Refused."""
    rows = session.execute(text(_REQUESTS), {"id": key}).all()
    found = next((row for row in rows if row.reference == reference), None)
    waiting = ", ".join(row.reference for row in rows if row.open) or "aucune n'est en attente"
    if found is None:
        sentence = f"« {shown(reference)} » n'est pas une demande d'avis sur ce dossier"
        raise BadInput("request", sentence, field="request", accepted=waiting)
    if not found.open and not repeated:
        raise Refused("request", f"la demande d'avis {reference} est déjà close", field="request", accepted=waiting)
    return int(found.id)


_LOCK_ALL = """
select c.dossier_id from consultations c
where c.parent_id = (select parent_id from consultations where dossier_id = :id) order by c.dossier_id for update
"""
_ABOUT = """
select p.unit_id = r.unit_id as held, u.name, r.unit_id,
       (select a.reference from consultations o join dossiers a on a.id = o.dossier_id
        where o.parent_id = p.id and o.unit_id = r.unit_id and a.id <> r.id and a.phase <> 'resolved' limit 1) as other
from consultations c join dossiers r on r.id = c.dossier_id join dossiers p on p.id = c.parent_id
join units u on u.id = r.unit_id where c.dossier_id = :id
"""


def passed_on(session: Session, key: int) -> None:
    """A request, whose lock is held, has gone to another service, which now reads the dossier instead. Raises Refused.

    The links of the dossier are locked before they are read: two requests passed to one service at once are told apart.
    """
    session.execute(text(_LOCK_ALL), {"id": key})
    row = session.execute(text(_ABOUT), {"id": key}).one()
    accepted = "un autre service"
    if row.held:
        sentence = f"{row.name} tient le dossier : l'avis n'a pas à lui être demandé"
        raise Refused("same_unit", sentence, field="to_unit", accepted=accepted)
    if row.other is not None:
        sentence = f"un avis est déjà demandé sur ce dossier à {row.name} : {row.other}"
        raise Refused("consulted", sentence, field="to_unit", accepted=accepted)
    statement = "update consultations set unit_id = :unit where dossier_id = :id"
    session.execute(text(statement), {"id": key, "unit": row.unit_id})
