"""A manager finds the administration that loses the most time in a territory, sees where, and takes it away as files."""

from __future__ import annotations

import csv
import json
import re
from datetime import date, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESK, PHONE, SCREENS
from workflow import access, business_time, dossiers, reactions, report, report_file, scenario, territories
from workflow.dossiers import Submission
from workflow.report import Asked

MANAGER = "deleguee-ti:manager"
LACQ, CHALON = ("64300", "ref-64", "ddtm-64", "ref-ddtm-64"), ("71076", "ref-71", "ddt-71", "ref-ddt-71")
STATEMENT = "Le récépissé est délivré, le chantier peut commencer."
REASON = "Il manque le plan de masse au 1/500e."


def act(portal, key, trigger, who, **args):
    with portal.make.begin() as session:
        actor = access.actor(session, who, business_time.now(session))
        dossiers.one(dossiers.act(session, [key], trigger, actor=actor, args=args))


@pytest.fixture(scope="module")
def lived(portal):
    """Ten weeks at two places: the water police of Lacq answers one in three, that of Chalon all, and asks something once."""
    with portal.make.begin() as session:
        now = business_time.now(session)
        listed = [territories.Territory("TI-LACQ", "Lacq-Orthez", frozenset({"64300", "64410"}))]
        territories.write(session, territories.difference([], listed, date(2026, 1, 1)), date(2026, 1, 1))
    for week in range(10):
        begun = []
        with portal.make.begin() as session:
            actor = access.actor(session, "vp-lacq", business_time.now(session))
            for commune, *people in (LACQ, LACQ, CHALON):
                form = {
                    "topic": "eau",
                    "commune": commune,
                    "title": "Forage, tranche suivante",
                    "blockage": "Le récépissé n'arrive pas.",
                }
                (one,) = dossiers.submit(session, [Submission(form)], actor=actor)
                begun.append((one.dossier_id, people))
        scenario.advance(portal.make, now + timedelta(days=7 * week + 1, hours=5))
        for place, (key, (desk, unit, who)) in enumerate(begun):
            act(portal, key, "triage", desk, to_unit=unit)
            if week % 3 == 0 or unit == "ddt-71":
                term = (now + timedelta(days=7 * week + 4)).isoformat()
                act(portal, key, "hold", who, motive="piece_required", reason=REASON, answer_by=term)
            if place == 2 or week % 3 == 0:
                scenario.advance(portal.make, now + timedelta(days=7 * week + 1, hours=6 + place))
        scenario.advance(portal.make, now + timedelta(days=7 * week + 4, hours=8))
        for key, (_, unit, who) in begun:
            if week % 3 == 0 or unit == "ddt-71":
                act(portal, key, "resolve", who, outcome="unblocked", statement=STATEMENT)
        scenario.advance(portal.make, now + timedelta(days=7 * week + 7))
    while reactions.react(portal.make):
        continue
    return portal


