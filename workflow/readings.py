"""Who read a dossier that is marked confidential: a register of its own, append-only, a line a person, dossier and day.

`view.load` says who was shown the contents of which dossier; who opened the session notes it once it has been shown. Files
have a register of each download (`file_reads`); both are read together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states.dossier import Actor
from workflow import access

MOST = 500
"""How many lines of the register are shown, the latest first; all of them are kept."""
_SHOWN = "readings"


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody read the dossier on a day, from `at` on, or downloaded a file of it (`file`, by its number in the journal)."""

    at: datetime
    person: int | None
    name: str | None
    unit: str | None
    role: str
    file: int | None


@contextmanager
def reading(make: sessionmaker[Session]) -> Iterator[Session]:
    """One transaction that only reads; what it showed of marked dossiers is then noted, in another one."""
    with make() as session:
        session.execute(text("set transaction read only"))
        yield session
        shown: dict[tuple[int, Actor], None] = session.info.pop(_SHOWN, {})
    if shown:
        with make.begin() as session:
            for dossier, actor in sorted(shown, key=lambda one: one[0]):
                params = {"dossier": dossier, "person": actor.person, "unit": actor.unit, "role": actor.role}
                session.execute(text(_NOTE), params)


_NOTE = """
insert into readings (dossier_id, person_id, unit_id, role) values (:dossier, :person, :unit, :role) on conflict do nothing
"""


def shown(session: Session, dossier: int, actor: Actor) -> None:
    """Remember that an actor is shown the contents of a marked dossier."""
    session.info.setdefault(_SHOWN, {})[dossier, actor] = None


_LISTED = """
select r.*, p.name, u.name as unit from (
    select at, person_id as person, unit_id, role, null as file from readings where dossier_id = :dossier
    union all
    select r.at, r.person_id, r.unit_id, r.role, f.seq from file_reads r join files f on f.id = r.file_id where f.dossier_id = :dossier
) r left join persons p on p.id = r.person left join units u on u.id = r.unit_id
where exists (select from dossiers d where d.id = :dossier and {scope} and ({contents}) and (:holder or d.unit_id = cast(:unit as integer)))
order by r.at desc limit :most
"""


def listed(session: Session, dossier: int, actor: Actor) -> list[Reading]:
    """Who read a dossier and its files, the latest first; for its parties and for the unit that has it in hand, nobody else."""
    within = access.scope(actor)
    statement = text(_LISTED.format(scope=within.sql, contents=access.contents(actor).sql))
    params = {"dossier": dossier, "holder": actor.role == "holder", "unit": actor.unit, "most": MOST, **within.params}
    return [
        Reading(row.at, row.person, row.name, row.unit, row.role, row.file)
        for row in session.execute(statement, params)
    ]
