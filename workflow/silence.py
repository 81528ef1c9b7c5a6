"""What silence makes of a dossier: by which date, by which text, and until when it can be contested. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from states import legal
from states.almanac import Almanac, Desk
from states.definition import Definition, Law
from states.dossier import Clock, Dossier
from states.errors import BadInput
from states.legal import Rule, Table
from states.vocabulary import PIECES
from workflow import words

REQUEST = ("demande_electronique", "reception")
"""The limit in which a request that came electronically is acknowledged (CRPA R112-11-2)."""
OWN = ("demande_electronique", "coupe_file")
"""The procedures that are the request itself; any other is the procedure that the dossier says is blocked."""
_PLATFORM = ("coupe_file", "silence")
INDISPENSABLE = "piece_required"
"""The motive of a request to the holder without whose answer nothing can be decided (CRPA L114-5)."""
_DECIDES = ("acceptance", "rejection", "no_opposition", "waiver")


@dataclass(frozen=True, slots=True)
class Silence:
    """A decision that silence would make: `effect`, on `day`; `own` when it is that of the request itself.

    `held` is what the open request to the holder does to its limit: `pause`, `restart`, or nothing.
    """

    own: bool
    label: str
    effect: str
    day: date
    basis: str
    doubt: str | None
    held: str | None
    appeal_until: date | None
    appeal_basis: str


def acknowledged_by(definition: Definition) -> str | None:
    """The clock of a definition in which its requests are acknowledged; None when they are not requests of this kind."""
    for name, rule in definition.clocks.items():
        if isinstance(rule.length, Law) and (rule.length.procedure, rule.length.clock) == REQUEST:
            return name
    return None


def of(definition: Definition, dossier: Dossier, almanac: Almanac, received: datetime) -> list[Silence]:
    """What silence would make of a dossier as it is, the request itself first, each reckoned with what its clock names.

    A request whose own silence has no clock is outside any procedure set by a text: rejected (CRPA L231-4, 2°).
    """
    found = sorted(_running(definition, dossier, almanac), key=lambda one: (not one.own, one.day, one.label))
    if not any(one.own for one in found):
        found = [*_platform(definition, dossier, almanac, received), *found]
    return found


def _running(definition: Definition, dossier: Dossier, almanac: Almanac) -> Iterator[Silence]:
    for name, clock in dossier.clocks.items():
        rule = definition.clocks.get(name)
        if rule is None or not isinstance(rule.length, Law) or rule.due.record != "silence":
            continue
        if clock.end is not None or clock.rule is None or clock.desk is None:
            continue
        table, desk = almanac.rules(clock.table), almanac.desk(clock.desk)
        law = table.rule(clock.rule)
        if law.silence in _DECIDES:
            hold = dossier.hold
            held = None if hold is None else hold.touches.get(name)
            day = desk.hours.local(clock.due).date()
            yield _silence(
                table, desk, law, day, own=rule.length.procedure in OWN, label=words.clock(definition, name), held=held
            )


def _platform(definition: Definition, dossier: Dossier, almanac: Almanac, received: datetime) -> Iterator[Silence]:
    name = acknowledged_by(definition)
    clock: Clock | None = dossier.clocks.get(name) if name is not None else None
    if clock is None or clock.desk is None:
        return
    table, desk = almanac.rules(clock.table), almanac.desk(clock.desk)
    day = desk.hours.local(received).date()
    try:
        law = table.choose(*_PLATFORM, on=day, zone=desk.territory)
    except BadInput:  # a table of one's own that says nothing of it
        return
    awaited = [hold for hold in dossier.holds if hold.motive == INDISPENSABLE]
    holds = [
        legal.Hold(desk.hours.local(hold.since).date(), desk.hours.local(hold.end or hold.until).date(), PIECES)
        for hold in awaited
    ]
    due = legal.due(table.limit(law), day, holidays=desk.hours.holidays, holds=holds).due
    held = law.holds.get(PIECES) if dossier.hold in awaited else None
    yield _silence(table, desk, law, due, own=True, label=law.title, held=held)


def _silence(table: Table, desk: Desk, law: Rule, day: date, *, own: bool, label: str, held: str | None) -> Silence:
    until, basis = None, ""
    if law.silence == "rejection":
        appeal = table.choose("recours", "contentieux", on=day, zone=desk.territory)
        until, basis = legal.due(table.limit(appeal), day, holidays=desk.hours.holidays).due, appeal.basis
    return Silence(own, label, law.silence, day, law.basis, law.doubt, held, until, basis)
