"""Operate and prove: migrations, the clock's work, the proofs, and what is said when something is not there."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from cli.main import app
from tests.conftest import quick

REASON = "Rien ne bouge depuis trois semaines."


def jump(query, length):
    query("update business_clock set anchor = anchor + %s", length)


def test_migrate_makes_a_new_database_usable_and_is_harmless_when_repeated(cli, empty):
    before = cli("show", "64-0001", COUPE_FILE_DATABASE_URL=empty)
    assert (before.code, before.out) == (1, "")
    assert "coupe-file migrate" in before.err
    for _ in range(2):
        assert cli("migrate", COUPE_FILE_DATABASE_URL=empty).code == 0
    listed = cli("workflow", "list", "--json", COUPE_FILE_DATABASE_URL=empty).json["definitions"]
    assert [row["name"] for row in listed] == ["avis", "coupe-file", "projet", "raccordement"]


def test_the_sweep_does_what_is_due_once_and_says_first_what_it_would_do(cli, dossier, query, counts):
    assert "Rien n'est échu." in cli("sweep", "--dry-run").out
    jump(query, timedelta(days=3))
    before = counts()
    assert cli("sweep", "--dry-run", "--json").json["due"][0]["reference"] == dossier
    assert counts() == before
    assert cli("sweep", "--json").json == {"done": 1, "stuck": 0}
    assert cli("sweep", "--json").json == {"done": 0, "stuck": 0}
    shown = cli("show", dossier, "--as", "ref-64").out
    assert "La balle est chez : RTE, service raccordement" in shown
    assert "l'horloge" in shown
    assert "Échéance dépassée" in shown


def test_react_and_deliver_tell_people_and_the_proof_adds_up(cli, dossier, tmp_path, monkeypatch):
    monkeypatch.setenv("COUPE_FILE_MAIL", f"file:{tmp_path}")
    assert cli("react", "--json").json == {"events": 1}
    sent = cli("deliver", "--json").json["notices"]
    assert sent == len(list(tmp_path.glob("*.eml"))) > 0
    said = cli("verify", "--json").json
    assert said == {"ok": True, "dossiers": 1, "events": 2, "problems": []}  # the deposit, and that its letter has left


@pytest.mark.parametrize(
    ("harm", "proof"),
    [
        ("update dossiers set unit_id = unit_id + 1", "fold"),
        ("update dossiers set wake_at = wake_at + interval '1 hour'", "fold"),
        ("update dossiers set head = sha256('x')", "chain"),
        ("delete from pending", "reactions"),
        ("update texts set body = 'autre chose'", "texts"),
    ],
)
def test_verify_finds_what_was_tampered_with_and_fails(cli, dossier, query, harm, proof):
    assert cli("verify").code == 0
    query(harm)
    said = cli("verify")
    assert said.code == 1
    assert dossier in said.out
    answer = cli("verify", "--json")
    assert answer.code == 1
    assert answer.json["ok"] is False
    assert (answer.json["problems"][0]["reference"], answer.json["problems"][0]["proof"]) == (dossier, proof)


def test_health_is_red_until_the_clock_beats(cli, query):
    said = cli("health", "--json")
    assert (said.code, said.json["ok"]) == (1, False)
    assert "À CORRIGER" in cli("health").out
    query("insert into heartbeats (name, at) values ('tick', clock_timestamp())")
    assert cli("health").code == 0
    assert "Tout va bien." in cli("health").out


def test_the_clock_is_shown_as_it_runs(cli, query):
    assert "c'est l'heure réelle" in cli("clock", "show").out
    query("update business_clock set running = false, anchor = '2026-11-24T04:00:00Z'")
    assert "mardi 24 novembre 2026 à 5 h 00" in cli("clock", "show").out
    assert cli("clock", "show", "--json").json["running"] is False


# --- what is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["show", "64-0001"], ["queue"], ["verify"], ["migrate"], ["health"], ["sweep"]])
def test_a_database_that_does_not_answer_is_said_in_a_sentence(cli, command):
    for url in ("postgresql://u:secret@127.0.0.1:1/nulle_part", "postgresql://u:secret@/nulle_part?host=/nulle/part"):
        said = cli(*command, COUPE_FILE_DATABASE_URL=url)
        assert said.code == 1
        assert "injoignable" in said.err
        assert "Traceback" not in said.err
        assert "secret" not in said.err
        assert cli(*command, "--json", COUPE_FILE_DATABASE_URL=url).error["code"] == "unreachable"


def test_a_database_that_does_not_exist_is_named_as_such(cli, database):
    absent = database.replace("/test_", "/absent_")
    said = cli("queue", COUPE_FILE_DATABASE_URL=absent)
    assert said.code == 1
    assert "n'existe pas" in said.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COUPE_FILE_DATABASE_URL", "sqlite:///dossiers.db"),
        ("COUPE_FILE_DATABASE_URL", "n'importe quoi"),
        ("COUPE_FILE_TICK_SECONDS", "souvent"),
        ("COUPE_FILE_TICK_SECONDS", "3600"),
        ("COUPE_FILE_MAIL", "pigeon:"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(cli, name, value):
    said = cli("queue", **{name: value})
    assert (said.code, said.out) == (2, "")
    assert name in said.err
    assert "Traceback" not in said.err


def test_a_dossier_that_somebody_holds_is_answered_in_a_few_seconds(cli, dossier, database, counts):
    before = counts()
    with psycopg.connect(database.replace("+psycopg", "")) as other:
        other.execute("select from dossiers for update")
        began = time.monotonic()
        said = cli("escalate", dossier, "--reason", REASON, "--as", "ref-64")
        assert time.monotonic() - began < 9
    assert said.code == 1
    assert "dossier en cours de traitement, réessayez" in said.err
    assert counts() == before
    assert cli("escalate", dossier, "--reason", REASON, "--as", "ref-64").code == 0


def test_the_doorbell_is_rung_after_the_answer_when_there_is_one(program, dossier, valkey):
    url = f"redis+socket://{valkey.path}?virtual_host=0"
    for _ in range(5):  # best effort within a second: a machine under load may miss one
        said = program("escalate", dossier, "--reason", REASON, "--as", "ref-64", COUPE_FILE_REDIS_URL=url)
        assert (said.code, said.err) == (0, "")
        if b"coupe_file.react" in _queued(valkey):
            return
    pytest.fail("the doorbell was never heard")


def _queued(valkey):
    import redis

    with redis.Redis(unix_socket_path=str(valkey.path)) as client:
        return b"".join(client.lrange("coupe-file", 0, -1))


def test_a_dead_or_frozen_doorbell_neither_fails_nor_holds_a_command(program, dossier, valkey):
    os.kill(valkey.pid, signal.SIGSTOP)
    try:
        for url in (f"redis+socket://{valkey.path}?virtual_host=0", "redis://127.0.0.1:1/0"):
            said = program("escalate", dossier, "--reason", REASON, "--as", "ref-64", COUPE_FILE_REDIS_URL=url)
            assert (said.code, said.err) == (0, ""), "and well before the sixty seconds that `program` waits"
    finally:
        os.kill(valkey.pid, signal.SIGCONT)


def test_a_reader_that_leaves_early_is_no_error(environment, dossier):
    command = f"{Path(sys.executable).parent / 'coupe-file'} show {dossier} --json | head -c 5"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=False)
    assert done.stderr == b""


# --- help -------------------------------------------------------------------------------------------------------------


def test_help_groups_the_commands_in_french(cli):
    said = cli("--help").out
    for panel in ("Déposer", "Lire", "Agir sur un dossier", "Exploiter et vérifier", "Installer et régler"):
        assert panel in said
    for english in ("Show this message", "required", "default:"):
        assert english not in said
    assert "\x1b" not in said


@pytest.mark.parametrize("width", [40, 71, 72, 100])
def test_help_cuts_no_word_on_any_width(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ("hold", "submit"):
        app([command, "--help"], standalone_mode=False)
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines())) <= max(width, 50)
        assert "…" not in said


def test_colour_is_for_terminals_only(program):
    assert "\x1b" not in program("clock", "show").out
    assert "\x1b" not in program("--help").out


# --- the embedded database --------------------------------------------------------------------------------------------


def test_without_a_url_the_embedded_database_is_made_and_started_for_each_command(environment):
    folder = Path(tempfile.mkdtemp(prefix="cf-", dir=quick()))
    folder.chmod(0o711)
    outside = {name: value for name, value in environment.items() if name != "COUPE_FILE_DATABASE_URL"}
    outside["COUPE_FILE_HOME"] = str(folder)
    command = Path(sys.executable).parent / "coupe-file"

    def start(*args):
        return subprocess.Popen(
            [command, *args], env=outside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ended(process):
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    try:
        code, out, err = ended(start("directory", "sample"))
        assert (code, "Base embarquée" in err) == (0, True)
        assert "Annuaire à jour" in out
        together = [start("directory", "list", "communes", "--json") for _ in range(4)]
        results = [ended(process) for process in together]
        assert [(code, "Saint-Dizier" in out) for code, out, _ in results] == [(0, True)] * 4
        assert not (folder / "postgres" / "run" / ".s.PGSQL.5432").exists()
    finally:
        shutil.rmtree(folder)


# --- a rehearsal, and one process at a time ---------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--dry-run", "--essai"])
def test_a_rehearsed_migration_shows_its_steps_and_their_sql_and_changes_nothing(cli, empty, option):
    said = cli("migrate", option, COUPE_FILE_DATABASE_URL=empty)
    assert said.code == 0
    assert "-- Étape 0001 (0001_core.py)" in said.out
    assert "create table dossiers" in said.out
    assert "Rien n'a été changé" in said.out
    assert "coupe-file migrate" in cli("queue", COUPE_FILE_DATABASE_URL=empty).err, "there are still no tables"


def test_a_rehearsal_on_tables_that_are_up_to_date_has_nothing_to_show(cli):
    assert "Rien à faire" in cli("migrate", "--dry-run").out
    assert cli("migrate", "--dry-run", "--json").json["steps"] == []


def test_a_worker_cannot_be_asked_without_a_queue(cli):
    said = cli("health", "--worker", "celery@%h", "--json")
    assert (said.code, said.error["field"]) == (2, "COUPE_FILE_REDIS_URL")


def test_a_queue_that_does_not_answer_is_said_so_without_its_address(program):
    given = {"COUPE_FILE_REDIS_URL": "redis://:tres5ecret@127.0.0.1:1/0"}
    said = program("health", "--worker", "celery@%h", **given)
    assert said.code == 1
    assert "file des tâches injoignable" in said.err
    assert "tres5ecret" not in said.err + said.out


def test_a_machine_on_which_no_beat_ever_sent_anything_is_told_so(cli, tmp_path):
    said = cli("health", "--beat", COUPE_FILE_HOME=str(tmp_path))
    assert said.code == 1
    assert "aucune horloge n'a noté d'envoi" in said.err
