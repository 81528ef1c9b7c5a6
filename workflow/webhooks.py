"""Webhooks: programs elsewhere that are told of events. Which there are, of what each is told, and the secrets that sign.

A webhook belongs to the installation, and its scope is that of one administration, of one Territoire d'industrie, or the whole.
Whoever acts from the seat of an administration sees and makes those of that administration alone. Real time.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.orm import Session

from config import outside
from states.dossier import Actor
from states.errors import BadInput, Refused, shown
from workflow import access, operations, territories, words
from workflow.checkup import Finding

SECRET_BYTES = 32
PREFIX = "whsec_"
OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=30)
MOST_SECRETS = 5
MOST = 100
MOST_KINDS = 50


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as who runs the installation sees it: its secrets, only how many sign; of its address, no query."""

    id: int
    url: str
    unit: str | None
    territory: str | None
    kinds: tuple[str, ...] | None
    author: str
    made_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None
    failing_since: datetime | None
    failures: int
    secrets: int
    replaced_until: datetime | None
    queued: int

    @property
    def host(self) -> str:
        """Whom it calls."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class Made:
    """A secret that was just made, shown this once, and what it is of."""

    webhook: Webhook
    secret: str
    repeated: bool = False


_LISTED = """
select w.id, w.url, u.code as unit, w.territory, w.kinds, w.author, w.made_at, w.disabled_at, w.disabled_why, w.failing_since,
       w.failures, s.number as secrets, s.until as replaced_until,
       (select count(*) from notices n where n.target = 'webhook/' || w.id and n.subscriber = 'webhooks' and n.state = 'queued') as queued
from webhooks w left join units u on u.id = w.unit_id
cross join lateral (select count(*) as number, max(ends_at) as until from webhook_secrets
    where webhook_id = w.id and (ends_at is null or ends_at > clock_timestamp())) s
"""


def _scope(actor: Actor) -> access.Scope:
    """The webhooks `w` that an actor may see: all for who sees every dossier, else those of their administration."""
    if actor.role in access.SEES_ALL:
        return access.Scope("true", {})
    return access.Scope("w.unit_id = :scope", {"scope": actor.unit})


def listed(session: Session, actor: Actor) -> list[Webhook]:
    """The webhooks that an actor may see, in the order that they were made in."""
    within = _scope(actor)
    rows = session.execute(text(f"{_LISTED} where {within.sql} order by w.id"), within.params)
    return [_webhook(row) for row in rows]


def find(session: Session, key: int, actor: Actor, *, locked: bool = False) -> Webhook:
    """A webhook that an actor may see. Raises Refused."""
    within = _scope(actor)
    params = {"key": key, **within.params}
    if locked:
        session.execute(text(f"select 1 from webhooks w where w.id = :key and {within.sql} for update"), params)  # noqa: S608  (a scope is ours)
    row = session.execute(text(f"{_LISTED} where w.id = :key and {within.sql}"), params).one_or_none()
    if row is None:
        raise Refused("unknown", f"webhook {key} inconnu, ou hors de votre périmètre", field="ID")
    return _webhook(row)


def _webhook(row: Any) -> Webhook:
    values = {**row._mapping, "url": row.url.partition("?")[0]}  # noqa: SLF001  (SQLAlchemy's public name)
    values["kinds"] = None if row.kinds is None else tuple(row.kinds)
    return Webhook(**values)


def signing(session: Session, key: int, actor: Actor) -> tuple[str, tuple[bytes, ...]]:
    """Where a webhook is called, and the secrets that sign now. Raises Refused."""
    find(session, key, actor)
    row = session.execute(text(f"{SIGNING} where w.id = :key"), {"key": key}).one()
    return row.url, tuple(bytes(one) for one in row.secrets)


SIGNING = """
select w.id, w.url, array(select secret from webhook_secrets s where s.webhook_id = w.id
    and (s.ends_at is null or s.ends_at > clock_timestamp()) order by s.id desc) as secrets
