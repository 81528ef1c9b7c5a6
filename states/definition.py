"""The schema of a workflow definition, and the rules that make one sound.

A definition combines words of a closed vocabulary (guards, effects, seats); it never programs.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal, Self, get_args

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from states.errors import DefinitionError, shown

SCHEMA = 1
CONSULT, RECALL, PASS_ON = "consult", "recall", "pass_on"
"""The triggers that reach beside a dossier: a service is consulted; its request is taken back; it passes that on to another
service. Each has the effect of its name, and nothing else has it."""

Phase = Literal["submitted", "triaged", "escalated", "resolved"]
Seat = Literal["holder", "assignee", "unit", "head", "manager"]
Guard = Literal[
    "actor_below_current_rung",
    "actor_holds",
    "actor_there",
    "another_unit",
    "answer_by_ahead",
    "assigned",
    "clock_correctable",
    "clock_extendable",
    "consults_another_unit",
    "hold_open",
    "lower_rungs_first",
    "member_of_unit",
    "no_open_hold",
    "no_rung_above",
    "not_yet_asked",
    "rung_above_open",
    "statement_given",
    "unassigned",
    "unit_competent_or_forced",
    "within_reopen_window",
]
Effect = Literal[
    "assign",
    "climb",
    "close_hold",
    "consult",
    "correct_clock",
    "descend",
    "extend_clock",
    "open_hold",
    "pass_on",
    "pin_route",
    "place_on_rung",
    "recall",
    "release",
    "release_rung_clocks",
    "take",
]
PHASES: tuple[str, ...] = get_args(Phase)
SEATS: tuple[str, ...] = get_args(Seat)
GUARDS: tuple[str, ...] = get_args(Guard)
EFFECTS: tuple[str, ...] = get_args(Effect)
HoldEffect = Literal["pause", "restart", "ignore", "late_only", "rule"]
"""What a hold does to a clock: it stops it; it makes it start again when it ends; nothing; only what comes after the date
that was set for the holder stops it; or what the legal rule of the clock says."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


def _readable(value: Any) -> Any:
    if isinstance(value, str) and any(unicodedata.category(sign) in ("Cc", "Cs") for sign in value):
        message = "caractère de contrôle interdit"
        raise ValueError(message)
    return value


def _spaced(value: Any) -> Any:
    """Words of a label as they are read: spaces around them and twice between them mean nothing."""
    value = _readable(value)
    return " ".join(value.split()) if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_spaced)]
Word = Annotated[str, BeforeValidator(_readable), StringConstraints(min_length=1, max_length=100)]
Bound = Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)]


def _date(value: Any) -> Any:
    if not isinstance(value, date) and not (
        isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)
    ):
        message = "une date AAAA-MM-JJ est attendue"
        raise ValueError(message)
    return value


def listed(value: Any) -> Any:
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


class Model(BaseModel):
    """A part of a document: nothing unknown in it, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


class Elapsed(Model):
    """A length of elapsed time, whatever the hour or the day: exactly one unit, a whole number of it."""

    elapsed_days: int | None = Field(None, gt=0, le=36_500)
    elapsed_hours: int | None = Field(None, gt=0, le=876_000)
    elapsed_minutes: int | None = Field(None, gt=0, le=52_560_000)
    elapsed_seconds: int | None = Field(None, gt=0, le=3_153_600_000)

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = (self.elapsed_days, self.elapsed_hours, self.elapsed_minutes, self.elapsed_seconds)
        if sum(part is not None for part in given) != 1:
            message = "une seule durée : elapsed_days, elapsed_hours, elapsed_minutes ou elapsed_seconds"
            raise ValueError(message)
        return self

    @cached_property
    def delta(self) -> timedelta:
        """The length as a timedelta."""
        return timedelta(
            days=self.elapsed_days or 0,
            hours=self.elapsed_hours or 0,
            minutes=self.elapsed_minutes or 0,
            seconds=self.elapsed_seconds or 0,
        )


class Working(Model):
    """A length of working time of the service's calendar: days, or hours, or minutes; they are different rules.

    Days: the day of the start does not count; `days` says which do (those of opening, the jours ouvrés, the jours
    ouvrables); due at the closing of the last, or at the time of day of the start.
    """

    working_days: int | None = Field(None, ge=0, le=3_650)
    working_hours: int | None = Field(None, gt=0, le=87_600)
    working_minutes: int | None = Field(None, gt=0, le=5_256_000)
    at: Literal["closing", "same_time"] | None = None
    days: Literal["open", "working", "opening"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.working_days, self.working_hours, self.working_minutes)) != 1:
            message = "une seule durée : working_days, working_hours ou working_minutes"
            raise ValueError(message)
        if self.working_days is None and (self.at is not None or self.days is not None):
            message = "« at » et « days » ne se disent que de jours (working_days)"
            raise ValueError(message)
        return self

    @cached_property
    def delta(self) -> timedelta:
        """The length in hours or minutes as open time; zero for days, which are no length of time."""
        return timedelta(hours=self.working_hours or 0, minutes=self.working_minutes or 0)


class Law(Model):
    """A legal limit: a date. Either the rule of the table that holds for this procedure, or a reckoning and a length.

    Which rule of a procedure's clock holds depends on the date, the zone of the service and the dossier's own fields.
    Due at the end of its day; or, for a promise of a service that is made in days or months, at the `closing` of that day.
    """

    procedure: Name | None = None
    clock: Name | None = None
    reckoning: Name | None = None
    months: int | None = Field(None, gt=0, le=1_000)
    days: int | None = Field(None, gt=0, le=36_500)
    at: Literal["closing"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        by_rule = self.procedure is not None and self.clock is not None
        by_length = self.reckoning is not None and (self.months is None) != (self.days is None)
        given = {"at", "procedure", "clock"} if by_rule else {"at", "reckoning", "months", "days"}
        if by_rule == by_length or not {name for name, value in self if value is not None} <= given:
            message = "procedure et clock (une règle de la table), ou reckoning avec months ou days"
            raise ValueError(message)
        return self


class UntilField(Model):
    """A due date that comes with the dossier: the instant given in a field at submission."""

    field: Name


class GivenDays(Model):
    """So many working days of the service's calendar as a whole number in a field says, given at submission."""

    given_days: Name


