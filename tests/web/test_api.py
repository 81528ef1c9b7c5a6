"""The API: the same verbs and reads, for a program."""

from __future__ import annotations

import pytest

from workflow import tokens

FIELDS = {"topic": "eau", "commune": "64300", "title": "Un captage", "blockage": "La déclaration attend une visite."}


class Api:
    """A program with a token."""

    def __init__(self, portal, login, *scopes):
        self.client, self.headers = portal.visitor().client, portal.bearer(login, *scopes)

    def get(self, path, **options):
        return self.client.get(f"/api/v1{path}", headers=self.headers, **options)

    def post(self, path, fields=None, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/api/v1{path}", json={"fields": fields or {}}, headers={**self.headers, **named})


@pytest.fixture(scope="module")
def holder(portal):
    return Api(portal, "holder")


@pytest.fixture(scope="module")
def desk(portal):
    return Api(portal, "ref0")


def test_a_deposit_under_a_key_is_made_once_and_another_under_it_is_refused(holder):
    first = holder.post("/dossiers", FIELDS, Idempotency_Key="k-1")
    second = holder.post("/dossiers", FIELDS, Idempotency_Key="k-1")
    assert (first.status_code, first.json()["repeated"]) == (201, False)
    assert second.json() == {**first.json(), "repeated": True}
    assert first.headers["location"] == f"/api/v1/dossiers/{first.json()['reference']}"
    other = holder.post("/dossiers", {**FIELDS, "title": "Un autre captage"}, Idempotency_Key="k-1")
    assert (other.status_code, other.json()["field"]) == (422, "key")


def test_a_refusal_names_the_field_and_what_would_be_accepted(holder):
    said = holder.post("/dossiers", {**FIELDS, "siret": "73282932000079"})
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["type"] == "urn:coupe-file:siret"
    assert said.json()["field"] == "siret"
    assert "14 chiffres" in said.json()["accepted"]
    assert holder.post("/dossiers", {**FIELDS, "couleur": "rouge"}).json()["code"] == "unknown_field"
    wrong = holder.client.post(
        "/api/v1/dossiers", content=b"{", headers={**holder.headers, "content-type": "application/json"}
    )
    assert (wrong.status_code, wrong.headers["content-type"]) == (422, "application/problem+json")


def test_an_act_on_the_version_that_was_seen_is_done_and_on_another_is_not(holder, desk):
    reference = holder.post("/dossiers", FIELDS).json()["reference"]
    path = f"/dossiers/{reference}"
    tag = desk.get(path).headers["etag"]
    done = desk.post(f"{path}/triage", {"to_unit": "u1"}, If_Match=tag, Idempotency_Key="t")
    assert done.json()["state"] == "triaged"
    assert done.headers["etag"] != tag
    stale = desk.post(f"{path}/escalate", {"reason": "Deux relances sans réponse."}, If_Match=tag)
    assert stale.status_code == 412
    for strange in ("3", 'W/"1"', '"x"', '"99999999999999999999"'):
        assert desk.post(f"{path}/escalate", {"reason": "Deux relances."}, If_Match=strange).status_code == 412
    assert desk.post(f"{path}/escalate", {"reason": "Deux relances.", "seen": 1}).status_code == 409
    assert desk.post(f"{path}/message", {"message": "Reçu."}, If_Match=done.headers["etag"]).status_code == 200
    assert desk.get(path).headers["etag"] == done.headers["etag"]


def test_each_date_says_why_and_the_turns_add_up(holder, desk, portal):
    reference = holder.post("/dossiers", FIELDS).json()["reference"]
    portal.world.jump(days=1)
    desk.post(f"/dossiers/{reference}/triage", {"to_unit": "u1"})
    portal.world.jump(days=2)
    said = holder.get(f"/dossiers/{reference}/clocks").json()
    shown = holder.get(f"/dossiers/{reference}").json()
    assert {one["name"]: one["due"] for one in said["clocks"]} == {one["name"]: one["due"] for one in shown["clocks"]}
    triage = next(one for one in said["clocks"] if one["name"] == "triage")
    assert triage["end"] is not None
    assert triage["gross_seconds"] == triage["net_seconds"] == 86400
    assert triage["steps"][0]["step"] == "clock"
    assert len(triage["fr"]) == len(triage["en"]) == len(triage["steps"])
    assert [one["event"] for one in triage["versions"]] == ["submit"]
    turns = said["turns"]
    assert [turn["name"] for turn in turns] == [name_of(portal, "u0"), name_of(portal, "u1")]
    assert [turn["seconds"] for turn in turns] == [86400, 2 * 86400]
    assert turns[0]["until"] == turns[1]["since"]
    assert turns[-1]["until"] == said["now"]


def name_of(portal, code):
    return portal.world.value("select name from units where code = :code", code=code)


def test_pages_of_a_list_follow_one_another_and_meet_nowhere(portal):
    other = Api(portal, "other")
    made = {other.post("/dossiers", FIELDS).json()["reference"] for _ in range(5)}
    seen, after = [], None
    while True:
        page = other.get("/dossiers", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [one["reference"] for one in page["dossiers"]]
        after = page["after"]
        if after is None:
            break
    assert sorted(seen) == sorted(made)
    assert other.get("/dossiers", params={"after": "x"}).status_code == 422
    assert other.get("/dossiers", params={"limit": 0}).status_code == 422
    assert other.get("/dossiers", params={"unit": "personne"}).status_code == 422


def test_a_token_does_what_its_scopes_say_until_it_ends(portal):
    reads = Api(portal, "ref1", "read")
    assert reads.get("/me").json()["scopes"] == ["read"]
    refused = reads.post(f"/dossiers/{portal.reference}/message", {"message": "Reçu."})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope")
    person = portal.world.actor("ref1").person
    with portal.world.make.begin() as session:
        (token,) = [one for one in tokens.every(session, person) if one.scopes == ("read",)]
        assert token.used_at is not None
        tokens.end(session, token.id, portal.world.actor("ref2").person)  # another's: nothing
    assert reads.get("/me").status_code == 200
    with portal.world.make.begin() as session:
        tokens.end(session, token.id, person)
    assert reads.get("/me").status_code == 401
    late = Api(portal, "ref1", "read")
    portal.world.sql("update api_tokens set ends_at = now() - interval '1 second'")
    said = late.get("/me")
    assert (said.status_code, said.headers["www-authenticate"]) == (401, "Bearer")
    portal.world.sql("update api_tokens set ends_at = now() + interval '1 day'")
    secrets = str(portal.world.sql("select * from api_tokens"))
    assert late.headers["Authorization"].split()[1] not in secrets


def test_a_token_is_made_and_ended_on_the_account_page(portal):
    visitor = portal.visitor("ref1")
    page = visitor.post("/compte/jetons", {"name": "Tableur", "scope_read": "1", "days": "30"}).text
    secret = page.partition('<code class="secret">')[2].partition("<")[0]
    assert (
        portal.visitor().client.get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).json()["role"]
        == "referent"
    )
    assert visitor.post("/compte/jetons", {"name": "Tableur", "days": "30"}).status_code == 422
    assert visitor.post("/compte/jetons", {"name": "Tableur", "scope_read": "1", "days": "9000"}).status_code == 422
    assert secret not in visitor.get("/compte").text
    assert "scope_metrics" not in visitor.get("/compte").text
    assert visitor.post("/compte/jetons", {"name": "Mesures", "scope_metrics": "1", "days": "30"}).status_code == 422


def test_the_description_of_the_api_names_every_path_and_the_refusals(portal):
    said = portal.visitor().get("/api/v1/openapi.json").json()
    assert "/api/v1/dossiers/{ref}/{trigger}" in said["paths"]
    assert not [path for path in said["paths"] if not path.startswith("/api/v1/")]
    for path in said["paths"].values():
        for operation in path.values():
            assert {"401", "403", "404", "409", "422"} <= set(operation["responses"])
