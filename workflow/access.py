"""Who may see and do what. One function gives every WHERE: scope stands in the query, never in a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.administrations import shipped
from states.dossier import SYSTEM, Actor
from states.errors import BadInput, Refused

SEES_ALL = frozenset({"system", "manager", "importer"})
SEES_TEXTS = frozenset({"holder", "referent", "head", "prefet", "operator"})


MAX_ID = 2**63 - 1
MAX_REFERENCE = 64


@dataclass(frozen=True, slots=True)
class Scope:
    """A condition on `d`, an alias of dossiers, with its parameters; `raw` is the same in psycopg's style."""

    sql: str
    params: dict[str, Any]

    @property
    def raw(self) -> str:
        """The condition for a psycopg cursor."""
        return self.sql.replace(":scope", "%(scope)s")


_ALL = Scope("true", {})
_GIVEN = "d.units @> array[cast(:scope as integer)]"
"""Not `= any`, which no index serves."""


def seen_by(dossier: str, person: str) -> str:
    """Whether a party sees a dossier, from the SQL of both keys: an elected official who was invited, if it is for them."""
    return f"""not exists (select from confidentialities k where k.dossier_id = {dossier} and not k.elected and exists (
        select from invitations i where i.person_id = {person} and i.side = 'elected' and i.accepted_at is not null))"""  # noqa: S608  (constants)


_HOLDER = f"""(exists (select from parties p where p.dossier_id = d.id and p.person_id = :scope)
    and {seen_by("d.id", ":scope")})"""


def scope(actor: Actor) -> Scope:
    """The dossiers that an actor may see and act on: the clock and managers all of them, a unit those it was ever
    given (a unit that was solicited keeps the right to act), a holder their own, anyone else none. An elected official
    who was invited has none of those that are marked as not for them.
    """
    if actor.role in SEES_ALL:
        return _ALL
    if actor.role == "holder":
        return Scope(_HOLDER, {"scope": actor.person})
    if actor.unit is not None:
        return Scope(_GIVEN, {"scope": actor.unit})
    return Scope("false", {})


def held(actor: Actor) -> Scope:
    """The dossiers that an actor's unit holds now: of those of `scope`, since it was given each of them."""
    return Scope("d.unit_id = :scope", {"scope": actor.unit})


def reads(actor: Actor) -> Scope:
    """The dossiers that an actor may read: those of `scope`, and for a unit what a request for its avis concerns.

    A service that is consulted reads the dossier for as long as it is open; who has had the dossier reads the requests.
    """
    acts = scope(actor)
    if actor.role in SEES_ALL or actor.role == "holder" or actor.unit is None:
        return acts
    return Scope(f"({acts.sql} or {_CONSULTED} or {_ASKED})", acts.params)


_CONSULTED = """(d.phase <> 'resolved' and exists (
    select from consultations c where c.parent_id = d.id and c.unit_id = :scope))"""
_ASKED = """exists (select from consultations c join dossiers p on p.id = c.parent_id
    where c.dossier_id = d.id and :scope = any(p.units))"""


def may_act(actor: Actor, units: Sequence[int]) -> bool:
    """Whether an actor who may read a dossier that was given to these units may also act on it, in their role."""
    return actor.role in SEES_ALL or actor.role == "holder" or actor.unit in units


# --- what is confidential ---------------------------------------------------------------------------------------------


def contents(actor: Actor) -> Scope:
    """Whether an actor who may read a dossier `d` reads what was written in it: a role that reads texts does, unless a mark
    of the dossier (of a request for an avis: of what it is about) says otherwise.

    A code name keeps the contents to the parties and to the unit that has the dossier in hand; what is reserved to the
    State is read by no other unit. A service reads what it is itself asked for its avis.
    """
    if actor.role not in SEES_TEXTS:
        return Scope("false", {})
    if actor.role == "holder" or actor.unit is None:
        return _ALL
    return Scope(f"(not {_kept(actor)} or {_OWN_AVIS})", {"scope": actor.unit})


def named(actor: Actor) -> Scope:
    """Whether an actor who may read a dossier `d` may know which project and place it is about: all do, unless it has a code
    name and its contents are kept from them.
    """
    if actor.role == "holder":
        return _ALL
    if actor.role not in SEES_TEXTS or actor.unit is None:
        return Scope(f"not {_MARKED.format(why='k.code_name is not null')}", {})
    return Scope(f"not {_kept(actor, but='k.code_name is not null and')}", {"scope": actor.unit})


def state(actor: Actor) -> Scope:
    """Whether an actor sees what is for the parties and the State alone."""
    if actor.role not in SEES_TEXTS or actor.role == "operator":
        return Scope("false", {})
    return _ALL if actor.unit is None else Scope(_state(), {"scope": actor.unit})


