"""`coupe-file absence …` and `vacancies`: who is away, who stands in, and where nobody is."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated

import typer

from cli import database, say
from cli.door import Command, Group
from cli.options import By, Json, operator
from states.errors import BadInput
from workflow import absences, operations
from workflow import vacancies as found
from workflow.absences import Absence

absence = typer.Typer(
    cls=Group,
    help="Les absences : qui n'est pas là, de quand à quand, et qui le supplée.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Login = Annotated[str, typer.Argument(metavar="LOGIN", help="La personne, par son login.", show_default=False)]
INSTANT = timedelta(microseconds=1)


@absence.command(cls=Command)
def add(
    login: Login,
    first: Annotated[
        str, typer.Option("--since", metavar="DATE", help="Le premier jour d'absence : 2026-11-16.", show_default=False)
    ],
    last: Annotated[
        str, typer.Option("--until", metavar="DATE", help="Le dernier jour d'absence : 2026-11-27.", show_default=False)
    ],
    substitute: Annotated[
        str | None,
        typer.Option(
            "--substitute", metavar="LOGIN", help="Qui supplée, avec un siège au même endroit.", show_default=False
        ),
    ] = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Note une absence, jours compris, à l'heure de l'administration. Le suppléant reçoit ce que la personne aurait reçu.

    Le motif n'est ni demandé ni gardé. Sans suppléant, les autres personnes de l'administration sont averties ; s'il n'y a plus
    personne, c'est une vacance.
    """
    with database.writing() as session:
        who = operator(by)
        made = absences.add(session, login, _day(first, "--since"), _day(last, "--until"), substitute=substitute)
        operations.record(session, "absence add", who=who, subject={"absence": made.id})
        found.look(session)
    if json:
        say.document(asdict(made))
        return
    say.line(f"Absence n° {made.id} : {_told(made)}.", style="green")


@absence.command("list", cls=Command)
def listed(
    past: Annotated[
        bool, typer.Option("--all", metavar="", help="Aussi les absences passées.", show_default=False)
    ] = False,
    json: Json = False,
) -> None:
    """Montre les absences en cours et à venir, et qui supplée."""
    with database.reading() as session:
        rows = absences.listed(session, past=past)
    if json:
        say.document({"absences": [asdict(row) for row in rows]})
        return
    if not rows:
        say.line("Personne n'est absent.")
        return
    say.table(
        ("N°", "Personne", "Du", "Au", "Suppléant"),
        [(str(row.id), f"{row.name} ({row.login})", *_days(row), row.substitute or "personne") for row in rows],
    )


@absence.command(cls=Command)
def end(
    number: Annotated[int, typer.Argument(metavar="ID", help="Le numéro de l'absence.", show_default=False)],
    by: By = None,
    json: Json = False,
) -> None:
    """Met fin à une absence maintenant ; celle qui n'a pas commencé est retirée."""
    with database.writing() as session:
        who = operator(by)
        ended = absences.end(session, number)
        operations.record(session, "absence end", who=who, subject={"absence": number})
        found.look(session)
    if json:
        say.document(asdict(ended))
        return
    say.line(f"Absence n° {number} terminée : {ended.name} ({ended.login}).", style="green")


def vacancies(
    every: Annotated[
        bool,
        typer.Option("--all", metavar="", help="Aussi les administrations sans dossier en cours.", show_default=False),
    ] = False,
    json: Json = False,
) -> None:
    """Montre les administrations où personne n'est en fonction ni suppléé, et les dossiers qui y attendent."""
    with database.reading() as session:
        rows = found.standing(session, every=every)
    if json:
        say.document({"vacancies": [asdict(row) for row in rows]})
        return
    if not rows:
        say.line("Il y a quelqu'un partout où un dossier attend." if not every else "Il y a quelqu'un partout.")
        return
    say.table(
        ("Code", "Administration", "Depuis", "Dossiers"),
        [(row.code, row.name, say.short(row.since, row.zone) if row.since else "", str(row.dossiers)) for row in rows],
    )


def _day(given: str, option: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise BadInput("date", f"« {given[:40]} » n'est pas une date", field=option, accepted="AAAA-MM-JJ") from None


def _told(one: Absence) -> str:
    begins, ends = _days(one)
    by = f"suppléé par {one.substitute_name} ({one.substitute})" if one.substitute else "sans suppléant"
    return f"{one.name} ({one.login}), du {begins} au {ends}, {by}"


def _days(one: Absence) -> tuple[str, str]:
    begins, ends = say.short(one.begins, one.zone), say.short(one.ends - INSTANT, one.zone)
    return begins.partition(" ")[0], ends.partition(" ")[0]
