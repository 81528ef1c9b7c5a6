"""One protection switched off at a time, to see that the kill test notices. Nothing of this is in the product."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import event, text
from sqlalchemy.orm import Session

from workflow import apply as room
from workflow import dossiers, outbox, reactions, schema, sweep

KINDS = ("none", "row-lock", "re-check", "unique-keys", "pending-apart")
UNIQUE = (
    "drop index uq_events_fired",
    "drop index uq_events_idem",
    "alter table dossiers drop constraint uq_dossiers_submit_key",
    "alter table notices drop constraint uq_notices_once",
)


def shorten_waits() -> None:
    """What a person would wait for in minutes, the test waits for in seconds; nothing else changes."""
    outbox.LEASE, outbox.BACK_OFF = timedelta(seconds=15), timedelta(seconds=0.5)
    sweep.ORPHAN_AFTER, sweep.RETRY_FIRST = timedelta(seconds=6), timedelta(seconds=4)
    schema.TIMEOUTS.update(idle_in_transaction_session_timeout="4s", statement_timeout="20s", lock_timeout="5s")


def apply_to_database(kind: str, session: Session) -> None:
    if kind == "unique-keys":
        for statement in UNIQUE:
            session.execute(text(statement))


def apply(kind: str) -> None:
    assert kind in KINDS, kind
    if kind == "row-lock":
        dossiers.LOCK = ""
        for name in ("_CLAIM", "_LOCK_IDS", "_LOCK_ONE"):
            setattr(sweep, name, re.sub(r"for update of d( skip locked)?", "", getattr(sweep, name)))
    elif kind == "re-check":
        _decide_on_what_was_read_before_the_lock()
    elif kind == "unique-keys":
        reactions.NOTICES = reactions.NOTICES.replace("on conflict on constraint uq_notices_once do nothing", "")
    elif kind == "pending-apart":
        _write_pending_after_the_commit()


def _decide_on_what_was_read_before_the_lock() -> None:
    """The sweep claims, lets go, and locks again a second later: what it decides on is not read again, only numbered."""
    real = sweep._locked_rows

    def stale(session, statement, params):
        rows, now, revision = real(session, statement, params)
        if not rows:
            return rows, now, revision
        ids = {"ids": [row.id for row in rows]}
        mark = session.execute(text("insert into sweep_batches (ids) values (:ids) returning id"), ids).scalar_one()
        session.commit()
        time.sleep(1.0)
        locking = "select id, seq, head, at from dossiers where id = any(:ids) order by id for update"
        present = {row.id: row for row in session.execute(text(locking), ids)}
        session.execute(text("delete from sweep_batches where id = :id"), {"id": mark})
        for number, row in enumerate(rows):
            seen = present[row.id]
            row.dossier.seq, row.dossier.at = seen.seq, seen.at
            rows[number] = replace(row, head=bytes(seen.head))
        return rows, now, revision

    sweep._locked_rows = stale


def _write_pending_after_the_commit() -> None:
    """The journal commits first; the keys of what is pending follow in a transaction of their own."""
    pending_part = re.compile(r",\s+p as \(\s+insert into pending.*?\)\n\)\n?", re.DOTALL)
    for name in ("_CHANGE", "_CHANGE_ONE", "_CHANGE_ONE_TEXT", "_OPEN"):
        without = pending_part.sub("\n", getattr(room, name).replace("), t as (", ")\n, t as ("))
        assert "pending" not in without
        setattr(room, name, without)
    written = threading.local()
    real = room._parts

    def parts(changes):
        rows, events = real(changes)
        named = [dict(zip(room._EVENT_NAMES, event, strict=True)) for event in events]
        keys = [(one["e_dossier"], one["e_seq"], one["e_definition"], one["e_shape"]) for one in named]
        written.keys = [*getattr(written, "keys", []), *keys]
        return rows, events

    def later(session):
        keys, bind = getattr(written, "keys", []), session.get_bind()
        written.keys = []

        def run():
            time.sleep(0.2)
            with Session(bind) as other, other.begin():
                for key, seq, definition, shape in keys:
                    other.execute(
                        text("insert into pending values (:k, :s, :d, :h, 0)"),
                        {"k": key, "s": seq, "d": definition, "h": shape},
                    )

        if keys:
            threading.Thread(target=run, daemon=True).start()

    def forget(_session):
        written.keys = []

    event.listen(Session, "after_commit", later)
    event.listen(Session, "after_rollback", forget)
    room._parts = parts
