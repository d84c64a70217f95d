"""Events: each kind tells what it says, in order, and no subscriber harms a recorder or the end of the interpreter."""

import gc
import importlib.util
import os
import queue
import subprocess
import sys
import threading
import time
import weakref

import pytest

import hitring
from hitring import ConfigError, ManualClock, Outcome, Registry, RegistryFull

NOW = 1_000_000
PATIENCE = 20


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def registry(clock):
    return Registry(clock=clock)


class Told:
    """A callback that keeps what it is told."""

    def __init__(self):
        self.queue = queue.Queue()

    def __call__(self, name, fields):
        self.queue.put((name, fields))

    def next(self):
        return self.queue.get(timeout=PATIENCE)

    def nothing_more(self):
        time.sleep(0.05)
        return self.queue.empty()


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def test_every_kind_tells_its_fields(clock):
    registry = Registry(clock=clock, max_endpoints=1)
    told = Told()
    kinds = [kind for kind in KINDS if kind != "metrics_updated"]
    with registry.subscribe(told, kinds) as subscription:
        registry.record_hit("/a", NOW - 1, 3)
        assert told.next() == ("endpoint_created", {"endpoint": "/a"})
        assert told.next() == ("hit_recorded", {"endpoint": "/a", "ts": NOW - 1, "amount": 3})
        assert registry.record_hit("/b") is Outcome.REFUSED
        assert told.next() == ("endpoint_refused", {"endpoint": "/b"})
        with pytest.raises(RegistryFull):
            registry.counter("/b")
        assert told.next() == ("endpoint_refused", {"endpoint": "/b"})
        registry.swap_strategy("sliding")
        assert told.next() == ("strategy_swapped", {"old": "ring", "new": "sliding", "endpoint": None})
        registry.swap_strategy("ring", "/a")
        assert told.next() == ("strategy_swapped", {"old": "sliding", "new": "ring", "endpoint": "/a"})
        snapshot = registry.snapshot()
        assert told.next() == ("snapshot_taken", {"endpoints_count": 1})
        registry.restore(snapshot)
        assert told.next() == ("snapshot_restored", {})
        clock.advance(1_000)
        assert registry.prune() == 1
        assert told.next() == ("pruned", {"endpoint": "/a", "removed": 3})
        assert told.nothing_more()
        assert (subscription.dropped, subscription.failed, subscription.closed) == (0, 0, False)
    assert subscription.closed


KINDS = [
    "hit_recorded",
    "pruned",
    "strategy_swapped",
    "snapshot_taken",
    "snapshot_restored",
    "metrics_updated",
    "threshold_crossed",
    "endpoint_created",
    "endpoint_refused",
]


def test_metrics_are_told_after_hits(registry):
    told = Told()
    with registry.subscribe(told, "metrics_updated"):
        registry.record_hit("/a", None, 5)
        name, fields = told.next()
        assert name == "metrics_updated"
        assert fields == {"total_hits": 5, "memory_entries": 1}
        for _ in range(1_000):
            registry.record_hit("/a")
        until(lambda: not told.queue.empty() and told.queue.queue[-1][1]["total_hits"] == 1_005)
        # Not once for each hit: what is told is how it stands.
        assert told.queue.qsize() <= 1_000


def test_all_kinds_by_default_and_handles_tell_too(registry):
    told = Told()
    with registry.subscribe(told):
        registry.counter("/a").record(2)
        assert told.next() == ("endpoint_created", {"endpoint": "/a"})
        names = {told.next()[0], told.next()[0]}
        assert names == {"hit_recorded", "metrics_updated"}


def test_only_what_was_counted_is_told_as_recorded(registry):
    told = Told()
    with registry.subscribe(told, ["hit_recorded"]):
        registry.record_hit("/a", NOW + 10_000)
        registry.record_hit("/a", NOW, 0)
        registry.record_hit("/a", NOW, 1)
        assert told.next() == ("hit_recorded", {"endpoint": "/a", "ts": NOW, "amount": 1})
        assert told.nothing_more()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((), {}, TypeError, "callback"),
        ((None,), {}, TypeError, "callback must be callable"),
        ((print, "hit"), {}, ConfigError, "hit_recorded"),
        ((print, ["pruned", "prune"]), {}, ConfigError, "pruned"),
        ((print, 7), {}, TypeError, "names of events"),
        ((print, [7]), {}, TypeError, "an event's name"),
        ((print, None), {"capacity": 0}, ConfigError, "capacity from 1"),
        ((print, None), {"capacity": 2**20 + 1}, ConfigError, "capacity from 1"),
        ((print, None), {"capacity": "many"}, TypeError, "capacity must be an int"),
    ],
)
def test_what_cannot_be_subscribed_to(registry, arguments, options, error, message):
    before = threading.active_count()
    with pytest.raises(error, match=message) as raised:
        registry.subscribe(*arguments, **options)
    assert type(raised.value) is error
    assert threading.active_count() == before


