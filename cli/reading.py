"""Read: one dossier, a queue, a journal. Each within the reader's scope, and each in one transaction that only reads."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

import typer
from sqlalchemy import select

from cli import database, options, say, view
from cli.options import As, Json, Ref, reader
from states import clocks
from states.errors import BadInput
from states.migration import MIGRATE
from workflow import access, words
from workflow.access import find
from workflow.consultations import Consultation
from workflow.journal import Recorded
from workflow.models import Unit
from workflow.queue import Filters, Row
from workflow.queue import page as listed
from workflow.view import View, load, load_past, written

Last = Annotated[
    int, typer.Option("--last", metavar="N", min=0, max=1000, help="Combien d'événements récents montrer, de 0 à 1000.")
]


def show(ref: Ref, as_: As = None, last: Last = view.LAST_EVENTS, at: options.At = None, json: Json = False) -> None:
    """Montre un dossier : qui a la balle, la prochaine échéance, ce que vous pouvez faire."""
    when = options.moment(at)
    with database.reading() as session:
        actor = reader(session, as_)
        key = find(session, ref, actor)
        seen = load(session, key, actor) if when is None else load_past(session, key, actor, when)
    if json:
        say.document(_shown(seen, last))
        return
    view.four_lines(seen)
    _contents(seen)
    _consultations(seen)
    _clocks(seen)
    if when is None:
        _actions(seen)
    if last and seen.events:
        say.line()
        say.line("Derniers événements", style="bold")
        _events(seen, seen.events[-last:])


def _shown(seen: View, last: int) -> dict[str, Any]:
    dossier = seen.dossier
    paused = {name for name in dossier.clocks if clocks.paused(dossier, name)}
    running = {
        name: {**clock.encode(), "label": words.clock(seen.definition, name), "paused": name in paused}
        for name, clock in dossier.clocks.items()
    }
    texts = {name: written(seen, value, name) for name, value in dossier.data.items() if isinstance(value, dict)}
    return {
        **view.summary(seen),
        "data": {name: value for name, value in dossier.data.items() if not isinstance(value, dict)},
        "commune_name": seen.commune,
        **({"texts": texts} if seen.sees_texts else {}),
        "clocks": running,
        "hold": dossier.hold.encode() if dossier.hold else None,
        "then": view.then(seen),
        "about": seen.about,
        "consultations": [_consulted(one) for one in seen.consultations],
        "allowed": [trigger.name for trigger in seen.allowed],
        "refused": {trigger.name: why for trigger, why in seen.closed_doors},
        "events": [_recorded(seen, event) for event in seen.events[len(seen.events) - last :]] if last else [],
        "now": seen.now,
    }


def _contents(seen: View) -> None:
    data = seen.dossier.data
    say.line()
    if "topic" in data:
        say.fact("Sujet", words.topic(data["topic"]))
    if "commune" in data:
        say.fact("Commune", f"{seen.commune or 'inconnue'} ({data['commune']})")
    for name, value in data.items():
        body = written(seen, value, name)
        if name not in ("topic", "commune", "title") and (body is not None or not isinstance(value, dict)):
            say.fact(words.LABELS.get(name, name), body if body is not None else _value(seen, name, value))
    if not seen.sees_texts:
        say.line("(les textes du dossier ne sont lisibles que par ses parties et les services saisis)", style="dim")
    if seen.dossier.closed_at is not None:
        for event in reversed(seen.events):
            statement = written(seen, event.command.get("args", {}).get("statement"), "statement")
            if statement:
                say.fact("Réponse", statement)
                break


def _consulted(one: Consultation) -> dict[str, Any]:
    return {
        "reference": one.reference,
        "unit": one.unit,
        "state": one.state,
        "state_label": words.state(one.definition, one.state),
        "since": one.since,
        "due_at": one.due_at,
        "closed_at": one.closed_at,
        "silence": one.silence,
        "outcome": one.outcome,
        "question": one.question,
        "opinion": one.opinion,
    }


def _consultations(seen: View) -> None:
    """Who is consulted beside the dossier, since when and until when, and what silence makes of it."""
    if not seen.consultations:
        return
    say.line()
    say.line(f"Avis demandés{words.zone_note(seen.zone)}", style="bold")
    rows = []
    for one in seen.consultations:
        state = words.state(one.definition, one.state)
        if one.outcome and one.outcome != "withdrawn":
            state += f" : {words.choice(one.outcome)}"
        until = "" if one.due_at is None else say.short(one.due_at, seen.zone)
        rows.append(
            (one.reference, one.unit_name, say.short(one.since, seen.zone), until, words.silence(one.silence) or state)
        )
    say.table(("Avis", "Service consulté", "Depuis", "Jusqu'au", "Où il en est"), rows)
    for one in seen.consultations:
        if one.opinion:
            say.fact(f"Avis de {one.unit_name}", one.opinion)


def _value(seen: View, name: str, value: object) -> str:
    """A field as a person reads it: a date in figures, a choice in words."""
    rule = seen.definition.fields.get(name)
    if rule is not None and rule.type == "date":
        return f"{date.fromisoformat(str(value)):%d/%m/%Y}"
    return words.choice(str(value))


def _clocks(seen: View) -> None:
    dossier = seen.dossier
    rows = []
    for name, clock in sorted(dossier.clocks.items(), key=lambda item: item[1].due):
        if clock.end is not None:
            state = f"arrêté le {say.short(clock.end, seen.zone)}"
        elif clocks.paused(dossier, name):
            state = "suspendu"
        elif clock.due < seen.now:
            state = "dépassé"
        else:
            state = say.until(clock.due, seen.now)
        rows.append(
            (
                words.clock(seen.definition, name),
                say.short(clock.start, seen.zone),
                say.short(clock.due, seen.zone),
                state,
            )
        )
    if rows:
        say.line()
        say.line(f"Délais{words.zone_note(seen.zone)}", style="bold")
        say.table(("Délai", "Depuis", "Échéance", "Où il en est"), rows)


def _actions(seen: View) -> None:
    if seen.actor.role == "system":
        return
    say.line()
    own = words.ROLES.get(seen.actor.role, seen.actor.role)
    if not seen.allowed:
        say.line(f"Rien à demander sur ce dossier en tant que {own}.")
    else:
        say.line(f"Ce que vous pouvez demander ({own})", style="bold")
        say.table(
            ("Commande", "Ce qu'elle fait", "Il faut donner"),
            [
                (
                    words.command(trigger.name),
                    trigger.label or "",
                    ", ".join("--" + words.command(name) for name in trigger.needs),
                )
                for trigger in seen.allowed
            ],
        )
    for trigger, why in seen.closed_doors:
        say.line(f"{words.command(trigger.name)} : pas maintenant, {why}", style="dim")


# --- the journal ------------------------------------------------------------------------------------------------------


def journal(ref: Ref, as_: As = None, json: Json = False) -> None:
    """Montre le journal d'un dossier, du dépôt à maintenant."""
    with database.reading() as session:
        actor = reader(session, as_)
        seen = load(session, find(session, ref, actor), actor)
    if json:
        say.document(
            {"id": seen.id, "reference": seen.reference, "events": [_recorded(seen, event) for event in seen.events]}
        )
        return
    say.line(f"Journal du dossier {seen.reference}{words.zone_note(seen.zone)}", style="bold")
    _events(seen, seen.events)


