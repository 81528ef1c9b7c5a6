"""Logs of other systems, made for the tests, and what is done with them: replayed, and counted by scripts apart."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

from typer.testing import CliRunner

from cli.main import app

HEADER = ["case:concept:name", "concept:name", "time:timestamp", "case:startdate", "case:enddate", "case:deadline"]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FIGURES = Path(__file__).with_name("figures.py")
INCIDENTS = Path(__file__).with_name("incidents.py")
PROGRAM = Path(sys.executable).with_name("coupe-file")
ALL = ["dossiers", "events", "events_refused", "closed", "closed_late", "open", "open_late", "until"]
# Two instants that read 02:30 on the wall, an hour apart.
REPEATED_HOUR = ["2011-10-30T02:30:00+02:00", "2011-10-30T02:30:00+01:00"]
BETWEEN = datetime(2011, 10, 30, 1, 0, tzinfo=UTC)


def a_log(path: Path, cases: int = 60) -> Path:
    """A log of the shape of real ones: grouped by case, backwards as a whole, untidy at its edges.

    One case in nine has no deadline, and one in ten a deadline between the two cuts of the repeated hour.
    """
    chance = random.Random(7)
    rows = []
    for number in range(cases):
        start = datetime(2011, 10, 20, tzinfo=UTC) + timedelta(minutes=chance.randrange(20 * 24 * 60))
        deadline = (
            BETWEEN if number % 10 == 0 and start < BETWEEN else start + timedelta(days=chance.choice([2, 7, 10]))
        )
        end = chance.choice(
            [
                None,
                deadline,
                deadline + timedelta(microseconds=1),
                deadline - timedelta(hours=1),
                start - timedelta(hours=3),
                start + timedelta(days=15),
            ]
        )
        end = None if deadline == BETWEEN else end
        times = [start + timedelta(hours=chance.uniform(-2, 300)) for _ in range(chance.randrange(1, 7))]
        times += [end] if end is not None and number % 4 == 0 else []
        due = None if number % 9 == 4 else deadline
        for time in sorted(times):
            say = lambda one: one.astimezone(AMSTERDAM).isoformat(sep=" ") if one else ""  # noqa: E731
            rows.append(
                [
                    f"case-{number}",
                    chance.choice(["Réception", "T02 check", "T02-check", "Lettre"]),
                    say(time),
                    say(start),
                    say(end),
                    say(due),
                ]
            )
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def run(database: str, log: Path, *options: str, code: int = 0) -> dict:
    ours = {name: None for name in os.environ if name.startswith("COUPE_FILE_")}
    runner = CliRunner(env={**ours, "COUPE_FILE_DATABASE_URL": database, "NO_COLOR": "1"})
    done = runner.invoke(app, ["replay", str(log), "--json", *options], catch_exceptions=False)
    assert done.exit_code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def counted(log: Path, *until: str) -> dict:
    return json.loads(
        subprocess.run([sys.executable, FIGURES, log, *until], capture_output=True, text=True, check=True).stdout
    )


def same(found: dict, wanted: dict) -> None:
    assert {name: found[name] for name in ALL} == {name: wanted[name] for name in ALL}
    assert found["problems"] == 0


# --- XES --------------------------------------------------------------------------------------------------------------

Case = tuple[dict[str, str], list[dict[str, str]]]
"""The attributes of a trace, and those of each of its events."""
ROOT = '<log xes.version="1.0" xmlns="http://www.xes-standard.org/">'


def as_xes(path: Path, cases: Iterable[Case], *, root: str = ROOT, between: str = "\n") -> Path:
    """Write cases as XES, packed if the name ends so, with what real files have around them."""
    opening = gzip.open if path.suffix == ".gz" else open
    with opening(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{line}{between}" for line in _xes(cases, root))
    return path


def _xes(cases: Iterable[Case], root: str) -> Iterator[str]:
    name = root.split(maxsplit=1)[0].strip("<>")
    prefix = name.removesuffix("log")
    yield '<?xml version="1.0" encoding="UTF-8" ?>'
    yield root
    yield f'<{prefix}extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>'
    yield f'<{prefix}global scope="trace"><{prefix}string key="concept:name" value="UNKNOWN"/></{prefix}global>'
    yield f'<{prefix}classifier name="Activity" keys="concept:name lifecycle:transition"/>'
    for trace, events in cases:
        yield f"<{prefix}trace>"
        yield from _attributes(trace, prefix)
        for event in events:
            yield f"<{prefix}event>"
            yield from _attributes(event, prefix)
            yield f'<{prefix}list key="notes"><{prefix}values><{prefix}string key="concept:name" value="nested"/></{prefix}values></{prefix}list>'
            yield f"</{prefix}event>"
        yield f"</{prefix}trace>"
    yield f"</{name}>"


def _attributes(given: dict[str, str], prefix: str) -> Iterator[str]:
    for key, value in given.items():
        kind = "date" if key in ("time:timestamp", "startdate", "enddate", "deadline") else "string"
        yield f"<{prefix}{kind} key={quoteattr(key)} value={quoteattr(value)}/>"


def from_csv(path: Path) -> list[Case]:
    """The cases of a CSV log: its columns that begin with `case:` are attributes of the trace."""
    cases: dict[str, Case] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            trace = {
                name.removeprefix("case:"): value for name, value in row.items() if name.startswith("case:") and value
            }
            event = {name: value for name, value in row.items() if not name.startswith("case:") and value}
            cases.setdefault(row["case:concept:name"], (trace, []))[1].append(event)
    return list(cases.values())


# --- incidents --------------------------------------------------------------------------------------------------------

STEPS = [
    timedelta(minutes=7), timedelta(hours=5), timedelta(hours=23), timedelta(days=1), timedelta(days=2), timedelta(days=2, microseconds=1),
    timedelta(days=3), timedelta(days=5), timedelta(days=6, hours=23), timedelta(days=10), timedelta(days=10, microseconds=1), timedelta(0),
]  # fmt: skip
STATUSES = [
    ("Accepted", "In Progress"), ("Accepted", "In Progress"), ("Accepted", "Assigned"), ("Accepted", "Wait - User"),
    ("Accepted", "Wait - User"), ("Accepted", "Wait - Vendor"), ("Accepted", "Wait"), ("Queued", "Awaiting Assignment"),
    ("Completed", "Resolved"), ("Completed", "Closed"), ("Unmatched", "Unmatched"),
]  # fmt: skip
TEAMS = ["G97", "G97", "M1", "D4 2nd", "V5 3rd", "V7 2nd"]


def incidents(cases: int = 240, seed: int = 11) -> list[Case]:
    """Incidents with waits, changes of line and cases opened again, of which many live through a night on which the
    clocks change; lengths fall short of what was promised, on it, and just after it.
    """
    chance = random.Random(seed)
    nights = [datetime(2011, 3, 27, 1, tzinfo=UTC), datetime(2011, 10, 30, 1, tzinfo=UTC)]
    made = []
    for number in range(cases):
        at = chance.choice(nights) - timedelta(minutes=chance.randrange(6 * 24 * 60))
        team, events = chance.choice(TEAMS), []
        for _ in range(chance.randrange(1, 12)):
            activity, status = chance.choice(STATUSES)
            team = team if chance.random() < 0.6 else chance.choice(TEAMS)
            events.append(
                {
                    "org:group": team,
                    "concept:name": activity,
                    "lifecycle:transition": status,
                    "time:timestamp": at.astimezone(AMSTERDAM).isoformat(),
                }
            )
            at += chance.choice(STEPS)
        made.append(({"concept:name": f"1-{number}"}, events))
    return made


def counted_incidents(log: Path, *until: str) -> dict:
    """The figures of a log of incidents, by the script apart."""
    return json.loads(
        subprocess.run([sys.executable, INCIDENTS, log, *until], capture_output=True, text=True, check=True).stdout
    )
