"""The steps of the schema: each is one transaction, and gives way to whoever works rather than make them wait.

A step expands (the program of before goes on working beside it) or, if its module says `contract = "0003"`, contracts:
after it only programs that know step 0003 work. Nothing here needs a session: a pooler may stand in front.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from states.errors import Refused
from workflow import schema

ONE_AT_A_TIME = 4077
"""The advisory lock under which a step is made; another migration waits for it as long as it takes."""
LOCK_TIMEOUT = "500ms"
"""How long a step asks for a table before it gives way: whoever came after it waits no longer than that.

Less than PostgreSQL's deadlock_timeout (1 s): of a step and a writer that hold what the other wants, the step gives way.
"""
STATEMENT_TIMEOUT = "300s"
ATTEMPTS = 40
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
_GIVE_WAY = ("55P03", "40P01")  # a lock not had in time, a deadlock


@dataclass(frozen=True, slots=True)
class Step:
    """A migration: its revision, its file, and the oldest revision whose program works after it, if it contracts."""

    revision: str
    file: str
    contract: str | None


def known(steps: Path = schema.MIGRATIONS) -> list[Step]:
    """Every step that this program knows, first to last."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415  (only a migration needs it, and it is slow to load)

    found = list(ScriptDirectory(str(steps)).walk_revisions())[::-1]
    return [Step(one.revision, Path(one.path).name, getattr(one.module, "contract", None)) for one in found]


def standing(connection: Connection) -> str | None:
    """The revision of a database, None for one without tables."""
    return schema.standing(connection).found


def pending(connection: Connection, steps: Path = schema.MIGRATIONS) -> list[Step]:
    """What is left to do; nothing on a database that a newer program migrated. Raises Refused when that left this one behind."""
    found, listed = standing(connection), known(steps)
    revisions = [one.revision for one in listed]
    if found is not None and found not in revisions:
        oldest = connection.execute(text("select obj_description('alembic_version'::regclass, 'pg_class')")).scalar()
        if oldest is not None and revisions[-1] < oldest:
            raise Refused(
                "newer",
                f"les tables ({found}) sont celles d'un programme plus récent, et celui-ci ({revisions[-1]}) ne peut plus s'en servir",
                accepted=f"un programme qui connaît l'étape {oldest}",
            )
        return []
    return listed[revisions.index(found) + 1 :] if found is not None else listed


def sql(found: str | None, todo: list[Step], steps: Path = schema.MIGRATIONS) -> dict[str, str]:
    """The statements of each step, by revision, without running any."""
    from alembic import command  # noqa: PLC0415

    written = {}
    for step in todo:
        out = io.StringIO()
        command.upgrade(_config(steps, out), f"{found}:{step.revision}" if found else step.revision, sql=True)
        written[step.revision], found = out.getvalue().strip() + "\n", step.revision
    return written


def migrate(
    url: str,
    *,
    steps: Path = schema.MIGRATIONS,
    tell: Callable[[Step, int], None] = lambda _step, _attempt: None,
    attempts: int = ATTEMPTS,
) -> list[str]:
    """Bring the database up to this program's tables; returns the revisions that were made.

    Safe to run twice, from two places at once, and while people and workers work. `tell` is given each step once made
    (attempt 0), and before each further attempt. Raises Refused when a table could not be had; nothing is half made.
    """
    limits = {"lock_timeout": "0", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
    bound = schema.engine(url, pooled=True, timeouts=limits)
    made: list[str] = []
    try:
        while (step := _patiently(bound, steps, tell, attempts)) is not None:
            made.append(step.revision)
            tell(step, 0)
    finally:
        bound.dispose()
    return made


def _patiently(bound: Engine, steps: Path, tell: Callable[[Step, int], None], attempts: int) -> Step | None:
    """Make the next step, again and again while its tables are held; None when there is none."""
    trying: list[Step] = []
    for attempt in range(1, attempts + 1):
        if attempt > 1:
            tell(trying[-1], attempt)
            time.sleep(min(FIRST_PAUSE * 2 ** (attempt - 2), LONGEST_PAUSE) * random.uniform(0.5, 1))  # noqa: S311
        try:
            return _once(bound, steps, trying)
        except OperationalError as error:
            if not trying or getattr(error.orig, "sqlstate", None) not in _GIVE_WAY:
                raise
    raise Refused(
        "busy",
        f"l'étape {trying[-1].revision} n'a pas eu accès à ses tables en {attempts} essais{_holder(bound)} ; rien n'a été changé",
        accepted="la fin de cette transaction, puis le même ordre",
    )


def _once(bound: Engine, steps: Path, trying: list[Step]) -> Step | None:
    """Make the next step in one transaction, under the lock of migrations; `trying` is told which it is."""
    from alembic import command  # noqa: PLC0415

    with bound.begin() as connection:
        connection.execute(text(f"select pg_advisory_xact_lock({ONE_AT_A_TIME})"))
        connection.execute(
            text(f"set local lock_timeout = '{LOCK_TIMEOUT}'; set local statement_timeout = '{STATEMENT_TIMEOUT}'")
        )
        todo = pending(connection, steps)
        if not todo:
            return None
        trying.append(todo[0])
        command.upgrade(_config(steps, connection=connection), todo[0].revision)
        if todo[0].contract is not None:
            connection.execute(text(f"comment on table alembic_version is '{int(todo[0].contract):04}'"))
        return todo[0]


def _config(steps: Path, out: Any = None, **attributes: Any) -> Any:
    from alembic.config import Config  # noqa: PLC0415

    made = Config(output_buffer=out) if out is not None else Config()
    made.set_main_option("script_location", str(steps).replace("%", "%%"))
    made.attributes.update(attributes)
    return made


def _holder(bound: Engine) -> str:
    """Who has been in a transaction for longest, for an operator to find; never what it asks."""
    with bound.begin() as connection:
        row = connection.execute(
            text(
                "select pid, application_name, extract(epoch from clock_timestamp() - xact_start)::int as seconds "
                "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
                "and xact_start is not null order by xact_start limit 1"
            )
        ).first()
    if row is None:
        return ""
    return f" : le processus {row.pid} de PostgreSQL ({row.application_name or 'sans nom'}) est dans une transaction depuis {row.seconds} s"
