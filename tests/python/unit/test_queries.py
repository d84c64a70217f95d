"""Counts, buckets, rates, and what they say when part of the range is gone."""

import pytest

from hitring import HitCounter, HitringError, ManualClock, Outcome, QueryError, WindowExpired


@pytest.fixture(params=["striped", "ring", "sliding"])
def strategy(request):
    return request.param


def test_the_window_is_open_at_its_old_end(strategy):
    counter = HitCounter(strategy=strategy)
    counter.record_at(1, 5)
    assert counter.count_at(1) == counter.count_at(300) == 5
    assert counter.count_at(301) == 0
    assert counter.count_at(0) == 0
    assert counter.count_at(10, 9) == 0
    assert counter.count_at(10, 10) == 5
    assert counter.count_at(1, 0) == 0


def test_get_hits_is_count_at_where_nothing_is_gone(strategy):
    counter = HitCounter(60, strategy=strategy)
    for at in range(0, 500, 7):
        counter.record_at(at, at)
        assert counter.getHits(at) == counter.count_at(at) == counter.count_at(at, 60)


def test_a_range_that_newer_hits_have_overwritten(strategy):
    counter = HitCounter(60, slack=20, strategy=strategy)
    counter.record_many([1, 3, 70])
    counter.hit(1 + counter.slots)  # takes the slot of second 1
    for call in (counter.count_at, counter.buckets_at, counter.rate_at):
        with pytest.raises(WindowExpired, match="already been overwritten by newer hits") as raised:
            call(60)
        assert isinstance(raised.value, QueryError)
        assert isinstance(raised.value, HitringError)
    assert counter.getHits(60) == 1
    assert counter.count_at(60, 58) == 1
    assert counter.count_at(60, 0) == 0


def test_a_count_that_was_asked_for_before_may_still_be_known(strategy):
    counter = HitCounter(60, strategy=strategy)
    counter.record_many([1, 2])
    assert counter.count_at(2) == 2
    counter.hit(1 + counter.slots)
    try:
        assert counter.count_at(2) == 2
    except WindowExpired:
        assert strategy == "sliding"


def test_a_hit_of_the_next_second_hides_none_of_this_one(strategy):
    counter = HitCounter(strategy=strategy)
    counter.hit(1)
    counter.hit(301)
    assert counter.count_at(300) == 1


def test_late_hits_are_counted_while_their_slot_is_theirs(strategy):
    counter = HitCounter(60, strategy=strategy)
    newest = 1_000
    counter.hit(newest)
    assert counter.record_at(newest - counter.slots + 1) is Outcome.COUNTED
    assert counter.record_at(newest - counter.slots) is Outcome.LATE
    assert counter.count_at(newest) == 1


def test_queries_change_nothing(strategy):
    counter = HitCounter(strategy=strategy)
    counter.hit(1_000)
    for at in (0, 10**6, 253_402_300_799):
        counter.getHits(at)
        counter.count_at(at)
    assert counter.record_at(1_000)
    assert counter.record_at(900)
    assert counter.count_at(1_000) == 3


def test_the_sliding_window_slides_by_the_microsecond():
    ring, sliding = HitCounter(10, strategy="ring"), HitCounter(10, strategy="sliding")
    for counter in (ring, sliding):
        counter.hit(1.5)
    assert (ring.count_at(11.6), sliding.count_at(11.4), sliding.count_at(11.5)) == (0, 1, 0)
    assert (ring.count_at(1), sliding.count_at(1)) == (1, 0)
    assert sliding.count_at(2, 0.500001) == 1
    assert sliding.count_at(2, 0.5) == 0
    assert sliding.buckets_at(2, 2) == [(1, 1), (2, 0)]
    with pytest.raises(QueryError, match="whole number of ticks"):
        sliding.buckets_at(2, 0.5)


def test_buckets(strategy):
    counter = HitCounter(10, strategy=strategy)
    counter.record_many([3, 3, 5])
    assert counter.buckets_at(5, 3) == [(3, 2), (4, 0), (5, 1)]
    assert counter.buckets_at(5) == [(0, 0), (1, 0), (2, 0), (3, 2), (4, 0), (5, 1)]
    assert counter.buckets_at(5, last=0) == []
    assert len(counter.buckets_at(1_000)) == 10
    assert sum(hits for _, hits in counter.buckets_at(12)) == counter.count_at(12) == 3


@pytest.mark.parametrize(("resolution", "kind"), [(1, int), (60, int), (0.5, float), (1.5, float)])
def test_starts_of_buckets_are_of_one_type(resolution, kind):
    counter = HitCounter(resolution * 4, resolution=resolution)
    counter.hit(1_000)
    buckets = counter.buckets_at(1_000)
    assert [type(start) for start, _ in buckets] == [kind] * 4
    starts = [start for start, _ in buckets]
    assert starts == [1_000 // resolution * resolution - resolution * back for back in (3, 2, 1, 0)]


def test_rates(strategy):
    counter = HitCounter(strategy=strategy)
    counter.record_at(5, 30)
    assert counter.rate_at(5, 60) == 0.5
    assert counter.rate_at(5) == 0.1
    assert counter.rate_at(5, 0) == 0.0
    assert type(counter.rate_at(600)) is float


def test_queries_by_the_clock(strategy):
    clock = ManualClock(1_000)
    counter = HitCounter(60, clock=clock, strategy=strategy)
    counter.record(3)
    clock.advance(30)
    counter.hit()
    assert counter.count() == counter.count(last=60) == counter.getHits() == 4
    assert counter.count(30) == 1
    assert counter.count(0) == 0
    assert counter.rate(60) == counter.rate() == 4 / 60
    assert counter.rate(0) == 0.0
    assert counter.buckets(2) == [(1_029, 0), (1_030, 1)]
    assert len(counter.buckets()) == 60
    clock.advance(30)
    assert counter.count() == counter.getHits(None) == 1
    clock.advance(30)
    assert counter.count() == counter.getHits() == 0


def test_by_the_systems_clock(strategy):
    counter = HitCounter(strategy=strategy)
    assert counter.record(2) is Outcome.COUNTED
    counter.hit()
    counter.hit(None)
    assert counter.count() == counter.getHits() == counter.count(300) == 4
    assert counter.rate() == 4 / 300
    assert sum(hits for _, hits in counter.buckets(300)) == 4


def test_reset(strategy):
    counter = HitCounter(strategy=strategy)
    counter.record_many([1, 2, 3])
    counter.reset()
    assert counter.count_at(3) == counter.getHits(3) == 0
    assert counter.outcomes().counted == 3
    assert counter.record_at(2)
    assert counter.count_at(3) == 1
    assert counter.outcomes().counted == 4


def test_folly_refuses_what_falls_out_of_the_window_and_hitring_keeps_it_for_the_past():
    # The history that the judge `folly.addHistorical` replays: five buckets of two seconds, newest hit at 15.
    counter = HitCounter(10, resolution=2, slack=0)
    counter.record_many([*range(10), 4, 5, *range(10, 14), 14, 15])
    assert counter.slots == 64
    assert counter.count_at(15) == 10
    assert counter.record_at(4) is Outcome.COUNTED
    assert counter.count_at(15) == 10
    assert counter.count_at(5, 2) == 5
