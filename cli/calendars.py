"""`coupe-file calendar`: the calendars that clocks go by; a new version of one, and the dates that it moves."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import database, say
from cli.door import Command, Group
from cli.options import By, DryRun, Json, Reason, operator
from config import yamltext
from states.errors import BadInput

if TYPE_CHECKING:
    from workflow.rebuild import Rebuilt

calendar = typer.Typer(
    cls=Group, help="Les calendriers des services : jours fériés, horaires, fermetures.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip
Code = Annotated[str, typer.Argument(metavar="CODE", help="Le calendrier, par son code.", show_default=False)]


@calendar.command("list", cls=Command)
def list_(json: Json = False) -> None:
    """Montre les calendriers, et combien d'administrations vont par chacun."""
    from collections import Counter

    from sqlalchemy import select

    from workflow import directory
    from workflow.models import Unit

    with database.reading() as session:
        known = directory.almanac_now(session)
        units = Counter(known.desk_of(unit, None) for unit in session.execute(select(Unit.id)).scalars())
    found = [
        {"code": code, "version": number, "territory": known.desk(number).territory, "zone": known.desk(number).hours.zone,
         "units": units[number]}
        for code, number in sorted(known.codes.items())
    ]  # fmt: skip
    if json:
        say.document({"calendars": found})
        return
    say.table(
        ("Code", "Jours fériés", "Fuseau", "Administrations"),
        [(str(one["code"]), str(one["territory"]), str(one["zone"]), str(one["units"])) for one in found],
    )


@calendar.command("show", cls=Command)
def show(
    code: Code,
    year: Annotated[
        int | None,
        typer.Option("--year", metavar="ANNÉE", min=2000, max=2199, help="L'année (par défaut : celle-ci).", show_default=False),
    ] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Montre un calendrier : ses heures, et les jours d'une année où le service est fermé."""
    from workflow import almanac, business_time, directory

    with database.reading() as session:
        known = directory.almanac_now(session)
        _known(known.codes, code)
        row = almanac.latest(session, almanac.CALENDAR, code)
        chosen = year or business_time.now(session).year
    hours = known.desk(known.codes[code]).hours
    days = [date(chosen, 1, 1) + timedelta(days=n) for n in range((date(chosen + 1, 1, 1) - date(chosen, 1, 1)).days)]
    closed = {day: hours.holiday(day) or "fermeture" for day in days if hours.is_holiday(day)}
    if json:
        body = row.body if row is not None else {}
        said = {day.isoformat(): name for day, name in closed.items()}
        say.document({"code": code, "version": known.codes[code], "calendar": body, "year": chosen, "closed": said})
        return
    for name, spans in zip(
        ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"), hours.week, strict=True
    ):
        said_hours = ", ".join(f"{_hour(begins)}-{_hour(ends)}" for begins, ends in spans) or "fermé"
        say.fact(name.capitalize(), said_hours)
    say.line()
    say.table(("Fermé", f"En {chosen}"), [(f"{day:%d/%m/%Y}", name) for day, name in closed.items()])


def _hour(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}"


def _known(codes: Any, code: str) -> None:
    if code not in codes:
        raise BadInput(
            "calendar", f"calendrier inconnu : « {code[:60]} »", field="CODE", accepted=", ".join(sorted(codes))
        )


@calendar.command("publish", cls=Command)
def publish(
    code: Code,
    file: Annotated[Path, typer.Argument(metavar="FICHIER", help="Le calendrier, en YAML.", show_default=False)],
    reason: Reason,
    by: By = None,
    json: Json = False,
) -> None:
    """Publie une version d'un calendrier : les délais à venir vont par elle, ceux qui courent gardent la leur.

    Pour recalculer aussi les délais qui courent : coupe-file calendar rebuild.
    """
    from workflow import almanac

    body = _read(file)
    with database.writing() as session:
        made = almanac.publish(session, almanac.CALENDAR, code, body, who=operator(by), why=reason)
    if json:
        say.document({"code": code, "version": made.id, "new": made.new})
        return
    if not made.new:
        say.line(f"Le calendrier {code} a déjà ce contenu : rien n'a changé.")
        return
    say.line(f"Le calendrier {code} a une nouvelle version ({made.id}).")
    say.line("Pour voir les échéances qu'elle déplace : coupe-file calendar rebuild --dry-run --reason …")


def _read(file: Path) -> Any:
    try:
        return yamltext.read(file).data
    except OSError as error:
        raise BadInput(
            "file", f"{file.name} : illisible ({error.strerror})", field="FICHIER", accepted="un fichier YAML"
        ) from None


@calendar.command("rebuild", cls=Command)
def rebuild(
    reason: Reason,
    by: By = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Recalcule les échéances des dossiers ouverts par les calendriers et les règles de maintenant.

    Ce qui ne bouge pas n'est pas touché ; ce qui était dépassé le reste. Interrompu, le même ordre reprend.
    """
    from workflow import rebuild as bulk

    with database.sessions() as make:
        with make() as session:
            total = bulk.waiting(session)
        found = bulk.Rebuilt()
        read = 0
        with say.steps("Recalcul", total) as step:
            for found in bulk.run(make, who=operator(by), why=reason, dry=dry_run):
                step(found.read - read)
                read = found.read
    if json:
        clocks = {
            name: {"moved": len(by_), "most_seconds": max(map(abs, by_)).total_seconds()}
            for name, by_ in found.clocks.items()
        }
        say.document(
            {"dry_run": dry_run, "read": found.read, "dossiers": found.dossiers, "clocks": clocks, "left": found.left}
        )
        return
    _say(found, dry_run=dry_run)


def _say(found: Rebuilt, *, dry_run: bool) -> None:
    verb = "bougeraient" if dry_run else "ont bougé"
    say.line(f"{say.count(found.read, 'dossier ouvert lu', 'dossiers ouverts lus')} ; {found.dossiers} {verb}.")
    rows = [(name, str(len(moves)), say.span(max(map(abs, moves)))) for name, moves in sorted(found.clocks.items())]
    if rows:
        say.table(("Délai", "Échéances déplacées", "Au plus de"), rows)
    for key, why in found.left:
        say.line(f"Dossier {key} laissé : {why}", style="red")
