"""record_many: any buffer, any iterable, all or nothing."""

import array
import collections
import ctypes
import itertools
import struct
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import HitCounter, ManualClock, Outcomes

TIMES = [100, 0, 7, 7, 99]


class Signed(int):
    pass


def recorded(timestamps, *, count=5):
    counter = HitCounter()
    assert counter.record_many(timestamps) == Outcomes(counted=count)
    assert counter.outcomes() == Outcomes(counted=count)
    return [counter.count_at(at, 1) for at in (0, 7, 99, 100)]


@pytest.mark.parametrize(
    "timestamps",
    [
        TIMES,
        tuple(TIMES),
        iter(TIMES),
        collections.deque(TIMES),
        dict.fromkeys([100, 0, 7, 99]).keys() | {7},
        (at for at in TIMES),
        map(float, TIMES),
        map(Signed, TIMES),
        [datetime.fromtimestamp(at, timezone.utc) for at in TIMES],
        [100, 0.0, 7, datetime(1970, 1, 1, 0, 0, 7, tzinfo=timezone.utc), 99.0],
    ],
    ids=lambda value: type(value).__name__,
)
def test_iterables(timestamps):
    count = len(timestamps) if isinstance(timestamps, set) else 5
    assert recorded(timestamps, count=count) == [1, count - 3, 1, 1]


@pytest.mark.parametrize("code", "bBhHiIlLqQfd")
def test_arrays_of_every_type(code):
    assert recorded(array.array(code, TIMES)) == [1, 2, 1, 1]
    assert recorded(memoryview(array.array(code, TIMES))) == [1, 2, 1, 1]


@pytest.mark.parametrize("order", ["BigEndianStructure", "LittleEndianStructure"])
@pytest.mark.parametrize("kind", ["c_int16", "c_uint16", "c_int32", "c_uint64", "c_float", "c_double"])
def test_both_byte_orders(order, kind):
    swapped = getattr(ctypes, kind)
    swapped = swapped.__ctype_be__ if order == "BigEndianStructure" else swapped.__ctype_le__
    items = (swapped * 5)(*TIMES)
    assert memoryview(items).format[0] in "<>"
    assert recorded(items) == [1, 2, 1, 1]


def test_strides():
    data = array.array("q", [*itertools.chain.from_iterable((at, -1) for at in TIMES)])
    assert recorded(memoryview(data)[::2]) == [1, 2, 1, 1]
    assert recorded(memoryview(data)[::2][::-1]) == [1, 2, 1, 1]
    with pytest.raises(ValueError, match=r"timestamps\[0\] lies before 1970"):
        recorded(memoryview(data)[1::2])


def test_bytes_of_a_kind_that_is_said():
    packed = struct.pack("=5q", *TIMES)
    assert recorded(memoryview(packed).cast("q")) == [1, 2, 1, 1]
    assert recorded(memoryview(bytes(TIMES))) == [1, 2, 1, 1]


@pytest.mark.parametrize("timestamps", [bytes(TIMES), bytearray(TIMES), "100", b""])
def test_bytes_of_no_kind_are_refused(timestamps):
    with pytest.raises(TypeError, match=r"timestamps must be numbers, not \w+;.*cast\('q'\)"):
        HitCounter().record_many(timestamps)


@pytest.mark.parametrize("timestamps", [5, None, object(), 5.0, datetime.now(timezone.utc)])
def test_a_single_timestamp_is_refused(timestamps):
    with pytest.raises(
        TypeError, match=r"buffer or an iterable of timestamps, not \w+; for a single one call record_at"
    ):
        HitCounter().record_many(timestamps)


@pytest.mark.parametrize(
    ("timestamps", "error", "message"),
    [
        ([1, 2, -1, "x"], ValueError, r"timestamps\[2\] lies before 1970"),
        (["1"], TypeError, r"timestamps\[0\] must be seconds since 1970"),
        ((1, None), TypeError, r"timestamps\[1\] must be seconds"),
        (iter([1, True]), TypeError, r"timestamps\[1\] must be seconds"),
        ([1, 2**64 + 1], ValueError, r"timestamps\[1\] lies beyond"),
        ([1, datetime(2026, 1, 1)], ValueError, r"timestamps\[1\] is a datetime without a time zone"),
        (array.array("q", [1, 2, -(2**63)]), ValueError, r"timestamps\[2\] lies before"),
        (array.array("b", [1, -1]), ValueError, r"timestamps\[1\] lies before"),
        (array.array("Q", [1, 2**64 - 1]), ValueError, r"timestamps\[1\] lies beyond"),
        (array.array("Q", [253_402_300_800]), ValueError, r"timestamps\[0\] lies beyond"),
        (array.array("d", [1, float("nan")]), ValueError, r"timestamps\[1\] is NaN or infinite"),
        (array.array("f", [1, float("inf")]), ValueError, r"timestamps\[1\] is NaN or infinite"),
        (array.array("d", [1, -0.5]), ValueError, r"timestamps\[1\] lies before"),
        (memoryview(bytes(4)).cast("B", (2, 2)), ValueError, "must have one dimension, not 2; flatten them first"),
        (memoryview(bytes(4)).cast("?"), TypeError, r"timestamps\[0\] must be seconds .* not bool"),
        (memoryview(b"abc").cast("c"), TypeError, r"timestamps\[0\] must be seconds .* not bytes"),
    ],
)
def test_nothing_is_recorded_if_one_is_bad(timestamps, error, message):
    counter = HitCounter()
    with pytest.raises(error, match=message):
        counter.record_many(timestamps)
    assert counter.outcomes() == Outcomes()
    assert counter.getHits(2) == 0


