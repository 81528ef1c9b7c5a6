"""The dossiers that the clock could not handle: why, try again, or leave aside by a decision that stays visible."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cli import database, say
from cli.door import Command, Group
from cli.options import By, Json, Reason, Ref, operator
from config.log_lines import redacted
from states.dossier import SYSTEM
from states.errors import BadInput, Refused
from workflow import operations, sweep
from workflow.access import find

stuck = typer.Typer(
    cls=Group, help="Les dossiers que l'horloge n'a pas pu traiter.", no_args_is_help=True, rich_markup_mode=None
)
Some = Annotated[
    str | None,
    typer.Argument(metavar="DOSSIER", help="La référence du dossier (64-0117) ou son numéro.", show_default=False),
]


@stuck.command("list", cls=Command)
def list_(json: Json = False) -> None:
    """Montre les dossiers mis de côté, pourquoi, et quand l'horloge les reprend."""
    with database.reading() as session:
        found = sweep.aside(session)
    if json:
        say.document({"stuck": [{**dataclasses.asdict(one), "error": redacted(one.error)} for one in found]})
        return
    if not found:
        say.line("Aucun dossier n'est mis de côté.")
        return
    say.table(
        ("Dossier", "Depuis", "Essais", "Suite", "Erreur"),
        [(one.reference, say.short(one.since), str(one.attempts), _next(one), redacted(one.error)) for one in found],
    )


def _next(one: sweep.Aside) -> str:
    if one.skipped_at is not None:
        return f"laissé de côté le {say.short(one.skipped_at)} par {one.skipped_by} : {one.skipped_why}"
    return f"essai le {say.short(one.retry_at)}"


@stuck.command(cls=Command)
def retry(
    dossier: Some = None,
    every: Annotated[
        bool, typer.Option("--all", metavar="", help="Tous les dossiers mis de côté, un par un.", show_default=False)
    ] = False,
    by: By = None,
    json: Json = False,
) -> None:
    """Réessaie maintenant, y compris ce qui était laissé de côté ; le code de sortie est 1 si un dossier y reste."""
    if (dossier is None) != every:
        raise BadInput("dossier", "quel dossier ?", field="DOSSIER", accepted="une référence, ou --all, pas les deux")
    with database.sessions() as make:
        with make.begin() as session:
            key = find(session, dossier, SYSTEM) if dossier is not None else None
            wanted = sweep.aside(session, key=key)
            if wanted:
                sweep.resume(session, [one.dossier_id for one in wanted])
                ids = [one.dossier_id for one in wanted]
                operations.record(session, "stuck.retry", who=operator(by), subject={"dossiers": ids})
        with say.steps("Reprise", len(wanted)) as step:
            for one in wanted:
                sweep.retry_one(make, one.dossier_id)
                database.wrote()
                step()
        with make() as session:
            left = {one.dossier_id: one for one in sweep.aside(session)}
    kept = [left[one.dossier_id] for one in wanted if one.dossier_id in left]
    if json:
        back = [one.reference for one in wanted if one.dossier_id not in left]
        still = [{"dossier": one.reference, "error": redacted(one.error)} for one in kept]
        say.document({"back": back, "stuck": still})
    elif not wanted:
        say.line(
            "Rien à réessayer : aucun dossier n'est mis de côté." if every else "Ce dossier n'est pas mis de côté."
        )
    else:
        say.line(f"{say.count(len(wanted) - len(kept), 'dossier rendu', 'dossiers rendus')} à l'horloge.")
        for one in kept:
            say.line(f"Dossier {one.reference} toujours mis de côté : {redacted(one.error)}", style="red")
    if kept:
        raise typer.Exit(1)


@stuck.command(cls=Command)
def skip(dossier: Ref, reason: Reason = "", by: By = None, json: Json = False) -> None:
    """Laisse un dossier mis de côté hors de la portée de l'horloge, jusqu'à « stuck retry » ; il reste visible."""
    why, who = operations.reason(reason), operator(by)
    with database.writing() as session:
        key = find(session, dossier, SYSTEM)
        if not sweep.skip(session, key, who=who, why=why):
            raise Refused(
                "not_stuck",
                f"le dossier « {dossier} » n'est pas mis de côté",
                field="DOSSIER",
                accepted="un dossier de « coupe-file stuck list »",
            )
        operations.record(session, "stuck.skip", who=who, why=why, subject={"dossiers": [key]})
        (one,) = sweep.aside(session, key=key)
    if json:
        say.document({**dataclasses.asdict(one), "error": redacted(one.error)})
    else:
        say.line(
            f"L'horloge laisse le dossier {one.reference} de côté. Pour le reprendre : coupe-file stuck retry {one.reference}"
        )
