"""The report for a person: its parts as tables, in a terminal and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.settings import program
from states import report as figures
from states.report import COMMITMENT
from workflow import report_file, typeset
from workflow import words as french
from workflow.effect_file import UNOFFICIAL
from workflow.effect_tables import asked_words, days
from workflow.report import Asked, Made
from workflow.report_file import FAMILIES, NO_DATA
from workflow.typeset import Paper, Part

WAITS = {"triage": "Orientation", "first_answer": "Première réponse", "resolution": "Résolution"}
COUNTS = {
    "dossiers": "Dossiers", "open": "ouverts", "open_late": "ouverts en retard", "resolved": "résolus",
    "withdrawn": "retirés par le porteur", "escalated": "avec échelon saisi", "reminded": "avec rappel",
    "vacant": "avec échelon vacant", "reopened": "rouverts",
}  # fmt: skip
TOTALS = {
    "escalations": "Échelons saisis", "escalations_by_clock": "dont par l'horloge", "reminders": "Rappels",
    "vacancies": "Échelons vacants passés", "reopenings": "Réouvertures",
}  # fmt: skip
PARTIES = {"holder": "Porteur", "third_party": "Tiers", "nobody": "Personne"}
NONE = f"{NO_DATA.capitalize()}."


def parts(made: Made, asked: Asked, said: dict[str, Any]) -> Iterator[Part]:
    """The parts of a report, of what `figures.plain` says of it."""
    yield Part("Attentes, dossiers encore en attente compris (Kaplan-Meier, intervalle à 95 %)",
               head=("Attente", "Temps", "Venue", "Médiane", "90 %"), rows=list(_waits(said)))  # fmt: skip
    heads = ("Délai", "En cours à temps", "En cours dépassé", "Clos à temps", "Clos en retard", "Tenu", "Médiane brute", "Médiane nette")  # fmt: skip
    for family, title in FAMILIES.items():
        rows = [_clock(one, made) for one in said["clocks"] if one["family"] == family]
        yield Part(title, [] if rows else [NONE], heads, rows)
    rows = [
        (_party(who, made), days(one["seconds"]), f"{100 * one['share']:.0f} %") for who, one in said["court"].items()
    ]
    yield Part("Qui a eu la balle", [] if rows else [NONE], ("Partie", "Temps", "Part"), rows)
    ages = [(report_file.age(one), str(one["open"])) for one in said["ages"]]
    yield Part("Âge des dossiers ouverts", head=("Âge", "Dossiers"), rows=ages)
    if asked.by is not None:
        grouped = ("Groupe", "Dossiers", "Ouverts", "Ouverts en retard", "Promesses en retard", "Engagements tenus", "Résolution, médiane")  # fmt: skip
        yield Part(
            "Par groupe", head=grouped, rows=[_group(name, one) for name, one in sorted(made.report.groups.items())]
        )


def _waits(said: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, both in said["waits"].items():
        for which, words in (("gross", "brut"), ("net", "net des demandes")):
            found = both[which]
            came = NO_DATA if found is None else f"{found['over']} sur {found['waited']}"
            yield (
                WAITS[name],
                words,
                came,
                *("" if found is None else _quantile(found, part) for part in ("p50", "p90")),
            )


def _quantile(found: dict[str, Any], name: str) -> str:
    if found[name] is None:
        return "pas encore atteint"
    low, high = found[f"{name}_interval"]
    return f"{days(found[name])} ({days(low)} à {days(high)})"


def _clock(one: dict[str, Any], made: Made) -> tuple[str, ...]:
    kept = NO_DATA if one["kept"] is None else f"{100 * one['kept']:.0f} % de {one['known']}"
    boxes = (str(one[box]) for box in figures.BOXES)
    return (
        made.clocks.get(one["clock"], one["clock"]),
        *boxes,
        kept,
        _quantile(one["gross"], "p50"),
        _quantile(one["net"], "p50"),
    )


def _party(who: str, made: Made) -> str:
    kind, _, key = who.partition(":")
    return made.units[int(key)][1] if kind == "unit" else PARTIES[who]


def _group(name: str, one: figures.Report) -> tuple[str, ...]:
    said = figures.plain(one)
    late = sum(each["open_late"] + each["closed_late"] for each in said["clocks"])
    fate = sum(each["known"] for each in said["clocks"] if each["family"] == COMMITMENT)
    kept = sum(each["closed_in_time"] for each in said["clocks"] if each["family"] == COMMITMENT)
    wait = said["waits"]["resolution"]["gross"]
    return (
        name or NO_DATA, *(str(said["counts"][count]) for count in ("dossiers", "open", "open_late")), str(late),
        f"{100 * kept / fate:.0f} % de {fate}" if fate else NO_DATA, NO_DATA if wait is None else _quantile(wait, "p50"),
    )  # fmt: skip


def pdf(made: Made, asked: Asked, *, operator: str | None) -> bytes:
    """The report as a PDF. Raises NotTypeset."""
    said = figures.plain(made.report)
    counts = " · ".join(f"{words.lower()} : {said['counts'][name]}" for name, words in COUNTS.items())
    totals = " · ".join(f"{words.lower()} : {said['totals'][name]}" for name, words in TOTALS.items())
    counted = [*asked_words(asked), ("Nombre", counts), ("Événements", totals)]
    at = french.on(made.report.now, french.PARIS)
    return typeset.pdf(
        Paper("Où se perd le temps", operator or UNOFFICIAL, f"Tel que su le {at}", made.report.now, counted,
              list(parts(made, asked, said)), f"Coupe-file {program()}. Unités et échelons seulement, aucune personne.")
    )  # fmt: skip
