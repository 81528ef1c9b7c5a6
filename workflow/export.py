"""Exports, streamed: what each dossier adds to the report as rows, and the journal as an event log for process mining.

XES is IEEE 1849-2016; OCEL is version 2.0 of the Object-Centric Event Log (Berti and others, 2023), in JSON: dossiers, the
administrations that had them, and the projects that they name. No text and no person: who acted is a role and a unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from states.dossier import Actor
from states.facts import Facts
from states.report import Wanted, box
from workflow import report, sheets
from workflow.apply import connection
from workflow.directory import departement
from workflow.sheets import Row

DAY = 86400.0
DOSSIERS = (
    "Référence", "Définition", "Sujet", "Commune", "Département", "Administration", "Échelon", "Phase", "Issue", "Déposé",
    "Orienté", "Première réponse", "Clos", "Jours bruts", "Jours nets", "Rappels", "Échelons saisis", "dont par l'horloge",
    "Échelons vacants", "Réouvertures",
)  # fmt: skip
PROMISES = (
    "Référence", "Délai", "Nature", "Administration", "Échelon", "Départ", "Échéance", "Fin", "Situation", "Jours bruts",
    "Jours nets",
)  # fmt: skip
BOXES = {
    "open_in_time": "en cours, à temps", "open_late": "en cours, dépassé", "closed_in_time": "clos à temps",
    "closed_late": "clos en retard",
}  # fmt: skip
FAMILIES = {"commitment": "engagement", "legal": "délai légal"}
Units = dict[int, str]


def units(session: Session) -> Units:
    """The code of each administration."""
    return {row.id: row.code for row in session.execute(text("select id, code from units"))}


def dossier(reference: str, facts: Facts, known: Units, now: datetime) -> Row:
    """A dossier as a row of `DOSSIERS`."""
    until = facts.closed or now
    gross = until - facts.submitted
    return (
        reference, facts.definition, facts.topic, facts.commune, facts.commune and departement(facts.commune),
        _code(facts.unit, known), facts.rung, facts.phase, facts.outcome, facts.submitted, facts.triaged, facts.answered,
        facts.closed, gross.total_seconds() / DAY, (gross - facts.held(until)).total_seconds() / DAY, facts.reminders,
        facts.escalations, facts.by_clock, len(facts.vacant), facts.reopened,
    )  # fmt: skip


def promises(reference: str, facts: Facts, known: Units, labels: dict[str, str], now: datetime) -> Iterator[Row]:
    """The promises of a dossier as rows of `PROMISES`."""
    for one in facts.promises:
        yield (
            reference, labels.get(one.clock, one.clock), FAMILIES[one.family], _code(one.unit, known), one.rung, one.start,
            one.due, one.end, BOXES[box(one, now)], one.gross(now).total_seconds() / DAY, one.net(now).total_seconds() / DAY,
        )  # fmt: skip


def book(path: Path, rows: Iterable[tuple[str, Facts]], known: Units, labels: dict[str, str], now: datetime) -> None:
    """Dossiers and their promises as an XLSX book of two sheets, row by row. Raises OSError."""
    made = sheets.Book(path, {"Dossiers": DOSSIERS, "Délais": PROMISES})
    for reference, facts in rows:
        made.add("Dossiers", dossier(reference, facts, known, now))
        for row in promises(reference, facts, known, labels, now):
            made.add("Délais", row)
    made.close()


def _code(unit: int | None, known: Units) -> str | None:
    return None if unit is None else known.get(unit, str(unit))


# --- the event log ----------------------------------------------------------------------------------------------------

_EVENTS = """
select e.dossier_id, e.seq, e.effective, e.at, e.kind, e.role, e.unit_id, e.effect ->> 'rung', e.effect ->> 'unit', e.command ->> 'clock'
from events e where e.dossier_id = any(%(ids)s) and e.at <= %(at)s order by e.dossier_id, e.seq
"""


def _chunks(
    make: sessionmaker[Session], actor: Actor, at: datetime, wanted: Wanted
) -> Iterator[list[tuple[int, str, Facts]]]:
    chunk: list[tuple[int, str, Facts]] = []
    with make() as session:
        coded = report.unnamed(session, actor)
    for key, reference, facts in report.stream(make, actor=actor, at=at):
        if wanted.dossier(facts) and wanted.at(facts.unit, facts.rung):
            chunk.append((key, reference, report.told(facts, coded, key)))
        if len(chunk) == report.CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _logged(
    make: sessionmaker[Session], actor: Actor, at: datetime, wanted: Wanted
) -> Iterator[tuple[int, str, Facts, list[Any]]]:
    """Each dossier with its events, in the order of the journal."""
    for chunk in _chunks(make, actor, at, wanted):
        with make() as session:
            rows = (
                connection(session)
                .execute(_EVENTS, {"ids": [one[0] for one in chunk], "at": at}, binary=True)
                .fetchall()
            )
        by_id: dict[int, list[Any]] = {}
        for row in rows:
            by_id.setdefault(row[0], []).append(row)
        for key, reference, facts in chunk:
            yield key, reference, facts, by_id[key]


XES_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1849-2016" xes.features="" xmlns="http://www.xes-standard.org/">
<extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
<extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
<extension name="Lifecycle" prefix="lifecycle" uri="http://www.xes-standard.org/lifecycle.xesext"/>
<extension name="Organizational" prefix="org" uri="http://www.xes-standard.org/org.xesext"/>
<global scope="trace"><string key="concept:name" value=""/></global>
<global scope="event"><string key="concept:name" value=""/><date key="time:timestamp" value="1970-01-01T00:00:00+00:00"/><string key="lifecycle:transition" value="complete"/></global>
<classifier name="Activity" keys="concept:name"/>
"""


