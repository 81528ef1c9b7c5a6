"""The figures of the report, reckoned again by DuckDB from the events as they stand in a journal: another hand, another tool.

Nothing of the program is imported. What it is told of a definition is which kinds of events answer a holder.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

PAUSING = "('pause', 'restart', 'late_only')"
SHAPE = {
    "id": "BIGINT", "seq": "INTEGER", "at": "TIMESTAMPTZ", "effective": "TIMESTAMPTZ", "kind": "VARCHAR", "role": "VARCHAR",
    "command": "JSON", "facts": "JSON", "effect": "JSON",
}  # fmt: skip

DOSSIERS = """
create table dossiers as
with closings as (
    select id, seq, effective, role, effect->>'$.closed_at' as closed_at from events
    where json_exists(effect, '$.closed_at')
), last as (select distinct on (id) * from closings order by id, seq desc)
select e.id, min(e.effective) filter (e.seq = 1) as submitted, any_value(l.closed_at)::timestamptz as closed,
       any_value(l.role) = 'holder' and any_value(l.closed_at) is not null as left_,
       min_by(e.effective, e.seq) filter (e.seq > 1 and e.effect->>'$.phase' in ('triaged', 'escalated')) as triaged,
       bool_or(e.seq = 1 and e.effect->>'$.phase' = 'submitted') as sorts,
       min_by(e.effective, e.seq) filter (e.seq > 1 and e.role not in ('holder', 'system')
            and list_contains(getvariable('answers'), e.kind)) as answered,
       count(*) filter (e.kind = 'clock.remind') as reminders, count(*) filter (e.kind = 'escalate') as escalations,
       count(*) filter (e.kind = 'escalate' and e.role = 'system') as by_clock,
       count(*) filter (e.kind = 'reopen') as reopened
from events e left join last l using (id) group by e.id;
"""
# A cycle of a clock ends where it says so, else where the next one begins, else with its dossier. A date that was
# changed (the facts name the cycle before) is no new one.
PROMISES = """
create table promises as
with changes as (
    select e.id, e.seq, e.effective, e.facts, c.key as clock, (c.value->>'n')::integer as n,
           (c.value->>'start')::timestamptz as start, (c.value->>'due')::timestamptz as due,
           (c.value->>'end')::timestamptz as ended
    from events e, json_each(e.effect, '$.clocks') c
), marked as (
    select *, lag(n) over w as was, lag(ended) over w as was_ended from changes
    window w as (partition by id, clock order by seq)
), numbered as (
    select *, sum(case when was is null or (was <> n and not (was_ended is null
            and coalesce((facts->>'$.was.cycle')::integer, -1) = was)) then 1 else 0 end)
        over (partition by id, clock order by seq) as promise
    from marked
), each as (
    select id, clock, promise, max_by(start, seq) as start, max_by(due, seq) as due, arg_max_null(ended, seq) as ended,
           min(effective) as begun
    from numbered group by all
)
select p.id, p.clock, p.start, p.due,
       coalesce(p.ended, lead(p.begun) over (partition by p.id, p.clock order by p.promise), d.closed) as ended
from each p join dossiers d using (id);
"""
# Who has the ball after each event, and until the next one.
COURT = f"""
create table spans as
with after as (
    select id, seq, max(effective) over w as since,
           last_value(effect->>'$.unit' ignore nulls) over w as unit,
           last_value(effect->'$.holds[#-1]' ignore nulls) over w as hold,
           last_value(case when json_exists(effect, '$.closed_at') then coalesce(effect->>'$.closed_at', '') end ignore nulls)
               over w as closed
    from events window w as (partition by id order by seq)
)
select id, since, lead(since, 1, getvariable('now')) over (partition by id order by seq) as until,
       case when coalesce(closed, '') <> '' then 'closed'
            when hold is not null and hold->>'end' is null and exists (
                select 1 from json_each(hold, '$.touches') t where t.value->>'$' in {PAUSING})
            then case when hold->>'motive' = 'third_party' then 'third_party' else 'holder' end
            when unit is null then 'nobody' else 'unit:' || unit end as party
