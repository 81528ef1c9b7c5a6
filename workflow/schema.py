"""The engine of the database and its migrations."""

from __future__ import annotations

import select
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session, sessionmaker

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
# What no transaction of ours may exceed: a frozen process must not hold what others need.
TIMEOUTS = {"lock_timeout": "10s", "statement_timeout": "60s", "idle_in_transaction_session_timeout": "15s"}


def engine(url: str, *, pooled: bool = False, timeouts: dict[str, str] | None = None, **options: Any) -> Engine:
    """An engine on PostgreSQL, in UTC. With `pooled` (PgBouncer in transaction mode) nothing is set for a session.

    `postgresql://` and `postgresql+psycopg://` mean the same here.
    """
    arguments: dict[str, Any] = {"application_name": "coupe-file"}
    if pooled:
        arguments["prepare_threshold"] = None
    else:
        settings = {"timezone": "UTC", **TIMEOUTS, **(timeouts or {})}
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
        arguments["prepare_threshold"] = 2
    made = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args=arguments,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        **options,
    )
    event.listen(made, "checkout", _refuse_dead)
    return made


def _refuse_dead(connection: Any, _record: Any, _proxy: Any) -> None:
    """On checkout: an idle connection with something to read was closed by the server. No round trip is spent on it."""
    if connection.closed:
        raise DisconnectionError
    watch = select.poll()
    watch.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    if watch.poll(0):
        raise DisconnectionError


def sessions(bound: Engine) -> sessionmaker[Session]:
    """Sessions of the unit of work: one request, one command or one task is one transaction."""
    return sessionmaker(bound, expire_on_commit=False)


def migrate(url: str) -> None:
    """Bring the database up to this program's tables. Safe to run twice, and from two places at once."""
    from alembic import command  # noqa: PLC0415  (only a migration needs it, and it is slow to load)
    from alembic.config import Config  # noqa: PLC0415

    bound = engine(
        url, timeouts={"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
    )
    try:
        with bound.connect() as connection:
            connection.execute(text("select pg_advisory_lock(4077)"))  # a migration is a session of its own
            connection.commit()
            settings = Config()
            settings.set_main_option("script_location", str(MIGRATIONS))
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")
            connection.commit()
    finally:
        bound.dispose()
