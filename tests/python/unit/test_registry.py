"""The registry: endpoints by name, handles, sums, removal, pruning, and what happens when it is full."""

import copy
import datetime
import pickle
import sys

import pytest

import hitring
from hitring import (
    ConfigError,
    Counter,
    ManualClock,
    Metrics,
    Outcome,
    QueryError,
    Registry,
    RegistryFull,
    WindowExpired,
)

NOW = 1_000_000


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def registry(clock):
    return Registry(clock=clock)


def test_hits_are_counted_by_endpoint(registry, clock):
    assert registry.record_hit("/a") is Outcome.COUNTED
    assert registry.record_hit("/b", NOW - 10, 5) is Outcome.COUNTED
    assert registry.record_hit(endpoint="/b", timestamp=None, amount=2) is Outcome.COUNTED
    assert registry.query_hits("/a") == registry.query_hits("/a", 300) == 1
    assert registry.query_hits("/b", 10) == 2
    assert registry.query_hits("/b", 11) == 7
    assert registry.query_hits("/b", last_seconds=1, at=NOW - 10) == 5
    assert registry.query_hits("/nobody") == 0
    assert registry.endpoints() == list(registry) == ["/a", "/b"]
    assert "/a" in registry
    assert "/nobody" not in registry
    assert len(registry) == 2
    clock.advance(300)
    assert registry.query_hits("/a") == 0


def test_a_name_is_its_utf8_however_it_is_given(registry):
    class Path(str):
        __slots__ = ()

    for name in ("/ü", "/ü".encode(), Path("/ü"), "".join(["/", "ü"])):
        assert registry.record_hit(name) is Outcome.COUNTED
    assert registry.endpoints() == ["/ü"]
    assert registry.query_hits("/ü".encode()) == 4
    # Compared as bytes: no normalisation.
    registry.record_hit("/u\u0308")
    assert len(registry) == 2


@pytest.mark.parametrize("length", [1, 1_024])
def test_names_of_every_possible_length(registry, length):
    registry.record_hit("x" * length)
    assert registry.query_hits("x" * length) == 1


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("", ValueError, "1 to 1,?024 bytes"),
        ("x" * 1_025, ValueError, "1 to 1,?024 bytes"),
        ("ü" * 513, ValueError, "1 to 1,?024 bytes"),
        (b"", ValueError, "1 to 1,?024 bytes"),
        (b"\xff", ValueError, "bytes that are not UTF-8"),
        ("\ud800", ValueError, "lone surrogates"),
        (7, TypeError, "must be a str, or bytes of UTF-8, not int"),
        (bytearray(b"/a"), TypeError, "must be a str, or bytes of UTF-8, not bytearray"),
    ],
)
def test_invalid_names_are_refused(registry, name, error, message):
    calls = [
        registry.record_hit,
        registry.query_hits,
        registry.counter,
        registry.remove,
        registry.__contains__,
        registry.strategy_of,
        lambda name: registry.swap_strategy("ring", name),
        lambda name: registry.total(endpoints=["/a", name]),
        lambda name: registry.record_hit(name, NOW, 3),
    ]
    for call in calls:
        with pytest.raises(error, match=message) as raised:
            call(name)
        assert type(raised.value) is error
    assert registry.metrics().total_hits == len(registry) == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: r.record_hit(), TypeError, "endpoint"),
        (lambda r: r.record_hit("/a", NOW, 1, 1), TypeError, "positional"),
        (lambda r: r.record_hit("/a", amuont=1), TypeError, "amuont"),
        (lambda r: r.record_hit("/a", "now"), TypeError, "timestamp"),
        (lambda r: r.record_hit("/a", -1), ValueError, "timestamp"),
        (lambda r: r.record_hit("/a", float("nan")), ValueError, "timestamp"),
        (lambda r: r.record_hit("/a", True), TypeError, "timestamp"),
        (lambda r: r.record_hit("/a", None, -1), ValueError, "amount"),
        (lambda r: r.record_hit("/a", None, 2**63), ValueError, "amount"),
        (lambda r: r.record_hit("/a", None, 1.5), TypeError, "amount"),
        (lambda r: r.query_hits("/a", -1), QueryError, "negative"),
        (lambda r: r.query_hits("/a", 301), QueryError, "window"),
        (lambda r: r.query_hits("/a", 0.5), QueryError, "tick"),
        (lambda r: r.total(prefix="/", endpoints=["/a"]), TypeError, "not both"),
        (lambda r: r.total(endpoints="/a"), TypeError, "iterable of names"),
        (lambda r: r.total(endpoints=7), TypeError, "iterable of names"),
        (lambda r: r.top(-1), ConfigError, "negative"),
        (lambda r: r.top("all"), TypeError, "n must be an int"),
        (lambda r: r.top(1, 1_000), QueryError, "window"),
        (lambda r: r.swap_strategy("quick"), ConfigError, "choose"),
        (lambda r: r.swap_strategy(None), TypeError, "strategy must be"),
        (lambda r: r.prune("now"), TypeError, "now"),
        (lambda _: Registry(when_full="evict"), ConfigError, "refuse.*prune"),
        (lambda _: Registry(when_full=None), TypeError, "when_full"),
        (lambda _: Registry(max_endpoints=0), ConfigError, "max_endpoints"),
        (lambda _: Registry(max_endpoints="many"), TypeError, "max_endpoints must be an int"),
        (lambda _: Registry(window=0), ConfigError, "window"),
        (lambda _: Registry(window=2**21), ConfigError, "resolution"),
        (lambda _: Registry(300, 1), TypeError, "positional"),
        (lambda _: Registry(clock=object()), TypeError, "clock"),
        (lambda _: Counter(), TypeError, "Counter"),
    ],
)
def test_what_is_not_possible_is_said(registry, call, error, message):
    with pytest.raises(error, match=message) as raised:
        call(registry)
    assert type(raised.value) is error
    assert registry.metrics().total_hits == len(registry) == 0


