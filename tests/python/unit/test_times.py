"""What a time and a span may be, and how each is taken."""

import sys
from datetime import datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hitring import HitCounter, ManualClock


def tick_of(at, resolution):
    """The start of the tick that a hit at ``at`` lands in."""
    counter = HitCounter(resolution, resolution=resolution, strategy="ring")
    assert counter.record_at(at)
    (bucket,) = counter.buckets_at(at)
    assert bucket[1] == 1
    return bucket[0]


def test_a_float_is_taken_to_the_nearest_microsecond():
    assert Fraction(1_700_000_000.001) < Fraction("1700000000.001")
    assert tick_of(1_700_000_000.001, 0.001) == 1_700_000_000.001
    assert tick_of(1_700_000_000.9999999, 1) == 1_700_000_001
    assert tick_of(1_700_000_000.999999, 1) == 1_700_000_000
    assert tick_of(0.0000004, 0.001) == 0
    assert tick_of(0.0009995, 0.001) in (0, 0.001)
    assert tick_of(0.0009996, 0.001) == 0.001


@given(st.integers(0, 2**33 * 1_000 - 1))
@example(2**33 * 1_000 - 1)
def test_every_millisecond_until_2242_is_in_its_own_tick_as_a_float(millis):
    assert round(tick_of(millis / 1000, 0.001) * 1000) == millis


@given(st.floats(0, 253_402_300_799.99), st.sampled_from([0.001, 0.25, 1, 1.5, 60]))
def test_floats_land_where_exact_arithmetic_puts_them(at, resolution):
    micros = round(Fraction(at) * 1_000_000)
    width = round(Fraction(resolution) * 1_000_000)
    assert tick_of(at, resolution) == (micros // width * width) / 1_000_000


def test_a_float_may_not_round_past_the_end_of_time():
    with pytest.raises(ValueError, match="beyond the year 9999"):
        HitCounter().hit(253_402_300_799.99999)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))
def test_a_datetime_is_taken_exactly(naive, offset):
    at = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    clock = ManualClock(at)
    micros = (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)
    assert clock.__reduce__()[1] == (micros // 1_000_000, micros % 1_000_000 * 1_000)


def test_daylight_saving_is_the_datetimes_business():
    zoneinfo = pytest.importorskip("zoneinfo")
    try:
        zone = zoneinfo.ZoneInfo("Europe/Berlin")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone database")
    early, late = (datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1))
    assert ManualClock(late).now() - ManualClock(early).now() == 3600


def test_subclasses_of_datetime_are_datetimes():
    class Stamp(datetime):
        pass

    assert ManualClock(Stamp(1970, 1, 1, 0, 0, 5, tzinfo=timezone.utc)).now() == 5


def test_numpy_scalars_are_times_and_amounts():
    numpy = pytest.importorskip("numpy")
    counter = HitCounter()
    for kind in (numpy.int64, numpy.uint64, numpy.int8, numpy.uint16, numpy.float64):
        assert counter.record_at(kind(100))
    for kind in (numpy.float16, numpy.float32, numpy.longdouble):
        assert HitCounter().record_at(kind(100.5))
        assert HitCounter(window=kind(60)).window == 60
        with pytest.raises(ValueError, match="NaN or infinite"):
            counter.hit(kind("nan"))
    assert counter.record_at(numpy.uint64(100), numpy.int32(5))
    assert counter.count_at(numpy.int64(100), numpy.int64(1)) == 10
    with pytest.raises(ValueError, match="beyond the year 9999"):
        counter.hit(numpy.uint64(2**64 - 1))
    with pytest.raises(TypeError, match="not bool"):
        counter.hit(numpy.bool_(True))


@pytest.mark.parametrize("last", [60, 60.0, timedelta(minutes=1), timedelta(seconds=59, microseconds=1_000_000)])
def test_spans(last):
    counter = HitCounter()
    counter.record_many([1, 2, 61])
    assert counter.count_at(61, last) == counter.count_at(61, last=last) == 2
    assert HitCounter(last).window == HitCounter(window=last).window == 60


def test_spans_are_taken_to_the_nearest_microsecond():
    counter = HitCounter(0.3, resolution=0.1)
    assert (counter.window, counter.resolution, counter.slots) == (0.3, 0.1, 64)
    for last in (0.1, 0.2, 0.30000000000000004, 0.1 + 0.2):
        assert counter.count_at(5, last) == 0


@given(st.integers(1_000, 10**9), st.integers(1, 2**20))
def test_attributes_give_back_what_was_given(resolution_us, ticks):
    resolution = timedelta(microseconds=resolution_us)
    counter = HitCounter(resolution * ticks, resolution=resolution, strategy="sliding")
    assert counter.resolution == resolution_us / 1e6
    assert counter.window == resolution_us * ticks / 1e6
    again = HitCounter(counter.window, resolution=counter.resolution, strategy="sliding")
    assert (again.window, again.resolution) == (counter.window, counter.resolution)


def test_whole_seconds_are_ints():
    counter = HitCounter(300.0, resolution=timedelta(seconds=1), max_skew=5.0)
    assert [type(value) for value in (counter.window, counter.resolution, counter.max_skew)] == [int] * 3
    assert type(HitCounter(1, resolution=0.5).resolution) is float


@pytest.mark.skipif(sys.maxsize < 2**32, reason="wants 64 bits")
def test_large_windows():
    century = 100 * 366 * 86_400
    counter = HitCounter(century, resolution=century)
    counter.hit(5)
    assert counter.count_at(century - 1) == 1
    assert counter.count_at(century) == 0
