"""Replay of a foreign log, in a database of its own: its cases become dossiers, its activities states, and the clock
fires in between. The figures are read from the journal, not from the log.

The log is staged whole, checked, and read back by time, so that memory is bounded whatever its size and its order. A
case is submitted at the earlier of its start and its first event, and closed at the later of its end and its
submission; an event after the close is kept without changing the state. With a shape, the events themselves close and
open a case again, put it on a rung, begin and end its waits. `seed` makes every call twice under one idempotency key,
the second at a later place drawn from the seed, and interleaves the dossiers freely: each then lives by its own time,
and the sweep comes at the end.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from config.log_error import LogError
from config.logs import Log, Row
from states.dossier import SYSTEM, Actor
from states.errors import BadInput, CoupeFileError, Refused
from workflow import business_time, definitions, dossiers, shape
from workflow.apply import connection
from workflow.directory import ANYWHERE
from workflow.dossiers import Request, Submission
from workflow.models import Competence, Unit
from workflow.shape import FAR, GROSS, NET, OWN, TOLD, Shape

IMPORTER = Actor(None, None, "importer")
GROUP = 1000
CHUNK = 5000
MAX_ACTIVITIES = 200
TIMED, UNTIMED = "log", "log-without-deadline"
CLOCK = "deadline"
# The kinds of acts, in the order in which those of one event are made.
_SUBMIT, _REOPEN, _RESUME, _PLACE, _EVENT, _WAIT, _CLOSE = range(7)


@dataclass(slots=True)
class Waits:
    """The waits of one motive: whose court the ball was in, how many there were, how long they lasted in all."""

    court: str
    count: int = 0
    lasted: timedelta = timedelta(0)


@dataclass(slots=True)
class OnRung:
    """What a rung held: how often a case came to it, and how long cases stood on it in all, waits included."""

    label: str
    visits: int = 0
    lasted: timedelta = timedelta(0)


@dataclass(slots=True)
class Shaped:
    """What a replay found beside, when the log has a shape. Late gross is late when no wait pauses any clock."""

    closed_late_gross: int = 0
    open_late_gross: int = 0
    reopened: int = 0
    climbs: int = 0
    descents: int = 0
    waits: dict[str, Waits] = field(default_factory=dict)
    rungs: dict[str, OnRung] = field(default_factory=dict)


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
    shaped: Shaped | None = None


def replay(
    make: sessionmaker[Session],
    log: Log,
    *,
    form: Shape | None = None,
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
        _stage(session, log, form)
    try:
        with make.begin() as session:
            units = _derive(session, form)
            until, count = _order(session, until, seed, form)
        total(count)
        return _Run(make, until, clock_runs, seed is not None, strict, done, refused, form, units).play()
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
    create unlogged table foreign_log.events (n bigint not null, line bigint not null, case_key text not null,
        activity text not null, at timestamptz not null, starts timestamptz, ends timestamptz, deadline timestamptz,
        rung smallint, motive text, closes boolean not null)
    """,
)
_COPY = (
    "copy foreign_log.events (n, line, case_key, activity, at, starts, ends, deadline, rung, motive, closes) from stdin"
)
_CONTRADICTION = """
with first as (
    select distinct on (case_key) case_key, line, starts, ends, deadline from foreign_log.events order by case_key, n
)
select e.line, f.line as before, e.case_key,
       case when e.starts is distinct from f.starts then 'start' when e.ends is distinct from f.ends then 'end'
            else 'deadline' end as role
from foreign_log.events e join first f using (case_key)
where (e.starts, e.ends, e.deadline) is distinct from (f.starts, f.ends, f.deadline) order by e.n limit 1
"""
_BACKWARDS = """
select line, before, case_key, at, at_before from (
    select n, line, case_key, at, lag(at) over w as at_before, lag(line) over w as before
    from foreign_log.events window w as (partition by case_key order by n)) e
where at < at_before order by n limit 1
"""
_CASES = (
    """
    create unlogged table foreign_log.cases as
    select case_key, first, last, line, submitted, case when ends is not null then greatest(ends, submitted) end as closed,
           deadline
    from (select case_key, min(n) as first, max(n) as last, min(line) as line, least(min(starts), min(at)) as submitted,
                 min(ends) as ends, min(deadline) as deadline from foreign_log.events group by case_key) c
    """,
    "create unique index on foreign_log.cases (case_key)",
    "analyze foreign_log.events",
    "analyze foreign_log.cases",
)


def _stage(session: Session, log: Log, form: Shape | None) -> None:
    """Write the whole log into tables apart, or nothing of it. Raises LogError."""
    for statement in _TABLES:
        session.execute(text(statement))
    with connection(session).cursor().copy(_COPY) as copy:
        for n, row in enumerate(log.rows()):
            copy.write_row(
                (n, row.line, row.case, row.activity, row.time, row.start, row.end, row.deadline, *_read_by(form, row))
            )
    if not session.execute(text("select exists (select from foreign_log.events)")).scalar_one():
        _refuse_empty(log)
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


