"""A dossier from deposit to its end, as each of those concerned asks for it and reads it."""

from datetime import datetime, timedelta

import pytest

REASON = "Rien ne bouge depuis trois semaines."
STATEMENT = "La proposition technique a été remise au porteur."


def soon(cli):
    """A few days after the business time of the database."""
    now = datetime.fromisoformat(cli("clock", "show", "--json").json["now"])
    return (now + timedelta(days=5)).isoformat()


def test_a_deposit_says_who_has_the_ball_and_by_when_and_that_silence_is_no_consent(cli):
    said = cli(
        "submit", "--topic", "eau", "--commune", "64410", "--title", "Recyclage d'aimants", "--blockage",
        "Prélèvement d'eau", "--as", "porteur-mourenx",
    )  # fmt: skip
    assert said.code == 0
    assert "Dossier 64-0001 enregistré" in said.out
    assert "ne vaut pas acceptation" in said.out
    assert "La balle est chez : Guichet du territoire, Lacq" in said.out
    assert "Prochaine échéance : " in said.out
    assert "Orientation" in said.out


def test_a_dossier_goes_from_deposit_to_its_end_and_can_be_reopened(cli, dossier):
    said = cli("triage", dossier, "--to-unit", "rte-raccordement", "--as", "ref-64", "--json").json
    assert (said["state"], said["unit"]["code"], said["kinds"]) == ("triaged", "rte-raccordement", ["triage"])
    said = cli("assign", dossier, "--to-user", "ref-rte", "--as", "ref-rte", "--json").json
    assert said["person"] == "Chargé d'affaires raccordement, RTE"
    hold = ["--motive", "piece_required", "--answer-by", soon(cli), "--reason", "Il manque un plan."]
    assert cli("hold", dossier, *hold, "--as", "ref-rte").code == 0
    assert cli("show", dossier, "--json").json["ball"] == "holder"
    assert cli("answer", dossier, "--reason", "Voici le plan.", "--as", "directrice-lacq").code == 0
    said = cli("escalate", dossier, "--reason", REASON, "--as", "ref-64", "--json").json
    assert (said["state"], said["unit"]["code"], said["rung_label"]) == (
        "escalated",
        "prefecture-64-sg",
        "Sous-préfecture",
    )
    said = cli("take-back", dossier, "--reason", REASON, "--as", "ref-rte", "--json").json
    assert (said["state"], said["unit"]["code"]) == ("triaged", "rte-raccordement")
    said = cli(
        "transfer", dossier, "--to-unit", "prefecture-64", "--reason", REASON, "--as", "deleguee-ti", "--json"
    ).json
    assert said["unit"]["code"] == "prefecture-64"
    done = ["--outcome", "unblocked", "--statement", STATEMENT]
    assert cli("resolve", dossier, *done, "--as", "prefet-64", "--json").json["outcome"] == "unblocked"
    shown = cli("show", dossier, "--as", "vp-lacq")
    assert shown.code == 1  # she is no party to it
    shown = cli("show", dossier, "--as", "directrice-lacq").out
    assert "personne, le dossier est clos" in shown
    assert f"Réponse : {STATEMENT}" in shown
    assert cli("reopen", dossier, "--reason", REASON, "--as", "directrice-lacq", "--json").json["state"] == "triaged"
    assert (
        cli("withdraw", dossier, "--reason", REASON, "--as", "directrice-lacq", "--json").json["outcome"] == "withdrawn"
    )
    assert cli("verify").code == 0


def test_the_holder_is_told_what_is_asked_by_whom_and_what_to_do(cli, dossier):
    cli("triage", dossier, "--to-unit", "rte-raccordement", "--as", "ref-64")
    hold = ["--motive", "piece_required", "--answer-by", soon(cli), "--reason", "Il manque un plan de masse."]
    assert cli("hold", dossier, *hold, "--as", "ref-rte").code == 0
    shown = cli("show", dossier, "--as", "directrice-lacq").out
    assert "La balle est chez : le porteur de projet" in shown
    assert "demande de RTE, service raccordement : pièce indispensable" in shown
    assert "Ce qui est demandé : Il manque un plan de masse." in shown
    assert "une réponse est attendue (coupe-file answer)" in shown
    assert cli("end-hold", dossier, "--as", "ref-rte").code == 0
    assert "La balle est chez : RTE, service raccordement" in cli("show", dossier, "--as", "directrice-lacq").out


