"""Every expected result that comes from outside the code (tests/oracles/README.md), through what `coupe-file compute` calls."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from states.compute import answer
from states.errors import BadInput
from states.explanation import GATHERED
from workflow.law import law

ORACLES = Path(__file__).parents[1] / "oracles"
LAW = law()


def read(name, key="cases"):
    return json.loads((ORACLES / name).read_text(encoding="utf-8"))[key]


def chosen(cases):
    return [pytest.param(case, id=case["id"]) for case in cases]


WORKING = read("working_time_cases.json")
LEGAL = read("legal_deadline_cases.json")
SURE = ("high", "medium")
# The conventions that are not ours, with what is answered instead (docs/time.md says why).
REFUSED = {
    "sla-016": "2006-01-03T18:00:00Z",  # days keep the time of day: no move to an opening hour
    "sla-044": [
        ["2006-04-02T03:00:00-07:00", "2006-04-02T03:15:00-07:00"]
    ],  # an opening in the skipped hour is the change
    "sla-063": "2013-06-04T16:00:00Z",  # used up at closing is due at closing
    "sla-072": "2016-11-09T09:26:36Z",  # pauses are instants, not hours and minutes
}


@pytest.mark.parametrize("case", chosen(case for case in WORKING if case["kind"] == "core"))
def test_every_working_time_case_on_which_engines_agree(case):
    assert answer(case, LAW)["result"] == case["expected"]


@pytest.mark.parametrize(
    "case", chosen(case for case in WORKING if case["kind"] == "dialect" and case["id"] not in {*REFUSED, "sla-047"})
)
def test_every_convention_that_was_chosen(case):
    assert answer(case, LAW)["result"] == case["expected"]


SECONDS = {"add_business_seconds": 1, "add_business_minutes": 60, "add_business_hours": 3600, "sla_due": 60}


@pytest.mark.parametrize("case", chosen(case for case in WORKING if case["operation"] in SECONDS))
def test_the_segments_told_of_a_due_date_add_up_to_its_length(case):
    length = SECONDS[case["operation"]] * case.get("amount", case.get("target_minutes"))
    steps = answer(case, LAW)["explanation"]["steps"]
    told = sum(step["length"] for step in steps if step["step"] == "counted")
    assert told == length or (told < length and "more_days" in [step["step"] for step in steps])
    assert [step["length"] for step in steps if step["step"] == "total"] == [length]


@pytest.mark.parametrize("case", chosen(case for case in WORKING if case["id"] in REFUSED))
def test_every_convention_that_was_refused_is_answered_by_ours(case):
    assert answer(case, LAW)["result"] == REFUSED[case["id"]] != case["expected"]


def test_a_wall_time_in_the_skipped_hour_is_refused_and_not_moved():
    (case,) = (case for case in WORKING if case["id"] == "sla-047")
    with pytest.raises(BadInput, match="02:30 n'existe pas") as refused:
        answer(case, LAW)
    assert (refused.value.code, refused.value.field) == ("skipped_hour", "start")


@pytest.mark.parametrize("case", chosen(case for case in LEGAL if case["confidence"] in SURE))
def test_every_legal_limit_of_high_or_medium_confidence(case):
    assert answer(case, LAW)["result"] == case["expected"]


@pytest.mark.parametrize("case", chosen(read("legal_deadline_cases.json", "clock_cases")))
def test_every_instant_across_a_clock_change(case):
    assert answer(case, LAW)["result"] == case.get("expected", case.get("expected_utc"))


@pytest.mark.parametrize("case", chosen(read("silence_decision_cases.json")))
def test_every_decision_born_of_silence(case):
    assert answer(case, LAW)["result"] == case["expected"]


@pytest.mark.parametrize("case", chosen(read("eu_clock_cases.json")))
def test_every_european_limit_and_whether_it_was_put_off(case):
    said = answer(case, LAW)
    steps = {step["step"]: step for step in said["explanation"]["steps"]}
    assert said["result"] == case["expected"]
    assert ("rolled_to" in steps) is case["rolled"]
    assert said["explanation"]["fr"][-1] == "Ce délai ne fait naître aucune décision implicite."


@pytest.mark.parametrize("case", [*WORKING, *LEGAL, *read("silence_decision_cases.json"), *read("eu_clock_cases.json")])
def test_every_answer_is_explained_in_two_languages_a_sentence_a_step_and_one_for_weekends_in_a_row(case):
    if case["id"] == "sla-047":
        return
    said = answer(case, LAW)["explanation"]
    rows = [0]  # how long each run of weekends is
    for step in said["steps"]:
        plain = (
            step["step"] == "skipped" and step["reason"] == "weekday" and date.fromisoformat(step["day"]).weekday() > 4
        )
        rows = [*rows[:-1], rows[-1] + 1] if plain else [*rows, 0]
    gathered = sum(length - 1 for length in rows if length >= GATHERED)
    assert len(said["steps"]) - gathered == len(said["fr"]) == len(said["en"]) > 0
    for sentence in (*said["fr"], *said["en"]):
        assert sentence.endswith("."), sentence
        assert not {"{", "}"} & set(sentence), sentence
    json.dumps(said)
