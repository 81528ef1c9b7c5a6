"""The life of a version by the command line: published, shown, compared, suspended, and its dossiers moved and brought back."""

from datetime import datetime, timedelta

import pytest

from cli import shipped

OWN = shipped.files()["coupe-file"]


@pytest.fixture
def version(tmp_path):
    """Give a function that writes the coupe-file in another version, with some words replaced."""

    def write(number, *changes):
        body = OWN.read_text(encoding="utf-8").replace("version: 1", f"version: {number}", 1)
        for old, new in changes:
            assert old in body
            body = body.replace(old, new)
        path = tmp_path / f"v{number}.yaml"
        path.write_text(body, encoding="utf-8")
        return path

    return write


SHORTER = ("length: {working_days: 2}", "length: {working_days: 1}")
RENAMED = (
    ("  triaged:   {phase", "  qualified:   {phase"),
    ("to: triaged", "to: qualified"),
    ("[triaged, escalated]", "[qualified, escalated]"),
)


def jump(query, words):
    query(f"update business_clock set anchor = anchor + interval '{words}'")


@pytest.fixture
def moved_on(cli, query, version, dossier):
    """Give the reference of a dossier a day and a half old, with version 2, of one day for triage, published."""
    cli("workflow", "publish", "coupe-file")
    cli("workflow", "publish", version(2, SHORTER))
    jump(query, "36 hours")
    return dossier


# --- publish, show, list ----------------------------------------------------------------------------------------------


def test_a_file_is_published_once_and_listed_so(cli, counts, version):
    path = version(2, SHORTER)
    said = cli("workflow", "publish", path)
    assert said.code == 0
    assert "coupe-file, version 2 : publiée" in said.out
    assert "à partir du 01/01/2026" in said.out
    before = counts()
    again = cli("workflow", "publish", path, "--json")
    assert (again.code, again.json["published"], again.json["state"]) == (0, False, "published")
    assert counts() == before
    listed = cli("workflow", "list", "--json").json["definitions"]
    mine = [(row["version"], row["state"]) for row in listed if row["name"] == "coupe-file"]
    assert mine == [(1, "draft"), (2, "published")]


def test_comments_spacing_and_anchors_publish_nothing_new(cli, version):
    cli("workflow", "publish", version(2, SHORTER))
    noisy = version(
        2, SHORTER, ("\nstates:", "\n# remarque\n\nstates: &ancre"), ("label: Déposé", "label: ' Déposé  '")
    )
    assert cli("workflow", "publish", noisy, "--json").json["published"] is False


def test_a_draft_of_the_database_is_published_by_its_name_and_version(cli, version):
    cli("workflow", "load", version(2, SHORTER))
    assert "version 1 : publiée" in cli("workflow", "publish", "coupe-file@1").out
    assert "version 2 : publiée" in cli("workflow", "publish", "coupe-file@2").out


def test_another_content_under_a_published_version_is_refused_with_the_next_one(cli, counts, version):
    cli("workflow", "publish", version(2, SHORTER))
    before = counts()
    said = cli("workflow", "publish", version(2, ("label: Déposé", "label: Reçu")))
    assert said.code == 1
    assert "version 3" in said.err
    assert counts() == before


def test_two_drafts_of_one_version_are_told_apart_by_their_digest(cli, version):
    digests = [
        cli("workflow", "load", version(2, change), "--json").json["digest"]
        for change in (SHORTER, ("label: Déposé", "label: Reçu"))
    ]
    said = cli("workflow", "publish", "coupe-file@2")
    assert said.code == 1
    assert all(f"coupe-file@2#{digest[:12]}" in said.err for digest in digests)
    assert cli("workflow", "publish", f"coupe-file@2#{digests[0][:12]}", "--json").json["digest"] == digests[0]


def test_a_version_is_written_back_as_yaml_that_says_the_same(cli, tmp_path, version):
    cli("workflow", "publish", version(2, SHORTER))
    written = cli("workflow", "show", "coupe-file@2").out
    assert written.startswith("# coupe-file, version 2 : publiée")
    (tmp_path / "back.yaml").write_text(written, encoding="utf-8")
    assert cli("workflow", "diff", tmp_path / "back.yaml", "coupe-file@2", "--json").json["same"] is True
    assert cli("workflow", "show", "coupe-file@2", "--json").json["definition"]["version"] == 2
    assert "coupe-file, version 2" in cli("workflow", "show", "coupe-file").out


