"""The figures of a log of incidents, counted from its XES in a few lines that know nothing of the project.

Usage: python incidents.py LOG.xes[.gz] [UNTIL]
"""

import gzip
import json
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

LIMIT = {"all": timedelta(days=15), 0: timedelta(days=2), 1: timedelta(days=5), 2: timedelta(days=10)}
RUNGS = ["first", "second", "third"]
read = datetime.fromisoformat
cases: dict[str, list] = {}
with (gzip.open if sys.argv[1].endswith(".gz") else open)(sys.argv[1]) as file:
    for _, trace in ET.iterparse(file):  # noqa: S314  (a log of our own making)
        if trace.tag.endswith("trace"):
            said = [
                {a.get("key"): a.get("value") for a in e} for e in [trace, *trace] if e.tag.endswith(("trace", "event"))
            ]
            cases[said[0]["concept:name"]] = said[1:]
until = read(sys.argv[2]) if len(sys.argv) > 2 else max(read(e["time:timestamp"]) for c in cases.values() for e in c)
n: Counter = Counter()
waited, stood = defaultdict(timedelta), defaultdict(timedelta)
for events in cases.values():
    now = [e for e in events if read(e["time:timestamp"]) <= until]
    spent = {"net": defaultdict(timedelta), "gross": defaultdict(timedelta)}
    closed, rung, wait, placed, cycle, visit = None, None, None, 0, 0, 0
    for event, after in pairwise([*now, {"time:timestamp": until.isoformat()}]):
        team, status = event["org:group"], event["lifecycle:transition"]
        was_closed, was_rung, was_waiting = closed, rung, wait
        closed = event["concept:name"] == "Completed"
        rung = 1 if team.endswith("2nd") else 2 if team.endswith("3rd") else 0
        wait = "user" if status == "Wait - User" else "other" if status.startswith("Wait") else None
        wait = None if closed else "queue" if status == "Awaiting Assignment" else wait
        n["events"] += 1
        n["dossiers"] += was_closed is None
        n["reopened"] += bool(was_closed) and not closed
        n["wait", wait] += wait != was_waiting
        cycle += bool(was_closed) and not closed
        if was_closed is None or (was_closed and not closed) or (not was_closed and rung != was_rung):
            visit += 1
            n["visit", rung] += 1
            if was_closed is not None:
                n["climbs"] += rung > placed
                n["descents"] += rung < placed
            placed = rung
        lasted = timedelta(0) if closed else read(after["time:timestamp"]) - read(event["time:timestamp"])
        stood[placed] += lasted
        waited[wait] += lasted
        for kind, counts in (("gross", True), ("net", wait not in ("user", "other"))):
            spent[kind]["all", cycle] += lasted * counts
            spent[kind][placed, visit] += lasted * counts
    if now:
        state = "closed" if closed else "open"
        n[state] += 1
        for kind, suffix in (("net", ""), ("gross", "_gross")):
            n[f"{state}_late{suffix}"] += any(lasted > LIMIT[which] for (which, _), lasted in spent[kind].items())
plain = ["dossiers", "events", "events_refused", "closed", "closed_late", "open", "open_late", "closed_late_gross"]
figures = {name: n[name] for name in [*plain, "open_late_gross", "reopened", "climbs", "descents"]} | {
    "until": until.astimezone(UTC).isoformat(),
    "waits": {one: [n["wait", one], waited[one].total_seconds()] for one in ("user", "other", "queue")},
    "rungs": {name: [n["visit", i], stood[i].total_seconds()] for i, name in enumerate(RUNGS)},
}
print(json.dumps(figures))
