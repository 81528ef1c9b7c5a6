"""The write path after an error: the connection it leaves behind can be trusted, or is not used again."""

from __future__ import annotations

import psycopg
import pytest

from workflow import dossiers


def test_after_a_write_that_the_database_refused_the_next_acts_find_a_sound_connection(world):
    keys = [world.triaged() for _ in range(6)]
    world.sql(
        "insert into events select dossier_id, seq + 1, at, effective, kind, person_id, unit_id, role, definition_id, shape, "
        "command, facts, effect, null, null, hash from events where dossier_id = :key and seq = 2",
        key=keys[0],
    )
    world.make.kw["bind"].dispose()
    actor = world.actor("ref1")
    for key in keys[1:5]:  # enough for every statement to be prepared
        with world.make.begin() as session:
            dossiers.one(dossiers.act(session, [key], "escalate", actor=actor, args={"reason": world.reason}))
    for _ in range(2):
        with pytest.raises(psycopg.IntegrityError), world.make.begin() as session:
            dossiers.act(session, [keys[0]], "escalate", actor=actor, args={"reason": world.reason})
    with world.make.begin() as session:
        dossiers.one(dossiers.act(session, [keys[5]], "escalate", actor=actor, args={"reason": world.reason}))
    assert world.row(keys[5]).state == "escalated"
