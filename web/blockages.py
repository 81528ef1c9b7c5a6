"""« Blocages communs »: causes by territories, each to its dossiers, and to the note that carries it further up."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from web.effect import narrowed
from web.pictures import Cell
from web.report import Page, opened, question
from web.visit import ManagerVisit
from workflow import blockages, sums
from workflow.blockages import NO_RUNG, Made
from workflow.effect_tables import Tables, called, days

router = APIRouter(include_in_schema=False)
COLUMNS = 8
"""How many territories stand beside each other; the file has them all."""


@router.get("/rapport/blocages")
def common(visit: ManagerVisit) -> HTMLResponse:
    """What blocks in several territories, what loses most time first."""
    page = opened(visit)
    made = page.reckoned(lambda asked: blockages.make(visit.make, asked, actor=visit.actor, most=sums.MOST))
    if made is None:
        return page.show("report_blockages.html", told=None)
    told = {"causes": _causes(page, made), "grid": _grid(page, made)}
    return page.show("report_blockages.html", told=told, at=made.found.now)


def _causes(page: Page, made: Made) -> list[tuple[list[Cell], str]]:
    """The rows of the table, each with the address of its note."""
    say = page.visit.say
    rows = []
    for one in made.causes:
        topic = {"sujet": one["topic"]} if one["topic"] else {}
        rung, number = list(one["rungs"].items())[-1]
        highest = say._(made.rungs.get(rung, rung)) if rung else say._(NO_RUNG)
        cells = [
            Cell(say.topic(one["topic"]), page.asked.link("/rapport/blocages", topic) if topic else None),
            Cell(str(len(one["places"]))), _led(page, one["dossiers"], "dossiers", topic), _led(page, one["open"], "open", topic),
            Cell(_days(page, one["lost"])), Cell(f"{highest} ({number})"),
        ]  # fmt: skip
        rows.append((cells, page.asked.link("/rapport/blocages/note.pdf", topic) if topic else ""))
    return rows


def _led(page: Page, number: int, figure: str, narrow: dict[str, str]) -> Cell:
    return Cell(
        str(number), page.asked.link("/rapport/dossiers", narrow, chiffre=[figure]) if number and narrow else None
    )


def _days(page: Page, seconds: float) -> str:
    return days(seconds, page.visit.say._, comma="," if page.visit.language == "fr" else ".")


def _grid(page: Page, made: Made) -> tuple[list[str], list[list[Cell]]]:
    """The territories that lose most time, and for each cause how many dossiers and how many days there."""
    lost = Counter[str]()
    for one in made.causes:
        lost.update({place["line"]: place["lost"] for place in one["places"]})
    shown = [place for place, _ in sorted(lost.items(), key=lambda item: (-item[1], item[0]))[:COLUMNS]]
    rows = []
    for one in made.causes:
        inside = {place["line"]: place for place in one["places"]}
        cells = [Cell(page.visit.say.topic(one["topic"]))]
        for line in shown:
            found = inside.get(line)
            if found is None:
                cells.append(Cell("–"))
                continue
            narrow = {**narrowed(Tables.narrow(line)), **({"sujet": one["topic"]} if one["topic"] else {})}
            number = found["dossiers"]
            words = f"{page.visit.say.many('%s dossier', '%s dossiers', number) % number}, {_days(page, found['lost'])}"
            cells.append(Cell(words, page.asked.link("/rapport/dossiers", narrow, chiffre=["dossiers"])))
        rows.append(cells)
    return [called(line, made.territories, page.visit.say._) for line in shown], rows


@router.get("/rapport/blocages/note.pdf")
def note(visit: ManagerVisit) -> Response:
    """The note of one cause, to be carried to the interministerial level. Raises BadInput."""
    with visit.reading() as session:
        found = question(session, visit.request.query_params)
    for error in found.problems.values():
        raise error
    made = blockages.make(visit.make, found.asked, actor=visit.actor, most=sums.MOST)
    body = blockages.note(made, found.asked.topic or "", operator=visit.settings.operator)
    name = f"note-{found.asked.topic}.pdf"
    return Response(
        body, media_type="application/pdf", headers={"content-disposition": f'attachment; filename="{name}"'}
    )
