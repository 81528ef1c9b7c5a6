"""A story played in an unused database: people act at given instants, and the clock does what falls due in between.

What it leaves is what would be there had it all happened: the same verbs, the same sweep. Letters of before the opening
are not sent; that a submission was acknowledged at once is part of the story.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states.attachment import HOLDER
from states.dossier import Actor
from states.errors import BadInput, CoupeFileError, Refused
from workflow import (
    access,
    attachments,
    business_time,
    definitions,
    dossiers,
    invitations,
    reactions,
    registration,
    sweep,
    vacancies,
)
from workflow.dossiers import Submission
from workflow.vault import Vault


@dataclass(frozen=True, slots=True)
class Step:
    """One act of one person at an instant: `do` is `submit`, a trigger, `join` (a file, by its `path` and `name`) or
    `invite` (somebody, by `mail` and `side`). `dossier` is its reference.
    """

    at: datetime
    dossier: str
    actor: str
    do: str
    args: Mapping[str, Any]
    parties: tuple[str, ...] = ()
    definition: str = "coupe-file"


BEFORE = "avant l'ouverture : cet avis n'a pas été envoyé"
# A vacancy that still stands is told when the doors open: it is not over.
_VOID = """
update notices set state = 'void', why = :why
where state = 'queued' and not_before <= (select business_now()) and cause ->> 'kind' <> 'vacancy'
"""
_NEXT = "select min(wake_at) from dossiers where wake_at is not null and not stuck"
_OPENED = "select definition_id, clocks from dossiers where id = :id"
_PERSONS = "select id from persons where login = any(:logins) order by id"


def play(make: sessionmaker[Session], steps: Sequence[Step], *, opens: datetime, vault: Vault) -> dict[str, int]:
    """Play the steps in order of time, then stop the clock at the opening; returns the key of each dossier by its reference.

    Files take their places in the vault.

    Raises BadInput: a database that holds dossiers already, a step after the opening; and whatever refuses an act.
    """
    ordered = sorted(steps, key=lambda step: step.at)
    if ordered and ordered[-1].at > opens:
        raise BadInput("scenario", "un acte vient après l'ouverture", field="at", accepted=f"avant {opens.isoformat()}")
    with make.begin() as session:
        business_time.start_at(session, ordered[0].at if ordered else opens)
    keys: dict[str, int] = {}
    for step in ordered:
        advance(make, step.at)
        try:
            with make.begin() as session:
                _act(session, step, keys, vault)
        except CoupeFileError as error:
            raise Refused("scenario", f"{step.dossier}, {step.do} du {step.at:%d/%m/%Y} : {error}") from error
    advance(make, opens)
    while reactions.react(make):
        continue
    with make.begin() as session:
        vacancies.look(session)
        session.execute(text(_VOID), {"why": BEFORE})
        invitations.count_as_sent(session)
        vacancies.again(session)
    return keys


def advance(make: sessionmaker[Session], to: datetime) -> None:
    """Move paused business time to an instant, stopping wherever a dossier waits for the clock, so that it acts in time.

    Raises BadInput when that would turn it back.
    """
    before = None
    while True:
        with make.begin() as session:
            due = session.execute(text(_NEXT)).scalar()
            now = business_time.now(session)
            last = due is None or due > to or due == before  # the same again: its definition is suspended
            business_time.freeze(session, to if last or due is None else max(due, now))
        while sweep.sweep(make).more:
            continue
        if last:
            return
        before = due


def _act(session: Session, step: Step, keys: dict[str, int], vault: Vault) -> None:
    actor = access.actor(session, step.actor, step.at)
    if step.do == "submit":
        parties = tuple(session.execute(text(_PERSONS), {"logins": list(step.parties)}).scalars())
        submission = Submission(step.args, step.definition, parties, reference=step.dossier)
        keys[step.dossier] = key = dossiers.submit(session, [submission], actor=actor)[0].dossier_id
        row = session.execute(text(_OPENED), {"id": key}).one()
        if registration.waits(definitions.get(session, row.definition_id).compiled.definition, row.clocks):
            registration.left(session, key)
    elif step.do == "join":
        _join(session, keys[step.dossier], actor, step.args, vault)
    elif step.do == "invite":
        invitations.invite(session, keys[step.dossier], actor, mail=step.args["mail"], side=step.args["side"])
    else:
        dossiers.one(dossiers.act(session, [keys[step.dossier]], step.do, actor=actor, args=step.args))


MOST = attachments.Bounds(1_000_000, 10, 10_000_000)
"""What the files of a story may weigh."""


def _join(session: Session, dossier: int, actor: Actor, args: Mapping[str, Any], vault: Vault) -> None:
    with vault.arrival() as arrival:
        arrival.write(Path(args["path"]).read_bytes())
        arrival.ended()
        attachments.add(session, vault, dossier, arrival, name=args["name"], audience=HOLDER, actor=actor, limit=MOST)
