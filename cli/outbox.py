"""The letters: which wait, which were given up and why; put back, give up, hold, let go."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from cli import database, say
from cli.door import Command, Group
from cli.options import By, Json, Reason, operator
from config.log_lines import redacted
from states.dossier import SYSTEM
from states.errors import BadInput
from workflow import installation, operations, words
from workflow import outbox as notices
from workflow.access import MAX_ID, find

outbox = typer.Typer(cls=Group, help="Les messages à envoyer.", no_args_is_help=True, rich_markup_mode=None)
RELEASE = "coupe-file outbox release"


class State(StrEnum):
    """What became of a letter."""

    QUEUED = "queued"
    DEAD = "dead"
    HELD = "held"
    SENT = "sent"
    VOID = "void"


STATES = {
    State.QUEUED: "en file",
    State.DEAD: "abandonné",
    State.HELD: "retenu",
    State.SENT: "envoyé",
    State.VOID: "annulé",
}
_MORE = {
    "clock.remind": "rappel",
    "clock.breach": "échéance dépassée",
    "submit": "dépôt",
}
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Le numéro d'un message (outbox list).", show_default=False),
]


@outbox.command("list", cls=Command)
def list_(
    state: Annotated[
        State | None,
        typer.Option(
            "--state",
            metavar="ÉTAT",
            help="queued (en file), dead (abandonné), held (retenu), sent (envoyé) ou void (annulé). "
            "Sans cette option : abandonnés, retenus, en file.",
            show_default=False,
        ),
    ] = None,
    dossier: Annotated[
        str | None, typer.Option("--dossier", metavar="DOSSIER", help="D'un seul dossier.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Au plus N messages.", min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:
    """Montre les messages, sans leur texte ni les adresses."""
    with database.reading() as session:
        key = find(session, dossier, SYSTEM) if dossier is not None else None
        found = notices.letters(session, state=state, dossier_id=key, limit=limit + 1)
        held = installation.held(session)
    more, found = len(found) > limit, found[:limit]
    if json:
        listed = [{**dataclasses.asdict(one), "why": redacted(one.why) if one.why else None} for one in found]
        say.document({"held": held, "notices": listed, "more": more})
        return
    if held:
        say.line(f"Les envois sont retenus : {held}. Rien ne part avant « {RELEASE} ».", style="red")
    if not found:
        say.line("Aucun message.")
        return
    say.table(
        ("N°", "État", "Dossier", "Pour", "À propos", "Essais", "Quand", "Pourquoi"),
        [
            (
                str(one.id),
                STATES[State(one.state)],
                one.dossier,
                seat(one),
                _MORE.get(one.kind, one.kind),
                str(one.attempts),
                _when(one),
                redacted(one.why or ""),
            )
            for one in found
        ],
    )
    if more:
        say.line(f"Et d'autres : --limit en montre plus de {limit}.")


def seat(one: notices.Letter) -> str:
    """To whom a letter goes: a seat and its unit, never a name or an address."""
    kind = one.target.partition(":")[0]
    if kind.startswith("webhook/"):
        return f"webhook n° {kind.removeprefix('webhook/')}"
    if kind in ("holder", "manager"):
        return words.ROLES[kind]
    of = {"head": "chef de service, ", "assignee": "instructeur, "}.get(kind, "")
    return f"{of}{one.unit or 'aucune administration'}"


def _when(one: notices.Letter) -> str:
    if one.state == State.SENT and one.sent_at is not None:
        return f"parti le {say.short(one.sent_at)}"
    if one.state == State.QUEUED:
        return f"essai le {say.short(one.next_at)}"
    return f"né le {say.short(one.made_at)}" if one.made_at is not None else ""


@outbox.command(cls=Command)
def requeue(
    ids: Ids = None,
    dead: Annotated[
        bool, typer.Option("--dead", metavar="", help="Tous les messages abandonnés.", show_default=False)
    ] = False,
    by: By = None,
    json: Json = False,
) -> None:
    """Remet en file des messages abandonnés, retenus ou annulés ; chacun garde son identifiant d'envoi."""
    if bool(ids) == dead:
        raise BadInput(
            "ids", "quels messages ?", field="ID", accepted="des numéros (outbox list), ou --dead, pas les deux"
        )
    with database.writing() as session:
        keys = notices.dead(session) if dead else numbers(ids or [])
        changed = _change(session, keys, "requeue", by)
        held = installation.held(session)
    _told(keys, changed, ("remis en file", "déjà en file"), json=json)
    if held and not json:
        say.line(f"Les envois sont retenus : {held}. Rien ne part avant « {RELEASE} ».", style="red")


