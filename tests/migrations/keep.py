"""Keep the data of a small world at the last revision, for later programs to migrate: run once at each release.

Usage: python -m tests.migrations.keep — writes tests/migrations/REVISION.sql, data only; the tables are the steps' own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from local import binaries
from local.postgres import SUPERUSER, Postgres
from tests.workflow.conftest import peopled
from workflow import schema, upgrade

HERE = Path(__file__).parent


def live(world) -> None:
    """Dossiers in every phase, with what makes the tables full: a hold, a reminder, an escalation, letters, an outcome."""
    _, held, worked, left = world.submit(4)
    for key in (held, worked, left):
        world.act(key, "triage", to_unit="u1")
    term = (world.now() + timedelta(days=5)).isoformat()
    world.act(held, "hold", "ref1", motive="clarification", reason=world.reason, answer_by=term)
    world.resolve(worked)
    for _ in range(40):
        world.jump(days=1)
        world.sweep()
    world.react()
    world.submit()  # and one whose consequences are still to be drawn
    assert {row.phase for row in world.sql("select phase from dossiers")} == {"submitted", "escalated", "resolved"}
    world.sound()


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory(prefix="cf-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        with Postgres(Path(folder), durable=False) as server:
            server.create_database("kept")
            url = server.url("kept")
            (*_, revision) = upgrade.migrate(url)
            engine = schema.engine(url)
            live(peopled(url, engine))
            engine.dispose()
            command = [binaries.postgres().program("pg_dump"), "--data-only", "--column-inserts", "--disable-triggers"]
            command += ["--load-via-partition-root", "--no-owner", "--exclude-table=alembic_version"]
            command += ["--host", str(server.sockets), "--username", SUPERUSER, "kept"]
            dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kept = [
        line
        for line in dumped.splitlines()
        if line and not re.match(r"--|\\|SET (?!session)|SELECT pg_catalog.set_config", line)
    ]
    (HERE / f"{revision}.sql").write_text("\n".join(kept) + "\n", encoding="utf-8")
    sys.stdout.write(f"{revision}.sql\n")


if __name__ == "__main__":
    main()