def _length(value: Any) -> str:
    """Which of them a length is, so that a refusal speaks of that one only."""
    for kind, of, words in _LENGTHS:
        if isinstance(value, of) or (isinstance(value, dict) and not words.isdisjoint(value)):
            return kind
    return "elapsed"


_LENGTHS: tuple[tuple[str, type[Model], frozenset[str]], ...] = (
    ("field", UntilField, frozenset({"field"})),
    ("given", GivenDays, frozenset({"given_days"})),
    ("law", Law, frozenset({"procedure", "clock", "reckoning"})),
    ("working", Working, frozenset({"working_days", "working_hours", "working_minutes"})),
)
Span = Annotated[Annotated[Elapsed, Tag("elapsed")] | Annotated[Working, Tag("working")], Discriminator(_length)]
"""A length of elapsed or of working time."""


class State(Model):
    """A state, in one of the four phases that every report speaks."""

    phase: Phase
    terminal: bool = False
    label: Words | None = None


class FieldRule(Model):
    """What a trigger may be asked to carry; the bounds are those of the form."""

    type: Literal[
        "text",
        "choice",
        "unit",
        "person",
        "instant",
        "date",
        "integer",
        "boolean",
        "version",
        "code",
        "commune",
        "topic",
        "clock",
        "siret",
    ]
    min: Bound | None = None
    max: Bound | None = None
    of: tuple[Word, ...] = ()
    personal: bool = False
    audience: Literal["holder", "internal"] | None = None
    label: Words | None = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.type == "choice" and not self.of:
            message = "un choix demande la liste « of »"
            raise ValueError(message)
        if self.type == "text" and self.max is None:
            message = "un texte demande une borne « max »"
            raise ValueError(message)
        if self.type == "text" and self.max is not None and self.max < 1:
            message = "max : un texte a au moins un signe"
            raise ValueError(message)
        if self.min is not None and self.max is not None and self.min > self.max:
            message = "min dépasse max"
            raise ValueError(message)
        return self


class Trigger(Model):
    """What may be asked, from where, by whom, with what; `to: '='` keeps the state."""

    name: Name
    source: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(alias="from")
    to: str
    by: tuple[str, ...]
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    effects: tuple[Effect, ...] = ()
    sets: dict[Literal["outcome"], str] = {}
    tell: tuple[Seat, ...] = ()
    label: Words | None = None


class Submission(Model):
    """What a dossier must carry to be submitted, and who may submit it."""

    by: tuple[str, ...]
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    tell: tuple[Seat, ...] = ()


class When(Model):
    """The events at which a clock starts or stops: a trigger, `submit`, or `NAME.due`, when another clock falls due.

    A start at submission may be dated by a field (`from`), and be none unless that field is given (`given`); a `first`
    start is the only one of the dossier.
    """

    when: tuple[str, ...] = Field(min_length=1)
    from_: Name | None = Field(None, alias="from")
    given: bool | None = None
    first: bool | None = None


