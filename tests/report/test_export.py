"""Sheets: harmless, typed, and written row by row."""

from __future__ import annotations

import csv
import io
import tracemalloc
import zipfile
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from states import facts
from states.facts import Kinds, Line
from tests.report.year import compiled, year
from workflow import export, sheets

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
NS = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def few(number):
    kinds, found = Kinds(compiled().definition), {}
    for event in year(3, number, UNTIL):
        found.setdefault(event.pop("id"), []).append(Line(**event, kinds=kinds))
    return [(f"64-{key:04d}", facts.read(lines)) for key, lines in found.items()]


HOSTILE = ["=1+1", "+33", "-2", "@SUM(A1)", "\tx", "\rx", "a;b", 'a"b', "é€", "0117"]


def test_what_people_wrote_is_text_in_a_sheet(tmp_path):
    book = sheets.Book(tmp_path / "a.xlsx", {"Feuille": ["Un", "Deux"]})
    for word in HOSTILE:
        book.add("Feuille", (word, 1.5))
    book.add("Feuille", ("http://x.example", datetime(2026, 1, 1, 11, tzinfo=UTC)))
    book.close()
    with zipfile.ZipFile(tmp_path / "a.xlsx") as file:
        root = ET.fromstring(file.read("xl/worksheets/sheet1.xml"))  # noqa: S314  (written just above)
        assert not [name for name in file.namelist() if "rels" in name and "sheet1" in name]
    cells = root.findall(".//x:c", NS)
    assert root.findall(".//x:f", NS) == []
    texts = [cell.find(".//x:t", NS).text for cell in cells if cell.get("t") == "inlineStr"]
    assert texts[2:12] == [word.replace("\r", "_x000D_") if "\r" in word else word for word in HOSTILE]
    assert [cell.find("x:v", NS).text for cell in cells if cell.get("r") == "B2"] == ["1.5"]
    assert [cell.find("x:v", NS).text for cell in cells if cell.get("r") == "B12"] == ["46023.5"]  # noon in Paris


def test_a_csv_is_one_that_french_excel_opens_and_that_computes_nothing():
    out = "".join(sheets.as_csv([["Texte", "Nombre"], *([word, 1.5] for word in HOSTILE)]))
    assert out.startswith("\ufeffTexte;Nombre\r\n")
    rows = list(csv.reader(io.StringIO(out.removeprefix("\ufeff"), newline=""), delimiter=";"))
    assert [row[0].removeprefix("'") for row in rows[1:]] == HOSTILE
    assert not [row[0] for row in rows[1:] if row[0][:1] in "=+-@\t\r"]
    assert {row[1] for row in rows[1:]} == {"1,5000"}


def test_rows_are_written_one_by_one():
    ((reference, one),) = few(1)
    cells = export.dossier(reference, one, {}, UNTIL)
    tracemalloc.start()
    size = sum(len(line) for line in sheets.as_csv(cells for _ in range(40_000)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 2_000_000
    assert most < 1_000_000


def test_rows_say_what_the_report_counts():
    for reference, one in few(40):
        row = dict(zip(export.DOSSIERS, export.dossier(reference, one, {3: "u3"}, UNTIL), strict=True))
        assert (row["Clos"] is None) == (row["Phase"] != "resolved")
        assert 0 <= row["Jours nets"] <= row["Jours bruts"]
        for each in export.promises(reference, one, {}, {}, UNTIL):
            assert dict(zip(export.PROMISES, each, strict=True))["Situation"] in export.BOXES.values()
