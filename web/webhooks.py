"""The pages of webhooks, for who runs the installation: which there are, what they were sent, again, another secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response

from config import outside
from config.log_lines import redacted
from states.errors import BadInput, CoupeFileError
from web.installation import AdminVisit, number, runs
from web.visit import Posted, Visit, go
from workflow import operations, webhook_deliveries, webhooks
from workflow.webhooks import Made

router = APIRouter(include_in_schema=False, prefix="/installation/webhooks")
HOUR = timedelta(hours=1)
FIELDS = ("url", "unit", "territory")
SHOWN = 50


@router.get("")
def listed(visit: AdminVisit) -> Response:
    """The webhooks, and the form of a new one."""
    return _list(visit)


def _list(
    visit: Visit, status: int = 200, *, typed: dict[str, str] | None = None, error: CoupeFileError | None = None
) -> Response:
    with visit.reading() as session:
        found = webhooks.listed(session, visit.actor)
        kinds = webhooks.kinds_known(session)
    return visit.page(
        "webhooks.html", status, webhooks=found, kinds=kinds, typed=typed or {}, error=error, redacted=redacted
    )


@router.post("")
def add(visit: AdminVisit, fields: Posted) -> Response:
    """Add a webhook; what is wrong is said beside its field, and its secret is shown this once."""
    typed = {name: fields.get(name, "").strip() for name in FIELDS}
    kinds = [name.removeprefix("kind_") for name in fields if name.startswith("kind_")]
    try:
        with visit.writing() as session:
            made = webhooks.add(
                session, visit.actor, typed["url"], who=runs(session, visit.actor, visit.settings) or "",
                allow=outside.allowed(visit.settings.webhooks_allow), unit=typed["unit"] or None,
                territory=typed["territory"] or None, kinds=kinds,
            )  # fmt: skip
    except CoupeFileError as error:
        return _list(visit, 422, typed={**typed, **{f"kind_{kind}": "1" for kind in kinds}}, error=error)
    return _one(visit, made.webhook.id, made=made)


@router.get("/{key:int}")
def show(visit: AdminVisit, key: int, fait: str = "", avant: str = "") -> Response:
    """A webhook, and what it was sent: no text, no person."""
    done = int(fait) if fait.isascii() and fait.isdecimal() and len(fait) < 10 else None  # noqa: PLR2004  (a count)
    return _one(visit, key, done=done, before=number(avant) if avant else None)


def _one(visit: Visit, key: int, *, made: Made | None = None, before: int | None = None, **more: Any) -> Response:
    with visit.reading() as session:
        found = webhooks.find(session, key, visit.actor)
        sent = webhook_deliveries.log(session, found.id, visit.actor, before=before, limit=SHOWN + 1)
    return visit.page(
        "webhook.html", webhook=found, sent=sent[:SHOWN], more=sent[SHOWN - 1].id if len(sent) > SHOWN else None,
        made=made, redacted=redacted, hours=webhooks.OVERLAP // HOUR, longest=webhooks.LONGEST_OVERLAP // HOUR,
        **{"done": None, **more},
    )  # fmt: skip


@router.post("/{key:int}/renvoyer")
def replay(visit: AdminVisit, key: int, fields: Posted) -> Response:
    """Send one delivery again, under its id."""
    with visit.writing() as session:
        changed = webhook_deliveries.replay(session, key, visit.actor, ids=[number(fields.get("id", ""))])
        if changed:
            who = runs(session, visit.actor, visit.settings) or ""
            operations.record(session, "webhook.replay", who=who, subject={"webhook": key, "notices": changed})
    return go(f"/installation/webhooks/{key}?fait={len(changed)}")


@router.post("/{key:int}/secret")
def rotate(visit: AdminVisit, key: int, fields: Posted) -> Response:
    """Another secret, shown this once."""
    given = fields.get("hours", "")
    if not (given.isascii() and given.isdecimal() and len(given) < 5):  # noqa: PLR2004  (more is too many hours)
        raise BadInput("hours", "nombre illisible", field="hours", accepted="un nombre d'heures")
    with visit.writing() as session:
        who = runs(session, visit.actor, visit.settings) or ""
        made = webhooks.rotate(session, key, visit.actor, who=who, overlap=int(given) * HOUR)
    return _one(visit, key, made=made)


@router.post("/{key:int}/desactiver")
def disable(visit: AdminVisit, key: int, fields: Posted) -> Response:
    """Send nothing more to it."""
    why = operations.reason(fields.get("reason", ""), "reason")
    with visit.writing() as session:
        webhooks.disable(session, key, visit.actor, who=runs(session, visit.actor, visit.settings) or "", why=why)
    return go(f"/installation/webhooks/{key}")


@router.post("/{key:int}/reactiver")
def enable(visit: AdminVisit, key: int, fields: Posted) -> Response:
    """Send to it again."""
    del fields  # checked: it came from our page
    with visit.writing() as session:
        webhooks.enable(session, key, visit.actor, who=runs(session, visit.actor, visit.settings) or "")
    return go(f"/installation/webhooks/{key}")
