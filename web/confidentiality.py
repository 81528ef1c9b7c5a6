"""The confidentiality of a dossier: its marks, which its parties change with a reason, and the register of who read what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from states.errors import BadInput, CoupeFileError, Refused
from web import attached
from web.visit import HolderVisit, NotForThisSeat, Posted, SignedIn, Visit, go
from workflow import access, confidentiality, readings
from workflow.confidentiality import CODE_NAME, ELECTED, REASON, RESERVED, Marks
from workflow.view import View, load

router = APIRouter(include_in_schema=False)
HIDDEN = "hidden"
"""The box by which the elected official is kept out."""
FIELDS = (CODE_NAME, RESERVED, HIDDEN)
DONE = "confidentialite"


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody who read the dossier, or downloaded the file of that event."""

    at: datetime
    who: str
    file: int | None


def typed(marks: Marks) -> dict[str, str]:
    """Marks as the form holds them."""
    return {
        CODE_NAME: marks.code_name or "",
        RESERVED: "1" if marks.reserved else "",
        HIDDEN: "" if marks.elected else "1",
    }


def asked(fields: Mapping[str, str]) -> Marks:
    """The marks that a form asks for. Raises BadInput."""
    return confidentiality.marks(
        fields.get(CODE_NAME, ""), reserved=bool(fields.get(RESERVED)), elected=not fields.get(HIDDEN)
    )


@router.get("/dossiers/{ref}/confidentialite")
def show(visit: SignedIn, ref: str) -> HTMLResponse:
    """The marks and the register, for the parties and for the unit that has the dossier in hand."""
    with visit.reading() as session:
        view = _found(visit, session, ref)
        return _page(visit, session, view, typed(view.marks))


@router.post("/dossiers/{ref}/confidentialite")
def change(visit: HolderVisit, ref: str, fields: Posted) -> Response:
    """Change the marks, with a reason that the journal keeps."""
    try:
        with visit.writing() as session:
            key = access.find(session, ref, visit.actor)
            confidentiality.mark(session, key, visit.actor, asked(fields), reason=fields.get(REASON, ""))
            reference = access.reference(session, key)
    except BadInput as error:
        with visit.reading() as session:
            view = _found(visit, session, ref)
            return _page(visit, session, view, fields, {error.field or ELECTED: error}, 422)
    return go(f"/dossiers/{reference}?fait={DONE}")


def _found(visit: Visit, session: Session, ref: str) -> View:
    view = load(session, access.find(session, ref, visit.actor), visit.actor)
    if visit.actor.role not in access.SEES_TEXTS:
        raise NotForThisSeat
    if not view.confides:
        raise Refused(
            "unknown", "cette page est pour les porteurs du dossier et l'administration qui le tient", field="DOSSIER"
        )
    return view


def _page(
    visit: Visit, session: Session, view: View, fields: Mapping[str, str],
    problems: Mapping[str, CoupeFileError] | None = None, status: int = 200,
) -> HTMLResponse:  # fmt: skip
    lines: Sequence[readings.Reading] = readings.listed(session, view.id, visit.actor)
    return visit.page(
        "confidentiality.html", status, view=view, typed=fields, problems=problems or {}, most=readings.MOST,
        lines=[Line(one.at, attached.who(visit, one.person, one.name, one.unit, one.role), one.file) for one in lines],
    )  # fmt: skip