def _read_by(form: Shape | None, row: Row) -> tuple[int | None, str | None, bool]:
    """What an event means under a shape: its rung, the motive of its wait, whether it closes its case."""
    return (None, None, False) if form is None else (form.rung(row.said), form.motive(row.said), form.ends(row.said))


def _refuse_empty(log: Log) -> None:
    left = log.left_out.events
    if left:
        told = ", ".join(f"{name} ({count})" for name, count in left.most_common())
        rule = f"aucun événement ne compte : tous sont écartés par leur transition, {told}"
        raise LogError(rule, column=log.column("lifecycle"), accepted="--lifecycle TRANSITION, ou --lifecycle toutes")
    raise LogError("aucun événement dans ce journal", accepted="au moins un événement")


def _check_activities(session: Session, log: Log) -> None:
    """A state for each activity is a machine of their number squared: a column of free text is not one of activities."""
    counting = "select activity, min(line) as line from foreign_log.events group by activity order by min(n) offset :most limit 1"
    beyond = session.execute(text(counting), {"most": MAX_ACTIVITIES}).first()
    if beyond is not None:
        rule = f"plus de {MAX_ACTIVITIES} activités différentes"
        accepted = f"{MAX_ACTIVITIES} activités au plus (--map activity=COLONNE)"
        raise LogError(rule, line=beyond.line, column=log.column("activity"), accepted=accepted)


# --- the definition ---------------------------------------------------------------------------------------------------


def _derive(session: Session, form: Shape | None) -> list[int]:
    """The definition of the log, and another of the cases that have no deadline, if any.

    Under a shape, the definition that follows from it; returns the keys of the units that stand on its rungs.
    """
    activities = session.execute(text("select distinct activity from foreign_log.events")).scalars().all()
    names = trigger_names(activities)
    session.execute(text("create unlogged table foreign_log.names (activity text primary key, trigger text not null)"))
    session.execute(
        text("insert into foreign_log.names values (:activity, :trigger)"),
        [{"activity": activity, "trigger": trigger} for activity, trigger in names.items()],
    )
    if form is not None:
        definitions.add(session, shape.definition(form, names))
        return _ladder(session, form)
    for timed in session.execute(text("select distinct deadline is not null from foreign_log.cases")).scalars().all():
        definitions.add(session, definition(names, timed=timed))
    return []


def _ladder(session: Session, form: Shape) -> list[int]:
    """A unit on each rung, competent for everything everywhere."""
    units = [Unit(code=rung.rung, name=rung.label or rung.rung, level="line") for rung in form.rungs]
    session.add_all(units)
    session.flush()
    session.add_all(
        Competence(topic=ANYWHERE, area=ANYWHERE, rung=index, unit_id=unit.id) for index, unit in enumerate(units)
    )
    session.flush()
    return [unit.id for unit in units]


