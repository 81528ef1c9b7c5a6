"""The report of a month, as a letter to each manager: once for each month and manager, however many beats there are.

It is due from the first of the next month at eight in Paris, and for a week: who starts later reads the pages. A manager who
wants no reminders gets none. It holds sums of their scope, units and rungs, no text and no person.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states import loss
from states.dossier import Actor
from states.explanation import LANGUAGES
from states.loss import MEASURABLE, Loss, Most
from states.report import BOXES, COMMITMENT
from workflow import business_time, installation, report_choices, sums
from workflow.outbox import ATTEMPTS, BACK_OFF, BACK_OFF_MOST, LEASE
from workflow.report import ZONE, Asked
from workflow.report_choices import Choices
from workflow.sums import Figure

log = logging.getLogger(__name__)

OPENS, FOR = time(8), timedelta(days=7)
FAMILIES = {COMMITMENT: "engagements de service", "legal": "délais légaux"}
_LATE = ("open_late", "closed_late")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Monthly:
    """A letter under lease: the report of a month, to a manager."""

    id: int
    message_id: uuid.UUID
    person: int
    name: str
    mail: str
    month: date
    attempts: int

    @property
    def last(self) -> date:
        """The last day of the month."""
        return (self.month.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY


def due(now: datetime) -> date | None:
    """The month, by its first day, whose letters are to leave now; None when none are."""
    local = now.astimezone(ZONE)
    opens = datetime.combine(local.date().replace(day=1), OPENS, ZONE)
    if not opens <= local < opens + FOR:
        return None
    return (opens.date() - _DAY).replace(day=1)


_MANAGERS = """
from memberships m join persons p on p.id = m.person_id left join preferences r on r.person_id = m.person_id
where m.role = 'manager' and p.mail is not null and coalesce(r.reminders, 'daily') <> 'none'
and (m.valid_from is null or m.valid_from <= (select business_now())) and (m.valid_to is null or (select business_now()) < m.valid_to)
"""
_PREPARE = f"""
insert into monthly_letters (person_id, month) select distinct m.person_id, cast(:month as date) {_MANAGERS}
and exists (select from facts f where f.month <= :month)
and not exists (select from monthly_letters l where l.person_id = m.person_id and l.month = :month)
order by 1 on conflict do nothing
"""  # noqa: S608  (constants)
_CLAIM = """
update monthly_letters l set attempts = attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
from persons p where p.id = l.person_id and l.id = any(array(
    select id from monthly_letters where state = 'queued' and next_at <= clock_timestamp()
    order by next_at, id limit :limit for update skip locked))
returning l.id, l.message_id, l.person_id, p.name, p.mail, l.month, l.attempts
"""
_STILL = f"select exists (select {_MANAGERS} and m.person_id = :person)"


def claim(session: Session, *, limit: int) -> list[Monthly]:
    """Letters to send now, under a lease; none while deliveries are held. The caller commits before it sends."""
    if not installation.may_deliver(session):
        return []
    month = due(business_time.now(session))
    if month is not None:
        session.execute(text(_PREPARE), {"month": month})
    found = []
    for row in session.execute(text(_CLAIM), {"lease": LEASE, "limit": limit}).all():
        if not session.execute(text(_STILL), {"person": row.person_id}).scalar_one():
            _end(session, row.id, "void", "n'est plus pilote, ou ne veut pas de rappels")
            continue
        found.append(Monthly(row.id, row.message_id, row.person_id, row.name, row.mail, row.month, row.attempts))
    return found


def sent(session: Session, key: int) -> None:
    """Mark a letter as sent."""
    _end(session, key, "sent", None)


def failed(session: Session, letter: Monthly, why: str) -> None:
    """Note a failed attempt: tried again later, or given up."""
    if letter.attempts >= ATTEMPTS:
        log.warning("the report of %s for person %s is given up: %s", letter.month, letter.person, why)
        _end(session, letter.id, "dead", why)
        return
    wait = min(BACK_OFF * 2 ** min(letter.attempts - 1, 20), BACK_OFF_MOST)
    statement = (
        "update monthly_letters set why = :why, next_at = clock_timestamp() + cast(:wait as interval) where id = :id"
    )
    session.execute(text(statement), {"id": letter.id, "why": why[:2000], "wait": wait})


def _end(session: Session, key: int, state: str, why: str | None) -> None:
    statement = "update monthly_letters set state = :state, why = :why where id = :id and state = 'queued'"
    session.execute(text(statement), {"id": key, "state": state, "why": why and why[:2000]})


# --- what it says -----------------------------------------------------------------------------------------------------


def written(make: sessionmaker[Session], letter: Monthly, base_url: str) -> tuple[str, str]:
    """The subject and the text of a letter, from the sums of its manager's scope."""
    actor = Actor(letter.person, None, "manager")
    month = sums.of(make, Asked(first=letter.month, last=letter.last), actor=actor).by().get((), Counter())
    every = sums.of(make, Asked(), actor=actor)
    found, court = loss.losses(every.by("unit", "rung")), loss.parties(every.by()[()])
    with make() as session:
        names = report_choices.choices(session)
    address = f"{base_url.rstrip('/')}/rapport?du={letter.month}&au={letter.last}"
    return compose(letter.month, month, loss.most(found, court), found, names, address)


