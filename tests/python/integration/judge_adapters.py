"""What ../shared/judges puts under test, by name: ``HITS_ADAPTER=judge_adapters:Ring``.

The contracts are in adapter.py there.
"""

import copy

from hitring import BottomK, GCounter, HitCounter, HyperLogLog, Morris, Reservoir


class Striped:
    """``hit`` and ``getHits`` of a counter whose ``window`` is in seconds."""

    strategy = "striped"

    def __init__(self, window=300):
        self.counter = HitCounter(window, strategy=self.strategy)

    @classmethod
    def slots(cls, window):
        return HitCounter(window, strategy=cls.strategy).slots

    def hit(self, ts, n=1):
        self.counter.record_at(ts, n)

    def getHits(self, ts):
        return self.counter.getHits(ts)


class Ring(Striped):
    strategy = "ring"


class Sliding(Striped):
    strategy = "sliding"


class Buckets:
    """A window of ``duration`` in ``buckets`` ticks, as folly, Sentinel and bvar have it.

    They answer for the newest time they know of, and refuse a hit that lies behind the window. hitring never has fewer
    than 64 slots, whatever the slack: it counts such a hit for questions about the past, and no count of the window
    moves. So ``add`` tells whether the hit is in the window.
    """

    def __init__(self, duration, buckets):
        self.counter = HitCounter(duration, resolution=duration / buckets, slack=0)
        self.newest = 0

    def add(self, ts, n):
        self.newest = max(self.newest, ts)
        before = self.total(ts)
        counted = bool(self.counter.record_at(ts, n))
        return counted and self.total(ts) == before + n

    def total(self, now):
        return self.counter.count_at(max(now, self.newest))


class Different:
    """A `HyperLogLog` as j_hll knows one."""

    def __init__(self, sketch=None):
        self.sketch = sketch or HyperLogLog()

    def add(self, item):
        self.sketch.add(item)

    def count(self):
        return self.sketch.count()

    def merge(self, other):
        self.sketch.merge(other.sketch)

    def to_redis(self):
        return self.sketch.to_redis()

    @classmethod
    def from_redis(cls, data):
        return cls(HyperLogLog.from_redis(data))


class OtherHash(Different):
    """Has a fault: what it adds hashes otherwise than in Redis."""

    def add(self, item):
        self.sketch.add(item + b" ")


class Replica:
    """A `GCounter`; what it merges comes as bytes if the class says so."""

    sends = staticmethod(lambda counter: counter)

    def __init__(self, replica):
        self.counter = replica if isinstance(replica, GCounter) else GCounter(replica)

    def inc(self, n=1):
        assert self.counter.record(n)

    def value(self):
        return self.counter.count()

    def merge(self, other):
        self.counter.merge(self.sends(other.counter))

    def copy(self):
        return type(self)(copy.copy(self.counter))


class DistantReplica(Replica):
    sends = staticmethod(GCounter.to_bytes)


class SummingReplica(Replica):
    """Has a fault: what comes twice is counted twice."""

    def merge(self, other):
        self.counter.record(other.counter.count())


class Approximate:
    """A `Morris`."""

    def __init__(self, seed):
        self.counter = Morris(error=0.1, seed=seed)

    def inc(self):
        self.counter.record()

    def value(self):
        return self.counter.estimate()


class Sampled:
    """A `Reservoir` whose items are numbers."""

    kind = Reservoir

    def __init__(self, k, seed):
        self.sample = self.kind(k, seed)

    def add(self, x):
        self.sample.add(str(x))

    def items(self):
        return [int(item) for item in self.sample.items()]


class Tagged(Sampled):
    kind = BottomK
