"""A dossier as one reader may see it, read in one transaction. What is internal to the administrations is not read for a holder."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from states import attachment, clocks, court
from states.almanac import Almanac
from states.decide import settle
from states.definition import RECALL, Definition, Trigger
from states.dossier import SYSTEM, Actor, Dossier, Json
from states.draft import Draft
from states.errors import BadInput, CoupeFileError, Refused
from states.vocabulary import GUARDS, rung_above
from workflow import access, confidentiality, consultations, definitions, directory, journal, readings, texts, words
from workflow.access import ABOUT, SEES_TEXTS, may_act
from workflow.apply import connection
from workflow.confidentiality import Marks
from workflow.consultations import Consultation
from workflow.definitions import Loaded
from workflow.dossiers import COLUMNS, dossier_of
from workflow.journal import Recorded


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
class Then:
    """What comes at the next term if nobody does anything.

    `ends_hold` closes the request made to the holder, `records` notes that the date has passed, `climbs` asks the rung
    of index `rung`, `fires` asks for the trigger named `trigger`.
    """

    kind: Literal["ends_hold", "records", "climbs", "fires"]
    at: datetime
    rung: int | None = None
    trigger: str | None = None


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
    sees_texts: bool
    """Whether the reader may read what people wrote."""
    named: bool
    """Whether the reader may know of which project and place it is; else `dossier` and `events` do not say."""
    marks: Marks
    allowed: tuple[Trigger, ...]
    closed_doors: tuple[tuple[Trigger, str], ...]
    then: Then | None
    events: tuple[Recorded, ...]
    names: dict[str, dict[int, str]]
    versions: dict[str, Definition]
    almanac: Almanac
    consultations: tuple[Consultation, ...] = ()
    statement: Mapping[str, str] = field(default_factory=dict)
    """What the rung above that this reader may climb to asks to be told: its fields, in words."""

    @property
    def about(self) -> str | None:
        """The reference of the dossier that a request for an avis is about; None for any other dossier."""
        found = self.dossier.data.get("dossier") if self.definition.purpose is not None else None
        return found if isinstance(found, str) else None

    @property
    def confides(self) -> bool:
        """Whether the reader is told the marks of the dossier and who read it: its parties, and the unit that has it in hand."""
        inside = self.actor.role == "holder" or (self.actor.unit is not None and self.actor.unit == self.dossier.unit)
        return inside and self.sees_texts and self.about is None

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
        return self.unit.zone if self.unit is not None else words.PARIS

    @property
    def awaited(self) -> str | None:
        """Who outside the administrations has the ball: `holder`, `third_party`; None while a unit has it."""
        return court.awaited(self.dossier)

    @property
    def title(self) -> str | None:
        """What the dossier is called for this reader: its title, or its code name where that is not for them."""
        found = written(self, self.dossier.data.get("title"), "title")
        return found if found is not None or self.actor.role not in SEES_TEXTS else self.marks.code_name


_ROW = f"""
select d.reference, d.stuck, c.name, u.code, u.name, u.telephone, u.zone, p.name, business_now(), r.revision,
       {ABOUT} as about, {{contents}} as contents, {{named}} as named, {{state}} as for_state, {COLUMNS}
