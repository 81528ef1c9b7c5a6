"""A log of another system, replayed: the journal's figures are those counted from the log by a script of its own."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.conftest import quick
from tests.replay.logs import HEADER, PROGRAM, REPEATED_HOUR, a_log, counted, run, same


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return a_log(tmp_path / "log.csv")


@pytest.mark.parametrize("until", [[], ["2011-10-25T12:00:00+02:00"], *[[one] for one in REPEATED_HOUR]])
def test_the_figures_of_the_journal_are_those_of_the_log_at_any_cut(database, log, until):
    options = ["--until", *until] if until else []
    found = run(database, log, *options)
    same(found, counted(log, *until))
    assert found["closed_late"] + found["open_late"] > 0


def test_the_two_cuts_of_the_repeated_hour_are_not_one(log):
    first, second = (counted(log, one) for one in REPEATED_HOUR)
    assert second["closed_late"] + second["open_late"] > first["closed_late"] + first["open_late"]


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
        (f"{','.join(HEADER)}\n{LINE}\n" + LINE.replace("2011-11-25", "2011-11-26"), ["case:deadline", "autre valeur"]),
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
        assert connection.execute(
            "select to_regnamespace('foreign_log'), (select count(*) from dossiers)"
        ).fetchone() == (
            None,
            0,
        )


def test_a_log_in_another_encoding_is_refused_with_its_line(database, tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes(f"{','.join(HEADER)}\n{LINE.replace('Lettre', 'Réponse')}\n".encode("latin-1"))
    assert "ligne 2" in run(database, path, code=2)["error"]["message"]


def test_what_is_wrong_with_a_log_names_both_lines(database, tmp_path):
    path = tmp_path / "twice.csv"
    other = LINE.replace("c1", "c2")
    path.write_text(f"{','.join(HEADER)}\n{LINE}\n{other}\n{LINE.replace('2011-11', '2011-12')}\n", encoding="utf-8")
    error = run(database, path, code=2)["error"]
    assert error["field"] == "case:deadline"
    assert "ligne 4" in error["message"]
    assert "ligne 2" in error["message"]


def test_a_log_whose_time_runs_backwards_inside_a_case_is_refused(database, tmp_path):
    path = tmp_path / "back.csv"
    path.write_text(f"{','.join(HEADER)}\n{LINE}\n{LINE.replace('10-25', '10-24')}\n", encoding="utf-8")
    error = run(database, path, code=2)["error"]
    assert error["field"] == "time:timestamp"
    assert "ligne 3" in error["message"]
    assert "ligne 2" in error["message"]


def test_a_column_of_free_text_is_not_one_of_activities(database, tmp_path):
    path = tmp_path / "wide.csv"
    lines = [LINE.replace("Lettre", f"Lettre {number}") for number in range(201)]
    path.write_text("\n".join([",".join(HEADER), *lines]), encoding="utf-8")
    error = run(database, path, code=2)["error"]
    assert error["field"] == "concept:name"
    assert "ligne 202" in error["message"]


def test_the_line_of_an_error_is_that_where_its_row_begins(database, tmp_path):
    path = tmp_path / "long.csv"
    first = LINE.replace("Lettre", '"Lettre"') + ',"a note\nof three\nlines"'
    path.write_text(f"{','.join(HEADER)},note\n{first}\n\n{LINE.replace('+02:00', '', 1)},\n", encoding="utf-8")
    assert "ligne 6" in run(database, path, code=2)["error"]["message"]


# --- what cannot be applied -------------------------------------------------------------------------------------------


@pytest.fixture
def unfit(tmp_path: Path) -> Path:
    """A log with one case whose name no dossier can bear."""
    path = tmp_path / "unfit.csv"
    long = LINE.replace("c1", "c" * 65)
    rows = [LINE, long, LINE.replace("c1", "c2"), long.replace("10-25", "10-26")]
    path.write_text("\n".join([",".join(HEADER), *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize("options", [[], ["--shuffle"]])
def test_what_cannot_be_applied_is_told_with_its_line_and_the_rest_goes_on(database, unfit, options):
    found = run(database, unfit, *options)
    assert (found["dossiers"], found["events"], found["events_refused"], found["problems"]) == (2, 2, 2, 0)
    assert sorted(words.split(" : ")[0] for words in found["refused"]) == ["ligne 3", "ligne 3", "ligne 5"]


def test_strict_stops_at_the_first_refusal(database, unfit):
    error = run(database, unfit, "--strict", code=1)["error"]
    assert "ligne 3" in error["message"]
    assert error["field"] == "case"


# --- the journal of a replay ------------------------------------------------------------------------------------------


def kinds(database: str) -> list[tuple]:
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        return connection.execute(
            "select d.data->>'case', e.kind, e.at, e.effective, e.effect->>'state' from events e "
            "join dossiers d on d.id = e.dossier_id order by 1, e.seq"
        ).fetchall()


def test_the_clock_fires_strictly_after_the_deadline_between_two_acts(database, tmp_path):
    path = tmp_path / "one.csv"
    due, tick = datetime(2011, 10, 25, 12, tzinfo=UTC), timedelta(microseconds=1)
    events = [due - timedelta(days=1), due, due + tick, due + timedelta(days=1)]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [
            ["a", "Lettre", t.isoformat(), events[0].isoformat(), events[-1].isoformat(), due.isoformat()]
            for t in events
        ]
        rows += [
            ["b", "Lettre", t.isoformat(), events[0].isoformat(), due.isoformat(), due.isoformat()] for t in events
        ]
        csv.writer(file).writerows([HEADER, *rows])
    found = run(database, path, "--database-url", database)
    assert (found["closed"], found["closed_late"]) == (2, 1)
    first, last = events[0], events[-1]
    assert kinds(database) == [
        ("a", "submit", first, first, "received"),
        ("a", "a_lettre", first, first, "a_lettre"),
        ("a", "a_lettre", due, due, None),
        ("a", "clock.breach", due + tick, due, None),
        ("a", "a_lettre", due + tick, due + tick, None),
        ("a", "a_lettre", last, last, None),
        ("a", "close", last, last, "done"),
        ("b", "submit", first, first, "received"),
        ("b", "a_lettre", first, first, "a_lettre"),
        ("b", "a_lettre", due, due, None),
        ("b", "close", due, due, "done"),
        ("b", "a_lettre", due + tick, due + tick, None),
        ("b", "a_lettre", last, last, None),
    ]


def test_a_shuffled_replay_writes_the_same_acts_in_every_dossier(database, log, postgres, template_database):
    def acts(url):
        return [row for row in kinds(url) if row[1] != "clock.breach"]

    run(database, log, "--database-url", database)
    for seed in ("1", "2", "3"):
        postgres.create_database(f"shuffled_{seed}", template=template_database)
        url = postgres.url(f"shuffled_{seed}")
        run(database, log, "--shuffle", "--seed", seed, "--database-url", url)
        assert acts(url) == acts(database)
        postgres.drop_database(f"shuffled_{seed}")


def test_a_replay_keeps_no_copy_of_the_log_beside_the_journal(database, log):
    run(database, log, "--database-url", database)
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        assert connection.execute("select to_regnamespace('foreign_log')").fetchone() == (None,)


def test_a_database_that_a_worker_looks_at_is_not_used(database, log):
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute("insert into heartbeats values ('tick', now())")
    assert run(database, log, "--database-url", database, code=2)["error"]["field"] == "database_url"


def test_a_replay_that_is_kept_says_where_it_is(database, log):
    done = subprocess.run(
        [PROGRAM, "replay", str(log), "--keep"],
        env={"COUPE_FILE_DATABASE_URL": database, "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "NO_COLOR": "1", "COLUMNS": "300"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    name = re.search(r"coupe_file_replay_[0-9a-f]+", done.stderr).group()
    with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"drop database {name}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--until", "2011-10-30T02:30:00"], "fuseau"),
        (["--map", "cas=x"], "rôle inconnu"),
        (["--map", "case=absente"], "ligne 1"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused(database, log, options, words):
    assert words in run(database, log, *options, code=2)["error"]["message"]


# --- the columns ------------------------------------------------------------------------------------------------------


def test_columns_may_have_other_names(database, log, tmp_path):
    path = tmp_path / "named.csv"
    path.write_text(
        log.read_text(encoding="utf-8").replace(",".join(HEADER), "dossier,acte,quand,debut,fin,limite"),
        encoding="utf-8",
    )
    names = ["case=dossier", "activity=acte", "time=quand", "start=debut", "end=fin", "deadline=limite"]
    same(run(database, path, *[word for name in names for word in ("--map", name)]), counted(log))


def test_only_three_columns_are_needed(database, tmp_path):
    path = tmp_path / "least.csv"
    path.write_text(
        "case,activity,time\nc1,Lettre,2011-10-25T12:00:00Z\nc2,Lettre,2011-10-24T12:00:00Z\n", encoding="utf-8"
    )
    found = run(database, path)
    assert (found["dossiers"], found["open"], found["closed"], found["open_late"]) == (2, 2, 0, 0)


def test_an_embedded_database_serves_where_none_is_named(log, tmp_path):
    place = Path(tempfile.mkdtemp(prefix="cf-", dir=quick()))
    place.chmod(0o711)
    done = subprocess.run(
        [PROGRAM, "replay", str(log), "--json"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TMPDIR": str(place)},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    same(json.loads(done.stdout), counted(log))
    assert list(place.iterdir()) == []
    place.rmdir()