class Reminder(Model):
    """A reminder: at a share of the time, or before the due date, or after the start."""

    id: Name
    share: Annotated[Fraction, BeforeValidator(_share)] | None = None
    before: Span | None = None
    after: Span | None = None
    to: tuple[Seat, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(part is not None for part in (self.share, self.before, self.after)) != 1:
            message = "un rappel demande exactement un de : share, before, after"
            raise ValueError(message)
        if self.id in {"due", "move", "refused"}:
            message = "« due », « move » et « refused » sont réservés"
            raise ValueError(message)
        return self


class Due(Model):
    """What happens strictly after the due date: it is recorded; then a trigger may fire, or another when it may not.

    `record: silence` records what the legal rule of the clock makes of silence.
    """

    record: Name = "missed"
    fire: Name | None = None
    otherwise: Name | None = Field(None, alias="else")
    reason: Name | None = None
    tell: tuple[Seat, ...] = ()


class ClockRule(Model):
    """A clock: declared, never coded.

    `only`: it starts for the dossiers whose fields have these values (`rung`: the rung on which the dossier then stands;
    `by`: the role of who starts it). `calendar`: whose hours it goes by, those of the unit that holds the dossier at its start
    unless one is named. `extensions`: what the verb that extends may add, once each (those of a legal rule are its own).
    `floor`: nothing stops it before, but a holder who withdraws.
    """

    family: Literal["commitment", "legal"]
    start: When
    stop: When
    length: Annotated[
        Annotated[Elapsed, Tag("elapsed")]
        | Annotated[Working, Tag("working")]
        | Annotated[Law, Tag("law")]
        | Annotated[UntilField, Tag("field")]
        | Annotated[GivenDays, Tag("given")],
        Discriminator(_length),
    ]
    only: dict[Name, Annotated[tuple[Word, ...], BeforeValidator(listed)]] | None = None
    calendar: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] | None = None
    hold: dict[str, HoldEffect] = {}
    extensions: dict[Name, Span] | None = None
    floor: Span | None = None
    grace: Span | None = None
    reminders: tuple[Reminder, ...] = ()
    due: Due = Due()
    basis: Words | None = None
    label: Words | None = None

    @cached_property
    def by_days(self) -> bool:
        """Whether it counts days: its due date and its reminders are days, at their closing and at their opening."""
        return isinstance(self.length, Law | GivenDays) or (
            isinstance(self.length, Working) and self.length.working_days is not None
        )

    @cached_property
    def by_law(self) -> bool:
        """Whether it is due on a date, until the end of that day."""
        return isinstance(self.length, Law) and self.length.at is None

    @cached_property
    def timed(self) -> bool:
        """Whether it needs a calendar."""
        lengths: list[Any] = [self.length, self.grace, self.floor, *(self.extensions or {}).values()]
        lengths += [part for reminder in self.reminders for part in (reminder.before, reminder.after)]
        return self.start.from_ is not None or any(isinstance(length, Law | Working | GivenDays) for length in lengths)


class RungRule(Model):
    """A rung of the ladder, and what it may do; a rung with `auto: false` is never climbed to by the clock.

    `after`: the rungs that have had the dossier before, if somebody is there. `needs`: the fields of the statement that it
    asks for, which have labels.
    """

    rung: Name
    level: Name
    may: tuple[Name, ...] = ()
    only_by: tuple[str, ...] = ()
    auto: bool = True
    after: tuple[Name, ...] | None = None
    needs: tuple[Name, ...] | None = None
    label: Words | None = None


class Effective(Model):
    """The dates of submission that a version serves."""

    from_: Annotated[date, BeforeValidator(_date)] = Field(alias="from")


