"""The verbs: one command for each trigger of the shipped coupe-file that a person may ask, and `act` for any other."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli import completion, database, say, shipped, view
from cli.options import As, DryRun, Given, Json, Key, Ref, Verb, from_file, merged, pairs, person
from states.definition import Definition, Trigger
from states.errors import BadInput
from states.flags import flags
from workflow import directory, dossiers, words
from workflow.access import find
from workflow.preview import preview
from workflow.view import load

FILE = "_file"


def act(
    ref: Ref,
    trigger: Verb,
    given: Given = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--set-file",
            metavar="CHAMP=FICHIER",
            help="Un champ lu dans un fichier, ou - pour l'entrée standard.",
            show_default=False,
        ),
    ] = None,
    seen: Annotated[
        str | None, typer.Option("--seen", metavar="VERSION", help=words.FIELDS["seen"], show_default=False)
    ] = None,
    as_: As = None,
    key: Key = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Demande n'importe quel déclencheur, pour un dossier de n'importe quelle définition."""
    values = pairs(given or [], "--set")
    read = {name: from_file("--set-file", path) for name, path in pairs(files or [], "--set-file").items()}
    perform(
        ref,
        trigger,
        merged(("--set", values), ("--set-file", read), ("--seen", {"seen": seen} if seen else {})),
        as_=as_,
        key=key,
        dry_run=dry_run,
        json=json,
    )


def perform(
    ref: str, trigger: str, args: dict[str, Any], *, as_: str | None, key: str | None, dry_run: bool, json: bool
) -> None:
    """One act on one dossier in one transaction; says what came of it, or with `dry_run` what would."""
    if dry_run:
        foreseen(ref, trigger, args, as_=as_, json=json)
        return
    with database.writing() as session:
        actor = person(session, as_)
        dossier = find(session, ref, actor)
        result = dossiers.one(dossiers.act(session, [dossier], trigger, actor=actor, args=args, idem=key))
        after = load(session, dossier, actor)
    if json:
        said = {"trigger": trigger, "event": result.seq, "kinds": result.kinds, "repeated": result.repeated}
        say.document({**view.summary(after), **said})
        return
    label = words.event(after.definition, trigger)
    say.line(
        f"Déjà fait sous cette clé : {label} (événement {result.seq})." if result.repeated else f"Fait : {label}.",
        style="green",
    )
    view.four_lines(after)


def foreseen(ref: str, trigger: str, args: dict[str, Any], *, as_: str | None, json: bool) -> None:
    """What an act would change: the state, who holds the dossier, each date that moves, what the law says of it."""
    with database.reading() as session:
        actor = person(session, as_)
        seen = load(session, find(session, ref, actor), actor)
        decision = preview(session, seen.id, trigger, actor=actor, args=args)
        said = flags(seen.definition, decision, directory.almanac_now(session))
    before, after = decision.before, decision.after
    moved = [
        (name, before.clocks[name].due if name in before.clocks else None, clock.due)
        for name, clock in after.clocks.items()
        if name not in before.clocks or before.clocks[name].due != clock.due
    ]
    if json:
        dates = [{"clock": name, "before": was, "after": due} for name, was, due in moved]
        told = [{"code": flag.code, "sentence": flag.sentence} for flag in said]
        kinds = [event.kind for event in decision.events]
        say.document(
            {"dry_run": True, "trigger": trigger, "state": after.state, "kinds": kinds, "clocks": dates, "flags": told}
        )
        return
    say.line(f"Rien n'est fait. Ce que ferait « {words.event(seen.definition, trigger)} » :", style="bold")
    if after.state != before.state:
        say.fact("État", words.state(seen.definition, after.state))
    rows = [
        (
            words.clock(seen.definition, name),
            "" if was is None else say.short(was, seen.zone),
            say.short(due, seen.zone),
        )
        for name, was, due in moved
    ]
    if rows:
        say.table(("Délai", "Échéance aujourd'hui", "Échéance ensuite"), rows)
    else:
        say.line("Aucune échéance ne change.")
    for flag in said:
        say.line(f"Attention : {flag.sentence}", style="yellow")


