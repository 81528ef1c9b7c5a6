"""Replay of a foreign log, in a database of its own: its cases become dossiers, its activities states, and the clock
fires in between. The figures are read from the journal, not from the log.

The log is staged whole, checked, and read back by time, so that memory is bounded whatever its size and its order. A
case is submitted at the earlier of its start and its first event, and closed at the later of its end and its
submission; an event after the close is kept without changing the state. `seed` makes every call twice under one
idempotency key, the second at a later place drawn from the seed, and interleaves the dossiers freely: each then lives
by its own time, and the sweep comes at the end.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from config.logs import Log, LogError
from states.clocks import STRICTLY_AFTER
from states.dossier import Actor
from states.errors import BadInput, CoupeFileError, Refused
from workflow import business_time, definitions, dossiers, sweep
from workflow.apply import connection
from workflow.dossiers import Request, Submission

IMPORTER = Actor(None, None, "importer")
GROUP = 1000
CHUNK = 5000
MAX_ACTIVITIES = 200
TIMED, UNTIMED = "log", "log-without-deadline"
CLOCK = "deadline"
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


def replay(
    make: sessionmaker[Session],
    log: Log,
    *,
    until: datetime | None = None,
    clock_runs: bool = True,
    seed: str | None = None,
    strict: bool = False,
    total: Callable[[int], None] = lambda _: None,
    done: Callable[[int], None] = lambda _: None,
    refused: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Replay a log in an unused database, up to an instant (by default the last one of the log).

    With `clock_runs=False` the clock never looks, neither by the sweep nor when a verb settles: nothing is ever late.
    `refused` is told what could not be applied, and its line; with `strict` the first such stops the replay.
    Raises LogError, BadInput before anything is applied; Refused.
    """
    _refuse_used(make)
    with make.begin() as session:
        _stage(session, log)
    try:
        with make.begin() as session:
            _derive(session)
            until, count = _order(session, until, seed)
        total(count)
        return _Run(make, until, clock_runs, seed is not None, strict, done, refused).play()
    finally:
        with make.begin() as session:
            session.execute(text("drop schema foreign_log cascade"))


def _refuse_used(make: sessionmaker[Session]) -> None:
    """A replay stops and moves business time: never where dossiers live, nor where a worker looks."""
    with make() as session:
        if session.execute(text("select exists (select from dossiers)")).scalar_one():
            raise BadInput(
                "database", "cette base contient déjà des dossiers", field="database_url", accepted="une base neuve"
            )
        if session.execute(text("select exists (select from heartbeats)")).scalar_one():
            raise BadInput(
                "database", "un exécutant se sert de cette base", field="database_url", accepted="une base neuve"
            )


# --- the log, staged --------------------------------------------------------------------------------------------------

_TABLES = (
    "drop schema if exists foreign_log cascade",
    "create schema foreign_log",
    """
    create unlogged table foreign_log.events (line bigint not null, case_key text not null, activity text not null,
        at timestamptz not null, starts timestamptz, ends timestamptz, deadline timestamptz)
    """,
)
_COPY = "copy foreign_log.events (line, case_key, activity, at, starts, ends, deadline) from stdin"
_CONTRADICTION = """
with first as (
    select distinct on (case_key) case_key, line, starts, ends, deadline from foreign_log.events order by case_key, line
)
select e.line, f.line as before, e.case_key,
       case when e.starts is distinct from f.starts then 'start' when e.ends is distinct from f.ends then 'end'
            else 'deadline' end as role
from foreign_log.events e join first f using (case_key)
where (e.starts, e.ends, e.deadline) is distinct from (f.starts, f.ends, f.deadline) order by e.line limit 1
"""
_BACKWARDS = """
select line, before, case_key, at, at_before from (
    select line, case_key, at, lag(at) over w as at_before, lag(line) over w as before
    from foreign_log.events window w as (partition by case_key order by line)) e
where at < at_before order by line limit 1
"""
_CASES = (
    """
    create unlogged table foreign_log.cases as
    select case_key, line, submitted, case when ends is not null then greatest(ends, submitted) end as closed, deadline
    from (select case_key, min(line) as line, least(min(starts), min(at)) as submitted, min(ends) as ends,
                 min(deadline) as deadline from foreign_log.events group by case_key) c
    """,
    "create unique index on foreign_log.cases (case_key)",
    "analyze foreign_log.events",
    "analyze foreign_log.cases",
)


