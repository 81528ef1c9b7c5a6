"""The command line, in this process or in one of its own, on a database that knows the sample directory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.conftest import copied

PROGRAM = Path(sys.executable).parent / "coupe-file"
BEGINS = "2026-10-05T08:00:00+00:00"
"""When dossiers are submitted: a Monday, 10 h in Paris, so that working days are the same whenever the tests run."""
TABLES = (
    "dossiers", "events", "pending", "texts", "parties", "units", "persons", "memberships", "competences", "communes",
    "definitions",
)  # fmt: skip


class Said:
    """What a command answered."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        return self.json["error"]


@pytest.fixture(scope="session")
def sampled(postgres, template_database):
    """Give the name of a database with the sample directory and the shipped definitions, loaded by the command line."""
    name = "sampled"
    postgres.create_database(name, template_database)
    for command in (["migrate"], ["directory", "sample"]):
        CliRunner(env={"COUPE_FILE_DATABASE_URL": postgres.url(name)}).invoke(app, command, catch_exceptions=False)
    with psycopg.connect(postgres.url(name).replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("update business_clock set anchor = %s, set_at = clock_timestamp()", [BEGINS])
    return name


@pytest.fixture
def database(postgres, sampled):
    """Give the URL of a copy of the sampled database, the test's own."""
    with copied(postgres, sampled) as url:
        yield url


@pytest.fixture
def empty(postgres):
    """Give the URL of a database with nothing in it."""
    with copied(postgres, "template0") as url:
        yield url


@pytest.fixture
def environment(database):
    """The environment of a command on the test's own database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COUPE_FILE_", "COLUMNS"))}
    return {**kept, "COUPE_FILE_DATABASE_URL": database, "COUPE_FILE_LANG": "fr", "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def cli(environment, monkeypatch):
    """Give a function that runs a command in this process, on the environment and what more is given."""
    for name in [name for name in os.environ if name.startswith("COUPE_FILE_")]:
        monkeypatch.delenv(name)
    for name in ("COUPE_FILE_DATABASE_URL", "COUPE_FILE_LANG", "COLUMNS", "NO_COLOR"):
        monkeypatch.setenv(name, environment[name])

    def run(*args, text=None, **more):
        done = CliRunner(env=more).invoke(app, list(map(str, args)), input=text, catch_exceptions=False)
        return Said(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def program(environment):
    """Give a function that runs a command in a process of its own, for what only that shows; arguments may be bytes."""

    def run(*args, text=b"", **more):
        command = [PROGRAM, *args]
        done = subprocess.run(
            command, input=text, capture_output=True, env={**environment, **more}, timeout=60, check=False
        )
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def lacq():
    """Give the options of a deposit at Lacq."""
    given = ["--topic", "raccordement", "--commune", "64300", "--title", "Raccordement 60 MW"]
    return [*given, "--blockage", "La proposition technique n'est pas arrivée."]


@pytest.fixture
def dossier(cli, lacq):
    """Give the reference of a dossier just submitted at Lacq."""
    return cli("submit", *lacq, "--as", "directrice-lacq", "--json").json["reference"]


@pytest.fixture
def counts(database):
    """Give a function that counts the rows of every table."""

    def count():
        with psycopg.connect(database.replace("+psycopg", "")) as connection:
            return {table: connection.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES}

    return count


@pytest.fixture
def query(database):
    """Give a function that runs one statement."""

    def run(statement, *values):
        with psycopg.connect(database.replace("+psycopg", ""), autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    return run
