"""The log of a process: one line a fact, for a person or as JSON; who and what by number, never what people wrote.

Only the named fields of `FIELDS` are written. Passwords in addresses and mail addresses are masked wherever they stand,
and an error of the database is told by its kind: its detail repeats the row, which is what people wrote.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

import orjson

FIELDS = ("task", "dossier", "actor")
LONGEST = 2000
_bound: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=MappingProxyType({}))
_SECRET = re.compile(r"(?<=://)[^/\s@'\"]*@")
_PAIR = re.compile(r"(?i)\b((?:pg)?password|sslpassword|passfile)\s*=\s*('[^']*'|[^\s&'\"]+)")
_MAIL = re.compile(r"[\w.!#$%&+^~-]+@[\w-]+(?:\.[\w-]+)+")
_DATA = "22"


def configure(form: str, *, level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Write this process's log as `text` or `json`, and nothing else of it anywhere."""
    handler = logging.StreamHandler(stream or sys.stderr)
    process = os.environ.get("COUPE_FILE_PROCESS", "coupe-file")
    handler.setFormatter(JsonLines(process) if form == "json" else TextLines(process))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    # A line for each tick, several times; of each call, with its whole address.
    for noisy in ("celery.app.trace", "celery.worker.strategy", "celery.beat", "httpx2", "httpcore2"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.root.level))


def at_work(**values: Any) -> None:
    """Name what is at work, in every line of this thread from here on."""
    _bound.set(values)


class Lines(logging.Formatter):
    """What both forms have in common: time, level, process, named fields, and words in which nothing secret is left."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        """The line as fields."""
        given = {**_bound.get(), **{name: vars(record)[name] for name in FIELDS if name in vars(record)}}
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self.process,
            "logger": record.name,
        }
        said |= {name: given[name] for name in FIELDS if given.get(name) is not None}
        said["message"] = redacted(_message(record))
        if record.exc_info and record.exc_info[1] is not None:
            said["trace"] = redacted(_trace(record.exc_info[1]))
        return said


class JsonLines(Lines):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return orjson.dumps(self.facts(record), default=str).decode()


class TextLines(Lines):
    """One line for a person, the trace of an error below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = self.facts(record)
        named = " ".join(f"{name}={said[name]}" for name in FIELDS if name in said)
        head = f"{said['time']} {said['level']:7} {said['process']}"
        line = f"{head} {said['logger']}{f' [{named}]' if named else ''} {said['message']}"
        return f"{line}\n{said['trace']}" if "trace" in said else line


def redacted(words: str) -> str:
    """Words in which passwords of addresses and mail addresses are masked."""
    return _MAIL.sub("[adresse]", _PAIR.sub(r"\1=[masqué]", _SECRET.sub("[masqué]@", words)))


def told(error: BaseException) -> str:
    """An error in one line, without what people wrote: of the database's, its kind, its state and its constraint."""
    original = getattr(error, "orig", None) or error
    diagnosis = getattr(original, "diag", None)
    kind = type(original).__name__
    if diagnosis is not None:
        state = diagnosis.sqlstate or ""
        about = [state, diagnosis.table_name, diagnosis.constraint_name]
        if not state:  # no server answered: libpq's own words
            about = [redacted(_first_line(original))]
        elif not state.startswith(_DATA):  # those repeat the value that was refused
            about.append(redacted(diagnosis.message_primary or ""))
        return f"{kind}: {', '.join(filter(None, about))}"
    code, field = getattr(error, "code", None), getattr(error, "field", None)
    if hasattr(error, "as_dict") and code:  # a refusal of ours may repeat what was given
        return f"{kind}: {code}{f' ({field})' if field else ''}"
    if hasattr(error, "exc_cls_name"):  # what Celery could not pickle: only its words are left
        return str(error.exc_cls_name)
    return redacted(f"{kind}: {error}")[:LONGEST]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def _message(record: logging.LogRecord) -> str:
    """The message, the errors among its arguments told as `told` tells them."""
    arguments = record.args
    if isinstance(arguments, tuple):
        record.args = tuple(_Told(one) if isinstance(one, BaseException) else one for one in arguments)
    elif arguments and "exc" in arguments:  # Celery's report of a task that failed, where all is text already
        error = record.exc_info[1] if record.exc_info else None
        record.args = {**arguments, "exc": told(error) if error else "", "traceback": "", "args": "", "kwargs": ""}
    try:
        return record.getMessage()
    finally:
        record.args = arguments


class _Told:
    """An error among the arguments of a message: however it is asked for, told without content."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        return told(self.error)

    __repr__ = __str__


def _trace(error: BaseException) -> str:
    """Where it happened, cause first, and each error as `told` tells it."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{_trace(earlier)}\n\n" if earlier is not None else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{before}{frames}{told(error)}"
