"""What an operator holds in hand: whose letters leave, letters put back or given up, dossiers left aside, how late the clock was."""

import uuid
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from config.settings import Settings
from states.errors import Refused
from tasks.deliver import deliver_all
from workflow import installation, measures, outbox, reactions, reconcile, schema, sweep


def do(world, function, *args, **more):
    with world.make.begin() as session:
        return function(session, *args, **more)


def deliver(world, folder):
    world.sql("update notices set next_at = clock_timestamp() where state = 'queued'")
    while deliver_all(world.make, Settings(mail=f"file:{folder}")):
        pass
    return sorted(path.stem for path in Path(folder).glob("*.eml"))


@pytest.fixture
def submitted(world):
    """Give a world with one dossier and its two letters, numbers 1 and 2."""
    world.submit()
    world.react()
    return world


# --- whose letters leave ----------------------------------------------------------------------------------------------


@pytest.fixture
def copied(submitted, postgres, tmp_path):
    """Give a database that delivers, and the URL of a copy of it made behind its back."""
    name = f"copy_{uuid.uuid4().hex}"
    deliver(submitted, tmp_path / "original")
    submitted.submit()
    submitted.react()
    source = submitted.url.partition("?")[0].rpartition("/")[2]
    submitted.engine.dispose()
    with psycopg.connect(postgres.url().replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"create database {name} template {source}")
        yield submitted, postgres.url(name)
        connection.execute(f"drop database {name} with (force)")


def test_a_copy_of_a_database_that_delivers_sends_nothing_until_it_is_released_then_each_letter_once(copied, tmp_path):
    original, url = copied
    engine = schema.engine(url)
    copy = type(original)(url, engine)
    assert deliver(copy, tmp_path / "copy") == []
    assert do(copy, reconcile.health).held == installation.COPY
    assert any("retenus" in words for words in do(copy, reconcile.health).red)
    waiting = sorted(str(key) for (key,) in copy.sql("select message_id from notices where state = 'queued'"))
    assert len(waiting) == 2
    do(copy, installation.release)
    assert deliver(copy, tmp_path / "copy") == waiting
    assert deliver(original, tmp_path / "later") == waiting  # the very message ids: whoever receives both can tell
    engine.dispose()


def test_a_database_delivers_at_once_and_goes_on_delivering(submitted, tmp_path):
    assert len(deliver(submitted, tmp_path)) == 2
    submitted.submit()
    submitted.react()
    assert len(deliver(submitted, tmp_path)) == 4
    assert do(submitted, installation.held) is None


def test_nothing_leaves_while_an_operator_holds_and_everything_when_released(submitted, tmp_path):
    do(submitted, installation.hold, "relais en travaux")
    assert deliver(submitted, tmp_path) == []
    assert do(submitted, reconcile.health).held == "relais en travaux"
    do(submitted, installation.release)
    assert len(deliver(submitted, tmp_path)) == 2


def test_an_ordinary_role_may_ask_whose_deliveries_these_are(submitted, postgres):
    role = f"plain_{uuid.uuid4().hex}"
    submitted.sql(f"create role {role} login")
    submitted.sql(f"grant select on installation to {role}")
    url = submitted.url.replace("//coupe_file@", f"//{role}@").replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        assert connection.execute(installation._STANDING).fetchall() == []
    submitted.sql(f"drop owned by {role}")
    submitted.sql(f"drop role {role}")


# --- letters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "before", "after"),
    [
        ("requeue", "dead", "queued"),
        ("requeue", "held", "queued"),
        ("requeue", "void", "queued"),
        ("void", "queued", "void"),
        ("void", "dead", "void"),
        ("hold", "queued", "held"),
        ("release", "held", "queued"),
    ],
)
def test_an_act_on_a_letter_changes_it_once(submitted, act, before, after):
    submitted.sql("update notices set state = :state, attempts = 8 where id = 1", state=before)
    assert do(submitted, outbox.change, [1], act, why="vu") == [1]
    assert do(submitted, outbox.change, [1], act, why="vu") == []
    ((state, attempts),) = submitted.sql("select state, attempts from notices where id = 1")
    assert (state, attempts) == (after, 0 if after == "queued" else 8)


@pytest.mark.parametrize(
    ("act", "wrong"), [("requeue", "sent"), ("void", "sent"), ("hold", "dead"), ("release", "void")]
)
def test_a_letter_that_an_act_is_not_for_refuses_it_for_all(submitted, act, wrong):
    sent = "clock_timestamp()" if wrong == "sent" else "null"
    submitted.sql(f"update notices set state = '{wrong}', sent_at = {sent} where id = 1")
    with pytest.raises(Refused):
        do(submitted, outbox.change, [1, 2], act, why="vu")
    assert submitted.sql("select state from notices order by id") == [(wrong,), ("queued",)]


def test_letters_that_are_tried_in_vain_for_long_turn_health_red_though_each_waits_its_turn(submitted):
    submitted.sql("insert into heartbeats (name, at) values ('tick', clock_timestamp())")
    submitted.sql("update notices set next_at = clock_timestamp() + interval '1 hour', attempts = 5")
    assert do(submitted, reconcile.health).red == ()
    submitted.sql("update notices set made_at = made_at - interval '31 minutes'")
    assert do(submitted, reconcile.health).red == ("des messages essayés depuis longtemps ne partent pas",)


