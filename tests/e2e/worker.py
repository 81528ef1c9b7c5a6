"""A Celery worker or beat for the kill test, with what a run switches off applied first, and with shorter waits.

Usage: python -m tests.e2e.worker SABOTAGE worker|beat
"""

from __future__ import annotations

import sys

from tests.e2e import sabotage


def main() -> None:
    what, role = sys.argv[1:3]
    sabotage.shorten_waits()
    sabotage.apply(what)
    from tasks.app import app

    if role == "beat":
        app.start(["beat", "-l", "WARNING"])
    else:
        app.start(["worker", "-c", "1", "-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    main()
