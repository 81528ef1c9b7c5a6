"""Services consulted, on pages and in the API: each reader sees what is theirs."""

from __future__ import annotations

import pytest

from cli.shipped import files
from config import yamltext
from workflow import almanac, definitions

QUESTION = "La nappe profonde supporte-t-elle ce pompage ?"
OPINION = "Oui, hors période de sécheresse déclarée."


@pytest.fixture(scope="module")
def reference(portal):
    """Give a dossier under the shipped definition, with u1."""
    with portal.world.make.begin() as session:
        almanac.keep_shipped(session)
        definitions.add(session, {**yamltext.read(files()["coupe-file"]).data, "version": 2}, state="published")
        definitions.add(session, yamltext.read(files()["avis"]).data, state="published")
    key = portal.world.triaged()
    return portal.world.row(key).reference


@pytest.fixture(scope="module")
def consulted(portal, reference):
    """Give the page that answers a request for the avis of u2, made by its form."""
    desk = portal.visitor("ref1")
    form = desk.get(f"/dossiers/{reference}/agir/consult").text
    assert "Le dossier reste chez vous" in form
    sent = {"consulted": "other", "other_unit": "u2", "question": QUESTION, "key": "c1"}
    short = desk.post(f"/dossiers/{reference}/agir/consult", {**sent, "question": "Oui ?"})
    assert (short.status_code, "Oui ?" in short.text) == (422, True)  # what was typed is kept
    done = desk.post(f"/dossiers/{reference}/agir/consult", sent)
    assert done.status_code == 303, done.text
    return desk.get(done.headers["location"]).text


def test_the_page_says_who_is_consulted_until_when_and_what_silence_makes_to_each_reader_what_is_theirs(
    portal, reference, consulted
):
    holder = portal.visitor("holder").get(f"/dossiers/{reference}").text
    for page in (holder, consulted):
        assert "Services consultés" in page
        assert "Administration 2" in page
        assert "lundi 19 octobre 2026" in page
        assert "réputé rendu sans observation" in page
    assert QUESTION in consulted
    assert QUESTION not in holder


def test_the_service_consulted_has_the_request_in_its_queue_reads_the_dossier_and_answers(portal, reference, consulted):
    service = portal.visitor("ref2")
    assert f"Avis sur le dossier {reference}" in service.get("/demi-heure").text
    read = service.get(f"/dossiers/{reference}")
    assert (read.status_code, "/agir/" in read.text) == (200, False)
    assert ("Joindre une pièce" in read.text, "Joindre une pièce" in consulted) == (False, True)
    assert service.get(f"/dossiers/{reference}-A1/agir/assign").status_code == 200
    given = {"outcome": "favourable", "opinion": OPINION, "key": "g1"}
    done = service.post(f"/dossiers/{reference}-A1/agir/give", given)
    assert done.status_code == 303, done.text
    assert OPINION in portal.visitor("ref1").get(f"/dossiers/{reference}").text
    assert OPINION not in portal.visitor("holder").get(f"/dossiers/{reference}").text
    assert portal.visitor("holder").get(f"/dossiers/{reference}-A1").status_code == 404


def test_a_program_consults_and_reads_what_its_person_would(portal, reference):
    client, headers = portal.visitor().client, portal.bearer("ref1")
    asked = {"fields": {"consulted": "u3", "question": QUESTION, "basis": "urbanisme"}}
    done = client.post(f"/api/v1/dossiers/{reference}/consult", json=asked, headers=headers)
    assert (done.status_code, done.json()["events"]) == (200, ["consult"])
    again = client.post(f"/api/v1/dossiers/{reference}/consult", json=asked, headers=headers)
    assert (again.status_code, again.json()["code"], again.json()["field"]) == (409, "consulted", "consulted")
    said = client.get(f"/api/v1/dossiers/{reference}", headers=headers).json()["consultations"]
    one = next(each for each in said if each["unit"]["code"] == "u3")
    assert (one["silence"], one["question"], one["state"]) == ("favourable", QUESTION, "requested")
    told = client.get(f"/api/v1/dossiers/{reference}", headers=portal.bearer("holder")).json()["consultations"]
    assert {(each["question"], each["opinion"], each["outcome"]) for each in told} == {(None, None, None)}
    listed = client.get("/api/v1/dossiers", headers=portal.bearer("ref3")).json()["dossiers"]
    assert [each["about"] for each in listed] == [reference]


def test_a_request_is_passed_on_and_taken_back_on_pages_and_by_a_program(portal, reference):
    client, headers = portal.visitor().client, portal.bearer("ref1")
    asked = {"fields": {"consulted": "u4", "question": QUESTION, "days": 7}}
    assert client.post(f"/api/v1/dossiers/{reference}/consult", json=asked, headers=headers).status_code == 200
    said = client.get(f"/api/v1/dossiers/{reference}", headers=headers).json()["consultations"]
    (request,) = [one["reference"] for one in said if one["unit"]["code"] == "u4"]
    service = portal.visitor("ref4")
    assert "Le délai recommence" in service.get(f"/dossiers/{request}/agir/pass_on").text
    away = {"to_unit": "other", "other_unit": "u1", "reason": "La police de l'eau n'est pas chez nous.", "key": "p1"}
    refused = service.post(f"/dossiers/{request}/agir/pass_on", away)
    assert (refused.status_code, 'href="#to_unit"' in refused.text) == (409, True)
    assert service.post(f"/dossiers/{request}/agir/pass_on", {**away, "other_unit": "u5"}).status_code == 303
    assert service.get(f"/dossiers/{reference}").status_code == 404
    desk = portal.visitor("ref1")
    form = desk.get(f"/dossiers/{reference}/agir/recall").text
    assert f'value="{request}"' in form
    short = desk.post(f"/dossiers/{reference}/agir/recall", {"request": request, "reason": "Non.", "key": "r1"})
    assert (short.status_code, "Non." in short.text) == (422, True)
    why = {"fields": {"request": request, "reason": "Le service a répondu par téléphone."}}
    done = client.post(f"/api/v1/dossiers/{reference}/recall", json=why, headers=headers)
    assert (done.status_code, done.json()["events"]) == (200, ["recall"])
    holder = portal.visitor("holder").get(f"/dossiers/{reference}").text
    assert "avis retirée" in holder
    assert "par téléphone" not in holder
    assert "par téléphone" in portal.visitor("ref5").get(f"/dossiers/{request}").text
