"""The kill test itself: dossiers are driven by people and by the clock while everything around them is killed.

Usage: python -m tests.e2e.chaos SABOTAGE SECONDS SEED — prints one JSON report. Real PostgreSQL and Valkey on sockets of
their own, real Celery workers and beats, a real SMTP server on loopback; everything ends with it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import psycopg
import redis
import yaml
from aiosmtpd.controller import Controller
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from local.postgres import Postgres
from local.valkey import Valkey
from states.definition import parse
from states.dossier import Actor
from states.errors import CoupeFileError
from tests.e2e import sabotage
from workflow import business_time, definitions, dossiers, reactions, reconcile, schema, upgrade, verify
from workflow.dossiers import Submission
from workflow.models import Commune, Competence, Membership, Person, Unit

ROOT = Path(__file__).resolve().parents[2]
DOSSIERS = 200
WORKERS, BEATS = 3, 2
RATE = 43_200.0  # half a day of the trade for each real second
RUNGS = 6
T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOLDER, REFERENT, MANAGER = 1, 2, 3


class Post:
    """An SMTP server that keeps what it was sent."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, str]] = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  (aiosmtpd's name)
        message = message_from_bytes(envelope.content)
        self.letters.append((message["Message-ID"], message["X-Coupe-File-Event"]))
        return "250 OK"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Stack:
    """Servers, workers and beats, each of which may be killed or frozen at any moment."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.postgres, self.valkey = Postgres(folder), Valkey(folder)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.post = Post()
        self.smtp = Controller(self.post, hostname="127.0.0.1", port=free_port())
        self.did: Counter[str] = Counter()
        self.lock = threading.Lock()

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()
        self.postgres.create_database("chaos")
        self.url = self.postgres.url("chaos")
        upgrade.migrate(self.url)
        self.smtp.start()
        port = self.smtp.port
        self.environment = {
            **os.environ,
            "COUPE_FILE_DATABASE_URL": self.url,
            "COUPE_FILE_REDIS_URL": self.valkey.url,
            "COUPE_FILE_MAIL": f"smtp://127.0.0.1:{port}",
            "COUPE_FILE_TICK_SECONDS": "0.5",
            "C_FORCE_ROOT": "1",
        }

    def spawn(self, name: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        role = "beat" if name.startswith("beat") else "worker"
        command = [sys.executable, "-m", "tests.e2e.worker", self.kind, role]
        self.processes[name] = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        log.close()

    def signal(self, name: str, number: signal.Signals) -> None:
        os.killpg(self.processes[name].pid, number)

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)
        self.processes[name].wait()
        self.spawn(name)

    def freeze(self, pids: list[int], seconds: float) -> None:
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in pids:
            _signal(pid, signal.SIGCONT)

    def stop(self) -> None:
        for process in self.processes.values():
            _signal(-process.pid, signal.SIGCONT)
            _signal(-process.pid, signal.SIGKILL)
            process.wait()
        self.smtp.stop()
        self.valkey.stop()
        self.postgres.stop()

    def harm(self, chance: random.Random) -> list:
        """One of each harm, in an order of chance."""
        workers = [name for name in self.processes if name.startswith("worker")]
        beats = [name for name in self.processes if name.startswith("beat")]
        pid_of = lambda name: _family(self.processes[name].pid)  # noqa: E731
        harms = [
            ("SIGKILL worker", lambda: self.kill(chance.choice(workers))),
            ("SIGKILL worker", lambda: self.kill(chance.choice(workers))),
            ("SIGKILL beat", lambda: self.kill(chance.choice(beats))),
            ("SIGSTOP worker", lambda: self.freeze(pid_of(chance.choice(workers)), 5)),
            ("SIGSTOP beat", lambda: self.freeze(pid_of(chance.choice(beats)), 3)),
            ("SIGKILL postgres", lambda: (self.postgres.kill(), self.postgres.start())),
            ("SIGSTOP postgres", lambda: self.freeze(_family(self.postgres.pid), 2)),
            ("SIGKILL valkey", lambda: (self.valkey.kill(), self.valkey.start())),
            ("SIGSTOP valkey", lambda: self.freeze(_family(self.valkey.pid), 3)),
            ("FLUSHALL", lambda: redis.Redis(unix_socket_path=str(self.valkey.path)).flushall()),
        ]
        chance.shuffle(harms)
        return harms


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _family(pid: int | None) -> list[int]:
    """A process and all its descendants."""
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        try:
            left += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
        except FileNotFoundError:
            continue
    return found


# --- people -----------------------------------------------------------------------------------------------------------


class People:
    """Clients that send everything twice, and again until they are answered."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.engine = schema.engine(stack.url, pool_size=20, max_overflow=20)
        self.make = schema.sessions(self.engine)
        self.seed = seed
        self.until = 0.0
        self.answered: dict[tuple[int, str], int] = {}
        self.refused = 0
        self.errors: list[str] = []

    def prepare(self, kind: str) -> None:
        with self.make.begin() as session:
            business_time.start_at(session, T0)
            session.add_all(
                [Unit(code=f"u{n}", name=f"Unité {n}", level="x", mailbox=f"u{n}@etat.example") for n in range(RUNGS)]
            )
            session.add_all(
                [
                    Person(login="holder", name="Porteur", mail="porteur@usine.example"),
                    Person(login="referent", name="Référente", mail="referente@etat.example"),
                    Person(login="manager", name="Déléguée", mail="deleguee@etat.example"),
                ]
            )
            session.add(Commune(code="64300", name="Lacq"))
            session.flush()
            session.add(Membership(person_id=HOLDER, unit_id=None, role="holder"))
            session.add(Membership(person_id=MANAGER, unit_id=None, role="manager"))
            for rung in range(RUNGS):
                session.add(Membership(person_id=REFERENT, unit_id=rung + 1, role="referent"))
                session.add(Competence(topic="eau", area="64", rung=rung, unit_id=rung + 1))
            data = yaml.load((ROOT / "tests/definitions/elapsed.v1.yaml").read_text(), Loader=yaml.BaseLoader)  # noqa: S506
            definitions.add(session, data)
            sabotage.apply_to_database(kind, session)
        with self.make.begin() as session:
            business_time.run(session, rate=RATE)

    def again(self, work):
        """Until there is an answer; a lost connection, a timeout or a lock not had is asked again."""
        while True:
            try:
                with self.make.begin() as session:
                    return work(session)
            except CoupeFileError:
                self.refused += 1
                return None
            except (OperationalError, psycopg.OperationalError, DBAPIError, psycopg.InterfaceError) as error:
                if isinstance(error, (psycopg.IntegrityError,)) or isinstance(
                    getattr(error, "orig", None), psycopg.IntegrityError
                ):
                    self.errors.append(repr(error)[:300])
                    return None
                time.sleep(0.3)
            except Exception as error:  # noqa: BLE001
                self.errors.append(repr(error)[:300])
                return None

    def twice(self, pool: ThreadPoolExecutor, work):
        """The same request from two hands at once: both must get the same answer."""
        first, second = pool.submit(self.again, work), pool.submit(self.again, work)
        return first.result(), second.result()

    def one_dossier(self, number: int, pool: ThreadPoolExecutor) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        time.sleep(chance.uniform(0, 8))
        holder, key = Actor(HOLDER, None, "holder"), f"dossier-{number}"
        args = {"topic": "eau", "commune": "64300", "title": f"Dossier {number}", "blockage": "Rien n'avance depuis."}
        one, two = self.twice(pool, lambda s: dossiers.submit(s, [Submission(args, key=key)], actor=holder)[0])
        found = one or two
        if found is None:
            return
        if one is not None and two is not None and one.dossier_id != two.dossier_id:
            self.errors.append(f"{key}: two dossiers, {one.dossier_id} and {two.dossier_id}")
        dossier = found.dossier_id
        time.sleep(chance.uniform(0, 2))
        self.act(pool, dossier, "triage", Actor(REFERENT, 1, "referent"), {"to_unit": 2}, f"{key}/triage")
        step = 0
        while time.monotonic() < self.until:
            step += 1
            time.sleep(chance.uniform(2, 12))
            name = chance.choices(("hold", "answer", "escalate", "assign", "resolve", "nothing"), (4, 3, 3, 3, 2, 4))[0]
            self.act(pool, dossier, name, *self.request(name), f"{key}/{step}")

    def request(self, name: str):
        referent = Actor(REFERENT, 2, "referent")
        now = T0 + timedelta(seconds=RATE) * (time.monotonic() - self.began)
        return {
            "hold": (
                referent,
                {
                    "motive": "clarification",
                    "answer_by": (now + timedelta(days=4)).isoformat(),
                    "reason": "Merci de préciser.",
                },
            ),
            "answer": (Actor(HOLDER, None, "holder"), {"reason": "Voici la réponse."}),
            "escalate": (referent, {"reason": "Cela ne peut attendre."}),
            "assign": (referent, {"to_user": REFERENT}),
            "resolve": (
                referent,
                {"outcome": "unblocked", "statement": "Le blocage est levé ; la décision est jointe."},
            ),
        }.get(name, (referent, {}))

    def act(self, pool, dossier, trigger, actor, args, key) -> None:
        if trigger == "nothing":
            return

        def work(session):
            return dossiers.one(dossiers.act(session, [dossier], trigger, actor=actor, args=args, idem=key))

        results = [result for result in self.twice(pool, work) if result is not None]
        if len({result.seq for result in results}) > 1:
            self.errors.append(f"{key}: one request, two events: {results}")
        for result in results:
            self.answered[dossier, key] = result.seq

    def drive(self, seconds: float) -> None:
        self.began = time.monotonic()
        self.until = self.began + seconds
        with ThreadPoolExecutor(DOSSIERS) as crowd, ThreadPoolExecutor(16) as hands:
            list(crowd.map(lambda number: self.one_dossier(number, hands), range(DOSSIERS)))