def xes(make: sessionmaker[Session], *, actor: Actor, at: datetime, wanted: Wanted, known: Units) -> Iterator[str]:
    """The journal as XES: a dossier is a trace; an event stands at the instant when it counts."""
    yield XES_HEAD
    for _, reference, facts, events in _logged(make, actor, at, wanted):
        lines = ["<trace>", _attribute("string", "concept:name", reference)]
        about = {
            "definition": facts.definition,
            "topic": facts.topic,
            "commune": facts.commune,
            "outcome": facts.outcome,
        }
        lines += [_attribute("string", name, value) for name, value in about.items() if value is not None]
        for row in events:
            lines += ["<event>", _attribute("string", "concept:name", row[4]), _attribute("date", "time:timestamp", row[2]),
                      _attribute("string", "lifecycle:transition", "complete"), _attribute("string", "org:role", row[5]),
                      _attribute("date", "recorded", row[3])]  # fmt: skip
            if row[6] is not None:
                lines.append(_attribute("string", "org:group", known.get(row[6], str(row[6]))))
            if row[9] is not None:
                lines.append(_attribute("string", "clock", row[9]))
            lines.append("</event>")
        yield "\n".join([*lines, "</trace>\n"])
    yield "</log>\n"


def _attribute(kind: str, key: str, value: str | datetime) -> str:
    said = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else _xml(value)
    return f"<{kind} key={quoteattr(key)} value={quoteattr(said)}/>"


def _xml(value: str) -> str:
    """A text without the signs that XML 1.0 has no way to say."""
    return "".join(
        sign if sign in "\t\n\r" or (sign >= " " and sign not in "\ufffe\uffff") else "\ufffd" for sign in value
    )


# --- OCEL -------------------------------------------------------------------------------------------------------------

_DOSSIER, _UNIT, _PROJECT = "dossier", "administration", "projet"
_ABOUT = ("definition", "topic", "commune", "outcome")


def ocel(make: sessionmaker[Session], *, actor: Actor, at: datetime, wanted: Wanted, known: Units) -> Iterator[str]:
    """The journal as OCEL 2.0 in JSON; read twice, once for its objects and once for its events."""
    with make() as session:
        kinds = session.execute(text("select distinct kind from events order by 1")).scalars().all()
    of_event = [
        {"name": "role", "type": "string"},
        {"name": "recorded", "type": "time"},
        {"name": "clock", "type": "string"},
    ]
    of_dossier = [{"name": name, "type": "string"} for name in _ABOUT]
    yield '{"objectTypes":' + _json(
        [
            {"name": _DOSSIER, "attributes": of_dossier},
            {"name": _UNIT, "attributes": []},
            {"name": _PROJECT, "attributes": []},
        ]
    )
    yield ',"eventTypes":' + _json([{"name": kind, "attributes": of_event} for kind in kinds])
    yield ',"objects":['
    yield from _joined(_objects(make, actor, at, wanted, known))
    yield '],"events":['
    yield from _joined(_ocel_events(make, actor, at, wanted, known))
    yield "]}\n"


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


def _joined(parts: Iterable[Any]) -> Iterator[str]:
    for place, part in enumerate(parts):
        yield ("," if place else "") + "\n" + _json(part)


def _objects(
    make: sessionmaker[Session], actor: Actor, at: datetime, wanted: Wanted, known: Units
) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for chunk in _chunks(make, actor, at, wanted):
        for _, reference, facts in chunk:
            about = [getattr(facts, name) for name in _ABOUT]
            attributes = [
                {"name": name, "time": facts.at if name == "outcome" else facts.submitted, "value": value}
                for name, value in zip(_ABOUT, about, strict=True)
                if value is not None
            ]
            linked = _links(facts, known)
            yield {"id": f"{_DOSSIER}:{reference}", "type": _DOSSIER, "attributes": attributes,
                   "relationships": [{"objectId": key, "qualifier": how} for key, how in linked]}  # fmt: skip
            for key, _ in linked:
                if key not in seen:
                    seen.add(key)
                    yield {"id": key, "type": key.partition(":")[0], "attributes": [], "relationships": []}


def _links(facts: Facts, known: Units) -> list[tuple[str, str]]:
    had = {int(party.partition(":")[2]) for _, party in facts.turns if party.startswith("unit:")}
    had |= {one.unit for one in facts.promises if one.unit is not None}
    links = [(f"{_UNIT}:{known.get(unit, unit)}", "saisie") for unit in sorted(had)]
    project = facts.data.get("project")
    return links if project is None else [*links, (f"{_PROJECT}:{project}", "fait partie de")]


def _ocel_events(
    make: sessionmaker[Session], actor: Actor, at: datetime, wanted: Wanted, known: Units
) -> Iterator[dict[str, Any]]:
    for key, reference, facts, events in _logged(make, actor, at, wanted):
        declared = {link for link, _ in _links(facts, known)}
        for row in events:
            told: Sequence[tuple[str, Any]] = (("role", row[5]), ("recorded", row[3]), ("clock", row[9]))
            related = [{"objectId": f"{_DOSSIER}:{reference}", "qualifier": "dossier"}]
            for unit, how in ((row[6], "agit"), (row[8] and int(row[8]), "reçoit")):
                link = f"{_UNIT}:{known.get(unit, unit)}"
                if unit is not None and link in declared:
                    related.append({"objectId": link, "qualifier": how})
            yield {"id": f"{key}/{row[1]}", "type": row[4], "time": row[2],
                   "attributes": [{"name": name, "value": value} for name, value in told if value is not None],
                   "relationships": related}  # fmt: skip


FORMATS: dict[str, Callable[..., Iterator[str]]] = {"xes": xes, "ocel": ocel}
