"""Limiter, KeyedLimiter and Decision from Python."""

import copy
import datetime
import json
import math
import pickle
import threading
import time
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import Decision, KeyedLimiter, Limiter, LimitError, ManualClock, Registry, SystemClock

START = 1_700_000_000


def clocked(kind, *arguments, **options):
    clock = ManualClock(START)
    return kind(*arguments, clock=clock, **options), clock


class TestLimiter:
    def test_the_limit_is_let_through_and_not_one_more(self):
        for options in ({}, {"burst": 3}):
            limiter, clock = clocked(Limiter, 3, 60, **options)
            assert [limiter.allow().allowed for _ in range(5)] == [True, True, True, False, False]
            refused = limiter.allow()
            assert (refused.remaining, refused.allowed) == (0, False)
            clock.advance(refused.retry_after)
            assert limiter.allow().allowed

    @pytest.mark.parametrize(("low", "high"), [(5, 10), (50, 60), (50, 100), (100, 200)])
    def test_a_rate_that_goes_down_and_up_again_gives_nothing(self, low, high):
        limiter, clock = clocked(Limiter, f"{high}/minute")
        assert limiter.allow(high)
        for _ in range(3):
            limiter.set_rate(f"{low}/minute")
            assert (limiter.peek().remaining, limiter.rate) == (0, f"{low}/60s")
            limiter.set_rate(high, 60)
            assert not limiter.allow()
        clock.advance(limiter.peek().retry_after)
        assert limiter.allow(high)

    def test_a_bucket_lacks_as_much_as_before(self):
        limiter, clock = clocked(Limiter, "1/s", burst=10)
        assert limiter.allow(8)
        limiter.set_rate("10/s", burst=20)
        assert limiter.peek().remaining == 12
        clock.advance(0.5)
        assert limiter.peek().remaining == 17
        limiter.set_rate("1/s")
        assert (limiter.peek().remaining, limiter.rate) == (17, "1/1s")
        by_hand = Limiter("1/s", burst=10)
        assert by_hand.allow(10, at=1_000)
        by_hand.set_rate("10/s", at=1_002)
        assert by_hand.peek(at=1_002.5).remaining == 7
        with pytest.raises(LimitError, match="several rates together take no burst"):
            limiter.set_rate("1/s;5/minute")

    def test_a_reset_forgets_what_was_let_through(self):
        limiter, _ = clocked(Limiter, "3/minute")
        for _ in range(2):
            assert limiter.allow(3)
            assert not limiter.allow()
            assert limiter.reset() is None
        assert limiter.allow(3)

    @pytest.mark.parametrize(
        ("rate", "limit", "window"),
        [
            ("100/minute", 100, 60),
            ("5/s", 5, 1),
            ("10 per 30 seconds", 10, 30),
            ("3/250ms", 3, 0.25),
            ("1/d", 1, 86_400),
            ("9/week", 9, 604_800),
            ("9 per month", 9, 30 * 86_400),
            ("9/year", 9, 365 * 86_400),
        ],
    )
    def test_rates_as_text(self, rate, limit, window):
        limiter = Limiter(rate)
        assert (limiter.limit, limiter.window) == (limit, window)
        assert Limiter(limit, window).limit == limit

    def test_a_refused_cost_consumes_nothing(self):
        for options in ({}, {"burst": 5}):
            limiter, _ = clocked(Limiter, "5/minute", **options)
            assert limiter.allow(3).remaining == 2
            for _ in range(20):
                assert not limiter.allow(3)
                assert limiter.allow(6).retry_after is None
                assert limiter.allow(0)
                assert limiter.peek().remaining == 2
            assert limiter.allow(2).allowed

    def test_times_of_the_caller(self):
        limiter = Limiter(2, 60)
        allowed = [limiter.allow(at=second).allowed for second in (0, 1, 2, 59, 60, 61, 62)]
        assert allowed == [True, True, False, False, True, True, False]
        assert limiter.allow(1, at=62).retry_after == 58
        sliding = Limiter(2, 60, resolution=1)
        allowed = [sliding.allow(at=second).allowed for second in (0, 1, 2, 59, 60, 61, 62)]
        assert allowed == [True, True, False, False, False, True, True]
        assert limiter.peek(at=datetime.datetime.fromtimestamp(1_000, datetime.timezone.utc)).remaining == 2

    @given(
        st.lists(st.tuples(st.integers(0, 1_500), st.integers(0, 5)), max_size=80),
        st.integers(1, 8),
    )
    def test_no_window_holds_more_than_the_limit(self, asked, limit):
        limiter, clock = clocked(Limiter, limit, 6, resolution=1)
        limiter.peek()
        now, log = 0, []
        for wait, cost in asked:
            now += wait
            clock.set(START + now / 1_000)
            first = max(0, now // 1_000 - 6) * 1_000
            used = sum(cost for at, cost in log if at >= first)
            decision = limiter.allow(cost)
            assert decision.allowed == (used + cost <= limit)
            assert decision.remaining == limit - used - (cost if decision else 0)
            if decision:
                log.append((now, cost))
        for at, _ in log:
            assert sum(cost for then, cost in log if at <= then < at + 6_000) <= limit

    @given(
        st.sampled_from(["5/s", "2/s", "10/10s", "7/minute", "100/s", "300/minute", "1/ms", "3/7s"]),
        st.sampled_from([None, 1, 3, 70]),
        st.lists(st.floats(0, 3), max_size=12),
        st.floats(0, 4_000_000_000),
    )
    def test_waiting_as_long_as_was_told_is_enough(self, rate, burst, waits, start):
        clock = ManualClock(start)
        limiter = Limiter(rate, burst=burst, clock=clock)
        theirs = Limiter(rate, burst=burst)
        for wait in waits:
            clock.advance(wait)
            cost = 1 if burst == 1 else 2 if limiter.limit > 1 else 1
            while limiter.allow(cost):
                pass
            decision = limiter.allow(cost)
            assert 0 < decision.retry_after <= 61
            clock.advance(decision.retry_after)
            assert limiter.allow(cost), (rate, burst, decision)
            # The same by times of the caller, which are floats.
            now = clock.now()
            while theirs.allow(cost, at=now):
                pass
            decision = theirs.allow(cost, at=now)
            assert theirs.allow(cost, at=now + decision.retry_after), (rate, burst, now, decision)

    def test_a_client_exactly_on_the_rate_is_let_through(self):
        for rate, gap in (("1/s", 1), ("5/s", 0.2), ("1/100ms", 0.1), ("10/10s", 1)):
            for options in ({}, {"burst": 1}):
                for kind in (Limiter, KeyedLimiter):
                    limiter, clock = clocked(kind, rate, **options)
                    key = ("ann",) if kind is KeyedLimiter else ()
                    for _ in range(60):
                        assert limiter.allow(*key), (rate, options)
                        clock.advance(gap)

    def test_a_client_on_the_rate_in_real_time(self):
        limiter, keyed = Limiter("5/100ms"), KeyedLimiter("5/100ms")
        for _ in range(40):
            assert limiter.allow() and keyed.allow("ann")
            time.sleep(0.021)

    def test_token_buckets_have_every_token_again(self):
        for rate, burst, window in (
            ("3/s", 3, 1),
            ("7/minute", 7, 60),
            ("3/10s", 3, 10),
            ("30/7 s", 30, 7),
            ("11/minute", 11, 60),
            (f"{2**32}/s", 2**32, 1),
            ("700000000/s", 700_000_000, 1),
        ):
            limiter, clock = clocked(Limiter, rate, burst=burst)
            for _ in range(5):
                assert limiter.allow(burst) == limiter.peek(0), rate
                clock.advance(window)

    def test_several_rates_are_decided_together(self):
        for kind, key in ((Limiter, ()), (KeyedLimiter, ("ann",))):
            limiter, clock = clocked(kind, "2/second; 5/minute")
            assert (limiter.rate, limiter.limit, limiter.window) == ("2/1s;5/60s", 2, 1)
            for _ in range(2):
                assert limiter.allow(*key, 2)
                decision = limiter.allow(*key)
                assert (decision.allowed, decision.which, decision.retry_after) == (False, 0, 1)
                assert decision.headers()["RateLimit-Policy"] == '"default-0";q=2;w=1'
                clock.advance(1)
            # The refused ones took nothing from the minute.
            decision = limiter.allow(*key, 2)
            assert (decision.which, decision.remaining, decision.retry_after) == (1, 1, 58)
            assert decision.headers("api")["RateLimit"] == '"api-1";r=1;t=58'
            assert pickle.loads(pickle.dumps(decision)).headers() == decision.headers()
            assert limiter.allow(*key)
            assert limiter.allow(*key, 3).retry_after is None
            assert "2/1s;5/60s" in repr(limiter)
        for rates, options, says in (
            ("1/s;2/s;3/s;4/s;5/s", {}, "give 1 to 4"),
            ("1/s;", {}, "not a rate"),
            ("1/s;5/m", {"burst": 3}, "no burst"),
            ("1/s;5/m", {"resolution": 1}, "no resolution"),
        ):
            with pytest.raises(LimitError, match=says):
                Limiter(rates, **options)

    def test_peek_takes_a_cost_and_times_are_named(self):
        for kind, key in ((Limiter, ()), (KeyedLimiter, ("ann",))):
            limiter, _ = clocked(kind, "5/minute")
            limiter.allow(*key, 4)
            assert limiter.peek(*key, 1)
            assert not limiter.peek(*key, 2)
            assert limiter.peek(*key, 6).retry_after is None
            assert limiter.peek(*key, cost=2) == limiter.allow(*key, 2)
            for method in (limiter.allow, limiter.peek):
                with pytest.raises(TypeError):
                    method(*key, 1, START)

    def test_times_from_the_future(self):
        for kind, key in ((Limiter, ()), (KeyedLimiter, ("ann",))):
            for options in ({"clock": SystemClock()}, {"max_skew": 5}, {"burst": 5, "max_skew": 5}):
                limiter = kind("5/minute", **options)
                decision = limiter.allow(*key, at=16_000_000_000)
                assert (decision.is_future, decision.allowed, decision.retry_after) == (True, False, None)
                assert limiter.allow(*key, 5)
            with pytest.raises(LimitError, match="max_skew is negative"):
                kind("5/minute", max_skew=-1)

    def test_threads_get_the_limit_and_not_one_more(self):
        for options in ({}, {"burst": 1_000}):
            limiter, _ = clocked(Limiter, 1_000, 60, **options)
            allowed = []

            def ask(limiter=limiter, allowed=allowed):
                allowed.append(sum(limiter.allow().allowed for _ in range(1_000)))

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sum(allowed) == 1_000

    def test_the_systems_clock_is_steady_and_waited_for(self):
        limiter = Limiter("1/100ms")
        assert limiter.allow()
        for _ in range(3):
            time.sleep(limiter.allow().retry_after)
            assert limiter.allow()

    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            (("nonsense",), LimitError, "100/minute"),
            (("5/s", 3), TypeError, "leave out window"),
            ((5,), TypeError, "needs a window"),
            ((0, 60), LimitError, "1 to 4294967296"),
            ((-1, 60), LimitError, r"1 to 2\*\*32"),
            ((5, 0), LimitError, "1 ms to 100 years"),
            ((5, -1), LimitError, "negative"),
            ((5, math.inf), LimitError, "finite"),
            ((5.5, 60), TypeError, "limit must be an int"),
            ((None, 60), TypeError, "limit must be an int"),
            ((True, 60), TypeError, "limit must be an int"),
            ((5, "60"), TypeError, "window must be seconds"),
        ],
    )
    def test_invalid_limits_are_refused(self, arguments, error, says):
        for kind in (Limiter, KeyedLimiter):
            with pytest.raises(error, match=says):
                kind(*arguments)

    def test_options_that_do_not_fit(self):
        for options, says in (
            ({"burst": 0}, "burst"),
            ({"burst": 5, "resolution": 1}, "leave out"),
            ({"resolution": 61}, "at most the window"),
            ({"resolution": 0}, "65536th"),
        ):
            with pytest.raises(LimitError, match=says):
                Limiter("5/minute", **options)
        with pytest.raises(TypeError):
            Limiter("5/minute", clock=5)

    def test_costs_are_whole_and_not_negative(self):
        limiter = Limiter("5/minute")
        with pytest.raises(ValueError, match="cost is negative"):
            limiter.allow(-1)
        for wrong in ("1", 1.0, None, True):
            with pytest.raises(TypeError, match="cost must be an int"):
                limiter.allow(wrong)
        with pytest.raises(ValueError, match="at"):
            limiter.allow(1, at=-5)
        assert limiter.peek().remaining == 5


