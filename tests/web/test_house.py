"""The house: headers and sizes, hosts, what says whether it is well, two languages, nothing inline in any page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import web
from cli.shipped import files, own
from config import yamltext
from states.definition import parse
from tests.web.conftest import Portal
from web import by_provider, dossier, sign_in
from web.app import create
from web.speech import SILENCE
from workflow import acknowledgements, blockages, effect_tables, heartbeats, invitations, letters, report_choices, words

ROOM = Path(web.__file__).parent
TEMPLATES = sorted((ROOM / "templates").glob("*.html"))


class Reader(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.seen = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


PLACES = (
    "/",
    "/aide",
    "/accessibilite",
    "/connexion",
    "/calculateur?rule=jours&duration=3&start=2027-01-04",
    "/dossiers",
    "/compte",
    "/demi-heure",
    "/file",
    "/pilotage",
    "/rapport?par=unit",
    "/rapport/attentes",
    "/nulle-part",
    "/dossiers/99-9999",
)


@pytest.mark.parametrize("path", PLACES)
def test_every_answer_has_its_guards_and_no_page_holds_a_script_or_a_style(path, portal):
    for who in (None, "holder", "ref1", "boss"):
        answer = portal.visitor(who).get(path)
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        for tag, attributes in Reader(answer.text).seen:
            assert "style" not in attributes, tag
            assert [name for name in attributes if name.startswith("on")] == []
            assert tag != "style"
            assert tag != "script" or attributes.get("src", "").startswith("/static/")


def test_a_page_outside_is_served_by_what_is_secure_and_says_so(portal):
    settings = portal.settings.model_copy(update={"base_url": "https://coupe-file.example"})
    outside = Portal(portal.world, create(settings, portal.world.make, lambda: None), settings)
    client = outside.visitor().client
    answer = client.get("https://coupe-file.example/connexion")
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-before=")
    assert "Secure" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("https://ailleurs.example/").status_code == 421
    assert client.get("http://localhost:8000/").status_code == 421
    assert client.get("https://ailleurs.example/healthz").status_code == 200
    assert client.get("https://coupe-file.example/metrics").status_code == 403


def test_what_is_too_long_is_refused_whether_it_says_so_or_not(portal):
    client, form = portal.visitor("holder").client, {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/connexion", content=b"x" * 1_000_001).status_code == 413
    assert client.post("/connexion", content=iter([b"x=" + b"x" * 600_000] * 3), headers=form).status_code == 413
    assert client.post("/connexion", content=b"", headers={"content-length": "beaucoup"}).status_code == 413


def test_a_portal_that_is_alive_is_not_ready_while_nothing_beats(portal):
    visitor = portal.visitor()
    assert visitor.get("/healthz").text == "ok\n"
    portal.world.sql("delete from heartbeats where name = 'tick'")
    assert visitor.get("/readyz").status_code == 503
    with portal.world.make.begin() as session:
        heartbeats.beat(session, "tick")
    assert visitor.get("/readyz").json()["ready"] is True
    portal.world.sql("update heartbeats set at = at - interval '10 minutes' where name = 'tick'")
    assert visitor.get("/readyz").status_code == 503


def test_the_figures_are_for_a_token_that_may_have_them(portal):
    visitor = portal.visitor()
    assert visitor.get("/metrics").status_code == 403  # the test's client has no address of this machine
    assert visitor.get("/metrics", headers=portal.bearer("boss", "read")).status_code == 403
    said = visitor.get("/metrics", headers=portal.bearer("boss", "metrics"))
    assert 'coupe_file_dossiers{phase="triaged"} 1.0' in said.text
    assert said.headers["content-type"].startswith("application/openmetrics-text")


def test_what_goes_wrong_is_said_without_its_inside_and_keeps_what_was_typed(portal, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("workflow.dossiers.act", broken)
    visitor = portal.visitor("holder")
    answer = visitor.post(f"/dossiers/{portal.reference}/agir/write", {"message": "Ma longue lettre.", "key": "z"})
    assert answer.status_code == 500
    assert "secret inside" not in answer.text
    assert "Ma longue lettre." in answer.text
    assert "content-security-policy" in answer.headers
    said = visitor.client.post(
        f"/api/v1/dossiers/{portal.reference}/write",
        headers=portal.bearer("holder"),
        json={"fields": {"message": "Oui"}},
    )
    assert said.json()["code"] == "internal"


def test_the_portal_is_not_official_until_somebody_answers_for_it(portal):
    assert "Service non officiel" in portal.visitor().get("/").text
    settings = portal.settings.model_copy(update={"operator": "Préfecture de l'Exemple"})
    named = Portal(portal.world, create(settings, portal.world.make, lambda: None), settings).visitor().get("/").text
    assert "Préfecture de l&#39;Exemple" in named
    assert "non officiel" not in named


def test_an_administration_s_own_theme_comes_after_ours(portal, tmp_path):
    (tmp_path / "theme.css").write_text(":root { --strong: #000091 }")
    settings = portal.settings.model_copy(update={"theme": tmp_path})
    visitor = Portal(portal.world, create(settings, portal.world.make, lambda: None), settings).visitor()
    page = visitor.get("/").text
    assert page.index("/static/portal.css") < page.index("/theme/theme.css")
    assert visitor.get("/theme/theme.css").text.startswith(":root")


# --- languages ------------------------------------------------------------------------------------------------------


PLACES_HELD = re.compile(r"%(?:\(\w+\))?s")


def spoken():
    """Every word that a page may say: in templates and modules, and in the tables of words of the engine."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "many": (1, 2)}
    for file, _line, message, _comments, _context in extract_from_dir(ROOM, methods, keywords=keywords):
        if file != "languages.py":
            yield message if isinstance(message, str) else message[0]
    yield from words.CHOICES.values()
    yield from words.ATTRIBUTES.values()
    yield from words.ROLES.values()
    yield from words.REASONS.values()
    yield from words.EVENTS.values()
    yield from (
        SILENCE,
        sign_in.WRONG,
        sign_in.ASKED,
        "Page introuvable",
        "Demande refusée",
        "Cette page n'est pas pour votre siège",
    )
    yield from acknowledgements.TITLES.values()
    yield from (by_provider.DENIED, by_provider.TOO_LATE, by_provider.SILENT, by_provider.UNSURE)
    yield from by_provider.REFUSED.values()
    yield from invitations.REFUSALS.values()
    yield from dossier.DONE.values()
    yield from (one["what"] for one in sign_in._story())
    yield from words.SILENCES.values()
    yield from effect_tables.words()
    yield blockages.NO_RUNG
    yield from report_choices.GROUPS.values()
    for definition in (own(), parse(yamltext.read(files()["avis"]).data)):
        for named in (definition.states.values(), definition.triggers, definition.clocks.values(), definition.ladder):
            yield from (one.label for one in named)
        yield from words.statement(definition).values()
    for label, covers in words.TOPICS.values():
        yield from (label, covers)
    yield from (said for said in map(letters.happened, letters.KINDS) if said is not None)


