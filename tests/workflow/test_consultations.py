"""Avis: services consulted beside a dossier, each with its own due date, while the ball stays where it is."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

import config
from config import yamltext
from config.settings import Settings
from states.dossier import SYSTEM
from states.errors import BadInput, Refused
from states.report import Wanted
from tasks.deliver import deliver_all
from workflow import access, almanac, consultations, counters, definitions, dossiers, overview, queue, reactions, report
from workflow.dossiers import Submission
from workflow.queue import Filters
from workflow.view import load, load_past

WORKFLOWS = Path(config.__file__).parent / "workflows"
QUESTION = "Le prélèvement est-il compatible avec l'étiage du gave ?"
OPINION = "Oui, sous réserve d'un suivi du débit en été."
DUE = datetime(2026, 10, 19, 16, 0, tzinfo=UTC)
"""Ten working days after Monday 5 October, at closing in Paris."""


@pytest.fixture
def own(world):
    """Give a world under the shipped definitions."""
    with world.make.begin() as session:
        almanac.keep_shipped(session)
        definitions.add(
            session, {**yamltext.read(WORKFLOWS / "coupe-file.v1.yaml").data, "version": 2}, state="published"
        )
        definitions.add(session, yamltext.read(WORKFLOWS / "avis.v1.yaml").data, state="published")
    return world


def consult(world, key, unit="u2", by="ref1", idem=None, **args):
    """Ask for an avis; gives the key of the request. Raises what refused it."""
    given = {"consulted": unit, "question": QUESTION, **args}
    with world.make.begin() as session:
        actor = access.actor(session, by, world.now())
        dossiers.one(dossiers.act(session, [key], "consult", actor=actor, args=given, idem=idem))
    return world.value("select max(dossier_id) from consultations where parent_id = :key", key=key)


def seen(world, key, by):
    """What somebody sees of a dossier. Raises Refused when it is outside their scope."""
    with world.make() as session:
        actor = SYSTEM if by == "system" else access.actor(session, by, world.now())
        return load(session, access.find(session, str(key), actor), actor)


def rows(world, by, **filters):
    with world.make() as session:
        return [row.id for row in queue.page(session, access.actor(session, by, world.now()), Filters(**filters)).rows]


def letters(world, folder):
    """(kind, address) of every letter that has left so far."""
    world.react()
    while deliver_all(world.make, Settings(mail=f"file:{folder}")):
        pass
    found = world.sql("select cause ->> 'kind', sent_to from notices where state = 'sent' order by id")
    return [(kind, to.removesuffix("@x.example")) for kind, to in found]


def read(path):
    return message_from_bytes(path.read_bytes(), policy=policy.default)


def test_a_service_is_consulted_and_the_ball_stays_where_it_is(own):
    key = own.triaged()
    before = own.row(key)
    avis = consult(own, key)
    after, request = own.row(key), own.row(avis)
    assert (after.unit_id, after.state, after.version, after.clocks, after.due_at) == (
        before.unit_id, before.state, before.version, before.clocks, before.due_at)  # fmt: skip
    assert after.units == before.units
    assert (request.reference, request.unit_id, request.units, request.due_at) == (f"64-{key:04d}-A1", 3, [3], DUE)
    assert list(request.clocks) == ["without_text"]
    assert QUESTION not in str(own.sql("select command from events where dossier_id = :key", key=key))
    assert own.sound()


def test_the_holder_sees_who_is_consulted_since_when_until_when_and_what_silence_makes_the_referent_the_answer_too(own):
    key = own.triaged()
    consult(own, key)
    own.jump(days=2)
    (told,) = seen(own, key, "holder").consultations
    assert (told.unit, told.since, told.due_at, told.silence) == ("u2", own.start, DUE, "no_observation")
    assert (told.question, told.opinion, told.outcome) == (None, None, None)
    (asked,) = seen(own, key, "ref1").consultations
    assert (asked.question, asked.opinion) == (QUESTION, None)
    own.act(asked.id, "give", "ref2", outcome="favourable_with_reserves", opinion=OPINION)
    (answered,) = seen(own, key, "ref1").consultations
    assert (answered.opinion, answered.outcome, answered.closed_at) == (OPINION, "favourable_with_reserves", own.now())
    (told,) = seen(own, key, "holder").consultations
    assert (told.state, told.opinion, told.outcome, told.silence) == ("given", None, None, None)
    (managed,) = seen(own, key, "boss").consultations
    assert (managed.outcome, managed.opinion, managed.question) == ("favourable_with_reserves", None, None)
    with own.make() as session:
        past = load_past(session, key, access.actor(session, "ref1", own.now()), own.start + timedelta(days=1))
    assert [(one.state, one.opinion, one.due_at) for one in past.consultations] == [("requested", None, DUE)]


def test_who_is_consulted_reads_the_dossier_while_it_is_open_and_acts_on_the_request_alone(own):
    key = own.triaged()
    with pytest.raises(Refused):
        seen(own, key, "ref2")
    avis = consult(own, key)
    read = seen(own, key, "ref2")
    assert (read.allowed, read.closed_doors) == ((), ())
    assert own.form["blockage"] in read.texts.values()
    other = consult(own, key, "u3", question="Le lit du gave est-il du domaine public ?")
    own.act(other, "give", "ref3", outcome="no_observation", opinion=OPINION)
    assert [(one.unit, one.question, one.opinion, one.outcome) for one in seen(own, key, "ref2").consultations] == [
        ("u2", QUESTION, None, None), ("u3", None, None, None)]  # fmt: skip
    with pytest.raises(Refused, match="sans y agir"):
        own.act(avis, "assign", "ref1", to_user="ref1")
    with own.make.begin() as session:
        (said,) = dossiers.act(session, [key], "note", actor=own.actor("ref2"), args={"note": "Rien à signaler."})
        (unknown,) = dossiers.act(session, [key], "note", actor=own.actor("ref6"), args={"note": "Rien à signaler."})
    assert (said.error.code, unknown.error.code) == ("read_only", "unknown")
    assert [one.name for one in seen(own, avis, "ref2").allowed] == ["give", "pass_on", "assign", "take"]
    assert (seen(own, avis, "ref1").allowed, seen(own, avis, "ref1").about) == ((), f"64-{key:04d}")
    for stranger in ("ref6", "holder"):
        with pytest.raises(Refused):
            seen(own, avis, stranger)
    own.resolve(key)
    with pytest.raises(Refused):
        seen(own, key, "ref2")
    assert seen(own, avis, "ref2").id == avis


def test_a_service_that_has_an_open_request_is_not_asked_again_and_nothing_is_left_behind(own, together):
    key = own.triaged()
    assert consult(own, key, idem="once") == consult(own, key, idem="once")
    with pytest.raises(BadInput, match="a déjà servi"):
        consult(own, key, idem="once", question="Une tout autre question, sous la même clé ?")
    with pytest.raises(Refused, match="Administration 2 : 64-0001-A1, attendu avant le lundi 19 octobre") as refusal:
        consult(own, key)
    assert refusal.value.field == "consulted"
    found = together(lambda: consult(own, key, "u3"), lambda: consult(own, key, "u3"))
    assert sorted(type(one).__name__ for one in found) == ["Refused", "int"]
    assert own.kinds(key) == ["submit", "triage", "consult", "consult"]
    assert own.value("select count(*) from dossiers") == 3
    own.act(2, "give", "ref2", outcome="favourable", opinion=OPINION)
    assert consult(own, key) == 4  # once it has answered it may be asked something else
    assert own.row(4).reference == "64-0001-A3"
    assert own.sound()


@pytest.mark.parametrize(
    ("args", "field", "words"),
    [
        ({"question": None}, "question", "obligatoire"),
        ({"question": "Oui ?"}, "question", "5 signes"),
        ({"unit": "u1"}, "consulted", "tient le dossier"),
        ({"unit": "u99"}, "consulted", "inconnue"),
        ({"basis": "urbanisme", "days": "5"}, "days", "le texte fixe le délai"),
        ({"days": "0"}, "days", "de 1 à 60"),
        ({"days": "61"}, "days", "de 1 à 60"),
        ({"days": "dix"}, "days", "un nombre entier de 1 à 60"),
        ({"basis": "habitude"}, "basis", "sans_texte"),
        ({"by": "holder"}, "role", "holder"),
        ({"by": "ref6"}, "dossier", "périmètre"),
    ],
)
def test_a_consultation_that_cannot_be_is_refused_whole_with_the_field_and_what_would_be(own, args, field, words):
    key = own.triaged()
    with pytest.raises((BadInput, Refused)) as refusal:
        consult(own, key, **args)
    error = refusal.value
    assert words in f"{error.message} {error.accepted}"
    assert error.field in (field, "consult")
    assert own.kinds(key) == ["submit", "triage"]
    assert own.value("select count(*) from dossiers") == 1


def test_an_avis_is_asked_from_a_dossier_and_in_no_other_way(own):
    form = {"dossier": "64-0001", "question": QUESTION, "basis": "sans_texte"}
    for args in ({"definition": "avis", "args": form}, {"args": own.form, "unit": 3}):
        with own.make.begin() as session, pytest.raises(Refused, match="se demande depuis un dossier"):
            dossiers.submit(session, [Submission(**args)], actor=own.actor("ref1"))
    key = own.triaged()
    own.resolve(key)
    with pytest.raises(Refused):
        consult(own, key)


def test_an_answer_is_told_once_to_who_has_the_dossier_and_noted_on_it(own, tmp_path):
    key = own.triaged()
    avis = consult(own, key)
    assert [one for one in letters(own, tmp_path) if one[1] == "ref2"] == [("submit", "ref2")]
    own.act(avis, "give", "ref2", outcome="favourable", opinion=OPINION)
    own.react()
    own.react()
    assert letters(own, tmp_path).count(("opinion_given", "ref1")) == 1
    (event,) = [event for event in own.events(key) if event.kind == "opinion_given"]
    assert (event.command["args"], event.actor) == ({"request": "64-0001-A1"}, SYSTEM)
    assert {kind for kind, to in letters(own, tmp_path) if to == "holder"} == {"submit", "triage"}
    (asked,) = [one for one in map(read, tmp_path.glob("*.eml")) if one["Subject"].endswith("votre avis est demandé")]
    assert "l'avis est réputé rendu sans observation" in asked.get_content()
    assert "Avis sur le dossier : 64-0001" in asked.get_content()
    assert own.sound()


def test_silence_is_what_its_basis_says_by_the_clock_after_reminders_sent_once_whatever_the_outage(own, tmp_path):
    key = own.triaged()
    expected = {
        consult(own, key, "u2"): ("without_text", "2026-10-19", "no_observation"),
        consult(own, key, "u3", basis="urbanisme"): ("town_planning", "2026-11-05", "favourable"),
        consult(own, key, "u4", basis="accord_expres"): ("express_agreement", "2026-12-05", "unfavourable"),
        consult(own, key, "u5", basis="autorite_environnementale"): ("environmental_authority", "2026-12-05", "no_observation"),
        consult(own, key, "u6", days="5"): ("without_text", "2026-10-12", "no_observation"),
    }  # fmt: skip
    with own.make() as session:
        silences = {one.id: one.silence for one in consultations.of(session, key, SYSTEM, units=(), sees=False)}
    assert silences == {avis: wanted[2] for avis, wanted in expected.items()}
    own.freeze(datetime(2026, 10, 16, 8, tzinfo=UTC))
    own.sweep()
    own.react()
    own.freeze(datetime(2026, 12, 10, 10, tzinfo=UTC))
    own.sweep()
    own.react()
    for avis, (clock, day, outcome) in expected.items():
        row = own.row(avis)
        assert (row.state, row.outcome, list(row.clocks)) == ("silent", outcome, [clock])
        due = datetime.fromisoformat(row.clocks[clock]["due"])
        assert (due - timedelta(hours=2)).date().isoformat() == day
    told = [event.command["args"]["request"] for event in own.events(key) if event.kind == "opinion_silent"]
    assert sorted(told) == [f"64-0001-A{n}" for n in range(1, 6)]
    assert own.kinds(2).count("clock.remind") == 1
    assert own.sound()


def test_a_dossier_that_ends_ends_its_open_requests_and_nobody_waits_for_them(own, tmp_path):
    key = own.triaged()
    open_, answered = consult(own, key), consult(own, key, "u3")
    own.act(answered, "give", "ref3", outcome="unfavourable", opinion=OPINION)
    own.act(key, "withdraw", "holder", reason=own.reason)
    assert ("drop", "ref2") in letters(own, tmp_path)
    assert [(own.row(avis).state, own.row(avis).outcome) for avis in (open_, answered)] == [
        ("dropped", "withdrawn"), ("given", "unfavourable")]  # fmt: skip
    assert own.kinds(key)[-1] == "withdraw"  # nothing is noted on a dossier that is closed
    own.freeze(DUE + timedelta(days=30))
    own.sweep()
    assert own.kinds(open_) == ["submit", "drop"]
    assert own.sound()


def test_what_cannot_follow_is_kept_apart_tried_again_and_done_once(own, monkeypatch):
    key = own.triaged()
    avis = consult(own, key)
    own.act(avis, "give", "ref2", outcome="favourable", opinion=OPINION)
    monkeypatch.setattr(dossiers, "perform", lambda *_, **__: 1 / 0)
    own.react()
    assert own.sql("select dossier_id, subscriber from reaction_failures") == [(avis, "consultations")]
    monkeypatch.undo()
    own.sql("update reaction_failures set next_at = clock_timestamp()")
    own.react()
    own.react()
    assert own.kinds(key).count("opinion_given") == 1
    assert own.value("select count(*) from reaction_failures") == 0


def test_reports_counters_the_dashboard_and_queues_do_not_take_an_avis_for_a_dossier_of_the_holder(own):
    key = own.triaged()
    avis = [consult(own, key), consult(own, key, "u3", basis="urbanisme")]
    own.act(avis[0], "give", "ref2", outcome="favourable", opinion=OPINION)
    own.react()
    boss = own.actor("boss")
    whole = report.make(own.make, report.Asked(), actor=boss).report
    assert (whole.counts["dossiers"], whole.counts["open"]) == (1, 1)
    assert {clock for _, clock in whole.clocks}.isdisjoint({"without_text", "town_planning"})
    beside = report.make(own.make, report.Asked(version="avis"), actor=boss).report
    assert (beside.counts["dossiers"], beside.counts["resolved"]) == (2, 1)
    assert beside.clocks["commitment", "without_text"].counts["closed_in_time"] == 1
    assert not Wanted().dossier(
        next(facts for k, _, facts in report.stream(own.make, actor=boss, at=own.now()) if k == avis[0])
    )
    with own.make() as session:
        assert counters.read(session, own.now())["", "", "dossiers"] == 1
        assert counters.read(session, own.now(), definition="avis")["", "", "dossiers"] == 2
        steer = overview.overview(session, boss)
        assert (steer.total.open, [unit.code for unit in steer.units]) == (1, ["u1"])
    assert not [one for _, found in counters.verify(own.make) for one in found]
    assert (rows(own, "ref1"), rows(own, "ref2"), rows(own, "ref3"), rows(own, "holder")) == (
        [key],
        [],
        [avis[1]],
        [key],
    )


def test_a_service_is_given_as_many_working_days_as_are_asked_and_reminded_within_them(own):
    key = own.triaged()
    last = {}
    for unit, days in (("u2", 1), ("u3", 7), ("u4", "60")):
        avis = consult(own, key, unit, days=days)
        last[days] = own.row(avis).due_at.date().isoformat()
    assert last == {1: "2026-10-06", 7: "2026-10-14", "60": "2026-12-30"}  # two holidays in November, Christmas
    own.freeze(datetime(2026, 10, 14, 15, 59, tzinfo=UTC))
    own.sweep()
    assert [own.row(avis).state for avis in (2, 3, 4)] == ["silent", "requested", "requested"]
    own.freeze(datetime(2026, 10, 14, 16, 1, tzinfo=UTC))
    own.sweep()
    assert own.row(3).state == "silent"
    assert own.sound()


def test_a_request_is_taken_back_alone_with_a_reason_that_its_service_reads_and_is_told_once(own, tmp_path):
    key = own.triaged()
    avis, other = consult(own, key), consult(own, key, "u3")
    reason = "La question est réglée par le courrier du 2 octobre."
    letters(own, tmp_path)
    asked = {"request": "64-0001-A1", "reason": reason}
    for _ in range(2):
        with own.make.begin() as session:
            done = dossiers.one(
                dossiers.act(session, [key], "recall", actor=own.actor("ref1"), args=asked, idem="once")
            )
    assert done.repeated
    assert [(own.row(one).state, own.row(one).outcome) for one in (avis, other)] == [
        ("called_off", "withdrawn"), ("requested", None)]  # fmt: skip
    assert letters(own, tmp_path).count(("call_off", "ref2")) == 1
    assert [to for kind, to in letters(own, tmp_path) if kind in ("call_off", "recall")] == ["ref2"]
    (event,) = [event for event in own.events(key) if event.kind == "recall"]
    assert event.command["args"] == {
        "request": "64-0001-A1"
    }  # why is in the request, and the holder's journal is without
    assert reason in seen(own, avis, "ref2").texts.values()
    (gone, _) = seen(own, key, "holder").consultations
    assert (gone.state, gone.closed_at, gone.outcome) == ("called_off", own.now(), None)
    assert consult(own, key, "u2") == 4  # it may be asked something else
    own.freeze(DUE + timedelta(days=30))
    own.sweep()
    assert own.kinds(avis) == ["submit", "call_off"]
    assert own.sound()


@pytest.mark.parametrize(
    ("args", "by", "field", "words"),
    [
        ({"request": "64-0001-A9"}, "ref1", "request", "64-0001-A1"),
        ({"request": "64-0001-A2"}, "ref1", "request", "déjà close"),
        ({"reason": None}, "ref1", "reason", "obligatoire"),
        ({"reason": "Non."}, "ref1", "reason", "de 10 à 2000"),
        ({}, "holder", "role", "referent"),
        ({}, "ref2", "dossier", "sans y agir"),
    ],
)
def test_a_request_that_cannot_be_taken_back_is_left_as_it_is(own, args, by, field, words):
    key = own.triaged()
    consult(own, key)
    own.act(consult(own, key, "u3"), "give", "ref3", outcome="no_observation", opinion=OPINION)
    kinds = own.kinds(key)
    with pytest.raises((BadInput, Refused)) as refusal:
        own.act(key, "recall", by, **{"request": "64-0001-A1", "reason": "Sans objet désormais.", **args})
    assert refusal.value.field == field
    assert words in f"{refusal.value.message} {refusal.value.accepted}"
    assert own.kinds(key) == kinds
    assert own.row(2).state == "requested"


def test_taking_back_is_offered_while_an_avis_is_awaited(own):
    key = own.triaged()
    closed = {trigger.name: why for trigger, why in seen(own, key, "ref1").closed_doors}
    assert closed["recall"] == "aucun avis n'est attendu sur ce dossier"
    consult(own, key)
    assert "recall" in [trigger.name for trigger in seen(own, key, "ref1").allowed]


NOT_OURS = "La police de l'eau relève de la DDTM."


def test_a_service_passes_a_request_on_and_the_next_one_has_its_own_time_the_dossier_and_the_letter(own, tmp_path):
    key = own.triaged()
    avis = consult(own, key)
    own.react()
    letters(own, tmp_path)
    own.jump(days=2)
    own.act(avis, "pass_on", "ref2", to_unit="u3", reason=NOT_OURS)
    own.react()
    row = own.row(avis)
    assert (row.state, row.unit_id, row.units) == ("requested", 4, [3, 4])
    assert row.due_at == DUE + timedelta(days=2)  # ten working days of its own
    told = letters(own, tmp_path)
    assert [to for kind, to in told if kind == "pass_on"] == ["ref3"]
    assert [to for kind, to in told if kind == "opinion_passed_on"] == ["ref1"]
    (asked,) = [one for one in map(read, tmp_path.glob("*.eml")) if "ref3@" in one["To"]]
    assert asked["Subject"].endswith("votre avis est demandé")
    assert (own.kinds(key)[-1], own.events(key)[-1].command["args"]) == ("opinion_passed_on", {"request": "64-0001-A1"})
    assert seen(own, key, "ref3").id == key
    with pytest.raises(Refused):
        seen(own, key, "ref2")  # it is no longer consulted
    with pytest.raises(Refused, match="qui la tient désormais"):
        own.act(avis, "give", "ref2", outcome="favourable", opinion=OPINION)
    with pytest.raises(Refused, match="a déjà eu cette demande"):
        own.act(avis, "pass_on", "ref3", to_unit="u2", reason=NOT_OURS)
    (now,) = seen(own, key, "holder").consultations
    assert (now.unit, now.question, now.due_at) == ("u3", None, row.due_at)
    own.act(avis, "give", "ref3", outcome="favourable", opinion=OPINION)
    assert letters(own, tmp_path).count(("opinion_given", "ref1")) == 1
    own.react()
    beside = report.make(own.make, report.Asked(version="avis"), actor=own.actor("boss")).report
    assert beside.clocks["commitment", "without_text"].counts["closed_in_time"] == 2  # one of each service
    assert own.sound()


def test_a_request_is_passed_neither_to_who_holds_the_dossier_nor_to_who_is_asked_already(own, together):
    key = own.triaged()
    first, second = consult(own, key), consult(own, key, "u3")
    for to, words in (
        ("u1", "tient le dossier"),
        ("u3", "déjà demandé sur ce dossier à Administration 3 : 64-0001-A2"),
    ):
        with pytest.raises(Refused, match=words) as refusal:
            own.act(first, "pass_on", "ref2", to_unit=to, reason=NOT_OURS)
        assert refusal.value.field == "to_unit"
    assert own.kinds(first) == ["submit"]
    found = together(
        lambda: own.act(first, "pass_on", "ref2", to_unit="u4", reason=NOT_OURS),
        lambda: own.act(second, "pass_on", "ref3", to_unit="u4", reason=NOT_OURS),
    )
    assert sorted(type(one).__name__ for one in found if isinstance(one, Exception)) == ["Refused"]
    assert own.value("select count(*) from consultations where unit_id = 5") == 1
    assert own.sound()


def test_several_reactors_and_people_at_once_tell_each_end_once_and_wait_for_nobody(own, together):
    keys = own.submit(6)
    for key in keys:
        own.act(key, "triage", to_unit="u1")
    own.react()
    asked = [(key, consult(own, key, unit)) for key in keys for unit in ("u3", "u2")]
    for _, avis in reversed(asked):
        own.act(avis, "give", f"ref{own.row(avis).unit_id - 1}", outcome="favourable", opinion=OPINION)

    def small():
        return sum(reactions.react(own.make, limit=3) for _ in range(20))

    def write():
        return [own.act(key, "message", "ref1", message="Les avis demandés arrivent.") for key in keys]

    found = together(small, small, small, write)
    assert not [one for one in found if isinstance(one, Exception)]
    own.react()
    assert own.value("select count(*) from reaction_failures") == 0
    for key in keys:
        assert own.kinds(key).count("opinion_given") == 2
    assert own.sound()
