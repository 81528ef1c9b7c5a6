"""Operate and prove: migrate, sweep, react, health, verify."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Any

import typer
from sqlalchemy import select, text

from cli import database, say
from cli.options import Json
from workflow import business_time, reactions, reconcile, sweep, verify
from workflow.models import DossierRow

DRY_LIMIT = 1000
MINUTE = 60
PROOFS = {
    "chain": "journal",
    "fold": "rejeu",
    "wake": "réveil",
    "reactions": "réactions",
    "texts": "textes",
}


def migrate(json: Json = False) -> None:
    """Met les tables à jour de ce programme ; sans effet quand elles le sont."""
    with database.sessions(current=False) as make:
        url = make.kw["bind"].url.render_as_string(hide_password=False)
    kept = database.prepare(url) if database.settings().database_url else []
    with database.sessions() as make, make() as session:
        version = session.execute(text("select max(version_num) from alembic_version")).scalar()
    if json:
        say.document({"version": version, "definitions": kept})
        return
    say.line(f"Les tables sont à jour (version {version}).", style="green")
    if kept:
        say.line(f"Définitions livrées, gardées comme projets : {', '.join(kept)}.")


def run_sweep(
    dry: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Dire ce qui est échu, sans rien faire.", show_default=False)
    ] = False,
    json: Json = False,
) -> None:
    """Fait ce que l'horloge doit faire maintenant : rappels, dépassements, échelons saisis."""
    if dry:
        _dry(json=json)
        return
    total = sweep.Swept()
    with database.sessions() as make:
        while True:
            swept = sweep.sweep(make)
            total = total + sweep.Swept(swept.done, swept.stuck)
            if swept.done:
                database.wrote()
            if not swept.more:
                break
    if json:
        say.document({"done": total.done, "stuck": total.stuck})
    else:
        say.line(
            f"{say.count(total.done, 'dossier traité', 'dossiers traités')}."
            + (f" {total.stuck} mis de côté (coupe-file health)." if total.stuck else "")
        )


def _dry(*, json: bool) -> None:
    with database.reading() as session:
        due = sweep.due(session, limit=DRY_LIMIT)
        now = business_time.now(session)
    if json:
        say.document(
            {"due": [{"id": key, "reference": reference, "since": since} for key, reference, since in due], "now": now}
        )
        return
    if not due:
        say.line("Rien n'est échu.")
        return
    say.table(
        ("Dossier", "Échu depuis"),
        [(reference, f"{say.short(since)} ({say.span(now - since)})") for _, reference, since in due],
    )
    say.line(say.count(len(due), "dossier") + (" ou plus." if len(due) == DRY_LIMIT else "."))


def react(json: Json = False) -> None:
    """Tire les conséquences des événements en attente : qui doit être prévenu."""
    total = 0
    with database.sessions() as make:
        while done := reactions.react(make):
            total += done
            database.wrote()
    if json:
        say.document({"events": total})
    else:
        say.line(f"{say.count(total, 'événement traité', 'événements traités')}.")


def health(json: Json = False) -> None:
    """Dit si tout va bien ; le code de sortie est 1 quand quelque chose demande un regard."""
    with database.reading() as session:
        seen = reconcile.health(session)
        dead = (
            session.execute(text("select id, why from notices where state = 'dead' order by id limit 5")).all()
            if seen.dead_notices
            else []
        )
        stuck = (
            session.execute(
                text(
                    "select d.reference, s.error from stuck s join dossiers d on d.id = s.dossier_id order by s.since limit 5"
                )
            ).all()
            if seen.stuck
            else []
        )
    if json:
        say.document({**dataclasses.asdict(seen), "ok": not seen.red})
    else:
        _healthy(seen)
        for row in stuck:
            say.line(f"Dossier {row.reference} mis de côté : {row.error}")
        for row in dead:
            say.line(f"Message {row.id} abandonné : {row.why}")
    if seen.red:
        raise typer.Exit(1)


def _healthy(seen: reconcile.Health) -> None:
    rows = (
        ("Dernier battement de l'horloge", _age(seen.tick_age, "jamais")),
        ("Plus ancien dossier échu en attente", _age(seen.oldest_due, "aucun")),
        ("Plus ancien message en attente d'envoi", _age(seen.oldest_undelivered, "aucun")),
        ("Événements en attente de réaction", str(seen.pending)),
        ("Dossiers mis de côté", str(seen.stuck)),
        ("Messages abandonnés", str(seen.dead_notices)),
        ("Réactions abandonnées", str(seen.dead_reactions)),
        ("Définitions suspendues", str(seen.suspended_definitions)),
        ("Écarts trouvés par la vérification", str(seen.problems)),
    )
    say.table(("Point", "Constat"), rows)
    for words in seen.red:
        say.line(f"À CORRIGER : {words}", style="red")
    if not seen.red:
        say.line("Tout va bien.", style="green")


def _age(seconds: float | None, none: str) -> str:
    return (
        none
        if seconds is None
        else f"il y a {round(max(seconds, 0))} s"
        if seconds < 2 * MINUTE
        else f"il y a {round(seconds / MINUTE)} min"
    )


def prove(json: Json = False) -> None:
    """Vérifie tous les dossiers : le journal est intact, et chaque dossier est ce que son journal dit.

    Le code de sortie est 1 quand un écart est trouvé.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    problems: list[verify.Problem] = []
    read = verify.Progress(0, 0, ())
    with database.sessions() as make:
        with make() as session:
            total = session.execute(text("select count(*) from dossiers")).scalar_one()
        bar = Progress(
            TextColumn("Vérification"),
            BarColumn(),
            MofNCompleteColumn(),
            console=say.console(stderr=True),
            transient=True,
            disable=json or not sys.stderr.isatty(),
        )
        with bar:
            task = bar.add_task("", total=total)
            for read in verify.verify(make):
                problems += read.problems
                bar.update(task, completed=read.dossiers)
        ids = {problem.dossier_id for problem in problems}
        with make() as session:
            rows = session.execute(select(DossierRow.id, DossierRow.reference).where(DossierRow.id.in_(ids)))
            names = {row.id: row.reference for row in rows}
    _proved(read, problems, names, json=json)
    if problems:
        raise typer.Exit(1)


def _proved(read: verify.Progress, problems: list[verify.Problem], names: dict[int, str], *, json: bool) -> None:
    if json:
        listed: list[dict[str, Any]] = [
            {**dataclasses.asdict(problem), "reference": names.get(problem.dossier_id)} for problem in problems
        ]
        say.document({"ok": not problems, "dossiers": read.dossiers, "events": read.events, "problems": listed})
        return
    say.line(
        f"{say.count(read.dossiers, 'dossier')}, {say.count(read.events, 'événement')} : {say.count(len(problems), 'écart')}."
    )
    if problems:
        say.table(
            ("Dossier", "Preuve", "Écart"),
            [
                (names.get(one.dossier_id, str(one.dossier_id)), PROOFS.get(one.proof, one.proof), one.text)
                for one in problems
            ],
        )
    else:
        say.line("Chaque journal est intact, et chaque dossier est ce que son journal dit.", style="green")
