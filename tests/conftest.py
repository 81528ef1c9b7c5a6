"""Servers and databases for the tests: one PostgreSQL and one Valkey per xdist worker."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from local.postgres import Postgres
from local.valkey import Valkey

TEMPLATE = "template"


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Give a short folder under /tmp, crossable by the uid PostgreSQL runs as under root."""
    folder = Path(tempfile.mkdtemp(prefix="cf-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres]:
    """Give this worker's PostgreSQL, fast and forgetful at power loss."""
    with Postgres(server_folder, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def valkey(server_folder: Path) -> Iterator[Valkey]:
    """Give this worker's Valkey."""
    with Valkey(server_folder, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres: Postgres) -> str:
    """Give the name of a migrated database to copy from; connect to copies only."""
    from workflow.migration import migrate

    execute(postgres, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(postgres.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database(postgres: Postgres, template_database: str) -> Iterator[str]:
    """Give the SQLAlchemy URL of a migrated database of the test's own."""
    name = sql.Identifier(f"test_{uuid.uuid4().hex}")
    copied = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    execute(postgres, copied.format(name, sql.Identifier(template_database)))
    yield postgres.url(name.as_string().strip('"'))
    execute(postgres, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def execute(server: Postgres, statement: sql.Composed) -> None:
    """Run one statement on the maintenance database, outside any transaction."""
    url = server.url("postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
