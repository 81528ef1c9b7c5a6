"""A log with waits and lines of support: what its shape makes of it is what a script apart counts in it."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import psycopg
import pytest

from config import yamltext
from states import definition
from states.errors import DefinitionError
from tests.replay.logs import as_xes, counted_incidents, incidents, run
from workflow import shape

SHIPPED = Path(__file__).parents[2] / "config" / "shapes" / "incidents.yaml"
PLAIN = [
    "dossiers", "events", "events_refused", "closed", "closed_late", "open", "open_late",
    "closed_late_gross", "open_late_gross", "reopened", "climbs", "descents", "until",
]  # fmt: skip


def figures(found: dict) -> dict:
    """Give what the script apart also counts."""
    waits = {name: [wait["count"], wait["lasted"]] for name, wait in found["waits"].items()}
    rungs = {name: [rung["visits"], rung["lasted"]] for name, rung in found["rungs"].items()}
    return {**{name: found[name] for name in PLAIN}, "waits": waits, "rungs": rungs}


def log(path: Path, *cases: str) -> Path:
    """Write cases of lines « instant, activity, status, team », all in June 2012 and in UTC."""
    made = []
    for number, text in enumerate(cases, 1):
        lines = [[word.strip() for word in line.split(",")] for line in text.strip().splitlines()]
        events = [
            {
                "time:timestamp": f"2012-06-{at}Z",
                "concept:name": activity,
                "lifecycle:transition": status,
                "org:group": team,
            }
            for at, activity, status, team in lines
        ]
        made.append(({"concept:name": f"1-{number}"}, events))
    return as_xes(path, made)


# --- counted by hand ---------------------------------------------------------------------------------------------------

# Waits from the 2nd to the 12th: 11.5 days on the first line, of which 1.5 count. On the second from the 12th to the 13th.
WAITED = """
01T00:00:00, Accepted,  In Progress, G97
02T00:00:00, Accepted,  Wait - User, G97
12T00:00:00, Accepted,  In Progress, G97
12T12:00:00, Queued,    Awaiting Assignment, D4 2nd
13T00:00:00, Completed, Resolved, D4 2nd
14T00:00:00, Completed, Closed, G97
"""
# On the third line from the 1st to the 11th, exactly its ten days; then down. Opened again after the 20th, and goes on.
AGAIN = """
01T00:00:00, Accepted,  In Progress, V5 3rd
11T00:00:00, Accepted,  In Progress, G97
12T00:00:00, Completed, Resolved, G97
20T00:00:00, Accepted,  In Progress, D4 2nd
21T00:00:00, Accepted,  Wait - Vendor, D4 2nd
22T00:00:00, Accepted,  Wait - User, D4 2nd
24T00:00:00, Accepted,  Assigned, V5 3rd
"""
# A second and a half too long on the first line, though it was waiting for its own queue: that stops no clock.
QUEUED = """
01T00:00:00,   Queued,    Awaiting Assignment, G97
03T00:00:01.5, Completed, Closed, G97
"""
DAY = 86_400.0
BY_HAND = {
    "dossiers": 3, "events": 15, "events_refused": 0,
    "closed": 2, "closed_late": 1, "open": 1, "open_late": 0,
    "closed_late_gross": 2, "open_late_gross": 0,
    "reopened": 1,
    "climbs": 3,     # 1st to 2nd; after the re-opening 1st to 2nd, and 2nd to 3rd
    "descents": 1,   # 3rd to 1st; the closed case that the first line only files changes no rung
    "until": "2012-06-24T00:00:00+00:00",
    "waits": {"user": [2, 12 * DAY], "other": [1, DAY], "queue": [2, 2.5 * DAY + 1.5]},
    "rungs": {"first": [3, (11.5 + 1 + 2) * DAY + 1.5], "second": [2, 4.5 * DAY], "third": [2, 10 * DAY]},
}  # fmt: skip


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return log(tmp_path / "small.xes", WAITED, AGAIN, QUEUED)


def test_the_figures_of_a_small_log_are_those_counted_by_hand(database, small):
    assert counted_incidents(small) == BY_HAND
    found = run(database, small, "--shape", "incidents")
    assert figures(found) == BY_HAND
    assert found["problems"] == 0
    assert [wait["court"] for wait in found["waits"].values()] == ["holder", "third_party", "administration"]


@pytest.mark.parametrize(
    ("until", "late"),
    [
        ("2012-06-03T00:00:00Z", (0, 0)),  # at the due instant one is still in time
        ("2012-06-03T00:00:00.000001Z", (1, 2)),
        ("2012-06-12T18:00:00Z", (0, 1)),  # by then the queued one is closed, late
    ],
)
def test_late_begins_strictly_after_the_due_instant(database, small, until, late):
    found = run(database, small, "--shape", "incidents", "--until", until)
    assert (found["open_late"], found["open_late_gross"]) == late


def test_every_event_becomes_what_the_shape_says_of_it(database, tmp_path):
    run(database, log(tmp_path / "one.xes", AGAIN), "--shape", "incidents", "--database-url", database)
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "select to_char(effective at time zone 'utc', 'DD'), kind, role, coalesce(fired, '') from events order by seq"
        ).fetchall()
    assert rows == [
        ("01", "submit", "importer", ""),
        ("01", "to_third", "importer", ""),
        ("01", "a_accepted", "importer", ""),
        ("11", "to_first", "importer", ""),
        ("11", "a_accepted", "importer", ""),
        ("12", "a_completed", "importer", ""),
        ("12", "close", "importer", ""),
        ("20", "reopen", "importer", ""),
        ("20", "to_second", "importer", ""),
        ("20", "a_accepted", "importer", ""),
        ("21", "a_accepted", "importer", ""),
        ("21", "wait", "importer", ""),
        ("22", "resume", "importer", ""),
        ("22", "a_accepted", "importer", ""),
        ("22", "wait", "importer", ""),
        ("24", "resume", "importer", ""),
        ("24", "to_third", "importer", ""),
        ("24", "a_accepted", "importer", ""),
    ]


def test_the_clock_fires_at_its_own_instant_between_two_acts(database, tmp_path):
    run(database, log(tmp_path / "one.xes", QUEUED), "--shape", "incidents", "--database-url", database)
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "select at at time zone 'utc', fired from events where kind = 'clock.breach' order by seq"
        ).fetchall()
    assert [(f"{at:%d %H:%M:%S.%f}", fired) for at, fired in rows] == [
        ("03 00:00:00.000001", "gross_first:1:due"),
        ("03 00:00:00.000001", "net_first:1:due"),
    ]


# --- counted apart -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_xes(tmp_path_factory.mktemp("incidents") / "incidents.xes.gz", incidents())


# The end; a wall clock that reads 02:30 twice, before and after the change; the hour that spring leaves out.
CUTS = [[], ["2011-10-30T02:30:00+02:00"], ["2011-10-30T02:30:00+01:00"], ["2011-03-27T03:00:00+02:00"]]


@pytest.mark.parametrize("until", CUTS)
def test_the_figures_of_the_journal_are_those_of_the_log_at_any_cut(database, many, until):
    found = run(database, many, "--shape", "incidents", *[word for cut in until for word in ("--until", cut)])
    assert figures(found) == counted_incidents(many, *until)
    assert found["problems"] == 0


def test_the_log_has_every_kind_of_thing_in_it(many):
    counted = counted_incidents(many)
    assert min(counted[name] for name in PLAIN if name not in ("events_refused", "until")) > 10
    assert counted["closed_late"] < counted["closed_late_gross"]
    assert counted["open_late"] < counted["open_late_gross"]


def test_every_call_made_twice_in_any_order_changes_nothing(database, many):
    found = run(database, many, "--shape", "incidents", "--shuffle", "--seed", "3")
    assert figures(found) == counted_incidents(many)
    assert found["problems"] == 0
    assert found["repeated"] > found["dossiers"] + found["events"] + found["climbs"]


def test_without_the_clock_nothing_is_late_and_the_waits_are_the_same(database, many):
    found, counted = run(database, many, "--shape", "incidents", "--no-sweep"), counted_incidents(many)
    assert [found[name] for name in PLAIN if "late" in name] == [0, 0, 0, 0]
    assert {"waits": figures(found)["waits"], "rungs": figures(found)["rungs"], "climbs": found["climbs"]} == {
        name: counted[name] for name in ("waits", "rungs", "climbs")
    }


def test_a_shape_reads_csv_as_well(database, small, tmp_path):
    path = tmp_path / "small.csv"
    lines = ["case:concept:name,time:timestamp,concept:name,lifecycle:transition,org:group"]
    for number, case in enumerate((WAITED, AGAIN, QUEUED), 1):
        lines += [
            f"1-{number},2012-06-" + ",".join(word.strip() for word in line.split(",")).replace(",", "Z,", 1)
            for line in case.strip().splitlines()
        ]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert figures(run(database, path, "--shape", "incidents")) == BY_HAND


# --- the shape file ----------------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt() -> dict:
    return copy.deepcopy(yamltext.read(SHIPPED).data)


def test_the_shape_that_is_shipped_makes_a_sound_definition(spoilt):
    made = definition.parse(shape.definition(shape.parse(spoilt), {"Accepted": "a_accepted"}))
    assert [rung.rung for rung in made.ladder] == ["first", "second", "third"]
    assert set(made.clocks) == {
        f"{kind}_{name}" for kind in ("net", "gross") for name in ("whole", "first", "second", "third")
    }
    assert made.clocks["net_whole"].hold == {"user": "pause", "other": "pause", "queue": "ignore"}
    assert made.clocks["gross_whole"].hold == {}


def test_the_shape_that_the_documentation_shows_is_sound():
    page = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert shape.parse(yamltext.parse(shown).data).id == "incidents"


@pytest.mark.parametrize("left_out", [("rungs",), ("waits",), ("within",), ("rungs", "waits", "within")])
def test_rungs_waits_and_commitments_are_each_left_out_at_will(database, spoilt, small, tmp_path, left_out):
    for name in left_out:
        del spoilt[name]
    path = tmp_path / "shape.yaml"
    path.write_text(as_yaml(spoilt), encoding="utf-8")
    found = run(database, small, "--shape", str(path))
    assert [found[name] for name in ("dossiers", "events", "events_refused", "closed", "open", "problems")] == [
        3,
        15,
        0,
        2,
        1,
        0,
    ]
    assert (found["rungs"] == {}) == ("rungs" in left_out)
    assert (found["waits"] == {}) == ("waits" in left_out)


def as_yaml(data: dict) -> str:
    import yaml

    return yaml.safe_dump(data, allow_unicode=True)


def spoil(*place: str | int, value: object):
    def change(data: dict) -> None:
        *way, last = place
        inside = data
        for part in way:
            inside = inside[part]
        if value is None:
            del inside[last]
        else:
            inside[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (spoil("columns", "time", value=None), ("columns", "time"), "obligatoire et absent"),
        (spoil("columns", "deadline", value="x"), ("columns", "deadline"), "n'a pas cours"),
        (spoil("columns", "time", value="org:group"), ("columns", "time"), "déjà un autre rôle"),
        (spoil("closes", value=None), ("closes",), "obligatoire et absent"),
        (spoil("closes", value=[]), ("closes",), "la liste est vide"),
        (spoil("closes", 0, value={"team_": {"equals": "x"}}), ("closes", "0", "team_"), "accepté : activity, status, team"),
        (spoil("closes", 0, value={"time": {"equals": "x"}}), ("closes", "0", "time"), "colonne non déclarée"),
        (spoil("waits", 0, "court", value="nobody"), ("waits", "0", "court"), "'holder', 'third_party' ou 'administration'"),
        (spoil("waits", 0, "clock", value="stop"), ("waits", "0", "clock"), "'pause' ou 'ignore'"),
        (spoil("waits", 1, "motive", value="user"), ("waits", "1"), "déjà déclaré autrement"),
        (spoil("waits", 0, "when", "status", value={"matches": ".*"}), ("waits", "0", "when", "status", "matches"),
         "equals, starts_with, ends_with, contains"),
        (spoil("waits", 0, "when", "status", value={"equals": "a", "contains": "b"}), ("waits", "0", "when", "status"), "une seule règle"),
        (spoil("waits", 0, "when", value={}), ("waits", "0", "when"), "la liste est vide"),
        (spoil("rungs", 0, "when", value={"team": {"equals": "x"}}), ("rungs",), "un échelon, et un seul"),
        (spoil("rungs", 1, "rung", value="first"), ("rungs", "1", "rung"), "le même nom"),
        (spoil("rungs", 1, "rung", value="whole"), ("rungs", "1", "rung"), "réservé"),
        (spoil("rungs", 1, "rung", value="2e"), ("rungs", "1", "rung"), "un nom en minuscules"),
        (spoil("within", value={"elapsed_weeks": "2"}), ("within", "elapsed_weeks"), "elapsed_days"),
        (spoil("within", value={"elapsed_days": "-2"}), ("within", "elapsed_days"), "trop petit"),
        (spoil("schema", value="2"), ("schema",), "trop grand"),
        (spoil("rules", value="x"), ("rules",), "columns, closes, waits, rungs, within"),
    ],
)  # fmt: skip
def test_a_shape_that_is_not_sound_is_refused_with_its_place(spoilt, change, place, words):
    change(spoilt)
    with pytest.raises(DefinitionError) as caught:
        shape.parse(spoilt)
    told = dict(caught.value.problems)
    assert words in told[place]


def test_a_refused_shape_names_its_file_and_every_line(database, small, tmp_path):
    path = tmp_path / "mine.yaml"
    text = (
        SHIPPED.read_text(encoding="utf-8")
        .replace("court: holder", "court: nobody")
        .replace("ends_with: 2nd", "ends: 2nd")
    )
    path.write_text(text, encoding="utf-8")
    error = run(database, small, "--shape", str(path), code=2)["error"]
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "nobody" in line or "ends: 2nd" in line]
    assert error["field"] == "--shape"
    assert all(f"mine.yaml, ligne {line} :" in error["message"] for line in lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shape", "absente"], ["fichier illisible", "incidents"]),
        (["--shape", "incidents", "--map", "case=x"], ["dites par la forme"]),
        (["--max-ratio", "0"], ["--max-ratio"]),
    ],
)
def test_an_option_that_cannot_be_read_is_refused(database, small, options, words):
    error = run(database, small, *options, code=2)["error"]
    told = f"{error['field']} {error['message']} {error['accepted']}"
    assert all(word in told for word in words), told


def test_a_column_of_the_shape_that_the_log_never_gives_is_refused(database, spoilt, small, tmp_path):
    spoilt["columns"]["team"] = "team"
    path = tmp_path / "shape.yaml"
    path.write_text(as_yaml(spoilt), encoding="utf-8")
    error = run(database, small, "--shape", str(path), code=2)["error"]
    assert (error["field"], "columns.team" in error["accepted"]) == ("team", True)