class Definition(Model):
    """A workflow definition. `effective` picks it by the date of submission; a dossier keeps the version it began under.

    `purpose: opinion`: what is opened under it is no dossier of a holder, but what a service is asked about one.
    """

    schema_: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA)
    id: Id
    version: int = Field(ge=1, le=1_000_000)
    title: Words | None = None
    purpose: Literal["opinion"] | None = None
    effective: Effective
    initial: Name
    states: dict[Name, State]
    roles: tuple[Word, ...]
    fields: dict[Name, FieldRule] = {}
    submission: Submission
    triggers: tuple[Trigger, ...]
    clocks: dict[Name, ClockRule] = {}
    ladder: tuple[RungRule, ...] = ()
    idle: Elapsed = Elapsed(elapsed_days=30)
    look_again: Elapsed = Elapsed(elapsed_days=1)
    reopen_window: Elapsed = Elapsed(elapsed_days=60)
    longest_hold: Elapsed = Elapsed(elapsed_days=366)

    def sources(self, trigger: Trigger) -> tuple[str, ...]:
        """The states a trigger may be asked in: `open` and `closed` are spelled out."""
        found: dict[str, None] = {}
        for word in trigger.source:
            if word in ("open", "closed"):
                found.update(
                    (name, None) for name, state in self.states.items() if state.terminal is (word == "closed")
                )
            else:
                found[word] = None
        return tuple(found)

    @cached_property
    def met_by_system(self) -> frozenset[str]:
        """The clocks that the system alone can meet, unless the dossier ends, and that ask for nothing when due: nobody is
        expected to act by their due date.
        """
        ending = {one.name for one in self.triggers if one.to in self.states and self.states[one.to].terminal}
        by = {one.name: one.by for one in self.triggers}
        meeting = {
            name: [by.get(word, ()) for word in clock.stop.when if word not in ending]
            for name, clock in self.clocks.items()
            if clock.due.fire is None
        }
        return frozenset(name for name, roles in meeting.items() if roles and set(roles) == {("system",)})

    def hold_end(self) -> str:
        """The trigger by which the clock ends a hold at its term, whatever the open state; empty when there is none."""
        opened = {name for name, state in self.states.items() if not state.terminal}
        for trigger in self.triggers:
            by_clock = "close_hold" in trigger.effects and "system" in trigger.by and trigger.to == "="
            by_clock = by_clock and trigger.guards == ("hold_open",) and not trigger.needs
            if by_clock and opened <= set(self.sources(trigger)):
                return trigger.name
        return ""

    def meaning(self) -> dict[str, Any]:
        """The definition as JSON-ready values, defaults spelled out: what is stored, and what the digest covers."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, fallback=str)

    def brief(self) -> dict[str, Any]:
        """The definition as plain values, what is said by default left out: what a person writes and reads."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True, fallback=str)

    def digest(self) -> str:
        """SHA-256 (hex) of the meaning: the name under which a published version is kept."""
        return hashlib.sha256(orjson.dumps(self.meaning(), option=orjson.OPT_SORT_KEYS)).hexdigest()


_INSIDE: dict[str, type[BaseModel]] = {
    "states": State, "fields": FieldRule, "submission": Submission, "triggers": Trigger, "clocks": ClockRule,
    "ladder": RungRule, "start": When, "stop": When, "reminders": Reminder, "due": Due, "effective": Effective,
    "elapsed": Elapsed, "working": Working, "law": Law, "field": UntilField, "given": GivenDays, "floor": Elapsed, "idle": Elapsed, "look_again": Elapsed, "reopen_window": Elapsed,
    "longest_hold": Elapsed, "grace": Elapsed, "before": Elapsed, "after": Elapsed,
}  # fmt: skip


def parse(data: Any) -> Definition:
    """A sound definition from plain values. Raises DefinitionError with every problem found and its place."""
    if not isinstance(data, dict):
        raise DefinitionError([((), "une définition est une liste de clés et de valeurs")])
    try:
        definition = Definition.model_validate(data)
    except ValidationError as error:
        raise DefinitionError(in_french(error, data)) from None
    problems = list(_problems(definition))
    if problems:
        raise DefinitionError(problems)
    return definition


_SENTENCES = {
    "missing": "obligatoire et absent",
    "int_parsing": "un nombre entier est attendu",
    "int_parsing_size": "un nombre entier moins long est attendu",
    "int_type": "un nombre entier est attendu",
    "bool_parsing": "true ou false est attendu",
    "bool_type": "true ou false est attendu",
    "date_from_datetime_parsing": "une date AAAA-MM-JJ est attendue",
    "date_parsing": "une date AAAA-MM-JJ est attendue",
    "tuple_type": "une liste est attendue",
    "dict_type": "des clés et des valeurs sont attendues",
    "model_type": "des clés et des valeurs sont attendues",
    "model_attributes_type": "des clés et des valeurs sont attendues",
    "string_too_short": "un mot est attendu, et rien n'est donné",
    "string_too_long": "trop long",
    "string_type": "un mot est attendu",
    "string_unicode": "caractère interdit",
    "string_pattern_mismatch": "un nom en minuscules est attendu (lettres, chiffres, « _ »)",
    "too_short": "la liste est vide",
    "greater_than": "trop petit",
    "greater_than_equal": "trop petit",
    "less_than_equal": "trop grand pour ce que ce programme sait lire",
}


def in_french(
    error: ValidationError,
    data: Any,
    *,
    root: type[BaseModel] | None = None,
    inside: Mapping[str, type[BaseModel]] = {},
) -> list[tuple[tuple[str, ...], str]]:
    """The problems of form of a document, each with its place and a sentence.

    `root` is what the document should have been, by default a definition; `inside` the parts of it, by their keys.
    """
    found = (root, inside) if root is not None else (Definition, _INSIDE)
    return [_french(problem, data, *found) for problem in error.errors(include_url=False)]


