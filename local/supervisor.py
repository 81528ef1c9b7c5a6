"""Everything under one roof: servers and programs started in order, kept alive, and ended together.

A program that ends is started again, after a wait that doubles while it keeps failing. Nothing outlives the supervisor,
however it ends: programs get SIGKILL with it, since every one of them may be killed at any moment and loses nothing.
"""

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from local.child import Child
from local.folder import LocalError, Lock
from local.server import Server

ROOM_NEEDED = 200 * 1024 * 1024
"""Bytes that must be free on the disk before anything is started."""
BACK_OFF, BACK_OFF_MOST = 0.5, 30.0
STEADY = 20.0
"""Seconds after which a program is held to have started well, and its next wait is the shortest again."""

Tell = Callable[[str, str], None]
"""Told of each line of a program, and of what the supervisor does: the name of who speaks, the line."""


@dataclass(frozen=True)
class Program:
    """A command to keep running, by name, with its whole environment."""

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]


@dataclass
class _Kept:
    """What is kept running: how it is started, and when it may be again."""

    name: str
    start: Callable[[], None]
    alive: Callable[[], bool]
    ended: Callable[[], str]
    since: float = 0.0
    failures: int = 0
    not_before: float = field(default=0.0)

    def wait(self) -> float:
        """Seconds to wait before the next start, longer with each failure in a row."""
        return min(BACK_OFF * 2.0 ** max(self.failures - 1, 0), BACK_OFF_MOST)


class Supervisor:
    """The servers and programs of one installation, on one folder that no other supervisor may use."""

    def __init__(
        self, base: Path, servers: Sequence[Server], programs: Sequence[Program], tell: Tell, *, grace: float = 20.0
    ) -> None:
        """Choose what will run; nothing is touched until start. `grace`: seconds a program has to end by itself."""
        self.base = base
        self._tell = tell
        self._grace = grace
        self._servers = list(servers)
        self._programs = list(programs)
        self._children: dict[str, Child] = {}
        self._kept: list[_Kept] = []
        self._lock = Lock(base / "supervisor.lock")

    # --- life ---------------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Take the folder, or raise LocalError naming the process that has it; refuse a full disk."""
        try:
            self.base.mkdir(parents=True, exist_ok=True)
            room = shutil.disk_usage(self.base).free
            self._lock.acquire()
        except OSError as failure:
            raise _refused(self.base, failure) from failure
        if room < ROOM_NEEDED:
            self._lock.release()
            message = (
                f"le disque de {self.base} est presque plein : {room // 2**20} Mio libres, il en faut au moins "
                f"{ROOM_NEEDED // 2**20}. Libérez de la place, ou choisissez un autre dossier (COUPE_FILE_HOME)."
            )
            raise LocalError(message)

    def start_servers(self) -> None:
        """Start the servers, each ready before the next. Raises LocalError."""
        for server in self._servers:
            began = time.monotonic()
            server.start()
            self._tell(server.name, f"prêt en {time.monotonic() - began:.1f} s (pid {server.pid})")
            self._kept.append(_of_server(server, self._restart_server))

    def start_programs(self, programs: Sequence[Program] | None = None) -> None:
        """Start the programs, and from now on keep everything alive. Raises LocalError."""
        if programs is not None:
            self._programs = list(programs)
        for program in self._programs:
            kept = _Kept(
                program.name,
                lambda program=program: self._spawn(program),  # type: ignore[misc]
                lambda name=program.name: self._children[name].alive,  # type: ignore[misc]
                lambda name=program.name: _how(self._children[name].status),  # type: ignore[misc]
            )
            kept.start()
            kept.since = time.monotonic()
            self._kept.append(kept)

    def look(self) -> None:
        """Start again what has ended, each when its wait is over: to be called several times a second."""
        now = time.monotonic()
        for kept in self._kept:
            if kept.alive():
                if kept.failures and now - kept.since > STEADY:
                    kept.failures = 0
                continue
            if not kept.not_before:
                kept.failures += 1
                kept.not_before = now + kept.wait()
                self._tell(kept.name, f"{kept.ended()} : relancé dans {kept.wait():g} s")
            if now >= kept.not_before:
                self._start_again(kept)

    def _start_again(self, kept: _Kept) -> None:
        try:
            kept.start()
        except LocalError as failure:
            kept.failures += 1
            kept.not_before = time.monotonic() + kept.wait()
            self._tell(kept.name, f"ne démarre pas, nouvel essai dans {kept.wait():g} s : {failure}")
        else:
            kept.since, kept.not_before = time.monotonic(), 0.0
            self._tell(kept.name, "relancé")

    def stop(self) -> None:
        """End programs, then servers, and free the folder. What does not end by itself is killed."""
        self._kept = []
        for child in self._children.values():
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        for name, child in self._children.items():
            if not child.wait(max(deadline - time.monotonic(), 0)):
                self._tell(name, f"ne s'arrête pas en {self._grace:g} s : tué")
                child.signal(signal.SIGKILL)
                child.wait(5)
        self._children = {}
        for server in reversed(self._servers):
            server.stop()
        self._lock.release()

    def __enter__(self) -> Self:
        """Take the folder and start the servers."""
        self.hold()
        try:
            self.start_servers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        self.stop()

    # --- parts --------------------------------------------------------------------------------------------------------

    def _spawn(self, program: Program) -> None:
        self._children[program.name] = Child(
            program.command,
            folder=self.base,
            log=lambda line: self._tell(program.name, line),
            death=signal.SIGKILL,
            variables=program.variables,
        )

    def _restart_server(self, server: Server) -> None:
        try:
            server.kill()  # what is left of it, and its locks
            server.start()
        except OSError as failure:
            raise _refused(server.folder, failure) from failure

    def pids(self) -> dict[str, int]:
        """The pid of each process, by name."""
        found = {server.name: server.pid for server in self._servers if server.running}
        return {**found, **{name: child.pid for name, child in self._children.items()}}


