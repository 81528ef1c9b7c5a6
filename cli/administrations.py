"""`coupe-file directory …`: administrations, people, competences and communes, loaded from CSV files and listed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import text

import config
from cli import database, say, sheet
from cli.door import Command, Group
from cli.options import Json
from states.errors import BadInput
from workflow import directory_file, words
from workflow.directory_file import Lines

directory = typer.Typer(
    cls=Group,
    help="L'annuaire : administrations, personnes, compétences, communes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SAMPLE = Path(config.__file__).parent / "sample"


@directory.command(cls=Command)
def load(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RÉPERTOIRE",
            help="Un répertoire de fichiers CSV : units, people, memberships, competences, communes.",
            show_default=False,
        ),
    ],
    json: Json = False,
) -> None:
    """Charge l'annuaire depuis des fichiers CSV, vérifiés en entier avant que rien ne soit écrit.

    Fichiers lus : communes.csv (code,name), units.csv (code,name,level et au besoin mailbox,telephone,zone),
    people.csv (login,name,mail), memberships.csv (login,unit,role), competences.csv (topic,area,rung,unit ; un unit
    vide est un échelon sans personne). Une ligne déjà connue est mise à jour ; rien n'est effacé.
    """
    _load(folder, json=json)


@directory.command(cls=Command)
def sample(json: Json = False) -> None:
    """Charge l'annuaire d'exemple : de vraies administrations, des personnes fictives."""
    _load(SAMPLE, json=json)


def _load(folder: Path, *, json: bool) -> None:
    read = sheets(folder)
    with database.writing() as session:
        problems = directory_file.check(read, directory_file.known(session))
        if problems:
            first = problems[0].sheet
            several = any(problem.sheet != first for problem in problems)
            name = folder.name or str(folder) if several else f"{first}.csv"
            raise sheet.SheetError(
                name,
                [
                    (one.line, f"{one.column} de {one.sheet}.csv" if several else one.column, one.text)
                    for one in problems
                ],
            )
        done = directory_file.write(session, read)
    if json:
        say.document({"folder": folder.name, "lines": done})
    else:
        shown = {
            "communes": "communes",
            "units": "administrations",
            "people": "personnes",
            "memberships": "sièges",
            "competences": "compétences",
        }
        say.line(
            "Annuaire à jour : " + ", ".join(f"{count} {shown[name]}" for name, count in done.items()) + ".",
            style="green",
        )


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
    Listed.topics: "select topic, count(distinct area) as areas from competences where topic <> '*' group by topic order by topic",
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
        return ("Sujet", "Territoires"), [(r["topic"], str(r["areas"])) for r in rows]
    return ("Code INSEE", "Commune"), [(r["code"], r["name"]) for r in rows]
