"""The counters: kept with each reaction, equal to the journal whatever happens, and proved to be."""

from __future__ import annotations

import copy
from datetime import timedelta

from states import report as figures
from states.dossier import SYSTEM
from workflow import counters, definitions, migration, reactions, report, texts
from workflow.report import Asked


def differences(world):
    return [one.text for _, found in counters.verify(world.make) for one in found]


def agrees(world):
    """The counters say what the report reckons from the journal, and the proof finds nothing."""
    world.react()
    assert differences(world) == []
    said = figures.plain(report.make(world.make, Asked(), actor=SYSTEM).report)
    with world.make() as session:
        kept = counters.read(session, world.now())
    for one in said["clocks"]:
        found = {box: kept.get((one["family"], one["clock"], box), 0) for box in figures.BOXES}
        assert found == {box: one[box] for box in figures.BOXES}, one["clock"]
    assert kept.get(("", "", "dossiers"), 0) == said["counts"]["dossiers"]
    assert {name: kept.get(("", "", name), 0) for name in said["totals"]} == said["totals"]
    return kept


def test_counters_follow_dossiers_through_their_lives(world):
    keys = world.submit(5)
    assert agrees(world)["commitment", "triage", "open_in_time"] == 5
    world.act(keys[0], "triage", to_unit="u1")
    term = (world.now() + timedelta(days=9)).isoformat()
    world.act(keys[0], "hold", "ref1", motive="piece_required", reason=world.reason, answer_by=term)
    agrees(world)
    for _ in range(12):
        world.jump(days=1)
        assert differences(world) == []  # with events that wait
        world.sweep()
    kept = agrees(world)
    assert kept["commitment", "triage", "closed_late"] == 4
    assert kept["", "", "reminders"] > 0
    world.resolve(keys[0])
    world.jump(hours=1)
    world.act(keys[0], "reopen", "holder", reason=world.reason)
    assert agrees(world)["", "", "reopenings"] == 1
    assert world.value("select count(*) from counters where value = 0") == 0


def test_a_migration_and_an_erasure_leave_no_difference(world):
    keys = world.submit(3)
    world.act(keys[0], "triage", to_unit="u1")
    agrees(world)
    newer = copy.deepcopy(world.coupe_file)
    newer["version"] = 2
    newer["clocks"]["triage"]["length"] = {"elapsed_days": 9}
    new = world.define(newer)
    with world.make() as session:
        wanted = migration.move(definitions.get(session, 1), definitions.get(session, new))
    for moved in migration.run(world.make, wanted):
        assert moved
    kept = agrees(world)
    assert kept["", "", "dossiers"] == 3
    assert world.value("select count(distinct definition) from counters where measure = 'dossiers'") == 1
    with world.make.begin() as session:
        assert texts.erase(session, [row.id for row in world.sql("select id from texts")])
    agrees(world)


def test_two_reactors_at_once_count_the_same(world, together):
    keys = world.submit(30)
    for key in keys[:20]:
        world.act(key, "triage", to_unit="u1")
    results = together(*[lambda: [reactions.react(world.make, limit=3) for _ in range(12)]] * 4)
    assert [one for one in results if isinstance(one, Exception)] == []
    agrees(world)


def test_the_proof_tells_a_sum_and_a_dossier_that_were_altered_and_repair_mends_them(world):
    world.submit(2)
    world.react()
    world.tamper("update counters set value = value + 1 where measure = 'dossiers'")
    assert ["somme" in one for one in differences(world)] == [True]
    world.tamper("update facts set counted = '[]' where dossier_id = 1")
    assert any("diffère de son journal" in one for one in differences(world))
    world.tamper("delete from facts where dossier_id = 2")
    assert any("compté jusqu'à l'événement 0" in one for one in differences(world))
    assert counters.repair(world.make) == 2
    agrees(world)
