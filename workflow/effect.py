"""The effect of the promise, by territory, from the journals of the dossiers that a reader may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from config.administrations import shipped
from states import effect as core
from states.dossier import Actor
from states.effect import Effect
from states.facts import Facts
from states.report import Wanted
from workflow import definitions, report
from workflow.access import Scope
from workflow.directory import departement
from workflow.report import Asked


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a definition that dossiers are under: how many, since when it was in force, and the digest of its meaning."""

    name: str
    title: str
    digest: str
    dossiers: int
    effective: date


@dataclass(frozen=True, slots=True)
class Made:
    """The figures, and what they are called: territories and clocks by code, rungs and versions."""

    asked: Asked
    effect: Effect
    said: dict[str, Any]
    territories: dict[str, str]
    clocks: dict[str, str]
    rungs: dict[str, str]
    versions: list[Version]
    near: Scope
    """The dossiers that were worth reading for it."""


def make(
    sessions: sessionmaker[Session], asked: Asked, *, actor: Actor, at: datetime | None = None, most: int | None = None
) -> Made:
    """The effect as of an instant, by default now; of any number of dossiers, or of `most`. Raises BadInput."""
    with sessions() as session:
        now, near = report.reading(session, asked, actor=actor, at=at, most=most)
        wanted, places, side = report.wanted(session, asked), report.perimeters(session), sides(session)
    found = Effect(now, side)
    for _, reference, facts in of(sessions, wanted, actor=actor, at=now, near=near):
        area = "" if facts.commune is None else departement(facts.commune)
        found.add(reference, facts, places(facts.commune, facts.submitted), area)
    with sessions() as session:
        return _called(session, asked, found, near)


def of(
    sessions: sessionmaker[Session], wanted: Wanted, *, actor: Actor, at: datetime, near: Scope
) -> Iterator[tuple[int, str, Facts]]:
    """The dossiers that are asked about, one by one."""
    for key, reference, facts in report.stream(sessions, actor=actor, at=at, near=near):
        if wanted.dossier(facts) and wanted.at(facts.unit, facts.rung):
            yield key, reference, facts


def sides(session: Session) -> Callable[[str], str]:
    """On which side a party stands: units by what they do and the level that the directory gives them."""
    found: dict[str, str] = {}
    for row in session.execute(text("select id, level, kinds from units")):
        local = row.level == "territory" or not shipped.local_kinds().isdisjoint(row.kinds or ())
        found[f"unit:{row.id}"] = "local" if local else "operators" if row.level == "operator" else "state"
    return lambda party: found.get(party, party)


def names(session: Session) -> tuple[dict[str, str], dict[str, str]]:
    """What territories and rungs are called, rungs in the order of the ladders."""
    rows = session.execute(text("select distinct on (code) code, name from territories order by code, valid_from desc"))
    rungs: dict[str, str] = {}
    for key in definitions.readable(session):
        ladder = definitions.get(session, key).compiled.definition.ladder
        rungs |= {rung.rung: rung.label or rung.rung for rung in ladder}
    return {row.code: row.name for row in rows}, rungs


def _called(session: Session, asked: Asked, found: Effect, near: Scope) -> Made:
    territories, rungs = names(session)
    versions = []
    for key in definitions.readable(session):
        loaded = definitions.get(session, key)
        one = loaded.compiled.definition
        name = f"{one.id}@{one.version}"
        if name in found.versions:
            title = f"{one.title or one.id}, version {one.version}"
            versions.append(Version(name, title, loaded.digest, found.versions[name], one.effective.from_))
    return Made(
        asked, found, core.plain(found), territories, report.labels(session), rungs,
        sorted(versions, key=lambda one: one.name), near,
    )  # fmt: skip
