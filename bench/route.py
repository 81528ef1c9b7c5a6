"""`python -m bench.route`: a ladder from memory beside one row read by raw SQL, and every commune with every topic.

A ladder from memory is one that was asked before in this process, as the thousandth dossier of a day asks it; beside it, the
same made anew. The raw query is `select` by primary key, prepared, on a unix socket: the cheapest that a database can do.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bench.figures import interleaved, median, show, timed
from config.geography import search
from config.geography.france import france
from local.postgres import Postgres
from states.ladder import Directory, holes
from workflow import places

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
GOAL = 1 / 20
ASKED = 2_000
PAGE = resource.getpagesize()


def main() -> None:
    """Measure, side by side in one run, then walk France."""
    parser = argparse.ArgumentParser(prog="python -m bench.route", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="one commune in a hundred: does it run?")
    chosen = parser.parse_args()
    loading()
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        with (
            Postgres(folder) as server,
            psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection,
        ):
            one(connection, chosen.rounds)
    finally:
        shutil.rmtree(folder)
    everywhere(100 if chosen.quick else 1)


def loading() -> None:
    """What the reference data costs a process, once."""
    before = _resident()
    known, geography = _timed(france)
    topics, reading = _timed(places.known_topics)
    directory, directing = _timed(places.shipped_directory)
    _, indexing = _timed(lambda: search.find("lacq"))
    seconds = {"geography": geography, "topics": reading, "units": directing, "index of names": indexing}
    took = {name: round(value * 1e3) for name, value in seconds.items()}
    counts = {"communes": len(known), "topics": len(topics), "units": len(directory.units)}
    _say("reference data, read once", **counts, ms=took, resident_mb=round((_resident() - before) / 1e6))


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


def _say(bench: str, **figures: Any) -> None:
    print(json.dumps({"bench": bench, **figures}, ensure_ascii=False), flush=True)


def one(connection: psycopg.Connection, rounds: int) -> None:
    """A ladder from memory, the same made anew, a row by its key."""
    dice = random.Random(5)
    codes = dice.sample(list(france().codes()), 200)
    asked = [
        (places.topic(dice.choice(list(places.known_topics()))), places.place(dice.choice(codes))) for _ in range(ASKED)
    ]
    directory = places.shipped_directory()
    connection.execute("create table one (code text primary key, name text not null)")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into one values (%s, %s)", [(code, france()[code].name) for code in france().codes()]
        )
    connection.execute("analyze one")

    def remembered() -> None:
        for topic, place in asked:
            directory.ladder(topic, place, AT, _there)

    def anew() -> None:
        for topic, place in asked:
            directory._made(topic, place, AT)  # noqa: SLF001  (the mechanism without its memory)

    def row() -> None:
        for _, place in asked:
            found = connection.execute(
                "select name from one where code = %s", (place.commune,), prepare=True
            ).fetchone()
            assert found is not None

    remembered()
    ways = {"remembered": lambda: timed(remembered), "anew": lambda: timed(anew), "row": lambda: timed(row)}
    found = interleaved(rounds, ways)
    each = {name: median(seconds, ASKED) for name, seconds in found.items()}
    show("a ladder from memory / a row by its key", found["remembered"], found["row"], most=GOAL, us=each)
    show("a ladder made anew / a row by its key", found["anew"], found["row"], most=GOAL, off="memory")


def _there(code: str, at: datetime) -> bool:
    return bool(code) and at is not None


def everywhere(step: int) -> None:
    """Every commune with every topic: no hole, its time, its memory."""
    directory = Directory.of(places.shipped_directory().units.values())
    codes, topics = list(france().codes())[::step], list(places.known_topics().values())
    began, asked = time.perf_counter(), 0
    for code in codes:
        place = places.place(code)
        for topic in topics:
            assert holes(directory.ladder(topic, place, AT)) == [], (code, topic.name)
            asked += 1
    took = time.perf_counter() - began
    each = round(took / asked * 1e6, 1)
    _say(
        "every commune, every topic",
        ladders=asked,
        seconds=round(took, 1),
        us=each,
        resident_mb=round(_resident() / 1e6),
    )


if __name__ == "__main__":
    main()
