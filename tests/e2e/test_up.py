"""`coupe-file up --demo`, as its user runs it: it starts, it goes on whatever is killed, it stops, it restarts on what it kept."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest

from tests.conftest import quick

PROGRAM = Path(sys.executable).parent / "coupe-file"
PATIENCE = 90


class Up:
    """One run of the program."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.out = home, home / f"out-{uuid.uuid4().hex}.txt"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COUPE_FILE_")}
        self.environment = {**kept, "COUPE_FILE_HOME": str(home / "h"), "COLUMNS": "150", "NO_COLOR": "1"}
        with self.out.open("ab") as out:
            command = [PROGRAM, "up", *options]
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self.environment, start_new_session=True
            )

    def until(self, words: str) -> str:
        """What was printed, once it matches. Fails when that does not come, or the program ended."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(words, self.said()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{words} did not come: {self.said()}{self.log()[-3000:]}"
            time.sleep(0.1)
        return self.said()

    def said(self) -> str:
        return self.out.read_text()

    def log(self) -> str:
        path = self.home / "h/log/coupe-file.log"
        return path.read_text() if path.exists() else ""

    def cli(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *command], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def family(self) -> dict[str, list[int]]:
        """The processes at work for this home, by what they are."""
        found: dict[str, list[int]] = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                place = (process / "cwd").readlink()
            except OSError:
                continue
            if str(self.home) not in command and not place.is_relative_to(self.home):
                continue
            names = ("valkey-server", "postgres", "worker-", "beat", "celery")
            name = next((name for name in names if name in command), "other")
            found.setdefault(name, []).append(int(process.name))
        return found


@pytest.fixture
def home():
    with made() as folder:
        yield folder


@contextmanager
def made():
    """A folder that another user's server may enter."""
    folder = Path(tempfile.mkdtemp(prefix="cf-", dir=quick()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def begun():
    """Give the folder of a demo that was opened once, paused and ended, and the time at which it stands."""
    with made() as folder:
        run = Up(folder, "--demo", "--plain")
        try:
            assert "se mettent en place" in run.until("Prêt en")
            assert run.cli("clock", "pause").returncode == 0
            stands = run.cli("clock", "show").stdout.partition("\n")[0]
            assert run.end(signal.SIGTERM) == 0
            assert "Tout est arrêté" in run.said()
        finally:
            run.process.kill()
        yield folder / "h", stands


@pytest.fixture
def up(home):
    """Give a function that runs `coupe-file up`; whatever is left of it is killed, and that fails the test."""
    runs: list[Up] = []

    def start(*options: str) -> Up:
        runs.append(Up(home, *options))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
    deadline = time.monotonic() + 15
    while runs and (left := runs[-1].family()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not runs or not left, f"left behind: {left}"


@pytest.fixture
def demo(begun, home, up):
    """Give a function that opens that demo again, which goes on from what it kept."""
    subprocess.run(
        ["cp", "-a", begun[0], home / "h"], check=True
    )  # with their owners: root's PostgreSQL runs as another

    def start() -> Up:
        run = up("--demo", "--plain")
        run.until("Prêt en")
        return run

    return start


def test_a_demo_opened_again_goes_on_from_what_it_kept_is_moved_on_and_stops(demo, begun, home):
    run = demo()
    assert "se mettent en place" not in run.said()
    assert "mardi 24 novembre 2026" in begun[1]
    assert begun[1] in run.cli("clock", "show").stdout, "time stood still while nothing ran"
    said = run.cli("clock", "to", "2026-11-26 09:00")
    assert said.returncode == 0, said.stderr
    assert "jeudi 26 novembre 2026 à 9 h 00" in said.stdout
    run.until("52-0012  l'horloge : un échelon supérieur est saisi")
    address = re.search(r"Portail : http://localhost:(\d+)", run.until("Portail : "))
    assert address is not None
    with urlopen(f"http://localhost:{address[1]}/connexion", timeout=10) as page:
        assert "directrice-lacq:holder" in page.read().decode()
    run.until("64-0001  l'horloge : un échelon supérieur est saisi → Préfecture des Pyrénées-Atlantiques")
    run.until("64-0001  ✉ .* → directrice-lacq@personne.example, vp-lacq@personne.example")
    assert "13-0008" not in run.said(), "nothing leaves for the dossier that was resolved"
    assert list((home / "h/courriers").glob("*.eml"))
    assert "0 écart" in run.cli("verify").stdout
    assert run.end(signal.SIGINT) == 0
    assert "Tout est arrêté" in run.said()


def test_the_demo_goes_on_whatever_is_killed(demo):
    run = demo()
    assert run.cli("clock", "run").returncode == 0
    for name in ("worker-", "beat", "valkey-server", "postgres"):
        family = run.family()
        assert family.get(name), f"no {name} among {family}"
        os.kill(min(family[name]), signal.SIGKILL)
    run.until("24/11/2026 21:0.  974-0010  l'horloge : la demande au porteur est close")
    run.until("25/11/2026 08:0.  17-0005  rappel")
    assert run.cli("verify", "--json").returncode == 0
    for name in ("worker-1", "beat", "valkey", "postgres"):
        assert re.search(rf"{name} +.*relancé", run.log()), name


def test_a_second_one_is_refused_with_the_pid_of_the_first_and_goes_on_when_that_is_killed_which_leaves_nothing(demo):
    run = demo()
    said = run.cli("up")
    assert said.returncode == 1
    assert f"processus {run.process.pid}" in said.stderr
    run.process.kill()
    run.process.wait()
    deadline = time.monotonic() + 15
    while run.family() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert run.family() == {}
    assert demo().end(signal.SIGTERM) == 0


def test_for_real_use_it_follows_real_time_on_a_database_of_its_own(up):
    run = up()
    run.until("Prêt en")
    assert "c'est l'heure réelle" in run.cli("clock", "show").stdout
    assert run.cli("directory", "sample").returncode == 0
    made = run.cli(
        "submit", "--topic", "eau", "--commune", "64300", "--title", "Pompage à Lacq", "--blockage",
        "Le récépissé n'arrive pas.", "--as", "directrice-lacq",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    run.until("Dossier 64-0001 : dossier déposé")
    assert run.end(signal.SIGTERM) == 0


def test_the_url_of_a_database_wins_over_the_embedded_one(database, home):
    environment = {"COUPE_FILE_DATABASE_URL": database}
    with subprocess.Popen(
        [PROGRAM, "up", "--plain"],
        env={**os.environ, **environment, "COUPE_FILE_HOME": str(home / "h"), "NO_COLOR": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Prêt en" in line:
                break
        process.terminate()
        lines.append(process.stdout.read())
    assert process.returncode == 0, "".join(lines)
    assert not (home / "h/postgres").exists()
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        assert connection.execute("select count(*) from heartbeats where name = 'tick'").fetchone() == (1,)


def test_the_demo_does_not_touch_a_database_that_holds_dossiers(database, home):
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        connection.execute(
            "insert into dossiers (reference, definition_id, state, phase, seq, version, at, pinned, units, clocks, holds, data, closed_at, head)"
            " values ('64-1', 1, 'x', 'resolved', 1, 1, now(), false, '{}', '{}', '[]', '{}', now(), sha256('x'))"
        )
    said = subprocess.run(
        [PROGRAM, "up", "--demo", "--plain"],
        env={**os.environ, "COUPE_FILE_DATABASE_URL": database, "COUPE_FILE_HOME": str(home / "h")},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert "n'y touche pas" in " ".join(said.stderr.split())
