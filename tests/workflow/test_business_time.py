"""Two times: dossiers live in business time, which stands, jumps and runs, and never goes back; operations are in real time."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from states.errors import BadInput
from workflow import business_time, reconcile


def call(world, function, *args, **more):
    with world.make.begin() as session:
        return function(session, *args, **more)


def rest(seconds):
    threading.Event().wait(seconds)


def test_frozen_time_stands(world):
    assert world.now() == world.start
    rest(0.05)
    assert world.now() == world.start


def test_a_jump_moves_frozen_time_by_exactly_so_much(world):
    assert world.jump(days=3, seconds=1) == world.start + timedelta(days=3, seconds=1)
    assert world.now() == world.start + timedelta(days=3, seconds=1)


def test_running_time_goes_on_from_where_it_stood(world):
    call(world, business_time.run)
    first = world.now()
    rest(0.05)
    assert world.start <= first < world.now() < world.start + timedelta(minutes=1)


def test_time_may_run_a_thousand_times_as_fast_and_a_new_rate_makes_no_leap(world):
    call(world, business_time.run, rate=1000)
    rest(0.1)
    fast = world.now()
    assert world.start + timedelta(seconds=99) < fast < world.start + timedelta(hours=3)
    call(world, business_time.run, rate=1)
    slow = world.now()
    assert fast <= slow < fast + timedelta(hours=3)
    rest(0.05)
    assert slow < world.now() < slow + timedelta(minutes=1)


def test_a_jump_of_running_time_does_not_stop_it(world):
    call(world, business_time.run)
    after = world.jump(days=2)
    assert after >= world.start + timedelta(days=2)
    rest(0.05)
    assert world.now() > after


def test_freezing_running_time_stops_it_where_it_stands_or_at_an_instant_to_come(world):
    call(world, business_time.run)
    call(world, business_time.freeze)
    stood = world.now()
    rest(0.05)
    assert world.now() == stood
    world.freeze(stood + timedelta(days=1))
    assert world.now() == stood + timedelta(days=1)


def test_a_new_database_follows_real_time(world):
    call(world, business_time.start_at, datetime(2026, 1, 1, tzinfo=UTC))
    call(world, business_time.follow)
    assert abs(world.now() - business_time.real_now()) < timedelta(seconds=10)


def test_time_is_not_frozen_in_the_past(world):
    with pytest.raises(BadInput, match="ne recule pas"):
        world.freeze(world.start - timedelta(microseconds=1))
    assert world.now() == world.start


def test_time_does_not_jump_back(world):
    with pytest.raises(BadInput):
        world.jump(days=-1)
    assert world.now() == world.start


def test_time_that_was_jumped_ahead_is_not_turned_back_to_real_time_under_dossiers(world):
    ahead = business_time.real_now() + timedelta(days=400)
    world.freeze(ahead)
    world.submit()
    with pytest.raises(BadInput):
        call(world, business_time.follow)
    assert world.now() == ahead


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_at_which_time_would_stand_go_back_or_explode_is_refused_in_words(world, rate):
    with pytest.raises(BadInput):
        call(world, business_time.run, rate=rate)
    assert world.now() == world.start


def test_a_database_that_holds_dossiers_does_not_start_anew(world):
    world.submit()
    with pytest.raises(BadInput, match="dossiers"):
        call(world, business_time.start_at, world.start + timedelta(days=1))


def test_whatever_business_time_does_an_event_is_never_dated_before_the_one_before_it(world):
    key = world.triaged()
    world.tamper("update business_clock set anchor = anchor - interval '1 day'")
    world.act(key, "assign", "ref1", to_user="ref1")
    assert [event.at for event in world.events(key)] == [world.start] * 3
    assert world.row(key).wake_at > world.start
    assert world.sound()


def test_nothing_of_operations_follows_business_time(world):
    world.submit()
    world.react()
    call(world, reconcile.beat, "tick")
    world.jump(days=1000)
    with world.make() as session:
        assert reconcile.health(session).tick_age < 60
    lag = world.value("select max(abs(extract(epoch from clock_timestamp() - next_at))) from notices")
    assert lag < 60


def test_a_notice_of_an_instant_to_come_waits_for_business_time(world):
    from workflow import outbox

    world.submit()
    world.react()
    world.sql("update notices set not_before = :at", at=world.start + timedelta(hours=2))
    assert call(world, outbox.claim, limit=10) == []
    world.jump(hours=2)
    assert len(call(world, outbox.claim, limit=10)) == 2
