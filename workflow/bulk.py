"""One act on several dossiers: what it would do to each, then each in a transaction of its own, with a result of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states.dossier import Actor, Decision
from states.errors import BadInput, CoupeFileError, Refused, Stale
from states.flags import Flag, flags
from workflow import access, definitions, directory, dossiers
from workflow.dossiers import Result
from workflow.preview import preview
from workflow.reactions import Happened, tell
from workflow.unavailable import explain
from workflow.view import View, load

log = logging.getLogger(__name__)
MOST = 100
"""How many dossiers one request may name."""
Became = Literal["done", "repeated", "changed", "refused"]


@dataclass(frozen=True, slots=True)
class Item:
    """A dossier that is asked something: the version that it had when somebody looked (None: any), and what is asked."""

    reference: str
    seen: int | None = None
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A dossier that was named: as this reader sees it, or the refusal when it is unknown or outside their scope."""

    reference: str
    view: View | None = None
    error: CoupeFileError | None = None


class Move(NamedTuple):
    """A clock whose date an act would change; None before it starts, and after it has stopped."""

    clock: str
    before: datetime | None
    after: datetime | None


class Seat(NamedTuple):
    """Who would be told: `holder`, `manager`, or `unit`, `head`, `assignee` of a unit, by its code and its name."""

    seat: str
    unit: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What an act would do to one dossier, or why it would be refused; `to` is the name of the unit that it would go to."""

    chosen: Chosen
    decision: Decision | None = None
    to: str | None = None
    moves: tuple[Move, ...] = ()
    told: tuple[Seat, ...] = ()
    flags: tuple[Flag, ...] = ()
    error: CoupeFileError | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one dossier: its result, or what refused it."""

    reference: str
    result: Result | None = None
    error: CoupeFileError | None = None

    @property
    def became(self) -> Became:
        """`changed` when somebody was there in between, `repeated` when it was done before under the same key."""
        if self.result is not None:
            return "repeated" if self.result.repeated else "done"
        return "changed" if isinstance(self.error, Stale) else "refused"


def look(session: Session, references: Iterable[str], actor: Actor) -> list[Chosen]:
    """The dossiers that were named, each once, in that order. Raises BadInput: none, or too many."""
    named = list(dict.fromkeys(references))
    if not 0 < len(named) <= MOST:
        raise BadInput(
            "dossiers", f"{len(named)} dossier(s) choisi(s)", field="dossiers", accepted=f"de 1 à {MOST} dossiers"
        )
    return [_looked(session, reference, actor) for reference in named]


def _looked(session: Session, reference: str, actor: Actor) -> Chosen:
    try:
        return Chosen(reference, load(session, access.find(session, reference, actor), actor))
    except CoupeFileError as error:
        return Chosen(reference, error=error)


# --- what it would do -------------------------------------------------------------------------------------------------


def foresee(session: Session, chosen: Sequence[Chosen], trigger: str, items: Mapping[str, Item]) -> list[Foreseen]:
    """What this act would do to each of these dossiers, by reference; nothing is written."""
    almanac = directory.almanac_now(session)
    found = []
    for one in chosen:
        if one.view is None:
            found.append(Foreseen(one, error=one.error))
            continue
        try:
            _unchanged(items[one.reference], one.view.dossier.version)
            decision = preview(session, one.view.id, trigger, actor=one.view.actor, args=items[one.reference].args)
        except CoupeFileError as error:
            if isinstance(error, Refused) and error.code == "unknown":
                error = dossiers.out_of_reach(session, one.view.id, one.view.actor)
            found.append(Foreseen(one, error=error))
            continue
        to, told = _told(session, one.view, decision)
        said = tuple(flags(one.view.definition, decision, almanac))
        found.append(Foreseen(one, decision, to, _moves(decision), told, said))
    return found


