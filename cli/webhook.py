"""`coupe-file webhook …`: programs elsewhere that are told of events, what they were sent, and the secrets that prove it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Annotated

import typer

from cli import database, say
from cli.chosen import settings
from cli.door import Command, Group
from cli.options import By, Json, Reason, operator
from cli.outbox import STATES, State, numbers
from config import outside
from config.log_lines import redacted
from states.dossier import SYSTEM
from states.fields import instant
from workflow import operations, webhook_deliveries, webhooks
from workflow.webhooks import Made, Webhook

webhook = typer.Typer(
    cls=Group,
    help="Les webhooks : les programmes d'ailleurs qui sont prévenus des événements.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Number = Annotated[
    int, typer.Argument(metavar="ID", help="Le numéro du webhook (webhook list).", min=1, show_default=False)
]
HOUR = timedelta(hours=1)


@webhook.command(cls=Command)
def add(
    url: Annotated[
        str,
        typer.Argument(
            metavar="ADRESSE", help="Où envoyer : https://, vers un hôte public ou que COUPE_FILE_WEBHOOKS_ALLOW nomme.",
            show_default=False,
        ),
    ],
    unit: Annotated[
        str | None,
        typer.Option("--unit", metavar="CODE", help="Les seuls dossiers de cette administration.", show_default=False),
    ] = None,
    territory: Annotated[
        str | None,
        typer.Option("--territory", metavar="CODE", help="Les seuls dossiers de ce territoire d'industrie.", show_default=False),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", metavar="NOM", help="Un événement à dire ; à répéter. Sans cette option : tous.", show_default=False
        ),
    ] = None,
    by: By = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Ajoute un webhook et montre son secret, cette fois seulement."""
    allow = outside.allowed(settings().webhooks_allow)
    with database.writing() as session:
        made = webhooks.add(
            session, SYSTEM, url, who=operator(by), allow=allow, unit=unit, territory=territory, kinds=kind or ()
        )
    _secret(made, f"Webhook n° {made.webhook.id}, vers {made.webhook.host}.", json=json)


@webhook.command("list", cls=Command)
def list_(json: Json = False) -> None:
    """Montre les webhooks : vers où, de quoi, et s'ils vont bien."""
    with database.reading() as session:
        found = webhooks.listed(session, SYSTEM)
    if json:
        say.document({"webhooks": [dataclasses.asdict(one) for one in found]})
        return
    if not found:
        say.line("Aucun webhook.")
        return
    say.table(
        ("N°", "Vers", "Dossiers", "Événements", "En attente", "État"),
        [
            (str(one.id), one.host, _scope(one), ", ".join(one.kinds or ("tous",)), str(one.queued), _standing(one))
            for one in found
        ],
    )


def _scope(one: Webhook) -> str:
    return f"de {one.unit}" if one.unit else f"du territoire {one.territory}" if one.territory else "tous"


def _standing(one: Webhook) -> str:
    if one.disabled_at is not None:
        return f"désactivé le {say.short(one.disabled_at)} : {redacted(one.disabled_why or '')}"
    if one.failing_since is not None:
        return f"en échec depuis le {say.short(one.failing_since)}"
    return f"deux secrets jusqu'au {say.short(one.replaced_until)}" if one.replaced_until is not None else "actif"


