"""The operator's hand on the letters and on the dossiers set aside: what is shown, what is changed, what is kept of it."""

from datetime import timedelta

import pytest

WHY = "relais en travaux"


@pytest.fixture
def letters(cli, dossier):
    """Give the numbers of the letters of a dossier just submitted."""
    cli("react")
    return [one["id"] for one in cli("outbox", "list", "--json").json["notices"]]


def test_the_letters_are_shown_without_their_text_or_any_address(cli, letters, dossier, query):
    query("update notices set state = 'dead', why = 'agent@ddt.example refusé' where id = %s", letters[0])
    for said in (cli("outbox", "list").out, cli("outbox", "list", "--json").out, cli("health").out):
        assert "@" not in said
        assert "Raccordement 60 MW" not in said
    shown = cli("outbox", "list", "--dossier", dossier).out
    assert "abandonné" in shown
    assert "porteur" in shown
    assert "[adresse] refusé" in shown
    assert [one["state"] for one in cli("outbox", "list", "--state", "dead", "--json").json["notices"]] == ["dead"]
    assert "Aucun message." in cli("outbox", "list", "--state", "sent").out


def test_a_letter_given_up_is_put_back_once_and_the_act_is_kept(cli, letters, query):
    query("update notices set state = 'dead', attempts = 8")
    assert cli("outbox", "requeue", letters[0], "--by", "astreinte", "--json").json == {
        "changed": letters[:1], "unchanged": [],
    }  # fmt: skip
    assert "déjà en file" in cli("outbox", "requeue", letters[0]).out
    assert cli("outbox", "requeue", "--dead", "--json").json["changed"] == letters[1:]
    assert "0 message remis en file" in cli("outbox", "requeue", "--dead").out
    kept = query("select what, who, subject from operations order by id")
    assert kept[0] == ("outbox.requeue", "astreinte", {"notices": letters[:1]})
    assert len(kept) == 2


def test_a_letter_is_annulled_with_a_reason_that_is_kept(cli, letters, query):
    assert cli("outbox", "void", letters[0]).code == 2
    assert cli("outbox", "void", letters[0], "--reason", "doublon").code == 0
    assert query("select state, why from notices where id = %s", letters[0]) == [("void", "doublon")]
    assert "déjà annulé" in cli("outbox", "void", letters[0], "--reason", "encore").out
    assert query("select what, why from operations") == [("outbox.void", "doublon")]


def test_nothing_leaves_while_held_and_every_command_says_so(cli, letters, tmp_path, monkeypatch):
    monkeypatch.setenv("COUPE_FILE_MAIL", f"file:{tmp_path}")
    assert cli("outbox", "hold", "--reason", WHY).code == 0
    said = cli("deliver").out
    assert "retenus" in said
    assert list(tmp_path.iterdir()) == []
    assert WHY in cli("outbox", "list").out
    assert cli("health").code == 1
    assert cli("outbox", "release").code == 0
    assert "n'étaient pas retenus" in cli("outbox", "release").out
    assert cli("deliver", "--json").json == {"notices": len(letters), "held": None}


def test_one_letter_is_held_and_let_go(cli, letters, tmp_path, monkeypatch):
    monkeypatch.setenv("COUPE_FILE_MAIL", f"file:{tmp_path}")
    assert cli("outbox", "hold", letters[0], "--reason", WHY).code == 0
    assert cli("deliver", "--json").json["notices"] == len(letters) - 1
    assert "1 message libéré" in cli("outbox", "release", letters[0]).out
    assert cli("deliver", "--json").json["notices"] == 1


@pytest.mark.parametrize(
    ("args", "code", "field"),
    [
        (["requeue"], 2, "ID"),
        (["requeue", "1", "--dead"], 2, "ID"),
        (["requeue", "un"], 2, "ID"),
        (["requeue", "-1"], 2, None),
        (["requeue", "999999"], 1, "ID"),
        (["void", "1", "--reason", " "], 2, "--reason"),
        (["hold", "--reason", "x" * 501], 2, "--reason"),
        (["list", "--state", "perdu"], 2, "--state"),
        (["list", "--dossier", "99-9999"], 1, "DOSSIER"),
    ],
)
def test_what_cannot_be_asked_of_the_letters_is_said_and_changes_nothing(cli, letters, query, args, code, field):
    before = query("select * from notices order by id")
    said = cli("outbox", *args, "--json")
    assert said.code == code
    assert field is None or said.error["field"] == field
    assert query("select * from notices order by id") == before
    assert query("select * from operations") == []


# --- dossiers set aside -----------------------------------------------------------------------------------------------


@pytest.fixture
def aside(cli, dossier, query):
    """Give the reference of a dossier that the clock could not read, and how to mend it."""
    query("update dossiers set clocks = clocks || '{\"x\": 1}'")
    query("update business_clock set anchor = anchor + %s", timedelta(days=3))
    assert cli("sweep", "--json").json == {"done": 0, "stuck": 1}
    return dossier


def test_a_dossier_set_aside_is_shown_retried_and_given_back_when_it_can_be_read(cli, aside, query):
    assert aside in cli("stuck", "list").out
    said = cli("stuck", "retry", aside)
    assert said.code == 1
    assert "toujours mis de côté" in said.out
    query("update dossiers set clocks = clocks - 'x'")
    assert cli("stuck", "retry", "--all", "--json").json == {"back": [aside], "stuck": []}
    assert "Aucun dossier n'est mis de côté." in cli("stuck", "list").out
    assert cli("stuck", "retry", aside).code == 0
    assert [what for (what,) in query("select what from operations")] == ["stuck.retry", "stuck.retry"]


def test_a_dossier_left_aside_by_decision_stays_visible_with_who_and_why(cli, aside, query):
    query("insert into heartbeats (name, at) values ('tick', clock_timestamp())")
    cli("react")
    assert cli("stuck", "skip", aside, "--reason", "ticket ouvert", "--by", "astreinte").code == 0
    assert cli("stuck", "skip", aside, "--reason", "ticket ouvert", "--by", "astreinte").code == 0
    for said in (cli("stuck", "list").out, cli("health").out):
        assert "astreinte" in said
        assert "ticket ouvert" in said
    health = cli("health")
    assert "À DÉCIDER : dossiers laissés de côté par décision" in health.out
    assert health.code == 0
    assert cli("health", "--json").json["skipped"] == 1


def test_what_cannot_be_asked_of_a_dossier_set_aside_is_said(cli, dossier):
    assert cli("stuck", "skip", dossier, "--reason", "pour voir", "--json").error["code"] == "not_stuck"
    assert cli("stuck", "skip", dossier).code == 2
    assert cli("stuck", "retry").code == 2
    assert cli("stuck", "retry", dossier, "--all").code == 2
    assert "n'est pas mis de côté" in cli("stuck", "retry", dossier).out


def test_reactions_given_up_are_taken_up_again_when_asked(cli, dossier, query):
    query(
        "insert into reaction_failures select dossier_id, seq, 'tell', 8, null, 'x' from events; delete from pending;"
        "insert into reacted select dossier_id, 1 from events"
    )
    assert cli("react", "--json").json == {"events": 0}
    assert query("select count(*) from notices") == [(0,)]
    cli("react", "--again")
    assert query("select count(*) > 0 from notices") == [(True,)]
    assert query("select * from reaction_failures") == []
