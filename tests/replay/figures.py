"""The figures of a log, counted from the log itself in a few lines that know nothing of the project.

Usage: python figures.py LOG.csv [UNTIL]
"""

import csv
import json
import sys
from datetime import UTC, datetime

read = datetime.fromisoformat
cases: dict[str, dict] = {}
with open(sys.argv[1], encoding="utf-8", newline="") as file:  # noqa: PTH123
    for row in csv.DictReader(file):
        case = cases.setdefault(row["case:concept:name"], {"times": []})
        case["times"].append(read(row["time:timestamp"]))
        for name in ("start", "end", "deadline"):
            given = row[f"case:{name}" if name == "deadline" else f"case:{name}date"]
            case[name] = read(given) if given else None
for case in cases.values():
    case["submit"] = min([*case["times"], *([case["start"]] if case["start"] else [])])
    case["close"] = max(case["end"], case["submit"]) if case["end"] else None
every = [t for case in cases.values() for t in (*case["times"], case["close"]) if t]
until = read(sys.argv[2]) if len(sys.argv) > 2 else max(every)
here = [case for case in cases.values() if case["submit"] <= until]
closed = [case for case in here if case["close"] and case["close"] <= until]
opened = [case for case in here if not case["close"] or case["close"] > until]
figures = {
    "dossiers": len(here),
    "events": sum(t <= until for case in here for t in case["times"]),
    "events_refused": 0,
    "closed": len(closed),
    "closed_late": sum(case["deadline"] is not None and case["close"] > case["deadline"] for case in closed),
    "open": len(opened),
    "open_late": sum(case["deadline"] is not None and case["deadline"] < until for case in opened),
    "until": until.astimezone(UTC).isoformat(),
}
print(json.dumps(figures))
