"""The time that dossiers live in: real, or that of a demo, which is paused, resumed and moved on."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cli.clock import instant
from states.errors import BadInput

PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture
def led(query):
    """The database of a demo whose driver is not there: 24 November 2026, 5:00 in Paris."""
    query(
        "update business_clock set running = true, rate = 3600, anchor = '2026-11-24T04:00:00Z',"
        " set_at = clock_timestamp(), until = clock_timestamp()"
    )


@pytest.mark.parametrize("command", [("pause",), ("run",), ("to", "18:00")])
def test_real_time_is_neither_paused_nor_moved(cli, command):
    said = cli("clock", *command)
    assert said.code == 1
    assert "vivent à l'heure réelle" in said.err


def test_time_stands_while_nothing_runs_and_says_so(cli, led):
    assert "arrêté tant que rien ne tourne" in cli("clock", "show").out
    assert cli("clock", "show", "--json").json["running"] is False


def test_the_demo_is_paused_and_goes_on(cli, led, query):
    assert "en pause" in cli("clock", "pause").out
    assert query("select running from business_clock") == [(False,)]
    cli("clock", "run")
    assert query("select running, until is not null from business_clock") == [(True, True)]


def test_time_moves_on_to_an_hour_and_what_falls_due_on_the_way_is_done_at_its_hour(cli, led, lacq, query):
    reference = cli("submit", *lacq, "--as", "directrice-lacq", "--json").json["reference"]
    said = cli("clock", "to", "2026-11-27 18:00")
    assert said.code == 0
    assert "vendredi 27 novembre 2026 à 18 h 00" in said.out
    events = cli("journal", reference, "--json").json["events"]
    moved = next(event for event in events if event["kind"] == "escalate")
    assert moved["at"].startswith("2026-11-26T17:00:00"), (
        "at the closing of the second working day, not at the end of the leap"
    )
    assert query("select running from business_clock") == [(True,)], "it was not paused, and is not"


def test_paused_time_stays_paused_where_it_was_moved_to(cli, led, query):
    cli("clock", "pause")
    assert "18 h 00" in cli("clock", "to", "18:00").out
    assert query("select running from business_clock") == [(False,)]


@pytest.mark.parametrize("given", ["hier", "25:00", "18h", "2026-11-23", "2026-11-24T04:59", "2028-01-01"])
def test_an_hour_that_cannot_be_is_refused_and_time_stays_where_it_was(cli, led, query, given):
    before = query("select business_now()")
    said = cli("clock", "to", given)
    assert said.code == 2
    assert "Accepté" in said.err
    assert query("select business_now()") == before


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("18:00", "2026-11-24T18:00+01:00"),
        ("18h00", "2026-11-24T18:00+01:00"),
        ("4:30", "2026-11-25T04:30+01:00"),
        ("2026-11-26", "2026-11-26T00:00+01:00"),
        ("2026-11-26 18:00", "2026-11-26T18:00+01:00"),
        ("2026-11-26T18:00+04:00", "2026-11-26T18:00+04:00"),
    ],
)
def test_an_hour_alone_is_the_next_one(given, expected):
    now = datetime(2026, 11, 24, 5, tzinfo=PARIS)
    assert instant(given, now) == datetime.fromisoformat(expected)


def test_what_is_not_an_hour_says_what_would_be_accepted():
    with pytest.raises(BadInput, match="n'est pas une heure"):
        instant("demain", datetime(2026, 11, 24, 5, tzinfo=PARIS))
