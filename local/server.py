"""The life of an embedded server in its private folder, whichever server it is."""

import signal
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NoReturn, Self

from local import child
from local.folder import LocalError, Lock, make_private, refuse_long_socket

_PAUSE = 0.01
_TAIL = 20


class Server(ABC):
    """One server on one private folder: held by one process, and ended with it."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    gentle: ClassVar[signal.Signals]
    harsh: ClassVar[tuple[signal.Signals, ...]]

    def __init__(self, base: Path, *, durable: bool = True, patience: float = 60.0) -> None:
        """Choose the folder base/<name>; nothing is touched until start."""
        self.folder = (base / self.name).resolve()
        self.durable = durable
        self.patience = patience
        self.data = self.folder / "data"
        self.sockets = self.folder / "run"
        self.log = self.folder / "log"
        self._owner = Lock(self.folder / "lock")
        self._alive = Lock(self.folder / "alive")  # inherited: held while any server process lives
        self._child: child.Child | None = None

    @property
    @abstractmethod
    def path(self) -> Path:
        """Return the path of the unix socket."""

    def __enter__(self) -> Self:
        """Start and return the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def start(self) -> None:
        """Start the server and return when it answers; refuse a folder that is in use."""
        if self.running:
            message = f"{self.name} sur {self.folder} est déjà lancé."
            raise LocalError(message)
        self._forget_ended()
        self._refuse()
        make_private(self.folder, group=self._user)
        self._owner.acquire()
        try:
            self._end_leftovers()
            inherit = self._alive.acquire(self.patience)
            self._prepare()
            self._launch(inherit)
            self._await_ready()
        except BaseException:
            self.kill()
            raise

    def _forget_ended(self) -> None:
        if self._child is not None and self._child.wait(0):
            self._child = None

    def _refuse(self) -> None:
        """Refuse, before anything is written, what cannot work."""
        if sys.platform != "linux":
            message = "les serveurs embarqués demandent Linux : donnez les adresses des vôtres (COUPE_FILE_DATABASE_URL, COUPE_FILE_REDIS_URL)."
            raise LocalError(message)
        refuse_long_socket(self.path)

    def _end_leftovers(self) -> None:
        """End what an earlier life left: the server gently, then its orphans."""
        for pid in self._chiefs(self._found()):
            child.end(pid, self.data, self.programs, self.gentle, self.patience)
        self._end_orphans()

    def _end_orphans(self) -> None:
        for pid in self._found():
            child.end(pid, self.data, self.programs, signal.SIGKILL, self.patience)

    def _found(self) -> list[int]:
        return child.found(self.data, self.programs)

    def _chiefs(self, pids: list[int]) -> list[int]:
        """Return those of the pids that a gentle signal ends."""
        return pids

    @property
    def _user(self) -> int | None:
        """Return the uid to become, if not ours."""
        return None

    def _prepare(self) -> None:
        """Make the folders and forget stale sockets; we hold both locks here."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        for stale in self.sockets.iterdir():
            stale.unlink()
        if self.log.exists():
            self.log.rename(self.log.with_suffix(".old"))

    def _launch(self, inherit: int) -> None:
        self._child = child.Child(
            self._command(),
            folder=self.data,
            log=self.log,
            death=self.gentle,
            user=self._user,
            inherit=inherit,
        )
        self._alive.hand_over()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command line of the server."""

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self.patience
        while not self._ready():
            if not self.running:
                self._fail("s'est arrêté en démarrant")
            if time.monotonic() > deadline:
                self._fail(f"n'a pas répondu en {self.patience:g} s")
            time.sleep(_PAUSE)

    @abstractmethod
    def _ready(self) -> bool:
        """Tell whether the server answers."""

    def _fail(self, what: str) -> NoReturn:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        message = "\n".join([f"{self.name} sur {self.folder} {what} :", *lines[-_TAIL:]])
        raise LocalError(message)

    @property
    def running(self) -> bool:
        """Tell whether our server process lives."""
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int:
        """Return the pid of the server process."""
        if self._child is None:
            message = f"{self.name} sur {self.folder} n'est pas lancé."
            raise LocalError(message)
        return self._child.pid

    def stop(self) -> None:
        """Stop the server cleanly, harshly if it does not listen, and free the folder."""
        self._leave(self.gentle, *self.harsh)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would, and free the folder."""
        self._leave(signal.SIGKILL)

    def _leave(self, *signals: signal.Signals) -> None:
        if not self._owner.held:  # never started, left already, or a fork of the process that did
            return
        if self._child is not None:
            for number in signals:
                self._child.signal(number)
                if self._child.wait(self.patience):
                    break
            self._child = None
            self._end_orphans()
        self._alive.release()
        self._owner.release()
