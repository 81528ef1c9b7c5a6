"""Servers and databases for the tests: one PostgreSQL and one Valkey per xdist worker."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine

from local.postgres import Postgres
from local.valkey import Valkey
from tests.pgbouncer.pooler import PgBouncer
from workflow import schema

TEMPLATE = "template"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what the tests start compiles our modules once, not in each process
IN_MEMORY, ON_DISK = Path("/dev/shm"), Path("/tmp")  # noqa: S108  (a folder of our own is made in it)
ENOUGH = 2 << 30
LONGEST = ("release/test_processes.py", "e2e/test_up.py", "workflow/test_scenarios.py", "e2e/test_broker.py")


def quick() -> Path:
    """Where files cost least: in memory, where there is room for the databases and programs may run, else on disk.

    A database is 300 files, made and removed for each test: on a disk that is most of what such a test costs.
    """
    try:
        found = os.statvfs(IN_MEMORY)
    except OSError:
        return ON_DISK
    roomy, runs = found.f_bavail * found.f_frsize >= ENOUGH, not found.f_flag & os.ST_NOEXEC
    return IN_MEMORY if roomy and runs and os.access(IN_MEMORY, os.W_OK) else ON_DISK


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """Give a short folder, crossable by the uid PostgreSQL runs as under root."""
    folder = Path(tempfile.mkdtemp(prefix="cf-", dir=quick()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres]:
    """Give this worker's PostgreSQL, fast and forgetful at power loss."""
    with Postgres(server_folder, durable=False) as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that last longest, so that none of them runs alone at the end; the others in their order."""
    order = {name: place for place, name in enumerate(LONGEST)}
    here = Path(__file__).parent
    items.sort(key=lambda item: order.get(item.path.relative_to(here).as_posix(), len(LONGEST)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the core's tests go through PgBouncer in transaction mode: as pooled, or as if nothing stood in between."""
    parser.addoption("--pgbouncer", choices=("pooled", "unaware"), help="the program's engines go through PgBouncer")


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """Give a PgBouncer in front of this worker's PostgreSQL."""
    with PgBouncer(postgres) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def connect(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    """Give what makes the program's engines: straight to PostgreSQL, unless the run was asked to go through PgBouncer."""
    chosen = request.config.getoption("--pgbouncer")
    if chosen is None:
        return schema.engine
    pooler: PgBouncer = request.getfixturevalue("pgbouncer")

    def through(url: str, **options: Any) -> Engine:
        return schema.engine(pooler.through(url), pooled=chosen == "pooled", **options)

    return through


@pytest.fixture(scope="session")
def valkey(server_folder: Path) -> Iterator[Valkey]:
    """Give this worker's Valkey."""
    with Valkey(server_folder, durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres: Postgres) -> str:
    """Give the name of a migrated database to copy from; connect to copies only."""
    from workflow.upgrade import migrate

    execute(postgres, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    migrate(postgres.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database(postgres: Postgres, template_database: str) -> Iterator[str]:
    """Give the SQLAlchemy URL of a migrated database of the test's own."""
    with copied(postgres, template_database) as url:
        yield url


@contextmanager
def copied(server: Postgres, template: str) -> Iterator[str]:
    """The URL of a copy of a database to which nobody is connected, for as long as it is needed."""
    name = f"test_{uuid.uuid4().hex}"
    # its files are copied, which is quicker than to write them to the log as well
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    execute(server, copy.format(sql.Identifier(name), sql.Identifier(template)))
    yield server.url(name)
    execute(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def execute(server: Postgres, statement: sql.Composed) -> None:
    """Run one statement on the maintenance database, outside any transaction."""
    url = server.url("postgres").replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