def test_the_same_key_twice_acts_once_and_says_so(cli, dossier, counts):
    asked = ["escalate", dossier, "--reason", REASON, "--as", "ref-64", "--key", "k1"]
    first = cli(*asked, "--json").json
    before = counts()
    again = cli(*asked)
    assert "Déjà fait sous cette clé" in again.out
    assert counts() == before
    assert cli(*asked, "--json").json["event"] == first["event"]
    other = cli("escalate", dossier, "--reason", "Un tout autre motif.", "--as", "ref-64", "--key", "k1", "--json")
    assert (other.code, other.error["code"]) == (2, "idem")


def test_the_same_deposit_under_one_key_opens_one_dossier(cli, lacq, counts):
    asked = ["submit", *lacq, "--as", "directrice-lacq", "--key", "dépôt 1", "--json"]
    first = cli(*asked).json
    before = counts()
    again = cli(*asked).json
    assert (again["reference"], again["repeated"]) == (first["reference"], True)
    assert counts() == before


def test_a_reason_can_come_from_a_file_or_a_pipe(cli, dossier, tmp_path):
    (tmp_path / "motif.txt").write_text(f"\ufeff{REASON}\n", encoding="utf-8")
    assert cli("escalate", dossier, "--reason-file", tmp_path / "motif.txt", "--as", "ref-64").code == 0
    assert cli("escalate", dossier, "--reason-file", "-", "--as", "ref-64", text="Motif par l'entrée.").code == 0
    events = cli("journal", dossier, "--as", "ref-64", "--json").json["events"]
    assert [event["texts"]["reason"] for event in events[1:]] == [REASON, "Motif par l'entrée."]


def test_any_trigger_of_any_definition_can_be_asked_by_its_name(cli):
    given = ["--set", "power_kw=60000", "--set", "wanted_on=2099-01-01T00:00:00+01:00"]
    opened = cli(
        "submit", "--definition", "raccordement", "--commune", "64300", "--title", "Raccordement", *given,
        "--as", "directrice-lacq", "--json",
    )  # fmt: skip
    assert opened.code == 0
    reference = opened.json["reference"]
    done = cli("act", reference, "withdraw", "--set", f"reason={REASON}", "--as", "directrice-lacq", "--json")
    assert done.json["state"] == "caduque"


def test_who_acts_can_be_named_by_the_environment(cli, dossier, monkeypatch):
    monkeypatch.setenv("COUPE_FILE_AS", "ref-64@guichet-lacq:referent")
    assert cli("escalate", dossier, "--reason", REASON).code == 0


# --- what each may see ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["show", "journal"])
def test_a_manager_and_an_operator_read_no_text_and_no_name(cli, dossier, command):
    cli("escalate", dossier, "--reason", REASON, "--as", "ref-64")
    for who in (["--as", "deleguee-ti"], []):
        for form in ([], ["--json"]):
            said = cli(command, dossier, *who, *form)
            assert said.code == 0
            for text in (
                "Raccordement 60 MW",
                "proposition technique",
                REASON,
                "Directrice d'usine",
                "Référente territoriale",
            ):
                assert text not in said.out


@pytest.mark.parametrize("command", ["show", "journal"])
def test_a_dossier_outside_one_s_scope_is_answered_like_one_that_does_not_exist(cli, dossier, command):
    outside = cli(command, dossier, "--as", "ref-71", "--json")
    absent = cli(command, "99-9999", "--as", "ref-71", "--json")
    assert outside.code == absent.code == 1
    assert outside.error["message"].replace(dossier, "") == absent.error["message"].replace("99-9999", "")


def test_a_dossier_can_be_named_by_its_number(cli, dossier):
    number = cli("show", dossier, "--json").json["id"]
    assert cli("show", number, "--json").json["reference"] == dossier


