"""`coupe-file letter`: the acknowledgements of a dossier, and each of them as PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import database, say
from cli.options import As, Json, Ref, reader
from states.errors import BadInput
from workflow.access import find

if TYPE_CHECKING:
    from workflow.acknowledgements import Paper

Number = Annotated[
    int | None,
    typer.Argument(metavar="NUMÉRO", help="L'événement qui l'a donné (sans numéro : la liste).", show_default=False),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FICHIER", help="Le fichier à écrire (par défaut : son nom, ici).", show_default=False
    ),
]


def letter(ref: Ref, number: Number = None, output: Output = None, as_: As = None, json: Json = False) -> None:
    """Liste les accusés d'un dossier (enregistrement, réception, pièces manquantes), ou en écrit un en PDF.

    Le document est fait du journal, à la demande : le même, à l'octet près, tant que le dossier et l'annuaire disent la même
    chose. Un accusé cite le dossier : il faut pouvoir en lire les textes.
    """
    from config import settings
    from workflow import acknowledgements, typeset, view

    with database.reading() as session:
        actor = reader(session, as_)
        seen = view.load(session, find(session, ref, actor), actor)
        if number is None:
            _list(acknowledgements.listed(seen), seen.zone, json=json)
            return
        acknowledgements.find(seen, number)
        found = acknowledgements.letter(session, seen.id, number, operator=settings.read().operator)
    assert found is not None  # noqa: S101  (it was found in this very transaction)
    paper, said = found
    path = output or Path(paper.name)
    body = typeset.pdf(said)
    try:
        path.write_bytes(body)
    except OSError as error:
        raise BadInput(
            "output", f"{path} : {error.strerror}", field="--output", accepted="un fichier à écrire"
        ) from None
    if json:
        say.document({"seq": paper.seq, "kind": paper.kind, "file": str(path), "bytes": len(body)})
    else:
        say.line(f"{paper.title} : {path}")


def _list(papers: list[Paper], zone: str, *, json: bool) -> None:
    if json:
        say.document([{"seq": one.seq, "at": one.at, "kind": one.kind, "title": one.title} for one in papers])
    elif papers:
        say.table(("N°", "Accusé", "Date"), [(str(one.seq), one.title, say.short(one.at, zone)) for one in papers])
    else:
        say.line("Ce dossier n'a donné aucun accusé.")
