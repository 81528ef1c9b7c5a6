"""Saved views: names that a person gives to the filters of the queue, for themselves."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.errors import BadInput, Refused

MOST, NAME_MOST, FILTERS_MOST = 12, 60, 500


@dataclass(frozen=True, slots=True)
class SavedView:
    """A name, and the filters as they stand in the address."""

    id: int
    name: str
    filters: str


def listed(session: Session, person: int | None) -> list[SavedView]:
    """The views of a person, by name."""
    statement = "select id, name, filters from saved_views where person_id = :person order by name, id"
    return [SavedView(row.id, row.name, row.filters) for row in session.execute(text(statement), {"person": person})]


_KEEP = """
insert into saved_views (person_id, name, filters) values (:person, :name, :filters)
on conflict on constraint uq_saved_views_name do update set filters = excluded.filters
"""


def keep(session: Session, person: int | None, name: str, filters: str) -> None:
    """Keep filters under a name; under a name that is known, in the place of those. Raises BadInput, Refused."""
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_MOST or not name.isprintable():
        raise BadInput("name", "nom vide ou trop long", field="name", accepted=f"1 à {NAME_MOST} signes")
    if len(filters) > FILTERS_MOST:
        raise BadInput("filters", "filtres trop longs", field="filters", accepted=f"{FILTERS_MOST} signes au plus")
    # Two windows of one person wait for each other here, so that neither goes past the bound.
    session.execute(text("select 1 from persons where id = :person for no key update"), {"person": person})
    others = [one for one in listed(session, person) if one.name != name]
    if len(others) >= MOST:
        raise Refused("many", f"vous avez déjà {MOST} vues", field="name", accepted="en supprimer une d'abord")
    session.execute(text(_KEEP), {"person": person, "name": name, "filters": filters})


def drop(session: Session, person: int | None, key: int) -> None:
    """Forget a view of a person; another's is not theirs to forget."""
    session.execute(
        text("delete from saved_views where id = :id and person_id = :person"), {"id": key, "person": person}
    )