def test_show_offers_what_this_person_may_ask_now_and_says_why_not_the_rest(cli, dossier):
    seen = cli("show", dossier, "--as", "directrice-lacq", "--json").json
    assert seen["allowed"] == ["withdraw", "write"]
    assert list(seen["refused"]) == ["answer"]
    seen = cli("show", dossier, "--as", "ref-64", "--json").json
    assert {"triage", "assign", "hold", "escalate"} <= set(seen["allowed"])
    assert "resolve" not in seen["allowed"]


def test_dates_are_said_in_the_zone_of_the_unit(cli):
    said = cli(
        "submit", "--topic", "permis-de-construire", "--commune", "97407", "--title", "Permis au Port", "--blockage",
        "Évaluation environnementale", "--as", "porteur-le-port",
    )  # fmt: skip
    assert "(heure de La Réunion)" in said.out


def test_a_desk_where_nobody_sits_is_said_to_be_empty(cli):
    given = ["--topic", "foncier", "--commune", "52448", "--title", "Une friche", "--blockage", "Terrain introuvable"]
    said = cli("submit", *given, "--as", "porteur-saint-dizier")
    assert "personne n'y est en fonction" in said.out


def test_what_people_wrote_commands_no_terminal(cli):
    title = "Titre \u202e[bold red]rouge[/] \x9b31m"
    said = cli(
        "submit",
        "--topic",
        "eau",
        "--commune",
        "64300",
        "--title",
        title,
        "--blockage",
        "x" * 20,
        "--as",
        "directrice-lacq",
    )
    if said.code == 0:  # unless the core refuses such signs
        assert "\u202e" not in said.out
        assert "\x9b" not in said.out
        assert "[bold red]rouge[/]" in said.out


# --- queue ------------------------------------------------------------------------------------------------------------


def test_the_queue_of_a_unit_is_read_page_by_page_the_most_urgent_first(cli, dossier, tmp_path):
    rows = "".join(f"eau,64300,Dossier numéro {n},Un blocage bien décrit\n" for n in range(6))
    (tmp_path / "d.csv").write_text("topic,commune,title,blockage\n" + rows, encoding="utf-8")
    assert cli("submit", "--file", tmp_path / "d.csv", "--as", "ref-64").code == 0
    seen, after = [], []
    while True:
        page = cli("queue", "--as", "ref-64", "--limit", "3", *after, "--json").json
        seen += page["dossiers"]
        if page["after"] is None:
            break
        after = ["--after", page["after"]]
    assert len({row["reference"] for row in seen}) == len(seen) == 7
    assert [row["due_at"] for row in seen] == sorted(row["due_at"] for row in seen)
    assert "Suite : --after" in cli("queue", "--as", "ref-64", "--limit", "3").out
    assert "Raccordement 60 MW" in cli("queue", "--as", "ref-64").out


def test_a_queue_holds_what_the_unit_holds_and_a_holder_s_only_their_own(cli, dossier):
    assert len(cli("queue", "--as", "directrice-lacq", "--json").json["dossiers"]) == 1
    assert cli("queue", "--as", "porteur-thiers", "--json").json["dossiers"] == []
    cli("escalate", dossier, "--reason", REASON, "--as", "ref-64")
    assert cli("queue", "--as", "ref-64", "--json").json["dossiers"] == []
    assert "Aucun dossier ouvert." in cli("queue", "--as", "ref-64").out
    assert len(cli("queue", "--unit", "rte-raccordement", "--json").json["dossiers"]) == 1


