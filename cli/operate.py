"""Operate and prove: migrate, sweep, react, health, verify."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select, text

from cli import database, say
from cli.chosen import settings
from cli.options import By, Json, operator
from config.log_lines import redacted
from workflow import business_time, custody, operations, outbox, reactions, reconcile, sweep, upgrade, verify
from workflow.models import DossierRow
from workflow.vault import Vault

DRY_LIMIT = 1000
SAMPLE = 5
MINUTE = 60
PROOFS = {
    "chain": "journal",
    "fold": "rejeu",
    "wake": "réveil",
    "reactions": "réactions",
    "texts": "textes",
    "files": "pièces",
}


def migrate(
    dry: Annotated[
        bool,
        typer.Option(
            "--dry-run", "--essai", metavar="", help="Dire ce qui serait fait, sans rien faire.", show_default=False
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Met les tables à jour de ce programme ; sans effet quand elles le sont.

    Personne n'attend : une étape qui trouve une table occupée se retire et recommence.
    """
    if dry:
        _rehearse(json=json)
        return
    with database.sessions(current=False) as make:
        url = make.kw["bind"].url.render_as_string(hide_password=False)
    chosen = settings()
    kept = database.prepare(url, pooled=chosen.pooled, tell=_step) if chosen.database_url else []
    with database.sessions() as make, make() as session:
        version = upgrade.standing(session.connection())
    last = upgrade.known()[-1].revision
    if json:
        say.document({"version": version, "program": last, "definitions": kept})
        return
    if version is not None and version > last:
        say.line(
            f"Les tables (version {version}) sont en avance sur ce programme (version {last}), qui peut s'en servir : rien à faire."
        )
    else:
        say.line(f"Les tables sont à jour (version {version}).", style="green")
    if kept:
        say.line(f"Définitions livrées, gardées comme projets : {', '.join(kept)}.")


def _step(step: upgrade.Step, attempt: int) -> None:
    words = f"essai {attempt}, ses tables sont occupées" if attempt else "faite"
    say.aside(f"Étape {step.revision} ({step.file}) : {words}.")


def _rehearse(*, json: bool) -> None:
    """Say which steps would be made, and their statements."""
    with database.sessions(current=False) as make, make() as session:
        found = upgrade.standing(session.connection())
        ahead = upgrade.pending(session.connection())
    written = upgrade.sql(found, ahead)
    if json:
        steps = [{**dataclasses.asdict(step), "sql": written[step.revision]} for step in ahead]
        say.document({"version": found, "steps": steps})
        return
    if not ahead:
        say.line(f"Rien à faire : les tables sont à jour (version {found}).", style="green")
        return
    for step in ahead:
        kind = (
            "ajoute, les programmes d'avant continuent"
            if step.contract is None
            else f"retire, il faut un programme qui connaît l'étape {step.contract}"
        )
        say.raw(f"-- Étape {step.revision} ({step.file}) : {kind}\n\n{written[step.revision]}\n")
    say.raw(
        f"-- {say.count(len(ahead), 'étape serait faite', 'étapes seraient faites')}, chacune dans une transaction. Rien n'a été changé.\n"
    )


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


def react(
    again: Annotated[
        bool,
        typer.Option("--again", metavar="", help="Reprendre aussi les suites abandonnées.", show_default=False),
    ] = False,
    by: By = None,
    json: Json = False,
) -> None:
    """Tire les conséquences des événements en attente : qui doit être prévenu."""
    total = 0
    with database.sessions() as make:
        if again:
            with make.begin() as session:
                if resumed := reactions.again(session):
                    operations.record(session, "reactions.again", who=operator(by), subject={"reactions": resumed})
            reactions.react(make)
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
        dead = outbox.letters(session, state="dead", limit=SAMPLE) if seen.dead_notices else []
        stuck = sweep.aside(session, limit=SAMPLE) if seen.stuck or seen.skipped else []
    if json:
        say.document({**dataclasses.asdict(seen), "ok": not seen.red})
    else:
        _healthy(seen)
        for row in stuck:
            by = f" par {row.skipped_by} ({row.skipped_why})" if row.skipped_at is not None else ""
            say.line(f"Dossier {row.reference} mis de côté{by} : {redacted(row.error)}")
        for one in dead:
            say.line(f"Message {one.id} abandonné : {redacted(one.why or '')}")
    if seen.red:
        raise typer.Exit(1)


def _healthy(seen: reconcile.Health) -> None:
    rows = (
        ("Dernier battement de l'horloge", _age(seen.tick_age, "jamais")),
        ("Plus ancien dossier échu en attente", _age(seen.oldest_due, "aucun")),
        ("Plus ancien message en attente d'envoi", _age(seen.oldest_undelivered, "aucun")),
        ("Envois", f"retenus : {seen.held}" if seen.held else "ouverts"),
        ("Événements en attente de réaction", str(seen.pending)),
        ("Dossiers mis de côté", str(seen.stuck)),
        ("Dossiers laissés de côté par décision", str(seen.skipped)),
        ("Messages abandonnés", str(seen.dead_notices)),
        ("Réactions abandonnées", str(seen.dead_reactions)),
        ("Définitions suspendues", str(seen.suspended_definitions)),
        ("Écarts trouvés par la vérification", str(seen.problems)),
    )
    say.table(("Point", "Constat"), rows)
    for words in seen.red:
        say.line(f"À CORRIGER : {words}", style="red")
    for words in seen.orange:
        where = "webhook list" if "webhook" in words else "stuck list"
        say.line(f"À DÉCIDER : {words} (coupe-file {where})", style="yellow")
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


def metrics(
    serve: Annotated[
        str | None,
        typer.Option(
            "--serve",
            metavar="HÔTE:PORT",
            help="Servir les mesures au lieu de les écrire, par exemple 127.0.0.1:9464 ; Ctrl-C pour arrêter.",
            show_default=False,
        ),
    ] = None,
    exposed: Annotated[
        bool,
        typer.Option(
            "--exposed", metavar="", help="Servir aussi à d'autres machines que celle-ci.", show_default=False
        ),
    ] = False,
) -> None:
    """Écrit les mesures pour une supervision, au format OpenMetrics."""
    from cli.metrics import measure

    measure(serve, exposed=exposed)


def prove(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FICHIER", help="Le journal d'un seul dossier, téléchargé du portail.", show_default=False
        ),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(
            "--before",
            metavar="FICHIER",
            help="Un fichier du même journal gardé d'avant : il doit en être le début.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Vérifie tous les dossiers : le journal est intact, chaque dossier est ce que son journal dit, et chaque pièce est là.

    Avec un FICHIER, vérifie ce seul journal, sans base ni connexion. Le code de sortie est 1 quand un écart est trouvé.
    """
    if file is not None or before is not None:
        from cli.journal_file import prove_file

        prove_file(file, before, json=json)
        return
    problems: list[verify.Problem] = []
    read = verify.Progress(0, 0, ())
    with database.sessions() as make:
        with make() as session:
            total = session.execute(text("select count(*) from dossiers")).scalar_one()
        with say.steps("Vérification", total) as step:
            for part in verify.verify(make):
                problems += part.problems
                step(part.dossiers - read.dossiers)
                read = part
        problems += custody.audit(make, Vault(settings().files_folder(make.kw["bind"].url.database)))
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
                (names.get(one.dossier_id, str(one.dossier_id or "–")), PROOFS.get(one.proof, one.proof), one.text)
                for one in problems
            ],
        )
    else:
        say.line("Chaque journal est intact, et chaque dossier est ce que son journal dit.", style="green")