# --- the proof --------------------------------------------------------------------------------------------------------


QUIET = """
select (select count(*) from dossiers where wake_at <= (select business_now())) as due,
       (select count(*) from pending) as pending,
       (select count(*) from notices where state = 'queued') as queued,
       (select count(*) from stuck) as stuck,
       (select count(*) from sweep_batches) as batches,
       (select count(*) from reaction_failures) as failures
"""


def settle(people: People, seconds: float) -> dict[str, int]:
    """Stop the time of the trade, and wait until nothing is left to do."""
    people.again(business_time.freeze)
    end = time.monotonic() + seconds
    left: dict[str, int] = {}
    while time.monotonic() < end:
        row = people.again(lambda session: session.execute(text(QUIET)).one())
        left = {name: count for name, count in row._mapping.items() if count} if row is not None else left
        if not left:
            break
        time.sleep(0.5)
    return left


def prove(people: People, stack: Stack, left: dict[str, int]) -> dict[str, object]:
    """What was lost, doubled or altered; figures of the run."""
    lost: list[str] = [f"{count} left {name}" for name, count in left.items()]
    doubled: list[str] = []
    with people.make() as session:
        count = lambda sql: session.execute(text(sql)).scalar_one()  # noqa: E731
        rows = lambda sql: session.execute(text(sql)).all()  # noqa: E731
        if (made := count("select count(*) from dossiers")) != DOSSIERS:
            (doubled if made > DOSSIERS else lost).append(f"{made} dossiers for {DOSSIERS} submissions")
        kept = {
            (row.dossier_id, row.idem): row.seq
            for row in rows("select dossier_id, idem, seq from events where idem is not null")
        }
        lost += [
            f"answered and not in the journal: {key}" for key, seq in people.answered.items() if kept.get(key) != seq
        ]
        for column in ("fired", "idem"):
            doubled += [
                f"{column} {row[1]} of dossier {row[0]} {row[2]} times"
                for row in rows(
                    f"select dossier_id, {column}, count(*) from events where {column} is not null group by 1, 2 having count(*) > 1"
                )
            ]
        doubled += [
            f"notice {tuple(row)}"
            for row in rows(
                "select dossier_id, seq, subscriber, target, count(*) from notices group by 1, 2, 3, 4 having count(*) > 1"
            )
        ]
        doubled += too_soon(session)
        lost += untold(session)
        unsent = rows("select state, count(*) from notices where state not in ('sent', 'void') group by 1")
        lost += [f"{row[1]} notices {row[0]}" for row in unsent]
        sent = {
            f"<{row[0]}@localhost.localdomain>" for row in rows("select message_id from notices where state = 'sent'")
        }
        events = count("select count(*) from events")
        kinds = dict(rows("select kind, count(*) from events group by 1 order by 2 desc"))
        health = reconcile.health(session).red
    arrived = Counter(message for message, _ in stack.post.letters)
    lost += [f"marked sent and never arrived: {message}" for message in sent - set(arrived)]
    told = Counter(event for _, event in {*stack.post.letters})
    doubled += [f"{event} in {number} messages" for event, number in told.items() if number > 1]
    wronged = [
        line for log in stack.folder.glob("worker*.log") for line in log.read_text().splitlines()
        if "set aside" in line and ("LostUpdate" in line or "UniqueViolation" in line)
    ]  # fmt: skip
    doubled += [f"decided twice, refused by the database: {line}" for line in wronged]
    problems = [problem for part in verify.verify(people.make) for problem in part.problems]
    return {
        "dossiers": made, "events": events, "kinds": kinds, "answered": len(people.answered), "refused": people.refused,
        "notices_sent": len(sent), "mails": sum(arrived.values()),
        "mails_repeated_with_their_message_id": sum(number - 1 for number in arrived.values()),
        "harm": dict(stack.did), "lost": lost[:20], "doubled": doubled[:20], "errors": people.errors[:20],
        "verify": [f"{p.dossier_id} {p.proof}: {p.text}" for p in problems[:20]], "health": health,
    }  # fmt: skip


