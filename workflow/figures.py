"""The figures for a monitor, in the OpenMetrics form, read from the database each time they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeHistogramMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from config.settings import program
from states.definition import PHASES
from workflow import measures, reconcile
from workflow.sweep import LATE_BOUNDS
from workflow.unavailable import explain

# What a monitor must not wait for: a scrape that takes longer says nothing.
PATIENCE = "5s"


class Figures(Collector):
    """The figures, read from the database each time they are asked for; names and labels are all known beforehand."""

    def __init__(self, make: sessionmaker[Session]) -> None:
        self.make = make

    def collect(self) -> Iterator[Any]:
        """One pass over the database, in a transaction that only reads."""
        with self.make() as session:
            session.execute(text("set transaction read only"))
            session.execute(text("select set_config('statement_timeout', :most, true)"), {"most": PATIENCE})
            health, late, phases = reconcile.health(session), measures.lateness(session), measures.phases(session)
        yield InfoMetricFamily("coupe_file", "The program.", value={"version": program()})
        for name, words, value in _gauges(health):
            if value is not None:
                yield GaugeMetricFamily(f"coupe_file_{name}", words, value=float(value))
        yield _late(late)
        yield GaugeMetricFamily(
            "coupe_file_late_most_seconds",
            "The latest that the clock came to a dossier in the last hour.",
            value=late.most,
        )
        counted = GaugeMetricFamily(
            "coupe_file_dossiers", "Dossiers by phase; of a large table, as its statistics say.", labels=["phase"]
        )
        for phase in PHASES:
            counted.add_metric([phase], phases.get(phase, 0))
        yield counted


def _gauges(health: reconcile.Health) -> list[tuple[str, str, float | None]]:
    """Name, meaning, value; an age that does not exist is absent, not zero."""
    return [
        ("tick_age_seconds", "Since the clock last beat.", health.tick_age),
        (
            "oldest_due_seconds",
            "How long the dossier that is due the longest has waited for the clock.",
            health.oldest_due or 0,
        ),
        (
            "oldest_pending_seconds",
            "The age of the oldest event among the next to be reacted to.",
            health.oldest_pending or 0,
        ),
        ("pending", "Events not yet reacted to.", health.pending),
        (
            "oldest_undelivered_seconds",
            "The age of the oldest letter that has not left.",
            health.oldest_undelivered or 0,
        ),
        ("undelivered", "Letters that have not left.", health.undelivered),
        ("deliveries_held", "1 while nothing may leave.", health.held is not None),
        ("stuck", "Dossiers that the clock could not handle.", health.stuck),
        ("stuck_skipped", "Dossiers left aside by an operator's decision.", health.skipped),
        ("dead_notices", "Letters given up.", health.dead_notices),
        ("dead_reactions", "Reactions given up.", health.dead_reactions),
        ("suspended_definitions", "Workflow definitions suspended.", health.suspended_definitions),
        ("disabled_webhooks", "Webhooks that nothing is sent to any more.", health.disabled_webhooks),
        ("proof_age_seconds", "Since the proof last advanced.", health.proof_age),
        ("proof_problems", "Differences that the proof has found.", health.problems),
        ("red", "1 when something is to be corrected.", bool(health.red)),
    ]


def _late(late: measures.Lateness) -> GaugeHistogramMetricFamily:
    bounds = [*(str(bound) for bound in LATE_BOUNDS), "+Inf"]
    counts = [sum(late.counts[: index + 1]) for index in range(len(bounds))]
    words = "How late the clock came to the dossiers that it handled in the last hour."
    return GaugeHistogramMetricFamily(
        "coupe_file_late_seconds", words, buckets=list(zip(bounds, counts, strict=True)), gsum_value=late.total
    )


class Patient(Collector):
    """The figures while they can be read; a database that is away for a while says so by `coupe_file_up 0`."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures

    def collect(self) -> Iterator[Any]:
        """What could be read, after whether it could be."""
        try:
            found = list(self.figures.collect())
        except Exception as error:
            if explain(error) is None:
                raise
            found = []
        yield GaugeMetricFamily("coupe_file_up", "1 when the database answered.", value=float(bool(found)))
        yield from found
