"""`coupe-file absence …`, `vacancies`, `share` and `leave`: who is there, where nobody is, and who follows what."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated

import typer

from cli import database, say
from cli.door import Command, Group
from cli.options import As, By, Json, operator, person
from states.errors import BadInput
from workflow import absences, caseload, digests, operations
from workflow import vacancies as found
from workflow.absences import Absence
from workflow.access import find
from workflow.caseload import Given

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


def leave(
    login: Login,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="LOGIN", help="Qui reprend ses dossiers ; à défaut, l'administration.", show_default=False
        ),
    ] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Dit le départ d'une personne : ses sièges sont clos maintenant, et tout ce qu'elle suit est remis à quelqu'un.

    Elle le dit elle-même, pour tous ses sièges, ou son chef de service, pour ceux de son administration. Si un dossier ne peut pas
    être remis, rien n'est changé.
    """
    with database.writing() as session:
        left = caseload.leave(session, login, person(session, as_), to=to)
    if json:
        say.document(
            {"login": left.login, "at": left.at, "seats": left.seats, "dossiers": [asdict(one) for one in left.given]}
        )
        return
    where = f"à {to}" if to else "à l'administration"
    handed = say.count(len(left.given), "dossier remis", "dossiers remis")
    say.line(f"{login} quitte {', '.join(left.seats)} ; {handed} {where}.", style="green")
    _given(left.given)


def share(
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DOSSIER",
            help="Les dossiers à répartir ; à défaut, tous ceux que personne ne suit.",
            show_default=False,
        ),
    ] = None,
    as_: As = None,
    json: Json = False,
) -> None:
    """Répartit les dossiers que personne ne suit : chacun à qui, dans l'administration, en suit le moins et est là."""
    with database.writing() as session:
        actor = person(session, as_)
        ids = [find(session, ref, actor) for ref in refs] if refs else None
        given = caseload.share(session, actor, ids)
    if json:
        say.document({"dossiers": [asdict(one) for one in given]})
        return
    if not given:
        say.line("Rien à répartir : quelqu'un suit chaque dossier.")
    _given(given)


def reminders(
    login: Login,
    how: Annotated[
        str,
        typer.Argument(
            metavar="QUAND",
            help="immediate (à l'heure de chacun), daily (le message du jour) ou none (aucun).",
            show_default=False,
        ),
    ],
    by: By = None,
) -> None:
    """Dit comment une personne veut être rappelée. Ce que la loi impose de rappeler l'est toujours."""
    with database.writing() as session:
        who = operator(by)
        digests.prefer(session, login, how)
        operations.record(session, "reminders", who=who, subject={"login": login, "reminders": how})
    say.line(f"Rappels de {login} : {how}.", style="green")


def _given(given: list[Given]) -> None:
    if given:
        say.table(("Dossier", "Suivi par"), [(one.reference, one.login or "personne") for one in given])
