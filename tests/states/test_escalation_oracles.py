"""Scenarios of escalation of other projects that apply here: when something may go on, and what a changed date makes of a step."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from states.calendar import WEEKDAYS, calendar

SCENARIOS = json.loads((Path(__file__).parents[1] / "oracles" / "working_time_cases.json").read_text(encoding="utf-8"))[
    "escalation_scenarios"
]
(HOURS,) = [one for one in SCENARIOS if "grafana/oncall" in one["source"] and "from" in str(one["expected"][0])]
TODAY = datetime(2026, 11, 24, tzinfo=UTC)


def at(words: str) -> datetime:
    """« today 09:00 » as an instant."""
    day, _, hour = words.rpartition(" ")
    found = datetime.strptime(hour, "%H:%M").replace(year=TODAY.year, month=TODAY.month, day=TODAY.day, tzinfo=UTC)
    return found + timedelta(days=day == "tomorrow")


@pytest.mark.parametrize("case", HOURS["expected"], ids=lambda case: f"{case['from']}-{case['to']} at {case['now']}")
def test_what_may_go_on_only_within_hours_goes_on_when_they_begin(case):
    begins, ends = case["from"], case["to"]
    spans = [[begins, ends]] if begins < ends else [["00:00", ends], [begins, "24:00"]]
    hours = calendar({"timezone": "UTC", "week": dict.fromkeys(WEEKDAYS, spans)})
    now = at(f"today {case['now']}")
    assert hours.next_open(now) == (now if case["eta"].startswith("none") else at(case["eta"]))
