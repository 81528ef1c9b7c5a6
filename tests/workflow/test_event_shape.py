"""An event is command + facts + effect: fold reads effects, what-if reads the rest, and no column of it can be altered unseen."""

import copy
import uuid

import pytest

from states.decide import decide
from states.decide import submit as decide_submit
from states.definition import parse
from states.dossier import NO_CONTEXT, Act, Context, Rung
from states.machine import Compiled
from workflow import journal, texts
from workflow.dossiers import COLUMNS, locked

EVERYTHING = """
select md5(string_agg(line, '' order by line)) from (
    select 'd' || d::text as line from dossiers d union all select 'e' || e::text from events e
    union all select 't' || t::text from texts t union all select 'p' || p::text from pending p
    union all select 'n' || n::text from notices n union all select 'r' || r::text from reacted r
    union all select 'f' || f::text from definitions f) as lines
"""


@pytest.fixture
def story(world):
    """Give a dossier submitted, triaged a day later, held and answered, resolved on the twelfth day."""
    (key,) = world.submit()
    world.jump(days=1)
    world.act(key, "triage", to_unit="u1", idem="orienter")
    world.jump(hours=1)
    world.act(key, "hold", "ref1", motive="piece_optional", answer_by=world.now().replace(day=8), reason=world.reason)
    world.jump(hours=1)
    world.act(key, "answer", "holder", reason="La pièce est jointe, avec le plan.")
    world.jump(days=7)
    world.sweep()
    world.jump(days=4)
    world.resolve(key)
    world.react()
    return key


def folded_equals_row(world, key):
    with world.make() as session:
        columns = session.connection().exec_driver_sql(f"select {COLUMNS} from dossiers d where d.id = {key}").one()
        return journal.folded(journal.read(session, [key])) == locked(columns).dossier


def test_a_dossier_is_what_its_journal_folds_to(world, story):
    assert "clock.remind" in world.kinds(story)
    assert folded_equals_row(world, story)
    assert world.sound()


def test_no_personal_word_stands_in_the_journal_nor_in_the_row(world, story):
    written = world.value("select string_agg(command::text || facts::text || effect::text, '') from events")
    written += world.value("select data::text from dossiers")
    for words in (world.form["title"], world.form["blockage"], world.reason, world.statement, "La pièce est jointe"):
        assert words not in written
    assert world.value("select count(*) from texts where body is not null") == 5


def test_erasing_every_text_leaves_the_journal_whole_and_verifiable(world, story):
    events = world.events(story)
    keys = [key for event in events for key in journal.texts_of(event.command)]
    with world.make.begin() as session:
        assert texts.erase(session, keys) == 5
        assert texts.erase(session, keys) == 0
    assert world.value("select count(*) from texts where body is null and salt is null and erased_at is not null") == 5
    assert world.events(story) == events
    assert journal.verify_chain(world.events(story)) is None
    assert folded_equals_row(world, story)
    assert world.sound()


def test_a_repeat_of_a_command_whose_text_was_erased_is_taken_at_its_word(world):
    key = world.triaged()
    first = world.act(key, "escalate", reason=world.reason, idem="saisir")
    keys = [text for event in world.events(key) for text in journal.texts_of(event.command)]
    with world.make.begin() as session:
        texts.erase(session, keys)
    again = world.act(key, "escalate", reason=world.reason, idem="saisir")
    assert again.repeated
    assert again.seq == first.seq


def replayed(events, data):
    """What people asked, asked again of another definition in memory; directory and calendar come from the facts."""
    compiled = Compiled(parse(data))
    dossier, written = None, []
    for event in events:
        if event.fired is not None:
            continue
        facts, args = event.facts, event.command["args"]
        rungs = (
            (Rung(facts["rung"], facts["unit"], facts.get("staffed", True)),) if facts.get("rung") is not None else ()
        )
        context = Context((*(Rung(n, None) for n in facts.get("vacant", ())), *rungs), NO_CONTEXT.members)
        if dossier is None:
            decision = decide_submit(compiled, event.actor, args=args, data=args, context=context, at=event.at)
        else:
            act = Act(event.command["trigger"], event.actor, args, event.idem)
            decision = decide(compiled, dossier, act, context=context, at=event.at)
        dossier, written = decision.after, [*written, *decision.events]
    return dossier, written


