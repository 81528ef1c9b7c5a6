"""Raw SQL, as lean as it can be written for the same tables: what the product's figures are ratios to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row


def statements(name: str) -> dict[str, str]:
    """The statements of a SQL file of this folder, by name."""
    text = Path(__file__).with_name(name).read_text()
    _, *parts = re.split(
        r"^-- name: (\w+)\n", re.sub(r"^--(?! name:).*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE
    )
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


SQL = statements("baseline.sql")


class Raw:
    """One connection that does the work by hand, with prepared statements and nothing around them."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, options="-c timezone=UTC")
        self.written: dict[str, Any] = {}

    def imitate(self, key: int) -> None:
        """Write from now on what the last transition of this dossier wrote."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            self.written = cursor.execute(SQL["sample"], {"id": key}).fetchone() or {}
        self.connection.rollback()

    def single(self, ids: Sequence[int]) -> None:
        """One transition and one commit for each of some dossiers."""
        execute, written = self.connection.execute, self.written
        lock, change, record, commit = SQL["lock"], SQL["change"], SQL["record"], SQL["commit"]
        for key in ids:
            row = execute(lock, {"id": key}, prepare=True).fetchone()
            assert row is not None
            parameters = {**written, "id": key, "seq": row[1] + 1, "version": row[2] + 1}
            execute(change, parameters, prepare=True)
            execute(record, parameters, prepare=True)
            execute(commit, prepare=True)
        self.connection.commit()

    def claim(self, now: datetime, limit: int) -> None:
        """Take what is due, say when to look again, and commit."""
        parameters = {"now": now, "later": now + timedelta(days=30), "limit": limit}
        taken = self.connection.execute(SQL["claim"], parameters, prepare=True).rowcount
        self.connection.commit()
        assert taken == limit, taken
