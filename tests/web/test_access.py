"""Who reads and does what: every page and endpoint, by every relation to a dossier, against a table written by hand."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.web import walk
from tests.web.conftest import BLOCKAGE, FILE, FILE_INSIDE, MESSAGE, NOTE, SITE, TITLE
from workflow.models import Competence, Membership, Person, Unit

WHO = ("nobody", "other", "holder", "ref6", "ref0", "ref1", "boss")
# `other`: another holder; `ref6`: a unit that never had it; `ref0`: one that had it; `ref1`: the one that has it.
# 303 without a session is the way to sign in; 404 is what is outside one's scope, or never an act of this role.
PAGES = """
page                             nobody other holder ref6 ref0 ref1 boss
/                                200    303   303    303  303  303  303
/aide                            200    200   200    200  200  200  200
/accessibilite                   200    200   200    200  200  200  200
/calculateur                     200    200   200    200  200  200  200
/connexion                       200    303   303    303  303  303  303
/connexion/siege                 303    200   200    200  200  200  200
/connexion/fournisseur/retour    404    404   404    404  404  404  404
/agenda/{secret}.ics             404    404   404    404  404  404  404
/connexion/lien/{secret}         410    410   410    410  410  410  410
/compte                          303    200   200    200  200  200  200
/dossiers                        303    200   200    403  403  403  403
/deposer                         303    303   303    403  403  403  403
/deposer/{key}                   303    200   200    403  403  403  403
/communes?q=lacq                 303    200   200    200  200  200  200
/installation                    303    403   403    403  403  403  403
/installation/webhooks           303    403   403    403  403  403  403
/installation/webhooks/{seq}     303    403   403    403  403  403  403
/demi-heure                      303    403   403    200  200  200  403
/file                            303    403   403    200  200  200  403
/file?tous=1                     303    403   403    200  200  200  403
/file/ensemble                   303    403   403    422  422  422  403
/file/ensemble?d={ref}           303    403   403    200  200  200  403
/file/ensemble?d={ref}&verbe=note 303   403   403    409  200  200  403
/seances                         303    403   403    200  200  200  403
/seances?d={ref}                 303    403   403    404  200  200  403
/seances/2026-10-06              303    403   403    404  404  404  403
/pilotage                        303    403   403    403  403  403  200
/rapport                         303    403   403    403  403  403  200
/rapport/attentes                303    403   403    403  403  403  200
/rapport/dossiers?chiffre=open   303    403   403    403  403  403  200
/rapport/effet                   303    403   403    403  403  403  200
/rapport/effet/export/effet.csv  303    403   403    403  403  403  200
/rapport/effet/export/effet.json 303    403   403    403  403  403  200
/rapport/effet/export/effet.xlsx 303    403   403    403  403  403  200
/rapport/effet/export/effet.pdf  303    403   403    403  403  403  200
/rapport/effet/export/preuve.zip 303    403   403    403  403  403  200
/rapport/blocages                303    403   403    403  403  403  200
/rapport/blocages/note.pdf?sujet=eau 303 403  403    403  403  403  200
/rapport/export/chiffres.csv     303    403   403    403  403  403  200
/rapport/export/chiffres.json    303    403   403    403  403  403  200
/rapport/export/liste.csv        303    403   403    403  403  403  200
/rapport/export/dossiers.csv     303    403   403    403  403  403  200
/rapport/export/dossiers.xlsx    303    403   403    403  403  403  200
/rapport?du=2026-12-01&au=2026-11-01  303 403 403    403  403  403  422
/dossiers/{ref}                  303    404   200    404  200  200  200
/dossiers/{ref}/journal.json     303    404   200    404  200  200  403
/dossiers/{ref}/pieces           303    404   303    404  303  303  303
/dossiers/{ref}/pieces/{shown}   303    404   200    404  200  200  403
/dossiers/{ref}/pieces/{inside}  303    404   404    404  200  200  403
/dossiers/{ref}/accuses/{seq}.pdf 303    404   404    404  404  404  403
/invitation/{secret}             410    410   410    410  410  410  410
/dossiers/{ref}/inviter          303    404   200    403  403  403  403
/dossiers/{ref}/quitter          303    404   200    403  403  403  403
/dossiers/{ref}/confidentialite  303    404   200    404  404  200  403
/dossiers/{ref}/agir/write       303    404   200    404  404  404  404
/dossiers/{ref}/agir/withdraw    303    404   200    404  404  404  404
/dossiers/{ref}/agir/answer      303    404   409    404  404  404  404
/dossiers/{ref}/agir/message     303    404   404    404  200  200  404
/dossiers/{ref}/agir/note        303    404   404    404  200  200  404
/dossiers/{ref}/agir/hold        303    404   404    404  200  200  404
/dossiers/{ref}/agir/assign      303    404   404    404  200  200  404
/dossiers/{ref}/agir/transfer    303    404   404    404  200  200  200
/dossiers/{ref}/agir/escalate    303    404   404    404  200  200  404
/dossiers/{ref}/agir/resolve     303    404   404    404  200  200  404
/dossiers/{ref}/agir/triage      303    404   404    404  404  404  404
/dossiers/{ref}/agir/exhaust     303    404   404    404  404  404  404
"""
# Forms, sent with nothing in them: 422 is let in and told what is missing; 401 keeps what was typed.
FORMS = """
form                             nobody other holder ref6 ref0 ref1 boss
/dossiers/{ref}/pieces           401    404   422    404  422  422  403
/dossiers/{ref}/agir/write       401    404   422    404  404  404  404
/dossiers/{ref}/agir/message     401    404   404    404  422  422  404
/dossiers/{ref}/agir/note        401    404   404    404  422  422  404
/dossiers/{ref}/agir/resolve     401    404   404    404  422  422  404
/dossiers/{ref}/agir/transfer    401    404   404    404  422  422  422
/dossiers/{ref}/inviter          401    404   422    403  403  403  403
/dossiers/{ref}/invitations/{seq}/fin    401 404 404 403 403 403 403
/dossiers/{ref}/invitations/{seq}/renvoi 401 404 404 403 403 403 403
/dossiers/{ref}/quitter          401    404   409    403  403  403  403
/dossiers/{ref}/confidentialite  401    404   422    403  403  403  403
/dossiers/{ref}/autre            401    404   303    403  403  403  403
/file/ensemble/write             401    403   403    422  422  422  403
/file/vues                       401    403   403    422  422  422  403
/file/vues/{seq}/fin             401    403   403    303  303  303  403
/seances                         401    403   403    422  422  422  403
/seances/fait                    401    403   403    422  422  422  403
/seances/2026-10-06/decision     401    403   403    404  404  404  403
/seances/2026-10-06/retirer      401    403   403    404  404  404  403
/seances/2026-10-06/releve       401    403   403    404  404  404  403
/deposer/{key}                   401    422   422    403  403  403  403
/deposer/{key}/brouillon         401    303   303    403  403  403  403
/deposer/{key}/effacer           401    303   303    403  403  403  403
/compte/jetons                   401    422   422    422  422  422  422
/compte/jetons/1/fin             401    303   303    303  303  303  303
/installation/messages           401    403   403    403  403  403  403
/installation/webhooks           401    403   403    403  403  403  403
/installation/webhooks/{seq}/renvoyer   401 403 403 403 403 403 403
/installation/webhooks/{seq}/secret     401 403 403 403 403 403 403
/installation/webhooks/{seq}/desactiver 401 403 403 403 403 403 403
/installation/webhooks/{seq}/reactiver  401 403 403 403 403 403 403
/compte/agenda                   401    200   200    200  200  200  403
/compte/mot-de-passe             401    422   422    422  422  422  422
/compte/identite/fin             401    404   404    404  404  404  404
/connexion/fournisseur           404    404   404    404  404  404  404
"""
API = """
endpoint                         nobody other holder ref6 ref0 ref1 boss
GET /me                          401    200   200    200  200  200  200
GET /topics                      401    200   200    200  200  200  200
GET /communes?q=lacq             401    200   200    200  200  200  200
GET /dossiers                    401    200   200    200  200  200  200
GET /dossiers/{ref}              401    404   200    404  200  200  200
GET /dossiers/{ref}/journal      401    404   200    404  200  200  200
GET /dossiers/{ref}/clocks       401    404   200    404  200  200  200
GET /dossiers/{ref}/files        401    404   200    404  200  200  403
GET /dossiers/{ref}/files/{shown} 401   404   200    404  200  200  403
GET /dossiers/{ref}/files/{inside} 401  404   404    404  200  200  403
POST /dossiers/{ref}/files       401    404   422    404  422  422  403
GET /dossiers/{ref}/acknowledgements       401 404 200 404 200 200 200
GET /dossiers/{ref}/acknowledgements/{seq} 401 404 404 404 404 404 403
GET /dossiers/{ref}/linked       401    404   200    404  200  200  200
GET /dossiers/{ref}/confidentiality 401 404   200    404  404  200  403
PUT /dossiers/{ref}/confidentiality 401 422   422    422  422  422  422
GET /dossiers/{ref}/invitations  401    404   200    404  403  403  403
POST /dossiers/{ref}/invitations 401    422   422    422  422  422  422
POST /dossiers/{ref}/invitations/{seq}/again 401 404 404 404 403 403 403
DELETE /dossiers/{ref}/invitations/{seq}     401 404 404 404 403 403 403
DELETE /dossiers/{ref}/parties/me            401 404 409 404 403 403 403
GET /webhooks                    401    403   403    403  403  403  403
POST /webhooks                   401    403   403    403  403  403  403
GET /webhooks/{seq}              401    403   403    403  403  403  403
GET /webhooks/{seq}/deliveries   401    403   403    403  403  403  403
POST /webhooks/{seq}/replay      401    403   403    403  403  403  403
POST /webhooks/{seq}/rotate      401    403   403    403  403  403  403
POST /webhooks/{seq}/disable     401    403   403    403  403  403  403
POST /webhooks/{seq}/enable      401    403   403    403  403  403  403
GET /overview                    401    403   403    403  403  403  200
POST /bulk                       401    422   422    422  422  422  422
POST /compute                    422    422   422    422  422  422  422
POST /dossiers                   401    422   422    422  422  422  422
POST /dossiers/{ref}/write       401    404   422    404  422  422  422
POST /dossiers/{ref}/message     401    404   422    404  422  422  422
POST /dossiers/{ref}/escalate    401    404   422    404  422  422  422
"""
# What may be read where the dossier shows: its texts, the message, the note between administrations, the names of its files.
READS = {
    "holder": {TITLE, BLOCKAGE, MESSAGE, FILE}, "ref0": {TITLE, BLOCKAGE, MESSAGE, NOTE, FILE, FILE_INSIDE},
    "ref1": {TITLE, BLOCKAGE, MESSAGE, NOTE, FILE, FILE_INSIDE},
    "boss": set(), "other": set(), "ref6": set(), "nobody": set(),
}  # fmt: skip
# In whose lists it stands, under its reference.
LISTED = {"holder": ("/dossiers",), "ref0": ("/file?tous=1", "/demi-heure"), "ref1": ("/file", "/demi-heure")}
# What is for everybody, or for who signs in: told of in test_house.py, test_sign_in.py, test_by_provider.py, test_invitations.py.
ELSEWHERE = {
    "GET /healthz", "GET /readyz", "GET /metrics", "POST /langue", "POST /deconnexion", "POST /connexion", "POST /connexion/lien", "POST /connexion/lien/{secret}",
    "POST /connexion/siege", "POST /connexion/demonstration", "POST /invitation/{secret}",
}  # fmt: skip
# Other relations, each answered as one of the table in everything: a colleague as whoever has the dossier, a unit of another
# rung or of another territory as any unit that never had it. Two parties are told apart in test_confidentiality.py.
ALIKE = {"mate1": "ref1", "prefet3": "ref6", "far9": "ref6"}


def table(written):
    head, *rows = [line.rsplit(None, len(WHO)) for line in written.strip().splitlines()]
    assert tuple(head[1:]) == WHO
    return {row[0]: dict(zip(WHO, map(int, row[1:]), strict=True)) for row in rows}


def relations(row):
    """Each relation with the one of the table that it is as, and what it is answered."""
    yield from ((who, who, expected) for who, expected in row.items())
    yield from ((who, alike, row[alike]) for who, alike in ALIKE.items())


def filled(path, portal, who="nobody"):
    key = f"00000000-0000-4000-8000-00000000000{WHO.index(who)}"
    return path.format(ref=portal.reference, key=key, secret="x" * 43, seq=1, shown=portal.shown, inside=portal.inside)


@pytest.fixture(scope="module", autouse=True)
def peopled(portal):
    """Give the other relations: a colleague in the unit that has the dossier, and a unit of another territory."""
    with portal.world.make.begin() as session:
        here = session.query(Unit).filter_by(code="u1").one()
        far = Unit(code="far", name="Administration d'ailleurs", level="x")
        people = {login: Person(login=login, name=f"Prénom {login}") for login in ("mate1", "far9")}
        session.add_all([far, *people.values()])
        session.flush()
        seats = (("mate1", here), ("far9", far))
        session.add_all(Membership(person_id=people[one].id, unit_id=unit.id, role="referent") for one, unit in seats)
        session.add(Competence(topic="eau", area="59", rung=1, unit_id=far.id))


@pytest.fixture(scope="module")
def visitors(portal):
    return {who: portal.visitor(None if who == "nobody" else who) for who in (*WHO, *ALIKE)}


@pytest.fixture(scope="module")
def bearers(portal):
    return {who: {} if who == "nobody" else portal.bearer(who) for who in (*WHO, *ALIKE)}


@pytest.mark.parametrize("page", table(PAGES))
def test_each_page_answers_each_relation_as_the_table_says_and_leaks_nothing(page, portal, visitors):
    for who, alike, expected in relations(table(PAGES)[page]):
        answer = visitors[who].get(filled(page, portal))
        assert answer.status_code == expected, (who, answer.text[:500])
        seen = {
            words for words in (TITLE, BLOCKAGE, MESSAGE, NOTE, FILE, FILE_INSIDE) if words in unescape(answer.text)
        }
        assert seen <= READS[alike], who
        if page in ("/dossiers/{ref}", "/dossiers/{ref}/journal.json"):
            assert seen == READS[alike], who


@pytest.mark.parametrize("who", WHO)
def test_a_dossier_is_listed_to_those_that_it_is_for_and_to_nobody_else(who, portal, visitors):
    lists = [
        page
        for page, row in table(PAGES).items()
        if row[who] == 200 and page in ("/dossiers", "/file", "/file?tous=1", "/demi-heure")
    ]
    for page in lists:
        there = portal.reference in visitors[who].get(page).text
        assert there == (page in LISTED.get(who, ()) or (who == "ref1" and page == "/file?tous=1")), page


def test_nothing_was_done_by_forms_that_were_not_filled_and_each_was_answered_as_the_table_says(portal):
    before = portal.world.value("select seq from dossiers where id = :key", key=portal.dossier)
    for form, row in table(FORMS).items():
        for who, expected in row.items():
            visitor = portal.visitor(None if who == "nobody" else who)
            answer = visitor.post(filled(form, portal, who), {"typed": "gardé"})
            assert answer.status_code == expected, (form, who, answer.text[:500])
    assert portal.world.value("select seq from dossiers where id = :key", key=portal.dossier) == before


@pytest.mark.parametrize("endpoint", table(API))
def test_each_endpoint_answers_each_relation_as_the_table_says_and_leaks_nothing(endpoint, portal, bearers):
    method, _, path = endpoint.partition(" ")
    visitor = portal.visitor()
    for who, alike, expected in relations(table(API)[endpoint]):
        asked = {"json": {"fields": {}}} if method in ("POST", "PUT") else {}
        answer = visitor.client.request(method, f"/api/v1{filled(path, portal)}", headers=bearers[who], **asked)
        assert answer.status_code == expected, (who, answer.text[:500])
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        seen = {words for words in (TITLE, BLOCKAGE, MESSAGE, NOTE, FILE, FILE_INSIDE) if words in answer.text}
        assert seen <= READS[alike], who
        if path == "/dossiers/{ref}":
            assert seen == READS[alike] & {TITLE, BLOCKAGE}, who
        if path == "/dossiers/{ref}/files" and method == "GET":
            assert seen == READS[alike] & {FILE, FILE_INSIDE}, who
        if path == "/dossiers/{ref}/journal":
            assert seen == READS[alike], who
            kinds = [event["kind"] for event in answer.json().get("events", [])]
            assert ("note" in kinds) == (alike in ("ref0", "ref1", "boss"))
        if path == "/dossiers" and method == "GET" and expected == 200:
            assert (portal.reference in answer.text) == (alike in ("holder", "ref0", "ref1", "boss")), who


def test_a_role_that_may_not_ask_an_act_is_refused_even_with_all_its_fields(portal, bearers):
    visitor = portal.visitor()
    given = {"fields": {"message": "Un message comme un autre."}}
    path = f"/api/v1/dossiers/{portal.reference}"
    assert visitor.client.post(f"{path}/message", headers=bearers["holder"], json=given).status_code == 403
    assert visitor.client.post(f"{path}/write", headers=bearers["ref1"], json=given).status_code == 403
    assert visitor.client.post(f"{path}/write", headers=bearers["boss"], json=given).status_code == 403


def test_a_session_is_no_token_and_a_token_is_no_session(portal, bearers):
    visitor = portal.visitor("holder")
    assert visitor.get("/api/v1/me").status_code == 401
    assert portal.visitor().get("/dossiers", headers=bearers["holder"]).status_code == 303


def test_the_tables_name_every_route_by_each_of_its_methods(portal):
    def plain(path):
        path = re.sub(r"/agir/(\{name\}|\w+)$", "/agir/{act}", path)
        path = re.sub(r"^(/api/v1/dossiers/\{ref\})/(\{trigger\}|write|message|escalate)$", r"\1/{act}", path)
        path = re.sub(r"/(pieces|files)/\{\w+\}", r"/\1/{file}", path)
        path = re.sub(r"/(invitations|webhooks)/\{key(:int)?\}", r"/\1/{seq}", path)
        path = re.sub(r"/seances/\d{4}-\d\d-\d\d", "/seances/{day}", path)
        path = re.sub(r"^/file/ensemble/\w+", "/file/ensemble/{name}", path)
        path = path.replace("/vues/{key:int}", "/vues/{seq}")
        path = re.sub(r"/compte/jetons/(\{key\}|1)/fin", "/compte/jetons/{seq}/fin", path)
        path = path.replace("{seq:int}", "{seq}").partition("?")[0]
        path = re.sub(r"^/rapport/effet/export/.+", "/rapport/effet/export/{name}", path)
        return "/rapport/export/{form}" if path.startswith("/rapport/export/") else path

    told = (
        {f"GET {plain(page)}" for page in table(PAGES)} | {f"POST {plain(form)}" for form in table(FORMS)} | ELSEWHERE
    )
    told |= {f"{method} {plain(f'/api/v1{path}')}" for method, path in (one.split() for one in table(API))}
    there = {f"{method} {plain(route.path)}" for route in walk.routes(portal.app) for method in route.methods}
    assert len(there) > 80
    assert there - told == set()
    assert told - there == set()


# --- what a stranger is answered does not depend on a dossier that is not theirs ---------------------------------------

STRANGERS = ("nobody", "other", "ref6", "far9")


def answers(portal, visitors, bearers, who):
    """What a stranger reads everywhere but of one dossier, without what changes by itself from one answer to the next."""
    said = {}
    for path in walk.addresses(portal.app, {"secret": ["x" * 43], "form": ["chiffres.csv"], "key": ["0" * 8 + "-0000-4000-8000-" + "0" * 12],
                                            "ref": ["{ref}"], "seq": ["1"], "name": ["write"], "file": ["x"], "day": ["2026-10-05"]}):  # fmt: skip
        if "{ref}" not in path and path not in ("/metrics", "/readyz", "/compte"):  # when a token last served
            headers = bearers[who] if path.startswith("/api/") else {}
            said[path] = re.sub(
                r'(name="(csrf|before|key)" value|nonce)="[^"]*"',
                "",
                walk.words(visitors[who].get(path, headers=headers)),
            )
    return said


def test_lists_and_counts_of_a_stranger_are_the_same_before_and_after_a_dossier_that_is_not_theirs(
    portal, visitors, bearers
):
    for who in STRANGERS:
        before = answers(portal, visitors, bearers, who)
        assert len(before) > 20
        (key,) = portal.world.submit(title=TITLE, blockage=BLOCKAGE)
        portal.world.act(key, "escalate", "ref0", reason="Deux relances sont restées sans réponse.")
        assert answers(portal, visitors, bearers, who) == before, who


def test_what_is_not_theirs_and_what_is_not_at_all_are_answered_alike(portal, visitors, bearers):
    """But for the reference that was asked for: nobody finds out by asking that a dossier exists."""
    values = {
        "seq": ["1"],
        "name": ["write", "message"],
        "file": [portal.shown],
        "day": ["2026-10-05"],
        "key": [portal.shown],
        "secret": ["x" * 43],
        "form": ["x"],
    }
    for who in ("other", "ref6", "far9"):
        for path in walk.addresses(portal.app, {**values, "ref": ["{ref}"]}):
            if "{ref}" in path:
                headers = bearers[who] if path.startswith("/api/") else {}
                there, nowhere = (
                    (one.status_code, one.text.replace(ref, "REF"))
                    for ref in (portal.reference, "64-9999")
                    for one in [visitors[who].get(path.replace("{ref}", ref), headers=headers)]
                )
                assert there == nowhere, (who, path)
                assert there[0] in (303, 403, 404), (who, path)


def test_a_form_from_elsewhere_or_without_its_token_does_nothing(portal):
    visitor = portal.visitor("holder")
    before = portal.world.value("select count(*) from events where kind = 'write'")
    fields, path = {"message": "Bonjour, où en est-on ?"}, f"/dossiers/{portal.reference}/agir/write"
    assert visitor.post(path, {**fields, "csrf": "x"}).status_code == 403
    assert visitor.post(path, {**fields, "csrf": ""}).status_code == 403
    assert visitor.post(path, fields, headers={"Origin": "https://ailleurs.example"}).status_code == 403
    assert visitor.post(path, fields, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert visitor.post(path, {**fields, "csrf": portal.visitor("ref1").csrf}).status_code == 403
    assert portal.world.value("select count(*) from events where kind = 'write'") == before
    assert visitor.post(path, fields, headers={"Origin": SITE}).status_code == 303
    assert portal.world.value("select count(*) from events where kind = 'write'") == before + 1
