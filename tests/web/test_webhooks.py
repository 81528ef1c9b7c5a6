"""Webhooks in the portal and by the API: for who runs the installation, within their seat; the secret is shown once."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.web.conftest import BLOCKAGE, MESSAGE, NOTE, TITLE, Portal
from web.app import create

URL = "https://si.example/recevoir?jeton=cache"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")


@pytest.fixture(scope="module")
def run(portal):
    settings = portal.settings.model_copy(update={"admins": "boss, ref1, ref6"})
    return Portal(
        portal.world, create(settings, portal.world.make, lambda: None), settings, portal.dossier, portal.reference
    )


@pytest.fixture
def api(run):
    """Give a function that calls the API of webhooks as somebody."""
    headers = {who: run.bearer(who) for who in ("boss", "ref1", "ref6")}
    client = run.visitor().client

    def call(who, method, path="", json=None, **more):
        return client.request(method, f"/api/v1/webhooks{path}", json=json, headers={**headers[who], **more})

    return call


def made(answer):
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_webhook_of_the_api_lives_and_repeats_nothing(run, api):
    run.world.react()
    key = {"Idempotency-Key": "un"}
    first = made(api("boss", "POST", "", {"url": URL, "kinds": ["note", "triage"]}, **key))
    again = made(api("boss", "POST", "", {"url": URL, "kinds": ["note", "triage"]}, **key))
    assert (first["secret"], again["repeated"]) == (again["secret"], True)
    assert api("boss", "POST", "", {"url": URL}, **key).status_code == 409
    number = first["webhook"]["id"]
    assert first["webhook"]["url"] == "https://si.example/recevoir"
    for wrong, field in (
        ({"url": "http://si.example/"}, "url"), ({"url": "https://127.0.0.1/"}, "url"), ({"url": URL, "unit": "zz"}, "unit"),
        ({"url": URL, "kinds": ["zz"]}, "kinds"), ({"url": URL, "territory": "zz"}, "territory"),
    ):  # fmt: skip
        refused = api("boss", "POST", "", wrong)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
        assert refused.headers["content-type"] == "application/problem+json"
    run.world.act(run.dossier, "note", "ref1", note=NOTE)
    run.world.react()
    page = api("boss", "GET", f"/{number}/deliveries?limit=1").json()
    assert [one["kind"] for one in page["deliveries"]] == ["note"]
    run.world.sql(
        "update notices set state = 'sent', sent_at = clock_timestamp() where target = :t", t=f"webhook/{number}"
    )
    ids = [one["id"] for one in page["deliveries"]]
    assert api("boss", "POST", f"/{number}/replay", {"ids": ids}).json() == {"changed": ids}
    assert api("boss", "POST", f"/{number}/replay", {"ids": ids}).json() == {"changed": []}
    assert api("boss", "POST", f"/{number}/replay", {}).status_code == 422
    rotated = api("boss", "POST", f"/{number}/rotate", {"hours": 2}).json()
    assert (rotated["webhook"]["secrets"], rotated["secret"] == first["secret"]) == (2, False)
    assert api("boss", "POST", f"/{number}/disable", {"reason": "travaux"}).json()["disabled_why"] == "travaux"
    assert api("boss", "POST", f"/{number}/replay", {"ids": ids}).status_code == 409
    assert api("boss", "POST", f"/{number}/enable").json()["disabled_at"] is None
    told = (
        api("boss", "GET").text
        + api("boss", "GET", f"/{number}").text
        + api("boss", "GET", f"/{number}/deliveries").text
    )
    assert not SECRET.search(told)
    assert not [words for words in ("cache", TITLE, BLOCKAGE, MESSAGE, NOTE) if words in told]


def test_a_token_of_one_administration_sees_and_touches_nothing_of_another(run, api):
    whole = made(api("boss", "POST", "", {"url": URL}))["webhook"]["id"]
    mine = made(api("ref1", "POST", "", {"url": URL, "unit": "u1"}))["webhook"]["id"]
    strange = made(api("ref6", "POST", "", {"url": URL, "unit": "u6"}))["webhook"]["id"]
    for wanted in ({}, {"unit": "u6"}, {"unit": "u0"}, {"territory": "x"}):
        assert api("ref1", "POST", "", {"url": URL, **wanted}).status_code in (403, 422)
    run.world.act(run.dossier, "note", "ref1", note=NOTE)
    run.world.react()
    assert [one["id"] for one in api("ref1", "GET").json()["webhooks"]] == [mine]
    assert [one["dossier"] for one in api("ref1", "GET", f"/{mine}/deliveries").json()["deliveries"]] == [run.reference]
    assert api("ref6", "GET", f"/{strange}/deliveries").json()["deliveries"] == []
    for path, json in (("", None), ("/deliveries", None), ("/replay", {"ids": [1]}), ("/rotate", {}), ("/disable", {"reason": "x"}),
                       ("/enable", None)):  # fmt: skip
        method = "GET" if path in ("", "/deliveries") else "POST"
        for other in (whole, strange, 99_999):
            assert api("ref1", method, f"/{other}{path}", json).status_code == 404, path


def test_the_pages_add_replay_rotate_and_disable_and_show_the_secret_once(run):
    assert run.visitor("ref0").get("/installation/webhooks").status_code == 403
    visitor = run.visitor("boss")
    assert 'href="/installation/webhooks"' in visitor.get("/installation").text
    refused = visitor.post("/installation/webhooks", {"url": "https://10.0.0.1/", "unit": "u1", "kind_note": "1"})
    assert refused.status_code == 422
    page = unescape(refused.text)
    assert 'aria-invalid="true"' in page
    assert 'value="https://10.0.0.1/"' in page
    assert re.search(r'name="kind_note" value="1" checked', page)
    added = visitor.post("/installation/webhooks", {"url": URL, "unit": "u1", "kind_note": "1"})
    number = int(re.search(r'action="/installation/webhooks/(\d+)/secret"', added.text)[1])
    (secret,) = set(SECRET.findall(unescape(added.text)))
    run.world.act(run.dossier, "note", "ref1", note=NOTE)
    run.world.react()
    run.world.sql(
        "update notices set state = 'dead', why = 'réponse 500 à q@x.example' where target = :t", t=f"webhook/{number}"
    )
    path = f"/installation/webhooks/{number}"
    page = unescape(visitor.get(path).text)
    assert secret not in page
    assert "réponse 500" in page
    assert not [words for words in ("cache", "q@x.example", TITLE, BLOCKAGE, MESSAGE, NOTE) if words in page]
    delivery = re.search(r'name="id" value="(\d+)"', page)[1]
    assert visitor.post(f"{path}/renvoyer", {"id": delivery}).headers["location"] == f"{path}?fait=1"
    assert visitor.post(f"{path}/renvoyer", {"id": "1"}).status_code == 404
    rotated = unescape(visitor.post(f"{path}/secret", {"hours": "24"}).text)
    assert SECRET.search(rotated)[0] != secret
    assert "signe aussi jusqu'au" in rotated
    assert visitor.post(f"{path}/secret", {"hours": "x"}).status_code == 422
    assert visitor.post(f"{path}/desactiver", {"reason": ""}).status_code == 422
    assert visitor.post(f"{path}/desactiver", {"reason": "travaux"}).status_code == 303
    assert "travaux" in visitor.get(path).text
    assert visitor.post(f"{path}/reactiver").status_code == 303
    kept = run.world.sql(
        "select what, who from operations where who = 'boss' and subject ->> 'webhook' = :n order by id", n=str(number)
    )
    assert [what for what, _ in kept] == [f"webhook.{act}" for act in ("add", "replay", "rotate", "disable", "enable")]