from webhooks w
"""


def findings(found: Sequence[Webhook]) -> Iterator[Finding]:
    """What an operator is told of them."""
    what = "Webhooks"
    off, ill = (
        [one for one in found if one.disabled_at is not None],
        [one for one in found if one.failing_since is not None],
    )
    ill = [one for one in ill if one not in off]
    active = len(found) - len(off)
    yield Finding("webhooks", what, "ok", f"{active} en service" if active else "aucun en service")
    if ill:
        listed = ", ".join(f"n° {one.id} ({one.host})" for one in ill)
        yield Finding("webhooks_failing", "Webhooks en échec", "decide", listed, "prévenir qui les reçoit ; lire ce qui est répondu",
                      f"coupe-file webhook log {ill[0].id}")  # fmt: skip
    if off:
        listed = ", ".join(f"n° {one.id} ({one.host} : {one.disabled_why})" for one in off)
        yield Finding("webhooks_disabled", "Webhooks désactivés", "decide", listed, "lever la cause, puis réactiver",
                      f"coupe-file webhook enable {off[0].id}")  # fmt: skip


# --- what is done to them ---------------------------------------------------------------------------------------------


def add(
    session: Session,
    actor: Actor,
    url: str,
    *,
    who: str,
    allow: outside.Allowed,
    unit: str | None = None,
    territory: str | None = None,
    kinds: Sequence[str] = (),
    idem: str | None = None,
) -> Made:
    """A new webhook, and its secret; the same again under the same key. Raises BadInput, Refused."""
    try:
        outside.read(url, allow)
    except ValueError as error:
        accepted = "https://, vers un hôte public ou que COUPE_FILE_WEBHOOKS_ALLOW nomme"
        raise BadInput("url", str(error), field="url", accepted=accepted) from None
    if unit is not None and territory is not None:
        raise BadInput(
            "one", "une administration ou un territoire, pas les deux", field="territory", accepted="l'un des deux"
        )
    params = {
        "url": url, "unit": _unit(session, actor, unit, territory), "territory": _territory(session, territory),
        "kinds": _kinds(session, kinds), "person": actor.person, "author": who, "idem": idem,
    }  # fmt: skip
    known = _repeated(session, actor, params)
    if known is not None:
        return known
    if session.execute(text("select count(*) from webhooks where disabled_at is null")).scalar_one() >= MOST:
        raise Refused("many", f"{MOST} webhooks sont déjà en service", accepted="en désactiver un")
    key: int = session.execute(text(_ADD), params).scalar_one()
    secret = _new_secret(session, key)
    operations.record(session, "webhook.add", who=who, subject={"webhook": key, "host": urlsplit(url).hostname})
    return Made(find(session, key, actor), secret)


_ADD = """
insert into webhooks (url, unit_id, territory, kinds, author_id, author, idem)
values (:url, :unit, :territory, :kinds, :person, :author, :idem) returning id
"""
_REPEATED = """
select id, url = :url and unit_id is not distinct from cast(:unit as integer) and territory is not distinct from cast(:territory as text)
           and kinds is not distinct from cast(:kinds as text[]) as same,
       (select secret from webhook_secrets s where s.webhook_id = w.id and s.ends_at is null) as secret
from webhooks w where idem = :idem for update
"""


def _repeated(session: Session, actor: Actor, params: dict[str, Any]) -> Made | None:
    """What was made under this key, with its secret: the answer of the first time may not have come."""
    if params["idem"] is None:
        return None
    session.execute(text("select pg_advisory_xact_lock(4084, hashtext(:idem))"), params)
    row = session.execute(text(_REPEATED), params).one_or_none()
    if row is None:
        return None
    if not row.same:
        raise Refused("idempotency", "cette clé a déjà servi à un autre webhook", field="key", accepted="une autre clé")
    return Made(find(session, row.id, actor), _written(row.secret), repeated=True)


def _unit(session: Session, actor: Actor, code: str | None, territory: str | None) -> int | None:
    everywhere = actor.role in access.SEES_ALL
    if not everywhere and (territory is not None or code is None):
        raise BadInput(
            "scope", "depuis ce siège, un webhook est celui de votre administration", field="unit", accepted="son code"
        )
    if code is None:
        return None
    found: int | None = session.execute(
        text("select id from units where code = :code"), {"code": code.replace("\x00", "")}
    ).scalar()
    if found is None or not (everywhere or found == actor.unit):
        raise BadInput("unit", "administration inconnue, ou hors de votre périmètre", field="unit",
                       accepted="un code de l'annuaire")  # fmt: skip
    return found


def _territory(session: Session, code: str | None) -> str | None:
    if code is not None and code not in territories.codes(session):
        raise BadInput("territory", "territoire d'industrie inconnu", field="territory",
                       accepted="un code de la liste des territoires")  # fmt: skip
    return code


def kinds_known(session: Session) -> dict[str, str]:
    """The kinds of events that a webhook may ask for, and their French: those of the engine, and the triggers of the definitions."""
    statement = """select distinct on (1) t ->> 'name' as name, t ->> 'label' as label
                   from definitions, jsonb_array_elements(body -> 'triggers') t order by 1, definitions.id desc"""
    found = {row.name: row.label or row.name for row in session.execute(text(statement))}
    return dict(sorted({**found, **words.EVENTS}.items()))


def _kinds(session: Session, given: Sequence[str]) -> list[str] | None:
    wanted = list(dict.fromkeys(given))
    if not wanted:
        return None
    known = kinds_known(session)
    strange = next((one for one in wanted if one not in known), None)
    if strange is not None or len(wanted) > MOST_KINDS:
        said = "trop d'événements" if strange is None else f"événement inconnu : « {shown(strange)} »"
        raise BadInput("kinds", said, field="kinds", accepted=", ".join(known))
    return wanted


def rotate(session: Session, key: int, actor: Actor, *, who: str, overlap: timedelta = OVERLAP) -> Made:
    """A new secret; until `overlap` is over what goes out is signed by those it replaces too. Raises BadInput, Refused."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise BadInput("hours", "durée hors bornes", field="hours",
                       accepted=f"de 0 à {LONGEST_OVERLAP // timedelta(hours=1)} heures")  # fmt: skip
    found = find(session, key, actor, locked=True)
    if found.secrets >= MOST_SECRETS and overlap:
        raise Refused(
            "many", f"{found.secrets} secrets signent déjà", field="hours", accepted="0 : ne garder que le nouveau"
        )
    session.execute(text(_REPLACE), {"key": key, "overlap": overlap})
    secret = _new_secret(session, key)
    operations.record(
        session, "webhook.rotate", who=who, subject={"webhook": key, "hours": overlap / timedelta(hours=1)}
    )
    return Made(find(session, key, actor), secret)