def _stage(session: Session, log: Log) -> None:
    """Write the whole log into tables apart, or nothing of it. Raises LogError."""
    for statement in _TABLES:
        session.execute(text(statement))
    with connection(session).cursor().copy(_COPY) as copy:
        for row in log.rows():
            copy.write_row((row.line, row.case, row.activity, row.time, row.start, row.end, row.deadline))
    if not session.execute(text("select exists (select from foreign_log.events)")).scalar_one():
        raise LogError("aucun événement dans ce journal", line=2, accepted="au moins une ligne après l'en-tête")
    wrong = session.execute(text(_CONTRADICTION)).first()
    if wrong is not None:
        rule = f"le dossier « {wrong.case_key[:60]} » a ici une autre valeur qu'à la ligne {wrong.before}"
        accepted = "une seule valeur par dossier, sur toutes ses lignes"
        raise LogError(rule, line=wrong.line, column=log.column(wrong.role), accepted=accepted)
    back = session.execute(text(_BACKWARDS)).first()
    if back is not None:
        rule = (
            f"le temps recule dans le dossier « {back.case_key[:60]} » : {back.at.isoformat()} après "
            f"{back.at_before.isoformat()} (ligne {back.before})"
        )
        accepted = "les lignes d'un dossier dans l'ordre du temps, quel que soit l'ordre des dossiers"
        raise LogError(rule, line=back.line, column=log.column("time"), accepted=accepted)
    _check_activities(session, log)
    for statement in _CASES:
        session.execute(text(statement))


def _check_activities(session: Session, log: Log) -> None:
    """A state for each activity is a machine of their number squared: a column of free text is not one of activities."""
    counting = (
        "select activity, min(line) as line from foreign_log.events group by activity order by 2 offset :most limit 1"
    )
    beyond = session.execute(text(counting), {"most": MAX_ACTIVITIES}).first()
    if beyond is not None:
        rule = f"plus de {MAX_ACTIVITIES} activités différentes"
        accepted = f"{MAX_ACTIVITIES} activités au plus (--map activity=COLONNE)"
        raise LogError(rule, line=beyond.line, column=log.column("activity"), accepted=accepted)


# --- the definition ---------------------------------------------------------------------------------------------------


def _derive(session: Session) -> None:
    """The definition of the log, and another of the cases that have no deadline, if any."""
    activities = session.execute(text("select distinct activity from foreign_log.events")).scalars().all()
    names = trigger_names(activities)
    session.execute(text("create unlogged table foreign_log.names (activity text primary key, trigger text not null)"))
    session.execute(
        text("insert into foreign_log.names values (:activity, :trigger)"),
        [{"activity": activity, "trigger": trigger} for activity, trigger in names.items()],
    )
    for timed in session.execute(text("select distinct deadline is not null from foreign_log.cases")).scalars().all():
        definitions.add(session, definition(names, timed=timed))


