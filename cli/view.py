"""A dossier as one reader may see it: read in one transaction, shown as four lines first, then the rest."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from cli import say, words
from states import clocks
from states.decide import settle
from states.definition import Definition, Trigger
from states.dossier import SYSTEM, Actor, Dossier
from states.draft import Draft
from states.errors import CoupeFileError
from states.vocabulary import GUARDS, rung_above
from workflow import definitions, directory, journal, texts
from workflow.access import SEES_TEXTS
from workflow.apply import connection
from workflow.definitions import Loaded
from workflow.dossiers import COLUMNS, dossier_of
from workflow.journal import Recorded

LAST_EVENTS = 5
DAY_TEXT = 600


@dataclass(frozen=True, slots=True)
class Holder:
    """The unit that holds a dossier, and the person on it where the reader may know."""

    code: str
    name: str
    telephone: str | None
    zone: str
    person: str | None
    staffed: bool


@dataclass(frozen=True, slots=True)
class View:
    """What a reader sees of a dossier at the business instant `now`; `texts` is empty for who sees metadata only."""

    id: int
    reference: str
    loaded: Loaded
    dossier: Dossier
    stuck: bool
    unit: Holder | None
    commune: str | None
    now: datetime
    actor: Actor
    texts: dict[str, str]
    allowed: tuple[Trigger, ...]
    closed_doors: tuple[tuple[Trigger, str], ...]
    then: str | None
    events: tuple[Recorded, ...]
    names: dict[str, dict[int, str]]
    versions: dict[str, Definition]

    @property
    def definition(self) -> Definition:
        """The definition that the dossier is under."""
        return self.loaded.compiled.definition

    def decided(self, event: Recorded) -> Definition:
        """The definition that an event was decided under: its words are those of that version."""
        return self.versions.get(event.definition, self.definition)

    @property
    def zone(self) -> str:
        """The time zone that its dates are said in."""
        return self.unit.zone if self.unit is not None else say.PARIS

    @property
    def sees_texts(self) -> bool:
        """Whether the reader may read what people wrote."""
        return self.actor.role in SEES_TEXTS


_ROW = f"""
select d.reference, d.stuck, c.name, u.code, u.name, u.telephone, u.zone, p.name, business_now(), r.revision, {COLUMNS}
from directory r, dossiers d left join units u on u.id = d.unit_id left join persons p on p.id = d.assignee_id
left join communes c on c.code = d.data ->> 'commune'
where d.id = %(id)s
"""  # noqa: S608  (constants)


def load(session: Session, key: int, actor: Actor) -> View:
    """A dossier, whose key was found within the actor's scope."""
    row = connection(session).execute(_ROW, {"id": key}).fetchone()
    assert row is not None  # noqa: S101  (found in this very transaction, and dossiers are never deleted)
    reference, stuck, commune, code, name, telephone, zone, assignee, now, revision = row[:10]
    loaded = definitions.get(session, row[11])
    dossier = dossier_of(row[13:])
    sees = actor.role in SEES_TEXTS
    events = tuple(journal.read(session, [key]))
    context = directory.contexts(session, [dossier], now, revision)[0]
    unit = Holder(code, name, telephone, zone, assignee if sees else None, bool(context.members)) if code else None
    draft = Draft(loaded.compiled.definition, dossier, context, max(now, dossier.at or now))
    settle(draft, loaded.compiled)
    allowed, closed = _doors(loaded, draft, actor)
    return View(
        key, reference, loaded, dossier, stuck, unit, commune, now, actor, _texts(session, dossier, events) if sees else {},
        allowed, closed, _then(loaded, draft), events, _names(session, events, persons=sees),
        _versions(session, loaded, events),
    )  # fmt: skip


def _versions(session: Session, loaded: Loaded, events: Sequence[Recorded]) -> dict[str, Definition]:
    """The definitions that the events were decided under, by digest; one that this program cannot read is left out."""
    found = {loaded.digest: loaded.compiled.definition}
    others = {event.definition for event in events} - found.keys()
    if others:
        rows = session.execute(
            text("select id, digest from definitions where digest = any(:others)"), {"others": list(others)}
        )
        for key, digest in rows:
            with suppress(CoupeFileError):
                found[digest] = definitions.get(session, key).compiled.definition
    return found


def _doors(loaded: Loaded, draft: Draft, actor: Actor) -> tuple[tuple[Trigger, ...], tuple[tuple[Trigger, str], ...]]:
    """What this actor may ask now, as far as can be known before the fields are given; and what not, with why."""
    draft.actor, draft.args = actor, {}
    allowed, closed = [], []
    for trigger in loaded.compiled.allowed(draft.dossier.state):
        if actor.role not in trigger.by:
            continue
        refusal = next(filter(None, (_refusal(draft, guard) for guard in trigger.guards)), None)
        if refusal is None:
            allowed.append(trigger)
        else:
            closed.append((trigger, refusal))
    return tuple(allowed), tuple(closed)


def _refusal(draft: Draft, guard: str) -> str | None:
    try:
        found = GUARDS[guard](draft)
    except KeyError:  # it looks at a field that is not given yet
        return None
    return found[1] if found is not None else None


