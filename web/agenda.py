"""A calendar feed (RFC 5545) of due dates, at a secret address: a calendar that subscribes has no session and no header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session, sessionmaker
from starlette.exceptions import HTTPException

from states.explanation import ends_day
from web.guard import Site
from web.languages import language
from web.speech import Speech
from web.visit import Pages
from workflow import agenda, business_time, tokens
from workflow.agenda import Due

router = APIRouter(include_in_schema=False)
OCTETS = 75
"""A line is no longer (RFC 5545, 3.1)."""
ONE_DAY = timedelta(days=1)


@router.get("/agenda/{secret}.ics")
def feed(request: Request, secret: str) -> Response:
    """The due dates of the person whose address this is."""
    make: sessionmaker[Session] = request.app.state.make
    with make.begin() as session:
        found = tokens.find(session, secret)
        if found is None or found[1] != {tokens.CALENDAR}:
            raise HTTPException(404, "cette adresse d'agenda n'existe pas, ou plus")
        dues = agenda.due_dates(session, found[0])
        ends, now = tokens.ends(session, secret), business_time.now(session)
    pages: Pages = request.app.state.pages
    site: Site = request.app.state.site
    say = pages.speech[language(request.query_params.get("language"))]
    body = "".join(map(folded, _calendar(say, site, dues, ends, now)))
    return Response(body, media_type="text/calendar; charset=utf-8")


def _calendar(say: Speech, site: Site, dues: Sequence[Due], ends: datetime, now: datetime) -> Iterator[str]:
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//coupe-file//echeances//FR", "METHOD:PUBLISH")
    yield f"X-WR-CALNAME:{escaped(say._('Coupe-file : échéances'))}"
    yield "REFRESH-INTERVAL;VALUE=DURATION:PT1H"
    for due in dues:
        what = say.clock(due.definition, due.clock) if due.clock is not None else say._("réponse attendue")
        kind = {"legal": "Délai légal", "commitment": "Engagement de service"}.get(due.family, "Réponse attendue")
        yield from (
            "BEGIN:VEVENT", f"UID:{due.dossier_id}-{due.clock or 'answer'}-{due.cycle}@{site.host}", f"DTSTAMP:{_utc(now)}",
            *_when(due), f"SUMMARY:{escaped(f'{due.reference} : {what}')}", f"CATEGORIES:{escaped(say._(kind))}",
            *([f"LOCATION:{escaped(due.unit)}"] if due.unit else []),
            f"URL:{site.scheme}://{site.host}/dossiers/{due.reference}", "TRANSP:TRANSPARENT", "END:VEVENT",
        )  # fmt: skip
    said = say._("Cette adresse d'agenda prend fin : créez-en une autre sur « Mon compte »")
    yield from (
        "BEGIN:VEVENT", f"UID:end@{site.host}", f"DTSTAMP:{_utc(now)}", f"DTSTART;VALUE=DATE:{ends:%Y%m%d}", f"SUMMARY:{escaped(said)}",
        f"URL:{site.scheme}://{site.host}/compte", "TRANSP:TRANSPARENT", "END:VEVENT", "END:VCALENDAR",
    )  # fmt: skip


def _when(due: Due) -> tuple[str, ...]:
    """A date that is due until its end is a whole day; another is an instant."""
    local = due.at.astimezone(ZoneInfo(due.zone))
    if ends_day(local):
        return (f"DTSTART;VALUE=DATE:{local:%Y%m%d}", f"DTEND;VALUE=DATE:{local + ONE_DAY:%Y%m%d}")
    return (f"DTSTART:{_utc(due.at)}",)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def escaped(words: str) -> str:
    """A TEXT value (RFC 5545, 3.3.11)."""
    for sign in "\\;,":
        words = words.replace(sign, f"\\{sign}")
    return words.replace("\r\n", "\\n").replace("\n", "\\n")


def folded(line: str) -> str:
    """A content line of at most 75 octets a piece, no sign cut in two, each ended by CRLF (RFC 5545, 3.1)."""
    pieces, piece = [], b""
    for sign in line:
        raw = sign.encode()
        if len(piece) + len(raw) > OCTETS:
            pieces.append(piece)
            piece = b" "
        piece += raw
    return b"\r\n".join([*pieces, piece]).decode() + "\r\n"