def dues(events):
    """Every due instant of the rung's clock that the effects ever gave."""
    found = [event.effect["clocks"]["rung"] for event in events if "rung" in event.effect.get("clocks", {})]
    return [clock["due"] if isinstance(clock, dict) else clock.due.isoformat() for clock in found]


def test_the_same_commands_under_the_same_definition_give_the_same_dossier(world):
    key = world.triaged()
    world.jump(days=3)
    world.act(key, "escalate", reason=world.reason)
    events = world.events(key)
    dossier, _ = replayed(events, world.coupe_file)
    assert dossier == journal.folded(events)


def test_the_same_commands_under_a_shorter_clock_give_other_dates_and_one_more_breach_and_nothing_is_written(
    world, story
):
    before, events = world.value(EVERYTHING), world.events(story)
    shorter = copy.deepcopy(world.coupe_file)
    shorter["clocks"]["rung"]["length"] = {"elapsed_days": "7"}
    as_was, kept = replayed(events, world.coupe_file)
    what_if, written = replayed(events, shorter)
    assert [event.kind for event in kept if event.kind == "clock.breach"] == []
    assert [event.command["clock"] for event in written if event.kind == "clock.breach"] == ["rung"]
    assert as_was.clocks["rung"].due == as_was.clocks["rung"].start.replace(day=20)
    assert what_if.clocks["rung"].due == what_if.clocks["rung"].start.replace(day=13)
    assert set(dues(kept)).isdisjoint(dues(written))
    assert as_was.state == what_if.state == "resolved"
    assert world.value(EVERYTHING) == before


# --- tampering, as a superuser with the triggers off -------------------------------------------------------------------

# Each column of an event in the middle of a chain, set to something that its type and its CHECKs accept.
EVENT = {
    "dossier_id": "dossier_id + 1000",
    "seq": "seq + 100",
    "at": "at + interval '1 microsecond'",
    "effective": "effective - interval '1 microsecond'",
    "kind": "kind || ' '",
    "person_id": "2",
    "unit_id": "6",
    "role": "'head'",
    "definition_id": "2",
    "shape": "2",
    "command": "command || '{\"more\": 1}'",
    "facts": "facts || '{\"unit\": 3}'",
    "effect": "effect || '{\"pinned\": true}'",
    "fired": "'triage:1:due'",
    "idem": "'autre'",
    "hash": "sha256(hash)",
}


def test_the_table_of_alterations_names_every_column_of_an_event(world):
    columns = world.sql("select attname from pg_attribute where attrelid = 'events'::regclass and attnum > 0")
    assert {row.attname for row in columns} == set(EVENT)


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("column", EVENT)
def test_an_altered_column_of_an_event_is_detected(world, story, column, where):
    world.define(copy.deepcopy(world.minimal))
    last = world.row(story).seq
    seq = {"first": 1, "middle": 2, "last": last}[where]
    old = world.sql(f"select {column} from events where seq = {seq}")
    world.tamper(f"update events set {column} = {EVENT[column]} where dossier_id = {story} and seq = {seq}")
    assert world.sql(f"select {column} from events where dossier_id = {story} and seq = {seq}") != old
    assert {(problem.dossier_id, problem.proof) for problem in world.problems()} >= {(story, "chain")}


def test_two_events_whose_effects_are_exchanged_are_detected(world, story):
    world.tamper(
        f"update events e set effect = o.effect from events o where e.dossier_id = {story} and o.dossier_id = {story} "
        "and (e.seq, o.seq) in ((2, 3), (3, 2))"
    )
    assert [problem.proof for problem in world.problems()] == ["chain"]


@pytest.mark.parametrize("which", ["seq = 1", "seq = 3", "seq = (select max(seq) from events)", "true"])
def test_an_event_taken_out_of_the_journal_is_detected(world, story, which):
    world.tamper(f"delete from events where {which}")
    assert "chain" in {problem.proof for problem in world.problems()}


