"""Lists of dossiers: a queue, the half-hour of a desk, the dossiers of a holder. Scope stands in every query."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from psycopg.rows import namedtuple_row
from sqlalchemy import text
from sqlalchemy.orm import Session

from config.geography import search
from config.geography.france import france
from states.definition import PHASES, Definition
from states.dossier import Actor
from states.errors import BadInput
from states.fields import instant
from workflow import access, business_time, definitions, directory, parties, places
from workflow.apply import connection
from workflow.confidentiality import MARK

Ball = Literal["unit", "holder"]
Section = Literal["decide", "week", "later", "elsewhere"]
SECTIONS: tuple[Section, ...] = ("decide", "week", "later", "elsewhere")
WEEK = timedelta(days=7)
MOST = 100
"""How many dossiers of a section of the half-hour are shown; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a queue is narrowed to; None does not narrow. `holding` is a unit that has the dossier now."""

    holding: int | None = None
    phase: str | None = None
    topic: str | None = None
    commune: str | None = None
    ball: Ball | None = None
    late: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A dossier in a list. Title and person are None for who sees metadata only; the title is the code name, and the commune
    None, for who may not know the project.
    """

    id: int
    reference: str
    definition: Definition
    state: str
    phase: str
    rung: int | None
    version: int
    due_at: datetime | None
    topic: str | None
    commune: str | None
    place: str | None
    unit: str | None
    unit_name: str | None
    zone: str
    person: str | None
    title: str | None
    held: bool
    motive: str | None
    until: datetime | None
    stuck: bool
    outcome: str | None
    closed_at: datetime | None
    last: str | None
    section: Section | None = None
    about: str | None = None
    """The dossier that a request for an avis is about; None for any other."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, the mark that the next one begins after, and the business instant it was read at."""

    rows: tuple[Row, ...]
    after: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class HalfHour:
    """What a desk has before it, by section, and how many of each there are."""

    rows: dict[Section, tuple[Row, ...]]
    counts: dict[Section, int]
    now: datetime


# `{named}` and `{contents}` are of `access`: what this reader may know of a dossier that is marked.
_COLUMNS = """
d.id, d.reference, d.definition_id, d.state, d.phase, d.rung, d.version, d.due_at, d.data ->> 'topic' as topic,
case when {named} then d.data ->> 'commune' end as commune, d.data ->> 'dossier' as about, d.stuck, d.outcome, d.closed_at, u.code as unit, u.name as unit_name,
coalesce(u.zone, 'Europe/Paris') as zone, c.name as place,
case when d.phase <> 'resolved' and d.holds <> '[]' and not d.holds -> -1 ? 'end' then d.holds -> -1 end as hold
"""
_SEEN = ", p.name as person, case when {contents} then t.body else (select n.body from confidentialities k join texts n on n.id = k.code_name where k.dossier_id = d.id) end as title"
_UNSEEN = ", null as person, null as title"
_BESIDE = """
left join units u on u.id = d.unit_id
left join communes c on c.code = d.data ->> 'commune' and ({named})
"""
_JOINS = f"from dossiers d {_BESIDE}"
_SEEN_JOINS = """
left join persons p on p.id = d.assignee_id
left join texts t on t.id = cast(d.data -> 'title' ->> 'text' as uuid)
"""
_HELD = "(d.holds <> '[]' and not d.holds -> -1 ? 'end')"
_AFTER = "(coalesce(d.due_at, 'infinity'), d.id) > (cast(%(due)s as timestamptz), cast(%(last)s as bigint))"
_CLOSED_AFTER = "(d.closed_at, d.id) < (cast(%(due)s as timestamptz), cast(%(last)s as bigint))"
_NOW = "(select business_now())"


def page(session: Session, actor: Actor, filters: Filters, *, after: str | None = None, limit: int = 50) -> Page:
    """The dossiers within the actor's scope, open ones with the most pressing first (closed ones, the latest first).

    Raises BadInput: a filter or a mark that cannot be read.
    """
    scope, reader = _scope(actor, filters), _reader(actor, raw=True)
    due, last = _mark(after)
    wheres, params = _narrowed(filters, reader["named"])
    if after is not None:
        wheres.append(_CLOSED_AFTER if filters.closed else _AFTER)
    order = "d.closed_at desc, d.id desc" if filters.closed else "coalesce(d.due_at, 'infinity'), d.id"
    sees = actor.role in access.SEES_TEXTS
    # The page first, then what is shown of its dossiers: whatever the plan, no text is fetched for what is not shown.
    wanted = f"{' and '.join([scope.raw, *wheres])} order by {order} limit %(limit)s"
    shown, beside = f"{_COLUMNS}{_SEEN if sees else _UNSEEN}".format(**reader), _BESIDE.format(**reader)
    statement = (
        f"select {shown}, null as last, {_NOW} as now "  # noqa: S608  (scopes and constants)
        f"from (select d.* from dossiers d where {wanted}) d {beside}{_SEEN_JOINS if sees else ''} order by {order}"
    )
    given = {**_given(actor), **scope.params, **params, "due": due, "last": last, "limit": limit + 1}
    cursor = connection(session).cursor(row_factory=namedtuple_row)
    found: list[Any] = cursor.execute(statement, given, binary=True).fetchall()
    now = found[0].now if found else business_time.now(session)
    more, found = len(found) > limit, found[:limit]
    known = {key: definitions.get(session, key).compiled.definition for key in {one.definition_id for one in found}}
    rows = tuple(_row(known[one.definition_id], one) for one in found)
    return Page(rows, _marked(found[-1], closed=filters.closed) if more else None, now)


