"""The public holidays computed here are those of the State's own table."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from config import holidays

TABLE = Path(__file__).parents[1] / "oracles" / "public_holidays_fr.csv"


def table():
    """The (zone, date, name) of every row."""
    with TABLE.open(encoding="utf-8") as file:
        return {
            (label, row["date"], row["nom_jour_ferie"])
            for row in csv.DictReader(file)
            for label in row["zones"].split("|")
        }


def test_every_holiday_of_the_13_zones_from_2006_to_2031_is_that_of_the_table_and_there_is_no_other():
    computed = {
        (zone.label, day.isoformat(), name)
        for key, zone in holidays.ZONES.items()
        for year in range(2006, 2032)
        for day, names in holidays.of_year(key, year).items()
        for name in names.split(" et ")
    }
    assert len({label for label, _, _ in table()}) == 13
    assert computed == table()


@pytest.mark.parametrize(
    ("year", "day"),
    [(2000, "2000-04-23"), (2038, "2038-04-25"), (2076, "2076-04-19"), (2100, "2100-03-28"), (2199, "2199-04-14")],
)
def test_easter_is_known_from_the_first_year_to_the_last(year, day):
    assert holidays.easter(year) == date.fromisoformat(day)


def test_good_friday_is_kept_only_in_the_communes_that_have_a_temple():
    with_temple, without = (holidays.of_year("alsace-moselle", 2027, good_friday=kept) for kept in (True, False))
    assert set(with_temple) - set(without) == {date(2027, 3, 26)}
    assert date(2027, 3, 26) not in holidays.of_year("metropole", 2027)


def test_each_zone_has_a_time_zone_that_exists_and_holidays_in_every_year():
    for key, zone in holidays.ZONES.items():
        assert ZoneInfo(zone.timezone)
        assert {day.year for day in holidays.of_zone(key)} == set(range(2000, 2200))
