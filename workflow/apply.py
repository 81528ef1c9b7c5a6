"""apply: the single place that changes a dossier, the same for one or for a thousand.

A hand-written write path, sent on the session's own connection, writes the rows (exactly what fold yields), their
journal, the keys of what is now pending and the texts that were given, in one statement. Many are written in slices:
the server writes one while the next is being decided. Nothing here talks to the network, and nothing else is on the hot path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from states.dossier import Decision
from workflow import texts
from workflow.definitions import Loaded
from workflow.journal import SHAPE, digest, dumps
from workflow.texts import Kept

LANE_PEOPLE, LANE_BULK = 0, 1
SLICE = 200
"""Dossiers in one statement: enough that its fixed cost is small, few enough that the server is soon at work."""


@dataclass(frozen=True, slots=True)
class Change:
    """A decision about one dossier, with what the journal needs: its key, the head of its chain, the definition that it
    was made under, which the dossier is under from then on, and the texts that its events refer to.
    """

    dossier_id: int
    head: bytes
    definition: Loaded
    decision: Decision
    kept: Sequence[Kept] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """What a new dossier has beside its decision."""

    reference: str
    submit_key: str | None


class LostUpdate(Exception):
    """A row was not as it was decided on: never seen while rows are locked before they are decided on."""


_JOURNAL = f"""
e as (
    insert into events (dossier_id, seq, at, effective, kind, person_id, unit_id, role, definition_id, shape,
                        command, facts, effect, fired, idem, hash)
    select * from unnest(%(e_dossier)b::bigint[], %(e_seq)b::integer[], %(e_at)b::timestamptz[],
                         %(e_effective)b::timestamptz[], %(e_kind)b::text[], %(e_person)b::integer[],
                         %(e_unit)b::integer[], %(e_role)b::text[], %(e_definition)b::integer[],
                         %(e_shape)b::smallint[], %(e_command)b::jsonb[], %(e_facts)b::jsonb[], %(e_effect)b::jsonb[],
                         %(e_fired)b::text[], %(e_idem)b::text[], %(e_hash)b::bytea[])
), p as (
    insert into pending (dossier_id, seq, definition_id, shape, lane)
    select *, %(lane)s from unnest(%(e_dossier)b::bigint[], %(e_seq)b::integer[], %(e_definition)b::integer[],
                                   %(e_shape)b::smallint[])
), t as ({texts.KEEP})
"""  # noqa: S608  (constants of this module)
_ROWS = """
unnest(%(id)b::bigint[], %(state)b::text[], %(phase)b::text[], %(seq)b::integer[], %(version)b::integer[],
       %(at)b::timestamptz[], %(unit)b::integer[], %(rung)b::smallint[], %(assignee)b::integer[],
       %(pinned)b::boolean[], %(outcome)b::text[], %(units)b::text[], %(clocks)b::jsonb[], %(holds)b::jsonb[],
       %(closed_at)b::timestamptz[], %(due_at)b::timestamptz[], %(wake_at)b::timestamptz[], %(head)b::bytea[],
       %(before)b::integer[], %(definition)b::integer[])
    as v (id, state, phase, seq, version, at, unit_id, rung, assignee_id, pinned, outcome, units, clocks, holds,
          closed_at, due_at, wake_at, head, before, definition_id)
"""
_CHANGE = f"""
with {_JOURNAL}
update dossiers d set
    state = v.state, phase = v.phase, seq = v.seq, version = v.version, at = v.at, unit_id = v.unit_id, rung = v.rung,
    assignee_id = v.assignee_id, pinned = v.pinned, outcome = v.outcome, units = v.units::integer[],
    clocks = v.clocks, holds = v.holds, closed_at = v.closed_at, due_at = v.due_at, wake_at = v.wake_at, head = v.head,
    definition_id = v.definition_id
from {_ROWS}
where d.id = v.id and d.seq = v.before
"""  # noqa: S608  (constants of this module)
_OPEN = f"""
with {_JOURNAL}
insert into dossiers (id, state, phase, seq, version, at, unit_id, rung, assignee_id, pinned, outcome, units, clocks,
                      holds, closed_at, due_at, wake_at, head, definition_id, data, reference, submit_key)
select v.id, v.state, v.phase, v.seq, v.version, v.at, v.unit_id, v.rung, v.assignee_id, v.pinned, v.outcome,
       v.units::integer[], v.clocks, v.holds, v.closed_at, v.due_at, v.wake_at, v.head,
       v.definition_id, w.data, w.reference, w.submit_key
from {_ROWS}
join unnest(%(id)b::bigint[], %(data)b::jsonb[], %(reference)b::text[], %(submit_key)b::text[])
    as w (id, data, reference, submit_key) using (id)
