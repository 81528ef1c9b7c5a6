"""Sign in: a password, a link by mail, or (in the demo alone) a person of the story; then a seat, if there are several."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import text
from sqlalchemy.orm import Session

import config
from config import yamltext
from states.errors import Refused
from web.guard import check_csrf, fresh
from web.visit import HOME, Anybody, Form, Visit, go, inside
from workflow import access, accounts, attempts, business_time, links, sessions
from workflow.accounts import Seat

router = APIRouter(include_in_schema=False)
TRIES, LINKS, PER = 10, 5, timedelta(minutes=15)
FROM_ONE_PLACE = 60
UNAUTHORIZED = 401
WRONG = "Identifiant ou mot de passe inconnu."
ASKED = (
    "Si cette adresse est connue, un lien de connexion vient d'y être envoyé. Il sert une fois, pendant vingt minutes."
)


def address(then: str) -> str:
    """Where to sign in, to come back then."""
    return f"/connexion?suite={quote(then)}" if then not in ("", "/") else "/connexion"


def page(
    visit: Visit, *, status: int = 200, then: str = "", fields: Mapping[str, str] | None = None, expired: bool = False,
    error: str | None = None, said: str | None = None, login: str = "",
) -> HTMLResponse:  # fmt: skip
    """The page where one signs in. `fields` are what somebody had typed before their session was over: kept, and shown."""
    before = visit.request.cookies.get(visit.site.before) or fresh()
    people = _played(visit)
    answer = visit.page(
        "sign_in.html", status, then=then, kept=orjson.dumps(dict(fields or {})).decode(), fields=dict(fields or {}),
        expired=expired, error=error, said=said, login=login, before=before, people=people,
        provider=visit.request.app.state.provider,
    )  # fmt: skip
    visit.site.cookie(answer, visit.site.before, before, strict=True)
    return answer


@router.get("/connexion")
def ask(visit: Anybody, suite: str = "") -> Response:
    """The page where one signs in."""
    if visit.signed is not None and visit.signed.actor is not None:
        return go(inside(suite, HOME.get(visit.signed.actor.role, "/")))
    return page(visit, then=inside(suite))


@router.post("/connexion")
def enter(visit: Anybody, fields: Form) -> Response:
    """By password."""
    check(visit, fields)
    login, then = fields.get("login", "").strip()[:200], inside(fields.get("then", "/"))
    often(visit, "password", login, TRIES)
    with visit.make() as session:
        person = accounts.person(session, login)
        right = accounts.known(session, person or 0, fields.get("password", ""))
    if person is None or not right:
        return page(visit, status=UNAUTHORIZED, then=then, fields=_kept(fields), error=WRONG, login=login)
    return begin(visit, person, then, _kept(fields))


@router.post("/connexion/lien")
def ask_link(visit: Anybody, fields: Form) -> Response:
    """Ask for a link; the answer is the same whether the address is known or not."""
    check(visit, fields)
    mail = fields.get("mail", "").strip()[:200]
    often(visit, "link", mail, LINKS)
    with visit.writing() as session:
        person = accounts.person(session, mail)
        if person is not None:
            links.ask(session, person)
    return page(visit, then=inside(fields.get("then", "/")), fields=_kept(fields), said=ASKED)


@router.get("/connexion/lien/{secret}")
def show_link(visit: Anybody, secret: str) -> Response:
    """What a link in a letter opens: a button, since programs that read mail open links too."""
    with visit.reading() as session:
        good = links.good(session, secret)
    before = fresh()
    answer = visit.page("link.html", 200 if good else 410, good=good, secret=secret, before=before)
    visit.site.cookie(answer, visit.site.before, before, strict=True)
    return answer


@router.post("/connexion/lien/{secret}")
def use_link(visit: Anybody, secret: str, fields: Form) -> Response:
    """Use a link, once."""
    check(visit, fields)
    often(visit, "use", "", FROM_ONE_PLACE)
    with visit.make.begin() as session:
        person = links.use(session, secret)
    if person is None:
        return visit.page("link.html", 410, good=False, secret="", before="")
    return begin(visit, person, "/", {})


@router.post("/connexion/demonstration")
def play(visit: Anybody, fields: Form) -> Response:
    """Enter as a person of the demo's story; refused anywhere but in the demo."""
    check(visit, fields)
    wanted = fields.get("as", "")
    if wanted not in {one["as"] for one in _played(visit)}:
        raise Refused("unknown", "personne ne porte ce nom dans la démonstration")
    with visit.make.begin() as session:
        actor = access.actor(session, wanted, business_time.now(session))
        token = sessions.begin(session, actor.person or 0, actor)
    return _welcome(visit, token, inside(fields.get("then", "/")), _kept(fields))


