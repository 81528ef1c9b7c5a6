"""Meetings on dossiers (revues de projets): an agenda, what changed since the last one, and what is decided on each.

A decision is a note of its dossier, between administrations: its words are in the journal alone. Here stand which meeting
took it and by when it is to be done. A meeting is of one unit, and seen by that unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from states.errors import BadInput, Refused
from states.explanation import LANGUAGES
from workflow import access, business_time, dossiers, texts

NOTE = "note"
MOST = 60
"""How many dossiers an agenda holds."""
BEFORE = timedelta(days=30)
"""How far back a first meeting looks."""
WEEK = timedelta(days=7)
WHO_MOST = 100


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting, with how many dossiers are on its agenda and how many decisions were noted."""

    id: int
    unit: int
    day: date
    chair: str
    closed_at: datetime | None
    dossiers: int
    decisions: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on a dossier, in the words of its note, and by when it is to be done."""

    dossier: int
    reference: str
    seq: int
    day: date
    due: date | None
    done: bool
    said: str


_MEETINGS = """
select m.id, m.unit_id, m.day, p.name, m.closed_at,
       (select count(*) from agenda_items i where i.meeting_id = m.id) as dossiers,
       (select count(*) from meeting_decisions c where c.meeting_id = m.id) as decisions
from meetings m join persons p on p.id = m.chair_id where m.unit_id = :unit
"""


def listed(session: Session, actor: Actor, *, limit: int = 50) -> list[Meeting]:
    """The meetings of an actor's unit, the latest first."""
    found = session.execute(text(f"{_MEETINGS} order by m.day desc limit :limit"), {"unit": actor.unit, "limit": limit})
    return [Meeting(*row) for row in found]


def find(session: Session, actor: Actor, day: date) -> Meeting:
    """The meeting of an actor's unit on a day. Raises Refused."""
    row = session.execute(text(f"{_MEETINGS} and m.day = :day"), {"unit": actor.unit, "day": day}).one_or_none()
    if row is None:
        raise Refused("unknown", f"aucune séance le {said_day(day)}", field="day")
    return Meeting(*row)


# --- the agenda -------------------------------------------------------------------------------------------------------


_OPEN = """
insert into meetings (unit_id, day, chair_id) values (:unit, :day, :chair) on conflict on constraint uq_meetings_day do nothing
"""
_ADD = """
insert into agenda_items (meeting_id, dossier_id, place)
select :meeting, :dossier, coalesce(max(place), 0) + 1 from agenda_items where meeting_id = :meeting
on conflict on constraint pk_agenda_items do nothing
"""


def convene(session: Session, actor: Actor, day: date, references: Sequence[str]) -> Meeting:
    """Put dossiers on the agenda of the meeting of that day, which is opened if need be. Raises BadInput, Refused."""
    if actor.unit is None:
        raise Refused("role", "une séance est celle d'une administration", field="day")
    today = business_time.now(session).date()
    if not today - WEEK <= day <= today + 365 * timedelta(days=1):
        raise BadInput("date", "date de séance hors de portée", field="day", accepted="au plus dans un an")
    session.execute(text(_OPEN), {"unit": actor.unit, "day": day, "chair": actor.person})
    _hold(session, actor, day)
    meeting = _still_open(find(session, actor, day))
    for reference in dict.fromkeys(references):
        key = access.find(session, reference, actor)
        session.execute(text(_ADD), {"meeting": meeting.id, "dossier": key})
    meeting = find(session, actor, day)
    if meeting.dossiers > MOST:
        raise Refused("many", f"{meeting.dossiers} dossiers à l'ordre du jour", field="day", accepted=f"{MOST} au plus")
    return meeting


def _hold(session: Session, actor: Actor, day: date) -> None:
    """Let nobody else change this meeting until the transaction ends: nothing is noted while its minutes are asked to leave."""
    statement = "select 1 from meetings where unit_id = :unit and day = :day for update"
    session.execute(text(statement), {"unit": actor.unit, "day": day})


