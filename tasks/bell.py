"""The doorbell: what is waiting in the database is looked for at once, rather than at the next tick."""

from __future__ import annotations

from tasks.app import app

EXPIRES = 30
"""Seconds after which a ring that nobody heard is worth nothing: later ones have come."""


def ring(*names: str) -> None:
    """Ask workers to look at these stages, all three by default: bounded, and a lost ring costs one tick."""
    for name in names or ("sweep", "react", "deliver"):
        app.send_task(f"coupe_file.{name}", expires=EXPIRES)
