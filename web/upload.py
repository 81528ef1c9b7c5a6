"""A file received as it comes, in bounded memory: the fields before it first, then its bytes, straight to the vault.

A file that weighs too much is read to its end and forgotten, so that the page can say so beside its field; what is longer
than anybody could mean is cut by the guard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from states.errors import BadInput
from workflow.vault import Arrival, Vault

FIELD = "file"
MOST_PARTS, MOST_FIELDS = 12, 20_000


@dataclass
class Sent:
    """A form with a file: its fields, the name of the file, and the file; `long` when it was longer than it may be."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str = ""
    arrival: Arrival | None = None
    long: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.arrival is not None:
            self.arrival.dropped()


async def received(
    request: Request, vault: Vault, most: int, *, check: Callable[[Mapping[str, str]], None], keep: bool = True
) -> Sent:
    """What a form sent. `check` sees the fields that came before the file, before any of it is kept; without `keep` the file
    is read and forgotten. Raises what `check` raises, BadInput, Refused.
    """
    sent = Sent()
    reader = _Reader(request.headers.get("content-type", ""))
    checked = False
    try:
        async for chunk in request.stream():
            reader.feed(chunk)
            if reader.begun and not checked:
                check(reader.fields)
                checked = True
            body = reader.taken()
            if reader.size > most:
                sent.long = True
            if body and keep and not sent.long:
                if sent.arrival is None:
                    sent.arrival = await run_in_threadpool(vault.arrival)
                await run_in_threadpool(sent.arrival.write, body)
        reader.end()
        if not checked:
            check(reader.fields)
        sent.fields, sent.name = reader.fields, reader.name
        if sent.long and sent.arrival is not None:
            sent.arrival.dropped()
            sent.arrival = None
        if sent.arrival is None and reader.begun and sent.name and keep and not sent.long:
            sent.arrival = await run_in_threadpool(vault.arrival)  # a file of no bytes is one, and is told to be
        if sent.arrival is not None:
            await run_in_threadpool(sent.arrival.ended)
    except BaseException:
        if sent.arrival is not None:
            sent.arrival.dropped()
        raise
    return sent


class _Reader:
    """The parts of a form as they come: small fields whole, the bytes of the one file as they are taken."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise BadInput("form", "un fichier s'envoie par un formulaire", field=FIELD, accepted="multipart/form-data")
        self.fields: dict[str, str] = {}
        self.name, self.size, self.begun = "", 0, False
        self._parts, self._fields_size, self._ended = 0, 0, False
        self._header, self._value, self._headers = bytearray(), bytearray(), dict[bytes, bytes]()
        self._field: str | None = None
        self._kept, self._body = bytearray(), bytearray()
        calls: Any = {
            "on_part_begin": self._begin, "on_header_field": self._header_field, "on_header_value": self._header_value,
            "on_header_end": self._header_end, "on_headers_finished": self._headers_end, "on_part_data": self._data,
            "on_part_end": self._end, "on_end": self._finish,
        }  # fmt: skip
        self._parser = MultipartParser(boundary, calls)

    def feed(self, chunk: bytes) -> None:
        """Read on. Raises BadInput."""
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            raise _unreadable() from None

    def taken(self) -> bytes:
        """The bytes of the file that have come since they were last taken."""
        found = bytes(self._body)
        self._body.clear()
        return found

    def end(self) -> None:
        """Note that nothing more comes. Raises BadInput when something should."""
        if not self._ended:
            raise BadInput("form", "l'envoi a été coupé", field=FIELD, accepted="le fichier entier")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _unreadable()
        self._headers, self._field = {}, None
        self._kept.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            if self.begun:
                raise BadInput(
                    "form", "plusieurs fichiers dans un seul envoi", field=FIELD, accepted="un fichier par envoi"
                )
            self.begun, self.name = True, options[b"filename"].decode("utf-8", "replace")
        else:
            self._field = name

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self.size += end - start
            self._body += data[start:end]
            return
        self._fields_size += end - start
        if self._fields_size > MOST_FIELDS:
            raise BadInput(
                "length", "ce formulaire est trop long", field=self._field, accepted=f"{MOST_FIELDS} octets au plus"
            )
        self._kept += data[start:end]

    def _end(self) -> None:
        if self._field is not None:
            self.fields[self._field] = self._kept.decode("utf-8", "replace").replace("\r\n", "\n")

    def _finish(self) -> None:
        self._ended = True


def _unreadable() -> BadInput:
    return BadInput("form", "ce formulaire est illisible", field=FIELD, accepted="multipart/form-data")
