"""`python -m bench`: one JSON line a figure, as it is and with the mechanism that earns it switched off."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from sqlalchemy.orm import Session, sessionmaker

from bench.figures import interleaved, median, show, timed
from bench.load import REASON, Database, check
from local.postgres import Postgres
from workflow import dossiers, schema
from workflow import sweep as sweeping
from workflow.sweep import sweep

ROOT = Path(__file__).resolve().parent.parent
SINGLES, BATCH, ALONE, BLOCK = 200, 1000, 100, 5


def main() -> None:
    """Start a server of our own on a disk, measure, and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="open dossiers in the large database")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=ROOT / ".coupe-file" / "bench", help="on a disk, not in memory")
    parser.add_argument("--quick", action="store_true", help="20,000 dossiers and 5 rounds: does it run?")
    parser.add_argument("--only", choices=["act", "clock", "resident", "outage"], help="one part of it")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rows, chosen.rounds = 20_000, 5
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with _server(chosen.folder) as server:
        print(f"# {chosen.rows:,} open dossiers, {server.data}", file=sys.stderr, flush=True)
        large = Database(server, "large", chosen.rows)
        print("# loaded", file=sys.stderr, flush=True)
        if chosen.only in (None, "act"):
            acts(large, chosen.rounds)
        if chosen.only in (None, "outage"):
            outage(large, min(100_000, large.rows // 4))
        if chosen.only not in ("act", "outage"):
            small = Database(server, "small", 10_000)
            if chosen.only in (None, "resident"):
                resident(large, small)
            if chosen.only in (None, "clock"):
                clock(large, small, chosen.rounds)
            small.close()
        large.close()


@contextmanager
def _server(parent: Path) -> Iterator[Postgres]:
    parent.mkdir(parents=True, exist_ok=True)
    kind = subprocess.run(["stat", "-f", "-c", "%T", parent], check=True, capture_output=True, text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        sys.exit(f"{parent} is in memory ({kind}): a commit there costs nothing. Choose another --folder.")
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    try:
        with Postgres(folder, durable=True) as server:
            with psycopg.connect(server.url().replace("+psycopg", "")) as connection:
                for name in ("fsync", "synchronous_commit", "full_page_writes"):
                    assert connection.execute(f"show {name}").fetchone() == ("on",), name
            yield server
    finally:
        shutil.rmtree(folder)


# --- a person acts ----------------------------------------------------------------------------------------------------


def acts(base: Database, rounds: int) -> None:
    """One transition, and a thousand in one call, beside the raw single."""
    raw, key = base.raw, base.draw(1)[0]
    _one_by_one(base, base.sessions, [key])
    raw.imitate(key)
    unprepared = schema.sessions(schema.engine(base.url, pooled=True))

    def one_by_one(make: sessionmaker[Session], count: int = SINGLES) -> float:
        ids = base.draw(count)
        return timed(lambda: _one_by_one(base, make, ids))

    def by_hand() -> float:
        ids = base.draw(SINGLES)
        return timed(lambda: raw.single(ids))

    def together() -> float:
        ids = base.draw(BATCH)
        return timed(lambda: _together(base, ids))

    def waiting() -> float:
        with mock.patch.object(psycopg.Connection, "pipeline", return_value=nullcontext()):
            return together()

    base.settle("dossiers", "events")
    ways: dict[str, Callable[[], float]] = {
        "raw": by_hand,
        "single": lambda: one_by_one(base.sessions),
        "unprepared": lambda: one_by_one(unprepared),
        "batch": together,
        "batch waiting": waiting,
        "batch one by one": lambda: one_by_one(base.sessions, BATCH),
    }
    times = interleaved(rounds, ways)
    each = [seconds / SINGLES for seconds in times["raw"]]
    common: dict[str, Any] = {"raw_us": median(each), "open": base.rows}
    for name, off in (("single", ""), ("unprepared", "prepared statements")):
        mine = [seconds / SINGLES for seconds in times[name]]
        show("single", each, mine, least=0.8, off=off, n=SINGLES, us=median(mine), **common)
    for name, off in (
        ("batch", ""),
        ("batch waiting", "the pipeline: the server idles while a slice is decided, and the other way round"),
        ("batch one by one", "the batch: the same thousand, one call at a time"),
    ):
        mine = [seconds / BATCH for seconds in times[name]]
        show("batch", each, mine, least=20, off=off, n=BATCH, us=median(mine), **common)


def _one_by_one(base: Database, make: sessionmaker[Session], ids: list[int]) -> None:
    for key in ids:
        with make() as session:
            check(dossiers.act(session, [key], "escalate", actor=base.referent, args={"reason": REASON}), 1)
            session.commit()


def _together(base: Database, ids: list[int]) -> None:
    with base.sessions() as session:
        check(dossiers.act(session, ids, "escalate", actor=base.referent, args={"reason": REASON}), len(ids))
        session.commit()


# --- the clock acts ---------------------------------------------------------------------------------------------------


def clock(large: Database, small: Database, rounds: int) -> None:
    """A thousand escalations by the clock, beside a bare claim of a thousand; with many dossiers open, and with few."""
    times = _sweeps(large, small, rounds, one_by_one=True)
    common: dict[str, Any] = {"bare_ms": median(times["bare"], unit=1e3), "open": large.rows}
    show("escalation", times["large"], times["bare"], most=3, n=BATCH, ms=median(times["large"], unit=1e3), **common)
    alone = [seconds * BATCH / ALONE for seconds in times["one by one"]]
    off = f"the batch: {ALONE} sweeps of one, times {BATCH // ALONE}"
    show("escalation", alone, times["bare"], most=3, off=off, n=ALONE, ms=median(alone, unit=1e3), **common)
    _show_sizes(times, large, small)
    for base in (large, small):
        base.operator.execute("drop index ix_dossiers_wake")
    _show_sizes(_sweeps(large, small, rounds), large, small, off="the partial index on wake_at")


def _show_sizes(times: dict[str, list[float]], large: Database, small: Database, off: str = "") -> None:
    show("escalation_1m_vs_10k", times["large"], times["small"], most=1.5, off=off, n=BATCH, open=[large.rows, small.rows],
         ms=[median(times["large"], unit=1e3), median(times["small"], unit=1e3)])  # fmt: skip


def _sweeps(large: Database, small: Database, rounds: int, *, one_by_one: bool = False) -> dict[str, list[float]]:
    """Rounds in blocks: what a block sweeps is made due before it, so that no round finds its pages freshly written."""

    def bare() -> float:
        now = next(instants)
        return timed(lambda: large.raw.claim(now, BATCH))

    def swept(base: Database, limit: int = BATCH, count: int = BATCH) -> float:
        base.jump(next(instants if base is large else fewer))
        return timed(lambda: _sweep(base, limit, count))

    def alone() -> float:
        seconds = swept(large, 1, ALONE)
        _sweep(large, BATCH, BATCH - ALONE)  # leaves nothing due to the round after
        return seconds

    ways: dict[str, Callable[[], float]] = {"bare": bare, "large": lambda: swept(large), "small": lambda: swept(small)}
    if one_by_one:
        ways["one by one"] = alone
    times: dict[str, list[float]] = {name: [] for name in ways}
    for done in range(0, rounds, BLOCK):
        instants = iter(large.arm((len(ways) - 1) * (BLOCK + 1), BATCH))
        fewer = iter(small.arm(BLOCK + 1, BATCH))
        for name, seconds in interleaved(min(BLOCK, rounds - done), ways).items():
            times[name] += seconds
    return times


def _sweep(base: Database, limit: int, count: int) -> None:
    done = sum(sweep(base.sessions, limit=limit).done for _ in range(-(-count // limit)))
    assert done == count, done


# --- after an outage --------------------------------------------------------------------------------------------------


SEGMENT = 10
"""Batches between two measures of the raw single, while an outage is caught up."""


def outage(base: Database, count: int) -> None:
    """Everything that fell due while nothing ran, each once: the slowest stretch of it, beside the raw single."""
    unmarked = mock.patch.object(sweeping, "LOW_WATER_SECONDS", 0.0)
    key = base.draw(1)[0]
    _one_by_one(base, base.sessions, [key])
    base.raw.imitate(key)
    _caught_up(base, count)
    with _snapshot(base):
        _caught_up(base, count, behind="an open transaction")
    with _snapshot(base), unmarked:
        _caught_up(
            base, count // 4, behind="an open transaction", off="the low-water mark: each claim scans from the start"
        )
    _idle(base)


def _caught_up(base: Database, count: int, *, behind: str = "", off: str = "") -> None:
    (now,) = base.arm(1, count)
    base.jump(now)
    before = base.fired()
    raw, mine = [], []
    left = count
    while left > 0:
        raw.append(_single(base))
        size = min(SEGMENT * BATCH, left)
        mine.append(timed(partial(_sweep, base, BATCH, size)) / size)
        left -= size
    assert sweep(base.sessions).done == 0, "something was left due"
    assert base.fired() - before == count, "each once"
    worst = max(range(len(mine)), key=lambda n: mine[n] / raw[n])
    show(
        "outage", raw, mine, least=8, off=off, due=count, open=base.rows, behind=behind or None,
        slowest_stretch=round(raw[worst] / mine[worst], 2), per_second=round(1 / (sum(mine) / len(mine))),
    )  # fmt: skip


def _single(base: Database, times: int = 3, count: int = 50) -> float:
    """The seconds of one raw single: the median of a few runs."""
    runs = []
    for _ in range(times):
        ids = base.draw(count)
        runs.append(timed(partial(base.raw.single, ids)) / count)
    return sorted(runs)[times // 2]


@contextmanager
def _snapshot(base: Database) -> Iterator[None]:
    """A transaction that somebody left open, with its snapshot taken."""
    with psycopg.connect(base.plain) as left:
        left.execute("set transaction isolation level repeatable read")
        left.execute("select count(*) from dossiers where id = 1")
        yield


def _idle(base: Database) -> None:
    """A sweep that finds nothing, beside the raw single."""
    ids = iter(base.draw(100))
    ways = {
        "poll": lambda: timed(lambda: sweep(base.sessions)),
        "raw": lambda: timed(partial(base.raw.single, [next(ids)])),
    }
    times = interleaved(50, ways, warm=3)
    show("empty_poll", times["poll"], times["raw"], most=5, open=base.rows, ms=median(times["poll"], unit=1e3))


# --- what it holds ----------------------------------------------------------------------------------------------------


def resident(large: Database, small: Database, batches: int = 4, rounds: int = 3) -> None:
    """The memory of a process that sweeps, with many dossiers open and with few."""

    def kilobytes(base: Database, *options: str) -> float:
        base.jump(base.arm(1, batches * BATCH)[0])
        command = [sys.executable, "-m", "bench.resident", base.url, str(batches), *options]
        ran = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        return float(ran.stdout)

    for options, off in (((), ""), (("timers",), "the queue in SQL: each open dossier's wake held in memory")):
        ways = {"large": partial(kilobytes, large, *options), "small": partial(kilobytes, small, *options)}
        sizes = interleaved(rounds, ways, warm=0)
        megabytes = [median(sizes[name], unit=1 / 1024) for name in ways]
        opened = [large.rows, small.rows]
        show(
            "worker_rss",
            sizes["large"],
            sizes["small"],
            most=1.1,
            off=off,
            n=batches * BATCH,
            open=opened,
            mb=megabytes,
        )


if __name__ == "__main__":
    main()
