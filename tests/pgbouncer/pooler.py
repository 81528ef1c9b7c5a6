"""A PgBouncer in transaction mode in front of an embedded PostgreSQL, on a socket beside it, for the time of a test run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

from local.folder import NOBODY
from local.postgres import SUPERUSER, Postgres

POOL = 4
"""Connections to each database: far fewer than the clients of a test, so that they are really shared."""
PATIENCE = 20
ABSENT = (
    "no program pgbouncer was found: install it first (on Debian and Ubuntu, as root, the package pgbouncer), "
    "or name one with PGBOUNCER=/path/to/pgbouncer"
)


def program() -> str:
    """The pgbouncer of this machine. Raises RuntimeError saying how to get one."""
    found = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError(ABSENT)
    return found


class PgBouncer:
    """Every database of a server, through pools of a few connections that pass from client to client at each commit."""

    def __init__(self, server: Postgres) -> None:
        self.server = server

    def __enter__(self) -> Self:
        """Start, and return once it answers."""
        self.folder = Path(tempfile.mkdtemp(prefix="cf-", dir="/tmp"))
        settings = {
            "listen_port": "6432",
            "unix_socket_dir": str(self.folder),
            "unix_socket_mode": "0777",  # the folder is private
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": str(POOL),
            "max_client_conn": "500",
            "server_idle_timeout": "2",
            "ignore_startup_parameters": "options",
            "query_wait_timeout": "60",
            "logfile": str(self.folder / "log"),
        }
        lines = ["[databases]", f"* = host={self.server.sockets} user={SUPERUSER}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (self.folder / "ini").write_text("\n".join(lines) + "\n", encoding="utf-8")
        user = NOBODY if os.geteuid() == 0 else None  # it refuses root, as PostgreSQL does
        if user is not None:
            for path in (self.folder, self.folder / "ini"):
                os.chown(path, user, user)
        self.process = subprocess.Popen(
            [program(), "-q", str(self.folder / "ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        deadline = time.monotonic() + PATIENCE
        while not (self.folder / ".s.PGSQL.6432").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text(encoding="utf-8"))
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and leave nothing."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)

    def through(self, url: str) -> str:
        """The address of the same database by way of the pooler."""
        parts = make_url(url)
        here = parts.update_query_dict({"host": str(self.folder), "port": "6432"})
        return here.render_as_string(hide_password=False)
