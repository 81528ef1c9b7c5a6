"""A small server that speaks clamd's INSTREAM over a socket of the test's own: it finds what it is told to."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from pathlib import Path


class Clamd:
    """What it was sent, whole; `mode` says how it answers: `scan`, `small` (a limit of 1 kB), `hang_up` or `silent`."""

    def __init__(self, path: Path) -> None:
        self.path, self.mode, self.marks, self.seen = path, "scan", {b"EICAR": "Eicar-Test-Signature"}, []
        self.address = f"unix://{path}"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            link, _ = self._server.accept()
            with link:
                if self._over.is_set():
                    return
                self._answer(link)

    def _answer(self, link: socket.socket) -> None:
        link.settimeout(10)
        with link.makefile("rb") as sent:
            command = b""
            while not command.endswith(b"\0") and (sign := sent.read(1)):
                command += sign
            if self.mode == "hang_up":
                return
            if self.mode == "silent":
                self._over.wait(10)
                return
            if command == b"zVERSION\0":
                link.sendall(b"ClamAV 1.4.6/27000/Tue Nov 24 08:00:00 2026\0")
                return
            assert command == b"zINSTREAM\0"
            body = b""
            while length := struct.unpack(">I", sent.read(4))[0]:
                body += sent.read(length)
                if self.mode == "small" and len(body) > 1000:
                    link.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                    return
            self.seen.append(body)
            found = next((name for mark, name in self.marks.items() if mark in body), None)
            link.sendall(f"stream: {found} FOUND\0".encode() if found else b"stream: OK\0")

    def close(self) -> None:
        self._over.set()
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
        self._thread.join(10)
        self._server.close()
        self.path.unlink()


@contextmanager
def clamd(folder: Path):
    """A server for the time of the block."""
    made = Clamd(folder / "clamd.ctl")
    try:
        yield made
    finally:
        made.close()
