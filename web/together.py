"""The JSON API of a dossier's parties: invitations, leaving, the other blockages of its project, and its confidentiality."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from states.errors import Refused
from web import invitations as pages
from web.api import PROBLEMS, Bearer, Marked, Reads, Reference, Writes
from workflow import access, confidentiality, invitations, parties, projects, readings, words
from workflow.view import load

router = APIRouter(prefix="/api/v1", responses=PROBLEMS, tags=["coupe-file"])
Number = Annotated[int, Path(ge=1, le=access.MAX_ID)]
Side = Literal["elected", "company"]


class Invited(BaseModel):
    """An invitation; `mail` is null once it is over, `name` is who came."""

    id: int
    side: Side
    mail: str | None
    inviter: str
    asked_at: datetime
    ends_at: datetime | None
    status: Literal["sending", "waiting", "undelivered", "over", "accepted", "withdrawn"]
    name: str | None
    may_be_sent_again: bool
    repeated: bool


class Carried(BaseModel):
    """Who carries a dossier, and who is invited to."""

    reference: str
    parties: list[str]
    invitations: list[Invited]


class Invites(BaseModel):
    """Whom to invite."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"mail": "maire@commune.example", "side": "elected"}]}
    )
    mail: str = Field(max_length=invitations.LONGEST_MAIL)
    side: Side


class Left(BaseModel):
    """A dossier that one carries no more."""

    reference: str


class LinkedSaid(BaseModel):
    """Another dossier of the same project."""

    reference: str
    title: str | None
    topic: str | None
    state: str
    state_label: str
    phase: str


class LinkedDossiers(BaseModel):
    """The dossiers of a project beside this one, those that one may read."""

    reference: str
    project: str
    linked: list[LinkedSaid]


class Confides(Marked):
    """What to set, and why."""

    reason: str = Field(max_length=confidentiality.LONGEST_REASON)


class ReadingSaid(BaseModel):
    """Somebody read the dossier, on that day from `at` on, or downloaded the file that an event joined."""

    at: datetime
    role: str
    unit: str | None
    file: int | None


class Confidentiality(BaseModel):
    """The marks of a dossier, and who read it."""

    reference: str
    code_name: str | None
    reserved: bool
    elected: bool
    readings: list[ReadingSaid]


@router.get("/dossiers/{ref}/invitations")
def listed(caller: Reads, ref: Reference) -> Carried:
    """Who carries a dossier and who is invited to, for its parties."""
    with caller.reading() as session:
        key, reference = _found(session, caller, ref)
        return Carried(
            reference=reference, invitations=[_said(one) for one in invitations.listed(session, key, caller.actor)],
            parties=[one.name for one in parties.members(session, key, caller.actor)],
        )  # fmt: skip


@router.post("/dossiers/{ref}/invitations", status_code=201)
def invite(caller: Writes, ref: Reference, asked: Invites) -> Invited:
    """Invite somebody by mail; an address that is invited already is not invited twice."""
    with caller.reading() as session:
        key, _ = _found(session, caller, ref)
    parties.only_holders(caller.actor)
    pages.limit(caller.make, caller.actor.person)
    with caller.make.begin() as session:
        made = invitations.invite(session, key, caller.actor, mail=asked.mail, side=asked.side)
    caller.request.app.state.ring()
    return _said(made)


@router.delete("/dossiers/{ref}/invitations/{key}")
def take_back(caller: Writes, ref: Reference, key: Number) -> Invited:
    """Take an invitation back: its link is dead."""
    with caller.make.begin() as session:
        dossier, _ = _found(session, caller, ref)
        return _said(invitations.take_back(session, dossier, caller.actor, key))


@router.post("/dossiers/{ref}/invitations/{key}/again")
def send_again(caller: Writes, ref: Reference, key: Number) -> Invited:
    """Send an invitation once more, once."""
    with caller.make.begin() as session:
        dossier, _ = _found(session, caller, ref)
        made = invitations.send_again(session, dossier, caller.actor, key)
    caller.request.app.state.ring()
    return _said(made)


@router.delete("/dossiers/{ref}/parties/me")
def leave(caller: Writes, ref: Reference) -> Left:
    """Carry a dossier no more; the last party cannot."""
    with caller.make.begin() as session:
        key, reference = _found(session, caller, ref)
        parties.leave(session, key, caller.actor)
    caller.request.app.state.ring()
    return Left(reference=reference)


@router.get("/dossiers/{ref}/linked")
def linked(caller: Reads, ref: Reference) -> LinkedDossiers:
    """The other blockages of the same project and a common party, within one's scope."""
    with caller.reading() as session:
        key, reference = _found(session, caller, ref)
        return LinkedDossiers(
            reference=reference, project=projects.of(session, key, caller.actor),
            linked=[
                LinkedSaid(reference=one.reference, title=one.title, topic=one.topic, state=one.state,
                           state_label=words.state(one.definition, one.state), phase=one.phase)
                for one in projects.linked(session, key, caller.actor)
            ],
        )  # fmt: skip


@router.get("/dossiers/{ref}/confidentiality")
def confided(caller: Reads, ref: Reference) -> Confidentiality:
    """The marks of a dossier and who read it, for its parties and for the unit that has it in hand."""
    with caller.reading() as session:
        return _confided(session, caller, ref)


@router.put("/dossiers/{ref}/confidentiality")
def confide(caller: Writes, ref: Reference, asked: Confides) -> Confidentiality:
    """Set the marks of a dossier, with the reason, for its parties; the same marks again change nothing."""
    with caller.make.begin() as session:
        key, _ = _found(session, caller, ref)
        confidentiality.mark(session, key, caller.actor, asked.wanted(), reason=asked.reason)
    caller.request.app.state.ring()
    with caller.reading() as session:
        return _confided(session, caller, ref)


def _confided(session: Session, caller: Bearer, ref: str) -> Confidentiality:
    key, reference = _found(session, caller, ref)
    view = load(session, key, caller.actor)
    if caller.actor.role not in access.SEES_TEXTS:
        raise Refused("role", "la confidentialité d'un dossier est pour ceux qui le lisent", field="ref")
    if not view.confides:
        raise Refused("unknown", f"dossier « {ref} » : sa confidentialité n'est pas lisible ici", field="ref")
    return Confidentiality(
        reference=reference, code_name=view.marks.code_name, reserved=view.marks.reserved, elected=view.marks.elected,
        readings=[
            ReadingSaid(at=one.at, role=one.role, unit=one.unit, file=one.file)
            for one in readings.listed(session, key, caller.actor)
        ],
    )  # fmt: skip


# --- parts ------------------------------------------------------------------------------------------------------------


def _said(one: invitations.Invitation) -> Invited:
    return Invited(
        id=one.id, side=one.side, mail=one.mail, inviter=one.inviter, asked_at=one.asked_at, ends_at=one.ends_at,
        status=one.became, name=one.name, may_be_sent_again=one.again and one.open, repeated=one.repeated,
    )  # fmt: skip


def _found(session: Session, caller: Bearer, ref: str) -> tuple[int, str]:
    """The key and the reference of a dossier within the caller's scope."""
    key = access.find(session, ref, caller.actor)
    return key, access.reference(session, key)
