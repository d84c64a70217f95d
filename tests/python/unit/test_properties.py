"""Every strategy against a separate, dumb oracle: hits and queries in any order."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitring import HitCounter, WindowExpired
from oracles import SlottedOracle

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
YEAR_2255 = 2**53  # microseconds: up to there a float is exact


@st.composite
def histories(draw):
    """A counter's geometry and what is done to it."""
    resolution = draw(st.sampled_from([1_000, 250_000, 1_000_000, 1_500_000, 60_000_000]))
    window = draw(st.sampled_from([1, 2, 5, 63, 64, 65, 300]))
    slack = draw(st.sampled_from([0, 1, 20, 200]))
    start = draw(st.sampled_from([0, 1_000_000, 10**9, 2**31 * 10**6, 253_402_300_799 * 10**6]))
    far = (window + slack + 70) * resolution
    near = st.one_of(
        st.integers(-3 * resolution, 3 * resolution),
        st.integers(-far, far),
        st.sampled_from([1, -1, resolution, -resolution, window * resolution, -window * resolution, far, -far]),
    )
    steps = draw(st.lists(st.tuples(st.sampled_from("hhhhhqqgb"), near, st.integers(0, 5), st.integers(0, window))))
    return resolution, window, slack, start, steps


def as_time(us: int, amount: int):
    """The same time, one way or another."""
    if us % 1_000_000 == 0 and amount % 2:
        return us // 1_000_000
    if us < YEAR_2255 and amount % 3:
        return us / 1_000_000
    return EPOCH + timedelta(microseconds=us)


def count(counter, oracle, at, time, last_us):
    """A count is exact, or refused; it is refused only where part of the range is gone."""
    try:
        counted = counter.count_at(time, timedelta(microseconds=last_us))
    except WindowExpired:
        assert oracle.expired(at, last_us)
    else:
        assert counted == oracle.count(at, last_us)


def buckets(counter, oracle, at, time, last_us):
    try:
        answer = counter.buckets_at(time, timedelta(microseconds=last_us))
    except WindowExpired:
        # Whole ticks are read, so the oldest of them too.
        newest = at // oracle.resolution
        assert any(map(oracle.recycled, range(max(newest - last_us // oracle.resolution + 1, 0), newest + 1)))
    else:
        ticks = oracle.buckets(at, last_us)
        assert answer == [(tick * oracle.resolution / 1_000_000, hits) for tick, hits in ticks]
        assert not any(oracle.recycled(tick) for tick, _ in ticks)


@settings(max_examples=300)
@given(histories(), st.sampled_from(["striped", "ring", "sliding"]))
def test_any_order(history, strategy):
    resolution, window, slack, at, steps = history
    width = timedelta(microseconds=resolution)
    counter = HitCounter(width * window, resolution=width, slack=slack, strategy=strategy)
    exact = strategy == "sliding"
    if not exact:
        assert counter.slots == max(64, window + slack)
    oracle = SlottedOracle(resolution, counter.slots, exact=exact)
    span = window * resolution
    for action, step, amount, ticks in steps:
        at = min(max(at + step, 0), 253_402_300_799_999_999)
        time = as_time(at, amount)
        last = ticks * resolution
        if action == "h":
            assert counter.record_at(time, amount).value == oracle.record(at, amount)
        elif action == "g":
            answer = counter.getHits(time)
            assert answer in (oracle.still_there(at, span), oracle.count(at, span))
        elif action == "q":
            count(counter, oracle, at, time, span)
            # The sliding log answers for any span.
            count(counter, oracle, at, time, last + (step % resolution if exact and ticks < window else 0))
        else:
            buckets(counter, oracle, at, time, last)
    assert counter.outcomes()._asdict() == {**oracle.outcomes, "future": 0, "saturated": 0, "refused": 0}


@given(histories(), st.sampled_from(["striped", "ring", "sliding"]))
def test_a_fresh_question_is_refused_wherever_part_of_the_range_is_gone(history, strategy):
    """Without earlier queries there is nothing remembered: expired is refused, and getHits is what is still there."""
    resolution, window, slack, at, steps = history
    width = timedelta(microseconds=resolution)
    counter = HitCounter(width * window, resolution=width, slack=slack, strategy=strategy)
    oracle = SlottedOracle(resolution, counter.slots, exact=strategy == "sliding")
    for _, step, amount, _ in steps:
        at = min(max(at + step, 0), 253_402_300_799_999_999)
        assert counter.record_at(as_time(at, amount), amount).value == oracle.record(at, amount)
    span = window * resolution
    for back in (0, 1, window, counter.slots - window, counter.slots):
        then = max(at - back * resolution, 0)
        if oracle.expired(then, span):
            with pytest.raises(WindowExpired):
                copy.copy(counter).count_at(as_time(then, 0))
        else:
            assert copy.copy(counter).count_at(as_time(then, 0)) == oracle.count(then, span)
    assert counter.getHits(as_time(at, 0)) == oracle.still_there(at, span)