def compose(
    month: date, figures: Mapping[Figure, int], most: Most | None, found: list[Loss], names: Choices, address: str
) -> tuple[str, str]:
    """The letter of a month: what was submitted in it, and where time is lost in all that is known."""
    called = LANGUAGES["fr"].day(month).split(maxsplit=2)[2]
    lines = [f"Dossiers déposés en {called}", ""]
    counts = {
        name: figures.get(("", "", name), 0)
        for name in ("dossiers", "open_dossiers", "resolved", "withdrawn", "escalations", "reminders")
    }
    if not counts["dossiers"]:
        lines.append("Pas de donnée : aucun dossier n'a été déposé.")
    else:
        lines.append(
            f"{counts['dossiers']} déposés, dont {counts['open_dossiers']} ouverts, {counts['resolved']} résolus et "
            f"{counts['withdrawn']} retirés ; {counts['escalations']} échelons saisis, {counts['reminders']} rappels."
        )
        lines += [_kept(figures, family) for family in FAMILIES]
    lines += [
        "",
        "Où se perd le temps, tous dossiers",
        "",
        *_lost(most, found, names),
        "",
        f"Le rapport : {address}",
        "",
    ]
    lines.append("Ce message n'est envoyé qu'une fois par mois. Message automatique du coupe-file administratif.")
    return f"Coupe-file : rapport mensuel, {called}", "\n".join(lines) + "\n"


def _kept(figures: Mapping[Figure, int], family: str) -> str:
    boxes = {
        box: sum(number for (kind, _, measure), number in figures.items() if (kind, measure) == (family, box))
        for box in BOXES
    }
    fate = sum(boxes.values()) - boxes["open_in_time"]
    late = sum(boxes[box] for box in _LATE)
    rate = (
        f"{100 * boxes['closed_in_time'] / fate:.0f} % tenus"
        if fate >= MEASURABLE
        else f"taux non mesurable (n = {fate})"
    )
    return f"{FAMILIES[family].capitalize()} : {boxes['closed_in_time']} tenus, {late} en retard, {boxes['open_in_time']} en cours à temps ; {rate}."


def _lost(most: Most | None, found: list[Loss], names: Choices) -> list[str]:
    if most is None:
        largest = max((one.promises for one in found), default=0)
        if largest < MEASURABLE:
            return [f"Non mesurable : aucune administration n'a {MEASURABLE} engagements (n = {largest} au plus)."]
        return ["Aucun temps perdu au-delà des échéances par une administration mesurable."]
    one = most.loss
    name, rung = names.numbers[one.unit][1], names.rungs.get(most.rung, most.rung) or "aucun échelon"
    days = f"{one.lost / _DAY:.1f}".replace(".", ",")
    sentence = (
        f"Parmi les administrations mesurables, {name} perd le plus de temps : {days} jours au-delà de ses échéances, sur "
        f"{one.promises} engagements dont {one.late} en retard."
    )
    return [
        sentence,
        f"Surtout à l'échelon « {rung} » et sur « {names.clocks.get(most.clock, most.clock)} ».",
    ]
