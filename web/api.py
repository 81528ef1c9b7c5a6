"""The JSON API: the same verbs and the same reads as the pages, for a program with a token.

Refusals are problem+json (RFC 9457). `Idempotency-Key` makes a repeat harmless; the `ETag` of a dossier is the version
that matters to people, and `If-Match` refuses an act on another one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException

from states import clocks
from states.dossier import Actor
from states.errors import BadInput, Refused
from web import calculator
from web.downloads import PDF, pdf_of
from workflow import (
    access,
    acknowledgements,
    attempts,
    confidentiality,
    dossiers,
    law,
    queue,
    readings,
    tokens,
    why,
    words,
)
from workflow.confidentiality import Marks
from workflow.consultations import Consultation
from workflow.dossiers import Submission
from workflow.journal import Recorded
from workflow.models import Unit
from workflow.overview import overview
from workflow.queue import Ball, Filters, Row
from workflow.view import View, load, written

SUBMISSIONS, PER = 300, timedelta(hours=1)
LONGEST_CASE = 100_000
bearer = HTTPBearer(auto_error=False, description="Un jeton de la page « Mon compte ».")


class Problem(BaseModel):
    """A refusal: what, which field, what would be accepted."""

    type: str
    title: str
    status: int
    code: str | None = None
    field: str | None = None
    accepted: str | None = None


PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": words_, "content": {"application/problem+json": {}}}
    for code, words_ in {
        401: "No token, or one that is over",
        403: "Not within the token's scopes or this role",
        404: "Unknown, or outside one's scope",
        409: "Refused here and now, or stale",
        412: "If-Match names another version",
        413: "Too long",
        422: "What was given cannot be read",
        429: "Too often",
        503: "Try again",
    }.items()
}
router = APIRouter(prefix="/api/v1", responses=PROBLEMS, tags=["coupe-file"])


class Bearer:
    """Who calls: an actor, within scopes."""

    def __init__(self, request: Request, actor: Actor, scopes: frozenset[str]) -> None:
        self.request, self.actor, self.scopes = request, actor, scopes
        self.make: sessionmaker[Session] = request.app.state.make

    def reading(self) -> AbstractContextManager[Session]:
        """One transaction that only reads; what it showed of marked dossiers goes to the register."""
        return readings.reading(self.make)


def _needs(scope: str) -> Callable[..., Bearer]:
    def caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Bearer:
        make: sessionmaker[Session] = request.app.state.make
        found = None
        if given is not None:
            with make.begin() as session:
                found = tokens.find(session, given.credentials)
        if found is None:
            raise HTTPException(401, "jeton absent, inconnu ou périmé", {"WWW-Authenticate": "Bearer"})
        if scope not in found[1]:
            raise Refused("scope", f"ce jeton n'a pas la portée « {scope} »", accepted=", ".join(sorted(found[1])))
        return Bearer(request, *found)

    return caller


Reads = Annotated[Bearer, Depends(_needs("read"))]
Writes = Annotated[Bearer, Depends(_needs("write"))]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", max_length=100, description="A repeat under the same key is done once.")
]
Reference = Annotated[str, Field(max_length=64)]


class UnitSaid(BaseModel):
    """An administration."""

    code: str
    name: str


class Listed(BaseModel):
    """A dossier in a list."""

    id: int
    reference: str
    state: str
    state_label: str
    phase: str
    version: int
    unit: UnitSaid | None
    topic: str | None
    commune: str | None
    commune_name: str | None
    due_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    ball: Literal["unit", "holder", "nobody"]
    title: str | None
    about: str | None = Field(description="The dossier that this request for an avis is about; null for a dossier.")


class ListedPage(BaseModel):
    """A page of a list; `after` asks for the next one."""

    dossiers: list[Listed]
    after: str | None
    now: datetime


class Clock(BaseModel):
    """A clock of a dossier."""

    name: str
    label: str
    family: str
    start: datetime
    due: datetime
    end: datetime | None
    paused: bool


class ConsultationSaid(BaseModel):
    """A service consulted beside a dossier. `silence` is the outcome that silence has, while the request is open; what is
    asked and answered is null for a holder.
    """

    reference: str
    unit: UnitSaid
    state: str
    state_label: str
    since: datetime
    due_at: datetime | None
    closed_at: datetime | None
    silence: str | None
    outcome: str | None
    question: str | None
    opinion: str | None


class Shown(BaseModel):
    """A dossier, as this reader may see it."""

    id: int
    reference: str
    definition: str
    state: str
    state_label: str
    phase: str
    version: int
    unit: UnitSaid | None
    rung: int | None
    rung_label: str | None
    ball: Literal["unit", "holder", "nobody"]
    due_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    data: dict[str, Any]
    texts: dict[str, str | None]
    clocks: list[Clock]
    allowed: list[str]
    refused: dict[str, str]
    about: str | None = Field(description="The dossier that this request for an avis is about; null for a dossier.")
    consultations: list[ConsultationSaid]
    code_name: str | None = Field(description="The code name of a dossier that has one, for who reads texts.")
    now: datetime


class Happened(BaseModel):
    """An event of the journal, as this reader may see it."""

    seq: int
    at: datetime
    effective: datetime
    kind: str
    role: str
    unit: int | None
    args: dict[str, Any]


class Journal(BaseModel):
    """What happened to a dossier, in order."""

    reference: str
    events: list[Happened]


class Version(BaseModel):
    """A date that a clock had, from an instant on."""

    since: datetime
    event: str
    role: str
    cycle: int
    due: datetime


class Derived(BaseModel):
    """A clock and why its date is what it is; `gross_seconds` ran since its start, `net_seconds` without what was held."""

    name: str
    label: str
    family: str
    start: datetime
    due: datetime
    end: datetime | None
    cycle: int
    paused: bool
    gross_seconds: float
    net_seconds: float
    steps: list[dict[str, Any]]
    fr: list[str]
    en: list[str]
    versions: list[Version]


class Turn(BaseModel):
    """From one instant to another, one party had the ball: `holder`, `third_party`, `unit:12`, or `nobody`."""

    party: str
    name: str
    since: datetime
    until: datetime
    seconds: float


class Clocks(BaseModel):
    """The clocks of a dossier, and who had the ball: the turns follow one another without a gap."""

    reference: str
    now: datetime
    clocks: list[Derived]
    turns: list[Turn]


class Acknowledgement(BaseModel):
    """An acknowledgement that an event gave; its PDF is at `path`."""

    seq: int
    at: datetime
    kind: Literal["registration", "receipt", "pieces"]
    title: str
    path: str


class Acknowledgements(BaseModel):
    """The acknowledgements of a dossier, in order."""

    reference: str
    acknowledgements: list[Acknowledgement]


class Marked(BaseModel):
    """What a dossier keeps from whom: `elected` is whether the elected officials who were invited see it."""

    model_config = ConfigDict(extra="forbid")
    code_name: str | None = Field(None, max_length=100)
    reserved: bool = False
    elected: bool = True

    def wanted(self) -> Marks:
        """The marks that are asked for. Raises BadInput."""
        return confidentiality.marks(self.code_name or "", reserved=self.reserved, elected=self.elected)


class Deposit(BaseModel):
    """What opens a dossier."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"fields": {
        "topic": "raccordement", "commune": "64300", "title": "Raccordement 60 MW",
        "blockage": "La proposition technique n'est pas arrivée."}}]})  # fmt: skip
    fields: dict[str, str | int | bool]
    definition: str = Field("coupe-file", max_length=64)
    confidentiality: Marked | None = None


