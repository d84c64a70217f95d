"""HyperLogLog: estimates, merges, Redis's form, and what is refused."""

import copy
import pickle
import random
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import Estimate, HyperLogLog, SketchError


def of(items, precision=14):
    sketch = HyperLogLog(precision)
    sketch.update(items)
    return sketch


def test_few_items_are_counted_as_they_are():
    sketch = HyperLogLog()
    assert sketch.count() == 0
    assert sketch.add("ann") is True
    assert sketch.add(b"ann") is False, "a str is the bytes of its UTF-8"
    assert sketch.update(["bob", "ann"]) is True
    assert sketch.update([]) is False
    assert sketch.count() == 2
    assert isinstance(sketch.count(), Estimate)
    assert sketch.count().error == sketch.error == pytest.approx(0.008125)


@pytest.mark.parametrize("precision", [4, 10, 14, 18])
def test_many_items_are_within_the_stated_error(precision):
    sketch = of((str(number) for number in range(20_000)), precision)
    assert sketch.precision == precision
    assert sketch.count() == pytest.approx(20_000, rel=5 * sketch.error)


def test_merging_is_as_if_all_had_been_added_here():
    ours, theirs, all_of_it = of(map(str, range(3_000))), of(map(str, range(2_000, 5_000))), of(map(str, range(5_000)))
    for _ in range(2):
        ours.merge(theirs)
        assert ours.count() == all_of_it.count()
        assert ours.to_redis() == all_of_it.to_redis()
    with pytest.raises(SketchError, match="precision"):
        ours.merge(HyperLogLog(10))


@given(st.lists(st.text()), st.lists(st.binary()), st.lists(st.text()))
def test_the_laws_of_merging(first, second, third):
    def joined(*groups):
        sketch = HyperLogLog()
        for group in groups:
            sketch.merge(of(group) if isinstance(group, list) else group)
        return sketch.to_redis()

    def encoded(items):
        return [item.encode("utf-8", "replace") if isinstance(item, str) else item for item in items]

    first, second, third = encoded(first), encoded(second), encoded(third)
    assert joined(first, second, third) == joined(third, first, second) == of(first + second + third).to_redis()
    assert joined(first, first) == joined(first)


def test_the_form_of_redis_goes_both_ways():
    for size in (0, 1, 50, 5_000):
        sketch = of(map(str, range(size)))
        blob = sketch.to_redis()
        assert blob[:4] == b"HYLL"
        read = HyperLogLog.from_redis(bytearray(blob))
        assert read.count() == sketch.count()
        assert read.to_redis() == blob
    with pytest.raises(SketchError, match="14"):
        HyperLogLog(12).to_redis()


def test_what_redis_refuses_is_refused():
    blob = of(map(str, range(20_000))).to_redis()
    for junk in (b"HYLL", b"HYLL\x02" + b"\0" * 100, blob[:-1], b"XXXX" + blob[4:], b"", blob + b"\0"):
        with pytest.raises(SketchError):
            HyperLogLog.from_redis(junk)
    for wrong in ("text", None, 5):
        with pytest.raises(TypeError):
            HyperLogLog.from_redis(wrong)


@given(st.binary(max_size=64), st.integers(0, 100))
def test_forged_blobs_are_refused_or_read(junk, at):
    blob = bytearray(of(map(str, range(100))).to_redis())
    blob[at : at + len(junk)] = junk
    try:
        sketch = HyperLogLog.from_redis(bytes(blob))
    except SketchError:
        return
    assert sketch.count() >= 0


def test_copies_and_pickles_go_on_by_themselves():
    for precision in (5, 14):
        sketch = of(map(str, range(500)), precision)
        for other in (copy.copy(sketch), copy.deepcopy(sketch), pickle.loads(pickle.dumps(sketch))):
            assert (other.count(), other.precision) == (sketch.count(), precision)
            other.update(map(str, range(500, 3_000)))
            assert other.count() > sketch.count()


def test_threads_lose_nothing():
    sketch, alone = HyperLogLog(), of(map(str, range(8_000)))
    items = [str(number) for number in range(8_000)]

    def add(seed):
        random.Random(seed).shuffle(mine := items.copy())
        for item in mine:
            sketch.add(item)

    threads = [threading.Thread(target=add, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sketch.to_redis() == alone.to_redis()


@pytest.mark.parametrize("wrong", [None, 5, 1.5, ["a"], bytearray(b"a")])
def test_items_are_str_or_bytes(wrong):
    sketch = HyperLogLog()
    with pytest.raises(TypeError, match="item must be a str or bytes"):
        sketch.add(wrong)
    with pytest.raises(TypeError, match=r"items\[1\] must be a str or bytes"):
        sketch.update(["a", wrong])
    assert sketch.count() == 1, "those before it were added"


def test_bad_input_says_what_would_do():
    with pytest.raises(ValueError, match="lone surrogates"):
        HyperLogLog().add("\ud800")
    for wrong in (3, 19, -1, 2**70):
        with pytest.raises(ValueError, match="4 to 18"):
            HyperLogLog(wrong)
    for wrong in (None, "14", 14.0, True):
        with pytest.raises(TypeError):
            HyperLogLog(wrong)
    with pytest.raises(TypeError):
        HyperLogLog().merge(b"bytes")


def test_what_it_says_of_itself():
    sketch = of("abc")
    assert repr(sketch) == "<hitring.HyperLogLog of about 3 items, precision 14>"
    assert 40 < sketch.__sizeof__() < 200