COUNTED = 1000
"""A list is counted up to so many: who has more does not read their number."""


def count(session: Session, actor: Actor, filters: Filters) -> int:
    """How many dossiers a list has, `COUNTED` when it has so many or more. Raises BadInput."""
    scope, (wheres, params) = _scope(actor, filters), _narrowed(filters, access.named(actor).raw)
    listed = f"select 1 from dossiers d where {' and '.join([scope.raw, *wheres])} limit {COUNTED}"  # noqa: S608  (constants)
    given = {**_given(actor), **scope.params, **params}
    row = connection(session).execute(f"select count(*) from ({listed}) l", given).fetchone()  # noqa: S608
    assert row is not None  # noqa: S101  (a count is a row)
    number: int = row[0]
    return number


def check(filters: Filters) -> None:
    """Raise BadInput for filters that no list can be narrowed to."""
    _narrowed(filters, "true")


def _scope(actor: Actor, filters: Filters) -> access.Scope:
    own = filters.holding is not None and filters.holding == actor.unit and actor.role not in access.SEES_ALL
    return access.held(actor) if own else access.scope(actor)


def _reader(actor: Actor, *, raw: bool = False) -> dict[str, str]:
    """The conditions that stand in the columns of a list; `raw` is psycopg's style."""
    found = {"named": access.named(actor), "contents": access.contents(actor), "state": access.state(actor)}
    return {name: one.raw if raw else one.sql for name, one in found.items()}


def _given(actor: Actor) -> dict[str, Any]:
    """The parameters of an actor's scope and of those conditions."""
    return {**access.named(actor).params, **access.contents(actor).params, **access.scope(actor).params}


def _narrowed(filters: Filters, named: str) -> tuple[list[str], dict[str, Any]]:
    wheres: list[str] = ["d.phase = 'resolved'" if filters.closed else "d.phase <> 'resolved'"]
    params: dict[str, Any] = {}
    if filters.phase is not None:
        if filters.phase not in PHASES:
            raise BadInput("phase", "étape inconnue", field="phase", accepted=", ".join(PHASES))
        wheres.append("d.phase = %(phase)s")
        params["phase"] = filters.phase
    for name, value in (("topic", filters.topic), ("commune", filters.commune)):
        if value is not None:
            if "\x00" in value:
                raise BadInput("encoding", "caractère interdit", field=name, accepted="un code")
            wheres.append(f"d.data ->> '{name}' = %({name})s")
            params[name] = value
    if filters.commune is not None:  # what may not be known is not found by asking either
        wheres.append(f"({named})")
    if filters.holding is not None:
        wheres.append("d.unit_id = %(holding)s")
        params["holding"] = filters.holding
    if filters.ball is not None:
        wheres.append(_HELD if filters.ball == "holder" else f"not {_HELD}")
    if filters.late:
        wheres.append(f"d.due_at < {_NOW}")
    return wheres, params


def _row(definition: Definition, row: Any, section: Section | None = None) -> Row:
    hold = row.hold or {}
    return Row(
        row.id, row.reference, definition, row.state, row.phase,
        row.rung, row.version, row.due_at, row.topic, row.commune, row.place, row.unit, row.unit_name, row.zone,
        row.person, row.title, bool(hold), hold.get("motive"),
        datetime.fromisoformat(hold["until"]) if hold else None, row.stuck, row.outcome, row.closed_at, row.last, section,
        row.about if definition.purpose is not None else None,
    )  # fmt: skip


def _marked(row: Any, *, closed: bool) -> str:
    """Where a page ended: the instant that it is ordered by, and the key of its last dossier."""
    return mark(row.closed_at if closed else row.due_at, row.id)


def mark(at: datetime | None, key: int) -> str:
    """The mark of the dossier that a list is to go on after: the instant that the list is ordered by, and its key."""
    due = "infinity" if at is None else at.isoformat()
    return base64.urlsafe_b64encode(f"{due}/{key}".encode()).decode().rstrip("=")


def _mark(after: str | None) -> tuple[str | None, int | None]:
    if after is None:
        return None, None
    try:
        due, _, key = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)).decode().partition("/")
        checked = due if due == "infinity" else instant("after", due).isoformat()
        number = int(key)
    except (ValueError, BadInput):
        checked, number = "", -1
    if not 0 <= number <= access.MAX_ID:
        accepted = "le repère donné à la fin de la page précédente"
        raise BadInput("after", "repère illisible", field="after", accepted=accepted)
    return checked, number


