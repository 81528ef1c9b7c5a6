"""`coupe-file replay`: a log of events of another system, run through this one in a database of its own."""

from __future__ import annotations

import dataclasses
import secrets
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

from cli import database, options, say
from cli.options import Json
from config import logs
from local.postgres import Postgres
from states import fields
from states.errors import BadInput, Refused
from workflow import replay as room
from workflow import schema, verify

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
Strict = Annotated[
    bool, typer.Option("--strict", help="S'arrêter au premier événement refusé ou hors d'ordre.", show_default=False)
]
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
    """Rejoue le journal d'un autre système dans une base à part, et dit ce qui aurait été en retard."""
    mapped = options.pairs(columns or [], "--map")
    for role in mapped:
        if role not in logs.ROLES:
            raise BadInput("map", f"rôle inconnu : « {role[:60]} »", field="--map", accepted=", ".join(logs.ROLES))
    cut = fields.instant("--until", until) if until is not None else None
    if not log.is_file():
        raise BadInput("file", f"fichier illisible : « {str(log)[:200]} »", field="JOURNAL", accepted="un fichier CSV")
    with _somewhere(database_url, keep=keep) as url:
        bound = schema.engine(url, timeouts={"statement_timeout": "0"})
        try:
            make = schema.sessions(bound)
            with _progress() as bar:
                reading = bar.add_task("Lecture", total=log.stat().st_size)
                rows = logs.rows(log, mapped, progress=lambda read: bar.update(reading, completed=read))
                playing = bar.add_task("Rejeu", total=None)
                figures, remarks = room.replay(
                    make,
                    rows,
                    until=cut,
                    clock_runs=sweep,
                    seed=str(seed) if shuffle else None,
                    strict=strict,
                    total=lambda count: bar.update(playing, total=count),
                    done=lambda count: bar.advance(playing, count),
                )
                proving = bar.add_task("Vérification", total=figures.dossiers)
                problems: list[verify.Problem] = []
                for part in verify.verify(make):
                    problems += part.problems
                    bar.update(proving, completed=part.dossiers)
        except logs.LogError as error:
            raise BadInput("log", str(error), field="JOURNAL") from None
        finally:
            bound.dispose()
    _say(figures, remarks, problems, json=json)
    if problems:
        raise Refused(
            "verify", f"la vérification trouve {len(problems)} écart(s) : {problems[0].dossier_id} {problems[0].text}"
        )


def _say(figures: room.Figures, remarks: list[str], problems: list[verify.Problem], *, json: bool) -> None:
    for words in (*remarks[:20], *figures.refused[:20]):
        say.aside(words)
    if json:
        found = {name: value for name, value in dataclasses.asdict(figures).items() if name != "refused"}
        say.document({**found, "out_of_order": len(remarks), "problems": len(problems)})
        return
    say.fact("Au", figures.until)
    say.fact("Dossiers", str(figures.dossiers))
    say.fact("Événements", f"{figures.events} ({figures.events_refused} refusés)")
    say.fact("Clos", f"{figures.closed}, dont {figures.closed_late} en retard")
    say.fact("Ouverts", f"{figures.open}, dont {figures.open_late} en retard")
    say.fact("Vérification", f"{len(problems)} écart")


def _progress() -> Progress:
    shown = say.console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*parts, console=shown, transient=True, disable=not shown.is_terminal)


@contextmanager
def _somewhere(given: str | None, *, keep: bool) -> Iterator[str]:
    """A database that no live worker sees: the empty one given, else one made for this replay and dropped after it."""
    if given is not None:
        url = database.checked(given)
        schema.migrate(url)
        yield url
        return
    configured = database.settings().database_url
    if configured is not None:
        with _thrown_away(database.checked(configured), keep=keep) as url:
            yield url
        return
    with _folder(keep=keep) as folder, Postgres(folder, durable=keep) as server:
        server.create_database("replay")
        schema.migrate(server.url("replay"))
        if keep:
            say.aside(f"Base gardée dans {folder}")
        yield server.url("replay")


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    if keep:
        folder = Path(tempfile.mkdtemp(prefix="coupe-file-"))
        folder.chmod(0o711)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="coupe-file-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # PostgreSQL runs as another user when we are root
        yield Path(name)


@contextmanager
def _thrown_away(url: str, *, keep: bool) -> Iterator[str]:
    parts, name = make_url(url), f"coupe_file_replay_{secrets.token_hex(4)}"
    plain = parts.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    made = parts.set(database=name).render_as_string(hide_password=False)
    try:
        schema.migrate(made)
        if keep:
            say.aside(f"Base gardée : {name}")
        yield made
    finally:
        if not keep:
            with psycopg.connect(plain, autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