def test_a_hit_of_amount_0_is_counted_and_makes_no_endpoint_busy(registry):
    assert registry.record_hit("/a", NOW, 0) is Outcome.COUNTED
    assert registry.query_hits("/a") == 0
    assert registry.metrics().total_hits == 0


def test_late_and_future_hits_are_told(registry):
    registry.record_hit("/a")
    assert registry.record_hit("/a", NOW + 10_000) is Outcome.FUTURE
    registry.record_hit("/a", NOW)
    assert registry.record_hit("/a", NOW - 320, 3) in (Outcome.LATE, Outcome.COUNTED)
    assert registry.record_hit("/a", NOW - 320 * 2, 2) is Outcome.LATE
    metrics = registry.metrics()
    assert metrics.future == 1
    assert metrics.late >= 2


def test_a_counter_records_and_counts(registry):
    counter = registry.counter("/a")
    assert counter.record() is counter.record(2) is counter.record_at(NOW - 1, 4) is Outcome.COUNTED
    assert counter.count() == registry.query_hits("/a") == 7
    assert counter.count(1) == counter.count(last=1) == 3
    assert counter.count_at(NOW - 1) == counter.count_at(NOW - 1, 1) == 4
    assert (counter.endpoint, counter.strategy, counter.alive) == ("/a", "ring", True)
    assert repr(counter) == "<hitring.Counter of '/a'>"
    with pytest.raises(QueryError):
        counter.count(301)
    with pytest.raises(TypeError):
        counter.record("1")
    with pytest.raises(ValueError, match="amount"):
        counter.record(-1)
    assert counter.count() == 7


def test_a_counter_of_a_removed_endpoint_refuses_for_good(registry):
    counter = registry.counter("/a")
    counter.record(5)
    assert registry.remove("/a") is True
    assert registry.remove("/a") is False
    assert counter.record() is counter.record_at(NOW) is Outcome.REFUSED
    assert counter.count() == counter.count_at(NOW) == 0
    assert not counter.alive
    assert "removed" in repr(counter)
    # A hit by name makes a new endpoint, which the old counter does not meet.
    assert registry.record_hit("/a") is Outcome.COUNTED
    assert registry.query_hits("/a") == 1
    assert counter.record() is Outcome.REFUSED
    assert registry.counter("/a").count() == 1
    assert registry.metrics().refused == 3
    assert registry.metrics().total_hits == 6