class TestDecision:
    def test_it_is_true_if_it_was_let_through_and_unpacks(self):
        limiter, _ = clocked(Limiter, 1, 60)
        yes, no = limiter.allow(), limiter.allow()
        assert isinstance(yes, Decision)
        assert (bool(yes), bool(no)) == (True, False)
        allowed, remaining, retry_after = no
        assert (allowed, remaining, retry_after) == (False, 0, 60.0)
        assert repr(yes) == "Decision(allowed=True, remaining=0, retry_after=0.0)"
        assert no == limiter.allow()
        assert hash(no) == hash(limiter.allow())
        assert yes != no
        assert yes != (True, 0, 0.0)
        assert yes.__eq__(5) is NotImplemented
        assert yes == ANY
        assert ANY.__eq__(yes)
        with pytest.raises(AttributeError):
            yes.allowed = False
        with pytest.raises(TypeError):
            Decision()

    def test_it_can_be_pickled_and_written_as_json(self):
        limiter, _ = clocked(Limiter, "3/minute", burst=3)
        for decision in (limiter.allow(), limiter.allow(3), limiter.allow(4)):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                again = pickle.loads(pickle.dumps(decision, protocol))
                assert (again, hash(again), repr(again)) == (decision, hash(decision), repr(decision))
                assert again.headers() == decision.headers()
            assert copy.deepcopy(decision) == decision
            assert json.loads(json.dumps(decision.as_dict())) == {
                "allowed": decision.allowed,
                "remaining": decision.remaining,
                "retry_after": decision.retry_after,
            }
        assert repr(limiter.allow(4)) == "Decision(allowed=False, remaining=2, retry_after=None)"
        tiny, _ = clocked(Limiter, 1, 0.001)
        tiny.allow(at=START + 0.00099)
        # As Python writes a float.
        assert repr(tiny.peek()) == "Decision(allowed=False, remaining=0, retry_after=0.00199)"

    def test_headers_are_those_of_the_draft(self):
        limiter, clock = clocked(Limiter, "2/minute")
        assert limiter.allow(2).headers() == {
            "RateLimit-Policy": '"default";q=2;w=60',
            "RateLimit": '"default";r=0',
        }
        clock.advance(0.5)
        assert limiter.allow().headers("logins") == {
            "RateLimit-Policy": '"logins";q=2;w=60',
            "RateLimit": '"logins";r=0;t=60',
            "Retry-After": "60",
        }
        assert "Retry-After" not in limiter.allow(3).headers()
        assert clocked(Limiter, "2/s", burst=10)[0].allow().headers("a b")["RateLimit-Policy"] == '"a b";q=10;w=5'


