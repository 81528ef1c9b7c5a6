"""The shipped directory is what the rules give, and the truths that a rule of one per département gets wrong stand in it."""

import csv
from pathlib import Path

import pytest

import config
from config import holidays
from config.administrations import shipped
from config.administrations.derive import RuleError, derived, rules, written
from config.geography.france import france

UNITS = {cells["code"]: cells for _, cells in shipped.units()}


def test_the_shipped_units_are_those_that_the_rules_give():
    assert shipped.FILE.read_text(encoding="utf-8") == written(derived(rules(), france()))


def test_an_exception_for_a_unit_that_no_rule_gives_is_refused():
    given = dict(rules())
    given["exceptions"] = [{"unit": "ddt-99", "name": "DDT"}]
    with pytest.raises(RuleError, match="ddt-99"):
        derived(given, france())


def test_there_is_no_sous_prefecture_where_the_prefecture_is():
    seats = {
        f"A{france()[area.seat].arrondissement}" for area in france().departements.values() if area.seat in france()
    }
    held = {cells["areas"]: code for code, cells in UNITS.items() if cells["kinds"] == "sous-prefecture"}
    assert {held[area] for area in seats if area in held} == {code for code in held.values() if code.endswith("-sg")} - {
        "prefecture-975-sg", "prefecture-976-sg", "prefecture-977-978-sg", "haut-commissariat-987-sg", "haut-commissariat-988-sg",
    }  # fmt: skip
    assert sum(code.startswith("sp-") for code in UNITS) == 333 - 100
    assert "sp-pau" not in UNITS
    assert UNITS["prefecture-64-sg"]["areas"] == "A643"


def test_small_departements_have_one_direction_for_employment_and_the_protection_of_populations():
    merged = {code.removeprefix("ddetspp-") for code in UNITS if code.startswith("ddetspp-")}
    assert {"23", "40", "51", "68", "2A"} <= merged
    assert not {"13", "17", "64", "71"} & merged
    for number in france().departements:
        assert (f"ddets-{number}" in UNITS) + (f"ddetspp-{number}" in UNITS) <= 1


def test_what_is_said_to_be_verified_names_its_source_and_no_address_is_a_real_one():
    sources = rules()["sources"]
    assert {cells["source"] for cells in UNITS.values()} <= set(sources)
    assert [
        code for code, cells in UNITS.items() if cells["source"] == "usage" and cells["confidence"] == "verified"
    ] == []
    assert {cells["mailbox"].partition("@")[2] for cells in UNITS.values()} == {"administration.example"}
    fiction = ("01 99 00", "02 61 91", "03 53 01", "04 65 71", "05 36 49")
    assert [cells["code"] for cells in UNITS.values() if not cells["telephone"].startswith(fiction)] == []
    assert len({cells["telephone"] for cells in UNITS.values()}) == len(UNITS)


def test_each_unit_keeps_the_holidays_of_where_it_sits():
    assert {cells["calendar"] for cells in UNITS.values()} == set(holidays.ZONES)
    of = {code: cells["calendar"] for code, cells in UNITS.items()}
    assert (
        of["ddt-67"] == of["sp-sarreguemines"] == of["sgar-grand-est"] == of["rectorat-strasbourg"] == "alsace-moselle"
    )
    assert (of["ddt-51"], of["deal-974"], of["taaf"], of["prefecture-977-978"]) == ("metropole", "974", "974", "978")


def test_the_sample_s_administrations_are_the_shipped_ones_but_for_its_territories_desks():
    with (Path(config.__file__).parent / "sample" / "units.csv").open(encoding="utf-8", newline="") as file:
        sample = {row["code"]: row for row in csv.DictReader(file)}
    told = ("name", "level", "mailbox", "telephone")
    assert {code for code in sample if code not in UNITS} == {code for code in sample if code.startswith("guichet-")}
    assert [
        code for code in sample if code in UNITS and any(sample[code][name] != UNITS[code][name] for name in told)
    ] == []