class Opened(BaseModel):
    """A dossier that was opened, now or the first time it was asked."""

    id: int
    reference: str
    repeated: bool


class Asked(BaseModel):
    """What an act carries."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"fields": {"reason": "Deux relances sans réponse."}}]}
    )
    fields: dict[str, str | int | bool] = {}


class Done(BaseModel):
    """What an act did."""

    reference: str
    seq: int
    state: str
    version: int
    events: list[str]
    repeated: bool


class Computed(BaseModel):
    """A date, or what else was asked for, and why: the steps, and the same as sentences."""

    id: str | int | float | bool | None
    result: Any
    explanation: dict[str, Any]


class Me(BaseModel):
    """Who a token acts for."""

    person: int | None
    unit: int | None
    role: str
    scopes: list[str]


class Place(BaseModel):
    """A commune."""

    code: str
    name: str


class Topic(BaseModel):
    """A topic."""

    code: str
    label: str


@router.get("/me")
def me(caller: Reads) -> Me:
    """Who this token acts for."""
    actor = caller.actor
    return Me(person=actor.person, unit=actor.unit, role=actor.role, scopes=sorted(caller.scopes))


@router.get("/topics")
def topics(caller: Reads) -> list[Topic]:
    """The topics of the directory."""
    with caller.reading() as session:
        return [Topic(code=code, label=words.topic(code)) for code in queue.topics(session)]


@router.get("/communes")
def communes(caller: Reads, q: Annotated[str, Query(min_length=1, max_length=60)]) -> list[Place]:
    """The communes that match."""
    with caller.reading() as session:
        return [Place(code=code, name=name) for code, name in queue.communes(session, q)]


@router.get("/dossiers")
def listed(
    caller: Reads,
    *,
    phase: str | None = None,
    topic: str | None = None,
    commune: str | None = None,
    unit: str | None = None,
    ball: Ball | None = None,
    late: bool = False,
    closed: bool = False,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ListedPage:
    """The dossiers within one's scope, the most pressing first."""
    with caller.reading() as session:
        holding = None
        if unit is not None:
            holding = None if "\x00" in unit else session.execute(select(Unit.id).where(Unit.code == unit)).scalar()
            if holding is None:
                raise BadInput("unknown", "administration inconnue", field="unit", accepted="un code de l'annuaire")
        filters = Filters(holding, phase, topic, commune, ball, late, closed)
        page = queue.page(session, caller.actor, filters, after=after, limit=limit)
        return ListedPage(dossiers=[_listed(row) for row in page.rows], after=page.after, now=page.now)


