"""The process of the portal: settings from the environment, the bell rung aside, uvicorn around it.

The one module of this room that enters `tasks`.
"""

from __future__ import annotations

import argparse
import logging
import os
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import uvicorn

from config import log_lines
from config.settings import read
from web.app import create
from workflow import schema

HOST, PORT = "127.0.0.1", 8000
POOL = 10


class Bell:
    """Rings for what was committed, in a thread of its own, one ring at a time: a lost ring costs one tick."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        threading.Thread(target=self._work, name="bell", daemon=True).start()

    def __call__(self) -> None:
        """Ask for a ring; returns at once."""
        self._wanted.set()

    def _work(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            with suppress(Exception):
                from tasks.bell import ring  # noqa: PLC0415  (Celery is slow to load: not before it is needed)

                ring("react", "deliver")


def main() -> None:
    """Serve until told to stop."""
    settings = read()
    parts = urlsplit(settings.base_url)
    asked = argparse.ArgumentParser(prog="coupe-file web", description="Sert le portail et l'API.")
    asked.add_argument("--host", default=HOST)
    asked.add_argument("--port", type=int, default=parts.port or PORT)
    chosen = asked.parse_args()
    log_lines.configure(settings.log, level=logging.INFO)
    if settings.database_url is None:
        asked.exit(2, "COUPE_FILE_DATABASE_URL manque à ce processus\n")
    engine = schema.engine(
        settings.database_url, pooled=settings.pooled, timeouts={"lock_timeout": "4s"}, pool_size=POOL
    )
    bell = Bell() if settings.redis_url else lambda: None
    app = create(settings, schema.sessions(engine), bell)
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", HOST)
    uvicorn.run(
        app, host=chosen.host, port=chosen.port, log_config=None, access_log=False, server_header=False,
        proxy_headers=True, forwarded_allow_ips=trusted, timeout_graceful_shutdown=10,
    )  # fmt: skip


if __name__ == "__main__":
    main()