@pytest.mark.parametrize("restores", [0, 1, 2])
@pytest.mark.parametrize("end", ["remove", "clear"])
def test_a_dead_counter_meets_no_later_life_of_its_name(registry, restores, end):
    counter = registry.counter("/a")
    counter.record(5)
    for _ in range(restores):
        registry.restore(registry.snapshot())
    assert (counter.alive, counter.count()) == (True, 5)
    registry.remove("/a") if end == "remove" else registry.clear()
    new = registry.counter("/a")
    assert new.record(7) is Outcome.COUNTED
    assert counter.record() is counter.record_at(NOW) is Outcome.REFUSED
    assert (counter.count(), counter.uniques(), counter.alive) == (0, 0, False)
    assert new.count() == 7


def test_clear_removes_all(registry):
    counters = [registry.counter(name) for name in "abc"]
    for counter in counters:
        counter.record()
    registry.clear()
    assert len(registry) == 0
    assert registry.endpoints() == []
    assert all(counter.record() is Outcome.REFUSED for counter in counters)


def test_a_counter_keeps_its_registry(clock):
    counter = Registry(clock=clock).counter("/a")
    assert counter.record() is Outcome.COUNTED
    assert counter.count() == 1


def test_totals_and_tops(registry):
    for index, name in enumerate(["/api/a", "/api/b", "/web"]):
        registry.record_hit(name, NOW - 5 * index, index + 1)
    assert registry.total() == registry.total(300) == 6
    assert registry.total(5) == 1
    assert registry.total(prefix="/api/") == registry.total(prefix=b"/api/") == 3
    assert registry.total(prefix="") == 6
    assert registry.total(endpoints=["/web", "/web", "/nobody", b"/api/a"]) == 4
    assert registry.total(endpoints=iter([])) == 0
    assert registry.total(1, at=NOW - 5) == 2
    assert registry.top(2) == [("/web", 3), ("/api/b", 2)]
    assert registry.top(0) == []
    assert registry.top(10, 1) == [("/api/a", 1)]
    assert registry.top(10, last_seconds=1, at=NOW - 10) == [("/web", 3)]
    registry.record_hit("/also", NOW, 3)
    assert registry.top(2) == [("/also", 3), ("/web", 3)]


def test_what_is_expired_is_refused(registry, clock):
    registry.record_hit("/a")
    clock.advance(10_000)
    registry.record_hit("/a")
    with pytest.raises(WindowExpired):
        registry.query_hits("/a", at=NOW)
    with pytest.raises(WindowExpired):
        registry.counter("/a").count_at(NOW)


def test_full_is_explicit(clock):
    registry = Registry(max_endpoints=2, clock=clock)
    assert registry.when_full == "refuse"
    held = registry.counter("/a")
    assert registry.record_hit("/b") is Outcome.COUNTED
    assert registry.record_hit("/c", None, 4) is Outcome.REFUSED
    assert registry.query_hits("/c") == 0
    with pytest.raises(RegistryFull, match=r"max_endpoints|room"):
        registry.counter("/c")
    assert issubclass(RegistryFull, RuntimeError)
    assert registry.metrics().refused == 4
    # When the other has been idle for a window and the slack there is room.
    clock.advance(1_000)
    assert registry.record_hit("/c") is Outcome.COUNTED
    assert registry.endpoints() == ["/a", "/c"]
    assert held.alive


def test_full_may_prune_the_idlest(clock):
    registry = Registry(max_endpoints=2, when_full="prune", clock=clock)
    registry.record_hit("/a")
    clock.advance(10)
    registry.record_hit("/b")
    clock.advance(10)
    assert registry.record_hit("/c") is Outcome.COUNTED
    assert registry.endpoints() == ["/b", "/c"]
    assert registry.metrics().pruned_endpoints == 1
    assert registry.metrics().pruned_events == 1
    assert registry.metrics().refused == 0


