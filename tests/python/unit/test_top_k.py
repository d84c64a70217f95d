"""The most frequent items: bounds that hold, merged once."""

import collections
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from children import forks, in_a_forked_child
from hitring import ConfigError, Outcome, TopK
from sketches import together


def test_while_there_is_room_counts_are_exact():
    top = TopK(3)
    assert top.items() == []
    assert [top.add("a"), top.add("b", 5), top.add(b"a", amount=2), top.add("c", 0)] == [Outcome.COUNTED] * 4
    assert top.items()[:2] == [("b", 5, 0), ("a", 3, 0)]
    assert top.k == 3


def test_the_smallest_gives_way():
    top = TopK(2)
    for item, hits in [("a", 50), ("b", 30), ("c", 1)]:
        top.add(item, hits)
    assert top.items() == [("a", 50, 0), ("c", 31, 30)]


class Text(str):
    """Not exactly a str, so it goes the long way."""


@pytest.mark.parametrize(
    "way",
    [
        lambda top, item, n: top.add(item, n),
        lambda top, item, n: top.add(item, amount=n),
        lambda top, item, n: top.add(amount=n, item=item),
        lambda top, item, n: top.add(Text(item), n),
        lambda top, item, n: top.add(item.encode(), n),
        lambda top, item, n: [top.add(item) for _ in range(n)],
    ],
)
def test_the_way_in_makes_no_difference(way):
    top = TopK(2)
    for item, n in [("\u00e9", 3), ("", 2), ("\u00e9", 4)]:
        way(top, item, n)
    assert top.items() == [("\u00e9", 7, 0), ("", 2, 0)]
    assert {type(item) for item, _, _ in top.items()} == {str}


def bounds_hold(top, truth):
    hits = sum(truth.values())
    listed = {item: (count, error) for item, count, error in top.items()}
    assert len(listed) == len(top.items()) <= top.k
    assert [count for _, count, _ in top.items()] == sorted((count for count, _ in listed.values()), reverse=True)
    for item, (count, error) in listed.items():
        assert count - error <= truth[item] <= count
        assert error * top.k <= hits
    assert all(item in listed for item, count in truth.items() if count * top.k > hits)


streams = st.lists(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 20)), max_size=40), max_size=4)


@given(streams, st.integers(1, 6))
def test_bounds_hold_and_merging_is_a_join(streams, k):
    tops, truth = [], collections.Counter()
    for stream in streams:
        top, own = TopK(k), collections.Counter()
        for item, amount in stream:
            top.add(item, amount)
            own[item] += amount
        bounds_hold(top, own)
        tops.append(top)
        truth += own

    def merged(*tops):
        joined = TopK(k)
        for top in tops:
            joined.merge(top)
        return joined

    everything = merged(*tops)
    bounds_hold(everything, truth)
    assert merged(*reversed(tops)).items() == everything.items()
    assert merged(*tops, *tops, everything).items() == everything.items()
    assert merged(*(top.to_bytes() for top in tops)).to_bytes() == everything.to_bytes()
    assert merged(merged(*tops[:2]), merged(*tops[1:])).items() == everything.items()


def test_lists_of_other_sizes_merge():
    small, large = TopK(1), TopK(10)
    large.add("a", 5)
    large.add("b", 7)
    small.merge(large)
    assert small.items() == [("b", 7, 0)]


def test_what_does_not_fit_is_refused_whole():
    top = TopK(2)
    assert top.add("a", 2**63 - 1) is Outcome.COUNTED
    assert top.add("a") is top.add("b") is Outcome.SATURATED
    assert top.items() == [("a", 2**63 - 1, 0)]


@pytest.mark.parametrize("k", [-1, 0, 2**20 + 1, 2**70])
def test_impossible_sizes(k):
    with pytest.raises(ConfigError, match=r"k cannot be .*; give 1 to 1048576"):
        TopK(k)


@pytest.mark.parametrize("k", [None, True, 3.0, "3"])
def test_a_size_is_an_integer(k):
    with pytest.raises(TypeError, match="k must be an int"):
        TopK(k)


@pytest.mark.parametrize(
    ("item", "amount", "error", "message"),
    [
        (5, 1, TypeError, "item must be a str, or bytes of UTF-8"),
        (b"\xff", 1, ValueError, "item is bytes that are not UTF-8"),
        ("\ud800", 1, ValueError, "item has lone surrogates"),
        ("a", -1, ValueError, "amount is negative"),
        ("a", 2**63, ValueError, "amount is more than"),
        ("a", None, TypeError, "amount must be an int"),
        ("a", 1.0, TypeError, "amount must be an int"),
    ],
)
def test_bad_input_counts_nothing(item, amount, error, message):
    top = TopK(3)
    with pytest.raises(error, match=message):
        top.add(item, amount)
    assert top.items() == []


def test_hits_of_all_threads_are_counted():
    top = TopK(4)

    def add():
        for hit in range(4_000):
            top.add(f"item {hit % 4}")

    together(*[add] * 6)
    assert sorted(top.items()) == [(f"item {item}", 6_000, 0) for item in range(4)]


def test_copies_that_both_go_on_lose_nothing():
    top = TopK(4)
    top.add("a", 10)
    other = copy.copy(top)
    top.add("a", 1)
    other.add("a", 2)
    top.merge(other)
    other.merge(top)
    assert top.items() == other.items() == [("a", 13, 0)]


@forks
def test_both_sides_of_a_fork_go_on_and_merge():
    top = TopK(4)
    top.add("a", 10)

    def child():
        top.add("a", 5)
        return top.to_bytes()

    data = eval(in_a_forked_child(child))
    top.add("a")
    top.merge(data)
    top.merge(data)
    assert top.items() == [("a", 16, 0)]
