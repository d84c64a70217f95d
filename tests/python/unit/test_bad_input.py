"""Bad input: one clear error in the user's terms that names the cure, and nothing is counted."""

import array
import decimal
import enum
import fractions
import re
from datetime import date, datetime, timedelta, timezone, tzinfo

import pytest

import hitring
from hitring import ConfigError, HitCounter, HitringError, ManualClock, Morris, Outcomes, QueryError

NOTHING = Outcomes()
END = 253_402_300_799  # the last second of the year 9999


class Vague(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, _):
        return None

    def dst(self, _):
        return None

    def tzname(self, _):
        return None


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Broken:
    def __index__(self):
        raise ZeroDivisionError("my own")


def with_last_bit_flipped(snapshot):
    return snapshot[:-1] + bytes([snapshot[-1] ^ 1])


BEFORE = "lies before 1970"
BEYOND = "lies beyond the year 9999; give seconds"
NOT_FINITE = "is NaN or infinite"
NO_ZONE = "time zone"
WRONG_TYPE = "must be seconds since 1970"

BAD_TIMES = [
    (-1, ValueError, BEFORE),
    (-(2**63) - 1, ValueError, BEFORE),
    (-(10**400), ValueError, BEFORE),
    (Index(-1), ValueError, BEFORE),
    (-0.000001, ValueError, BEFORE),
    (-1e300, ValueError, BEFORE),
    (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc), ValueError, BEFORE),
    (END + 1, ValueError, BEYOND),
    (2**32 * END, ValueError, BEYOND),
    (2**63 - 1, ValueError, BEYOND),
    (2**63, ValueError, BEYOND),
    (2**64, ValueError, BEYOND),
    (2**64 + 5, ValueError, BEYOND),
    (10**400, ValueError, BEYOND),
    (Index(2**64 + 5), ValueError, BEYOND),
    (float(END + 1), ValueError, BEYOND),
    (1.7e12, ValueError, BEYOND),
    (1.7e18, ValueError, BEYOND),
    (1e308, ValueError, BEYOND),
    (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), ValueError, BEYOND),
    (float("nan"), ValueError, NOT_FINITE),
    (float("inf"), ValueError, NOT_FINITE),
    (-float("inf"), ValueError, NOT_FINITE),
    (datetime(2026, 1, 1), ValueError, NO_ZONE),
    (datetime(2026, 1, 1, tzinfo=Vague()), ValueError, NO_ZONE),
    (True, TypeError, WRONG_TYPE),
    (False, TypeError, WRONG_TYPE),
    ("5", TypeError, WRONG_TYPE),
    (b"5", TypeError, WRONG_TYPE),
    (5j, TypeError, WRONG_TYPE),
    (decimal.Decimal(5), TypeError, WRONG_TYPE),
    (fractions.Fraction(5), TypeError, WRONG_TYPE),
    (date(2026, 1, 1), TypeError, WRONG_TYPE),
    (timedelta(5), TypeError, WRONG_TYPE),
    ([5], TypeError, WRONG_TYPE),
    (object(), TypeError, WRONG_TYPE),
    (Index("5"), TypeError, WRONG_TYPE),
]

CALLS_AT = {
    "hit": lambda counter, at: counter.hit(at),
    "hit, by name": lambda counter, at: counter.hit(timestamp=at),
    "getHits": lambda counter, at: counter.getHits(at),
    "record_at": lambda counter, at: counter.record_at(at),
    "record_at, amount": lambda counter, at: counter.record_at(at, 5),
    "count_at": lambda counter, at: counter.count_at(at),
    "buckets_at": lambda counter, at: counter.buckets_at(at),
    "rate_at": lambda counter, at: counter.rate_at(at),
    "record_many": lambda counter, at: counter.record_many([5, at]),
    "ManualClock": lambda _, at: ManualClock(at),
    "ManualClock.set": lambda _, at: ManualClock().set(at),
}


@pytest.mark.parametrize("call", CALLS_AT.values(), ids=CALLS_AT.keys())
@pytest.mark.parametrize(("at", "error", "message"), BAD_TIMES, ids=lambda value: type(value).__name__)
def test_bad_timestamps(call, at, error, message):
    counter = HitCounter()
    with pytest.raises(error, match=message) as raised:
        call(counter, at)
    assert type(raised.value) is error
    assert counter.outcomes() == NOTHING
    assert counter.getHits(5) == counter.getHits(END) == 0


@pytest.mark.parametrize("name", ["record_at", "count_at", "buckets_at", "rate_at"])
def test_none_is_refused_as_a_timestamp_where_it_does_not_mean_now(name):
    with pytest.raises(TypeError, match="not None; use the method without a timestamp to mean now"):
        getattr(HitCounter(), name)(None)


def test_what_an_index_method_raises_is_passed_on():
    with pytest.raises(ZeroDivisionError, match="my own"):
        HitCounter().hit(Broken())


