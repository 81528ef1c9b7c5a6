"""`coupe-file report`, as a person and as a spreadsheet read it."""

from __future__ import annotations

import zipfile

import pypdfium2


def test_a_report_without_a_dossier_says_that_there_is_no_datum(cli):
    said = cli("report")
    assert said.code == 0
    assert "Pas de donnée" in said.out
    assert "%" not in said.out
    assert cli("report", "--json").json["waits"]["triage"] == {"gross": None, "net": None}


def test_a_report_for_a_person_a_machine_and_a_sheet(cli, dossier):
    said = cli("report", "--by", "departement")
    assert "Engagements de service" in said.out
    assert "Orientation" in said.out
    assert "pas de donnée" in said.out
    found = cli("report", "--json", "--departement", "64", "--definition", "coupe-file").json
    assert found["counts"]["open"] == 1
    (triage,) = [one for one in found["clocks"] if one["clock"] == "triage"]
    assert (triage["open_in_time"], triage["kept"], triage["label"]) == (1, None, "Orientation")
    assert len(found["court"]) == 1
    assert next(iter(found["court"])).startswith("unit:")
    sheet = cli("report", "--csv").out
    assert sheet.startswith("\ufeffchiffre;grandeur;valeur;unité\n")
    assert "open;nombre;1;dossiers\n" in sheet


def test_a_figure_leads_to_its_dossiers_without_personal_data(cli, dossier):
    (one,) = cli("report", "--list", "triage:open_in_time", "--json").json["dossiers"]
    assert one["reference"] == dossier
    assert one.keys() == {"id", "reference", "unit", "phase", "topic", "commune", "submitted", "closed", "times"}
    assert dossier in cli("report", "--list", "open").out
    assert cli("report", "--list", "resolved", "--csv").out.count("\n") == 1


def test_bad_periods_and_figures_are_refused_in_one_sentence(cli):
    said = cli("report", "--from", "2026-02-01", "--to", "2026-01-01")
    assert (said.code, "--to" in said.err) == (2, True)
    assert cli("report", "--from", "hier").code == 2
    assert cli("report", "--list", "tout").code == 2
    assert cli("report", "--at", "2190-01-01").code == 2
    assert cli("report", "--json", "--csv").code == 2


def test_a_dossier_is_shown_as_it_was(cli, dossier):
    before = cli("show", dossier, "--json").json
    cli("triage", dossier, "--to-unit", "ddtm-64", "--as", "ref-64")
    now = cli("show", dossier, "--json").json
    then = cli("show", dossier, "--at", before["now"], "--json").json
    assert then["state"] == "submitted"
    assert then["events"] == before["events"]
    assert then["clocks"] == before["clocks"]
    assert len(now["events"]) >= len(then["events"])
    assert cli("show", dossier, "--at", "2020-01-01").code == 1


def test_the_counters_are_proved_and_mended(cli, dossier, query):
    cli("react")
    said = cli("report", "verify", "--json")
    assert (said.code, said.json) == (0, {"dossiers": 1, "differences": [], "repaired": None})
    query("update counters set value = 7 where measure = 'dossiers'")
    said = cli("report", "verify")
    assert (said.code, "7 gardé, 1 calculé" in said.out) == (1, True)
    assert "aucune différence" in cli("report", "verify", "--repair").out


def test_exports_go_to_a_file_whole_or_not_at_all(cli, dossier, tmp_path):
    assert cli("report", "export", "xlsx", "--output", tmp_path / "a.xlsx").code == 0
    assert (tmp_path / "a.xlsx").read_bytes()[:2] == b"PK"
    said = cli("report", "export", "csv")
    assert said.out.splitlines()[1].startswith(f"{dossier};coupe-file@1;raccordement;64300;64;")
    assert cli("report", "export", "ocel").json["objects"][0]["id"] == f"dossier:{dossier}"
    assert cli("report", "export", "pdf", "--output", tmp_path / "a.pdf").code == 0
    assert (tmp_path / "a.pdf").read_bytes()[:5] == b"%PDF-"
    assert cli("report", "export", "xlsx").code == 2
    assert cli("report", "export", "pdf").code == 2
    assert cli("report", "export", "xes", "--output", tmp_path / "no" / "a.xes").code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.xlsx"]


def test_whatif_says_what_would_have_changed_and_writes_nothing(cli, dossier, counts, tmp_path):
    before = counts()
    said = cli("whatif", "--definition", "coupe-file", "--json").json
    assert (said["dossiers"], said["changed"], said["refused"]) == (1, 0, [])
    assert said["was"]["units"] == said["would"]["units"] != []
    assert "1 dossier" in cli("whatif", "--definition", "coupe-file").out
    assert "Pas de donnée" in cli("whatif", "--definition", "projet").out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("id: coupe-file")
    assert cli("whatif", "--definition", wrong).code == 2
    assert counts() == before


def test_the_european_report_says_what_is_missing_also_as_a_book_and_on_paper(cli, tmp_path):
    assert "Pas de donnée" in cli("report", "nzia", "--from", "2026-01-01", "--to", "2026-12-31").out
    assert cli("report", "nzia").code == 2
    given = ["--topic", "raccordement", "--commune", "64300", "--title", "Usine de cellules"]
    fields = ["--set", "regulation=nzia", "--set", "technologie=autre", "--set", "capacite=1_gw_ou_plus"]
    said = cli("submit", *given, *fields, "--definition", "projet", "--as", "directrice-lacq", "--json")
    assert said.code == 0, said.err
    found = cli("report", "nzia", "--from", "2026-01-01", "--to", "2026-12-31", "--json").json
    assert found["technologies"]["autre"]["open"] == 1
    assert {one["what"] for one in found["missing"]} == {"other", "completeness"}
    asked = ["report", "nzia", "--from", "2026-01-01", "--to", "2026-12-31"]
    assert "point" in cli(*asked).out
    for form, head in (("xlsx", b"PK"), ("pdf", b"%PDF")):
        assert cli(*asked, "--output", tmp_path / f"a.{form}").code == 0
        assert (tmp_path / f"a.{form}").read_bytes().startswith(head)
    document = pypdfium2.PdfDocument(tmp_path / "a.pdf")
    paper = document[0].get_textpage().get_text_range()
    document.close()
    for words in (
        "Article 42(2)(e) – projet, échéance 15 mars 2027",
        "aucun accusé de complétude",
        "points de contact",
    ):
        assert words in paper
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        assert b"aucun accus" in book.read("xl/worksheets/sheet2.xml")
    assert cli(*asked, "--output", tmp_path / "a.doc").code == 2
