"""The public holidays of France, for any year from 2000 to 2199, in each of its 13 zones.

National days: Code du travail, L3133-1. Alsace-Moselle: L3134-13, Good Friday only in the communes that have a Protestant
temple or a mixed church. Abolition of slavery overseas: law of 30 June 1983 and its decree, and loi 2017-256 for
Saint-Barthélemy and Saint-Martin. The days that an overseas collectivity sets for itself are not here: none of them
stands in the State's table, with which this module agrees (tests/oracles/public_holidays_fr.csv).
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

YEARS = range(2000, 2200)
FIXED = {
    (1, 1): "1er janvier",
    (5, 1): "1er mai",
    (5, 8): "8 mai",
    (7, 14): "14 juillet",
    (8, 15): "Assomption",
    (11, 1): "Toussaint",
    (11, 11): "11 novembre",
    (12, 25): "Jour de Noël",
}
MOVABLE = {1: "Lundi de Pâques", 39: "Ascension", 50: "Lundi de Pentecôte"}
"""Days after Easter Sunday."""
GOOD_FRIDAY, ABOLITION = "Vendredi saint", "Abolition de l'esclavage"


class Zone(NamedTuple):
    """A territory with its own holidays: its name in the State's table, its time zone, the day of abolition it keeps."""

    label: str
    timezone: str
    abolition: tuple[int, int] | None = None


ALSACE_MOSELLE = "alsace-moselle"
SAINT_MARTIN, SAINT_MARTIN_SINCE = "978", 2018
"""Saint-Martin keeps 28 May since 2018; before, it kept the 27 May of Guadeloupe, as the table shows."""
ZONES = {
    "metropole": Zone("Métropole", "Europe/Paris"),
    ALSACE_MOSELLE: Zone("Alsace-Moselle", "Europe/Paris"),
    "971": Zone("Guadeloupe", "America/Guadeloupe", (5, 27)),
    "972": Zone("Martinique", "America/Martinique", (5, 22)),
    "973": Zone("Guyane", "America/Cayenne", (6, 10)),
    "974": Zone("La Réunion", "Indian/Reunion", (12, 20)),
    "975": Zone("Saint-Pierre-et-Miquelon", "America/Miquelon"),
    "976": Zone("Mayotte", "Indian/Mayotte", (4, 27)),
    "977": Zone("Saint-Barthélémy", "America/St_Barthelemy", (10, 9)),
    "978": Zone("Saint-Martin", "America/Marigot", (5, 28)),
    "986": Zone("Wallis-et-Futuna", "Pacific/Wallis"),
    "987": Zone("Polynésie Française", "Pacific/Tahiti"),
    "988": Zone("Nouvelle-Calédonie", "Pacific/Noumea"),
}


def easter(year: int) -> date:
    """Easter Sunday in the Gregorian calendar (Meeus, Astronomical Algorithms, chapter 8)."""
    golden, century, rest = year % 19, year // 100, year % 100
    leaps, skipped = divmod(century, 4)
    moon = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leaps - moon + 15) % 30
    quarter, left = divmod(rest, 4)
    sunday = (32 + 2 * skipped + 2 * quarter - epact - left) % 7
    late = (golden + 11 * epact + 22 * sunday) // 451
    month, day = divmod(epact + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def of_year(zone: str, year: int, *, good_friday: bool = True) -> dict[date, str]:
    """The holidays of a zone in a year, by name (« 1er mai et Ascension » when two fall together); KeyError for no zone.

    `good_friday` is whether the commune is one of those that keep it; it says nothing outside Alsace-Moselle.
    """
    sunday, abolition = easter(year), ZONES[zone].abolition
    days = [(date(year, month, day), name) for (month, day), name in FIXED.items()]
    days += [(sunday + timedelta(days=after), name) for after, name in MOVABLE.items()]
    if zone == SAINT_MARTIN and year < SAINT_MARTIN_SINCE:
        abolition = (5, 27)
    if abolition is not None:
        days.append((date(year, *abolition), ABOLITION))
    if zone == ALSACE_MOSELLE:
        days.append((date(year, 12, 26), "2ème jour de Noël"))
        if good_friday:
            days.append((sunday - timedelta(days=2), GOOD_FRIDAY))
    found: dict[date, str] = {}
    for day, name in days:
        found[day] = f"{found[day]} et {name}" if day in found else name
    return found


@cache
def of_zone(zone: str, *, good_friday: bool = True) -> dict[date, str]:
    """The holidays of a zone in all the years that are counted; not to be changed."""
    return {day: name for year in YEARS for day, name in of_year(zone, year, good_friday=good_friday).items()}


DOUBTS = {
    GOOD_FRIDAY: "le Vendredi saint n'est férié que dans les communes d'Alsace-Moselle qui ont un temple protestant ou une "
    "église mixte (C. trav. L3134-13).",
}
"""What is said of a holiday that may not be one."""
