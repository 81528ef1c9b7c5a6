"""The counters of the report: kept by the reaction, in the transaction that consumes the events.

One `facts` row for each dossier says what it adds now. When something happens to it, that is reckoned again from its
journal under the lock of that row, and the difference is added to the sums in order of keys: reactors never wait in a
ring, and an event that is consumed twice, or late, changes nothing. A journal that cannot be read is left for `repair`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states.counters import OPEN, Key, contribution, difference
from states.facts import Facts
from workflow import report
from workflow.apply import connection
from workflow.directory import departement
from workflow.report import ZONE

log = logging.getLogger(__name__)

CHUNK = 200
_BEGIN = """
insert into facts (dossier_id, seq, counted) select id, 0, '[]' from unnest(%(ids)s::bigint[]) as one (id) order by id
on conflict do nothing
"""
_LOCK = "select dossier_id, counted from facts where dossier_id = any(%(ids)s) order by dossier_id for update"
_KEEP = """
update facts f set seq = n.seq, month = n.month, counted = n.counted
from unnest(%(ids)s::bigint[], %(seqs)s::integer[], %(months)s::date[], %(counted)s::jsonb[]) as n (id, seq, month, counted)
where f.dossier_id = n.id
"""
_NAMES = "month, departement, topic, definition, unit_id, rung, family, clock, measure, due"
_ADD = f"""
insert into counters ({_NAMES}, value)
select * from unnest(%(month)s::date[], %(departement)s::text[], %(topic)s::text[], %(definition)s::text[],
    %(unit)s::integer[], %(rung)s::text[], %(family)s::text[], %(clock)s::text[], %(measure)s::text[], %(due)s::text[],
    %(value)s::bigint[])
on conflict ({_NAMES}) do update set value = counters.value + excluded.value
"""  # noqa: S608  (constants)
_SWEEP_OUT = f"""
delete from counters where value = 0 and ({_NAMES}) in (
    select * from unnest(%(month)s::date[], %(departement)s::text[], %(topic)s::text[], %(definition)s::text[],
        %(unit)s::integer[], %(rung)s::text[], %(family)s::text[], %(clock)s::text[], %(measure)s::text[], %(due)s::text[]))
"""  # noqa: S608  (constants)


def count(session: Session, ids: Iterable[int]) -> None:
    """Reckon again what some dossiers add, and add the difference to the sums, in the session's transaction."""
    keys, driver = sorted(ids), connection(session)
    if not keys:
        return
    driver.execute(_BEGIN, {"ids": keys})
    before = {row[0]: decode(row[1]) for row in driver.execute(_LOCK, {"ids": keys}, binary=True)}
    after = {key: (facts, added(facts)) for key, facts in _facts(session, keys)}
    if not after:
        return
    kept = sorted(after)
    driver.execute(
        _KEEP,
        {
            "ids": kept,
            "seqs": [after[key][0].seq for key in kept],
            "months": [month(after[key][0]) for key in kept],
            "counted": [encode(after[key][1]).decode() for key in kept],
        },
    )
    total_before, total_after = Counter[Key](), Counter[Key]()
    for key in kept:
        total_before.update(before[key])
        total_after.update(after[key][1])
    changes = difference(total_before, total_after)
    if changes:
        columns: dict[str, Any] = {name: [getattr(key, name) for key, _ in changes] for name in Key._fields}
        driver.execute(_ADD, {**columns, "value": [value for _, value in changes]})
        driver.execute(_SWEEP_OUT, columns)


def _facts(session: Session, keys: list[int]) -> Iterator[tuple[int, Facts]]:
    try:
        yield from report.of(session, keys).items()
    except Exception:  # noqa: BLE001  (one that cannot be read stops nobody else)
        for key in keys:
            try:
                yield from report.of(session, [key]).items()
            except Exception as error:  # noqa: BLE001  (left as it was counted; `report verify` tells it)
                log.warning("dossier %s is not counted: %r", key, error, extra={"dossier": key})


def added(facts: Facts) -> Counter[Key]:
    """What a dossier adds, with its month in Paris and its département."""
    area = "" if facts.commune is None else departement(facts.commune)
    return contribution(facts, month=month(facts), departement=area)


def month(facts: Facts) -> date:
    """The month of submission, in Paris, by its first day."""
    return facts.submitted.astimezone(ZONE).date().replace(day=1)


def encode(counted: Counter[Key]) -> bytes:
    """In order of keys, so that the same is written the same."""
    return orjson.dumps([[*key, counted[key]] for key in sorted(counted)])


def decode(value: Any) -> Counter[Key]:
    """From the JSON form."""
    return Counter({Key(date.fromisoformat(one[0]), *one[1:-1]): one[-1] for one in value})


# --- the proof --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """What does not agree: a dossier, or a sum, and in what words."""

    dossier_id: int | None
    text: str


_EACH = """
select d.id, d.seq, f.seq, f.counted,
       exists (select from pending p where p.dossier_id = d.id) from dossiers d
left join facts f on f.dossier_id = d.id where """
_ROWS = f"{_EACH} d.id > %(last)s order by d.id limit %(limit)s"
_SOME = f"{_EACH} d.id = any(%(ids)s) order by d.id"
_SUMS = f"""
with reckoned as (
    select cast(e ->> 0 as date) as month, e ->> 1 as departement, e ->> 2 as topic, e ->> 3 as definition,
           cast(e ->> 4 as integer) as unit_id, e ->> 5 as rung, e ->> 6 as family, e ->> 7 as clock, e ->> 8 as measure,
           e ->> 9 as due, sum(cast(e ->> 10 as bigint)) as value
    from facts f, jsonb_array_elements(f.counted) e where f.month = %(month)s group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
)
select {_NAMES}, coalesce(r.value, 0), coalesce(c.value, 0)
from reckoned r full join (select * from counters where month = %(month)s) c using ({_NAMES})
where coalesce(r.value, 0) <> coalesce(c.value, 0) order by {_NAMES} limit 100
"""  # noqa: S608  (constants)


