"""« Blocages communs »: what blocks in several territories, and the note of one page that carries a cause further up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from config.settings import program
from states import blockages as core
from states.blockages import Blockages
from states.dossier import Actor
from states.effect import OUTSIDE
from states.errors import BadInput, shown
from workflow import effect, places, report, typeset
from workflow import words as french
from workflow.directory import departement
from workflow.effect_file import UNOFFICIAL
from workflow.effect_tables import DAY, called, days
from workflow.report import Asked
from workflow.sheets import Row
from workflow.typeset import Paper, Part

TITLE, NO_RUNG = "Blocages communs", "Aucun échelon"
MOST_PLACES = 12
"""How many territories a note names one by one."""


@dataclass(frozen=True, slots=True)
class Made:
    """The causes, and what territories and rungs are called."""

    asked: Asked
    found: Blockages
    causes: list[dict[str, Any]]
    territories: Mapping[str, str]
    rungs: Mapping[str, str]


def make(sessions: sessionmaker[Session], asked: Asked, *, actor: Actor, most: int | None = None) -> Made:
    """What blocks, as of now; of any number of dossiers, or of `most`. Raises BadInput."""
    with sessions() as session:
        now, near = report.reading(session, asked, actor=actor, at=None, most=most)
        wanted, around = report.wanted(session, asked), report.perimeters(session)
        territories, rungs = effect.names(session)
    found = Blockages(now, list(rungs))
    for _, _, facts in effect.of(sessions, wanted, actor=actor, at=now, near=near):
        area = "" if facts.commune is None else departement(facts.commune)
        found.add(facts, around(facts.commune, facts.submitted) or [f"{OUTSIDE}:{area}"])
    return Made(asked, found, core.plain(found), territories, rungs)


def lines(made: Made) -> Iterator[Row]:
    """The causes as a sheet, a row for each cause in each territory."""
    yield ("Cause", "Libellé", "Territoire", "Nom", "Dossiers", "Jours perdus")
    for one in made.causes:
        for place in one["places"]:
            name = called(place["line"], made.territories)
            yield (
                one["topic"],
                french.topic(one["topic"]),
                place["line"],
                name,
                place["dossiers"],
                place["lost"] / DAY,
            )


def document(made: Made) -> dict[str, Any]:
    """The causes for a machine; durations in seconds."""
    causes = [
        {**one, "name": french.topic(one["topic"]),
         "places": [{**place, "name": called(place["line"], made.territories)} for place in one["places"]]}
        for one in made.causes
    ]  # fmt: skip
    return {"at": made.found.now, "causes": causes}


# --- the note ---------------------------------------------------------------------------------------------------------


def note(made: Made, topic: str, *, operator: str | None) -> bytes:
    """The note of one cause, as a PDF of one page. Raises BadInput: no dossier of it; NotTypeset."""
    return typeset.pdf(_paper(made, topic, operator))


def _paper(made: Made, topic: str, operator: str | None) -> Paper:
    one = next((each for each in made.causes if each["topic"] == topic), None)
    if one is None:
        accepted = ", ".join(each["topic"] for each in made.causes) or "aucun : il n'y a pas de donnée"
        raise BadInput("topic", f"aucun dossier de ce sujet : « {shown(topic)} »", field="--topic", accepted=accepted)
    inside = [place for place in one["places"] if not place["line"].startswith(OUTSIDE)]
    facts = [
        ("Dossiers", f"{one['dossiers']}, dont {one['open']} ouverts"),
        ("Territoires d'industrie concernés", f"{len(inside)} ; hors Territoires d'industrie : {len(one['places']) - len(inside)} départements"),
        ("Jours perdus au-delà des engagements", days(one["lost"])),
        ("Jusqu'où ces dossiers sont montés", " ; ".join(f"{made.rungs.get(rung, rung) or NO_RUNG} : {number}" for rung, number in one["rungs"].items())),
    ]  # fmt: skip
    rows = [
        [called(each["line"], made.territories), str(each["dossiers"]), days(each["lost"])] for each in one["places"]
    ]
    rest = one["places"][MOST_PLACES:]
    if rest:
        said = (
            f"{len(rest)} autres",
            str(sum(each["dossiers"] for each in rest)),
            days(sum(each["lost"] for each in rest)),
        )
        rows = [*rows[:MOST_PLACES], list(said)]
    parts = [
        Part("Où", head=("Territoire", "Dossiers", "Jours perdus"), rows=rows,
             notes=["Un dossier d'une commune de deux territoires compte dans chacun. Les jours perdus sont ceux des engagements de service, en cours ou clos."]),
        Part("Ce que les textes permettent", items=list(_levers(topic)) or ["Aucun levier n'est inscrit pour ce sujet."]),
        Part("Décision demandée", paragraphs=["…………………………………………………………………………………………………………………", "Pour quand : ……………………    Qui : ……………………"]),
    ]  # fmt: skip
    return Paper(
        "Note pour l'échelon interministériel", operator or UNOFFICIAL, french.topic(topic), made.found.now,
        facts, parts, f"Coupe-file {program()}, tel que su le {french.on(made.found.now, french.PARIS)}. Aucune personne n'est nommée.",
        wide=False,
    )  # fmt: skip


def _levers(topic: str) -> Iterator[str]:
    try:
        known = places.topic(topic)
    except BadInput:
        return
    yield f"Base : {known.basis}"
    for lever in known.levers:
        yield f"{lever.title} ({lever.basis})"
