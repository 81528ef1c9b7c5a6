"""A worker whose broker went away at the very moment of an acknowledgement takes the next message when it is back."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import redis

from local.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import os, sys, time
from tasks import broker
if sys.argv[1] == "as it is":
    pass
else:
    broker.install = lambda: None
from tasks.app import app

@app.task(name="slow")
def slow(word):
    os.write(1, f"began {word} ".encode())
    time.sleep(2)

app.start(["worker", "-c", "1", "-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


@pytest.fixture
def base():
    with tempfile.TemporaryDirectory(prefix="cf-", dir="/tmp", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


class Run:
    """A worker, and a broker of its own."""

    def __init__(self, base, kind):
        self.valkey, self.out = Valkey(base), base / "out"
        self.valkey.start()
        script = base / "worker.py"
        script.write_text(WORKER)
        environment = {
            **os.environ,
            "COUPE_FILE_REDIS_URL": self.valkey.url,
            "C_FORCE_ROOT": "1",
            "PYTHONPATH": str(ROOT),
        }
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, script, kind],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def send(self, word):
        from config.settings import Settings
        from tasks.app import make_app

        app = make_app(Settings(redis_url=self.valkey.url))
        app.send_task("slow", args=[word])
        app.close()

    def began(self, word, patience=40):
        deadline = time.monotonic() + patience
        while f"began {word}" not in self.out.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        return f"began {word}" in self.out.read_text()

    def lose_the_broker_during(self, word):
        self.send(word)
        assert self.began(word), self.out.read_text()
        self.valkey.kill()
        time.sleep(3)
        self.valkey.start()

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.valkey.stop()


@pytest.mark.parametrize(("kind", "goes_on"), [("as it is", True), ("not mended", False)])
def test_the_next_message_is_taken_after_an_acknowledgement_was_lost(base, kind, goes_on):
    run = Run(base, kind)
    try:
        run.lose_the_broker_during("one")
        with redis.Redis(unix_socket_path=str(run.valkey.path)) as client:
            client.flushall()  # what was not acknowledged is not given out again: only "two" can be seen
        run.send("two")
        assert run.began("two", 40 if goes_on else 15) is goes_on, run.out.read_text()[-3000:]
    finally:
        run.end()