def test_the_ends_of_time():
    counter = HitCounter()
    for at in (0, 0.0, -0.0, Index(0), datetime(1970, 1, 1, tzinfo=timezone.utc)):
        assert counter.record_at(at)
    assert counter.count_at(0) == 5
    for at in (END, float(END), datetime.max.replace(tzinfo=timezone.utc)):
        assert counter.record_at(at)
    assert counter.count_at(END) == 3


def test_a_subclass_of_int_is_an_int():
    class Port(enum.IntEnum):
        HTTP = 80

    counter = HitCounter()
    assert counter.record_at(Port.HTTP, Port.HTTP)
    assert counter.count_at(80) == 80


BAD_AMOUNTS = [
    (-1, ValueError, "amount is negative"),
    (-(2**63), ValueError, "amount is negative"),
    (-(2**64), ValueError, "amount is negative"),
    (2**63, ValueError, r"amount is more than 2\*\*63 - 1"),
    (2**64, ValueError, r"amount is more than 2\*\*63 - 1"),
    (2**64 + 1, ValueError, r"amount is more than 2\*\*63 - 1"),
    (Index(2**64 + 1), ValueError, r"amount is more than 2\*\*63 - 1"),
    (True, TypeError, "amount must be an int, not bool"),
    (1.0, TypeError, "amount must be an int, not float"),
    ("1", TypeError, "amount must be an int, not str"),
    (None, TypeError, "amount must be an int, not None"),
    (decimal.Decimal(1), TypeError, "amount must be an int, not Decimal"),
]


@pytest.mark.parametrize(("amount", "error", "message"), BAD_AMOUNTS)
@pytest.mark.parametrize(
    "call",
    [
        lambda counter, amount: counter.record(amount),
        lambda counter, amount: counter.record(amount=amount),
        lambda counter, amount: counter.record_at(5, amount),
        lambda counter, amount: counter.record_at(5, amount=amount),
    ],
)
def test_bad_amounts(call, amount, error, message):
    counter = HitCounter()
    with pytest.raises(error, match=message) as raised:
        call(counter, amount)
    assert type(raised.value) is error
    assert counter.outcomes() == NOTHING


def test_the_ends_of_amounts():
    counter = HitCounter()
    assert counter.record_at(5, 0) is hitring.Outcome.COUNTED
    assert counter.outcomes() == NOTHING
    assert counter.record_at(5, 2**63 - 1) is hitring.Outcome.SATURATED
    assert counter.count_at(5) == 0
    assert counter.record_at(5, Index(7))
    assert counter.count_at(5) == 7


BAD_SPANS = [
    (-1, ValueError, "last is negative; give seconds"),
    (-0.5, ValueError, "last is negative"),
    (-(2**64), ValueError, "last is negative"),
    (timedelta(seconds=-1), ValueError, "last is negative"),
    (timedelta.min, ValueError, "last is negative"),
    (float("nan"), ValueError, "last is NaN or infinite"),
    (float("inf"), ValueError, "last is NaN or infinite"),
    (301, ValueError, "301s is more than the window of 300s; ask for less"),
    (300.000001, ValueError, "whole number of ticks"),
    (2**64, ValueError, "last is more than the window of 300s"),
    (2**63 - 1, ValueError, "last is more than the window of 300s"),
    (10**400, ValueError, "last is more than the window of 300s"),
    (1e300, ValueError, "last is more than the window of 300s"),
    (timedelta.max, ValueError, "last is more than the window of 300s"),
    (0.5, ValueError, "500ms is not a whole number of ticks of 1s"),
    (True, TypeError, "last must be seconds"),
    ("5", TypeError, "last must be seconds"),
    (datetime(2026, 1, 1), TypeError, "last must be seconds"),
]


@pytest.mark.parametrize(("last", "error", "message"), BAD_SPANS)
@pytest.mark.parametrize(
    "call",
    [
        lambda counter, last: counter.count(last),
        lambda counter, last: counter.count_at(5, last),
        lambda counter, last: counter.buckets(last),
        lambda counter, last: counter.buckets_at(5, last),
        lambda counter, last: counter.rate(last),
        lambda counter, last: counter.rate_at(5, last),
    ],
)
def test_bad_spans_of_the_past(call, last, error, message):
    with pytest.raises(error, match=message) as raised:
        call(HitCounter(), last)
    if error is ValueError:
        assert isinstance(raised.value, QueryError)
        assert isinstance(raised.value, HitringError)


