"""Reservoir and BottomK: uniform, whole, merged once."""

import collections
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from children import forks, in_a_forked_child
from hitring import BottomK, ConfigError, Reservoir, SketchError
from sketches import together

KINDS = [Reservoir, BottomK]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def filled(kind, k, items, seed=None):
    sample = kind(k, seed)
    sample.update(items)
    return sample


def off_uniform(times, samples, k, items):
    """By how many standard deviations a chi-square statistic is larger than even chances would make it."""
    expected, variance = samples * k / items, samples * k / items * (1 - k / items)
    squares = sum((times[item] - expected) ** 2 for item in range(items)) / variance * (items - 1) / items
    return (squares - (items - 1)) / (2 * (items - 1)) ** 0.5


def test_everything_while_there_is_room(kind):
    sample = kind(3)
    assert sample.items() == []
    sample.add("a")
    sample.add(b"b")
    sample.add(item="a")
    assert collections.Counter(sample.items()) == {"a": 2, "b": 1}
    sample.update(map(str, range(1_000)))
    assert len(sample.items()) == sample.k == 3


def test_seen():
    sample = filled(Reservoir, 3, map(str, range(1_000)))
    assert sample.seen == 1_000
    other = filled(Reservoir, 3, ["x"])
    sample.merge(other)
    sample.merge(other)
    assert (sample.seen, other.seen) == (1_001, 1)


def test_a_seed_gives_the_same_sample(kind):
    def items(seed):
        return filled(kind, 5, map(str, range(100)), seed).items()

    assert items(1) == items(1)
    assert items(0) != items(2**64 - 1)
    assert len({tuple(items(None)) for _ in range(5)}) > 1


class Text(str):
    """Not exactly a str, so it goes the long way."""


def test_the_way_in_makes_no_difference(kind):
    ways = [
        lambda sample, item: sample.add(item),
        lambda sample, item: sample.add(item=item),
        lambda sample, item: sample.add(Text(item)),
        lambda sample, item: sample.add(item.encode()),
        lambda sample, item: sample.update([item]),
    ]
    drawn = []
    for way in ways:
        sample = kind(5, 7)
        for item in range(300):
            way(sample, f"item {item} \u00e9")
        drawn.append(sample.items())
    assert drawn == [drawn[0]] * len(ways)
    assert {type(item) for item in drawn[2]} == {str}


def test_every_item_has_the_same_chance(kind):
    k, items, samples = 5, 40, 3_000
    times = collections.Counter()
    for seed in range(samples):
        times.update(int(item) for item in filled(kind, k, map(str, range(items)), seed).items())
    assert abs(off_uniform(times, samples, k, items)) < 5


def test_merged_samples_of_unequal_streams_are_uniform(kind):
    k, items, samples = 5, 60, 3_000
    times = collections.Counter()
    for seed in range(samples):
        few = filled(kind, k, map(str, range(8)), 2 * seed)
        many = filled(kind, k, map(str, range(8, items)), 2 * seed + 1)
        few.merge(many)
        few.merge(many.to_bytes())
        times.update(int(item) for item in few.items())
    assert sum(times.values()) == samples * k
    assert off_uniform(times, samples, k, items) < 5


@given(st.lists(st.lists(st.text(max_size=3), max_size=12), min_size=3, max_size=3), st.sampled_from(KINDS))
def test_laws_of_merging(streams, kind):
    a, b, c = (filled(kind, 4, stream) for stream in streams)

    def merged(*samples):
        joined = kind(4)
        for sample in samples:
            joined.merge(sample)
        return joined

    expected = merged(a, b, c).items()
    for other in (merged(c, b, a), merged(merged(a, b), c), merged(a, a, b, merged(c, a), b), merged(a, merged(b, c))):
        assert other.items() == expected
        assert other.to_bytes() == merged(a, b, c).to_bytes()
    everything = collections.Counter(item for stream in streams for item in stream)
    assert not collections.Counter(expected) - everything
    assert len(expected) == min(4, sum(everything.values()))


def test_other_sizes_do_not_merge(kind):
    sample = filled(kind, 3, ["a"])
    for other in (kind(4), kind(4).to_bytes()):
        with pytest.raises(SketchError, match="build both with the same k"):
            sample.merge(other)
    assert sample.items() == ["a"]


@pytest.mark.parametrize("k", [-(2**70), -1, 0, 2**20 + 1, 2**64 + 5])
def test_impossible_sizes(kind, k):
    with pytest.raises(ConfigError, match=r"k cannot be .*; give 1 to 1048576"):
        kind(k)


@pytest.mark.parametrize("k", [None, True, 3.0, "3"])
def test_a_size_is_an_integer(kind, k):
    with pytest.raises(TypeError, match="k must be an int"):
        kind(k)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_impossible_seeds(kind, seed):
    with pytest.raises(ConfigError, match="seed does not fit"):
        kind(3, seed)


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        (5, TypeError, "must be a str, or bytes of UTF-8, not int"),
        (None, TypeError, "must be a str, or bytes of UTF-8, not None"),
        (bytearray(b"a"), TypeError, "must be a str, or bytes of UTF-8, not bytearray"),
        (b"\xff", ValueError, "is bytes that are not UTF-8"),
        ("\ud800", ValueError, "has lone surrogates"),
    ],
)
def test_bad_items_add_nothing(kind, item, error, message):
    sample = kind(3)
    with pytest.raises(error, match=f"item {message}"):
        sample.add(item)
    with pytest.raises(error, match=rf"items\[1\] {message}"):
        sample.update(["a", item])
    with pytest.raises(TypeError, match="for one, call add"):
        sample.update("abc")
    assert sample.items() == []


def test_copies_of_a_seeded_one_go_their_own_way(kind):
    sample = filled(kind, 5, map(str, range(100)), 3)
    one, two = copy.copy(sample), copy.copy(sample)
    for of in (one, two):
        of.update(f"new {item}" for item in range(10_000))
    assert one.items() != two.items()


def test_those_from_the_same_bytes_draw_different_numbers(kind):
    data = kind(5, 3).to_bytes()
    one, two = kind.from_bytes(data), kind.from_bytes(data)
    for of in (one, two):
        of.update(map(str, range(1_000)))
    assert one.items() != two.items()


def test_items_of_all_threads_have_the_same_chance(kind):
    k, items, samples = 4, 20, 1_000
    all_samples = [kind(k) for _ in range(samples)]

    def adder(first):
        def add():
            for sample in all_samples:
                for item in range(first, items, 2):
                    sample.add(str(item))

        return add

    together(adder(0), adder(1))
    times = collections.Counter(int(item) for sample in all_samples for item in sample.items())
    assert sum(times.values()) == samples * k
    assert off_uniform(times, samples, k, items) < 6


@forks
def test_both_sides_of_a_fork_go_on_and_merge(kind):
    sample = filled(kind, 10, ["a", "b"])

    def child():
        sample.add("c")
        return sample.to_bytes()

    data = eval(in_a_forked_child(child))
    sample.add("d")
    sample.merge(data)
    sample.merge(data)
    assert sorted(sample.items()) == ["a", "b", "c", "d"]
