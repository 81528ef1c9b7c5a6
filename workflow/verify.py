"""The proof: chains, fold, wake, and that nothing is pending for ever. Read in chunks, with no age limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states import clocks
from states.almanac import Almanac
from states.attachment import ATTACH
from states.errors import CoupeFileError
from states.fold import UnknownEffect
from workflow import confidentiality, definitions, directory, parties, texts
from workflow.apply import connection
from workflow.attachments import AUDIENCE
from workflow.dossiers import COLUMNS, Locked, locked
from workflow.journal import GENESIS, Recorded, folded, read, references, verify_chain, verify_lineage

CHUNK = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that should never be seen: which dossier, which proof, and what is wrong."""

    dossier_id: int
    proof: str
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification is: dossiers and events read so far, and the problems of this chunk."""

    dossiers: int
    events: int
    problems: tuple[Problem, ...]


def verify(make: sessionmaker[Session], *, chunk: int = CHUNK) -> Iterator[Progress]:
    """Check every dossier, a chunk at a time, each chunk in a snapshot of its own; yields after each."""
    last, dossiers, events = 0, 0, 0
    while True:
        with make() as session:
            session.execute(text("set transaction isolation level repeatable read, read only"))
            found, problems, counted = slice_after(session, last, chunk)
        if not found:
            if problems:
                yield Progress(dossiers, events, tuple(problems))
            return
        last, dossiers, events = found[-1], dossiers + len(found), events + counted
        yield Progress(dossiers, events, tuple(problems))


def verify_ids(session: Session, ids: list[int]) -> list[Problem]:
    """The same for some dossiers, in the session's transaction."""
    rows, unread = _rows(session, "d.id = any(%(ids)s)", {"ids": ids})
    return unread + _check(session, rows)[0]


def slice_after(session: Session, last: int, chunk: int) -> tuple[list[int], list[Problem], int]:
    """The next `chunk` dossiers after id `last`: their ids, the problems found, the events read."""
    rows, unread = _rows(session, "d.id > %(last)s order by d.id limit %(chunk)s", {"last": last, "chunk": chunk})
    problems, events = _check(session, rows)
    ids = sorted([row.id for row in rows] + [problem.dossier_id for problem in unread])
    upto = ids[-1] if len(ids) == chunk else _END
    return ids, _vanished(session, last, upto) + unread + problems, events


def _rows(session: Session, where: str, params: dict[str, Any]) -> tuple[list[Locked], list[Problem]]:
    """The rows, by id, and those that cannot even be read."""
    statement = f"select {COLUMNS} from dossiers d where {where}"  # noqa: S608  (constants)
    found = sorted(map(locked, connection(session).execute(statement, params, binary=True)), key=lambda row: row.id)
    unread = [
        Problem(row.id, "row", f"le dossier ne peut pas être lu : {row.error!r}")
        for row in found
        if row.error is not None
    ]
    return [row for row in found if row.error is None], unread


def _check(session: Session, rows: list[Locked]) -> tuple[list[Problem], int]:
    ids = [row.id for row in rows]
    journal = {key: list(events) for key, events in groupby(read(session, ids), key=lambda event: event.dossier_id)}
    reacted = _numbers(session, "select dossier_id, events from reacted where dossier_id = any(:ids)", ids)
    pending = _numbers(
        session, "select dossier_id, count(*) from pending where dossier_id = any(:ids) group by dossier_id", ids
    )
    problems: list[Problem] = []
    almanac = directory.almanac_now(session)
    for row in rows:
        events = journal.get(row.id, [])
        problems += [Problem(row.id, proof, words) for proof, words in _dossier(session, row, events, almanac)]
        accounted = reacted.get(row.id, 0) + pending.get(row.id, 0)
        if accounted != row.dossier.seq:
            words = f"{accounted} événements traités ou en attente, {row.dossier.seq} au journal"
            problems.append(Problem(row.id, "reactions", words))
    lost = session.execute(text(_LOST_STUCK), {"ids": ids}).scalars()
    problems += [Problem(key, "stuck", "mis de côté, et personne ne le reprendra") for key in lost]
    problems += _altered(session, journal)
    flat = [event for events in journal.values() for event in events]
    problems += [Problem(key, "parties", words) for key, words in parties.disagreements(session, ids, flat)]
    marks = confidentiality.disagreements(session, ids, flat)
    problems += [Problem(key, "confidentiality", words) for key, words in marks]
    problems += _files(session, ids, journal)
    return problems, sum(map(len, journal.values()))


