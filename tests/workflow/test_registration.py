"""The acknowledgement of registration: one working day from the deposit, met when its letter has left."""

import pytest
from sqlalchemy import text

from cli import shipped
from config.settings import Settings
from states.dossier import SYSTEM
from tasks import deliver
from workflow import almanac, dossiers, outbox

SECONDS_LATER = "update notices set next_at = clock_timestamp()"


@pytest.fixture
def shipped_world(world):
    """A world whose definition is the shipped one. A deposit of Monday 5 October is acknowledged by Tuesday 6, midnight."""
    with world.make.begin() as session:
        almanac.keep_shipped(session)
    world.define({**shipped.own().meaning(), "version": 2})
    return world


def post(world, to):
    world.react()
    deliver.deliver_all(world.make, Settings(mail=to))


def folder(path):
    return f"file:{path}"


def clock(world, key):
    return world.row(key).clocks.get("registration")


def told(world):
    return [tuple(row) for row in world.sql("select seq, target from notices order by seq, target")]


def test_the_letter_that_leaves_stops_the_clock_once_without_a_word_and_changes_no_version(shipped_world, tmp_path):
    world = shipped_world
    (key,) = world.submit()
    opened = world.row(key)
    assert clock(world, key)["due"] == "2026-10-06T21:59:59.999999+00:00"
    assert f"{opened.due_at:%d/%m %H:%M}" == "07/10 16:00", "the triage: nobody can act on what the letter alone meets"
    post(world, folder(tmp_path))
    row = world.row(key)
    assert (world.kinds(key), row.version, row.state) == (["submit", "acknowledge"], opened.version, "submitted")
    assert clock(world, key)["end"] == clock(world, key)["start"]
    world.react()
    assert told(world) == [(1, "holder"), (1, "unit:1")]
    # its sender died before it could say that it had sent: the same letter leaves again
    world.sql("update notices set state = 'queued', sent_at = null, sent_to = null, next_at = clock_timestamp()")
    post(world, folder(tmp_path))
    with world.make.begin() as session:  # and once more by a sender that had claimed it before the first one was done
        (again,) = dossiers.act(session, [key], "acknowledge", actor=SYSTEM, idem="acknowledge")
    assert again.repeated
    assert world.kinds(key) == ["submit", "acknowledge"]
    assert world.sound()


def test_a_relay_that_is_down_too_long_misses_it_and_the_letter_that_leaves_at_last_stops_it_as_missed(shipped_world, tmp_path):  # fmt: skip
    world = shipped_world
    kept, closed = world.submit(2)
    post(world, "smtp://127.0.0.1:1")
    world.jump(days=1, hours=13, minutes=59)
    world.sweep()
    assert "clock.breach" not in world.kinds(kept), "until the end of the day one is in time"
    world.jump(minutes=2)
    world.sweep()
    (missed,) = [event for event in world.events(kept) if event.kind == "clock.breach"]
    assert missed.command["clock"] == "registration"
    world.act(closed, "withdraw", "holder", reason=world.reason)
    world.sql(SECONDS_LATER)
    post(world, folder(tmp_path))
    world.react()
    assert [target for _, target in told(world) if target == "manager"] == ["manager", "manager"], "told once each"
    assert "acknowledge" in world.kinds(kept)
    assert (clock(world, kept)["done"], "end" in clock(world, kept)) == (["due"], True)
    assert "acknowledge" not in world.kinds(closed), "what was withdrawn meanwhile has nothing to acknowledge"
    assert world.value("select count(*) from notices where target = 'holder' and seq = 1 and state = 'sent'") == 2
    assert world.sound()


def test_a_letter_that_is_given_up_acknowledges_nothing_until_it_is_queued_again_and_leaves(shipped_world, tmp_path):
    world = shipped_world
    world.sql("update persons set mail = 'illisible' where login = 'holder'")
    (key,) = world.submit()
    for _ in range(8):
        post(world, folder(tmp_path))
        world.sql(SECONDS_LATER)
    assert world.value("select state from notices where target = 'holder'") == "dead"
    assert "end" not in clock(world, key)
    world.sql("update persons set mail = 'holder@x.example' where login = 'holder'")
    with world.make.begin() as session:
        outbox.change(session, outbox.dead(session), "requeue")
    post(world, folder(tmp_path))
    assert world.kinds(key) == ["submit", "acknowledge"]


def test_what_an_administration_enters_for_a_holder_was_not_sent_electronically(shipped_world, tmp_path):
    world = shipped_world
    (key,) = world.submit(by="ref0")
    post(world, folder(tmp_path))
    assert clock(world, key) is None
    assert world.kinds(key) == ["submit"]


def test_a_letter_that_has_left_is_not_sent_again_because_that_could_not_be_noted_which_is_tried_again(
    shipped_world, tmp_path, monkeypatch
):
    world = shipped_world
    (key,) = world.submit()

    def broken(session, *_, **__):
        session.execute(text("select 1 / 0"))

    with monkeypatch.context() as patched:
        patched.setattr(dossiers, "act", broken)
        post(world, folder(tmp_path))
    assert world.kinds(key) == ["submit"]
    assert world.value("select state from notices where target = 'holder'") == "sent"
    world.sql("update reaction_failures set next_at = clock_timestamp()")
    world.react()
    assert world.kinds(key) == ["submit", "acknowledge"]
    assert world.value("select count(*) from reaction_failures") == 0
