"""Snapshots, pickles and copies: the same hits, never counted twice."""

import copy
import pickle

import pytest

from hitring import HitCounter, ManualClock, Outcome, SnapshotError, SystemClock

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture(params=["striped", "ring", "sliding"])
def strategy(request):
    return request.param


def pickled(counter, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(counter, protocol))


def test_merging_adds_and_repeats_add_nothing(strategy):
    here, there = HitCounter(strategy=strategy), HitCounter(strategy=strategy)
    here.record_at(10, 1)
    there.record_at(10, 2)
    there.record_at(20, 4)
    early = there.snapshot()
    there.record_at(20, 8)
    for snapshot in (early, there.snapshot(), early, here.snapshot(), there.snapshot()):
        here.merge(snapshot)
    assert here.count_at(20) == 15
    assert here.count_at(10) == 3
    assert here.getHits(20) == 15
    assert here.buckets_at(20, 1) == [(20, 12)]
    assert here.outcomes().counted == 15
    here.hit(20)
    assert here.count_at(20) == 16
    assert there.count_at(20) == 14


def test_snapshots_are_bytes_and_all_that_is_bytes_like_is_taken(strategy):
    there = HitCounter(strategy=strategy)
    there.hit(5)
    snapshot = there.snapshot()
    assert type(snapshot) is bytes
    assert snapshot.startswith(b"HITRING\0")
    for given in (snapshot, bytearray(snapshot), memoryview(snapshot)):
        here = HitCounter(strategy=strategy)
        here.merge(given)
        assert here.count_at(5) == 1


def test_stripes_and_rings_are_of_one_kind():
    there = HitCounter(strategy="ring")
    there.hit(5)
    here = HitCounter(strategy="striped")
    here.merge(there.snapshot())
    assert here.count_at(5) == 1


@pytest.mark.parametrize(
    "other",
    [{"window": 60}, {"window": 300, "resolution": 60}, {"strategy": "sliding"}],
)
def test_another_geometry_is_refused(other):
    there = HitCounter(**other)
    there.hit(5)
    here = HitCounter()
    with pytest.raises(SnapshotError, match=r"counts otherwise than this counter.*build both alike"):
        here.merge(there.snapshot())
    assert here.count_at(5) == 0


def test_a_snapshot_from_before_a_reset_is_refused(strategy):
    counter, other = HitCounter(strategy=strategy), HitCounter(strategy=strategy)
    other.hit(5)
    before = other.snapshot()
    other.reset()
    counter.merge(other.snapshot())
    with pytest.raises(SnapshotError, match="before the reset"):
        counter.merge(before)
    assert counter.count_at(5) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickling_keeps_configuration_and_hits(strategy, protocol):
    counter = HitCounter(30, resolution=0.5, slack=7, strategy=strategy, max_skew=1.5, clock=ManualClock(1_000.25))
    counter.record(3)
    counter.record_at(990.5, 4)
    counter.record_at(2_000)
    again = pickled(counter, protocol)
    assert type(again) is HitCounter
    assert repr(again) == repr(counter)
    for name in ("window", "resolution", "slack", "strategy", "max_skew", "slots"):
        assert getattr(again, name) == getattr(counter, name)
    assert again.outcomes() == counter.outcomes()
    assert again.buckets() == counter.buckets()
    assert again.clock is not counter.clock
    assert again.clock.now() == 1_000.25


@pytest.mark.parametrize("arguments", [{}, {"clock": SystemClock()}, {"max_skew": 3}, {"slack": 0, "strategy": "ring"}])
def test_pickling_does_not_make_a_clock_where_none_was(arguments):
    counter = HitCounter(**arguments)
    again = pickled(counter)
    assert type(again.clock) is type(counter.clock)
    assert again.max_skew == counter.max_skew
    assert repr(again).split("(")[0] == "HitCounter"
    far = 253_402_300_799
    assert again.record_at(far) is counter.record_at(far)


COPIES = {"pickle": pickled, "copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES.keys())
def test_a_copy_counts_on_by_itself_and_merges_back_without_counting_twice(again, strategy):
    counter = HitCounter(strategy=strategy)
    counter.record_at(10, 5)
    other = again(counter)
    assert other.count_at(10) == 5
    counter.record_at(10, 1)
    other.record_at(10, 2)
    assert (counter.count_at(10), other.count_at(10)) == (6, 7)
    counter.merge(other.snapshot())
    counter.merge(other.snapshot())
    assert counter.count_at(10) == 8
    other.merge(counter.snapshot())
    assert other.count_at(10) == 8


def test_a_copy_shares_the_clock_and_a_deep_copy_has_its_own():
    clock = ManualClock(100)
    counter = HitCounter(clock=clock)
    counter.hit()
    shallow, deep = copy.copy(counter), copy.deepcopy(counter)
    clock.advance(300)
    assert shallow.clock is clock
    assert (counter.count(), shallow.count(), deep.count()) == (0, 0, 1)
    assert (shallow.clock.now(), deep.clock.now()) == (400, 100)


@pytest.mark.parametrize("again", [pickled, copy.deepcopy])
def test_those_who_shared_a_clock_share_its_copy(again):
    clock = ManualClock(100)
    counters = again([HitCounter(10, clock=clock), HitCounter(20, clock=clock), clock])
    assert counters[0].clock is counters[1].clock is counters[2]
    counters[2].set(5)
    counters[0].hit()
    assert counters[0].count_at(5) == 1


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("at", [0, 5, 5.25, 253_402_300_799])
def test_copies_of_clocks(again, at):
    clock = ManualClock(at)
    other = again(clock)
    assert other.now() == clock.now()
    clock.set(7)
    assert other.now() == at
    assert type(again(SystemClock())) is SystemClock


def test_a_clock_is_copied_to_the_microsecond_where_a_float_is_not():
    from datetime import datetime, timezone

    clock = ManualClock(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc))
    assert pickled(clock).__reduce__() == clock.__reduce__()
    assert clock.__reduce__()[1] == (253_402_300_799, 999_999_000)


def test_a_pickle_that_was_tampered_with_is_refused():
    from hitring._hitring import _restore

    restore, (configuration, clock, snapshot) = HitCounter().__reduce__()
    assert restore is _restore
    with pytest.raises(SnapshotError):
        _restore(configuration, clock, snapshot[:-1])
    with pytest.raises(ValueError, match="the window is empty"):
        _restore((1_000_000, 0, 20, "ring", None), None, snapshot)
    with pytest.raises(ValueError, match="choose"):
        _restore((1_000_000, 300, 20, "spiral", None), None, snapshot)


def test_late_is_late_in_a_copy_too(strategy):
    counter = HitCounter(60, strategy=strategy)
    counter.hit(1_000)
    assert counter.record_at(1_000 - counter.slots) is Outcome.LATE
    assert pickled(counter).outcomes().late == 1
