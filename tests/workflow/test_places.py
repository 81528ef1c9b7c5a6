"""Who is competent where: every commune and every topic, then the places that a simple rule gets wrong. No database."""

from datetime import UTC, datetime

import pytest

from cli import shipped as definitions
from config.geography.france import france
from states.errors import BadInput
from states.ladder import Directory, holes
from workflow import places

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)
DIRECTORY, TOPICS = places.shipped_directory(), places.known_topics()


def ladder(topic, commune):
    return DIRECTORY.ladder(TOPICS[topic], places.place(commune), AT)


def units(topic, commune):
    """The codes of the units of a ladder that are solicited, lowest rung first."""
    return [rung.unit.code for rung in ladder(topic, commune) if rung.stands]


def test_every_commune_has_for_every_topic_a_ladder_without_a_hole_up_to_the_national_rung():
    """Communes of one sort have the same ladder, but for the names of their own group and mairie: one of each is asked."""
    sorts = places.alike(DIRECTORY)
    assert sum(count for _, count in sorts) == len(france())
    assert len(sorts) > 350
    for code, _ in sorts:
        for topic in TOPICS.values():
            found = DIRECTORY.ladder(topic, places.place(code), AT)
            assert holes(found) == [], (topic.name, code)
            assert [rung.number for rung in found] == list(range(7))
            assert [rung.stands for rung in found[5:]] == [True, True]
            if not code.startswith(("97", "98")):
                assert [rung.stands for rung in found[2:4]] == [True, True], (topic.name, code)


def test_a_kind_without_a_unit_is_a_hole_in_every_commune_where_it_stood():
    fewer = Directory.of(unit for unit in DIRECTORY.units.values() if unit.code not in ("ddt-01", "dgpr"))
    found = places.holes(fewer, AT)
    assert {hole.topic for hole in found if hole.rung == "Administration centrale"} >= {
        "autorisation-environnementale",
        "icpe",
    }
    assert {hole.commune[:2] for hole in found if hole.topic == "eau"} == {"01"}
    assert sum(hole.alike for hole in found if hole.topic == "eau") == sum(
        code.startswith("01") for code in france().codes()
    )


def test_the_rungs_are_those_of_the_shipped_definition():
    rules = definitions.own().ladder
    for topic in TOPICS.values():
        assert [(rung.rung, rung.level) for rung in topic.rungs] == [(rule.rung, rule.level) for rule in rules]
        assert [(rung.only_by, rung.auto) for rung in topic.rungs] == [
            (tuple(rule.only_by), rule.auto) for rule in rules
        ]


def test_every_topic_tells_a_holder_in_plain_french_what_it_is():
    for topic in TOPICS.values():
        assert 5 < len(topic.label) <= 80
        assert 30 < len(topic.help) <= 200
        assert topic.help.endswith(".")
    assert len({topic.label for topic in TOPICS.values()}) == len(TOPICS)


def test_lacq_grid_connection_operator_then_departement_region_and_energy_directorate():
    found = ladder("raccordement", "64300")
    assert units("raccordement", "64300") == [
        "epci-200039204", "rte-raccordement", "prefecture-64-sg", "prefecture-64", "dreal-nouvelle-aquitaine", "dgec",
        "france-simplification",
    ]  # fmt: skip
    assert "n'a pas de sous-préfecture : le secrétaire général" in found[2].reason
    assert "décision relève du contrôle de la CRE" in found[1].reason
    assert all("decide" not in rung.rule.may for rung in found[2:])  # nobody orders RTE
    assert any("CoRDiS" in lever.title and lever.by == "holder" for lever in TOPICS["raccordement"].levers)


def test_chalon_higher_education_rectorat_before_the_ministry():
    found = units("enseignement-superieur", "71076")
    assert found[1:6] == [
        "rectorat-dijon", "sp-chalon-sur-saone", "prefecture-71", "region-academique-bourgogne-franche-comte", "dgesip",
    ]  # fmt: skip


def test_rochefort_housing_and_mobility():
    assert units("logement", "17299")[1:4] == ["ddtm-17", "sp-rochefort", "prefecture-17"]
    assert units("mobilite", "17299")[:3] == ["mairie-17299", "epci-200041762", "sp-rochefort"]
    assert units("mobilite", "17299")[-2:] == ["dgitm", "france-simplification"]


def test_paris_has_its_city_its_prefet_de_police_and_no_sous_prefecture():
    assert units("autorisation-environnementale", "75056")[:5] == [
        "ville-de-paris", "ud-drieat-75", "prefecture-75-sg", "prefecture-de-police", "drieat-ile-de-france",
    ]  # fmt: skip
    assert units("logement", "75056")[1:4] == ["drihl-ile-de-france", "prefecture-75-sg", "prefecture-75"]
    assert units("emploi", "75056")[1] == "ud-drieets-75"


def test_greater_paris_has_its_territorial_establishments_and_regional_directions():
    assert units("eau", "93066")[:3] == ["epci-200057867", "ud-drieat-93", "sp-saint-denis"]
    assert units("eau", "77288")[1] == "ddt-77"  # the outer ring keeps its DDT


def test_lyon_has_its_metropole_and_its_mairie():
    assert units("permis-de-construire", "69123")[:4] == [
        "epci-200046977",
        "mairie-69123",
        "prefecture-69-sg",
        "prefecture-69",
    ]
    assert units("autorisation-environnementale", "69123")[4] == "dreal-auvergne-rhone-alpes"


