"""The database, as a process of tasks holds it."""

from __future__ import annotations

from functools import cache

from sqlalchemy.orm import Session, sessionmaker

from config.settings import read
from workflow import schema


@cache
def sessions() -> sessionmaker[Session]:
    """Sessions of this process; made on first use, so never before a worker forks."""
    settings = read()
    if settings.database_url is None:
        message = "COUPE_FILE_DATABASE_URL manque à ce processus"
        raise RuntimeError(message)
    return schema.sessions(schema.engine(settings.database_url, pooled=settings.pooled))
