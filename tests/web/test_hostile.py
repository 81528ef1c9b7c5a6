"""Whatever stands in a path, a query, a form, a header or a document is answered or refused: nothing breaks."""

from __future__ import annotations

import uuid

import pytest

VALUES = ("\x00", "a\x00b", "9" * 30, "-1", "é" * 3000, "' or 1=1 --", "%", "\u202e", " ", "1e9")
PAGES = (
    "/dossiers?apres={}", "/dossiers?clos={}", "/file?etape={}", "/file?sujet={}", "/file?commune={}", "/file?balle={}", "/file?apres={}",
    "/file?retard={}", "/communes?q={}", "/connexion?suite={}", "/connexion/lien/{}", "/dossiers/{}", "/dossiers/{}/agir/write",
    "/deposer/{}", "/dossiers/{}/pieces", "/dossiers/{}/pieces/{}", "/api/v1/dossiers/{}", "/api/v1/dossiers/{}/files", "/api/v1/dossiers/x/files/{}",
    "/api/v1/dossiers/{}/journal", "/api/v1/communes?q={}", "/api/v1/dossiers?after={}",
    "/api/v1/dossiers?phase={}", "/api/v1/dossiers?topic={}", "/api/v1/dossiers?unit={}", "/api/v1/dossiers?limit={}", "/{}",
)  # fmt: skip


@pytest.fixture(scope="module")
def people(portal):
    return [(portal.visitor(who), portal.bearer(who)) for who in ("holder", "ref1")]


@pytest.mark.parametrize("page", PAGES)
def test_no_value_in_an_address_breaks_a_page(page, people):
    path, _, query = page.partition("?")
    for value in VALUES:
        for visitor, bearer in people:
            given = {query.partition("=")[0]: value} if query else None
            where = path if query else path.replace("{}", _quoted(value))
            answer = visitor.client.get(where, params=given, headers=bearer if page.startswith("/api") else {})
            assert answer.status_code < 500, (page, value[:40], answer.text[:300])


def _quoted(value):
    from urllib.parse import quote

    return quote(value, safe="")


def test_no_value_in_a_form_breaks_it_or_writes_by_halves(portal):
    holder, desk = portal.visitor("holder"), portal.visitor("ref1")
    dossier = f"/dossiers/{portal.reference}/agir"
    for value in VALUES:
        typed = dict.fromkeys(
            (
                "siret",
                "commune",
                "topic",
                "title",
                "blockage",
                "since",
                "needed_by",
                "jobs",
                "invested",
                "commune_search",
            ),
            value,
        )
        assert holder.post(f"/deposer/{uuid.uuid4()}", typed).status_code in (409, 413, 422), value[:40]
        portal.world.sql("delete from drafts")
        for act, fields in (
            ("hold", ("motive", "answer_by", "reason", "seen", "key")), ("transfer", ("to_unit", "other_unit", "forced", "reason", "seen")),
            ("resolve", ("outcome", "statement", "seen")), ("assign", ("to_user", "seen")), ("escalate", ("seen", "reason")),
        ):  # fmt: skip
            answer = desk.post(f"{dossier}/{act}", dict.fromkeys(fields, value))
            assert answer.status_code in (409, 413, 422), (act, value[:40], answer.status_code)
            assert desk.post(f"{dossier}/{act}", {**dict.fromkeys(fields, value), "do": "preview"}).status_code in (
                409,
                413,
                422,
            )
        assert holder.post("/connexion", {"before": value, "login": value, "password": value}).status_code in (403, 413)
        assert desk.post("/compte/jetons", {"name": value, "scope_read": value, "days": value}).status_code in (
            422,
            409,
        )
        assert desk.post("/langue", {"language": value, "then": value}).headers["location"].startswith("/")
    assert portal.world.sound()


def test_no_document_or_header_breaks_the_api(portal):
    client, headers = portal.visitor().client, portal.bearer("ref1")
    path = f"/api/v1/dossiers/{portal.reference}/message"
    bodies = [b"", b"{", b"[]", b"null", b'{"fields": []}', b'{"fields": {"message": null}}', b'{"fields": {"message": ["a"]}}',
              b'{"fields": {"message": "\\u0000"}}', b'{"fields": {"message": 1e400}}', b'{"more": 1}', b"\xff\xfe", b"[" * 5000,
              b'{"fields": {"' + b"a" * 5000 + b'": "b"}}', b'{"fields": {"message": "\\ud800"}}']  # fmt: skip
    for body in bodies:
        answer = client.post(path, content=body, headers={**headers, "Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (body[:60], answer.text[:300])
    good = b'{"fields": {"message": "Un message."}}'
    for name, value in (("Idempotency-Key", "é".encode()), ("Idempotency-Key", b"x" * 101), ("Idempotency-Key", b"\x01"), ("If-Match", b"*,\xff"),
                        ("Authorization", b"Bearer "), ("Authorization", b"Basic eA=="), ("Authorization", b"Bearer \xff")):  # fmt: skip
        answer = client.post(path, content=good, headers={**headers, "Content-Type": "application/json", name: value})
        assert answer.status_code in (200, 400, 401, 412, 422), (name, value, answer.text[:300])
