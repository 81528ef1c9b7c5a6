"""`python -m bench.rebuild`: what a calendar that changes costs over many open dossiers, beside the bare writing of the rows.

A closed day is added to the calendar of every dossier, and each of its commitments moves by a day. The product reads,
reckons, chains and writes; beside it, on other dossiers of the same table, one UPDATE of the same columns and one INSERT of
as many journal rows, by a thousand, with the same commit. A dossier that does not move is read and not written.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.figures import interleaved, median, show, timed
from bench.load import Database
from config import calendars
from local.postgres import Postgres
from workflow import almanac, rebuild
from workflow.rebuild import Rebuilt

BATCH = 1000
CLOSED = ["2027-03-04"]
_BARE = """
with moved as (
    update dossiers set seq = seq + 1, at = at + interval '1 microsecond', head = sha256(head),
        due_at = due_at + interval '1 day', wake_at = wake_at + interval '1 day',
        clocks = jsonb_set(clocks, '{resolution,due}', to_jsonb((clocks #>> '{resolution,due}')::timestamptz + interval '1 day'))
    where id = any(%(ids)s) returning id, seq, at, definition_id, clocks, head
), journal as (
    insert into events (dossier_id, seq, at, effective, kind, role, definition_id, shape, command, facts, effect, hash)
    select id, seq, at, at, 'clock.rebuild', 'rebuild', definition_id, 1, '{"why": "fermeture", "who": "banc"}', '{}',
           jsonb_build_object('clocks', clocks), head from moved
)
insert into pending (dossier_id, seq, definition_id, shape, lane) select id, seq, definition_id, 1, 1 from moved
"""


def main() -> None:
    """Measure by batches, in turn, then go through all that is left."""
    parser = argparse.ArgumentParser(prog="python -m bench.rebuild", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        with Postgres(folder) as server:
            database = Database(server, "rebuild", chosen.rows)
            try:
                measure(database, chosen.rounds)
            finally:
                database.close()
    finally:
        shutil.rmtree(folder)


def measure(database: Database, rounds: int) -> None:
    """The figure, with what it is made of."""
    with database.sessions.begin() as session:
        body = {**calendars.documents()["metropole"], "holidays": CLOSED}
        almanac.publish(session, almanac.CALENDAR, "metropole", body, who="banc", why="fermeture")
    total = Rebuilt()
    left = [database.rows]

    def product() -> float:
        return timed(lambda: rebuild.batch(database.sessions, total, who="banc", why="fermeture", size=BATCH))

    with psycopg.connect(database.plain) as connection:

        def bare() -> float:
            ids = list(range(left[0] - BATCH + 1, left[0] + 1))
            left[0] -= BATCH
            return timed(_written(connection, ids))

        times = interleaved(rounds, {"product": product, "bare": bare})
    show(
        f"rebuild of {BATCH} dossiers that a closed day moves, beside the bare UPDATE and INSERT",
        times["product"],
        times["bare"],
        most=3,
        rows=database.rows,
        moved=total.dossiers,
        us_a_dossier=median(times["product"], BATCH),
        bare_us=median(times["bare"], BATCH),
    )


def _written(connection: psycopg.Connection, ids: list[int]) -> Callable[[], None]:
    def write() -> None:
        connection.execute(_BARE, {"ids": ids}, prepare=True)
        connection.commit()

    return write


if __name__ == "__main__":
    main()
