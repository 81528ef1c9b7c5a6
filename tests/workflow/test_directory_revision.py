"""The administrations of a database are read again by the process that holds them, when somebody changes them."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from config.administrations import shipped
from workflow import directory, directory_file, places, schema

AT = datetime(2026, 11, 24, 4, tzinfo=UTC)


@pytest.fixture
def engine(database):
    """Give an engine on an empty, migrated database."""
    made = schema.engine(database)
    yield made
    made.dispose()


def first_rungs(engine):
    with Session(engine) as session:
        found = directory.administrations(session)
        if found is None:
            return None
        ladder = found.directory.ladder(places.topic("eau"), places.place("64300"), AT, found.there)
        return [(rung.unit and rung.unit.name, rung.vacant) for rung in ladder[:2]]


def test_a_process_answers_from_memory_until_the_directory_changes_and_then_anew_without_a_restart(engine):
    assert first_rungs(engine) is None
    with Session(engine) as session, session.begin():
        directory_file.write(session, {"units": shipped.units()})
    assert first_rungs(engine) == [("CC de Lacq-Orthez", True), ("DDTM des Pyrénées-Atlantiques", True)]
    with Session(engine) as session:
        assert directory.administrations(session) is directory.administrations(session)
    with Session(engine) as session, session.begin():
        session.execute(text("update units set name = 'La DDTM' where code = 'ddtm-64'"))
        session.execute(text("insert into persons (login, name) values ('x', 'X')"))
        session.execute(
            text(
                "insert into memberships (person_id, unit_id, role) select p.id, u.id, 'head' from persons p, units u where u.code = 'ddtm-64'"
            )
        )
    assert first_rungs(engine) == [("CC de Lacq-Orthez", True), ("La DDTM", False)]
