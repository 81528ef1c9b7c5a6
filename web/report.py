"""The manager's report: where time is lost, what waits, the dossiers behind each figure, and all of it as files.

What is asked stands in the address of the page: it can be passed on, and every link keeps it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse, StreamingResponse
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from states import loss
from states import report as figures
from states.counters import FLOW
from states.errors import BadInput, shown
from states.facts import Facts
from states.report import COMMITMENT
from web.telling import FAMILIES, Telling, clocks_of, losing
from web.visit import ManagerVisit, Visit
from workflow import business_time, export, report, report_file, report_paper, sheets, sums
from workflow.report import Asked
from workflow.report_choices import Choices, choices

router = APIRouter(include_in_schema=False)
FIELDS = {
    "du": "first", "au": "last", "administration": "unit", "territoire": "territory", "departement": "departement",
    "sujet": "topic", "echelon": "rung", "version": "version", "par": "by",
}  # fmt: skip
"""What is asked, by its name in the address."""
OPTIONS = {"--from": "du", "--to": "au", "--unit": "administration", "--territory": "territoire", "--departement": "departement",
           "--topic": "sujet", "--rung": "echelon", "--definition": "version", "--by": "par"}  # fmt: skip
LISTED = 500
"""How many dossiers a page lists; the file has them all."""
BOOK = 50_000
"""How many dossiers a book is made of; beyond, the CSV has no bound."""
MOST_LETTERS = 100
FORMS = ("chiffres.csv", "chiffres.json", "chiffres.pdf", "liste.csv", "dossiers.csv", "dossiers.xlsx")


@dataclass(slots=True)
class Question:
    """What an address asks: the filters as they were typed, what they mean, and what is wrong with which of them."""

    kept: dict[str, str]
    chiffre: list[str]
    asked: Asked = field(default_factory=Asked)
    problems: dict[str, BadInput] = field(default_factory=dict)

    def link(self, where: str, narrow: Mapping[str, str], **more: Any) -> str:
        """An address that asks the same, narrower."""
        kept = {**self.kept, **narrow}
        for name, keep in (("du", max), ("au", min)):
            if name in self.kept and name in narrow:
                kept[name] = keep(self.kept[name], narrow[name])
        query = urlencode({**kept, **more}, doseq=True)
        return f"{where}?{query}" if query else where


def question(session: Session, given: QueryParams) -> Question:
    """Read an address; each thing wrong is told of its own field."""
    kept = {name: value for name in FIELDS if (value := given.get(name, "").strip()[:MOST_LETTERS])}
    found = Question(kept, [one for one in given.getlist("chiffre") if one][:MOST_LETTERS])
    values: dict[str, Any] = {}
    for name, value in kept.items():
        try:
            values[FIELDS[name]] = _day(value, name) if name in ("du", "au") else value
        except BadInput as error:
            found.problems[name] = error
    for one in (Asked(**values), *(Asked(**{name: value}) for name, value in values.items())):
        try:
            report.wanted(session, one)
        except BadInput as error:
            found.problems.setdefault(OPTIONS.get(error.field or "", "du"), error)
    found.asked = Asked(**values)
    return found


def _day(value: str, name: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise BadInput("date", f"« {shown(value)} » n'est pas une date", field=name, accepted="AAAA-MM-JJ") from None


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Page:
    """One page being made."""

    visit: Visit
    asked: Question
    choices: Choices
    telling: Telling

    def reckoned(self, of: Callable[[Asked], Found]) -> Found | None:
        """What the question of the page gives; None when something in it is wrong, which is told beside its field."""
        if self.asked.problems:
            return None
        try:
            return of(self.asked.asked)
        except BadInput as error:
            self.asked.problems[OPTIONS.get(error.field or "", "du")] = error
            return None

    def show(self, template: str, **context: Any) -> HTMLResponse:
        """The page, with its filters; what is wrong stands beside its field."""
        return self.visit.page(
            template, 422 if self.asked.problems else 200, given=self.asked.kept, choices=self.choices,
            problems=self.asked.problems, groups={name: self.telling.by(name) for name in report.GROUPS},
            link=self.asked.link, forms=FORMS, at=context.pop("at", None), **context,
        )  # fmt: skip


def opened(visit: Visit) -> Page:
    """A page of the report, with what its address asks."""
    with visit.reading() as session:
        asked, offered = question(session, visit.request.query_params), choices(session)
    here = visit.request.url.path

    def link(*, chiffre: list[str] | None = None, page: bool = False, **narrow: str) -> str:
        if page:
            return asked.link(here, narrow)
        return asked.link("/rapport/dossiers", narrow, chiffre=chiffre or [])

    return Page(visit, asked, offered, Telling(visit.say, offered, link))


@router.get("/rapport")
def promises(visit: ManagerVisit) -> HTMLResponse:
    """Where time is lost: promises, who had the ball, where and when, from rung to rung."""
    page = opened(visit)
    found = page.reckoned(lambda asked: sums.of(visit.make, asked, actor=visit.actor))
    if found is None:
        return page.show("report.html", told=None)
    lost, court, whole = losing(found)
    telling, clocks, by = page.telling, clocks_of(whole, COMMITMENT), page.asked.asked.by
    heat = telling.heat(found, clocks)  # before the groups, which are coarser
    told = {
        "first": telling.most(loss.most(lost, court), lost),
        "boxes": {family: telling.clocks_picture(whole, family) for family in FAMILIES},
        "losses": telling.losses(lost, clocks, court),
        "groups": {family: telling.groups_picture(found, by, family) for family in FAMILIES} if by is not None else {},
        "court": telling.court(court),
        "heat": heat,
        "flow": telling.flow(found.by(families=(FLOW,)).get((), {})),
        "counts": {name: whole.get(("", "", name), 0) for name in
                   ("dossiers", "open_dossiers", "resolved", "withdrawn", *figures.TOTALS)},
        "kept": found.kept, "least": loss.MEASURABLE,
    }  # fmt: skip
    return page.show("report.html", told=told, at=found.now)


@router.get("/rapport/attentes")
def waits(visit: ManagerVisit) -> HTMLResponse:
    """How long dossiers wait, with those that still do; how old the open ones are."""
    page = opened(visit)
    made = _made(page, visit)
    if made is None:
        return page.show("report_waits.html", told=None)
    said, telling, now = figures.plain(made.report), page.telling, made.report
    told = {
        "counts": said["counts"], "totals": said["totals"], "waits": list(telling.waits(said)),
        "curves": [(telling.wait(name), telling.curve(name, now), telling.histogram(name, now)) for name in figures.WAITS],
        "ages": telling.ages(said["ages"]),
        "clocks": [
            (family, [(telling.clock(one["clock"]), *(telling.quantile(one[which], part) for which in ("gross", "net") for part in ("p50", "p90")))
                      for one in said["clocks"] if one["family"] == family])
            for family in FAMILIES
        ],
        "groups": [
            (telling.group(page.asked.asked.by, _value(page, name))[0], one)
            for name, one in sorted(made.report.groups.items())
        ] if page.asked.asked.by is not None else [],
    }  # fmt: skip
    told["groups"] = [(name, *_waited(telling, one)) for name, one in told["groups"]]
    return page.show("report_waits.html", told=told, at=made.report.now)


def _value(page: Page, name: str) -> Any:
    """A group of the report as the page names it: units by number, months by their first day."""
    if page.asked.asked.by == "unit":
        return next((number for number, (code, _) in page.choices.numbers.items() if code == name), 0)
    return date.fromisoformat(f"{name}-01") if page.asked.asked.by == "month" else name


def _waited(telling: Telling, one: figures.Report) -> tuple[str, ...]:
    found = {name: figures.duration(one.waits[name]["gross"]) for name in figures.WAITS}
    return str(one.counts["dossiers"]), *(telling.quantile(found[name], "p50") for name in figures.WAITS)


def _made(page: Page, visit: Visit, *, listing: list[str] | None = None) -> report.Made | None:
    """The report of the page's question, read from the journals; None when something is wrong, which is told."""
    return page.reckoned(
        lambda asked: report.make(visit.make, asked, actor=visit.actor, listing=listing or (), most=sums.MOST)
    )