def test_corsica_has_its_own_network_operator_and_region():
    assert units("raccordement", "2A004")[1] == "edf-sei"
    assert units("eau", "2B033")[1:5] == ["ddt-2B", "prefecture-2B-sg", "prefecture-2B", "dreal-corse"]
    assert units("enseignement-superieur", "2B033")[1] == "rectorat-corse"


@pytest.mark.parametrize(
    ("commune", "environment", "work", "region"),
    [
        ("97105", "deal-971", "deets-971", "sgar-guadeloupe"),
        ("97209", "deal-972", "deets-972", "sgar-martinique"),
        ("97302", "dgtm-973", "dgcopop-973", "sgar-guyane"),
        ("97407", "deal-974", "deets-974", "sgar-la-reunion"),
        ("97611", "dealm-976", "deets-976", "sgar-mayotte"),
    ],
)
def test_overseas_one_direction_does_the_work_of_several_and_is_solicited_once(commune, environment, work, region):
    found = units("autorisation-environnementale", commune)
    assert (found[1], found[4]) == (environment, region)
    assert units("emploi", commune)[1] == work
    assert units("raccordement", commune)[1] == ("edm-976" if commune == "97611" else "edf-sei")


def test_mayotte_has_no_arrondissement_and_its_secretary_general_holds_the_rung():
    found = ladder("eau", "97611")[2]
    assert (found.unit.code, "pas divisée en arrondissements" in found.reason) == ("prefecture-976-sg", True)


def test_the_northern_islands_have_their_prefet_delegue_and_the_directions_of_guadeloupe():
    for commune in ("97701", "97801"):
        assert units("eau", commune)[1:4] == ["deal-971", "prefecture-977-978-sg", "prefecture-977-978"]
        assert units("eau", commune)[0] == f"collectivite-{commune[:3]}"


def test_saint_pierre_et_miquelon_wallis_polynesia_and_caledonia_reach_the_national_rung_under_their_own_names():
    assert units("eau", "97502")[1:4] == ["dtam-975", "prefecture-975-sg", "prefecture-975"]
    assert units("enseignement-superieur", "98613")[1] == "vice-rectorat-986"
    assert units("eau", "98735")[1:5] == ["pays-987", "haut-commissariat-987-sg", "haut-commissariat-987", "dgom"]
    assert units("eau", "98818")[1] == "pays-988"
    assert units("eau", "98901")[-1] == "france-simplification"


def test_a_commune_without_a_group_begins_at_its_mairie():
    alone = [one.code for one in france().communes() if not one.epci]
    assert len(alone) == 98
    assert units("eau", "22016")[0] == "mairie-22016"  # Île-de-Bréhat
    assert ladder("urbanisme", "22016")[1].same_as == 0


def test_two_communes_of_one_group_that_straddles_departements_go_each_to_its_own_prefet():
    sides = {}
    for commune in france().communes():
        sides.setdefault(commune.epci, {}).setdefault(commune.departement, commune.code)
    straddling = {epci: codes for epci, codes in sides.items() if epci and len(codes) > 1}
    assert len(straddling) == 89
    for epci, codes in straddling.items():
        for departement, code in codes.items():
            found = units("eau", code)
            assert found[3] == f"prefecture-{departement}"
            assert found[0] == f"epci-{epci}" or epci == "200054781"  # Greater Paris: its establishments, and the city


def test_some_inspectors_act_outside_their_departement():
    assert units("icpe", "13108")[1:4] == ["ud-dreal-84", "sp-arles", "prefecture-13"]  # Tarascon
    assert units("icpe", "13055")[1] == "ud-dreal-13"
    assert units("icpe", "05061")[1] == "ud-dreal-04"
    assert units("icpe", "43157")[1] == "ud-dreal-42"


def test_contradictory_rules_are_heard_in_the_prefecture_before_the_prefet_decides():
    found = ladder("regles-contradictoires", "18279")
    assert [rung.unit.code for rung in found if rung.stands][1:4] == ["dcppat-18", "sp-vierzon", "prefecture-18"]
    assert "decide" in found[3].rule.may


def test_archaeology_is_decided_by_the_prefet_de_region():
    found = ladder("archeologie", "51043")
    assert [rung.number for rung in found if "decide" in rung.rule.may] == [4]
    assert found[1].unit.code == "sra-grand-est"


def test_a_small_departement_has_one_direction_where_others_have_two():
    assert units("icpe-elevage-agroalimentaire", "23096")[1] == units("emploi", "23096")[1] == "ddetspp-23"
    assert units("icpe-elevage-agroalimentaire", "64300")[1] == "ddpp-64"
    assert units("emploi", "64300")[1] == "ddets-64"


def test_services_consulted_are_those_of_the_place_and_the_european_contact_point_is_empty_until_it_is_given():
    found = dict(DIRECTORY.consulted(TOPICS["nzia"], places.place("68063"), AT))
    assert found["point-contact-ue"] is None
    assert found["mrae"].code == "mrae-grand-est"
    assert dict(DIRECTORY.consulted(TOPICS["foncier"], places.place("76351"), AT))["port"].code == "haropa"
    assert dict(DIRECTORY.consulted(TOPICS["foncier"], places.place("64300"), AT))["port"] is None


def test_a_commune_or_a_topic_that_is_not_one_is_answered_with_the_right_ones():
    with pytest.raises(BadInput, match="commune fusionnée") as refused:
        places.place("71429")
    assert refused.value.accepted == "71076 Chalon-sur-Saône"
    with pytest.raises(BadInput) as refused:
        places.topic("racordement")
    assert refused.value.accepted.startswith("raccordement")
