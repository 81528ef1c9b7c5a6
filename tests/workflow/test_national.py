"""Dossiers on the ladder of the administrations of France: one rung for each that is distinct, a mairie when one is needed."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from cli import shipped
from config.administrations import shipped as administrations
from states.errors import BadInput
from tests.conftest import copied
from tests.workflow.conftest import World, kept
from workflow import access, almanac, business_time, consultations, directory, directory_file, dossiers, schema

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
PEOPLE = [
    {"login": "holder", "name": "Porteuse", "mail": "holder@x.example"},
    {"login": "rte", "name": "Référent", "mail": "rte@x.example"},
]
SEATS = [{"login": "holder", "role": "holder"}, {"login": "rte", "unit": "rte-raccordement", "role": "referent"}]


def filled(url, engine):
    """Every administration of France, almost nobody in them, and the shipped definitions."""
    made = World(url, engine)
    sheets = {"people": list(enumerate(PEOPLE, 2)), "memberships": list(enumerate(SEATS, 2))}
    with made.make.begin() as session:
        business_time.start_at(session, AT)
        almanac.keep_shipped(session)
        shipped.keep_missing(session)
        directory_file.write(session, {"units": administrations.units(), **sheets})


@pytest.fixture(scope="module")
def france(postgres, template_database):
    """Give the name of such a database, to copy from."""
    return kept(postgres, "france", template_database, filled)


@pytest.fixture
def world(postgres, france):
    """Give a world of the test's own."""
    with copied(postgres, france) as url:
        engine = schema.engine(url, pool_size=5)
        yield World(url, engine)
        engine.dispose()


def units(world, topic, commune):
    """The code on each rung as a decision sees it; "" where the row is not made yet."""
    codes = dict(world.sql("select id, code from units"))
    with Session(world.engine) as session:
        context = directory.ladder_context(session, {"topic": topic, "commune": commune}, AT)
    return [(rung.index, codes.get(rung.unit, ""), rung.staffed) for rung in context.rungs]


def test_the_rungs_of_a_dossier_are_those_of_its_topic_and_who_is_there_is_known(world):
    assert units(world, "raccordement", "64300") == [
        (0, "epci-200039204", False),
        (1, "rte-raccordement", True),
        (2, "prefecture-64-sg", False),
        (3, "prefecture-64", False),
        (4, "dreal-nouvelle-aquitaine", False),
        (5, "dgec", False),
        (6, "france-simplification", False),
    ]


def test_an_administration_that_does_the_work_of_two_rungs_stands_on_the_lower_one_alone(world):
    rungs = units(world, "eau", "97502")  # Saint-Pierre: one direction for the department and the region
    codes = [code for _, code, _ in rungs]
    assert len(codes) == len(set(codes))
    assert [index for index, _, _ in rungs] != list(range(7))


def test_a_mairie_has_a_row_once_a_dossier_needs_it_with_the_hours_of_its_prefecture(world):
    assert (1, "", False) in units(world, "permis-de-construire", "97407")
    (key,) = world.submit(topic="permis-de-construire", commune="97407")
    assert world.sql("select name, zone, calendar, kinds from units where code = 'mairie-97407'") == [
        ("Mairie du Port", "Indian/Reunion", "974", None)
    ]
    assert (1, "mairie-97407", False) in units(world, "permis-de-construire", "97407")
    assert world.value("select name from communes where code = '97407'") == "Le Port"
    world.submit(topic="permis-de-construire", commune="97407")
    assert world.value("select count(*) from units where code like 'mairie-974%'") == 1
    assert world.events(key)[0].facts["staffed"] is False
    assert world.sound()


def test_a_mairie_of_a_submission_that_failed_leaves_nothing_behind_in_memory_either(world):
    with world.make() as session:
        directory.keep_places(session, [{"topic": "permis-de-construire", "commune": "97407"}], AT)
        assert directory.administrations(session).keys["mairie-97407"]
        session.rollback()
    world.sql("update units set note = 'une autre révision' where code = 'ddt-01'")
    assert (1, "", False) in units(world, "permis-de-construire", "97407")


def test_a_commune_that_merged_is_refused_with_the_right_one_and_a_topic_with_those_near(world):
    with pytest.raises(BadInput) as said:
        world.submit(topic="eau", commune="71429")
    assert (said.value.field, "71076" in said.value.accepted) == ("commune", True)
    with pytest.raises(BadInput) as said:
        world.submit(topic="raccord", commune="64300")
    assert (said.value.field, "raccordement" in said.value.accepted) == ("topic", True)


def test_the_services_that_a_topic_consults_are_proposed_and_a_mairie_among_them_counts_its_own_days(world):
    (key,) = world.submit(topic="icpe", commune="97407")
    row = world.row(key)
    with world.make() as session:
        proposed = {kind: code for code, _, kind in consultations.usual(session, row.data, AT)}
    assert proposed["mairie"] == "mairie-97407"
    assert world.value("select count(*) from units where code = any(:codes)", codes=list(proposed.values())) == len(
        proposed
    )
    unit = world.value("select code from units where id = :id", id=row.unit_id)
    world.sql("insert into memberships (person_id, unit_id, role) values (2, :unit, 'referent')", unit=row.unit_id)
    args = {"consulted": "mairie-97407", "question": "Le terrain est-il en zone d'activités ?", "days": "5"}
    with world.make.begin() as session:
        asking = access.actor(session, f"rte@{unit}", AT)
        (done,) = dossiers.act(session, [key], "consult", actor=asking, args=args)
    assert done.error is None
    request = world.row(key + 1)
    assert request.due_at.astimezone(ZoneInfo("Indian/Reunion")).isoformat() == "2026-12-01T18:00:00+04:00"
    assert world.events(key + 1)[0].facts["staffed"] is False  # nobody is there: a vacancy, which is told
    assert world.sound()