def _moves(decision: Decision) -> tuple[Move, ...]:
    before, after = decision.before.clocks, decision.after.clocks
    dues = {
        name: (before[name].due if name in before and before[name].end is None else None,
               clock.due if clock.end is None else None)
        for name, clock in after.items()
    }  # fmt: skip
    return tuple(Move(name, was, due) for name, (was, due) in dues.items() if was != due)


_UNITS = "select id, code, name from units where id = any(:ids)"


def _told(session: Session, view: View, decision: Decision) -> tuple[str | None, tuple[Seat, ...]]:
    """The unit that the dossier would go to, and who would be told, as the reactions to these events would have it."""
    targets: dict[tuple[str, int | None], None] = {}
    for seq, event in enumerate(decision.events, decision.before.seq + 1):
        happened = Happened(
            view.id, seq, event.at, event.effective, event.kind, event.actor.role, event.command, event.facts, event.effect
        )  # fmt: skip
        for one in tell(happened, view.definition):
            seat, _, rest = one.target.partition(":")
            targets[seat, int(rest.partition(":")[0]) if rest else None] = None
        if event.facts.get("consults") is not None:
            targets["unit", event.facts["consults"]] = None
    after = decision.after.unit
    wanted = [unit for unit in (after, *(unit for _, unit in targets)) if unit is not None]
    units = {row.id: (row.code, row.name) for row in session.execute(text(_UNITS), {"ids": wanted})}
    told = tuple(Seat(seat, *(units[unit] if unit is not None else ())) for seat, unit in targets)
    return (units[after][1] if after is not None and after != decision.before.unit else None), told


# --- do it ------------------------------------------------------------------------------------------------------------


def act(
    make: sessionmaker[Session], items: Sequence[Item], trigger: str, *, actor: Actor, idem: str | None = None
) -> list[Done]:
    """Ask it of each dossier in its own transaction: what is refused of one undoes nothing of the others.

    Under the same key nothing is done twice, however often it is sent, and what an outage had cut short is done then.
    Commits by itself. Raises BadInput: a dossier named twice, none, or too many.
    """
    check(items)
    return [_done(make, item, trigger, actor, idem) for item in items]


def check(items: Sequence[Item]) -> None:
    """Raise BadInput when a dossier is named twice, or none, or too many."""
    if not 0 < len(items) <= MOST or len({item.reference for item in items}) < len(items):
        raise BadInput("dossiers", f"{len(items)} dossier(s) nommé(s)", field="dossiers",
                       accepted=f"de 1 à {MOST} dossiers, chacun une fois")  # fmt: skip


def _done(make: sessionmaker[Session], item: Item, trigger: str, actor: Actor, idem: str | None) -> Done:
    try:
        with make.begin() as session:
            return Done(item.reference, _act(session, item, trigger, actor, idem))
    except CoupeFileError as error:
        return Done(item.reference, error=error)
    except Exception as error:
        said = explain(error)
        if said is None:
            log.exception("bulk act failed on a dossier")
            said = CoupeFileError("internal", "une erreur est survenue sur ce dossier : rien n'y a été écrit")
        return Done(item.reference, error=said)


_STANDS = """
select d.version, d.definition_id, exists (select from events e where e.dossier_id = d.id and e.idem = :idem) as sent
from dossiers d where d.id = :id for update of d
"""


def _act(session: Session, item: Item, trigger: str, actor: Actor, idem: str | None) -> Result:
    key, args = access.find(session, item.reference, actor), dict(item.args)
    if item.seen is not None:
        row = session.execute(text(_STANDS), {"id": key, "idem": idem}).one()
        if not row.sent:
            _unchanged(item, row.version)
        rules = definitions.get(session, row.definition_id).compiled.definition.triggers
        if any(rule.name == trigger and "seen" in rule.optional for rule in rules):
            args.setdefault("seen", str(item.seen))
    return dossiers.one(dossiers.act(session, [key], trigger, actor=actor, args=args, idem=idem))


def _unchanged(item: Item, version: int) -> None:
    if item.seen is not None and item.seen != version:
        raise Stale("le dossier a changé depuis que vous l'avez vu", seen=item.seen, version=version)
