"""A database with the product's own tables, filled with open dossiers, and the means to make some of them due."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from bench.baseline import Raw, statements
from config import yamltext
from local.postgres import Postgres
from states.dossier import SYSTEM, Actor
from workflow import access, almanac, business_time, definitions, dossiers, registration, schema, upgrade
from workflow.dossiers import Submission
from workflow.models import Commune, Competence, Membership, Person, Unit

SQL = statements("load.sql")
START = datetime.fromisoformat("2027-03-01T09:00:00+00:00")
CHUNK = 100_000
RUNGS = 6
REASON = "aucune réponse du service instructeur depuis trois semaines"
DEFINITION = Path(__file__).resolve().parent.parent / "config" / "workflows" / "coupe-file.v1.yaml"


class Database:
    """One database of open dossiers, at a frozen business time that the benchmark moves."""

    def __init__(self, server: Postgres, name: str, rows: int) -> None:
        server.create_database(name)
        self.url = server.url(name)
        self.rows = rows
        upgrade.migrate(self.url)
        self.engine: Engine = schema.engine(self.url)
        self.sessions: sessionmaker[Session] = schema.sessions(self.engine)
        self.operator = psycopg.connect(self.plain, autocommit=True, options="-c timezone=UTC")
        self.referent = self._found()
        self._multiply()
        self.raw = Raw(self.plain)
        self._drawn: list[int] = []
        self._armed = START

    @property
    def plain(self) -> str:
        """The URL for psycopg itself."""
        return self.url.replace("+psycopg", "")

    def _found(self) -> Actor:
        """Lay the directory and open the two dossiers that the others are copies of, through the real verbs."""
        with self.sessions.begin() as session:
            business_time.start_at(session, START)
            almanac.keep_shipped(session)
            definitions.add(session, yamltext.read(DEFINITION).data, state="published")
            session.add_all(Unit(code=f"unit-{rung}", name=f"Unité {rung}", level="x") for rung in range(RUNGS))
            session.add_all(Person(login=login, name=login) for login in ("holder", "referent"))
            session.add(Commune(code="64300", name="Lacq"))
            session.flush()
            session.add(Membership(person_id=1, unit_id=None, role="holder"))
            for rung in range(RUNGS):
                session.add(Membership(person_id=2, unit_id=rung + 1, role="referent"))
                session.add(Competence(topic="eau", area="64", rung=rung, unit_id=rung + 1))
        with self.sessions.begin() as session:
            holder, referent = access.actor(session, "holder", START), access.actor(session, "referent@unit-0", START)
            args = {"topic": "eau", "commune": "64300", "title": "Forage refusé", "blockage": "avis attendu " * 10}
            dossiers.submit(session, [Submission(args, key=f"bench-{n}") for n in (1, 2)], actor=holder)
        with self.sessions.begin() as session:
            done = dossiers.act(session, [1, 2], registration.ACKNOWLEDGE, actor=SYSTEM)
            done += dossiers.act(session, [1, 2], "triage", actor=referent, args={"to_unit": "unit-1"})
            done += dossiers.act(session, [2], "escalate", actor=referent, args={"reason": REASON})
            assert not any(result.error for result in done), done
        return referent

    def _multiply(self) -> None:
        execute = self.operator.execute
        execute(SQL["helpers"].replace("%%", "%"))
        execute("select journal_ensure(%s)", [self.rows])
        execute("set synchronous_commit = off")
        for first in range(3, self.rows + 1, CHUNK):
            for part in ("dossiers", "events", "texts", "parties"):
                execute(SQL[part], {"first": first, "last": min(first + CHUNK - 1, self.rows)})
        execute("select setval(pg_get_serial_sequence('dossiers', 'id'), %s)", [self.rows])
        execute("reset synchronous_commit")
        execute("vacuum analyze")
        execute("checkpoint")

    def draw(self, count: int) -> list[int]:
        """Random dossiers, none twice before all have had their turn."""
        if len(self._drawn) < count:
            self._drawn = random.sample(range(1, self.rows + 1), self.rows)
        taken, self._drawn = self._drawn[:count], self._drawn[count:]
        return taken

    def arm(self, sets: int, count: int) -> list[datetime]:
        """Make `sets` times `count` random dossiers due, a minute apart, and let the server settle: the instants."""
        ids = self.draw(sets * count)
        instants = []
        for n in range(sets):
            self._armed += timedelta(minutes=1)
            self.operator.execute(SQL["arm"], {"ids": ids[n * count : (n + 1) * count], "due": self._armed})
            instants.append(self._armed + timedelta(seconds=1))
        self.settle("dossiers")
        return instants

    def fired(self) -> int:
        """How many times a rung's clock made a dossier move, so far."""
        statement = "select count(*) from events where kind = 'escalate' and fired is not null"
        row = self.operator.execute(statement).fetchone()
        assert row is not None
        return int(row[0])

    def settle(self, *tables: str) -> None:
        """Leave the next measure no work that is not its own."""
        self.operator.execute(f"vacuum analyze {', '.join(tables)}")
        self.operator.execute("checkpoint")

    def jump(self, to: datetime) -> None:
        """Move business time, which is frozen."""
        self.operator.execute("update business_clock set anchor = %s", [to])

    def close(self) -> None:
        """Leave the server without connections."""
        self.operator.close()
        self.raw.connection.close()
        self.engine.dispose()


def check(results: Sequence[dossiers.Result], count: int) -> None:
    """A transition that was refused is not a transition: no figure is printed for it."""
    assert len(results) == count, results
    assert not any(result.error for result in results), results
