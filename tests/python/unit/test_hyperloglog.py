"""How many different items: estimates, Redis's bytes, the laws of merging."""

import copy
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from children import forks, in_a_forked_child
from hitring import ConfigError, HyperLogLog, SketchError
from sketches import together


def sketch_of(items, precision=14):
    sketch = HyperLogLog(precision)
    sketch.update(items)
    return sketch


def test_few_are_counted_exactly():
    sketch = HyperLogLog()
    assert sketch.count() == 0
    assert [sketch.add(item) for item in ["a", "b", "a", b"a", "", b""]] == [True, True, False, False, True, False]
    assert sketch.count() == 3
    assert (sketch.precision, sketch.error) == (14, 0.008125)


def test_text_and_its_utf_8_are_the_same_item():
    sketch = sketch_of(["\u00e9", "\U0001f600"])
    assert not sketch.add("\u00e9".encode()) and not sketch.add("\U0001f600".encode())
    assert sketch.add(b"\xff\x00 not UTF-8")
    assert sketch.count() == 3


class Text(str):
    """Not exactly a str, so it goes the long way."""


class Octets(bytes):
    pass


def test_the_way_into_add_makes_no_difference():
    sketch = HyperLogLog()
    assert sketch.add(item="a") is True
    assert not any([sketch.add(Text("a")), sketch.add(Octets(b"a")), sketch.add(*["a"]), HyperLogLog.add(sketch, "a")])
    assert sketch.count() == 1


@pytest.mark.parametrize("precision", range(4, 19))
def test_estimates_are_within_the_stated_error(precision):
    sketch = HyperLogLog(precision)
    for items in (1_000, 10_000, 60_000):
        sketch.update(str(item) for item in range(items))
        # Small precisions are a little worse, and too high; see the docstring.
        assert abs(sketch.count() / items - 1) < 4 * 1.2 * sketch.error + 0.08 * (precision <= 6)


def test_the_size_grows_and_ends():
    few, many = sketch_of(["a"]), sketch_of(map(str, range(50_000)))
    assert sys.getsizeof(few) < 200
    assert 12_288 < sys.getsizeof(many) < 24_000
    assert sys.getsizeof(copy.copy(few)) == sys.getsizeof(few)


items = st.lists(st.one_of(st.text(max_size=4), st.binary(max_size=4)), max_size=60)
precisions = st.sampled_from([4, 8, 14])


@given(precisions, items, items, items)
def test_laws_of_merging(precision, one, two, three):
    def merged(*sketches):
        joined = HyperLogLog(precision)
        for sketch in sketches:
            joined.merge(sketch)
        return joined

    a, b, c = (sketch_of(some, precision) for some in (one, two, three))
    everything = sketch_of(one + two + three, precision).to_bytes()
    assert merged(a, b, c).to_bytes() == merged(c, b, a).to_bytes() == merged(merged(a, b), c).to_bytes() == everything
    assert merged(a, a, b, c, merged(a, c)).to_bytes() == everything
    assert HyperLogLog.from_bytes(everything).to_bytes() == everything


@given(items)
def test_redis_form_comes_back(some):
    sketch = sketch_of(some)
    assert HyperLogLog.from_redis(sketch.to_redis()).to_bytes() == sketch.to_bytes()
    joined = HyperLogLog()
    joined.merge(sketch.to_redis())
    assert joined.to_bytes() == sketch.to_bytes()


def test_redis_form_is_sparse_then_dense():
    assert sketch_of(["a"]).to_redis()[:5] == b"HYLL\x01"
    many = sketch_of(map(str, range(10_000)))
    assert many.to_redis()[:5] == b"HYLL\x00" and len(many.to_redis()) == 12_304
    assert HyperLogLog.from_redis(bytearray(many.to_redis())).count() == many.count()


WHOLE = sketch_of(map(str, range(10_000))).to_redis()


