"""ManualClock, SystemClock, and what a counter does with them."""

import time
from datetime import datetime, timedelta, timezone

import pytest

from hitring import HitCounter, ManualClock, Outcome, Outcomes, SystemClock


def test_a_manual_clock_moves_by_hand_only():
    clock = ManualClock()
    assert clock.now() == 0
    clock.set(1_000)
    assert clock.advance(0.5) == clock.now() == 1_000.5
    assert clock.advance(timedelta(milliseconds=500)) == clock.now() == 1_001
    assert type(clock.now()) is int
    clock.set(5.25)
    assert clock.now() == 5.25
    clock.set(datetime(2026, 1, 1, tzinfo=timezone.utc))
    assert clock.now() == 1_767_225_600
    assert ManualClock(start=7).now() == 7


def test_start_may_be_left_out_but_not_be_none():
    with pytest.raises(TypeError, match="start must be seconds since 1970"):
        ManualClock(None)


def test_the_system_clock_tells_the_time():
    before, now, after = time.time(), SystemClock().now(), time.time()
    assert before - 0.001 <= now <= after + 0.001
    assert type(now) is float


@pytest.mark.parametrize("clock", [None, SystemClock()])
def test_hits_without_a_timestamp_are_now(clock):
    counter = HitCounter(clock=clock)
    # The clock that a counter reads may be some milliseconds behind, and so in the second before.
    before = int(time.time()) - 2
    counter.hit()
    counter.record()
    after = int(time.time()) + 1
    assert counter.count_at(after, after - before) == 2


def test_counters_share_a_clock():
    clock = ManualClock(100)
    one, two = HitCounter(10, clock=clock), HitCounter(10, clock=clock)
    one.hit()
    two.hit()
    clock.advance(10)
    assert (one.count(), two.count()) == (0, 0)
    assert one.clock is two.clock is clock


def test_a_small_step_back_does_not_move_ticks_back_and_a_large_one_does():
    clock = ManualClock(1_000)
    counter = HitCounter(60, clock=clock)
    counter.hit()
    clock.set(990)
    counter.hit()
    assert counter.count_at(1_000, 1) == 2
    clock.set(979)
    counter.hit()
    assert counter.count_at(979, 1) == 1


def test_hits_from_the_future_are_refused_where_there_is_a_clock():
    counter = HitCounter(60, clock=ManualClock(1_000))
    assert counter.record_at(1_020) is Outcome.COUNTED
    assert counter.record_at(1_021) is Outcome.FUTURE
    counter.hit(1_021)
    assert counter.record_at(1_021, 5) is Outcome.FUTURE
    assert counter.outcomes() == Outcomes(counted=1, future=7)
    assert counter.count_at(1_021) == 1


def test_a_max_skew_without_a_clock_holds_hits_against_the_systems():
    counter = HitCounter(max_skew=5)
    now = SystemClock().now()
    assert counter.record_at(now + 2)
    assert counter.record_at(now + 60) is Outcome.FUTURE


def test_a_skew_of_nothing():
    counter = HitCounter(60, clock=ManualClock(1_000), max_skew=0)
    assert counter.record_at(1_000)
    assert counter.record_at(1_001) is Outcome.FUTURE


def test_without_a_clock_hits_from_the_future_are_believed():
    counter = HitCounter()
    assert counter.record_at(253_402_300_799)
    assert HitCounter(clock=SystemClock()).record_at(253_402_300_799) is Outcome.FUTURE
