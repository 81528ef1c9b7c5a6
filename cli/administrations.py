"""`coupe-file directory …`: administrations, people, competences and communes, loaded from CSV files and listed."""

from __future__ import annotations

import csv
import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import text

import config
from cli import database, say, sheet
from cli.door import REFUSED, Command, Group
from cli.options import Json
from config.administrations import shipped
from states import ladder
from states.errors import BadInput
from workflow import administrations as units
from workflow import business_time, directory_file, places, queue, words
from workflow.directory_file import Lines

directory = typer.Typer(
    cls=Group,
    help="L'annuaire : administrations, personnes, compétences, communes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SHOWN, FEW = 20, 3
SAMPLE = Path(config.__file__).parent / "sample"


Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="RÉPERTOIRE",
        help="Un répertoire de fichiers CSV : units, people, memberships, competences, communes. Sans lui, les administrations livrées.",
        show_default=False,
    ),
]


@directory.command("import", cls=Command)
def import_(
    folder: Folder = None,
    complete: Annotated[
        bool,
        typer.Option(
            "--complete", metavar="", help="Fermer les administrations que units.csv ne nomme plus.", show_default=False
        ),
    ] = False,
    dry: Annotated[
        bool,
        typer.Option(
            "--dry-run", "--essai", metavar="", help="Dire ce qui changerait, sans rien faire.", show_default=False
        ),
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "--oui", metavar="", help="Appliquer sans demander confirmation.", show_default=False),
    ] = False,
    json: Json = False,
) -> None:
    """Charge l'annuaire depuis des fichiers CSV, vérifiés en entier, et montre ce qui change avant de l'appliquer.

    Fichiers lus : communes.csv (code,name), units.csv (code,name,level et au besoin kinds,areas,topics,parent,calendar,mailbox,
    telephone,zone,note,confidence,source,valid_from,valid_to), people.csv (login,name,mail), memberships.csv (login,unit,role),
    competences.csv (topic,area,rung,unit ; un unit vide est un échelon sans personne). Une ligne déjà connue est mise à jour ; rien
    n'est effacé, et une administration qui a des dossiers en cours ne peut pas fermer.
    """
    _load(folder, complete=complete, dry=dry, ask=not yes, json=json)


@directory.command(cls=Command)
def sample(json: Json = False) -> None:
    """Charge l'annuaire d'exemple : de vraies administrations, des personnes fictives."""
    _load(SAMPLE, json=json)


def _load(folder: Path | None, *, complete: bool = False, dry: bool = False, ask: bool = False, json: bool) -> None:
    read = sheets(folder) if folder is not None else {"units": shipped.units()}
    with database.writing() as session:
        known = directory_file.known(session)
        _refuse(folder, directory_file.check(read, known))
        now = business_time.now(session)
        found = units.difference(read.get("units", ()), known.units, known.calendars, now, complete=complete)
        units.refuse_vanishing(session, found)
        if not json and folder != SAMPLE:
            _tell(found)
        if dry or (ask and not json and not found.empty and not _agreed()):
            if json:
                say.document({"difference": _document(found), "lines": {}})
            return
        done = directory_file.write(session, read)
        directory_file.close(session, [change.code for change in found.closed], now)
    if json:
        say.document(
            {"folder": folder.name if folder is not None else None, "lines": done, "difference": _document(found)}
        )
    else:
        said = ", ".join(f"{count} {_SHEETS[name]}" for name, count in done.items())
        say.line(f"Annuaire à jour : {said}.", style="green")


_SHEETS = {
    "communes": "communes",
    "units": "administrations",
    "people": "personnes",
    "memberships": "sièges",
    "competences": "compétences",
}


def _refuse(folder: Path | None, problems: list[directory_file.Problem]) -> None:
    if not problems:
        return
    first = problems[0].sheet
    several = any(problem.sheet != first for problem in problems)
    name = (folder.name or str(folder)) if several and folder is not None else f"{first}.csv"
    told = [(one.line, f"{one.column} de {one.sheet}.csv" if several else one.column, one.text) for one in problems]
    raise sheet.SheetError(name, told)


def _document(found: units.Difference) -> dict[str, list[dict[str, str]]]:
    return {
        name: [change._asdict() for change in changes]
        for name, changes in (("added", found.added), ("changed", found.changed), ("closed", found.closed))
    }


def _tell(found: units.Difference) -> None:
    """Say what would change in the administrations, some of each sort."""
    for changes, adjective, sign in (
        (found.added, "nouvelle", "+"),
        (found.changed, "modifiée", "~"),
        (found.closed, "fermée", "-"),
    ):
        told: dict[str, list[units.Change]] = {}
        for change in changes:
            told.setdefault(change.code, []).append(change)
        if told:
            say.line(
                f"{say.count(len(told), f'administration {adjective}', f'administrations {adjective}s')} :",
                style="bold",
            )
        for code, some in list(told.items())[:SHOWN]:
            say.line(f"  {sign} {code} ({some[0].name}){_columns(some)}")
        if len(told) > SHOWN:
            say.line(f"  … et {say.count(len(told) - SHOWN, 'autre')}")
    if found.empty:
        say.line("Aucune administration ne change.")


def _columns(changes: list[units.Change]) -> str:
    """The columns that change: from what to what, or their names alone when there are many."""
    named = [change for change in changes if change.column]
    if len(named) > FEW:
        return " : " + ", ".join(change.column for change in named)
    said = "".join(f", {one.column} « {one.before} » → « {one.after} »" for one in named)
    return said.replace(",", " :", 1)


def _agreed() -> bool:
    """Whether the person at the terminal agrees; where there is nobody, what was asked is done."""
    return not sys.stdin.isatty() or typer.confirm("Appliquer ?")


