"""What webhooks are sent: deliveries, which are notices of one subscriber, written as events are reacted to; their log; replay.

At least once, in no promised order, each under one id. An endpoint that fails rests, twice as long each time, an hour at
most, so that it takes nobody else's turn; one that answers 410, or fails for `GIVE_UP`, is disabled, and that is said.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.dossier import Actor
from states.errors import BadInput, CoupeFileError, Refused
from workflow import cloud_events, installation, outbox, territories, webhooks
from workflow.apply import connection

SUBSCRIBER = "webhooks"
EACH = 4
"""How many deliveries of one webhook are taken at once."""
GIVE_UP = timedelta(days=5)
MOST_REPLAYED = 10_000
GONE = 410

# --- the reaction -----------------------------------------------------------------------------------------------------

_ACTIVE = "select id, unit_id, territory, kinds from webhooks where disabled_at is null order by id"
_TELL = """
insert into notices (dossier_id, seq, subscriber, target, cause, not_before)
select e.dossier_id, e.seq, 'webhooks', %(target)s, jsonb_build_object('kind', e.kind), e.at
from unnest(%(ids)s::bigint[], %(seqs)s::integer[]) as k (id, seq)
join events e on e.dossier_id = k.id and e.seq = k.seq
join dossiers d on d.id = e.dossier_id
where (%(kinds)s::text[] is null or e.kind = any(%(kinds)s))
and (%(unit)s::integer is null or %(unit)s = any(d.units))
and (%(communes)s::text[] is null or d.data ->> 'commune' = any(%(communes)s))
order by e.dossier_id, e.seq
on conflict on constraint uq_notices_once do nothing
"""


def wanted(session: Session) -> bool:
    """Whether anybody is to be told of anything."""
    return connection(session).execute(_ACTIVE).fetchone() is not None


def follow(session: Session, keys: Sequence[tuple[int, int]]) -> None:
    """Write the deliveries of these events, (dossier, seq): of each webhook, those within its scope. Nothing, when there is none."""
    active = connection(session).execute(_ACTIVE).fetchall()
    if not active or not keys:
        return
    known = territories.versions(session) if any(territory for _, _, territory, _ in active) else []
    ids, seqs = (list(column) for column in zip(*keys, strict=True))
    for key, unit, territory, kinds in active:
        communes = None if territory is None else territories.communes(known, territory)
        params = {"target": webhooks.target(key), "unit": unit, "kinds": kinds, "communes": communes}
        connection(session).execute(_TELL, {**params, "ids": ids, "seqs": seqs})


# --- sending ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery under lease, ready to be signed and sent; `lost` is why its body could not be made."""

    id: int
    message_id: uuid.UUID
    webhook: int
    url: str
    attempts: int
    secrets: tuple[bytes, ...]
    body: bytes
    lost: str = ""


_CLAIM = """
update notices set attempts = attempts + 1, next_at = clock_timestamp() + cast(:lease as interval)
where id = any(array(
    select t.id from webhooks w cross join lateral (
        select n.id from notices n where n.target = 'webhook/' || w.id and n.subscriber = 'webhooks' and n.state = 'queued'
        and n.next_at <= clock_timestamp() and n.not_before <= (select business_now())
        order by n.next_at, n.id limit :each for update skip locked) t
    where w.disabled_at is null and (w.rests_until is null or w.rests_until <= clock_timestamp()) limit :limit))
returning id, message_id, dossier_id, seq, split_part(target, '/', 2)::integer as webhook, attempts
"""
_TO = f"{webhooks.SIGNING} where w.id = any(:ids)"
_REFERENCES = "select id, reference from dossiers where id = any(:ids)"


def claim(session: Session, *, limit: int, base_url: str) -> list[Delivery]:
    """Deliveries to send now, under a lease; none while deliveries are held. The caller commits before it sends."""
    if not installation.may_deliver(session):
        return []
    params = {"lease": outbox.LEASE, "each": EACH, "limit": limit}
    rows = sorted(session.execute(text(_CLAIM), params).all(), key=lambda row: row.id)
    if not rows:
        return []
    to = {row.id: row for row in session.execute(text(_TO), {"ids": list({row.webhook for row in rows})})}
    ids = list({row.dossier_id for row in rows})
    references = {row.id: row.reference for row in session.execute(text(_REFERENCES), {"ids": ids})}
    return [_delivery(session, row, to[row.webhook], references[row.dossier_id], base_url) for row in rows]


def _delivery(session: Session, row: Any, to: Any, reference: str, base_url: str) -> Delivery:
    body, lost = b"", ""
    try:
        body = cloud_events.of(
            session, row.dossier_id, row.seq, reference=reference, base_url=base_url, message_id=row.message_id
        )
    except (CoupeFileError, KeyError, ValueError) as error:
        lost = f"événement illisible : {error!r}"
    return Delivery(
        row.id, row.message_id, row.webhook, to.url, row.attempts, tuple(bytes(one) for one in to.secrets), body, lost
    )


