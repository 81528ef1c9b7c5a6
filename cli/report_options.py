"""What the commands of the report take: the period, what narrows it, and a file to write whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from states.errors import BadInput, shown

From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="Dossiers déposés depuis ce jour, compris.", show_default=False),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="Dossiers déposés jusqu'à ce jour, compris.", show_default=False),
]
OfUnit = Annotated[
    str | None,
    typer.Option("--unit", metavar="UNITÉ", help="Une administration, par son code.", show_default=False),
]
OfTerritory = Annotated[
    str | None,
    typer.Option(
        "--territory",
        metavar="CODE",
        help="Un Territoire d'industrie, par son code ; @ti : dans l'un d'eux ; @hors-ti : dans aucun.",
        show_default=False,
    ),
]
OfDepartement = Annotated[
    str | None,
    typer.Option("--departement", metavar="CODE", help="Un département, par son code.", show_default=False),
]
OfTopic = Annotated[
    str | None, typer.Option("--topic", metavar="SUJET", help="Un sujet, par son code.", show_default=False)
]
OfRung = Annotated[
    str | None, typer.Option("--rung", metavar="NOM", help="Un échelon, par son nom.", show_default=False)
]
OfDefinition = Annotated[
    str | None,
    typer.Option(
        "--definition", metavar="NOM[@VERSION]", help="Une définition, ou une version d'elle.", show_default=False
    ),
]


@contextmanager
def whole(output: Path) -> Iterator[Path]:
    """A file beside the one wanted, which takes its place when it is whole: nothing half-written. Raises BadInput."""
    part = output.with_name(f".{output.name}.part")
    try:
        yield part
        part.replace(output)
    except OSError as error:
        words = f"« {shown(str(output))} » ne peut pas être écrit ({error.strerror})"
        raise BadInput("output", words, field="--output", accepted="un fichier dans un répertoire où écrire") from None
    finally:
        part.unlink(missing_ok=True)