def test_one_that_raises_is_logged_counted_and_told_the_next(registry, caplog):
    told = Told()

    def raises(name, fields):
        told(name, fields)
        raise RuntimeError(fields["endpoint"])

    with registry.subscribe(raises, "hit_recorded") as subscription:
        for _ in range(3):
            assert registry.record_hit("/a") is Outcome.COUNTED
        until(lambda: subscription.failed == 3)
    assert [told.next()[0] for _ in range(3)] == ["hit_recorded"] * 3
    # The first one; for ten seconds the others are only counted.
    [record] = caplog.records
    assert (record.name, record.levelname, record.exc_info[0]) == ("hitring", "ERROR", RuntimeError)
    assert record.getMessage() == "a callback failed with an event 'hit_recorded'"
    assert registry.query_hits("/a") == 3


def test_one_that_always_raises_floods_nothing(registry, caplog, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("hitring._events.time.monotonic", lambda: clock[0])

    def raises(_name, _fields):
        raise RuntimeError

    with registry.subscribe(raises, "hit_recorded") as subscription:
        for turn in range(1, 4):
            for _ in range(100):
                registry.record_hit("/a")
            until(lambda turn=turn: subscription.failed + subscription.dropped == 100 * turn)
            clock[0] += 10
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == 3, logged
    assert "failures before it were not logged" in logged[1]


PATCHED = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}


@pytest.mark.parametrize("library", PATCHED)
@pytest.mark.parametrize("patches_first", [True, False])
def test_subscriptions_work_where_threads_are_patched(tmp_path, library, patches_first):
    # Not imported here: eventlet warns of every fork from then on.
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    lines = [PATCHED[library], "import hitring, threading, time"]
    script = "\n".join([*(lines if patches_first else reversed(lines)), "import threading, time", GREEN])
    path = tmp_path / "patched.py"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["told", "crossed", "counted", "limited"], "")


GREEN = """
registry = hitring.Registry()
told, crossed = [], []
subscription = registry.subscribe(lambda name, fields: told.append(fields["endpoint"]), "hit_recorded")
threshold = registry.on_threshold("/a", 60, 5, lambda name, fields: crossed.append(fields["hits"]))

def hit():
    for _ in range(10):
        registry.record_hit("/a")
        time.sleep(0)

threads = [threading.Thread(target=hit) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
deadline = time.monotonic() + 30
while (len(told) < 40 or not crossed) and time.monotonic() < deadline:
    time.sleep(0.01)
assert len(told) == 40, told
print("told")
assert crossed[0] >= 5
print("crossed")
subscription.close()
threshold.close()
assert subscription.closed and registry.query_hits("/a") == 40
print("counted")
limiter = hitring.KeyedLimiter("5/minute")
assert sum(bool(limiter.allow("ann")) for _ in range(9)) == 5
assert not limiter.acquire("ann", timeout=0.05)
print("limited")
"""


def test_one_that_is_slow_keeps_no_recorder_waiting(registry):
    going_on = threading.Event()
    calls = []

    def slow(_name, fields):
        calls.append(fields["amount"])
        going_on.wait(PATIENCE)

    subscription = registry.subscribe(slow, "hit_recorded", capacity=4)
    counter = registry.counter("/a")
    for amount in range(1, 101):
        assert counter.record(amount) is Outcome.COUNTED
    assert counter.count() == 5_050
    until(lambda: calls)
    # At most one call is under way, and four wait; none was told twice or out of order.
    assert 95 <= subscription.dropped <= 99 or subscription.dropped == 100 - 4
    going_on.set()
    until(lambda: len(calls) + subscription.dropped == 100)
    assert calls == sorted(calls)
    assert registry.metrics().dropped_events == subscription.dropped
    subscription.close()
    subscription.close()


def test_a_closed_one_is_told_nothing(registry):
    told = Told()
    subscription = registry.subscribe(told, "hit_recorded")
    registry.record_hit("/a")
    told.next()
    subscription.close()
    assert subscription.closed
    registry.record_hit("/a")
    assert told.nothing_more()
    assert "closed" in repr(subscription)


def test_it_may_close_itself(registry):
    closed = threading.Event()

    def once(_name, _fields):
        subscription.close()
        closed.set()

    subscription = registry.subscribe(once, "hit_recorded")
    registry.record_hit("/a")
    registry.record_hit("/a")
    assert closed.wait(PATIENCE)
    until(lambda: subscription.closed)


def test_it_may_use_the_registry(registry):
    counts = queue.Queue()
    with registry.subscribe(lambda _name, fields: counts.put(registry.query_hits(fields["endpoint"])), "hit_recorded"):
        registry.record_hit("/a")
        assert counts.get(timeout=PATIENCE) == 1


