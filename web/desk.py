"""The referent's pages: the half-hour first, and behind it the whole queue, whose filters live in the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from states.definition import PHASES
from web.visit import DeskVisit, Posted, go
from workflow import access, meetings, queue, saved_views, words
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
    with visit.reading() as session:
        filters = _filters(kept, visit.actor.unit)
        page = queue.page(session, visit.actor, filters, after=apres, limit=LIMIT)
        number = queue.count(session, visit.actor, filters)
        topics = [(code, words.topic(code)) for code in queue.topics(session)]
        views = [
            (one, queue.count(session, visit.actor, _filters(dict(parse_qsl(one.filters)), visit.actor.unit)))
            for one in saved_views.listed(session, visit.actor.person)
        ]
    following = f"/file?{urlencode({**kept, 'apres': page.after})}" if page.after else None
    first = f"/file?{urlencode(kept)}" if apres else None
    return visit.page(
        "queue.html",
        page=page,
        kept=kept,
        topics=topics,
        phases=PHASES[:-1],
        following=following,
        first=first,
        number=number,
        views=views,
        counted=queue.COUNTED,
        filters=urlencode(kept),
    )


@router.post("/file/vues")
def keep_view(visit: DeskVisit, fields: Posted) -> Response:
    """Keep the filters of the queue under a name."""
    kept = {name: value for name, value in parse_qsl(fields.get("filters", "")) if name in KEPT}
    with visit.writing() as session:
        queue.check(_filters(kept, visit.actor.unit))
        saved_views.keep(session, visit.actor.person, fields.get("name", ""), urlencode(kept))
    return go(f"/file?{urlencode(kept)}")


@router.post("/file/vues/{key:int}/fin")
def drop_view(visit: DeskVisit, key: int, _fields: Posted) -> Response:
    """Forget a view of one's own."""
    with visit.writing() as session:
        saved_views.drop(session, visit.actor.person, min(key, access.MAX_ID))
    return go("/file")


KEPT = ("etape", "sujet", "commune", "balle", "retard", "clos", "tous")


def _filters(kept: Mapping[str, str], unit: int | None) -> Filters:
    """What an address narrows the queue to."""
    closed, every = "clos" in kept, "tous" in kept
    ball: Ball | None = "holder" if kept.get("balle") == "holder" else "unit" if kept.get("balle") == "unit" else None
    return Filters(
        holding=None if every or closed else unit, phase=kept.get("etape"), topic=kept.get("sujet"),
        commune=kept.get("commune"), ball=ball, late="retard" in kept, closed=closed,
    )  # fmt: skip
