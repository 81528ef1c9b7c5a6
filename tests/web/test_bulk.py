"""One act on several dossiers, by the page and by the API: seen before it is done, and said of each what became of it."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.web.conftest import hidden

REASON = "Deux relances sont restées sans réponse."
STATEMENT = "Le récépissé est délivré, le chantier peut commencer."


@pytest.fixture
def three(portal):
    """Give three dossiers that were sent to u1, the last one of which is resolved."""
    keys = portal.world.submit(3, title="Pompage à relancer")
    for key in keys:
        portal.world.act(key, "triage", "ref0", to_unit="u1")
    portal.world.resolve(keys[2])
    return {portal.world.row(key).reference: key for key in keys}


def boxes(page):
    return dict(re.findall(r'name="(dossier\.[^"]+)" value="(\d+|-)"', page))


def test_what_an_act_would_do_is_seen_for_each_then_done_to_each_once_however_often_it_is_sent(portal, three):
    desk, (first, second, closed) = portal.visitor("ref1"), three
    portal.world.jump(days=1)
    page = desk.get("/file/ensemble", params={"d": list(three)}).text
    assert "possible sur 2 des 3 dossiers" in page
    form = desk.get("/file/ensemble", params={"d": list(three), "verbe": "escalate"}).text
    assert set(boxes(form)) == {f"dossier.{first}", f"dossier.{second}"}
    assert f"{closed}</a> Pompage à relancer : pas à cette étape" in form
    empty = desk.post("/file/ensemble/escalate", {**boxes(form), "do": "preview"})
    assert empty.status_code == 422
    assert 'aria-describedby="error-reason"' in empty.text
    asked = {**boxes(form), f"dossier.{closed}": "", "reason": REASON}
    seen = unescape(desk.post("/file/ensemble/escalate", {**asked, "do": "preview"}).text)
    assert seen.count("Passe à : <strong>Administration 2</strong>") == 2
    assert seen.count("Prévenus : le porteur ; Administration 2.") == 2
    assert len(re.findall(r"<p>Réponse de l'échelon : [^→]+ → <strong>", seen)) == 2
    assert "Ne sera pas fait" in seen
    assert [portal.world.row(key).state for key in three.values()] == ["triaged", "triaged", "resolved"]
    portal.world.act(three[second], "transfer", "ref1", to_unit="u2", reason=REASON)  # in between
    sent = {**boxes(seen), "reason": REASON, "key": hidden(seen, "key"), "do": "act"}
    done = unescape(desk.post("/file/ensemble/escalate", sent).text)
    assert "Faits : 1 sur 2." in done
    assert "Changé entre-temps" in done
    again = unescape(desk.post("/file/ensemble/escalate", sent).text)
    assert "Déjà fait par ce même envoi" in again
    assert portal.world.kinds(three[first]).count("escalate") == 1
    assert "escalate" not in portal.world.kinds(three[second])
    left = {**boxes(done), "reason": hidden(done, "reason"), "do": "preview"}
    assert "Passe à : <strong>Administration 3</strong>" in unescape(desk.post("/file/ensemble/escalate", left).text)
    assert portal.world.sound()


def test_a_dossier_outside_the_scope_is_unknown_among_the_others_and_nothing_is_said_of_it(portal, three):
    stranger, (first, *_) = portal.visitor("ref6"), three
    page = stranger.get("/file/ensemble", params={"d": [first, portal.reference]})
    assert page.status_code == 200
    assert page.text.count("inconnu, ou hors de votre périmètre") == 2
    assert "Pompage" not in page.text
    assert stranger.get("/file/ensemble", params={"d": [first], "verbe": "note"}).status_code == 409
    sent = {f"dossier.{first}": "", "note": "Rien à signaler.", "do": "act"}
    assert "Refusé" in stranger.post("/file/ensemble/note", sent).text
    assert "note" not in portal.world.kinds(three[first])
    assert portal.visitor("ref1").get("/file/ensemble").status_code == 422
    assert portal.visitor("ref1").get("/file/ensemble", params={"d": ["x"] * 101}).status_code == 422


def test_a_program_asks_the_same_and_has_a_result_for_each(portal, three):
    client, who, (first, second, closed) = portal.visitor().client, portal.bearer("ref1"), three

    def ask(**body):
        keyed = {**who, "Idempotency-Key": "b-1"}
        return client.post("/api/v1/bulk", headers=keyed, json={"trigger": "hold", "fields": FIELDS, **body})

    before = portal.world.row(three[first])
    named = [{"reference": first, "version": before.version}, {"reference": second, "version": 1}, {"reference": closed},
             {"reference": "99-9999"}]  # fmt: skip
    foreseen = ask(dossiers=named, dry_run=True).json()["results"]
    assert [one["became"] for one in foreseen] == ["possible", "changed", "refused", "refused"]
    assert foreseen[0]["told"] == [{"seat": "holder", "unit": None}]
    assert portal.world.row(three[first]).version == before.version
    results = ask(dossiers=named).json()["results"]
    assert [one["became"] for one in results] == ["done", "changed", "refused", "refused"]
    assert results[1]["problem"]["code"] == "stale"
    assert results[3]["problem"]["status"] == 404
    repeated = ask(dossiers=named[:1]).json()["results"]
    assert (repeated[0]["became"], repeated[0]["seq"]) == ("repeated", results[0]["seq"])
    assert ask(dossiers=[]).status_code == 422
    assert ask(dossiers=[{"reference": first}] * 2).status_code == 422
    assert portal.world.sound()


FIELDS = {
    "motive": "clarification",
    "answer_by": "2026-12-20T18:00:00+01:00",
    "reason": "Quelle puissance, exactement ?",
}