@pytest.mark.parametrize(
    ("junk", "message"),
    [
        (b"", "too few"),
        (b"HYLL", "too few"),
        (b"HYLL\x02" + b"\0" * 100, "dense .0. or sparse .1., these bytes say 2"),
        (WHOLE[:-1], "has 12304 bytes, not 12303"),
        (b"XXXX" + WHOLE[4:], "do not begin with HYLL"),
        (b"HYLL\x01" + b"\0" * 11, "cover 16384 registers, these bytes' cover 0"),
        (b"HYLL\x01" + b"\0" * 11 + b"\x7f\xff\x00", "cover 16385"),
        (WHOLE[:16] + b"\xff" + WHOLE[17:], "register 0 is 63, which no item could have made"),
    ],
)
def test_junk_is_refused_in_the_users_terms(junk, message):
    with pytest.raises(SketchError, match=message):
        HyperLogLog.from_redis(junk)
    sketch = sketch_of(["a"])
    if junk.startswith(b"HYLL"):
        with pytest.raises(SketchError, match=message):
            sketch.merge(junk)
    assert sketch.count() == 1


def test_other_precisions_do_not_merge_and_are_not_redis():
    sketch = HyperLogLog(10)
    for other in (HyperLogLog(11), HyperLogLog(11).to_bytes(), HyperLogLog().to_redis()):
        with pytest.raises(SketchError, match="make both with the same precision"):
            sketch.merge(other)
    with pytest.raises(ConfigError, match="make the sketch with precision 14"):
        sketch.to_redis()


@pytest.mark.parametrize("precision", [-(2**70), -1, 0, 3, 19, 256 + 14, 2**70])
def test_impossible_precisions(precision):
    with pytest.raises(ConfigError, match=r"precision cannot be .*; give 4 to 18"):
        HyperLogLog(precision)


@pytest.mark.parametrize("precision", [None, True, 14.0, "14"])
def test_a_precision_is_an_integer(precision):
    with pytest.raises(TypeError, match="precision must be an int"):
        HyperLogLog(precision)


@pytest.mark.parametrize("item", [None, 5, 5.0, True, bytearray(b"a"), memoryview(b"a"), ["a"], object()])
def test_items_are_text_or_bytes(item):
    sketch = HyperLogLog()
    with pytest.raises(TypeError, match="item must be a str or bytes"):
        sketch.add(item)
    with pytest.raises(TypeError, match=r"items\[1\] must be a str or bytes"):
        sketch.update(["a", item])
    assert sketch.count() == 0


def test_lone_surrogates_have_no_bytes():
    sketch = HyperLogLog()
    with pytest.raises(ValueError, match="item has lone surrogates"):
        sketch.add("\ud800")
    with pytest.raises(ValueError, match=r"items\[2\] has lone surrogates"):
        sketch.update(["a", "b", "\ud800"])
    assert sketch.count() == 0


@pytest.mark.parametrize("items", ["abc", b"abc", bytearray(b"abc"), memoryview(b"abc"), 5, None])
def test_one_item_is_refused_as_an_iterable_of_items(items):
    sketch = HyperLogLog()
    with pytest.raises(TypeError, match=r"items must be an iterable of str or bytes, not .*; for one, call add"):
        sketch.update(items)
    assert sketch.count() == 0


def test_what_an_iterator_raises_is_passed_on():
    def broken():
        yield "a"
        raise ZeroDivisionError

    sketch = HyperLogLog()
    with pytest.raises(ZeroDivisionError):
        sketch.update(broken())
    assert sketch.count() == 0


def test_text_from_redis_is_refused():
    with pytest.raises(TypeError, match="as Redis's GET answers them undecoded, not str"):
        HyperLogLog.from_redis("HYLL")


def test_threads_miss_no_item():
    sketch = HyperLogLog()

    def adder(thread):
        def add():
            for item in range(5_000):
                sketch.add(f"{item} of {thread % 3}")

        return add

    together(*(adder(thread) for thread in range(6)))
    alone = sketch_of(f"{item} of {thread}" for thread in range(3) for item in range(5_000))
    assert sketch.to_bytes() == alone.to_bytes()


@forks
def test_a_forked_child_goes_on_with_its_copy():
    sketch = sketch_of(["a", "b"])

    def child():
        sketch.add("c")
        return sketch.to_bytes()

    data = eval(in_a_forked_child(child))
    assert sketch.count() == 2
    sketch.merge(data)
    assert sketch.count() == 3
