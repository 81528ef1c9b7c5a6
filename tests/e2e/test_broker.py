"""A worker whose broker went away at the very moment of an acknowledgement takes the next message when it is back."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from local.valkey import Valkey
from tests.conftest import quick

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
def run():
    """Give a function that starts a worker, mended or not, and a broker of its own."""
    with ExitStack() as made:

        def start(kind):
            folder = made.enter_context(
                tempfile.TemporaryDirectory(prefix="cf-", dir=quick(), ignore_cleanup_errors=True)
            )
            Path(folder).chmod(0o711)
            one = Run(Path(folder), kind)
            made.callback(one.end)
            return one

        yield start


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

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.valkey.stop()


def test_the_next_message_is_taken_after_an_acknowledgement_was_lost_which_is_so_only_since_it_was_mended(run):
    mended, not_mended = both = run("as it is"), run("not mended")
    for one in both:
        one.send("one")
    for one in both:
        assert one.began("one"), one.out.read_text()
        one.valkey.kill()
    time.sleep(3)
    for one in both:
        one.valkey.start()
        with redis.Redis(unix_socket_path=str(one.valkey.path)) as client:
            client.flushall()  # what was not acknowledged is not given out again: only "two" can be seen
        one.send("two")
    assert mended.began("two"), mended.out.read_text()[-3000:]
    assert not not_mended.began("two", 15), not_mended.out.read_text()[-3000:]
