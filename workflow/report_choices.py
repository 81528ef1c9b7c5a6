"""What a report may be narrowed to, and what its parts are called: administrations, territories, topics, rungs, versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.geography.france import france
from states.effect import INSIDE, OUTSIDE
from workflow import definitions, report, words


@dataclass(frozen=True, slots=True)
class Choices:
    """Codes and their names, in the order of a list; units by their numbers too."""

    units: Mapping[str, str]
    territories: Mapping[str, str]
    departements: Mapping[str, str]
    topics: Mapping[str, str]
    rungs: Mapping[str, str]
    versions: Mapping[str, str]
    clocks: Mapping[str, str]
    numbers: Mapping[int, tuple[str, str]]


GROUPS = {INSIDE: "Dans un Territoire d'industrie", OUTSIDE: "Hors Territoire d'industrie"}
"""The two groups of territories, as choices."""
_UNITS = """
select u.id, u.code, u.name from units u where u.id in (select unit_id from counters union select unit_id from dossiers)
order by u.name, u.code
"""
_TERRITORIES = "select distinct on (code) code, name from territories order by code, valid_from desc"
_TOPICS = "select distinct topic from counters where topic <> '' union select distinct topic from competences where topic <> '*'"


def choices(session: Session) -> Choices:
    """What the database has: administrations that had a dossier, topics that somebody is competent for or had."""
    units = session.execute(text(_UNITS)).all()
    topics = {code: words.topic(code) for code in session.execute(text(_TOPICS)).scalars()}
    rungs: dict[str, str] = {}
    versions: dict[str, str] = {}
    for key in definitions.readable(session):
        one = definitions.get(session, key).compiled.definition
        rungs |= {rung.rung: rung.label or rung.rung for rung in one.ladder}
        versions[f"{one.id}@{one.version}"] = f"{one.title or one.id}, version {one.version}"
    return Choices(
        {row.code: row.name for row in units},
        GROUPS
        | {row.code: row.name for row in session.execute(text(_TERRITORIES))},
        {code: one.name for code, one in sorted(france().departements.items())},
        dict(sorted(topics.items(), key=lambda item: item[1])),
        rungs, versions, report.labels(session), {row.id: (row.code, row.name) for row in units},
    )  # fmt: skip
