"""The tasks: a few lines each, every one safe to lose and safe to repeat. The rules are in `workflow`."""

from __future__ import annotations

from time import monotonic
from typing import Any

from config.settings import read
from tasks.app import app
from tasks.bell import ring
from tasks.deliver import deliver_all, deliver_monthly
from tasks.scan import scan_all
from tasks.sessions import sessions
from workflow import heartbeats, reactions, reconcile, sweep, webhook_deliveries
from workflow.vault import Vault

BUDGET_SECONDS = 20.0
"""After this long a task rings for another rather than go on: no task comes near its time limit."""


@app.task(name="coupe_file.tick")  # type: ignore[untyped-decorator]
def tick() -> None:
    """A meaningless tick: notes that the clock beats, and sends each stage to look."""
    with sessions().begin() as session:
        heartbeats.beat(session, "tick")
        called = webhook_deliveries.wanted(session)
    ring(
        "sweep", "react", "deliver", "reconcile", *(["webhooks"] if called else []), *(["scan"] if read().clamd else [])
    )


@app.task(name="coupe_file.sweep")  # type: ignore[untyped-decorator]
def run_sweep() -> None:
    """Handle what is due until nothing is, or the budget is spent."""
    end = monotonic() + BUDGET_SECONDS
    while (swept := sweep.sweep(sessions())).more and monotonic() < end:
        continue
    ring(*(["react", "sweep"] if swept.more else ["react"] if swept.done else []) or ["react"])


@app.task(name="coupe_file.react")  # type: ignore[untyped-decorator]
def run_react() -> None:
    """React to what is pending until nothing is, or the budget is spent."""
    if _drain(lambda: reactions.react(sessions()), "react"):
        with sessions()() as session:
            called = webhook_deliveries.wanted(session)
        ring("deliver", *(["webhooks"] if called else []))


@app.task(name="coupe_file.deliver")  # type: ignore[untyped-decorator]
def run_deliver() -> None:
    """Send what is to be sent until nothing is, or the budget is spent."""
    _drain(lambda: deliver_all(sessions(), read()) + deliver_monthly(sessions(), read()), "deliver")


@app.task(name="coupe_file.webhooks")  # type: ignore[untyped-decorator]
def run_webhooks() -> None:
    """Call webhooks until nothing waits for them, or the budget is spent. Apart from letters, which an endpoint does not delay."""
    from tasks.webhooks import deliver_webhooks  # noqa: PLC0415  (what speaks HTTP is loaded where there is a webhook)

    _drain(lambda: deliver_webhooks(sessions(), read()), "webhooks")


@app.task(name="coupe_file.scan")  # type: ignore[untyped-decorator]
def run_scan() -> None:
    """Have files scanned until none waits, or the budget is spent."""
    _drain(lambda: scan_all(sessions(), read(), Vault(read().files_folder())), "scan")


@app.task(name="coupe_file.reconcile")  # type: ignore[untyped-decorator]
def run_reconcile() -> None:
    """Verify the next slice, round and round."""
    reconcile.reconcile(sessions())


def _drain(step: Any, name: str) -> bool:
    """Repeat a step until it does nothing; whether it did anything."""
    end, did = monotonic() + BUDGET_SECONDS, False
    while step():
        did = True
        if monotonic() >= end:
            ring(name)
            break
    return did
