"""The European report for a person, as a book and on paper: figures by technology, and what is missing to be complete."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from config.settings import program
from workflow import sheets, typeset
from workflow import words as french
from workflow.effect_file import UNOFFICIAL
from workflow.report_file import NO_DATA
from workflow.typeset import Paper, Part

ARTICLE = "Règlement (UE) 2024/1735, article 42(2)(e)"
TITLE = "Article 42(2)(e) – projet, échéance 15 mars 2027"
HEADS = (
    "Technologie", "Engagées", "Demandes refusées", "Accordées", "Refusées", "Durée des décidées", "Prolongées", "En cours (âge)",
)  # fmt: skip
SHEET = (
    "Technologie", "Engagées", "Demandes refusées", "Décisions accordées", "Décisions refusées", "Retirées", "Prolongées",
    "Durée médiane (jours)", "Durée la plus courte", "Durée la plus longue", "Décidées en retard", "En cours", "En cours, en retard",
    "Âge médian des procédures en cours",
)  # fmt: skip
FORMS = (".xlsx", ".pdf")
DRAFT = (
    "Projet : ce document n'est pas le rapport de l'État membre. Les durées sont celles des procédures décidées, prolongations "
    "comprises, comme le texte le demande ; celles en cours sont à côté."
)
MOST = 20
"""How many dossiers are named one by one where something is missing; the book has them all."""


def parts(said: dict[str, Any]) -> Iterator[Part]:
    """The parts of the report, of what `states.nzia.plain` says."""
    rows = [
        (french.CHOICES.get(name, name), str(one["begun"]), str(one["applications_refused"]), str(one["decisions_approved"]), str(one["decisions_refused"]),
         _range(one["decided"]), str(one["extended"]), f"{one['open']} ({_range(one['open_ages'])})")
        for name, one in said["technologies"].items()
    ]  # fmt: skip
    none = [] if rows else [f"{NO_DATA.capitalize()} : aucun projet dans cette période."]
    yield Part("Par technologie", none, HEADS if rows else (), rows)
    lacks = []
    for one in said["missing"]:
        named, rest = one["dossiers"][:MOST], len(one["dossiers"]) - MOST
        lacks.append(f"{one['text']} : {', '.join(named)}" + (f", et {rest} autres" if rest > 0 else ""))
    yield Part("Il manque, pour être complet", items=[*lacks, *said["never_here"]])


def _range(spread: dict[str, float] | None) -> str:
    if spread is None:
        return NO_DATA
    return f"médiane {spread['median']:g} jours, de {spread['min']:g} à {spread['max']:g}".replace(".", ",")


def write(path: Path, said: dict[str, Any], period: str, at: datetime, form: str, *, operator: str | None) -> None:
    """Write the report as one of `FORMS`. Raises OSError, NotTypeset."""
    if form == ".pdf":
        lead = [DRAFT]
        facts = [("Texte", ARTICLE), ("Période", period), ("Tel que su le", french.on(at, french.PARIS))]
        foot = f"Coupe-file {program()}. Unités et échelons seulement, aucune personne."
        path.write_bytes(typeset.pdf(Paper(TITLE, operator or UNOFFICIAL, "Procédures d'octroi de permis, par technologie", at,
                                           facts, list(parts(said)), foot, lead)))  # fmt: skip
        return
    book = sheets.Book(
        path,
        {"Par technologie": SHEET, "Ce qui manque": ("Ce qui manque", "Dossier"), "À propos": ("Objet", "Valeur")},
        created=at,
    )
    for name, one in said["technologies"].items():
        spread, ages = one["decided"] or {}, one["open_ages"] or {}
        book.add(
            "Par technologie",
            (french.CHOICES.get(name, name), one["begun"], one["applications_refused"], one["decisions_approved"], one["decisions_refused"], one["withdrawn"],
             one["extended"], spread.get("median"), spread.get("min"), spread.get("max"), one["decided_late"], one["open"],
             one["open_late"], ages.get("median")),
        )  # fmt: skip
    for one in said["missing"]:
        for reference in one["dossiers"]:
            book.add("Ce qui manque", (one["text"], reference))
    for words in said["never_here"]:
        book.add("Ce qui manque", (words, None))
    for row in (
        ("Titre", TITLE),
        ("Texte", ARTICLE),
        ("Période", period),
        ("Tel que su le", french.on(at, french.PARIS)),
        ("Programme", program()),
    ):
        book.add("À propos", row)
    book.close()
