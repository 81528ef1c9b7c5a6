"""The outbox: notices claimed under a lease, resolved to people who are there, and marked. Sending itself is elsewhere.

What webhooks are sent stands in it too, and is claimed by `webhook_deliveries`.

Delivery is at least once: a notice whose sender died is claimed again when its lease ends, under the same message id.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.attachment import ATTACH
from states.decide import SUBMIT
from states.definition import Definition
from states.dossier import Actor, Json
from states.errors import CoupeFileError, Refused
from workflow import absences, access, consultations, definitions, installation, registration, texts, vacancies, words

ATTEMPTS = 8
# A link that breaks is seldom the letter's fault: two days of it, at the longest wait, before it is given up.
LINK_ATTEMPTS = 50
LEASE = timedelta(seconds=60)
Away = Mapping[int, int | None]
"""Who is away, and by whom each is replaced."""
BACK_OFF, BACK_OFF_MOST = timedelta(seconds=30), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notice under lease, with what its letter needs. `people` is empty when nobody is there to be told; `title` is the code
    name, or None, of a dossier that is marked confidential: a letter leaves the building.
    """

    id: int
    message_id: uuid.UUID
    dossier_id: int
    seq: int
    reference: str
    title: str | None
    target: str
    cause: Json
    attempts: int
    unit: str | None
    rung_label: str | None
    state_label: str
    clock_label: str | None
    due_at: datetime | None
    zone: str
    people: tuple[tuple[str, str], ...]
    void: str | None
    by_law: bool = False
    about: str | None = None
    """The dossier that a request for an avis is about; None for any other."""
    silence: str | None = None
    """The outcome that silence on that request has."""
    acknowledges: bool = False
    """Whether a clock waits for this letter: it acknowledges the registration of the dossier."""
    statement: tuple[tuple[str, str], ...] = ()
    """What the rung that is seized asked to be told, each part with its words; for the administrations alone."""


_CLAIM = """
update notices set attempts = attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
where id = any(array(select n.id from notices n join dossiers d on d.id = n.dossier_id
    where n.state = 'queued' and n.next_at <= clock_timestamp() and n.not_before <= (select business_now())
    and n.digest_unit_id is null and n.subscriber <> 'webhooks' and d.definition_id = any(:known) order by n.next_at, n.id limit :limit for update of n skip locked))
returning id, message_id, dossier_id, seq, target, cause, attempts
"""
_DOSSIERS = """
select d.id, d.reference, d.state, d.definition_id, d.unit_id, d.rung, d.clocks, d.holds, d.due_at,
       case when k.dossier_id is null then t.body else n.body end as body,
       d.data ->> 'dossier' as about,
       u.name as unit, coalesce(u.zone, 'Europe/Paris') as zone
from dossiers d left join units u on u.id = d.unit_id
left join texts t on t.id = cast(d.data -> 'title' ->> 'text' as uuid)
left join confidentialities k on k.dossier_id = d.id and (k.code_name is not null or k.reserved)
left join texts n on n.id = k.code_name
where d.id = any(:ids)
"""


def claim(session: Session, *, limit: int) -> list[Outgoing]:
    """Notices to send now, under a lease of `LEASE`; none while deliveries are held. The caller commits before it sends."""
    if not installation.may_deliver(session):
        return []
    rows = session.execute(text(_CLAIM), {"lease": LEASE, "limit": limit, "known": definitions.readable(session)}).all()
    return outgoing(session, rows)


def outgoing(session: Session, rows: Sequence[Any]) -> list[Outgoing]:
    """Notices claimed, with what their letters need; one that cannot be read is marked, and stops no other."""
    ids = list({row.dossier_id for row in rows})
    dossiers = {row.id: row for row in session.execute(text(_DOSSIERS), {"ids": ids})} if ids else {}
    away = absences.away(session) if rows else {}
    claimed = []
    for row in sorted(rows, key=lambda row: row.id):
        try:
            claimed.append(_outgoing(session, row, dossiers[row.dossier_id], away))
        except (KeyError, ValueError, CoupeFileError) as error:
            failed_at(session, row.id, row.attempts, f"avis illisible : {error!r}")
    return claimed


