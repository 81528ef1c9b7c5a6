"""The perimeters of the Territoires d'industrie, by date: read from the two official layouts, compared, written.

A perimeter is made of groups of communes and of communes alone; it may straddle départements and regions. A new list takes
effect at a date: what it changes gets a new row from that date on, and what it no longer names ends there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.geography import search
from config.geography.france import Commune, france
from config.geography.search import UnknownPlaceError, fold
from states.errors import Refused

Cells = Mapping[str, str]
Line = tuple[int, Cells]
MAX_NAME = 200
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_SIREN = re.compile(r"\d{9}", re.ASCII)
_INSEE = re.compile(r"\d[\dAB]\d{3}", re.ASCII)
_DIGITS_OVERSEAS = ("97", "98")


class Layout(NamedTuple):
    """A layout that is published: what each of our columns may be called there, once folded."""

    name: str
    columns: Mapping[str, tuple[str, ...]]


_TERRITORY = {"id": ("id ti", "code ti", "code territoire", "identifiant ti"), "name": ("lib ti", "libelle ti", "nom ti", "territoire", "libelle territoire")}  # fmt: skip
GROUPS = Layout(
    "groupements (ANCT)",
    {**_TERRITORY, "member": ("siren groupement", "siren"), "nature": ("nature juridique",)},
)
"""One line for each member: id_ti, lib_ti, siren_groupement, lib_groupement, nature_juridique."""
COMMUNES = Layout(
    "communes (Banque des Territoires)",
    {
        **_TERRITORY,
        "commune": ("code officiel commune", "code commune", "insee com", "code insee", "com insee", "codgeo"),
        "epci": ("code officiel epci", "code epci", "siren epci", "epci"),
    },
)
"""One line for each commune, with the code of its group."""
NATURES = ("COM", "EPT", "CC", "CA", "CU", "METRO", "MET69")


@dataclass(frozen=True, slots=True)
class Territory:
    """A territory within one perimeter: groups by SIREN, communes by INSEE code."""

    code: str
    name: str
    areas: frozenset[str]


class Problem(NamedTuple):
    """What is wrong in a list: its line, its column, and a sentence."""

    line: int
    column: str | None
    text: str


# --- the two layouts --------------------------------------------------------------------------------------------------


def layout(header: Sequence[str]) -> tuple[Layout, dict[str, str]] | None:
    """The layout that a header is of, and the column that each of ours is called there; None for another."""
    folded = {fold(name): name for name in header}
    for one in (GROUPS, COMMUNES):
        found = {
            ours: next((folded[name] for name in names if name in folded), None) for ours, names in one.columns.items()
        }
        named = {ours: theirs for ours, theirs in found.items() if theirs is not None}
        if len(named) == len(found):
            return one, named
    return None


def read(lines: Iterable[Line], one: Layout, columns: Mapping[str, str]) -> tuple[list[Territory], list[Problem]]:
    """The territories of a list, and everything wrong in it; the territories count only when nothing is."""
    problems: list[Problem] = []
    names: dict[str, tuple[str, int]] = {}
    members: dict[str, dict[str, int]] = {}
    for line, cells in lines:
        given = {ours: cells[theirs].strip() for ours, theirs in columns.items()}
        wrong = list(_line(line, given, columns, one))
        code = given["id"]
        if code in names and names[code][0] != given["name"]:
            words = f"« {given['name'][:60]} » : la ligne {names[code][1]} nomme {code} « {names[code][0][:60]} »"
            wrong.append(Problem(line, columns["name"], words))
        problems += wrong
        if wrong:
            continue
        names.setdefault(code, (given["name"], line))
        area = _member(given["member"], given["nature"]) if one is GROUPS else search.today(given["commune"]).code
        inside = members.setdefault(code, {})
        if area in inside and one is GROUPS:
            problems.append(Problem(line, columns["member"], f"déjà donné en ligne {inside[area]} : {area}"))
        inside.setdefault(area or "", line)
    found = [
        Territory(code, names[code][0], _whole(areas) if one is COMMUNES else frozenset(areas))
        for code, areas in members.items()
    ]
    return sorted(found, key=lambda territory: territory.code), problems


def _line(line: int, given: Cells, columns: Mapping[str, str], one: Layout) -> Iterator[Problem]:
    for ours in ("id", "name", "member" if one is GROUPS else "commune"):
        if not given[ours]:
            yield Problem(line, columns[ours], "obligatoire et vide")
    if given["id"] and not _CODE.fullmatch(given["id"]):
        yield Problem(
            line,
            columns["id"],
            f"« {given['id'][:60]} » ; accepté : lettres sans accent, chiffres, « . », « _ », « - », 32 signes au plus",
        )
    if len(given["name"]) > MAX_NAME or not given["name"].isprintable():
        yield Problem(line, columns["name"], f"accepté : un nom de {MAX_NAME} signes au plus")
    if one is GROUPS:
        if given["nature"] not in NATURES:
            yield Problem(line, columns["nature"], f"« {given['nature'][:60]} » ; accepté : {', '.join(NATURES)}")
        elif given["member"] and _member(given["member"], given["nature"]) is None:
            yield Problem(line, columns["member"], _unknown(given["member"], given["nature"]))
    elif given["commune"]:
        wrong = _wrong_commune(given)
        if wrong:
            yield Problem(line, columns[wrong[0]], wrong[1])


def _wrong_commune(given: Cells) -> tuple[str, str] | None:
    try:
        commune = search.today(given["commune"])
    except UnknownPlaceError as error:
        near = " ou ".join(match.shown for match in error.matches)
        return "commune", error.message + (f" ; accepté : {near}" if near else "")
    groups = (commune.epci, commune.ept, "")
    if given["epci"] not in groups and given["commune"] == commune.code and given["epci"] not in france().groups:
        return (
            "epci",
            f"groupement inconnu : « {given['epci'][:60]} » ; {commune.name} est membre de {commune.epci or 'aucun'}",
        )
    return None


def _member(given: str, nature: str) -> str | None:
    """The area that a SIREN (or the INSEE code of a commune alone) is; None when it is none of today."""
    if nature != "COM":
        return given if given in france().groups else None
    try:
        if _INSEE.fullmatch(given):
            return search.today(given).code
        return next((search.today(code).code for code in _from_siren(given) if _is_code(code)), None)
    except UnknownPlaceError:
        return None


def _is_code(code: str) -> bool:
    return code in france() or code in france().former


def _from_siren(siren: str) -> Iterator[str]:
    """The INSEE codes that the SIREN of a commune may contain: 21, its département, its number, a key (217100767 is 71076)."""
    if not _SIREN.fullmatch(siren) or not siren.startswith("21"):
        return
    departement, number = siren[2:4], siren[5:8]
    if departement in _DIGITS_OVERSEAS:
        yield siren[2:5] + siren[6:8]
    elif departement == "20":
        yield from (f"2A{number}", f"2B{number}")
    else:
        yield departement + number


def _unknown(given: str, nature: str) -> str:
    if nature == "COM":
        return f"commune inconnue : « {given[:60]} » ; accepté : le code INSEE de la commune, ou son SIREN s'il commence par 21"
    near = difflib.get_close_matches(given, france().groups, n=3, cutoff=0.7)
    return f"groupement inconnu : « {given[:60]} »" + (f" ; accepté : {', '.join(near)}" if near else "")


def _whole(communes: Iterable[str]) -> frozenset[str]:
    """Communes as areas: a group of which every commune is there counts as the group."""
    given, known, found = set(communes), france(), set[str]()
    sizes: dict[str, int] = {}
    for one in known.communes():
        sizes[one.epci] = sizes.get(one.epci, 0) + 1
    inside: dict[str, list[str]] = {}
    for code in given:
        inside.setdefault(known[code].epci, []).append(code)
    for epci, codes in inside.items():
        found |= {epci} if epci and len(codes) == sizes[epci] else set(codes)
    return frozenset(found)


# --- the database -----------------------------------------------------------------------------------------------------


class Version(NamedTuple):
    """A territory as it was within a perimeter from a date until another (excluded)."""

    territory: Territory
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What a list would change from its date on."""

    added: tuple[Territory, ...]
    changed: tuple[tuple[Territory, Territory], ...]
    """(as it is, as it would be)"""
    ended: tuple[Territory, ...]
    same: int


