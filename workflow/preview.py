"""What an act would do, without doing it: decided as it would be, and not written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states import fields
from states.decide import decide
from states.dossier import Act, Actor, Decision
from states.errors import Refused
from workflow import access, definitions, directory
from workflow.apply import connection
from workflow.dossiers import COLUMNS, locked

_ROW = f"select {COLUMNS} from dossiers d where d.id = %(id)s and "  # noqa: S608  (constants)


def preview(session: Session, key: int, trigger: str, *, actor: Actor, args: Mapping[str, Any]) -> Decision:
    """The decision that this act would be now. Raises BadInput, Refused, Stale, as the act itself would."""
    scope = access.scope(actor)
    row = connection(session).execute(_ROW + scope.raw, {"id": key, **scope.params}, binary=True).fetchone()
    if row is None:
        raise Refused("unknown", f"dossier {key} inconnu, ou hors de votre périmètre", field="dossier")
    found = locked(row)
    now, revision = session.execute(text("select business_now(), revision from directory")).one()
    loaded = definitions.get(session, found.definition_id)
    rule = loaded.compiled.triggers.get((trigger, found.dossier.state))
    given = dict(args)
    if rule is not None:
        given = fields.check(
            loaded.compiled.definition, rule, directory.resolve(session, loaded.compiled.definition, given)
        )
    (context,) = directory.contexts(session, [found.dossier], now, revision)
    at = max(now, found.dossier.at or now)
    return decide(loaded.compiled, found.dossier, Act(trigger, actor, given), context=context, at=at)
