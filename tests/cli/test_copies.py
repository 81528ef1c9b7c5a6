"""The restore drill: what was backed up comes back whole, sends nothing before it is told to, and forgets nothing due."""

from datetime import timedelta

import pytest


@pytest.fixture
def saved(cli, dossier, tmp_path):
    """Give a backup of a database with one dossier and its letters still to be sent."""
    cli("react")
    file = tmp_path / "nuit.dump"
    assert cli("backup", file).code == 0
    return file


def test_a_restored_database_is_verified_holds_its_letters_and_sends_each_once_under_its_own_id(
    cli, saved, dossier, empty, query, tmp_path
):
    queued = {str(key) for (key,) in query("select message_id from notices where state = 'queued'")}
    assert queued
    cli("escalate", dossier, "--reason", "Rien ne bouge depuis trois semaines.", "--as", "ref-64")
    cli("deliver", COUPE_FILE_MAIL=f"file:{tmp_path / 'original'}")

    there = {"COUPE_FILE_DATABASE_URL": empty, "COUPE_FILE_MAIL": f"file:{tmp_path / 'copie'}"}
    said = cli("restore", saved, "--json", **there)
    assert said.code == 0, said.err
    assert (said.json["ok"], said.json["dossiers"], said.json["forgotten"], said.json["held"]) == (True, 1, 0, True)
    assert cli("verify", **there).code == 0
    assert cli("deliver", "--json", **there).json["notices"] == 0
    assert "retenus" in cli("doctor", **there).out
    assert not (tmp_path / "copie").exists()

    assert cli("outbox", "release", **there).code == 0
    for _ in range(2):
        cli("deliver", **there)
    assert {path.stem for path in (tmp_path / "copie").glob("*.eml")} == queued


def test_what_was_due_at_the_backup_is_done_after_the_restore(program, dossier, empty, query, tmp_path):
    query("update business_clock set anchor = anchor + %s", timedelta(days=3))
    file = tmp_path / "nuit.dump"
    assert program("backup", file).code == 0
    said = program("restore", file, "--json", COUPE_FILE_DATABASE_URL=empty)
    assert said.json["due"] == 1
    assert program("sweep", "--json", COUPE_FILE_DATABASE_URL=empty).json["done"] == 1
    assert program("verify", COUPE_FILE_DATABASE_URL=empty).code == 0


def test_a_tried_restore_leaves_nothing_behind_and_its_date_is_kept(cli, saved, query):
    before = query("select datname from pg_database order by 1")
    said = cli("restore", saved, "--essai")
    assert said.code == 0, said.err
    assert "journal vérifié, 0 écart, rien d'échu oublié" in said.out
    assert query("select datname from pg_database order by 1") == before
    assert [row[0] for row in query("select what from operations order by id")] == ["backup", "restore.tried"]
    shown = cli("doctor").out
    assert "Restauration essayée : il y a" in shown
    assert "Sauvegarde : il y a" in shown
    assert query("select held_at from installation") == []


def test_a_tried_restore_of_a_journal_that_was_touched_says_so_and_is_not_kept_as_tried(cli, dossier, query, tmp_path):
    query("update dossiers set head = sha256('x')")
    assert cli("backup", tmp_path / "nuit.dump").code == 0
    said = cli("restore", tmp_path / "nuit.dump", "--essai")
    assert said.code == 1
    assert "1 écart" in said.out
    assert query("select what from operations") == [("backup",)]


def test_a_restore_overwrites_nothing(cli, saved, counts):
    before = counts()
    said = cli("restore", saved)
    assert said.code == 1
    assert "n'est pas vide" in said.err
    assert counts() == before


def test_a_backup_is_written_whole_or_not_at_all(cli, saved, dossier, tmp_path):
    kept = saved.read_bytes()
    assert cli("backup", saved).code == 2
    assert saved.read_bytes() == kept
    assert saved.stat().st_mode & 0o077 == 0
    assert cli("backup", tmp_path / "absent" / "nuit.dump").code == 2
    cli("backup", tmp_path / "autre.dump", COUPE_FILE_DATABASE_URL="postgresql://u@127.0.0.1:1/x")
    assert [path.name for path in tmp_path.iterdir()] == ["nuit.dump"]


@pytest.mark.parametrize("harm", ["cut", "cut at the end", "text", "empty", "absent"])
def test_a_file_that_is_no_whole_backup_is_refused_and_leaves_no_table(cli, saved, empty, harm, tmp_path):
    whole = saved.read_bytes()
    broken = tmp_path / "abîmée.dump"
    content = {"cut": whole[:3000], "cut at the end": whole[:-2000], "text": b"bonjour\n" * 1000, "empty": b""}
    if harm != "absent":
        broken.write_bytes(content[harm])
    said = cli("restore", broken, COUPE_FILE_DATABASE_URL=empty)
    assert said.code in (1, 2)
    assert "Traceback" not in said.err
    assert "Erreur" in said.err
    again = cli("restore", saved, COUPE_FILE_DATABASE_URL=empty)  # the database is still empty
    assert again.code == 0, again.err


def test_a_backup_of_something_else_or_of_a_newer_program_is_refused(cli, empty, query, tmp_path):
    assert "rien à sauvegarder" in cli("backup", tmp_path / "x", COUPE_FILE_DATABASE_URL=empty).err
    query("update alembic_version set version_num = '9999'")
    assert cli("backup", tmp_path / "futur.dump").code == 0
    said = cli("restore", tmp_path / "futur.dump", COUPE_FILE_DATABASE_URL=empty)
    assert said.code == 1
    assert "plus récente (9999)" in said.err


def test_a_backup_does_not_go_through_a_pooler(cli, tmp_path):
    said = cli("backup", tmp_path / "x", COUPE_FILE_POOLED="true")
    assert (said.code, "PgBouncer" in said.err) == (2, True)