_REPLACE = """
update webhook_secrets set ends_at = least(coalesce(ends_at, 'infinity'), clock_timestamp() + cast(:overlap as interval))
where webhook_id = :key and (ends_at is null or ends_at > clock_timestamp())
"""
_FORGET = "delete from webhook_secrets where ends_at <= clock_timestamp()"


def _new_secret(session: Session, key: int) -> str:
    session.execute(text(_FORGET))
    made = secrets.token_bytes(SECRET_BYTES)
    session.execute(
        text("insert into webhook_secrets (webhook_id, secret) values (:key, :made)"), {"key": key, "made": made}
    )
    return _written(made)


def _written(secret: bytes) -> str:
    return PREFIX + base64.b64encode(secret).decode()


def disable(session: Session, key: int, actor: Actor, *, who: str, why: str) -> Webhook:
    """Send nothing more to a webhook: what waits is held, what happens from now on is not kept for it. Raises Refused."""
    if find(session, key, actor, locked=True).disabled_at is None:
        stop(session, key, why)
        operations.record(session, "webhook.disable", who=who, why=why, subject={"webhook": key})
    return find(session, key, actor)


def stop(session: Session, key: int, why: str) -> None:
    """Disable a webhook that is held locked, and hold what waits for it."""
    session.execute(
        text("update webhooks set disabled_at = clock_timestamp(), disabled_why = :why where id = :key"),
        {"key": key, "why": why[:500]},
    )
    hold(session, key)


def hold(session: Session, key: int) -> None:
    """Hold what waits for a webhook."""
    session.execute(text(_HOLD), {"target": target(key), "why": _DISABLED})


_DISABLED = "webhook désactivé"
_HOLD = "update notices set state = 'held', why = :why where target = :target and subscriber = 'webhooks' and state = 'queued'"
_LET_GO = """
update notices set state = 'queued', why = null, attempts = 0, next_at = clock_timestamp()
where target = :target and subscriber = 'webhooks' and state = 'held' and why = :why
"""


def enable(session: Session, key: int, actor: Actor, *, who: str) -> Webhook:
    """Send to a webhook again, first what was held; what happened in between is not sent. Raises Refused."""
    if find(session, key, actor, locked=True).disabled_at is not None:
        again = """update webhooks set disabled_at = null, disabled_why = null, failing_since = null, failures = 0, rests_until = null
                   where id = :key"""
        session.execute(text(again), {"key": key})
        session.execute(text(_LET_GO), {"target": target(key), "why": _DISABLED})
        operations.record(session, "webhook.enable", who=who, subject={"webhook": key})
    return find(session, key, actor)


def target(key: int) -> str:
    """The target of the notices of a webhook. It has no colon: it is no seat of an administration."""
    return f"webhook/{key}"
