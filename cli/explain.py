"""`coupe-file explain`: why each date of a dossier, which dates it had before, and who had the ball."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from cli import database, say
from cli.options import As, Json, Ref, reader
from workflow.access import find

Name = Annotated[
    str | None,
    typer.Argument(metavar="DÉLAI", help="Un seul délai, par son nom (par défaut : tous).", show_default=False),
]


def explain(ref: Ref, clock: Name = None, as_: As = None, json: Json = False) -> None:
    """Explique les échéances d'un dossier : départ, jours comptés et sautés, suspensions, règle et article.

    Dit aussi les échéances d'avant un changement, avec qui l'a décidé, et le temps que chacun a eu la balle.
    """
    from workflow import view, why

    with database.reading() as session:
        actor = reader(session, as_)
        seen = view.load(session, find(session, ref, actor), actor)
        found = why.explained(seen, clock)
        shares = _named(seen, why.turns(seen)) if clock is None else {}
    if json:
        say.document(
            {
                "id": seen.id,
                "reference": seen.reference,
                "clocks": [why.data(each) for each in found],
                "court": {party: lasted.total_seconds() for party, lasted in shares.items()},
                "now": seen.now,
            }
        )
        return
    for each in found:
        _say(seen, each)
    if shares:
        say.line("Qui a eu la balle", style="bold")
        total = sum(shares.values(), timedelta(0))
        rows = [(party, say.span(lasted), f"{100 * (lasted / total):.0f} %") for party, lasted in shares.items()]
        say.table(("Qui", "Temps", "Part"), rows)


def _named(seen: Any, turns: Any) -> dict[str, timedelta]:
    from states.court import shares
    from workflow import why

    found: dict[str, timedelta] = {}
    for party, lasted in shares(turns).items():
        name = why.name_of(seen, party)
        found[name] = found.get(name, timedelta(0)) + lasted
    return found


def _say(seen: Any, each: Any) -> None:
    from states import explanation
    from workflow import words

    when = f"échéance du {say.short(each.clock.due, each.zone)}"
    if each.clock.end is not None:
        when += f", arrêté le {say.short(each.clock.end, each.zone)}"
    say.line(f"{each.label} ({each.name}) : {when}", style="bold")
    for sentence in explanation.sentences(each.steps):
        say.line(f"  {sentence}")
    if len(each.versions) > 1:
        say.line("  Échéances successives :")
        for one in each.versions:
            event, role = words.event(seen.definition, one.kind), words.ROLES.get(one.actor.role, one.actor.role)
            said = f"{say.short(one.due, each.zone)}, depuis le {say.short(one.since, each.zone)} ({event}, {role})"
            say.line(f"    {said}")
    if each.gross != each.net:
        say.line(f"  Écoulé : {say.span(each.gross)}, dont {say.span(each.gross - each.net)} de suspension.")
    say.line()
