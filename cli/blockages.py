"""`coupe-file report blockages`: what blocks in several territories, and the note that carries a cause further up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import database, say
from cli.chosen import settings
from cli.options import As, Json, day, reader
from cli.report_options import From, OfDepartement, OfTerritory, OfTopic, To, whole
from states.errors import BadInput
from workflow.report import Asked

if TYPE_CHECKING:
    from workflow.blockages import Made

Note = Annotated[
    Path | None,
    typer.Option(
        "--note", metavar="FICHIER", help="La note d'une page du sujet que --topic nomme, en PDF.", show_default=False
    ),
]
AsCsv = Annotated[bool, typer.Option("--csv", metavar="", help="Répondre en CSV, pour un tableur.", show_default=False)]


def blockages(
    since: From = None,
    until: To = None,
    territory: OfTerritory = None,
    area: OfDepartement = None,
    topic: OfTopic = None,
    note: Note = None,
    as_: As = None,
    json: Json = False,
    as_csv: AsCsv = False,
) -> None:
    """Les blocages communs : par cause et par territoire, dossiers, jours perdus et échelon saisi.

    Avec --note, la note d'une page qui porte une cause à l'échelon interministériel.
    """
    from workflow import blockages as room
    from workflow import sheets

    if note is not None and topic is None:
        raise BadInput("topic", "une note est celle d'un sujet", field="--topic", accepted="le code d'un sujet")
    if json and as_csv:
        raise BadInput("format", "deux formes de réponse sont demandées", field="--csv", accepted="--json ou --csv")
    asked = Asked(day(since, "--from"), day(until, "--to"), None, territory, area, topic)
    with database.sessions() as make:
        with make() as session:
            actor = reader(session, as_)
        made = room.make(make, asked, actor=actor)
    if note is not None and topic is not None:
        with whole(note) as part:
            part.write_bytes(room.note(made, topic, operator=settings().operator))
        say.line(f"{room.TITLE} : {note}")
    elif json:
        say.document(room.document(made))
    elif as_csv:
        for line in sheets.as_csv(room.lines(made)):
            say.raw(line)
    else:
        _told(made)


def _told(made: Made) -> None:
    from workflow import words
    from workflow.blockages import NO_RUNG, TITLE
    from workflow.effect_tables import days

    say.line(TITLE, style="bold")
    say.fact("Tel que su le", say.short(made.found.now))
    if not made.causes:
        say.line("Pas de donnée : aucun dossier.")
        return
    rows = []
    for one in made.causes:
        rung, number = list(one["rungs"].items())[-1]
        highest = f"{made.rungs.get(rung, rung) or NO_RUNG} ({number})"
        rows.append(
            (
                words.topic(one["topic"]),
                str(len(one["places"])),
                str(one["dossiers"]),
                str(one["open"]),
                days(one["lost"]),
                highest,
            )
        )
    say.table(("Cause", "Territoires", "Dossiers", "dont ouverts", "Jours perdus", "Échelon le plus haut saisi"), rows)