@router.post("/dossiers", status_code=201)
def submit(caller: Writes, deposit: Deposit, response: Response, key: Key = None) -> Opened:
    """Deposit a dossier."""
    with caller.make.begin() as session:
        fine = attempts.allowed(session, "submit", str(caller.actor.person), most=SUBMISSIONS, per=PER)
    if not fine:
        raise Refused("often", "trop de dépôts en une heure", accepted=f"{SUBMISSIONS} par heure")
    with caller.make.begin() as session:
        submission = Submission(values_of(deposit.fields), deposit.definition, key=own(caller, key))
        (done,) = dossiers.submit(session, [submission], actor=caller.actor)
        if deposit.confidentiality is not None and not done.repeated:
            confidentiality.mark(session, done.dossier_id, caller.actor, deposit.confidentiality.wanted(), reason=None)
    caller.request.app.state.ring()
    response.headers["Location"] = f"/api/v1/dossiers/{done.reference}"
    return Opened(id=done.dossier_id, reference=done.reference, repeated=done.repeated)


@router.get("/dossiers/{ref}")
def show(caller: Reads, ref: Reference, response: Response) -> Shown:
    """A dossier."""
    with caller.reading() as session:
        view = load(session, access.find(session, ref, caller.actor), caller.actor)
    response.headers["ETag"] = f'"{view.dossier.version}"'
    return _shown(view)


@router.get("/dossiers/{ref}/journal")
def journal(caller: Reads, ref: Reference) -> Journal:
    """What happened to a dossier."""
    with caller.reading() as session:
        view = load(session, access.find(session, ref, caller.actor), caller.actor)
    return Journal(reference=view.reference, events=[_happened(view, event) for event in view.events])


