"""The report: figures of the journal, open dossiers included, within the reader's scope, as of any instant."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from states import report as figures
from states.dossier import SYSTEM
from states.errors import BadInput
from workflow import report
from workflow.report import Asked

DAY = timedelta(days=1)


def made(world, *, actor=SYSTEM, at=None, listing=(), **asked):
    return report.make(world.make, Asked(**asked), actor=actor, at=at, listing=listing)


def clock(one, name):
    (found,) = [each for each in figures.plain(one.report)["clocks"] if each["clock"] == name]
    return {box: found[box] for box in figures.BOXES} | {"kept": found["kept"]}


@pytest.fixture
def lived(world):
    """One is triaged at once and resolved after a wait for the holder; one is left to the clock; one is new."""
    worked, left = world.submit(2)
    world.jump(hours=2)
    world.act(worked, "triage", to_unit="u1")
    world.jump(days=1)
    world.sweep()
    term = (world.now() + 10 * DAY).isoformat()
    world.act(worked, "hold", "ref1", motive="piece_required", reason=world.reason, answer_by=term)
    world.jump(days=4)
    world.act(worked, "answer", "holder", reason=world.reason)
    for _ in range(3):
        world.jump(days=1)
        world.sweep()
    world.resolve(worked)
    world.worked, world.left, world.new = worked, left, world.submit()[0]
    return world


def test_the_four_boxes_count_open_promises_and_gross_stands_beside_net(lived):
    one = made(lived)
    said = figures.plain(one.report)
    assert {name: said["counts"][name] for name in ("dossiers", "open", "resolved")} == {
        "dossiers": 3,
        "open": 2,
        "resolved": 1,
    }
    triage = clock(one, "triage")
    assert (triage["closed_in_time"], triage["closed_late"], triage["open_in_time"]) == (1, 1, 1)
    assert triage["kept"] == 0.5
    resolution = said["waits"]["resolution"]
    assert resolution["gross"]["waited"] == 3
    assert resolution["gross"]["over"] == 1
    lasted = one.report.waits["resolution"]
    gross, net = (next(wait for wait, over in lasted[which] if over) for which in ("gross", "net"))
    assert gross - net == 4 * DAY
    assert one.report.court["holder"] == 4 * DAY


def test_the_parts_of_the_ball_add_up_to_the_time_that_dossiers_were_open(lived):
    one = made(lived)
    now = lived.now()
    rows = lived.sql(
        "select (select effective from events e where e.dossier_id = d.id and seq = 1) as since, closed_at from dossiers d"
    )
    assert sum(one.report.court.values(), timedelta(0)) == sum(
        ((row.closed_at or now) - row.since for row in rows), timedelta(0)
    )


def test_no_data_is_none_and_never_one(world):
    said = figures.plain(made(world).report)
    assert said["counts"]["dossiers"] == 0
    assert said["clocks"] == []
    assert said["waits"]["triage"] == {"gross": None, "net": None}
    world.submit()
    assert clock(made(world), "triage")["kept"] is None


def test_a_past_report_is_what_was_true_then_whatever_happened_since(lived):
    then = lived.start + timedelta(hours=3)
    lived_then = figures.plain(made(lived, at=then).report)
    assert lived_then["counts"] | {"dossiers": 2, "open": 2, "open_late": 0, "resolved": 0} == lived_then["counts"]
    lived.resolve(lived.left, by=f"ref{lived.row(lived.left).rung}")
    lived.jump(days=30)
    assert figures.plain(made(lived, at=then).report) == lived_then
    with pytest.raises(BadInput, match="à venir"):
        made(lived, at=lived.now() + DAY)


def test_each_figure_leads_to_its_dossiers(lived):
    one = made(lived, listing="resolved")
    assert [each.id for each in one.listed] == [lived.worked]
    assert {each.id for each in made(lived, listing="triage:closed_late").listed} == {lived.left}
    for name in one.figures:
        found = made(lived, listing=name).listed
        assert found, name
        clock_name, _, box = name.partition(":")
        if clock_name == "kept":  # the box of the dossier itself, which it is in once
            assert all(each.times == 1 for each in found)
        elif box in figures.BOXES:
            assert sum(each.times for each in found) == clock(one, clock_name)[box]


def test_a_reader_counts_what_they_may_see(lived):
    assert figures.plain(made(lived, actor=lived.actor("boss")).report)["counts"]["dossiers"] == 3
    assert figures.plain(made(lived, actor=lived.actor("ref6")).report)["counts"]["dossiers"] == 0
    assert figures.plain(made(lived, actor=lived.actor("other")).report)["counts"]["dossiers"] == 0
    assert figures.plain(made(lived, actor=lived.actor("holder")).report)["counts"]["dossiers"] == 3


def test_escalations_reminders_and_reopenings_are_counted(lived):
    kinds = [kind for key in (lived.worked, lived.left, lived.new) for kind in lived.kinds(key)]
    lived.act(lived.worked, "reopen", "holder", reason=lived.reason)
    totals = figures.plain(made(lived).report)["totals"]
    assert totals["escalations"] == totals["escalations_by_clock"] == kinds.count("escalate") > 0
    assert totals["reminders"] == kinds.count("clock.remind") > 0
    assert totals["reopenings"] == 1


def test_groups_and_filters_add_up_to_the_whole(lived):
    whole = made(lived)
    for by in report.GROUPS:
        parts = made(lived, by=by).report.groups
        assert sum(one.counts["dossiers"] for one in parts.values()) == 3
        for box in whole.report.clocks:
            assert (
                sum(
                    (one.clocks[box].counts for one in parts.values() if box in one.clocks),
                    start=type(whole.report.counts)(),
                )
                == whole.report.clocks[box].counts
            )
    units = [made(lived, unit=f"u{n}").report for n in range(7)]
    lines = made(lived, by="unit").report.groups
    for n, one in enumerate(units):
        assert one.counts["dossiers"] == (lines[f"u{n}"].counts["dossiers"] if f"u{n}" in lines else 0)
        assert {key: box.counts for key, box in one.clocks.items()} == (
            {key: box.counts for key, box in lines[f"u{n}"].clocks.items()} if f"u{n}" in lines else {}
        )
    assert sum(one.counts["dossiers"] for one in units) == 3
    assert sum(one.clocks[key].counts.total() for one in units for key in one.clocks) == sum(
        box.counts.total() for box in whole.report.clocks.values()
    )
    assert made(lived, departement="64").report.counts["dossiers"] == 3
    assert made(lived, departement="75").report.counts["dossiers"] == 0
    assert made(lived, first=lived.now().date()).report.counts["dossiers"] == 1
    assert made(lived, last=lived.start.date()).report.counts["dossiers"] == 2


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"first": date(2026, 2, 1), "last": date(2026, 1, 1)}, "--to"),
        ({"unit": "u99"}, "--unit"),
        ({"topic": "feu"}, "--topic"),
        ({"rung": "ministre"}, "--rung"),
        ({"version": "coupe-file@9"}, "--definition"),
        ({"departement": "99"}, "--departement"),
        ({"territory": "TI-0"}, "--territory"),
        ({"by": "person"}, "--by"),
    ],
)
def test_what_is_not_known_is_refused_with_what_would_be_accepted(world, asked, field):
    with pytest.raises(BadInput) as refused:
        made(world, **asked)
    assert refused.value.field == field
    assert refused.value.accepted
