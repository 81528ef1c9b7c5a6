"""Whatever is put in the place of a field, a case is answered, or refused in words."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import pytest

from states.compute import answer
from states.errors import BadInput
from workflow.law import law

ORACLES = Path(__file__).parents[1] / "oracles"
LAW = law()
ANYTHING = [
    None, True, 0, -1, 10**30, 1e308, -0.5, 1e-9, float("nan"), "", "x", "é\0", "{", "24:00", "T", [], [[]], {}, {"a": 1}, [None],
    ["mon"], [["09:00"]], [["09:00", "10:00", "11:00"]], "2027-02-30", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
    "2027-03-28T02:30:00", "2000-01-01T00:00:00+14:00", "2027-W01-1", "20270101T000000Z", "2027-01-01T00:00:00+00:00:30",
    "../../etc/passwd", "posixrules", "٢٠٢٧-٠١-٠١", 12345678901234567890,
]  # fmt: skip


def cases():
    for name in ("working_time_cases", "legal_deadline_cases", "silence_decision_cases", "eu_clock_cases"):
        data = json.loads((ORACLES / f"{name}.json").read_text(encoding="utf-8"))
        yield from data["cases"] + data.get("clock_cases", [])
    yield {
        "procedure": "permis_de_construire", "clock": "instruction", "start": "2027-01-15", "zone": "metropole", "today": "2027-06-01",
        "attributes": {"ouvrage": "maison"}, "extensions": ["commission"], "on": "2027-01-15", "applicant": "prive",
        "corrections": [{"opened": "2027-02-01", "resolved": "2027-02-20", "reason": "pieces"}],
    }  # fmt: skip


def changed(case, draw):
    """A copy of a case with one place of it taken out or filled with anything."""
    found = node = copy.deepcopy(case)
    while True:
        key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], dict | list) and node[key] and draw.random() < 0.6:
            node = node[key]
            continue
        if isinstance(node, dict) and draw.random() < 0.1:
            del node[key]
        else:
            node[key] = draw.choice(ANYTHING)
        return found


@pytest.mark.parametrize("seed", range(4))
def test_whatever_stands_in_a_field_is_answered_or_refused_with_its_field_and_what_is_accepted(seed):
    draw, known = random.Random(seed), list(cases())
    answered = refused = 0
    for _ in range(400):
        case = changed(draw.choice(known), draw)
        try:
            json.dumps(answer(case, LAW))
            answered += 1
        except BadInput as error:
            assert error.field, case
            assert error.accepted, case
            refused += 1
    assert answered > 50
    assert refused > 50
