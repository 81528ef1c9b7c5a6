"""The verbs: submit, and act. The clock and a person go through the same one.

A verb locks the rows (ids ascending, scope in the query), reads the business time under the lock, asks the pure core,
and hands the decisions to `apply`. The edge opens the transaction and commits it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from states import fields
from states.decide import decide
from states.decide import submit as decide_submit
from states.definition import CONSULT, PASS_ON, RECALL
from states.dossier import DUE, SYSTEM, Act, Actor, Clock, Context, Dossier, Hold, Json, Rung
from states.errors import BadInput, CoupeFileError, Refused
from workflow import access, directory, opinions, texts
from workflow.apply import LANE_BULK, LANE_PEOPLE, SLICE, Change, Opening, apply, connection, open_dossiers
from workflow.definitions import Loaded, for_submission, get
from workflow.journal import GENESIS
from workflow.models import DossierRow, EventRow, Party

MAX_KEY = 200
BULK = 50  # from this many dossiers in one call, their events wait behind people's


@dataclass(frozen=True, slots=True)
class Request:
    """One act on one dossier. `idem` makes a repeat harmless; `at` is an instant of record, for imports and replays."""

    dossier_id: int
    trigger: str | None
    args: Mapping[str, Any] = field(default_factory=dict)
    idem: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one request: `seq` of its event and the kinds of all that were written, or the error that refused it."""

    dossier_id: int
    seq: int = 0
    state: str = ""
    version: int = 0
    kinds: tuple[str, ...] = ()
    repeated: bool = False
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What opens a dossier. `key` makes a repeat harmless; `unit` is the service that is asked for an avis."""

    args: Mapping[str, Any]
    definition: str = "coupe-file"
    parties: tuple[int, ...] = ()
    key: str | None = None
    at: datetime | None = None
    reference: str | None = None
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """A dossier that a submission opened, now or the first time it was sent."""

    dossier_id: int
    reference: str
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Locked:
    """A row that this transaction holds locked."""

    id: int
    definition_id: int
    head: bytes
    dossier: Dossier
    error: Exception | None = None
    """Why the row cannot be read; its dossier is then empty. One bad row stops nobody else."""


# --- submit -----------------------------------------------------------------------------------------------------------


def submit(session: Session, submissions: Sequence[Submission], *, actor: Actor) -> list[Submitted]:
    """Open dossiers, all or none. A key already used gives the dossier it opened. Raises BadInput, Refused."""
    _check_keys(submission.key for submission in submissions)
    known = _by_key(session, submissions, actor)
    _check_same(session, submissions, known)
    fresh = [submission for submission in submissions if submission.key is None or submission.key not in known]
    try:
        with session.begin_nested():
            opened = _open(session, fresh, actor) if fresh else []
    except UniqueViolation as error:
        if error.diag.constraint_name != "uq_dossiers_submit_key":
            raise
        return submit(
            session, submissions, actor=actor
        )  # sent twice in this very moment: the other one's is the dossier
    given = iter(opened)
    return [
        known[submission.key] if submission.key is not None and submission.key in known else next(given)
        for submission in submissions
    ]


def _check_keys(keys: Any) -> None:
    for key in keys:
        if key is not None and (not 0 < len(key) <= MAX_KEY or not key.isprintable()):
            raise BadInput(
                "key", "clé d'idempotence illisible", field="key", accepted=f"1 à {MAX_KEY} signes imprimables"
            )


def _by_key(session: Session, submissions: Sequence[Submission], actor: Actor) -> dict[str, Submitted]:
    keys = [submission.key for submission in submissions if submission.key is not None]
    if len(set(keys)) != len(keys):
        raise BadInput(
            "key", "la même clé est donnée deux fois dans un seul envoi", field="key", accepted="une clé par dossier"
        )
    if not keys:
        return {}
    rows = session.execute(
        select(DossierRow.submit_key, DossierRow.id, DossierRow.reference).where(DossierRow.submit_key.in_(keys))
    ).all()
    if actor.role == "holder" and rows:
        theirs = select(Party.dossier_id).where(
            Party.person_id == actor.person, Party.dossier_id.in_([r.id for r in rows])
        )
        if len(set(session.execute(theirs).scalars())) < len(rows):
            raise BadInput("key", "cette clé a déjà servi", field="key", accepted="une clé nouvelle")
    return {str(row.submit_key): Submitted(row.id, row.reference, repeated=True) for row in rows}


def _check_same(session: Session, submissions: Sequence[Submission], known: Mapping[str, Submitted]) -> None:
    """Refuse another content under a key already used: it is not a repeat."""
    if not known:
        return
    recorded = session.execute(
        select(EventRow.dossier_id, EventRow.definition_id, EventRow.command).where(
            EventRow.dossier_id.in_([one.dossier_id for one in known.values()]), EventRow.seq == 1
        )
    )
    commands = {row.dossier_id: row for row in recorded}
    for submission in submissions:
        first = known.get(submission.key) if submission.key is not None else None
        if first is None:
            continue
        row = commands[first.dossier_id]
        definition = get(session, row.definition_id).compiled.definition
        given = fields.check(
            definition, definition.submission, directory.resolve(session, definition, dict(submission.args))
        )
        if not texts.same(session, given, row.command["args"]):
            raise BadInput("key", "cette clé a déjà servi à un autre dépôt", field="key", accepted="une clé nouvelle")


_KEYS = "select nextval(pg_get_serial_sequence('dossiers', 'id')) from generate_series(1, :n)"


def _open(session: Session, submissions: Sequence[Submission], actor: Actor) -> list[Submitted]:
    keys = session.execute(text(_KEYS), {"n": len(submissions)}).scalars().all()
    now: datetime = session.execute(text("select business_now()")).scalar_one()
    directory.keep_places(session, (submission.args for submission in submissions), now)
    revision: int = session.execute(text("select revision from directory")).scalar_one()
    changes, openings, parties = [], [], []
    for key, submission in zip(keys, submissions, strict=True):
        at = submission.at or now
        loaded = for_submission(session, submission.definition, at)
        definition = loaded.compiled.definition
        given = directory.resolve(session, definition, dict(submission.args))
        args, aside = texts.set_aside(definition, key, fields.check(definition, definition.submission, given))
        if (definition.purpose is None) != (submission.unit is None):
            raise Refused("purpose", "un avis se demande depuis un dossier", field="definition", accepted="consult")
        context = directory.contexts(session, [Dossier(data=args, unit=submission.unit)], at, revision)[0]
        if submission.unit is not None:  # whatever the ladder of its topic and place
            context = replace(context, rungs=(Rung(0, submission.unit, staffed=bool(context.members)),))
        decision = decide_submit(loaded.compiled, actor, args=args, data=args, context=context, at=at)
        changes.append(Change(key, GENESIS, loaded, decision, aside))
        openings.append(Opening(submission.reference or _reference(key, args), submission.key))
        parties += [Party(dossier_id=key, person_id=person) for person in _holders(submission, actor)]
    open_dossiers(session, changes, openings, lane=LANE_BULK if len(changes) >= BULK else LANE_PEOPLE)
    session.add_all(parties)
    session.flush()
    return [Submitted(change.dossier_id, opening.reference) for change, opening in zip(changes, openings, strict=True)]


def _reference(key: int, args: Json) -> str:
    area = directory.departement(str(args["commune"])) if "commune" in args else "00"
    return f"{area}-{key:04d}"


def _holders(submission: Submission, actor: Actor) -> list[int]:
    people = dict.fromkeys(submission.parties)
    if actor.role == "holder" and actor.person is not None:
        people[actor.person] = None
    return list(people)


# --- act --------------------------------------------------------------------------------------------------------------


def act(
    session: Session,
    ids: Sequence[int],
    trigger: str,
    *,
    actor: Actor,
    args: Mapping[str, Any] | None = None,
    idem: str | None = None,
) -> list[Result]:
    """Ask one thing of some dossiers; one result each, in the order given. Refusals are results, not exceptions."""
    return perform(session, [Request(key, trigger, args or {}, idem) for key in dict.fromkeys(ids)], actor=actor)


def one(results: Sequence[Result]) -> Result:
    """The result of an act on a single dossier. Raises the error that refused it."""
    (result,) = results
    if result.error is not None:
        raise result.error
    return result


def perform(
    session: Session,
    requests: Sequence[Request],
    *,
    actor: Actor,
    clock_runs: bool = True,
    lane: int | None = None,
) -> list[Result]:
    """Decide and write one request for each of some dossiers, in one transaction; one result each."""
    _check_keys(request.idem for request in requests)
    by_id = {request.dossier_id: request for request in requests}
    if len(by_id) != len(requests):
        raise BadInput("ids", "un dossier est donné deux fois", field="ids", accepted="chaque dossier une fois")
    if lane is None:
        lane = LANE_BULK if len(requests) >= BULK else LANE_PEOPLE
    alone = [by_id.pop(key) for key in sorted(by_id) if by_id[key].trigger in _BESIDE]
    results = {request.dossier_id: _reach(session, request, actor, lane) for request in alone}
    if by_id:
        results |= _perform(session, by_id, actor, lane, clock_runs=clock_runs)
    return [results[request.dossier_id] for request in requests]


_BESIDE = (CONSULT, RECALL, PASS_ON)


def _reach(session: Session, request: Request, actor: Actor, lane: int) -> Result:
    """An act that reaches beside its dossier, with what it does there; refused, it leaves nothing behind."""
    key = request.dossier_id
    try:
        with session.begin_nested():
            result = one(list(_perform(session, {key: request}, actor, lane).values()))
            if request.trigger == CONSULT:
                _open_avis(session, request, result, actor)
            elif request.trigger == RECALL:
                avis = opinions.taken_back(session, key, str(request.args["request"]).strip(), repeated=result.repeated)
                args, idem = {opinions.REASON: request.args[opinions.REASON]}, f"{RECALL}:{key}:{result.seq}"
                one(
                    list(_perform(session, {avis: Request(avis, opinions.CALL_OFF, args, idem)}, SYSTEM, lane).values())
                )
            elif not result.repeated:
                opinions.passed_on(session, key)
    except CoupeFileError as error:
        return Result(key, error=error)
    return result


def _open_avis(session: Session, request: Request, result: Result, actor: Actor) -> None:
    key = request.dossier_id
    asked = opinions.asked(session, key, result.seq, request.args, repeated=result.repeated)
    submission = Submission(asked.args, opinions.AVIS, key=asked.key, reference=asked.reference, unit=asked.unit)
    (opened,) = submit(session, [submission], actor=actor)
    if not opened.repeated:
        opinions.link(session, opened.dossier_id, key, asked.unit)


def _perform(
    session: Session, by_id: Mapping[int, Request], actor: Actor, lane: int, *, clock_runs: bool = True
) -> dict[int, Result]:
    results: dict[int, Result] = {}
    checked: Checked = {}

    def decided() -> Iterator[Change]:
        for rows, now, revision, repeats in _lock(session, [by_id[key] for key in sorted(by_id)], actor):
            contexts = directory.contexts(session, (row.dossier for row in rows), now, revision)
            for row, context in zip(rows, contexts, strict=True):
                request = by_id[row.id]
                if row.error is not None:
                    sentence = f"le dossier {row.id} ne peut pas être lu"
                    results[row.id] = Result(row.id, error=Refused("unreadable", sentence))
                    continue
                if row.id in repeats:
                    results[row.id] = _repeated(session, row, request, repeats[row.id])
                    continue
                try:
                    change = _decide(session, row, request, actor, context, now, checked, clock_runs=clock_runs)
                except CoupeFileError as error:
                    results[row.id] = Result(row.id, error=error)
                    continue
                results[row.id] = _result(change)
                if change.decision.events:
                    yield change

    apply(session, decided(), lane=lane, stream=len(by_id) > 1)
    if len(results) < len(by_id):
        seen = _read(session, actor, [key for key in by_id if key not in results])
        results |= {key: Result(key, error=_unreached(key, read=key in seen)) for key in by_id if key not in results}
    return results


def _result(change: Change) -> Result:
    before, after, events = change.decision.before, change.decision.after, change.decision.events
    # The clock's events around the act each name what fired; the act's own does not.
    seq = next((before.seq + n for n, event in enumerate(events, 1) if event.fired is None), after.seq)
    return Result(change.dossier_id, seq, after.state, after.version, tuple(event.kind for event in events))


def _read(session: Session, actor: Actor, keys: Sequence[int]) -> set[int]:
    """Those of some dossiers that an actor reads."""
    within = access.reads(actor)
    statement = f"select d.id from dossiers d where d.id = any(:ids) and {within.sql}"  # noqa: S608  (a scope is ours)
    return set(session.execute(text(statement), {"ids": list(keys), **within.params}).scalars())


def out_of_reach(session: Session, key: int, actor: Actor) -> CoupeFileError:
    """Why a dossier outside the actor's scope stays as it is."""
    return _unreached(key, read=bool(_read(session, actor, [key])))


