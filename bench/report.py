"""`python -m bench.report`: the report's figures from the counters and from the journal, each beside plain SQL and DuckDB.

A seeded year lived by the core, multiplied in the product's own tables. Prints ratios taken side by side.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
from sqlalchemy import text

from bench.figures import interleaved, timed
from config import yamltext
from local.postgres import Postgres
from states.dossier import SYSTEM
from tests.report.year import FILE, year
from workflow import business_time, counters, definitions, report, schema, sums, upgrade
from workflow.apply import connection
from workflow.models import Unit
from workflow.report import Asked

UNTIL = datetime(2026, 12, 31, tzinfo=UTC)
CHUNK = 2000
_PAGE = (
    (("unit", "rung"), ()), ((), ()), (("departement", "month"), ("commitment", "legal")), (("unit",), ("commitment",)),
    (("unit",), ("legal",)), ((), ("flow",)),
)  # fmt: skip
"""The sums of a page: dimensions and families."""
# The four boxes of one clock, from the journal, as one would write it by hand.
PLAIN = """
with changes as (
    select e.dossier_id, e.seq, e.effective, c.key as clock, (c.value ->> 'n')::int as n,
           (c.value ->> 'due')::timestamptz as due, (c.value ->> 'end')::timestamptz as ended
    from events e, jsonb_each(e.effect -> 'clocks') c where e.effect ? 'clocks'
), last as (
    select dossier_id, clock, n, min(effective) as begun, (array_agg(due order by seq desc))[1] as due,
           (array_agg(ended order by seq desc))[1] as ended from changes group by 1, 2, 3
), ends as (
    select clock, due, coalesce(ended, lead(begun) over (partition by dossier_id, clock order by n)) as until from last
)
select clock, until is null as open, coalesce(until, cast('2026-12-31' as timestamptz)) > due as late, count(*) from ends group by 1, 2, 3
"""
DUCK = PLAIN.replace(
    "jsonb_each(e.effect -> 'clocks') c where e.effect ? 'clocks'", "json_each(e.effect, '$.clocks') c"
).replace("(c.value ->> 'n')::int", "(c.value->>'n')::int")


def rows(dossiers: int) -> Iterator[tuple[Any, ...]]:
    """The events of a year in the columns of the journal."""
    for event in year(7, dossiers, UNTIL):
        parts = [json.dumps(event[name]) for name in ("command", "facts", "effect")]
        yield (
            event["id"],
            event["seq"],
            event["at"],
            event["effective"],
            event["kind"],
            event["role"],
            1,
            1,
            *parts,
            bytes(32),
        )


def load(server: Postgres, dossiers: int) -> Any:
    """A database with a year in it; the rows of dossiers say no more than the report reads."""
    server.create_database("report")
    url = server.url("report")
    upgrade.migrate(url)
    engine = schema.engine(url, timeouts={"statement_timeout": "0"})
    make = schema.sessions(engine)
    with make.begin() as session:
        business_time.start_at(session, UNTIL)
        definitions.add(session, yamltext.read(FILE).data, state="published")
        session.add_all(Unit(code=f"u{n}", name=f"Unité {n}", level="x") for n in range(7))
    with make.begin() as session:
        driver = connection(session)
        driver.execute("set local session_replication_role = replica")
        driver.execute("select journal_ensure(%s)", [dossiers])
        names = "dossier_id, seq, at, effective, kind, role, definition_id, shape, command, facts, effect, hash"
        with driver.cursor() as cursor, cursor.copy(f"copy events ({names}) from stdin") as copy:
            for row in rows(dossiers):
                copy.write_row(row)
        driver.execute("""
            insert into dossiers (id, reference, definition_id, state, phase, seq, version, at, pinned, units, clocks, holds,
                                  data, wake_at, head)
            select dossier_id, 'B-' || dossier_id, 1, 'submitted', 'submitted', max(seq), 1, max(at), false, '{}', '{}', '[]',
                   '{}', max(at) + interval '1 day', decode(repeat('00', 32), 'hex') from events group by 1""")
    with make() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"}).execute(text("analyze"))
    return make


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--dossiers", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="coupe-file-"))
    folder.chmod(0o711)
    try:
        with Postgres(folder) as server:
            measure(load(server, chosen.dossiers), chosen.rounds)
    finally:
        shutil.rmtree(folder)


def measure(make: Any, rounds: int) -> None:
    with make() as session:
        ids = list(session.execute(text("select id from dossiers order by id")).scalars())
        events: int = session.execute(text("select count(*) from events")).scalar_one()

    def counted() -> None:
        for first in range(0, len(ids), CHUNK):
            with make.begin() as session:
                counters.count(session, ids[first : first + CHUNK])

    seconds = timed(counted)
    print(
        json.dumps(
            {
                "bench": "counters kept, microseconds an event",
                "value": round(1e6 * seconds / events, 1),
                "events": events,
            }
        )
    )
    print(
        json.dumps(
            {
                "bench": "counters that differ from the journal",
                "value": sum(len(found) for _, found in counters.verify(make)),
            }
        )
    )
    duck = duckdb.connect()
    with make() as session, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.ndjson"
        with path.open("w") as file:
            for row in session.execute(text("select dossier_id, seq, effective, effect from events")).mappings():
                file.write(json.dumps(dict(row), default=str) + "\n")
        columns = "{'dossier_id': 'BIGINT', 'seq': 'INTEGER', 'effective': 'TIMESTAMPTZ', 'effect': 'JSON'}"
        duck.execute(
            f"create table events as select * from read_json('{path}', format = 'newline_delimited', columns = {columns})"
        )

    def plain() -> float:
        with make() as session:
            return timed(lambda: session.execute(text(PLAIN.replace(":", "\\:"))).all())

    def kept() -> float:
        with make() as session:
            return timed(lambda: counters.read(session, UNTIL))

    def page() -> float:
        """What the first page of the report asks, grouped by administration."""

        def asked() -> None:
            found = sums.of(make, Asked(by="unit"), actor=SYSTEM)
            for dimensions, families in _PAGE:
                found.by(*dimensions, families=families)

        return timed(asked)

    ways = {
        "plain": plain,
        "counters": kept,
        "page": page,
        "report": lambda: timed(lambda: report.make(make, Asked(), actor=SYSTEM)),
        "duck": lambda: timed(lambda: duck.execute(DUCK).fetchall()),
    }
    times = interleaved(rounds, ways)
    for name, over, under in (
        ("boxes by plain SQL over the journal, in times the counters", "plain", "counters"),
        ("boxes by plain SQL over the journal, in times all the sums of a page", "plain", "page"),
        ("the whole report from the journal, in times plain SQL for its boxes alone", "report", "plain"),
        ("the whole report from the journal, in times DuckDB for its boxes alone", "report", "duck"),
    ):
        ratio = median([a / b for a, b in zip(times[over], times[under], strict=True)])
        print(
            json.dumps(
                {
                    "bench": name,
                    "ratio": round(ratio, 2),
                    "seconds": [round(median(times[one]), 4) for one in (over, under)],
                }
            )
        )


if __name__ == "__main__":
    main()
