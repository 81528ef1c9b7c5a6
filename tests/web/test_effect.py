"""« La promesse est-elle tenue ? » as a page: the figures of the command, each to its dossiers, and the same as files."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date, timedelta
from html import unescape

import pypdfium2
import pytest

from tests.web.conftest import BLOCKAGE, MESSAGE, NOTE, TITLE
from tests.web.test_report import Tables
from workflow import effect, effect_tables, territories
from workflow.report import Asked


@pytest.fixture(scope="module")
def boss(portal):
    """Twelve dossiers at Lacq, before it was in a Territoire d'industrie, and twelve after; some resolved, the rest left alone."""
    world, since = portal.world, date(2026, 10, 10)
    groups = []
    for declared in ({"invested": 3}, {"jobs": 40}):
        groups.append(world.submit(12, **declared))
        for key in groups[-1]:
            world.act(key, "triage", to_unit="u1")
        world.jump(days=3)
        for key in groups[-1][: 3 if declared.get("invested") else 8]:
            world.resolve(key, by="ref1")
        world.jump(days=5)
    term = (world.now() + timedelta(days=5)).isoformat()
    world.act(groups[1][9], "hold", "ref1", motive="piece_required", reason=world.reason, answer_by=term)
    world.jump(days=20)
    world.sweep()
    with world.make.begin() as session:
        listed = [territories.Territory("TI-LACQ", "Lacq-Orthez", frozenset({"64300"}))]
        territories.write(session, territories.difference([], listed, since), since)
    world.react()
    return portal.visitor("boss")


def told(page):
    return Tables(page.text).found


def test_the_page_says_what_the_command_says_and_calls_nothing_an_effect(portal, boss):
    page = boss.get("/rapport/effet")
    assert page.status_code == 200
    made = effect.make(portal.world.make, Asked(), actor=portal.world.actor("boss"))
    found = told(page)
    for table in effect_tables.Tables(made).all():
        assert found[table.name][1:] == [[cell.text for cell in row] for row in table.rows]
    names = [row[0] for row in found["promise"]]
    assert names == ["Territoire", "Territoires d'industrie", "Lacq-Orthez", "Hors Territoires d'industrie",
                     "64 Pyrénées-Atlantiques", "Ensemble"]  # fmt: skip
    assert [row[1] for row in found["promise"][1:]] == ["12", "12", "13", "13", "25"]
    assert found["promise"][2][4] == "8"
    assert page.text.count("Définition, version, calcul") == len(effect_tables.Tables(made).all())
    assert "n'est pas, à lui seul, l'effet du label" in unescape(page.text)
    few = told(boss.get("/rapport/effet?territoire=TI-LACQ&sujet=eau&du=2027-10-06"))
    assert few == {}
    assert "Is the promise kept?" in english(portal)
    assert boss.get("/rapport/effet?du=hier").status_code == 422


def english(portal):
    visitor = portal.visitor("boss")
    visitor.client.post("/langue", data={"language": "en", "then": "/rapport/effet"})
    return visitor.get("/rapport/effet").text


def test_every_number_of_dossiers_leads_to_as_many_without_text_and_only_a_manager_reads_it(portal, boss):
    links = re.findall(r'<a href="(/rapport/dossiers[^"]+)">(\d+)</a>', boss.get("/rapport/effet").text)
    assert len(links) > 12
    for address, number in links:
        listed = boss.get(unescape(address)).text
        assert len(Tables(listed).found[None][1:]) == int(number), address
        assert [words for words in (TITLE, BLOCKAGE, MESSAGE, NOTE) if words in unescape(listed)] == []
    for login in ("holder", "ref0"):
        for path in ("/rapport/effet", "/rapport/effet/export/preuve.zip"):
            assert portal.visitor(login).get(path).status_code == 403


def test_the_files_of_the_page_are_whole_and_the_evidence_names_nobody(portal, boss):
    for form, head in (("csv", b"\xef\xbb\xbfTerritoire"), ("json", b"{"), ("xlsx", b"PK"), ("pdf", b"%PDF")):
        answer = boss.get(f"/rapport/effet/export/effet.{form}?departement=64")
        assert answer.status_code == 200
        assert answer.content.startswith(head)
        assert f".{form}" in answer.headers["content-disposition"]
    answer = boss.get("/rapport/effet/export/preuve.zip?territoire=TI-LACQ")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        bodies = {name: packed.read(name).decode("utf-8", "replace") for name in packed.namelist()}
    assert bodies["journal.xes"].count("<trace>") == 12
    assert '"counter_differences": []' in bodies["verification.json"]
    assert '"journal_problems": []' in bodies["verification.json"]
    assert "--territory TI-LACQ" in bodies["LISEZMOI.txt"]
    for name, body in bodies.items():
        assert [words for words in (TITLE, BLOCKAGE, MESSAGE, NOTE) if words in body] == [], name
    assert boss.get("/rapport/effet/export/preuve.zip?du=hier").status_code == 422
    for wrong in ("effet.doc", "preuve.csv", "autre.csv"):
        assert boss.get(f"/rapport/effet/export/{wrong}").status_code == 404


def test_a_common_blockage_leads_to_its_dossiers_and_to_a_note_of_one_page(portal, boss):
    page = boss.get("/rapport/blocages")
    (cause,) = told(page)["causes"][1:]
    assert cause[1:4] == ["2", "25", "14"]
    assert sorted(told(page)["grid"][0][1:]) == ["64 Pyrénées-Atlantiques", "Lacq-Orthez"]
    for address, number in re.findall(r'<a href="(/rapport/dossiers[^"]+)">(\d+)', page.text):
        assert len(Tables(boss.get(unescape(address)).text).found[None][1:]) == int(number)
    (address,) = re.findall(r'<a href="(/rapport/blocages/note.pdf[^"]+)">', page.text)
    document = pypdfium2.PdfDocument(boss.get(unescape(address)).content)
    said = document[0].get_textpage().get_text_range().replace("\r\n", " ")
    assert len(document) == 1
    document.close()
    assert "25, dont 14 ouverts" in said
    assert "Lacq-Orthez" in said
    assert [words for words in (TITLE, BLOCKAGE) if words in said] == []
    assert boss.get("/rapport/blocages/note.pdf").status_code == 422
    assert portal.visitor("ref0").get("/rapport/blocages").status_code == 403
    assert "Pas de donnée" in boss.get("/rapport/blocages?departement=75").text
