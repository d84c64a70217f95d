"""What `hitring.bench` times: hitring, the textbook solutions, and other packages where they are installed."""

from __future__ import annotations

import collections
import importlib
import itertools
import os
import pathlib
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from hitring import HitCounter, KeyedLimiter, Limiter, ManualClock, Registry, SharedError
from hitring._bench_rounds import NAMES, Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

__all__ = ["ALLOW", "ALLOW_KEY", "FLOOR", "HIT", "NAME", "QUERY", "RECORD", "rows"]

_NOW = int(time.time())
_WINDOW = 300
_RATE = 100_000_000, 60
"""More than the rows ask for, so that every cost is let through."""

FLOOR = "floor", "empty method"
"""The group and label of the row that every other row is compared with. The next are groups."""
RECORD = "record(), now"
HIT = "hit(ts)"
QUERY = "getHits(ts)"
NAME = "record_hit(name), 1,000 names"
ALLOW = "allow()"
ALLOW_KEY = "allow(key), 1,000 keys"


class _Empty:
    """Methods that do nothing."""

    def record(self) -> None:
        pass

    def hit(self, timestamp: int) -> None:
        pass


class _DequeCounter:
    """Hits of one second are a pair in a queue. A query drops the pairs that are too old."""

    def __init__(self) -> None:
        self._pairs: collections.deque[list[int]] = collections.deque()
        self._sum = 0

    def hit(self, timestamp: int) -> None:
        pairs = self._pairs
        if not pairs or pairs[-1][0] != timestamp:
            pairs.append([timestamp, 0])
        pairs[-1][1] += 1
        self._sum += 1

    def getHits(self, timestamp: int) -> int:  # noqa: N802 (LeetCode's name)
        pairs = self._pairs
        while pairs and timestamp - pairs[0][0] >= _WINDOW:
            self._sum -= pairs.popleft()[1]
        return self._sum


class _BucketCounter:
    """A bucket for each second of the window. A newer second empties the bucket of an older one."""

    def __init__(self) -> None:
        self._seconds = [-_WINDOW] * _WINDOW
        self._hits = [0] * _WINDOW

    def hit(self, timestamp: int) -> None:
        bucket = timestamp % _WINDOW
        if self._seconds[bucket] != timestamp:
            self._seconds[bucket], self._hits[bucket] = timestamp, 0
        self._hits[bucket] += 1

    def getHits(self, timestamp: int) -> int:  # noqa: N802 (LeetCode's name)
        oldest = timestamp - _WINDOW
        hits = 0
        for second, in_bucket in zip(self._seconds, self._hits):
            if second > oldest:
                hits += in_bucket
        return hits


class _LockedDeque:
    """The queue under a lock, as a service with threads uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pairs: collections.deque[list[int]] = collections.deque()
        self._sum = 0

    def hit(self, timestamp: int) -> None:
        with self._lock:
            pairs = self._pairs
            if not pairs or pairs[-1][0] != timestamp:
                pairs.append([timestamp, 0])
            pairs[-1][1] += 1
            self._sum += 1

    def getHits(self, timestamp: int) -> int:  # noqa: N802 (LeetCode's name)
        with self._lock:
            pairs = self._pairs
            while pairs and timestamp - pairs[0][0] >= _WINDOW:
                self._sum -= pairs.popleft()[1]
            return self._sum


class _LockedDeques:
    """A queue for each name, under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: collections.defaultdict[str, _DequeCounter] = collections.defaultdict(_DequeCounter)

    def hit(self, name: str, timestamp: int) -> None:
        with self._lock:
            self._counters[name].hit(timestamp)


def _with_hits(counter: Any) -> dict[str, object]:
    """Return a counter that has something to answer, and the time of its hits."""
    for _ in range(1_000):
        counter.hit(_NOW)
    return {"counter": counter, "ts": _NOW}


def _floor_rows() -> Iterator[Row]:
    empty = {"empty": _Empty(), "ts": _NOW}
    yield Row(*FLOOR, "empty.record()", empty)
    yield Row("floor", "empty method with an argument", "empty.hit(ts)", empty)
    yield Row("floor", "built-in method, frozenset().copy()", "empty.copy()", {"empty": frozenset[str]()})
    yield Row("floor", "bare count, next(itertools.count())", "next(count)", {"next": next, "count": itertools.count()})
    yield Row("floor", "clock, time.time()", "time()", {"time": time.time})


def _counter_rows() -> Iterator[Row]:
    for strategy in ("striped", "ring", "sliding"):
        label = f"hitring, {strategy}"
        yield Row(RECORD, label, "counter.record()", {"counter": HitCounter(strategy=strategy)})
        yield Row(HIT, label, "counter.hit(ts)", _with_hits(HitCounter(strategy=strategy)))
        yield Row(QUERY, label, "counter.getHits(ts)", _with_hits(HitCounter(strategy=strategy)))
    by_hand = HitCounter(clock=ManualClock(_NOW))
    yield Row(RECORD, "hitring, striped, ManualClock", "counter.record()", {"counter": by_hand})
    asked = HitCounter()
    asked.record(1_000)
    yield Row(QUERY, "hitring, striped, count()", "counter.count()", {"counter": asked})
    in_turn = "counter.count(60); counter.count(300)"
    yield Row(QUERY, "hitring, striped, two spans in turn", in_turn, {"counter": asked}, calls=2)
    # One thread at a time: they have no lock.
    for label, made in ("deque", _DequeCounter), ("300 buckets", _BucketCounter):
        yield Row(HIT, label, "counter.hit(ts)", _with_hits(made()), safe=False)
        yield Row(QUERY, label, "counter.getHits(ts)", _with_hits(made()), safe=False, names=NAMES[:50])
    yield Row(
        RECORD, "deque + Lock + clock", "counter.hit(int(time()))", {"counter": _LockedDeque(), "time": time.time}
    )
    yield Row(HIT, "deque + Lock", "counter.hit(ts)", _with_hits(_LockedDeque()))
    yield Row(QUERY, "deque + Lock", "counter.getHits(ts)", _with_hits(_LockedDeque()))