class TestKeyedLimiter:
    def test_it_is_true_also_without_a_key(self):
        assert KeyedLimiter("2/minute")
        assert Registry()

    def test_all_keys_get_a_new_rate_and_keep_what_they_used(self):
        limiter, _ = clocked(KeyedLimiter, "5/minute")
        for key in range(100):
            assert limiter.allow(f"key {key}", key % 5 + 1)
        assert limiter.set_rate(7, 60) is None
        assert (limiter.rate, limiter.limit, limiter.window, len(limiter)) == ("7/60s", 7, 60, 100)
        assert all(limiter.peek(f"key {key}").remaining == 7 - (key % 5 + 1) for key in range(100))
        limiter.set_rate("3/minute;100/hour")
        assert all(limiter.peek(f"key {key}").remaining == max(0, 3 - (key % 5 + 1)) for key in range(100))
        refused = limiter.allow("key 4")
        assert refused.headers("a")["RateLimit-Policy"] == '"a-0";q=3;w=60'
        with pytest.raises(LimitError, match="a burst of 5 is a token bucket's"):
            limiter.set_rate("3/minute", burst=5)
        assert limiter.rate == "3/60s;100/3600s"

    def test_threads_that_decide_while_the_rate_changes_get_no_more(self):
        limiter, _ = clocked(KeyedLimiter, "50/minute")
        allowed, begins = [0] * 4, threading.Barrier(4)

        def ask(nth):
            begins.wait()
            for turn in range(2_000):
                if nth == 0:
                    limiter.set_rate(f"{40 + turn % 11}/minute")
                else:
                    allowed[nth] += limiter.allow("ann").allowed

        threads = [threading.Thread(target=ask, args=(nth,)) for nth in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 40 <= sum(allowed) <= 50

    def test_a_key_that_is_reset_begins_anew(self):
        limiter, _ = clocked(KeyedLimiter, "2/minute")
        assert limiter.reset("ann") is False
        assert limiter.allow("ann", 2)
        assert not limiter.allow("ann")
        assert limiter.reset(b"ann") is True
        assert limiter.allow("ann", 2)
        with pytest.raises(TypeError, match="key must be a str or bytes"):
            limiter.reset(5)

    def test_each_key_has_a_limit_of_its_own(self):
        limiter, clock = clocked(KeyedLimiter, "2/minute")
        for key in ("a", b"b", "ä"):
            assert [limiter.allow(key).allowed for _ in range(3)] == [True, True, False]
        assert limiter.allow(b"a").allowed is False, "a str is the bytes of its UTF-8"
        assert (len(limiter), limiter.peek("new").remaining, len(limiter)) == (3, 2, 3)
        clock.advance(60)
        assert limiter.prune() == 3
        assert len(limiter) == 0
        assert limiter.metrics().dropped == 3

    def test_there_are_never_more_keys_than_may_be(self):
        refusing, _ = clocked(KeyedLimiter, "2/minute", max_keys=2)
        assert [bool(refusing.allow(key)) for key in "abcab"] == [True, True, False, True, True]
        assert (refusing.metrics().refused, len(refusing), refusing.max_keys) == (1, 2, 2)
        allowing, _ = clocked(KeyedLimiter, "2/minute", max_keys=1, when_full="allow")
        assert all(allowing.allow(key) for key in ("a", "b", "b", "b"))
        assert allowing.metrics().unlimited == 3

    def test_costs_and_times(self):
        limiter = KeyedLimiter(10, 12)
        assert limiter.allow("a", 8, at=100).remaining == 2
        assert not limiter.allow("a", 3, at=111)
        assert limiter.allow("a", 3, at=112)
        assert limiter.prune(at=123) == 0
        assert limiter.prune(at=200) == 1

    def test_threads_share_the_keys(self):
        limiter, _ = clocked(KeyedLimiter, 50, 60)
        allowed = []

        def ask(number):
            allowed.append(sum(limiter.allow(f"key {(turn + number) % 20}").allowed for turn in range(4_000)))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (sum(allowed), len(limiter)) == (1_000, 20)

    def test_bad_input_says_what_would_do(self):
        with pytest.raises(TypeError, match="key must be a str or bytes"):
            KeyedLimiter("1/s").allow(5)
        with pytest.raises(LimitError, match="at least one"):
            KeyedLimiter("1/s", max_keys=0)
        with pytest.raises(LimitError, match="refuse"):
            KeyedLimiter("1/s", when_full="prune")
        with pytest.raises(TypeError, match="when_full"):
            KeyedLimiter("1/s", when_full=None)
        assert repr(KeyedLimiter("1/s")) == "<hitring.KeyedLimiter of 1/1s for each of 0 keys>"
