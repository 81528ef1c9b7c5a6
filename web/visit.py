"""A visit: one request of one reader, in a language, and what a page needs to be told to them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.orm import Session, sessionmaker

from config.settings import Settings
from states.dossier import Actor
from web.guard import Site, check_csrf
from web.languages import LANGUAGES, Language, language
from web.speech import SILENCE, Speech
from workflow import readings, sessions
from workflow.sessions import Signed

STAFF = ("referent", "head", "prefet", "operator")
HOME = {"holder": "/dossiers", "manager": "/pilotage", **dict.fromkeys(STAFF, "/demi-heure")}
SEE_OTHER = 303


class SignInNeeded(Exception):
    """This page is for who has signed in and chosen a seat."""


class NotForThisSeat(Exception):
    """This page is for another role."""


class Pages:
    """The templates, once for each language."""

    def __init__(self) -> None:
        self.speech = {one: Speech(one) for one in LANGUAGES}
        self.environments = {one: self._environment(one) for one in LANGUAGES}

    def _environment(self, chosen: Language) -> Environment:
        made = Environment(
            loader=PackageLoader("web", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, extensions=["jinja2.ext.i18n"],
        )  # fmt: skip
        speech = self.speech[chosen]
        made.install_gettext_callables(  # type: ignore[attr-defined]
            speech.translations.gettext, speech.translations.ngettext, newstyle=False
        )
        made.globals.update(
            say=speech, language=chosen, silence=speech.translations.gettext(SILENCE), new_key=lambda: str(uuid.uuid4())
        )
        return made


class Visit:
    """One request of one reader."""

    def __init__(self, request: Request) -> None:
        state = request.app.state
        self.request = request
        self.settings: Settings = state.settings
        self.site: Site = state.site
        self.make: sessionmaker[Session] = state.make
        self.pages: Pages = state.pages
        self.ring: Callable[[], None] = state.ring
        self.language: Language = language(request.cookies.get(self.site.language))
        self.say = self.pages.speech[self.language]
        self.token = request.cookies.get(self.site.session, "")
        self.signed: Signed | None = None
        if self.token:
            with self.make() as session:  # one statement: no transaction around it
                session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
                self.signed = sessions.find(session, self.token)

    @property
    def actor(self) -> Actor:
        """Who acts. Raises SignInNeeded."""
        if self.signed is None or self.signed.actor is None:
            raise SignInNeeded
        return self.signed.actor

    @property
    def zone(self) -> str:
        """The time zone of the reader's desk."""
        return self.signed.zone if self.signed is not None else "Europe/Paris"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads; what it showed of marked dossiers goes to the register."""
        with readings.reading(self.make) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, committed at the end of the block; the bell is rung after it."""
        with self.make.begin() as session:
            yield session
        self.ring()

    def page(self, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
        """A page."""
        signed = self.signed
        role = signed.actor.role if signed is not None and signed.actor is not None else None
        body = self.pages.environments[self.language].get_template(template).render(
            settings=self.settings, signed=signed, role=role, home=HOME.get(role or "", "/"),
            path=self.request.url.path, here=self._here(), csrf=signed.csrf if signed is not None else "",
            zone=self.zone, themed=self.settings.theme is not None, **context,
        )  # fmt: skip
        return HTMLResponse(body, status)

    def _here(self) -> str:
        """The address of this page, with what is asked in it."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query and self.request.method == "GET" else url.path


def go(where: str) -> RedirectResponse:
    """To another page, by GET."""
    return RedirectResponse(where, SEE_OTHER)


def inside(where: str, default: str = "/") -> str:
    """A path of this portal, or the default: what comes with a request sends nobody elsewhere."""
    plain = where.startswith("/") and not where.startswith(("//", "/\\")) and where.isprintable()
    return where if plain else default


def visit(request: Request) -> Visit:
    """Whoever comes, signed in or not."""
    found = Visit(request)
    request.state.visit = found
    return found


Anybody = Annotated[Visit, Depends(visit)]


def signed_in(found: Anybody) -> Visit:
    """Who has signed in and taken a seat. Raises SignInNeeded."""
    _ = found.actor
    return found


SignedIn = Annotated[Visit, Depends(signed_in)]


def _role(*roles: str) -> Callable[[Visit], Visit]:
    def only(found: SignedIn) -> Visit:
        if found.actor.role not in roles:
            raise NotForThisSeat
        return found

    return only


HolderVisit = Annotated[Visit, Depends(_role("holder"))]
DeskVisit = Annotated[Visit, Depends(_role(*STAFF))]
ManagerVisit = Annotated[Visit, Depends(_role("manager"))]


async def form(request: Request) -> dict[str, str]:
    """What a form carried, each field once, no file. Line breaks are one sign, as the bounds of a field count them."""
    found = await request.form()
    values = {name: value.replace("\r\n", "\n") for name, value in found.items() if isinstance(value, str)}
    request.state.form = values
    return values


Form = Annotated[dict[str, str], Depends(form)]


def posted(request: Request, found: SignedIn, fields: Form) -> dict[str, str]:
    """The fields of a form that one of our pages sent, without its token. Raises SignInNeeded, Refused."""
    assert found.signed is not None  # noqa: S101  (SignedIn)
    check_csrf(request, fields.get("csrf", ""), found.signed.csrf)
    return {name: value for name, value in fields.items() if name != "csrf"}


Posted = Annotated[dict[str, str], Depends(posted)]


def kept(fields: Mapping[str, str]) -> dict[str, str]:
    """What is worth keeping of a form that could not be taken."""
    return {name: value for name, value in fields.items() if name not in ("csrf", "password") and value}
