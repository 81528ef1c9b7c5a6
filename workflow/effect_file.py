"""The effect as files: a document for a machine, a sheet, a book, and a paper. The same figures, wherever they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from config.settings import program
from states.report import BOXES
from workflow import sheets, typeset
from workflow import words as french
from workflow.effect import Made
from workflow.effect_tables import CAUTION, DAY, MEANINGS, NOWHERE, TITLE, Tables, asked_words
from workflow.sheets import Row
from workflow.typeset import Paper, Part

UNOFFICIAL = "Service non officiel"
HEADS = ("Territoire", "Nom", "Chiffre", "Grandeur", "Valeur", "Unité", "Nombre")


def document(made: Made) -> dict[str, Any]:
    """The effect for a machine; durations in seconds, shares from 0 to 1, null where there is no datum or there are too few."""
    tables = Tables(made)
    lines = [{"line": one["line"], "name": tables.called(one["line"]), **one} for one in tables.lines]
    return {
        "at": made.effect.now, "asked": asked(made), "program": program(), **made.said, "lines": lines,
        "versions": [asdict(one) for one in made.versions],
        "meanings": {name: one._asdict() for name, one in MEANINGS.items()},
    }  # fmt: skip


def asked(made: Made) -> dict[str, Any]:
    """What was asked, by its names."""
    return {name: getattr(made.asked, name) for name in made.asked.__dataclass_fields__ if name != "by"}


def lines(made: Made) -> Iterator[Row]:
    """The effect as a sheet, a figure a row: of which territory, its value and of how many; an empty value is no datum, or too few."""
    yield HEADS
    tables = Tables(made)
    for one in tables.lines:
        for figure, part, value, unit, number in _figures(one):
            yield (one["line"] or "*", tables.called(one["line"]), figure, part, value, unit, number)


def _figures(one: dict[str, Any]) -> Iterator[tuple[str, str, float | int | None, str, int | None]]:
    yield "dossiers", "nombre", one["dossiers"], "dossiers", one["dossiers"]
    for box in BOXES:
        yield f"kept:{box}", "nombre", one["boxes"][box], "dossiers", one["promised"]
    yield "kept", "part", one["kept"], "part", one["promised"] - one["boxes"]["open_in_time"]
    for which, words in (("gross", "brut"), ("net", "net des demandes")):
        yield from _wait(f"resolution:{which}", words, one["resolution"][which], one["resolution"][which]["waited"])
    for side, found in one["court"].items():
        yield f"court:{side}", "part du temps", found["share"], "part", one["dossiers"]
    if one["usual"] is not None:
        found = one["usual"]
        yield from _wait("usual:own", "mêmes sujets", found["own"], found["own"]["waited"])
        yield from _wait("usual:outside", "hors TI, mêmes sujets", found["outside"], found["outside"]["waited"])
        number = min(found["own"]["waited"], found["outside"]["waited"])
        yield from _wait("usual:shorter_by", "écart", {**found, "median": found["shorter_by"]}, number)
    for found in one["legal"]:
        for part in ("gained", "lost"):
            yield f"legal:{found['clock']}:{part}", "somme", found[part] / DAY, "jours", found["known"]
        yield from _wait(f"legal:{found['clock']}", "avance sur la date", found, found["known"])
    for name, number in one["stakes"].items():
        yield f"stakes:{name}", "déclaré", number, "M€" if name.startswith("invested") else name.partition("_")[0], None
    for found in one["escalations"]:
        for when in ("before", "after"):
            yield from _wait(f"escalation:{found['rung']}:{when}", "saisine", found[when], found[when]["waited"])


def _wait(
    figure: str, words: str, found: dict[str, Any], number: int
) -> Iterator[tuple[str, str, float | None, str, int | None]]:
    values = (found["median"], *found["interval"])
    for part, seconds in zip(("médiane", "borne basse", "borne haute"), values, strict=True):
        yield figure, f"{part}, {words}", None if seconds is None else seconds / DAY, "jours", number


def book(path: Path, made: Made) -> None:
    """The effect as an XLSX book: a sheet for each table, all the figures, what they mean, the versions. Raises OSError."""
    tables = Tables(made)
    every = tables.all()
    known = {one.name: _sheet(one.meaning.title) for one in every}
    heads = {known[one.name]: one.head for one in every}
    about = {"Chiffres": HEADS, "Définitions": ("Tableau", "Définition", "Calcul"),
             "Versions": ("Version", "Titre", "Empreinte", "Dossiers", "En vigueur depuis"), "Périmètre": ("Demande", "Valeur")}  # fmt: skip
    made_book = sheets.Book(path, {**heads, **about}, created=made.effect.now)
    for one in every:
        for cells in one.rows:
            made_book.add(known[one.name], [_cell(cell.value, cell.text) for cell in cells])
    for row in list(lines(made))[1:]:
        made_book.add("Chiffres", row)
    for one in every:
        made_book.add("Définitions", tuple(one.meaning))
    for version in made.versions:
        made_book.add("Versions", (version.name, version.title, version.digest, version.dossiers, version.effective))
    as_of = ("Tel que su le", french.on(made.effect.now, french.PARIS))
    for pair in (*asked_words(made.asked), as_of, ("Programme", program())):
        made_book.add("Périmètre", pair)
    made_book.close()


def _cell(value: float | None, text: str) -> float | int | str:
    """A count as a number; what carries an interval or a unit in its words, as its words."""
    return value if isinstance(value, int) else text


def _sheet(title: str) -> str:
    return title.replace(", par territoire", "").replace(", côte à côte", "")[:31]


def paper(made: Made, *, operator: str | None) -> Paper:
    """The effect on paper, to be made into a PDF."""
    tables = Tables(made)
    parts = [
        Part(one.meaning.title, head=one.head, rows=[[cell.text for cell in row] for row in one.rows],
             notes=[f"Définition. {one.meaning.definition}", f"Calcul. {one.meaning.reckoning}"])
        for one in tables.all()
    ]  # fmt: skip
    versions: list[list[str]] = [
        [one.title, one.digest[:16], str(one.dossiers), f"{one.effective:%d/%m/%Y}"] for one in made.versions
    ] or [["Aucune : pas de donnée", "", "", ""]]
    parts.append(
        Part("Versions des procédures", head=("Version", "Empreinte", "Dossiers", "En vigueur depuis"), rows=versions)
    )
    lead = [CAUTION, *([] if made.territories else [NOWHERE])]
    return Paper(
        TITLE, operator or UNOFFICIAL, f"Tel que su le {french.on(made.effect.now, french.PARIS)}", made.effect.now,
        asked_words(made.asked), parts, f"Coupe-file {program()}. Unités et échelons seulement, aucune personne.", lead,
    )  # fmt: skip


def encoded(made: Made) -> bytes:
    """The document as JSON, in UTF-8, instants in UTC."""
    return orjson.dumps(document(made), option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z) + b"\n"


FORMS = ("csv", "json", "xlsx", "pdf")


def write(path: Path, made: Made, form: str, *, operator: str | None) -> None:
    """Write the effect in one of `FORMS`. Raises OSError, NotTypeset."""
    if form == "xlsx":
        book(path, made)
    elif form == "pdf":
        path.write_bytes(typeset.pdf(paper(made, operator=operator)))
    elif form == "json":
        path.write_bytes(encoded(made))
    else:
        with path.open("wb") as file:
            file.writelines(line.encode() for line in sheets.as_csv(lines(made)))


def day(made: Made) -> date:
    """The day that the figures are of, in Paris: a part of the names of their files."""
    return made.effect.now.astimezone(sheets.ZONE).date()