def trigger_names(activities: Iterable[str]) -> dict[str, str]:
    """A name for each activity: its letters without their accents, and a number when two come to the same."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for activity in sorted(activities):
        plain = unicodedata.normalize("NFKD", activity).encode("ascii", "ignore").decode().lower()
        name = base = OWN + re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50]
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
select case_key, 0 as kind, first as n, line, submitted as at, null::text as trigger, null::smallint as rung,
       null::text as motive
from foreign_log.cases where submitted <= :until
union all
select e.case_key, 4, e.n, e.line, e.at, names.trigger, null, null
from foreign_log.events e join foreign_log.names using (activity) where e.at <= :until
union all
select case_key, 6, last, line, closed, 'close', null, null from foreign_log.cases where closed <= :until
"""
# What an event asks for is what it says that the event before it in its case did not. A closed case is told its rung when
# it is opened again.
_SHAPED_CALLS = """
create unlogged table foreign_log.calls as
with e as (
    select e.*, names.trigger, row_number() over w = 1 as first, coalesce(lag(closes) over w, false) as was_closed,
           lag(rung) over w as was_rung, lag(motive) over w as was_motive
    from foreign_log.events e join foreign_log.names using (activity)
    where e.at <= :until window w as (partition by case_key order by n)
)
select case_key, 0 as kind, n, line, at, null::text as trigger, null::smallint as rung, null::text as motive
from e where first
union all
select case_key, 1, n, line, at, 'reopen', null, null from e where was_closed and not closes
union all
select case_key, 2, n, line, at, 'resume', null, null from e where was_motive <> coalesce(motive, '')
union all
select case_key, 3, n, line, at, r.trigger, e.rung, null
from e join unnest(cast(:places as text[])) with ordinality as r (trigger, above) on r.above = e.rung + 1
where first or (was_closed and not closes) or (not was_closed and e.rung <> was_rung)
union all
select case_key, 4, n, line, at, trigger, null, null from e
union all
select case_key, 5, n, line, at, 'wait', null, motive from e where motive <> coalesce(was_motive, '')
union all
select case_key, 6, n, line, at, 'close', null, null from e where closes and not was_closed
"""
_IN_TIME = """
create unlogged table foreign_log.acts as
select row_number() over (order by at, n, kind) as place, c.*, false as again from foreign_log.calls c
"""
# The first calls of a dossier keep their order, for their places are sorted draws; each is made again at a later place.
_SHUFFLED = """
create unlogged table foreign_log.acts as
with drawn as (
    select c.*, row_number() over (partition by case_key order by at, n, kind) as rank,
           ('x' || substr(md5(:seed || case_key || kind || ':' || n), 1, 8))::bit(32)::bigint / 4294967296.0 as early,
           ('x' || substr(md5(:seed || 'again' || case_key || kind || ':' || n), 1, 8))::bit(32)::bigint / 4294967296.0 as late
    from foreign_log.calls c
), sorted as (
    select case_key, early, row_number() over (partition by case_key order by early, n, kind) as rank from drawn
), twice as (
    select d.case_key, d.kind, d.n, d.line, d.at, d.trigger, d.rung, d.motive, false as again, s.early as drawn, rank
    from drawn d join sorted s using (case_key, rank)
    union all
    select d.case_key, d.kind, d.n, d.line, d.at, d.trigger, d.rung, d.motive, true, s.early + d.late * (1.5 - s.early), rank
    from drawn d join sorted s using (case_key, rank)
)
select row_number() over (order by drawn, rank, again, case_key) as place, case_key, kind, n, line, at, trigger, rung, motive, again
from twice
"""
_READ = """
select a.*, c.deadline from foreign_log.acts a join foreign_log.cases c using (case_key)
where a.place > :last order by a.place limit :chunk
"""


def _order(session: Session, until: datetime | None, seed: str | None, form: Shape | None) -> tuple[datetime, int]:
    """Lay out the acts to make, up to an instant (by default the last one of the log); returns it and their number."""
    last: datetime = until or session.execute(text(_LAST)).scalar_one()
    if form is None:
        session.execute(text(_CALLS), {"until": last})
    else:
        places = [TOLD + rung.rung for rung in form.rungs]
        session.execute(text(_SHAPED_CALLS), {"until": last, "places": places})
    if seed is None:
        session.execute(text(_IN_TIME))
    else:
        session.execute(text(_SHUFFLED), {"seed": seed})
    session.execute(text("create unique index on foreign_log.acts (place)"))
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
        last = chunk[-1].place


def _groups(acts: Iterator[Any]) -> Iterator[list[Any]]:
    """Groups of acts, in their order."""
    while group := list(islice(acts, GROUP)):
        yield group


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
    form: Shape | None
    units: Sequence[int]
    figures: Figures = field(default_factory=Figures)

    def play(self) -> Figures:
        """Make every act, fire the clock up to `until`, and read the figures from the journal."""
        with self.make.begin() as session:
            business_time.start_at(session, self.until)
        for group in _groups(_acts(self.make)):
            self._apply(group)
            self.done(len(group))
        while self.clock_runs:
            with self.make.begin() as session:
                asleep = session.execute(text(_DUE), {"until": self.until, "most": GROUP}).scalars().all()
                if not asleep:
                    break
                self._ring(session, dict.fromkeys(asleep, self.until))
        return self._figures()

    def _ring(self, session: Session, upto: Mapping[int, datetime]) -> None:
        """Let the clock act on some dossiers, as a sweep would at the very instant at which each wakes, up to its instant."""
        while True:
            rows = session.execute(text(_WAKES), {"ids": list(upto), "latest": max(upto.values(), default=self.until)})
            due = [Request(row.id, None, at=row.wake_at) for row in rows if row.wake_at <= upto[row.id]]
            if not due:
                return
            for result in dossiers.perform(session, due, actor=SYSTEM):
                if result.error is not None or not result.kinds:
                    sentence = (
                        f"l'horloge ne peut pas faire ce qui est échu au dossier {result.dossier_id} : rejeu abandonné"
                    )
                    raise Refused("sweep", sentence) from result.error

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
                if self.clock_runs and not self.shuffled:
                    self._ring(session, {ids[act.case_key]: act.at for act in wave if act.case_key in ids})
                self._submit(session, [act for act in wave if act.kind == _SUBMIT], ids)
                self._perform(session, [act for act in wave if act.kind != _SUBMIT], ids)

    def _submit(self, session: Session, acts: Sequence[Any], ids: dict[str, int]) -> None:
        """Open dossiers, all together; one by one when one of them is refused."""
        if not acts:
            return
        try:
            opened = dossiers.submit(session, [self._submission(act) for act in acts], actor=IMPORTER)
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

    def _submission(self, act: Any) -> Submission:
        args, key = {"case": act.case_key}, _key(act.case_key)
        if act.deadline is not None:
            return Submission({**args, "due_on": act.deadline.isoformat()}, definition=TIMED, key=key, at=act.at)
        return Submission(args, definition=UNTIMED if self.form is None else self.form.id, key=key, at=act.at)

    def _args(self, act: Any) -> dict[str, Any]:
        if act.kind == _PLACE:
            return {"to_unit": self.units[act.rung]}
        if act.kind == _WAIT:
            return {"motive": act.motive, "answer_by": (act.at + FAR).isoformat()}
        return {}

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
            Request(key, act.trigger, self._args(act), idem=f"{act.kind}:{act.n}", at=act.at)
            for key, act in asked.items()
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
        found, clock = self.figures, CLOCK if self.form is None else NET
        with self.make() as session:
            found.dossiers, found.events = session.execute(text(_COUNTED), {"own": OWN}).one()
            found.closed, found.closed_late, found.open, found.open_late = _late(session, clock)
            if self.form is not None:
                found.shaped = _shaped(session, self.form, self.until)
        found.until = self.until.isoformat()
        return found