def _unreached(key: int, *, read: bool) -> CoupeFileError:
    """Why a dossier outside the actor's scope stays as it is; one that they read is not unknown to them."""
    if not read:
        return Refused("unknown", f"dossier {key} inconnu, ou hors de votre périmètre", field="dossier")
    sentence = (
        "votre administration lit ce dossier, sans y agir : il est à celle qui le tient, ou dont l'avis est demandé"
    )
    return Refused("read_only", sentence, field="dossier")


COLUMNS = """d.id, d.definition_id, d.head, d.state, d.phase, d.seq, d.version, d.at, d.unit_id, d.rung, d.assignee_id,
d.pinned, d.outcome, d.units, d.clocks, d.holds, d.data, d.closed_at, d.due_at, d.wake_at"""
LOCK = "for update of d"
# Read after the lock is held, in a statement of its own: two people never see time run backwards in a dossier.
NOW = "select business_now(), revision from directory"
_REPEATS = """
select e.dossier_id, e.seq, e.kind, e.command, e.definition_id from events e
join unnest(%(ids)s::bigint[], %(idems)s::text[]) as k (id, idem) on e.dossier_id = k.id and e.idem = k.idem
"""


Locking = tuple[list[Locked], datetime, int, dict[int, tuple[int, str, Json, int]]]