def verify(make: sessionmaker[Session], *, chunk: int = CHUNK) -> Iterator[tuple[int, list[Difference]]]:
    """Reckon every counter again from the journal; yields how many dossiers were read so far, and what differs.

    Each chunk, and the sums of each month, are read in one snapshot. Events that wait for their reaction are not missed.
    """
    last = read = 0
    while True:
        with make() as session:
            session.execute(text("set transaction isolation level repeatable read, read only"))
            rows = connection(session).execute(_ROWS, {"last": last, "limit": chunk}, binary=True).fetchall()
            found = [one for row in rows for one in _check(session, *row)]
        if not rows:
            break
        last, read = rows[-1][0], read + len(rows)
        yield read, found
    with make() as session:
        statement = (
            "select distinct month from facts where month is not null union select month from counters order by 1"
        )
        months = [row[0] for row in session.execute(text(statement))]
    for each in months:
        with make() as session:
            wrong = connection(session).execute(_SUMS, {"month": each}).fetchall()
        yield read, [Difference(None, _sum(row)) for row in wrong]


def verify_ids(session: Session, ids: Iterable[int]) -> list[Difference]:
    """The same for what some dossiers add, in the session's transaction; the sums are not looked at."""
    rows = connection(session).execute(_SOME, {"ids": list(ids)}, binary=True).fetchall()
    return [one for row in rows for one in _check(session, *row)]


def _check(
    session: Session, key: int, seq: int, counted_to: int | None, counted: Any, waits: int
) -> Iterator[Difference]:
    if counted_to != seq and not waits:
        yield Difference(key, f"compté jusqu'à l'événement {counted_to or 0}, le journal va jusqu'à {seq}")
        return
    if not counted_to:
        return
    wanted = added(report.of_one(session, key, counted_to))
    if wanted != decode(counted):
        wrong = [
            f"{name.clock or 'dossier'} {name.measure} : {by:+d}" for name, by in difference(decode(counted), wanted)
        ]
        yield Difference(key, f"ce qui est compté diffère de son journal ({'; '.join(wrong[:5])})")


def _sum(row: Any) -> str:
    *key, reckoned, kept = row
    return f"somme {' / '.join(str(part) for part in key if part not in ('', 0))} : {kept} gardé, {reckoned} calculé"


def repair(make: sessionmaker[Session], *, chunk: int = CHUNK) -> int:
    """Count again every dossier whose events were all reacted to, and the sums of each month; returns how many dossiers."""
    last = done = 0
    while True:
        with make.begin() as session:
            rows = connection(session).execute(_ROWS, {"last": last, "limit": chunk}, binary=True).fetchall()
            count(session, [row[0] for row in rows])
        if not rows:
            break
        last, done = rows[-1][0], done + len(rows)
    with make.begin() as session:
        session.execute(text("lock table facts in exclusive mode"))  # no reactor adds to a sum that is being made again
        session.execute(text("delete from counters"))
        session.execute(text(_AGAIN))
    return done


_AGAIN = f"""
insert into counters ({_NAMES}, value)
select cast(e ->> 0 as date), e ->> 1, e ->> 2, e ->> 3, cast(e ->> 4 as integer), e ->> 5, e ->> 6, e ->> 7, e ->> 8,
       e ->> 9, sum(cast(e ->> 10 as bigint))
from facts f, jsonb_array_elements(f.counted) e group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""  # noqa: S608  (constants)


# --- read -------------------------------------------------------------------------------------------------------------

_READ = """
select family, clock, case when measure = :open then case when cast(due as timestamptz) < :now then 'open_late'
    else 'open_in_time' end else measure end as measure, sum(value)
from counters where (cast(:since as date) is null or month >= :since) and (cast(:until as date) is null or month <= :until)
  and (cast(:unit as integer) is null or unit_id = :unit)
  and (cast(:departement as text) is null or departement = :departement)
  and (cast(:topic as text) is null or topic = :topic)
  and case when cast(:definition as text) is null then definition not in (
      select name || '@' || version from definitions where body ->> 'purpose' is not null)
      else cast(:definition as text) in (definition, split_part(definition, '@', 1)) end
group by 1, 2, 3
"""


def read(
    session: Session,
    now: datetime,
    *,
    since: date | None = None,
    until: date | None = None,
    unit: int | None = None,
    departement: str | None = None,
    topic: str | None = None,
    definition: str | None = None,
) -> Mapping[tuple[str, str, str], int]:
    """The counters of whole months by (family, clock, measure), with open promises sorted by their lateness at `now`;
    what is of dossiers, and not of a clock, has an empty family and clock. `since` and `until` are days of months. What is
    asked beside a dossier (an avis) is counted only where its `definition` (`avis`, `avis@1`) is asked for.
    """
    asked = {
        "open": OPEN, "now": now, "since": since and since.replace(day=1), "until": until and until.replace(day=1),
        "unit": unit, "departement": departement, "topic": topic,
        "definition": definition,
    }  # fmt: skip
    return {(row[0], row[1], row[2]): int(row[3]) for row in session.execute(text(_READ), asked)}
