"""`coupe-file territories …`: the perimeters of the Territoires d'industrie, from the lists that are published."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from cli import database, say, sheet
from cli.door import Command, Group
from cli.options import Json
from states.errors import BadInput
from workflow import territories as perimeters

territories = typer.Typer(
    cls=Group,
    help="Les Territoires d'industrie : leurs périmètres, par date.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
SHOWN = 20
_EXPECTED = ("id_ti", "lib_ti", "siren_groupement", "nature_juridique")


@territories.command("import", cls=Command)
def import_(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FICHIER",
            help="La liste publiée : une ligne par groupement (ANCT) ou par commune (Banque des Territoires) ; - pour l'entrée.",
            show_default=False,
        ),
    ],
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="DATE", help="Le jour où cette liste prend effet : 2027-01-01.", show_default=False
        ),
    ],
    dry: Annotated[
        bool,
        typer.Option(
            "--dry-run", "--essai", metavar="", help="Dire ce qui changerait, sans rien faire.", show_default=False
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Reprend une liste des Territoires d'industrie, vérifiée en entier, et dit ce qu'elle change à partir de son jour.

    Un périmètre qui change a une version de plus ; un territoire qui n'est plus nommé prend fin. Un territoire peut être à cheval
    sur plusieurs départements ou régions. Un code de commune fusionnée vaut celui de la commune d'aujourd'hui.
    """
    day = _day(since)
    name, header, lines = sheet.read_any(file, option="FICHIER", expected=_EXPECTED)
    found = perimeters.layout(header)
    if found is None:
        raise BadInput(
            "layout",
            f"{name} : en-tête inconnu ({', '.join(header)[:200]})",
            field="FICHIER",
            accepted="id_ti, lib_ti, siren_groupement, lib_groupement, nature_juridique ; ou id_ti, lib_ti, et les codes officiels de la commune et de l'EPCI",
        )
    given, problems = perimeters.read([(line.number, line.cells) for line in lines], *found)
    if problems:
        raise sheet.SheetError(name, [(one.line, one.column, one.text) for one in problems])
    with database.writing() as session:
        difference = perimeters.difference(perimeters.versions(session), given, day)
        if not dry:
            perimeters.write(session, difference, day)
    if json:
        say.document(
            {"layout": found[0].name, "from": day.isoformat(), "territories": len(given), **_document(difference)}
        )
        return
    _tell(difference)
    words = "à essayer" if dry else "à jour"
    say.line(
        f"{say.count(len(given), 'territoire')} {words} au {day:%d/%m/%Y}, lus comme {found[0].name}.", style="green"
    )


def _day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise BadInput("date", f"« {given[:40]} » n'est pas une date", field="--since", accepted="AAAA-MM-JJ") from None


def _document(found: perimeters.Difference) -> dict[str, object]:
    return {
        "added": [one.code for one in found.added],
        "changed": [after.code for _, after in found.changed],
        "ended": [one.code for one in found.ended],
        "same": found.same,
    }


def _tell(found: perimeters.Difference) -> None:
    told = [f"+ {one.code} {one.name} ({say.count(len(one.areas), 'membre')})" for one in found.added]
    for before, after in found.changed:
        more, less = len(after.areas - before.areas), len(before.areas - after.areas)
        told.append(f"~ {after.code} {after.name} ({say.count(more, 'membre')} de plus, {less} de moins)")
    told += [f"- {one.code} {one.name}, prend fin" for one in found.ended]
    for words in told[:SHOWN]:
        say.line(f"  {words}")
    if len(told) > SHOWN:
        say.line(f"  … et {say.count(len(told) - SHOWN, 'autre')}")
    if not told:
        say.line("Aucun périmètre ne change.")
