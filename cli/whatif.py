"""`coupe-file whatif`: what another definition would have changed. Nothing is written."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import database, say
from cli.crossing import Rungs, States
from cli.options import Json, day, pairs
from cli.report_options import From, To
from cli.shipped import sound
from states import report as figures
from states.definition import parse
from states.machine import Compiled
from workflow import export, report
from workflow import whatif as room
from workflow.effect_tables import days
from workflow.whatif import Outcome, Side

FIRST = 10


def whatif(
    definition: Annotated[
        str,
        typer.Option(
            "--definition",
            metavar="FICHIER",
            help="Un fichier YAML, ou le nom d'une définition livrée.",
            show_default=False,
        ),
    ],
    since: From = None,
    until: To = None,
    states: States = None,
    rungs: Rungs = None,
    json: Json = False,
) -> None:
    """Rejoue les dossiers d'une période sous une autre définition, et dit ce qui aurait changé. Rien n'est écrit.

    Ce que les personnes ont fait est refait à son heure ; l'horloge de l'autre définition agit à la place de celle d'alors.
    """
    _, data = sound(definition)
    compiled = Compiled(parse(data))
    begins, ends = report.period(day(since, "--from"), day(until, "--to"))
    with database.sessions() as make:
        found = room.run(
            make,
            compiled,
            since=begins,
            until=ends,
            states=pairs(states or (), "--map-state"),
            rungs=pairs(rungs or (), "--map-rung"),
        )
        with make() as session:
            units, labels = export.units(session), report.labels(session)
    labels |= {name: rule.label or name for name, rule in compiled.definition.clocks.items()}
    if json:
        say.document(document(found, units))
        return
    if not found.dossiers:
        say.line("Pas de donnée : aucun dossier de ce circuit n'a été déposé dans cette période.")
        return
    _told(found, units, labels)


def document(found: Outcome, units: dict[int, str]) -> dict[str, Any]:
    """What was found, for a machine; durations in seconds."""
    return {
        "dossiers": found.dossiers,
        "changed": found.changed,
        "events": found.events,
        "acts": found.acts,
        "refused": [{"act": act, "why": why, "times": times} for (act, why), times in sorted(found.refused.items())],
        "was": _side(found.was, units),
        "would": _side(found.would, units),
    }


def _side(side: Side, units: dict[int, str]) -> dict[str, Any]:
    assert side.report is not None  # noqa: S101  (a run sets it)
    said = figures.plain(side.report)
    return {
        "breaches": dict(sorted(side.breaches.items())),
        "reminders": dict(sorted(side.reminders.items())),
        "escalations": side.escalations,
        "escalations_by_clock": side.by_clock,
        "resolved": side.resolved,
        "clocks": said["clocks"],
        "units": [
            {"unit": _code(party, units), "dossiers": counted["dossiers"], "promises": counted["promises"],
             "late": counted["late"], "seconds": side.held[party].total_seconds() if party in side.held else 0}
            for party, counted in sorted(side.load.items())
        ],
    }  # fmt: skip


def _code(party: str, units: dict[int, str]) -> str:
    key = int(party.partition(":")[2])
    return units.get(key, str(key))


def _told(found: Outcome, units: dict[int, str], labels: dict[str, str]) -> None:
    was, would = found.was, found.would
    say.line(f"{say.count(found.dossiers, 'dossier')} rejoués, {found.changed} auraient été autres. Rien n'est écrit.")
    rows = [
        ("Échelons saisis", was.escalations, would.escalations),
        ("dont par l'horloge", was.by_clock, would.by_clock),
        ("Dossiers résolus", was.resolved, would.resolved),
    ]
    for title, one, other in (
        ("Dépassement", was.breaches, would.breaches),
        ("Rappel", was.reminders, would.reminders),
    ):
        rows += [(f"{title} : {labels.get(name, name)}", one[name], other[name]) for name in sorted({*one, *other})]
    say.table(
        ("Ce qui", "A été", "Aurait été", "Écart"),
        [(words, str(before), str(after), f"{after - before:+d}") for words, before, after in rows],
    )
    say.line("Charge des administrations", style="bold")
    load = []
    for party in sorted({*was.load, *would.load}):
        cells = [_code(party, units)]
        for side in (was, would):
            counted = side.load.get(party)
            lasted = side.held[party].total_seconds() if party in side.held else 0
            cells += [str(counted["dossiers"] if counted else 0), str(counted["late"] if counted else 0), days(lasted)]
        load.append(tuple(cells))
    heads = ("Dossiers", "Promesses en retard", "Balle")
    say.table(
        ("Administration", *heads, *(f"{head} (aurait été)" for head in heads)),
        load,
    )
    if found.refused:
        say.line("Actes que l'autre définition aurait refusés (le dossier continue sans eux)", style="bold")
        rest = found.refused.most_common(FIRST)
        say.table(("Acte", "Pourquoi", "Fois"), [(act, why, str(times)) for (act, why), times in rest])
