"""The report, figure by figure, against DuckDB: a seeded year that only the core lived, and a log replayed in a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from states import facts, report
from states.dossier import SYSTEM
from states.facts import Kinds, Line
from tests.conftest import copied
from tests.replay.logs import a_log, run
from tests.report.duck import Duck
from tests.report.year import compiled, year
from workflow import report as room
from workflow import schema
from workflow.report import Asked

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def agree(made: report.Report, duck: Duck) -> None:
    """Every figure of a report is DuckDB's."""
    counts, totals = made.counts, made.totals
    assert (
        counts["dossiers"], counts["open"], counts["resolved"], totals["escalations"], totals["escalations_by_clock"],
        totals["reminders"], totals["reopenings"],
    ) == duck.totals()  # fmt: skip
    assert {name: dict(box.counts) for (_, name), box in made.clocks.items()} == duck.boxes()
    assert {party: lasted // MICROSECOND for party, lasted in made.court.items()} == duck.court()
    for wait in report.WAITS:
        for which in ("gross", "net"):
            steps = made.curve(wait, which).steps
            wanted = duck.curve(wait, which)
            assert [(one.time // MICROSECOND, one.at_risk, one.events) for one in steps] == [row[:3] for row in wanted]
            for step, (*_, waiting, low, high) in zip(steps, wanted, strict=True):
                assert (step.waiting, step.low, step.high) == pytest.approx((waiting, low, high), abs=1e-9)


@pytest.fixture(scope="module")
def lived():
    """The events of a seeded year."""
    return list(year(20_26, 500, UNTIL))


def reported(events, now):
    kinds = Kinds(compiled().definition)
    made = report.Report(now, report.Wanted())
    by_dossier = {}
    for event in events:
        by_dossier.setdefault(event["id"], []).append(event)
    for lines in by_dossier.values():
        given = [{name: value for name, value in line.items() if name != "id"} for line in lines if line["at"] <= now]
        if given:
            made.add(facts.read(Line(**line, kinds=kinds) for line in given))
    return made


@pytest.mark.parametrize("now", [UNTIL, datetime(2026, 6, 1, tzinfo=UTC)])
def test_a_seeded_year_gives_the_same_figures_in_another_tool_now_and_as_of_june(lived, now):
    made = reported(lived, now)
    assert made.totals["escalations_by_clock"] > 20
    assert made.totals["reopenings"] > 0
    assert {box for one in made.clocks.values() for box in one.counts} == set(report.BOXES)
    assert {"holder", "third_party"} < made.court.keys()
    duck = Duck((one for one in lived if one["at"] <= now), now, ["message", "hold", "resolve", "withdraw"])
    agree(made, duck)


def test_a_replayed_log_gives_the_same_figures_in_another_tool(postgres, template_database, tmp_path):
    with copied(postgres, template_database) as url:
        until = run(url, a_log(tmp_path / "log.csv"), "--database-url", url)["until"]
        engine = schema.engine(url)
        made, duck = both(schema.sessions(engine), datetime.fromisoformat(until))
        engine.dispose()
    assert made.counts["dossiers"] == 60
    assert made.clocks["legal", "deadline"].counts["closed_late"] > 0
    agree(made, duck)


def both(make, now):
    """The report of a replayed database, and DuckDB's."""
    statement = (
        "select dossier_id as id, seq, at, effective, kind, role, command, facts, effect from events order by 1, 2"
    )
    with make() as session:
        events = [dict(row) for row in session.execute(text(statement)).mappings()]
    made = room.make(make, Asked(), actor=SYSTEM, at=now).report
    return made, Duck((one for one in events if one["at"] <= now), now, ["close"])