def test_what_an_iterator_raises_is_passed_on():
    def failing():
        yield 1
        raise ZeroDivisionError("my own")

    counter = HitCounter()
    with pytest.raises(ZeroDivisionError, match="my own"):
        counter.record_many(failing())
    assert counter.outcomes() == Outcomes()


def test_an_iterator_may_use_the_counter():
    counter = HitCounter()
    assert counter.record_many(at for at in (1, 2) if counter.record_at(5)).counted == 2
    assert counter.count_at(5) == 4


def test_nothing_at_all():
    for empty in ([], (), iter(()), array.array("d")):
        assert HitCounter().record_many(empty) == Outcomes()


def test_outcomes_are_those_of_the_batch():
    counter = HitCounter(60, clock=ManualClock(1_000))
    counter.hit(5)
    late, ahead = 1_000 - counter.slots, 1_021
    assert counter.record_many([1_000, late, ahead, ahead, 1_020]) == Outcomes(counted=2, late=1, future=2)
    assert counter.outcomes() == Outcomes(counted=3, late=1, future=2)


INTEGERS = ["int8", "uint8", "int16", ">i4", "<u4", "int64", ">u8"]
FLOATS = ["float16", ">f2", "float32", ">f8", "float64", "longdouble"]


@pytest.mark.parametrize("kind", INTEGERS + FLOATS)
def test_numpy_arrays(kind):
    numpy = pytest.importorskip("numpy")
    times = numpy.array(TIMES, dtype=kind)
    assert recorded(times) == [1, 2, 1, 1]
    assert recorded(numpy.repeat(times, 3)[::3]) == [1, 2, 1, 1]
    assert recorded(times[::-1]) == [1, 2, 1, 1]
    assert recorded(list(times) if times.dtype.kind != "f" else times.tolist()) == [1, 2, 1, 1]
    assert recorded(numpy.array([times, times]).T[:, 0]) == [1, 2, 1, 1]
    frozen = times.copy()
    frozen.flags.writeable = False
    assert recorded(frozen) == [1, 2, 1, 1]
    with pytest.raises(ValueError, match="one dimension, not 2"):
        HitCounter().record_many(times.reshape(1, 5))
    with pytest.raises(ValueError, match="one dimension, not 0"):
        HitCounter().record_many(times[0:1].reshape(()))


def test_every_float_of_16_bits():
    numpy = pytest.importorskip("numpy")
    every = numpy.arange(2**16, dtype=numpy.uint16).view(numpy.float16)
    times = every[numpy.isfinite(every) & (every >= 0)]
    ours, theirs = HitCounter(window=70_000), HitCounter(window=70_000)
    assert ours.record_many(times) == theirs.record_many(times.astype("float64"))
    assert ours.buckets_at(70_000) == theirs.buckets_at(70_000)
    for bad in ("nan", "inf", "-inf", "-1"):
        with pytest.raises(ValueError, match=r"timestamps\[1\]"):
            ours.record_many(numpy.array(["1", bad], dtype="float16"))


def test_other_numpy_arrays():
    numpy = pytest.importorskip("numpy")
    assert recorded(numpy.array(TIMES, dtype=object)) == [1, 2, 1, 1]
    for kind in ("bool", "datetime64[s]", "complex64", "U3", "S3"):
        with pytest.raises(TypeError, match=r"timestamps\[0\] must be seconds since 1970"):
            HitCounter().record_many(numpy.array(TIMES).astype(kind))
    assert recorded(numpy.array(TIMES).astype("datetime64[s]").astype("int64")) == [1, 2, 1, 1]


@given(
    st.lists(st.integers(0, 2**31 - 1), max_size=50),
    st.sampled_from([list, tuple, iter, lambda times: array.array("q", times), lambda times: array.array("d", times)]),
    st.sampled_from(["striped", "ring", "sliding"]),
)
def test_a_batch_is_its_hits_one_by_one(times, kind, strategy):
    together, alone = HitCounter(strategy=strategy), HitCounter(strategy=strategy)
    outcomes = collections.Counter(alone.record_at(at).value for at in times)
    assert together.record_many(kind(times))._asdict() == {**Outcomes()._asdict(), **outcomes}
    for at in times:
        assert together.getHits(at) == alone.getHits(at)
