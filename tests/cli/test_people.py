"""Who is there and who follows what, by the command line: `absence`, `vacancies`, `share`, `leave`."""

from __future__ import annotations

import pytest

WEEK = ["--since", "2026-10-05", "--until", "2026-10-09"]
BOTH = {"ref-64", "chef-guichet-lacq"}


def test_an_absence_is_noted_listed_and_ended_and_says_who_stands_in(cli):
    assert cli("absence", "list").out == "Personne n'est absent.\n"
    said = cli("absence", "add", "ref-64", *WEEK, "--substitute", "chef-guichet-lacq")
    assert said.out == (
        "Absence n° 1 : Référente territoriale 64 (ref-64), du 05/10/2026 au 09/10/2026, "
        "suppléé par Responsable du guichet, Lacq (chef-guichet-lacq).\n"
    )
    (one,) = cli("absence", "list", "--json").json["absences"]
    assert (one["login"], one["substitute"]) == ("ref-64", "chef-guichet-lacq")
    assert "chef-guichet-lacq" in cli("absence", "list").out
    assert cli("absence", "end", 1).out == "Absence n° 1 terminée : Référente territoriale 64 (ref-64).\n"
    assert cli("absence", "list", "--json").json["absences"] == []
    assert len(cli("absence", "list", "--all", "--json").json["absences"]) == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (["ref-64", "--since", "demain", "--until", "2026-10-09"], "--since"),
        (["ref-46", *WEEK], "LOGIN"),
        (["ref-64", *WEEK, "--substitute", "ref-71"], "--substitute"),
        (["directrice-lacq", *WEEK], "LOGIN"),
    ],
)
def test_an_absence_that_cannot_be_is_refused_with_its_field_and_nothing_is_kept(cli, query, given, field):
    said = cli("absence", "add", *given, "--json")
    assert (said.code != 0, said.error["field"]) == (True, field)
    assert said.error["accepted"]
    assert query("select count(*) from absences") == [(0,)]


def test_vacancies_show_where_dossiers_wait_for_nobody_and_an_absence_makes_one(cli, dossier):
    assert cli("vacancies").out == "Il y a quelqu'un partout où un dossier attend.\n"
    for login in sorted(BOTH):
        assert cli("absence", "add", login, *WEEK).code == 0
    (one,) = cli("vacancies", "--json").json["vacancies"]
    assert (one["code"], one["dossiers"]) == ("guichet-lacq", 1)
    assert "guichet-lacq" in cli("vacancies").out
    every = {row["code"] for row in cli("vacancies", "--all", "--json").json["vacancies"]}
    assert {"guichet-lacq", "guichet-saint-dizier"} <= every
    assert cli("absence", "end", 1).code == 0
    assert cli("vacancies", "--json").json["vacancies"] == []


def test_dossiers_that_nobody_follows_are_shared_and_a_departure_hands_them_over(cli, lacq, dossier):
    other = cli("submit", *lacq, "--as", "directrice-lacq", "--json").json["reference"]
    shared = cli("share", "--as", "chef-guichet-lacq", "--json").json["dossiers"]
    assert {one["reference"] for one in shared} == {dossier, other}
    assert {one["login"] for one in shared} == {"ref-64"}  # a head of service follows what they take
    assert cli("share", "--as", "chef-guichet-lacq").out == "Rien à répartir : quelqu'un suit chaque dossier.\n"
    stranger = cli("leave", "ref-64", "--as", "ref-rte", "--json")
    assert (stranger.code, stranger.error["code"]) == (1, "role")
    left = cli("leave", "ref-64", "--to", "chef-guichet-lacq", "--as", "chef-guichet-lacq")
    assert "ref-64 quitte guichet-lacq:referent ; 2 dossiers remis à chef-guichet-lacq." in left.out
    shown = cli("queue", "--as", "chef-guichet-lacq", "--json").json["dossiers"]
    assert [one["person"] for one in shown] == ["Responsable du guichet, Lacq"] * 2
    again = cli("leave", "ref-64", "--as", "chef-guichet-lacq", "--json")
    assert (again.code != 0, again.error["field"]) == (True, "LOGIN")
