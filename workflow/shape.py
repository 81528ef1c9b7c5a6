"""The shape of a foreign log: which of its events wait, stand on which rung, close their case, and what was promised.

A shape file combines words of a closed vocabulary, as a definition does; a definition is derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from states.definition import Elapsed, Id, Model, Name, Word, Words, in_french, listed
from states.errors import DefinitionError

SCHEMA = 1
NEEDED = ("case", "activity", "time")
MAX_RUNGS = 12
FAR = timedelta(days=36_000)
"""The term of a wait: a log says when one ended, not when it should have."""
OWN, TOLD, WHOLE = "a_", "to_", "whole"
"""What the names of triggers begin with: an activity of the log, a rung. And the clock of a whole case."""
NET, GROSS = "net_", "gross_"


class Match(Model):
    """What a value must be, one of several if they are listed: exactly one rule; upper and lower case are not the same."""

    equals: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()
    starts_with: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()
    ends_with: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()
    contains: Annotated[tuple[Word, ...], BeforeValidator(listed)] = ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(map(bool, (self.equals, self.starts_with, self.ends_with, self.contains))) != 1:
            message = "une seule règle : equals, starts_with, ends_with ou contains"
            raise ValueError(message)
        return self

    def holds(self, value: str) -> bool:
        """Whether a value is so."""
        return (
            value in self.equals
            or (bool(self.starts_with) and value.startswith(self.starts_with))
            or (bool(self.ends_with) and value.endswith(self.ends_with))
            or any(part in value for part in self.contains)
        )


When = Annotated[dict[Name, Match], Field(min_length=1)]
"""What each of some columns must be, all of them."""


class Wait(Model):
    """A wait, which becomes a hold: its motive, whose court the ball is in, and what it does to the clocks."""

    motive: Name
    court: Literal["holder", "third_party", "administration"]
    clock: Literal["pause", "ignore"] = "pause"
    when: When


class Rung(Model):
    """A line of support, which becomes a rung, and how long it has; without `when`, that of every other event."""

    rung: Name
    label: Words | None = None
    within: Elapsed | None = None
    when: When | None = None


class Shape(Model):
    """How a log is read: its columns, and what its events mean."""

    schema_: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA)
    id: Id
    title: Words | None = None
    columns: dict[Name, Word]
    closes: Annotated[tuple[When, ...], Field(min_length=1)]
    waits: tuple[Wait, ...] = ()
    rungs: Annotated[tuple[Rung, ...], Field(max_length=MAX_RUNGS)] = ()
    within: Elapsed | None = None

    def rung(self, said: Mapping[str, str]) -> int | None:
        """The index of the rung that an event stands on; None where no rungs are declared."""
        return next(
            (index for index, rung in enumerate(self.rungs) if rung.when is not None and _holds(rung.when, said)),
            next((index for index, rung in enumerate(self.rungs) if rung.when is None), None),
        )

    def motive(self, said: Mapping[str, str]) -> str | None:
        """The motive of the wait that an event begins or goes on with, if it is one and does not close its case."""
        if self.ends(said):
            return None
        return next((wait.motive for wait in self.waits if _holds(wait.when, said)), None)

    def ends(self, said: Mapping[str, str]) -> bool:
        """Whether an event closes its case."""
        return any(_holds(when, said) for when in self.closes)

    def courts(self) -> dict[str, str]:
        """Each motive, and whose court the ball is in meanwhile."""
        return {wait.motive: wait.court for wait in self.waits}


def _holds(when: Mapping[str, Match], said: Mapping[str, str]) -> bool:
    return all(match.holds(said[column]) for column, match in when.items())


_INSIDE: dict[str, type[BaseModel]] = {"waits": Wait, "rungs": Rung, "within": Elapsed, "when": Match, "closes": Match}


def parse(data: Any) -> Shape:
    """A sound shape from plain values. Raises DefinitionError with every problem found and its place."""
    if not isinstance(data, dict):
        raise DefinitionError([((), "une forme de journal est une liste de clés et de valeurs")])
    try:
        shape = Shape.model_validate(data)
    except ValidationError as error:
        raise DefinitionError(in_french(error, data, root=Shape, inside=_INSIDE)) from None
    problems = list(_problems(shape))
    if problems:
        raise DefinitionError(problems)
    return shape


def _problems(shape: Shape) -> Iterator[tuple[tuple[str, ...], str]]:
    for role in NEEDED:
        if role not in shape.columns:
            yield ("columns", role), "obligatoire et absent"
    names = list(shape.columns.values())
    for role in ("start", "end", "deadline", "lifecycle"):
        if role in shape.columns:
            yield ("columns", role), "ce rôle n'a pas cours ici : la forme dit elle-même ce qui clôt, et les délais"
    readable = [role for role in shape.columns if role not in ("case", "time")]
    for place, when in _whens(shape):
        for column in when:
            if column not in readable:
                yield (*place, column), f"colonne non déclarée ; accepté : {', '.join(readable)}"
    for role, name in shape.columns.items():
        if role in ("case", "time") and names.count(name) > 1:
            yield ("columns", role), f"« {name} » a déjà un autre rôle"
    seen: dict[str, Wait] = {}
    for index, wait in enumerate(shape.waits):
        first = seen.setdefault(wait.motive, wait)
        if (first.court, first.clock) != (wait.court, wait.clock):
            yield ("waits", str(index)), f"le motif « {wait.motive} » est déjà déclaré autrement (court, clock)"
    if shape.rungs and sum(rung.when is None for rung in shape.rungs) != 1:
        yield ("rungs",), "un échelon, et un seul, est sans « when » : celui de tous les autres événements"
    rungs = [rung.rung for rung in shape.rungs]
    for index, rung in enumerate(rungs):
        if rungs.index(rung) != index:
            yield ("rungs", str(index), "rung"), "deux échelons portent le même nom"
        if rung == WHOLE:
            yield ("rungs", str(index), "rung"), f"« {WHOLE} » est réservé"


def _whens(shape: Shape) -> Iterator[tuple[tuple[str, ...], Mapping[str, Match]]]:
    for index, when in enumerate(shape.closes):
        yield ("closes", str(index)), when
    for index, wait in enumerate(shape.waits):
        yield ("waits", str(index), "when"), wait.when
    for index, rung in enumerate(shape.rungs):
        if rung.when is not None:
            yield ("rungs", str(index), "when"), rung.when


# --- the definition ---------------------------------------------------------------------------------------------------


def definition(shape: Shape, names: Mapping[str, str]) -> dict[str, Any]:
    """The definition of a log of this shape; `names` gives a trigger to each of its activities.

    A state for each rung, an activity keeps it. Every commitment has two clocks: `net`, which waits pause as the shape
    says, and `gross`, which nothing does. Each starts a new cycle whenever the case comes to its rung, or is opened again.
    """
    by = ["importer"]
    places = [TOLD + rung.rung for rung in shape.rungs]
    motives = list(shape.courts())
    triggers: list[dict[str, Any]] = [
        {"name": name, "label": activity, "from": ["open", "closed"], "to": "=", "by": by}
        for activity, name in names.items()
    ]
    triggers += [
        {"name": place, "from": "open", "to": f"on_{rung.rung}", "by": by, "needs": ["to_unit"],
         "guards": ["unit_competent_or_forced"], "effects": ["place_on_rung"]}
        for place, rung in zip(places, shape.rungs, strict=True)
    ]  # fmt: skip
    if motives:
        triggers += [
            {"name": "wait", "from": "open", "to": "=", "by": by, "needs": ["motive", "answer_by"],
             "guards": ["no_open_hold", "answer_by_ahead"], "effects": ["open_hold"]},
            {"name": "resume", "from": "open", "to": "=", "by": [*by, "system"], "guards": ["hold_open"],
             "effects": ["close_hold"]},
        ]  # fmt: skip
    triggers += [
        {"name": "reopen", "from": "closed", "to": "received", "by": by},
        {"name": "close", "from": "open", "to": "done", "by": by},
    ]
    return {
        "schema": 1,
        "id": shape.id,
        "version": 1,
        "title": shape.title,
        "effective": {"from": "0001-01-01"},
        "initial": "received",
        "states": {
            "received": {"phase": "submitted"},
            **{
                f"on_{rung.rung}": {"phase": "escalated" if index else "triaged", "label": rung.label}
                for index, rung in enumerate(shape.rungs)
            },
            "done": {"phase": "resolved", "terminal": True},
        },
        "roles": ["importer", "system"],
        "fields": {
            "case": {"type": "code"},
            "to_unit": {"type": "unit"},
            **({"motive": {"type": "choice", "of": motives}, "answer_by": {"type": "instant"}} if motives else {}),
        },
        "submission": {"by": by, "needs": ["case"]},
        "triggers": triggers,
        "clocks": dict(_clocks(shape, places)),
        "ladder": [
            {"rung": rung.rung, "level": "line", "auto": False, "label": rung.label} for rung in shape.rungs
        ],
        "idle": {"elapsed_days": 36_500},
        "longest_hold": {"elapsed_days": 36_500},
    }  # fmt: skip


def _clocks(shape: Shape, places: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    promised = [(WHOLE, shape.within, ["submit", "reopen"], ["close"])]
    for rung, place in zip(shape.rungs, places, strict=True):
        promised.append((rung.rung, rung.within, [place], [*(one for one in places if one != place), "close"]))
    holds = {wait.motive: wait.clock for wait in shape.waits}
    for name, within, start, stop in promised:
        if within is not None:
            rule = {"family": "commitment", "start": {"when": start}, "stop": {"when": stop}, "length": within.model_dump(exclude_none=True),
                    "due": {"record": "late"}}  # fmt: skip
            yield NET + name, {**rule, "hold": holds}
            yield GROSS + name, rule
