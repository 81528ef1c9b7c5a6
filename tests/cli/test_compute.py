"""`coupe-file compute`: a case a line, whatever the zone of the machine; a line that cannot be read stops none of the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ORACLES = Path(__file__).parents[1] / "oracles"
PROGRAM = Path(sys.executable).parent / "coupe-file"
OFFICE = {
    "territory": "metropole",
    "week": {"thu": [["09:00", "18:00"]], "fri": [["09:00", "18:00"]], "mon": [["09:00", "18:00"]]},
}


def compute(text, **more):
    outside = {name: value for name, value in os.environ.items() if not name.startswith("COUPE_FILE_")}
    body = text if isinstance(text, bytes) else "".join(json.dumps(case) + "\n" for case in text).encode()
    done = subprocess.run(
        [PROGRAM, "compute"], input=body, capture_output=True, env={**outside, **more}, timeout=120, check=False
    )
    assert done.stderr == b""
    return done.returncode, done.stdout


def told(text):
    code, out = compute(text)
    return code, [json.loads(line) for line in out.splitlines()]


def every_case():
    for name in ("working_time_cases", "legal_deadline_cases", "silence_decision_cases", "eu_clock_cases"):
        data = json.loads((ORACLES / f"{name}.json").read_text(encoding="utf-8"))
        yield from data["cases"] + data.get("clock_cases", [])


def test_every_case_is_answered_on_its_line_the_same_on_a_machine_in_any_zone():
    cases = list(every_case())
    answers = {zone: compute(cases, TZ=zone) for zone in ("Asia/Tokyo", "America/Sao_Paulo", "UTC")}
    assert len(set(answers.values())) == 1
    code, out = answers["UTC"]
    said = [json.loads(line) for line in out.splitlines()]
    assert [line["id"] for line in said] == [case["id"] for case in cases]
    assert [line["id"] for line in said if "error" in line] == ["sla-047"]  # a start in the skipped hour
    assert code == 2


def test_a_due_date_says_what_was_counted_and_what_was_not_in_the_words_of_a_prefecture():
    case = {
        "id": "noel", "calendar": OFFICE, "operation": "sla_due", "start": "2026-12-24T16:00:00+01:00", "target_minutes": 660,
        "pauses": [["2026-12-24T17:00:00+01:00", "2026-12-24T17:30:00+01:00"]],
    }  # fmt: skip
    code, (said,) = told([case])
    assert (code, said["result"]) == (0, "2026-12-31T09:30:00+01:00")
    assert said["explanation"]["fr"] == [
        "Départ : jeudi 24 décembre 2026 à 16 h 00 (Europe/Paris).",
        "Suspendu du jeudi 24 décembre 2026 à 17 h 00 au jeudi 24 décembre 2026 à 17 h 30 ; ce temps ne compte pas.",
        "Compté : jeudi 24 décembre 2026, de 16 h 00 à 17 h 00, soit 1 h.",
        "Compté : jeudi 24 décembre 2026, de 17 h 30 à 18 h 00, soit 30 min.",
        "Le vendredi 25 décembre 2026 ne compte pas : jour férié, Jour de Noël.",
        "Le samedi 26 décembre 2026 ne compte pas : fin de semaine.",
        "Le dimanche 27 décembre 2026 ne compte pas : fin de semaine.",
        "Compté : lundi 28 décembre 2026, de 9 h 00 à 18 h 00, soit 9 h.",
        "Le mardi 29 décembre 2026 ne compte pas : jour sans ouverture.",
        "Le mercredi 30 décembre 2026 ne compte pas : jour sans ouverture.",
        "Compté : jeudi 31 décembre 2026, de 9 h 00 à 9 h 30, soit 30 min.",
        "En tout : 11 h d'ouverture.",
        "Échéance : jeudi 31 décembre 2026 à 9 h 30.",
    ]


def test_a_procedure_is_answered_by_the_rule_that_holds_and_says_what_silence_makes_of_it():
    case = {"id": 7, "procedure": "permis_de_construire", "clock": "instruction", "start": "2027-01-15"}
    _, (plain, assessed) = told([case, {**case, "attributes": {"evaluation_environnementale": "oui"}}])
    assert plain["result"] == assessed["result"] == "2027-04-15"
    assert "Le silence gardé jusque-là vaut acceptation." in plain["explanation"]["fr"]
    assert "Le silence gardé jusque-là vaut rejet." in assessed["explanation"]["fr"]


def test_lines_that_cannot_be_read_are_answered_by_an_error_and_the_others_go_on():
    good = json.dumps({"id": "ok", "rule": "jours", "start": "2022-02-02", "duration": 10}).encode()
    lines = [good, b"{", b"\xff\xfe", b"[1]", b"", b'{"id":"none"}', b'{"id":"nan","rule":"jours","duration":NaN}',
             b'"' + b"x" * 1_000_001 + b'"', good]  # fmt: skip
    code, said = told(b"\n".join(lines))
    assert code == 2
    assert [line.get("result") for line in said] == ["2022-02-14", None, None, None, None, None, None, "2022-02-14"]
    assert [(line["line"], line["error"]["code"]) for line in said if "error" in line] == [
        (2, "json"), (3, "json"), (4, "type"), (6, "form"), (7, "json"), (8, "line"),
    ]  # fmt: skip


HOURS = {"calendar": {**OFFICE, "timezone": "Europe/Paris"}, "operation": "add_business_hours", "amount": 1}
BAD = {
    "skipped_hour start": {**HOURS, "start": "2027-03-28T02:30:00"},
    "year start": {**HOURS, "start": "2200-01-01T00:00:00Z"},
    "negative amount": {**HOURS, "start": "2027-03-22T10:00:00Z", "amount": -1},
    "number amount": {**HOURS, "start": "2027-03-22T10:00:00Z", "amount": True},
    "year amount": {**HOURS, "start": "2027-03-22T10:00:00Z", "amount": 10**30},
    "missing amount": {**HOURS, "start": "2027-03-22T10:00:00Z", "amount": None},
    "instant start": {**HOURS, "start": "hier"},
    "order pauses[0]": {**HOURS, "start": "2027-03-22T10:00:00Z", "pauses": [["2027-03-23T00:00:00Z", "2027-03-22T00:00:00Z"]]},
    "type pauses": {**HOURS, "start": "2027-03-22T10:00:00Z", "pauses": [["2027-03-23T00:00:00Z"]]},
    "operation operation": {**HOURS, "operation": "multiply"},
    "zone calendar.territory": {**HOURS, "start": "2027-03-22T10:00:00Z", "calendar": {**OFFICE, "territory": "atlantide"}},
    "no_hours calendar.week": {**HOURS, "start": "2027-03-22T10:00:00Z", "calendar": {"timezone": "UTC", "week": {}}},
    "order end": {**HOURS, "operation": "business_hours_between", "start": "2027-03-22T10:00:00Z", "end": "2027-03-21T10:00:00Z"},
    "negative duration": {"rule": "jours", "start": "2027-03-22", "duration": -1},
    "integer duration": {"rule": "jours", "start": "2027-03-22", "duration": 1.5},
    "rule rule": {"rule": "lunaisons", "start": "2027-03-22", "duration": 1},
    "zone zone": {"rule": "jours", "start": "2027-03-22", "duration": 1, "zone": "atlantide"},
    "date start": {"rule": "jours", "start": "2027-02-30", "duration": 1},
    "year duration": {"rule": "silence_mois", "start": "2027-02-20", "duration": 10**9},
    "procedure procedure": {"procedure": "permis_de_conduire", "clock": "instruction", "start": "2027-02-20"},
    "clock clock": {"procedure": "permis_de_construire", "clock": "digestion", "start": "2027-02-20"},
    "extension extensions": {"procedure": "certificat_de_projet", "clock": "instruction", "start": "2027-02-20", "extensions": ["lune"]},
    "period period": {"deposit": "2027-02-20", "period": "deux mois", "on_resume": "continue"},
    "choice on_resume": {"deposit": "2027-02-20", "period": "2 months", "on_resume": "peut-être"},
    "missing corrections[0]": {"deposit": "2027-02-20", "period": "2 months", "on_resume": "continue",
                               "corrections": [{"opened": "2027-02-21", "resolved": None, "reason": "incorrect"}]},
    "negative months": {"months": -12, "days": 0, "start": "2027-02-20"},
    "timezone zone": {"kind": "end_of_day", "date": "2027-02-20", "zone": "Europe/Lutece"},
}  # fmt: skip


@pytest.fixture(scope="module")
def refused():
    """Every bad case, answered by one run."""
    _, said = told([{"id": name, **case} for name, case in BAD.items()])
    return {line["id"]: line.get("error") for line in said}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_refused_with_its_field_its_rule_and_what_is_accepted(refused, name):
    error = refused[name]
    assert error is not None
    assert f"{error['code']} {error['field']}".startswith(name.split("[0]")[0])
    assert error["message"]
    assert error["accepted"]


def test_each_line_is_answered_before_the_next_is_asked():
    case = json.dumps({"id": 1, "rule": "jours", "start": "2022-02-02", "duration": 10}).encode() + b"\n"
    with subprocess.Popen([PROGRAM, "compute"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        for _ in range(3):
            running.stdin.write(case)
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["result"] == "2022-02-14"
        running.stdin.close()
        assert running.wait(timeout=30) == 0