def too_soon(session) -> list[str]:
    """By the journal alone: the clock moved a dossier before fourteen days of its rung had passed, or a closed one."""
    wrong = []
    closed: set[int] = set()
    started: dict[int, datetime] = {}
    starts = {"triage", "escalate", "transfer", "take_back", "reopen"}
    for row in session.execute(text("select dossier_id, kind, fired, effective from events order by dossier_id, seq")):
        if row.dossier_id in closed and row.kind != "clock.lapse":
            wrong.append(f"dossier {row.dossier_id}: {row.kind} after it was resolved")
        if row.kind == "resolve":
            closed.add(row.dossier_id)
        if row.kind in starts:
            moved = row.fired is not None and row.fired.startswith("rung:")
            if moved and row.effective - started[row.dossier_id] < timedelta(days=14):
                wrong.append(f"dossier {row.dossier_id} moved too soon on {row.effective}")
            started[row.dossier_id] = row.effective
    return wrong


def untold(session) -> list[str]:
    """Events whose notices are not there: the subscriber asked again, its rows looked for."""
    definition = parse(session.execute(text("select body from definitions")).scalar_one())
    there = {tuple(row) for row in session.execute(text("select dossier_id, seq, target from notices"))}
    wanted = set()
    for row in session.execute(
        text("select dossier_id, seq, at, effective, kind, role, command, facts, effect from events")
    ):
        wanted |= {
            (row.dossier_id, row.seq, told.target) for told in reactions.tell(reactions.Happened(*row), definition)
        }
    return [f"never told: {key}" for key in sorted(wanted - there)] + [
        f"told of nothing: {key}" for key in sorted(there - wanted)
    ]