@router.get("/connexion/siege")
def choose(visit: Anybody) -> Response:
    """The seats of a person who has several."""
    if visit.signed is None:
        return go("/connexion")
    with visit.reading() as session:
        seats = accounts.seats(session, visit.signed.person)
    return visit.page("seat.html", seats=list(enumerate(seats)))


@router.post("/connexion/siege")
def take(visit: Anybody, fields: Form) -> Response:
    """Take a seat: the session begins anew."""
    if visit.signed is None:
        return go("/connexion")
    check_csrf(visit.request, fields.get("csrf", ""), visit.signed.csrf)
    with visit.make.begin() as session:
        seats = accounts.seats(session, visit.signed.person)
        number = fields.get("seat", "")
        if not number.isdecimal() or int(number) >= len(seats):
            raise Refused("unknown", "vous n'occupez pas ce siège", field="seat")
        sessions.end(session, visit.token)
        token = sessions.begin(session, visit.signed.person, seats[int(number)].actor, id_token=visit.signed.id_token)
    return _welcome(visit, token, "/", {})


# --- parts ------------------------------------------------------------------------------------------------------------


def begin(visit: Visit, person: int, then: str, fields: Mapping[str, str], *, id_token: str | None = None) -> Response:
    """A session for a person: in their seat if they have one, to be chosen if they have several."""
    with visit.make.begin() as session:
        seats: list[Seat] = accounts.seats(session, person)
        if visit.token:
            sessions.end(session, visit.token)
        token = sessions.begin(session, person, seats[0].actor if len(seats) == 1 else None, id_token=id_token)
    return _welcome(visit, token, then if len(seats) == 1 else "/connexion/siege", fields)


def _welcome(visit: Visit, token: str, then: str, fields: Mapping[str, str]) -> Response:
    """On with what one came for; what had been typed before is shown, to be sent again."""
    with visit.make.begin() as session:
        visit.signed = sessions.find(session, token)
    answer: Response = visit.page("resume.html", then=then, fields=dict(fields)) if fields else go(then)
    visit.site.cookie(answer, visit.site.session, token)
    visit.site.forget(answer, visit.site.before)
    return answer


def check(visit: Visit, fields: Mapping[str, str]) -> None:
    """Before there is a session, the token of a form is that of a cookie given with its page. Raises Refused."""
    check_csrf(visit.request, fields.get("before", ""), visit.request.cookies.get(visit.site.before, ""))


def often(visit: Visit, what: str, name: str, most: int) -> None:
    """Raise Refused when this was tried too often, for one name or from one place."""
    host = visit.request.client.host if visit.request.client is not None else ""
    with visit.make.begin() as session:
        here = attempts.allowed(session, what, "from", host, most=FROM_ONE_PLACE, per=PER)
        fine = attempts.allowed(session, what, "name", name.lower(), most=most, per=PER) and here if name else here
    if not fine:
        raise Refused("often", "trop d'essais : attendez un quart d'heure", accepted="un lien par courriel")


def _kept(fields: Mapping[str, str]) -> dict[str, str]:
    return kept_fields(fields.get("kept") or "{}")


def kept_fields(said: str) -> dict[str, str]:
    """What somebody had typed, from how a form carries it; nothing when it cannot be read."""
    try:
        found: Any = orjson.loads(said)
    except orjson.JSONDecodeError:
        return {}
    return (
        {str(name): value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}
    )


@cache
def _story() -> tuple[dict[str, str], ...]:
    data: Any = yamltext.read(Path(config.__file__).parent / "demo" / "accounts.yaml").data
    return tuple(dict(one) for one in data["accounts"])


def _played(visit: Visit) -> tuple[dict[str, str], ...]:
    """Who may be played: nobody but in the demo, on the machine that it runs on."""
    if not visit.settings.demo or not visit.site.local:
        return ()
    with visit.reading() as session:
        return _story() if _is_demo(session) else ()


def _is_demo(session: Session) -> bool:
    return bool(session.execute(text("select exists (select from heartbeats where name = 'demo')")).scalar())