def _registry_rows() -> Iterator[Row]:
    for strategy in ("striped", "ring", "adaptive"):
        registry = Registry(strategy=strategy)
        yield Row(NAME, f"hitring, {strategy}", "registry.record_hit(name)", {"registry": registry})
    handle = Registry().counter("/")
    yield Row(NAME, "hitring, striped, by handle", "handle.record()", {"handle": handle})
    counts: collections.Counter[str] = collections.Counter()
    yield Row(NAME, "collections.Counter, no window", "counts[name] += 1", {"counts": counts}, safe=False)
    yield Row(
        NAME,
        "dict of deques + Lock + clock",
        "deques.hit(name, int(time()))",
        {"deques": _LockedDeques(), "time": time.time},
    )


def _limiter_rows() -> Iterator[Row]:
    yield Row(ALLOW, "hitring, sliding window", "limiter.allow()", {"limiter": Limiter(*_RATE)})
    yield Row(ALLOW, "hitring, token bucket", "limiter.allow()", {"limiter": Limiter(*_RATE, burst=_RATE[0])})
    yield Row(ALLOW_KEY, "hitring, sliding window", "limiter.allow(name)", {"limiter": KeyedLimiter(*_RATE)})


def _shared_rows(left_out: list[str]) -> Iterator[Row]:
    if sys.platform != "linux":
        left_out.append("the shared file is left out: it needs Linux")
        return
    from hitring import SharedRegistry  # noqa: PLC0415

    memory = "/dev/shm"
    try:
        with tempfile.TemporaryDirectory(
            prefix="hitring-bench-", dir=memory if os.access(memory, os.W_OK) else None
        ) as folder:
            registry = SharedRegistry(pathlib.Path(folder, "hits.ring"), max_endpoints=2_000)
        # The folder is gone, so that nothing can leave it behind. The open file lives as long as the registry.
    except (OSError, SharedError) as error:
        left_out.append(f"the shared file is left out: {error}")
        return
    yield Row(NAME, "hitring, shared file", "registry.record_hit(name)", {"registry": registry})
    yield Row(NAME, "hitring, shared file, by handle", "handle.record()", {"handle": registry.counter("/")})
    limiter = registry.limiter("bench", *_RATE)
    yield Row(ALLOW_KEY, "hitring, shared file", "limiter.allow(name)", {"limiter": limiter})


def _package(left_out: list[str], package: str, *submodules: str) -> Any:
    """Return an optional package, or ``None`` and say why it is left out."""
    try:
        for module in submodules:
            importlib.import_module(f"{package}.{module}")
        return importlib.import_module(package)
    except ImportError:
        left_out.append(f"{package} is left out: it is not installed")
        return None


def _prometheus_rows(left_out: list[str]) -> Iterator[Row]:
    if prometheus := _package(left_out, "prometheus_client"):
        plain = prometheus.Counter("hits", "Hits", registry=None)
        yield Row(RECORD, "prometheus_client, no window", "counter.inc()", {"counter": plain})
        by_name = prometheus.Counter("hits_by_name", "Hits", ["name"], registry=None)
        yield Row(NAME, "prometheus_client, no window", "counter.labels(name).inc()", {"counter": by_name})


def _limits_rows(left_out: list[str]) -> Iterator[Row]:
    if limits := _package(left_out, "limits", "storage", "strategies"):
        limit = limits.RateLimitItemPerMinute(_RATE[0])
        for kind in ("FixedWindow", "SlidingWindowCounter", "MovingWindow"):
            limiter = getattr(limits.strategies, f"{kind}RateLimiter")(limits.storage.MemoryStorage())
            given = {"limiter": limiter, "limit": limit}
            yield Row(ALLOW, f"limits, {kind}", "limiter.hit(limit)", given, names=NAMES[:50])
        limiter = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
        given = {"limiter": limiter, "limit": limit}
        yield Row(ALLOW_KEY, "limits, FixedWindow", "limiter.hit(limit, name)", given)


def _redis_rows(left_out: list[str], url: str, stack: ExitStack) -> Iterator[Row]:
    redis = _package(left_out, "redis")
    if redis is None:
        return
    key = f"hitring-bench:{os.getpid()}"
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=5)
        stack.callback(client.close)
        client.set(key, 0, ex=600)  # It expires even if this process is killed.
    except ValueError:
        left_out.append("redis is left out: the address is not a Redis URL; see --redis")
        return
    except redis.RedisError as error:  # The message does not name the URL, which may hold a password.
        left_out.append(f"redis is left out: the server does not answer ({type(error).__name__}); see --redis")
        return
    stack.callback(client.delete, key)
    yield Row(RECORD, "redis-py, INCR, no window", "client.incr(key)", {"client": client, "key": key}, names=NAMES[:5])


def rows(redis_url: str, stack: ExitStack) -> tuple[list[Row], list[str]]:
    """Return what can be timed here, and a sentence about each thing that is left out.

    ``stack`` closes what the rows hold open.
    """
    left_out: list[str] = []
    return [
        *_floor_rows(),
        *_counter_rows(),
        *_registry_rows(),
        *_limiter_rows(),
        *_shared_rows(left_out),
        *_prometheus_rows(left_out),
        *_limits_rows(left_out),
        *_redis_rows(left_out, redis_url, stack),
    ], left_out
