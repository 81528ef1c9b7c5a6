"""The places of France: what a person writes is found, and a code that is no commune today is answered with the right one."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.geography import france as module
from config.geography.france import departement_of, france, joined
from config.geography.search import UnknownPlaceError, commune, find, fold, today

KNOWN = france()


def test_the_divisions_are_those_of_2026_and_every_code_leads_somewhere():
    assert (KNOWN.year, len(KNOWN), len(KNOWN.arrondissements), len(KNOWN.departements)) == (2026, 34_969, 333, 109)
    assert sum(group.nature != "EPT" for group in KNOWN.groups.values()) == 1_255
    for one in KNOWN.communes():
        assert one.departement == departement_of(one.code)
        assert one.region in KNOWN.regions
        assert not one.arrondissement or KNOWN.arrondissements[one.arrondissement].within == one.departement
        assert not one.epci or one.epci in KNOWN.groups
    assert {part.today for parts in KNOWN.former.values() for part in parts} - set(KNOWN.codes()) == set()


def test_a_third_of_the_communes_lie_in_the_arrondissement_of_their_prefecture():
    seats = {KNOWN[area.seat].arrondissement for area in KNOWN.departements.values() if area.seat in KNOWN} - {""}
    inside = [one for one in KNOWN.communes() if one.arrondissement in seats]
    assert len(inside) == 11_589
    assert KNOWN["64300"] in inside


def test_the_file_packed_twice_is_the_same_text(tmp_path):
    text = gzip.decompress(module.FILE.read_bytes()).decode()
    assert module.read(text) == module.read(text)
    assert module.FILE.read_bytes()[4:8] == b"\0\0\0\0"  # no time of packing


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("lacq", "64300"), ("LACQ", "64300"), ("Chalon sur Saone", "71076"), ("chalon-sur-saône", "71076"),
        ("st denis 93", "93066"), ("Saint-Denis (974)", "97411"), ("ste maxime", "83115"), ("havre", "76351"),
        ("Le Havre", "76351"), ("l’haÿ les roses", "94038"), ("oeuf en ternois", "62633"), ("evry courc", "91228"),
        ("rochfort", "17299"), ("arbignieu", "01015"), ("paris 12", "75056"), ("75112", "75056"), ("75001", "75056"),
        ("2a004", "2A004"), ("64541", "64300"), ("97600", "97611"), ("Saint Die des Vosges", "88413"), ("romaneche", "71372"),
    ],
)  # fmt: skip
def test_the_best_match_of_what_a_person_writes_is_the_commune_that_they_mean(written, code):
    assert find(written)[0].commune.code == code


def test_a_postal_code_gives_every_commune_that_has_it_the_most_populous_first_after_the_insee_code_itself():
    found = [match.commune.code for match in find("64170", most=50)]
    assert found[0] == "64170"  # Castagnède: the INSEE code
    assert "64300" in found[1:]
    assert all("64170" in KNOWN[code].postal for code in found[1:])
    people = [KNOWN[code].population for code in found[1:]]
    assert people == sorted(people, reverse=True)


@pytest.mark.parametrize("written", ["", "   ", "-", "'", "zzzzzzzz", "x" * 5_000, "64300" * 20, "\x00", "١٢٣٤٥"])
def test_what_names_no_commune_finds_none_and_breaks_nothing(written):
    assert find(written) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.integers(1, 20))
def test_whatever_is_written_finds_communes_each_once_and_no_more_than_asked(written, most):
    found = [match.commune.code for match in find(written, most=most)]
    assert len(found) <= most
    assert len(set(found)) == len(found)
    assert all(code in KNOWN for code in found)
    assert find(f"  {written}  ", most=most) == find(written, most=most)


def test_every_commune_is_found_first_or_beside_its_namesakes_by_its_own_name():
    for code in list(KNOWN.codes())[::701]:
        name = KNOWN[code].name
        found = find(name, most=200)
        assert code in [match.commune.code for match in found]
        assert fold(found[0].commune.name) == fold(name)


def test_a_code_that_is_no_commune_today_says_what_it_became():
    with pytest.raises(UnknownPlaceError, match="commune fusionnée") as refused:
        commune("71429")
    assert [match.commune.code for match in refused.value.matches] == ["71076"]
    with pytest.raises(UnknownPlaceError, match=r"Urdès \(64541\) est une commune déléguée") as refused:
        commune("64541")
    assert [match.shown for match in refused.value.matches] == ["64300 Lacq"]
    with pytest.raises(UnknownPlaceError, match="arrondissement municipal"):
        commune("69383")
    assert [today(code).code for code in ("71429", "64541", "69383", "64300")] == ["71076", "64300", "69123", "64300"]


def test_a_code_that_never_was_one_is_answered_with_those_that_come_near():
    with pytest.raises(UnknownPlaceError, match="64999") as refused:
        commune("64999")
    assert {match.commune.departement for match in refused.value.matches} == {"64"}
    for code in ("", "abcde", "6430", "643000", "９７４"):
        with pytest.raises(UnknownPlaceError):
            today(code)


def test_names_are_joined_as_they_are_said():
    assert [joined("Ain", 5), joined("Cher", 2), joined("Landes", 4), joined("Saône-et-Loire", 0)] == [
        "de l'Ain", "du Cher", "des Landes", "de Saône-et-Loire",
    ]  # fmt: skip
    assert [KNOWN[code].of for code in ("76351", "85194", "97411", "64430")] == [
        "du Havre", "des Sables-d'Olonne", "de Saint-Denis", "d'Orthez",
    ]  # fmt: skip