def _of_server(server: Server, restart: Callable[[Server], None]) -> _Kept:
    return _Kept(server.name, lambda: restart(server), lambda: server.running, lambda: "arrêté", since=time.monotonic())


def _how(status: int | None) -> str:
    """How a program ended, in words."""
    if status is None or status >= 0:
        return "terminé" if not status else f"terminé (code {status})"
    try:
        return f"tué ({signal.Signals(-status).name})"
    except ValueError:
        return f"tué (signal {-status})"


def _refused(path: Path, failure: OSError) -> LocalError:
    """What the file system says, in words that say what to do."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return LocalError(f"le disque de {path} est plein : libérez de la place, puis relancez.")
    words = os.strerror(failure.errno) if failure.errno else str(failure)
    return LocalError(f"le dossier {path} ne peut pas servir ({words}) : choisissez-en un où écrire (COUPE_FILE_HOME).")


def holder(base: Path) -> int | None:
    """The pid of the live supervisor of a folder, if there is one."""
    lock = Lock(base / "supervisor.lock")
    if not lock.path.exists():
        return None
    try:
        lock.acquire()
    except (LocalError, OSError):
        pid = lock.path.read_text().strip()
        return int(pid) if pid.isdigit() else None
    lock.release()
    return None


def announce(base: Path, facts: Mapping[str, str | None]) -> None:
    """Leave word of what runs on the folder, for its owner's commands: where, and since which process."""
    path = base / "running.json"
    draft = path.with_suffix(".part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({**facts, "pid": str(os.getpid())}, file)
    draft.rename(path)


def announced(base: Path) -> dict[str, str | None] | None:
    """What the live supervisor of a folder left word of; None when none lives."""
    pid = holder(base)
    if pid is None:
        return None
    try:
        facts: dict[str, str | None] = json.loads((base / "running.json").read_text())
    except (OSError, ValueError):
        return None
    return facts if facts.get("pid") == str(pid) else None
