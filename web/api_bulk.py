"""One act on several dossiers for a program: what it would do, or what became of each."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from states.errors import CoupeFileError, Stale
from web.api import PROBLEMS, Key, Problem, Reference, Writes, own, values_of
from web.problems import said, status_of
from workflow import bulk
from workflow.bulk import Foreseen, Item

router = APIRouter(prefix="/api/v1", responses=PROBLEMS, tags=["coupe-file"])


class Named(BaseModel):
    """A dossier, and the version that it had when somebody looked: on another one nothing is done to it."""

    model_config = ConfigDict(extra="forbid")
    reference: Reference
    version: int | None = Field(None, ge=1, le=2**31 - 1)


class AskedOfMany(BaseModel):
    """One act on several dossiers; `dry_run` says what it would do, and does nothing."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{
        "trigger": "escalate", "dossiers": [{"reference": "64-0117", "version": 3}],
        "fields": {"reason": "Deux relances sans réponse."}, "dry_run": True}]})  # fmt: skip
    trigger: str = Field(max_length=64)
    dossiers: list[Named] = Field(min_length=1, max_length=bulk.MOST)
    fields: dict[str, str | int | bool] = {}
    dry_run: bool = False


class Move(BaseModel):
    """A clock whose date would change: null before it starts, and after it has stopped."""

    clock: str
    before: datetime | None
    after: datetime | None


class Seat(BaseModel):
    """Who would be told."""

    seat: str
    unit: str | None


class Became(BaseModel):
    """What became of one dossier. `repeated` was done before under the same key, `changed` had moved on in between; a dry run
    says `possible`, `changed` or `refused`.
    """

    reference: str
    became: Literal["done", "repeated", "changed", "refused", "possible"]
    seq: int | None = None
    state: str | None = None
    version: int | None = None
    events: list[str] = []
    clocks: list[Move] = []
    told: list[Seat] = []
    problem: Problem | None = None


class Results(BaseModel):
    """The results, in the order in which the dossiers were named."""

    trigger: str
    dry_run: bool
    results: list[Became]


@router.post("/bulk")
def act(caller: Writes, asked: AskedOfMany, key: Key = None) -> Results:
    """Ask one act of several dossiers, each in a transaction of its own: what is refused of one undoes nothing of the others."""
    args = values_of(asked.fields)
    items = [Item(one.reference, one.version, args) for one in asked.dossiers]
    bulk.check(items)
    if asked.dry_run:
        with caller.make() as session:
            chosen = bulk.look(session, [item.reference for item in items], caller.actor)
            by_reference = {item.reference: item for item in items}
            results = [_foreseen(one) for one in bulk.foresee(session, chosen, asked.trigger, by_reference)]
        return Results(trigger=asked.trigger, dry_run=True, results=results)
    done = bulk.act(caller.make, items, asked.trigger, actor=caller.actor, idem=own(caller, key))
    caller.request.app.state.ring()
    return Results(trigger=asked.trigger, dry_run=False, results=[_done(one) for one in done])


def _foreseen(one: Foreseen) -> Became:
    if one.decision is None:
        became: Literal["changed", "refused"] = "changed" if isinstance(one.error, Stale) else "refused"
        return Became(reference=one.chosen.reference, became=became, problem=_problem(one.error))
    after, events = one.decision.after, one.decision.events
    return Became(
        reference=one.chosen.reference, became="possible", state=after.state, version=after.version,
        events=[event.kind for event in events], clocks=[Move(**move._asdict()) for move in one.moves],
        told=[Seat(seat=seat.seat, unit=seat.unit) for seat in one.told],
    )  # fmt: skip


def _done(one: bulk.Done) -> Became:
    if one.result is None:
        return Became(reference=one.reference, became=one.became, problem=_problem(one.error))
    result = one.result
    return Became(reference=one.reference, became=one.became, seq=result.seq, state=result.state, version=result.version,
                  events=list(result.kinds))  # fmt: skip


def _problem(error: CoupeFileError | None) -> Problem | None:
    return Problem(**said(error, status_of(error))) if error is not None else None