ABOUT = "coalesce((select c.parent_id from consultations c where c.dossier_id = d.id), d.id)"
"""The dossier whose marks hold for `d`: itself, or that which a request for an avis is about."""
_OWN_AVIS = "exists (select from consultations c where c.dossier_id = d.id and c.unit_id = :scope)"
_MARKED = f"""exists (select from confidentialities k join dossiers h on h.id = k.dossier_id
    where k.dossier_id = {ABOUT} and {{why}})"""


def _kept(actor: Actor, *, but: str = "") -> str:
    """Whether the marks of a dossier keep what was written in it from an actor in a unit."""
    outside = "true" if actor.role == "operator" else f"not {_state()}"
    why = f"{but} ((k.code_name is not null and h.unit_id is distinct from :scope) or (k.reserved and {outside}))"
    return _MARKED.format(why=why)


@cache
def _state() -> str:
    """Whether the unit of an actor is a service of the State: no operator, nothing of a collectivity."""
    local = ", ".join(f"'{name}'" for name in sorted(shipped.local_kinds()))
    return f"""coalesce((select s.level not in ('operator', 'territory') and not coalesce(s.kinds && array[{local}], false)
        from units s where s.id = :scope), false)"""  # noqa: S608  (names of our own file)


def files(actor: Actor) -> Scope:
    """The files `f` of dossiers `d` that an actor may see: those who read its contents, but for what is inside the
    administrations to a holder, and what is for the State alone to others.
    """
    if actor.role not in SEES_TEXTS:
        return Scope("false", {})
    within = reads(actor)
    if actor.role == "holder":
        return Scope(f"{within.sql} and f.audience = 'holder'", within.params)
    for_state = f"(not f.reserved or {state(actor).sql})"
    return Scope(f"{within.sql} and {contents(actor).sql} and {for_state}", within.params)


def find(session: Session, given: str, actor: Actor) -> int:
    """The key of a dossier that the actor may read, from its reference or its number. Raises Refused, BadInput.

    What may then be asked of it is for the act itself, whose own query has the narrower `scope`.
    """
    if not 0 < len(given) <= MAX_REFERENCE or not given.isprintable():
        raise BadInput(
            "dossier", "référence illisible", field="DOSSIER", accepted="une référence comme 64-0117, ou un numéro"
        )
    number = int(given) if given.isascii() and given.isdecimal() and int(given) <= MAX_ID else None
    within = reads(actor)
    statement = (
        "select d.id from dossiers d where (d.reference = :given or d.id = cast(:number as bigint)) "  # noqa: S608  (a scope is ours)
        f"and {within.sql} order by d.reference = :given desc limit 1"
    )
    found: int | None = session.execute(text(statement), {"given": given, "number": number, **within.params}).scalar()
    if found is None:
        raise Refused("unknown", f"dossier « {given} » inconnu, ou hors de votre périmètre", field="DOSSIER")
    return found


def reference(session: Session, key: int) -> str:
    """The reference of a dossier that was found."""
    found: str = session.execute(text("select reference from dossiers where id = :key"), {"key": key}).scalar_one()
    return found


_ACTOR = """
select p.id as person_id, m.unit_id, m.role, u.code
from persons p
left join memberships m on m.person_id = p.id
    and (m.valid_from is null or m.valid_from <= :at) and (m.valid_to is null or :at < m.valid_to)
left join units u on u.id = m.unit_id
where p.login = :login order by m.id
"""


def actor(session: Session, name: str, at: datetime) -> Actor:
    """The actor named `login`, `login:role`, `login@unit` or `login@unit:role`, as memberships stand at `at`.

    Raises BadInput: unknown, not in office, or to be made precise.
    """
    if name == "system":
        return SYSTEM
    login, _, role = name.partition(":")
    login, _, unit = login.partition("@")
    if "\x00" in name:
        raise BadInput("actor", "caractère interdit", field="as", accepted="login, login:role ou login@unité:role")
    rows = session.execute(text(_ACTOR), {"login": login, "at": at}).all()
    if not rows:
        raise BadInput(
            "actor", f"personne inconnue : « {login} »", field="as", accepted="le login d'une personne de l'annuaire"
        )
    seats = [row for row in rows if row.role and role in ("", row.role) and unit in ("", row.code or "")]
    if not seats:
        raise BadInput("actor", f"« {name} » n'occupe aucun siège à cette date", field="as", accepted=_seats(rows))
    if len(seats) > 1:
        raise BadInput("actor", f"« {name} » occupe plusieurs sièges", field="as", accepted=_seats(seats))
    return Actor(seats[0].person_id, seats[0].unit_id, seats[0].role)


def _seats(rows: Any) -> str:
    seats = [f"@{row.code}:{row.role}" if row.code else f":{row.role}" for row in rows if row.role]
    return ", ".join(seats) or "aucun siège"