BAD_CONFIGURATIONS = [
    ({"window": 0}, ConfigError, "the window is empty"),
    ({"window": -1}, ConfigError, "window is negative"),
    ({"window": 1.5}, ConfigError, "not a whole number of ticks"),
    ({"window": 2**20 + 1}, ConfigError, r"use a resolution of 1\.7s$"),
    ({"window": 1e300}, ConfigError, "window is longer than all of time"),
    ({"window": 10**400}, ConfigError, "window is longer than all of time"),
    ({"window": float("nan")}, ConfigError, "window is NaN or infinite"),
    ({"window": None}, TypeError, "window must be seconds"),
    ({"window": True}, TypeError, "window must be seconds"),
    ({"window": "300"}, TypeError, "window must be seconds"),
    ({"resolution": 0}, ConfigError, "a resolution of 0ns is not possible"),
    ({"resolution": 0.0001}, ConfigError, "at least 1ms"),
    ({"resolution": 7}, ConfigError, "not a whole number of ticks"),
    ({"resolution": None}, TypeError, "resolution must be seconds"),
    ({"slack": -1}, ConfigError, "slack is negative"),
    ({"slack": 2**20 + 1}, ConfigError, r"more than 2\^20"),
    ({"slack": 2**32}, ConfigError, r"slack is more than 2\*\*20"),
    ({"slack": 2**64}, ConfigError, r"slack is more than 2\*\*20"),
    ({"slack": 20.0}, TypeError, "slack must be a number of slots"),
    ({"slack": True}, TypeError, "slack must be a number of slots"),
    ({"slack": None}, TypeError, "slack must be a number of slots"),
    ({"strategy": "striped "}, ConfigError, 'choose "striped", "ring"'),
    ({"strategy": b"ring"}, TypeError, "strategy must be a name, as 'ring', or a hitring.Strategy, not bytes"),
    ({"strategy": None}, TypeError, "strategy must be"),
    ({"max_skew": 21}, ConfigError, "more than the slack of 20s; raise the slack or lower max_skew"),
    ({"max_skew": -1}, ConfigError, "max_skew is negative"),
    ({"max_skew": "1"}, TypeError, "max_skew must be seconds"),
    ({"clock": 5}, TypeError, "clock must be a hitring.ManualClock or a hitring.SystemClock, not int"),
    ({"clock": ManualClock}, TypeError, "clock must be a hitring.ManualClock"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD_CONFIGURATIONS)
def test_bad_configurations(arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        HitCounter(**arguments)
    assert type(raised.value) is error


def test_configuration_is_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        HitCounter(300, 1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        HitCounter(size=300)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda counter: counter.hit(1, 2), r"hit\(\) takes from 0 to 1 positional arguments but 2 were given"),
        (lambda counter: counter.hit(at=1), "unexpected keyword argument 'at'"),
        (lambda counter: counter.hit(1, timestamp=1), "multiple values for argument 'timestamp'"),
        (lambda counter: counter.record_at(), "missing 1 required positional argument: 'timestamp'"),
        (lambda counter: counter.record_at(amount=1), "missing 1 required positional argument: 'timestamp'"),
        (lambda counter: counter.record(1, 2), "takes from 0 to 1 positional arguments but 2 were given"),
        (lambda counter: counter.count_at(1, 2, 3), "takes from 1 to 2 positional arguments but 3 were given"),
        (lambda _: HitCounter.hit(5), "doesn't apply to a 'int' object"),
        (lambda _: HitCounter.hit(), "needs an argument"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(TypeError, match=message):
        call(HitCounter())


@pytest.mark.parametrize(
    ("seconds", "error", "message"),
    [
        (-1, ValueError, "seconds is negative"),
        (END + 2, ValueError, "beyond the year 9999"),
        (1e300, ValueError, "beyond the year 9999"),
        (10**400, ValueError, "beyond the year 9999"),
        (float("nan"), ValueError, "seconds is NaN or infinite"),
        (None, TypeError, "seconds must be seconds"),
        (True, TypeError, "seconds must be seconds"),
    ],
)
def test_a_clock_that_cannot_advance_stays(seconds, error, message):
    clock = ManualClock(5)
    with pytest.raises(error, match=message):
        clock.advance(seconds)
    assert clock.now() == 5


@pytest.mark.parametrize(
    ("snapshot", "error", "message"),
    [
        (b"", hitring.SnapshotError, "not a hitring snapshot"),
        (b"GIF89a", hitring.SnapshotError, "not a hitring snapshot"),
        (HitCounter().snapshot()[:-1], hitring.SnapshotError, "not complete"),
        (with_last_bit_flipped(HitCounter().snapshot()), hitring.SnapshotError, "fails its checksum"),
        ("HITRING", TypeError, "a snapshot is bytes, as snapshot"),
        (5, TypeError, "a snapshot is bytes"),
        (None, TypeError, "a snapshot is bytes"),
        (array.array("B", HitCounter().snapshot()), TypeError, "a snapshot is bytes"),
    ],
)
def test_bad_snapshots(snapshot, error, message):
    counter = HitCounter()
    counter.hit(5)
    before = counter.snapshot()
    with pytest.raises(error, match=message):
        counter.merge(snapshot)
    assert counter.snapshot() == before


@pytest.mark.parametrize("window", [2_592_000, 1e9, 2**20 + 1, 31_536_000])
def test_the_advice_for_a_long_window_works(window):
    with pytest.raises(ConfigError) as raised:
        HitCounter(window)
    resolution = float(re.search(r"use a resolution of ([\d.]+)s$", str(raised.value))[1])
    assert HitCounter(window, resolution=resolution).window == window


def test_morris_takes_an_error_or_a_base():
    with pytest.raises(ConfigError, match="give error or base, not both"):
        Morris(error=0.1, base=2)
