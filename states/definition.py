"""The schema of a workflow definition, and the rules that make one sound.

A definition combines words of a closed vocabulary (guards, effects, seats); it never programs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from states.errors import DefinitionError

SCHEMA = 1
PHASES = ("submitted", "triaged", "escalated", "resolved")
SEATS = ("holder", "assignee", "unit", "head", "manager")
GUARDS = (
    "actor_below_current_rung",
    "answer_by_ahead",
    "hold_open",
    "member_of_unit",
    "no_open_hold",
    "no_rung_above",
    "rung_above_open",
    "unit_competent_or_forced",
    "within_reopen_window",
)
EFFECTS = ("assign", "climb", "close_hold", "descend", "open_hold", "pin_route", "place_on_rung", "release_rung_clocks")

Phase = Literal["submitted", "triaged", "escalated", "resolved"]
Seat = Literal["holder", "assignee", "unit", "head", "manager"]
Guard = Literal[
    "actor_below_current_rung",
    "answer_by_ahead",
    "hold_open",
    "member_of_unit",
    "no_open_hold",
    "no_rung_above",
    "rung_above_open",
    "unit_competent_or_forced",
    "within_reopen_window",
]
Effect = Literal[
    "assign", "climb", "close_hold", "descend", "open_hold", "pin_route", "place_on_rung", "release_rung_clocks"
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


def _listed(value: Any) -> Any:
    """`from: triaged` and `from: [triaged]` say the same."""
    return [value] if isinstance(value, str) else value


def _share(value: Any) -> Any:
    if isinstance(value, Fraction):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,3}/[0-9]{1,3}", value):
        message = "une part s'écrit « 1/2 »"
        raise ValueError(message)
    top, bottom = (int(part) for part in value.split("/"))
    if not 0 < top < bottom:
        message = "une part est comprise entre 0 et 1, bornes exclues"
        raise ValueError(message)
    return Fraction(top, bottom)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


class Elapsed(_Model):
    """A length of elapsed time, whatever the hour or the day: exactly one unit, a whole number of it."""

    elapsed_days: int | None = Field(None, gt=0, le=36_500)
    elapsed_hours: int | None = Field(None, gt=0, le=876_000)
    elapsed_minutes: int | None = Field(None, gt=0)
    elapsed_seconds: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            message = "une seule durée : elapsed_days, elapsed_hours, elapsed_minutes ou elapsed_seconds"
            raise ValueError(message)
        return self

    @property
    def delta(self) -> timedelta:
        """The length as a timedelta."""
        return timedelta(
            days=self.elapsed_days or 0,
            hours=self.elapsed_hours or 0,
            minutes=self.elapsed_minutes or 0,
            seconds=self.elapsed_seconds or 0,
        )


class UntilField(_Model):
    """A due date that comes with the dossier: the instant given in a field at submission."""

    field: Name


class State(_Model):
    """A state, in one of the four phases that every report speaks."""

    phase: Phase
    terminal: bool = False
    label: str | None = None


class FieldRule(_Model):
    """What a trigger may be asked to carry; the bounds are those of the form."""

    type: Literal["text", "choice", "unit", "person", "instant", "date", "integer", "boolean", "version", "code", "commune", "topic"]
    min: int | None = None
    max: int | None = None
    of: tuple[str, ...] = ()
    personal: bool = False
    audience: Literal["holder", "internal"] | None = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.type == "choice" and not self.of:
            message = "un choix demande la liste « of »"
            raise ValueError(message)
        if self.type == "text" and self.max is None:
            message = "un texte demande une borne « max »"
            raise ValueError(message)
        if self.min is not None and self.max is not None and self.min > self.max:
            message = "min dépasse max"
            raise ValueError(message)
        return self


class Trigger(_Model):
    """What may be asked, from where, by whom, with what; `to: '='` keeps the state."""

    name: Name
    source: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(alias="from")
    to: str
    by: tuple[str, ...]
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    effects: tuple[Effect, ...] = ()
    sets: dict[Literal["outcome"], str] = {}
    tell: tuple[Seat, ...] = ()
    label: str | None = None


class Submission(_Model):
    """What a dossier must carry to be submitted, and who may submit it."""

    by: tuple[str, ...]
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    tell: tuple[Seat, ...] = ()


class When(_Model):
    """The events at which a clock starts or stops."""

    when: tuple[str, ...] = Field(min_length=1)


class Reminder(_Model):
    """A reminder: at a share of the time, or before the due date, or after the start."""

    id: Name
    share: Annotated[Fraction, BeforeValidator(_share)] | None = None
    before: Elapsed | None = None
    after: Elapsed | None = None
    to: tuple[Seat, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.share, self.before, self.after)) != 1:
            message = "un rappel demande exactement un de : share, before, after"
            raise ValueError(message)
        if self.id in {"due", "move"}:
            message = "« due » et « move » sont réservés"
            raise ValueError(message)
        return self


class Due(_Model):
    """What happens strictly after the due date: it is recorded; then a trigger may fire, or another when it may not."""

    record: Name = "missed"
    fire: Name | None = None
    otherwise: Name | None = Field(None, alias="else")
    reason: Name | None = None
    tell: tuple[Seat, ...] = ()


class ClockRule(_Model):
    """A clock: declared, never coded."""

    family: Literal["commitment", "legal"]
    start: When
    stop: When
    length: Elapsed | UntilField
    hold: dict[str, Literal["pause", "ignore"]] = {}
    grace: Elapsed | None = None
    reminders: tuple[Reminder, ...] = ()
    due: Due = Due()
    basis: str | None = None
    label: str | None = None


class RungRule(_Model):
    """A rung of the ladder, and what it may do; a rung with `auto: false` is never climbed to by the clock."""

    rung: Name
    level: Name
    may: tuple[Name, ...] = ()
    only_by: tuple[str, ...] = ()
    auto: bool = True
    label: str | None = None


class Effective(_Model):
    """The dates of submission that a version serves."""

    from_: date = Field(alias="from")


class Definition(_Model):
    """A workflow definition. `effective` picks it by the date of submission; a dossier keeps the version it began under."""

    schema_: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA)
    id: Id
    version: int = Field(ge=1)
    title: str | None = None
    effective: Effective
    initial: Name
    states: dict[Name, State]
    roles: tuple[str, ...]
    fields: dict[Name, FieldRule] = {}
    submission: Submission
    triggers: tuple[Trigger, ...]
    clocks: dict[Name, ClockRule] = {}
    ladder: tuple[RungRule, ...] = ()
    idle: Elapsed = Elapsed(elapsed_days=30)
    look_again: Elapsed = Elapsed(elapsed_days=1)
    reopen_window: Elapsed = Elapsed(elapsed_days=60)

    def sources(self, trigger: Trigger) -> tuple[str, ...]:
        """The states a trigger may be asked in: `open` and `closed` are spelled out."""
        found: dict[str, None] = {}
        for word in trigger.source:
            if word in ("open", "closed"):
                found.update((name, None) for name, state in self.states.items() if state.terminal is (word == "closed"))
            else:
                found[word] = None
        return tuple(found)

    def meaning(self) -> dict[str, Any]:
        """The definition as JSON-ready values, defaults spelled out: what is stored, and what the digest covers."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, fallback=str)

    def digest(self) -> str:
        """SHA-256 (hex) of the meaning: the name under which a published version is kept."""
        return hashlib.sha256(orjson.dumps(self.meaning(), option=orjson.OPT_SORT_KEYS)).hexdigest()