@pytest.mark.parametrize(
    ("given", "code"),
    [("coupe-fil@1", 1), ("coupe-file@7", 1), ("coupe-file@x", 2), ("coupe-file@", 2), ("@1", 2), ("coupe-file@0", 2)],
)
def test_a_version_that_is_not_there_is_answered_with_those_that_are(cli, given, code):
    for command in (["show"], ["suspend", "--reason", "x"], ["resume"], ["migrate", "plan", "coupe-file@1"]):
        said = cli("workflow", *command, given)
        assert said.code == code
        assert "coupe-file@" in said.err


# --- diff -------------------------------------------------------------------------------------------------------------


def test_a_difference_is_said_in_french_by_group_between_files_names_and_versions(cli, version):
    path = version(
        2,
        ("length: {working_days: 10}", "length: {working_days: 8}"),
        ("[referent, head, manager]", "[referent, head]"),
    )
    wanted = [
        "Définition", "  La version passe de 1 à 2.", "Actes",
        "  L'acte « Transmettre » n'est plus ouvert au rôle « manager ».",
        "Délais", "  Le délai « Réponse de l'échelon » passe de 10 à 8 jours d'ouverture.",
    ]  # fmt: skip
    assert cli("workflow", "diff", "coupe-file", path).out.splitlines() == wanted
    cli("workflow", "load", path)
    assert cli("workflow", "diff", "coupe-file@1", "coupe-file@2").out.splitlines() == wanted
    answer = cli("workflow", "diff", "coupe-file@1", path, "--json").json
    assert [one["place"] for one in answer["differences"]] == ["version", "triggers.transfer.by", "clocks.rung.length"]
    assert "la même chose" in cli("workflow", "diff", "coupe-file@1", OWN).out


def test_a_refused_file_is_compared_with_nothing(cli, version):
    said = cli("workflow", "diff", "coupe-file", version(2, ("initial: submitted", "initial: nulle_part")))
    assert said.code == 2
    assert "ligne" in said.err


# --- suspend and resume -----------------------------------------------------------------------------------------------


def test_a_suspended_version_says_why_wherever_it_is_met_until_it_is_resumed(cli, lacq):
    cli("workflow", "publish", "coupe-file")
    said = cli("workflow", "suspend", "coupe-file@1", "--reason", "délai mal saisi")
    assert said.code == 0
    assert "coupe-file workflow resume coupe-file@1" in said.out
    assert "suspendue : délai mal saisi" in cli("workflow", "list").out
    assert "définitions suspendues" in cli("health").out
    refused = cli("submit", *lacq, "--as", "directrice-lacq")
    assert refused.code == 1
    assert "délai mal saisi" in refused.err
    assert cli("workflow", "resume", "coupe-file@1", "--json").json == {
        **cli("workflow", "resume", "coupe-file@1", "--json").json, "resumed": True,
    }  # fmt: skip
    assert cli("submit", *lacq, "--as", "directrice-lacq").code == 0
    assert "n'est pas suspendue" in cli("workflow", "resume", "coupe-file@1").out


@pytest.mark.parametrize("reason", ["", "   ", "x" * 301])
def test_a_suspension_without_a_reason_is_refused(cli, reason):
    said = cli("workflow", "suspend", "coupe-file@1", "--reason", reason)
    assert said.code == 2
    assert "--reason" in said.err


# --- migrate ----------------------------------------------------------------------------------------------------------


def test_a_plan_says_who_goes_where_what_moves_and_who_is_late_at_once_and_writes_nothing(cli, counts, query, moved_on):
    cli("sweep")
    before, rows = counts(), query("select * from dossiers")
    said = cli("workflow", "migrate", "plan", "coupe-file@1", "coupe-file@2")
    assert said.code == 0
    assert "1 dossier. Rien n'est écrit" in said.out
    assert "1 : -24 h" in said.out
    assert f"ATTENTION : 1 dossier en retard aussitôt, par une échéance avancée ({moved_on})" in said.out
    plan = cli("workflow", "migrate", "plan", "coupe-file@1", "coupe-file@2", "--json").json
    assert (plan["dossiers"], plan["late_at_once"], plan["act_at_next_wake"]) == (1, 1, 1)
    (triage,) = [one for one in plan["clocks"] if one["clock"] == "triage"]
    assert (triage["moved"], triage["median"], triage["late_at_once"]) == (1, -86400.0, 1)
    assert counts() == before
    assert query("select * from dossiers") == rows


