"""What the classes are as Python objects: frozen, final, weakly referenceable, documented."""

import gc
import inspect
import subprocess
import sys
import weakref

import pytest

import hitring
from hitring import HitCounter, ManualClock, SystemClock

ATTRIBUTES = ["slots", "window", "resolution", "slack", "strategy", "max_skew", "clock"]


def test_attributes():
    counter = HitCounter()
    assert [getattr(counter, name) for name in ATTRIBUTES] == [320, 300, 1, 20, "striped", None, None]
    clock = ManualClock()
    counter = HitCounter(10, resolution=0.5, slack=100, strategy="ring", clock=clock)
    assert [getattr(counter, name) for name in ATTRIBUTES] == [120, 10, 0.5, 100, "ring", 50, clock]
    assert HitCounter(slack=0).slots == 300
    assert HitCounter(1, slack=0).slots == 64


@pytest.mark.parametrize("name", [*ATTRIBUTES, "anything"])
def test_attributes_are_read_only(name):
    with pytest.raises(AttributeError):
        setattr(HitCounter(), name, 5)


@pytest.mark.parametrize("kind", [HitCounter, ManualClock, SystemClock])
def test_classes_are_final(kind):
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Derived", (kind,), {})


@pytest.mark.parametrize("kind", [HitCounter, ManualClock, SystemClock])
def test_weak_references(kind):
    thing = kind()
    alive = weakref.ref(thing)
    finalized = []
    weakref.finalize(thing, finalized.append, "yes")
    assert alive() is thing
    assert thing in weakref.WeakSet([thing])
    del thing
    gc.collect()
    assert alive() is None
    assert finalized == ["yes"]


def test_a_counter_keeps_its_clock_alive_and_no_longer():
    clock = ManualClock(5)
    alive = weakref.ref(clock)
    counter = HitCounter(clock=clock)
    del clock
    gc.collect()
    assert counter.clock.now() == 5
    del counter
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    "text",
    [
        "HitCounter(window=300)",
        "HitCounter(window=60)",
        "HitCounter(window=300, strategy='ring')",
        "HitCounter(window=1.5, resolution=0.5)",
        "HitCounter(window=300, slack=0, strategy='sliding')",
        "HitCounter(window=300, max_skew=5)",
        "HitCounter(window=300, clock=ManualClock(1000))",
        "HitCounter(window=300, max_skew=5, clock=ManualClock(1000.5))",
        "HitCounter(window=300, clock=SystemClock())",
        "ManualClock(0)",
        "ManualClock(1700000000.000001)",
        "SystemClock()",
    ],
)
def test_reprs_evaluate_to_the_same(text):
    names = {"HitCounter": HitCounter, "ManualClock": ManualClock, "SystemClock": SystemClock}
    assert repr(eval(text, names)) == text
    assert str(eval(text, names)) == text


def test_the_size_is_that_of_all_memory():
    small, large = HitCounter(1, strategy="ring"), HitCounter(2**16, strategy="ring")
    assert 64 * 8 < sys.getsizeof(small) < 64 * 8 + 4096
    assert sys.getsizeof(large) - sys.getsizeof(small) >= (2**16 - 64) * 8


def test_counters_are_compared_by_identity():
    one, two = HitCounter(), HitCounter()
    assert one == one
    assert one != two
    assert len({one, two, one}) == 2


def test_everything_public_is_documented():
    for name in hitring.__all__:
        thing = getattr(hitring, name)
        assert getattr(thing, "__doc__", None), name
        if inspect.isclass(thing):
            assert thing.__module__ == "hitring", name
    for kind in (HitCounter, ManualClock, SystemClock):
        for name, member in vars(kind).items():
            if not name.startswith("_"):
                assert member.__doc__, name


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (HitCounter, "(window=300, *, resolution=1, slack=20, strategy='striped', max_skew=None, clock=None)"),
        (HitCounter.hit, "(self, /, timestamp=None)"),
        (HitCounter.getHits, "(self, /, timestamp=None)"),
        (HitCounter.record, "(self, /, amount=1)"),
        (HitCounter.record_at, "(self, /, timestamp, amount=1)"),
        (HitCounter.record_many, "(self, /, timestamps)"),
        (HitCounter.count, "(self, /, last=None)"),
        (HitCounter.count_at, "(self, /, timestamp, last=None)"),
        (ManualClock, "(start=0)"),
    ],
)
def test_signatures(function, signature):
    if inspect.isclass(function) and sys.version_info < (3, 10):
        pytest.skip("Python 3.9 does not look for the signature of such a class")
    assert str(inspect.signature(function)) == signature


