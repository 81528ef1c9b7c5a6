"""`coupe-file replay`: a log of events of another system, run through this one in a database of its own."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg import sql
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy import make_url
from sqlalchemy.orm import Session, sessionmaker

import config
from cli import database, options, say
from cli.chosen import settings
from cli.options import Json
from config import logs, packed, yamltext
from config.log_error import LogError
from local.postgres import Postgres
from states import fields
from states.errors import BadInput, DefinitionError
from workflow import replay as room
from workflow import schema, shape, upgrade, verify

FIRST_TOLD = 100
ALL = "toutes"
SHAPES = Path(config.__file__).parent / "shapes"
Log = Annotated[
    Path,
    typer.Argument(
        metavar="JOURNAL",
        help="Le journal d'événements, en XES ou en CSV, compressé par gzip ou non.",
        show_default=False,
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="RÔLE=COLONNE",
        help=f"La colonne d'un rôle, quand elle porte un autre nom : {', '.join(logs.ROLES)}. "
        "En XES, l'attribut d'un dossier (trace) s'écrit « case:… ». Sans « start », un cas part à son premier événement ; sans « end », il reste ouvert ; sans « deadline », rien n'est en retard.",
        show_default=False,
    ),
]
Form = Annotated[
    str | None,
    typer.Option(
        "--shape",
        metavar="FORME",
        help="La forme du journal, quand il a des attentes et des lignes de support : un fichier YAML, "
        "ou le nom d'une forme livrée (incidents).",
        show_default=False,
        autocompletion=lambda: sorted(path.stem for path in SHAPES.glob("*.yaml")),
    ),
]
Lifecycle = Annotated[
    list[str] | None,
    typer.Option(
        "--lifecycle",
        metavar="TRANSITION",
        help="Les événements qui comptent, par leur transition (lifecycle:transition), autant de fois qu’il le faut ; "
        f"« {ALL} » les compte tous. Sans cette option : complete, et les événements qui n'en disent rien ; avec --shape, tous.",
        show_default=False,
    ),
]
MaxUnpacked = Annotated[
    int,
    typer.Option(
        "--max-unpacked", metavar="MIO", min=1, help="La taille la plus grande d'une archive une fois dépliée, en Mio."
    ),
]
MaxRatio = Annotated[
    int,
    typer.Option(
        "--max-ratio",
        metavar="N",
        min=1,
        help="Combien de fois sa taille une archive peut se déplier (au-delà de 16 Mio).",
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
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Le tirage de --shuffle : le même nombre refait le même mélange.")
]
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
    form: Form = None,
    lifecycle: Lifecycle = None,
    until: Until = None,
    sweep: Sweep = True,
    shuffle: Shuffle = False,
    seed: Seed = 1,
    strict: Strict = False,
    database_url: Into = None,
    keep: Keep = False,
    max_unpacked: MaxUnpacked = packed.USUAL.size >> 20,
    max_ratio: MaxRatio = packed.USUAL.ratio,
    json: Json = False,
) -> None:
    """Rejoue le journal d'un autre système dans une base à part, et dit ce qui y serait en retard.

    Un dossier est déposé à la première de deux dates, son début et son premier événement, et clos à la dernière, sa fin et son dépôt.
    Avec --shape, ce sont les événements qui closent un dossier, le rouvrent, le font attendre, ou changer de ligne.
    """
    shaped = _shape(form) if form is not None else None
    read_by = _columns(columns or [], shaped, lifecycle)
    cut = fields.instant("--until", until) if until is not None else None
    if not log.is_file():
        raise BadInput(
            "file",
            f"fichier illisible : « {str(log)[:200]} »",
            field="JOURNAL",
            accepted="un fichier XES ou CSV, compressé par gzip ou non",
        )
    with _somewhere(database_url, keep=keep) as url, _engine(url) as make, _progress() as bar:
        reading = bar.add_task("Lecture", total=log.stat().st_size)
        playing = bar.add_task("Rejeu", total=None)
        told: list[str] = []
        source = logs.Log(
            log,
            read_by,
            lifecycle=_counted(lifecycle, shaped),
            bounds=packed.Bounds(max_unpacked << 20, max_ratio),
            progress=lambda read: bar.update(reading, completed=read),
        )
        try:
            figures = room.replay(
                make,
                source,
                form=shaped,
                until=cut,
                clock_runs=sweep,
                seed=str(seed) if shuffle else None,
                strict=strict,
                total=lambda count: bar.update(playing, total=count),
                done=lambda count: bar.advance(playing, count),
                refused=lambda words: _tell(words, told),
            )
        except LogError as error:
            raise BadInput("log", str(error), field=error.column or "JOURNAL", accepted=error.accepted) from None
        problems = _prove(make, figures.dossiers, bar)
    _say(figures, source.left_out, told, problems, json=json)
    if problems:
        raise typer.Exit(1)


def _shape(name: str) -> shape.Shape:
    """A shape file, or a shipped shape by name. Raises BadInput with every problem and its line, YamlError."""
    shipped = {path.stem: path for path in sorted(SHAPES.glob("*.yaml"))}
    path = shipped.get(name, Path(name))
    try:
        read = yamltext.read(path)
    except OSError as error:
        sentence = f"fichier illisible : « {name[:200]} » ({error.strerror or error})"
        accepted = f"un fichier YAML, ou une forme livrée : {', '.join(shipped)}"
        raise BadInput("file", sentence, field="--shape", accepted=accepted) from None
    try:
        return shape.parse(read.data)
    except DefinitionError as error:
        found = sorted((read.line(place), ".".join(place) or "la forme", words) for place, words in error.problems)
        told = "\n".join(f"  {path.name}, ligne {line} : {place} : {words}" for line, place, words in found)
        raise BadInput(
            "shape", f"forme refusée ({say.count(len(found), 'problème')})\n{told}", field="--shape"
        ) from None


def _columns(given: list[str], shaped: shape.Shape | None, lifecycle: list[str] | None) -> logs.Columns:
    """The columns that a log is read by: those of its shape, or those of any log, renamed by --map."""
    mapped = options.pairs(given, "--map")
    if shaped is not None:
        if mapped:
            raise BadInput("map", "les colonnes sont dites par la forme", field="--map", accepted="--map, ou --shape")
        names = {role: (name,) for role, name in shaped.columns.items()}
        more = {"lifecycle": logs.ROLES["lifecycle"]} if lifecycle else {}
        return logs.Columns({**names, **more}, frozenset(names), "columns.{} dans la forme")
    for role in mapped:
        if role not in logs.ROLES:
            raise BadInput("map", f"rôle inconnu : « {role[:60]} »", field="--map", accepted=", ".join(logs.ROLES))
    return logs.Columns.mapped(mapped)


def _counted(given: list[str] | None, shaped: shape.Shape | None) -> frozenset[str] | None:
    """The lifecycle transitions that count; None for all of them."""
    if not given:
        return logs.COMPLETE if shaped is None else None
    return None if ALL in given else frozenset(one.strip().casefold() for one in given)


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


def _say(
    figures: room.Figures, left: logs.LeftOut, told: list[str], problems: list[verify.Problem], *, json: bool
) -> None:
    if json:
        shown = [dataclasses.asdict(problem) for problem in problems[:FIRST_TOLD]]
        body = dataclasses.asdict(figures)
        shaped = body.pop("shaped") or {}
        left_out = {"events_left_out": dict(left.events), "cases_without_event": left.cases}
        say.document(
            {**body, **shaped, **left_out, "refused": told, "problems": len(problems), "first_problems": shown}
        )
        return
    say.fact("Au", figures.until)
    say.fact("Dossiers", str(figures.dossiers))
    say.fact("Événements", f"{figures.events}, et {figures.events_refused} refusés")
    if left.events:
        by_name = ", ".join(f"{name} {count}" for name, count in left.events.most_common())
        say.fact("Laissés de côté", f"{say.count(left.events.total(), 'événement')}, par transition : {by_name}")
    if left.cases:
        say.fact("Sans aucun événement", say.count(left.cases, "dossier"))
    if figures.repeated:
        say.fact("Répétitions", f"{figures.repeated}, toutes reconnues")
    closed, opened = (f"{late} en retard" for late in (figures.closed_late, figures.open_late))
    if figures.shaped is not None:
        closed += f" ({figures.shaped.closed_late_gross} si les attentes comptaient)"
        opened += f" ({figures.shaped.open_late_gross} si les attentes comptaient)"
    say.fact("Clos", f"{figures.closed}, dont {closed}")
    say.fact("Ouverts", f"{figures.open}, dont {opened}")
    if figures.shaped is not None:
        _say_shaped(figures.shaped)
    say.fact("Écarts trouvés par la vérification", str(len(problems)))
    for problem in problems[:FIRST_TOLD]:
        say.line(f"Dossier {problem.dossier_id} : {problem.text}")


COURTS = {"holder": "le demandeur", "third_party": "un tiers", "administration": "l'administration"}


def _say_shaped(shaped: room.Shaped) -> None:
    say.fact("Rouverts", f"{shaped.reopened} fois")
    if shaped.rungs:
        say.fact(
            "Changements de ligne", f"{say.count(shaped.climbs, 'montée')}, {say.count(shaped.descents, 'descente')}"
        )
        stood = [(rung.label, str(rung.visits), _span(rung.lasted)) for rung in shaped.rungs.values()]
        say.table(("Ligne", "Passages", "Durée totale, attentes comprises"), stood)
    if shaped.waits:
        waited = [
            (motive, COURTS[one.court], str(one.count), _span(one.lasted)) for motive, one in shaped.waits.items()
        ]
        say.table(("Attente", "On attend", "Nombre", "Durée totale"), waited)


def _span(length: timedelta) -> str:
    """A length of elapsed time in days, hours and minutes."""
    hours, rest = divmod(length, timedelta(hours=1))
    return f"{hours // 24} j {hours % 24:02} h {rest // timedelta(minutes=1):02} min"


@contextmanager
def _engine(url: str) -> Iterator[sessionmaker[Session]]:
    bound = schema.engine(url, timeouts={"statement_timeout": "0"})
    try:
        yield schema.sessions(bound)
    finally:
        bound.dispose()


def _progress() -> Progress:
    shown = say.console(stderr=True)
    parts = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*parts, console=shown, transient=True, disable=not shown.is_terminal)


@contextmanager
def _somewhere(given: str | None, *, keep: bool) -> Iterator[str]:
    """A database that no live worker sees: the empty one given, else one made for this replay and dropped after it."""
    if given is not None:
        url = database.checked(given)
        upgrade.migrate(url)
        yield url
        return
    configured = settings().database_url
    if configured is not None:
        with _thrown_away(database.checked(configured), keep=keep) as url:
            yield url
        return
    with _folder(keep=keep) as folder, Postgres(folder, durable=keep) as server:
        server.create_database("replay")
        upgrade.migrate(server.url("replay"))
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
        upgrade.migrate(made.render_as_string(hide_password=False))
        yield made.render_as_string(hide_password=False)
        kept = keep
    finally:
        if not kept:
            with psycopg.connect(plain, autocommit=True) as connection:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    if kept:
        say.aside(f"Base gardée : {made.render_as_string()}")
