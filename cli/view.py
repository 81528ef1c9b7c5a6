"""A dossier told on a terminal: four lines first, then the rest."""

from __future__ import annotations

from typing import Any

from cli import say
from states.court import HOLDER, THIRD_PARTY
from workflow import words
from workflow.access import SEES_TEXTS
from workflow.view import View, asking, written

LAST_EVENTS = 5
DAY_TEXT = 600


def ball(view: View) -> str:
    """Who the dossier waits for."""
    dossier = view.dossier
    if dossier.closed_at is not None:
        return "personne, le dossier est clos"
    unit = _unit(view)
    hold = dossier.hold
    if hold is not None and view.awaited is not None:
        who = "un tiers" if view.awaited == THIRD_PARTY else "le porteur de projet"
        return f"{who}, jusqu'au {words.on(hold.until, view.zone)}{words.zone_note(view.zone)} ({_asked_by(view)}{words.choice(hold.motive)})"
    return unit


def _asked_by(view: View) -> str:
    event = asking(view)
    unit = view.names["unit"].get(event.actor.unit or 0) if event is not None else None
    return f"demande de {unit} : " if unit else ""


def _unit(view: View) -> str:
    if view.unit is None:
        return "personne : aucune administration ne tient ce dossier"
    parts = [view.unit.name]
    rung = words.rung(view.definition, view.dossier.rung)
    if rung:
        parts.append(f"échelon « {rung} »")
    parts.append(
        f"suivi par {view.unit.person}"
        if view.unit.person
        else "pas encore attribué"
        if view.dossier.assignee is None
        else "attribué"
    )
    if not view.unit.staffed:
        parts[-1] = "personne n'y est en fonction en ce moment"
    if view.unit.telephone:
        parts.append(f"tél. {view.unit.telephone}")
    since = next((event.effective for event in reversed(view.events) if "unit" in event.effect), None)
    if since is not None:
        parts.append(f"depuis le {words.on(since, view.zone).partition(' à ')[0]}")
    return ", ".join(parts)


def due(view: View) -> str:
    """The next due date, whose it is, and how far."""
    dossier = view.dossier
    if dossier.due_at is None:
        return "aucune"
    label = words.next_due(view.definition, dossier)
    when = words.on(dossier.due_at, view.zone) + words.zone_note(view.zone)
    return f"{when} – {label} ({say.until(dossier.due_at, view.now)})"


def then(view: View) -> str | None:
    """What comes at the next due date if nobody does anything."""
    found = view.then
    if found is None:
        return None
    return words.then(view.definition, found.kind, rung_index=found.rung, trigger=found.trigger)


def yours(view: View) -> str | None:
    """What is expected of a holder."""
    if view.actor.role != "holder" or view.dossier.closed_at is not None:
        return None
    if view.awaited == HOLDER:
        return "une réponse est attendue (coupe-file answer)"
    return "rien à faire aujourd'hui"


def four_lines(view: View) -> None:
    """Title, then who has the ball, the next due date, what comes then, and what is expected of the reader."""
    title = view.title
    say.line(f"Dossier {view.reference}" + (f" – {title}" if title else ""), style="bold")
    state = words.state(view.definition, view.dossier.state)
    if view.dossier.closed_at is not None:
        state += f" le {words.on(view.dossier.closed_at, view.zone)}"
        state += f", issue : {words.choice(view.dossier.outcome)}" if view.dossier.outcome else ""
    say.fact("État", state)
    if view.about is not None:
        say.fact("Avis sur le dossier", view.about)
        say.fact("Avis attendu de", ball(view))
    else:
        say.fact("La balle est chez", ball(view))
    if view.dossier.closed_at is None:
        late = view.dossier.due_at is not None and view.dossier.due_at < view.now
        say.fact("Prochaine échéance", due(view), style="red" if late else "")
        if view.then is not None:
            say.fact("Ensuite", then(view) or "")
    asked = asking(view)
    reason = written(view, asked.command["args"].get("reason"), "reason") if asked is not None else None
    if reason:
        say.fact("Ce qui est demandé", reason)
    side = yours(view)
    if side:
        say.fact("De votre côté", side)
    if view.stuck:
        say.fact(
            "Attention", "l'horloge n'a pas pu traiter ce dossier, il est mis de côté (coupe-file health)", style="red"
        )


def summary(view: View) -> dict[str, Any]:
    """The dossier as JSON: what the row holds, in codes; texts only for who may read them."""
    dossier = view.dossier
    return {
        "id": view.id,
        "reference": view.reference,
        "definition": {"id": view.definition.id, "version": view.definition.version, "digest": view.loaded.digest},
        "state": dossier.state,
        "state_label": words.state(view.definition, dossier.state),
        "phase": dossier.phase,
        "version": dossier.version,
        "seq": dossier.seq,
        "unit": {
            "code": view.unit.code,
            "name": view.unit.name,
            "telephone": view.unit.telephone,
            "zone": view.unit.zone,
            "staffed": view.unit.staffed,
        }
        if view.unit
        else None,
        "person": view.unit.person if view.unit else None,
        "rung": dossier.rung,
        "rung_label": words.rung(view.definition, dossier.rung) or None,
        "ball": "nobody" if dossier.closed_at else "holder" if dossier.hold else "unit",
        "due_at": dossier.due_at,
        "due_clock": next(iter(sorted((c.due, n) for n, c in dossier.clocks.items() if c.end is None)), (None, None))[
            1
        ],
        "wake_at": dossier.wake_at,
        "closed_at": dossier.closed_at,
        "outcome": dossier.outcome,
        "stuck": view.stuck,
        **({"title": view.title} if view.actor.role in SEES_TEXTS else {}),
    }
