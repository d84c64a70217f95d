"""WindowedUniques, and the visitors of a registry's endpoints."""

import copy
import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import (
    ConfigError,
    Estimate,
    HitCounter,
    ManualClock,
    Outcome,
    QueryError,
    Registry,
    SnapshotError,
    WindowedUniques,
    WindowExpired,
)

START = 1_700_000_000


def clocked(window=320, **options):
    clock = ManualClock(START)
    return WindowedUniques(window, clock=clock, **options), clock


class TestWindowedUniques:
    def test_items_leave_with_their_sixteenth(self):
        uniques, clock = clocked()
        for second in range(640):
            clock.set(START + second)
            assert uniques.add(str(second // 20)) is Outcome.COUNTED
        assert (uniques.count(), uniques.count(20), uniques.count(20.5), uniques.count(0)) == (16, 1, 2, 0)
        assert (uniques.ever(), uniques.part, uniques.window, uniques.resolution) == (32, 20, 320, 1)
        assert uniques.count(20, at=START + 619) == 1
        assert isinstance(uniques.count(), Estimate)
        assert uniques.count().error == uniques.error
        with pytest.raises(WindowExpired):
            uniques.count(50, at=START + 100)
        with pytest.raises(QueryError):
            uniques.count(321)
        with pytest.raises(QueryError):
            uniques.count(-1)

    def test_times_of_the_caller(self):
        uniques = WindowedUniques(16)
        for second in (5, 3, 5, 100):
            assert uniques.add("ann", second)
        assert uniques.count(at=100) == 1
        for number in range(20):
            assert uniques.add(str(number), 100)
        assert uniques.add("late", 100 - 37) is Outcome.LATE
        assert clocked()[0].add("future", START + 1_000) is Outcome.FUTURE

    def test_merging_is_idempotent_and_takes_bytes(self):
        ours, theirs = clocked()[0], clocked()[0]
        for number in range(300):
            ours.add(str(number))
            theirs.add(str(number + 200))
        ours.merge(theirs)
        once = ours.count()
        assert once == pytest.approx(500, rel=0.04)
        ours.merge(theirs.to_bytes())
        ours.merge(ours)
        assert (ours.count(), ours.ever()) == (once, once)
        for other in (WindowedUniques(300), clocked(precision=10)[0], clocked(resolution=2)[0]):
            with pytest.raises(SnapshotError, match="not"):
                ours.merge(other)

    def test_copies_pickles_and_bytes(self):
        uniques, clock = clocked(precision=12)
        for number in range(200):
            clock.set(START + number)
            uniques.add(str(number))
        known = [uniques.count(last) for last in (320, 40)] + [uniques.ever()]
        read = WindowedUniques.from_bytes(bytearray(uniques.to_bytes()), clock=clock)
        others = [copy.copy(uniques), copy.deepcopy(uniques), pickle.loads(pickle.dumps(uniques)), read]
        for other in others:
            assert [other.count(last) for last in (320, 40)] + [other.ever()] == known
            assert (other.precision, other.window) == (12, 320)
        clock.advance(1_000)
        # The clock is shared by a shallow copy and by what was given it; the others have one of their own.
        assert [bool(other.count()) for other in others] == [False, True, True, False]

    def test_bad_input_says_what_would_do(self):
        for options in ({"window": 0}, {"precision": 3}, {"resolution": 0}, {"max_skew": 30}):
            with pytest.raises(ConfigError):
                WindowedUniques(**options)
        with pytest.raises(TypeError):
            WindowedUniques().add(5)
        with pytest.raises(TypeError):
            WindowedUniques().merge("text")
        for junk in (b"", b"junk", HitCounter().snapshot(), clocked()[0].to_bytes()[:-1]):
            with pytest.raises(SnapshotError):
                WindowedUniques.from_bytes(junk)

    def test_threads_lose_nothing(self):
        uniques, alone = clocked()[0], clocked()[0]

        def add(thread):
            for number in range(3_000):
                uniques.add(f"{number % 1_000} of {thread % 2}")

        threads = [threading.Thread(target=add, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(1_000):
            alone.add(f"{number} of 0")
            alone.add(f"{number} of 1")
        assert (uniques.count(), uniques.ever()) == (alone.count(), alone.ever())

    @given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6)), max_size=60))
    def test_few_items_are_those_of_a_list(self, steps):
        uniques, clock = clocked()
        now, seen = START, []
        for wait, item in steps:
            now += wait
            clock.set(now)
            uniques.add(str(item))
            seen.append((now, item))
            first = (now + 1 - 320) // 20 * 20
            assert uniques.count() == len({item for at, item in seen if at >= first})
            assert uniques.ever() == len({item for _, item in seen})