def test_the_registry_is_not_kept_alive(clock):
    registry = Registry(clock=clock)
    subscription = registry.subscribe(lambda _name, _fields: None)
    watch = registry.on_threshold("*", 60, 3, lambda _name, _fields: None)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None
    until(lambda: subscription.closed and watch.closed)
    subscription.close()
    watch.close()


def test_thresholds(registry, clock):
    told = Told()
    with registry.on_threshold("/api/*", 60, 10, told) as watch:
        registry.record_hit("/web", None, 100)
        registry.record_hit("/api/a", None, 9)
        registry.record_hit("/api/b", None, 4)
        assert told.nothing_more()
        registry.record_hit("/api/a")
        assert told.next() == ("threshold_crossed", {"endpoint": "/api/a", "hits": 10, "limit": 10, "last": 60})
        registry.record_hit("/api/a", None, 50)
        registry.record_hit("/api/b", None, 6)
        assert told.next() == ("threshold_crossed", {"endpoint": "/api/b", "hits": 10, "limit": 10, "last": 60})
        assert told.nothing_more()
        # Fallen below and risen again, it is told again.
        clock.advance(60)
        registry.record_hit("/api/a", None, 1)
        registry.record_hit("/api/a", None, 11)
        name, fields = told.next()
        assert (name, fields["endpoint"], fields["hits"]) == ("threshold_crossed", "/api/a", 12)
    assert watch.closed
    registry.record_hit("/api/c", None, 100)
    assert told.nothing_more()


def test_two_thresholds_are_told_apart(registry):
    low, high = Told(), Told()
    with registry.on_threshold("/a", 60, 2, low), registry.on_threshold(b"/a", 60, 5, high):
        registry.record_hit("/a", None, 3)
        assert low.next()[1]["limit"] == 2
        registry.record_hit("/a", None, 3)
        assert high.next()[1] == {"endpoint": "/a", "hits": 6, "limit": 5, "last": 60}
        assert low.nothing_more()
        assert high.nothing_more()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("/a", 0, 1, print), ConfigError),
        (("/a", 301, 1, print), ConfigError),
        (("/a", 0.5, 1, print), ConfigError),
        (("/a", -1, 1, print), ValueError),
        (("/a", 60, 0, print), ConfigError),
        (("/a", 60, -1, print), ValueError),
        (("/a", 60, "1", print), TypeError),
        ((7, 60, 1, print), TypeError),
        (("/a", 60, 1, None), TypeError),
    ],
)
def test_what_cannot_be_watched(registry, arguments, error):
    with pytest.raises(error):
        registry.on_threshold(*arguments)


def test_nothing_is_started_at_import_and_nothing_hangs_at_exit():
    program = """
import threading, time
import hitring
assert threading.active_count() == 1
counts = hitring.Registry()
assert threading.active_count() == 1
def slow(name, fields):
    print(name, flush=True)
    time.sleep(60)
subscription = counts.subscribe(slow, "hit_recorded")
idle = counts.subscribe(lambda _name, _fields: None)
counts.record_hit("/a")
time.sleep(0.2)
"""
    began = time.monotonic()
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30)
    assert run.stdout == "hit_recorded\n"
    assert run.stderr == ""
    assert time.monotonic() - began < 15


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_no_subscriptions(registry):
    told = Told()
    subscription = registry.subscribe(told, "hit_recorded")
    registry.record_hit("/a")
    assert told.next()[1]["endpoint"] == "/a"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            state = [subscription.closed, registry.record_hit("/child") is Outcome.COUNTED]
            subscription.close()
            own = Told()
            with registry.subscribe(own, "hit_recorded"):
                registry.record_hit("/own")
                state.append(own.next()[1]["endpoint"] == "/own")
            os.write(writing, repr(state).encode())
            os._exit(0)
        except BaseException as error:
            os.write(writing, repr(error).encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        answer = answers.read().decode()
    os.waitpid(child, 0)
    assert answer == "[True, True, True]"
    registry.record_hit("/parent")
    assert told.next()[1]["endpoint"] == "/parent"
    assert told.nothing_more()
    subscription.close()


def test_recorders_on_many_threads_are_all_told(registry):
    counts = {}

    def add(_name, fields):
        counts[fields["endpoint"]] = counts.get(fields["endpoint"], 0) + fields["amount"]

    names = [f"/{number}" for number in range(4)]
    with registry.subscribe(add, "hit_recorded", capacity=2**16) as subscription:

        def record(name):
            for _ in range(2_000):
                assert registry.record_hit(name) is Outcome.COUNTED

        threads = [threading.Thread(target=record, args=[name]) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: sum(counts.values()) == 8_000)
        assert subscription.dropped == 0
    assert counts == dict.fromkeys(names, 2_000)
    assert hitring.Subscription is type(subscription)
