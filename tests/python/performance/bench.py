"""What one call from Python costs: hitring beside an empty method, the textbook solutions and other packages.

    python tests/python/performance/bench.py [--quick]

Prints nanoseconds a call, net of the loop, as the median of many short runs and the least of them; and each as a ratio
to an empty method with the same arguments, both as PyO3 makes it and as quickly as hitring's own methods are entered:
Cargo builds the two from ``floor``. The runs of all rows take turns, so that whatever else the machine does meets every
row.

It asserts nothing: figures depend on the machine. What is not installed is left out, and said so.
"""

from __future__ import annotations

import argparse
import array
import collections
import importlib.machinery
import importlib.util
import itertools
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
import timeit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from hitring import HitCounter, HyperLogLog, KeyedLimiter, Limiter, ManualClock, Registry, __version__
from oracles import BucketCounter, QueueCounter

NOW = int(time.time())


class LockedQueue:
    """The queue as a service would use it: under a lock, by the clock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.times = collections.deque()

    def record(self):
        now = time.time()
        with self.lock:
            self.times.append(now)
            while self.times and self.times[0] <= now - 300:
                self.times.popleft()


class NamedQueues:
    """The same, by name."""

    def __init__(self):
        self.lock = threading.Lock()
        self.times = collections.defaultdict(collections.deque)

    def record(self, name):
        now = time.time()
        with self.lock:
            times = self.times[name]
            times.append(now)
            while times and times[0] <= now - 300:
                times.popleft()


def counter(strategy="striped", **options):
    """A counter for one row, with hits: rows by the clock would make the times of others old."""
    made = HitCounter(strategy=strategy, **options)
    made.record_at(NOW, 1_000)
    return made


def built_floors():
    """The empty objects by label, if they can be built."""
    here = pathlib.Path(__file__).resolve().parent
    cargo = shutil.which("cargo")
    # A published crate has no other package in it.
    if cargo is None or not (here / "floor").is_dir():
        print("(there is no empty method to compare with: that takes cargo, and a clone of the repository)")
        return {}
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", here.parents[2] / "target"), "floor")
    command = [cargo, "build", "--release", "--locked", "--quiet", "--target-dir", target]
    # Python has loaded its library already.
    environment = {**os.environ, "PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_PYTHON": sys.executable}
    subprocess.run(command, cwd=here / "floor", env=environment, check=True)
    prefix, suffix = {"darwin": ("lib", ".dylib"), "win32": ("", ".dll")}.get(sys.platform, ("lib", ".so"))
    loader = importlib.machinery.ExtensionFileLoader(
        "hitring_floor", str(target / "release" / f"{prefix}hitring_floor{suffix}")
    )
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return {"empty, PyO3": module.Floor(), "empty, entered as hitring": module.FastFloor()}


def hitring_rows(floors):
    many = array.array("q", [NOW] * 1_000)
    for call in ("record()", "hit(ts)", "getHits(ts)"):
        for label, floor in floors.items():
            yield call, label, "floor." + call, {"floor": floor}, 1
        for strategy in ("striped", "ring"):
            yield call, f"hitring, {strategy}", "counter." + call, {"counter": counter(strategy)}, 1
    by_hand = counter(clock=ManualClock(NOW))
    yield "record()", "hitring, striped, ManualClock", "counter.record()", {"counter": by_hand}, 1
    yield "record()", "hitring, sliding", "counter.record()", {"counter": counter("sliding")}, 1
    for call in ("hit()", "record(5)", "record_at(ts)", "record_at(ts, 5)", "count()", "count_at(ts)", "getHits()"):
        yield call, "hitring, striped", "counter." + call, {"counter": counter()}, 1
    yield "hit(timestamp=ts)", "hitring, striped", "counter.hit(timestamp=ts)", {"counter": counter()}, 1
    yield "hit(float)", "hitring, striped", "counter.hit(ts)", {"counter": counter(), "ts": NOW + 0.5}, 1
    batch = {"counter": counter(), "many": many}
    yield "record_many(array), a hit", "hitring, striped", "counter.record_many(many)", batch, len(many)


def registry_rows(floors):
    """Hits by name over 1,000 endpoints, whose names are the same objects each time, as those of routes are."""
    names = itertools.cycle([f"/api/v1/endpoint/{number:04}" for number in range(1_000)])
    call = "record_hit(name)"
    yield call, "the next name alone", "next(names)", {"next": next, "names": names}, 1
    for label, floor in floors.items():
        yield call, label, "floor.record_hit(next(names))", {"floor": floor, "names": names}, 1
    for strategy in ("ring", "striped", "adaptive"):
        registry = Registry(strategy=strategy)
        globals_ = {"registry": registry, "names": names}
        yield call, f"hitring, {strategy}", "registry.record_hit(next(names))", globals_, 1
        yield "record()", f"hitring, handle of {strategy}", "handle.record()", {"handle": registry.counter("/")}, 1
    yield (
        call,
        "dict of deques, lock and clock",
        "queues.record(next(names))",
        {"queues": NamedQueues(), "names": names},
        1,
    )
    if prometheus := found("prometheus_client"):
        labelled = prometheus.Counter("hits_by_path", "Hits", ["path"], registry=None)
        yield call, "prometheus_client", "counter.labels(next(names)).inc()", {"counter": labelled, "names": names}, 1


def limiter_rows():
    """Costs that are let through: there is more than is asked for."""
    rate = (100_000_000, 60)
    allow = "limiter.allow()"
    yield "allow()", "hitring, sliding window", allow, {"limiter": Limiter(*rate)}, 1
    yield "allow()", "hitring, token bucket", allow, {"limiter": Limiter(*rate, burst=rate[0])}, 1
    refusing = Limiter(1, 86_400)
    refusing.allow()
    yield "allow()", "hitring, sliding window, refused", allow, {"limiter": refusing}, 1
    keyed = KeyedLimiter(*rate)
    yield (
        "allow()",
        "hitring, keyed, one of 1,000 keys",
        "limiter.allow(next(keys))",
        {"limiter": keyed, "keys": keys()},
        1,
    )
    if limits := found("limits", "limits.storage", "limits.strategies"):
        for kind in ("MovingWindow", "SlidingWindowCounter", "FixedWindow"):
            strategy = getattr(limits.strategies, f"{kind}RateLimiter")(limits.storage.MemoryStorage())
            names = {"strategy": strategy, "limit": limits.RateLimitItemPerMinute(1_000)}
            for _ in range(1_000):
                strategy.hit(names["limit"])
            yield "allow()", f"limits, {kind}, refused", "strategy.hit(limit)", names, 1
            names = {"strategy": strategy, "limit": limits.RateLimitItemPerMinute(1_000_000)}
            yield "allow()", f"limits, {kind}", "strategy.hit(limit)", names, 1


def sketch_rows():
    """Items that are the same objects each time."""
    sketch = HyperLogLog()
    sketch.update(f"visitor {number}" for number in range(20_000))
    items = itertools.cycle([f"visitor {number}" for number in range(1_000)])
    yield "add(item)", "hitring.HyperLogLog, dense", "sketch.add(next(items))", {"sketch": sketch, "items": items}, 1
    registry = Registry()
    statement = "registry.record_hit('/home', visitor=next(items))"
    yield "record_hit(visitor=)", "hitring", statement, {"registry": registry, "items": items}, 1


def keys():
    return itertools.cycle([f"198.51.100.{number % 256}:{number}" for number in range(1_000)])


def textbook_rows():
    queue, buckets = QueueCounter(), BucketCounter()
    for counter in (queue, buckets):
        for _ in range(1_000):
            counter.hit(NOW)
    for call in ("hit(ts)", "getHits(ts)"):
        yield call, "LeetCode, deque", "counter." + call, {"counter": queue}, 1
        yield call, "LeetCode, 300 buckets", "counter." + call, {"counter": buckets}, 1
    yield "record()", "deque, lock and clock", "counter.record()", {"counter": LockedQueue()}, 1


def other_rows():
    if prometheus := found("prometheus_client"):
        plain = prometheus.Counter("hits", "Hits", registry=None)
        labelled = prometheus.Counter("paths", "Hits", ["path"], registry=None)
        yield "record()", "prometheus_client", "counter.inc()", {"counter": plain}, 1
        yield "record()", "prometheus_client, label", "counter.labels('/').inc()", {"counter": labelled}, 1
    if limits := found("limits", "limits.storage", "limits.strategies"):
        window = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
        limit = limits.RateLimitItemPerMinute(1_000, 5)
        for _ in range(1_000):
            window.hit(limit)
        yield "record()", "limits, moving window of 1,000", "window.hit(limit)", {"window": window, "limit": limit}, 1


def found(package, *submodules):
    try:
        for module in (package, *submodules):
            importlib.import_module(module)
    except ImportError:
        print(f"({package} is not installed)")
        return None
    return sys.modules[package]


def measure(rows, repeats, target):
    """For each row, nanoseconds a call of every run.

    The rows take turns, so each finds the caches full of the others' and runs for a while before it is timed.
    """
    timers = []
    for _, _, statement, names, each in rows:
        timer = timeit.Timer(statement, globals={"ts": NOW, **names})
        # Until every name has an endpoint.
        timer.timeit(100 if each > 1 else 1_000)
        number = 1 + int(target / max(timer.timeit(200) / 200, 1e-9))
        timers.append((timer, number, each))

    def took(timer, number, each):
        timer.timeit(1 + number // 5)
        return timer.timeit(number) / number / each * 1e9

    return list(zip(*([took(*timer) for timer in timers] for _ in range(repeats))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    options = parser.parse_args()
    repeats, target = (7, 0.002) if options.quick else (41, 0.01)

    floors = built_floors()
    loop = ("", "the loop", "pass", {}, 1)
    rows = [
        loop,
        *hitring_rows(floors),
        *registry_rows(floors),
        *limiter_rows(),
        *sketch_rows(),
        *textbook_rows(),
        *other_rows(),
    ]
    runs = measure(rows, repeats, target)
    empty = statistics.median(runs[0])
    # The loop costs a call only where a call is one run of it.
    net = {row[:2]: [ns - empty / row[4] for ns in run] for row, run in zip(rows, runs)}
    print(
        f"hitring {__version__}, {platform.python_implementation()} {platform.python_version()}, {platform.machine()},"
    )
    print(f"{time.strftime('%Y-%m-%d')}; ns a call net of the loop ({empty:.1f}), median and least of {repeats} runs\n")
    print(f"{'call':26}{'':34}{'median':>9}{'least':>9}{'x PyO3':>9}{'x fast':>9}")
    order = list(dict.fromkeys(call for call, *_ in rows[1:]))
    for call in order:
        for key in (key for key in net if key[0] == call):
            median, least = statistics.median(net[key]), min(net[key])
            ratios = "".join(
                f"{median / statistics.median(net[call, floor]):9.2f}" if (call, floor) in net else ""
                for floor in ("empty, PyO3", "empty, entered as hitring")
            )
            print(f"{call:26}{key[1]:34}{median:9.1f}{least:9.1f}{ratios}")
    ours, deques = net["getHits(ts)", "hitring, striped"], net["getHits(ts)", "LeetCode, deque"]
    print(f"\ngetHits(ts), hitring against the deque: {statistics.median(ours) / statistics.median(deques):.2f}")


if __name__ == "__main__":
    main()