"""  # noqa: S608  (constants of this module)


# The same for one dossier, one event and at most one text, the common case: without arrays, and what is said twice is
# sent once.
_EVENT_ONE = f"""
with e as (
    insert into events (dossier_id, seq, at, effective, kind, person_id, unit_id, role, definition_id, shape,
                        command, facts, effect, fired, idem, hash)
    values (%(id)s, %(seq)s, %(at)s, %(e_effective)s, %(e_kind)s, %(e_person)s, %(e_unit)s, %(e_role)s,
            %(definition)s, {SHAPE}, %(e_command)s::jsonb, %(e_facts)s::jsonb, %(e_effect)s::jsonb, %(e_fired)s,
            %(e_idem)s, %(head)s)
), p as (
    insert into pending (dossier_id, seq, definition_id, shape, lane)
    values (%(id)s, %(seq)s, %(definition)s, {SHAPE}, %(lane)s)
)"""  # noqa: S608  (constants of this module)
_ROW_ONE = """
update dossiers set
    state = %(state)s, phase = %(phase)s, seq = %(seq)s, version = %(version)s, at = %(at)s, unit_id = %(unit)s,
    rung = %(rung)s, assignee_id = %(assignee)s, pinned = %(pinned)s, outcome = %(outcome)s,
    units = %(units)s::integer[], clocks = %(clocks)s::jsonb, holds = %(holds)s::jsonb, closed_at = %(closed_at)s,
    due_at = %(due_at)s, wake_at = %(wake_at)s, head = %(head)s, definition_id = %(definition)s
where id = %(id)s and seq = %(before)s
"""
_CHANGE_ONE = _EVENT_ONE + _ROW_ONE
_CHANGE_ONE_TEXT = f"{_EVENT_ONE}, t as ({texts.KEEP_ONE}){_ROW_ONE}"


# The same for many dossiers to which one and the same event happened, that changes nothing of them but clocks: what is
# said of all is sent once, and the server puts the clocks that changed in the place of those that were.
_CHANGE_ALIKE = f"""
with v as (
    select * from unnest(%(id)b::bigint[], %(before)b::integer[], %(at)b::timestamptz[], %(due_at)b::timestamptz[],
                         %(wake_at)b::timestamptz[], %(facts)b::jsonb[], %(effect)b::jsonb[], %(head)b::bytea[])
        as v (id, before, at, due_at, wake_at, facts, effect, head)
), e as (
    insert into events (dossier_id, seq, at, effective, kind, person_id, unit_id, role, definition_id, shape,
                        command, facts, effect, hash)
    select id, before + 1, at, at, %(kind)s, %(person)s::integer, %(unit)s::integer, %(role)s, %(definition)s, {SHAPE},
           %(command)s::jsonb, facts, effect, head from v
), p as (
    insert into pending (dossier_id, seq, definition_id, shape, lane)
    select id, before + 1, %(definition)s, {SHAPE}, %(lane)s from v
)
update dossiers d set seq = v.before + 1, at = v.at, clocks = d.clocks || (v.effect -> 'clocks'), due_at = v.due_at,
    wake_at = v.wake_at, head = v.head
from v where d.id = v.id and d.seq = v.before
"""  # noqa: S608  (constants of this module)
_CLOCKS = frozenset({"clocks", "due_at", "wake_at"})


def apply(session: Session, changes: Iterable[Change], *, lane: int = LANE_PEOPLE, stream: bool = False) -> None:
    """Write changes, in the session's transaction, to rows that it holds locked. Raises LostUpdate.

    With `stream` the changes come from a generator, which may use the session itself: nothing is waited for before the
    end, and the server writes one slice while the next is decided.
    """
    driver, coming = connection(session), iter(changes)
    with driver.pipeline() if stream else nullcontext():
        written = []
        while part := list(islice(coming, SLICE)):
            written.append(_send(driver, part, lane))
    for cursor, rows in written:
        _check(cursor, rows)


def open_dossiers(
    session: Session, changes: Sequence[Change], openings: Sequence[Opening], *, lane: int = LANE_PEOPLE
) -> None:
    """Write new dossiers, in the session's transaction. Raises psycopg's UniqueViolation on a submit key already used."""
    columns = _columns(*_parts(changes), lane)
    columns["data"] = [dumps(change.decision.after.data).decode() for change in changes]
    columns["reference"] = [opening.reference for opening in openings]
    columns["submit_key"] = [opening.submit_key for opening in openings]
    columns |= texts.columns([text for change in changes for text in change.kept])
    _check(connection(session).execute(_OPEN, columns), len(changes))


def connection(session: Session) -> psycopg.Connection[Any]:
    """The psycopg connection of the session's transaction."""
    driver: Any = session.connection().connection.driver_connection
    found: psycopg.Connection[Any] = driver
    return found


def _send(driver: psycopg.Connection[Any], changes: Sequence[Change], lane: int) -> tuple[psycopg.Cursor[Any], int]:
    if len(changes) > 1 and _alike(changes):
        return driver.execute(_CHANGE_ALIKE, _columns_alike(changes, lane)), len(changes)
    rows, events = _parts(changes)
    kept = [text for change in changes for text in change.kept]
    if len(rows) == len(events) == 1 and len(kept) <= 1:
        one = dict(zip((*_ROW_NAMES, *_EVENT_NAMES), (*rows[0], *events[0]), strict=True))
        for text in kept:
            one.update(zip(texts.NAMES, text, strict=True))
        one["lane"] = lane
        return driver.execute(_CHANGE_ONE_TEXT if kept else _CHANGE_ONE, one), 1
    return driver.execute(_CHANGE, {**_columns(rows, events, lane), **texts.columns(kept)}), len(rows)


