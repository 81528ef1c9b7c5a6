"""Each service's very command, as docker-compose.yml gives it, run as a process on real servers. The image is not built here."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import tomllib
import uuid
from contextlib import contextmanager, suppress
from email import message_from_bytes
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
import redis
from aiosmtpd.controller import Controller

from local import binaries
from local.valkey import Valkey
from tests.release.conftest import BIN, ROOT
from workflow import upgrade

LACQ = ["--topic", "raccordement", "--commune", "64300", "--title", "Raccordement 60 MW", "--as", "directrice-lacq"]
GRACE = 75  # worker.stop_grace_period, which test_compose.py compares with what a task may last
PATIENCE = 60


def soon(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


class Post:
    """An SMTP server that holds each letter until it is told to go on."""

    def __init__(self):
        self.letters, self.holds, self.arrived = [], threading.Event(), threading.Event()
        self.holds.set()

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  (aiosmtpd's name)
        import asyncio

        self.arrived.set()
        await asyncio.get_running_loop().run_in_executor(None, self.holds.wait, PATIENCE)
        self.letters.append(message_from_bytes(envelope.content)["Message-ID"])
        return "250 OK"


class Stack:
    """The services of docker-compose.yml as processes; the addresses alone are other than there."""

    def __init__(self, composed, folder, url, valkey, port):
        self.composed, self.folder, self.url = composed, folder, url
        self.outside = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COUPE_FILE_DATABASE_URL": url,
            "COUPE_FILE_REDIS_URL": valkey.url,
            "COUPE_FILE_HOME": str(folder / "home"),
            "COUPE_FILE_MAIL": f"smtp://127.0.0.1:{port}",
            "COUPE_FILE_TICK_SECONDS": "0.5",
        }
        self.processes = {}

    @contextmanager
    def released(self, tree):
        """What is started in this block is another release."""
        before = self.outside["PYTHONPATH"]
        self.outside["PYTHONPATH"] = str(tree)
        yield
        self.outside["PYTHONPATH"] = before

    def environment(self, service):
        given = {**self.composed[service]["environment"], **self.outside}
        return {**given, "HOME": str(self.folder)}

    def start(self, service, name="celery"):
        """Run a service's command; a second worker on the same machine has another name."""
        command = [word.replace("celery@%h", f"{name}@%h") for word in self.composed[service]["command"]]
        log = (self.folder / f"{service}-{name}.log").open("ab")
        started = subprocess.Popen(
            command, env=self.environment(service), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self.processes[service, name] = started
        return started

    def healthy(self, service, name="celery", within=None):
        """Run a service's health command; returns what it says, or None when it is not well."""
        command = [
            word.replace("celery@%h", f"{name}@%h") for word in self.composed[service]["healthcheck"]["test"][1:]
        ]
        command += ["--within", str(within)] if within else []
        done = subprocess.run(
            command, env=self.environment(service), cwd=self.folder, capture_output=True, text=True, check=False
        )
        self.said = done.stdout + done.stderr
        return done.returncode == 0

    def run(self, *arguments):
        """A command of coupe-file, in the same image."""
        done = subprocess.run(
            ["coupe-file", *arguments], env=self.environment("migrate"), cwd=self.folder, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sql(self, statement, *values):
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()

    def kill(self, service, name="celery"):
        process = self.processes.pop((service, name))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self):
        for one in list(self.processes):
            try:
                self.kill(*one)
            except ProcessLookupError:
                continue


@pytest.fixture(scope="module")
def post():
    """Give the relay."""
    held = Post()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    controller = Controller(held, hostname="127.0.0.1", port=port)
    controller.start()
    held.port = port
    yield held
    held.holds.set()
    controller.stop()


@pytest.fixture(scope="module")
def stack(composed, postgres, post):
    """Give the stack: an empty database migrated by the very service, one worker, one beat."""
    name = f"composed_{uuid.uuid4().hex}"
    postgres.create_database(name)
    with tempfile.TemporaryDirectory(prefix="cf-", dir="/tmp") as folder, Valkey(Path(folder)) as valkey:
        made = Stack(composed, Path(folder), postgres.url(name), valkey, post.port)
        try:
            assert made.start("migrate").wait(PATIENCE) == 0
            made.run("directory", "sample")
            made.start("worker")
            made.start("beat")
            yield made
        finally:
            made.stop()
    postgres.drop_database(name)


def test_the_worker_of_compose_proves_that_it_consumes(stack):
    assert stack.healthy("worker"), stack.said
    assert "a répondu" in stack.said


def test_the_beat_of_compose_proves_that_it_sends(stack):
    assert soon((stack.folder / "home" / "beat").exists), "it notes what it sends"
    assert stack.healthy("beat"), stack.said
    assert soon(lambda: stack.sql("select 1 from heartbeats where name = 'tick'"))


def test_the_portal_of_compose_answers_and_is_ready_once_the_clock_beats(stack, monkeypatch):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    monkeypatch.setitem(stack.outside, "COUPE_FILE_BASE_URL", f"http://localhost:{port}")
    monkeypatch.setitem(stack.composed["web"], "command", ["coupe-file", "web", "--host=127.0.0.1"])
    stack.start("web")

    def ready():
        with suppress(OSError), urlopen(f"http://localhost:{port}/readyz", timeout=5) as answer:
            return answer.status == 200
        return False

    assert soon(ready)
    stack.kill("web")


def test_the_image_s_health_is_that_of_the_whole_installation(stack):
    assert soon(lambda: stack.sql("select 1 from heartbeats where name = 'reconcile'"))
    assert "Tout va bien" in stack.run("health")


def test_a_migration_that_has_nothing_to_do_lets_the_others_start(stack):
    assert stack.start("migrate", "again").wait(PATIENCE) == 0


def test_a_second_worker_answers_under_its_own_name_and_a_dead_one_does_not(stack):
    stack.start("worker", "second")
    assert stack.healthy("worker", "second"), stack.said
    stack.kill("worker", "second")
    assert not stack.healthy("worker", "second", within=2)
    assert "n'a pas répondu" in stack.said
    assert stack.healthy("worker"), stack.said


def test_a_worker_that_lives_and_listens_to_nothing_is_not_well(stack):
    listener = stack.processes["worker", "celery"]
    os.kill(listener.pid, signal.SIGSTOP)
    assert not stack.healthy("worker", within=2)
    os.kill(listener.pid, signal.SIGCONT)
    assert stack.healthy("worker"), stack.said


def test_a_worker_is_well_again_once_the_queue_is_back_and_emptied(stack):
    with redis.from_url(
        stack.outside["COUPE_FILE_REDIS_URL"].replace("redis+socket", "unix").partition("?")[0]
    ) as queue:
        queue.flushall()
    assert stack.healthy("worker"), stack.said


def test_a_beat_that_stopped_sending_is_not_well(stack):
    note = stack.folder / "home" / "beat"
    stack.kill("beat")
    long_ago = note.stat().st_mtime - 3600
    os.utime(note, (long_ago, long_ago))
    assert not stack.healthy("beat")
    assert "n'a rien envoyé depuis" in stack.said
    stack.start("beat")
    assert soon(lambda: note.stat().st_mtime > long_ago), "it notes what it sends again"
    assert stack.healthy("beat"), stack.said


def test_a_worker_told_to_stop_ends_the_letter_in_hand_within_its_grace_and_loses_nothing(stack, post):
    post.arrived.clear()
    post.holds.clear()
    sent_before = len(post.letters)
    stack.run("submit", *LACQ, "--blockage", "La proposition technique n'est pas arrivée.")
    stack.sql("update notices set not_before = '2000-01-01' where state = 'queued' returning id")
    assert post.arrived.wait(PATIENCE), "a letter is in the worker's hands"
    worker = stack.processes.pop(("worker", "celery"))
    worker.send_signal(signal.SIGTERM)
    assert soon(lambda: "Warm shutdown" in (stack.folder / "worker-celery.log").read_text())
    assert worker.poll() is None, "it waits for the letter"
    post.holds.set()
    assert worker.wait(GRACE) == 0
    assert len(post.letters) == sent_before + len(stack.sql("select 1 from notices where state = 'sent'"))
    stack.start("worker")
    assert soon(lambda: not stack.sql("select 1 from notices where state = 'queued' and not_before < now()"))
    assert soon(lambda: not stack.sql("select 1 from pending"))
    assert len(post.letters) == len(set(post.letters)), "no letter left twice"
    assert "0 écart" in stack.run("verify")


@pytest.fixture
def newer(tmp_path):
    """Give the tree of a next release: this one, and a step that adds."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    for room in built["targets"]["wheel"]["packages"]:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "migrations" / "versions" / "9001_planted.py").write_text(
        '"""Planted."""\n\nfrom alembic import op\n\nrevision = "9001"\n'
        f'down_revision = "{upgrade.known()[-1].revision}"\n\n\n'
        'def upgrade():\n    op.execute("alter table dossiers add column planted text; alter table notices add column planted text")\n'
    )
    return tmp_path


def test_old_and_new_workers_work_side_by_side_while_the_tables_move_and_the_old_may_come_back(stack, newer):
    def deposit(count):
        for number in range(count):
            stack.run("submit", *LACQ, "--blockage", f"Toujours rien ({number}).", "--json")

    deposit(1)
    assert stack.healthy("worker"), stack.said
    with stack.released(newer):
        assert stack.start("migrate", "new").wait(PATIENCE) == 0
        stack.start("worker", "new")
        assert stack.healthy("worker", "new"), stack.said
        deposit(1)
    assert stack.sql("select max(version_num) from alembic_version") == [("9001",)]
    assert stack.healthy("worker"), "the old worker goes on"
    deposit(1)
    assert soon(lambda: not stack.sql("select 1 from pending"))
    assert "0 écart" in stack.run("verify")
    stack.kill("worker", "new")
    assert stack.start("migrate", "back").wait(PATIENCE) == 0, "the old release may be put back"
    assert "en avance" in stack.run("migrate")
    deposit(1)
    assert soon(lambda: not stack.sql("select 1 from pending"))
    assert "0 écart" in stack.run("verify")


def test_the_queue_of_compose_evicts_nothing_and_keeps_what_it_took(composed, tmp_path):
    command = composed["valkey"]["command"]
    assert command[0] == "valkey-server"
    path = Path(tempfile.mkdtemp(prefix="cf-", dir="/tmp")) / "s"
    here = ["--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path)]
    server = subprocess.Popen([binaries.valkey(), *command[1:], *here], stdout=subprocess.DEVNULL)
    try:
        assert soon(path.exists), shlex.join(command)
        with redis.Redis(unix_socket_path=str(path)) as queue:
            said = queue.config_get("*")
            assert said["maxmemory-policy"] == "noeviction"
            assert said["appendonly"] == "yes"
    finally:
        server.terminate()
        server.wait()