def _events(seen: View, events: tuple[Recorded, ...]) -> None:
    say.table(
        ("N°", "Enregistré", "Avec effet", "Quoi", "Par", "Précisions"),
        [
            (
                str(event.seq),
                say.short(event.at, seen.zone),
                "" if event.effective == event.at else say.short(event.effective, seen.zone),
                words.event(seen.decided(event), event.kind),
                _by(seen, event),
                _details(seen, event),
            )
            for event in events
        ],
    )


def _by(seen: View, event: Recorded) -> str:
    if event.actor.role == "system":
        return "l'horloge"
    if event.kind == MIGRATE:
        return "l'exploitant"
    role = words.ROLES.get(event.actor.role, event.actor.role)
    name = seen.names["person"].get(event.actor.person or 0)
    unit = seen.names["unit"].get(event.actor.unit or 0)
    return ", ".join(filter(None, (name, role, unit)))


def _details(seen: View, event: Recorded) -> str:
    parts = []
    clock = event.command.get("clock")
    if clock is not None and event.kind.startswith("clock."):
        parts.append(words.clock(seen.decided(event), clock))
    if event.kind == MIGRATE:
        parts += _migrated(seen, event)
    if event.command.get("due"):
        parts.append(f"échéance du {say.short(datetime.fromisoformat(event.command['due']), seen.zone)}")
    if "message" in event.facts:
        parts.append(str(event.facts["message"]))
    if event.facts.get("vacant"):
        vacant = [words.rung(seen.decided(event), index) for index in event.facts["vacant"]]
        parts.append(f"échelons sans personne : {', '.join(vacant)}")
    if "unit" in event.effect:
        parts.append(f"→ {seen.names['unit'].get(event.effect['unit'], '?')}")
    if event.effect.get("assignee") is not None:
        parts.append(f"→ {seen.names['person'].get(event.effect['assignee'], 'une personne du service')}")
    if event.effect.get("outcome"):
        parts.append(f"issue : {words.choice(event.effect['outcome'])}")
    if event.facts.get("consults") is not None:
        parts.append(f"avis de {seen.names['unit'].get(event.facts['consults'], '?')}")
    if "clock" in event.command.get("args", {}):
        parts += _moved(seen, event, event.command["args"]["clock"])
    parts += _given(seen, event)
    return " ; ".join(parts)


