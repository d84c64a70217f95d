"""Registries that record, swap, prune, copy, snapshot, restore and merge in any order lose and double nothing.

The oracle gives every hit a number of its own: what a registry knows is a set of such numbers for each name, a merge is
the union of two, and a count is how many of them are in the window.
"""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitring import ManualClock, Outcome, Registry, SnapshotError

NOW = 1_000_000
WINDOW = 8
NAMES = ["/a", "/b", "/ü"]
STRATEGIES = ["ring", "striped", "sliding", "adaptive"]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), st.integers(1, 5)),
        st.tuples(st.just("handle"), st.integers(0, 2), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("swap"), st.integers(0, 2), st.sampled_from(STRATEGIES), st.sampled_from([None, *NAMES])),
        st.tuples(st.just("prune"), st.integers(0, 2)),
        st.tuples(st.just("advance"), st.sampled_from([1, 2, 3, 7, 80])),
        st.tuples(st.just("copy"), st.integers(0, 2), st.integers(0, 2), st.sampled_from(["copy", "deep", "pickle"])),
        st.tuples(st.just("snapshot"), st.integers(0, 2)),
        st.tuples(st.just("restore"), st.integers(0, 2), st.integers(0, 20)),
        st.tuples(st.just("merge"), st.integers(0, 2), st.integers(0, 20)),
    ),
    max_size=40,
)


class Known:
    """What one registry ought to know."""

    def __init__(self):
        self.hits = {name: set() for name in NAMES}

    def join(self, other):
        for name in NAMES:
            self.hits[name] |= other.hits[name]

    def count(self, name, times, now, last):
        return sum(amount for at, amount in map(times.__getitem__, self.hits[name]) if now - last < at <= now)


@settings(max_examples=300)
@given(steps, st.sampled_from(STRATEGIES))
def test_nothing_is_lost_or_doubled(steps, strategy):
    clock = ManualClock(NOW)
    registries = [Registry(WINDOW, strategy=strategy, clock=clock) for _ in range(3)]
    known = [Known() for _ in range(3)]
    times: list[tuple[int, int]] = []
    snapshots: list[tuple[bytes, Known]] = []

    def counted(who, name, at, amount):
        times.append((at, amount))
        known[who].hits[name].add(len(times) - 1)

    for action, *details in steps:
        if action == "advance":
            clock.advance(details[0])
            continue
        who = details[0]
        registry = registries[who]
        if action == "record":
            name, at, amount = NAMES[details[1]], clock.now() - details[2], details[3]
            assert registry.record_hit(name, at, amount) is Outcome.COUNTED
            counted(who, name, at, amount)
        elif action == "handle":
            name, amount = NAMES[details[1]], details[2]
            assert registry.counter(name).record(amount) is Outcome.COUNTED
            counted(who, name, clock.now(), amount)
        elif action == "swap":
            registry.swap_strategy(details[1], details[2])
        elif action == "prune":
            registry.prune()
        elif action == "copy":
            how = {"copy": copy.copy, "deep": copy.deepcopy, "pickle": lambda r: pickle.loads(pickle.dumps(r))}[
                details[2]
            ]
            copied = how(registry)
            # Some copies have clocks of their own; what was copied is put under the one that is moved.
            registries[details[1]] = Registry(WINDOW, strategy=strategy, clock=clock)
            registries[details[1]].restore(copied.snapshot())
            known[details[1]] = copy.deepcopy(known[who])
        elif action == "snapshot":
            snapshots.append((registry.snapshot(), copy.deepcopy(known[who])))
        elif snapshots:
            snapshot, of = snapshots[details[1] % len(snapshots)]
            if action == "restore":
                registry.restore(snapshot)
                known[who] = copy.deepcopy(of)
            else:
                try:
                    registry.merge(snapshot)
                except SnapshotError:
                    # Its own, of a life that goes on: nothing new is in it.
                    assert all(of.hits[name] <= known[who].hits[name] for name in NAMES)
                else:
                    known[who].join(of)
    now = clock.now()
    for registry, of in zip(registries, known):
        for last in (1, 3, WINDOW):
            counts = [of.count(name, times, now, last) for name in NAMES]
            assert [registry.query_hits(name, last) for name in NAMES] == counts
            assert registry.total(last) == sum(counts)
            top = sorted(((name, hits) for name, hits in zip(NAMES, counts) if hits), key=lambda row: (-row[1], row[0]))
            assert registry.top(3, last) == top


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_threads_lose_no_hit_over_swaps_prunes_and_snapshots(strategy):
    clock = ManualClock(NOW)
    registry = Registry(strategy=strategy, clock=clock)
    done = threading.Event()

    def record(name):
        counter = registry.counter(name)
        for turn in range(5_000):
            told = counter.record() if turn % 2 else registry.record_hit(name)
            assert told is Outcome.COUNTED

    def disturb():
        turn = 0
        while not done.is_set():
            registry.swap_strategy(STRATEGIES[turn % len(STRATEGIES)])
            registry.prune()
            other = Registry(clock=clock)
            other.restore(registry.snapshot())
            assert other.total() <= 20_000
            turn += 1
            done.wait(0.001)

    errors = []

    def guarded(function, *arguments):
        try:
            function(*arguments)
        except BaseException as error:  # raised again below
            errors.append(error)

    recorders = [threading.Thread(target=guarded, args=(record, NAMES[index % 2])) for index in range(4)]
    disturber = threading.Thread(target=guarded, args=(disturb,))
    for thread in (disturber, *recorders):
        thread.start()
    for thread in recorders:
        thread.join()
    done.set()
    disturber.join()
    if errors:
        raise errors[0]
    assert registry.top(3) == [("/a", 10_000), ("/b", 10_000)]
    assert registry.metrics().total_hits == 20_000