def test_pruning_drops_the_idle_but_not_those_with_handles(registry, clock):
    held = registry.counter("/held")
    held.record()
    registry.record_hit("/idle", None, 3)
    assert registry.prune() == 0
    clock.advance(1_000)
    assert registry.prune() == 1
    assert registry.endpoints() == ["/held"]
    registry.record_hit("/busy")
    metrics = registry.metrics()
    assert metrics.pruned_endpoints == 1
    assert metrics.pruned_events >= 3
    assert metrics.total_hits == 5
    del held
    assert registry.prune(now=NOW + 5_000) == 2
    assert len(registry) == 0


def test_a_name_that_is_recorded_often_is_not_kept_like_a_handle(registry, clock):
    """Nothing that makes hits by name quick may keep an endpoint from ageing out."""
    for _ in range(100):
        registry.record_hit("/idle")
        registry.query_hits("/idle", 300)
    clock.advance(1_000)
    assert registry.prune() == 1
    assert registry.record_hit("/idle") is Outcome.COUNTED
    assert registry.query_hits("/idle") == 1


def test_metrics(registry):
    assert registry.metrics() == Metrics(0, 0, 0, 0, 0, registry.metrics().memory_bytes, "ring", 0, 0, 0, 0, 0)
    registry.record_hit("/a", NOW, 3)
    registry.record_hit("/a", NOW - 1, 4)
    registry.record_hit("/b")
    metrics = registry.metrics()
    assert metrics.total_hits == 8
    assert metrics.endpoints_count == 2
    assert metrics.memory_entries == 3
    assert metrics.memory_bytes > 2 * 320 * 8
    assert metrics._asdict()["strategy"] == "ring"


def test_the_size_is_that_of_what_is_held(registry):
    before = sys.getsizeof(registry)
    for number in range(100):
        registry.record_hit(f"/{number}")
    assert sys.getsizeof(registry) - before > 100 * 320 * 8


def test_the_configuration_is_told():
    clock = ManualClock(5)
    registry = Registry(
        60,
        resolution=0.5,
        slack=4,
        strategy=hitring.Strategy.sliding(max_hits=100),
        max_endpoints=7,
        when_full="prune",
        max_skew=1,
        clock=clock,
    )
    assert (registry.window, registry.resolution, registry.slack) == (60, 0.5, 4)
    assert registry.strategy == "sliding:max_hits=100"
    assert (registry.max_endpoints, registry.when_full, registry.max_skew) == (7, "prune", 1)
    assert registry.clock is clock
    assert Registry().clock is None
    assert Registry().max_endpoints == 100_000
    shown = repr(registry)
    assert "window=60" in shown
    assert "sliding" in shown
    assert datetime.timedelta(seconds=60).total_seconds() == registry.window


def test_spans_may_be_timedeltas(clock):
    registry = Registry(datetime.timedelta(minutes=1), clock=clock)
    registry.record_hit("/a", datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc))
    assert registry.query_hits("/a", datetime.timedelta(seconds=1)) == 1


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_copies_go_on_by_themselves(registry, copied):
    registry.swap_strategy("adaptive")
    registry.record_hit("/a", NOW, 3)
    other = copied(registry)
    assert other.query_hits("/a", at=NOW) == 3
    assert (other.window, other.strategy, other.max_endpoints) == (300, "adaptive", 100_000)
    assert other.metrics().total_hits == 3
    other.record_hit("/a", NOW, 4)
    registry.record_hit("/b", NOW)
    assert registry.query_hits("/a") == 3
    assert other.endpoints() == ["/a"]
    # What they share is counted once.
    registry.merge(other.snapshot())
    assert registry.query_hits("/a") == 7


def test_the_default_registry_is_one():
    assert hitring.default_registry() is hitring.default_registry()
    assert isinstance(hitring.default_registry(), Registry)
