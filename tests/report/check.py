"""A log of events replayed in a database of its own, its report held against DuckDB's, its counters against its journal.

Usage: python -m tests.report.check LOG
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from local.postgres import Postgres
from states import report
from tests.replay.logs import run
from tests.report.test_oracle import agree, both
from workflow import counters, reactions, schema, upgrade


def main(log: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="coupe-file-"))
    folder.chmod(0o711)
    try:
        with Postgres(folder, durable=False) as server:
            server.create_database("check", "template0")
            url = server.url("check")
            upgrade.migrate(url)
            until = run(url, log, "--database-url", url)["until"]
            engine = schema.engine(url)
            make = schema.sessions(engine)
            made, duck = both(make, datetime.fromisoformat(until))
            agree(made, duck)
            while reactions.react(make):
                pass
            differences = [one.text for _, found in counters.verify(make) for one in found]
            assert differences == [], differences
            engine.dispose()
    finally:
        shutil.rmtree(folder)
    said = report.plain(made)
    print(json.dumps({"agree": True, "differences": 0, **said["counts"], "clocks": said["clocks"]}, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
