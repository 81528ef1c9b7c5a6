"""Files joined to a dossier: added as an event of its journal, listed and read within one's scope.

The journal holds the hash of the bytes, their number, their type and who may read them; the name, which a person chose, is
a text set aside. The bytes are in the vault, once for each content.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.settings import Settings
from states.attachment import ATTACH, AUDIENCES, HOLDER, INSIDE, STATE, attach
from states.dossier import Actor, Json
from states.errors import BadInput, Refused
from workflow import access, admission, confidentiality, directory, readings, texts
from workflow.admission import FIELD, Kind
from workflow.apply import Change, apply, connection
from workflow.definitions import get
from workflow.dossiers import COLUMNS, LOCK, Locked, locked
from workflow.vault import Arrival, Vault

NAME = "file_name"
MEGA = 1_000_000
Standing = Literal["ready", "waiting", "infected", "erased"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file, and the files of one dossier, may weigh in bytes; how many they may be."""

    file: int
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class Reader:
    """Who downloaded a file, and when in the time of dossiers."""

    at: datetime
    person: int | None
    name: str | None
    unit: str | None
    role: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of a dossier as one reader may see it; `name` is None once it is erased. `ready` alone can be downloaded."""

    id: uuid.UUID
    seq: int
    name: str | None
    sha256: bytes
    size: int
    type: str
    audience: Literal["holder", "state", "inside"]
    at: datetime
    person: int | None
    person_name: str | None
    unit: str | None
    role: str
    standing: Standing
    scanned: bool
    found: str | None
    readers: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """A file that was added, now or the first time it was sent."""

    id: uuid.UUID
    seq: int
    repeated: bool = False


def bounds(settings: Settings) -> Bounds:
    """The bounds of this installation."""
    return Bounds(settings.file_bytes, settings.dossier_files, settings.dossier_bytes)


def size(number: int) -> str:
    """A number of bytes as a person says it."""
    mega = f"{number / MEGA:.1f}".removesuffix(".0").replace(".", ",")
    return f"{mega} Mo" if number >= MEGA else f"{max(number // 1000, 1)} ko"


def too_long(most: int) -> BadInput:
    """What is said of a file that weighs too much."""
    return BadInput("file_length", "ce fichier est trop lourd", field=FIELD, accepted=f"{size(most)} au plus")


# --- added ------------------------------------------------------------------------------------------------------------


def may_add(actor: Actor, audience: str) -> None:
    """Raise unless this actor may add a file for this audience."""
    if actor.role not in access.SEES_TEXTS:
        raise Refused(
            "role", f"le rôle {actor.role} ne peut pas joindre de pièce", accepted=", ".join(sorted(access.SEES_TEXTS))
        )
    offered = [one for one in AUDIENCES if actor.role != HOLDER or one != INSIDE]
    if audience not in offered:
        raise BadInput("audience", "dites qui pourra lire cette pièce", field="audience", accepted=", ".join(offered))


def room(session: Session, dossier: int, limit: Bounds, coming: int) -> None:
    """Raise Refused unless a dossier has room for one more file of `coming` bytes."""
    row = session.execute(text(_HELD), {"id": dossier}).one()
    if row.number >= limit.count:
        raise Refused(
            "file_count",
            f"ce dossier a déjà {row.number} pièce{'s' if row.number > 1 else ''}",
            field=FIELD,
            accepted=f"{limit.count} au plus",
        )
    if row.total + coming > limit.total:
        raise Refused("file_total", f"les pièces de ce dossier pèseraient {size(row.total + coming)}", field=FIELD,
                      accepted=f"{size(limit.total)} au plus pour le dossier")  # fmt: skip


_HELD = """
select count(*) as number, coalesce(sum(c.size), 0)::bigint as total from files f join contents c using (sha256)
where f.dossier_id = :id and f.erased_at is null
"""
AUDIENCE = "case when f.reserved then 'state' else f.audience end"
"""The audience of a file as its event says it."""
_REPEATED = """
select f.id, e.seq, e.kind, e.command from events e left join files f on f.dossier_id = e.dossier_id and f.seq = e.seq
where e.dossier_id = :id and e.idem = :idem
"""
_THERE = """
select f.id, f.seq from files f join texts t on t.id = f.name_id
where f.dossier_id = :id and f.sha256 = :sha256 and {audience} = :audience and f.erased_at is null and t.body = :name limit 1
"""
_KEEP = """
insert into contents (sha256, size) values (:sha256, :size)
on conflict (sha256) do update set gone_at = null,
    verdict = case when contents.gone_at is null then contents.verdict end,
    found = case when contents.gone_at is null then contents.found end,
    scanned_at = case when contents.gone_at is null then contents.scanned_at end,
    attempts = case when contents.gone_at is null then contents.attempts else 0 end,
    next_at = case when contents.gone_at is null then contents.next_at else clock_timestamp() end
