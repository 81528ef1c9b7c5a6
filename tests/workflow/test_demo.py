"""The twelve dossiers of the demo, fast-forwarded: what leaves the building, on which day, each thing once.

Expected by hand from the story of the demo; only what elapsed time can make right is here.
"""

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cli import demo
from workflow import business_time, scenario, schema

PARIS = ZoneInfo("Europe/Paris")
# day and hour in Paris, dossier, what happened, and where it went
EXPECTED = {
    ("24/11 09:00", "64-0002", "clock.remind", None),
    ("24/11 14:00", "52-0012", "clock.remind", None),
    ("24/11 18:00", "64-0001", "clock.breach", None),
    ("24/11 18:00", "64-0001", "escalate", "prefecture-64"),
    ("24/11 18:00", "52-0012", "clock.breach", None),
    ("24/11 18:00", "52-0012", "escalate", "ddt-52"),
    ("24/11 18:00", "18-0011", "clock.breach", None),
    ("24/11 18:00", "18-0011", "exhaust", None),
    ("24/11 18:00", "71-0004", "clock.remind", None),
    ("24/11 18:00", "63-0009", "clock.remind", None),
    ("24/11 18:00", "68-0007", "clock.remind", None),
    ("24/11 21:00", "974-0010", "end_hold", None),
    ("25/11 10:00", "17-0005", "clock.remind", None),
    ("26/11 09:00", "64-0002", "clock.breach", None),
    ("26/11 09:00", "64-0002", "escalate", "prefecture-64-sg"),
    ("26/11 18:00", "63-0009", "clock.breach", None),
    ("26/11 18:00", "63-0009", "escalate", "sgar-auvergne-rhone-alpes"),
    ("26/11 18:00", "68-0007", "clock.breach", None),
    ("26/11 18:00", "68-0007", "escalate", "sp-thann-guebwiller"),
    ("27/11 10:00", "17-0005", "clock.breach", None),
    ("27/11 10:00", "17-0005", "escalate", "sp-rochefort"),
}
HAPPENED = """
select d.reference, e.kind, e.at, e.effective, u.code from events e join dossiers d on d.id = e.dossier_id
left join units u on u.id = (e.effect ->> 'unit')::integer
where e.at > :after and e.kind not in ('clock.lapse', 'clock.idle') order by e.at, e.dossier_id, e.seq
"""


class Demo:
    """The demo at its opening."""

    def __init__(self, world):
        self.world = world
        self.opens = demo.story()[0]

    def to(self, day):
        with self.world.make.begin() as session:
            business_time.freeze(session)
        scenario.advance(self.world.make, datetime.fromisoformat(day).replace(tzinfo=PARIS))

    def outage_until(self, day):
        """Nobody looks until then; then everything at once."""
        with self.world.make.begin() as session:
            business_time.freeze(session, datetime.fromisoformat(day).replace(tzinfo=PARIS))
        self.world.sweep()

    def happened(self):
        rows = self.world.sql(HAPPENED, after=self.opens)
        return Counter(
            (f"{row.effective.astimezone(PARIS):%d/%m %H:%M}", row.reference, row.kind, row.code) for row in rows
        )


@pytest.fixture
def opened(database):
    from tests.workflow.conftest import World

    engine = schema.engine(database, pool_size=5)
    world = World(database, engine)
    world.define(world.coupe_file)
    demo.seed(world.make)
    yield Demo(world)
    engine.dispose()


def test_twelve_dossiers_stand_where_the_story_says(opened):
    rows = opened.world.sql(
        "select d.reference, d.state, u.code, d.holds -> -1 ->> 'end' is null and d.holds <> '[]' as held from dossiers d"
        " left join units u on u.id = d.unit_id order by split_part(d.reference, '-', 2)"
    )
    assert [tuple(row) for row in rows] == [
        ("64-0001", "escalated", "prefecture-64-sg", False),
        ("64-0002", "triaged", "ud-dreal-64", True),
        ("64-0003", "triaged", "guichet-lacq", False),
        ("71-0004", "escalated", "region-academique-bourgogne-franche-comte", False),
        ("17-0005", "triaged", "ddfip-17", False),
        ("51-0006", "escalated", "dgec", False),
        ("68-0007", "triaged", "ud-dreal-68", False),
        ("13-0008", "resolved", "ddtm-13", False),
        ("63-0009", "escalated", "prefecture-63", False),
        ("974-0010", "triaged", "deal-974", True),
        ("18-0011", "escalated", "france-simplification", False),
        ("52-0012", "submitted", "guichet-saint-dizier", False),
    ]
    assert opened.world.now() == opened.opens
    assert opened.world.value("select count(*) from notices where state = 'queued'") == 0
    assert opened.world.sound()


def test_what_happens_from_the_24th_to_the_27th_each_thing_once_at_its_hour(opened):
    opened.to("2026-11-27T18:00")
    assert opened.happened() == Counter(EXPECTED)
    late = opened.world.sql(
        "select e.kind, e.at - e.effective as late from events e where e.at > :after", after=opened.opens
    )
    assert max(row.late.total_seconds() for row in late) < 1, "at its hour, not at the end of a leap"


def test_the_same_after_an_outage_of_three_days(opened):
    opened.to("2026-11-24T23:00")
    opened.outage_until("2026-11-27T23:00")
    happened = opened.happened()
    assert happened.total() == len(happened), "each thing once"
    breaches = {key for key in EXPECTED if key[2] == "clock.breach"}
    assert breaches <= set(happened), "missed when it was missed, however late it is seen"
    moves = {(key[1], key[3]) for key in EXPECTED if key[2] == "escalate"}
    assert moves <= {(key[1], key[3]) for key in happened if key[2] == "escalate"}
    assert opened.world.sound()


def test_nothing_leaves_for_the_dossier_that_was_resolved_and_the_exhausted_ladder_is_told_once(opened):
    opened.to("2026-12-02T08:00")
    opened.world.react()
    told = opened.world.sql(
        "select d.reference, n.target, n.cause ->> 'kind' as kind, n.state from notices n join dossiers d on d.id = n.dossier_id"
        " where d.reference in ('13-0008', '51-0006', '18-0011')"
    )
    assert not [row for row in told if row.reference == "13-0008" and row.state == "queued"]
    exhausted = Counter((row.reference, row.target) for row in told if row.kind == "exhaust")
    assert exhausted == {
        ("51-0006", "manager"): 1, ("51-0006", "holder"): 1, ("18-0011", "manager"): 1, ("18-0011", "holder"): 1,
    }  # fmt: skip


def test_on_the_first_of_december_the_missed_answer_of_chalon_goes_to_the_ministry(opened):
    opened.to("2026-12-01T18:01")
    assert ("01/12 18:00", "71-0004", "escalate", "dgesip") in opened.happened()


@pytest.mark.parametrize(
    ("at", "morning"),
    [
        ("2026-11-24T05:00", "2026-11-24T08:00"),
        ("2026-11-24T08:00", None),
        ("2026-11-24T19:59", None),
        ("2026-11-24T20:00", "2026-11-25T08:00"),
        ("2026-11-27T20:00", "2026-11-30T08:00"),
        ("2026-11-28T12:00", "2026-11-30T08:00"),
        ("2027-03-28T01:30", "2027-03-30T08:00"),  # Easter Monday
    ],
)
def test_a_night_ends_at_eight_of_the_next_working_weekday(at, morning):
    opens = demo.OFFICES.next_open(datetime.fromisoformat(at).replace(tzinfo=PARIS))
    assert opens == datetime.fromisoformat(morning or at).replace(tzinfo=PARIS)
