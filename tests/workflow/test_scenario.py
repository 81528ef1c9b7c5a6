"""A story is played in an unused database as if it had happened: the clock acts in between, and no old letter leaves."""

from datetime import timedelta

import pytest

from states.errors import BadInput, Refused
from workflow import scenario
from workflow.scenario import Step
from workflow.vault import Vault


@pytest.fixture
def play(world, tmp_path):
    """Give a function that plays steps, each (hours after the start, who, what, fields), until an opening."""

    def played(*steps, opens):
        made = [Step(world.start + timedelta(hours=h), "64-0001", who, do, args) for h, who, do, args in steps]
        return scenario.play(world.make, made, opens=world.start + timedelta(hours=opens), vault=Vault(tmp_path))

    return played


def test_the_clock_acts_in_time_between_two_acts(world, play):
    keys = play((0, "holder", "submit", world.form), (1, "ref0", "triage", {"to_unit": "u1"}), opens=15 * 24)
    key = keys["64-0001"]
    assert world.row(key).rung == 2, "fourteen days passed: the clock seized the next rung"
    moved = next(event for event in world.events(key) if event.kind == "escalate")
    assert moved.at - world.start == timedelta(days=14, hours=1, microseconds=1), "at the instant, not at the opening"
    assert world.now() == world.start + timedelta(days=15)
    assert world.sound()


def test_no_letter_of_before_the_opening_leaves(world, play):
    play((0, "holder", "submit", world.form), opens=1)
    assert world.value("select count(*) from notices where state = 'queued'") == 0
    assert world.sql("select distinct why from notices") == [(scenario.BEFORE,)]


def test_acts_are_played_in_order_of_time_whatever_their_order_in_the_story(world, play):
    keys = play((1, "ref0", "triage", {"to_unit": "u1"}), (0, "holder", "submit", world.form), opens=2)
    assert world.kinds(keys["64-0001"]) == ["submit", "triage"]


def test_an_act_after_the_opening_is_refused_before_anything_is_written(world, play):
    with pytest.raises(BadInput, match="après l'ouverture"):
        play((3, "holder", "submit", world.form), opens=2)
    assert world.value("select count(*) from dossiers") == 0


def test_a_story_is_not_played_over_other_dossiers(world, play):
    world.submit()
    with pytest.raises(BadInput, match="déjà des dossiers"):
        play((0, "holder", "submit", world.form), opens=2)


def test_an_act_that_is_refused_is_named(world, play):
    with pytest.raises(Refused, match="64-0001") as said:
        play((0, "holder", "submit", world.form), (1, "ref0", "take_back", {"reason": world.reason}), opens=2)
    assert "take_back" in str(said.value)


def test_paused_time_moves_on_stopping_wherever_a_dossier_waits(world):
    (key,) = world.submit()
    scenario.advance(world.make, world.start + timedelta(days=3))
    assert [event.kind for event in world.events(key) if event.kind == "escalate"] == ["escalate"]
    assert world.now() == world.start + timedelta(days=3)
    with pytest.raises(BadInput, match="ne recule pas"):
        scenario.advance(world.make, world.start)
