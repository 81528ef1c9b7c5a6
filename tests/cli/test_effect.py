"""`coupe-file report effect`: for a person and as files; the evidence is the same bytes but for the day it was made."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import timedelta

import pypdfium2

from workflow import business_time


def test_whether_the_promise_is_kept_is_said_without_a_datum_and_of_one_dossier(cli, dossier):
    none = cli("report", "effect", "--from", "2020-01-01", "--to", "2020-12-31")
    assert "Pas de donnée" in none.out
    said = cli("report", "effect")
    assert said.code == 0, said.err
    assert "La promesse est-elle tenue ?" in said.out
    assert "Aucun périmètre de Territoire d'industrie" in said.out
    found = cli("report", "effect", "--departement", "64", "--json").json
    lines = {one["line"]: one for one in found["lines"]}
    assert lines["@hors-ti:64"]["name"] == "64 Pyrénées-Atlantiques"
    assert lines["@hors-ti:64"]["boxes"]["open_in_time"] == lines[""]["dossiers"] == 1
    assert lines["@ti"]["resolution"]["gross"]["median"] is None
    assert [one["name"] for one in found["versions"]] == ["coupe-file@1"]
    assert cli("report", "--list", "kept:open_in_time", "--territory", "@hors-ti", "--json").json["dossiers"]
    assert cli("report", "--territory", "@ti", "--json").json["counts"]["dossiers"] == 0
    assert cli("report", "effect", "--territory", "TI-0").code == 2
    assert cli("report", "effect", "--output", "a.doc").code == 2
    assert cli("report", "--list", "kept:closed_late", "--json").json["dossiers"] == []


def test_files_and_evidence_say_the_same_and_the_evidence_is_made_again_byte_for_byte(
    cli, dossier, tmp_path, monkeypatch
):
    cli("react")
    at = cli("report", "effect", "--json").json["at"]
    for form in ("csv", "json", "xlsx", "pdf", "zip"):
        said = cli("report", "effect", "--at", at, "--output", tmp_path / f"a.{form}")
        assert said.code == 0, said.err
    whole = json.loads((tmp_path / "a.json").read_bytes())
    assert whole["at"] == at
    rows = list(csv.reader(io.StringIO((tmp_path / "a.csv").read_text("utf-8-sig"), newline=""), delimiter=";"))
    assert ["*", "Ensemble", "dossiers", "nombre", "1", "dossiers", "1"] in rows
    document = pypdfium2.PdfDocument(tmp_path / "a.pdf")
    assert "La promesse est-elle tenue ?" in document[0].get_textpage().get_text_range()
    document.close()
    real = business_time.now
    monkeypatch.setattr(business_time, "now", lambda session: real(session) + timedelta(days=1))
    assert cli("report", "effect", "--at", at, "--output", tmp_path / "b.zip").code == 0
    with zipfile.ZipFile(tmp_path / "a.zip") as first, zipfile.ZipFile(tmp_path / "b.zip") as second:
        assert first.testzip() is None
        names = first.namelist()
        assert names == second.namelist()
        differ = [name for name in names if first.read(name) != second.read(name)]
        assert differ == ["LISEZMOI.txt"]
        before, after = (packed.read("LISEZMOI.txt").decode().splitlines() for packed in (first, second))
        assert [one.partition(" : ")[0] for one, other in zip(before, after, strict=True) if one != other] == [
            "Fait le"
        ]
        for form in ("csv", "json", "xlsx", "pdf"):
            assert first.read(f"chiffres.{form}") == (tmp_path / f"a.{form}").read_bytes()
        assert json.loads(first.read("verification.json")) == {
            "dossiers": 1,
            "journal_problems": [],
            "counter_differences": [],
        }
        events = first.read("journal.xes").decode()
        assert f'"{dossier}"' in events
        for personal in ("Raccordement 60 MW", "directrice-lacq", "vp-lacq"):
            assert not [name for name in names if personal.encode() in first.read(name)]
        ends = first.read("fins-de-journal.csv").decode().splitlines()
        assert ends[1].startswith(f"{dossier};")
        assert json.loads(first.read("procedures/coupe-file-1.json"))["digest"] == whole["versions"][0]["digest"]
    assert not list(tmp_path.glob(".*"))


def test_what_blocks_is_said_and_carried_in_a_note(cli, dossier, tmp_path):
    assert "Pas de donnée" in cli("report", "blockages", "--departement", "75").out
    assert "Raccordement" in cli("report", "blockages").out
    assert cli("report", "blockages", "--json").json["causes"][0]["places"][0]["line"] == "@hors-ti:64"
    assert cli("report", "blockages", "--csv").out.count("\n") == 2
    note = tmp_path / "note.pdf"
    assert cli("report", "blockages", "--topic", "raccordement", "--note", note).code == 0
    assert note.read_bytes().startswith(b"%PDF")
    assert cli("report", "blockages", "--note", note).code == 2
    assert cli("report", "blockages", "--topic", "eau", "--note", tmp_path / "b.pdf").code == 2
    assert not (tmp_path / "b.pdf").exists()
