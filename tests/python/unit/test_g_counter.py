"""A count that replicas keep apart: exact, whatever is merged how often in which order."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from children import forks, in_a_forked_child
from hitring import ConfigError, GCounter, Outcome
from sketches import together

COUNTED = Outcome.COUNTED
MOST = 2**63 - 1


def test_counting():
    counter = GCounter("web-1")
    assert counter.count() == 0
    assert [counter.record(), counter.record(5), counter.record(amount=0), counter.record(*[4])] == [COUNTED] * 4
    assert counter.count() == 10
    assert counter.replica == GCounter(b"web-1").replica == "web-1"


def test_what_does_not_fit_is_refused_whole():
    counter = GCounter("a")
    assert counter.record(MOST - 5) is COUNTED
    assert counter.record(6) is Outcome.SATURATED
    assert counter.count() == MOST - 5
    assert counter.record(5) is COUNTED
    other = GCounter("b")
    other.record(MOST)
    counter.merge(other)
    assert counter.count() == MOST


def test_a_replica_that_is_restarted_from_empty_loses_nothing():
    home, web = GCounter("home"), GCounter("web-1")
    web.record(100)
    home.merge(web)
    web = GCounter("web-1")
    web.record(5)
    home.merge(web)
    assert home.count() == 105


def test_copies_that_both_go_on_lose_nothing():
    counter = GCounter("web-1")
    counter.record(10)
    other = copy.copy(counter)
    counter.record(1)
    other.record(2)
    restored = GCounter.from_bytes(counter.to_bytes())
    restored.record(4)
    for one in (other, restored):
        counter.merge(one)
        counter.merge(one.to_bytes())
    assert counter.count() == 17


# Each step: a replica records, takes in another, is copied in place of another, or is restarted from its bytes.
steps = st.lists(st.tuples(st.sampled_from("rrmmbcs"), st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)))


@given(steps, st.randoms(use_true_random=False))
def test_after_full_exchange_all_know_the_exact_sum(steps, random):
    replicas = [GCounter(f"replica {i % 2}") for i in range(4)]
    total, dropped = 0, []
    for what, one, two, amount in steps:
        if what == "r":
            replicas[one].record(amount)
            total += amount
        elif what == "m":
            before = max(replicas[one].count(), replicas[two].count())
            replicas[one].merge(replicas[two])
            assert before <= replicas[one].count() <= total
        elif what == "b":
            replicas[one].merge(replicas[two].to_bytes())
        elif what == "c":
            dropped.append(replicas[two])
            replicas[two] = copy.copy(replicas[one])
        else:
            replicas[one] = GCounter.from_bytes(replicas[one].to_bytes())
    everyone = replicas + dropped
    pairs = [(one, two) for one in everyone for two in everyone] * 2
    random.shuffle(pairs)
    for one, two in pairs:
        one.merge(two)
    for two in everyone:
        everyone[0].merge(two)
    for one in everyone:
        one.merge(everyone[0])
    assert [one.count() for one in everyone] == [total] * len(everyone)


@pytest.mark.parametrize("replica", ["", "x" * 1_025, "\u00e9" * 513, b""])
def test_names_that_are_too_short_or_long(replica):
    with pytest.raises(ConfigError, match="1 to 1,024 bytes of UTF-8, not"):
        GCounter(replica)


@pytest.mark.parametrize(
    ("replica", "error", "message"),
    [
        (None, TypeError, "replica must be a str"),
        (5, TypeError, "replica must be a str"),
        (b"\xff", ValueError, "replica is bytes that are not UTF-8"),
        ("\ud800", ValueError, "replica has lone surrogates"),
    ],
)
def test_invalid_names_are_refused(replica, error, message):
    with pytest.raises(error, match=message):
        GCounter(replica)


@pytest.mark.parametrize(
    ("amount", "error"), [(-1, ValueError), (2**63, ValueError), (True, TypeError), (1.0, TypeError), (None, TypeError)]
)
def test_bad_amounts_count_nothing(amount, error):
    counter = GCounter("a")
    with pytest.raises(error, match="amount"):
        counter.record(amount)
    assert counter.count() == 0


def test_hits_of_all_threads_are_counted():
    counter, other = GCounter("a"), GCounter("b")

    def record():
        for _ in range(5_000):
            counter.record()
            other.record(2)

    def merge():
        for _ in range(200):
            counter.merge(other)
            other.merge(counter.to_bytes())

    together(record, record, record, merge, merge)
    counter.merge(other)
    assert counter.count() == 3 * 5_000 * 3


@forks
def test_both_sides_of_a_fork_go_on_and_merge():
    counter = GCounter("web")
    counter.record(10)

    def child():
        counter.record(5)
        return counter.to_bytes()

    data = eval(in_a_forked_child(child))
    counter.record(1)
    counter.merge(data)
    counter.merge(data)
    assert counter.count() == 16
