"""The client of clamd: a file goes over its socket (INSTREAM), and what it found comes back. No file leaves this way but there."""

from __future__ import annotations

import socket
import struct
from typing import BinaryIO
from urllib.parse import urlsplit

CHUNK = 1 << 16
SECONDS = 25.0
LONGEST_ANSWER = 4096


class NotScanned(Exception):
    """The antivirus is not there, or would not look at this file; the words say why."""


def version(address: str, *, seconds: float = SECONDS) -> str:
    """What the antivirus says of itself and of its signatures: « ClamAV 1.4.6/27000/… ». Raises NotScanned."""
    with _connected(address, seconds) as link:
        link.sendall(b"zVERSION\0")
        return _answer(link)


def scan(address: str, file: BinaryIO, *, seconds: float = SECONDS) -> str | None:
    """The name of what was found in a file; None when nothing was. Raises NotScanned.

    The protocol (clamd(8), INSTREAM): chunks, each preceded by its length in four bytes, big end first; a length of zero
    ends them. `seconds` bound each exchange.
    """
    with _connected(address, seconds) as link:
        try:
            link.sendall(b"zINSTREAM\0")
            while chunk := file.read(CHUNK):
                link.sendall(struct.pack(">I", len(chunk)) + chunk)
            link.sendall(struct.pack(">I", 0))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has had enough, and says why
        except TimeoutError as error:
            raise NotScanned(f"l'antivirus n'a pas répondu ({error})") from error
        return _found(_answer(link))


def _connected(address: str, seconds: float) -> socket.socket:
    parts = urlsplit(address)
    try:
        if parts.scheme == "tcp":
            return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=seconds)
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(seconds)
        try:
            link.connect(parts.path)
        except OSError:
            link.close()
            raise
        return link
    except OSError as error:
        raise NotScanned(f"antivirus injoignable ({error.strerror or error})") from error


def _answer(link: socket.socket) -> str:
    said = b""
    try:
        while not said.endswith(b"\0") and len(said) < LONGEST_ANSWER and (more := link.recv(LONGEST_ANSWER)):
            said += more
    except OSError as error:
        raise NotScanned(f"l'antivirus n'a pas répondu ({error.strerror or error})") from error
    if not said.endswith(b"\0"):
        raise NotScanned("l'antivirus a raccroché sans répondre")
    return said.rstrip(b"\0").decode("utf-8", "replace").strip()


def _found(said: str) -> str | None:
    if said == "stream: OK":
        return None
    if said.startswith("stream: ") and said.endswith(" FOUND"):
        return said.removeprefix("stream: ").removesuffix(" FOUND")
    raise NotScanned(f"l'antivirus refuse : {said[:200]}")