# --- the half-hour ----------------------------------------------------------------------------------------------------

# The last word of a person: a holder who has answered, written or joined a file waits for the desk, whoever has come or
# gone since. A desk's own file is none.
_LAST = f"""(select e.kind from events e where e.dossier_id = d.id and e.role <> 'system'
             and (e.kind <> 'file.add' or e.role = 'holder' and (e.command -> 'args' ->> 'audience' <> 'state' or {{state}}))
             and e.kind not in ({", ".join(f"'{kind}'" for kind in (MARK, *parties.KINDS))}) order by e.seq desc limit 1)"""  # noqa: S608  (constants)
_HERE = f"""
select s.*, count(*) over (partition by s.section) as number,
       row_number() over (partition by s.section order by s.due_at nulls last, s.id) as place_in
from (
    select l.*, case when l.hold is not null then 'elsewhere'
                     when l.phase = 'submitted' or l.due_at <= :today or l.last in ('answer', 'write', 'file.add') then 'decide'
                     when l.due_at <= :week then 'week' else 'later' end as section
    from (select {_COLUMNS}{_SEEN}, {_LAST} as last {_JOINS}{_SEEN_JOINS}
          where d.unit_id = :unit and d.phase <> 'resolved' and {{scope}}) l
) s
"""  # noqa: S608  (constants)
_THERE = f"""
select {_COLUMNS}{_SEEN}, null as last, 'elsewhere' as section, count(*) over () as number,
       row_number() over (order by d.due_at nulls last, d.id) as place_in
{_JOINS}{_SEEN_JOINS}
where d.unit_id is distinct from :unit and d.phase <> 'resolved' and {{scope}}
"""  # noqa: S608  (constants)


def half_hour(session: Session, actor: Actor, zone: str) -> HalfHour:
    """What a desk is to decide today, what tips over within the week, what comes later, and what is with somebody else.

    A day ends at midnight of the desk's time zone.
    """
    now = business_time.now(session)
    local = now.astimezone(ZoneInfo(zone))
    today = datetime.combine(local.date() + timedelta(days=1), time(0), tzinfo=ZoneInfo(zone))
    scope = access.scope(actor)
    params = {**_given(actor), "unit": actor.unit, "today": today, "week": today + WEEK, "most": MOST}
    rows: dict[Section, list[Row]] = {section: [] for section in SECTIONS}
    counts: dict[Section, int] = dict.fromkeys(SECTIONS, 0)
    for part in (_HERE, _THERE):
        statement = f"select * from ({part.format(scope=scope.sql, **_reader(actor))}) x where x.place_in <= :most order by x.section, x.place_in"  # noqa: S608  (constants)
        numbers: dict[Section, int] = {}
        for row in session.execute(text(statement), params):
            definition = definitions.get(session, row.definition_id).compiled.definition
            rows[row.section].append(_row(definition, row, row.section))
            numbers[row.section] = row.number
        for section, number in numbers.items():
            counts[section] += number
    return HalfHour({name: tuple(found) for name, found in rows.items()}, counts, now)


# --- what can be chosen -----------------------------------------------------------------------------------------------


def topics(session: Session) -> list[str]:
    """The topics that the directory knows, in order."""
    if directory.administrations(session) is not None:
        return sorted(places.known_topics())
    found = session.execute(text("select distinct topic from competences where topic <> '*' order by topic"))
    return [row.topic for row in found]


def communes(session: Session, words: str, *, limit: int = 12) -> list[tuple[str, str]]:
    """The communes (code, name) whose name or code begins so, then those whose name has these words, accents or not."""
    wanted = " ".join(words.replace("\x00", "").split())[:60]
    if not wanted:
        return []
    if directory.administrations(session) is not None:
        return [(match.commune.code, match.commune.name) for match in search.find(wanted, most=limit)]
    escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = session.execute(text(_COMMUNES), {"begins": f"{escaped}%", "has": f"%{escaped}%", "limit": limit})
    return [(row.code, row.name) for row in rows]


_ACCENTS = "àâäáãåçéèêëíìîïñóòôöõúùûüýÿ-’"
_NONE = "aaaaaaceeeeiiiinooooouuuuyy  "
_PLAIN = f"translate(lower(%s), '{_ACCENTS}' || chr(39), '{_NONE} ')"
_COMMUNES = f"""
select code, name from communes
where code like :begins or {_PLAIN % "name"} like {_PLAIN % "cast(:has as text)"}
order by (code like :begins or {_PLAIN % "name"} like {_PLAIN % "cast(:begins as text)"}) desc, length(name), name, code
limit :limit
"""  # noqa: S608  (constants)


def commune(session: Session, code: str) -> str | None:
    """The name of a commune."""
    if "\x00" in code:
        return None
    found: str | None = session.execute(text("select name from communes where code = :code"), {"code": code}).scalar()
    if found is None and code in france() and directory.administrations(session) is not None:
        return places.place(code).name
    return found