_LOST_STUCK = """
select id from dossiers d where id = any(:ids) and stuck and not exists (select from stuck s where s.dossier_id = d.id)
order by id
"""
_VANISHED = """
select distinct e.dossier_id from events e where e.dossier_id > :last and e.dossier_id <= :upto
and not exists (select from dossiers d where d.id = e.dossier_id) order by 1
"""
_END = 2**63 - 1


def _vanished(session: Session, last: int, upto: int) -> list[Problem]:
    """Dossiers that have a journal and no row any more."""
    keys = session.execute(text(_VANISHED), {"last": last, "upto": upto}).scalars()
    return [Problem(key, "row", "le journal parle d'un dossier qui n'existe plus") for key in keys]


def _numbers(session: Session, statement: str, ids: list[int]) -> dict[int, int]:
    return {row[0]: row[1] for row in session.execute(text(statement), {"ids": ids})}


def _dossier(session: Session, row: Locked, events: list[Recorded], almanac: Almanac) -> Iterator[tuple[str, str]]:
    broken = verify_chain(events)
    if broken is not None:
        yield "chain", broken
        return
    if row.head != (events[-1].hash if events else GENESIS):
        yield "chain", "la fin de la chaîne n'est pas celle que porte le dossier"
    strayed = verify_lineage(events)
    if strayed is not None:
        yield "definition", strayed
    try:
        dossier = folded(events)
    except UnknownEffect as error:
        yield "fold", str(error)
        return
    if dossier != row.dossier:
        names = [name for name in type(dossier).__slots__ if getattr(dossier, name) != getattr(row.dossier, name)]
        yield "fold", f"le dossier diffère de son journal : {', '.join(names)}"
        return
    try:
        loaded = definitions.get(session, row.definition_id)
    except CoupeFileError:
        return  # a newer program's: its clock is that program's to check
    if events and events[-1].definition != loaded.digest:
        yield "definition", "le dossier n'est plus sous la définition de son dernier événement"
        return
    if dossier.at is not None:
        wake = clocks.wake(loaded.compiled.definition, dossier, dossier.at, almanac)
        if wake != dossier.wake_at:
            yield "wake", f"réveil prévu le {dossier.wake_at}, le calcul donne {wake}"


def _altered(session: Session, journal: dict[int, list[Recorded]]) -> list[Problem]:
    found = [
        (key, name, identity, sealed)
        for key, events in journal.items()
        for event in events
        for name, identity, sealed in references(event.command)
    ]
    wrong = texts.altered(session, found) if found else []
    return [Problem(key, "texts", f"le texte {text} n'est plus celui que le journal a scellé") for key, text in wrong]


_FILES = f"""
select f.dossier_id, f.seq, f.id::text as file, encode(f.sha256, 'hex') as sha256, c.size, f.type,
       {AUDIENCE} as audience,
       f.name_id::text as name, f.erased_at is null and c.gone_at is not null as lost
from files f join contents c using (sha256) where f.dossier_id = any(:ids)
"""  # noqa: S608  (constants)


def _files(session: Session, ids: list[int], journal: dict[int, list[Recorded]]) -> list[Problem]:
    """Files whose row is not what their event sealed, or that have one and not the other. Their bytes are for `custody`."""
    sealed = {
        (key, event.seq): event.command.get("args", {}) for key, events in journal.items() for event in events if event.kind == ATTACH
    }  # fmt: skip
    rows = {(row.dossier_id, row.seq): row for row in session.execute(text(_FILES), {"ids": ids})}
    problems = [
        Problem(key, "files", f"la pièce de l'événement {seq} n'a plus sa ligne")
        for key, seq in sealed.keys() - rows.keys()
    ]
    problems += [
        Problem(key, "files", f"une pièce se dit de l'événement {seq}, qui n'en joint pas")
        for key, seq in rows.keys() - sealed.keys()
    ]
    for (key, seq), args in sealed.items():
        row = rows.get((key, seq))
        if row is None:
            continue
        reference = args.get("file_name")
        named = reference.get("text") if isinstance(reference, dict) else None
        said = (row.file, row.sha256, row.size, row.type, row.audience, row.name)
        if said != (*(args.get(name) for name in ("file", "sha256", "bytes", "type", "audience")), named):
            problems.append(
                Problem(key, "files", f"la pièce de l'événement {seq} n'est plus celle que le journal a scellée")
            )
        elif row.lost:
            problems.append(Problem(key, "files", f"la pièce de l'événement {seq} n'a plus de contenu"))
    return sorted(problems, key=lambda one: (one.dossier_id, one.text))