@router.get("/dossiers/{ref}/clocks")
def derived(caller: Reads, ref: Reference) -> Clocks:
    """Why each date of a dossier is what it is, the dates it had before, and who had the ball."""
    with caller.reading() as session:
        view = load(session, access.find(session, ref, caller.actor), caller.actor)
    return Clocks(
        reference=view.reference, now=view.now, clocks=[Derived(**why.data(each)) for each in why.explained(view)],
        turns=[
            Turn(party=one.party, name=why.name_of(view, one.party), since=one.since, until=one.until,
                 seconds=one.lasted.total_seconds())
            for one in why.turns(view)
        ],
    )  # fmt: skip


@router.get("/dossiers/{ref}/acknowledgements")
def acknowledged(caller: Reads, ref: Reference) -> Acknowledgements:
    """The acknowledgements of a dossier (CRPA R112-11-1): of registration, of receipt, and of what is missing."""
    with caller.reading() as session:
        view = load(session, access.find(session, ref, caller.actor), caller.actor)
    return Acknowledgements(
        reference=view.reference,
        acknowledgements=[
            Acknowledgement(
                seq=one.seq, at=one.at, kind=one.kind, title=one.title,
                path=f"/api/v1/dossiers/{view.reference}/acknowledgements/{one.seq}",
            )
            for one in acknowledgements.listed(view)
        ],
    )  # fmt: skip


@router.get(
    "/dossiers/{ref}/acknowledgements/{seq}", response_class=Response,
    responses={200: {"description": "The letter (PDF/UA-1)", "content": {PDF: {}}}},
)  # fmt: skip
def acknowledgement(caller: Reads, ref: Reference, seq: Annotated[int, Path(ge=1, le=2**31 - 1)]) -> Response:
    """The acknowledgement that an event gave, as PDF, for who may read the texts of the dossier."""
    with caller.reading() as session:
        view = load(session, access.find(session, ref, caller.actor), caller.actor)
        acknowledgements.find(view, seq)
        found = acknowledgements.letter(session, view.id, seq, operator=caller.request.app.state.settings.operator)
    assert found is not None  # noqa: S101  (it was found in this very transaction)
    return pdf_of(*found)


@router.post("/dossiers/{ref}/{trigger}")
def act(
    caller: Writes,
    ref: Reference,
    trigger: Reference,
    asked: Asked,
    response: Response,
    key: Key = None,
    match: Annotated[
        str | None, Header(alias="If-Match", description="The ETag of the dossier as it was seen.")
    ] = None,
) -> Done:
    """Ask for an act: any trigger of the dossier's definition that this role may ask."""
    args = values_of(asked.fields)
    with caller.make.begin() as session:
        dossier = access.find(session, ref, caller.actor)
        view = load(session, dossier, caller.actor)
        if match is not None and match.strip() != "*":
            seen = re.fullmatch(r'"([0-9]{1,9})"', match.strip())
            if seen is None or int(seen[1]) != view.dossier.version:
                raise HTTPException(412, f"le dossier est à la version {view.dossier.version}")
            optional = {name for one in view.definition.triggers if one.name == trigger for name in one.optional}
            if "seen" in optional:
                args.setdefault("seen", seen[1])  # also under the lock
        acting = dossiers.act(session, [dossier], trigger, actor=caller.actor, args=args, idem=own(caller, key))
        result = dossiers.one(acting)
    caller.request.app.state.ring()
    response.headers["ETag"] = f'"{result.version}"'
    return Done(reference=view.reference, seq=result.seq, state=result.state, version=result.version,
                events=list(result.kinds), repeated=result.repeated)  # fmt: skip


_CASE: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {
    "schema": {"type": "object", "description": "Un cas de « coupe-file compute »."},
    "example": {"rule": "jours_ouvres", "start": "2026-12-21", "duration": 10}}}}}  # fmt: skip


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post("/compute", openapi_extra=_CASE, response_model=Computed)
def compute(request: Request, raw: Annotated[bytes, Depends(_body)]) -> Response:
    """Compute a date and say why: the line that `coupe-file compute` answers. For anybody, without a token."""
    calculator.limit(request)
    if len(raw) > LONGEST_CASE:
        raise BadInput("length", f"{len(raw)} octets", field="body", accepted=f"{LONGEST_CASE} octets au plus")
    return Response(orjson.dumps(law.answered(law.read(raw, "body"))), media_type="application/json")


