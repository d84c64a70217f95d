"""Strategies: by name or with options, what each promises, and what a swap leaves countable."""

import math
import pickle
import statistics

import pytest

from hitring import ConfigError, Estimate, HitCounter, ManualClock, Outcome, QueryError, Registry, Strategy

NOW = 1_000_000
ALL = ["ring", "striped", "fixed", "sliding", "morris", "adaptive"]
EXACT = ["ring", "striped", "sliding", "adaptive"]


def registry(strategy, **options):
    return Registry(strategy=strategy, clock=ManualClock(NOW), **options)


def test_a_strategy_is_its_name_and_options():
    for name in ALL:
        strategy = getattr(Strategy, name)()
        assert strategy.name == name
        assert getattr(Strategy, name)(**strategy.options) == strategy
        assert eval(repr(strategy)) == strategy
        assert pickle.loads(pickle.dumps(strategy)) == strategy
        assert hash(pickle.loads(pickle.dumps(strategy))) == hash(strategy)
        assert registry(strategy).strategy == registry(name).strategy == name
    assert len({getattr(Strategy, name)() for name in ALL}) == len(ALL)
    assert Strategy.ring() != "ring"


def test_options():
    assert Strategy.fixed().options == {"window_size": 60}
    assert Strategy.fixed(5).options == {"window_size": 5}
    assert Strategy.sliding(max_hits=10).options == {"max_hits": 10}
    assert Strategy.morris(base=2).options == {"base": 2}
    assert Strategy.morris(0.05) == Strategy.morris()
    assert Strategy.morris(error=0.05).options["base"] == pytest.approx(1.005)
    assert registry(Strategy.fixed(5)).strategy == "fixed:window_size=5"
    assert registry("fixed:window_size=5").strategy == "fixed:window_size=5"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Strategy.morris(0.05, base=2), ConfigError, "give error or base, not both"),
        (lambda: Strategy.morris(error=0), ConfigError, r"0\.001.*0\.5"),
        (lambda: Strategy.morris(error=0.6), ConfigError, r"0\.001.*0\.5"),
        (lambda: Strategy.morris(base=1), ConfigError, "1.000002"),
        (lambda: Strategy.morris(base=10**400), ConfigError, "1.000002"),
        (lambda: Strategy.morris(base="2"), TypeError, "base must be a number"),
        (lambda: Strategy.fixed(-1), ConfigError, "negative"),
        (lambda: Strategy.sliding(-1), ConfigError, "negative"),
        (lambda: Strategy.sliding(1.5), TypeError, "max_hits must be an int"),
        (lambda: Strategy.fixed(0), ConfigError, "window_size of 0"),
        (lambda: registry("fixed:window_size=0"), ConfigError, "window_size"),
        (lambda: registry(Strategy.fixed(0.5)), ConfigError, "tick"),
        (lambda: registry(Strategy.fixed(301)), ConfigError, "window"),
        (lambda: Strategy.sliding(0), ConfigError, "max_hits"),
        (lambda: registry("sliding:max_hits=0"), ConfigError, "max_hits"),
        (lambda: registry("sliding:hits=3"), ConfigError, "max_hits"),
        (lambda: registry("ring:size=3"), ConfigError, "ring"),
        (lambda: HitCounter(strategy=Strategy.adaptive()), ConfigError, "Registry"),
        (lambda: HitCounter(strategy="morris"), ConfigError, "Registry"),
    ],
)
def test_invalid_strategies_are_refused(make, error, message):
    with pytest.raises(error, match=message) as raised:
        make()
    assert type(raised.value) is error


def test_a_counter_takes_strategies_too():
    counter = HitCounter(strategy=Strategy.ring())
    counter.hit(5)
    assert counter.strategy == "ring"
    assert counter.count_at(5) == 1


@pytest.mark.parametrize("name", EXACT)
def test_exact_strategies_count_what_was_recorded(name):
    counts = registry(name)
    for second in range(300):
        for _ in range(second % 7):
            counts.record_hit("/a", NOW - second)
    for last in (1, 2, 59, 60, 299, 300):
        assert counts.query_hits("/a", last) == sum(second % 7 for second in range(last))
    assert type(counts.query_hits("/a")) is int


def test_fixed_buckets_are_counted_whole():
    """Never less than there is, never more than the hits of one bucket before."""
    counts = registry(Strategy.fixed(60))
    exact = registry("ring")
    for second in range(300):
        for each in (counts, exact):
            each.record_hit("/a", NOW - second, 1 + second % 5)
    for last in range(1, 241):
        fixed, true = counts.query_hits("/a", last), exact.query_hits("/a", last)
        assert true <= fixed <= exact.query_hits("/a", min(last + 59, 300))
    assert counts.query_hits("/a", 1) > exact.query_hits("/a", 1)


def test_sliding_is_exact_to_the_microsecond():
    counts = registry("sliding")
    for at in (NOW - 0.75, NOW - 0.5, NOW - 0.25):
        counts.record_hit("/a", at)
    assert [counts.query_hits("/a", last, NOW) for last in (0.25, 0.250001, 0.5, 0.75, 1)] == [0, 1, 1, 2, 3]
    with pytest.raises(QueryError):
        registry("ring").query_hits("/a", 0.25)


def test_sliding_is_bounded():
    counts = registry(Strategy.sliding(max_hits=10))
    told = [counts.record_hit("/a", NOW - index / 100) for index in range(200)]
    assert told.count(Outcome.COUNTED) == counts.query_hits("/a") < 200
    assert counts.metrics().refused == told.count(Outcome.REFUSED) > 0
    assert set(told) == {Outcome.COUNTED, Outcome.REFUSED}