_VERSIONS = """
select t.code, t.name, t.valid_from, t.valid_to, coalesce(array_agg(m.area) filter (where m.area is not null), '{}') as areas
from territories t left join territory_members m on m.territory_id = t.id
group by t.id order by t.code, t.valid_from
"""


def versions(session: Session) -> list[Version]:
    """Every perimeter that every territory has had."""
    return [
        Version(Territory(row.code, row.name, frozenset(row.areas)), row.valid_from, row.valid_to)
        for row in session.execute(text(_VERSIONS))
    ]


def codes(session: Session) -> frozenset[str]:
    """The codes of the territories that the database has."""
    return frozenset(session.execute(text("select code from territories")).scalars())


def difference(known: Iterable[Version], given: Iterable[Territory], since: date) -> Difference:
    """What a list changes on its date. Raises Refused when a perimeter that begins later is known: lists come in order."""
    current: dict[str, Territory] = {}
    for one in known:
        if one.valid_from >= since:
            raise Refused(
                "order",
                f"le périmètre de {one.territory.code} commence le {one.valid_from:%d/%m/%Y}, après la date donnée",
                field="--since",
                accepted=f"une date après le {one.valid_from:%d/%m/%Y}",
            )
        if one.valid_to is None or since < one.valid_to:
            current[one.territory.code] = one.territory
    after = {territory.code: territory for territory in given}
    same = [code for code, territory in after.items() if current.get(code) == territory]
    return Difference(
        tuple(territory for code, territory in after.items() if code not in current),
        tuple((current[code], territory) for code, territory in after.items() if code in current and code not in same),
        tuple(territory for code, territory in current.items() if code not in after),
        len(same),
    )