def parse(data: Any) -> Definition:
    """A sound definition from plain values. Raises DefinitionError with every problem found and its place."""
    if not isinstance(data, dict):
        raise DefinitionError([((), "une définition est une liste de clés et de valeurs")])
    try:
        definition = Definition.model_validate(data)
    except ValidationError as error:
        raise DefinitionError([_french(problem) for problem in error.errors(include_url=False)]) from None
    problems = list(_problems(definition))
    if problems:
        raise DefinitionError(problems)
    return definition


_SENTENCES = {
    "missing": "obligatoire et absent",
    "extra_forbidden": "inconnu ici",
    "int_parsing": "un nombre entier est attendu",
    "bool_parsing": "true ou false est attendu",
    "greater_than_equal": "trop petit",
    "less_than_equal": "trop grand pour ce que ce programme sait lire",
    "date_from_datetime_parsing": "une date AAAA-MM-JJ est attendue",
    "tuple_type": "une liste est attendue",
    "dict_type": "des clés et des valeurs sont attendues",
    "string_pattern_mismatch": "un nom en minuscules est attendu (lettres, chiffres, « _ »)",
}


def _french(problem: Any) -> tuple[tuple[str, ...], str]:
    place = tuple(str(part) for part in problem["loc"])
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        return place, f"« {problem['input']} » n'est pas accepté ; accepté : {context['expected'].replace(' or ', ' ou ')}"
    if kind == "value_error":
        return place, str(context["error"])
    return place, _SENTENCES.get(kind, problem["msg"])