def commands(definition: Definition) -> list[tuple[str, Callable[..., None]]]:
    """The commands of a definition's triggers, each with an option for every field that it may carry."""
    found: dict[str, Trigger] = {}
    for trigger in definition.triggers:
        if set(trigger.by) - {"system"}:
            found.setdefault(trigger.name, trigger)
    return [(words.command(name), _command(definition, trigger)) for name, trigger in found.items()]


def _command(definition: Definition, trigger: Trigger) -> Callable[..., None]:
    names = (*trigger.needs, *trigger.optional)

    def command(ref: str, as_: str | None, key: str | None, dry_run: bool, json: bool, **given: Any) -> None:
        perform(ref, trigger.name, _args(given), as_=as_, key=key, dry_run=dry_run, json=json)

    parameters = [_parameter("ref", Ref)]
    for name in names:
        parameters += _options(definition, trigger, name)
    parameters += [_parameter("as_", As, None), _parameter("key", Key, None)]
    parameters += [_parameter("dry_run", DryRun, default=False), _parameter("json", Json, default=False)]
    vars(command)["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__name__ = trigger.name
    who = ", ".join(words.ROLES.get(role, role) for role in trigger.by if role != "system")
    command.__doc__ = f"{trigger.label or trigger.name}.\n\nOuvert à : {who}. Depuis : {_sources(definition, trigger)}."
    return command


def _sources(definition: Definition, trigger: Trigger) -> str:
    if trigger.source == ("open",):
        return "tout état ouvert"
    return ", ".join(words.state(definition, name) for name in definition.sources(trigger))


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _options(definition: Definition, trigger: Trigger, name: str) -> list[inspect.Parameter]:
    """The options of a field; the form of what is given is the definition's to check, so each takes a text."""
    rule, option = definition.fields[name], "--" + words.command(name)
    needed = " Obligatoire." if name in trigger.needs else ""
    text = words.field_help(name, rule.of)
    if rule.type == "boolean":
        return [
            _parameter(
                name, Annotated[bool, typer.Option(option, metavar="", help=text, show_default=False)], default=False
            )
        ]
    if rule.type == "text":
        text += f" De {rule.min or 1} à {rule.max} signes."
    found = [
        _parameter(
            name,
            Annotated[
                str | None,
                typer.Option(
                    option,
                    metavar=_metavar(rule.type),
                    help=text + needed,
                    show_default=False,
                    autocompletion=completion.choices(rule.of) if rule.of else None,
                ),
            ],
            None,
        )
    ]
    if rule.type == "text":
        file = typer.Option(
            option + "-file",
            metavar="FICHIER",
            help=f"Le texte de {option}, lu dans un fichier, ou - pour l'entrée standard.",
            show_default=False,
        )
        found.append(_parameter(name + FILE, Annotated[str | None, file], None))
    return found


def _metavar(kind: str) -> str:
    return {
        "text": "TEXTE", "choice": "CHOIX", "unit": "UNITÉ", "person": "LOGIN", "instant": "INSTANT", "version": "VERSION",
        "integer": "NOMBRE", "date": "DATE", "commune": "INSEE", "topic": "SUJET",
    }.get(kind, "VALEUR")  # fmt: skip


def _args(given: dict[str, Any]) -> dict[str, Any]:
    """The fields that were given, read from their files where that was asked."""
    args = {name: value for name, value in given.items() if value not in (None, False) and not name.endswith(FILE)}
    for name, path in given.items():
        if not name.endswith(FILE) or path is None:
            continue
        field = name.removesuffix(FILE)
        option = "--" + words.command(field)
        if field in args:
            raise BadInput(
                "twice", "donné deux fois", field=option, accepted=f"{option} ou {option}-file, pas les deux"
            )
        args[field] = from_file(option + "-file", path)
    return args


def own() -> list[tuple[str, Callable[..., None]]]:
    """The commands of the shipped coupe-file."""
    return commands(shipped.own())
