"""`coupe-file file …`, `scan`, and what `verify` and `doctor` say of files."""

from __future__ import annotations

import pytest

from tests.clamd import clamd

PDF = b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\ntrailer\n<< >>\n%%EOF\n"


@pytest.fixture
def desk(cli, tmp_path, monkeypatch):
    """Give the command line with a folder of files, and a dossier with one."""
    monkeypatch.setenv("COUPE_FILE_FILES", str(tmp_path / "files"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Plan.pdf").write_bytes(PDF)
    return cli


@pytest.fixture
def submitted(dossier):
    """Give the reference of a dossier, its holder and the referent who has it."""
    return dossier, "directrice-lacq", "ref-64"


def test_a_file_is_added_listed_taken_and_erased_and_each_step_verifies(desk, tmp_path, submitted):
    ref, holder, referent = submitted
    added = desk("file", "add", ref, "Plan.pdf", "--as", holder, "--json").json
    again = desk("file", "add", ref, "Plan.pdf", "--as", holder, "--json").json
    assert again == {**added, "repeated": True}
    assert desk("verify", "--json").json["ok"]
    assert desk("doctor", "--json").code in (0, 1)
    taken = desk("file", "get", ref, added["id"], "--out", "copie.pdf", "--as", referent, "--json")
    assert taken.code == 0, taken.out + taken.err
    assert (tmp_path / "copie.pdf").read_bytes() == PDF
    assert (
        desk("file", "get", ref, added["id"], "--out", "copie.pdf", "--as", referent, "--json").error["field"]
        == "--out"
    )
    (one,) = desk("file", "list", ref, "--as", holder, "--json").json["files"]
    assert (one["name"], one["standing"], len(one["reads"])) == ("Plan.pdf", "ready", 1)
    assert "Plan.pdf" in desk("journal", ref, "--as", holder).out
    (kept,) = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    kept.rename(tmp_path / "away")
    found = desk("verify", "--json")
    assert (found.code, [(one["reference"], one["proof"]) for one in found.json["problems"]]) == (1, [(ref, "files")])
    told = {one["code"]: one for one in desk("doctor", "--json").json["findings"]}
    assert (told["files"]["verdict"], told["antivirus"]["verdict"]) == ("fix", "decide")
    (tmp_path / "away").rename(kept)
    erased = desk("file", "erase", ref, added["id"], "--reason", "Demande de la personne", "--json")
    assert erased.json == {"erased": 1, "contents": 1}
    assert not kept.exists()
    assert desk("verify", "--json").json["ok"]
    assert desk("file", "tidy", "--json").json == {"erased": 0}


def test_what_is_refused_names_its_field(desk, tmp_path, submitted):
    ref, holder, _ = submitted
    (tmp_path / "vide.pdf").write_bytes(b"")
    for arguments, field in (
        (("vide.pdf", "--as", holder), "file"),
        (("absent.pdf", "--as", holder), "FICHIER"),
        (("Plan.pdf", "--for", "tous", "--as", holder), "--for"),
        (("Plan.pdf", "--for", "inside", "--as", holder), "audience"),
        (("Plan.pdf",), "--as"),
    ):
        said = desk("file", "add", ref, *arguments, "--json")
        assert (said.code, said.error["field"]) == (2, field), said.out
    assert desk("file", "list", ref, "--as", holder, "--json").json["files"] == []
    assert desk("scan", "--json").error["field"] == "COUPE_FILE_CLAMD"
    assert desk("file", "erase", ref, "x", "--reason", "r", "--json").error["field"] == "ID"


def test_files_are_scanned_by_hand(desk, tmp_path, submitted, monkeypatch):
    ref, holder, referent = submitted
    (tmp_path / "Mal.pdf").write_bytes(PDF.replace(b"<< >>", b"<< /EICAR 1 >>", 1))
    with clamd(tmp_path) as server:
        monkeypatch.setenv("COUPE_FILE_CLAMD", server.address)
        for name in ("Plan.pdf", "Mal.pdf"):
            waiting = desk("file", "add", ref, name, "--as", holder, "--json").json["id"]
        assert desk("file", "get", ref, waiting, "--as", referent, "--json").error["code"] == "file_waiting"
        said = desk("scan", "--json")
        assert (said.code, said.json) == (0, {"scanned": 2, "waiting": 0, "infected": 1, "why": None})
        told = {one["code"]: one["verdict"] for one in desk("doctor", "--json").json["findings"]}
        assert (told["antivirus"], told["files_waiting"], told["files_infected"]) == ("ok", "ok", "decide")
        assert desk("file", "get", ref, waiting, "--as", referent, "--json").error["code"] == "file_infected"
