"""The report as a document for a machine and as a sheet for people: the same figures, wherever they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from states import report as figures
from workflow.report import Asked, Made
from workflow.sheets import Row

FAMILIES = {"commitment": "Engagements de service", "legal": "Délais légaux"}
NO_DATA = "pas de donnée"


def document(made: Made, asked: Asked) -> dict[str, Any]:
    """The report for a machine; durations in seconds, shares from 0 to 1, null where there is no datum."""
    wanted = {name: getattr(asked, name) for name in Asked.__dataclass_fields__}
    said = figures.plain(made.report)
    for one in said["clocks"]:
        one["label"] = made.clocks.get(one["clock"], one["clock"])
    said["court"] = {party(who, made): share for who, share in said["court"].items()}
    curves = {name: figures.points(made.report.curve(name)) for name in figures.WAITS}
    groups = {name: figures.plain(one) for name, one in sorted(made.report.groups.items())}
    for one in groups.values():
        one["court"] = {party(who, made): share for who, share in one["court"].items()}
    return {
        "at": made.report.now,
        "asked": wanted,
        **said,
        "curves": curves,
        **({"groups": groups} if asked.by is not None else {}),
    }


def party(who: str, made: Made) -> str:
    """A party by its code: `unit:` and the code of an administration."""
    kind, _, key = who.partition(":")
    return f"unit:{made.units[int(key)][0]}" if kind == "unit" else who


def lines(made: Made) -> Iterator[tuple[str, ...]]:
    """The report as a sheet: figure, part, value, unit of the value; an empty value is no datum."""
    yield ("chiffre", "grandeur", "valeur", "unité")
    said = figures.plain(made.report)
    for name, number in said["counts"].items():
        yield (name, "nombre", str(number), "dossiers")
    for name, number in said["totals"].items():
        yield (name, "nombre", str(number), "événements")
    for name, both in said["waits"].items():
        for which, found in both.items():
            yield from _wait_lines(name, which, found)
    for one in said["clocks"]:
        for box in figures.BOXES:
            yield (f"{one['clock']}:{box}", FAMILIES[one["family"]], str(one[box]), "promesses")
        yield (f"{one['clock']}:kept", FAMILIES[one["family"]], _number(one["kept"]), "part")
        for which in ("gross", "net"):
            yield from _wait_lines(one["clock"], which, one[which])
    for who, share in said["court"].items():
        yield (f"court:{party(who, made)}", "part du temps", _number(share["share"]), "part")
    for place, one in enumerate(said["ages"]):
        yield (f"age:{place}", age(one), str(one["open"]), "dossiers")


HEADS = ("Référence", "Administration", "Phase", "Sujet", "Commune", "Déposé", "Clos", "Fois")


def listed(made: Made) -> Iterator[Row]:
    """The dossiers behind a figure as a sheet."""
    yield HEADS
    for one in made.listed:
        unit = None if one.unit is None else made.units[one.unit][0]
        yield (one.reference, unit, one.phase, one.topic, one.commune, one.submitted, one.closed, one.times)


def _wait_lines(name: str, which: str, found: dict[str, Any] | None) -> Iterator[tuple[str, ...]]:
    words = {"gross": "brut", "net": "net des demandes"}[which]
    for part in ("p50", "p90"):
        seconds = None if found is None else found[part]
        yield (name, f"{part} {words}", _number(None if seconds is None else seconds / 86400), "jours")


def _number(value: float | None) -> str:
    """A number as French sheets write it."""
    return "" if value is None else f"{value:.4f}".replace(".", ",")


def age(one: dict[str, Any]) -> str:
    """The bounds of an age, in days."""
    if one["to_days"] is None:
        return f"{one['from_days']} jours et plus"
    return f"de {one['from_days']} à {one['to_days']} jours"


def period(asked: Asked) -> str:
    """The period that is asked about, in words."""
    if asked.first is None and asked.last is None:
        return "depuis toujours"
    begins = "depuis toujours" if asked.first is None else f"du {asked.first:%d/%m/%Y}"
    return begins if asked.last is None else f"{begins} au {asked.last:%d/%m/%Y}"