@router.get("/overview")
def steer(caller: Reads) -> dict[str, Any]:
    """Where things stand, for a manager: metadata only."""
    with caller.reading() as session:
        return dataclasses.asdict(overview(session, caller.actor))


# --- parts ------------------------------------------------------------------------------------------------------------


def own(caller: Bearer, key: str | None) -> str | None:
    """A key is that of one person: another's is another key."""
    return f"api:{caller.actor.person}:{key}" if key else None


def values_of(fields: Mapping[str, str | int | bool]) -> dict[str, Any]:
    """The fields of a request as the engine reads them."""
    return {
        name: ("true" if value else "false") if isinstance(value, bool) else str(value)
        for name, value in fields.items()
    }


def _unit(code: str | None, name: str | None) -> UnitSaid | None:
    return UnitSaid(code=code, name=name or "") if code else None


def _listed(row: Row) -> Listed:
    return Listed(
        id=row.id, reference=row.reference, state=row.state, state_label=words.state(row.definition, row.state),
        phase=row.phase, version=row.version, unit=_unit(row.unit, row.unit_name), topic=row.topic, commune=row.commune,
        commune_name=row.place, due_at=row.due_at, closed_at=row.closed_at, outcome=row.outcome,
        ball="nobody" if row.phase == "resolved" else "holder" if row.held else "unit", title=row.title,
        about=row.about,
    )  # fmt: skip


def _shown(view: View) -> Shown:
    dossier, definition = view.dossier, view.definition
    data = {name: value for name, value in dossier.data.items() if not isinstance(value, dict)}
    texts = {name: written(view, value, name) for name, value in dossier.data.items() if isinstance(value, dict)}
    running = [
        Clock(
            name=name, label=words.clock(definition, name), start=clock.start, due=clock.due, end=clock.end,
            family=definition.clocks[name].family if name in definition.clocks else "commitment",
            paused=clock.end is None and clocks.paused(dossier, name),
        )
        for name, clock in dossier.clocks.items()
    ]  # fmt: skip
    return Shown(
        id=view.id, reference=view.reference, definition=f"{definition.id}@{definition.version}", state=dossier.state,
        state_label=words.state(definition, dossier.state), phase=dossier.phase, version=dossier.version,
        unit=_unit(view.unit.code, view.unit.name) if view.unit else None, rung=dossier.rung,
        rung_label=words.rung(definition, dossier.rung) or None,
        ball="nobody" if dossier.closed_at else "holder" if dossier.hold else "unit", due_at=dossier.due_at,
        closed_at=dossier.closed_at, outcome=dossier.outcome, data=data, texts=texts if view.sees_texts else {},
        clocks=running, allowed=[one.name for one in view.allowed],
        refused={one.name: why for one, why in view.closed_doors}, about=view.about,
        consultations=[_consulted(one) for one in view.consultations], now=view.now,
        code_name=view.marks.code_name if view.actor.role in access.SEES_TEXTS else None,
    )  # fmt: skip


def _consulted(one: Consultation) -> ConsultationSaid:
    return ConsultationSaid(
        reference=one.reference, unit=UnitSaid(code=one.unit, name=one.unit_name), state=one.state,
        state_label=words.state(one.definition, one.state), since=one.since, due_at=one.due_at, closed_at=one.closed_at,
        silence=one.silence, outcome=one.outcome, question=one.question, opinion=one.opinion,
    )  # fmt: skip


def _happened(view: View, event: Recorded) -> Happened:
    args: dict[str, Any] = {}
    for name, value in event.command.get("args", {}).items():
        said = written(view, value, name) if isinstance(value, dict) else value
        if said is not None:
            args[name] = said
    return Happened(seq=event.seq, at=event.at, effective=event.effective, kind=event.kind, role=event.actor.role,
                    unit=event.actor.unit, args=args)  # fmt: skip
