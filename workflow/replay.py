"""Replay of a foreign log, in a database of its own: its cases become dossiers, its activities states, and the clock
fires in between. The figures are read from the journal, not from the log.

The log is staged in a table and read back by time, so that memory is bounded whatever its size and its order. A case is
submitted at the earlier of its start and its first event, and closed at the later of its end and its submission; an
event after the close is kept without changing the state. `shuffle` makes every call twice, with one idempotency key,
the second at a later place drawn from a seed, and interleaves the dossiers freely: each then has its own time.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from config.logs import Row
from states.clocks import STRICTLY_AFTER
from states.dossier import Actor
from states.errors import BadInput, CoupeFileError
from workflow import business_time, definitions, dossiers, sweep
from workflow.apply import connection
from workflow.dossiers import Request, Submission

IMPORTER = Actor(None, None, "importer")
BATCH = 500
CHUNK = 5000
DEFINITION = "log"
_SUBMIT, _EVENT, _CLOSE = 0, 1, 2  # the kinds of acts, in the order in which those of one instant are made


@dataclass(slots=True)
class Figures:
    """What a replay found, by the journal; `until` is the instant that the figures stand at."""

    dossiers: int = 0
    events: int = 0
    events_refused: int = 0
    closed: int = 0
    closed_late: int = 0
    open: int = 0
    open_late: int = 0
    until: str = ""
    repeated: int = 0
    refused: list[str] = field(default_factory=list)


STAGE = """
create table log_events (line bigint not null, case_key text not null, activity text not null, trigger text,
    at timestamptz not null, starts timestamptz, ends timestamptz, deadline timestamptz);
"""
# The cases of the log, with contradictions between their own rows; the acts, in the order they will be made.
_CASES = """
create table log_cases as
select case_key, min(line) as line, least(min(starts), min(at)) as submitted,
       case when max(ends) is not null then greatest(max(ends), least(min(starts), min(at))) end as closed, max(deadline) as deadline
from log_events group by case_key;
create unique index on log_cases (case_key);
"""
_CONTRADICTION = """
select case_key, min(line) as line,
       case when count(distinct starts) > 1 or (count(starts) not in (0, count(*))) then 'start'
            when count(distinct ends) > 1 or (count(ends) not in (0, count(*))) then 'end' else 'deadline' end as what
from log_events group by case_key
having count(distinct starts) > 1 or count(starts) not in (0, count(*))
    or count(distinct ends) > 1 or count(ends) not in (0, count(*))
    or count(distinct deadline) > 1 or count(deadline) not in (0, count(*))
