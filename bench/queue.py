"""`python -m bench.queue`: the queue beside the raw query for the same rows, and its page beside rendering alone.

One desk holds most of a large database of open dossiers, another a few thousand of them. Every ratio is of medians taken in
turn, in one process, at several depths of the list.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.testclient import TestClient

from bench.figures import interleaved, median, show, timed
from bench.load import Database
from config.settings import Settings
from local.postgres import Postgres
from states.definition import PHASES
from states.dossier import Actor
from web.app import broken, create
from web.desk import LIMIT
from web.guard import Guard, Site
from web.visit import Pages
from workflow import queue, sessions, words
from workflow.queue import Filters

ROOT = Path(__file__).resolve().parent.parent
SITE = "http://localhost:8000"
SMALL = 3_000
"""How many dossiers the small desk holds, at most."""
TAKEN = 20
"""Pages read in one measure."""

# What a page of the queue shows, as lean as it can be asked for: by its index, from where the page before ended.
RAW = """
select d.id, d.reference, d.definition_id, d.state, d.phase, d.rung, d.version, d.due_at, d.data ->> 'topic',
       d.data ->> 'commune', d.data ->> 'dossier', d.stuck, d.outcome, d.closed_at, u.code, u.name, u.zone, c.name,
       case when d.holds <> '[]' then d.holds -> -1 end, p.name, t.body
from (
    select d.* from dossiers d
    where {where} d.phase <> 'resolved' and (coalesce(d.due_at, 'infinity'), d.id) > (%(due)s::timestamptz, %(last)s::bigint)
    order by coalesce(d.due_at, 'infinity'), d.id limit %(limit)s
) d left join units u on u.id = d.unit_id left join communes c on c.code = d.data ->> 'commune'
left join persons p on p.id = d.assignee_id left join texts t on t.id = (d.data -> 'title' ->> 'text')::uuid
order by coalesce(d.due_at, 'infinity'), d.id
"""
HELD = "d.unit_id = %(unit)s and"
HAD = "d.units @> array[%(unit)s::integer] and"
DEEP = """
select coalesce(due_at, 'infinity'), id from dossiers where {where} phase <> 'resolved'
order by 1, 2 offset {offset} limit 1
"""


def main() -> None:
    """Start a server of our own on a disk, measure, and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="open dossiers")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--folder", type=Path, default=ROOT / ".coupe-file" / "bench")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=chosen.folder))
    folder.chmod(0o755)
    try:
        with Postgres(folder, durable=True) as server:
            base = Database(server, "queue", chosen.rows)
            large, small = _desks(base)
            for desk, name in ((large, "a desk that holds most"), (small, f"a desk that holds {SMALL:,} at most")):
                queries(base, desk, name, chosen.rounds)
            page(base, large, chosen.rounds)
            base.close()
    finally:
        shutil.rmtree(folder)


