"""The portal put together: routes, guards, and what is answered when something is refused or goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException

from config.settings import Settings
from states.errors import BadInput, CoupeFileError
from web import (
    account,
    agenda,
    api,
    api_bulk,
    api_files,
    api_webhooks,
    blockages,
    bulk,
    by_provider,
    calculator,
    confidentiality,
    desk,
    dossier,
    effect,
    files,
    holder,
    house,
    installation,
    invitations,
    meetings,
    overview,
    report,
    sign_in,
    together,
    webhooks,
)
from web.guard import Guard, Site
from web.problems import said as said_of
from web.problems import status_of
from web.provider import Provider
from web.visit import NotForThisSeat, Pages, SignInNeeded, Visit, form, go, kept
from workflow.unavailable import explain

log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
NOT_FOUND = 404


def create(settings: Settings, make: sessionmaker[Session], ring: Callable[[], None]) -> FastAPI:
    """The application, over a database that is up to date; `ring` is called after each commit and must not block."""
    app = FastAPI(
        title="Coupe-file", version="1", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json",
        description="L'API du coupe-file administratif : ce que font les pages, pour un programme.",
    )  # fmt: skip
    site = Site(settings)
    app.state.settings, app.state.make, app.state.ring, app.state.site = settings, make, ring, site
    app.state.pages = Pages()
    app.add_middleware(Guard, site=site, broken=broken, file_bytes=settings.file_bytes)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.state.provider = Provider(settings) if settings.oidc_issuer else None
    if settings.theme is not None:
        app.mount("/theme", StaticFiles(directory=settings.theme), name="theme")
    for room in (
        house,
        sign_in,
        by_provider,
        account,
        holder,
        desk,
        bulk,
        meetings,
        files,
        dossier,
        invitations,
        confidentiality,
        overview,
        report,
        effect,
        blockages,
        calculator,
        agenda,
        installation,
        webhooks,
        together,
        api_files,
        api_webhooks,
        api_bulk,
        api,
    ):
        app.include_router(room.router)
    _answers(app)
    return app


def _answers(app: FastAPI) -> None:
    async def sign_in_needed(request: Request, _: Exception) -> Response:
        visit = _visit(request)
        if visit.signed is not None:
            return go("/connexion/siege")
        if request.method == "GET":
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return go(sign_in.address(target))
        fields = await _typed(request)
        return sign_in.page(visit, status=401, then=request.url.path, fields=fields, expired=True)

    async def not_for_this_seat(request: Request, _: Exception) -> Response:
        return _visit(request).page("refused.html", 403, title="Cette page n'est pas pour votre siège", words=None)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, CoupeFileError)  # noqa: S101  (registered for it)
        status = status_of(error)
        if _machine(request):
            return problem(error, status)
        title = "Page introuvable" if status == NOT_FOUND else "Demande refusée"
        fields = await _typed(request)
        return _visit(request).page("refused.html", status, title=title, words=error, fields=fields)

    async def not_found(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  (registered for it)
        if _machine(request):
            return JSONResponse(
                {"type": "about:blank", "title": error.detail, "status": error.status_code}, error.status_code,
                media_type="application/problem+json", headers=error.headers,
            )  # fmt: skip
        title = "Page introuvable" if error.status_code == NOT_FOUND else "Demande refusée"
        return _visit(request).page("refused.html", error.status_code, title=title, words=None)

    async def unreadable(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  (registered for it)
        first: Any = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return await refused(request, BadInput("type", "valeur illisible", field=where or None))

    app.add_exception_handler(SignInNeeded, sign_in_needed)
    app.add_exception_handler(NotForThisSeat, not_for_this_seat)
    app.add_exception_handler(CoupeFileError, refused)
    app.add_exception_handler(HTTPException, not_found)
    app.add_exception_handler(RequestValidationError, unreadable)


async def broken(request: Request, error: Exception) -> Response:
    """What is answered when something goes wrong: a word, what had been typed, and nothing of the inside."""
    said = explain(error)
    if said is None:
        log.error("%s %s", request.method, request.url.path, exc_info=error)
        said = CoupeFileError("internal", "une erreur est survenue : elle est notée, rien n'a été écrit à moitié")
    status = status_of(said)
    if _machine(request):
        return problem(said, status)
    fields = kept(request.scope.get("state", {}).get("form", {}))
    pages: Pages = request.app.state.pages
    body = pages.environments["fr"].get_template("broken.html").render(words=said, fields=fields)
    return Response(body, status, media_type="text/html; charset=utf-8")


async def _typed(request: Request) -> dict[str, str]:
    """What somebody had typed into the form that is not taken; read now, if nobody had come to read it."""
    if request.method != "POST" or request.headers.get("content-type", "").startswith("multipart/"):
        return {}  # a file is not read for its own sake
    found = getattr(request.state, "form", None)
    return kept(await form(request) if found is None else found)


def problem(error: CoupeFileError, status: int) -> JSONResponse:
    """A refusal for a machine (RFC 9457)."""
    return JSONResponse(said_of(error, status), status, media_type="application/problem+json")


def _machine(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _visit(request: Request) -> Visit:
    found = getattr(request.state, "visit", None)
    return found if isinstance(found, Visit) else Visit(request)