@webhook.command(cls=Command)
def log(
    number: Number,
    state: Annotated[
        State | None,
        typer.Option("--state", metavar="ÉTAT", help="Les seuls envois en file, abandonnés, retenus, partis ou annulés.",
                     show_default=False),
    ] = None,
    before: Annotated[
        int | None, typer.Option("--before", metavar="ID", help="La suite : les envois d'avant celui-ci.", min=1, show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Au plus N envois.", min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:  # fmt: skip
    """Montre les envois d'un webhook, le dernier d'abord, et ce qui leur a été répondu."""
    with database.reading() as session:
        found = webhook_deliveries.log(session, number, SYSTEM, state=state, before=before, limit=limit + 1)
    more, found = len(found) > limit, found[:limit]
    if json:
        listed = [{**dataclasses.asdict(one), "why": redacted(one.why) if one.why else None} for one in found]
        say.document({"deliveries": listed, "more": more})
        return
    if not found:
        say.line("Aucun envoi.")
        return
    say.table(
        ("N°", "État", "Dossier", "Événement", "Essais", "Né le", "Parti le", "Réponse"),
        [
            (str(one.id), STATES[State(one.state)], f"{one.dossier}/{one.seq}", one.kind, str(one.attempts),
             say.short(one.made_at) if one.made_at else "", say.short(one.sent_at) if one.sent_at else "", redacted(one.why or ""))
            for one in found
        ],
    )  # fmt: skip
    if more:
        say.line(f"Et d'autres : --before {found[-1].id} montre la suite.")


@webhook.command(cls=Command)
def replay(
    number: Number,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Le numéro d'un envoi (webhook log).", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="INSTANT",
            help="Tous les envois nés depuis cet instant, avec son fuseau.",
            show_default=False,
        ),
    ] = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Renvoie des envois d'un webhook, chacun sous son identifiant : qui l'a déjà reçu le reconnaît."""
    with database.writing() as session:
        begun = None if since is None else instant("--since", since)
        given = numbers(ids) if ids else None
        changed = webhook_deliveries.replay(session, number, SYSTEM, ids=given, since=begun)
        if changed:
            operations.record(
                session, "webhook.replay", who=operator(by), subject={"webhook": number, "notices": changed}
            )
    if json:
        say.document({"changed": changed})
    else:
        say.line(f"{say.count(len(changed), 'envoi remis en file', 'envois remis en file')}.")


@webhook.command(cls=Command)
def rotate(
    number: Number,
    hours: Annotated[
        int,
        typer.Option("--hours", metavar="N", help="Combien d'heures l'ancien secret signe encore ; 0 s'il est connu d'autrui.",
                     min=0, max=webhooks.LONGEST_OVERLAP // HOUR),
    ] = webhooks.OVERLAP // HOUR,
    by: By = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Change le secret et montre le nouveau, cette fois seulement ; les deux signent jusqu'au terme."""
    with database.writing() as session:
        made = webhooks.rotate(session, number, SYSTEM, who=operator(by), overlap=hours * HOUR)
    until = made.webhook.replaced_until
    told = (
        "L'ancien secret ne signe plus."
        if until is None
        else f"L'ancien secret signe aussi jusqu'au {say.short(until)}."
    )
    _secret(made, told, json=json)


@webhook.command(cls=Command)
def disable(number: Number, reason: Reason = "", by: By = None, json: Json = False) -> None:
    """Désactive un webhook : ce qui attend est retenu, ce qui arrive ensuite ne lui est pas gardé."""
    why = operations.reason(reason)
    with database.writing() as session:
        found = webhooks.disable(session, number, SYSTEM, who=operator(by), why=why)
    _told(found, f"Webhook n° {number} désactivé.", json=json)


@webhook.command(cls=Command)
def enable(number: Number, by: By = None, json: Json = False) -> None:
    """Réactive un webhook : ce qui était retenu part d'abord."""
    with database.writing() as session:
        found = webhooks.enable(session, number, SYSTEM, who=operator(by))
    _told(found, f"Webhook n° {number} actif.", json=json)


@webhook.command("test", cls=Command)
def trial(ctx: typer.Context, number: Number, json: Json = False) -> None:
    """Appelle un webhook maintenant, avec un essai qui ne parle d'aucun dossier ; le code de sortie est 1 s'il n'est pas pris."""
    with database.reading() as session:
        url, secrets = webhooks.signing(session, number, SYSTEM)
    answer = ctx.obj(url, secrets, settings())
    if json:
        say.document({"host": answer.host, "status": answer.status, "why": answer.why or None})
    elif answer.why:
        say.line(f"{answer.host} : {redacted(answer.why)}.", style="red")
    else:
        say.line(f"{answer.host} a répondu {answer.status}.", style="green")
    if answer.why:
        raise typer.Exit(1)


def _secret(made: Made, told: str, *, json: bool) -> None:
    if json:
        say.document({"webhook": dataclasses.asdict(made.webhook), "secret": made.secret})
        return
    say.line(told, style="green")
    say.fact("Secret, montré cette fois seulement", made.secret)


def _told(found: Webhook, told: str, *, json: bool) -> None:
    if json:
        say.document(dataclasses.asdict(found))
    else:
        say.line(told, style="green")
