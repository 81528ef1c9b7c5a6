"""The write path after an error: the connection it leaves behind can be trusted, or is not used again."""

from __future__ import annotations

import psycopg
import pytest

from workflow import apply, dossiers, schema


@pytest.mark.parametrize("before", range(5))
def test_after_a_write_that_the_database_refused_the_next_acts_find_a_sound_connection(world, before):
    """Whichever act is the one at which a statement would have been prepared."""
    keys = [world.triaged() for _ in range(before + 5)]
    world.sql(
        "insert into events select dossier_id, seq + 1, at, effective, kind, person_id, unit_id, role, definition_id, shape, "
        "command, facts, effect, null, null, hash from events where dossier_id = :key and seq = 2",
        key=keys[0],
    )
    world.make.kw["bind"].dispose()
    actor = world.actor("ref1")

    def escalate(key):
        with world.make.begin() as session:
            dossiers.one(dossiers.act(session, [key], "escalate", actor=actor, args={"reason": world.reason}))

    for key in keys[1 : before + 1]:
        escalate(key)
    with pytest.raises(psycopg.IntegrityError):
        escalate(keys[0])
    for key in keys[before + 1 :]:
        escalate(key)
    assert {world.row(key).state for key in keys[1:]} == {"escalated"}


def test_many_are_asked_at_once_of_a_process_that_has_read_nothing_yet_and_then_asked_again(thousand):
    """What is looked up on the way (definition, directory, what was sent before) is read amid what is being written."""
    keys = list(range(1, 2 * apply.SLICE + 2))
    thousand.make.kw["bind"].dispose()
    actor = thousand.actor("ref0")

    def triage():
        engine = thousand.another()
        with schema.sessions(engine).begin() as session:
            results = dossiers.act(session, keys, "triage", actor=actor, args={"to_unit": "u1"}, idem="once")
        engine.dispose()
        return results

    first, again = triage(), triage()
    assert {(one.error, one.state, one.repeated) for one in first} == {(None, "triaged", False)}
    assert {(one.error, one.state, one.repeated) for one in again} == {(None, "triaged", True)}
    assert [one.dossier_id for one in first] == keys
    assert thousand.sound()
