"""The life of a version: a draft, published once, suspended and resumed; and which version a new dossier begins under."""

import copy
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError

from states.errors import BadInput, Refused
from workflow import definitions, dossiers, heartbeats, reconcile, sweep
from workflow.dossiers import Submission


def version(world, number, *, label="Déposé", since="2026-01-01"):
    """The coupe-file in another version, with its meaning changed by a label."""
    data = copy.deepcopy(world.coupe_file)
    data["version"], data["effective"] = str(number), {"from": since}
    data["states"]["submitted"]["label"] = label
    return data


def add(world, data):
    with world.make.begin() as session:
        return definitions.add(session, data).id


def publish(world, key):
    with world.make.begin() as session:
        return definitions.publish(session, key)


def suspend(world, key, why="essai"):
    with world.make.begin() as session:
        definitions.suspend(session, key, why)


def resume(world, key):
    with world.make.begin() as session:
        return definitions.resume(session, key)


def chosen(world, on=None):
    with world.make() as session:
        return definitions.for_submission(session, "coupe-file", on or world.now()).id


def states(world):
    return dict(map(tuple, world.sql("select id, state from definitions")))


# --- publish ----------------------------------------------------------------------------------------------------------


def test_a_draft_is_published_once_and_the_second_time_is_no_change(world):
    key = add(world, version(world, 2))
    assert states(world)[key] == "draft"
    assert publish(world, key) is True
    before = world.sql("select * from definitions")
    assert publish(world, key) is False
    assert add(world, version(world, 2, label=" Déposé  ")) == key
    assert world.sql("select * from definitions") == before


def test_two_contents_never_have_one_published_version_even_when_published_at_once(world, together):
    keys = [add(world, version(world, 2, label=f"Déposé {n}")) for n in range(4)]
    results = together(*[lambda key=key: publish(world, key) for key in keys])
    assert [result for result in results if result is True] == [True]
    refused = [result for result in results if result is not True]
    assert all(isinstance(error, Refused) and error.code == "published" for error in refused)
    assert "version 3" in refused[0].accepted
    assert sorted(states(world).values()) == ["draft", "draft", "draft", "published", "published"]


def test_the_database_itself_refuses_a_second_content_under_a_published_version(world):
    key = add(world, version(world, 2))
    other = add(world, version(world, 2, label="Autre"))
    publish(world, key)
    with pytest.raises(DBAPIError, match="uq_definitions_published"):
        world.sql("update definitions set state = 'published' where id = :key", key=other)


def test_a_published_version_never_goes_back_to_never_published(world):
    with pytest.raises(DBAPIError, match="never changes"):
        world.sql("update definitions set published_at = null")


def test_a_suspended_draft_is_not_published_before_it_is_resumed(world):
    key = add(world, version(world, 2))
    suspend(world, key)
    with pytest.raises(Refused, match="suspendue"):
        publish(world, key)
    assert resume(world, key) is True
    assert states(world)[key] == "draft"
    assert publish(world, key) is True


# --- which version a new dossier begins under -------------------------------------------------------------------------


def test_a_draft_of_a_later_version_is_not_used_while_one_is_published(world):
    add(world, version(world, 2))
    assert chosen(world) == 1


def test_a_draft_is_used_when_nothing_is_published(world):
    world.tamper("update definitions set state = 'draft', published_at = null")
    later = add(world, version(world, 2))
    assert chosen(world) == later


def test_the_latest_published_version_in_effect_on_the_day_is_used(world):
    second, third = add(world, version(world, 2)), add(world, version(world, 3, since="2026-11-01"))
    publish(world, second)
    publish(world, third)
    assert chosen(world) == second
    assert chosen(world, datetime(2026, 11, 1, tzinfo=UTC)) == third


def test_a_version_not_yet_in_effect_leaves_the_draft_in_use_until_its_day(world):
    world.tamper("update definitions set state = 'draft', published_at = null")
    publish(world, add(world, version(world, 2, since="2026-11-01")))
    assert chosen(world) == 1
    assert chosen(world, datetime(2026, 11, 1, tzinfo=UTC)) == 2


def test_before_any_version_is_in_effect_a_submission_is_refused_with_those_that_exist(world):
    with pytest.raises(BadInput, match="en vigueur"):
        chosen(world, datetime(2025, 12, 31, tzinfo=UTC))


def test_a_submission_is_refused_rather_than_begin_under_an_older_version_than_the_suspended_one(world):
    second = add(world, version(world, 2))
    publish(world, second)
    suspend(world, second, "une erreur dans les délais")
    with pytest.raises(Refused, match="une erreur dans les délais") as refusal:
        world.submit()
    assert "coupe-file workflow resume coupe-file@2" in refusal.value.accepted
    assert world.sql("select * from dossiers") == []
    third = add(world, version(world, 3))
    publish(world, third)
    assert world.row(world.submit()[0]).definition_id == third


def test_a_suspended_version_that_would_not_have_been_chosen_stops_no_submission(world):
    publish(world, add(world, version(world, 2)))
    suspend(world, 1)
    assert world.row(world.submit()[0]).definition_id == 2


# --- suspended --------------------------------------------------------------------------------------------------------


def test_under_a_suspended_version_clocks_stand_still_people_act_and_resuming_catches_up(world):
    late, acted = world.submit(2)
    suspend(world, 1)
    world.jump(days=3)
    assert world.sweep() == sweep.Swept()
    assert world.kinds(late) == ["submit"]
    world.act(acted, "assign", to_user="ref0")
    assert "assign" in world.kinds(acted)
    with world.make.begin() as session:
        heartbeats.beat(session, "tick")
        assert "définitions suspendues" in reconcile.health(session).red
    assert resume(world, 1) is True
    assert resume(world, 1) is False
    assert states(world) == {1: "published"}
    world.sweep()
    assert world.kinds(late)[1:3] == ["clock.breach", "clock.lapse"]
    assert "escalate" in world.kinds(late)
    with world.make() as session:
        assert "définitions suspendues" not in reconcile.health(session).red
    assert world.sound()


def test_a_dossier_set_aside_is_not_tried_again_while_its_version_is_suspended(world):
    (key,) = world.submit()
    world.sql("insert into stuck (dossier_id, error, retry_at) values (:key, 'x', clock_timestamp())", key=key)
    world.sql("update dossiers set stuck = true where id = :key", key=key)
    world.jump(days=3)
    suspend(world, 1)
    assert world.sweep() == sweep.Swept()
    assert sweep.retry_one(world.make, key) == sweep.Swept()
    assert world.row(key).stuck
    resume(world, 1)
    world.sweep()
    assert not world.row(key).stuck
    assert "escalate" in world.kinds(key)


def test_a_submission_of_record_follows_the_version_of_its_own_date(world):
    publish(world, add(world, version(world, 2, since="2026-06-01")))
    with world.make.begin() as session:
        wanted = [Submission(world.form, at=world.start - timedelta(days=days)) for days in (1, 150)]
        made = dossiers.submit(session, wanted, actor=world.actor("holder"))
    assert [world.row(one.dossier_id).definition_id for one in made] == [2, 1]