def test_morris_answers_an_estimate_that_says_so():
    counts = registry(Strategy.morris(error=0.05))
    # Each endpoint is one estimate of the same number.
    for name in range(200):
        counts.record_hit(f"/{name}", NOW, 10_000)
    estimates = [counts.query_hits(f"/{name}", 60) for name in range(200)]
    assert all(type(estimate) is Estimate for estimate in estimates)
    assert estimates[0].error == pytest.approx(0.05)
    spread = statistics.stdev(estimates) / 10_000
    assert 0.03 < spread < 0.08
    assert abs(statistics.mean(estimates) - 10_000) < 5 * 10_000 * 0.05 / 200**0.5
    total = counts.total()
    assert type(total) is Estimate
    assert total == sum(estimates)
    assert total / 2_000_000 == pytest.approx(1, abs=0.03)
    name, hits = counts.top(1)[0]
    assert hits == max(estimates)
    assert type(hits) is Estimate
    assert counts.counter(name).count() == hits


def test_the_seeds_own_morris():
    counts = registry(Strategy.morris(base=2))
    counts.record_hit("/a", NOW, 1)
    assert counts.query_hits("/a") == 1
    counts.record_hit("/a", NOW, 1_000)
    assert counts.query_hits("/a") + 1 in [2**c for c in range(2, 40)]
    assert counts.query_hits("/a").error == pytest.approx(0.5**0.5)


def test_a_mean_of_estimates_is_one_of_unknown_error():
    mean = statistics.mean([Estimate(1, error=0.1), Estimate(3, error=0.1)])
    assert mean == 2
    assert math.isnan(Estimate(2).error)


def test_an_estimate_is_an_int():
    estimate = Estimate(100, error=0.05)
    assert estimate == 100
    assert estimate + 1 == 101
    assert type(estimate + 1) is int
    assert f"{estimate:,} {estimate}" == "100 100"
    assert repr(estimate) == "Estimate(100, error=0.05)"
    assert pickle.loads(pickle.dumps(estimate)).error == 0.05
    assert hash(estimate) == hash(100)
    with pytest.raises(AttributeError):
        estimate.error = 1


@pytest.mark.parametrize("old", EXACT)
@pytest.mark.parametrize("new", EXACT)
def test_a_swap_keeps_what_was_counted_until_it_leaves_the_window(old, new):
    clock = ManualClock(NOW)
    counts = Registry(strategy=old, clock=clock)
    handle = counts.counter("/a")
    handle.record(3)
    assert counts.swap_strategy(new) == (0 if old == new else 1)
    clock.advance(100)
    handle.record(4)
    counts.record_hit("/b")
    assert counts.query_hits("/a") == handle.count() == 7
    assert counts.query_hits("/a", 100) == 4
    clock.advance(200)
    assert counts.query_hits("/a") == 4
    assert counts.metrics().total_hits == 8
    assert counts.strategy == handle.strategy == new


def test_a_swap_to_estimates_says_that_they_are_in_it():
    clock = ManualClock(NOW)
    counts = Registry(clock=clock)
    counts.record_hit("/a", None, 100)
    assert type(counts.query_hits("/a")) is int
    counts.swap_strategy(Strategy.morris(base=2))
    assert counts.query_hits("/a") == 100
    counts.record_hit("/a")
    assert type(counts.query_hits("/a")) is Estimate
    assert counts.query_hits("/a") == 101
    clock.advance(150)
    counts.swap_strategy("ring")
    counts.record_hit("/a", None, 5)
    assert counts.query_hits("/a") == 106
    clock.advance(150)
    assert counts.query_hits("/a") == 5
    assert type(counts.query_hits("/a", 150)) is int


def test_one_endpoint_may_have_a_strategy_of_its_own():
    counts = registry("ring")
    exact = counts.counter("/exact", "sliding")
    assert exact.strategy == "sliding"
    assert counts.counter("/exact").strategy == "sliding"
    counts.record_hit("/a")
    assert counts.swap_strategy("striped", "/a") == 1
    assert counts.swap_strategy("striped", "/a") == 0
    assert counts.swap_strategy("striped", endpoint="/nobody") == 0
    assert counts.strategy == "ring"
    assert counts.strategy_of("/a").strategy == "striped"
    assert counts.strategy_of("/a").shape is None
    assert counts.strategy_of("/nobody") is None
    with pytest.raises(ConfigError):
        counts.swap_strategy(Strategy.fixed(1_000), "/a")
    assert counts.strategy_of("/a").strategy == "striped"


def test_adaptive_starts_compact_and_goes_with_the_traffic():
    clock = ManualClock(NOW)
    counts = Registry(strategy="adaptive", clock=clock)
    shapes = []
    for second in range(40):
        counts.record_hit("/a")
        shape = counts.strategy_of("/a")
        assert shape.strategy == "adaptive"
        assert shape.why
        if shape.shape not in shapes:
            shapes.append(shape.shape)
        clock.advance(1)
        assert counts.query_hits("/a") == second + 1
    assert shapes == ["few", "sparse", "ring"]
    # Idle again, it takes little.
    held = counts.counter("/a")
    clock.advance(1_000)
    counts.prune()
    held.record()
    assert counts.strategy_of("/a").shape == "few"
    assert counts.query_hits("/a") == 1
