"""`coupe-file clock …`: the time that dossiers live in; in the demo it may be paused and moved on."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import text
from sqlalchemy.orm import Session

from cli import database, say
from cli.door import Command, Group
from cli.options import Json
from states.errors import BadInput, Refused
from workflow import business_time, scenario
from workflow.letters import date

clock = typer.Typer(cls=Group, help="Le temps que vivent les dossiers.", no_args_is_help=True, rich_markup_mode=None)
ZONE = ZoneInfo(say.PARIS)
ACCEPTED = "18:00, 2026-11-26, « 2026-11-26 18:00 » ou un instant avec son fuseau"
FARTHEST = timedelta(days=366)
_HOUR = re.compile(r"(\d{1,2})[:h](\d{2})")


@clock.command("show", cls=Command)
def show(json: Json = False) -> None:
    """Montre l'heure que vivent les dossiers, et si elle avance."""
    with database.reading() as session:
        _shown(session, json=json)


@clock.command("pause", cls=Command)
def pause(json: Json = False) -> None:
    """Arrête le temps de la démonstration."""
    with database.writing() as session:
        _refuse_real(session)
        business_time.freeze(session)
        _shown(session, json=json)


@clock.command("run", cls=Command)
def run(json: Json = False) -> None:
    """Laisse repartir le temps de la démonstration, au rythme que « coupe-file up --demo » lui donne."""
    with database.writing() as session:
        _refuse_real(session)
        business_time.resume(session)
        _shown(session, json=json)


@clock.command("to", cls=Command)
def to(
    when: Annotated[
        str, typer.Argument(metavar="QUAND", help=f"{ACCEPTED} ; une heure seule est la prochaine.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Avance le temps de la démonstration jusqu'à une heure ; ce qui échoit en chemin est fait à son heure."""
    with database.sessions() as make:
        with make.begin() as session:
            _refuse_real(session)
            now = business_time.now(session)
            target = instant(when, now)
            if not now <= target <= now + FARTHEST:
                raise BadInput(
                    "time",
                    f"il est {date(now, ZONE)} : le temps ne recule pas, et n'avance pas de plus d'un an à la fois",
                    field="QUAND",
                    accepted=ACCEPTED,
                )
            ran = not business_time.paused(session)
            business_time.freeze(session)
        try:
            scenario.advance(make, target)
            database.wrote()
        finally:
            if ran:
                with make.begin() as session:
                    business_time.resume(session)
        with make() as session:
            _shown(session, json=json)


def instant(given: str, now: datetime) -> datetime:
    """An instant as it is typed; an hour alone is the next one, in Paris. Raises BadInput."""
    hour = _HOUR.fullmatch(given.strip())
    try:
        if hour:
            there = now.astimezone(ZONE)
            found = datetime.combine(there.date(), time(int(hour[1]), int(hour[2])), ZONE)
            return found if found > now else datetime.combine(there.date() + timedelta(days=1), found.time(), ZONE)
        found = datetime.fromisoformat(given.strip())
    except ValueError:
        raise BadInput("time", f"« {given[:60]} » n'est pas une heure", field="QUAND", accepted=ACCEPTED) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=ZONE)


def _refuse_real(session: Session) -> None:
    if not business_time.drivable(session):
        raise Refused(
            "clock",
            "ces dossiers vivent à l'heure réelle : elle ne s'arrête ni ne se déplace",
            accepted="la démonstration (coupe-file up --demo)",
        )


def _shown(session: Session, *, json: bool) -> None:
    row = session.execute(
        text("select business_now() as now, clock_timestamp() as real, rate, running, until from business_clock")
    ).one()
    follows = not business_time.drivable(session)
    stands = row.until is not None and row.until < row.real
    if json:
        said = {"now": row.now, "real": row.real, "running": row.running and not stands, "rate": row.rate}
        say.document({**said, "follows_real_time": follows})
        return
    say.fact("Temps des dossiers", f"{date(row.now, ZONE)} (heure de Paris)")
    if follows:
        say.fact("Marche", "c'est l'heure réelle")
        return
    going = f"avance {row.rate:g} fois plus vite que l'heure réelle"
    say.fact("Marche", "en pause" if not row.running else "arrêté tant que rien ne tourne" if stands else going)
    say.fact("Heure réelle", say.short(row.real))
