"""`coupe-file report effect`: whether the promise is kept, by territory, in a terminal, as files, and as evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import database, say
from cli.chosen import settings
from cli.options import As, At, Json, day, moment, reader
from cli.report_options import From, OfDefinition, OfDepartement, OfRung, OfTerritory, OfTopic, OfUnit, To, whole
from states.errors import BadInput, shown
from workflow.report import Asked

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from states.dossier import Actor
    from workflow.effect import Made

EVIDENCE = "zip"

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FICHIER",
        help="Le fichier à écrire : .csv, .json, .xlsx, .pdf, ou .zip pour le dossier de preuve.",
        show_default=False,
    ),
]


def effect(
    since: From = None,
    until: To = None,
    unit: OfUnit = None,
    territory: OfTerritory = None,
    area: OfDepartement = None,
    topic: OfTopic = None,
    rung: OfRung = None,
    version: OfDefinition = None,
    at: At = None,
    output: Output = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """La promesse est-elle tenue ? Par territoire, les Territoires d'industrie à côté des autres.

    Les dossiers ouverts comptent ; moins de 10, rien n'est mesuré. Un écart entre deux groupes ne dit pas sa cause.
    """
    from workflow import effect as room
    from workflow import effect_file

    form = None if output is None else _form(output)
    asked = Asked(day(since, "--from"), day(until, "--to"), unit, territory, area, topic, rung, version)
    with database.sessions() as make:
        with make() as session:
            actor = reader(session, as_)
        made = room.make(make, asked, actor=actor, at=moment(at))
        if output is not None and form is not None:
            with whole(output) as part:
                _write(make, made, actor, form, part)
            size = output.stat().st_size
            if json:
                say.document({"file": str(output), "bytes": size, "at": made.effect.now})
            else:
                say.line(f"{output} : {say.count(size, 'octet')}")
            return
    if json:
        say.document(effect_file.document(made))
    else:
        _told(made)


def _form(output: Path) -> str:
    """The form that the name of a file asks for. Raises BadInput."""
    from workflow import effect_file

    form, forms = output.suffix.removeprefix("."), (*effect_file.FORMS, EVIDENCE)
    if form not in forms:
        words = f"« {shown(output.name)} » ne dit pas de forme connue"
        accepted = "un nom qui finit par " + ", ".join(f".{one}" for one in forms)
        raise BadInput("output", words, field="--output", accepted=accepted)
    return form


def _write(make: sessionmaker[Session], made: Made, actor: Actor, form: str, part: Path) -> None:
    from workflow import business_time, effect_file, evidence

    operator = settings().operator
    if form != EVIDENCE:
        effect_file.write(part, made, form, operator=operator)
        return
    with make() as session:
        now = business_time.now(session)
    with part.open("wb") as file:
        file.writelines(evidence.stream(make, made, actor=actor, when=now, operator=operator))


def _told(made: Made) -> None:
    from workflow.effect_tables import CAUTION, NOWHERE, TITLE, Tables, asked_words

    say.line(TITLE, style="bold")
    for label, value in asked_words(made.asked):
        say.fact(label, value)
    say.fact("Tel que su le", say.short(made.effect.now))
    if not made.said["lines"][0]["dossiers"]:
        say.line("Pas de donnée : aucun dossier.")
        return
    say.line(CAUTION)
    if not made.territories:
        say.line(NOWHERE)
    for table in Tables(made).all():
        say.line()
        say.line(table.meaning.title, style="bold")
        say.table(table.head, [[cell.text for cell in row] for row in table.rows])
        say.line(f"{table.meaning.definition} {table.meaning.reckoning}")
    say.line()
    for one in made.versions:
        say.fact(one.title, f"{say.count(one.dossiers, 'dossier')}, empreinte {one.digest[:16]}")