def strike(session: Session, actor: Actor, day: date, reference: str) -> None:
    """Take a dossier off the agenda. Raises Refused once something was decided on it."""
    _hold(session, actor, day)
    meeting, key = _still_open(find(session, actor, day)), access.find(session, reference, actor)
    params = {"meeting": meeting.id, "dossier": key}
    decided = "select exists (select from meeting_decisions where meeting_id = :meeting and dossier_id = :dossier)"
    if session.execute(text(decided), params).scalar():
        raise Refused("decided", "une décision est notée sur ce dossier : il reste à l'ordre du jour", field="dossier")
    session.execute(text("delete from agenda_items where meeting_id = :meeting and dossier_id = :dossier"), params)


def _still_open(meeting: Meeting) -> Meeting:
    if meeting.closed_at is not None:
        raise Refused("closed", "le relevé de cette séance est parti : elle est close", field="day")
    return meeting


def agenda(session: Session, actor: Actor, meeting: Meeting) -> list[int]:
    """The dossiers of an agenda, in order, as far as this actor may read them."""
    scope = access.reads(actor)
    statement = (
        "select d.id from agenda_items i join dossiers d on d.id = i.dossier_id "  # noqa: S608  (a scope is ours)
        f"where i.meeting_id = :meeting and {scope.sql} order by i.place"
    )
    return list(session.execute(text(statement), {"meeting": meeting.id, **scope.params}).scalars())


def since(session: Session, meeting: Meeting, zone: str) -> datetime:
    """From when on what happened is told: the day of the unit's meeting before this one, else thirty days before it."""
    statement = "select max(day) from meetings where unit_id = :unit and day < :day"
    before: date | None = session.execute(text(statement), {"unit": meeting.unit, "day": meeting.day}).scalar()
    return datetime.combine(before or meeting.day - BEFORE, time(0), ZoneInfo(zone))


# --- what is decided --------------------------------------------------------------------------------------------------


_DECIDED = """
insert into meeting_decisions (dossier_id, seq, meeting_id, due) values (:dossier, :seq, :meeting, :due)
on conflict on constraint pk_meeting_decisions do nothing
"""


def decide(
    session: Session, actor: Actor, day: date, reference: str, said: str, *, who: str = "", due: date | None = None,
    idem: str | None = None,
) -> None:  # fmt: skip
    """Note a decision on a dossier of the agenda: what, who, by when. Once under a key. Raises BadInput, Refused."""
    _hold(session, actor, day)
    meeting = find(session, actor, day)
    if not said.strip():
        raise BadInput("missing", "obligatoire et absent", field="decision", accepted="ce qui est décidé")
    if len(who) > WHO_MOST:
        raise BadInput("long", f"plus de {WHO_MOST} signes", field="who", accepted=f"{WHO_MOST} signes au plus")
    if due is not None and due < day:
        raise BadInput("date", "avant le jour de la séance", field="due", accepted=f"à partir du {day:%d/%m/%Y}")
    key = access.find(session, reference, actor)
    on_it = "select exists (select from agenda_items where meeting_id = :meeting and dossier_id = :dossier)"
    if not session.execute(text(on_it), {"meeting": meeting.id, "dossier": key}).scalar():
        raise Refused("unknown", f"le dossier {reference} n'est pas à l'ordre du jour", field="dossier")
    body = [f"Séance du {said_day(day)}", f"Décision : {said.strip()}"]
    body += [f"Qui : {who.strip()}"] if who.strip() else []
    body += [f"Pour quand : {said_day(due)}"] if due is not None else []
    result = dossiers.one(dossiers.act(session, [key], NOTE, actor=actor, args={NOTE: "\n".join(body)}, idem=idem))
    if not result.repeated:
        _still_open(meeting)
    params = {"dossier": key, "seq": result.seq, "meeting": meeting.id, "due": due}
    session.execute(text(_DECIDED), params)


def said_day(day: date) -> str:
    """A day in full, in French."""
    return LANGUAGES["fr"].day(day)


