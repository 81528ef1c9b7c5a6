"""A file read as it is, or unpacked when it is gzip: within bounds, for a small archive may unpack to more than a disk."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any

from config.log_error import LogError

MAGIC = b"\x1f\x8b"
CHUNK = 1 << 16
RATIO_FROM = 16 << 20
"""Below this many bytes unpacked, no ratio is looked at: a small log of blanks does no harm."""
_GZIP = 31  # zlib's own way to say: a gzip header and its check sum, the largest window
_WHOLE = "une archive gzip entière, telle que gzip l'a écrite"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What unpacking may come to: so many bytes in all, and so many times the bytes read."""

    size: int = 4 << 30
    ratio: int = 200


USUAL = Bounds()


def opened(raw: io.BufferedReader, bounds: Bounds) -> io.BufferedReader:
    """The bytes of a file, unpacked if it begins as gzip does. Reading them raises LogError."""
    begins = raw.read(len(MAGIC))
    raw.seek(0)
    return io.BufferedReader(_Unpacked(raw, bounds), CHUNK) if begins == MAGIC else raw


class _Unpacked(io.RawIOBase):
    """What gzip packed, one member after the other, a chunk at a time."""

    def __init__(self, raw: io.BufferedReader, bounds: Bounds) -> None:
        super().__init__()
        self._raw, self._bounds = raw, bounds
        self._waiting = b""
        self._member: Any = None
        self._read = self._made = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes, 0 at the end. Raises LogError: cut, damaged, followed by something else, out of bounds."""
        while self._fill():
            before = len(self._waiting)
            try:
                made = self._member.decompress(self._waiting, len(buffer))
            except zlib.error:
                raise LogError("archive gzip abîmée", accepted=_WHOLE) from None
            if self._member.eof:
                self._waiting, self._member = self._member.unused_data, None
            else:
                self._waiting = self._member.unconsumed_tail
            self._count(before - len(self._waiting), len(made))
            if made:
                buffer[: len(made)] = made
                return len(made)
        return 0

    def _fill(self) -> bool:
        """Have packed bytes at hand and a member to unpack them; False at the end of the archive."""
        if not self._waiting:
            self._waiting = self._raw.read(CHUNK)
        if self._member is not None:
            if not self._waiting:
                raise LogError("archive gzip coupée avant sa fin", accepted=_WHOLE)
            return True
        while self._waiting and not self._waiting.strip(b"\0"):  # what tapes and disks fill up with
            self._waiting = self._raw.read(CHUNK)
        self._waiting = self._waiting.lstrip(b"\0")
        if not self._waiting:
            return False
        if len(self._waiting) < len(MAGIC):
            self._waiting += self._raw.read(CHUNK)
        if not self._waiting.startswith(MAGIC):
            raise LogError("octets étrangers après la fin de l'archive gzip", accepted=_WHOLE)
        self._member = zlib.decompressobj(_GZIP)
        return True

    def _count(self, read: int, made: int) -> None:
        self._read, self._made = self._read + read, self._made + made
        if self._made > self._bounds.size:
            rule = f"l'archive dépasse {self._bounds.size >> 20} Mio une fois dépliée"
            raise LogError(rule, accepted="un journal moins long, ou une limite plus haute (--max-unpacked, en Mio)")
        if self._made > RATIO_FROM and self._made > self._read * self._bounds.ratio:
            rule = (
                f"l'archive se déplie à plus de {self._bounds.ratio} fois sa taille : ce n'est pas un journal ordinaire"
            )
            raise LogError(rule, accepted="une archive ordinaire, ou une limite plus haute (--max-ratio)")
