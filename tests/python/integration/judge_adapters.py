"""What ../shared/judges puts under test, by name: ``HITS_ADAPTER=judge_adapters:Ring``.

The contracts are in adapter.py there.
"""

import copy

import hitring
from hitring import HitCounter, HyperLogLog


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


#: It has what is asked for as it is, ``to_redis`` and ``from_redis`` too.
Sketch = HyperLogLog


class GCounter:
    """A replica that counts with ``inc`` and ``value``."""

    def __init__(self, replica):
        self.counter = hitring.GCounter(replica)

    def inc(self, n=1):
        assert self.counter.record(n)

    def value(self):
        return self.counter.count()

    def merge(self, other):
        self.counter.merge(other.counter)

    def copy(self):
        other = copy.copy(self)
        other.counter = copy.copy(self.counter)
        return other


class Morris:
    """Twelve percent, so that a bias of a hundredth of the count would show within 300 runs."""

    def __init__(self, seed):
        self.counter = hitring.Morris(error=0.12, seed=seed)

    def inc(self):
        self.counter.record()

    def value(self):
        return float(self.counter.estimate())


class Reservoir:
    sample = hitring.Reservoir

    def __init__(self, k, seed):
        self.kept = self.sample(k, seed=seed)

    def add(self, x):
        self.kept.add(x)

    def items(self):
        return self.kept.items()


class BottomK(Reservoir):
    sample = hitring.BottomK
