"""The engine of the database: its timeouts, its sessions."""

from __future__ import annotations

import select
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session, sessionmaker

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
        **options,
    )
    event.listen(made, "checkout", _refuse_dead)
    if pooled:
        local = "; ".join(f"set local {name} = '{value}'" for name, value in settings.items())
        event.listen(made, "begin", lambda connection: _driver(connection).execute(local))
    return made


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


def sessions(bound: Engine) -> sessionmaker[Session]:
    """Sessions of the unit of work: one request, one command or one task is one transaction."""
    return sessionmaker(bound, expire_on_commit=False)
