"""`coupe-file web`: the portal, in a process of its own that this one becomes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cli import database

Host = Annotated[
    str,
    typer.Option("--host", metavar="ADRESSE", help="L'adresse où écouter ; celle de cette machine seule, à défaut."),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="PORT",
        min=1,
        max=65535,
        help="Le port ; à défaut, celui de COUPE_FILE_BASE_URL.",
        show_default=False,
    ),
]


def web(host: Host = "127.0.0.1", port: Port = None) -> None:
    """Sert le portail et son API, jusqu'à Ctrl-C, sur la base de COUPE_FILE_DATABASE_URL ou de l'installation qui tourne ici.

    « coupe-file up » le lance de lui-même. Devant d'autres machines : derrière un mandataire qui parle TLS, à l'adresse que dit
    COUPE_FILE_BASE_URL.
    """
    with database.address() as url:
        broker = database.broker()
        variables = {**os.environ, "COUPE_FILE_DATABASE_URL": url}
        if broker is not None:
            variables["COUPE_FILE_REDIS_URL"] = broker
        options = ["--host", host, *(["--port", str(port)] if port is not None else [])]
        os.execve(sys.executable, [sys.executable, "-m", "web.main", *options], variables)  # noqa: S606  (our own program)