@outbox.command(cls=Command)
def void(ids: Ids = None, reason: Reason = "", by: By = None, json: Json = False) -> None:
    """Annule des messages : ils ne partiront pas, et restent visibles avec le motif."""
    keys, why = numbers(ids or []), operations.reason(reason)
    with database.writing() as session:
        changed = _change(session, keys, "void", by, why)
    _told(keys, changed, ("annulé", "déjà annulé"), json=json)


@outbox.command(cls=Command)
def hold(ids: Ids = None, reason: Reason = "", by: By = None, json: Json = False) -> None:
    """Retient tous les envois, ou ceux qui sont nommés, jusqu'à « outbox release »."""
    why = operations.reason(reason)
    with database.writing() as session:
        if ids:
            keys = numbers(ids)
            changed = _change(session, keys, "hold", by, why)
        else:
            installation.hold(session, why)
            operations.record(session, "outbox.hold", who=operator(by), why=why)
    if ids:
        _told(keys, changed, ("retenu", "déjà retenu"), json=json)
    elif json:
        say.document({"held": why})
    else:
        say.line(f"Les envois sont retenus : {why}. Pour les laisser partir : « {RELEASE} ».")


@outbox.command(cls=Command)
def release(ids: Ids = None, by: By = None, json: Json = False) -> None:
    """Laisse partir les envois retenus, depuis cette base ; ou les seuls messages nommés."""
    with database.writing() as session:
        held = installation.held(session)
        if ids:
            keys = numbers(ids)
            changed = _change(session, keys, "release", by)
        else:
            installation.release(session)
            if held:
                operations.record(session, "outbox.release", who=operator(by), subject={"was": held})
    if ids:
        _told(keys, changed, ("libéré", "déjà en file"), json=json)
    elif json:
        say.document({"held": None, "was": held})
    else:
        say.line("Les envois partent de nouveau, depuis cette base." if held else "Les envois n'étaient pas retenus.")


def _change(session: Session, keys: list[int], act: str, by: str | None, why: str | None = None) -> list[int]:
    changed = notices.change(session, keys, act, why=why)
    if changed:
        operations.record(session, f"outbox.{act}", who=operator(by), why=why, subject={"notices": changed})
    return changed


def numbers(given: list[str]) -> list[int]:
    """The numbers of letters, each once. Raises BadInput."""
    if not given:
        raise BadInput("ids", "quels messages ?", field="ID", accepted="des numéros (outbox list)")
    wrong = [one for one in given if not (one.isascii() and one.isdecimal() and 0 < int(one) <= MAX_ID)]
    if wrong:
        raise BadInput(
            "ids",
            f"« {wrong[0][:60]} » n'est pas le numéro d'un message",
            field="ID",
            accepted="un nombre (outbox list)",
        )
    return sorted({int(one) for one in given})


def _told(keys: list[int], changed: list[int], participle: tuple[str, str], *, json: bool) -> None:
    if json:
        say.document({"changed": changed, "unchanged": sorted(set(keys) - set(changed))})
        return
    done, already = participle
    kept = len(keys) - len(changed)
    if changed or not kept:
        say.line(_plural(len(changed), done))
    if kept:
        say.line(_plural(kept, already))


def _plural(number: int, participle: str) -> str:
    return f"{say.count(number, 'message')} {_agree(participle, number)}."


def _agree(participle: str, number: int) -> str:
    """« remis en file », « annulé » and « annulés »: the last word that agrees is the one in -é."""
    return " ".join(f"{word}s" if number > 1 and word.endswith("é") else word for word in participle.split())