order by 2 limit 1
"""
_BACKWARDS = """
select line, case_key from (select line, case_key, at, lag(at) over (partition by case_key order by line) as before from log_events) e
where at < before order by line
"""
_ACTS = """
create table log_acts as
select row_number() over (order by place, kind, line, again) as n, a.* from (
    select case_key, kind, line, at, trigger, false as again, at as place from log_once
) a;
create unique index on log_acts (n);
"""
_ONCE = """
create table log_once as
select case_key, 0 as kind, line, submitted as at, null::text as trigger from log_cases where submitted <= :until
union all
select case_key, 1, line, at, trigger from log_events where at <= :until
union all
select case_key, 2, line, closed, 'close' from log_cases where closed <= :until and submitted <= :until;
"""
# Every call twice. The first calls of a case keep their order: their places are sorted draws; a repeat comes later.
_SHUFFLED = """
create table log_acts as
with drawn as (
    select o.*, row_number() over (partition by case_key order by at, kind, line) as rank,
           ('x' || substr(md5(:seed || case_key || kind || ':' || line), 1, 8))::bit(32)::bigint / 4294967296.0 as chance,
           ('x' || substr(md5(:seed || 'again' || case_key || kind || ':' || line), 1, 8))::bit(32)::bigint / 4294967296.0 as later
    from log_once o
), placed as (
    select d.*, s.place from drawn d join (
        select case_key, chance as place, row_number() over (partition by case_key order by chance, kind, line) as rank from drawn
    ) s using (case_key, rank)
), twice as (
    select case_key, kind, line, at, trigger, false as again, place, rank from placed
    union all
    select case_key, kind, line, at, trigger, true, place + later * (1.5 - place), rank from placed
)
select row_number() over (order by place, rank, again) as n, case_key, kind, line, at, trigger, again from twice;
create unique index on log_acts (n);
"""


def stage(make: sessionmaker[Session], rows: Iterable[Row], *, strict: bool = False) -> list[str]:
    """Write the whole log into the staging table, or nothing. Returns remarks. Raises BadInput on a contradiction."""
    with make.begin() as session:
        session.execute(text("set local statement_timeout = 0"))
        for statement in STAGE.split(";")[:-1]:
            session.execute(text(statement))
        copying = "copy log_events (line, case_key, activity, at, starts, ends, deadline) from stdin"
        with connection(session).cursor().copy(copying) as copy:
            for row in rows:
                copy.write_row((row.line, row.case, row.activity, row.time, row.start, row.end, row.deadline))
        if not session.execute(text("select exists (select from log_events)")).scalar_one():
            raise BadInput("log", "aucun événement dans ce journal", field="time", accepted="au moins une ligne")
        wrong = session.execute(text(_CONTRADICTION)).first()
        if wrong is not None:
            sentence = f"le cas « {wrong.case_key[:60]} » (ligne {wrong.line}) porte deux valeurs différentes"
            raise BadInput(
                "log", sentence, field=wrong.what, accepted="une seule valeur par cas, sur toutes ses lignes"
            )
        backwards = session.execute(text(_BACKWARDS)).all()
        if backwards and strict:
            line, case = backwards[0].line, backwards[0].case_key
            sentence = f"ligne {line} : le temps recule à l'intérieur du cas « {case[:60]} »"
            raise BadInput("log", sentence, field="time", accepted="les événements d'un cas dans l'ordre du temps")
        for statement in _CASES.split(";")[:-1]:
            session.execute(text(statement))
        return [
            f"ligne {row.line} : le temps recule à l'intérieur du cas « {row.case_key[:60]} » ; remis dans l'ordre"
            for row in backwards
        ]


def derive(make: sessionmaker[Session]) -> None:
    """The definition of the log: a state for each activity, each reached from every open state, loops included."""
    with make.begin() as session:
        activities = session.execute(text("select distinct activity from log_events order by activity")).scalars().all()
        names = _names(activities)
        timed = session.execute(text("select count(*) from log_cases where deadline is null")).scalar_one() == 0
        for activity, name in names.items():
            session.execute(
                text("update log_events set trigger = :name where activity = :activity"),
                {"name": name, "activity": activity},
            )
        definitions.add(session, _definition(names, timed=timed))


def _names(activities: Iterable[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for activity in activities:
        plain = unicodedata.normalize("NFKD", activity).encode("ascii", "ignore").decode().lower()
        name = base = ("a_" + re.sub(r"[^a-z0-9]+", "_", plain).strip("_"))[:56]
        number = 1
        while name in names.values():
            number += 1
            name = f"{base}_{number}"
        names[activity] = name
    return names


def _definition(names: Mapping[str, str], *, timed: bool) -> dict[str, Any]:
    asked = ["case", "due_on"] if timed else ["case"]
    clock = {
        "family": "legal",
        "start": {"when": ["submit"]},
        "stop": {"when": ["close"]},
        "length": {"field": "due_on"},
        "due": {"record": "late"},
    }
    by = ["importer"]
    moves = [
        {"name": name, "label": label[:500], "from": "open", "to": name, "by": by} for label, name in names.items()
    ]
    kept = [{"name": name, "from": "closed", "to": "=", "by": by} for name in names.values()]
    states: dict[str, Any] = {name: {"phase": "triaged", "label": label[:500]} for label, name in names.items()}
    return {
        "schema": 1,
        "id": DEFINITION,
        "version": 1,
        "effective": {"from": "1900-01-01"},
        "initial": "received",
        "states": {"received": {"phase": "submitted"}, **states, "done": {"phase": "resolved", "terminal": True}},
        "roles": ["importer", "system"],
        "fields": {"case": {"type": "text", "max": 10_000}, "due_on": {"type": "instant"}},
        "submission": {"by": by, "needs": asked},
        "triggers": [*moves, *kept, {"name": "close", "from": "open", "to": "done", "by": by}],
        "clocks": {"deadline": clock} if timed else {},
        "idle": {"elapsed_days": 36_500},
    }


def order(make: sessionmaker[Session], until: datetime | None, seed: str | None) -> tuple[datetime, int]:
    """Lay out the acts to make, up to an instant (by default the last one of the log). Returns it and their number."""
    with make.begin() as session:
        session.execute(text("set local statement_timeout = 0"))
        last = session.execute(
            text("select greatest((select max(at) from log_events), (select max(closed) from log_cases))")
        ).scalar_one()
        until = until or last
        session.execute(text(_ONCE.rstrip(";\n ")), {"until": until})
        for statement in (_ACTS if seed is None else _SHUFFLED).split(";")[:-1]:
            session.execute(text(statement), {"seed": seed} if ":seed" in statement else {})
        count: int = session.execute(text("select count(*) from log_acts")).scalar_one()
        return until, count


@dataclass(slots=True)
class Run:
    """One replay: the acts in their order, the clock in between."""

    make: sessionmaker[Session]
    until: datetime
    clock_runs: bool
    shuffled: bool
    strict: bool
    done: Callable[[int], None]
    figures: Figures = field(default_factory=Figures)
    wake: datetime | None = None

    def play(self) -> Figures:
        """Make every act, fire the clock up to `until`, and read the figures from the journal."""
        if not self.shuffled:
            with self.make.begin() as session:
                first = session.execute(text("select min(at) from log_acts")).scalar()
                if first is not None:
                    business_time.start_at(session, first)
        for batch in _batches(self.make):
            if self.clock_runs and not self.shuffled:
                self._in_time(batch)
            else:
                self._apply(batch)
            self.done(len(batch))
        if self.clock_runs:
            self._sweep_to(self.until)
        return self._figures()

    def _in_time(self, batch: list[Any]) -> None:
        """Make the acts of a batch in order of time; whatever wakes before an act is swept before it."""
        group: list[Any] = []
        for act in batch:
            if self.wake is not None and self.wake <= act.at:
                self._apply(group)
                group = []
                self._sweep_to(act.at)
            group.append(act)
            if act.kind == _SUBMIT and act.deadline is not None:  # it may wake before the next act
                due = max(act.deadline, act.at) + STRICTLY_AFTER
                self.wake = due if self.wake is None else min(self.wake, due)
        self._apply(group)

    def _sweep_to(self, instant: datetime) -> None:
        """Let the clock fire, at the instant each dossier wakes, whatever wakes up to `instant`."""
        while True:
            with self.make.begin() as session:
                self.wake = session.execute(text("select min(wake_at) from dossiers where not stuck")).scalar()
                if self.wake is None or self.wake > instant:
                    return
                if self.shuffled:
                    session.execute(text("update business_clock set anchor = :at, running = false"), {"at": instant})
                else:
                    business_time.freeze(session, at=self.wake)
            while sweep.sweep(self.make).more:
                continue

    def _apply(self, acts: list[Any]) -> None:
        if not acts:
            return
        with self.make.begin() as session:
            opening = [act for act in acts if act.kind == _SUBMIT]
            if opening:
                self._submit(session, opening)
            asked = [act for act in acts if act.kind != _SUBMIT]
            if asked:
                self._perform(session, asked)

    def _submit(self, session: Session, acts: list[Any]) -> None:
        submissions = []
        for act in acts:
            args = {"case": act.case_key}
            if act.deadline is not None:
                args["due_on"] = act.deadline.isoformat()
            submissions.append(Submission(args, definition=DEFINITION, key=_key(act.case_key), at=act.at))
        for act, submitted in zip(acts, dossiers.submit(session, submissions, actor=IMPORTER), strict=True):
            self._count(act, repeated=submitted.repeated, error=None)

    def _perform(self, session: Session, acts: list[Any]) -> None:
        keys = {_key(act.case_key): act for act in acts}
        rows = session.execute(
            text("select id, submit_key from dossiers where submit_key = any(:keys)"), {"keys": list(keys)}
        )
        ids = {row.submit_key: row.id for row in rows}
        requests, asked = [], {}
        for key, act in keys.items():
            if key not in ids:
                self._count(act, repeated=False, error=BadInput("case", "le dossier n'existe pas"))
                continue
            asked[ids[key]] = act
            requests.append(Request(ids[key], act.trigger, {}, idem=f"{act.kind}:{act.line}", at=act.at))
        for result in dossiers.perform(session, requests, actor=IMPORTER, clock_runs=self.clock_runs):
            self._count(asked[result.dossier_id], repeated=result.repeated, error=result.error)

    def _count(self, act: Any, *, repeated: bool, error: Exception | None) -> None:
        if error is not None:
            sentence = f"ligne {act.line} : {error}"
            if self.strict:
                raise error if isinstance(error, CoupeFileError) else RuntimeError(sentence)
            self.figures.events_refused += act.kind == _EVENT and not act.again
            self.figures.refused.append(sentence)
        elif act.again and not repeated:
            message = f"ligne {act.line} : le second envoi n'a pas été reconnu"
            raise RuntimeError(message)
        self.figures.repeated += repeated

    def _figures(self) -> Figures:
        with self.make() as session:
            row = session.execute(text(_FIGURES)).one()
        found = self.figures
        found.dossiers, found.events, found.closed, found.closed_late, found.open, found.open_late = row
        found.until = self.until.isoformat()
        return found


_FIGURES = """
with late as (select distinct dossier_id from events where kind = 'clock.breach' and fired like 'deadline:%')
select (select count(*) from dossiers),
       (select count(*) from events where role = 'importer' and kind not in ('submit', 'close')),
       count(*) filter (where d.phase = 'resolved'), count(*) filter (where d.phase = 'resolved' and l.dossier_id is not null),
       count(*) filter (where d.phase <> 'resolved'), count(*) filter (where d.phase <> 'resolved' and l.dossier_id is not null)