def _french(
    problem: Any, data: Any, root: type[BaseModel], parts: Mapping[str, type[BaseModel]]
) -> tuple[tuple[str, ...], str]:
    """A problem of form with its place in the document and a sentence."""
    place, inside = [], data
    for part in map(str, problem["loc"]):
        if (
            isinstance(inside, dict)
            and part not in inside
            and part in ("elapsed", "working", "law", "field", "given", "[key]")
        ):
            continue  # a name of the program's, not of the file
        place.append(part)
        if isinstance(inside, dict):
            inside = inside.get(part)
        elif isinstance(inside, list) and part.isdigit() and int(part) < len(inside):
            inside = inside[int(part)]
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "literal_error":
        sentence = (
            f"« {shown(problem['input'])} » n'est pas accepté ; accepté : {context['expected'].replace(' or ', ' ou ')}"
        )
    elif kind == "value_error":
        sentence = str(context["error"])
    elif kind == "extra_forbidden":
        sentence = f"inconnu ici ; accepté : {', '.join(_accepted(tuple(map(str, problem['loc']))[:-1], root, parts))}"
    else:
        sentence = _SENTENCES.get(kind, f"valeur refusée ({kind})")
    return tuple(place), sentence


def _accepted(place: tuple[str, ...], model: type[BaseModel], parts: Mapping[str, type[BaseModel]]) -> list[str]:
    """The keys that a place of a document may have."""
    for part in place:
        found = parts.get(part)
        if found is not None:
            model = found
    return [field.alias or name for name, field in model.model_fields.items()]


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
        if trigger.name in ("submit", "open", "closed", "state"):
            yield (*place, "name"), f"« {trigger.name} » est réservé"
        if not definition.sources(trigger):
            yield (*place, "from"), f"aucun état ; accepté : open, closed, {', '.join(definition.states)}"
        for state in definition.sources(trigger):
            if state not in definition.states:
                yield (
                    (*place, "from"),
                    f"« {state} » n'est pas un état ; accepté : open, closed, {', '.join(definition.states)}",
                )
            if (trigger.name, state) in seen:
                yield (*place, "from"), f"« {trigger.name} » est déclaré deux fois depuis « {state} »"
            seen.add((trigger.name, state))
        if trigger.to != "=" and trigger.to not in definition.states:
            yield (*place, "to"), f"« {trigger.to} » n'est pas un état ; accepté : '=', {', '.join(definition.states)}"
        yield from _asked(definition, (*place, "by"), trigger.by)
        for part, words in (("needs", trigger.needs), ("optional", trigger.optional)):
            for word in words:
                if word not in definition.fields:
                    yield (*place, part), f"champ inconnu « {word} » ; accepté : {', '.join(definition.fields)}"
        for guard, field in (("clock_extendable", "clock"), ("clock_extendable", "extension"), ("clock_correctable", "clock"),
                             ("clock_correctable", "started"), ("member_of_unit", "to_user"), ("another_unit", "to_unit"), ("consults_another_unit", "consulted"), ("not_yet_asked", "to_unit"), ("statement_given", "reason"), ("unit_competent_or_forced", "to_unit"),
                             ("answer_by_ahead", "answer_by")):  # fmt: skip
            if guard in trigger.guards and field not in trigger.needs:
                yield (*place, "needs"), f"le garde {guard} lit le champ {field}, qui n'est pas exigé"
        outcomes = definition.fields["outcome"].of if "outcome" in definition.fields else ()
        if "outcome" in trigger.sets and trigger.sets["outcome"] not in outcomes:
            yield (
                (*place, "sets"),
                f"« {trigger.sets['outcome']} » n'est pas une issue ; accepté : {', '.join(outcomes)}",
            )
        if "climb" in trigger.effects and "rung_above_open" not in trigger.guards:
            yield (*place, "guards"), "climb demande le garde rung_above_open"
        if "open_hold" in trigger.effects and not {"motive", "answer_by"} <= set(trigger.needs):
            yield (*place, "needs"), "open_hold demande motive et answer_by : une suspension a un motif et un terme"
        if "open_hold" in trigger.effects and not {"no_open_hold", "answer_by_ahead"} <= set(trigger.guards):
            yield (*place, "guards"), "open_hold demande les gardes no_open_hold et answer_by_ahead"
        if "assign" in trigger.effects and "member_of_unit" not in trigger.guards:
            yield (*place, "guards"), "assign demande le garde member_of_unit"
        if "descend" in trigger.effects and "actor_below_current_rung" not in trigger.guards:
            yield (*place, "guards"), "descend demande le garde actor_below_current_rung"
        if "take" in trigger.effects and not {"actor_there", "unassigned"} <= set(trigger.guards):
            yield (*place, "guards"), "take demande les gardes actor_there et unassigned"
        if "release" in trigger.effects and "assigned" not in trigger.guards:
            yield (*place, "guards"), "release demande le garde assigned"
        for effect, guard in (("extend_clock", "clock_extendable"), ("correct_clock", "clock_correctable")):
            if effect in trigger.effects and guard not in trigger.guards:
                yield (*place, "guards"), f"{effect} demande le garde {guard}"
            if effect in trigger.effects and "reason" not in trigger.needs:
                yield (*place, "needs"), f"{effect} demande reason : une date qui change a un motif"
        if "close_hold" in trigger.effects and "hold_open" not in trigger.guards:
            yield (*place, "guards"), "close_hold demande le garde hold_open"
        if "place_on_rung" in trigger.effects and "to_unit" not in trigger.needs:
            yield (*place, "needs"), "place_on_rung demande to_unit"
        yield from _beside(place, trigger)
        if "assign" in trigger.effects and "to_user" not in trigger.needs:
            yield (*place, "needs"), "assign demande to_user"
    yield from _hold_ends(definition)
    yield from _asked(definition, ("submission", "by"), definition.submission.by)
    for word in (*definition.submission.needs, *definition.submission.optional):
        if word not in definition.fields:
            yield ("submission", "needs"), f"champ inconnu « {word} » ; accepté : {', '.join(definition.fields)}"