def test_an_event_added_behind_the_last_one_is_detected(world, story):
    world.tamper(
        "insert into events select dossier_id, seq + 1, at, effective, kind, person_id, unit_id, role, definition_id, shape, "
        "command, facts, '{}', null, null, hash from events order by seq desc limit 1"
    )
    assert "chain" in {problem.proof for problem in world.problems()}


# What the journal says of a row, each column set to something that its type and its CHECKs accept.
ROW = {
    "state": "'escalated'",
    "phase": "'escalated'",
    "seq": "seq + 1",
    "version": "version + 1",
    "at": "at - interval '1 second'",
    "unit_id": "6",
    "rung": "4",
    "assignee_id": "3",
    "pinned": "true",
    "outcome": "'refused'",
    "units": "units || 7",
    "clocks": "jsonb_set(clocks, '{rung,due}', '\"2027-01-01T00:00:00+00:00\"')",
    "holds": """'[{"motive": "clarification", "since": "2026-10-05T08:00:00+00:00", "until": "2026-10-05T09:00:00+00:00",
                   "end": "2026-10-05T09:00:00+00:00", "touches": {}}]'""",
    "data": 'data || \'{"topic": "air"}\'',
    "due_at": "due_at + interval '1 day'",
    "wake_at": "wake_at + interval '1 day'",
    "head": "sha256(head)",
    "definition_id": "2",
}


@pytest.mark.parametrize("column", ROW)
def test_an_altered_column_of_a_dossier_is_detected(world, column):
    key = world.triaged()
    other = copy.deepcopy(world.coupe_file)
    other["version"], other["clocks"]["triage"]["length"] = "2", {"elapsed_days": "3"}
    world.define(other)
    also = ", phase = 'triaged'" if column == "state" else ""
    world.tamper(f"update dossiers set {column} = {ROW[column]}{also} where id = {key}")
    assert {problem.dossier_id for problem in world.problems()} == {key}


def test_a_dossier_that_vanished_from_its_table_is_detected(world):
    key = world.triaged()
    world.submit()
    world.tamper(f"delete from dossiers where id = {key}")
    assert {problem.dossier_id for problem in world.problems()} == {key}


def test_a_dossier_marked_stuck_that_nobody_will_retry_is_detected(world):
    key = world.triaged()
    world.tamper(f"update dossiers set stuck = true where id = {key}")
    assert {problem.dossier_id for problem in world.problems()} == {key}


@pytest.mark.parametrize(
    "change",
    [
        "update texts set body = body || '.'",
        "update texts set salt = sha256(salt)",
        "update texts set id = gen_random_uuid()",
        "update texts set dossier_id = dossier_id + 1",
        "update texts set field = 'reason'",
        "delete from texts",
    ],
)
def test_an_altered_text_is_detected(world, change):
    key = world.triaged()
    world.tamper(f"{change} where field = 'title'")
    assert [(problem.dossier_id, problem.proof) for problem in world.problems()] == [(key, "texts")]


NONSENSE = {
    "a command that is no object": ("events", "command = '7'"),
    "a text that is no uuid": ("events", """command = '{"args": {"title": {"text": "x", "sha256": "y"}}}'"""),
    "a text without a digest": ("events", f"""command = '{{"args": {{"title": {{"text": "{uuid.UUID(int=1)}"}}}}}}'"""),
    "an effect that is no object": ("events", "effect = '[]'"),
    "a clock without its parts": ("dossiers", "clocks = '{\"triage\": {}}'"),
    "a hold without its parts": ("dossiers", "holds = '[{}]'"),
    "a clock dated in words": ("dossiers", """clocks = jsonb_set(clocks, '{rung,due}', '"demain"')"""),
    "an unknown state": ("dossiers", "state = 'nowhere'"),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_verification_reports_nonsense_and_goes_on_behind_it(world, what):
    key, after = world.triaged(), world.triaged()
    table, change = NONSENSE[what]
    condition = f"dossier_id = {key} and seq = 1" if table == "events" else f"id = {key}"
    world.tamper(
        f"update {table} set {change} where {condition}", f"update dossiers set version = 77 where id = {after}"
    )
    assert {problem.dossier_id for problem in world.problems()} == {key, after}
