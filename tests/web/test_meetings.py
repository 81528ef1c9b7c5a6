"""A meeting of a unit: its agenda, what is decided on each dossier and lost by nobody, and minutes that leave once."""

from __future__ import annotations

from datetime import date, timedelta
from html import unescape

import pytest

from config.settings import Settings
from tasks.deliver import deliver_all
from tests.web.conftest import hidden
from workflow import meetings

SAID = "Le service de l'eau reçoit l'industriel <b>avant</b> l'enquête."


@pytest.fixture
def two(portal):
    """Give two dossiers that were sent to u1."""
    keys = portal.world.submit(2, title="Captage à décider")
    for key in keys:
        portal.world.act(key, "triage", "ref0", to_unit="u1")
    return {portal.world.row(key).reference: key for key in keys}


def today(portal):
    return portal.world.now().date()


def test_a_meeting_is_held_on_ticked_dossiers_and_its_minutes_leave_once(portal, two, tmp_path):
    desk, (first, second) = portal.visitor("ref1"), two
    portal.world.jump(days=7)
    day = today(portal)
    page = desk.get("/seances", params={"d": list(two)}).text
    assert f"{first}, {second}" in page
    ticked = {f"dossier.{reference}": "" for reference in two}
    assert desk.post("/seances", ticked).status_code == 422
    assert "hors de portée" in desk.post("/seances", {**ticked, "day": "2030-01-01"}).text
    there = desk.post("/seances", {**ticked, "day": day.isoformat()}).headers["location"]
    assert there == f"/seances/{day.isoformat()}"
    page = desk.get(there).text
    assert page.index(first) < page.index(second)
    assert page.count("Dossier orienté") == 2  # what happened in the thirty days before
    sent = {"dossier": first, "key": hidden(page, "key"), "decision": SAID, "who": "DDT 64"}
    wrong = desk.post(f"{there}/decision", {**sent, "due": (day - timedelta(days=1)).isoformat()})
    assert wrong.status_code == 422
    assert SAID in unescape(wrong.text)
    assert desk.post(f"{there}/decision", {**sent, "decision": " "}).status_code == 422
    noted = {**sent, "due": (day + timedelta(days=3)).isoformat()}
    assert desk.post(f"{there}/decision", noted).status_code == 303
    assert desk.post(f"{there}/decision", noted).status_code == 303  # a double click
    assert portal.world.kinds(two[first]).count("note") == 1
    assert unescape(desk.get(there).text).count(SAID) == 1  # among the decisions, and not again as what happened
    assert desk.post(f"{there}/retirer", {"dossier": first}).status_code == 409
    assert desk.post(f"{there}/retirer", {"dossier": second}).status_code == 303
    assert f'id="{second}"' not in desk.get(there).text
    half = unescape(desk.get("/demi-heure").text)
    assert "Décidé en séance, à faire (1)" in half
    assert SAID not in unescape(portal.visitor("holder").get(f"/dossiers/{first}").text)
    seq = hidden(half, "seq")
    assert portal.visitor("ref6").post("/seances/fait", {"dossier": first, "seq": seq}).status_code == 404
    assert desk.post("/seances/fait", {"dossier": first, "seq": seq}).status_code == 303
    assert "Décidé en séance" not in desk.get("/demi-heure").text
    portal.world.act(two[first], "escalate", "ref1", reason="Deux relances sans réponse.")  # u2 holds it now
    assert desk.post(f"{there}/releve", {"csrf": "x"}).status_code == 403
    assert desk.post(f"{there}/releve").status_code == 303
    assert desk.post(f"{there}/releve").status_code == 303
    assert desk.post(f"{there}/decision", {**noted, "key": "another"}).status_code == 409
    assert portal.world.kinds(two[first]).count("note") == 1
    settings = Settings(mail=f"file:{tmp_path}", base_url="http://localhost:8000")
    deliver_all(portal.world.make, settings)
    deliver_all(portal.world.make, settings)
    found = [one for one in map(read, tmp_path.iterdir()) if "relevé" in one["subject"]]
    assert sorted(one["to"] for one in found) == ["Prénom ref1 <ref1@x.example>", "Prénom ref2 <ref2@x.example>"]
    for one in found:
        body = one.get_content()
        assert f"Dossier {first}" in body
        assert SAID in body
        assert "Qui : DDT 64" in body
        assert second not in body
    assert portal.world.sound()


def read(path):
    import email.policy
    from email import message_from_bytes

    return message_from_bytes(path.read_bytes(), policy=email.policy.default)


def test_a_meeting_is_seen_by_its_unit_and_its_dossiers_by_who_may_read_them(portal, two):
    reference, day = next(iter(two)), date(2026, 11, 2)
    with portal.world.make.begin() as session:
        meetings.convene(session, portal.world.actor("ref1"), day, [reference])
    there = f"/seances/{day.isoformat()}"
    assert reference in portal.visitor("ref1").get(there).text
    for stranger in ("ref0", "ref6"):
        assert portal.visitor(stranger).get(there).status_code == 404
        assert reference not in portal.visitor(stranger).get("/seances").text
    outside = portal.visitor("ref6")
    assert outside.post("/seances", {"day": day.isoformat(), f"dossier.{reference}": ""}).status_code in (404, 422)
    outside.post("/seances", {"day": day.isoformat()})
    refused = outside.post(f"{there}/decision", {"dossier": reference, "decision": "Rien."})
    assert refused.status_code == 404
    assert (
        portal.world.value(
            "select count(*) from agenda_items i join meetings m on m.id = i.meeting_id where m.unit_id = 7"
        )
        == 0
    )