def _outgoing(session: Session, notice: Any, dossier: Any, away: Away) -> Outgoing:
    definition = definitions.get(session, dossier.definition_id).compiled.definition
    clock = definition.clocks.get(notice.cause.get("clock", ""))
    return Outgoing(
        id=notice.id,
        message_id=notice.message_id,
        dossier_id=dossier.id,
        seq=notice.seq,
        reference=dossier.reference,
        title=dossier.body if notice.target != "manager" else None,
        target=notice.target,
        cause=notice.cause,
        attempts=notice.attempts,
        unit=dossier.unit,
        rung_label=_rung(definition, dossier.rung),
        state_label=definition.states[dossier.state].label or dossier.state,
        clock_label=(clock.label or notice.cause["clock"]) if clock else None,
        due_at=dossier.due_at,
        zone=dossier.zone,
        people=tuple(_people(session, notice.target, dossier, away, but=notice.cause.get("but"))),
        void=_void(session, definition, notice.target, notice.cause, dossier) or _followed(session, notice),
        by_law=clock is not None and clock.by_law,
        about=dossier.about if definition.purpose is not None else None,
        statement=_statement(session, definition, notice),
        silence=consultations.silence(definition, [name for name, one in dossier.clocks.items() if "end" not in one]),
        acknowledges=notice.cause["kind"] == SUBMIT
        and notice.target == "holder"
        and registration.waits(definition, dossier.clocks),
    )


_ARGS = "select command -> 'args' from events where dossier_id = :id and seq = :seq"


def _statement(session: Session, definition: Definition, notice: Any) -> tuple[tuple[str, str], ...]:
    rung = notice.cause.get("rung")
    asked = definition.ladder[rung].needs if rung is not None and rung < len(definition.ladder) else None
    if not asked or notice.target == "holder":
        return ()
    args = session.execute(text(_ARGS), {"id": notice.dossier_id, "seq": notice.seq}).scalar_one()
    keys = {name: uuid.UUID(args[name]["text"]) for name in asked if name in args}
    bodies, said = texts.bodies(session, keys.values()), words.statement(definition)
    return tuple((said[name], bodies[key] or texts.ERASED) for name, key in keys.items())


def _rung(definition: Definition, rung: int | None) -> str | None:
    if rung is None or rung >= len(definition.ladder):
        return None
    return definition.ladder[rung].label or definition.ladder[rung].rung


def _of_state(session: Session, target: str) -> bool:
    """Whether a seat is one of the holder, or in a service of the State."""
    _, _, unit = target.partition(":")
    scope = access.state(Actor(None, int(unit) if unit.isdecimal() else None, "referent"))
    return bool(session.execute(text(f"select {scope.sql}"), scope.params).scalar())


def _void(session: Session, definition: Definition, target: str, cause: Json, dossier: Any) -> str | None:
    """Why a notice has lost its cause, or None: a reminder of a clock that has stopped, restarted, or is on pause; a
    vacancy that is over.
    """
    if cause["kind"] == vacancies.KIND:
        return (
            "quelqu'un y est de nouveau, ou plus aucun dossier n'y attend"
            if vacancies.over(session, cause["unit"])
            else None
        )
    if "but" in cause and not session.execute(text(_OTHERS), {"dossier": dossier.id, "but": cause["but"]}).scalar():
        return "personne d'autre ne porte le dossier"
    if cause.get("for_state") and not _of_state(session, target):
        return "la pièce est réservée à l'État"
    if cause["kind"] != "clock.remind":
        return None
    clock = dossier.clocks.get(cause["clock"])
    if clock is None or clock["n"] != cause["cycle"] or "end" in clock:
        return "l'échéance rappelée n'a plus cours"
    hold = dossier.holds[-1] if dossier.holds else None
    if hold is not None and "end" not in hold and hold["touches"].get(cause["clock"]) == "pause":
        return "l'horloge est suspendue"
    return None if cause["clock"] in definition.clocks else "l'horloge n'existe plus"


_FOLLOWED = """
select exists (select from notices where dossier_id = :dossier and seq > :seq and target = :target and cause ->> 'kind' = :kind)
"""


def _followed(session: Session, notice: Any) -> str | None:
    """Why a notice of a file need not leave: another one came after it, and one letter tells both."""
    if notice.cause["kind"] != ATTACH:
        return None
    asked = {"dossier": notice.dossier_id, "seq": notice.seq, "target": notice.target, "kind": ATTACH}
    return (
        "une autre pièce a suivi : un seul message pour toutes"
        if session.execute(text(_FOLLOWED), asked).scalar()
        else None
    )


