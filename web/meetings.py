"""Meetings on dossiers: the agenda, a sheet for each dossier, what is decided, and the minutes that leave once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from states.decide import REMIND
from states.errors import BadInput, CoupeFileError, Refused, shown
from web import dossier
from web.bulk import TICKED
from web.visit import DeskVisit, Posted, Visit, go
from workflow import access, meetings
from workflow.view import load, written

router = APIRouter(include_in_schema=False)


@router.get("/seances")
def listed(visit: DeskVisit, d: Annotated[list[str] | None, Query(max_length=meetings.MOST)] = None) -> HTMLResponse:
    """The meetings of one's unit; with dossiers `d`, on the agenda of which they are to be put."""
    return _list(visit, d or [])


@router.post("/seances")
def convene(visit: DeskVisit, fields: Posted) -> Response:
    """Put dossiers on an agenda, which is opened if need be."""
    references = [name.removeprefix(TICKED) for name in fields if name.startswith(TICKED)]
    try:
        day = _day(fields.get("day", ""), "day", needed=True)
        assert day is not None  # noqa: S101  (needed)
        with visit.writing() as session:
            meetings.convene(session, visit.actor, day, references)
    except CoupeFileError as error:
        return _list(visit, references, typed=fields, problem=error)
    return go(f"/seances/{day.isoformat()}")


@router.get("/seances/{day}")
def show(visit: DeskVisit, day: date) -> HTMLResponse:
    """The meeting of a day: of each dossier where it is, what changed since the last meeting, and what is decided."""
    return _page(visit, day)


@router.post("/seances/{day}/decision")
def decide(visit: DeskVisit, day: date, fields: Posted) -> Response:
    """Note what is decided on a dossier, who does it and by when. What is wrong keeps what was typed."""
    reference = fields.get("dossier", "")
    try:
        due = _day(fields.get("due", ""), "due")
        with visit.writing() as session:
            meetings.decide(
                session, visit.actor, day, reference, fields.get("decision", ""), who=fields.get("who", ""), due=due,
                idem=dossier.idem(visit, fields.get("key")),
            )  # fmt: skip
    except CoupeFileError as error:
        if error.code == "unknown" and error.field == "DOSSIER":
            raise
        return _page(visit, day, typed=fields, problem=error)
    return go(f"/seances/{day.isoformat()}#{reference}")


@router.post("/seances/{day}/retirer")
def strike(visit: DeskVisit, day: date, fields: Posted) -> Response:
    """Take a dossier off the agenda."""
    with visit.writing() as session:
        meetings.strike(session, visit.actor, day, fields.get("dossier", ""))
    return go(f"/seances/{day.isoformat()}")


@router.post("/seances/{day}/releve")
def close(visit: DeskVisit, day: date, _fields: Posted) -> Response:
    """Have the minutes leave, once."""
    with visit.writing() as session:
        meetings.close(session, visit.actor, day)
    return go(f"/seances/{day.isoformat()}")


@router.post("/seances/fait")
def done(visit: DeskVisit, fields: Posted) -> Response:
    """Note that what was decided is done."""
    seq = fields.get("seq", "")
    if not (seq.isascii() and seq.isdecimal() and len(seq) < 10):  # noqa: PLR2004
        raise BadInput("seq", f"« {shown(seq)} » n'est pas un numéro", field="seq", accepted="un nombre entier")
    with visit.writing() as session:
        meetings.done(session, visit.actor, fields.get("dossier", ""), int(seq))
    return go("/demi-heure")


# --- parts ------------------------------------------------------------------------------------------------------------


def _day(given: str, field: str, *, needed: bool = False) -> date | None:
    if not given.strip():
        if needed:
            raise BadInput("missing", "obligatoire et absent", field=field)
        return None
    try:
        return date.fromisoformat(given.strip())
    except ValueError:
        raise BadInput("date", f"« {shown(given)} » n'est pas une date", field=field, accepted="AAAA-MM-JJ") from None


def _list(
    visit: Visit,
    references: list[str],
    *,
    typed: Mapping[str, str] | None = None,
    problem: CoupeFileError | None = None,
) -> HTMLResponse:
    with visit.reading() as session:
        found = meetings.listed(session, visit.actor)
        dossiers = [access.reference(session, access.find(session, one, visit.actor)) for one in references]
    return visit.page(
        "meetings.html", 422 if problem is not None else 200, found=found, dossiers=dossiers, ticked=TICKED, typed=typed or {},
        problem=problem,
    )  # fmt: skip


def _page(
    visit: Visit, day: date, *, typed: Mapping[str, str] | None = None, problem: CoupeFileError | None = None
) -> HTMLResponse:
    with visit.reading() as session:
        meeting = meetings.find(session, visit.actor, day)
        since = meetings.since(session, meeting, visit.zone)
        said: dict[int, list[meetings.Decision]] = {}
        for one in meetings.decisions(session, visit.actor, meeting):
            said.setdefault(one.dossier, []).append(one)
        sheets = [
            _sheet(visit, session, key, since, {one.seq for one in said.get(key, [])})
            for key in meetings.agenda(session, visit.actor, meeting)
        ]
        concerned = meetings.concerned(session, meeting)
    status = 200 if problem is None else 409 if isinstance(problem, Refused) else 422
    return visit.page(
        "meeting.html", status, meeting=meeting, since=since, sheets=sheets, said=said, concerned=concerned, typed=typed or {},
        problem=problem, who_most=meetings.WHO_MOST,
    )  # fmt: skip


def _sheet(visit: Visit, session: Session, key: int, since: datetime, decided: set[int]) -> dict[str, object]:
    """A dossier, and what happened to it since: no reminder of the clock, and not what this meeting decides."""
    view = load(session, key, visit.actor)
    recent = [event for event in view.events if event.at >= since and event.kind != REMIND and event.seq not in decided]
    return {
        "view": view, "title": view.title,
        "blockage": written(view, view.dossier.data.get("blockage"), "blockage"), "timeline": visit.say.timeline(view, recent),
    }  # fmt: skip
