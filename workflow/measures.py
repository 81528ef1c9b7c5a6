"""The figures that a monitor collects: how late the clock acted in the last hour, and how many dossiers there are."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from workflow.sweep import LATE_BOUNDS


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the clock came, in seconds of the dossiers' time, over the last real hour.

    `counts[i]` dossiers were at most `LATE_BOUNDS[i]` late and more than the bound before; the last counts the others.
    """

    counts: tuple[int, ...]
    total: float
    most: float


_COUNTS = ", ".join(f"coalesce(sum(late[{place}]), 0)::bigint" for place in range(1, len(LATE_BOUNDS) + 2))
_LATENESS = f"""
select array[{_COUNTS}] as counts, coalesce(sum(late_sum), 0) as total, coalesce(max(late_most), 0) as most
from sweeps where at > clock_timestamp() - interval '1 hour'
"""  # noqa: S608  (constants)


def lateness(session: Session) -> Lateness:
    """How late the clock came to the dossiers that it handled in the last hour."""
    row = session.execute(text(_LATENESS)).one()
    return Lateness(tuple(row.counts), row.total, row.most)


SMALL = 16_000_000
"""Bytes of the table of dossiers up to which they are counted; beyond, the planner's statistics say."""
# The size is asked in a subquery, once: beside the rows it would be asked for each of them, all million.
_PHASES = """
select phase, count(*) as number from dossiers where (select pg_relation_size('dossiers')) <= :small group by phase
union all
select v.phase, round(v.share * c.reltuples)::bigint
from pg_class c join pg_namespace s on s.oid = c.relnamespace
join pg_stats t on t.schemaname = s.nspname and t.tablename = c.relname and t.attname = 'phase'
cross join unnest(t.most_common_vals::text::text[], t.most_common_freqs) as v (phase, share)
where c.oid = 'dossiers'::regclass and pg_relation_size(c.oid) > :small and c.reltuples >= 0
"""


def phases(session: Session) -> dict[str, int]:
    """How many dossiers are in each phase: counted in a small table, in a large one as its statistics say."""
    return {row.phase: row.number for row in session.execute(text(_PHASES), {"small": SMALL})}
