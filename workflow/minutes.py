"""The minutes of a meeting as letters: one to each unit concerned, with what was decided on the dossiers that it may read."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from workflow import installation, meetings, outbox
from workflow.meetings import Decision
from workflow.outbox import ATTEMPTS, BACK_OFF, BACK_OFF_MOST, LEASE


@dataclass(frozen=True, slots=True)
class Minutes:
    """A letter under lease; `people` is empty when nobody is there to read it."""

    id: int
    message_id: uuid.UUID
    day: date
    holder: str
    decisions: Sequence[Decision]
    people: Sequence[tuple[str, str]]
    attempts: int


_CLAIM = """
update minutes l set attempts = attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
from meetings m, units u where m.id = l.meeting_id and u.id = m.unit_id and l.id = any(array(
    select id from minutes where state = 'queued' and next_at <= clock_timestamp()
    order by next_at, id limit :limit for update skip locked))
returning l.id, l.message_id, l.unit_id, l.attempts, m.unit_id as of_unit, m.day, u.name
"""


def claim(session: Session, *, limit: int) -> list[Minutes]:
    """Minutes to send now, under a lease; none while deliveries are held. The caller commits before it sends."""
    if not installation.may_deliver(session):
        return []
    found = []
    for row in session.execute(text(_CLAIM), {"lease": LEASE, "limit": limit}).all():
        meeting = meetings.find(session, Actor(None, row.of_unit, "referent"), row.day)
        said = meetings.decisions(session, Actor(None, row.unit_id, "referent"), meeting)
        people = outbox.people_of(session, row.unit_id)
        found.append(Minutes(row.id, row.message_id, row.day, row.name, said, people, row.attempts))
    return found


def sent(session: Session, key: int) -> None:
    """Mark minutes as sent."""
    session.execute(text("update minutes set state = 'sent' where id = :id and state = 'queued'"), {"id": key})


def failed(session: Session, letter: Minutes, why: str) -> None:
    """Note a failed attempt: tried again later, or given up."""
    wait = min(BACK_OFF * 2 ** min(letter.attempts - 1, 20), BACK_OFF_MOST)
    statement = (
        "update minutes set why = :why, next_at = clock_timestamp() + cast(:wait as interval), "
        "state = case when attempts >= :most then 'dead' else state end where id = :id and state = 'queued'"
    )
    session.execute(text(statement), {"id": letter.id, "why": why[:2000], "wait": wait, "most": ATTEMPTS})


def compose(letter: Minutes, address: str) -> tuple[str, str]:
    """The subject and the text of minutes; `address` is that of the portal."""
    day = meetings.said_day(letter.day)
    lines = [f"Relevé de décisions de la séance du {day}", f"Tenue par : {letter.holder}", ""]
    for reference, said in groupby(letter.decisions, key=lambda one: one.reference):
        lines.append(f"Dossier {reference} : {address.rstrip('/')}/dossiers/{reference}")
        for one in said:
            # The first line of the note names the meeting, which this letter is of.
            body = one.said.partition("\n")[2] or one.said
            lines += [f"  {line}" for line in body.splitlines()]
            lines.append("")
    lines.append("Entre administrations : les porteurs ne voient pas ces décisions.")
    lines.append("Ce relevé n'est envoyé qu'une fois. Message automatique du coupe-file administratif.")
    return f"Coupe-file : relevé de la séance du {day}", "\n".join(lines) + "\n"