def _then(loaded: Loaded, draft: Draft) -> str | None:
    """What the clock will do at the next due date that it acts on, if nobody does anything."""
    definition, dossier = loaded.compiled.definition, draft.dossier
    moves = sorted(
        (instant, name)
        for instant, name, step in clocks.steps(definition, dossier, draft.context.almanac)
        if step in (clocks.MOVE_STEP, clocks.DUE_STEP)
    )
    if not moves:
        if dossier.hold is None:
            return None
        return "sans réponse à ce terme, la demande se clôt et les délais suspendus repartent"
    rule = definition.clocks[moves[0][1]]
    if rule.due.fire is None:
        return "sans suite à cette date, le dépassement est noté et signalé"
    draft.actor = SYSTEM
    above = rung_above(draft)[0]
    climbs = any(trigger.name == rule.due.fire and "climb" in trigger.effects for trigger in definition.triggers)
    if climbs and above is not None:
        return f"sans suite à cette date, l'horloge saisit l'échelon suivant ({words.rung(definition, above.index)})"
    name = (rule.due.otherwise if climbs else rule.due.fire) or rule.due.fire
    return f"sans suite à cette date, l'horloge demande : {words.event(definition, name).lower()}"


def _texts(session: Session, dossier: Dossier, events: Sequence[Recorded]) -> dict[str, str]:
    """Every text of the dossier by its id; one that was erased says so."""
    keys = {uuid.UUID(value["text"]) for value in dossier.data.values() if isinstance(value, dict) and "text" in value}
    keys.update(key for event in events for key in journal.texts_of(event.command))
    return {
        str(key): body if body is not None else "(texte effacé)" for key, body in texts.bodies(session, keys).items()
    }


def _names(session: Session, events: Sequence[Recorded], *, persons: bool) -> dict[str, dict[int, str]]:
    units = {event.actor.unit for event in events} | {event.effect.get("unit") for event in events}
    people = {event.actor.person for event in events} | {event.effect.get("assignee") for event in events}
    found = {"unit": _named(session, "select id, name from units where id = any(:ids)", units)}
    found["person"] = _named(session, "select id, name from persons where id = any(:ids)", people) if persons else {}
    return found


def _named(session: Session, statement: str, ids: Iterable[int | None]) -> dict[int, str]:
    return {
        row[0]: row[1] for row in session.execute(text(statement), {"ids": [key for key in ids if key is not None]})
    }


def written(view: View, value: Any, name: str) -> str | None:
    """What was written in a field, if this reader may read it: a holder reads nothing that is internal."""
    if not isinstance(value, dict) or "text" not in value:
        return None
    rules = [definition.fields[name] for definition in view.versions.values() if name in definition.fields]
    if view.actor.role == "holder" and any(rule.audience == "internal" for rule in rules):
        return None
    return view.texts.get(value["text"])


# --- the four lines ---------------------------------------------------------------------------------------------------


def ball(view: View) -> str:
    """Who the dossier waits for."""
    dossier = view.dossier
    if dossier.closed_at is not None:
        return "personne, le dossier est clos"
    unit = _unit(view)
    hold = dossier.hold
    if hold is not None:
        who = "un tiers" if hold.motive == "third_party" else "le porteur de projet"
        return f"{who}, jusqu'au {words.on(hold.until, view.zone)}{say.zone_note(view.zone)} ({_asked_by(view)}{words.choice(hold.motive)})"
    return unit


def asking(view: View) -> Recorded | None:
    """The event that opened the hold that is open."""
    if view.dossier.hold is None:
        return None
    return next(
        (
            event
            for event in reversed(view.events)
            if "holds" in event.effect and "answer_by" in event.command.get("args", {})
        ),
        None,
    )


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
    when = words.on(dossier.due_at, view.zone) + say.zone_note(view.zone)
    return f"{when} – {label} ({say.until(dossier.due_at, view.now)})"


def yours(view: View) -> str | None:
    """What is expected of a holder."""
    if view.actor.role != "holder" or view.dossier.closed_at is not None:
        return None
    if view.dossier.hold is not None and view.dossier.hold.motive != "third_party":
        return "une réponse est attendue (coupe-file answer)"
    return "rien à faire aujourd'hui"


def four_lines(view: View) -> None:
    """Title, then who has the ball, the next due date, what comes then, and what is expected of the reader."""
    title = written(view, view.dossier.data.get("title"), "title")
    say.line(f"Dossier {view.reference}" + (f" – {title}" if title else ""), style="bold")
    state = words.state(view.definition, view.dossier.state)
    if view.dossier.closed_at is not None:
        state += f" le {words.on(view.dossier.closed_at, view.zone)}"
        state += f", issue : {words.choice(view.dossier.outcome)}" if view.dossier.outcome else ""
    say.fact("État", state)
    say.fact("La balle est chez", ball(view))
    if view.dossier.closed_at is None:
        late = view.dossier.due_at is not None and view.dossier.due_at < view.now
        say.fact("Prochaine échéance", due(view), style="red" if late else "")
        if view.then:
            say.fact("Ensuite", view.then)
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
    title = written(view, dossier.data.get("title"), "title")
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
        **({"title": title} if view.sees_texts else {}),
    }
