"""Digests: the reminders of a day, one letter for each administration, at the opening of its working day.

A line is a notice like any other: claimed under a lease, resolved to who is there, void when its cause is gone. People say
whether they want reminders in the letter of the day, at once, or not at all; what the law requires always comes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.errors import BadInput, shown
from workflow import definitions, installation, outbox
from workflow.outbox import LEASE, Outgoing

IMMEDIATE, DAILY, NONE = "immediate", "daily", "none"
REMINDERS = (IMMEDIATE, DAILY, NONE)
LINES = 500
"""How many lines a digest holds at most; what is left makes another."""
UNWANTED = "la personne ne veut pas de rappels"
TWICE = "déjà envoyé à la même adresse pour ce même événement"


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter: its lines, and who reads all of them. A digest says so; what is wanted at once has one line."""

    message_id: uuid.UUID
    people: tuple[tuple[str, str], ...]
    lines: tuple[Outgoing, ...]
    digest: bool


@dataclass(frozen=True, slots=True)
class Digest:
    """What one administration is to be told now: letters, and the lines that nobody wants or whose cause is gone."""

    lines: tuple[Outgoing, ...]
    letters: tuple[Letter, ...]
    void: Mapping[int, str]


# A digest waits until the clock and the reactions have caught up, so that a day makes one letter; two minutes at most.
_UNITS = """
select distinct n.digest_unit_id as unit from notices n
where n.state = 'queued' and n.digest_unit_id is not null and n.next_at <= clock_timestamp() and n.not_before <= (select business_now())
and (n.made_at < clock_timestamp() - interval '2 minutes' or not (
    exists (select from dossiers where wake_at <= (select business_now()) and not stuck and definition_id = any(:working))
    or exists (select from pending where definition_id = any(:known))))
order by 1 limit :limit
"""
_CLAIM = """
update notices set attempts = attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
where id = any(array(select n.id from notices n join dossiers d on d.id = n.dossier_id
    where n.state = 'queued' and n.digest_unit_id = :unit and n.next_at <= clock_timestamp()
    and n.not_before <= (select business_now()) and d.definition_id = any(:known)
    order by n.id limit :lines for update of n skip locked))
returning id, message_id, dossier_id, seq, target, cause, attempts
"""
_ONE_AT_A_TIME = "select pg_try_advisory_xact_lock(4083, :unit)"


def claim(session: Session, *, limit: int) -> list[Digest]:
    """The digests to send now, under a lease; none while deliveries are held. The caller commits before it sends."""
    if not installation.may_deliver(session):
        return []
    known = definitions.readable(session)
    params = {"known": known, "working": definitions.known(session), "limit": limit}
    claimed = []
    for unit in session.execute(text(_UNITS), params).scalars().all():
        if not session.execute(text(_ONE_AT_A_TIME), {"unit": unit}).scalar_one():
            continue  # another deliverer is at it
        rows = session.execute(text(_CLAIM), {"lease": LEASE, "unit": unit, "known": known, "lines": LINES}).all()
        lines = outbox.outgoing(session, rows)
        if lines:
            claimed.append(compose(lines, wanted(session, {mail for one in lines for _, mail in one.people})))
    return claimed


def wanted(session: Session, mails: Iterable[str]) -> dict[str, str]:
    """How each of these addresses wants to be reminded, where its person said so."""
    statement = (
        "select p.mail, r.reminders from preferences r join persons p on p.id = r.person_id where p.mail = any(:mails)"
    )
    return {row.mail: row.reminders for row in session.execute(text(statement), {"mails": sorted(mails)})}


def compose(lines: Sequence[Outgoing], wanted: Mapping[str, str]) -> Digest:
    """One letter with every line for all who are told of any: they sit in one administration, and see its dossiers.

    Who wants reminders at once has a letter for each of their own, who wants none one with what the law requires. Nobody
    reads of one event twice.
    """
    void = {line.id: line.void for line in lines if line.void is not None}
    groups: dict[str, dict[tuple[str, str], None]] = {DAILY: {}, NONE: {}}
    read: dict[str, dict[tuple[int, int], Outgoing]] = {DAILY: {}, NONE: {}}
    at_once: dict[tuple[int, int], tuple[Outgoing, dict[tuple[str, str], None]]] = {}
    for line in lines:
        event, seen = (line.dossier_id, line.seq), False
        for person in line.people if line.void is None else ():
            how = wanted.get(person[1], DAILY)
            if how == IMMEDIATE:
                first, people = at_once.setdefault(event, (line, {}))
                seen = seen or first is line or person not in people
                people[person] = None
            elif how == DAILY or line.by_law:
                groups[how][person] = None
                seen = read[how].setdefault(event, line) is line or seen
        if line.void is None and line.people and not seen:
            told = event in at_once or any(event in some for some in read.values())
            void[line.id] = TWICE if told else UNWANTED
    letters = [Letter(line.message_id, tuple(people), (line,), digest=False) for line, people in at_once.values()]
    for how, people in groups.items():
        if people:
            shown = tuple(read[how].values())
            message_id = uuid.uuid5(shown[0].message_id, f"{how} {' '.join(mail for _, mail in people)}")
            letters.append(Letter(message_id, tuple(people), shown, digest=True))
    return Digest(tuple(lines), tuple(letters), void)


def prefer(session: Session, login: str, how: str) -> None:
    """Note how a person wants to be reminded: `immediate`, `daily` or `none`. Raises BadInput."""
    if how not in REMINDERS:
        raise BadInput("reminders", f"« {shown(how)} »", field="QUAND", accepted=", ".join(REMINDERS))
    statement = """insert into preferences (person_id, reminders) select id, :how from persons where login = :login
                   on conflict (person_id) do update set reminders = excluded.reminders returning person_id"""
    params: dict[str, Any] = {"login": login.replace("\x00", ""), "how": how}
    if session.execute(text(statement), params).first() is None:
        raise BadInput(
            "person", f"personne inconnue : « {shown(login)} »", field="LOGIN", accepted="un login de l'annuaire"
        )
