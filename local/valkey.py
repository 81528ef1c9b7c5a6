"""An embedded Valkey on a unix socket of a private folder, without TCP."""

import signal
import socket
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from local import binaries
from local.server import Server

_ANSWER = 1.0


class Valkey(Server):
    """A Valkey of our own: what it acknowledged outlives it, its process never outlives us."""

    name: ClassVar[str] = "valkey"
    programs: ClassVar[tuple[str, ...]] = ("valkey-server", "redis-server")
    gentle: ClassVar[signal.Signals] = signal.SIGTERM
    harsh: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGKILL,)

    @property
    def path(self) -> Path:
        """Return the path of the unix socket."""
        return self.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        """Return the URL for Celery and kombu."""
        return f"redis+socket://{quote(str(self.path))}?virtual_host=0"

    def _prepare(self) -> None:
        super()._prepare()
        self.data.mkdir(mode=0o700, exist_ok=True)

    def _command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.path),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "daemonize": "no",
            "set-proc-title": "no",  # keeps the command line that a later start verifies
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            "maxmemory-policy": "noeviction",
        }
        chosen = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [binaries.valkey(), *chosen]

    def _ready(self) -> bool:
        """Tell whether a PING is answered, which it is not while data load."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWER)
            try:
                line.connect(str(self.path))
                line.sendall(b"PING\r\n")
                return line.recv(16).startswith(b"+PONG")
            except OSError:
                return False
