"""Forms: everything that is wrong is said at once, beside its field; what was typed is kept, whatever happens."""

from __future__ import annotations

import re
import uuid
from html import unescape

import pytest

from tests.web.conftest import hidden

GOOD = {
    "siret": "356 000 000 49837", "commune": "64300", "topic": "eau", "title": "Pompage – site de Lacq",
    "blockage": "Le récépissé n'arrive pas.\r\nDeux relances.", "since": "2026-09-01", "jobs": "40", "invested": "12",
}  # fmt: skip
HOSTILE = "<script>alert(1)</script>\"'>{{ 7*7 }} =1+1 \u202e’"


@pytest.fixture
def holder(portal):
    return portal.visitor("holder")


def counted(portal):
    return portal.world.value("select count(*) from dossiers")


def test_every_error_of_a_deposit_is_said_at_once_tied_to_its_field_and_nothing_typed_is_lost(portal, holder):
    wrong = {**GOOD, "siret": "73282932000079", "commune": "", "topic": "", "title": "abc", "blockage": HOSTILE[:5],
             "since": "2027-01-01", "jobs": "beaucoup"}  # fmt: skip
    key, before = uuid.uuid4(), counted(portal)
    page = holder.post(f"/deposer/{key}", wrong)
    assert page.status_code == 422
    assert counted(portal) == before
    body = page.text
    assert "7 points à corriger" in body
    for name in ("siret", "commune", "topic", "title", "blockage", "since", "jobs"):
        field = "commune_search" if name == "commune" else name
        assert f'<a href="#{field}">' in body
        element = next(tag for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", body) if f'id="{field}"' in tag)
        assert 'aria-invalid="true"' in element
        assert f"error-{name}" in element
        assert f'id="error-{name}"' in body
    assert "73282932000079" in body
    assert "beaucoup" in body
    assert "49837" not in body
    again = holder.get(f"/deposer/{key}").text  # another day, another browser
    assert "beaucoup" in again
    assert "2027-01-01" in again


def test_a_deposit_sent_twice_opens_one_dossier_and_its_draft_is_gone(portal, holder):
    key, before = uuid.uuid4(), counted(portal)
    holder.post(f"/deposer/{key}/brouillon", GOOD, headers={"HX-Request": "true", "Origin": "http://localhost:8000"})
    assert "Pompage – site de Lacq" in holder.get("/dossiers").text
    first, second = holder.post(f"/deposer/{key}", GOOD), holder.post(f"/deposer/{key}", GOOD)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert counted(portal) == before + 1
    page = holder.get(first.headers["location"]).text
    assert "ne vaut pas acceptation" in page
    assert "35600000049837" in page
    assert portal.world.value("select count(*) from drafts where id = :key", key=key) == 0
    assert portal.world.sound()


def test_a_draft_is_kept_as_typed_and_is_nobody_else_s(portal, holder):
    key = uuid.uuid4()
    said = holder.post(f"/deposer/{key}/brouillon", {"title": HOSTILE, "jobs": "x" * 300})
    assert said.status_code == 303
    page = holder.get(f"/deposer/{key}").text
    assert HOSTILE in unescape(page)
    assert "<script>alert" not in page
    other = portal.visitor("other")
    assert HOSTILE not in unescape(other.get(f"/deposer/{key}").text)
    assert other.post(f"/deposer/{key}/brouillon", {"title": "pris"}).status_code == 404
    too_long = holder.post(f"/deposer/{key}/brouillon", {"blockage": "é" * 30_000})
    assert too_long.status_code == 409
    assert "é" * 30_000 in too_long.text


def test_a_commune_is_found_by_its_name_without_accents_and_without_a_script(holder):
    for words in ("lacq", "LAC", "64300", "àcq"):
        assert "64300" in holder.get("/communes", params={"q": words}).text, words
    for words in ("%", "_", "zzz", "\\"):
        assert "64300" not in holder.get("/communes", params={"q": words}).text, words
    key = uuid.uuid4()
    page = holder.post(f"/deposer/{key}/brouillon", {**GOOD, "commune": "", "commune_search": "lac", "do": "search"})
    assert '<input type="radio" name="commune" value="64300"' in page.text
    assert "Pompage – site de Lacq" in page.text


def test_what_was_typed_when_the_session_was_over_is_sent_after_signing_in_again(portal):
    from workflow import accounts

    with portal.world.make.begin() as session:
        accounts.set_password(session, portal.world.actor("holder").person, "un mot de passe assez long")
    visitor, text = portal.visitor("holder"), f"Où en est le récépissé ? {HOSTILE}"
    portal.world.sql("delete from web_sessions")
    path = f"/dossiers/{portal.reference}/agir/write"
    page = visitor.post(path, {"message": text, "key": "k1"})
    assert page.status_code == 401
    assert text in unescape(page.text)
    fields = {name: unescape(hidden(page.text, name)) for name in ("before", "then", "kept")}
    back = visitor.post("/connexion", {**fields, "login": "holder", "password": "un mot de passe assez long"})
    assert text in unescape(back.text)
    sent = visitor.post(
        path, {"csrf": hidden(back.text, "csrf"), "message": unescape(hidden(back.text, "message")), "key": "k1"}
    )
    assert sent.status_code == 303
    assert text in unescape(visitor.get(f"/dossiers/{portal.reference}").text)


def test_a_stale_page_is_told_what_changed_and_keeps_what_was_typed(portal):
    (key,) = portal.world.submit()
    reference = portal.world.row(key).reference
    desk, path = portal.visitor("ref0"), f"/dossiers/{reference}/agir/escalate"
    seen = hidden(desk.get(path).text, "seen")
    portal.world.act(key, "triage", "head0", to_unit="u1")
    reason = "Ce que j'ai mis dix minutes à écrire."
    page = desk.post(path, {"seen": seen, "reason": reason, "key": "a"})
    assert page.status_code == 409
    assert "Le dossier a changé" in page.text
    assert "Dossier orienté" in page.text
    assert "Dossier déposé" not in page.text.partition('<form method="post" action="/dossiers/')[0].partition("<h1>")[2]
    assert reason in unescape(page.text)
    assert portal.world.row(key).state == "triaged"
    again = desk.post(path, {"seen": hidden(page.text, "seen"), "reason": reason, "key": hidden(page.text, "key")})
    assert again.status_code == 303
    assert portal.world.row(key).state == "escalated"


def test_a_message_or_a_reminder_makes_no_page_stale(portal):
    (key,) = portal.world.submit()
    reference, desk = portal.world.row(key).reference, portal.visitor("ref0")
    path = f"/dossiers/{reference}/agir/triage"
    seen = hidden(desk.get(path).text, "seen")
    portal.world.act(key, "write", "holder", message="Bonjour à tous.")
    assert desk.post(path, {"seen": seen, "to_unit": "u1", "key": "b"}).status_code == 303


def test_the_ladder_is_proposed_with_its_reasons_and_a_unit_outside_it_is_refused_beside_its_field(portal):
    (key,) = portal.world.submit()
    desk, path = portal.visitor("ref0"), f"/dossiers/{portal.world.row(key).reference}/agir/triage"
    page = desk.get(path).text
    assert re.search(r'value="u1" checked[^>]*> Administration 1', page)
    assert "Service instructeur" in page
    assert "tient le dossier" in page
    refused = desk.post(path, {"to_unit": "other", "other_unit": "u6", "key": "c"})
    assert refused.status_code == 409
    assert 'id="error-to_unit"' in refused.text
    assert 'value="u6"' in refused.text
    unknown = desk.post(path, {"to_unit": "other", "other_unit": "u66", "key": "c"})
    assert unknown.status_code == 422
    forced = desk.post(path, {"to_unit": "other", "other_unit": "u6", "forced": "true", "key": "c"})
    assert forced.status_code == 303


def test_the_effect_of_a_request_is_shown_before_it_is_made_and_showing_it_makes_nothing(portal):
    (key,) = portal.world.submit()
    reference, desk = portal.world.row(key).reference, portal.visitor("ref0")
    path, seq = f"/dossiers/{reference}/agir/hold", portal.world.row(key).seq
    page = desk.get(path).text
    assert "Suspend : Orientation" in page
    assert "ne suspend pas l&#39;instruction" in page
    fields = {"motive": "piece_required", "answer_by": "2026-10-12", "reason": "Le plan de bornage manque.", "key": "d"}
    shown = desk.post(path, {**fields, "do": "preview"})
    assert shown.status_code == 200
    assert "mercredi 7 octobre 2026" in shown.text
    assert "mercredi 14 octobre 2026" in shown.text
    assert portal.world.row(key).seq == seq
    past = desk.post(path, {**fields, "answer_by": "2026-10-01"})
    assert past.status_code == 409
    assert 'id="error-answer_by"' in past.text
    assert desk.post(path, fields).status_code == 303
    assert desk.post(path, fields).status_code == 409  # there is one already; the same key does not ask twice
    seen = portal.visitor("holder").get(f"/dossiers/{reference}").text
    assert "une réponse est attendue de vous" in seen
    assert "Le plan de bornage manque." in seen


def test_the_half_hour_puts_each_dossier_where_it_belongs_and_counts_them_all(portal):
    def sections():
        page = portal.visitor("ref3").get("/demi-heure").text
        return [int(number) for number in re.findall(r"<h2[^>]*>[^<]*\((\d+)\)</h2>", page)]

    assert sections() == [0, 0, 0, 0]
    ids = portal.world.submit(4)
    for key in ids:
        portal.world.act(key, "triage", to_unit="u3", forced="true")
    assert sections() == [0, 0, 4, 0]
    page = portal.visitor("ref3").get("/demi-heure").text
    offered = re.findall(rf'href="/dossiers/{portal.world.row(ids[0]).reference}/agir/(\w+)"', page)
    assert offered == ["hold", "escalate", "resolve", "consult"]  # two clicks from here to done
    portal.world.act(
        ids[0],
        "hold",
        "ref3",
        motive="clarification",
        answer_by="2026-10-20T18:00:00+02:00",
        reason="Quelle puissance ?",
    )
    portal.world.act(ids[1], "write", "holder", message="Une précision utile.")
    portal.world.act(ids[2], "transfer", "ref3", to_unit="u4", reason="Ce n'est pas chez nous.")
    assert sections() == [1, 0, 1, 2]
    portal.world.act(ids[0], "answer", "holder", reason="25 MW au premier jour.")
    portal.world.jump(days=9)
    assert sections() == [2, 1, 0, 1]


def test_filters_are_kept_under_a_name_for_oneself_and_counted(portal):
    desk, other = portal.visitor("ref4"), portal.visitor("ref1")
    for key in portal.world.submit(3):
        portal.world.act(key, "triage", to_unit="u4", forced="true")
    page = desk.get("/file", params={"etape": "triaged", "retard": "1"}).text
    filters = unescape(hidden(page, "filters"))
    assert filters == "etape=triaged&retard=1"
    assert (
        desk.post("/file/vues", {"name": "En  retard", "filters": f"{filters}&autre=x"}).headers["location"]
        == f"/file?{filters}"
    )
    assert desk.post("/file/vues", {"name": "Orientés", "filters": "etape=triaged"}).status_code == 303
    assert desk.post("/file/vues", {"name": "Cassée", "filters": "etape=nulle"}).status_code == 422
    shown = re.findall(
        r'<a href="/file\?([^"]+)"[^>]*>([^<]+)</a> <span class="facts">(\d+)</span>', desk.get("/file").text
    )
    late, mine = portal.world.sql("""select count(*) filter (where due_at < business_now()), count(*) from dossiers
                                     where unit_id = 5 and phase = 'triaged'""")[0]
    assert shown == [("etape=triaged&amp;retard=1", "En retard", str(late)), ("etape=triaged", "Orientés", str(mine))]
    assert mine >= 3
    assert "Orientés" not in other.get("/file").text
    key = portal.world.value("select id from saved_views where name = 'Orientés'")
    other.post(f"/file/vues/{key}/fin")
    assert "Orientés" in desk.get("/file").text
    desk.post(f"/file/vues/{key}/fin")
    assert "Orientés" not in desk.get("/file").text
    for number in range(11):
        assert desk.post("/file/vues", {"name": f"Vue {number}", "filters": "tous=1"}).status_code == 303
    assert desk.post("/file/vues", {"name": "Une de trop", "filters": "tous=1"}).status_code == 409


def test_the_queue_is_narrowed_by_its_address_and_read_page_by_page(portal, monkeypatch):
    monkeypatch.setattr("web.desk.LIMIT", 2)
    ids = portal.world.submit(5)
    for key in ids:
        portal.world.act(key, "triage", to_unit="u5", forced="true")
    desk, found, path = portal.visitor("ref5"), [], "/file?etape=triaged"
    while path:
        page = desk.get(path).text
        found += re.findall(r'<th scope="row"><a href="/dossiers/([^"]+)"', page)
        following = re.search(r'<a href="([^"]+)" rel="next"', page)
        path = unescape(following[1]) if following else ""
        assert not path or "etape=triaged" in path
    assert sorted(found) == sorted(portal.world.row(key).reference for key in ids)
    assert "Aucun dossier" in desk.get("/file?etape=escalated").text
    assert "Aucun dossier" in desk.get("/file?balle=holder").text
    assert desk.get("/file?apres=abc").status_code == 422
    assert desk.get("/file?etape=perdu").status_code == 422


def test_a_manager_sees_counts_and_no_text(portal):
    page = portal.visitor("boss").get("/pilotage").text
    total = portal.world.value("select count(*) from dossiers where phase <> 'resolved'")
    assert re.search(rf"<dt>ouverts</dt><dd>{total}</dd>", page)
    assert "Pompage" not in page
    assert "Prénom ref" not in page


def test_a_holder_withdraws_and_opens_again(portal, holder):
    (key,) = portal.world.submit()
    reference = portal.world.row(key).reference
    done = holder.post(f"/dossiers/{reference}/agir/withdraw", {"reason": "Le projet change de site.", "key": "w"})
    assert done.status_code == 303
    assert portal.world.row(key).outcome == "withdrawn"
    assert reference in holder.get("/dossiers?clos=1").text
    page = holder.get(f"/dossiers/{reference}").text
    assert "rien : le dossier est clos" in page
    assert f"/dossiers/{reference}/agir/reopen" in page
    again = holder.post(f"/dossiers/{reference}/agir/reopen", {"reason": "Finalement, il y reste.", "key": "r"})
    assert again.status_code == 303
    assert portal.world.row(key).closed_at is None
    assert portal.world.sound()