@router.get("/rapport/dossiers")
def behind(visit: ManagerVisit) -> HTMLResponse:
    """The dossiers behind a figure: references, places, dates; no text and no person."""
    page = opened(visit)
    made = _made(page, visit, listing=page.asked.chiffre)
    listed = made.listed if made is not None else []
    return page.show(
        "report_dossiers.html", told=listed[:LISTED] if made is not None else None, all=len(listed),
        units=page.choices.numbers, chiffre=page.asked.chiffre, at=made.report.now if made is not None else None,
    )  # fmt: skip


# --- as files ---------------------------------------------------------------------------------------------------------


@router.get("/rapport/export/{form}")
def files(visit: ManagerVisit, form: str) -> Response:
    """The same figures as those of `coupe-file report`, the dossiers of a figure, or all that are asked about. Raises BadInput."""
    if form not in FORMS:
        raise HTTPException(404, "cette forme n'existe pas")
    with visit.reading() as session:
        found = question(session, visit.request.query_params)
        now = business_time.now(session)
    for error in found.problems.values():
        raise error
    name = f"coupe-file-{form.partition('.')[0]}-{now:%Y-%m-%d}.{form.partition('.')[2]}"
    if form.startswith("dossiers"):
        return _dossiers(visit, found.asked, now, form, name)
    listing = found.chiffre if form == "liste.csv" else ()
    made = report.make(visit.make, found.asked, actor=visit.actor, listing=listing, most=sums.MOST)
    if form == "chiffres.pdf":
        body = report_paper.pdf(made, found.asked, operator=visit.settings.operator)
        return Response(body, media_type="application/pdf", headers=_named(name))
    if form == "chiffres.json":
        return _file(iter([orjson.dumps(report_file.document(made, found.asked)).decode()]), "application/json", name)
    rows = report_file.listed(made) if form == "liste.csv" else report_file.lines(made)
    return _file(sheets.as_csv(rows), "text/csv; charset=utf-8", name)