"""
_ADD = """
insert into files (id, dossier_id, seq, sha256, name_id, type, audience, reserved)
values (:id, :dossier, :seq, :sha256, :name, :type, :audience, :reserved)
"""


def add(
    session: Session, vault: Vault, dossier: int, arrival: Arrival, *, name: str, audience: str, actor: Actor, limit: Bounds,
    idem: str | None = None,
) -> Added:  # fmt: skip
    """Join a file that has wholly arrived to a dossier, in the session's transaction; a repeat adds nothing.

    Raises BadInput, Refused. The file takes its place before the commit: what no row names is told by `custody`.
    """
    may_add(actor, audience)
    kind = admission.admitted(name, arrival.path, arrival.head)
    if arrival.size > limit.file:
        raise too_long(limit.file)
    row, at = _lock(session, dossier, actor)
    name = name.strip()
    known = {"id": row.id, "sha256": arrival.sha256, "audience": audience, "name": name, "idem": idem}
    if idem is not None and (sent := session.execute(text(_REPEATED), known).first()) is not None:
        return _same(sent, arrival, audience)
    if (there := session.execute(text(_THERE.format(audience=AUDIENCE)), known).first()) is not None:
        if vault.wrong(arrival.sha256, arrival.size, read=False) is not None:
            vault.place(arrival)  # it was lost: who sends it again gives it back
        return Added(there.id, there.seq, repeated=True)
    room(session, row.id, limit, arrival.size)
    return _written(session, vault, row, arrival, name, kind, audience, actor, at, idem)


def _lock(session: Session, dossier: int, actor: Actor) -> tuple[Locked, datetime]:
    """The dossier within the actor's scope, locked, and the business time under the lock."""
    scope = access.scope(actor)
    driver = connection(session)
    statement = f"select {COLUMNS} from dossiers d where d.id = %(id)s and {scope.raw} {LOCK}"  # noqa: S608  (constants)
    found = driver.execute(statement, {"id": dossier, **scope.params}, binary=True).fetchone()
    if found is None:
        raise Refused("unknown", f"dossier {dossier} inconnu, ou hors de votre périmètre", field="dossier")
    row = locked(found)
    if row.error is not None:
        raise Refused("unreadable", f"le dossier {row.id} ne peut pas être lu")
    now: datetime = session.execute(text("select business_now()")).scalar_one()
    return row, now if row.dossier.at is None else max(now, row.dossier.at)


def _same(sent: Any, arrival: Arrival, audience: str) -> Added:
    """What was already done under this key, if it was this very thing."""
    args: Mapping[str, Any] = sent.command.get("args", {})
    if sent.kind != ATTACH or (args.get("sha256"), args.get("audience")) != (arrival.sha256.hex(), audience):
        raise BadInput(
            "idem",
            f"cette clé a déjà servi à une autre demande ({sent.kind})",
            field="idem",
            accepted="une clé nouvelle",
        )
    return Added(sent.id, sent.seq, repeated=True)


def _written(
    session: Session, vault: Vault, row: Locked, arrival: Arrival, name: str, kind: Kind, audience: str, actor: Actor,
    at: datetime, idem: str | None,
) -> Added:  # fmt: skip
    loaded, key = get(session, row.definition_id), texts.fresh()
    reference, kept = texts.referred(row.id, NAME, name)
    revision: int = session.execute(text("select revision from directory")).scalar_one()
    args: Json = {"file": str(key), NAME: reference, "sha256": arrival.sha256.hex(), "bytes": arrival.size, "type": kind.type,
                  "audience": audience}  # fmt: skip
    context = directory.contexts(session, [row.dossier], at, revision)[0]
    decision = attach(loaded.compiled, row.dossier, actor, args, context=context, at=at, idem=idem)
    apply(session, [Change(row.id, row.head, loaded, decision, [kept])])
    seq = row.dossier.seq + 1 + next(n for n, event in enumerate(decision.events) if event.kind == ATTACH)
    content = {"sha256": arrival.sha256, "size": arrival.size}
    session.execute(text(_KEEP), content)
    vault.place(arrival)
    session.execute(
        text(_ADD),
        {
            **content,
            "id": key,
            "dossier": row.id,
            "seq": seq,
            "name": kept[0],
            "type": kind.type,
            "audience": HOLDER if audience == STATE else audience,
            "reserved": audience == STATE,
        },
    )
    return Added(key, seq)


# --- read -------------------------------------------------------------------------------------------------------------

