"""Slow, obviously right counters to compare with. They share no idea with the code under test.

``SlottedOracle`` knows every hit and every slot of one thread's ring, in whole microseconds. ``QueueCounter`` and
``BucketCounter`` are the two textbook solutions of LeetCode 362; they ask for timestamps that do not decrease.
"""

from __future__ import annotations

from collections import deque


class SlottedOracle:
    """What a ring of ``slots`` ticks must answer, for hits and queries in any order.

    With ``exact`` the window slides by the microsecond (the sliding log), else by whole ticks.

    A range that holds a recycled slot may be answered, exactly, by who remembers the sum; so the oracle says what is
    exact, what is still there, and whether the range is expired for everybody else.
    """

    def __init__(self, resolution_us: int, slots: int, *, exact: bool):
        self.resolution = resolution_us
        self.slots = slots
        self.exact = exact
        self.held: dict[int, int] = {}  # slot -> the newest tick it was used for
        self.hits: list[tuple[int, int]] = []  # (microsecond, amount) of every hit that was counted
        self.outcomes = {"counted": 0, "late": 0}

    def record(self, at: int, amount: int) -> str:
        outcome = "counted"
        tick = at // self.resolution
        held = self.held.get(tick % self.slots, -1)
        if amount > 0 and tick < held:
            outcome = "late"
        elif amount > 0:
            self.held[tick % self.slots] = tick
            self.hits.append((at, amount))
        self.outcomes[outcome] += amount
        return outcome

    def covers(self, at: int, last: int) -> tuple[int, int]:
        """The microseconds that a query covers, both ends included."""
        if self.exact:
            return at - last + 1, at
        tick = at // self.resolution
        return (tick + 1) * self.resolution - last, (tick + 1) * self.resolution - 1

    def recycled(self, tick: int) -> bool:
        return self.held.get(tick % self.slots, -1) > tick

    def count(self, at: int, last: int) -> int:
        first, to = self.covers(at, last)
        return sum(amount for time, amount in self.hits if first <= time <= to)

    def still_there(self, at: int, last: int) -> int:
        first, to = self.covers(at, last)
        return sum(
            amount for time, amount in self.hits if first <= time <= to and not self.recycled(time // self.resolution)
        )

    def expired(self, at: int, last: int) -> bool:
        first, to = self.covers(at, last)
        ticks = range(max(first, 0) // self.resolution, to // self.resolution + 1)
        return last > 0 and any(map(self.recycled, ticks))

    def buckets(self, at: int, last: int) -> list[tuple[int, int]]:
        """Each tick's number and its hits, those of the last one up to ``at`` if ``exact``."""
        newest = at // self.resolution
        to = at if self.exact else (newest + 1) * self.resolution - 1
        return [
            (tick, sum(n for time, n in self.hits if time // self.resolution == tick and time <= to))
            for tick in range(max(newest - last // self.resolution + 1, 0), newest + 1)
        ]


class QueueCounter:
    """Groups of equal timestamps in a queue, with a running total."""

    def __init__(self, window: int = 300):
        self.window = window
        self.groups: deque[list[int]] = deque()
        self.total = 0

    def hit(self, timestamp: int) -> None:
        if self.groups and self.groups[-1][0] == timestamp:
            self.groups[-1][1] += 1
        else:
            self.groups.append([timestamp, 1])
        self.total += 1

    def getHits(self, timestamp: int) -> int:
        while self.groups and self.groups[0][0] <= timestamp - self.window:
            self.total -= self.groups.popleft()[1]
        return self.total


class BucketCounter:
    """A bucket for each second of the window, reused when its second comes round again."""

    def __init__(self, window: int = 300):
        self.window = window
        self.times = [0] * window
        self.hits = [0] * window

    def hit(self, timestamp: int) -> None:
        bucket = timestamp % self.window
        if self.times[bucket] == timestamp:
            self.hits[bucket] += 1
        else:
            self.times[bucket] = timestamp
            self.hits[bucket] = 1

    def getHits(self, timestamp: int) -> int:
        total = 0
        for time, hits in zip(self.times, self.hits):
            if timestamp - time < self.window:
                total += hits
        return total