def _dossiers(visit: Visit, asked: Asked, now: datetime, form: str, name: str) -> Response:
    with visit.reading() as session:
        wanted, known, near = report.wanted(session, asked), export.units(session), report.around(session, asked)
        labels, coded = report.labels(session), report.unnamed(session, visit.actor)
        if form.endswith(".xlsx"):
            report.bounded(session, visit.actor, near, BOOK)

    def rows() -> Iterator[tuple[str, Facts]]:
        for key, reference, facts in report.stream(visit.make, actor=visit.actor, at=now, near=near):
            own = tuple(one for one in facts.promises if wanted.at(one.unit, one.rung))
            if wanted.dossier(facts) and (own or wanted.at(facts.unit, facts.rung)):
                yield reference, replace(report.told(facts, coded, key), promises=own)

    if form.endswith(".csv"):
        lines = chain([export.DOSSIERS], (export.dossier(one, facts, known, now) for one, facts in rows()))
        return _file(sheets.as_csv(lines), "text/csv; charset=utf-8", name)
    folder = tempfile.TemporaryDirectory(prefix="coupe-file-")
    path = Path(folder.name) / name
    try:
        export.book(path, rows(), known, labels, now)
    except BaseException:
        folder.cleanup()
        raise
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return FileResponse(path, media_type=kind, filename=name, background=BackgroundTask(folder.cleanup))


def _file(body: Iterator[str], kind: str, name: str) -> StreamingResponse:
    return StreamingResponse(body, media_type=kind, headers=_named(name))


def _named(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}