def test_a_manager_finds_where_time_is_lost_and_takes_it_away(lived):
    page = lived.page(DESK, accept_downloads=True)
    lived.enter(page, MANAGER)
    page.get_by_role("link", name="Où se perd le temps").click()
    expect(page.get_by_role("heading", name="Où se perd le temps", exact=False).first).to_be_visible()
    lived.look(page, "40-rapport")

    page.get_by_text("Filtres", exact=True).click()
    page.select_option("#territoire", "TI-LACQ")
    page.select_option("#par", "unit")
    page.get_by_role("button", name="Filtrer").click()
    assert "territoire=TI-LACQ" in page.url
    said = page.locator(".lost").inner_text()
    assert re.search(
        r"^Parmi les administrations mesurables, DDTM des Pyrénées-Atlantiques perd le plus de temps : [\d,]+ j", said
    )
    assert "échelon" in said
    assert "a eu la balle" in said
    lived.look(page, "41-rapport-territoire")

    # Its figures are those of the command.
    with lived.make() as session:
        boss = access.actor(session, MANAGER, business_time.now(session))
    made = report.make(lived.make, Asked(territory="TI-LACQ", by="unit"), actor=boss)
    page.get_by_text("Les mêmes chiffres en tableau : Engagements de service", exact=False).first.click()
    rows = page.locator("section[aria-labelledby=commitments] tbody tr")
    shown = {
        row.locator("th").inner_text(): [cell.inner_text() for cell in row.locator("td").all()] for row in rows.all()
    }
    plain = report_file.document(made, Asked())
    assert {name: [int(cell) for cell in cells[:4]] for name, cells in shown.items()} == {
        one["label"]: [one[box] for box in ("open_in_time", "open_late", "closed_in_time", "closed_late")]
        for one in plain["clocks"] if one["family"] == "commitment"
    }  # fmt: skip

    # Down to its dossiers, and back.
    lost = page.locator("section[aria-labelledby=lost]")
    lost.get_by_text("Les mêmes chiffres en tableau").click()
    lost.locator("tbody tr").first.locator("td a").click()
    expect(page.get_by_role("heading", name="Les dossiers d'un chiffre", exact=False)).to_be_visible()
    assert page.locator("tbody tr").count() > 0
    lived.look(page, "42-rapport-dossiers")
    page.go_back()

    with page.expect_download() as given:
        page.get_by_role("link", name="Chiffres (JSON)").click()
    said = json.loads(given.value.path().read_text())
    assert said["asked"]["territory"] == "TI-LACQ"
    assert said["counts"] == plain["counts"]
    with page.expect_download() as given:
        page.get_by_role("link", name="Dossiers (CSV)").click()
    assert (
        len(list(csv.reader(given.value.path().read_text("utf-8-sig").splitlines(), delimiter=";")))
        == 1 + plain["counts"]["dossiers"]
    )
    with page.expect_download() as given:
        page.get_by_role("link", name="Dossiers et délais (XLSX)").click()
    assert given.value.path().read_bytes().startswith(b"PK")

    page.get_by_role("link", name="Attentes").click()
    assert "territoire=TI-LACQ" in page.url
    lived.look(page, "43-attentes")
    page.get_by_role("button", name="English").click()
    assert "territoire=TI-LACQ" in page.url
    expect(page.get_by_text("What dossiers wait for").first).to_be_visible()
    lived.look(page, "44-waits-in-english")
    assert lived.complaints == []


def test_the_report_is_read_on_a_phone_and_on_paper_and_what_is_wrong_stands_beside_its_field(lived):
    page = lived.page(PHONE)
    lived.enter(page, MANAGER)
    for path, name in (
        ("/rapport?departement=64&par=departement", "45-rapport-telephone"),
        ("/rapport/attentes", "46-attentes-telephone"),
        ("/rapport/effet", "46-effet-telephone"),
        ("/rapport/blocages", "46-blocages-telephone"),
    ):
        page.goto(path)
        lived.look(page, name)
    page.goto("/rapport?du=2026-12-31&au=2026-12-01&administration=nulle-part&sujet=eau")
    expect(page.locator("#error-au")).to_contain_text("avant de commencer")
    expect(page.locator("#error-administration")).to_contain_text("Administration inconnue")
    assert (page.input_value("#du"), page.input_value("#administration"), page.input_value("#sujet")) == (
        "2026-12-31",
        "nulle-part",
        "eau",
    )
    lived.look(page, "47-rapport-erreurs")
    paper = lived.page(DESK)
    lived.enter(paper, MANAGER)
    for path, name in (("/rapport", "48-rapport"), ("/rapport/attentes", "49-attentes")):
        paper.goto(path)
        paper.emulate_media(media="print", color_scheme="dark")
        paper.screenshot(path=SCREENS / f"{name}-papier.png", full_page=True)
        assert paper.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        paper.pdf(path=SCREENS / f"{name}.pdf", format="A4")