from directory r, dossiers d left join units u on u.id = d.unit_id left join persons p on p.id = d.assignee_id
left join communes c on c.code = d.data ->> 'commune'
where d.id = %(id)s
"""  # noqa: S608  (constants)


def load(session: Session, key: int, actor: Actor) -> View:
    """A dossier, whose key was found within the actor's scope."""
    row = _row(session, key, actor)
    reference, stuck, commune, code, name, telephone, zone, assignee, now, revision = row[:10]
    reader = _reader(session, row, actor)
    sees = reader.contents
    loaded = definitions.get(session, row[15])
    dossier = dossier_of(row[17:])
    events = tuple(journal.read(session, [key]))
    versions = _versions(session, loaded, events)
    events = _readable(reader, actor, versions, events)
    context = directory.contexts(session, [dossier], now, revision)[0]
    unit = Holder(code, name, telephone, zone, assignee if sees else None, bool(context.members)) if code else None
    if not reader.named:
        commune, dossier = None, replace(dossier, data=_unnamed(dossier.data))
    draft = Draft(loaded.compiled.definition, dossier, context, max(now, dossier.at or now))
    settle(draft, loaded.compiled)
    requests = consultations.of(session, key, actor, units=dossier.units, sees=sees)
    waits = any(one.closed_at is None for one in requests)
    doors = _doors(loaded, draft, actor, waits=waits) if may_act(actor, dossier.units) else ((), (), {})
    return View(
        key, reference, loaded, dossier, stuck, unit, commune, now, actor, _texts(session, dossier, events) if sees else {},
        sees, reader.named, reader.marks, doors[0], doors[1], _then(loaded, draft), events, _names(session, events, persons=sees),
        versions, context.almanac, requests, doors[2],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Reader:
    """What the marks of a dossier leave to a reader."""

    contents: bool
    named: bool
    for_state: bool
    marks: Marks


def _row(session: Session, key: int, actor: Actor) -> Any:
    wheres = {"contents": access.contents(actor), "named": access.named(actor), "state": access.state(actor)}
    statement = _ROW.format(**{name: one.raw for name, one in wheres.items()})
    params = {name: value for one in wheres.values() for name, value in one.params.items()}
    row = connection(session).execute(statement, {"id": key, **params}).fetchone()
    assert row is not None  # noqa: S101  (found in this very transaction, and dossiers are never deleted)
    return row


def _reader(session: Session, row: Any, actor: Actor) -> _Reader:
    """What a reader may read; when that is the contents of a marked dossier, it goes to the register. A service that is told
    no more than what it is itself asked is no reader of the dossier.
    """
    about, contents, named, for_state = row[10:14]
    marks = confidentiality.of(session, about)
    if contents and named and (for_state or not marks.reserved) and marks != confidentiality.OPEN:
        readings.shown(session, about, actor)
    return _Reader(contents, named, for_state, marks)


def _readable(
    reader: _Reader, actor: Actor, versions: dict[str, Definition], events: Iterable[Recorded]
) -> tuple[Recorded, ...]:
    """The events that this reader sees to exist, without what would name the project to who may not know it."""
    if actor.role == "holder":
        events = (event for event in events if not _internal(versions, event))
    elif actor.role in SEES_TEXTS and not reader.for_state:
        events = (event for event in events if not attachment.for_state(event.kind, event.command))
    if not reader.named:
        events = (_unnamed_event(event) for event in events)
    return tuple(events)


def _unnamed(data: Json) -> Json:
    return {name: value for name, value in data.items() if name not in confidentiality.IDENTIFYING}


def _unnamed_event(event: Recorded) -> Recorded:
    command, effect = dict(event.command), dict(event.effect)
    for part, name in ((command, "args"), (effect, "data")):
        if isinstance(part.get(name), dict):
            part[name] = _unnamed(part[name])
    return replace(event, command=command, effect=effect)


_UNIT = """
select c.name, u.code, u.name, u.telephone, u.zone, p.name from (select 1) as one
left join units u on u.id = %(unit)s left join persons p on p.id = %(assignee)s
left join communes c on c.code = %(commune)s
"""


def load_past(session: Session, key: int, actor: Actor, at: datetime) -> View:
    """A dossier as it was known at an instant, from the events that were recorded until then; nothing can be asked of it.

    The directory is that of now. Raises Refused before its first event, BadInput for an instant to come.
    """
    present = _row(session, key, actor)
    reader = _reader(session, present, actor)
    reference, now, revision = present[0], present[8], present[9]  # stuck is of now: it has no history
    if at > now:
        raise BadInput("at", "cet instant est à venir", field="--at", accepted=f"au plus tard {now.isoformat()}")
    events = tuple(event for event in journal.read(session, [key]) if event.at <= at)
    if not events:
        raise Refused("not_yet", f"le dossier {reference} n'était pas encore déposé à cet instant", field="--at")
    dossier, definition = journal.folded(events), events[-1].definition
    chosen = session.execute(
        text("select id from definitions where digest = :digest"), {"digest": definition}
    ).scalar_one()
    loaded, sees = definitions.get(session, chosen), reader.contents
    versions = _versions(session, loaded, events)
    events = _readable(reader, actor, versions, events)
    asked = {"unit": dossier.unit, "assignee": dossier.assignee, "commune": dossier.data.get("commune")}
    row: Any = connection(session).execute(_UNIT, asked).fetchone()
    commune, code, name, telephone, zone, assignee = row
    context = directory.contexts(session, [dossier], at, revision)[0]
    unit = Holder(code, name, telephone, zone, assignee if sees else None, bool(context.members)) if code else None
    if not reader.named:
        commune, dossier = None, replace(dossier, data=_unnamed(dossier.data))
    draft = Draft(loaded.compiled.definition, dossier, context, at)
    return View(
        key, reference, loaded, dossier, present[1], unit, commune, at, actor, _texts(session, dossier, events) if sees else {},
        sees, reader.named, reader.marks, (), (), _then(loaded, draft) if dossier.closed_at is None else None, events,
        _names(session, events, persons=sees), versions, context.almanac, consultations.of(session, key, actor, units=dossier.units, sees=sees, at=at),
    )  # fmt: skip


def _internal(versions: dict[str, Definition], event: Recorded) -> bool:
    """Whether an event is a note or a file between administrations, which a holder does not even see to exist."""
    if attachment.internal(event.kind, event.command):
        return True
    rules = [
        one.fields[name] for name in event.command.get("args", {}) for one in versions.values() if name in one.fields
    ]
    return any(rule.audience == "internal" for rule in rules)


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


_Doors = tuple[tuple[Trigger, ...], tuple[tuple[Trigger, str], ...], Mapping[str, str]]


def _doors(loaded: Loaded, draft: Draft, actor: Actor, *, waits: bool) -> _Doors:
    """What this actor may ask now, as far as can be known before the fields are given; what not, with why; and what the
    rung above asks to be told. `waits`: an avis is awaited.
    """
    draft.actor, draft.args = actor, {}
    allowed, closed = [], []
    for trigger in loaded.compiled.allowed(draft.dossier.state):
        if actor.role not in trigger.by:
            continue
        refusal = next(filter(None, (_refusal(draft, guard) for guard in trigger.guards)), None)
        if trigger.name == RECALL and not waits:
            refusal = "aucun avis n'est attendu sur ce dossier"
        if refusal is None:
            allowed.append(trigger)
        else:
            closed.append((trigger, refusal))
    above = rung_above(draft)[0]
    asked = () if above is None else loaded.compiled.definition.ladder[above.index].needs or ()
    said = words.statement(loaded.compiled.definition)
    return tuple(allowed), tuple(closed), {name: said[name] for name in asked}


def _refusal(draft: Draft, guard: str) -> str | None:
    try:
        found = GUARDS[guard](draft)
    except KeyError:  # it looks at a field that is not given yet
        return None
    return found[1] if found is not None else None


def _then(loaded: Loaded, draft: Draft) -> Then | None:
    """What the clock will do at the next due date that it acts on, if nobody does anything."""
    definition, dossier = loaded.compiled.definition, draft.dossier
    moves = sorted(
        (instant, name)
        for instant, name, step in clocks.steps(definition, dossier, draft.context.almanac)
        if step in (clocks.MOVE_STEP, clocks.DUE_STEP) and name not in definition.met_by_system
    )
    if not moves:
        return None if dossier.hold is None else Then("ends_hold", dossier.hold.until)
    at, name = moves[0]
    rule = definition.clocks[name]
    if rule.due.fire is None:
        return Then("records", at)
    draft.actor = SYSTEM
    above = rung_above(draft)[0]
    climbs = any(trigger.name == rule.due.fire and "climb" in trigger.effects for trigger in definition.triggers)
    if climbs and above is not None:
        return Then("climbs", at, rung=above.index)
    return Then("fires", at, trigger=(rule.due.otherwise if climbs else None) or rule.due.fire)


def _texts(session: Session, dossier: Dossier, events: Sequence[Recorded]) -> dict[str, str]:
    """Every text of the dossier by its id; one that was erased says so."""
    keys = {uuid.UUID(value["text"]) for value in dossier.data.values() if isinstance(value, dict) and "text" in value}
    keys.update(key for event in events for key in journal.texts_of(event.command))
    return {str(key): body if body is not None else texts.ERASED for key, body in texts.bodies(session, keys).items()}


def _names(session: Session, events: Sequence[Recorded], *, persons: bool) -> dict[str, dict[int, str]]:
    units = {event.actor.unit for event in events} | {event.effect.get("unit") for event in events}
    units |= {event.facts.get("consults") for event in events}
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
