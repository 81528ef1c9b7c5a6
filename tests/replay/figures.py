"""The figures of a log, counted from the log itself in a few lines that know nothing of the project.

Usage: python figures.py LOG.csv [UNTIL]
"""

import csv
import json
import sys
from datetime import datetime

read = datetime.fromisoformat
cases: dict[str, dict] = {}
with open(sys.argv[1], encoding="utf-8", newline="") as file:  # noqa: PTH123
    for row in csv.DictReader(file):
        case = cases.setdefault(row["case:concept:name"], {"times": []})
        case["times"].append(read(row["time:timestamp"]))
        case["start"], case["deadline"] = read(row["case:startdate"]), read(row["case:deadline"])
        case["end"] = read(row["case:enddate"]) if row["case:enddate"] else None
for case in cases.values():
    case["submit"] = min(case["start"], *case["times"])
    case["close"] = max(case["end"], case["submit"]) if case["end"] else None
every = [t for case in cases.values() for t in case["times"]] + [
    case["close"] for case in cases.values() if case["close"]
]
until = read(sys.argv[2]) if len(sys.argv) > 2 else max(every)
here = [case for case in cases.values() if case["submit"] <= until]
closed = [case for case in here if case["close"] and case["close"] <= until]
opened = [case for case in here if not case["close"] or case["close"] > until]
print(
    json.dumps(
        {
            "dossiers": len(here),
            "events": sum(t <= until for case in here for t in case["times"]),
            "closed": len(closed),
            "closed_late": sum(case["close"] > case["deadline"] for case in closed),
            "open": len(opened),
            "open_late": sum(case["deadline"] < until for case in opened),
        }
    )
)