def test_a_party_invites_looks_takes_back_and_cannot_leave_alone(cli, dossier):
    asked = ["invite", dossier, "maire@lacq.example", "--side", "elected", "--as", "directrice-lacq"]
    (made,) = cli(*asked, "--json").json["invitations"]
    assert (made["status"], made["side"], made["mail"]) == ("sending", "elected", "maire@lacq.example")
    assert "Déjà invitée" in cli(*asked).out
    assert "maire@lacq.example" in cli("invite", dossier, "--as", "directrice-lacq").out
    assert cli("invite", dossier, "--as", "ref-64", "--json").error["code"] == "role"
    assert cli("invite", dossier, "--as", "porteur-thiers", "--json").error["code"] == "unknown"
    assert cli("invite", dossier, "x@lacq.example", "--as", "directrice-lacq", "--json").error["field"] == "--side"
    assert cli("invite", dossier, "--take-back", made["id"], "--as", "directrice-lacq").code == 0
    assert cli("invite", dossier, "--quit", "--as", "directrice-lacq", "--json").error["code"] == "last_party"
    shown = cli("journal", dossier, "--as", "directrice-lacq").out
    assert "Invitation à porter le dossier" in shown
    assert "Invitation reprise" in shown
    assert cli("verify").code == 0


# --- narrow and plain -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80])
def test_nothing_is_cut_on_a_narrow_terminal(cli, dossier, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in (["show", dossier], ["queue"], ["journal", dossier]):
        said = cli(*command, "--as", "ref-64").out
        assert max(map(len, said.splitlines())) <= width
        assert "…" not in said
        assert "\x1b" not in said
        assert dossier in said


def test_the_journal_as_json_is_whole_and_in_order(cli, dossier):
    cli("escalate", dossier, "--reason", REASON, "--as", "ref-64")
    events = cli("journal", dossier, "--as", "ref-64", "--json").json["events"]
    assert [event["seq"] for event in events] == [1, 2]
    assert events[1]["texts"] == {"reason": REASON}
    assert {"at", "effective", "kind", "actor", "command", "facts", "effect", "hash"} <= events[0].keys()


def test_a_service_is_consulted_answers_and_each_is_shown_what_is_theirs(cli, dossier):
    cli("triage", dossier, "--to-unit", "rte-raccordement", "--as", "ref-64")
    asked = ["consult", dossier, "--consulted", "prefecture-64", "--question", "Le poste relève-t-il d'une servitude ?"]
    foreseen = cli(*asked, "--as", "ref-rte", "--dry-run").out
    assert "Aucune échéance ne change." in foreseen
    assert cli(*asked, "--days", "5", "--as", "ref-rte").code == 0
    twice = cli(*asked, "--as", "ref-rte")
    assert (twice.code, "un avis est déjà demandé sur ce dossier à ce service" in twice.err) == (1, True)
    shown = cli("show", dossier, "--as", "directrice-lacq").out
    assert "Avis demandés" in shown
    assert "réputé rendu sans observation" in shown
    assert "servitude" not in shown
    assert "La balle est chez : RTE, service raccordement" in shown
    request = f"{dossier}-A1"
    assert f"Avis sur le dossier {dossier}" in cli("queue", "--as", "prefet-64").out
    given = ["--set", "outcome=unfavourable", "--set", "opinion=Une servitude de passage grève la parcelle."]
    assert "Avis rendu" in cli("act", request, "give", *given, "--as", "prefet-64").out
    shown = cli("show", dossier, "--as", "ref-rte")
    assert "défavorable" in shown.out
    assert "Une servitude de passage grève la parcelle." in shown.out
    assert cli(*asked, "--days", "7", "--as", "ref-rte").code == 0
    away = ["--set", "to_unit=dreal-nouvelle-aquitaine", "--set", "reason=La DREAL suit ce poste source."]
    assert "Fait" in cli("act", f"{dossier}-A2", "pass_on", *away, "--as", "prefet-64").out
    wrong = cli("recall", dossier, "--request", request, "--reason", REASON, "--as", "ref-rte")
    assert (wrong.code, f"Accepté : {dossier}-A2" in wrong.err) == (1, True)
    done = cli(
        "recall",
        dossier,
        "--request",
        f"{dossier}-A2",
        "--reason",
        "La réponse est venue par la DREAL.",
        "--as",
        "ref-rte",
    )
    assert "Fait : Retirer une demande d'avis." in done.out
    shown = cli("show", dossier, "--as", "directrice-lacq").out
    assert "DREAL Nouvelle-Aquitaine" in shown
    assert "Demande d'avis retirée" in shown
    assert "est venue" not in shown
    assert cli("verify").code == 0
