"""GCounter, Morris, Reservoir, BottomK and TopK from Python."""

import collections
import copy
import gc
import pickle
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import (
    BottomK,
    ConfigError,
    Estimate,
    GCounter,
    Morris,
    Outcome,
    Reservoir,
    SketchError,
    SnapshotError,
    TopK,
)

SAMPLES = [Reservoir, BottomK]


def in_threads(work, count=4):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestGCounter:
    def test_replicas_add_up_in_any_order_any_number_of_times(self):
        replicas = [GCounter(name) for name in ("a", "b", "c")]
        for amount, replica in enumerate(replicas, 1):
            assert replica.record(amount) is Outcome.COUNTED
        for _ in range(2):
            for ours in replicas:
                for theirs in reversed(replicas):
                    ours.merge(theirs)
                    ours.merge(theirs.to_bytes())
        assert [replica.count() for replica in replicas] == [6, 6, 6]

    def test_one_that_starts_from_empty_begins_a_new_generation(self):
        before, other = GCounter("a"), GCounter("b")
        before.record(5)
        other.merge(before)
        restarted = GCounter("a")
        restarted.record(1)
        other.merge(restarted)
        assert other.count() == 6

    def test_copies_and_pickles_count_on_by_themselves(self):
        counter = GCounter("a")
        counter.record(3)
        others = [copy.copy(counter), copy.deepcopy(counter), pickle.loads(pickle.dumps(counter))]
        others.append(GCounter.from_bytes(counter.to_bytes()))
        for other in others:
            assert (other.count(), other.replica) == (3, "a")
            other.record()
        for other in others:
            counter.merge(other)
        assert counter.count() == 3 + len(others)

    def test_threads_lose_nothing(self):
        counter = GCounter("a")
        in_threads(lambda _: [counter.record() for _ in range(5_000)])
        assert counter.count() == 20_000

    def test_bad_input_says_what_would_do(self):
        with pytest.raises(SketchError, match="1 to 1,024 bytes"):
            GCounter("")
        with pytest.raises(TypeError):
            GCounter(5)
        counter = GCounter("a")
        for wrong in (-1, 2**63):
            with pytest.raises(ValueError, match="amount"):
                counter.record(wrong)
        assert counter.record(2**63 - 1) is Outcome.COUNTED
        assert counter.record() is Outcome.SATURATED
        for junk in (b"", b"junk", counter.to_bytes()[:-1], Morris().to_bytes()):
            with pytest.raises(SnapshotError):
                counter.merge(junk)
            with pytest.raises(SnapshotError):
                GCounter.from_bytes(junk)
        assert repr(counter) == f"<hitring.GCounter 'a': {2**63 - 1}>"


class TestMorris:
    def test_the_estimate_is_unbiased_and_says_how_far_off_it_may_be(self):
        estimates = []
        for seed in range(200):
            counter = Morris(error=0.2, seed=seed)
            for _ in range(50):
                counter.record(20)
            estimates.append(counter.estimate())
        assert isinstance(estimates[0], Estimate)
        assert estimates[0].error == pytest.approx(0.2)
        # Five standard errors of the mean of 200.
        assert sum(estimates) / len(estimates) == pytest.approx(1_000, rel=5 * 0.2 / 200**0.5)

    def test_the_same_seed_repeats(self):
        counters = [Morris(base=2, seed=7) for _ in range(2)]
        for counter in counters:
            for _ in range(1_000):
                counter.record()
        assert counters[0].estimate() == counters[1].estimate()
        assert counters[0].base == 2

    def test_merging_twice_changes_nothing(self):
        ours, theirs = Morris(error=0.1), Morris(error=0.1)
        ours.record(1_000)
        theirs.record(500)
        ours.merge(theirs)
        once = ours.estimate()
        ours.merge(theirs)
        ours.merge(theirs.to_bytes())
        assert ours.estimate() == once
        assert once == pytest.approx(1_500, rel=0.6)
        with pytest.raises(SketchError, match="base"):
            ours.merge(Morris(error=0.2))

    def test_threads_are_unbiased_together(self):
        estimates = []
        for seed in range(30):
            counter = Morris(error=0.1, seed=seed)
            in_threads(lambda _, counter=counter: [counter.record() for _ in range(500)], 2)
            estimates.append(counter.estimate())
        assert sum(estimates) / len(estimates) == pytest.approx(1_000, rel=5 * 0.1 / 30**0.5)

    def test_copies_and_pickles(self):
        counter = Morris()
        counter.record(100)
        for other in (copy.copy(counter), copy.deepcopy(counter), pickle.loads(pickle.dumps(counter))):
            assert (other.estimate(), other.base) == (counter.estimate(), counter.base)

    def test_bad_input_says_what_would_do(self):
        for options in ({"error": 0}, {"error": 5}, {"base": 1}, {"error": float("nan")}):
            with pytest.raises(ConfigError):
                Morris(**options)
        for options in ({"error": 0.1, "base": 2}, {"error": "x"}, {"seed": "x"}, {"seed": 1.5}):
            with pytest.raises(TypeError):
                Morris(**options)
        with pytest.raises(ValueError, match="seed"):
            Morris(seed=-1)
        with pytest.raises(SnapshotError):
            Morris.from_bytes(b"junk")