from after;
"""
WAITS = """
create table waits as
with one as (
    select d.*, coalesce(closed, getvariable('now')) as until from dossiers d
), three as (
    select id, 'triage' as wait, submitted, coalesce(triaged, until) as until, triaged is not null as over_ from one where sorts
    union all select id, 'first_answer', submitted, coalesce(answered, until), answered is not null from one
    union all select id, 'resolution', submitted, until, closed is not null and not left_ from one
)
select t.id, wait, over_, epoch_us(t.until) - epoch_us(submitted) as gross,
       epoch_us(t.until) - epoch_us(submitted) - coalesce((
           select sum(greatest(epoch_us(least(s.until, t.until)) - epoch_us(s.since), 0)) from spans s
           where s.id = t.id and s.party in ('holder', 'third_party')), 0) as net
from three t;
"""


class Duck:
    """Figures of some events as of an instant."""

    def __init__(self, events: Iterable[dict[str, Any]], now: datetime, answers: list[str]) -> None:
        self.db = duckdb.connect()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "events.ndjson"
            with path.open("w") as file:
                for event in events:
                    file.write(json.dumps(event, default=str) + "\n")
            columns = ", ".join(f"'{name}': '{kind}'" for name, kind in SHAPE.items())
            self.db.execute(
                f"create table events as select * from read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"
            )
        self.db.execute("set variable now = ?::timestamptz", [now])
        self.db.execute("set variable answers = ?::varchar[]", [answers])
        for statement in (DOSSIERS, PROMISES, COURT, WAITS):
            self.db.execute(statement)

    def all(self, statement: str) -> list[tuple[Any, ...]]:
        return self.db.execute(statement).fetchall()

    def boxes(self) -> dict[str, dict[str, int]]:
        rows = self.all("""
            select clock, (case when ended is null then 'open' else 'closed' end) || '_' ||
                   (case when coalesce(ended, getvariable('now')) > due then 'late' else 'in_time' end) as box, count(*)
            from promises group by all""")
        found: dict[str, dict[str, int]] = {}
        for clock, box, number in rows:
            found.setdefault(clock, {})[box] = number
        return found

    def totals(self) -> tuple[int, ...]:
        return self.all("""select count(*), count(*) filter (closed is null), count(*) filter (closed is not null and not left_),
            sum(escalations), sum(by_clock), sum(reminders), sum(reopened) from dossiers""")[0]

    def court(self) -> dict[str, int]:
        rows = self.all("""select party, sum(greatest(epoch_us(until) - epoch_us(since), 0))::bigint as lasted from spans
            where party <> 'closed' group by 1 having lasted > 0""")
        return dict(rows)

    def curve(self, wait: str, which: str) -> list[tuple[int, int, int, float, float, float]]:
        """(time, at risk, events, share waiting, and its interval) by Kaplan and Meier, Greenwood, log(-log)."""
        return self.all(f"""
            with ends as (select {which} as t, count(*) as n, count(*) filter (over_) as d from waits where wait = '{wait}' group by 1),
            risk as (select t, d, sum(n) over (order by t rows between current row and unbounded following) as r from ends),
            steps as (
                select t, r, d, exp(sum(case when r > d then ln(1 - d / r) else -1e9 end) over w) as s,
                       sum(case when r > d then d / (r * (r - d)) else 1e9 end) over w as v
                from risk where d > 0 window w as (order by t)
            )
            select t, r::bigint, d, s,
                   case when s <= 0 then 0 else pow(s, exp(1.959963984540054 * sqrt(v) / abs(ln(s)))) end,
                   case when s <= 0 then 0 else pow(s, exp(-1.959963984540054 * sqrt(v) / abs(ln(s)))) end
            from steps order by t""")
