"""The ladder as a pure function: the most precise area wins, a unit is solicited once, conditions are said in words."""

from datetime import UTC, datetime, timedelta

import pytest

from states.errors import BadInput
from states.ladder import Directory, Place, RungRule, Topic, Unit, holes
from states.topics import parse

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
DAY = timedelta(days=1)
PLACE = Place(
    "01001",
    "Ici",
    (("01001", "a la sienne"), ("200000001", "est membre"), ("01", "est dans l'Ain"), ("*", "")),
    "Mairie d'Ici",
)
TOPIC = Topic(
    "eau", "Eau", "Aide.",
    (
        RungRule("territory", "Territoire", "territory", ("groupe", "mairie"), ("mobilise",)),
        RungRule("instructing", "Service", "service", ("ddt",), ("instruct",), "instruit"),
        RungRule("prefet", "Préfecture", "departement", ("prefecture",), ("decide",)),
        RungRule("region", "Région", "region", ("dreal", "region"), ("mobilise",)),
        RungRule("simplification", "France Simplification", "national", ("fs",), ("arbitrate",), "", ("prefet",), False, True, "ce qui bloque"),
    ),
    (), (), "C. env.", "verified",
)  # fmt: skip


def unit(code, kinds, areas="01", topics="", **given):
    return Unit(
        code, code.upper(), "service", tuple(kinds.split()), tuple(areas.split()), tuple(topics.split()), **given
    )


UNITS = [unit("groupe", "groupe", "200000001"), unit("ddt-01", "ddt"), unit("pref-01", "prefecture"), unit("dreal", "dreal", "*"), unit("fs", "fs", "*")]  # fmt: skip


def ladder(*units, at=AT, place=PLACE, there=None):
    return Directory.of(units).ladder(TOPIC, place, at, there)


def codes(*units, **given):
    return [rung.unit and rung.unit.code for rung in ladder(*units, **given)]


def test_each_rung_has_its_unit_and_says_why():
    found = ladder(*UNITS)
    assert [rung.unit.code for rung in found] == ["groupe", "ddt-01", "pref-01", "dreal", "fs"]
    assert [rung.number for rung in found] == [0, 1, 2, 3, 4]
    assert [rung.reason for rung in found] == [
        "Ici est membre", "Ici est dans l'Ain ; instruit", "Ici est dans l'Ain", "compétence nationale", "compétence nationale",
    ]  # fmt: skip
    assert all(rung.stands for rung in found)


def test_the_most_precise_area_wins_then_the_unit_that_names_the_topic():
    other = unit("ddt-ici", "ddt", "01001")
    assert codes(*UNITS, other)[1] == "ddt-ici"
    assert codes(*UNITS, unit("police-eau", "ddt", "01", "eau"))[1] == "police-eau"
    assert codes(*UNITS, unit("police-bois", "ddt", "01001", "bois"))[1] == "ddt-01"


def test_a_commune_without_a_group_has_its_mairie():
    found = ladder(*UNITS[1:])[0]
    assert (found.unit.code, found.unit.name, found.reason) == ("mairie-01001", "Mairie d'Ici", "Ici a la sienne")
    assert holes(ladder(*UNITS[1:], place=PLACE._replace(townhall=""))) == [0]


def test_a_unit_that_does_the_work_of_two_is_solicited_once_unless_another_can_stand_in():
    deal = unit("deal", "ddt dreal")
    found = ladder(UNITS[0], deal, UNITS[2], UNITS[4])
    assert (found[3].unit.code, found[3].same_as, found[3].stands) == ("deal", 1, False)
    assert "pas d'échelon distinct" in found[3].reason
    assert codes(UNITS[0], deal, UNITS[2], unit("sgar", "region", "*"), UNITS[4])[3] == "sgar"


def test_a_rung_that_nobody_holds_is_a_hole_and_one_where_nobody_is_there_is_a_vacancy():
    found = ladder(*UNITS[:2], *UNITS[3:])
    assert holes(found) == [2]
    assert (found[2].unit, found[2].vacant, found[2].stands) == (None, True, False)
    seen = []
    found = ladder(*UNITS, there=lambda code, at: seen.append((code, at)) or code != "ddt-01")
    assert [rung.number for rung in found if rung.vacant] == [1]
    assert seen == [(one.code, AT) for one in UNITS]


def test_a_unit_counts_between_its_dates_and_the_ladder_remembered_is_not_that_of_another_day():
    old = unit("ddt-old", "ddt", valid_to=AT)
    new = unit("ddt-new", "ddt", valid_from=AT, valid_to=AT + DAY)
    directory = Directory.of([old, new])
    for _ in range(2):
        for at, code in ((AT - DAY, "ddt-old"), (AT, "ddt-new"), (AT + DAY, None)):
            found = directory.ladder(TOPIC, PLACE, at)[1]
            assert (found.unit and found.unit.code) == code


def test_a_document_of_topics_is_refused_with_every_error_at_once():
    rungs = {"instructing": {"label": "Service", "level": "service", "may": ["instruct"]}}
    sound = {
        "label": "Eau",
        "help": "Aide.",
        "basis": "C. env.",
        "confidence": "verified",
        "instructing": {"kinds": ["ddt"]},
    }
    good = {"rungs": rungs, "levers": {}, "topics": {"eau": sound}}
    assert list(parse(good, {"ddt"})) == ["eau"]
    bad = {**sound, "confidence": "sure", "levers": ["magie"], "consulted": ["x"], "color": "red", "help": ""}
    bad["instructing"] = {"kinds": ["dtt"], "may": ["order"], "why": "?"}
    with pytest.raises(BadInput) as refused:
        parse({**good, "topics": {"eau": bad, "air": {**sound, "instructing": {}}}}, {"ddt"})
    assert [problem["place"] for problem in refused.value.problems] == [
        "topics.eau.help", "topics.eau.color", "topics.eau.confidence", "topics.eau.levers", "topics.eau.consulted",
        "topics.eau.instructing.why", "topics.eau.instructing.kinds", "topics.eau.instructing.may",
        "topics.air.instructing.kinds",
    ]  # fmt: skip
    with pytest.raises(BadInput):
        parse([], {"ddt"})