_FILES = """
select f.id, f.seq, t.body as name, f.sha256, c.size, f.type, {audience} as audience, e.at, e.person_id, p.name as person_name,
       u.name as unit, e.role, f.erased_at, c.verdict, c.found, c.gone_at
from files f join dossiers d on d.id = f.dossier_id join contents c on c.sha256 = f.sha256
join events e on e.dossier_id = f.dossier_id and e.seq = f.seq
left join texts t on t.id = f.name_id left join persons p on p.id = e.person_id left join units u on u.id = e.unit_id
where f.dossier_id = :dossier and {scope} order by f.seq
"""
_READS = """
select r.file_id, r.at, r.person_id, p.name, u.name as unit, r.role from file_reads r
left join persons p on p.id = r.person_id left join units u on u.id = r.unit_id
where r.file_id = any(:ids) order by r.id
"""


def listed(session: Session, dossier: int, actor: Actor, *, scans: bool) -> list[File]:
    """The files of a dossier that this actor may see, in order, each with who downloaded it. `scans`: an antivirus looks
    at files here, and what it has not looked at waits.
    """
    scope = access.files(actor)
    rows = session.execute(
        text(_FILES.format(scope=scope.sql, audience=AUDIENCE)), {"dossier": dossier, **scope.params}
    ).all()
    if rows and confidentiality.of(session, dossier) != confidentiality.OPEN:
        readings.shown(session, dossier, actor)
    readers: dict[uuid.UUID, list[Reader]] = {row.id: [] for row in rows}
    for one in session.execute(text(_READS), {"ids": list(readers)}) if rows else ():
        readers[one.file_id].append(Reader(one.at, one.person_id, one.name, one.unit, one.role))
    return [
        File(
            row.id, row.seq, row.name if row.erased_at is None else None, bytes(row.sha256), row.size, row.type, row.audience,
            row.at, row.person_id, row.person_name, row.unit, row.role, _standing(row, scans=scans), row.verdict is not None,
            row.found, tuple(readers[row.id]),
        )
        for row in rows
    ]  # fmt: skip


def _standing(row: Any, *, scans: bool) -> Standing:
    if row.erased_at is not None or row.gone_at is not None:
        return "erased"
    if row.verdict == "infected":
        return "infected"
    return "waiting" if scans and row.verdict is None else "ready"


WHY_NOT: dict[Standing, str] = {
    "waiting": "cette pièce attend l'antivirus : elle pourra être téléchargée dès qu'il l'aura examinée",
    "infected": "l'antivirus a reconnu un programme malveillant dans cette pièce : elle ne peut pas être téléchargée",
    "erased": "cette pièce a été effacée",
}
_READ = """
insert into file_reads (file_id, person_id, unit_id, role) values (:file, :person, :unit, :role)
"""


def taken(session: Session, dossier: int, key: uuid.UUID, actor: Actor, *, scans: bool) -> File:
    """A file that this actor may download, and the note that they did. Raises Refused."""
    found = next((file for file in listed(session, dossier, actor, scans=scans) if file.id == key), None)
    if found is None:
        raise Refused("unknown", "pièce inconnue, ou hors de votre périmètre", field="file")
    if found.standing != "ready":
        raise Refused("file_" + found.standing, WHY_NOT[found.standing], field="file")
    session.execute(text(_READ), {"file": key, "person": actor.person, "unit": actor.unit, "role": actor.role})
    return found


# --- erased -----------------------------------------------------------------------------------------------------------

_ERASE = """
update files set erased_at = clock_timestamp() where id = any(:ids) and erased_at is null returning name_id, sha256
"""
_GONE = """
update contents c set gone_at = clock_timestamp() where c.sha256 = any(:contents) and c.gone_at is null
and not exists (select from files f where f.sha256 = c.sha256 and f.erased_at is null) returning c.sha256
"""
_LOCK = "select sha256 from contents where sha256 = any(:contents) order by sha256 for update"


def check_of(session: Session, dossier: int, ids: Sequence[uuid.UUID]) -> None:
    """Raise Refused unless each of these is a file of this dossier."""
    rows = session.execute(
        text("select id from files where dossier_id = :dossier and id = any(:ids)"),
        {"dossier": dossier, "ids": list(ids)},
    )
    strangers = set(ids) - {row.id for row in rows}
    if strangers:
        raise Refused("unknown", f"pièce inconnue dans ce dossier : {min(map(str, strangers))}", field="ID")


def erase(session: Session, ids: Sequence[uuid.UUID]) -> list[bytes]:
    """Erase files of their dossiers: their names, and the contents that no other file has, which are returned; once this
    is committed, `custody.forget` erases their bytes. The journal stays whole and verifiable.
    """
    rows = session.execute(text(_ERASE), {"ids": list(ids)}).all()
    texts.erase(session, [row.name_id for row in rows])
    contents = {"contents": [bytes(row.sha256) for row in rows]}
    session.execute(text(_LOCK), contents)
    return [bytes(row.sha256) for row in session.execute(text(_GONE), contents)]
