"""A small world on a database of the test's own: six rungs, people on them, and a business clock that stands still."""

import copy
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from config import yamltext
from local.postgres import Postgres
from states.dossier import SYSTEM, Actor
from tests.conftest import copied
from workflow import access, business_time, definitions, dossiers, journal, reactions, schema, sweep, verify
from workflow.dossiers import Result, Submission
from workflow.models import Commune, Competence, Membership, Person, Unit
from workflow.sweep import Swept

START = datetime(2026, 10, 5, 8, 0, tzinfo=UTC)
RUNGS = 6
FORM = {
    "topic": "eau",
    "commune": "64300",
    "title": "Pompage à Lacq",
    "blockage": "Le récépissé de déclaration n'arrive pas.",
}
REASON = "Deux relances sont restées sans réponse."
STATEMENT = "Le récépissé est délivré, le chantier peut commencer."
COUPE_FILE = yamltext.read(Path(__file__).parents[2] / "tests/definitions/elapsed.v1.yaml").data
# The least that lives: one clock, and a move that its guard refuses for ever (nobody can open a hold here).
MINIMAL = {
    "schema": 1, "id": "minimal", "version": 1, "effective": {"from": "2026-01-01"}, "initial": "begun",
    "states": {"begun": {"phase": "submitted"}, "ended": {"phase": "resolved", "terminal": True}},
    "roles": ["holder", "manager", "system"],
    "fields": {"title": {"type": "text", "max": 50}, "outcome": {"type": "choice", "of": ["done"]}},
    "submission": {"by": ["holder"], "needs": ["title"]},
    "triggers": [
        {"name": "finish", "from": "begun", "to": "ended", "by": ["holder"], "sets": {"outcome": "done"}},
        {"name": "nudge", "from": "begun", "to": "=", "by": ["system"], "guards": ["hold_open"]},
    ],
    "clocks": {
        "only": {
            "family": "commitment", "start": {"when": ["submit"]}, "stop": {"when": ["finish"]},
            "length": {"elapsed_days": 1}, "due": {"fire": "nudge"},
        },
    },
}  # fmt: skip


