"""A sheet of administrations is checked whole, each error with its line; what it changes is told; lists of territories likewise."""

import csv
from datetime import UTC, date, datetime

import pytest

from config.administrations import shipped
from config.geography.france import france
from config.territories import FOLDER
from states.errors import Refused
from workflow import administrations, directory_file, places, territories
from workflow.directory_file import Known
from workflow.territories import Perimeters, Territory, Version

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
ZONES = administrations.shipped_calendars()
HEADER = (
    "code",
    "name",
    "level",
    "kinds",
    "areas",
    "topics",
    "parent",
    "calendar",
    "valid_from",
    "valid_to",
    "note",
)


def lines(*rows):
    """Lines of units.csv from line 2 on, each a text of cells; cells left out are empty."""
    return [
        (number, dict.fromkeys(HEADER, "") | dict(zip(HEADER, row.split("|"), strict=False)))
        for number, row in enumerate(rows, start=2)
    ]


def problems(*rows, known=directory_file.NOTHING):
    return [(one.line, one.column, one.text) for one in directory_file.check({"units": lines(*rows)}, known)]


def test_the_shipped_directory_has_nothing_wrong():
    assert directory_file.check({"units": shipped.units()}) == []


def test_every_error_of_a_directory_is_told_at_once_with_its_line():
    found = problems(
        "a|A||ddt|01",
        "b|B|service|dtt|01",
        "c|C|service|ddt|99999 R00 A999 123456789 zone",
        "d|D|service|ddt|71429",
        "e|E|service|ddt|02|eaux",
        "f|F|service|ddt|03||nulle-part",
        "g|G|service|ddt|04|||lune",
        "i|I|service|ddt|",
        "j|J|chef|ddt|07",
        "k|=HYPERLINK(1)|service|ddt|08",
        "a|A|service|ddt|09",
    )
    told = [(line, column) for line, column, _ in found]
    assert told == [
        (2, "level"), (3, "kinds"), (4, "areas"), (5, "areas"), (6, "topics"), (7, "parent"), (8, "calendar"),
        (9, "areas"), (10, "level"), (11, "name"), (12, "code"),
    ]  # fmt: skip
    words = {line: text for line, _, text in found}
    assert "obligatoire" in words[2]
    assert "ddt" in words[3]
    assert "commune fusionnée ; accepté : 71076 Chalon-sur-Saône" in words[5]
    assert "eau" in words[6]
    assert "alsace-moselle" in words[8]
    assert "formule" in words[11]
    assert "ligne 2" in words[12]


@pytest.mark.parametrize(
    ("area", "word"),
    [("R99", "région"), ("A64", "arrondissement"), ("200039205", "groupement"), ("TX", "territoire"), ("650", "zone"), ("99999", "aucune commune")],
)  # fmt: skip
def test_an_unknown_zone_is_named_for_what_it_should_be(area, word):
    [(line, column, text)] = problems(f"x|X|service|ddt|{area}")
    assert (line, column) == (2, "areas")
    assert word in text


def test_two_units_competent_for_the_same_topic_kind_and_zone_are_refused_unless_they_follow_one_another():
    [(line, column, text)] = problems("a|A|service|ddt dreal|01|eau", "b|B|service|ddt|02 01|eau")
    assert (line, column) == (3, "areas")
    assert "ddt en 01, eau : a (ligne 2)" in text
    assert problems("a|A|service|ddt|01|eau", "b|B|service|ddt|01|iota", "c|C|service|ddt|01") == []
    ends, begins = "2027-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"
    assert problems(f"a|A|service|ddt|01|||||{ends}", f"b|B|service|ddt|01||||{begins}") == []
    held = {"old": dict(lines("old|Old|service|ddt|01")[0][1])}
    [(line, _, text)] = problems("a|A|service|ddt|01", known=Known(units=held))
    assert (line, "old" in text) == (2, True)


def test_a_circle_of_parents_is_refused_through_what_the_database_has():
    found = problems("a|A|service|ddt|01||b", "b|B|service|ddt|02||a", "c|C|service|ddt|03||c")
    assert [(line, column) for line, column, _ in found] == [(2, "parent"), (3, "parent"), (4, "parent")]
    assert "a → b → a" in found[0][2]
    held = {"b": dict(lines("b|B|service|ddt|02||a")[0][1])}
    assert "cercle" in problems("a|A|service|ddt|01||b", known=Known(units=held))[0][2]


def test_what_a_sheet_changes_is_told_and_nothing_when_it_says_what_is_there():
    before = {
        cells["code"]: cells for _, cells in lines("a|A|service|ddt|01", "b|B|service|ddt|02", "c|C|service|ddt|03")
    }
    for cells in before.values():
        cells["zone"] = "Europe/Paris"
    found = administrations.difference(lines("a|A|service|ddt|01"), before, ZONES, AT)
    assert found.empty
    given = lines("a|A bis|service|ddt|01 02", "b|B|service|ddt|02|||||2026-01-01T00:00:00Z", "d|D|service|ddt|04")
    found = administrations.difference(given, before, ZONES, AT)
    assert [change.code for change in found.added] == ["d"]
    assert [(change.code, change.column, change.after) for change in found.changed] == [
        ("a", "areas", "01 02"),
        ("a", "name", "A bis"),
    ]
    assert [change.code for change in found.closed] == ["b"]
    assert [change.code for change in administrations.difference(given, before, ZONES, AT, complete=True).closed] == [
        "b",
        "c",
    ]


