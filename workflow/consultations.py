"""Avis: a service is consulted beside a dossier, which stays where it is.

A request is a small dossier of its own, under the definition `avis`, addressed to the service: its clock, its reminders,
its queue and its journal are those of any other. `consultations` says which dossier it is about.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg.rows import namedtuple_row
from sqlalchemy import text
from sqlalchemy.orm import Session

from states.definition import CONSULT, Definition
from states.dossier import SYSTEM, Actor, Dossier
from states.errors import BadInput, CoupeFileError, Refused
from workflow import access, definitions, directory, dossiers, journal, texts, words
from workflow.apply import LANE_BULK, connection
from workflow.dossiers import COLUMNS, Request, Result, Submission, dossier_of

AVIS = "avis"
NO_TEXT, DAYS = "sans_texte", "10"
"""Without a text that gives them, the time of a request is its own, in working days, and this is what it is by default."""
QUESTION = "question"


@dataclass(frozen=True, slots=True)
class Consultation:
    """A request for an avis, as the reader of the dossier that it is about may see it.

    `silence` is the outcome that silence would have, while it is open. What is asked and what is answered is between
    administrations: `outcome`, `question` and `opinion` are None for a holder, the last two for who sees metadata only.
    """

    id: int
    reference: str
    unit: str
    unit_name: str
    zone: str
    definition: Definition
    state: str
    since: datetime
    due_at: datetime | None
    closed_at: datetime | None
    silence: str | None
    outcome: str | None
    question: str | None
    opinion: str | None


# --- ask --------------------------------------------------------------------------------------------------------------


def act(
    session: Session,
    ids: Sequence[int],
    trigger: str,
    *,
    actor: Actor,
    args: Mapping[str, Any] | None = None,
    idem: str | None = None,
) -> list[Result]:
    """Ask one thing of some dossiers, as `dossiers.act` does; where a service is consulted, its request is opened with it."""
    if trigger == CONSULT:
        done = [_consult(session, key, actor, dict(args or {}), idem) for key in dict.fromkeys(ids)]
    else:
        done = dossiers.act(session, ids, trigger, actor=actor, args=args, idem=idem)
    return [_read_only(session, actor, result) if result.error is not None else result for result in done]


def _read_only(session: Session, actor: Actor, result: Result) -> Result:
    """A dossier that is outside the actor's scope but that they read is not unknown to them: say why it stays as it is."""
    if not isinstance(result.error, Refused) or result.error.code != "unknown":
        return result
    within = access.reads(actor)
    statement = f"select exists (select from dossiers d where d.id = :id and {within.sql})"  # noqa: S608  (a scope is ours)
    if not session.execute(text(statement), {"id": result.dossier_id, **within.params}).scalar():
        return result
    sentence = (
        "votre administration lit ce dossier, sans y agir : il est à celle qui le tient, ou dont l'avis est demandé"
    )
    return replace(result, error=Refused("read_only", sentence, field="dossier"))


def _consult(session: Session, key: int, actor: Actor, args: dict[str, Any], idem: str | None) -> Result:
    """What is refused, by the dossier or because that service already has a request, leaves nothing behind."""
    question = args.pop(QUESTION, None)
    try:
        with session.begin_nested():
            result = dossiers.one(dossiers.act(session, [key], CONSULT, actor=actor, args=args, idem=idem))
            _open(session, key, result, actor, {**args, QUESTION: question})
    except CoupeFileError as error:
        return Result(key, error=error)
    return result


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


