"""Sums: the counters and the journals say the same, and what they say is what the report says."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from states import loss
from states import report as figures
from states.counters import COURT, FLOW, MOVED
from states.dossier import SYSTEM
from states.errors import BadInput
from workflow import report, sums
from workflow.report import Asked

ASKED = [
    {}, {"unit": "u1"}, {"rung": "sous_prefet"}, {"topic": "eau"}, {"departement": "64"}, {"departement": "75"},
    {"version": "coupe-file"}, {"first": date(2026, 10, 1), "last": date(2026, 10, 31)},
    {"first": date(2026, 11, 1)},
]  # fmt: skip


@pytest.fixture
def lived(world):
    """Twelve dossiers over six weeks: one resolved, one withdrawn, one waiting for its holder, others left to the clock."""
    for week in range(6):
        first, second = world.submit(2)
        world.act(first, "triage", to_unit="u1")
        world.jump(days=5)
        world.sweep()
        if week == 0:
            world.resolve(first, by=f"ref{world.row(first).rung}")
            world.act(second, "withdraw", "holder", reason=world.reason)
        if week == 1:
            term = (world.now() + timedelta(days=9)).isoformat()
            world.act(
                first,
                "hold",
                f"ref{world.row(first).rung}",
                motive="piece_required",
                reason=world.reason,
                answer_by=term,
            )
        world.jump(days=2)
        world.sweep()
    world.react()
    return world


def reckoned(world, asked):
    """The same sums, from the journals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "whole", lambda _: False)
        return sums.of(world.make, asked, actor=SYSTEM)


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_counters_journals_and_report_say_the_same(asked, lived):
    asked = Asked(**asked)
    kept, other = sums.of(lived.make, asked, actor=SYSTEM), reckoned(lived, asked)
    assert (kept.kept, other.kept) == (True, False)
    for dimensions in ((), ("unit", "rung"), ("departement", "month"), ("topic", "definition")):
        assert kept.by(*dimensions) == other.by(*dimensions), dimensions
    for coarser in (("unit",), ("rung",), ("month",)):  # added up from what was read
        for families in (("commitment",), (COURT, FLOW)):
            assert kept.by(*coarser, families=families) == other.by(*coarser, families=families), coarser
    made = report.make(lived.make, asked, actor=SYSTEM)
    whole = kept.by().get((), Counter())
    for one in figures.plain(made.report)["clocks"]:
        assert {box: whole[one["family"], one["clock"], box] for box in figures.BOXES} == {
            box: one[box] for box in figures.BOXES
        }
    assert loss.parties(whole) == {
        party: lasted // timedelta(microseconds=1) for party, lasted in made.report.court.items() if lasted
    }
    moved = {name.partition(":")[2] for name in made.figures if name.startswith("moved:")}
    assert {clock for family, clock, measure in whole if (family, measure) == (FLOW, MOVED)} == moved


def test_time_lost_is_how_long_past_their_dates_promises_ran(lived):
    kept = sums.of(lived.make, Asked(), actor=SYSTEM)
    now = lived.now()
    lost: dict[int, timedelta] = {}
    for _, _, facts in report.stream(lived.make, actor=SYSTEM, at=now):
        for one in facts.promises:
            if one.family == "commitment" and one.unit and (one.end or now) > one.due:
                lost[one.unit] = lost.get(one.unit, timedelta(0)) + ((one.end or now) - one.due)
    found = loss.losses(kept.by("unit", "rung"))
    assert {one.unit: one.lost for one in found if one.lost} == lost
    assert lost
    most = loss.most(found, loss.parties(kept.by(families=(COURT,))[()]))
    assert most.loss.lost == max(lost[one.unit] for one in found if one.measurable and one.lost)
    assert 0 < most.held < 1
    assert loss.most([one for one in found if not one.measurable], {}) is None


def test_only_the_dossiers_that_may_be_meant_are_read_and_not_too_many(lived, monkeypatch):
    read = []
    real = report.of
    monkeypatch.setattr(report, "of", lambda session, ids, *rest: read.extend(ids) or real(session, ids, *rest))
    half = Asked(first=date(2026, 10, 1), last=date(2026, 10, 14))
    found = sums.of(lived.make, half, actor=SYSTEM)
    assert not found.kept
    assert found.by()[()]["", "", "dossiers"] == 4
    assert len(read) == 8  # those of October
    monkeypatch.setattr(sums, "MOST", 3)
    with pytest.raises(BadInput, match="plus de 3 dossiers"):
        sums.of(lived.make, half, actor=SYSTEM)
