"""« La promesse est-elle tenue ? »: the effect by territory, each figure with what it means, and as files and evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse, StreamingResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from states.effect import ALL
from web import pictures
from web.pictures import Bar, Picture
from web.pictures import Cell as Drawn
from web.report import FIELDS, Page, opened, question
from web.visit import ManagerVisit
from workflow import business_time, effect, effect_file, evidence, sums
from workflow.effect import Made
from workflow.effect_tables import CAUTION, NOWHERE, TITLE, Cell, Table, Tables

router = APIRouter(include_in_schema=False)
FILTERS = {field: name for name, field in FIELDS.items()}
KINDS = {
    "csv": "text/csv; charset=utf-8", "json": "application/json", "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip


@router.get("/rapport/effet")
def promise(visit: ManagerVisit) -> HTMLResponse:
    """Whether the promise is kept, by territory."""
    page = opened(visit)
    made = page.reckoned(lambda asked: effect.make(visit.make, asked, actor=visit.actor, most=sums.MOST))
    if made is None:
        return page.show("report_effect.html", told=None, title=TITLE)
    tables = Tables(made, visit.say._, comma="," if visit.language == "fr" else ".")
    found = tables.all()
    told = {
        "tables": [(one, _rows(page, one)) for one in found],
        "picture": _picture(page, tables, next(one for one in found if one.name == "promise")),
        "versions": made.versions, "caution": CAUTION, "nowhere": None if made.territories else NOWHERE,
        "dossiers": made.effect.lines[ALL].dossiers,
    }  # fmt: skip
    return page.show("report_effect.html", told=told, title=TITLE, at=made.effect.now)


def _rows(page: Page, table: Table) -> list[list[Drawn]]:
    return [[_drawn(page, cell) for cell in row] for row in table.rows]


def _drawn(page: Page, cell: Cell) -> Drawn:
    """A cell with where it leads: a figure to its dossiers, a name to the same page about it alone."""
    if cell.behind is None:
        return Drawn(cell.text)
    figures, narrow = cell.behind
    filters = narrowed(narrow)
    if figures:
        return Drawn(cell.text, page.asked.link("/rapport/dossiers", filters, chiffre=list(figures)))
    return Drawn(cell.text, page.asked.link("/rapport/effet", filters) if filters else None)


def narrowed(narrow: Mapping[str, str]) -> dict[str, str]:
    """Filters by their names in the address."""
    return {FILTERS[name]: value for name, value in narrow.items()}


def _picture(page: Page, tables: Tables, table: Table) -> Picture | None:
    """The four boxes of each line, as bars."""
    say, telling = page.visit.say, page.telling
    lines = [
        Bar(tables.called(one["line"]), [(box, one["boxes"][box]) for box in pictures.TEXTURES], row[6].text)
        for one, row in zip(tables.lines, table.rows, strict=True)
        if one["promised"]
    ]
    if not lines:
        return None
    whole = tables.by_name[ALL]["boxes"]
    said = say._("Sur %(all)s dossiers, %(kept)s sont clos à temps, %(late)s sont ou ont été en retard, %(open)s courent à temps.") % {
        "all": tables.by_name[ALL]["promised"], "kept": whole["closed_in_time"],
        "late": whole["open_late"] + whole["closed_late"], "open": whole["open_in_time"],
    }  # fmt: skip
    return Picture(pictures.bars("effect", lines, said, legend=telling.legend()), said, (), ())


@router.get("/rapport/effet/export/{name}")
def files(visit: ManagerVisit, name: str) -> Response:
    """The effect as a file, or the evidence as a ZIP, streamed. Raises BadInput."""
    stem, _, form = name.partition(".")
    if (stem, form) != ("preuve", "zip") and (stem != "effet" or form not in effect_file.FORMS):
        raise HTTPException(404, "cette forme n'existe pas")
    with visit.reading() as session:
        found, now = question(session, visit.request.query_params), business_time.now(session)
    for error in found.problems.values():
        raise error
    made = effect.make(visit.make, found.asked, actor=visit.actor, most=sums.MOST)
    operator = visit.settings.operator
    if stem == "preuve":
        body = evidence.stream(visit.make, made, actor=visit.actor, when=now, operator=operator)
        called = {"content-disposition": f'attachment; filename="{evidence.name(made)}"'}
        return StreamingResponse(body, media_type="application/zip", headers=called)
    return _file(made, form, operator)


def _file(made: Made, form: str, operator: str | None) -> FileResponse:
    folder = tempfile.TemporaryDirectory(prefix="coupe-file-")
    path = Path(folder.name) / f"coupe-file-effet-{effect_file.day(made)}.{form}"
    try:
        effect_file.write(path, made, form, operator=operator)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(path, media_type=KINDS[form], filename=path.name, background=BackgroundTask(folder.cleanup))
