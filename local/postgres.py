"""An embedded PostgreSQL on a unix socket of a private folder, without TCP."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from local import binaries, child
from local.folder import NOBODY, LocalError, refuse_closed_parent
from local.server import Server

SUPERUSER = "coupe_file"
_BUILTIN_LOCALE = 17
_STATUS_LINE = 7

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_CACHE = 512 << 20
"""Bytes of cache at most: at a million dossiers the indexes that one transition touches, of which 128 MB hold a third."""
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres(Server):
    """A PostgreSQL of our own: its data outlive it, its processes never outlive us."""

    name: ClassVar[str] = "postgres"
    programs: ClassVar[tuple[str, ...]] = ("postgres",)
    gentle: ClassVar[signal.Signals] = signal.SIGINT  # "fast": SIGTERM would wait for the clients
    harsh: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGQUIT, signal.SIGKILL)

    def __init__(self, base: Path, *, durable: bool = True, patience: float = 60.0) -> None:
        """Choose the folder base/postgres; durable=False trades safety at power loss for speed."""
        super().__init__(base, durable=durable, patience=patience)
        self._binaries: binaries.PostgresBinaries | None = None

    @property
    def path(self) -> Path:
        """Return the path of the unix socket."""
        return self.sockets / ".s.PGSQL.5432"

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{SUPERUSER}@/{quote(database, safe='')}?host={quote(str(self.sockets))}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, empty or as a copy of a template nobody is connected to."""
        self._client("createdb", *(["--template", template] if template else []), name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, ending its connections."""
        self._client("dropdb", "--force", "--if-exists", name)

    def _client(self, program: str, *arguments: str) -> None:
        where = ["--host", str(self.sockets), "--username", SUPERUSER, "--no-password"]
        where += ["--maintenance-db", "postgres"]
        _run([self._found_binaries().program(program), *where, *arguments], self.folder, None)

    def _refuse(self) -> None:
        super()._refuse()
        if self._user is not None:
            refuse_closed_parent(self.folder.parent)

    @property
    def _user(self) -> int | None:
        return NOBODY if os.geteuid() == 0 else None

    def _chiefs(self, pids: list[int]) -> list[int]:
        return [pid for pid in pids if pid == self._recorded_pid()]

    def _recorded_pid(self) -> int | None:
        """Return the pid in postmaster.pid, if the file speaks of our data."""
        lines = self._record()
        if len(lines) > 1 and lines[0].isdigit() and lines[1] == str(self.data):
            return int(lines[0])
        return None

    def _record(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _prepare(self) -> None:
        super()._prepare()
        self._give(self.sockets)
        # No server lives on our data (both locks are ours, /proc was searched): a record left by a
        # killed one would stop the start if another process had its pid by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if not self.data.exists():
            self._initialise()

    def _give(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user, self._user)

    def _initialise(self) -> None:
        """Run initdb beside the data folder and rename: a half-made one is never used."""
        for abandoned in self.folder.glob("unfinished.*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished.", dir=self.folder))
        self._give(unfinished)
        found = self._found_binaries()
        command = [found.program("initdb"), "--pgdata", str(unfinished), "--username", SUPERUSER]
        command += ["--auth-local=trust", "--auth-host=reject"]  # the socket's folder is private
        command += ["--encoding=UTF8", "--data-checksums", *_locale(found.major)]
        command += [] if self.durable else ["--no-sync"]
        _run(command, self.folder, self._user)
        unfinished.rename(self.data)

    def _found_binaries(self) -> binaries.PostgresBinaries:
        """Find the programs once, copied as root to where uid 65534 can read them."""
        if self._binaries is None:
            found = binaries.postgres()
            copied = self._user is not None
            self._binaries = found.readable_by_all(self.folder / "bin") if copied else found
        return self._binaries

    def _command(self) -> list[str]:
        folder = str(self.sockets).replace('"', '""')
        settings = {**_SETTINGS, "unix_socket_directories": f'"{folder}"'}
        settings |= {"shared_buffers": f"{_cache() >> 20}MB"} if self.durable else _FORGETFUL
        chosen = [word for item in settings.items() for word in ("-c", "=".join(item))]
        return [self._found_binaries().program("postgres"), "-D", str(self.data), *chosen]

    def _ready(self) -> bool:
        lines = self._record()
        return len(lines) > _STATUS_LINE and lines[0] == str(self.pid) and lines[_STATUS_LINE].strip() == "ready"


def _cache() -> int:
    """Return the bytes that the server may cache: a quarter of the memory here, 512 MB at most; it takes what it uses."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128 << 20, min(_CACHE, memory // 4))


def _locale(major: int) -> list[str]:
    """Return initdb's choice of code-point order, the same on every machine."""
    if major >= _BUILTIN_LOCALE:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]


def _run(command: list[str], folder: Path, user: int | None) -> None:
    """Run a program of PostgreSQL to its end, or repeat what it complained of."""
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=child.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            umask=0o077,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    except subprocess.CalledProcessError as failure:
        message = f"{Path(command[0]).name} a échoué : {failure.stderr.strip()}"
        raise LocalError(message) from failure
    except OSError as failure:
        message = f"{command[0]} ne peut pas être lancé : {failure}"
        raise LocalError(message) from failure