# --- territories ------------------------------------------------------------------------------------------------------


def sample(name, delimiter):
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        return reader.fieldnames, [(reader.line_num, row) for row in reader]


def read(name, delimiter=","):
    header, rows = sample(name, delimiter)
    found, problems = territories.read(rows, *territories.layout(header))
    assert problems == []
    return {one.code: one for one in found}


def test_both_published_layouts_give_the_same_territories():
    groups = read("groupements.exemple.csv")
    communes = read("communes.exemple.csv", ";")
    assert set(communes) < set(groups)
    assert {code: groups[code] for code in communes} == communes


def test_a_territory_may_straddle_regions_and_hold_communes_alone_and_establishments_of_greater_paris():
    found = read("groupements.exemple.csv")
    perimeters = Perimeters([Version(one, date(2024, 1, 1), None) for one in found.values()])
    inside = [
        one
        for one in france().communes()
        if any(around.code == "EX-01" for around in perimeters.around(one, date(2026, 1, 1)))
    ]
    assert {one.region for one in inside} == {"75", "76"}
    assert {one.departement for one in inside} == {"64", "65"}
    around = {
        code: [one.code for one in perimeters.around(france()[code], date(2026, 1, 1))]
        for code in ("22016", "93048", "97407", "75056")
    }
    assert around == {"22016": ["EX-06"], "93048": ["EX-05"], "97407": ["EX-06"], "75056": []}
    assert perimeters.around(france()["64300"], date(2023, 12, 31)) == []


def test_a_list_is_refused_with_every_error_and_its_line():
    header = ["id_ti", "lib_ti", "siren_groupement", "lib_groupement", "nature_juridique"]
    rows = ["EX 1|A|200039204||CC", "EX-1||200039204||CC", "EX-1|A|200039204||SIVOM", "EX-1|A|200039205||CC", "EX-1|A|200039204||CC",
            "EX-1|B|247100589||CA", "EX-1|A|200039204||CC", "EX-1|A|210000000||COM"]  # fmt: skip
    given = [(number, dict(zip(header, row.split("|"), strict=True))) for number, row in enumerate(rows, start=2)]
    _, found = territories.read(given, *territories.layout(header))
    assert [(one.line, one.column) for one in found] == [
        (2, "id_ti"), (3, "lib_ti"), (4, "nature_juridique"), (5, "siren_groupement"), (7, "lib_ti"), (8, "siren_groupement"),
        (9, "siren_groupement"),
    ]  # fmt: skip
    assert "200039204" in found[3].text
    assert territories.layout(["code", "name"]) is None


def test_a_list_of_communes_resolves_merged_ones_and_refuses_unknown_ones():
    header = ["id_ti", "lib_ti", "Code Officiel Commune", "Code Officiel EPCI", "geom"]
    rows = ["EX-1|A|71429|247100589|x", "EX-1|A|71076|247100589|x", "EX-1|A|64999||x"]
    given = [(number, dict(zip(header, row.split("|"), strict=True))) for number, row in enumerate(rows, start=2)]
    found, wrong = territories.read(given, *territories.layout(header))
    assert [(one.line, one.column) for one in wrong] == [(4, "Code Officiel Commune")]
    assert found == [Territory("EX-1", "A", frozenset({"71076"}))]


def test_a_new_list_adds_changes_and_ends_from_its_day_and_lists_come_in_order():
    one, two = Territory("1", "Un", frozenset({"64300"})), Territory("2", "Deux", frozenset({"71076"}))
    wider = Territory("1", "Un", frozenset({"64300", "64410"}))
    known = [Version(one, date(2024, 1, 1), None), Version(two, date(2024, 1, 1), None)]
    found = territories.difference(known, [wider, Territory("3", "Trois", frozenset())], date(2027, 1, 1))
    assert ([t.code for t in found.added], [b.code for b, _ in found.changed], [t.code for t in found.ended]) == (
        ["3"],
        ["1"],
        ["2"],
    )
    assert territories.difference(known, [one, two], date(2027, 1, 1)).same == 2
    with pytest.raises(Refused, match="01/01/2024"):
        territories.difference(known, [one], date(2024, 1, 1))


def test_a_commune_in_a_territory_has_its_desk_on_the_lowest_rung():
    territory = Territory("EX-01", "Lacq", frozenset({"200039204"}))
    perimeters = Perimeters([Version(territory, date(2024, 1, 1), date(2027, 1, 1))])
    desk = {
        "code": "ti-EX-01",
        "name": "Territoire d'industrie Lacq",
        "level": "territory",
        "kinds": "territoire-industrie",
        "areas": "TEX-01",
    }
    directory = places.Directory.of([*places.shipped_directory().units.values(), *places.units([desk])])
    topic = places.topic("eau")
    for on, code in ((date(2026, 11, 24), "ti-EX-01"), (date(2027, 1, 1), "epci-200039204")):
        found = directory.ladder(topic, places.place("64300", on, perimeters), AT)
        assert found[0].unit.code == code
    assert (
        "Territoire d'industrie Lacq"
        in directory.ladder(topic, places.place("64300", date(2026, 1, 1), perimeters), AT)[0].reason
    )
