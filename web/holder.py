"""The holder's pages: their dossiers, and the form by which a blockage is told, kept as it is typed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from states import fields as form_fields
from states.definition import Definition
from states.errors import BadInput, CoupeFileError, Refused
from web import confidentiality as confidential
from web.visit import HolderVisit, Posted, SignedIn, Visit, go
from workflow import (
    access,
    attempts,
    business_time,
    confidentiality,
    definitions,
    directory,
    dossiers,
    drafts,
    parties,
    projects,
    queue,
    words,
)
from workflow.confidentiality import CODE_NAME
from workflow.dossiers import Submission
from workflow.queue import Filters
from workflow.view import load

router = APIRouter(include_in_schema=False)
NAME = "coupe-file"
SUBMISSIONS, PER = 30, timedelta(hours=1)
ORDER = ("siret", "commune", "topic", "title", "blockage", "since", "needed_by", "jobs", "invested")
SEARCH = "commune_search"
SOURCE, TOGETHER = "source", "together"
BESIDE = (SEARCH, SOURCE, TOGETHER, *confidential.FIELDS)
"""What the form carries beside the fields of a dossier: a dossier of the same project, whether its parties are these, and the
marks of confidentiality."""


@router.get("/dossiers")
def mine(visit: HolderVisit, apres: str | None = None, *, clos: bool = False) -> HTMLResponse:
    """The dossiers of a holder, the most pressing first, and their drafts."""
    with visit.reading() as session:
        page = queue.page(session, visit.actor, Filters(closed=clos), after=apres)
        kept = drafts.every(session, visit.actor.person or 0)
    return visit.page("mine.html", page=page, drafts=kept, closed=clos)


@router.get("/deposer")
def begin(visit: HolderVisit) -> Response:
    """A new draft: its key is chosen here, and is that of the deposit."""
    del visit
    return go(f"/deposer/{uuid.uuid4()}")


@router.get("/deposer/{key}")
def fill(visit: HolderVisit, key: uuid.UUID) -> HTMLResponse:
    """The form, as it was last left."""
    with visit.reading() as session:
        kept = drafts.get(session, key, visit.actor.person or 0)
        return _form(visit, session, key, kept.fields if kept else {}, saved=kept is not None)


@router.post("/dossiers/{ref}/autre")
def another(visit: HolderVisit, ref: str, fields: Posted) -> Response:
    """A draft for another blockage of the same project, with what is known of it already."""
    del fields  # checked: it came from our page
    key = uuid.uuid4()
    with visit.make.begin() as session:
        source = load(session, access.find(session, ref, visit.actor), visit.actor)
        known = {**projects.known(source), **confidential.typed(source.marks), SOURCE: source.reference, TOGETHER: "1"}
        drafts.save(session, key, visit.actor.person or 0, _typed(known))
    return go(f"/deposer/{key}")


@router.post("/deposer/{key}/brouillon")
def save(visit: HolderVisit, key: uuid.UUID, fields: Posted) -> Response:
    """Keep what was typed; to a script, a word; to a person without one, the form again."""
    with visit.make.begin() as session:
        saved = drafts.save(session, key, visit.actor.person or 0, _typed(fields))
    if visit.request.headers.get("hx-request"):
        return visit.page("saved.html", at=saved)
    if fields.get("do") == "search":
        with visit.reading() as session:
            return _form(visit, session, key, _typed(fields), saved=True)
    return go(f"/deposer/{key}")


@router.post("/deposer/{key}/effacer")
def forget(visit: HolderVisit, key: uuid.UUID, fields: Posted) -> Response:
    """Forget a draft."""
    del fields  # checked: it came from our page
    with visit.make.begin() as session:
        drafts.drop(session, key, visit.actor.person or 0)
    return go("/dossiers")


@router.post("/deposer/{key}")
def submit(visit: HolderVisit, key: uuid.UUID, fields: Posted) -> Response:
    """Deposit, once: the same form sent twice opens one dossier. What is wrong is said beside its field."""
    person, typed = visit.actor.person or 0, _typed(fields)
    with visit.make.begin() as session:
        drafts.save(session, key, person, typed)
        fine = attempts.allowed(session, "submit", str(person), most=SUBMISSIONS, per=PER)
    if not fine:
        raise Refused("often", "trop de dépôts en une heure : celui-ci est gardé en brouillon", accepted="plus tard")
    with visit.reading() as session:
        problems = _problems(session, typed)
        if problems:
            return _form(visit, session, key, typed, problems=problems, status=422)
    values = {name: value for name, value in typed.items() if name not in BESIDE and value.strip()}
    with visit.writing() as session:
        others: tuple[int, ...] = ()
        if source := typed[SOURCE].strip():
            beside = access.find(session, source, visit.actor)
            values["project"] = projects.of(session, beside, visit.actor)
            if typed[TOGETHER]:
                others = tuple(one.person for one in parties.members(session, beside, visit.actor))
        (done,) = dossiers.submit(session, [Submission(values, NAME, others, key=f"web:{key}")], actor=visit.actor)
        if not done.repeated:
            confidentiality.mark(session, done.dossier_id, visit.actor, confidential.asked(typed), reason=None)
        drafts.drop(session, key, person)
    return go(f"/dossiers/{done.reference}?depose=1")


@router.get("/communes")
def communes(visit: SignedIn, q: str = "", commune_search: str = "", commune: str = "") -> HTMLResponse:
    """The communes that match, to choose from."""
    with visit.reading() as session:
        found = queue.communes(session, q or commune_search)
    return visit.page("communes.html", found=found, chosen=commune, asked=bool(q or commune_search))


# --- parts ------------------------------------------------------------------------------------------------------------


def _typed(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields.get(name, "") for name in (*ORDER, *BESIDE)}


def _problems(session: Session, typed: Mapping[str, str]) -> dict[str, CoupeFileError]:
    """Every field that cannot be taken, each with what is wrong: all at once, not one after the other."""
    found: dict[str, CoupeFileError] = {}
    definition = _definition(session)
    asked = definition.submission
    for name in ORDER:
        if name not in (*asked.needs, *asked.optional):
            continue
        one = asked.model_copy(
            update={"needs": (name,) if name in asked.needs else (), "optional": () if name in asked.needs else (name,)}
        )
        try:
            form_fields.check(
                definition, one, directory.resolve(session, definition, {name: typed.get(name, "").strip()})
            )
        except BadInput as error:
            found[name] = error
    try:
        confidential.asked(typed)
    except BadInput as error:
        found[CODE_NAME] = error
    today = business_time.now(session).date() + timedelta(days=1)  # a day ahead is today somewhere
    since = typed.get("since", "").strip()
    if "since" not in found and since and date.fromisoformat(since) > today:
        found["since"] = BadInput("date", "cette date est à venir", field="since", accepted="une date passée")
    return found


def _definition(session: Session) -> Definition:
    return definitions.for_submission(session, NAME, business_time.now(session)).compiled.definition


def _form(
    visit: Visit, session: Session, key: uuid.UUID, typed: Mapping[str, str], *, problems: Any = None,
    saved: bool = False, status: int = 200,
) -> HTMLResponse:  # fmt: skip
    definition = _definition(session)
    searched = typed.get(SEARCH, "")
    name = queue.commune(session, typed.get("commune", ""))
    topics = [(code, *words.about(code)) for code in queue.topics(session)]
    values = {field: typed.get(field, "") for field in (*ORDER, *BESIDE)}
    source, others = typed.get(SOURCE, "").strip(), []
    if source:
        beside = access.find(session, source, visit.actor)
        others = [one.name for one in parties.members(session, beside, visit.actor) if not one.me]
    return visit.page(
        "submit.html", status, key=key, typed=values, problems=problems or {}, saved=saved, topics=topics,
        commune_name=name, found=queue.communes(session, searched) if searched else [], rules=definition.fields, others=others,
        order=[one for one in (*ORDER, CODE_NAME) if one in (problems or {})],
    )  # fmt: skip
