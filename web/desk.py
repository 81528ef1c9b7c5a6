"""The referent's pages: the half-hour first, and behind it the whole queue, whose filters live in the address."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from states.definition import PHASES
from web.visit import DeskVisit
from workflow import meetings, queue, words
from workflow.queue import Ball, Filters

router = APIRouter(include_in_schema=False)
LIMIT = 50


@router.get("/demi-heure")
def half_hour(visit: DeskVisit) -> HTMLResponse:
    """What is to be decided today, what tips over this week, what is with somebody else."""
    with visit.reading() as session:
        found = queue.half_hour(session, visit.actor, visit.zone)
        decisions = meetings.outstanding(session, visit.actor, visit.zone)
    today = found.now.astimezone(ZoneInfo(visit.zone)).date()
    return visit.page("half_hour.html", found=found, decisions=decisions, today=today)


@router.get("/file")
def whole_queue(
    visit: DeskVisit,
    etape: str | None = None,
    sujet: str | None = None,
    commune: str | None = None,
    balle: Annotated[str | None, Query(pattern="^(unit|holder|)$")] = None,
    apres: str | None = None,
    *,
    retard: bool = False,
    clos: bool = False,
    tous: bool = False,
) -> HTMLResponse:
    """The queue of the desk; `tous` adds what it was given before and no longer holds."""
    asked = {"etape": etape, "sujet": sujet, "commune": commune, "balle": balle}
    kept = {name: value for name, value in asked.items() if value}
    kept |= {name: "1" for name, on in (("retard", retard), ("clos", clos), ("tous", tous)) if on}
    ball: Ball | None = "holder" if balle == "holder" else "unit" if balle == "unit" else None
    filters = Filters(
        holding=None if tous or clos else visit.actor.unit, phase=etape or None, topic=sujet or None,
        commune=commune or None, ball=ball, late=retard, closed=clos,
    )  # fmt: skip
    with visit.reading() as session:
        page = queue.page(session, visit.actor, filters, after=apres, limit=LIMIT)
        topics = [(code, words.topic(code)) for code in queue.topics(session)]
    following = f"/file?{urlencode({**kept, 'apres': page.after})}" if page.after else None
    first = f"/file?{urlencode(kept)}" if apres else None
    return visit.page(
        "queue.html", page=page, kept=kept, topics=topics, phases=PHASES[:-1], following=following, first=first
    )
