"""The JSON API of webhooks, for who runs the installation, within the scope of the seat that the token acts from."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session, sessionmaker

from config import outside
from config.log_lines import redacted
from config.settings import Settings
from states.dossier import Actor
from states.errors import Refused
from web import installation
from web.api import PROBLEMS, Bearer, Key, Reads, Reference, Writes, own
from workflow import access, operations, webhook_deliveries, webhooks

router = APIRouter(prefix="/api/v1/webhooks", responses=PROBLEMS, tags=["webhooks"])
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
State = Literal["queued", "sent", "held", "dead", "void"]
HOUR = timedelta(hours=1)
MOST_IDS = 1000


class Admin:
    """Who runs the installation and calls with a token: their login stands in what is kept of their acts."""

    def __init__(self, caller: Bearer, who: str) -> None:
        self.actor: Actor = caller.actor
        self.make: sessionmaker[Session] = caller.make
        self.ring: Callable[[], None] = caller.request.app.state.ring
        self.settings: Settings = caller.request.app.state.settings
        self.who, self.caller = who, caller


def _admin(caller: Bearer) -> Admin:
    with caller.make() as session:
        who = installation.runs(session, caller.actor, caller.request.app.state.settings)
    if who is None:
        raise Refused("role", "seul qui exploite l'installation le peut", accepted="un login de COUPE_FILE_ADMINS")
    return Admin(caller, who)


def _reader(caller: Reads) -> Admin:
    return _admin(caller)


def _writer(caller: Writes) -> Admin:
    return _admin(caller)


Reader = Annotated[Admin, Depends(_reader)]
Writer = Annotated[Admin, Depends(_writer)]


class Wanted(BaseModel):
    """A webhook to be: of one administration, of one territory, or of all dossiers; of some kinds of events, or all."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"url": "https://si.prefecture.example/coupe-file", "unit": "pref-64"}]},
    )
    url: str = Field(max_length=outside.LONGEST)
    unit: Reference | None = None
    territory: Reference | None = None
    kinds: list[Reference] = Field(default=[], max_length=webhooks.MOST_KINDS)


class WebhookSaid(BaseModel):
    """A webhook; `url` is without its query, `secrets` is how many sign now."""

    id: int
    url: str
    unit: str | None
    territory: str | None
    kinds: list[str] | None
    author: str
    made_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None
    failing_since: datetime | None
    secrets: int
    replaced_until: datetime | None
    queued: int


class Webhooks(BaseModel):
    """The webhooks within one's scope."""

    webhooks: list[WebhookSaid]


class Made(BaseModel):
    """A webhook and its new secret, which is shown this once; a repeat under the same key says it again."""

    webhook: WebhookSaid
    secret: str
    repeated: bool


class Delivery(BaseModel):
    """What a webhook was sent; `message_id` is the `webhook-id` of each try, `why` the last answer or what went wrong."""

    id: int
    message_id: uuid.UUID
    dossier: str
    seq: int
    kind: str
    state: State
    attempts: int
    made_at: datetime | None
    next_at: datetime
    sent_at: datetime | None
    why: str | None


class Deliveries(BaseModel):
    """A page of the log, the latest first; `before` asks for the next one."""

    deliveries: list[Delivery]
    before: int | None


