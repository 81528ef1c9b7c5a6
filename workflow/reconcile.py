"""The reconciler: a proof that goes round for ever, a slice at a time, and what health says of the whole."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from workflow import heartbeats, installation, vacancies, verify

log = logging.getLogger(__name__)

SLICE = 500
TICK_STALE = timedelta(minutes=2)
LATE = timedelta(minutes=5)
PROOF_STALE = timedelta(minutes=15)
UNHEARD = timedelta(hours=1)
UNDELIVERED = timedelta(minutes=30)  # a relay that asks to come back later is given the time to mean it
SWEEPS_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Health:
    """What an operator must know; ages in seconds, None where there is nothing.

    `red` lists why it is not well, `orange` what somebody decided and should not forget.
    """

    tick_age: float | None
    oldest_due: float | None
    oldest_pending: float | None
    pending: int
    oldest_undelivered: float | None
    overdue_delivery: float | None
    undelivered: int
    stuck: int
    skipped: int
    dead_notices: int
    dead_reactions: int
    suspended_definitions: int
    disabled_webhooks: int
    problems: int
    proof_age: float | None
    held: str | None
    red: tuple[str, ...] = ()
    orange: tuple[str, ...] = ()


# What waits for an endpoint that fails is the other side's trouble, and how long it was tried is told with its webhook.
# The oldest of the next hundred pending: those are what a reaction would take first, and looking further has no bound.
_HEALTH = """
select
  (select extract(epoch from clock_timestamp() - at)::float8 from heartbeats where name = 'tick') as tick_age,
  (select extract(epoch from business_now() - wake_at)::float8 from dossiers
    where wake_at <= (select business_now()) and not stuck order by wake_at limit 1) as oldest_due,
  (select extract(epoch from (select business_now()) - min(e.at))::float8
    from (select dossier_id, seq from pending order by lane, dossier_id, seq limit 100) p
    cross join lateral (select at from events e where e.dossier_id = p.dossier_id and e.seq = p.seq) e) as oldest_pending,
  (select count(*) from pending) as pending,
  q.oldest as oldest_undelivered, q.overdue as overdue_delivery, q.number as undelivered,
  (select count(*) from stuck where skipped_at is null) as stuck,
  (select count(*) from stuck where skipped_at is not null) as skipped,
  (select count(*) from notices where state = 'dead') as dead_notices,
  (select count(*) from reaction_failures where next_at is null) as dead_reactions,
  (select count(*) from definitions where state = 'suspended') as suspended_definitions,
  (select count(*) from webhooks where disabled_at is not null) as disabled_webhooks,
  (select greatest(coalesce(nullif(split_part(note, ' ', 2), ''), '0')::integer,
                   coalesce(nullif(split_part(note, ' ', 3), ''), '0')::integer)
    from heartbeats where name = 'reconcile') as problems,
  (select extract(epoch from clock_timestamp() - at)::float8 from heartbeats where name = 'reconcile') as proof_age
from (select count(*) as number,
             extract(epoch from clock_timestamp() - min(least(n.made_at, n.next_at)) filter (where w.id is null))::float8 as oldest,
             extract(epoch from clock_timestamp() - min(n.next_at)
                 filter (where n.next_at <= clock_timestamp() and w.failing_since is null and w.disabled_at is null))::float8 as overdue
      from notices n left join webhooks w on n.subscriber = 'webhooks' and n.target = 'webhook/' || w.id
      where n.state = 'queued' and n.not_before <= (select business_now())) q
"""


def health(session: Session) -> Health:
    """How the whole stands. Red: a stale tick, something overdue for minutes, or a failed proof."""
    row = session.execute(text(_HEALTH)).one()
    values = {**row._mapping, "problems": row.problems or 0, "held": installation.held(session)}  # noqa: SLF001  (SQLAlchemy's public name)
    red = []
    if row.tick_age is None or row.tick_age > TICK_STALE.total_seconds():
        red.append("aucun battement récent de l'horloge")
    if row.oldest_due is not None and row.oldest_due > LATE.total_seconds():
        red.append("des dossiers échus attendent l'horloge")
    if values["held"]:
        red.append(f"les envois sont retenus ({values['held']})")
    elif row.overdue_delivery is not None and row.overdue_delivery > LATE.total_seconds():
        red.append("des messages attendent d'être envoyés")
    elif row.oldest_undelivered is not None and row.oldest_undelivered > UNDELIVERED.total_seconds():
        red.append("des messages essayés depuis longtemps ne partent pas")
    if row.proof_age is not None and row.proof_age > PROOF_STALE.total_seconds():
        red.append("la vérification ne tourne plus")
    if row.oldest_pending is not None and row.oldest_pending > UNHEARD.total_seconds():
        red.append("des événements attendent leurs réactions")
    red += [
        words
        for count, words in (
            (row.stuck, "dossiers mis de côté"),
            (row.dead_notices, "messages abandonnés"),
            (row.dead_reactions, "réactions abandonnées"),
            (row.suspended_definitions, "définitions suspendues"),
            (values["problems"], "écarts trouvés par la vérification"),
        )
        if count
    ]
    orange = ["dossiers laissés de côté par décision"] if row.skipped else []
    orange += ["webhooks désactivés"] if row.disabled_webhooks else []
    return Health(**values, red=tuple(red), orange=tuple(orange))


def reconcile(make: sessionmaker[Session], *, size: int = SLICE) -> int:
    """Verify the next slice of dossiers, round and round; keep journal partitions ahead, and see where nobody is. Returns the problems found."""
    with make.begin() as session:
        note = session.execute(text("select note from heartbeats where name = 'reconcile'")).scalar()
        last, seen, before = ([int(part) for part in note.split(" ")] + [0])[:3] if note else (0, 0, 0)
        session.execute(text("select journal_ensure((select coalesce(max(id), 0) from dossiers) + 1000000)"))
        session.execute(
            text("delete from sweeps where at < clock_timestamp() - cast(:kept as interval)"), {"kept": SWEEPS_KEPT}
        )
    with make.begin() as session:
        vacancies.look(session)
    with make() as session:
        session.execute(text("set transaction isolation level repeatable read, read only"))
        found, problems, _ = verify.slice_after(session, last, size)
    for problem in problems:
        log.error("%s: %s", problem.proof, problem.text, extra={"dossier": problem.dossier_id})
    if last == 0:
        seen, before = 0, seen  # a new round: what the last one found is told until this one is over
    seen += len(problems)
    ended = not found
    kept = f" {before}" if before and not ended else ""
    with make.begin() as session:
        heartbeats.beat(session, "reconcile", f"{0 if ended else found[-1]} {seen}{kept}")
    return len(problems)
