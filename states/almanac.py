"""What a reckoning of time knows: the hours of each service, the holidays of its territory, the table of legal limits.

Each is a version, under a number that a clock keeps: a date is reckoned again with what it was reckoned with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from states.calendar import Calendar
from states.errors import BadInput
from states.legal import Table


class Desk(NamedTuple):
    """One version of a calendar: its code, the territory whose holidays it keeps, and when it is open."""

    code: str
    territory: str
    hours: Calendar


@dataclass(frozen=True, slots=True, eq=False)
class Almanac:
    """Calendars and tables of rules by number; which calendar each unit goes by now, each code names now, and the table."""

    desks: Mapping[int, Desk] = field(default_factory=dict)
    units: Mapping[int, int] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[int, Table] = field(default_factory=dict)
    table: int | None = None

    def desk_of(self, unit: int | None, code: str | None) -> int:
        """The number of the calendar that holds now: the one named, else that of the unit, else the default. Raises BadInput."""
        found = self.codes.get(code) if code is not None else self.units.get(unit) if unit is not None else None
        if found is None and code is None:
            found = self.codes.get(DEFAULT)
        if found is None:
            accepted = ", ".join(sorted(self.codes)) or "aucun n'est chargé : coupe-file migrate"
            raise BadInput(
                "calendar", f"calendrier inconnu : « {code or DEFAULT} »", field="calendar", accepted=accepted
            )
        return found

    def desk(self, number: int) -> Desk:
        """A version of a calendar. Raises BadInput when it is not there."""
        try:
            return self.desks[number]
        except KeyError:
            raise BadInput("calendar", f"le calendrier n° {number} n'est pas là", field="calendar") from None

    def rules(self, number: int | None) -> Table:
        """A version of the table of legal limits. Raises BadInput when it is not there."""
        found = None if number is None else self.tables.get(number)
        if found is None:
            raise BadInput(
                "legal_rules",
                "la table des délais légaux n'est pas chargée",
                field="rules",
                accepted="coupe-file migrate",
            )
        return found


DEFAULT = "metropole"
NO_ALMANAC = Almanac()
