"""Approximate counts: unbiased, within the stated error, merged once."""

import copy
import statistics

import pytest

from children import forks, in_a_forked_child
from hitring import ConfigError, Morris, Outcome, SketchError
from sketches import together


def test_the_first_hit_is_exact():
    counter = Morris()
    assert counter.estimate() == 0.0
    assert counter.record() is Outcome.COUNTED
    assert counter.estimate() == 1.0
    assert counter.record(0) is counter.record(amount=0) is Outcome.COUNTED
    assert counter.estimate() == 1.0


def test_error_and_base_say_the_same():
    assert (Morris().error, Morris().base) == (0.05, 1.005)
    assert Morris(0.1).base == pytest.approx(1.02)
    assert Morris(base=2).error == pytest.approx(0.7071, abs=1e-4)
    assert Morris(None, 1.5).error == 0.5
    with pytest.raises(ConfigError, match="give error or base, not both"):
        Morris(0.1, 1.02)


def test_a_seed_gives_the_same_estimate():
    def estimate(seed):
        counter = Morris(error=0.2, seed=seed)
        for _ in range(1_000):
            counter.record(3)
        return counter.estimate()

    assert estimate(5) == estimate(5)
    assert len({estimate(seed) for seed in (0, 1, 2, 2**64 - 1)}) > 1
    # None is the system's numbers.
    assert len({estimate(None) for _ in range(20)}) > 1


@pytest.mark.parametrize("amount", [1, 7])
def test_estimates_are_unbiased(amount):
    estimates = []
    for seed in range(400):
        counter = Morris(error=0.2, seed=seed)
        for _ in range(700 // amount):
            counter.record(amount)
        estimates.append(counter.estimate())
    error = statistics.stdev(estimates) / len(estimates) ** 0.5
    assert abs(statistics.mean(estimates) - 700) < 4 * error
    assert statistics.stdev(estimates) / 700 < 0.2 * 1.15


def test_threads_leave_it_unbiased():
    counters = [Morris(error=0.2) for _ in range(60)]

    def record():
        for counter in counters:
            for _ in range(200):
                counter.record()

    together(record, record, record)
    estimates = [counter.estimate() for counter in counters]
    error = 600 * 0.2 / len(counters) ** 0.5
    assert abs(statistics.mean(estimates) - 600) < 5 * error


def test_merged_estimates_add_up_once():
    one, two = Morris(error=0.1, seed=1), Morris(error=0.1, seed=2)
    one.record(1_000)
    two.record(5_000)
    both = one.estimate() + two.estimate()
    for _ in range(3):
        one.merge(two)
        one.merge(two.to_bytes())
    assert one.estimate() == pytest.approx(both)
    two.record(1_000_000)
    one.merge(two)
    two.merge(one)
    assert one.estimate() == pytest.approx(two.estimate())
    assert one.estimate() > both


def test_an_older_copy_takes_nothing_back():
    one, two = Morris(), Morris()
    two.record(10)
    older = two.to_bytes()
    two.record(10**6)
    one.merge(two)
    newer = one.estimate()
    one.merge(older)
    assert one.estimate() == newer


def test_what_does_not_fit_is_refused_whole():
    counter = Morris(base=2, seed=1)
    while counter.record(2**62) is Outcome.COUNTED:
        pass
    full = counter.estimate()
    assert counter.record(2**63 - 1) is Outcome.SATURATED
    assert counter.estimate() == full > 2**60


def test_other_bases_do_not_add():
    counter = Morris(0.1)
    for other in (Morris(0.2), Morris(0.2).to_bytes()):
        with pytest.raises(SketchError, match="build both with the same error or base"):
            counter.merge(other)


@pytest.mark.parametrize("error", [0, 0.0009, 0.51, -1, float("nan"), float("inf"), 10**400])
def test_impossible_errors(error):
    with pytest.raises(ConfigError, match=r"from 0\.001 to 0\.5"):
        Morris(error)


@pytest.mark.parametrize("base", [0, 1, 1.000001, 2.1, -1, float("nan"), -float("inf")])
def test_impossible_bases(base):
    with pytest.raises(ConfigError, match=r"from 1\.000002 .* to 2 "):
        Morris(base=base)


@pytest.mark.parametrize("value", ["0.1", True, [0.1]])
def test_errors_and_bases_are_numbers(value):
    with pytest.raises(TypeError, match="error must be a number"):
        Morris(value)
    with pytest.raises(TypeError, match="base must be a number"):
        Morris(base=value)


@pytest.mark.parametrize("seed", [-1, 2**64, -(2**70), 2**70])
def test_impossible_seeds(seed):
    with pytest.raises(ConfigError, match="seed does not fit"):
        Morris(seed=seed)


@pytest.mark.parametrize("seed", [1.0, "1", True])
def test_a_seed_is_an_integer(seed):
    with pytest.raises(TypeError, match="seed must be an int or None"):
        Morris(seed=seed)


@pytest.mark.parametrize(("amount", "error"), [(-1, ValueError), (2**63, ValueError), (1.0, TypeError)])
def test_bad_amounts_count_nothing(amount, error):
    counter = Morris()
    with pytest.raises(error, match="amount"):
        counter.record(amount)
    assert counter.estimate() == 0.0


def test_copies_of_a_seeded_one_draw_other_numbers():
    counter = Morris(error=0.2, seed=3)
    one, two = copy.copy(counter), copy.copy(counter)
    assert len({one.record(10**9), two.record(10**9)}) == 1
    assert one.estimate() != two.estimate()


@forks
def test_both_sides_of_a_fork_go_on_and_merge():
    counter = Morris(error=0.1)
    counter.record(1_000)
    inherited = counter.estimate()

    def child():
        counter.record(1_000_000)
        return counter.to_bytes(), counter.estimate()

    data, estimate = eval(in_a_forked_child(child))
    assert counter.estimate() == inherited
    counter.merge(data)
    counter.merge(data)
    assert counter.estimate() == pytest.approx(estimate)