from dossiers d left join late l on l.dossier_id = d.id
"""
_READ = """
select a.n, a.case_key, a.kind, a.line, a.at, a.trigger, a.again, c.deadline
from log_acts a join log_cases c using (case_key) where a.n > :last order by a.n limit :chunk
"""


def _key(case: str) -> str:
    """An idempotency key for a case: printable and short, whatever the case is called."""
    if case.isprintable() and len(case) <= dossiers.MAX_KEY:
        return case
    return hashlib.sha256(case.encode()).hexdigest()


def _batches(make: sessionmaker[Session]) -> Iterator[list[Any]]:
    """The acts in their order, in batches in which no dossier comes twice."""
    last = 0
    batch: list[Any] = []
    inside: set[str] = set()
    while True:
        with make() as session:
            chunk = session.execute(text(_READ), {"last": last, "chunk": CHUNK}).all()
        if not chunk:
            break
        last = chunk[-1].n
        for act in chunk:
            if act.case_key in inside or len(batch) >= BATCH:
                yield batch
                batch, inside = [], set()
            batch.append(act)
            inside.add(act.case_key)
    if batch:
        yield batch


def replay(
    make: sessionmaker[Session],
    rows: Iterable[Row],
    *,
    until: datetime | None = None,
    clock_runs: bool = True,
    seed: str | None = None,
    strict: bool = False,
    total: Callable[[int], None] = lambda _: None,
    done: Callable[[int], None] = lambda _: None,
) -> tuple[Figures, list[str]]:
    """Replay a log in an empty database; returns the figures and remarks about the log. Raises BadInput.

    With `clock_runs=False` the clock never looks, neither by the sweep nor when a verb settles: nothing is ever late.
    """
    with make() as session:
        if session.execute(text("select exists (select from dossiers)")).scalar_one():
            raise BadInput(
                "database", "cette base contient déjà des dossiers", field="database", accepted="une base neuve"
            )
    remarks = stage(make, rows, strict=strict)
    derive(make)
    until, count = order(make, until, seed)
    total(count)
    run = Run(make, until, clock_runs, seed is not None, strict, done)
    return run.play(), remarks