def _open(session: Session, key: int, result: Result, actor: Actor, args: Mapping[str, Any]) -> None:
    """Open the request. The lock on the dossier that it is about is held: nobody opens another one meanwhile.

    A consultation that was sent twice opens one; with another question it is no repeat, and is refused.
    """
    asked = session.execute(text(_ASKED), {"id": key, "seq": result.seq}).one()
    others = session.execute(text(_OTHERS), {"id": key}).all()
    for one in others:
        if one.open and one.unit_id == asked.unit and not result.repeated:
            until = "" if one.due_at is None else f", attendu avant le {words.on(one.due_at, asked.zone)}"
            sentence = (
                f"un avis est déjà demandé sur ce dossier à ce service, {asked.unit_name} : {one.reference}{until}"
            )
            raise Refused("consulted", sentence, field="consulted", accepted="un autre service, ou celui-ci ensuite")
    given = {
        "dossier": asked.reference,
        "topic": asked.topic,
        "commune": asked.commune,
        QUESTION: args.get(QUESTION),
        **_time(args),
    }
    submission = Submission(
        {name: value for name, value in given.items() if value is not None},
        AVIS,
        key=f"avis:{key}:{result.seq}",
        reference=f"{asked.reference}-A{len(others) + 1}",
        unit=asked.unit,
    )
    (done,) = dossiers.submit(session, [submission], actor=actor)
    if done.repeated:
        return
    statement = "insert into consultations (dossier_id, parent_id, unit_id) values (:id, :parent, :unit)"
    session.execute(text(statement), {"id": done.dossier_id, "parent": key, "unit": asked.unit})


def _time(args: Mapping[str, Any]) -> dict[str, Any]:
    """On what basis it is asked, and within how many days where no text says that."""
    basis, days = args.get("basis") or NO_TEXT, args.get("days")
    if basis == NO_TEXT:
        return {"basis": basis, "days": days or DAYS}
    if days:
        raise BadInput("days", "le texte fixe le délai de cet avis", field="days", accepted="rien, ou basis sans_texte")
    return {"basis": basis}


def usual(session: Session, data: Mapping[str, Any], at: datetime) -> list[tuple[str, str, str]]:
    """(code, name, kind) of the services that are usually consulted on the topic of a dossier at its place."""
    found = directory.administrations(session)
    if found is None:
        return []
    services = found.consulted(str(data.get("topic")), str(data.get("commune")), at)
    return [(unit.code, unit.name, kind) for kind, unit in services]


# --- what follows -----------------------------------------------------------------------------------------------------

_CONCERNED = """
select c.dossier_id, c.parent_id from consultations c where c.dossier_id = any(:ids) or c.parent_id = any(:ids)
"""
_LOCK = "select id, reference, state, phase, definition_id from dossiers where id = any(:ids) order by id for update"
_TOLD = {"given": "opinion_given", "silent": "opinion_silent"}
"""What the dossier is told, by the state in which a request ends."""


def follow(session: Session, ended: Collection[int]) -> None:
    """What the end of some dossiers means to others, once: a request that ended is told to the dossier that it is about, and
    a dossier that ended ends its open requests. Raises what made it impossible.
    """
    pairs = session.execute(text(_CONCERNED), {"ids": sorted(ended)}).all() if ended else []
    if not pairs:
        return
    keys = sorted({key for pair in pairs for key in pair})
    rows = {row.id: row for row in session.execute(text(_LOCK), {"ids": keys})}
    rounds: list[dict[int, Request]] = []
    for avis, parent in sorted((pair.dossier_id, pair.parent_id) for pair in pairs):
        request, about = rows[avis], rows[parent]
        if request.phase != "resolved":
            asked = Request(avis, "drop") if about.phase == "resolved" else None
        elif avis in ended and about.phase != "resolved" and request.state in _TOLD:
            # The key makes it once, however often the end of this request is looked at.
            asked = Request(parent, _TOLD[request.state], {"request": request.reference}, idem=f"avis:{avis}")
        else:
            asked = None
        if asked is not None:
            free = next((one for one in rounds if asked.dossier_id not in one), None)
            if free is None:
                rounds.append(free := {})
            free[asked.dossier_id] = asked
    for each in rounds:
        for result in dossiers.perform(session, list(each.values()), actor=SYSTEM, lane=LANE_BULK):
            if result.error is not None:
                raise result.error


# --- read -------------------------------------------------------------------------------------------------------------