def _lock(session: Session, requests: Sequence[Request], actor: Actor) -> Iterator[Locking]:
    """The rows within the actor's scope, locked, in slices; the business time read under the lock; what was sent before.

    In a pipeline the server locks the next slice while one is decided. `requests` in ascending order of their ids.
    """
    driver = connection(session)
    asked: deque[tuple[psycopg.Cursor[Any], psycopg.Cursor[Any], psycopg.Cursor[Any] | None]] = deque()
    for first in range(0, len(requests), SLICE):
        asked.append(_ask(driver, requests[first : first + SLICE], access.scope(actor)))
        if len(asked) > 1:
            yield _answer(*asked.popleft())
    for cursors in asked:
        yield _answer(*cursors)


def _ask(
    driver: psycopg.Connection[Any], requests: Sequence[Request], scope: access.Scope
) -> tuple[psycopg.Cursor[Any], psycopg.Cursor[Any], psycopg.Cursor[Any] | None]:
    ids = [request.dossier_id for request in requests]
    # With an array of one, the server plans anew each time.
    wanted, given = ("d.id = %(ids)s", ids[0]) if len(ids) == 1 else ("d.id = any(%(ids)s)", ids)
    statement = f"select {COLUMNS} from dossiers d where {wanted} and {scope.raw} order by d.id {LOCK}"  # noqa: S608
    rows = driver.execute(statement, {"ids": given, **scope.params}, binary=True)
    clock = driver.execute(NOW, binary=True)
    keyed = [request for request in requests if request.idem is not None]
    known = {"ids": [request.dossier_id for request in keyed], "idems": [request.idem for request in keyed]}
    sent = driver.execute(_REPEATS, known) if keyed else None
    if driver.pgconn.pipeline_status:
        driver.pgconn.send_flush_request()
    return rows, clock, sent