@pytest.mark.parametrize("kind", SAMPLES)
class TestSamples:
    def test_few_items_are_all_there_and_many_are_k_of_them(self, kind):
        sample = kind(5)
        sample.update("ab")
        assert sorted(sample.items()) == ["a", "b"]
        assert len(sample) == 2
        sample.update(range(1_000))
        kept = sample.items()
        assert len(kept) == len(set(kept)) == len(sample) == sample.k == 5

    def test_each_item_has_the_same_chance(self, kind):
        drawn = collections.Counter()
        for seed in range(2_000):
            sample = kind(5, seed=seed)
            sample.update(range(50))
            drawn.update(sample.items())
        # Binomial(2,000, 0.1): mean 200, standard deviation 13.4.
        assert all(abs(drawn[item] - 200) < 70 for item in range(50)), drawn
        chi = sum((drawn[item] - 200) ** 2 for item in range(50)) / 180 * 49 / 50
        assert chi < 49 + 6 * 98**0.5, chi

    def test_the_same_seed_repeats(self, kind):
        samples = [kind(4, seed=11) for _ in range(2)]
        for sample in samples:
            sample.update(range(500))
        assert samples[0].items() == samples[1].items()

    def test_merged_samples_are_uniform_over_unequal_streams(self, kind):
        from_short = 0
        for seed in range(1_500):
            long, short = kind(10, seed=2 * seed), kind(10, seed=2 * seed + 1)
            long.update(range(900))
            short.update(range(900, 1_000))
            long.merge(short)
            merged = long.items()
            assert len(merged) == 10
            long.merge(short)
            assert sorted(long.items()) == sorted(merged)
            from_short += sum(item >= 900 for item in merged)
        # One in ten of 15,000: standard deviation 37.
        assert abs(from_short - 1_500) < 220, from_short

    def test_items_are_any_objects_and_go_when_they_are_not_in_it(self, kind):
        class Item:
            pass

        sample = kind(3)
        items = [Item() for _ in range(100)]
        gone = [weakref.ref(item) for item in items]
        sample.update(items)
        del items
        gc.collect()
        alive = [item() for item in gone if item() is not None]
        assert sorted(map(id, alive)) == sorted(map(id, sample.items()))
        del alive, sample
        gc.collect()
        assert all(item() is None for item in gone)

    def test_an_item_that_comes_back_when_it_goes_is_no_deadlock(self, kind):
        sample = kind(2)

        class Restless:
            def __del__(self):
                sample.add("again")
                len(sample)

        for _ in range(200):
            sample.add(Restless())
        assert len(sample.items()) == 2
        sample.update("ab" * 1_000)

    def test_threads_share_a_sample(self, kind):
        sample = kind(20)
        in_threads(lambda thread: [sample.add((thread, number)) for number in range(3_000)])
        kept = sample.items()
        assert len(kept) == len(set(kept)) == 20

    def test_a_copy_goes_on_by_itself(self, kind):
        sample = kind(3)
        sample.update("abc")
        other = copy.copy(sample)
        other.update(range(10_000))
        assert sorted(sample.items()) == ["a", "b", "c"]

    def test_bad_input_says_what_would_do(self, kind):
        for wrong in (0, 2**21, 2**70):
            with pytest.raises(SketchError, match="1 to 1048576"):
                kind(wrong)
        for wrong in (None, "3", 1.5, True):
            with pytest.raises(TypeError):
                kind(wrong)
        with pytest.raises(SketchError):
            kind(3).merge(kind(4))
        with pytest.raises(TypeError):
            kind(3).merge([1])
        assert kind[int].__origin__ is kind


class TestTopK:
    @given(st.lists(st.sampled_from("abcdefgh"), max_size=300), st.integers(1, 8))
    def test_counts_are_too_high_by_at_most_their_bound(self, items, k):
        top, true = TopK(k), collections.Counter(items)
        for item in items:
            assert top.add(item) is Outcome.COUNTED
        listed = top.items()
        assert len(listed) <= k
        assert [count for _, count, _ in listed] == sorted((count for _, count, _ in listed), reverse=True)
        for item, count, bound in listed:
            assert count - bound <= true[item] <= count
        # Whatever is more than one in k of all is there.
        assert {item for item, count in true.items() if count * k > len(items)} <= {item for item, *_ in listed}

    def test_merging_twice_changes_nothing(self):
        ours, theirs = TopK(3), TopK(3)
        ours.add("a", 5)
        theirs.add("a", 2)
        theirs.add("b", 9)
        for _ in range(3):
            ours.merge(theirs)
            ours.merge(theirs.to_bytes())
            assert ours.items()[:2] == [("b", 9, 0), ("a", 7, 0)]

    def test_threads_count_together(self):
        top = TopK(4)
        in_threads(lambda thread: [top.add(f"item {thread}") for _ in range(2_000)])
        assert sorted(top.items()) == [(f"item {thread}", 2_000, 0) for thread in range(4)]

    def test_copies_and_pickles(self):
        top = TopK(3)
        top.add("a", 3)
        for other in (copy.copy(top), copy.deepcopy(top), pickle.loads(pickle.dumps(top))):
            assert (other.items(), other.k) == ([("a", 3, 0)], 3)

    def test_bad_input_says_what_would_do(self):
        with pytest.raises(SketchError):
            TopK(0)
        for wrong in (5, None, 1.5):
            with pytest.raises(TypeError):
                TopK(3).add(wrong)
        with pytest.raises(ValueError, match="amount"):
            TopK(3).add("a", -1)
        with pytest.raises(SnapshotError):
            TopK.from_bytes(GCounter("a").to_bytes())
