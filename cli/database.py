"""Where the dossiers are: the database that COUPE_FILE_DATABASE_URL names, else an embedded one for the time of a command."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from cli import say
from cli.chosen import settings
from config.settings import Settings
from local.folder import LocalError, home
from local.postgres import Postgres
from local.supervisor import announced
from states.errors import BadInput
from workflow import almanac, readings, schema, upgrade

NAME, DEMO = "coupe_file", "coupe_file_demo"
LOCK_PATIENCE = "4s"
"""How long a command waits for a dossier that somebody else is handling."""
CONNECT_SECONDS = 5
START_PATIENCE = 30.0
USERS_PATIENCE = 30.0
_written: list[bool] = []


@contextmanager
def address(*, current: bool = True, by: Settings | None = None) -> Iterator[str]:
    """The URL of the database, live; with `current`, an embedded one is first brought up to this program's tables."""
    chosen = by or settings()
    if chosen.database_url is not None:
        yield checked(chosen.database_url)
        return
    running = announced(home(chosen.home))
    if running is not None and running.get("database_url"):
        if running.get("demo"):
            say.aside("Base de la démonstration.")
        yield str(running["database_url"])
        return
    with embedded(chosen.home) as server:
        ensure(server, NAME)
        url = server.url(NAME)
        if current and standing(url).behind:
            prepare(url)
        yield url


def present() -> bool:
    """Whether a database is named or running: a command that can do without one starts none."""
    chosen = settings()
    running = announced(home(chosen.home)) if chosen.database_url is None else None
    return chosen.database_url is not None or (running is not None and bool(running.get("database_url")))


@contextmanager
def sessions(*, current: bool = True) -> Iterator[sessionmaker[Session]]:
    """Sessions on the database of `address`."""
    with address(current=current) as url, bound(url, pooled=settings().pooled) as made:
        yield schema.sessions(made)


def broker() -> str | None:
    """The URL of the broker to ring at: the one that the environment names, else that of the installation that runs here."""
    chosen = settings()
    if chosen.redis_url is not None or chosen.database_url is not None:
        return chosen.redis_url
    running = announced(home(chosen.home))
    return running.get("redis_url") if running is not None else None


@contextmanager
def reading() -> Iterator[Session]:
    """One transaction that only reads; what it showed of marked dossiers goes to the register."""
    with sessions() as make, readings.reading(make) as session:
        yield session


@contextmanager
def writing() -> Iterator[Session]:
    """One transaction: committed when the block ends, or nothing of it is."""
    with sessions() as make:
        with make.begin() as session:
            yield session
        wrote()


def wrote() -> None:
    """Note that something was committed, so that the doorbell is rung when the command has answered."""
    _written.append(True)


def take_written() -> bool:
    """Whether something was committed since this was last asked."""
    found = bool(_written)
    _written.clear()
    return found


@contextmanager
def bound(url: str, *, pooled: bool = False) -> Iterator[Engine]:
    """An engine for the time of a command."""
    made = schema.engine(url, pooled=pooled, timeouts={"lock_timeout": LOCK_PATIENCE})
    try:
        yield made
    finally:
        made.dispose()


def checked(url: str) -> str:
    """A PostgreSQL URL with a bounded wait for its server. Raises BadInput; the URL itself, which may hold a password, is not shown."""
    field, accepted = "COUPE_FILE_DATABASE_URL", "postgresql://utilisateur@hôte:5432/base"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise BadInput("settings", "adresse illisible", field=field, accepted=accepted) from None
    if parts.drivername not in ("postgresql", "postgresql+psycopg", "postgres"):
        raise BadInput("settings", f"« {parts.drivername} » n'est pas pris en charge", field=field, accepted=accepted)
    if "connect_timeout" not in parts.query:
        parts = parts.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
    return parts.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


# --- the embedded one -------------------------------------------------------------------------------------------------


@contextmanager
def embedded(preferred: Path) -> Iterator[Postgres]:
    """A live embedded server: the one that somebody runs, or one of our own for the time of this block.

    Commands that share a server started by one of them are counted by a shared lock: the one that started it waits for
    the others before it stops it.
    """
    base = home(preferred)
    try:
        base.mkdir(parents=True, exist_ok=True)
        users = (base / "postgres.users").open("a")
    except OSError as error:
        raise BadInput(
            "settings",
            f"dossier inutilisable : {error.strerror}",
            field="COUPE_FILE_HOME",
            accepted="un dossier où écrire",
        ) from None
    server = Postgres(base)
    with users:
        fcntl.flock(users, fcntl.LOCK_SH)
        ours = False if answers(server) else _start(server)
        try:
            yield server
        finally:
            if ours:
                _wait_alone(users)
                server.stop()


def answers(server: Postgres) -> bool:
    """Whether a live server answers on its socket."""
    if not server.path.exists():
        return False
    try:
        psycopg.connect(_plain(server.url()), connect_timeout=CONNECT_SECONDS).close()
    except psycopg.Error:
        return False
    return True


def _plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


def _start(server: Postgres) -> bool:
    """Start the server; False when somebody else was quicker, and theirs answers."""
    first = not server.data.exists()
    say.aside(
        "Base embarquée : installation, quelques secondes…"
        if first
        else "Base embarquée démarrée le temps de cette commande."
    )
    try:
        server.start()
    except LocalError:
        if not (server.folder / "lock").exists():
            raise
        deadline = time.monotonic() + START_PATIENCE
        while not answers(server):
            if time.monotonic() > deadline or not _held(server):
                raise
            time.sleep(0.05)
        return False
    return True


def _held(server: Postgres) -> bool:
    """Whether another process holds the server's folder."""
    with (server.folder / "lock").open("r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _wait_alone(users: IO[str]) -> None:
    deadline = time.monotonic() + USERS_PATIENCE
    told = False
    while time.monotonic() < deadline:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not told:
                say.aside("D'autres commandes se servent encore de la base embarquée : attente.")
                told = True
            time.sleep(0.05)
        else:
            return


def ensure(server: Postgres, name: str) -> None:
    """Create a database, unless it is there."""
    found = "select 1 from pg_database where datname = %s"
    with psycopg.connect(_plain(server.url()), autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
        if connection.execute(found, [name]).fetchone() is None:
            try:
                server.create_database(name)
            except LocalError:  # another command made it in this very moment
                if connection.execute(found, [name]).fetchone() is None:
                    raise


def standing(url: str, *, pooled: bool = False) -> schema.Standing:
    """Which version the tables are of, beside the one that this program knows, read without loading the migrations."""
    with bound(url, pooled=pooled) as made, made.connect() as connection:
        return schema.standing(connection)


def prepare(
    url: str, *, pooled: bool = False, tell: Callable[[upgrade.Step, int], None] = lambda _step, _attempt: None
) -> list[str]:
    """Bring the tables up to date and keep the shipped definitions that the database has no version of; returns their names."""
    from cli.shipped import keep_missing

    upgrade.migrate(url, tell=tell)
    with bound(url, pooled=pooled) as made, schema.sessions(made).begin() as session:
        almanac.keep_shipped(session)
        return keep_missing(session)