def _answer(rows: psycopg.Cursor[Any], clock: psycopg.Cursor[Any], sent: psycopg.Cursor[Any] | None) -> Locking:
    found = [locked(row) for row in rows]
    now, revision = clock.fetchone() or (None, 0)
    assert isinstance(now, datetime)  # noqa: S101  (one row, by its CHECK)
    return found, now, revision, {row[0]: (row[1], row[2], row[3], row[4]) for row in sent} if sent else {}


def locked(row: Sequence[Any]) -> Locked:
    """A locked row from `COLUMNS`."""
    try:
        return Locked(row[0], row[1], bytes(row[2]), dossier_of(row[3:]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        return Locked(row[0], row[1], bytes(row[2]), Dossier(), error)


def dossier_of(row: Sequence[Any]) -> Dossier:
    """The core's value from the columns of a row, state to wake_at."""
    (state, phase, seq, version, at, unit, rung, assignee, pinned, outcome, units, clocks, holds, data, closed_at,
     due_at, wake_at) = row  # fmt: skip
    return Dossier(
        state, phase, seq, version, at, unit, rung, assignee, pinned, outcome, tuple(units),
        {name: Clock.decode(clock) for name, clock in clocks.items()},
        tuple(Hold.decode(hold) for hold in holds), data, closed_at, due_at, wake_at,
    )  # fmt: skip


Checked = dict[tuple[int, str, str, int], Json]
"""Arguments already checked, by definition, trigger, state and the given arguments: many dossiers are asked the same."""


def _decide(
    session: Session,
    row: Locked,
    request: Request,
    actor: Actor,
    context: Context,
    now: datetime,
    checked: Checked,
    *,
    clock_runs: bool,
) -> Change:
    loaded = get(session, row.definition_id)
    aside: list[texts.Kept] = []
    asked = DUE
    if request.trigger is not None:
        key = (row.definition_id, request.trigger, row.dossier.state, id(request.args))
        if key not in checked:
            checked[key] = _checked(session, loaded, row.dossier, request)
        args, aside = texts.set_aside(loaded.compiled.definition, row.id, _recorded(request, checked[key]))
        asked = Act(request.trigger, actor, args, request.idem)
    last = row.dossier.at
    at = max(request.at or now, last) if last is not None else now
    decision = decide(loaded.compiled, row.dossier, asked, context=context, at=at, clock_runs=clock_runs)
    return Change(row.id, row.head, loaded, decision, aside)


def _checked(session: Session, loaded: Loaded, dossier: Dossier, request: Request) -> Json:
    compiled, name = loaded.compiled, request.trigger or ""
    rule = compiled.triggers.get((name, dossier.state))
    if rule is None:
        if name not in compiled.names:
            raise BadInput(
                "trigger", f"« {name[:60]} » n'existe pas ici", field="trigger", accepted=", ".join(compiled.names)
            )
        rule = next(trigger for trigger in compiled.definition.triggers if trigger.name == name)
    given = directory.resolve(session, compiled.definition, dict(request.args)) if request.args else {}
    return fields.check(compiled.definition, rule, given)


def _recorded(request: Request, args: Json) -> Json:
    """What the dossier's own journal says of what was given: not what a service is told in its request."""
    apart = opinions.APART.get(request.trigger or "")
    return args if apart is None else {name: value for name, value in args.items() if name != apart}


def _repeated(session: Session, row: Locked, request: Request, sent: tuple[int, str, Json, int]) -> Result:
    """What was already done under this key, read by the definition it was done under; another command under the same
    key is refused, not guessed at.
    """
    seq, kind, command, definition = sent
    try:
        loaded = get(session, definition)
    except CoupeFileError as error:  # a newer program's
        return Result(row.id, error=error)
    try:
        rule = next(t for t in loaded.compiled.definition.triggers if t.name == kind)
        given = directory.resolve(session, loaded.compiled.definition, dict(request.args))
        args = _recorded(request, fields.check(loaded.compiled.definition, rule, given))
        same = kind == request.trigger and texts.same(session, args, command["args"])
    except CoupeFileError:
        same = False
    if not same:
        sentence = f"cette clé a déjà servi à une autre demande ({kind})"
        return Result(row.id, error=BadInput("idem", sentence, field="idem", accepted="une clé nouvelle"))
    return Result(row.id, seq, row.dossier.state, row.dossier.version, (kind,), repeated=True)
