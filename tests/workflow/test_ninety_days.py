"""Ninety days over twenty dossiers, with people away, one who leaves, a vacancy, an exhausted ladder and an outage of three days.

What left the building: to whom, when, why, and once.
"""

import re
from collections import Counter
from datetime import date, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import config
from config import yamltext
from config.settings import Settings
from tasks.deliver import deliver_all
from workflow import absences, access, almanac, caseload, definitions, reconcile, scenario

PARIS = ZoneInfo("Europe/Paris")
OWN = Path(config.__file__).parent / "workflows" / "coupe-file.v1.yaml"
NEXT = """
select min(at) from (select min(wake_at) as at from dossiers where wake_at > :now and not stuck
union all select min(not_before) from notices where state = 'queued' and not_before > :now) x
"""
AWAY = ("ref2", date(2026, 10, 19), date(2026, 11, 6))
LEFT = datetime(2026, 11, 9, 10, tzinfo=PARIS)
OUTAGE = (datetime(2026, 11, 27, 12, tzinfo=PARIS), datetime(2026, 11, 30, 12, tzinfo=PARIS))
END = datetime(2027, 1, 3, 10, tzinfo=PARIS)


class Building:
    """A world in which time goes on, and what leaves it."""

    def __init__(self, world, folder):
        self.world, self.folder, self.left = world, folder, []

    def to(self, end):
        """Go on until an instant, stopping wherever something is to be done or told."""
        while (now := self.world.now()) < end:
            at = self.world.sql(NEXT, now=now)[0][0]
            self.at(end if at is None else min(end, at + timedelta(microseconds=1)))

    def at(self, instant):
        """Go there in one leap, and let everybody work."""
        scenario.advance(self.world.make, instant) if instant not in OUTAGE[1:] else self.world.freeze(instant)
        self.world.sweep()
        self.world.react()
        reconcile.reconcile(self.world.make)
        while deliver_all(self.world.make, Settings(mail=f"file:{self.folder}")):
            self.world.react()  # that an acknowledgement has left is an event too
        for path in sorted(self.folder.glob("*.eml")):
            letter = message_from_bytes(path.read_bytes())
            path.unlink()
            events = letter["X-Coupe-File-Event"].split()
            self.left += [
                (self.world.now(), mail, event)
                for mail in re.findall(r"[^<, ]+@x\.example", letter["To"])
                for event in events
            ]


@pytest.fixture(scope="module")
def building(postgres, peopled_template, connect, tmp_path_factory):
    """Give the building after ninety days."""
    from tests.conftest import copied
    from tests.workflow.conftest import World

    with copied(postgres, peopled_template) as url:
        engine = connect(url, pool_size=5)
        world = World(url, engine)
        yield played(world, tmp_path_factory.mktemp("post"))
        engine.dispose()


def played(world, folder):
    """Twenty dossiers: the first is left to the clock, every third is resolved, the others go on."""
    with world.make.begin() as session:
        almanac.keep_shipped(session)
        definitions.add(session, {**yamltext.read(OWN).data, "version": 2}, state="published")
    for login, unit in (("ref6", "u2"), ("ref5", "u1")):
        world.sql(
            "insert into memberships (person_id, unit_id, role) select p.id, u.id, 'referent' from persons p, units u"
            " where p.login = :login and u.code = :unit", login=login, unit=unit,
        )  # fmt: skip
    world.sql("update memberships set valid_to = '2026-10-26Z' where unit_id = 4")  # a vacancy on the fourth rung
    with world.make.begin() as session:
        absences.add(session, *AWAY, substitute="ref6")
    made = Building(world, folder)
    (alone,) = world.submit()
    keys = [alone]
    for number in range(1, 20):
        made.to(world.start + timedelta(days=number, hours=1))
        (key,) = world.submit()
        keys.append(key)
        world.act(key, "triage", "ref0", to_unit="u1")
        world.act(key, "take", "ref1@u1")
        if number % 3 == 0:
            world.act(key, "resolve", "ref1@u1", outcome="unblocked", statement=world.statement)
    made.to(LEFT)
    with world.make.begin() as session:
        caseload.leave(session, "ref1", access.actor(session, "ref1", world.now()), to="ref5")
    made.to(OUTAGE[0])
    made.at(OUTAGE[1])
    made.to(END)
    made.keys = keys
    return made


def test_each_thing_leaves_once_for_each_who_is_told(building):
    assert len(building.left) > 100
    assert [
        told for told, count in Counter((mail, event) for _, mail, event in building.left).items() if count > 1
    ] == []
    assert building.world.value("select count(*) from notices where state in ('dead', 'held')") == 0


def test_nobody_is_written_to_while_away_or_once_gone_and_the_substitute_is(building):
    first, last = (datetime.combine(day, datetime.min.time(), PARIS) for day in AWAY[1:])
    within = [mail for at, mail, _ in building.left if first <= at < last + timedelta(days=1)]
    assert "ref2@x.example" not in within
    assert "ref6@x.example" in within
    assert not [at for at, mail, _ in building.left if mail == "ref1@x.example" and at > LEFT]
    assert [at for at, mail, _ in building.left if mail == "ref5@x.example" and at > LEFT]


def test_reminders_of_the_day_leave_when_the_administration_opens_one_letter_a_day(building):
    world = building.world
    rows = world.sql(
        "select d.reference || '/' || n.seq as event from notices n join dossiers d on d.id = n.dossier_id where digest_unit_id is not null and n.state = 'sent'"
    )
    lines = {row.event for row in rows}
    told = [(at.astimezone(PARIS), mail) for at, mail, event in building.left if event in lines]
    assert told
    odd = {at for at, _ in told if at.hour != 8}
    assert {at.date() for at in odd} == {OUTAGE[1].date()}, "at the opening, but for the day on which the outage ended"
    assert {at.hour for at in odd} == {14}, "it ended while the desks were closed for lunch"
    assert {at.weekday() for at, _ in told} <= {0, 1, 2, 3, 4}


def test_the_vacancy_and_each_exhausted_ladder_are_told_to_the_manager_once(building):
    world = building.world
    kinds = Counter(
        (row.dossier_id, row.kind)
        for row in world.sql(
            "select dossier_id, cause ->> 'kind' as kind from notices where target = 'manager' and state = 'sent'"
        )
    )
    assert set(Counter(kind for _, kind in kinds)) >= {"exhaust"}
    assert (building.keys[0], "exhaust") in kinds
    assert max(count for (_, kind), count in kinds.items() if kind == "exhaust") == 1
    climbed = [event.facts.get("vacant") for event in world.events(building.keys[0]) if event.kind == "escalate"]
    assert [3] in climbed, "the empty rung was passed over, and the journal says so"


def test_the_outage_lost_nothing_and_the_proof_holds(building):
    assert building.world.value("select count(*) from dossiers where stuck") == 0
    after = [at for at, _, _ in building.left if at == OUTAGE[1]]
    assert after, "what fell due meanwhile left when the clock was back"
    assert building.world.sound()
