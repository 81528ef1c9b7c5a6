"""`coupe-file replay`: a log of events of another system, run through this one in a database of its own."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg import sql
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import make_url
from sqlalchemy.orm import Session, sessionmaker

from cli import database, options, say
from cli.options import Json
from config import logs
from local.postgres import Postgres
from states import fields
from states.errors import BadInput
from workflow import migration, schema, verify
from workflow import replay as room

FIRST_TOLD = 100
Log = Annotated[Path, typer.Argument(metavar="JOURNAL", help="Le journal d'événements, en CSV.", show_default=False)]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="RÔLE=COLONNE",
        help=f"La colonne d'un rôle, quand elle porte un autre nom : {', '.join(logs.ROLES)}. "
        "Sans « start », un cas part à son premier événement ; sans « end », il reste ouvert ; sans « deadline », rien n'est en retard.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="INSTANT",
        help="S'arrêter à cet instant, fuseau compris (par défaut : le dernier du journal).",
        show_default=False,
    ),
]
Sweep = Annotated[
    bool,
    typer.Option(
        "--sweep/--no-sweep",
        help="Faire sonner l'horloge, ou non : sans elle, rien n'est jamais en retard, ni par le balayage, ni quand un acte constate un retard.",
    ),
]
Shuffle = Annotated[
    bool,
    typer.Option(
        "--shuffle",
        help="Faire chaque appel deux fois sous une même clé, le second plus tard, et mêler les dossiers.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Le tirage de --shuffle.")]
Strict = Annotated[bool, typer.Option("--strict", help="S'arrêter au premier événement refusé.", show_default=False)]
Into = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="Une base vide où rejouer, plutôt qu'une base jetable.",
        show_default=False,
    ),
]
Keep = Annotated[bool, typer.Option("--keep", help="Garder la base du rejeu, et dire où elle est.", show_default=False)]


def replay(
    log: Log,
    columns: Map = None,
    until: Until = None,
    sweep: Sweep = True,
    shuffle: Shuffle = False,
    seed: Seed = 1,
    strict: Strict = False,
    database_url: Into = None,
    keep: Keep = False,
    json: Json = False,
) -> None:
    """Rejoue le journal d'un autre système dans une base à part, et dit ce qui y serait en retard.

    Un dossier est déposé à la première de deux dates, son début et son premier événement, et clos à la dernière, sa fin et son dépôt.
    """
    mapped = options.pairs(columns or [], "--map")
    for role in mapped:
        if role not in logs.ROLES:
            raise BadInput("map", f"rôle inconnu : « {role[:60]} »", field="--map", accepted=", ".join(logs.ROLES))
    cut = fields.instant("--until", until) if until is not None else None
    if not log.is_file():
        raise BadInput("file", f"fichier illisible : « {str(log)[:200]} »", field="JOURNAL", accepted="un fichier CSV")
    with _somewhere(database_url, keep=keep) as url, _engine(url) as make, _progress() as bar:
        reading = bar.add_task("Lecture", total=log.stat().st_size)
        playing = bar.add_task("Rejeu", total=None)
        told: list[str] = []
        try:
            figures = room.replay(
                make,
                logs.Log(log, mapped, progress=lambda read: bar.update(reading, completed=read)),
                until=cut,
                clock_runs=sweep,
                seed=str(seed) if shuffle else None,
                strict=strict,
                total=lambda count: bar.update(playing, total=count),
                done=lambda count: bar.advance(playing, count),
                refused=lambda words: _tell(words, told),
            )
        except logs.LogError as error:
            raise BadInput("log", str(error), field=error.column or "JOURNAL", accepted=error.accepted) from None
        problems = _prove(make, figures.dossiers, bar)
    _say(figures, told, problems, json=json)
    if problems:
        raise typer.Exit(1)


def _tell(words: str, told: list[str]) -> None:
    say.aside(words)
    if len(told) < FIRST_TOLD:
        told.append(words)


def _prove(make: sessionmaker[Session], dossiers: int, bar: Progress) -> list[verify.Problem]:
    proving = bar.add_task("Vérification", total=dossiers)
    problems: list[verify.Problem] = []
    for part in verify.verify(make):
        problems += part.problems
        bar.update(proving, completed=part.dossiers)
    return problems


def _say(figures: room.Figures, told: list[str], problems: list[verify.Problem], *, json: bool) -> None:
    if json:
        shown = [dataclasses.asdict(problem) for problem in problems[:FIRST_TOLD]]
        say.document(
            {**dataclasses.asdict(figures), "refused": told, "problems": len(problems), "first_problems": shown}
        )
        return
    say.fact("Au", figures.until)
    say.fact("Dossiers", str(figures.dossiers))
    say.fact("Événements", f"{figures.events}, et {figures.events_refused} refusés")
    if figures.repeated:
        say.fact("Répétitions", f"{figures.repeated}, toutes reconnues")
    say.fact("Clos", f"{figures.closed}, dont {figures.closed_late} en retard")
    say.fact("Ouverts", f"{figures.open}, dont {figures.open_late} en retard")
    say.fact("Écarts trouvés par la vérification", str(len(problems)))
    for problem in problems[:FIRST_TOLD]:
        say.line(f"Dossier {problem.dossier_id} : {problem.text}")


@contextmanager
def _engine(url: str) -> Iterator[sessionmaker[Session]]:
    bound = schema.engine(url, timeouts={"statement_timeout": "0"})
    try:
        yield schema.sessions(bound)
    finally:
        bound.dispose()


def _progress() -> Progress:
    shown = say.console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*parts, console=shown, transient=True, disable=not shown.is_terminal)


@contextmanager
def _somewhere(given: str | None, *, keep: bool) -> Iterator[str]:
    """A database that no live worker sees: the empty one given, else one made for this replay and dropped after it."""
    if given is not None:
        url = database.checked(given)
        migration.migrate(url)
        yield url
        return
    configured = database.settings().database_url
    if configured is not None:
        with _thrown_away(database.checked(configured), keep=keep) as url:
            yield url
        return
    with _folder(keep=keep) as folder, Postgres(folder, durable=keep) as server:
        server.create_database("replay")
        migration.migrate(server.url("replay"))
        yield server.url("replay")
    if keep:
        say.aside(f"Base gardée, dossier {folder} : à lancer par PostgreSQL, base « replay ».")


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A folder for an embedded server; kept if asked, and only if nothing went wrong in the block."""
    folder = Path(tempfile.mkdtemp(prefix="coupe-file-"))
    folder.chmod(0o711)  # PostgreSQL runs as another user when we are root
    kept = False
    try:
        yield folder
        kept = keep
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _thrown_away(url: str, *, keep: bool) -> Iterator[str]:
    """A database made on the server of another; kept if asked, and only if nothing went wrong in the block."""
    parts, name = make_url(url), f"coupe_file_replay_{secrets.token_hex(4)}"
    plain = parts.set(drivername="postgresql").render_as_string(hide_password=False)
    made = parts.set(database=name)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    kept = False
    try:
        migration.migrate(made.render_as_string(hide_password=False))
        yield made.render_as_string(hide_password=False)
        kept = keep
    finally:
        if not kept:
            with psycopg.connect(plain, autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    if kept:
        say.aside(f"Base gardée : {made.render_as_string()}")
