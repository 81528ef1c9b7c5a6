"""The manager's page: where things stand, metadata only."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from web.visit import ManagerVisit
from workflow.overview import overview

router = APIRouter(include_in_schema=False)


@router.get("/pilotage")
def steer(visit: ManagerVisit) -> HTMLResponse:
    """Open by administration and phase, late, soon late, vacancies, exhausted ladders, letters given up, the clock."""
    with visit.reading() as session:
        found = overview(session, visit.actor)
    return visit.page("overview.html", found=found)