def main() -> None:
    kind, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    sabotage.shorten_waits()
    sabotage.apply(kind)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="cf-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        stack = Stack(Path(name), kind)
        try:
            stack.start()
            people = People(stack, seed)
            people.prepare(kind)
            for number in range(WORKERS):
                stack.spawn(f"worker{number}")
            for number in range(BEATS):
                stack.spawn(f"beat{number}")
            crowd = threading.Thread(target=people.drive, args=(seconds,))
            crowd.start()
            time.sleep(4)
            while crowd.is_alive():
                for what, harm in stack.harm(chance):
                    if not crowd.is_alive():
                        break
                    stack.did[what] += 1
                    harm()
                    time.sleep(chance.uniform(0.3, 1.5))
            crowd.join()
            left = settle(people, 240 if kind == "none" else 60)
            report = prove(people, stack, left)
            people.engine.dispose()
        finally:
            stack.stop()
        report["ok"] = not (report["lost"] or report["doubled"] or report["errors"] or report["verify"])
        print(json.dumps(report, ensure_ascii=False, indent=1))
        if os.environ.get("CHAOS_LOGS"):
            for log in sorted(Path(name).glob("*.log")):
                sys.stderr.write(f"== {log.name}\n{log.read_text()[-3000:]}\n")


if __name__ == "__main__":
    main()