_DUE = "select id from dossiers where wake_at <= :until order by wake_at limit :most"
_WAKES = "select id, wake_at from dossiers where id = any(:ids) and wake_at <= :latest"
_NAMES = {
    _SUBMIT: "dépôt",
    _REOPEN: "réouverture",
    _RESUME: "fin d'attente",
    _PLACE: "changement d'échelon",
    _EVENT: "événement",
    _WAIT: "attente",
    _CLOSE: "clôture",
}
_COUNTED = """
select (select count(*) from dossiers), (select count(*) from events where role = 'importer' and starts_with(kind, :own))
"""
_LATE = """
with late as (select distinct dossier_id from events where kind = 'clock.breach' and starts_with(fired, :clock))
select count(*) filter (where d.phase = 'resolved'), count(*) filter (where d.phase = 'resolved' and l.dossier_id is not null),
       count(*) filter (where d.phase <> 'resolved'), count(*) filter (where d.phase <> 'resolved' and l.dossier_id is not null)
from dossiers d left join late l on l.dossier_id = d.id
"""
_WAITED = """
select h ->> 'motive' as motive, count(*) as times,
       sum(coalesce((h ->> 'end')::timestamptz, :until) - (h ->> 'since')::timestamptz) as lasted
from dossiers d, jsonb_array_elements(d.holds) h group by 1
"""
_STOOD = """
with e as (
    select kind, (facts ->> 'rung')::smallint as rung, lead(effective, 1, :until) over w - effective as lasted
    from events where kind = 'close' or starts_with(kind, :told) window w as (partition by dossier_id order by seq)
)
select rung, count(*) as visits, sum(lasted) as lasted from e where kind <> 'close' group by rung
"""
_CLIMBED = """
with e as (
    select (facts ->> 'rung')::smallint as rung, lag((facts ->> 'rung')::smallint) over w as before
    from events where starts_with(kind, :told) window w as (partition by dossier_id order by seq)
)
select count(*) filter (where rung > before), count(*) filter (where rung < before),
       (select count(*) from events where kind = 'reopen')
from e
"""


def _late(session: Session, clock: str) -> tuple[int, int, int, int]:
    """Dossiers closed, of which late by one of some clocks, and open, of which late."""
    closed, closed_late, open_, open_late = session.execute(text(_LATE), {"clock": clock}).one()
    return closed, closed_late, open_, open_late


def _shaped(session: Session, form: Shape, until: datetime) -> Shaped:
    _, closed_late, _, open_late = _late(session, GROSS)
    climbs, descents, reopened = session.execute(text(_CLIMBED), {"told": TOLD}).one()
    waits = {motive: Waits(court) for motive, court in form.courts().items()}
    for row in session.execute(text(_WAITED), {"until": until}):
        waits[row.motive].count, waits[row.motive].lasted = row.times, row.lasted
    rungs = [OnRung(rung.label or rung.rung) for rung in form.rungs]
    for row in session.execute(text(_STOOD), {"until": until, "told": TOLD}):
        rungs[row.rung].visits, rungs[row.rung].lasted = row.visits, row.lasted
    named = {rung.rung: stood for rung, stood in zip(form.rungs, rungs, strict=True)}
    return Shaped(closed_late, open_late, reopened, climbs, descents, waits, named)


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
