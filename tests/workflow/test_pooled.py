"""Behind a pooler a session is shared: nothing is set or prepared for it, and each transaction has its timeouts all the same."""

from __future__ import annotations

import select

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from workflow import reconcile, schema

SHOWN = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "timezone")


@pytest.fixture
def pooled(database):
    """Give an engine for a pooler, with one connection that everybody shares."""
    engine = schema.engine(
        database,
        pooled=True,
        pool_size=1,
        max_overflow=0,
        timeouts={"lock_timeout": "200ms", "statement_timeout": "300ms"},
    )
    yield engine
    engine.dispose()


def shown(connection):
    return {name: connection.execute(text(f"show {name}")).scalar_one() for name in SHOWN}


def test_each_transaction_has_the_timeouts_that_a_session_would_have(pooled, database):
    direct = schema.engine(database, timeouts={"lock_timeout": "200ms", "statement_timeout": "300ms"})
    with pooled.begin() as one, direct.begin() as other:
        assert shown(one) == shown(other)
    direct.dispose()


def test_nothing_stays_set_on_the_connection_that_the_next_one_gets(pooled):
    with pooled.begin() as connection:
        connection.execute(text("select 1"))
    driver = pooled.raw_connection()
    try:
        assert driver.cursor().execute("show statement_timeout").fetchone() == ("0",)
        assert driver.cursor().execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
    finally:
        driver.close()


def test_a_statement_that_lasts_too_long_is_cut(pooled):
    with pytest.raises(OperationalError, match="statement timeout"), pooled.begin() as connection:
        connection.execute(text("select pg_sleep(30)"))


def test_a_lock_that_is_not_had_in_time_is_given_up(pooled, database):
    other = schema.engine(database)
    with other.begin() as holder:
        holder.execute(text("lock table units"))
        with pytest.raises(OperationalError, match="lock timeout"), pooled.begin() as connection:
            connection.execute(text("select count(*) from units"))
    other.dispose()


def test_a_transaction_in_which_nothing_is_said_is_ended_by_the_server(database):
    frozen = schema.engine(database, pooled=True, timeouts={"idle_in_transaction_session_timeout": "100ms"})

    def say_nothing_then_ask():
        with frozen.begin() as connection:
            connection.execute(text("select 1"))
            select.select([connection.connection.driver_connection], [], [], 30)  # until the server says goodbye
            connection.execute(text("select 1"))

    with pytest.raises(DBAPIError, match="idle-in-transaction"):
        say_nothing_then_ask()
    frozen.dispose()


def test_what_asks_for_a_snapshot_of_its_own_gets_it(pooled):
    """`set transaction` must come before any query: the timeouts are set without one."""
    assert reconcile.reconcile(schema.sessions(pooled)) == 0
    with schema.sessions(pooled)() as session:
        session.execute(text("set transaction isolation level repeatable read, read only"))
        assert session.execute(text("show transaction_isolation")).scalar_one() == "repeatable read"