def _problems(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    yield from _states(definition)
    yield from _triggers(definition)
    yield from _fields(definition)
    yield from _clocks(definition)
    yield from _ladder(definition)


def _states(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    states = definition.states
    if definition.initial not in states:
        yield ("initial",), f"« {definition.initial} » n'est pas un état ; accepté : {', '.join(states)}"
        return
    if states[definition.initial].terminal:
        yield ("initial",), "l'état initial ne peut pas être terminal"
    for name, state in states.items():
        if name in ("open", "closed"):
            yield ("states", name), "« open » et « closed » sont réservés"
        if state.terminal != (state.phase == "resolved"):
            yield ("states", name), "un état est terminal si, et seulement si, sa phase est resolved"
    if not any(state.terminal for state in states.values()):
        yield ("states",), "aucun état terminal : un dossier ne finirait jamais"
    reached = _closure(definition)
    for name in states:
        if name not in reached:
            yield ("states", name), f"état jamais atteint depuis « {definition.initial} »"
    ends = {name for name, state in states.items() if state.terminal}
    for name in reached - ends:
        if name in states and not _closure(definition, name) & ends:
            yield ("states", name), "état sans issue : aucun état terminal n'est atteint depuis lui"


def _closure(definition: Definition, start: str | None = None) -> set[str]:
    reached = {start or definition.initial}
    while True:
        step = {t.to for t in definition.triggers if t.to != "=" and reached & set(definition.sources(t))}
        if step <= reached:
            return reached
        reached |= step


def _triggers(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    seen: set[tuple[str, str]] = set()
    for index, trigger in enumerate(definition.triggers):
        place = ("triggers", str(index))
        if trigger.name in ("submit", "open", "closed"):
            yield (*place, "name"), f"« {trigger.name} » est réservé"
        for state in definition.sources(trigger):
            if state not in definition.states:
                yield (*place, "from"), f"« {state} » n'est pas un état ; accepté : open, closed, {', '.join(definition.states)}"
            if (trigger.name, state) in seen:
                yield (*place, "from"), f"« {trigger.name} » est déclaré deux fois depuis « {state} »"
            seen.add((trigger.name, state))
        if trigger.to != "=" and trigger.to not in definition.states:
            yield (*place, "to"), f"« {trigger.to} » n'est pas un état ; accepté : '=', {', '.join(definition.states)}"
        yield from _asked(definition, (*place, "by"), trigger.by)
        for word in (*trigger.needs, *trigger.optional):
            if word not in definition.fields:
                yield (*place, "needs"), f"champ inconnu « {word} » ; accepté : {', '.join(definition.fields)}"
        if "open_hold" in trigger.effects and not {"motive", "answer_by"} <= set(trigger.needs):
            yield (*place, "needs"), "open_hold demande motive et answer_by : une suspension a un motif et un terme"
        if "open_hold" in trigger.effects and not {"no_open_hold", "answer_by_ahead"} <= set(trigger.guards):
            yield (*place, "guards"), "open_hold demande les gardes no_open_hold et answer_by_ahead"
        if "assign" in trigger.effects and "member_of_unit" not in trigger.guards:
            yield (*place, "guards"), "assign demande le garde member_of_unit"
        if "descend" in trigger.effects and "actor_below_current_rung" not in trigger.guards:
            yield (*place, "guards"), "descend demande le garde actor_below_current_rung"
        if "close_hold" in trigger.effects and "hold_open" not in trigger.guards:
            yield (*place, "guards"), "close_hold demande le garde hold_open"
        if "place_on_rung" in trigger.effects and "to_unit" not in trigger.needs:
            yield (*place, "needs"), "place_on_rung demande to_unit"
        if "assign" in trigger.effects and "to_user" not in trigger.needs:
            yield (*place, "needs"), "assign demande to_user"
    yield from _hold_ends(definition)
    yield from _asked(definition, ("submission", "by"), definition.submission.by)
    for word in (*definition.submission.needs, *definition.submission.optional):
        if word not in definition.fields:
            yield ("submission", "needs"), f"champ inconnu « {word} » ; accepté : {', '.join(definition.fields)}"


def _hold_ends(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    """A hold that nobody ends is ended by the clock, in whatever state the dossier then is."""
    if not any("open_hold" in trigger.effects for trigger in definition.triggers):
        return
    for trigger in definition.triggers:
        if "close_hold" in trigger.effects and "system" in trigger.by:
            ends = set(definition.sources(trigger))
            if trigger.to == "=" and all(s.terminal or name in ends for name, s in definition.states.items()):
                return
    yield ("triggers",), "une suspension doit pouvoir finir seule : un déclencheur close_hold, from: open, to: '=', by: [system]"


def _asked(definition: Definition, place: tuple[str, ...], by: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not by:
        yield place, "personne ne peut le demander : au moins un rôle est attendu"
    for role in by:
        if role not in definition.roles:
            yield place, f"rôle inconnu « {role} » ; accepté : {', '.join(definition.roles)}"


def _fields(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    typed = {"to_unit": "unit", "to_user": "person", "motive": "choice", "seen": "version", "outcome": "choice"}
    for name, kind in typed.items():
        rule = definition.fields.get(name)
        if rule is not None and rule.type != kind:
            yield ("fields", name, "type"), f"« {name} » est de type {kind}"
    until = definition.fields.get("answer_by")
    if until is not None and until.type != "instant":
        yield ("fields", "answer_by", "type"), "« answer_by » est de type instant"


def _clocks(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    names = {"submit", *(trigger.name for trigger in definition.triggers)}
    motives = definition.fields["motive"].of if "motive" in definition.fields else ()
    system = {trigger.name for trigger in definition.triggers if "system" in trigger.by}
    for name, clock in definition.clocks.items():
        place = ("clocks", name)
        if "." in name or ":" in name:
            yield place, "ni point ni deux-points dans un nom"
        for part, when in (("start", clock.start.when), ("stop", clock.stop.when)):
            for word in when:
                if word not in names:
                    yield (*place, part, "when"), f"« {word} » n'est pas un déclencheur ; accepté : {', '.join(sorted(names))}"
        for motive in clock.hold:
            if motive != "default" and motive not in motives:
                yield (*place, "hold", motive), f"motif inconnu ; accepté : default, {', '.join(motives)}"
        for fired in (clock.due.fire, clock.due.otherwise):
            if fired is not None and fired not in system:
                yield (*place, "due"), f"« {fired} » n'est pas un déclencheur que l'horloge (system) peut demander"
        if clock.due.otherwise and not clock.due.fire:
            yield (*place, "due", "else"), "« else » demande « fire »"
        if len({reminder.id for reminder in clock.reminders}) != len(clock.reminders):
            yield (*place, "reminders"), "deux rappels portent le même nom"
        if isinstance(clock.length, UntilField):
            rule = definition.fields.get(clock.length.field)
            if rule is None or rule.type != "instant" or clock.length.field not in definition.submission.needs:
                yield (*place, "length", "field"), "l'échéance est un champ de type instant, exigé à la soumission"
        yield from _stops(definition, name, clock)


def _stops(definition: Definition, name: str, clock: ClockRule) -> Iterator[tuple[tuple[str, ...], str]]:
    """No clock of a dossier runs in a terminal state: whatever ends the dossier ends the clock."""
    for trigger in definition.triggers:
        ends = trigger.to != "=" and trigger.to in definition.states and definition.states[trigger.to].terminal
        if ends and trigger.name not in clock.stop.when:
            yield ("clocks", name, "stop", "when"), f"« {trigger.name} » clôt le dossier et n'arrête pas cette horloge"


def _ladder(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    climbs = [t for t in definition.triggers if "climb" in t.effects]
    if climbs and not definition.ladder:
        yield ("ladder",), "un déclencheur monte d'un échelon, et il n'y a pas d'échelle"
    for trigger in climbs:
        if "rung_above_open" not in trigger.guards:
            yield ("triggers", trigger.name, "guards"), "climb demande le garde rung_above_open"
    for name, clock in definition.clocks.items():
        fired = next((t for t in climbs if t.name == clock.due.fire), None)
        if fired is not None and clock.due.otherwise is None:
            yield ("clocks", name, "due", "else"), "l'échelle a une fin : « else » dit ce que fait l'horloge au dernier échelon"
        ends = clock.due.otherwise in clock.stop.when if clock.due.otherwise else True
        if fired is not None and not ends and fired.name not in clock.stop.when and fired.name in clock.start.when:
            yield ("clocks", name, "stop", "when"), f"« {clock.due.otherwise} » n'arrête pas cette horloge : elle sonnerait sans fin"
    if len({rung.rung for rung in definition.ladder}) != len(definition.ladder):
        yield ("ladder",), "deux échelons portent le même nom"
    for index, rung in enumerate(definition.ladder):
        for role in rung.only_by:
            if role not in definition.roles:
                yield ("ladder", str(index), "only_by"), f"rôle inconnu « {role} »"
