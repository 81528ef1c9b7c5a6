"""Avis: a service is consulted beside a dossier, which stays where it is.

A request is a small dossier of its own, under the definition `avis`, addressed to the service: its clock, its reminders,
its queue and its journal are those of any other. `consultations` says which dossier it is about.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from psycopg.rows import namedtuple_row
from sqlalchemy import text
from sqlalchemy.orm import Session

from states.definition import Definition
from states.dossier import SYSTEM, Actor, Dossier
from workflow import access, definitions, directory, dossiers, journal, texts
from workflow.apply import LANE_BULK, connection
from workflow.dossiers import COLUMNS, Request, dossier_of
from workflow.opinions import QUESTION


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
PASSED_ON = "opinion_passed_on"
_TOLD = {"given": "opinion_given", "silent": "opinion_silent"}
"""What the dossier is told, by the state in which a request ends."""


def follow(session: Session, ended: Collection[int], passed: Collection[tuple[int, int]] = ()) -> None:
    """What happened to some dossiers means to others, once: a request that ended, or that an event `passed` on (its key in
    the journal), is told to the dossier that it is about; a dossier that ended ends its open requests. Raises what made
    it impossible.
    """
    touched = {*ended, *(key for key, _ in passed)}
    pairs = session.execute(text(_CONCERNED), {"ids": sorted(touched)}).all() if touched else []
    if not pairs:
        return
    keys = sorted({key for pair in pairs for key in pair})
    rows = {row.id: row for row in session.execute(text(_LOCK), {"ids": keys})}
    asked: list[Request] = []
    for avis, parent in sorted((pair.dossier_id, pair.parent_id) for pair in pairs):
        request, about = rows[avis], rows[parent]
        if about.phase == "resolved":
            asked += [Request(avis, "drop")] if request.phase != "resolved" else []
            continue
        # The key makes it once, however often what happened to this request is looked at.
        told = {"request": request.reference}
        asked += [Request(parent, PASSED_ON, told, f"avis:{avis}:{seq}") for key, seq in sorted(passed) if key == avis]
        if avis in ended and request.state in _TOLD:
            asked.append(Request(parent, _TOLD[request.state], told, f"avis:{avis}"))
    for each in _rounds(asked):
        for result in dossiers.perform(session, each, actor=SYSTEM, lane=LANE_BULK):
            if result.error is not None:
                raise result.error


def _rounds(asked: Sequence[Request]) -> list[list[Request]]:
    """The requests in as many rounds as one dossier has of them: in each it is asked once."""
    rounds: list[dict[int, Request]] = []
    for one in asked:
        free = next((each for each in rounds if one.dossier_id not in each), None)
        if free is None:
            rounds.append(free := {})
        free[one.dossier_id] = one
    return [list(each.values()) for each in rounds]


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
