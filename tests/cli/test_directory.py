"""The directory by the command line: loaded whole or not at all, and the sample one sound."""

import shutil

import pytest
from sqlalchemy.orm import Session

from cli import demo
from cli.administrations import SAMPLE
from workflow import business_time, directory, places, schema

DEMO = ["64300", "64410", "71076", "17299", "51043", "68063", "13108", "63430", "97407", "18279", "52448"]


def test_the_sample_has_the_communes_of_the_demonstration_and_every_topic(cli):
    assert sorted(row["code"] for row in cli("directory", "list", "communes", "--json").json["communes"]) == sorted(
        DEMO
    )
    listed = [row["topic"] for row in cli("directory", "list", "topics", "--json").json["topics"]]
    assert listed == sorted(places.known_topics())


def test_every_rung_of_the_sample_is_held_where_the_demonstration_goes_but_the_empty_desk(database):
    asked = {(step.args["topic"], step.args["commune"]) for step in demo.story()[1] if step.do == "submit"}
    assert {commune for _, commune in asked} == set(DEMO)
    engine = schema.engine(database)
    with Session(engine) as session:
        now = business_time.now(session)
        for topic, commune in asked:
            rungs = directory.ladder_context(session, {"topic": topic, "commune": commune}, now).rungs
            assert [rung.index for rung in rungs] == list(range(7))
            assert [rung.index for rung in rungs if not rung.staffed] == ([0, 1] if commune == "52448" else [])
            assert len({rung.unit for rung in rungs}) == 7
    engine.dispose()


def test_the_sample_s_people_are_roles_at_reserved_addresses(cli, query):
    mails = [row[0] for row in query("select mail from persons union select mailbox from units")]
    assert mails
    assert [mail for mail in mails if not mail.endswith(".example")] == []


def test_loading_the_directory_again_changes_nothing(cli, counts):
    before = counts()
    said = cli("directory", "sample", "--json")
    assert said.code == 0
    assert said.json["lines"]["communes"] == 11
    assert counts() == before


@pytest.fixture
def folder(tmp_path):
    made = shutil.copytree(SAMPLE, tmp_path / "annuaire")
    (made / "competences.csv").write_text("topic,area,rung,unit\nraccordement,*,1,rte-raccordement\n", encoding="utf-8")
    return made


def test_a_line_that_changed_is_brought_up_to_date(cli, folder, query):
    path = folder / "units.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("DDT du Cher", "DDT 18"), encoding="utf-8")
    path = folder / "memberships.csv"
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "ref-18,guichet-vierzon,referent,,", "ref-18,guichet-vierzon,referent,,2026-01-01T00:00:00Z"
        ),
        encoding="utf-8",
    )
    assert cli("directory", "import", folder).code == 0
    assert query("select name from units where code = 'ddt-18'") == [("DDT 18",)]
    assert cli("queue", "--as", "ref-18").code == 2  # no longer in office


def test_a_sheet_may_refer_to_what_the_database_has(cli, tmp_path):
    (tmp_path / "communes.csv").write_text("code,name\n64445,Pau\n", encoding="utf-8")
    (tmp_path / "competences.csv").write_text(
        "topic,area,rung,unit\n*,64445,0,guichet-lacq\n*,64445,2,\n", encoding="utf-8"
    )
    assert cli("directory", "import", tmp_path).code == 0


WRONG = {
    "an unknown unit": ("memberships.csv", "ref-64,guichet-lacq,", "ref-64,guichet-lac,", ["memberships.csv", "unit", "guichet-lacq"]),
    "an unknown person": ("memberships.csv", "ref-64,guichet-lacq,", "ref-640,guichet-lacq,", ["login", "ref-64"]),
    "a code that is none": ("communes.csv", "64300,Lacq", "6430,Lacq", ["communes.csv", "code", "INSEE"]),
    "a rung that is none": ("competences.csv", "raccordement,*,1,", "raccordement,*,un,", ["rung"]),
    "a rung out of bounds": ("competences.csv", "raccordement,*,1,", "raccordement,*,100,", ["rung", "99"]),
    "a calendar that is none": ("units.csv", "974,guichet-le-port@", "réunion,guichet-le-port@", ["calendar", "metropole"]),
    "a kind that is none": ("units.csv", "service,ddt,64", "service,ddtm,64", ["kinds", "ddt"]),
    "a date without a zone": ("memberships.csv", "2026-07-01T00:00:00+02:00", "2026-07-01", ["valid_to", "fuseau"]),
    "a mail that is none": ("people.csv", "ref-64@personne.example", "ref-64 chez personne", ["mail"]),
    "a name left out": ("communes.csv", "64300,Lacq", "64300,", ["name", "obligatoire"]),
    "a line twice": ("communes.csv", "64410,Mourenx", "64300,Lacq", ["ligne 3", "ligne 2"]),
    "a column too many": ("communes.csv", "code,name", "code,nom", ["nom", "inconnue"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_directory_with_one_bad_cell_is_refused_whole(cli, counts, folder, query, name):
    file, old, new, words = WRONG[name]
    body = (folder / file).read_text(encoding="utf-8")
    assert old in body
    (folder / file).write_text(body.replace(old, new, 1), encoding="utf-8")
    path = folder / "communes.csv"
    path.write_text(path.read_text(encoding="utf-8") + "64445,Pau\n", encoding="utf-8")
    before = counts()
    said = cli("directory", "import", folder)
    assert said.code == 2
    assert "ligne " in said.err
    assert [word for word in words if word not in said.err] == []
    assert counts() == before


def test_half_a_directory_file_is_refused(cli, counts, folder):
    body = (folder / "units.csv").read_bytes()
    (folder / "units.csv").write_bytes(body[: body.index(b"ddt-18") + 20])
    before = counts()
    said = cli("directory", "import", folder)
    assert (said.code, counts()) == (2, before)
    assert "units.csv" in said.err


def test_a_folder_without_a_directory_is_refused(cli, tmp_path):
    for folder in (tmp_path, tmp_path / "nulle-part"):
        said = cli("directory", "import", folder)
        assert said.code == 2
        assert "units.csv" in said.err


@pytest.mark.parametrize("what", ["units", "people", "topics", "communes"])
def test_the_directory_can_be_listed(cli, what):
    assert cli("directory", "list", what).code == 0
    assert cli("directory", "list", what, "--json").json[what]
