"""The supervisor: everything starts in order, comes back when it dies, and nothing outlives it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local import supervisor
from local.folder import LocalError
from local.postgres import Postgres
from local.supervisor import Program, Supervisor
from local.valkey import Valkey

ROOT = Path(__file__).parents[2]
SLEEPER = (sys.executable, "-c", "import time; print('debout', flush=True); time.sleep(600)")
DYING = (sys.executable, "-c", "raise SystemExit(3)")
DEAF = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('sourd', flush=True); time.sleep(600)",
)


class Heard:
    """What the supervisor was told, and said."""

    def __init__(self):
        self.lines = []

    def __call__(self, name, line):
        self.lines.append((name, line))

    def has(self, name, words):
        return any(who == name and words in line for who, line in self.lines)


@pytest.fixture
def heard():
    return Heard()


def program(name, command):
    return Program(name, command, dict(os.environ))


@pytest.fixture
def roof(base, heard):
    """Give a function that starts a supervisor with some programs; it is stopped after the test."""
    made = []

    def start(*programs, servers=(), grace=5.0):
        one = Supervisor(base, [kind(base) for kind in servers], programs, heard, grace=grace)
        made.append(one)
        one.hold()
        one.start_servers()
        one.start_programs()
        return one

    yield start
    for one in made:
        one.stop()


def test_a_program_that_is_killed_comes_back_and_its_end_is_said(roof, heard, soon):
    one = roof(program("dormeur", SLEEPER))
    assert soon(lambda: heard.has("dormeur", "debout"))
    first = one.pids()["dormeur"]
    os.kill(first, signal.SIGKILL)
    assert soon(lambda: one.look() or one.pids()["dormeur"] != first)
    assert heard.has("dormeur", "tué (SIGKILL) : relancé dans 0.5 s")


def test_a_program_that_keeps_failing_is_started_again_after_longer_and_longer_waits(roof, heard, soon):
    one = roof(program("mourant", DYING))
    assert soon(lambda: one.look() or heard.has("mourant", "relancé dans 2 s"))
    waits = [line.rpartition("dans ")[2] for _, line in heard.lines if "relancé dans" in line]
    assert waits[:3] == ["0.5 s", "1 s", "2 s"]
    assert heard.has("mourant", "terminé (code 3)")


def test_servers_that_are_killed_come_back_with_what_they_held(roof, heard, soon):
    one = roof(servers=(Postgres, Valkey))
    before = one.pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    assert soon(
        lambda: one.look() or (set(one.pids()) == set(before) and not set(one.pids().values()) & set(before.values()))
    )
    assert heard.has("postgres", "relancé")
    assert heard.has("valkey", "relancé")


def test_a_program_that_does_not_end_when_asked_is_killed(roof, heard, soon):
    one = roof(program("sourd", DEAF), grace=0.5)
    assert soon(lambda: heard.has("sourd", "sourd"))
    pid = one.pids()["sourd"]
    one.stop()
    assert heard.has("sourd", "ne s'arrête pas en 0.5 s : tué")
    assert not Path(f"/proc/{pid}").exists()


def test_a_second_supervisor_is_refused_and_told_the_pid_of_the_first(roof, base, heard):
    roof(program("dormeur", SLEEPER))
    script = f"""
        from pathlib import Path
        from local.supervisor import Supervisor, holder
        print(holder(Path({str(base)!r})))
        Supervisor(Path({str(base)!r}), (), (), print).hold()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.strip() == str(os.getpid())
    assert f"processus {os.getpid()}" in done.stderr


def test_nothing_outlives_a_supervisor_that_is_killed(base, soon, processes):
    script = f"""
        import os, time
        from pathlib import Path
        from local.postgres import Postgres
        from local.supervisor import Program, Supervisor
        from local.valkey import Valkey
        base = Path({str(base)!r})
        one = Supervisor(base, [Postgres(base), Valkey(base)], [Program("dormeur", {SLEEPER!r}, dict(os.environ))], lambda *_: None)
        one.hold(); one.start_servers(); one.start_programs()
        print(*one.pids().values(), flush=True)
        while True: time.sleep(0.1); one.look()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as killed:
        pids = [int(word) for word in killed.stdout.readline().split()]
        assert len(pids) == 3
        killed.kill()
    assert soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert soon(lambda: processes() == [])
    assert supervisor.announced(base) is None


def test_what_runs_is_announced_to_its_owner_alone_and_only_while_it_runs(roof, base):
    one = roof(program("dormeur", SLEEPER))
    supervisor.announce(base, {"database_url": "postgresql://u:secret@h/d", "demo": None})
    script = f"""
        import json
        from pathlib import Path
        from local.supervisor import announced
        print(json.dumps(announced(Path({str(base)!r}))))
    """
    ask = [sys.executable, "-c", textwrap.dedent(script)]
    said = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["database_url"] == "postgresql://u:secret@h/d"
    assert (base / "running.json").stat().st_mode & 0o077 == 0
    one.stop()
    assert json.loads(subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=True).stdout) is None


def test_a_disk_almost_full_is_said_before_anything_is_started(base, heard, monkeypatch):
    monkeypatch.setattr(supervisor, "ROOM_NEEDED", 1 << 62)
    with pytest.raises(LocalError, match="presque plein") as said:
        Supervisor(base, (), (), heard).hold()
    assert "COUPE_FILE_HOME" in str(said.value)
    monkeypatch.undo()
    one = Supervisor(base, (), (), heard)
    one.hold()
    one.stop()


def test_a_folder_that_is_a_file_is_said_plainly(base, heard):
    (base / "pris").write_text("")
    with pytest.raises(LocalError, match="ne peut pas servir"):
        Supervisor(base / "pris", (), (), heard).hold()


def test_each_line_that_a_program_prints_bears_its_name(roof, heard, soon):
    words = (
        sys.executable,
        "-c",
        "import sys, time; print('un'); print('deux', file=sys.stderr, flush=True); sys.stdout.flush(); time.sleep(600)",
    )
    roof(program("bavard", words))
    assert soon(lambda: heard.has("bavard", "un") and heard.has("bavard", "deux"))
