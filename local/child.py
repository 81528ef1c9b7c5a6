"""A child process that dies with us, and the verified look at processes left by others."""

import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from local.folder import LocalError

# Runs in a fresh interpreter between our fork and the server: no Python code runs between fork and
# exec of a threaded parent, the request to die comes after the change of user (which would erase
# it), and a parent already dead is noticed.
_STUB = """
import ctypes, os, signal, sys
death, parent, user = (int(argument) for argument in sys.argv[1:4])
if user >= 0:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
os.umask(0o077)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
if ctypes.CDLL(None).prctl(1, death, 0, 0, 0) != 0 or os.getppid() != parent:
    sys.exit("the parent process is gone")
os.execv(sys.argv[4], sys.argv[4:])
"""


class Child:
    """A process that gets the death signal when our process ends, however it ends."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        log: Path | Callable[[str], None],
        death: signal.Signals,
        user: int | None = None,
        inherit: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start the command in the folder, as the user, with one inherited descriptor.

        What it prints goes to the log: a file, or a function that is given each line.
        """
        self._command = [
            *(sys.executable, "-I", "-S", "-c", _STUB),
            *(str(int(death)), str(os.getpid()), str(-1 if user is None else user)),
            *command,
        ]
        self._folder = folder
        self._log = log
        self._inherit = () if inherit is None else (inherit,)
        self._variables = environment() if variables is None else dict(variables)
        news: queue.SimpleQueue[tuple[int, int] | OSError] = queue.SimpleQueue()
        self.status: int | None = None
        """How it ended: an exit code, or minus the number of a signal; None while it lives."""
        # The kernel sends the death signal when the *thread* that forked ends: this one lives
        # exactly as long as the server does.
        self._keeper = threading.Thread(target=self._keep, args=(news,), name=f"keeper of {command[0]}", daemon=True)
        self._keeper.start()
        answer = news.get()
        if isinstance(answer, OSError):
            message = f"{command[0]} ne peut pas être lancé : {answer}"
            raise LocalError(message) from answer
        self.pid, self._handle = answer

    def _keep(self, news: "queue.SimpleQueue[tuple[int, int] | OSError]") -> None:
        try:
            if isinstance(self._log, Path):
                with self._log.open("ab") as log:
                    process = self._open(log)
            else:
                process = self._open(subprocess.PIPE)
                reader = threading.Thread(target=_read, args=(process.stdout, self._log), daemon=True)
                reader.start()
            news.put((process.pid, os.pidfd_open(process.pid)))
        except OSError as failure:
            news.put(failure)
            return
        self.status = process.wait()

    def _open(self, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output if output != subprocess.PIPE else subprocess.STDOUT,
            pass_fds=self._inherit,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle first
        )

    @property
    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._keeper.is_alive()

    def signal(self, number: signal.Signals) -> None:
        """Signal this very process, never another that got its number."""
        if self._handle >= 0:
            _send(self._handle, number)

    def wait(self, patience: float) -> bool:
        """Wait for the end at most so many seconds and tell whether it came."""
        self._keeper.join(patience)
        if self._keeper.is_alive():
            return False
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        return True


def _read(stream: IO[bytes], tell: Callable[[str], None]) -> None:
    """Hand on each line until the last process that could write one is gone."""
    with stream:
        for line in stream:
            tell(line.decode(errors="replace").rstrip())


def environment() -> dict[str, str]:
    """Return our environment without PostgreSQL's variables, in the C locale and UTC."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def found(folder: Path, programs: Sequence[str]) -> list[int]:
    """Return the pids of the programs that work in this very folder, read from /proc."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if _works_in(pid, folder, programs)]


def _works_in(pid: int, folder: Path, programs: Sequence[str]) -> bool:
    process = Path("/proc") / str(pid)
    try:
        if (process / "cwd").readlink() != folder:
            return False
        first = (process / "cmdline").read_bytes().split(b"\0")[0]
    except OSError:  # gone meanwhile, or another user's
        return False
    return Path(os.fsdecode(first.partition(b": ")[0])).name in programs


def end(pid: int, folder: Path, programs: Sequence[str], number: signal.Signals, patience: float) -> bool:
    """Signal the process if it still is one of the programs in the folder; tell if it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not _works_in(pid, folder, programs):  # the handle keeps the number from being reused
            return True
        _send(handle, number)
        ending = select.poll()
        ending.register(handle, select.POLLIN)
        return bool(ending.poll(patience * 1000))
    finally:
        os.close(handle)


def _send(handle: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