def _desks(base: Database) -> tuple[Actor, Actor]:
    """The referent of the unit that holds half of all, and the one of a unit that was given a few, here and there."""
    step = max(1, base.rows // SMALL)
    base.operator.execute(
        "update dossiers set unit_id = 5, units = units || 5 where id %% %s = 0 and id > 2", [step], prepare=False
    )
    base.operator.execute("vacuum analyze dossiers")
    return Actor(base.referent.person, 2, "referent"), Actor(base.referent.person, 5, "referent")


# --- the query --------------------------------------------------------------------------------------------------------


def queries(base: Database, desk: Actor, name: str, rounds: int) -> None:
    """The queue's rows beside the raw query's, on the first page and deep in it; of what the desk holds, and has had."""
    with psycopg.connect(base.plain, autocommit=True, options="-c timezone=UTC") as raw:
        for had, filters in ((False, Filters(holding=desk.unit)), (True, Filters())):
            where = HAD if had else HELD
            counted = raw.execute(f"select count(*) from dossiers d where {where} true", {"unit": desk.unit}).fetchone()
            assert counted is not None
            for share in (0.0, 0.5, 0.95):
                mark = _deep(raw, where, desk, int(counted[0] * share)) if share else None
                _query(base, raw, desk, filters, where, mark, rounds,
                       of_desk=name, had=had, depth=int(counted[0] * share), among=counted[0])  # fmt: skip


def _deep(raw: psycopg.Connection[Any], where: str, desk: Actor, offset: int) -> tuple[Any, int]:
    found = raw.execute(
        DEEP.format(where=where.replace("d.", ""), offset=offset), {"unit": desk.unit}, prepare=False
    ).fetchone()
    assert found is not None
    return found[0], found[1]


def _query(
    base: Database, raw: psycopg.Connection[Any], desk: Actor, filters: Filters, where: str, mark: tuple[Any, int] | None,
    rounds: int, **told: Any,
) -> None:  # fmt: skip
    statement = RAW.format(where=where)
    due, last = mark or ("-infinity", 0)
    after = queue.mark(mark[0], mark[1]) if mark is not None else None
    asked = {"unit": desk.unit, "due": due, "last": last, "limit": LIMIT + 1}

    def by_hand() -> list[Any]:
        with raw.transaction():  # as ours
            return raw.execute(statement, asked, prepare=True, binary=True).fetchall()

    def ours() -> queue.Page:
        with base.sessions() as session:
            return queue.page(session, desk, filters, after=after, limit=LIMIT)

    assert [row[0] for row in by_hand()][:LIMIT] == [row.id for row in ours().rows], "not the same rows"
    singles: list[float] = []

    def measured() -> float:
        taken = [timed(ours) for _ in range(TAKEN)]
        singles.extend(taken)
        return statistics.median(taken)

    ways: dict[str, Callable[[], float]] = {
        "raw": lambda: statistics.median(timed(by_hand) for _ in range(TAKEN)),
        "queue": measured,
    }
    times = interleaved(rounds, ways)
    ordered = sorted(singles)
    show("queue query", times["queue"], times["raw"], most=1.5, raw_us=median(times["raw"]), us=median(times["queue"]),
         p99_us=round(ordered[int(len(ordered) * 0.99)] * 1e6), open=base.rows, **told)  # fmt: skip


# --- the page ---------------------------------------------------------------------------------------------------------


def page(base: Database, desk: Actor, rounds: int) -> None:
    """Requests per second of the page of the queue, beside the same page served from rows that are there already."""
    settings = Settings(database_url=base.url, base_url=SITE)
    app = create(settings, base.sessions, lambda: None)
    with base.sessions.begin() as session:
        token = sessions.begin(session, desk.person or 0, desk)
    client = TestClient(app, base_url=SITE)
    client.cookies.set("session", token)
    body = client.get("/file").text
    assert body.count('name="d"') == LIMIT, body[:2000]
    with base.sessions() as session:
        found = queue.page(session, desk, Filters(holding=desk.unit), limit=LIMIT)
        signed = sessions.find(session, token)
        topics = [(code, words.topic(code)) for code in queue.topics(session)]
    template = Pages().environments["fr"].get_template("queue.html")
    context: dict[str, Any] = {
        "settings": settings, "signed": signed, "role": desk.role, "home": "/demi-heure", "path": "/file", "here": "/file",
        "csrf": "x", "zone": "Europe/Paris", "themed": False, "page": found, "kept": {}, "topics": topics, "phases": PHASES[:-1],
        "following": "/file?apres=x", "first": None, "number": queue.COUNTED, "counted": queue.COUNTED, "views": [], "filters": "",
    }  # fmt: skip
    alone = FastAPI()
    alone.add_middleware(Guard, site=Site(settings), broken=broken, file_bytes=settings.file_bytes)
    alone.get("/file")(lambda: HTMLResponse(template.render(**context)))
    rendering = TestClient(alone, base_url=SITE)
    assert rendering.get("/file").text.count('name="d"') == LIMIT
    singles: list[float] = []

    def asked() -> float:
        taken = [timed(lambda: client.get("/file")) for _ in range(TAKEN)]
        singles.extend(taken)
        return sum(taken)

    times = interleaved(rounds, {
        "page": asked, "rendered": lambda: timed(lambda: [rendering.get("/file") for _ in range(TAKEN)])
    })  # fmt: skip
    ordered = sorted(singles)
    p99 = round(ordered[int(len(ordered) * 0.99)] * 1e3, 1)
    show("queue page", times["rendered"], times["page"], least=0.8, page_ms=median(times["page"], TAKEN, unit=1e3), p99_ms=p99,
         rendered_ms=median(times["rendered"], TAKEN, unit=1e3), open=base.rows)  # fmt: skip


if __name__ == "__main__":
    main()
