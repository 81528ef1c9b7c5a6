"""Every address that the application answers by GET, filled in for a dossier: from its routes, so that a new one is walked too."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi.routing import APIRoute


def routes(app: Any) -> list[APIRoute]:
    """The routes of an application and of the rooms that it is put together from."""
    found, todo = [], list(app.routes)
    while todo:
        route = todo.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        else:
            todo += getattr(getattr(route, "original_router", None), "routes", [])
    return found


def addresses(app: Any, values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The addresses of all GET routes, each with every value of each parameter; a parameter without values is an error."""
    for route in sorted(routes(app), key=lambda one: one.path):
        if "GET" not in route.methods:
            continue
        found = [route.path]
        for name in route.param_convertors:
            choices = values.get(f"{route.path.split('{')[-2]}{name}", values.get(name))
            assert choices, f"{route.path} : say what {name} is"
            marks = (f"{{{name}}}", f"{{{name}:int}}", f"{{{name}:path}}")
            found = [_put(path, marks, one) for path in found for one in choices]
        yield from found


def _put(path: str, marks: Sequence[str], value: str) -> str:
    for mark in marks:
        path = path.replace(mark, value)
    return path


def words(answer: Any) -> str:
    """What an answer says: its text, that of each part of a workbook or an archive, and the head under which a file is given."""
    named = answer.headers.get("content-disposition", "")
    if answer.content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
            return named + "".join(book.read(name).decode(errors="replace") for name in book.namelist())
    return named + answer.text