_IN_OFFICE = """
(m.valid_from is null or m.valid_from <= (select business_now()))
and (m.valid_to is null or (select business_now()) < m.valid_to)
"""
_MEMBERS = f"""
select p.id from memberships m join persons p on p.id = m.person_id
where m.unit_id = :unit and (cast(:person as integer) is null or p.id = :person) and m.role = any(:roles)
and {_IN_OFFICE} order by p.id
"""  # noqa: S608  (constants)
_MANAGERS = f"""
select p.id from memberships m join persons p on p.id = m.person_id where m.role = 'manager' and {_IN_OFFICE} order by p.id
"""  # noqa: S608  (constants)
_PERSONS = "select id, name, mail from persons where id = any(:ids) and mail is not null order by id"
_PARTIES = """
select p.name, p.mail from parties q join persons p on p.id = q.person_id
where q.dossier_id = :dossier and p.mail is not null and p.id is distinct from cast(:but as integer) and {seen} order by p.id
""".format(seen=access.seen_by("q.dossier_id", "q.person_id"))
_OTHERS = f"""
select exists (select from parties q where q.dossier_id = :dossier and q.person_id <> :but
               and {access.seen_by("q.dossier_id", "q.person_id")})
"""  # noqa: S608  (constants)
_MAILBOX = "select name, mailbox as mail from units where id = :unit and mailbox is not null"
_SEATS = {"unit": ["referent", "operator"], "head": ["head", "prefet"]}
_EVERY_SEAT = [role for roles in _SEATS.values() for role in roles]


def _people(
    session: Session, target: str, dossier: Any, away: Away, *, but: int | None = None
) -> Sequence[tuple[str, str]]:
    """Who sits there at this moment, or stands in; when nobody does, the rest of the unit, then its mailbox, then nobody.

    `but` is the party who did what the others are told.
    """
    if target == "holder":
        return _pairs(session, _PARTIES, dossier=dossier.id, but=but)
    if target == "manager":  # somebody is told, away or not
        return _there(session, _MANAGERS, away) or _there(session, _MANAGERS, {})
    seat, unit, *person = target.split(":")
    if unit == "None":
        return []
    at = {"unit": int(unit), "person": None}
    found: Sequence[tuple[str, str]] = []
    if person:
        found = _there(session, _MEMBERS, away, unit=int(unit), person=int(person[0]), roles=_EVERY_SEAT)
    found = found or _there(session, _MEMBERS, away, **at, roles=_SEATS.get(seat, _EVERY_SEAT))
    found = found or _there(session, _MEMBERS, away, **at, roles=_EVERY_SEAT)
    return found or _pairs(session, _MAILBOX, unit=int(unit))


def people_of(session: Session, unit: int) -> Sequence[tuple[str, str]]:
    """Who in a unit is told of what concerns it: those who are there or stand in, else its mailbox, else nobody."""
    return _people(session, f"unit:{unit}", None, absences.away(session))


def _there(session: Session, statement: str, away: Away, **params: Any) -> list[tuple[str, str]]:
    """Those of a seat who are there, and the substitutes of those who are not, each once."""
    seated = session.execute(text(statement), params).scalars()
    there = {person for one in seated if (person := absences.standing_in(one, away)) is not None}
    return _pairs(session, _PERSONS, ids=sorted(there)) if there else []


def _pairs(session: Session, statement: str, **params: Any) -> list[tuple[str, str]]:
    return [(row.name, row.mail) for row in session.execute(text(statement), params)]


def told(session: Session, notice: Outgoing) -> set[str]:
    """The addresses that were sent another notice of the same event: whoever sits in two seats reads it once."""
    statement = """select n.sent_to from notices n join notices this on this.id = :id
                   where n.dossier_id = this.dossier_id and n.seq = this.seq and n.subscriber = this.subscriber and n.state = 'sent'"""
    rows = session.execute(text(statement), {"id": notice.id})
    return {mail for row in rows for mail in row.sent_to.split(", ")}


def sent(session: Session, notice: Outgoing, to: Sequence[str], refused: str = "") -> None:
    """Mark a notice as sent, to whom, and who was refused if somebody was."""
    session.execute(
        text(
            "update notices set state = 'sent', sent_at = clock_timestamp(), sent_to = :to, why = nullif(:why, '') "
            "where id = :id and state = 'queued'"
        ),
        {"id": notice.id, "to": ", ".join(to), "why": refused[:2000]},
    )


def void(session: Session, key: int, why: str) -> bool:
    """Give a notice up because its cause is gone; kept, with why."""
    return _mark(session, key, "state = 'void', why = :value", why)


def failed(session: Session, notice: Outgoing, why: str, *, most: int | None = None) -> None:
    """Note a failed attempt: tried again later, or dead after `most` of them (by default `ATTEMPTS`), with the reason."""
    failed_at(session, notice.id, notice.attempts, why, most=ATTEMPTS if most is None else most)


def failed_at(session: Session, key: int, attempts: int, why: str, *, most: int = ATTEMPTS) -> None:
    """Note the failed attempt that was the one of this number."""
    if attempts >= most:
        _mark(session, key, "state = 'dead', why = :value", why)
    else:
        _wait(session, key, attempts, why)