def _moved(seen: View, event: Recorded, clock: str) -> list[str]:
    """Of a date that somebody moved: which, and where it is now."""
    now = event.effect.get("clocks", {}).get(clock)
    moved = [] if now is None else [f"échéance portée au {say.short(datetime.fromisoformat(now['due']), seen.zone)}"]
    return [words.clock(seen.decided(event), clock), *moved]


def _migrated(seen: View, event: Recorded) -> list[str]:
    """From which version to which, and each due date that this moved, as it was and as it is."""
    source, target = event.command["from"], event.command["to"]
    ends = [f"{one.id} {one.version}" if one else "?" for one in map(seen.versions.get, (source, target))]
    parts = [f"{'retour de ' if 'undoes' in event.command else 'de '}{ends[0]} à {ends[1]}"]
    for name, was in event.facts["was"]["clocks"].items():
        now = event.effect["clocks"][name]
        label = words.clock(
            seen.versions.get(source if name not in seen.decided(event).clocks else target, seen.definition), name
        )
        before, after = (say.short(datetime.fromisoformat(clock["due"]), seen.zone) for clock in (was, now))
        if "end" in now and "end" not in was:
            parts.append(f"{label} : arrêté (échéance du {before})")
        elif before != after:
            parts.append(f"{label} : échéance du {before} portée au {after}")
    return parts


def _given(seen: View, event: Recorded) -> list[str]:
    parts, asked = [], words.statement(seen.decided(event))
    for name, value in event.command.get("args", {}).items():
        if name == "request":
            parts.append(f"avis {value}")
        elif name == "motive":
            parts.append(words.choice(value))
        elif name == "answer_by":
            parts.append(f"réponse avant le {say.short(datetime.fromisoformat(value), seen.zone)}")
        elif name in ("reason", "statement", "file_name", *asked):
            body = written(seen, value, name) if isinstance(value, dict) else words.REASONS.get(value, value)
            if body:
                label = f"{asked[name]} : " if name in asked else ""
                parts.append(f"{label}« {body if len(body) <= view.DAY_TEXT else body[: view.DAY_TEXT] + '…'} »")
    return parts