class Again(BaseModel):
    """What to send again: deliveries by number, or all those made since an instant."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"ids": [12]}]})
    ids: list[Annotated[int, Field(ge=1, le=access.MAX_ID)]] | None = Field(
        default=None, min_length=1, max_length=MOST_IDS
    )
    since: AwareDatetime | None = None


class Replayed(BaseModel):
    """The deliveries that wait anew."""

    changed: list[int]


class Overlap(BaseModel):
    """For how many hours the secrets that are replaced sign too."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"hours": 24}]})
    hours: int = Field(default=webhooks.OVERLAP // HOUR, ge=0, le=webhooks.LONGEST_OVERLAP // HOUR)


class Why(BaseModel):
    """Why; kept."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "travaux chez le destinataire"}]}
    )
    reason: str = Field(max_length=operations.REASON)


@router.get("")
def listed(admin: Reader) -> Webhooks:
    """The webhooks."""
    with admin.make() as session:
        return Webhooks(webhooks=[_said(one) for one in webhooks.listed(session, admin.actor)])


@router.post("", status_code=201)
def add(admin: Writer, wanted: Wanted, response: Response, key: Key = None) -> Made:
    """Add a webhook; its secret is shown this once."""
    with admin.make.begin() as session:
        made = webhooks.add(
            session, admin.actor, wanted.url, who=admin.who, allow=outside.allowed(admin.settings.webhooks_allow),
            unit=wanted.unit, territory=wanted.territory, kinds=wanted.kinds, idem=own(admin.caller, key),
        )  # fmt: skip
    response.headers["Location"] = f"/api/v1/webhooks/{made.webhook.id}"
    return _made(made)


@router.get("/{key}")
def show(admin: Reader, key: Number) -> WebhookSaid:
    """A webhook."""
    with admin.make() as session:
        return _said(webhooks.find(session, key, admin.actor))


@router.get("/{key}/deliveries")
def deliveries(
    admin: Reader,
    key: Number,
    *,
    state: State | None = None,
    before: Annotated[int | None, Query(ge=1, le=access.MAX_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Deliveries:
    """What a webhook was sent, and what was answered: no text, no person."""
    with admin.make() as session:
        found = webhook_deliveries.log(session, key, admin.actor, state=state, before=before, limit=limit + 1)
    page = [
        Delivery(
            id=one.id, message_id=one.message_id, dossier=one.dossier, seq=one.seq, kind=one.kind, state=one.state,
            attempts=one.attempts, made_at=one.made_at, next_at=one.next_at, sent_at=one.sent_at,
            why=redacted(one.why) if one.why else None,
        )
        for one in found[:limit]
    ]  # fmt: skip
    return Deliveries(deliveries=page, before=page[-1].id if len(found) > limit else None)


@router.post("/{key}/replay")
def replay(admin: Writer, key: Number, again: Again) -> Replayed:
    """Send again, each delivery under its `webhook-id`: who has had it recognises it."""
    with admin.make.begin() as session:
        changed = webhook_deliveries.replay(session, key, admin.actor, ids=again.ids, since=again.since)
        if changed:
            operations.record(session, "webhook.replay", who=admin.who, subject={"webhook": key, "notices": changed})
    admin.ring()
    return Replayed(changed=changed)


@router.post("/{key}/rotate")
def rotate(admin: Writer, key: Number, overlap: Overlap) -> Made:
    """A new secret, shown this once; those it replaces sign too for a while."""
    with admin.make.begin() as session:
        return _made(webhooks.rotate(session, key, admin.actor, who=admin.who, overlap=overlap.hours * HOUR))


@router.post("/{key}/disable")
def disable(admin: Writer, key: Number, why: Why) -> WebhookSaid:
    """Send nothing more: what waits is held, what happens then is not kept for it."""
    with admin.make.begin() as session:
        return _said(
            webhooks.disable(session, key, admin.actor, who=admin.who, why=operations.reason(why.reason, "reason"))
        )


@router.post("/{key}/enable")
def enable(admin: Writer, key: Number) -> WebhookSaid:
    """Send again, first what was held."""
    with admin.make.begin() as session:
        found = webhooks.enable(session, key, admin.actor, who=admin.who)
    admin.ring()
    return _said(found)


def _said(one: webhooks.Webhook) -> WebhookSaid:
    return WebhookSaid(
        id=one.id, url=one.url, unit=one.unit, territory=one.territory, kinds=None if one.kinds is None else list(one.kinds),
        author=one.author, made_at=one.made_at, disabled_at=one.disabled_at, disabled_why=one.disabled_why,
        failing_since=one.failing_since, secrets=one.secrets, replaced_until=one.replaced_until, queued=one.queued,
    )  # fmt: skip


def _made(one: webhooks.Made) -> Made:
    return Made(webhook=_said(one.webhook), secret=one.secret, repeated=one.repeated)