class TestVisitors:
    def registry(self, **options):
        clock = ManualClock(START)
        return Registry(320, clock=clock, **options), clock

    def test_visitors_are_told_apart_and_hits_are_counted(self):
        registry, _ = self.registry(strategy="adaptive")
        for visitor in ("ann", b"ann", "bob"):
            assert registry.record_hit("/home", visitor=visitor) is Outcome.COUNTED
        registry.record_hit("/home", START, 5, visitor="cid")
        home = registry.counter("/home")
        home.record(visitor="dan")
        home.record_at(START, 2, visitor="eve")
        home.record()
        assert registry.query_hits("/home") == 12
        assert registry.query_uniques("/home") == registry.uniques_ever("/home") == home.uniques() == 5
        assert home.uniques_ever() == home.uniques(60) == registry.query_uniques("/home", 60, at=START) == 5
        assert isinstance(registry.query_uniques("/never"), Estimate)
        assert registry.query_uniques("/never") == registry.uniques_ever("/never") == 0

    def test_a_hit_that_is_not_counted_does_not_add_a_visitor(self):
        registry, _ = self.registry(max_endpoints=1)
        assert registry.record_hit("/a", START + 1_000, visitor="ann") is Outcome.FUTURE
        assert registry.record_hit("/a", amount=0, visitor="ann") is Outcome.COUNTED
        assert registry.uniques_ever("/a") == 0
        registry.record_hit("/a")
        assert registry.record_hit("/b", visitor="ann") is Outcome.REFUSED
        home = registry.counter("/a")
        registry.remove("/a")
        assert home.record(visitor="ann") is Outcome.REFUSED
        assert (home.uniques(), home.uniques_ever()) == (0, 0)

    def test_they_leave_the_window_but_not_ever(self):
        registry, clock = self.registry()
        registry.record_hit("/home", visitor="ann")
        clock.advance(400)
        registry.record_hit("/home", visitor="bob")
        assert (registry.query_uniques("/home"), registry.uniques_ever("/home")) == (1, 2)
        with pytest.raises(QueryError):
            registry.query_uniques("/home", 321)

    def test_snapshots_copies_and_pickles_have_them(self):
        registry, _ = self.registry(precision=12)
        for number in range(100):
            registry.record_hit("/home", visitor=str(number))
        known = registry.query_uniques("/home")
        other, _ = self.registry(precision=12)
        for _ in range(2):
            other.merge(registry.snapshot())
        others = [other, copy.copy(registry), copy.deepcopy(registry), pickle.loads(pickle.dumps(registry))]
        assert [(each.query_uniques("/home"), each.uniques_ever("/home")) for each in others] == [(known, known)] * 4
        assert all(each.query_uniques("/home").error == known.error for each in others)
        coarse, _ = self.registry()
        with pytest.raises(SnapshotError, match="12 bits, not 14"):
            coarse.merge(registry.snapshot())

    def test_bad_input_counts_nothing(self):
        registry, _ = self.registry()
        for wrong in (5, ["ann"], 1.5):
            with pytest.raises(TypeError, match="visitor must be a str or bytes"):
                registry.record_hit("/home", visitor=wrong)
            with pytest.raises(TypeError, match="visitor must be a str or bytes"):
                registry.counter("/").record(visitor=wrong)
        with pytest.raises(TypeError):
            registry.record_hit("/home", START, 1, "ann")
        assert registry.query_hits("/home") == 0
        registry.record_hit("/home", visitor=None)
        assert (registry.query_hits("/home"), registry.uniques_ever("/home")) == (1, 0)
        with pytest.raises(ConfigError, match="4 to 18"):
            Registry(precision=3)
