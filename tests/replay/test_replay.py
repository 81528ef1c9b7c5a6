"""A log of another system, replayed: the journal's figures are those counted from the log by a script of its own."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

HEADER = ["case:concept:name", "concept:name", "time:timestamp", "case:startdate", "case:enddate", "case:deadline"]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FIGURES = Path(__file__).with_name("figures.py")
PROGRAM = Path(sys.executable).with_name("coupe-file")
ALL = ["dossiers", "events", "closed", "closed_late", "open", "open_late"]
# Two instants that read 02:30 on the wall, an hour apart.
REPEATED_HOUR = ["2011-10-30T02:30:00+02:00", "2011-10-30T02:30:00+01:00"]


def a_log(path: Path, cases: int = 60) -> Path:
    """A log of the shape of real ones: grouped by case, backwards as a whole, untidy at its edges."""
    chance = random.Random(7)
    rows = []
    for number in range(cases):
        start = datetime(2011, 10, 20, tzinfo=UTC) + timedelta(minutes=chance.randrange(20 * 24 * 60))
        deadline = start + timedelta(days=chance.choice([2, 7, 10]))
        end = chance.choice(
            [
                None,
                deadline,
                deadline + timedelta(microseconds=1),
                deadline - timedelta(hours=1),
                start - timedelta(hours=3),
                start + timedelta(days=15),
            ]
        )
        times = [start + timedelta(hours=chance.uniform(-2, 300)) for _ in range(chance.randrange(1, 7))]
        for time in sorted(times):
            say = lambda one: one.astimezone(AMSTERDAM).isoformat(sep=" ") if one else ""  # noqa: E731
            rows.append(
                [
                    f"case-{number}",
                    chance.choice(["Réception", "T02 check", "T02-check", "Lettre"]),
                    say(time),
                    say(start),
                    say(end),
                    say(deadline),
                ]
            )
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return a_log(tmp_path / "log.csv")


def run(database: str, log: Path, *options: str, code: int = 0) -> dict:
    done = subprocess.run(
        [PROGRAM, "replay", str(log), "--json", *options],
        env={"COUPE_FILE_DATABASE_URL": database, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "NO_COLOR": "1"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def counted(log: Path, *until: str) -> dict:
    return json.loads(
        subprocess.run([sys.executable, FIGURES, log, *until], capture_output=True, text=True, check=True).stdout
    )


def same(found: dict, wanted: dict) -> None:
    assert {name: found[name] for name in ALL} == {name: wanted[name] for name in ALL}
    assert found["problems"] == 0
    assert found["events_refused"] == 0


@pytest.mark.parametrize("until", [[], ["2011-10-25T12:00:00+02:00"], *[[one] for one in REPEATED_HOUR]])
def test_the_figures_of_the_journal_are_those_of_the_log_at_any_cut(database, log, until):
    options = ["--until", *until] if until else []
    found = run(database, log, *options)
    same(found, counted(log, *until))
    assert found["closed_late"] + found["open_late"] > 0


@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_call_made_twice_in_any_order_changes_nothing(database, log, seed):
    found = run(database, log, "--shuffle", "--seed", seed)
    same(found, counted(log))
    assert found["repeated"] == found["dossiers"] + found["events"] + found["closed"]


def test_without_the_clock_nothing_is_late(database, log):
    found = run(database, log, "--no-sweep")
    assert (found["closed_late"], found["open_late"]) == (0, 0)
    assert found["closed"] == counted(log)["closed"]


def test_a_replay_leaves_nothing_behind(database, log):
    run(database, log)
    plain = database.replace("+psycopg", "")
    with psycopg.connect(plain) as connection:
        assert connection.execute(
            "select count(*) from pg_database where datname like 'coupe_file_replay%'"
        ).fetchone() == (0,)
        assert connection.execute("select count(*) from dossiers").fetchone() == (0,)


def test_a_database_that_holds_dossiers_is_not_used(database, log):
    run(database, log, "--database-url", database)
    assert "déjà des dossiers" in run(database, log, "--database-url", database, code=2)["error"]["message"]


LINE = "c1,Lettre,2011-10-25 12:00:00+02:00,,,2011-11-25 12:00:00+02:00"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{','.join(HEADER)}\n{LINE}\nc1,Lettre,2011-10-2", ["ligne 3", "coupé"]),
        (f"{','.join(HEADER)}\n{LINE}\n" + LINE.replace("12:00:00+02:00,,", "12:00:00,,"), ["ligne 3", "time:timestamp", "fuseau"]),
        (f"{','.join(HEADER)}\n" + LINE.replace("Lettre", "Let\0tre"), ["ligne 2", "NUL"]),
        (f"{','.join(HEADER)}\n" + LINE.replace("Lettre", ""), ["ligne 2", "concept:name", "vide"]),
        (f"{','.join(HEADER)}\n" + LINE.replace("2011-10-25 12", "demain 12"), ["ligne 2", "n'est pas un instant"]),
        (f"{','.join(HEADER)}\n{LINE}\n" + LINE.replace("2011-11-25", "2011-11-26"), ["deadline", "deux valeurs"]),
        (f"{','.join(HEADER)}\n", ["aucun événement"]),
        ("", ["fichier vide"]),
        ("a,b\n1,2\n", ["ligne 1", "--map case=COLONNE"]),
        (f'{",".join(HEADER)}\n"c1', ["CSV illisible"]),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_read_is_refused_with_its_line_and_nothing_is_written(database, tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    error = run(database, path, "--database-url", database, code=2)["error"]
    told = f"{error['field']} {error['message']} {error['accepted']}"
    assert all(word in told for word in words), told
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        assert connection.execute("select to_regclass('log_events'), (select count(*) from dossiers)").fetchone() == (
            None,
            0,
        )


def test_a_log_in_another_encoding_is_refused_with_its_line(database, tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes(f"{','.join(HEADER)}\n{LINE.replace('Lettre', 'Réponse')}\n".encode("latin-1"))
    assert "ligne 2" in run(database, path, code=2)["error"]["message"]


def test_events_out_of_order_inside_a_case_are_told_and_refused_when_strict(database, tmp_path):
    path = tmp_path / "back.csv"
    path.write_text(f"{','.join(HEADER)}\n{LINE}\n{LINE.replace('10-25', '10-24')}\n", encoding="utf-8")
    assert run(database, path)["out_of_order"] == 1
    assert "ligne 3" in run(database, path, "--strict", code=2)["error"]["message"]


def test_columns_may_have_other_names(database, log, tmp_path):
    path = tmp_path / "named.csv"
    path.write_text(
        log.read_text(encoding="utf-8").replace(",".join(HEADER), "dossier,acte,quand,debut,fin,limite"),
        encoding="utf-8",
    )
    names = ["case=dossier", "activity=acte", "time=quand", "start=debut", "end=fin", "deadline=limite"]
    same(run(database, path, *[word for name in names for word in ("--map", name)]), counted(log))
