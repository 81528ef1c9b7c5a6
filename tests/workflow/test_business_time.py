"""Two times: dossiers live in business time, which stands, jumps and runs, and never goes back; operations are in real time."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from states.errors import BadInput
from workflow import business_time, heartbeats, reconcile


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
    call(world, heartbeats.beat, "tick")
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


# --- time that somebody leads -----------------------------------------------------------------------------------------

HOUR = 3600.0


def drive(world, seconds=0.5, rate=HOUR):
    return call(world, business_time.drive, rate=rate, lease=timedelta(seconds=seconds))


def deliver(world):
    world.sql("update notices set state = 'sent', sent_at = clock_timestamp(), sent_to = 'x' where state = 'queued'")


def lead(world):
    call(world, business_time.resume)
    assert drive(world).paused is False


def test_led_time_runs_for_its_lease_and_stands_still_when_nobody_leads_it_any_more(world):
    lead(world)
    rest(0.7)
    stood = world.now()
    assert stood == world.start + timedelta(minutes=30)
    rest(0.2)
    assert world.now() == stood
    drive(world)
    rest(0.6)
    assert world.now() == stood + timedelta(minutes=30)


def test_led_time_stops_at_the_instant_that_a_dossier_waits_for_and_goes_on_once_it_is_done(world):
    (key,) = world.submit()
    world.react()
    deliver(world)
    wake = world.row(key).wake_at
    world.freeze(wake - timedelta(minutes=10))
    lead(world)
    rest(0.3)
    assert timedelta(0) <= world.now() - wake < timedelta(seconds=1)
    assert drive(world).busy
    rest(0.1)
    assert world.now() - wake < timedelta(seconds=1)
    world.sweep()
    world.react()
    deliver(world)
    assert not drive(world).busy
    rest(0.2)
    assert world.now() > wake + timedelta(minutes=5)


def test_led_time_waits_for_what_was_not_told_and_for_what_was_not_sent(world):
    world.submit()
    lead(world)
    assert drive(world).busy, "an event waits for its reactions"
    world.react()
    assert drive(world).busy, "a letter waits to be sent"
    deliver(world)
    assert not drive(world).busy


def test_paused_time_is_not_led_on_and_resumes_where_it_stood(world):
    lead(world)
    call(world, business_time.freeze)
    stood = world.now()
    assert drive(world).paused
    rest(0.1)
    assert world.now() == stood
    call(world, business_time.resume)
    rest(0.1)
    assert world.now() == stood, "it stands until its driver comes"
    drive(world)
    rest(0.1)
    assert world.now() > stood


def test_real_time_is_neither_paused_nor_moved(world):
    assert call(world, business_time.drivable)
    call(world, business_time.start_at, datetime(2026, 1, 1, tzinfo=UTC))
    call(world, business_time.follow)
    assert not call(world, business_time.drivable)
