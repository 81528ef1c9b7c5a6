"""What-if: the same definition changes nothing, another one says what it would have changed, and nothing is written."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest

from states.definition import parse
from states.errors import BadInput
from states.machine import Compiled
from workflow import whatif


def other(world, **change):
    data = copy.deepcopy(world.coupe_file)
    data["version"] = 2
    for name, days in change.items():
        data["clocks"][name]["length"] = {"elapsed_days": days}
    return data


@pytest.fixture
def lived(world):
    """Four dossiers, the clock always on time: triaged, held, left to the clock, resolved and opened again."""
    keys = world.submit(4)
    world.jump(hours=5)
    for key in keys[:3]:
        world.act(key, "triage", to_unit="u1")
    term = (world.now() + timedelta(days=6)).isoformat()
    world.act(keys[1], "hold", "ref1", motive="piece_required", reason=world.reason, answer_by=term)
    end = world.now() + timedelta(days=25)
    while (wakes := world.value("select min(wake_at) from dossiers")) < end:
        world.freeze(max(wakes + timedelta(microseconds=1), world.now()))
        world.sweep()
    world.freeze(end)
    world.resolve(keys[2], f"ref{world.row(keys[2]).rung}")
    world.jump(hours=1)
    world.act(keys[2], "reopen", "holder", reason=world.reason)
    return world


def numbers(side):
    return dict(side.breaches), dict(side.reminders), side.escalations, side.by_clock, side.resolved


def test_the_same_definition_would_have_changed_nothing(lived):
    before = lived.value("select count(*) from events")
    found = whatif.run(lived.make, Compiled(parse(copy.deepcopy(lived.coupe_file))))
    assert numbers(found.was) == numbers(found.would)
    assert found.was.escalations > 3
    assert (found.dossiers, found.changed, found.events) == (4, 0, before)
    assert found.refused == {}
    assert {party: counted["dossiers"] for party, counted in found.was.load.items()} == {
        party: counted["dossiers"] for party, counted in found.would.load.items()
    }
    assert lived.value("select count(*) from events") == before


def test_a_longer_promise_is_broken_less_and_a_shorter_one_more(lived):
    longer = whatif.run(lived.make, Compiled(parse(other(lived, triage=9, rung=80))))
    assert longer.would.escalations < longer.was.escalations
    assert sum(longer.would.breaches.values()) < sum(longer.was.breaches.values())
    assert longer.changed > 0
    shorter = whatif.run(lived.make, Compiled(parse(other(lived, rung=3))), chunk=1)
    assert shorter.would.escalations > shorter.was.escalations
    assert shorter.dossiers == 4


def test_a_definition_that_does_not_map_an_old_state_is_refused_with_what_to_map(lived):
    data = other(lived)
    data["states"]["sorted"] = data["states"].pop("triaged")
    for trigger in data["triggers"]:
        trigger["from"] = [
            "sorted" if one == "triaged" else one
            for one in ([trigger["from"]] if isinstance(trigger["from"], str) else trigger["from"])
        ]
        trigger["to"] = "sorted" if trigger["to"] == "triaged" else trigger["to"]
    compiled = Compiled(parse(data))
    with pytest.raises(BadInput) as refused:
        whatif.run(lived.make, compiled)
    assert refused.value.field == "--map-state"
    assert "triaged=" in refused.value.accepted
    assert whatif.run(lived.make, compiled, states={"triaged": "sorted"}).changed == 0


def test_an_act_that_would_have_been_refused_is_counted(lived):
    data = other(lived)
    data["triggers"] = [one for one in data["triggers"] if one["name"] != "reopen"]
    for clock in data["clocks"].values():
        clock["start"]["when"] = [one for one in clock["start"]["when"] if one != "reopen"]
    found = whatif.run(lived.make, Compiled(parse(data)))
    assert sum(found.refused.values()) == 1
    assert next(iter(found.refused))[0] == "reopen"
