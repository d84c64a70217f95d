"""LeetCode 362: seed 002's tests, and its two solutions as oracles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import HitCounter
from oracles import BucketCounter, QueueCounter

STRATEGIES = ["striped", "ring", "sliding"]


@pytest.fixture(params=STRATEGIES)
def counter(request):
    return HitCounter(strategy=request.param)


def test_standard_sequence(counter):
    counter.hit(1)
    counter.hit(2)
    counter.hit(3)
    assert counter.getHits(4) == 3
    counter.hit(300)
    assert counter.getHits(300) == 4
    assert counter.getHits(301) == 3


def test_several_hits_at_the_same_timestamp(counter):
    counter.hit(1)
    counter.hit(1)
    counter.hit(1)
    assert counter.getHits(1) == 3
    assert counter.getHits(300) == 3
    assert counter.getHits(301) == 0


def test_far_future_queries(counter):
    counter.hit(100)
    counter.hit(200)
    counter.hit(399)
    # Seed 002 writes 2 here. By its own rule, 100 > 399 - 300, it is 3; the next test shows that its solutions agree.
    assert counter.getHits(399) == 3
    assert counter.getHits(400) == 2
    assert counter.getHits(500) == 1
    assert counter.getHits(699) == 0


@pytest.mark.parametrize("solution", [QueueCounter, BucketCounter])
def test_far_future_queries_of_the_textbook_solutions(solution):
    test_far_future_queries(solution())


def test_hit_returns_none_and_get_hits_an_int(counter):
    assert counter.hit(1) is None
    assert type(counter.getHits(1)) is int


STEPS = st.one_of(st.integers(0, 3), st.sampled_from([58, 59, 60, 61, 298, 299, 300, 301, 599, 600, 86_400]))


@given(
    start=st.sampled_from([0, 1, 299, 300, 2**31 - 1, 2**32 - 1, 2 * 10**9]),
    steps=st.lists(st.tuples(STEPS, st.booleans()), max_size=60),
    window=st.sampled_from([1, 2, 60, 299, 300]),
    strategy=st.sampled_from(STRATEGIES),
)
def test_both_textbook_solutions_agree_in_chronological_order(start, steps, window, strategy):
    counters = [HitCounter(window, strategy=strategy), QueueCounter(window), BucketCounter(window)]
    timestamp = start
    for step, is_hit in steps:
        timestamp += step
        if is_hit:
            for counter in counters:
                counter.hit(timestamp)
        answers = [counter.getHits(timestamp) for counter in counters]
        assert answers == [answers[0]] * 3
