"""Counters in several processes: each counts in its own copy."""

import multiprocessing
import sys
import threading
import warnings

import pytest

import workers
from children import forks, in_a_forked_child
from hitring import HitCounter, ManualClock, Outcome, SnapshotError

STRATEGIES = ["striped", "ring", "sliding"]
METHODS = multiprocessing.get_all_start_methods()


@pytest.fixture(params=METHODS)
def pool(request):
    with warnings.catch_warnings():
        # Python 3.12 and later warn of threads that the test run itself may have.
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context(request.param).Pool(2) as pool:
            yield pool


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_counter_goes_to_other_processes_and_comes_back(pool, strategy):
    counter = HitCounter(60, strategy=strategy, clock=ManualClock(5))
    counter.record(1_000)
    first, second = pool.starmap(workers.record, [(counter, 10), (counter, 200)])
    assert (first.count_at(5), second.count_at(5)) == (1_010, 1_200)
    assert counter.count() == 1_000
    for other in (first, second, first):
        counter.merge(other.snapshot())
    assert counter.count() == 1_210
    assert repr(first) == repr(counter)


def test_snapshots_of_several_processes_are_merged(pool):
    counter = HitCounter()
    for snapshot in pool.map(workers.snapshot_of_hits, [1, 20, 300, 4_000]):
        counter.merge(snapshot)
    assert counter.count_at(5) == 4_321


def test_a_global_counter_is_each_processs_own(pool):
    counts = pool.map(workers.record_in_global, [1, 1, 1, 1], chunksize=1)
    assert all(1 <= count <= 4 for count in counts)
    assert workers.GLOBAL.count_at(5) == 0


@forks
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_forked_child_counts_on_in_its_own_copy(strategy):
    counter = HitCounter(strategy=strategy, clock=ManualClock(5))
    counter.record(10)
    thread = threading.Thread(target=counter.hit)
    thread.start()
    thread.join()

    def child():
        inherited = counter.count()
        for _ in range(1_000):
            assert counter.record() is Outcome.COUNTED
        thread = threading.Thread(target=counter.record, args=[2_000])
        thread.start()
        thread.join()
        counter.clock.advance(1)
        counter.hit()
        return inherited, counter.count(), counter.getHits(5), counter.outcomes().counted

    assert in_a_forked_child(child) == "(11, 3012, 3011, 3012)"
    assert counter.count() == 11
    assert counter.clock.now() == 5
    assert counter.record()
    assert counter.count() == 12


@forks
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_fork_while_another_thread_records_leaves_nothing_locked(strategy):
    if strategy == "sliding" and not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("without a GIL a thread may be in a lock while another one forks")
    counter = HitCounter(strategy=strategy, clock=ManualClock(5))
    done = threading.Event()

    def record():
        while not done.is_set():
            counter.record()
            counter.count()
            counter.snapshot()

    threads = [threading.Thread(target=record) for _ in range(3)]
    for thread in threads:
        thread.start()

    def child():
        before = counter.count()
        counter.record(7)
        counter.record_many([5, 5])
        counter.merge(HitCounter(strategy=strategy).snapshot())
        counter.snapshot()
        return counter.count() - before, counter.outcomes().counted == counter.count()

    try:
        for _ in range(20):
            assert in_a_forked_child(child) == "(9, True)"
    finally:
        done.set()
        for thread in threads:
            thread.join()


@forks
def test_hits_from_before_a_fork_are_not_merged_twice():
    counter = HitCounter()
    counter.record_at(5, 10)
    parents = counter.snapshot()

    def child():
        counter.record_at(5, 1)
        with pytest.raises(SnapshotError):
            counter.merge(parents)
        assert counter.count_at(5) == 11
        return counter.snapshot()

    childs = eval(in_a_forked_child(child))
    with pytest.raises(SnapshotError, match="fork"):
        counter.merge(childs)
    assert counter.count_at(5) == 10
    other = HitCounter()
    other.merge(childs)
    assert other.count_at(5) == 11


@forks
def test_a_counter_made_in_a_child_is_merged_in_the_parent():
    counter = HitCounter()
    counter.record_at(5, 10)

    def child():
        mine = HitCounter()
        mine.record_at(5, 1)
        return mine.snapshot()

    for _ in range(2):
        counter.merge(eval(in_a_forked_child(child)))
    assert counter.count_at(5) == 12
