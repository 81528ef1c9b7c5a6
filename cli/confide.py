"""`coupe-file confide`: what a dossier keeps from whom, and who read it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import database, say
from cli.options import As, Json, Ref, person
from states.errors import BadInput, Refused
from workflow.access import find

CodeName = Annotated[
    str | None,
    typer.Option("--code-name", metavar="NOM", help="Le nom de code, tant que le projet n'est pas annoncé.", show_default=False),
]  # fmt: skip
Reserved = Annotated[
    bool,
    typer.Option("--reserved", metavar="", help="Réserver à l'État ce qui est écrit au dossier.", show_default=False),
]
Hidden = Annotated[
    bool, typer.Option("--hidden", metavar="", help="Ne pas le rendre visible de l'élu.", show_default=False)
]
Open = Annotated[bool, typer.Option("--open", metavar="", help="Lever toute restriction.", show_default=False)]
Why = Annotated[
    str | None, typer.Option("--reason", metavar="TEXTE", help="Le motif du changement.", show_default=False)
]


def confide(
    ref: Ref, code_name: CodeName = None, reserved: Reserved = False, hidden: Hidden = False, open_: Open = False,
    reason: Why = None, as_: As = None, json: Json = False,
) -> None:  # fmt: skip
    """Dit ce qu'un dossier ne laisse pas voir, et à qui ; sans option, le montre, avec le registre de qui l'a lu.

    Ce qui est demandé remplace ce qui l'était. Le motif est gardé au journal.
    """
    from workflow import confidentiality, readings
    from workflow.view import load

    asked = code_name is not None or reserved or hidden
    if (asked and open_) or (reason is not None) != (asked or open_):
        raise BadInput(
            "one", "une confidentialité et son motif, ou rien", field="--reason",
            accepted="--reason avec --code-name, --reserved, --hidden, ou avec --open seul",
        )  # fmt: skip
    if asked or open_:
        wanted = confidentiality.marks(code_name or "", reserved=reserved, elected=not hidden)
        with database.writing() as session:
            actor = person(session, as_)
            confidentiality.mark(session, find(session, ref, actor), actor, wanted, reason=reason or "")
    with database.reading() as session:
        actor = person(session, as_)
        view = load(session, find(session, ref, actor), actor)
        if not view.confides:
            raise Refused("unknown", "la confidentialité de ce dossier n'est pas lisible de ce siège", field="DOSSIER")
        marks, lines = view.marks, readings.listed(session, view.id, actor)
    if json:
        read = [{"at": one.at, "role": one.role, "unit": one.unit, "file": one.file} for one in lines]
        say.document(
            {"code_name": marks.code_name, "reserved": marks.reserved, "elected": marks.elected, "readings": read}
        )
        return
    say.fact("Nom de code", marks.code_name or "aucun")
    say.fact("Réservé à l'État", "oui" if marks.reserved else "non")
    say.fact("Visible de l'élu", "oui" if marks.elected else "non")
    if lines:
        say.table(
            ("Lu le", "Par", "Quoi"),
            [
                (say.short(one.at), one.unit or "le porteur", f"pièce {one.file}" if one.file else "le dossier")
                for one in lines
            ],
        )