def trigger_names(activities: Iterable[str]) -> dict[str, str]:
    """A name for each activity: its letters without their accents, and a number when two come to the same."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for activity in sorted(activities):
        plain = unicodedata.normalize("NFKD", activity).encode("ascii", "ignore").decode().lower()
        name = base = "a_" + re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50]
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        names[activity] = name
        taken.add(name)
    return names


def definition(names: Mapping[str, str], *, timed: bool) -> dict[str, Any]:
    """A state for each activity, each reached from every open state, loops included; after the close nothing moves."""
    by = ["importer"]
    labels = {name: activity for activity, name in names.items()}
    moves = [{"name": name, "label": label, "from": "open", "to": name, "by": by} for name, label in labels.items()]
    kept = [{"name": name, "label": label, "from": "closed", "to": "=", "by": by} for name, label in labels.items()]
    clock = {
        "family": "legal",
        "start": {"when": ["submit"]},
        "stop": {"when": ["close"]},
        "length": {"field": "due_on"},
        "due": {"record": "late"},
    }
    return {
        "schema": 1,
        "id": TIMED if timed else UNTIMED,
        "version": 1,
        "effective": {"from": "0001-01-01"},
        "initial": "received",
        "states": {
            "received": {"phase": "submitted"},
            **{name: {"phase": "triaged", "label": label} for name, label in labels.items()},
            "done": {"phase": "resolved", "terminal": True},
        },
        "roles": ["importer", "system"],
        "fields": {"case": {"type": "code"}, "due_on": {"type": "instant"}},
        "submission": {"by": by, "needs": ["case", "due_on"] if timed else ["case"]},
        "triggers": [*moves, *kept, {"name": "close", "from": "open", "to": "done", "by": by}],
        "clocks": {CLOCK: clock} if timed else {},
        "idle": {"elapsed_days": 36_500},
    }


# --- the acts ---------------------------------------------------------------------------------------------------------

_LAST = "select greatest((select max(at) from foreign_log.events), (select max(closed) from foreign_log.cases))"
_CALLS = """
create unlogged table foreign_log.calls as
select case_key, 0 as kind, line, submitted as at, null::text as trigger from foreign_log.cases where submitted <= :until
union all
select e.case_key, 1, e.line, e.at, n.trigger from foreign_log.events e join foreign_log.names n using (activity)
where e.at <= :until
union all
select case_key, 2, line, closed, 'close' from foreign_log.cases where closed <= :until
"""
_IN_TIME = """
create unlogged table foreign_log.acts as
select row_number() over (order by at, kind, line) as n, c.*, false as again from foreign_log.calls c
"""
# The first calls of a dossier keep their order, for their places are sorted draws; each is made again at a later place.
_SHUFFLED = """
create unlogged table foreign_log.acts as
with drawn as (
    select c.*, row_number() over (partition by case_key order by at, kind, line) as rank,
           ('x' || substr(md5(:seed || case_key || kind || ':' || line), 1, 8))::bit(32)::bigint / 4294967296.0 as place,
           ('x' || substr(md5(:seed || 'again' || case_key || kind || ':' || line), 1, 8))::bit(32)::bigint / 4294967296.0 as later
    from foreign_log.calls c
), sorted as (
    select case_key, place, row_number() over (partition by case_key order by place, kind, line) as rank from drawn
), twice as (
    select d.case_key, d.kind, d.line, d.at, d.trigger, false as again, s.place, rank from drawn d join sorted s using (case_key, rank)
    union all
    select d.case_key, d.kind, d.line, d.at, d.trigger, true, s.place + d.later * (1.5 - s.place), rank
    from drawn d join sorted s using (case_key, rank)
)
select row_number() over (order by place, rank, again, case_key) as n, case_key, kind, line, at, trigger, again from twice
"""
_READ = """
select a.n, a.case_key, a.kind, a.line, a.at, a.trigger, a.again, c.deadline
from foreign_log.acts a join foreign_log.cases c using (case_key) where a.n > :last order by a.n limit :chunk
"""


def _order(session: Session, until: datetime | None, seed: str | None) -> tuple[datetime, int]:
    """Lay out the acts to make, up to an instant (by default the last one of the log); returns it and their number."""
    last: datetime = until or session.execute(text(_LAST)).scalar_one()
    session.execute(text(_CALLS), {"until": last})
    if seed is None:
        session.execute(text(_IN_TIME))
    else:
        session.execute(text(_SHUFFLED), {"seed": seed})
    session.execute(text("create unique index on foreign_log.acts (n)"))
    session.execute(text("analyze foreign_log.acts"))
    count: int = session.execute(text("select count(*) from foreign_log.acts")).scalar_one()
    return last, count


def _acts(make: sessionmaker[Session]) -> Iterator[Any]:
    """The acts in their order, read a chunk at a time, no transaction being open meanwhile."""
    last = 0
    while True:
        with make() as session:
            chunk = session.execute(text(_READ), {"last": last, "chunk": CHUNK}).all()
        if not chunk:
            return
        yield from chunk
        last = chunk[-1].n


@dataclass(slots=True)
class _Run:
    """One replay: the acts in their order, the clock in between."""

    make: sessionmaker[Session]
    until: datetime
    clock_runs: bool
    shuffled: bool
    strict: bool
    done: Callable[[int], None]
    refused: Callable[[str], None]
    figures: Figures = field(default_factory=Figures)
    wake: datetime | None = None

    def play(self) -> Figures:
        """Make every act, fire the clock up to `until`, and read the figures from the journal."""
        with self.make.begin() as session:
            first = session.execute(text("select min(at) from foreign_log.acts")).scalar()
            business_time.start_at(session, self.until if self.shuffled or first is None else first)
        for group in self._freely() if self.shuffled else self._in_time():
            self._apply(group)
            self.done(len(group))
        if self.clock_runs:
            self._sweep_to(self.until)
        with self.make.begin() as session:
            _stand_at(session, self.until)
        return self._figures()

    def _freely(self) -> Iterator[list[Any]]:
        """Groups of acts in the order drawn, in none of which a dossier comes twice."""
        group: list[Any] = []
        inside: set[str] = set()
        for act in _acts(self.make):
            if act.case_key in inside or len(group) >= GROUP:
                yield group
                group, inside = [], set()
            group.append(act)
            inside.add(act.case_key)
        yield group

    def _in_time(self) -> Iterator[list[Any]]:
        """Groups of acts in order of time; whatever wakes before an act is swept before it."""
        group: list[Any] = []
        for act in _acts(self.make):
            due = self.clock_runs and self.wake is not None and self.wake <= act.at
            if due or len(group) >= GROUP:
                yield group
                group = []
            if due:
                self._sweep_to(act.at)
            group.append(act)
            if act.kind == _SUBMIT and act.deadline is not None:  # it may wake before the next act
                wakes = max(act.deadline, act.at) + STRICTLY_AFTER
                self.wake = wakes if self.wake is None else min(self.wake, wakes)
        yield group

    def _sweep_to(self, instant: datetime) -> None:
        """Let the clock fire, at the very instant at which each dossier wakes, whatever wakes up to `instant`."""
        while True:
            with self.make.begin() as session:
                self.wake = session.execute(text(_NEXT)).scalar()
                if self.wake is None or self.wake > instant:
                    return
                _stand_at(session, self.wake)
            swept = sweep.sweep(self.make)
            if swept.stuck or not swept.done:
                sentence = f"l'horloge ne peut pas faire ce qui est échu le {self.wake.isoformat()} : rejeu abandonné"
                raise Refused("sweep", sentence)

    def _apply(self, group: Sequence[Any]) -> None:
        """Make a group of acts in one transaction.

        Dossiers know nothing of each other: the first acts of them all go together, then the second ones, and so on.
        """
        waves: list[list[Any]] = []
        turns: dict[str, int] = {}
        for act in group:
            turn = turns[act.case_key] = turns.get(act.case_key, -1) + 1
            if turn == len(waves):
                waves.append([])
            waves[turn].append(act)
        with self.make.begin() as session:
            ids = _ids(session, turns)
            for wave in waves:
                self._submit(session, [act for act in wave if act.kind == _SUBMIT], ids)
                self._perform(session, [act for act in wave if act.kind != _SUBMIT], ids)

    def _submit(self, session: Session, acts: Sequence[Any], ids: dict[str, int]) -> None:
        """Open dossiers, all together; one by one when one of them is refused."""
        if not acts:
            return
        try:
            opened = dossiers.submit(session, [_submission(act) for act in acts], actor=IMPORTER)
        except CoupeFileError as error:
            if len(acts) == 1:
                self._refuse(acts[0], error)
            else:
                for act in acts:
                    self._submit(session, [act], ids)
            return
        for act, one in zip(acts, opened, strict=True):
            ids[act.case_key] = one.dossier_id
            self._made(act, repeated=one.repeated)

    def _perform(self, session: Session, acts: Sequence[Any], ids: dict[str, int]) -> None:
        asked = {}
        for act in acts:
            if act.case_key in ids:
                asked[ids[act.case_key]] = act
            else:
                self._refuse(act, Refused("case", "son dossier n'a pas pu être ouvert", field="case"))
        if not asked:
            return
        requests = [
            Request(key, act.trigger, {}, idem=f"{act.kind}:{act.line}", at=act.at) for key, act in asked.items()
        ]
        for result in dossiers.perform(session, requests, actor=IMPORTER, clock_runs=self.clock_runs):
            act = asked[result.dossier_id]
            if result.error is not None:
                self._refuse(act, result.error)
            else:
                self._made(act, repeated=result.repeated)

    def _made(self, act: Any, *, repeated: bool) -> None:
        if act.again != repeated:
            words = "le second envoi n'a pas été reconnu" if act.again else "le premier envoi passe pour une répétition"
            raise Refused("repeat", f"ligne {act.line} : {words}")
        self.figures.repeated += repeated

    def _refuse(self, act: Any, error: Exception) -> None:
        """Count and tell what could not be applied, once; what is not a refusal is nothing to go on after."""
        if not isinstance(error, CoupeFileError):
            raise error
        if act.again:
            return
        if self.strict:
            raise Refused(error.code, f"ligne {act.line} : {error.message}", field=error.field, accepted=error.accepted)
        self.figures.events_refused += act.kind == _EVENT
        self.refused(f"ligne {act.line} : {_NAMES[act.kind]} refusé : {error}")

    def _figures(self) -> Figures:
        with self.make() as session:
            row = session.execute(text(_FIGURES), {"clock": f"{CLOCK}:%"}).one()
        found = self.figures
        found.dossiers, found.events, found.closed, found.closed_late, found.open, found.open_late = row
        found.until = self.until.isoformat()
        return found


_NEXT = "select min(wake_at) from dossiers where wake_at is not null and not stuck"
_NAMES = {_SUBMIT: "dépôt", _EVENT: "événement", _CLOSE: "clôture"}
_FIGURES = """
with late as (select distinct dossier_id from events where kind = 'clock.breach' and fired like :clock)
select (select count(*) from dossiers),
       (select count(*) from events where role = 'importer' and kind not in ('submit', 'close')),
       count(*) filter (where d.phase = 'resolved'), count(*) filter (where d.phase = 'resolved' and l.dossier_id is not null),
       count(*) filter (where d.phase <> 'resolved'), count(*) filter (where d.phase <> 'resolved' and l.dossier_id is not null)
from dossiers d left join late l on l.dossier_id = d.id
"""


def _stand_at(session: Session, instant: datetime) -> None:
    """Move frozen business time up to an instant, unless it is there already."""
    business_time.freeze(session, at=max(instant, business_time.now(session)))


def _ids(session: Session, cases: Iterable[str]) -> dict[str, int]:
    """The dossiers of cases that were opened before."""
    keys = {_key(case): case for case in cases}
    rows = session.execute(
        text("select submit_key, id from dossiers where submit_key = any(:keys)"), {"keys": list(keys)}
    )
    return {keys[row.submit_key]: row.id for row in rows}


def _key(case: str) -> str:
    """An idempotency key for a case: printable and short, whatever the case is called."""
    if case.isprintable() and len(case) <= dossiers.MAX_KEY:
        return case
    return hashlib.sha256(case.encode()).hexdigest()


def _submission(act: Any) -> Submission:
    args = {"case": act.case_key}
    if act.deadline is None:
        return Submission(args, definition=UNTIMED, key=_key(act.case_key), at=act.at)
    return Submission({**args, "due_on": act.deadline.isoformat()}, definition=TIMED, key=_key(act.case_key), at=act.at)