_WELL = """
update webhooks set failing_since = null, failures = 0, rests_until = null where id = :key and failing_since is not null
"""
_ILL = """
update webhooks set failing_since = coalesce(failing_since, clock_timestamp()),
    failures = failures + case when rests_until > clock_timestamp() then 0 else 1 end,
    rests_until = case when rests_until > clock_timestamp() then rests_until else
        clock_timestamp() + least(cast(:first as interval) * power(2, least(failures, 20)), cast(:most as interval)) end
where id = :key and disabled_at is null returning clock_timestamp() - failing_since as since
"""
_LOCK = "select disabled_at from webhooks where id = :key for update"


def sent(session: Session, delivery: Delivery, host: str, status: int) -> None:
    """Mark a delivery as taken by its endpoint, which is well again."""
    session.execute(text(_WELL), {"key": delivery.webhook})
    session.execute(
        text(
            "update notices set state = 'sent', sent_at = clock_timestamp(), sent_to = :host, why = :why "
            "where id = :id and state = 'queued'"
        ),
        {"id": delivery.id, "host": host, "why": f"réponse {status}"},
    )


def failed(session: Session, delivery: Delivery, why: str, status: int | None = None) -> None:
    """Note a failed attempt: later again, or dead after `LINK_ATTEMPTS`; the endpoint rests, or is disabled."""
    session.execute(text(_LOCK), {"key": delivery.webhook})
    outbox.failed_at(session, delivery.id, delivery.attempts, why, most=outbox.LINK_ATTEMPTS)
    params = {"key": delivery.webhook, "first": outbox.BACK_OFF, "most": outbox.BACK_OFF_MOST}
    since = session.execute(text(_ILL), params).scalar()
    if since is None:  # disabled since it was claimed
        webhooks.hold(session, delivery.webhook)
    elif status == GONE:
        webhooks.stop(session, delivery.webhook, f"l'adresse a répondu {GONE} : elle n'existe plus")
    elif since >= GIVE_UP:
        webhooks.stop(
            session, delivery.webhook, f"aucun envoi n'a abouti depuis {since.days} jours ; le dernier : {why}"
        )


def lost(session: Session, delivery: Delivery) -> None:
    """Note that the body of a delivery could not be made: nothing that its endpoint could help."""
    outbox.failed_at(session, delivery.id, delivery.attempts, delivery.lost)


# --- the log ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Logged:
    """A delivery as the log shows it: `why` is the last answer, or what went wrong."""

    id: int
    message_id: uuid.UUID
    dossier: str
    seq: int
    kind: str
    state: str
    attempts: int
    made_at: datetime | None
    next_at: datetime
    sent_at: datetime | None
    why: str | None


_LOG = """
select n.id, n.message_id, d.reference as dossier, n.seq, n.cause ->> 'kind' as kind, n.state, n.attempts, n.made_at, n.next_at,
       n.sent_at, n.why
from notices n join dossiers d on d.id = n.dossier_id
where n.target = :target and n.subscriber = 'webhooks' and (cast(:state as text) is null or n.state = :state)
and (cast(:before as bigint) is null or n.id < :before)
order by n.id desc limit :limit
"""


def log(
    session: Session, key: int, actor: Actor, *, state: str | None = None, before: int | None = None, limit: int = 50
) -> list[Logged]:
    """The deliveries of a webhook, the latest first; those made before the one numbered `before`. Raises Refused."""
    webhooks.find(session, key, actor)
    params = {"target": webhooks.target(key), "state": state, "before": before, "limit": limit}
    return [Logged(**row._mapping) for row in session.execute(text(_LOG), params)]  # noqa: SLF001  (SQLAlchemy's public name)


_REPLAY = """
update notices set state = 'queued', sent_at = null, sent_to = null, why = null, attempts = 0, next_at = clock_timestamp()
where id = any(array(select id from notices where target = :target and subscriber = 'webhooks' and state <> 'queued'
    and (cast(:ids as bigint[]) is null or id = any(:ids)) and (cast(:since as timestamptz) is null or made_at >= :since)
    order by id limit :most for update))
returning id
"""
_THERE = "select id from notices where target = :target and subscriber = 'webhooks' and id = any(:ids)"


def replay(
    session: Session, key: int, actor: Actor, *, ids: Iterable[int] | None = None, since: datetime | None = None
) -> list[int]:
    """Send deliveries of a webhook once more, each under its id: those numbered, or those made since an instant. Returns
    those that wait anew, `MOST_REPLAYED` at most. Raises BadInput, Refused: unknown, or the webhook is disabled.
    """
    if (ids is None) == (since is None):
        raise BadInput("replay", "quels envois ?", field="ids", accepted="des numéros, ou un instant, pas les deux")
    if webhooks.find(session, key, actor, locked=True).disabled_at is not None:
        raise Refused("disabled", "ce webhook est désactivé", field="ID", accepted="le réactiver d'abord")
    wanted = None if ids is None else sorted(set(ids))
    params = {"target": webhooks.target(key), "ids": wanted, "since": since, "most": MOST_REPLAYED}
    if wanted is not None:
        unknown = set(wanted) - set(session.execute(text(_THERE), params).scalars())
        if unknown:
            raise Refused("unknown", f"envoi inconnu : {', '.join(map(str, sorted(unknown)))}", field="ids")
    return sorted(session.execute(text(_REPLAY), params).scalars())