_BESIDE: Mapping[str, tuple[set[str], set[str]]] = {
    CONSULT: ({"consulted", "question"}, {"consults_another_unit"}),
    RECALL: ({"request", "reason"}, set()),
    PASS_ON: ({"to_unit", "reason"}, {"actor_holds", "not_yet_asked"}),
}
"""What each act that reaches beside a dossier must carry, and which guards stand before it."""


def _beside(place: tuple[str, ...], trigger: Trigger) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, (needs, guards) in _BESIDE.items():
        if (name in trigger.effects) != (trigger.name == name):
            yield (*place, "effects"), f"l'effet {name} est celui d'un déclencheur nommé « {name} », et de lui seul"
        elif name in trigger.effects:
            if not needs <= set(trigger.needs):
                yield (*place, "needs"), f"{name} demande {' et '.join(sorted(needs))}"
            if not guards <= set(trigger.guards):
                yield (*place, "guards"), f"{name} demande les gardes {', '.join(sorted(guards))}"


def _hold_ends(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    """A hold that nobody ends is ended by the clock, in whatever state the dossier then is."""
    opens = any("open_hold" in trigger.effects for trigger in definition.triggers)
    if opens and not definition.hold_end():
        sentence = (
            "une suspension doit pouvoir finir seule : un déclencheur close_hold, from: open, to: '=', by: [system]"
        )
        yield ("triggers",), sentence


def _asked(
    definition: Definition, place: tuple[str, ...], by: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    if not by:
        yield place, "personne ne peut le demander : au moins un rôle est attendu"
    for role in by:
        if role not in definition.roles:
            yield place, f"rôle inconnu « {role} » ; accepté : {', '.join(definition.roles)}"


def _fields(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    typed = {"to_unit": "unit", "consulted": "unit", "to_user": "person", "motive": "choice", "seen": "version", "outcome": "choice",
             "clock": "clock", "extension": "code", "started": "instant"}  # fmt: skip
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
        falls = {f"{other}.due" for other in definition.clocks if other != name}
        for part, when, accepted in (("start", clock.start.when, names | falls), ("stop", clock.stop.when, names)):
            for word in when:
                if word not in accepted:
                    yield (
                        (*place, part, "when"),
                        f"« {word} » n'est pas un déclencheur ; accepté : {', '.join(sorted(names))}"
                        + (", ou DÉLAI.due" if part == "start" else ""),
                    )
        yield from _read_fields(definition, place, clock)
        yield from _of_one_kind(place, clock)
        for motive in clock.hold:
            if motive != "default" and motive not in motives:
                yield (*place, "hold", motive), f"motif inconnu ; accepté : default, {', '.join(motives)}"
        for fired in (clock.due.fire, clock.due.otherwise):
            if fired is None:
                continue
            if fired not in system:
                yield (*place, "due"), f"« {fired} » n'est pas un déclencheur que l'horloge (system) peut demander"
            asked = {word for trigger in definition.triggers if trigger.name == fired for word in trigger.needs}
            if "reason" in asked and clock.due.reason is None:
                yield (*place, "due"), f"« {fired} » demande reason : l'horloge doit en donner une"
            if asked - {"reason"}:
                yield (
                    (*place, "due"),
                    f"« {fired} » demande {', '.join(sorted(asked - {'reason'}))}, que l'horloge ne peut pas donner",
                )
        yield from _reminders(place, clock)
        yield from _floor(definition, place, clock)
        if clock.due.otherwise and not clock.due.fire:
            yield (*place, "due", "else"), "« else » demande « fire »"
        if len({reminder.id for reminder in clock.reminders}) != len(clock.reminders):
            yield (*place, "reminders"), "deux rappels portent le même nom"
        if isinstance(clock.length, GivenDays):
            yield from _given_days(definition, place, clock.length.given_days)
        if isinstance(clock.length, UntilField):
            rule = definition.fields.get(clock.length.field)
            if rule is None or rule.type != "instant" or clock.length.field not in definition.submission.needs:
                yield (*place, "length", "field"), "l'échéance est un champ de type instant, exigé à la soumission"
        yield from _stops(definition, name, clock)


MOST_DAYS = 3_650


def _given_days(definition: Definition, place: tuple[str, ...], name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    rule, given = definition.fields.get(name), {*definition.submission.needs, *definition.submission.optional}
    bounded = rule is not None and rule.min is not None and rule.max is not None
    if rule is None or rule.type != "integer" or name not in given or not bounded:
        yield (*place, "length", "given_days"), "un champ de type integer, borné, donné à la soumission"
    elif not 1 <= (rule.min or 0) <= (rule.max or 0) <= MOST_DAYS:
        yield ("fields", name), f"un nombre de jours est compris entre 1 et {MOST_DAYS}"


def _read_fields(
    definition: Definition, place: tuple[str, ...], clock: ClockRule
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The fields that a clock reads: there at submission, and of a kind that it can read."""
    given = {*definition.submission.needs, *definition.submission.optional}
    if clock.stop.from_ is not None or clock.stop.first is not None:
        yield (*place, "stop"), "« from » et « first » ne se disent que du départ"
    if clock.start.from_ is not None:
        rule = definition.fields.get(clock.start.from_)
        if rule is None or rule.type not in ("date", "instant") or clock.start.from_ not in given:
            yield (*place, "start", "from"), "le départ est un champ de type date ou instant, donné à la soumission"
    for field, values in (clock.only or {}).items():
        if field == "by":
            for value in values:
                if value not in definition.roles:
                    words = f"« {value} » n'est pas un rôle ; accepté : {', '.join(definition.roles)}"
                    yield (*place, "only", field), words
            continue
        if field == "rung":
            rungs = [rung.rung for rung in definition.ladder]
            for value in values:
                if value not in rungs:
                    yield (*place, "only", field), f"« {value} » n'est pas un échelon ; accepté : {', '.join(rungs)}"
            continue
        rule = definition.fields.get(field)
        if rule is None or rule.type not in ("choice", "boolean", "topic", "commune", "code") or field not in given:
            yield (*place, "only", field), "une condition lit un choix, un oui ou non, un code, donné à la soumission"
            continue
        accepted = rule.of if rule.type == "choice" else ("true", "false") if rule.type == "boolean" else values
        for value in values:
            if value not in accepted:
                yield (*place, "only", field), f"« {value} » n'est pas accepté ; accepté : {', '.join(accepted)}"


def _of_one_kind(place: tuple[str, ...], clock: ClockRule) -> Iterator[tuple[tuple[str, ...], str]]:
    """What lengthens a clock is counted as it is; a legal rule has its own extensions and its own effects of a hold."""
    kind = _unit(clock.length)
    for name, added in (clock.extensions or {}).items():
        if _unit(added) != kind or kind in ("law", "field"):
            yield (*place, "extensions", name), "une prolongation se compte comme le délai, en temps ou en jours"
    if "rule" in clock.hold.values() and not (isinstance(clock.length, Law) and clock.length.procedure):
        yield (*place, "hold"), "« rule » demande une règle légale (length : procedure et clock)"
    if clock.due.record == "silence" and not (isinstance(clock.length, Law) and clock.length.procedure):
        yield (*place, "due", "record"), "« silence » demande une règle légale (length : procedure et clock)"


def _unit(length: Any) -> str:
    if isinstance(length, GivenDays):
        return "days"
    if isinstance(length, Working):
        return "days" if length.working_days is not None else "hours"
    return "law" if isinstance(length, Law) else "field" if isinstance(length, UntilField) else "elapsed"


def _reminders(place: tuple[str, ...], clock: ClockRule) -> Iterator[tuple[tuple[str, ...], str]]:
    for index, reminder in enumerate(clock.reminders):
        given = reminder.before or reminder.after
        if _beyond(clock.length, given):
            yield (*place, "reminders", str(index)), "ce rappel tombe hors du délai : entre le départ et l'échéance"


def _floor(definition: Definition, place: tuple[str, ...], clock: ClockRule) -> Iterator[tuple[tuple[str, ...], str]]:
    """A floor is below its ceiling, and the system does not go below it: what it may ask for stops the clock when due only."""
    if clock.floor is None:
        return
    if _beyond(clock.length, clock.floor):
        yield (*place, "floor"), "la durée minimale est moindre que le délai"
    own = {clock.due.fire, clock.due.otherwise}
    others = {
        fired
        for name, rule in definition.clocks.items()
        if name != place[-1]
        for fired in (rule.due.fire, rule.due.otherwise)
    }
    for trigger in definition.triggers:
        if trigger.name in clock.stop.when and "system" in trigger.by and trigger.name not in own - others:
            yield (
                (*place, "floor"),
                f"« {trigger.name} », que le système peut demander, arrêterait cette horloge avant sa durée minimale",
            )


def _beyond(length: Any, given: Elapsed | Working | None) -> bool:
    """Whether a reminder is as far from the due date as the start is, or further; unlike lengths do not compare."""
    if isinstance(length, Elapsed) and isinstance(given, Elapsed):
        return given.delta >= length.delta
    if isinstance(length, Working) and isinstance(given, Working):
        if length.working_days is None:
            return given.working_days is None and given.delta >= length.delta
        return given.working_days is not None and given.working_days > length.working_days
    return False


def _stops(definition: Definition, name: str, clock: ClockRule) -> Iterator[tuple[tuple[str, ...], str]]:
    """No clock of a dossier runs in a terminal state: whatever ends the dossier ends the clock."""
    for trigger in definition.triggers:
        ends = trigger.to != "=" and trigger.to in definition.states and definition.states[trigger.to].terminal
        if ends and trigger.name not in clock.stop.when:
            yield ("clocks", name, "stop", "when"), f"« {trigger.name} » clôt le dossier et n'arrête pas cette horloge"
        stays = trigger.to == "=" and any(
            definition.states[state].terminal for state in definition.sources(trigger) if state in definition.states
        )
        if (ends or stays) and trigger.name in clock.start.when:
            yield (
                ("clocks", name, "start", "when"),
                f"« {trigger.name} » laisse un dossier clos : aucune horloge n'y part",
            )


def _from(definition: Definition, name: str | None) -> set[str]:
    return {state for trigger in definition.triggers if trigger.name == name for state in definition.sources(trigger)}


def _ladder(definition: Definition) -> Iterator[tuple[tuple[str, ...], str]]:
    climbs = [t for t in definition.triggers if "climb" in t.effects]
    if climbs and not definition.ladder:
        yield ("ladder",), "un déclencheur monte d'un échelon, et il n'y a pas d'échelle"
    climbing = {trigger.name for trigger in climbs}
    for name, clock in definition.clocks.items():
        fire, end = clock.due.fire, clock.due.otherwise
        if end in climbing:
            yield ("clocks", name, "due", "else"), f"« {end} » monte encore : l'échelle a une fin, que « else » dit"
        if fire not in climbing:
            continue
        if end is None:
            yield (
                ("clocks", name, "due", "else"),
                "l'échelle a une fin : « else » dit ce que fait l'horloge au dernier échelon",
            )
            continue
        if end not in clock.stop.when or end in clock.start.when:
            yield ("clocks", name, "stop", "when"), f"« {end} » n'arrête pas cette horloge : elle sonnerait sans fin"
        missing = _from(definition, fire) - _from(definition, end)
        if missing:
            yield (
                ("clocks", name, "due", "else"),
                f"« {end} » n'est pas possible dans l'état {', '.join(sorted(missing))}",
            )
    if len({rung.rung for rung in definition.ladder}) != len(definition.ladder):
        yield ("ladder",), "deux échelons portent le même nom"
    for index, rung in enumerate(definition.ladder):
        for role in rung.only_by:
            if role not in definition.roles:
                yield ("ladder", str(index), "only_by"), f"rôle inconnu « {role} »"
        yield from _conditions(definition, ("ladder", str(index)), index, climbs)


def _conditions(
    definition: Definition, place: tuple[str, ...], index: int, climbs: list[Trigger]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a rung asks for before it is climbed to can be given, and is looked at by whatever climbs."""
    rung, lower = definition.ladder[index], [one.rung for one in definition.ladder[:index]]
    for name in rung.after or ():
        if name not in lower:
            yield (*place, "after"), f"« {name} » n'est pas un échelon inférieur ; accepté : {', '.join(lower)}"
    for name in rung.needs or ():
        rule = definition.fields.get(name)
        if (
            rule is None
            or rule.type != "text"
            or not rule.label
            or any(name not in trigger.optional for trigger in climbs)
        ):
            yield (
                (*place, "needs"),
                f"« {name} » est un champ de type text, avec un label, que tout acte qui monte accepte (optional)",
            )
    if rung.needs and rung.auto:
        yield (*place, "auto"), "l'horloge n'écrit pas d'exposé : auto: false"
    for asked, guard in ((rung.after, "lower_rungs_first"), (rung.needs, "statement_given")):
        if asked and any(guard not in trigger.guards for trigger in climbs):
            yield (*place, "needs" if asked is rung.needs else "after"), f"tout acte qui monte demande le garde {guard}"
