"""`route`, and the directory and the territories that it answers from: shown before they are applied, closed by nobody's mistake."""

import csv
import io

import pytest

from config.administrations import shipped
from config.territories import FOLDER

GROUPS = FOLDER / "groupements.exemple.csv"
LACQ = ("route", "--topic", "raccordement", "--commune", "64300", "--at", "2026-11-24")


@pytest.fixture
def national(cli, query):
    """Load the administrations of France beside the sample's people; the desk of Lacq is closed."""
    query("update units set valid_to = '2020-01-01Z' where code = 'guichet-lacq'")
    said = cli("directory", "import", "--json")
    assert said.code == 0
    return said.json


def rungs(cli, *asked):
    return cli(*asked, "--json").json["rungs"]


def test_route_says_each_rung_its_unit_its_reason_and_its_condition(cli):
    said = cli(*LACQ)
    assert said.code == 0
    for words in (
        "Lacq (64300)", "RTE, service raccordement [rte-raccordement]", "le secrétaire général y fait fonction de sous-préfet",
        "DREAL Nouvelle-Aquitaine", "Direction générale de l'énergie et du climat", "saisi par le préfet seul", "CoRDiS",
    ):  # fmt: skip
        assert words in said.out
    assert "Annuaire livré" not in said.err


def test_route_answers_a_machine_and_without_people_says_of_nobody_that_he_is_away(cli, monkeypatch, tmp_path):
    assert {rung["vacant"] for rung in rungs(cli, *LACQ)} == {False}
    monkeypatch.delenv("COUPE_FILE_DATABASE_URL")
    monkeypatch.setenv("COUPE_FILE_HOME", str(tmp_path / "nowhere"))
    assert "Annuaire livré" in cli(*LACQ).err
    found = cli(*LACQ, "--json").json
    assert [rung["unit"] for rung in found["rungs"]][1:4] == ["rte-raccordement", "prefecture-64-sg", "prefecture-64"]
    assert {rung["vacant"] for rung in found["rungs"]} == {None}
    assert found["rungs"][6]["only_by"] == ["prefet"]
    assert found["at"] == "2026-11-24T11:00:00Z"


def test_route_and_check_answer_where_there_is_no_database_and_start_none(cli, monkeypatch, tmp_path):
    monkeypatch.delenv("COUPE_FILE_DATABASE_URL")
    monkeypatch.setenv("COUPE_FILE_HOME", str(tmp_path / "nowhere"))
    assert rungs(cli, *LACQ)[1]["unit"] == "rte-raccordement"
    said = cli("directory", "check", "--json")
    assert (said.code, said.json["holes"]) == (0, [])
    assert not (tmp_path / "nowhere").exists()


def test_topics_are_listed_in_words_that_a_holder_understands(cli):
    listed = cli("route", "--topics", "--json").json["topics"]
    assert len(listed) >= 30
    assert "Raccordement électrique d'un site industriel" in cli("route", "--topics").out


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--topic", "eau", "--commune", "71429"), ["--commune", "71076 Chalon-sur-Saône"]),
        (("--topic", "eau", "--commune", "Saint-Denis"), ["93066 Saint-Denis", "97411 Saint-Denis"]),
        (("--topic", "eau", "--commune", "zzzz"), ["commune inconnue"]),
        (("--topic", "raccord", "--commune", "64300"), ["--topic", "raccordement"]),
        (("--topic", "eau"), ["--commune", "obligatoire"]),
        (("--topic", "eau", "--commune", "64300", "--at", "hier"), ["--at", "AAAA-MM-JJ"]),
    ],
)
def test_what_cannot_be_read_is_answered_with_what_would_be(cli, asked, words):
    said = cli("route", *asked)
    assert said.code == 2
    assert [word for word in words if word not in said.err] == []


def test_the_directory_loaded_tells_where_nobody_is_and_is_read_again_when_it_changes(cli, national, tmp_path):
    assert national["lines"] == {"units": len(shipped.units())}
    before = rungs(cli, *LACQ)
    assert [rung["unit"] for rung in before if not rung["vacant"]] == [
        "rte-raccordement",
        "prefecture-64-sg",
        "prefecture-64",
        "dreal-nouvelle-aquitaine",
        "dgec",
        "france-simplification",
    ]  # fmt: skip  (those that the sample seats somebody in)
    assert "vacance" in cli(*LACQ).out
    (tmp_path / "memberships.csv").write_text("login,unit,role\nref-64,epci-200039204,referent\n", encoding="utf-8")
    assert cli("directory", "import", tmp_path).code == 0
    assert rungs(cli, *LACQ)[0]["vacant"] is False