_SAID = """
select c.dossier_id, d.reference, c.seq, m.day, c.due, c.done_at is not null as done, t.body
from meeting_decisions c join meetings m on m.id = c.meeting_id join dossiers d on d.id = c.dossier_id
join events e on e.dossier_id = c.dossier_id and e.seq = c.seq
left join texts t on t.id = cast(e.command -> 'args' -> 'note' ->> 'text' as uuid)
where {where} order by {order}
"""


def decisions(session: Session, actor: Actor, meeting: Meeting) -> list[Decision]:
    """What a meeting decided, as far as this actor may read what is written in the dossiers, in the order of its noting."""
    within, contents = access.reads(actor), access.contents(actor)
    where = f"c.meeting_id = :meeting and {within.sql} and {contents.sql}"
    statement = _SAID.format(where=where, order="c.dossier_id, c.seq")
    return _found(session.execute(text(statement), {"meeting": meeting.id, **within.params, **contents.params}))


def outstanding(session: Session, actor: Actor, zone: str) -> list[Decision]:
    """What meetings decided that is to be done within a week or is overdue: on open dossiers that this desk holds, or that
    its own meetings decided on.
    """
    scope, contents = access.scope(actor), access.contents(actor)
    until = business_time.now(session).astimezone(ZoneInfo(zone)).date() + WEEK
    where = (
        "c.due <= :until and c.done_at is null and d.phase <> 'resolved' and (m.unit_id = :unit or d.unit_id = :unit) "
        f"and {scope.sql} and {contents.sql}"
    )
    statement = _SAID.format(where=where, order="c.due, c.dossier_id, c.seq")
    return _found(
        session.execute(text(statement), {"until": until, "unit": actor.unit, **scope.params, **contents.params})
    )


def done(session: Session, actor: Actor, reference: str, seq: int) -> None:
    """Note that what was decided is done. Raises Refused."""
    scope = access.scope(actor)
    key = access.find(session, reference, actor)
    statement = (
        "update meeting_decisions c set done_at = coalesce(done_at, clock_timestamp()) from dossiers d "  # noqa: S608
        f"where d.id = c.dossier_id and c.dossier_id = :dossier and c.seq = :seq and {scope.sql} returning c.seq"
    )
    if session.execute(text(statement), {"dossier": key, "seq": seq, **scope.params}).first() is None:
        raise Refused("unknown", "aucune décision de séance n'est notée ainsi sur ce dossier", field="seq")


def _found(rows: Any) -> list[Decision]:
    return [
        Decision(row.dossier_id, row.reference, row.seq, row.day, row.due, row.done, row.body or texts.ERASED)
        for row in rows
    ]


def concerned(session: Session, meeting: Meeting) -> list[tuple[int, str]]:
    """(id, name) of the units that the minutes go to: those that hold a dossier on which something was decided, and its own."""
    statement = """
        select u.id, u.name from units u where u.id = :unit or u.id in (
            select d.unit_id from meeting_decisions c join dossiers d on d.id = c.dossier_id where c.meeting_id = :meeting)
        order by u.id = :unit desc, u.name"""
    return [
        (row.id, row.name) for row in session.execute(text(statement), {"unit": meeting.unit, "meeting": meeting.id})
    ]


def close(session: Session, actor: Actor, day: date) -> int:
    """Have the minutes leave, once, to each unit concerned; how many letters that makes. Raises Refused."""
    _hold(session, actor, day)
    meeting = find(session, actor, day)
    if meeting.closed_at is not None:
        return 0
    if not meeting.decisions:
        raise Refused("empty", "aucune décision n'est notée : il n'y a pas de relevé à envoyer", field="day")
    units = [unit for unit, _ in concerned(session, meeting)]
    statement = "insert into minutes (meeting_id, unit_id) select :meeting, unnest(cast(:units as integer[]))"
    session.execute(text(statement), {"meeting": meeting.id, "units": units})
    session.execute(text("update meetings set closed_at = clock_timestamp() where id = :id"), {"id": meeting.id})
    return len(units)
