"""The blockages of one project: dossiers that name the same one, or of which one names the other. Seen together by whom
may read each of them, and only when they have a party in common.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.definition import Definition
from states.dossier import Actor
from workflow import access, definitions
from workflow.view import View, written

MOST = 50
COMMON = ("needed_by", "jobs", "invested")
"""What is said of a project and not of one of its blockages."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A dossier of the same project; `title` is None for who does not read its contents."""

    reference: str
    title: str | None
    topic: str | None
    definition: Definition
    state: str
    phase: str


_OF = """
select coalesce(case when {named} then d.data ->> 'project' end, d.reference) from dossiers d where d.id = :key
"""


def of(session: Session, key: int, actor: Actor) -> str:
    """What names the project of a dossier, found within the actor's scope: the project that it names, else (or for who may not
    know it) the dossier itself, the first of them.
    """
    named = access.named(actor)
    found: str = session.execute(text(_OF.format(named=named.sql)), {"key": key, **named.params}).scalar_one()
    return found


_LINKED = """
select d.reference, d.definition_id, d.state, d.phase, d.data ->> 'topic' as topic, case when {contents} then t.body end as title
from dossiers d left join texts t on t.id = cast(d.data -> 'title' ->> 'text' as uuid)
where d.id <> :key and coalesce(d.data ->> 'project', d.reference) = :project
  and d.id in (select b.dossier_id from parties a join parties b on b.person_id = a.person_id where a.dossier_id = :key)
  and {scope} and ({named}) and exists (select from dossiers d where d.id = :key and ({named}))
order by d.phase = 'resolved', d.id desc limit :most
"""


def linked(session: Session, key: int, actor: Actor) -> list[Linked]:
    """The other dossiers of the project of one that was found within the actor's scope: those that they may read, as far as
    they may know of which project both are.
    """
    scope, named, contents = access.scope(actor), access.named(actor), access.contents(actor)
    params = {
        "key": key,
        "project": of(session, key, actor),
        "most": MOST,
        **scope.params,
        **named.params,
        **contents.params,
    }
    statement = _LINKED.format(scope=scope.sql, named=named.sql, contents=contents.sql)
    return [
        Linked(
            row.reference, row.title, row.topic,
            definitions.get(session, row.definition_id).compiled.definition, row.state, row.phase,
        )
        for row in session.execute(text(statement), params)
    ]  # fmt: skip


def known(view: View) -> dict[str, str]:
    """What another blockage of the same project has in common with a dossier, as its form would be filled."""
    data = view.dossier.data
    found = {name: str(data[name]) for name in COMMON if data.get(name) is not None}
    if isinstance(data.get("commune"), str):
        found["commune"] = data["commune"]
    siret = written(view, data.get("siret"), "siret")
    return {**found, "siret": siret} if siret is not None else found
