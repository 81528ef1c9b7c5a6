"""The holder's side of a dossier: who its parties are, and how one comes and goes. What happens to them is in the journal.

An event of a party changes nothing of the dossier itself, whatever its definition: its effect is that of what time had
already made true, and of nothing else. `verify` proves that parties and journal say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.decide import settle
from states.dossier import Actor, Decision, Json
from states.draft import Draft
from states.errors import Refused
from workflow import access, definitions, directory
from workflow.apply import Change, apply, connection
from workflow.dossiers import COLUMNS, LOCK, NOW, Locked, locked
from workflow.journal import Recorded
from workflow.texts import Kept

INVITE, JOIN, TAKE_BACK, LEAVE = "party.invite", "party.join", "party.take_back", "party.leave"
KINDS = (INVITE, JOIN, TAKE_BACK, LEAVE)
HOLDER = "holder"


@dataclass(frozen=True, slots=True)
class Member:
    """A party: who they are, and whether that is the reader."""

    person: int
    name: str
    me: bool


_MEMBERS = (
    "select p.id, p.name from parties q join persons p on p.id = q.person_id where q.dossier_id = :id order by p.id"
)


def members(session: Session, dossier: int, actor: Actor) -> list[Member]:
    """The parties of a dossier, whose key was found within the actor's scope."""
    rows = session.execute(text(_MEMBERS), {"id": dossier})
    return [Member(row.id, row.name, row.id == actor.person and actor.role == HOLDER) for row in rows]


def leave(session: Session, dossier: int, actor: Actor) -> None:
    """Be a party no more. Raises Refused: not a party, or the last one."""
    row = lock(session, dossier, actor)
    only_holders(actor)
    left = "select count(*) from parties where dossier_id = :id and person_id <> :person"
    if not session.execute(text(left), {"id": dossier, "person": actor.person}).scalar_one():
        raise Refused(
            "last_party", "vous êtes la seule personne à porter ce dossier", accepted="inviter quelqu'un, ou le retirer"
        )
    record(session, row, actor, LEAVE, {})
    gone = "delete from parties where dossier_id = :id and person_id = :person"
    session.execute(text(gone), {"id": dossier, "person": actor.person})


def only_holders(actor: Actor) -> None:
    """Raise Refused unless the actor acts as a holder: who was found in scope is then a party."""
    if actor.role != HOLDER or actor.person is None:
        raise Refused("role", "seule une personne qui porte le dossier peut le demander", accepted=HOLDER)


# --- the journal ------------------------------------------------------------------------------------------------------


def lock(session: Session, dossier: int, actor: Actor | None) -> Locked:
    """The row of a dossier, locked, within the actor's scope; None for an actor whom a secret lets in. Raises Refused."""
    scope = access.scope(actor) if actor is not None else access.Scope("true", {})
    statement = f"select {COLUMNS} from dossiers d where d.id = %(id)s and {scope.raw} {LOCK}"  # noqa: S608  (a scope is ours)
    found = connection(session).execute(statement, {"id": dossier, **scope.params}, binary=True).fetchone()
    if found is None:
        raise Refused("unknown", f"dossier {dossier} inconnu, ou hors de votre périmètre", field="DOSSIER")
    row = locked(found)
    if row.error is not None:
        raise Refused("unreadable", f"le dossier {dossier} ne peut pas être lu")
    return row


def record(
    session: Session, row: Locked, actor: Actor, kind: str, command: Json, *, idem: str | None = None,
    kept: Sequence[Kept] = (),
) -> None:  # fmt: skip
    """Write an event of a party to a dossier that is held locked, after what time has already made true; `kept` are the
    texts that it refers to.
    """
    now, revision = connection(session).execute(NOW, binary=True).fetchone() or (None, 0)
    assert now is not None  # noqa: S101  (one row, by its CHECK)
    at = now if row.dossier.at is None else max(now, row.dossier.at)
    loaded = definitions.get(session, row.definition_id)
    (context,) = directory.contexts(session, [row.dossier], at, revision)
    draft = Draft(loaded.compiled.definition, row.dossier, context, at)
    settle(draft, loaded.compiled)
    draft.actor, draft.args, draft.effective = actor, {}, at
    draft.emit(kind, {"person": actor.person, **command}, idem=idem)
    draft.seal()
    apply(session, [Change(row.id, row.head, loaded, Decision(row.dossier, draft.dossier, draft.events), list(kept))])


# --- the proof --------------------------------------------------------------------------------------------------------

_THERE = "select dossier_id, person_id from parties where dossier_id = any(:ids)"
_INVITED = "select id, dossier_id, person_id, withdrawn_at is not null as withdrawn from invitations where dossier_id = any(:ids)"


def disagreements(session: Session, ids: Sequence[int], events: Sequence[Recorded]) -> Iterator[tuple[int, str]]:
    """What parties and invitations say of some dossiers, and their journals do not, or the reverse."""
    told = [event for event in events if event.kind in KINDS and isinstance(event.command, dict)]
    last = {(event.dossier_id, event.actor.person): event.kind for event in told if event.kind in (JOIN, LEAVE)}
    there = {(row.dossier_id, row.person_id) for row in session.execute(text(_THERE), {"ids": list(ids)})}
    for (dossier, person), kind in last.items():
        if (kind == JOIN) != ((dossier, person) in there):
            words = "est entrée et n'est plus partie" if kind == JOIN else "est sortie et reste partie"
            yield dossier, f"la personne {person} {words}"
    said = {(event.kind, event.command.get("invitation")): event for event in told if "invitation" in event.command}
    kept = {row.id: row for row in session.execute(text(_INVITED), {"ids": list(ids)})}
    for row in kept.values():
        joined = said.get((JOIN, row.id))
        if (INVITE, row.id) not in said:
            yield row.dossier_id, f"l'invitation {row.id} n'est pas au journal"
        if (None if joined is None else joined.actor.person) != row.person_id:
            yield row.dossier_id, f"l'invitation {row.id} : le journal et elle ne disent pas la même personne"
        if ((TAKE_BACK, row.id) in said) != row.withdrawn:
            yield row.dossier_id, f"l'invitation {row.id} : reprise d'un seul côté"
    for (_, key), event in said.items():
        if key not in kept:
            yield event.dossier_id, f"le journal parle de l'invitation {key}, qui n'existe pas"