class World:
    """What a test does to its database, each call a transaction of its own unless said."""

    start, form, reason, statement, minimal, coupe_file = START, FORM, REASON, STATEMENT, MINIMAL, COUPE_FILE

    def __init__(self, url: str, engine: Engine, connect: Callable[..., Engine] = schema.engine) -> None:
        self.url = url
        self.engine = engine
        self.connect = connect
        self.make: sessionmaker[Session] = schema.sessions(engine)

    def another(self, **options: Any) -> Engine:
        """Another engine on the same database, by the same way."""
        return self.connect(self.url, **options)

    # Time

    def now(self) -> datetime:
        with self.make() as session:
            return business_time.now(session)

    def jump(self, **by: float) -> datetime:
        with self.make.begin() as session:
            return business_time.jump(session, timedelta(**by))

    def freeze(self, at: datetime) -> None:
        with self.make.begin() as session:
            business_time.freeze(session, at)

    # People

    def actor(self, name: str) -> Actor:
        with self.make() as session:
            return access.actor(session, name, business_time.now(session))

    # Verbs

    def define(self, data: Any) -> int:
        with self.make.begin() as session:
            return definitions.add(session, data, state="published").id

    def submit(self, n: int = 1, *, definition: str = "coupe-file", by: str = "holder", **args: Any) -> list[int]:
        form = {**FORM, **args} if definition == "coupe-file" else {"title": "Un titre", **args}
        with self.make.begin() as session:
            wanted = [Submission(form, definition) for _ in range(n)]
            return [one.dossier_id for one in dossiers.submit(session, wanted, actor=self.actor(by))]

    def act(self, key: int, trigger: str, by: str = "ref0", idem: str | None = None, **args: Any) -> Result:
        """Raises what refused it."""
        actor = SYSTEM if by == "system" else self.actor(by)
        with self.make.begin() as session:
            return dossiers.one(dossiers.act(session, [key], trigger, actor=actor, args=args, idem=idem))

    def triaged(self) -> int:
        (key,) = self.submit()
        self.act(key, "triage", to_unit="u1")
        return key

    def resolve(self, key: int, by: str = "ref1", **args: Any) -> Result:
        return self.act(key, "resolve", by, outcome="unblocked", statement=STATEMENT, **args)

    def sweep(self) -> Swept:
        """Until nothing is due."""
        total = sweep.sweep(self.make)
        while (again := sweep.sweep(self.make)) != Swept():
            total += again
        return total

    def react(self) -> int:
        """Until nothing is pending."""
        total = 0
        while n := reactions.react(self.make):
            total += n
        return total

    # Looking

    def sql(self, statement: str, **params: Any) -> list[Any]:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), params)
            return list(result) if result.returns_rows else []

    def value(self, statement: str, **params: Any) -> Any:
        return self.sql(statement, **params)[0][0]

    def tamper(self, *statements: str, **params: Any) -> None:
        """As a superuser who switches the triggers off."""
        with self.engine.begin() as connection:
            connection.execute(text("set local session_replication_role = replica"))
            for statement in statements:
                connection.execute(text(statement), params)

    def row(self, key: int) -> Any:
        return self.sql("select * from dossiers where id = :key", key=key)[0]

    def events(self, key: int) -> list[journal.Recorded]:
        with self.make() as session:
            return journal.read(session, [key])

    def kinds(self, key: int) -> list[str]:
        return [event.kind for event in self.events(key)]

    def problems(self) -> list[verify.Problem]:
        return [problem for part in verify.verify(self.make) for problem in part.problems]

    def sound(self) -> bool:
        """Whether the whole proof holds; says what does not."""
        found = self.problems()
        assert found == []
        return True


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Call each in a thread of its own, all at one instant; what each gave, or what it raised."""
    barrier = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)

    def run(index: int, function: Callable[[], Any]) -> None:
        barrier.wait(10)
        try:
            results[index] = function()
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            results[index] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return results


@pytest.fixture(name="together")
def together_() -> Callable[..., list[Any]]:
    """Give `together`."""
    return together


def peopled(url: str, engine: Engine, connect: Callable[..., Engine] = schema.engine) -> World:
    """A world at START, frozen: units u0 to u5 on the rungs, u6 a stranger, people in each, definition 1 loaded."""
    made = World(url, engine, connect)
    with made.make.begin() as session:
        business_time.start_at(session, START)
        for i in range(RUNGS + 1):
            session.add(Unit(code=f"u{i}", name=f"Administration {i}", level="x"))
        people = ["holder", "other", *(f"ref{i}" for i in range(RUNGS + 1)), "head0", "prefet3", "boss"]
        for login in people:
            session.add(Person(login=login, name=f"Prénom {login}", mail=f"{login}@x.example"))
        session.flush()
        ids = {login: index for index, login in enumerate(people, 1)}
        seats = [("holder", None, "holder"), ("other", None, "holder"), ("boss", None, "manager")]
        seats += [(f"ref{i}", i + 1, "referent") for i in range(RUNGS + 1)]
        seats += [("head0", 1, "head"), ("prefet3", 4, "prefet")]
        for login, unit, role in seats:
            session.add(Membership(person_id=ids[login], unit_id=unit, role=role))
        session.add(Commune(code="64300", name="Lacq"))
        for i in range(RUNGS):
            session.add(Competence(topic="eau", area="64", rung=i, unit_id=i + 1))
    made.define(copy.deepcopy(COUPE_FILE))
    return made


@pytest.fixture(scope="session")
def peopled_template(postgres: Postgres, template_database: str) -> str:
    """Give the name of a world, to copy from."""
    return kept(postgres, "peopled", template_database, peopled)


@pytest.fixture
def world(postgres: Postgres, peopled_template: str, connect: Callable[..., Engine]) -> Iterator[World]:
    """Give a world of the test's own."""
    with copied(postgres, peopled_template) as url:
        engine = connect(url, pool_size=20)
        yield World(url, engine, connect)
        engine.dispose()


@pytest.fixture(scope="session")
def thousand_template(postgres: Postgres, peopled_template: str) -> str:
    """Give the name of a world with a thousand dossiers, to copy from."""
    return kept(postgres, "thousand", peopled_template, lambda url, engine: World(url, engine).submit(1000))


@pytest.fixture
def thousand(postgres: Postgres, thousand_template: str, connect: Callable[..., Engine]) -> Iterator[World]:
    """Give a world of the test's own in which a thousand dossiers, 1 to 1000, were submitted."""
    with copied(postgres, thousand_template) as url:
        engine = connect(url, pool_size=20)
        yield World(url, engine, connect)
        engine.dispose()


def kept(server: Postgres, name: str, template: str, fill: Callable[[str, Engine], object]) -> str:
    """Make a database from another one and fill it, to copy from for as long as the server lives."""
    server.create_database(name, template)
    engine = schema.engine(server.url(name))
    fill(server.url(name), engine)
    engine.dispose()
    return name