def postponed(session: Session, notice: Outgoing, why: str) -> None:
    """Note that nothing can leave now, whatever the letter: it waits, however long that lasts."""
    _wait(session, notice.id, notice.attempts, why)


def _wait(session: Session, key: int, attempts: int, why: str) -> None:
    wait = min(BACK_OFF * 2 ** min(attempts - 1, 20), BACK_OFF_MOST)
    session.execute(
        text(
            "update notices set next_at = clock_timestamp() + cast(:wait as interval), why = :why "
            "where id = :id and state = 'queued'"
        ),
        {"wait": wait, "why": why[:2000], "id": key},
    )


# --- what an operator does --------------------------------------------------------------------------------------------

STATES = ("queued", "dead", "held", "sent", "void")
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice as an operator sees it: no text, no address."""

    id: int
    state: str
    dossier: str
    dossier_id: int
    target: str
    unit: str | None
    kind: str
    attempts: int
    made_at: datetime | None
    next_at: datetime
    sent_at: datetime | None
    why: str | None


def letters(session: Session, *, state: str | None, dossier_id: int | None = None, limit: int = SHOWN) -> list[Letter]:
    """Notices in a state, or of every state but the sent; the oldest first, of the sent the latest first."""
    states = [state] if state else ["dead", "held", "queued"]
    order = "desc" if state in ("sent", "void") else "asc"
    found: list[Letter] = []
    for one in states:
        found += [
            Letter(**row._mapping)  # noqa: SLF001  (SQLAlchemy's public name)
            for row in session.execute(
                text(_LETTERS.format(order=order)), {"state": one, "dossier": dossier_id, "limit": limit - len(found)}
            )
        ]
    return found


_LETTERS = """
select n.id, n.state, d.reference as dossier, n.dossier_id, n.target, u.name as unit, n.cause ->> 'kind' as kind,
       n.attempts, n.made_at, n.next_at, n.sent_at, n.why
from notices n join dossiers d on d.id = n.dossier_id
left join units u on u.id = case when split_part(n.target, ':', 2) ~ '^[0-9]+$' then split_part(n.target, ':', 2)::integer end
where n.state = :state and (cast(:dossier as bigint) is null or n.dossier_id = :dossier)
order by n.id {order} limit :limit
"""
# What each act accepts, and the state that it leaves.
_ACTS = {
    "requeue": (("dead", "held", "void"), "queued"),
    "void": (("queued", "dead", "held"), "void"),
    "hold": (("queued",), "held"),
    "release": (("held",), "queued"),
}
_BACK = """
update notices set state = :left, why = null, attempts = 0, next_at = clock_timestamp() where id = any(:ids)
"""
_ASIDE = "update notices set state = :left, why = :why where id = any(:ids)"
_STATE = {"queued": "en file", "dead": "abandonné", "held": "retenu", "sent": "envoyé", "void": "annulé"}


def change(session: Session, keys: Sequence[int], act: str, *, why: str | None = None) -> list[int]:
    """Do an operator's act (`requeue`, `void`, `hold`, `release`) to notices, all or none; returns those it changed.

    One that is already as asked is no change. The message id stays the same. Raises Refused: unknown, sent, or in a
    state that the act is not for.
    """
    accepted, left = _ACTS[act]
    statement = "select id, state from notices where id = any(:ids) order by id for update"
    found = {row.id: row.state for row in session.execute(text(statement), {"ids": list(keys)})}
    unknown = [key for key in keys if key not in found]
    if unknown:
        raise Refused("unknown", f"message inconnu : {', '.join(map(str, unknown))}", field="ID")
    wrong = [key for key, state in found.items() if state not in accepted and state != left]
    if wrong:
        words = ", ".join(f"{key} ({_STATE[found[key]]})" for key in wrong)
        listed = ", ".join(_STATE[state] for state in accepted)
        raise Refused("state", f"rien n'a été changé : {words}", field="ID", accepted=f"un message {listed}")
    todo = [key for key, state in found.items() if state != left]
    statement = _BACK if left == "queued" else _ASIDE
    session.execute(text(statement), {"left": left, "why": why, "ids": todo})
    return todo


def dead(session: Session) -> list[int]:
    """The notices that were given up."""
    return list(session.execute(text("select id from notices where state = 'dead' order by id")).scalars())


def _mark(session: Session, key: int, values: str, value: str) -> bool:
    statement = f"update notices set {values} where id = :id and state = 'queued' returning id"  # noqa: S608  (constants)
    return bool(session.execute(text(statement), {"id": key, "value": value[:2000]}).first())