_END = "update territories set valid_to = :since where code = any(:codes) and (valid_to is null or valid_to > :since)"
_ADD = """
with added as (
    insert into territories (code, name, valid_from)
    select code, name, cast(:since as date) from unnest(cast(:codes as text[]), cast(:names as text[])) as g (code, name)
    returning id, code
)
insert into territory_members (territory_id, area)
select a.id, m.area from unnest(cast(:of as text[]), cast(:areas as text[])) as m (code, area) join added a on a.code = m.code
"""
_DESKS = """
insert into units (code, name, level, kinds, areas) select 'ti-' || code, 'Territoire d''industrie ' || name, 'territory',
    array['territoire-industrie'], array['T' || code]
from unnest(cast(:codes as text[]), cast(:names as text[])) as g (code, name)
on conflict (code) do update set name = excluded.name
"""


def write(session: Session, found: Difference, since: date) -> None:
    """Write what a list changes; each territory has a desk, the unit `ti-CODE`, on the lowest rung."""
    new = [*found.added, *(after for _, after in found.changed)]
    ended = [before.code for before, _ in found.changed] + [territory.code for territory in found.ended]
    session.execute(text(_END), {"codes": ended, "since": since})
    members = [(territory.code, area) for territory in new for area in sorted(territory.areas)]
    named = {"codes": [territory.code for territory in new], "names": [territory.name for territory in new]}
    columns = {"of": [code for code, _ in members], "areas": [area for _, area in members]}
    session.execute(text(_ADD), {**named, **columns, "since": since})
    session.execute(text(_DESKS), named)


def communes(known: Iterable[Version], code: str) -> list[str]:
    """The codes of the communes that were ever in a territory."""
    areas = {area for one in known if one.territory.code == code for area in one.territory.areas}
    return [one.code for one in france().communes() if not areas.isdisjoint((one.code, one.ept, one.epci))]


# --- where a commune is -----------------------------------------------------------------------------------------------


class Perimeters:
    """Which territories a commune is in at a date; made once for each revision of the directory."""

    def __init__(self, known: Iterable[Version]) -> None:
        self._by_area: dict[str, list[Version]] = {}
        for one in known:
            for area in one.territory.areas:
                self._by_area.setdefault(area, []).append(one)

    def around(self, commune: Commune, on: date) -> list[Territory]:
        """The territories that a commune is in, in order of codes: one in almost every case."""
        if not self._by_area:
            return []
        found = {
            one.territory.code: one.territory
            for area in (commune.code, commune.ept, commune.epci)
            for one in self._by_area.get(area, ())
            if one.valid_from <= on and (one.valid_to is None or on < one.valid_to)
        }
        return [found[code] for code in sorted(found)]


NOWHERE = Perimeters(())
