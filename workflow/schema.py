"""The engine of the database: its timeouts, its sessions."""

from __future__ import annotations

import select
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session, sessionmaker

from states.errors import Refused

OLDEST = 15
"""The oldest PostgreSQL that this program works with."""
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
# What no transaction of ours may exceed: a frozen process must not hold what others need.
TIMEOUTS = {"lock_timeout": "10s", "statement_timeout": "60s", "idle_in_transaction_session_timeout": "15s"}


def engine(url: str, *, pooled: bool = False, timeouts: dict[str, str] | None = None, **options: Any) -> Engine:
    """An engine on PostgreSQL, in UTC, with timeouts.

    With `pooled` (PgBouncer in transaction mode) nothing is set or prepared for a session, which others share: each
    transaction sets the same for itself, at the price of a round trip.
    `postgresql://` and `postgresql+psycopg://` mean the same here.
    """
    arguments: dict[str, Any] = {"application_name": "coupe-file"}
    settings = {"timezone": "UTC", **TIMEOUTS, **(timeouts or {})}
    if pooled:
        arguments["prepare_threshold"] = None
    else:
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
        arguments["prepare_threshold"] = 2
    made = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args=arguments,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        hide_parameters=True,  # an error is logged: what people wrote is not
        **options,
    )
    event.listen(made, "connect", _refuse_old)
    event.listen(made, "checkout", _refuse_dead)
    event.listen(made, "after_cursor_execute", _await_in_pipeline)
    if pooled:
        local = "; ".join(f"set local {name} = '{value}'" for name, value in settings.items())
        event.listen(made, "begin", lambda connection: _driver(connection).execute(local))
    return made


def _refuse_old(connection: Any, _record: Any) -> None:
    refuse_old(connection.info.server_version)


def refuse_old(version: int) -> None:
    """Raise Refused for a server (its version as libpq counts: 150004 is 15.4) that is too old for this program."""
    if version < OLDEST * 10_000:
        major, minor = divmod(version, 10_000)
        raise Refused(
            "server_version",
            f"PostgreSQL {major}.{minor} est trop ancien pour ce programme",
            field="COUPE_FILE_DATABASE_URL",
            accepted=f"PostgreSQL {OLDEST} ou plus récent",
        )


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _refuse_dead(connection: Any, _record: Any, _proxy: Any) -> None:
    """On checkout: an idle connection with something to read was closed by the server. No round trip is spent on it."""
    if connection.closed:
        raise DisconnectionError
    watch = select.poll()
    watch.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    if watch.poll(0):
        raise DisconnectionError


def _await_in_pipeline(_connection: Any, cursor: Any, *_: Any) -> None:
    """SQLAlchemy looks at once for what a statement brought; in a pipeline of psycopg it is there after a sync."""
    if cursor.connection.pgconn.pipeline_status:
        with cursor.connection.pipeline():  # entering one within another syncs
            pass


def sessions(bound: Engine) -> sessionmaker[Session]:
    """Sessions of the unit of work: one request, one command or one task is one transaction."""
    return sessionmaker(bound, expire_on_commit=False)


class Standing(NamedTuple):
    """The version of a database's tables (None: it has none), and the one that this program knows."""

    found: str | None
    wanted: str

    @property
    def behind(self) -> bool:
        """Whether `coupe-file migrate` is to be run."""
        return self.found is None or self.found < self.wanted

    @property
    def ahead(self) -> bool:
        """Whether a newer program has migrated it."""
        return self.found is not None and self.found > self.wanted

    def refuse_ahead(self) -> None:
        """Raise Refused when the tables are a newer program's."""
        if self.ahead:
            raise Refused(
                "newer",
                f"les tables sont d'une version plus récente ({self.found}) que ce programme ({self.wanted})",
                accepted="le programme mis à jour",
            )


def wanted() -> str:
    """The last version of the tables that this program knows, read without loading the migrations."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def standing(session: Session | Connection) -> Standing:
    """Which version the tables are of, beside the one that this program knows."""
    there = session.execute(text("select to_regclass('alembic_version') is not null")).scalar()
    found = session.execute(text("select max(version_num) from alembic_version")).scalar() if there else None
    return Standing(found, wanted())
