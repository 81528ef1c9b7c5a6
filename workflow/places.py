"""The ladder with its reference data: places from the geography, topics and administrations from what is shipped.

Everything is read at the first question and kept; nothing here asks a database.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import cache
from typing import NamedTuple

from config.administrations import shipped
from config.geography import search
from config.geography.france import Commune, france
from config.geography.search import UnknownPlaceError
from states import fields, topics
from states.errors import BadInput, shown
from states.ladder import NATIONAL, Directory, Place, Topic, Unit
from states.ladder import holes as ladder_holes
from workflow.territories import NOWHERE, Perimeters, Territory

KEPT = 40_000


def place(code: str, on: date | None = None, perimeters: Perimeters = NOWHERE, *, field: str = "commune") -> Place:
    """The place that an INSEE code names, with the territories that it is in on a date.

    Raises BadInput: merged or unknown, with the communes that were meant.
    """
    try:
        commune = search.commune(code)
        found = _place(commune)
        if on is None:
            return found
        return _within(found, perimeters.around(commune, on))
    except UnknownPlaceError as error:
        accepted = " ou ".join(match.shown for match in error.matches) or "le code INSEE d'une commune"
        raise BadInput("unknown", error.message, field=field, accepted=accepted) from None


def _within(found: Place, territories: Iterable[Territory]) -> Place:
    around = [(f"T{one.code}", f"est dans le Territoire d'industrie {one.name}") for one in territories]
    if not around:
        return found
    own, *wider = found.areas
    return found._replace(areas=(own, *around, *wider), key=" ".join([found.commune, *(area for area, _ in around)]))


_places: dict[str, Place] = {}


def _place(commune: Commune) -> Place:
    known = _places.get(commune.code)
    if known is None:
        if len(_places) >= KEPT:
            _places.clear()
        known = _places[commune.code] = _made(commune)
    return known


def _made(commune: Commune) -> Place:
    known = france()
    departement = known.departements[commune.departement]
    areas = [(commune.code, "a sa propre administration")]
    areas += [(group, f"est membre de {known.groups[group].name}") for group in (commune.ept, commune.epci) if group]
    if commune.arrondissement:
        area = known.arrondissements[commune.arrondissement]
        areas.append((f"A{area.code}", f"est dans l'arrondissement {area.of}"))
    areas.append((departement.code, _APART.get(departement.code) or f"est dans le département {departement.of}"))
    region = known.regions[commune.region]
    if region.code != departement.code:
        areas.append((f"R{region.code}", f"est dans la région {region.name}"))
    areas.append((NATIONAL, ""))
    return Place(commune.code, commune.name, tuple(areas), f"Mairie {commune.of}")


_APART = {
    "975": "est à Saint-Pierre-et-Miquelon",
    "977": "est à Saint-Barthélemy",
    "978": "est à Saint-Martin",
    "984": "est dans les Terres australes et antarctiques françaises",
    "986": "est à Wallis-et-Futuna",
    "987": "est en Polynésie française",
    "988": "est en Nouvelle-Calédonie",
    "989": "est l'île de Clipperton",
}
"""The territories that are no département."""


@cache
def known_topics() -> Mapping[str, Topic]:
    """The shipped topics, by name."""
    return topics.parse(shipped.topics(), shipped.kinds())


def topic(name: str, *, field: str = "topic") -> Topic:
    """A shipped topic. Raises BadInput with those that come near."""
    found = known_topics().get(name)
    if found is None:
        near = difflib.get_close_matches(name, known_topics(), n=3, cutoff=0.5) or list(known_topics())
        raise BadInput("unknown", f"sujet inconnu : « {shown(name)} »", field=field, accepted=", ".join(near))
    return found


@cache
def shipped_directory() -> Directory:
    """The shipped administrations, ready to be asked."""
    return Directory.of(units(cells for _, cells in shipped.units()))


def units(rows: Iterable[Mapping[str, str]]) -> list[Unit]:
    """The units that the cells of a sheet describe, which its check found nothing wrong with."""
    return [
        Unit(
            row["code"],
            row["name"],
            row["level"],
            tuple(row["kinds"].split()),
            tuple(row["areas"].split()),
            tuple(row.get("topics", "").split()),
            row.get("note", ""),
            _instant(row.get("valid_from")),
            _instant(row.get("valid_to")),
        )
        for row in rows
    ]


def _instant(cell: str | None) -> datetime | None:
    return fields.instant("", cell) if cell else None


class Hole(NamedTuple):
    """A rung that no unit holds for a topic, in a commune and those that are alike."""

    topic: str
    rung: str
    commune: str
    alike: int


def alike(directory: Directory) -> list[tuple[str, int]]:
    """A commune for each sort of place that a directory tells apart, and how many are so: all have the same sort of ladder.

    Communes differ by their arrondissement and département, and by what the units of their own groups and of themselves do.
    """
    found: dict[tuple[object, ...], list[str]] = {}
    for commune in france().communes():
        own = tuple(directory.sorts(area) for area in (commune.code, commune.ept, commune.epci))
        found.setdefault((commune.arrondissement, commune.departement, own), []).append(commune.code)
    return [(codes[0], len(codes)) for codes in found.values()]


def holes(directory: Directory, at: datetime) -> list[Hole]:
    """Every rung that no unit holds, for every topic in every commune."""
    return [
        Hole(one.name, ladder[number].rule.label, code, count)
        for code, count in alike(directory)
        for one in known_topics().values()
        for ladder in (directory.ladder(one, place(code), at),)
        for number in ladder_holes(ladder)
    ]