def test_reactions_that_were_given_up_are_tried_again_when_asked(submitted, monkeypatch):
    def broken(*_):
        raise KeyError("x")

    with monkeypatch.context() as patched:
        patched.setitem(reactions.SUBSCRIBERS, "tell", broken)
        submitted.submit()
        submitted.react()
    submitted.sql("update reaction_failures set next_at = null, attempts = 8")
    assert do(submitted, reconcile.health).dead_reactions == 1
    assert do(submitted, reactions.again) == 1
    submitted.react()
    assert submitted.sql("select * from reaction_failures") == []
    assert submitted.value("select count(*) from notices") == 4


# --- dossiers set aside -----------------------------------------------------------------------------------------------


@pytest.fixture
def aside(world):
    """Give a world whose one dossier is due, and set aside since the clock cannot read its row."""
    (key,) = world.submit()
    world.tamper("update dossiers set clocks = clocks || '{\"x\": 1}' where id = :key", key=key)
    world.jump(days=3)
    world.sweep()
    assert world.value("select stuck from dossiers")
    return world


def test_a_dossier_left_aside_by_decision_is_not_retried_and_stays_visible(aside):
    assert do(aside, sweep.skip, 1, who="astreinte", why="ticket ouvert")
    aside.sql("update stuck set retry_at = clock_timestamp() - interval '1 day'")
    attempts = aside.value("select attempts from stuck")
    aside.sweep()
    assert aside.value("select attempts from stuck") == attempts
    seen = do(aside, reconcile.health)
    assert (seen.stuck, seen.skipped) == (0, 1)
    assert seen.orange == ("dossiers laissés de côté par décision",)
    (one,) = do(aside, sweep.aside)
    assert (one.skipped_by, one.skipped_why) == ("astreinte", "ticket ouvert")


def test_a_dossier_that_is_resumed_goes_back_to_the_clock_once_it_can_be_read(aside):
    do(aside, sweep.skip, 1, who="astreinte", why="ticket ouvert")
    do(aside, sweep.resume, [1])
    assert sweep.retry_one(aside.make, 1).stuck == 1
    assert do(aside, sweep.aside)[0].skipped_at is None
    aside.tamper("update dossiers set clocks = clocks - 'x'")
    assert sweep.retry_one(aside.make, 1) == sweep.Swept(done=1)
    assert do(aside, sweep.aside) == []
    assert aside.sound()


def test_a_dossier_that_is_not_set_aside_cannot_be_left_aside(submitted):
    assert not do(submitted, sweep.skip, 1, who="astreinte", why="pour voir")


# --- how late the clock was -------------------------------------------------------------------------------------------


def test_the_clock_notes_how_late_it_came(world):
    world.submit(3)
    wake = world.value("select min(wake_at) from dossiers")
    world.freeze(wake)
    world.jump(seconds=30)
    world.sweep()
    seen = do(world, measures.lateness)
    assert seen.counts == (0, 0, 0, 3, 0, 0, 0)
    assert (seen.most, seen.total) == (30.0, 90.0)
    world.sql("update sweeps set at = at - interval '2 hours'")
    assert sum(do(world, measures.lateness).counts) == 0


def test_what_the_clock_noted_is_forgotten_after_a_day(world):
    world.submit()
    world.jump(days=3)
    world.sweep()
    world.sql("update sweeps set at = at - interval '25 hours'")
    reconcile.reconcile(world.make)
    assert world.value("select count(*) from sweeps") == 0


def test_dossiers_are_counted_by_phase(world):
    world.submit(2)
    for _ in range(2):
        world.triaged()
    assert do(world, measures.phases) == {"submitted": 2, "triaged": 2}
    world.sql("analyze dossiers")
    with world.make() as session:
        estimated = session.execute(text(measures._PHASES), {"small": 0}).all()
    assert dict(map(tuple, estimated)) == {"submitted": 2, "triaged": 2}


@pytest.mark.parametrize("statement", [reconcile._HEALTH, measures._LATENESS])
def test_what_is_measured_reads_no_large_table_from_end_to_end(thousand, statement):
    thousand.react()
    thousand.sql("analyze")
    with thousand.engine.connect() as connection:
        connection.execute(text("set enable_seqscan = off"))  # leaves it only where no index can serve
        plan = "\n".join(line for (line,) in connection.execute(text(f"explain {statement}")))
    assert "Scan" in plan
    read = [line for line in plan.splitlines() if "Seq Scan on" in line]
    assert [line for line in read if any(large in line for large in ("dossiers", "events", "notices", "pending"))] == []


def test_the_dossiers_of_a_large_table_are_not_counted_one_by_one(world):
    world.submit(2)
    with world.engine.connect() as connection:
        analysed = f"explain (analyze, costs off, timing off) {measures._PHASES}"
        plan = [line for (line,) in connection.execute(text(analysed), {"small": 0})]
    (scan,) = [line for line in plan if "Scan on dossiers" in line]
    assert "never executed" in scan


def test_the_journal_of_operations_never_loses_what_was_done(submitted):
    from workflow import operations

    for n in range(3):
        do(submitted, operations.record, "backup", who="root", subject={"said": f"n° {n}"})
    at, subject = do(submitted, operations.last, ["backup", "restore.tried"])["backup"]
    assert subject == {"said": "n° 2"}
    assert at == submitted.value("select max(at) from operations")
