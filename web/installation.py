"""The page of who runs the installation: whether it is well, and the letters that were given up, to be queued again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import text
from sqlalchemy.orm import Session

from config.log_lines import redacted
from config.settings import Settings
from states.dossier import Actor
from states.errors import BadInput, shown
from web.visit import NotForThisSeat, Posted, SignedIn, Visit, go
from workflow import access, operations, outbox, reconcile

router = APIRouter(include_in_schema=False)


def runs(session: Session, actor: Actor, settings: Settings) -> str | None:
    """The login of a person if the settings name them among those who run the installation, else None."""
    statement = text("select login from persons where id = :id")
    login: str | None = session.execute(statement, {"id": actor.person}).scalar()
    return login if login in settings.administrators else None


def _admin(visit: SignedIn) -> Visit:
    with visit.reading() as session:
        if runs(session, visit.actor, visit.settings) is None:
            raise NotForThisSeat
    return visit


AdminVisit = Annotated[Visit, Depends(_admin)]


@router.get("/installation")
def installation(visit: AdminVisit, fait: str = "") -> HTMLResponse:
    """Health, and the letters given up: no text, no address."""
    with visit.reading() as session:
        health = reconcile.health(session)
        dead = outbox.letters(session, state="dead")
    done = int(fait) if fait.isascii() and fait.isdecimal() and len(fait) < 10 else None  # noqa: PLR2004  (a count)
    return visit.page("installation.html", health=health, dead=dead, redacted=redacted, done=done)


@router.post("/installation/messages")
def requeue(visit: AdminVisit, fields: Posted) -> Response:
    """Queue again one letter that was given up, or all of them; who did it is kept."""
    given = fields.get("id", "")
    with visit.writing() as session:
        keys = outbox.dead(session) if given == "all" else [number(given)]
        changed = outbox.change(session, keys, "requeue")
        if changed:
            who = runs(session, visit.actor, visit.settings) or ""
            operations.record(session, "outbox.requeue", who=who, subject={"notices": changed})
    return go(f"/installation?fait={len(changed)}")


def number(given: str) -> int:
    """The number of a message, as a form or an address gives it. Raises BadInput."""
    if not (given.isascii() and given.isdecimal() and 0 < int(given[:20]) <= access.MAX_ID):
        sentence = f"« {shown(given)} » n'est pas le numéro d'un message"
        raise BadInput("ids", sentence, field="id", accepted="un nombre, ou all")
    return int(given)