_OF = f"""
select d.reference, u.code, u.name, u.zone, c.unit_id as consulted, s.at as since, o.opinion, {COLUMNS}
from consultations c join dossiers d on d.id = c.dossier_id join units u on u.id = c.unit_id
join events s on s.dossier_id = d.id and s.seq = 1
left join lateral (select cast(e.command -> 'args' -> 'opinion' ->> 'text' as uuid) as opinion from events e
                   where e.dossier_id = d.id and e.kind = 'give' limit 1) o on true
where c.parent_id = %(id)s order by d.id
"""  # noqa: S608  (constants of this module)
_STATE = 10
"""Where the columns of `dossier_of` begin."""


def of(
    session: Session, key: int, actor: Actor, *, units: Sequence[int], sees: bool, at: datetime | None = None
) -> tuple[Consultation, ...]:
    """The requests about a dossier, which this actor may read, in the order in which they were made; with `at`, as they
    stood at that instant. `units` were given the dossier: a service that is only consulted reads its own requests. What was
    written in those of others is for who `sees` the contents of the dossier.
    """
    rows: list[Any] = connection(session).cursor(row_factory=namedtuple_row).execute(_OF, {"id": key}).fetchall()
    stood = {row.id: dossier_of(row[_STATE:]) for row in rows}
    if at is not None:
        stood = _past(session, list(stood), at)
    whole = actor.role != "holder" and access.may_act(actor, units)
    inside = [row for row in rows if row.id in stood and (whole or _theirs(row, actor))]
    told = [row for row in inside if sees or _theirs(row, actor)]
    said = _said(session, told, stood) if actor.role in access.SEES_TEXTS else {}
    outcomes = {row.id: stood[row.id].outcome for row in inside}
    return tuple(
        _made(definitions.get(session, row.definition_id).compiled.definition, row, stood[row.id], outcomes, said)
        for row in rows
        if row.id in stood
    )


def _past(session: Session, keys: Sequence[int], at: datetime) -> dict[int, Dossier]:
    events = [event for event in journal.read(session, keys) if event.at <= at] if keys else []
    return {key: journal.folded(list(own)) for key, own in groupby(events, key=lambda event: event.dossier_id)}


def _theirs(row: Any, actor: Actor) -> bool:
    return actor.role != "holder" and row.consulted == actor.unit


Said = dict[int, tuple[str | None, str | None]]
"""The question of each request, and the opinion that ended it."""


def _said(session: Session, rows: Sequence[Any], stood: Mapping[int, Dossier]) -> Said:
    keys = {
        row.id: (_key(stood[row.id].data.get(QUESTION)), row.opinion if stood[row.id].closed_at is not None else None)
        for row in rows
    }
    bodies = texts.bodies(session, {key for pair in keys.values() for key in pair if key is not None})
    told = {key: body if body is not None else texts.ERASED for key, body in bodies.items()}
    return {
        one: (None if asked is None else told.get(asked), None if given is None else told.get(given))
        for one, (asked, given) in keys.items()
    }


def _key(value: Any) -> uuid.UUID | None:
    return uuid.UUID(value["text"]) if isinstance(value, dict) and "text" in value else None


def _made(
    definition: Definition, row: Any, dossier: Dossier, outcomes: Mapping[int, str | None], said: Said
) -> Consultation:
    question, opinion = said.get(row.id, (None, None))
    return Consultation(
        row.id, row.reference, row.code, row.name, row.zone, definition, dossier.state, row.since, dossier.due_at,
        dossier.closed_at, silence(definition, _running(dossier)), outcomes.get(row.id), question, opinion,
    )  # fmt: skip


def _running(dossier: Dossier) -> list[str]:
    return [name for name, clock in dossier.clocks.items() if clock.end is None]


def silence(definition: Definition, running: Iterable[str]) -> str | None:
    """The outcome that a request has if one of its running clocks runs out, as declared; None when nothing is."""
    fired = {rule.due.fire for name in running if (rule := definition.clocks.get(name)) is not None}
    return next(
        (one.sets["outcome"] for one in definition.triggers if one.name in fired and "outcome" in one.sets), None
    )
