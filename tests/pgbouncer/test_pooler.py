"""What only a real PgBouncer can show: connections that pass from client to client at each commit."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tests.pgbouncer import pooler
from workflow import schema, upgrade

pytestmark = pytest.mark.long
CLIENTS, ROUNDS = 40, 30
PROGRAM = Path(sys.executable).parent / "coupe-file"


def crowd(engine):
    """Many clients at once; how many transactions failed, which backends served, and the timeouts that each saw."""

    def one(number):
        failed, served = 0, set()
        for _ in range(ROUNDS):
            try:
                with engine.begin() as connection:
                    row = connection.execute(
                        text("select pg_backend_pid(), current_setting('statement_timeout'), cast(:n as integer)"),
                        {"n": number},
                    ).one()
                    assert row[2] == number
                    served.add((row[0], row[1]))
            except SQLAlchemyError:
                failed += 1
        return failed, served

    with ThreadPoolExecutor(CLIENTS) as hands:
        results = list(hands.map(one, range(CLIENTS)))
    served = set().union(*(found for _, found in results))
    return sum(failed for failed, _ in results), {pid for pid, _ in served}, {setting for _, setting in served}


def test_many_clients_share_few_connections_and_every_transaction_has_its_timeouts(pgbouncer, database):
    engine = schema.engine(pgbouncer.through(database), pooled=True, pool_size=CLIENTS)
    failed, backends, settings = crowd(engine)
    engine.dispose()
    assert failed == 0
    assert len(backends) <= pooler.POOL
    assert settings == {"1min"}


def test_a_program_that_does_not_know_of_the_pooler_fails_and_loses_its_timeouts(pgbouncer, database):
    """What the pooled mode is for."""
    engine = schema.engine(pgbouncer.through(database), pooled=False, pool_size=CLIENTS)
    failed, _, settings = crowd(engine)
    engine.dispose()
    assert failed > 0
    assert settings == {"0"}


def test_a_new_database_is_migrated_and_used_by_the_command_line_through_the_pooler(pgbouncer, postgres):
    name = f"pooled_{uuid.uuid4().hex}"
    postgres.create_database(name)
    given = {
        **os.environ,
        "COUPE_FILE_DATABASE_URL": pgbouncer.through(postgres.url(name)),
        "COUPE_FILE_POOLED": "true",
    }
    for command in (["migrate", "--dry-run"], ["migrate"], ["migrate"], ["directory", "sample"], ["sweep"], ["verify"]):
        done = subprocess.run([PROGRAM, *command], env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    postgres.drop_database(name)


def test_four_migrations_at_once_through_the_pooler_make_one_schema(pgbouncer, postgres):
    name = f"pooled_{uuid.uuid4().hex}"
    postgres.create_database(name)
    url = pgbouncer.through(postgres.url(name))
    with ThreadPoolExecutor(4) as hands:
        made = list(hands.map(lambda _: upgrade.migrate(url), range(4)))
    assert sorted(step for steps in made for step in steps) == [step.revision for step in upgrade.known()]
    postgres.drop_database(name)
