"""The pages of the report: the figures of the command, filters in the address, what is wrong beside its field, files."""

from __future__ import annotations

import csv
import json
import re
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from zipfile import ZipFile

import pytest

from states import report as figures
from tests.web.conftest import BLOCKAGE, MESSAGE, NOTE, TITLE
from workflow import report, report_file, sheets
from workflow.report import Asked


class Tables(HTMLParser):
    """The rows of the tables of each section, by the section's heading."""

    def __init__(self, page):
        super().__init__()
        self.found, self.section, self.row, self.cell = {}, None, None, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "section":
            self.section = dict(attrs)["aria-labelledby"]
        elif tag == "tr":
            self.row = []
        elif tag in ("td", "th") and self.row is not None:
            self.cell = ""

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.cell is not None:
            self.row.append(self.cell.strip())
            self.cell = None
        elif tag == "tr":
            self.found.setdefault(self.section, []).append(self.row)
            self.row = None


@pytest.fixture(scope="module")
def lived(portal):
    """Fifteen dossiers over three weeks, some sent on, one resolved, one withdrawn, the rest left to the clock."""
    world = portal.world
    for week in range(3):
        keys = world.submit(5)
        for key in keys[:3]:
            world.act(key, "triage", to_unit="u1")
        world.jump(days=6)
        world.sweep()
        if week == 0:
            world.resolve(keys[0], by=f"ref{world.row(keys[0]).rung}")
            world.act(keys[1], "withdraw", "holder", reason=world.reason)
        world.jump(days=1)
        world.sweep()
    world.react()
    return portal


@pytest.fixture(scope="module")
def boss(lived):
    return lived.visitor("boss")


def made(lived, **asked):
    return report.make(lived.world.make, Asked(**asked), actor=lived.world.actor("boss"))


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {}),
        ("?administration=u1", {"unit": "u1"}),
        ("?departement=64&sujet=eau", {"departement": "64", "topic": "eau"}),
    ],
)
def test_the_figures_of_the_pages_are_those_of_the_command(query, asked, lived, boss):
    command, page = made(lived, **asked), Tables(boss.get(f"/rapport{query}").text).found
    said = figures.plain(command.report)
    for family, section in (("commitment", "commitments"), ("legal", "legal")):
        wanted = {
            command.clocks[one["clock"]]: [str(one[box]) for box in figures.BOXES] for one in said["clocks"] if one["family"] == family
        }  # fmt: skip
        assert {row[0]: row[1:5] for row in page.get(section, [])[1:]} == wanted
    shares = [row[2] for row in page["court"][1:]]
    assert shares == [f"{100 * one['share']:.0f} %" for one in said["court"].values() if one["seconds"]]
    waits = Tables(boss.get(f"/rapport/attentes{query}").text).found["waits"][1:]
    assert [row[2] for row in waits[::2]] == [
        f"{one['gross']['over']} sur {one['gross']['waited']}" if one["gross"] else "pas de donnée"
        for one in said["waits"].values()
    ]
    median = said["waits"]["resolution"]["gross"]["p50"]
    known = "pas encore atteint" if median is None else f"{median / 86400:.1f} j".replace(".", ",")
    assert waits[4][3].startswith(known)
    behind = boss.get(f"/rapport/dossiers{query or '?'}&chiffre=open").text
    assert len(Tables(behind).found[None]) == 1 + said["counts"]["open"]


def test_every_box_leads_to_as_many_dossiers_as_it_says_and_no_text_is_among_them(lived, boss):
    page = boss.get("/rapport?par=unit").text
    links = re.findall(r'<a href="(/rapport/dossiers[^"]+)">(\d+)</a>', page)
    assert len(links) > 8
    for address, number in links:
        listed = boss.get(unescape(address))
        rows = Tables(listed.text).found[None][1:]
        assert sum(int(row[7]) for row in rows) == int(number), address
        assert [words for words in (TITLE, BLOCKAGE, MESSAGE, NOTE) if words in unescape(listed.text)] == []


def test_who_loses_most_is_named_and_below_ten_nothing_is_said(lived, boss):
    first = re.search(r'<p class="lead">([^<]+)', boss.get("/rapport").text)[1]
    assert re.match(
        r"Parmi les administrations mesurables, Administration \d perd le plus de temps : [\d,]+ j au-delà de ses échéances",
        unescape(first),
    )
    few = boss.get("/rapport?administration=u4").text
    assert "Non mesurable" in few or "Pas de donnée" in few
    assert "perd le plus" not in few
    nothing = boss.get("/rapport?departement=75").text
    assert "Pas de donnée" in nothing
    assert "100 %" not in nothing


def test_what_is_wrong_stands_beside_its_field_and_the_filters_are_kept(boss):
    for path in ("/rapport", "/rapport/attentes", "/rapport/dossiers"):
        answer = boss.get(
            f"{path}?du=2026-12-31&au=2026-12-01&administration=nulle&territoire=TI-0&sujet=feu&echelon=x&version=y&par=z&departement=99"
        )
        assert answer.status_code == 422
        wrong = set(re.findall(r'id="error-(\w+)"', answer.text))
        assert wrong == {"au", "administration", "territoire", "sujet", "echelon", "version", "par", "departement"}
        for kept in ('value="2026-12-31"', 'value="nulle" selected', 'value="TI-0" selected', 'value="feu" selected'):
            assert kept in answer.text
    answer = boss.get("/rapport?du=hier&sujet=eau").text
    assert "n&#39;est pas une date" in answer
    assert 'value="hier"' in answer
    assert boss.get("/rapport/export/chiffres.csv?du=hier").status_code == 422
    assert boss.get("/rapport/export/chiffres.doc").status_code == 404
    assert boss.get("/rapport?du=&au=&par=").status_code == 200


def test_the_files_are_those_of_the_command(lived, boss):
    command = made(lived, topic="eau")
    assert boss.get("/rapport/export/chiffres.csv?sujet=eau").text == "".join(sheets.as_csv(report_file.lines(command)))
    said = boss.get("/rapport/export/chiffres.json?sujet=eau").json()
    wanted = json.loads(json.dumps(report_file.document(command, Asked(topic="eau")), default=str))
    assert {**said, "at": None} == {**wanted, "at": None}
    answer = boss.get("/rapport/export/dossiers.csv?sujet=eau")
    assert answer.headers["content-disposition"].startswith('attachment; filename="coupe-file-dossiers-')
    assert len(list(csv.reader(answer.text.splitlines(), delimiter=";"))) == 1 + command.report.counts["dossiers"]
    book = ZipFile(BytesIO(boss.get("/rapport/export/dossiers.xlsx").content))
    assert book.read("xl/worksheets/sheet1.xml").count(b"<row ") == 1 + command.report.counts["dossiers"]
    paper = boss.get("/rapport/export/chiffres.pdf?sujet=eau").content
    assert paper.startswith(b"%PDF")
    assert b"pdfuaid:part" in paper
    none = boss.get("/rapport/export/dossiers.csv?departement=75").text
    assert none.count("\r\n") == 1
    assert boss.get("/rapport/export/liste.csv?chiffre=open").text.count("\r\n") == 1 + command.report.counts["open"]


def test_the_counters_answer_without_a_journal_being_read(lived, boss, monkeypatch):
    def read(*_args, **_options):
        raise AssertionError

    monkeypatch.setattr("workflow.report.of", read)
    assert boss.get("/rapport?par=departement&du=2026-10-01").status_code == 200
