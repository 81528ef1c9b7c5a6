"""The calculator: what a page and the API answer is what the command answers, for anybody, and not without end."""

from __future__ import annotations

from html import unescape

import orjson
import pytest

from web import calculator
from workflow import words
from workflow.law import answered, law

PERMIT = {"clock": "permis_de_construire/instruction", "start": "2027-01-15", "zone": "metropole"}


def page(portal, given):
    answer = portal.visitor().get("/calculateur", params=given)
    return answer.status_code, unescape(answer.text)


def test_the_api_answers_the_very_line_of_the_command(portal, capsysbinary, monkeypatch):
    from io import BytesIO, TextIOWrapper

    from cli.compute import compute

    case = orjson.dumps({"id": "a", "rule": "mois_franc_recours", "start": "2027-03-05", "duration": 2})
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(case + b"\n")))
    compute()
    said = portal.visitor().client.post("/api/v1/compute", content=case)
    assert (said.status_code, said.headers["content-type"]) == (200, "application/json")
    assert said.content + b"\n" == capsysbinary.readouterr().out
    assert said.json()["result"] == "2027-05-07"  # the 6th is Ascension: docs/time.md


@pytest.mark.parametrize(
    ("raw", "field"),
    [(b"{", "body"), (b"[" * 2000, "body"), (b"[1]", "case"), (b'{"rule": "jours", "start": "2027-02-30", "duration": 1}', "start"),
     (b'{"id": {}, "rule": "jours", "start": "2027-02-03", "duration": 1}', "id"), (b" " * 100_001, "body")],
)  # fmt: skip
def test_a_case_that_cannot_be_read_is_a_problem_with_its_field(raw, field, portal):
    said = portal.visitor().client.post("/api/v1/compute", content=raw)
    assert (said.status_code, said.headers["content-type"]) == (422, "application/problem+json")
    assert said.json()["field"] == field
    assert said.json()["accepted"]


def test_the_page_says_the_date_why_the_doubts_and_the_texts(portal):
    status, text = page(
        portal, PERMIT | {"extension": "autre_legislation", "opened1": "2027-02-01", "resolved1": "2027-02-20"}
    )
    case = {
        "procedure": "permis_de_construire", "clock": "instruction", "start": "2027-01-15", "zone": "metropole",
        "extensions": ["autre_legislation"], "corrections": [{"opened": "2027-02-01", "reason": "pieces", "resolved": "2027-02-20"}],
    }  # fmt: skip
    said = answered(case)
    assert status == 200
    assert said["result"] == "2027-06-20"  # pieces within the month: the three months and the one more begin again
    assert "Échéance : dimanche 20 juin 2027" in text
    for sentence in said["explanation"]["fr"]:
        assert sentence in text
    assert orjson.dumps(case).decode() in text
    assert 'name="opened2"' in text
    refused = page(portal, PERMIT | {"opened1": "2027-02-20", "resolved1": "2027-02-01"})
    assert refused[0] == 422
    assert 'id="error-opened1"' in refused[1]


def test_days_are_counted_and_a_word_in_their_place_is_told_beside_its_field(portal):
    status, text = page(portal, {"rule": "jours_ouvres", "duration": "10", "start": "2026-12-21", "zone": "metropole"})
    assert status == 200
    assert "Échéance : mercredi 6 janvier 2027" in text  # docs/time.md
    for given, field in (({"duration": "dix"}, "duration"), ({"start": ""}, "start"), ({"rule": "x"}, "rule"), ({"zone": "x"}, "zone"),
                         ({"start": "9999-01-01"}, "start")):  # fmt: skip
        asked = {"rule": "jours", "duration": "3", "start": "2027-01-04", "zone": "metropole"}
        status, text = page(portal, asked | given)
        assert status == 422
        assert f'id="error-{field}"' in text, field
    assert page(portal, {"clock": "", "start": "2027-01-04"})[0] == 422
    assert 'id="error-applicant"' in page(portal, {"clock": "defrichement/instruction", "start": "2027-01-04"})[1]


def test_every_clock_of_the_table_is_offered_in_words_and_computes(portal):
    offered = calculator._clocks(law().table)
    _, text = page(portal, {})
    assert sum(map(len, offered.values())) == len({(rule.procedure, rule.clock) for rule in law().table.rules})
    assert set(offered) <= set(words.CHOICES)
    for rule in law().table.rules:
        assert set(rule.attributes) <= set(words.ATTRIBUTES)
        assert {*rule.applicants, *rule.attributes.values(), *rule.holds} <= set(words.CHOICES)
    for name, title in (clock for named in offered.values() for clock in named.items()):
        assert f'value="{name}"' in text
        assert title
    assert offered["defrichement"]["defrichement/instruction"] == "Défrichement"


def test_who_asks_in_english_is_answered_in_english(portal):
    visitor = portal.visitor()
    visitor.client.cookies.set("language", "en")
    text = unescape(visitor.get("/calculateur", params=PERMIT).text)
    assert "Due date: Thursday 15 April 2027" in text
    assert (
        answered({"procedure": "permis_de_construire", "clock": "instruction", "start": "2027-01-15"})["explanation"][
            "en"
        ][1]
        in text
    )


def test_nobody_asks_without_end(portal, monkeypatch):
    monkeypatch.setattr(calculator, "ASKED", 1)
    portal.world.sql("delete from attempts")
    assert page(portal, PERMIT)[0] == 200
    assert page(portal, PERMIT)[0] == 429
    assert page(portal, {})[0] == 200  # nothing is computed
    assert portal.visitor().client.post("/api/v1/compute", content=b"{}").json()["code"] == "often"
    portal.world.sql("delete from attempts")
