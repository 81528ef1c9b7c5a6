"""The other half of a binôme: invited from the page of a dossier, let in by a link that serves once; and who leaves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session, sessionmaker

from states.errors import BadInput, CoupeFileError, Refused
from web import sign_in
from web.guard import check_csrf, fresh
from web.visit import Anybody, Form, HolderVisit, Posted, Visit, go
from workflow import access, attempts, invitations, parties
from workflow.view import View, load

router = APIRouter(include_in_schema=False)
MOST, PER = 20, timedelta(hours=1)
GONE, CONFLICT = 410, 409
GONE_FOR = ("gone", "used", "over", "closed")


def limit(make: sessionmaker[Session], person: int | None) -> None:
    """Count one more invitation of a person. Raises Refused: they are letters to people who asked for nothing."""
    with make.begin() as session:
        fine = attempts.allowed(session, "invite", str(person), most=MOST, per=PER)
    if not fine:
        raise Refused("often", "trop d'invitations en une heure", accepted=f"{MOST} par heure")


@router.get("/dossiers/{ref}/inviter")
def ask(visit: HolderVisit, ref: str) -> Response:
    """The form of an invitation."""
    return _form(visit, _found(visit, ref))


@router.post("/dossiers/{ref}/inviter")
def invite(visit: HolderVisit, ref: str, fields: Posted) -> Response:
    """Invite somebody; what is wrong is said beside its field."""
    view = _found(visit, ref)
    typed = {name: fields.get(name, "").strip() for name in ("mail", "side")}
    missing = {
        name: BadInput("missing", "ce champ est obligatoire", field=name) for name, value in typed.items() if not value
    }
    if missing:
        return _form(visit, view, typed, missing, 422)
    limit(visit.make, visit.actor.person)
    try:
        with visit.writing() as session:
            invitations.invite(session, view.id, visit.actor, mail=typed["mail"], side=typed["side"])
    except CoupeFileError as error:
        if error.field not in typed:
            raise
        return _form(visit, view, typed, {error.field: error}, 422 if isinstance(error, BadInput) else CONFLICT)
    return go(f"/dossiers/{view.reference}?fait=invitation")


@router.post("/dossiers/{ref}/invitations/{key:int}/fin")
def take_back(visit: HolderVisit, ref: str, key: int, fields: Posted) -> Response:
    """Take an invitation back."""
    del fields  # checked: it came from our page
    view = _found(visit, ref)
    with visit.writing() as session:
        invitations.take_back(session, view.id, visit.actor, key)
    return go(f"/dossiers/{view.reference}?fait=reprise")


@router.post("/dossiers/{ref}/invitations/{key:int}/renvoi")
def send_again(visit: HolderVisit, ref: str, key: int, fields: Posted) -> Response:
    """Send an invitation once more."""
    del fields  # checked: it came from our page
    view = _found(visit, ref)
    limit(visit.make, visit.actor.person)
    with visit.writing() as session:
        invitations.send_again(session, view.id, visit.actor, key)
    return go(f"/dossiers/{view.reference}?fait=renvoi")


@router.get("/dossiers/{ref}/quitter")
def ask_to_leave(visit: HolderVisit, ref: str) -> Response:
    """What leaving does, and a button."""
    view = _found(visit, ref)
    with visit.reading() as session:
        alone = len(parties.members(session, view.id, visit.actor)) == 1
    return visit.page("leave.html", view=view, title=view.title, alone=alone)


@router.post("/dossiers/{ref}/quitter")
def leave(visit: HolderVisit, ref: str, fields: Posted) -> Response:
    """Carry a dossier no more."""
    del fields  # checked: it came from our page
    view = _found(visit, ref)
    with visit.writing() as session:
        parties.leave(session, view.id, visit.actor)
    return go("/dossiers")


# --- the link ---------------------------------------------------------------------------------------------------------


@router.get("/invitation/{secret}")
def open_link(visit: Anybody, secret: str) -> Response:
    """What the link of an invitation opens: who invites to what, and a button, since programs that read mail open links too."""
    return _opened(visit, secret)


@router.post("/invitation/{secret}")
def accept(visit: Anybody, secret: str, fields: Form) -> Response:
    """Accept, once: with an account made if the address has none, and in."""
    if visit.signed is not None:
        check_csrf(visit.request, fields.get("csrf", ""), visit.signed.csrf)
    else:
        sign_in.check(visit, fields)
    sign_in.often(visit, "invitation", "", sign_in.FROM_ONE_PLACE)
    signed = visit.signed.person if visit.signed is not None else None
    try:
        with visit.writing() as session:
            person, reference = invitations.accept(session, secret, signed, name=fields.get("name", ""))
    except CoupeFileError as error:
        return _opened(visit, secret, error, name=fields.get("name", ""))
    where = f"/dossiers/{reference}?fait=rejoint"
    if visit.signed is not None and visit.signed.actor is not None and visit.signed.actor.role == parties.HOLDER:
        return go(where)
    return sign_in.begin(visit, person, where, {})


def _opened(visit: Visit, secret: str, error: CoupeFileError | None = None, *, name: str = "") -> Response:
    """The page of a link, with what is wrong with it or with what was typed."""
    found, before = None, fresh()
    if error is None or isinstance(error, BadInput):
        try:
            with visit.reading() as session:
                found = invitations.opened(session, secret, visit.signed.person if visit.signed is not None else None)
        except Refused as refused:
            error = refused
    status = 200 if error is None else 422 if found is not None else GONE if error.code in GONE_FOR else CONFLICT
    answer = visit.page(
        "invitation.html", status, found=found, error=error, secret=secret, before=before, name=name,
        days=invitations.GOOD_FOR.days, longest=invitations.LONGEST_NAME,
    )  # fmt: skip
    visit.site.cookie(answer, visit.site.before, before, strict=True)
    return answer


# --- parts ------------------------------------------------------------------------------------------------------------


def _found(visit: Visit, ref: str) -> View:
    with visit.reading() as session:
        return load(session, access.find(session, ref, visit.actor), visit.actor)


def _form(
    visit: Visit, view: View, typed: dict[str, str] | None = None, problems: Mapping[str, CoupeFileError] | None = None, status: int = 200
) -> Response:  # fmt: skip
    return visit.page(
        "invite.html", status, view=view, title=view.title, typed=typed or {}, problems=problems or {},
        days=invitations.GOOD_FOR.days,
    )  # fmt: skip
