"""Counters under threads: nothing is lost, nothing is counted twice."""

import sys
import threading

import pytest

from hitring import HitCounter, ManualClock, Outcome, Outcomes

THREADS = 4
HITS = 20_000


@pytest.fixture(params=["striped", "ring", "sliding"])
def strategy(request):
    return request.param


@pytest.fixture(autouse=True)
def switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(*functions):
    """Run the functions at once and pass on what they raise."""
    raised = []
    start = threading.Barrier(len(functions))

    def guarded(function):
        try:
            start.wait()
            function()
        except BaseException as error:  # raised again below
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_hits_of_all_threads_are_counted(strategy):
    counter = HitCounter(strategy=strategy, clock=ManualClock(1_000))

    def record():
        for _ in range(HITS):
            assert counter.record() is Outcome.COUNTED

    together(*[record] * THREADS)
    assert counter.count() == counter.getHits(1_000) == THREADS * HITS
    assert counter.outcomes() == Outcomes(counted=THREADS * HITS)


def test_hits_of_threads_that_have_ended_stay(strategy):
    counter = HitCounter(strategy=strategy, clock=ManualClock(1_000))
    for _ in range(50):
        together(counter.hit, counter.hit)
    assert counter.count() == 100


def test_counts_beside_writers_only_grow(strategy):
    counter = HitCounter(strategy=strategy, clock=ManualClock(1_000))
    done = threading.Event()

    def write():
        for _ in range(HITS):
            counter.hit()
        done.set()

    def read():
        seen = 0
        while not done.is_set():
            count = counter.count()
            assert seen <= count <= HITS
            seen = count

    together(write, read, read)
    assert counter.count() == HITS


def test_the_clock_moves_while_threads_record(strategy):
    clock = ManualClock(1_000)
    counter = HitCounter(2_000, strategy=strategy, clock=clock)

    def record():
        for _ in range(HITS):
            assert counter.record(2)

    def move():
        for _ in range(1_000):
            clock.advance(1)
            counter.count()

    together(record, record, move)
    assert counter.count() == 4 * HITS
    assert sum(hits for _, hits in counter.buckets()) == 4 * HITS


def test_batches_of_several_threads(strategy):
    counter = HitCounter(strategy=strategy)
    times = [at % 300 for at in range(HITS)]
    together(*[lambda: counter.record_many(times)] * THREADS)
    assert counter.count_at(299) == THREADS * HITS


def test_snapshots_and_merges_beside_writers(strategy):
    clock = ManualClock(1_000)
    counter, copy = HitCounter(strategy=strategy, clock=clock), HitCounter(strategy=strategy, clock=clock)

    def write():
        for _ in range(HITS):
            counter.hit()

    def follow():
        for _ in range(200):
            copy.merge(counter.snapshot())
            assert copy.count() <= HITS

    together(write, follow, follow)
    copy.merge(counter.snapshot())
    assert copy.count() == HITS


def test_a_hit_recorded_by_a_finalizer_in_another_thread_is_counted():
    counter = HitCounter(clock=ManualClock(1_000))

    class Leaving:
        def __del__(self):
            counter.hit()

    local = threading.local()

    def leave():
        local.leaving = Leaving()

    together(leave, leave)
    assert counter.count() == 2
