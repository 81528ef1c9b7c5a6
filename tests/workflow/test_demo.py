"""The twelve dossiers of the demo, fast-forwarded: what leaves the building, on which day, each thing once.

Expected by hand from the story of the demo; only what elapsed time can make right is here.
"""

import re
from collections import Counter
from datetime import datetime
from email import message_from_bytes
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from cli import demo, shipped
from config.settings import Settings
from states.errors import Refused
from tasks.deliver import deliver_all
from workflow import access, almanac, attachments, business_time, invitations, letters, outbox, scenario, schema
from workflow.vault import Vault
from workflow.view import load

PARIS = ZoneInfo("Europe/Paris")
# day and hour in Paris, dossier, what happened, and where it went
EXPECTED = {
    ("24/11 08:00", "64-0002", "clock.remind", None),
    ("24/11 08:00", "71-0004", "clock.remind", None),
    ("24/11 08:00", "17-0005", "clock.remind", None),
    ("24/11 08:00", "63-0009", "clock.remind rung", None),
    ("24/11 08:00", "63-0009", "clock.remind species", None),
    ("24/11 08:00", "68-0007", "clock.remind", None),
    ("24/11 14:00", "52-0012", "clock.remind", None),
    ("24/11 18:00", "64-0001", "clock.breach", None),
    ("24/11 18:00", "64-0001", "escalate", "prefecture-64"),
    ("24/11 18:00", "52-0012", "clock.breach", None),
    ("24/11 18:00", "52-0012", "escalate", "sp-saint-dizier"),
    ("24/11 18:00", "18-0011", "clock.breach", None),
    ("24/11 21:00", "974-0010", "end_hold", None),
    ("25/11 08:00", "17-0005", "clock.remind", None),
    ("25/11 08:00", "64-0002", "clock.remind", None),
    ("26/11 18:00", "63-0009", "clock.breach", None),
    ("26/11 18:00", "63-0009", "escalate", "dreal-auvergne-rhone-alpes"),
    ("26/11 23:59", "68-0007", "clock.breach", None),
    ("27/11 00:00", "68-0007", "escalate", "sp-thann-guebwiller"),
    ("27/11 08:00", "17-0005", "clock.remind", None),
    ("27/11 08:00", "71-0004", "clock.remind", None),
    ("27/11 23:59", "63-0009", "clock.breach", None),
}
# The dates of the story: dossier, clock, the date and the hour on the clocks of the place.
DATES = {
    ("64-0001", "rung"): "2026-11-24T18:00",
    ("64-0001", "grid_proposal"): "2026-11-30T18:00",
    ("64-0002", "environment_review"): "2026-12-01T23:59",
    ("P-64410", "crma"): "2027-06-16T23:59",
    ("71-0004", "rung"): "2026-12-01T18:00",
    ("17-0005", "implied_rejection"): "2026-11-28T23:59",
    ("68-0007", "nzia_completeness"): "2026-11-26T23:59",
    ("68-0007", "nzia_schedule"): "2026-12-14T23:59",
    ("13-0008", "water_declaration"): "2026-11-30T23:59",
    ("63-0009", "rung"): "2026-11-26T18:00",
    ("63-0009", "species"): "2026-11-27T23:59",
    ("974-0010", "permit"): "2027-02-15T23:59",
    ("18-0011", "simplification"): "2026-11-24T18:00",
    ("52-0012", "triage"): "2026-11-24T18:00",
    ("52-0012", "receipt"): "2026-12-04T23:59",
}
HAPPENED = """
select d.reference, e.kind, e.command ->> 'clock' as clock, e.command ->> 'record' as record, e.at, e.effective, u.code from events e join dossiers d on d.id = e.dossier_id
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

    def dates(self):
        """Every due date, on the clocks of the place."""
        zones = {"974-0010": ZoneInfo("Indian/Reunion")}
        return {
            (
                row.reference,
                name,
            ): f"{datetime.fromisoformat(clock['due']).astimezone(zones.get(row.reference, PARIS)):%Y-%m-%dT%H:%M}"
            for row in self.world.sql("select reference, clocks from dossiers")
            for name, clock in row.clocks.items()
        }

    def happened(self):
        rows = self.world.sql(HAPPENED, after=self.opens)
        twice = Counter((row.effective, row.reference, row.kind) for row in rows)
        return Counter(
            (
                f"{row.effective.astimezone(PARIS):%d/%m %H:%M}",
                row.reference,
                f"{row.kind} {row.clock}" if twice[row.effective, row.reference, row.kind] > 1 else row.kind,
                row.code,
            )
            for row in rows
        )


@pytest.fixture
def opened(database, tmp_path):
    from tests.workflow.conftest import World

    engine = schema.engine(database, pool_size=5)
    world = World(database, engine)
    with world.make.begin() as session:
        almanac.keep_shipped(session)
        shipped.keep_missing(session)
    demo.seed(world.make, Vault(tmp_path / "files"))
    yield Demo(world)
    engine.dispose()


def test_twelve_dossiers_stand_where_the_story_says(opened):
    rows = opened.world.sql(
        "select d.reference, d.state, u.code, d.holds -> -1 ->> 'end' is null and d.holds <> '[]' as held from dossiers d"
        " left join units u on u.id = d.unit_id where d.reference !~ '-A[0-9]+$' order by substring(d.reference from '[0-9]+$')::int % 64000"
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
        ("P-64410", "running", "guichet-lacq", False),
    ]
    dates = opened.dates()
    assert {key: dates[key] for key in DATES} == DATES
    assert opened.world.now() == opened.opens
    waiting = "select d.reference, n.target, n.cause ->> 'kind' as kind, n.not_before from notices n join dossiers d on d.id = n.dossier_id where n.state = 'queued'"
    assert [tuple(row) for row in opened.world.sql(waiting)] == [
        ("52-0012", "manager", "vacancy", datetime(2026, 11, 24, 8, tzinfo=PARIS))
    ]
    assert opened.world.sound()


def test_an_avis_is_asked_a_file_is_joined_somebody_is_invited_and_a_statement_was_read_by_france_simplification(
    opened,
):
    def seen(reference, name):
        with opened.world.make() as session:
            who = access.actor(session, name, opened.opens)
            view = load(session, access.find(session, reference, who), who)
            return (
                view,
                attachments.listed(session, view.id, who, scans=False),
                invitations.listed(session, view.id, who),
            )

    mourenx, _, (invited,) = seen("64-0003", "porteur-mourenx")
    (avis,) = mourenx.consultations
    assert (avis.unit, avis.state) == ("agence-eau-adour-garonne", "requested")
    assert avis.due_at == datetime(2026, 12, 21, 18, tzinfo=PARIS), (
        "20 working days, and none of the dates of the story"
    )
    assert (invited.became, invited.side, invited.open) == ("waiting", "elected", True)
    _, (file,), _ = seen("64-0002", "vp-lacq")
    assert (file.name, file.type, file.role) == ("Accusé de dossier complet.pdf", "application/pdf", "holder")
    with opened.world.make() as session:
        rows = session.execute(
            text(
                "select n.*, d.reference from notices n join dossiers d on d.id = n.dossier_id"
                " where d.reference = '18-0011' and n.cause ->> 'rung' = '6' order by n.id"
            )
        ).all()
        told = {one.target.partition(":")[0]: letters.letter(one)[1] for one in outbox.outgoing(session, rows)}
    heads = ("Le texte ou la règle", "Ce que les services de l'État", "Pourquoi la dérogation", "Ce qui est proposé")
    places = [told["unit"].index(f"\n{head}") for head in heads]
    assert places == sorted(places)
    assert "derrière un mur coupe-feu" in told["unit"]
    assert "coupe-feu" not in told["holder"], "who holds the dossier reads it there"
    (bazancourt,) = opened.world.sql("select id from dossiers where reference = '51-0006'")
    with pytest.raises(Refused, match=r"il manque : le texte .* \(blocking_rule\) ; .* \(proposed\)"):
        opened.world.act(bazancourt.id, "escalate", "prefet-51", reason="Aucun calendrier commun n'a été trouvé.")


def test_what_happens_from_the_24th_to_the_27th_each_thing_once_at_its_hour(opened):
    opened.to("2026-11-28T01:00")
    assert opened.happened() == Counter(EXPECTED)
    late = opened.world.sql(
        "select e.kind, e.at - e.effective as late from events e where e.at > :after", after=opened.opens
    )
    assert max(row.late.total_seconds() for row in late) < 1, "at its hour, not at the end of a leap"


def left(world, folder):
    """(dossiers, addresses) of every letter that left, in no order."""
    world.react()
    while deliver_all(world.make, Settings(mail=f"file:{folder}")):
        pass
    letters = [message_from_bytes(path.read_bytes()) for path in folder.glob("*.eml")]
    return Counter(
        (
            tuple(sorted({part.split("/")[0] for part in letter["X-Coupe-File-Event"].split()})),
            tuple(sorted(re.findall(r"<([^@>]+)@", letter["To"]))),
        )
        for letter in letters
    )


def test_the_morning_of_the_24th_one_letter_leaves_for_each_administration_and_the_vacancy_is_told(opened, tmp_path):
    opened.to("2026-11-24T08:30")
    assert left(opened.world, tmp_path) == Counter(
        {
            (("64-0002",), ("ref-ud-dreal-64",)): 1,
            (("71-0004",), ("suppleante-region-academique-bourgogne-franche-comte",)): 1,
            (("17-0005",), ("ref-ddfip-17",)): 1,
            (("63-0009",), ("prefet-63", "ref-prefecture-63")): 1,
            (("68-0007",), ("ref-ud-dreal-68",)): 1,
            (("52-0012",), ("deleguee-ti",)): 1,
        }
    )


def test_a_decision_before_the_letter_of_the_day_leaves_voids_its_lines(opened, tmp_path):
    opened.to("2026-11-24T08:30")
    (row,) = opened.world.sql("select id from dossiers where reference = '63-0009'")
    statement = "La dérogation est accordée, avec des mesures de compensation."
    opened.world.act(row.id, "resolve", "prefet-63", outcome="unblocked", statement=statement)
    told = left(opened.world, tmp_path)
    assert [people for dossiers, people in told if "63-0009" in dossiers] == [("maire-thiers", "porteur-thiers")]
    whys = opened.world.sql(
        "select distinct why from notices where dossier_id = :id and cause ->> 'kind' = 'clock.remind' and state = 'void' and digest_unit_id is not null and not_before > :at",
        id=row.id,
        at=opened.opens,
    )
    assert [why for (why,) in whys] == ["l'échéance rappelée n'a plus cours"]


def test_the_same_after_an_outage_of_three_days(opened):
    opened.to("2026-11-24T23:00")
    opened.outage_until("2026-11-28T00:30")
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
    assert exhausted == {("51-0006", "manager"): 1, ("51-0006", "holder"): 1}


def test_to_the_15th_of_february_each_legal_date_is_recorded_once_with_what_silence_makes_of_it(opened):
    opened.to("2027-02-16T09:00")
    assert ("01/12 18:00", "71-0004", "escalate", "dgesip") in opened.happened()
    rows = [row for row in opened.world.sql(HAPPENED, after=opened.opens) if row.kind == "clock.breach"]
    legal = Counter(
        (f"{row.effective.astimezone(PARIS):%d/%m/%Y}", row.reference, row.clock, row.record)
        for row in rows
        if row.clock not in ("rung", "triage", "first_answer", "resolution", "without_text")
    )
    assert legal == Counter(
        {
            ("24/11/2026", "18-0011", "simplification", "missed"),
            ("26/11/2026", "68-0007", "nzia_completeness", "missed"),
            ("27/11/2026", "63-0009", "species", "implied_rejection"),
            ("28/11/2026", "17-0005", "implied_rejection", "implied_rejection"),
            ("30/11/2026", "64-0001", "grid_proposal", "missed"),
            ("01/12/2026", "64-0002", "environment_review", "missed"),
            ("04/12/2026", "52-0012", "receipt", "missed"),
            ("14/12/2026", "68-0007", "nzia_schedule", "missed"),
            ("22/12/2026", "64-0002", "environment_report", "missed"),
            ("15/02/2027", "974-0010", "permit", "implied_rejection"),
        }
    )
    assert opened.world.sound()


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
