"""The folder of files: each content once, named by its SHA-256, outside of what is served. It knows no dossier.

A file is written apart, forced to disk, and then takes its place by a rename: what has a place is whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from states.errors import Refused
from workflow import business_time

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
BLOCK = 1 << 20
HEAD = 4096
ARRIVING = "arriving"
_NAME = re.compile(r"[0-9a-f]{64}")
_SHELF = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in its place: its hash, its size in bytes, seconds since it was written."""

    sha256: bytes
    size: int
    age: float


class Arrival:
    """A file being received: written as it comes, in bounded memory. Without `Vault.place` nothing of it stays."""

    def __init__(self, path: Path) -> None:
        self.path, self.size, self.head = path, 0, b""
        self._hash = hashlib.sha256()
        with _disk():
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb")

    def write(self, chunk: bytes) -> None:
        """Add what has come. Raises Refused when the disk takes no more."""
        if len(self.head) < HEAD:
            self.head += chunk[: HEAD - len(self.head)]
        self.size += len(chunk)
        self._hash.update(chunk)
        with _disk():
            self._file.write(chunk)

    def ended(self) -> None:
        """Force what was written to disk."""
        with _disk():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    @property
    def sha256(self) -> bytes:
        """The hash of what was written."""
        return self._hash.digest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dropped()

    def dropped(self) -> None:
        """Forget it, unless it has taken its place."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class Vault:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arrival(self) -> Arrival:
        """A file that is about to come. Raises Refused when the folder cannot be written to."""
        with _disk():
            self.folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            (self.folder / ARRIVING).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        return Arrival(self.folder / ARRIVING / uuid.uuid4().hex)

    def path(self, sha256: bytes) -> Path:
        """Where a content is."""
        name = sha256.hex()
        return self.folder / name[:2] / name

    def place(self, arrival: Arrival) -> None:
        """Give a file that has ended its place, once for its content. Raises Refused when the disk takes no more."""
        to = self.path(arrival.sha256)
        with _disk():
            if not to.parent.exists():
                to.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
                _sync(self.folder)
            arrival.path.replace(to)
            _sync(to.parent)

    def remove(self, sha256: bytes) -> None:
        """Erase a content."""
        path = self.path(sha256)
        path.unlink(missing_ok=True)
        if path.parent.exists():
            _sync(path.parent)

    def wrong(self, sha256: bytes, size: int, *, read: bool) -> str | None:
        """What is wrong with a content that should be there, or None; with `read` its hash is computed again."""
        path = self.path(sha256)
        try:
            found = path.stat().st_size
            if found != size:
                return f"le fichier a {found} octets au lieu de {size}"
            if read:
                with path.open("rb") as file:
                    same = hashlib.file_digest(file, "sha256").digest() == sha256
                return None if same else "le fichier n'est plus celui que le journal a scellé"
        except FileNotFoundError:
            return "le fichier manque dans le dossier des pièces"
        except OSError as error:
            return f"le fichier est illisible ({error.strerror})"
        return None

    def every(self) -> Iterator[Kept]:
        """Every file in its place."""
        now = business_time.real_now().timestamp()
        for shelf in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if not _SHELF.fullmatch(shelf.name):
                continue
            for path in sorted(shelf.iterdir()):
                if _NAME.fullmatch(path.name):
                    found = path.stat()
                    yield Kept(bytes.fromhex(path.name), found.st_size, now - found.st_mtime)

    def abandoned(self, age: float) -> list[Path]:
        """What began to arrive more than `age` seconds ago and never did."""
        arriving, now = self.folder / ARRIVING, business_time.real_now().timestamp()
        found = sorted(arriving.iterdir()) if arriving.is_dir() else []
        return [path for path in found if now - path.stat().st_mtime > age]

    def writable(self) -> str | None:
        """None when a file could be kept, else why not. A folder that is not there yet is not made."""
        if not self.folder.exists():
            parent = next(path for path in self.folder.parents if path.exists())
            return None if os.access(parent, os.W_OK | os.X_OK) else f"{parent} ne peut pas être écrit"
        try:
            with self.arrival() as tried:
                tried.write(b"x")
                tried.ended()
        except Refused as error:
            return error.message
        return None


class _disk:  # noqa: N801  (reads as a word: with _disk())
    """What the disk refuses, in words; nothing is half-written, since nothing had taken its place."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            message = f"le dossier des pièces ne peut pas être écrit ({error.strerror})"
            raise Refused("storage", message, accepted="réessayer plus tard") from error


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
