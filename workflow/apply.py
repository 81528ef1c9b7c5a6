"""apply: the single place that changes a dossier, the same for one or for a thousand.

One hand-written statement, sent on the session's own connection, writes the rows (exactly what fold yields), their
journal and the keys of what is now pending. Nothing here talks to the network, and nothing else is on the hot path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from states.dossier import Decision, Dossier
from workflow.definitions import Loaded
from workflow.journal import SHAPE, digest, dumps

LANE_PEOPLE, LANE_BULK = 0, 1


@dataclass(frozen=True, slots=True)
class Change:
    """A decision about one dossier, with what the journal needs: its key, the head of its chain, its definition."""

    dossier_id: int
    head: bytes
    definition: Loaded
    decision: Decision


@dataclass(frozen=True, slots=True)
class Opening:
    """What a new dossier has beside its decision."""

    reference: str
    submit_key: str | None


class LostUpdate(Exception):
    """A row was not as it was decided on: never seen while rows are locked before they are decided on."""


_JOURNAL = """
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
)
"""
_ROWS = """
unnest(%(id)b::bigint[], %(state)b::text[], %(phase)b::text[], %(seq)b::integer[], %(version)b::integer[],
       %(at)b::timestamptz[], %(unit)b::integer[], %(rung)b::smallint[], %(assignee)b::integer[],
       %(pinned)b::boolean[], %(outcome)b::text[], %(units)b::text[], %(clocks)b::jsonb[], %(holds)b::jsonb[],
       %(closed_at)b::timestamptz[], %(due_at)b::timestamptz[], %(wake_at)b::timestamptz[], %(head)b::bytea[],
       %(before)b::integer[])
    as v (id, state, phase, seq, version, at, unit_id, rung, assignee_id, pinned, outcome, units, clocks, holds,
          closed_at, due_at, wake_at, head, before)
"""
_CHANGE = f"""
with {_JOURNAL}
update dossiers d set
    state = v.state, phase = v.phase, seq = v.seq, version = v.version, at = v.at, unit_id = v.unit_id, rung = v.rung,
    assignee_id = v.assignee_id, pinned = v.pinned, outcome = v.outcome, units = v.units::integer[],
    clocks = v.clocks, holds = v.holds, closed_at = v.closed_at, due_at = v.due_at, wake_at = v.wake_at, head = v.head
from {_ROWS}
where d.id = v.id and d.seq = v.before
"""  # noqa: S608  (constants of this module)
_OPEN = f"""
with {_JOURNAL}
insert into dossiers (id, state, phase, seq, version, at, unit_id, rung, assignee_id, pinned, outcome, units, clocks,
                      holds, closed_at, due_at, wake_at, head, definition_id, data, reference, submit_key)
select v.id, v.state, v.phase, v.seq, v.version, v.at, v.unit_id, v.rung, v.assignee_id, v.pinned, v.outcome,
       v.units::integer[], v.clocks, v.holds, v.closed_at, v.due_at, v.wake_at, v.head,
       w.definition_id, w.data, w.reference, w.submit_key
from {_ROWS}
join unnest(%(id)b::bigint[], %(definition)b::integer[], %(data)b::jsonb[], %(reference)b::text[],
            %(submit_key)b::text[]) as w (id, definition_id, data, reference, submit_key) using (id)
"""  # noqa: S608  (constants of this module)


def apply(session: Session, changes: Sequence[Change], *, lane: int = LANE_PEOPLE) -> None:
    """Write decided changes, in the session's transaction, to rows that it holds locked."""
    if changes:
        _write(session, _CHANGE, _columns(changes, lane), len(changes))


def open_dossiers(session: Session, changes: Sequence[Change], openings: Sequence[Opening], *, lane: int) -> None:
    """Write new dossiers, in the session's transaction. Raises IntegrityError on a submit key already used."""
    columns = _columns(changes, lane)
    columns["definition"] = [change.definition.id for change in changes]
    columns["data"] = [dumps(change.decision.after.data).decode() for change in changes]
    columns["reference"] = [opening.reference for opening in openings]
    columns["submit_key"] = [opening.submit_key for opening in openings]
    _write(session, _OPEN, columns, len(changes))


def connection(session: Session) -> psycopg.Connection[Any]:
    """The psycopg connection of the session's transaction."""
    driver: Any = session.connection().connection.driver_connection
    found: psycopg.Connection[Any] = driver
    return found


def _write(session: Session, statement: str, columns: dict[str, Any], rows: int) -> None:
    cursor = connection(session).execute(statement, columns)
    if cursor.rowcount != rows:
        message = f"{rows - cursor.rowcount} of {rows} rows were not as they were decided on"
        raise LostUpdate(message)


def _columns(changes: Sequence[Change], lane: int) -> dict[str, Any]:
    rows: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    for change in changes:
        head = _chain(change, events)
        rows.append(_row(change.dossier_id, change.decision.before, change.decision.after, head))
    columns: dict[str, Any] = dict(zip(_ROW_NAMES, map(list, zip(*rows, strict=True)), strict=True))
    columns.update(zip(_EVENT_NAMES, map(list, zip(*events, strict=True)), strict=True))
    columns["lane"] = lane
    return columns


_ROW_NAMES = (
    "id", "before", "state", "phase", "seq", "version", "at", "unit", "rung", "assignee", "pinned", "outcome",
    "units", "clocks", "holds", "closed_at", "due_at", "wake_at", "head",
)  # fmt: skip
_EVENT_NAMES = (
    "e_dossier", "e_seq", "e_at", "e_effective", "e_kind", "e_person", "e_unit", "e_role", "e_definition", "e_shape",
    "e_command", "e_facts", "e_effect", "e_fired", "e_idem", "e_hash",
)  # fmt: skip


def _row(key: int, before: Dossier, after: Dossier, head: bytes) -> tuple[Any, ...]:
    return (
        key, before.seq, after.state, after.phase, after.seq, after.version, after.at, after.unit, after.rung,
        after.assignee, after.pinned, after.outcome, "{" + ",".join(map(str, after.units)) + "}",
        dumps(after.clocks).decode(), dumps(after.holds).decode(), after.closed_at, after.due_at, after.wake_at, head,
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
