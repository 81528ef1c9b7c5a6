"""A process that sweeps and says how much memory it came to hold: `python -m bench.resident URL BATCHES [timers]`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sqlalchemy import text

import tasks.clockwork  # noqa: F401  (what a worker imports)
from workflow import schema
from workflow.sweep import sweep


def main(url: str, batches: int, *, timers: bool) -> int:
    """Sweep; return the most kilobytes that were resident. `timers`: hold each open dossier's wake in memory, too."""
    make = schema.sessions(schema.engine(url))
    held = []
    if timers:
        with make() as session:
            held = [
                tuple(row)
                for row in session.execute(text("select id, wake_at from dossiers where wake_at is not null"))
            ]
    done = sum(sweep(make).done for _ in range(batches))
    assert done == batches * 1000, (done, len(held))
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2]), timers="timers" in sys.argv[3:]))