def test_dossiers_move_quietly_the_journal_says_so_and_they_come_back(cli, query, moved_on):
    cli("sweep"), cli("react")
    before = query("select state, clocks, due_at, wake_at from dossiers")
    notices = query("select count(*) from notices")
    said = cli("workflow", "migrate", "apply", "coupe-file@1", "coupe-file@2")
    assert said.code == 0
    assert "De coupe-file, version 1 à coupe-file, version 2 : 1 dossier passé." in said.out
    journal = " ".join(cli("journal", moved_on).out.split())
    assert "Passé à une autre version" in journal
    assert "de coupe-file 1 à coupe-file 2" in journal
    assert "portée au" in journal
    assert cli("show", moved_on, "--json").json["definition"]["version"] == 2
    cli("react")
    assert query("select count(*) from notices") == notices
    back = cli("workflow", "migrate", "undo", "coupe-file@1", "coupe-file@2")
    assert "De coupe-file, version 2 à coupe-file, version 1 : 1 dossier revenu." in back.out
    assert query("select state, clocks, due_at, wake_at from dossiers") == before
    assert "retour de coupe-file 2 à coupe-file 1" in " ".join(cli("journal", moved_on).out.split())
    assert cli("verify").code == 0


def test_a_limited_migration_says_how_many_remain_and_goes_on(cli, lacq, moved_on):
    cli("submit", *lacq, "--as", "directrice-lacq")  # under version 2, which is in effect
    said = cli("workflow", "migrate", "apply", "coupe-file@2", "coupe-file@1", "--limit", 1)
    assert said.code == 0
    assert cli("workflow", "migrate", "undo", "coupe-file@2", "coupe-file@1", "--json").json["never_moved"] == 1


def test_an_old_state_without_an_equivalent_is_named_with_what_would_be_accepted(cli, version, dossier):
    cli("workflow", "publish", version(2, *RENAMED))
    for command in ("plan", "apply"):
        said = cli("workflow", "migrate", command, "coupe-file@1", "coupe-file@2")
        assert said.code == 2
        assert "« triaged »" in said.err
        assert "triaged=submitted|qualified|escalated" in " ".join(said.err.split())
        wrong = cli(
            "workflow", "migrate", command, "coupe-file@1", "coupe-file@2", "--map-state", "triaged=resolved", "--json"
        )
        assert wrong.error["field"] == "--map-state"
    said = cli("workflow", "migrate", "apply", "coupe-file@1", "coupe-file@2", "--map-state", "triaged=qualified")
    assert said.code == 0
    assert "1 dossier passé" in said.out


def test_dossiers_are_led_to_a_published_version_only(cli, version, dossier):
    cli("workflow", "load", version(2, SHORTER))
    assert "n'est pas publiée" in cli("workflow", "migrate", "plan", "coupe-file@1", "coupe-file@2").out
    said = cli("workflow", "migrate", "apply", "coupe-file@1", "coupe-file@2")
    assert said.code == 1
    assert "coupe-file workflow publish coupe-file@2" in " ".join(said.err.split())


def test_a_version_not_in_effect_yet_is_told_by_the_plan(cli, version, dossier):
    cli("workflow", "publish", version(2, SHORTER, ("effective: {from: 2026-01-01}", "effective: {from: 2999-01-01}")))
    assert "pas encore en vigueur" in cli("workflow", "migrate", "plan", "coupe-file@1", "coupe-file@2").out


def test_a_dossier_that_cannot_move_is_named_with_the_reason_and_the_code_says_so(cli, version, dossier):
    path = version(2)
    body = path.read_text(encoding="utf-8")
    start, end = body.index("  - {name: hold,"), body.index("  - {name: complete,")
    body = (body[:start] + body[end:]).replace("[message, hold, escalate", "[message, escalate")
    path.write_text(body, encoding="utf-8")
    assert cli("workflow", "publish", path).code == 0
    now = datetime.fromisoformat(cli("clock", "show", "--json").json["now"])
    asked = [
        "--motive",
        "clarification",
        "--answer-by",
        (now + timedelta(days=5)).isoformat(),
        "--reason",
        "Il manque un plan.",
    ]
    assert cli("hold", dossier, *asked, "--as", "ref-64@guichet-lacq:referent").code == 0
    for command in ("plan", "apply"):
        said = cli("workflow", "migrate", command, "coupe-file@1", "coupe-file@2")
        assert said.code == 1
        assert "1 dossier ne peut pas passer" in said.out
        assert f"{dossier} : une demande au porteur est en cours" in said.out
