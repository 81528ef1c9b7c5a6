"""Definitions by the command line: validated with their lines, drawn, loaded once."""

import pytest

from cli import shipped

OWN = shipped.files()["coupe-file"]


@pytest.mark.parametrize("name", ["coupe-file", "raccordement"])
def test_the_shipped_definitions_are_valid_and_drawn(cli, name):
    assert cli("workflow", "validate", name).code == 0
    assert cli("workflow", "diagram", name).out.startswith("stateDiagram-v2")


def broken(tmp_path, old, new, count=1):
    """A copy of the shipped definition with something in it replaced, and the line where that begins."""
    body = OWN.read_text(encoding="utf-8")
    assert old in body
    path = tmp_path / "definition.yaml"
    path.write_text(body.replace(old, new, count), encoding="utf-8")
    return path, body[: body.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("initial: submitted", "initial: nulle_part", "nulle_part"),
        ("from: submitted, to: triaged, by: [referent, head]", "from: submitted, to: triaged, by: []", "personne"),
        ("guards: [rung_above_open,", "guards: [rung_above_closed,", "rung_above_closed"),
        ("length: {working_days: 2}", "length: {working_days: deux}", "entier"),
        ("stop:  {when: [resolve, withdraw]}", "stop:  {when: [resolve]}", "withdraw"),
        ("stop:  {when: [resolve, withdraw]}", "stop:  {when: [resolve, withdraw, frob]}", "frob"),
    ],
)
def test_a_definition_that_is_refused_names_the_line(cli, counts, tmp_path, old, new, words):
    path, line = broken(tmp_path, old, new)
    before = counts()
    said = cli("workflow", "validate", path)
    assert said.code == 2
    assert f"definition.yaml, ligne {line} : " in said.err
    assert words in said.err
    answer = cli("workflow", "validate", path, "--json")
    assert answer.code == 2
    assert line in [problem["line"] for problem in answer.json["files"][0]["problems"]]
    loaded = cli("workflow", "load", path)
    assert loaded.code == 2
    assert f"ligne {line} : " in loaded.err
    assert cli("workflow", "load", path, "--json").error["code"] == "definition"
    assert counts() == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"id: [", "ligne"),
        (b"id: x\nid: y\n", "ligne 2"),
        (b"a: &a 1\nb: *a\n", "ligne"),
        (b"titre: d\xe9lai\n", "UTF-8"),
        (b"[" * 1000, "niveaux"),
        (b"", "ligne 1"),
        (b"- une liste\n", "ligne 1"),
    ],
)
def test_a_file_that_is_no_definition_is_refused_without_a_traceback(cli, counts, tmp_path, body, words):
    (tmp_path / "d.yaml").write_bytes(body)
    before = counts()
    for command in ("validate", "load", "diagram"):
        said = cli("workflow", command, tmp_path / "d.yaml")
        assert said.code == 2
        assert words in said.err
        assert cli("workflow", command, tmp_path / "d.yaml", "--json").code == 2
    assert counts() == before


def test_a_definition_that_is_nowhere_is_answered_with_those_that_exist(cli, tmp_path):
    for command in ("validate", "load", "diagram"):
        said = cli("workflow", command, "coupe-fil")
        assert said.code == 2
        assert "coupe-file" in said.err
        assert cli("workflow", command, tmp_path).code == 2


def test_several_files_are_all_looked_at_and_one_refused_is_enough(cli, tmp_path):
    path, _ = broken(tmp_path, "initial: submitted", "initial: nulle_part")
    said = cli("workflow", "validate", "coupe-file", path, "nulle-part.yaml", "--json")
    assert said.code == 2
    assert [bool(one["problems"]) for one in said.json["files"]] == [False, True, True]


def test_a_definition_is_kept_as_a_draft_and_once(cli, counts, tmp_path):
    path, _ = broken(tmp_path, "version: 1", "version: 2")
    before = counts()["definitions"]
    assert cli("workflow", "load", path, "--json").json["new"] is True
    assert cli("workflow", "load", path, "--json").json["new"] is False
    assert counts()["definitions"] == before + 1
    listed = cli("workflow", "list", "--json").json["definitions"]
    mine = [(row["version"], row["state"]) for row in listed if row["name"] == "coupe-file"]
    assert mine == [(1, "draft"), (2, "draft")]
    assert "coupe-file" in cli("workflow", "list").out


def test_a_published_version_is_not_replaced(cli, query, counts, tmp_path):
    query("update definitions set state = 'published' where name = 'coupe-file'")
    path, _ = broken(tmp_path, "label: Déposé", "label: Reçu")
    before = counts()
    said = cli("workflow", "load", path)
    assert said.code == 1
    assert "version 2" in said.err
    assert counts() == before


def test_every_trigger_that_a_person_may_ask_has_its_command(cli):
    from cli.commands import Commands

    names = set(Commands())
    asked = {trigger.name.replace("_", "-") for trigger in shipped.own().triggers if set(trigger.by) - {"system"}}
    assert asked <= names
    assert "exhaust" not in names
    for name in asked:
        said = cli(name, "--help")
        assert said.code == 0
        assert "Ouvert à : " in said.out