def test_every_word_has_its_english_with_the_same_places_held():
    catalogue = read_po(BytesIO((ROOM / "translations" / "en.po").read_bytes()), locale="en")
    known = {one.id if isinstance(one.id, str) else one.id[0]: one for one in catalogue if one.id}
    wanted = {message for message in spoken() if message}
    missing = sorted(message for message in wanted if message not in known or not known[message].string)
    assert missing == []
    for message, one in known.items():
        english = one.string if isinstance(one.string, str) else " ".join(one.string)
        assert (
            sorted(re.findall(r"%\(\w+\)s|%s", message))
            == sorted(re.findall(r"%\(\w+\)s|%s", english))[: message.count("%")]
            or one.pluralizable
        )


def test_a_reader_who_asks_for_english_reads_english_from_then_on(portal):
    visitor = portal.visitor("holder")
    page = visitor.get("/dossiers").text
    assert '<html lang="fr">' in page
    changed = visitor.client.post("/langue", data={"language": "en", "then": "/dossiers"})
    assert changed.headers["location"] == "/dossiers"
    page = visitor.get(f"/dossiers/{portal.reference}").text
    assert '<html lang="en">' in page
    assert "Next due date" in page
    assert "Prochaine échéance" not in page
    assert (
        visitor.client.post("/langue", data={"language": "en", "then": "//ailleurs.example"}).headers["location"] == "/"
    )
