"""The doorstep: the front page, what the portal says of itself, and whether it is well."""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.orm import Session, sessionmaker

from states.errors import Refused
from web.languages import language
from web.visit import HOME, Anybody, Form, go, inside
from workflow import reconcile, schema, tokens
from workflow.figures import Figures, Patient

router = APIRouter(include_in_schema=False)
YEAR = 31_536_000


@router.get("/")
def front(visit: Anybody) -> Response:
    """What this is, or one's own first page."""
    if visit.signed is not None and visit.signed.actor is not None:
        return go(HOME.get(visit.signed.actor.role, "/aide"))
    return visit.page("front.html")


@router.get("/aide")
def about(visit: Anybody) -> HTMLResponse:
    """How it works, what it does not do, and who answers for it."""
    return visit.page("about.html")


@router.get("/accessibilite")
def accessibility(visit: Anybody) -> HTMLResponse:
    """What is known of the accessibility of these pages."""
    return visit.page("accessibility.html")


@router.post("/langue")
def choose_language(visit: Anybody, fields: Form) -> Response:
    """Keep the language that was chosen; it changes nothing else, and so needs no token."""
    answer = go(inside(fields.get("then", "/")))
    visit.site.cookie(answer, visit.site.language, language(fields.get("language")), seconds=YEAR)
    return answer


@router.get("/healthz")
def alive() -> PlainTextResponse:
    """This process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
def ready(request: Request) -> JSONResponse:
    """Whether what is asked here will be done: the tables are those of this program, and the clock is beating."""
    make: sessionmaker[Session] = request.app.state.make
    with make() as session:
        standing, health = schema.standing(session), None
        if not standing.behind:
            health = reconcile.health(session)
    stale = health is None or health.tick_age is None or health.tick_age > reconcile.TICK_STALE.total_seconds()
    well = not standing.behind and not stale
    body = {"ready": well, "schema": standing.found, "tick_age": health.tick_age if health is not None else None}
    return JSONResponse(body, 200 if well else 503)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """The figures for a monitor, to this machine, or to who bears a token with the scope « metrics »."""
    make: sessionmaker[Session] = request.app.state.make
    if not _near(request):
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        with make.begin() as session:
            found = tokens.find(session, secret) if kind.lower() == "bearer" else None
        if found is None or "metrics" not in found[1]:
            raise Refused("scope", "les mesures ne sont pas pour tous", accepted="un jeton de portée « metrics »")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Patient(Figures(make)))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)  # type: ignore[no-untyped-call]


def _near(request: Request) -> bool:
    """Whether the reader is on this machine, and the portal is for this machine only: behind a proxy all look near."""
    if not request.app.state.site.local or request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