def _alike(changes: Sequence[Change]) -> bool:
    """Whether one and the same event happened to all of these dossiers, and changed nothing of them but clocks."""
    definition, events = changes[0].definition, changes[0].decision.events
    if not events:
        return False
    kind, actor, command = events[0].kind, events[0].actor, events[0].command
    for change in changes:
        events = change.decision.events
        if len(events) != 1 or change.kept or change.definition is not definition:
            return False
        event = events[0]
        if "clocks" not in event.effect or not _CLOCKS.issuperset(event.effect) or event.effective != event.at:
            return False
        if event.kind != kind or event.fired or event.idem or event.actor != actor or event.command != command:
            return False
    return True


def _columns_alike(changes: Sequence[Change], lane: int) -> dict[str, Any]:
    definition, event = changes[0].definition, changes[0].decision.events[0]
    command, rows = dumps(event.command), []
    for change in changes:
        before, after, (one,) = change.decision.before, change.decision.after, change.decision.events
        parts = [command, dumps(one.facts), dumps(one.effect)]
        head = digest(
            change.head, change.dossier_id, after.seq, one.at, one.effective, one.kind, one.actor, definition.digest, parts,
            one.fired, one.idem,
        )  # fmt: skip
        facts, effect = parts[1].decode(), parts[2].decode()
        rows.append((change.dossier_id, before.seq, one.at, after.due_at, after.wake_at, facts, effect, head))
    columns: dict[str, Any] = dict(zip(_ALIKE_NAMES, map(list, zip(*rows, strict=True)), strict=True))
    actor = event.actor
    said = {"person": actor.person, "unit": actor.unit, "role": actor.role, "command": command.decode()}
    return {**columns, **said, "kind": event.kind, "definition": definition.id, "lane": lane}


_ALIKE_NAMES = ("id", "before", "at", "due_at", "wake_at", "facts", "effect", "head")


def _check(cursor: psycopg.Cursor[Any], rows: int) -> None:
    if cursor.rowcount != rows:
        message = f"{rows - cursor.rowcount} of {rows} rows were not as they were decided on"
        raise LostUpdate(message)


def _parts(changes: Sequence[Change]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of the dossiers, and those of their journal."""
    rows: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    for change in changes:
        head = _chain(change, events)
        rows.append(_row(change, head))
    return rows, events


def _columns(rows: Sequence[tuple[Any, ...]], events: Sequence[tuple[Any, ...]], lane: int) -> dict[str, Any]:
    columns: dict[str, Any] = dict(zip(_ROW_NAMES, map(list, zip(*rows, strict=True)), strict=True))
    columns.update(zip(_EVENT_NAMES, map(list, zip(*events, strict=True)), strict=True))
    columns["lane"] = lane
    return columns


_ROW_NAMES = (
    "id", "before", "state", "phase", "seq", "version", "at", "unit", "rung", "assignee", "pinned", "outcome",
    "units", "clocks", "holds", "closed_at", "due_at", "wake_at", "head", "definition",
)  # fmt: skip
_EVENT_NAMES = (
    "e_dossier", "e_seq", "e_at", "e_effective", "e_kind", "e_person", "e_unit", "e_role", "e_definition", "e_shape",
    "e_command", "e_facts", "e_effect", "e_fired", "e_idem", "e_hash",
)  # fmt: skip


def _row(change: Change, head: bytes) -> tuple[Any, ...]:
    after = change.decision.after
    return (
        change.dossier_id, change.decision.before.seq, after.state, after.phase, after.seq, after.version, after.at, after.unit, after.rung,
        after.assignee, after.pinned, after.outcome, "{" + ",".join(map(str, after.units)) + "}",
        dumps(after.clocks).decode(), dumps(after.holds).decode(), after.closed_at, after.due_at, after.wake_at, head,
        change.definition.id,
    )  # fmt: skip


def _chain(change: Change, events: list[tuple[Any, ...]]) -> bytes:
    """Append the journal's rows of one change; returns the new head of its chain."""
    head, seq, definition = change.head, change.decision.before.seq, change.definition
    for event in change.decision.events:
        seq += 1
        parts = [dumps(event.command), dumps(event.facts), dumps(event.effect)]
        head = digest(
            head, change.dossier_id, seq, event.at, event.effective, event.kind, event.actor, definition.digest, parts,
            event.fired, event.idem,
        )  # fmt: skip
        events.append(
            (
                change.dossier_id,
                seq,
                event.at,
                event.effective,
                event.kind,
                event.actor.person,
                event.actor.unit,
                event.actor.role,
                definition.id,
                SHAPE,
                parts[0].decode(),
                parts[1].decode(),
                parts[2].decode(),
                event.fired,
                event.idem,
                head,
            )
        )
    return head