@pytest.mark.parametrize("name", ["hit", "getHits", "record", "record_at", "count", "count_at"])
def test_methods_that_are_entered_the_short_way_look_like_all_others(name):
    method, other = getattr(HitCounter, name), HitCounter.rate
    assert type(method) is type(other)
    assert method.__qualname__ == f"HitCounter.{name}"
    assert method.__objclass__ is HitCounter
    bound = getattr(HitCounter(), name)
    assert bound.__name__ == name


class Whole(int):
    """Not exactly an int, so its calls go the long way."""


WAYS = {
    "by position": lambda counter, at, n: [
        counter.hit(at),
        counter.record_at(at),
        counter.record_at(at, n),
        counter.getHits(at),
        counter.count_at(at),
        counter.count_at(at, n),
    ],
    "by name": lambda counter, at, n: [
        counter.hit(timestamp=at),
        counter.record_at(timestamp=at),
        counter.record_at(amount=n, timestamp=at),
        counter.getHits(timestamp=at),
        counter.count_at(timestamp=at),
        counter.count_at(at, last=n),
    ],
    "with keywords unpacked": lambda counter, at, n: [
        counter.hit(*[at]),
        counter.record_at(*[at], **{}),
        counter.record_at(**{"timestamp": at, "amount": n}),
        counter.getHits(**{"timestamp": at}),
        counter.count_at(*(at,)),
        counter.count_at(**{"last": n, "timestamp": at}),
    ],
    "through the class": lambda counter, at, n: [
        HitCounter.hit(counter, at),
        HitCounter.record_at(counter, at),
        HitCounter.record_at(counter, at, amount=n),
        HitCounter.getHits(counter, timestamp=at),
        HitCounter.count_at(counter, at),
        HitCounter.count_at(counter, at, n),
    ],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("kind", [int, Whole, float])
def test_the_way_into_a_method_makes_no_difference(way, kind):
    counter = HitCounter()
    counted = hitring.Outcome.COUNTED
    amount = Whole(7) if kind is Whole else 7
    assert way(counter, kind(1_000), amount) == [None, counted, counted, 9, 9, 9]
    clock = ManualClock(1_000)
    counter = HitCounter(clock=clock)
    assert [counter.record(), counter.record(amount), counter.record(amount=amount)] == [counted] * 3
    assert [counter.count(), counter.count(amount), counter.count(last=amount), counter.getHits()] == [15] * 4


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("kind", [int, Whole])
def test_calls_leak_no_references(way, kind):
    counter = HitCounter()
    things = at, amount = kind(10**9 + 7), kind(299)
    way(counter, at, amount)
    before = [sys.getrefcount(thing) for thing in (*things, counter)]
    for _ in range(1_000):
        way(counter, at, amount)
    assert [sys.getrefcount(thing) for thing in (*things, counter)] == before


def test_answers_leak_no_references():
    counter = HitCounter()
    bad = object()
    before = [sys.getrefcount(thing) for thing in (hitring.Outcome.COUNTED, bad, counter)]
    for _ in range(1_000):
        counter.record()
        counter.record_at(5, amount=1)
        with pytest.raises(TypeError):
            counter.hit(bad)
        with pytest.raises(TypeError):
            counter.record_at(5, amount=bad)
    after = [sys.getrefcount(thing) for thing in (hitring.Outcome.COUNTED, bad, counter)]
    assert all(now <= then + 5 for now, then in zip(after, before))


def test_metrics_can_be_asked_for_while_the_interpreter_ends():
    script = """
import sys
import hitring

class Last:
    registry, limiter = hitring.Registry(), hitring.KeyedLimiter("5/minute")
    def __del__(self, modules=sys.modules):
        modules["hitring._metrics"] = None  # what an import would find then
        print(self.registry.metrics().total_hits, self.limiter.metrics().keys, flush=True)

last = Last()
last.registry.record_hit("/a")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 0\n", "")
