"""The demo: twelve fictional dossiers on a sample directory, and a clock that runs at an hour a second."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

import config
from cli import administrations, say, shipped
from config import yamltext
from config.holidays import of_zone
from states import fields
from states.calendar import WEEKDAYS, calendar
from workflow import absences, business_time, directory, directory_file, heartbeats, scenario
from workflow.scenario import Step
from workflow.vault import Vault

FILE = Path(config.__file__).parent / "demo" / "dossiers.yaml"
RATE = 3600.0
"""Seconds of the dossiers' time for a real one: an hour a second."""
EVERY, LEASE = 0.2, timedelta(seconds=1)
NEAR = timedelta(minutes=10)
"""How long before what comes next a demo that is opened again goes on: a sixth of a second."""
OFFICES = calendar(
    {"timezone": say.PARIS, "week": {day: [["08:00", "20:00"]] for day in WEEKDAYS[:5]}}, holidays=of_zone("metropole")
)
"""When time runs; elsewhen it leaps."""


OPENED = "demo"
"""The heartbeat that says that the beginning was played to its end."""


def state(session: Session) -> tuple[bool, bool]:
    """Whether the database holds dossiers, and whether they are those of a demo whose beginning is whole."""
    row = session.execute(
        text("select exists (select from dossiers), exists (select from heartbeats where name = :name)"),
        {"name": OPENED},
    ).one()
    return bool(row[0]), bool(row[1])


def seed(make: sessionmaker[Session], vault: Vault) -> None:
    """Load the sample directory and play what happened before the opening; the clock then waits for its driver.

    The files that were joined are kept in the vault.
    """
    opens, steps = story()
    with make.begin() as session:
        directory_file.write(session, administrations.sheets(administrations.SAMPLE))
    scenario.play(make, steps, opens=opens, vault=vault)
    with make.begin() as session:
        for one in yamltext.read(FILE).data["absences"]:
            first, last = (date.fromisoformat(one[name]) for name in ("from", "to"))
            absences.add(session, one["login"], first, last, substitute=one["substitute"])
        business_time.resume(session)
        heartbeats.beat(session, OPENED)


def story() -> tuple[datetime, list[Step]]:
    """When the demo opens, and what was done before."""
    data: Any = yamltext.read(FILE).data
    steps: list[Step] = []
    for number, dossier in enumerate(data["dossiers"], 1):
        given = dict(dossier["submit"])
        name = dossier.get("reference") or f"{directory.departement(given['commune'])}-{number:04d}"
        at = fields.instant("at", given.pop("at"))
        parties = tuple(dossier.get("parties", ()))
        kind = dossier.get("definition", shipped.OWN)
        steps.append(Step(at, name, dossier["holder"], "submit", given, parties, kind))
        for act in dossier["acts"] or ():
            args = dict(act)
            at, actor, do = fields.instant("at", args.pop("at")), args.pop("as"), args.pop("do")
            if "path" in args:
                args["path"] = FILE.parent / args["path"]
            steps.append(Step(at, name, actor, do, args))
    return fields.instant("opens", data["opens"]), steps


class Driver(threading.Thread):
    """Leads the demo's time: an hour a second, over nights and weekends in a leap, never past what is not done yet."""

    def __init__(self, make: sessionmaker[Session]) -> None:
        """Choose the database; nothing runs until start."""
        super().__init__(name="demo clock", daemon=True)
        self._make = make
        self._halt = threading.Event()

    def run(self) -> None:
        """Lead until `stop`; while the database is away, time stands still by itself."""
        with suppress(SQLAlchemyError):
            self._draw_near()
        while not self._halt.wait(EVERY):
            with suppress(SQLAlchemyError):
                self._drive()

    def _draw_near(self) -> None:
        """Leap over the empty hours before what comes next: whoever opens the demo again sees it move."""
        with self._make.begin() as session:
            driven = business_time.drive(session, rate=RATE, lease=LEASE)
            if not (driven.paused or driven.busy or driven.next is None) and driven.next - NEAR > driven.now:
                business_time.jump(session, driven.next - NEAR - driven.now)

    def _drive(self) -> None:
        with self._make.begin() as session:
            driven = business_time.drive(session, rate=RATE, lease=LEASE)
            if driven.paused or driven.busy:
                return
            opens = OFFICES.next_open(driven.now)
            to = opens if driven.next is None else min(opens, driven.next)
            if to > driven.now:
                business_time.jump(session, to - driven.now)
                business_time.drive(session, rate=RATE, lease=LEASE)

    def stop(self) -> None:
        """End, and leave time standing."""
        self._halt.set()
        self.join(5)