def test_what_an_import_changes_is_shown_and_a_trial_changes_nothing(cli, counts, query, tmp_path):
    before = counts()
    said = cli("directory", "import", "--dry-run")
    assert (said.code, counts()) == (0, before)
    assert "nouvelles" in said.out
    assert "modifiées" in said.out
    assert "  ~ ddt-18 (DDT du Cher) : " in said.out
    path = tmp_path / "units.csv"
    path.write_text("code,name,level\nddtm-64,La DDTM,service\n", encoding="utf-8")
    said = cli("directory", "import", tmp_path)
    assert "« DDTM des Pyrénées-Atlantiques » → « La DDTM »" in said.out
    assert query("select name, mailbox from units where code = 'ddtm-64'") == [
        ("La DDTM", "ddtm-64@administration.example")
    ]


def test_what_is_exported_is_taken_back_without_a_difference(cli, national, tmp_path):
    said = cli("directory", "export")
    (tmp_path / "units.csv").write_text(said.out, encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert {"RTE, service raccordement"} <= {row["name"] for row in rows}
    again = cli("directory", "import", tmp_path, "--complete", "--json").json
    assert again["difference"] == {"added": [], "changed": [], "closed": []}


def test_a_unit_that_has_open_dossiers_cannot_close(cli, national, query, tmp_path):
    asked = (
        "--topic",
        "eau",
        "--commune",
        "64300",
        "--title",
        "Un essai",
        "--blockage",
        "Un blocage pour un essai.",
        "--as",
        "ref-64",
    )
    assert cli("workflow", "publish", "coupe-file").code == 0
    assert cli("submit", *asked).code == 0
    [(code,)] = query("select u.code from dossiers d join units u on u.id = d.unit_id")
    assert code == "epci-200039204"
    ends = f"code,name,level,valid_to\n{code},CC de Lacq-Orthez,service,2026-01-01T00:00:00Z\n"
    (tmp_path / "units.csv").write_text(ends, encoding="utf-8")
    said = cli("directory", "import", tmp_path)
    assert said.code == 1
    assert f"{code} (1 en cours)" in said.err
    assert query("select code from units where valid_to is not null") == [("guichet-lacq",)]


def test_check_says_every_line_that_is_wrong_then_where_nobody_is_competent(cli, counts, tmp_path):
    before = counts()
    (tmp_path / "units.csv").write_text(
        "code,name,level,kinds,areas\nx,X,service,ddt,99\ny,Y,,ddt,01\n", encoding="utf-8"
    )
    said = cli("directory", "check", tmp_path)
    assert said.code == 2
    assert "ligne 2, colonne areas" in said.err
    assert "ligne 3, colonne level" in said.err
    (tmp_path / "units.csv").write_text("code,name,level,kinds,areas\nx,X,service,ddt,01\n", encoding="utf-8")
    said = cli("directory", "check", tmp_path)
    assert (said.code, counts()) == (1, before)
    assert "personne pour" in said.out


def test_territories_are_loaded_by_date_and_stand_on_the_lowest_rung(cli, national, query, tmp_path):
    said = cli("territories", "import", GROUPS, "--since", "2024-01-01", "--json")
    assert (said.code, len(said.json["added"])) == (0, 6)
    assert rungs(cli, *LACQ)[0]["unit"] == "ti-EX-01"
    text = GROUPS.read_text(encoding="utf-8")
    (tmp_path / "liste.csv").write_text(
        "\n".join(line for line in text.splitlines() if "200039204" not in line) + "\n", encoding="utf-8"
    )
    trial = cli("territories", "import", tmp_path / "liste.csv", "--since", "2026-06-01", "--dry-run")
    assert "~ EX-01" in trial.out
    assert query("select count(*) from territories") == [(6,)]
    said = cli("territories", "import", tmp_path / "liste.csv", "--since", "2026-06-01", "--json")
    assert (said.json["changed"], said.json["same"]) == (["EX-01"], 5)
    assert rungs(cli, *LACQ)[0]["unit"] == "epci-200039204"
    assert rungs(cli, *LACQ[:-1], "2026-05-31")[0]["unit"] == "ti-EX-01"
    said = cli("territories", "import", GROUPS, "--since", "2025-01-01")
    assert said.code == 1
    assert "01/06/2026" in said.err


def test_a_list_with_an_error_changes_nothing(cli, query, tmp_path):
    text = GROUPS.read_text(encoding="utf-8").replace("247100589", "247100580").replace(",METRO", ",X")
    (tmp_path / "liste.csv").write_text(text, encoding="utf-8")
    said = cli("territories", "import", tmp_path / "liste.csv", "--since", "2024-01-01")
    assert said.code == 2
    assert "ligne 5, colonne siren_groupement" in said.err
    assert "247100589" in said.err
    (tmp_path / "liste.csv").write_text("code;nom\n1;A\n", encoding="utf-8")
    assert "en-tête inconnu" in cli("territories", "import", tmp_path / "liste.csv", "--since", "2024-01-01").err
    assert "AAAA-MM-JJ" in cli("territories", "import", GROUPS, "--since", "demain").err
    assert query("select count(*) from territories") == [(0,)]