def _recorded(seen: View, event: Recorded) -> dict[str, Any]:
    """An event in full; persons as ids, texts as references, and what they say beside them for who may read it."""
    args = event.command.get("args", {})
    texts = {name: written(seen, value, name) for name, value in args.items() if isinstance(value, dict)}
    return {
        "seq": event.seq,
        "at": event.at,
        "effective": event.effective,
        "kind": event.kind,
        "label": words.event(seen.decided(event), event.kind),
        "actor": {"person": event.actor.person, "unit": event.actor.unit, "role": event.actor.role},
        "definition": event.definition,
        "shape": event.shape,
        "command": event.command,
        "facts": event.facts,
        "effect": event.effect,
        "fired": event.fired,
        "idem": event.idem,
        "hash": event.hash.hex(),
        **({"texts": texts} if seen.sees_texts and texts else {}),
    }


# --- the queue --------------------------------------------------------------------------------------------------------

Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=1000, help="Combien de dossiers au plus, de 1 à 1000.")
]
After = Annotated[
    str | None,
    typer.Option(
        "--after", metavar="REPÈRE", help="Le repère donné à la fin de la page précédente.", show_default=False
    ),
]
OfUnit = Annotated[
    str | None,
    typer.Option("--unit", metavar="CODE", help="La file d'une administration, par son code.", show_default=False),
]


def queue(as_: As = None, unit: OfUnit = None, after: After = None, limit: Limit = 50, json: Json = False) -> None:
    """Montre les dossiers ouverts d'un service, le plus pressé d'abord."""
    with database.reading() as session:
        actor = reader(session, as_)
        chosen = actor.unit
        if unit is not None:
            chosen = session.execute(select(Unit.id).where(Unit.code == unit)).scalar()
            if chosen is None:
                raise BadInput(
                    "unknown",
                    f"administration inconnue : « {unit[:60]} »",
                    field="--unit",
                    accepted="un code de « coupe-file directory list »",
                )
        try:
            found = listed(session, actor, Filters(holding=chosen), after=after, limit=limit)
        except BadInput as error:
            error.field = f"--{error.field}"
            raise
    sees = actor.role in access.SEES_TEXTS
    if json:
        rows = [_queued(row, sees=sees) for row in found.rows]
        say.document({"dossiers": rows, "after": found.after, "now": found.now})
        return
    if not found.rows:
        say.line("Aucun dossier ouvert." if after is None else "Plus aucun dossier après ce repère.")
        return
    headers = ("Dossier", *(["Titre"] if sees else ["Sujet"]), "Commune", "État", "Échéance", "Balle")
    say.table(headers, [_told(row, found.now, sees=sees, own=chosen is not None) for row in found.rows])
    if found.after is not None:
        say.line(f"Suite : --after {found.after}", style="dim")


def _told(row: Row, now: datetime, *, sees: bool, own: bool) -> tuple[str, ...]:
    holder = (
        "porteur"
        if row.held
        else (row.person if sees and row.person else "le service")
        if own
        else row.unit or "personne"
    )
    when = "" if row.due_at is None else f"{say.short(row.due_at, row.zone)} ({say.until(row.due_at, now)})"
    state = words.state(row.definition, row.state) + (" – mis de côté" if row.stuck else "")
    return (
        row.reference,
        f"Avis sur le dossier {row.about}" if row.about else (row.title or "") if sees else row.topic or "",
        row.place or row.commune or "",
        state,
        when,
        holder,
    )


def _queued(row: Row, *, sees: bool) -> dict[str, Any]:
    return {
        "id": row.id,
        "reference": row.reference,
        "state": row.state,
        "state_label": words.state(row.definition, row.state),
        "rung": row.rung,
        "due_at": row.due_at,
        "topic": row.topic,
        "commune": row.commune,
        "unit": row.unit,
        "hold": row.held,
        "stuck": row.stuck,
        "about": row.about,
        **({"title": row.title, "person": row.person} if sees else {}),
    }