@directory.command(cls=Command)
def export(json: Json = False) -> None:
    """Écrit les administrations en CSV sur la sortie : le fichier se corrige dans un tableur et se reprend par import."""
    with database.reading() as session:
        rows = list(units.rows(session).values())
    if json:
        say.document({"units": rows})
        return
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ("code", *units.TOLD), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    say.raw(out.getvalue())


@directory.command(cls=Command)
def check(folder: Folder = None, json: Json = False) -> None:
    """Vérifie un annuaire sans rien écrire, puis que chaque sujet a une échelle sans trou dans toutes les communes.

    Sans répertoire, vérifie les administrations livrées, sans base. Le code de sortie est 2 quand une ligne est refusée, 1 quand un
    échelon n'a pas d'administration.
    """
    if folder is None:
        read: dict[str, Lines] = {"units": shipped.units()}
        known = directory_file.NOTHING
    else:
        read = sheets(folder)
        with database.reading() as session:
            known = directory_file.known(session)
    _refuse(folder, directory_file.check(read, known))
    merged: dict[str, dict[str, str]] = {code: dict(cells) for code, cells in known.units.items()}
    for _, cells in read.get("units", ()):
        merged.setdefault(cells["code"], {}).update(cells)
    said = [cells for cells in merged.values() if cells.get("kinds")]
    holes = places.holes(ladder.Directory.of(places.units(said)), business_time.real_now()) if said else []
    doubts = sum(cells.get("confidence") == "uncertain" for cells in said)
    if json:
        say.document({"ok": not holes, "units": len(merged), "uncertain": doubts, "holes": holes})
    else:
        say.line(f"{say.count(len(merged), 'administration')}, dont {doubts} à confirmer (confidence : uncertain).")
        for hole in holes[:SHOWN]:
            say.line(
                f"  {hole.topic}, échelon « {hole.rung} » : personne pour {hole.commune} et {hole.alike - 1} autres communes",
                style="red",
            )
        if said and not holes:
            say.line("Chaque sujet a une échelle sans trou dans toutes les communes.", style="green")
    if holes:
        raise typer.Exit(REFUSED)


def sheets(folder: Path) -> dict[str, Lines]:
    """The sheets of a directory that a folder holds, read whole. Raises BadInput, SheetError."""
    files = {one.name: folder / f"{one.name}.csv" for one in directory_file.SHEETS}
    try:
        there = {name: path for name, path in files.items() if path.exists()}
    except (OSError, ValueError):
        there = {}
    if not there:
        accepted = f"un dossier qui contient {', '.join(path.name for path in files.values())}"
        raise BadInput(
            "folder", f"aucun fichier de l'annuaire dans « {str(folder)[:200]} »", field="RÉPERTOIRE", accepted=accepted
        )
    return {
        one.name: [
            (line.number, line.cells)
            for line in sheet.read(str(there[one.name]), needed=one.needed, optional=one.optional, option="RÉPERTOIRE")
        ]
        for one in directory_file.SHEETS
        if one.name in there
    }


class Listed(StrEnum):
    """What can be listed."""

    units = "units"
    people = "people"
    topics = "topics"
    communes = "communes"


_STATEMENTS = {
    Listed.units: """
        select u.code, u.name, u.level, u.telephone, u.zone, count(m.id) as people from units u left join memberships m on m.unit_id = u.id
            and (m.valid_from is null or m.valid_from <= (select business_now())) and (m.valid_to is null or (select business_now()) < m.valid_to)
        where u.valid_to is null or (select business_now()) < u.valid_to group by u.id order by u.code""",
    Listed.people: """
        select p.login, p.name, m.role, u.code as unit from persons p left join memberships m on m.person_id = p.id
            and (m.valid_from is null or m.valid_from <= (select business_now())) and (m.valid_to is null or (select business_now()) < m.valid_to)
        left join units u on u.id = m.unit_id order by p.login, m.id""",
    Listed.communes: "select code, name from communes order by code",
}


@directory.command("list", cls=Command)
def listed(
    what: Annotated[
        Listed, typer.Argument(metavar="QUOI", help="units (administrations), people, topics (sujets) ou communes.")
    ] = Listed.units,
    json: Json = False,
) -> None:
    """Montre les administrations, les personnes, les sujets ou les communes de l'annuaire, avec leurs codes."""
    with database.reading() as session:
        if what is Listed.topics:
            rows = [{"topic": code, "label": words.topic(code)} for code in queue.topics(session)]
        else:
            rows = [dict(row._mapping) for row in session.execute(text(_STATEMENTS[what]))]  # noqa: SLF001  (SQLAlchemy's public name)
    if json:
        say.document({what.value: rows})
        return
    if not rows:
        say.line("L'annuaire est vide : « coupe-file directory sample » charge celui d'exemple.")
        return
    say.table(*_told(what, rows))


def _told(what: Listed, rows: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    if what is Listed.units:
        return ("Code", "Administration", "Niveau", "Téléphone", "En fonction"), [
            (
                r["code"],
                r["name"],
                words.LEVELS.get(r["level"], r["level"]),
                r["telephone"] or "",
                str(r["people"]) if r["people"] else "personne",
            )
            for r in rows
        ]
    if what is Listed.people:
        return ("Login", "Nom", "Rôle", "Unité"), [
            (r["login"], r["name"], words.ROLES.get(r["role"] or "", r["role"] or "aucun siège"), r["unit"] or "")
            for r in rows
        ]
    if what is Listed.topics:
        return ("Sujet", "Libellé"), [(r["topic"], r["label"]) for r in rows]
    return ("Code INSEE", "Commune"), [(r["code"], r["name"]) for r in rows]
