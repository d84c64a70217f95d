"""Costs that wait for room, and functions that are limited."""

import asyncio
import inspect
import pickle
import sys
import threading
import time

import pytest

from hitring import KeyedLimiter, Limiter, LimitExceeded, ManualClock, limited

KINDS = [(Limiter, ()), (KeyedLimiter, ("ann",))]
if sys.platform == "linux":
    from hitring import SharedRegistry


def shared(tmp_path, rate):
    return SharedRegistry(tmp_path / "hits.ring", max_endpoints=1).limiter("waits", rate)


class TestAcquire:
    @pytest.mark.parametrize(("kind", "key"), KINDS)
    def test_a_cost_waits_for_room_and_no_longer(self, kind, key):
        limiter = kind("3/100ms")
        begun = time.monotonic()
        assert all(limiter.acquire(*key) for _ in range(7))
        assert 0.2 <= time.monotonic() - begun < 20

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a shared file")
    def test_a_shared_limit_is_waited_for(self, tmp_path):
        limiter = shared(tmp_path, "2/100ms")
        begun = time.monotonic()
        assert all(limiter.acquire("ann", timeout=60) for _ in range(5))
        assert asyncio.run(limiter.acquire_async("ann"))
        assert limiter.acquire()
        assert 0.2 <= time.monotonic() - begun < 20

    @pytest.mark.parametrize(("kind", "key"), KINDS)
    def test_a_wait_that_is_too_long_is_not_begun(self, kind, key):
        limiter = kind("1/hour")
        assert limiter.acquire(*key)
        begun = time.monotonic()
        for timeout in (0, 0.0, 60, 3_000.5):
            decision = limiter.acquire(*key, timeout=timeout)
            assert not decision
            assert 3_500 < decision.retry_after <= 3_601
            assert not asyncio.run(limiter.acquire_async(*key, timeout=timeout))
        # What never fits is not waited for at all.
        assert limiter.acquire(*key, 2).retry_after is None
        assert time.monotonic() - begun < 30

    def test_other_threads_run_meanwhile(self):
        limiter = Limiter("1/200ms")
        assert limiter.acquire()
        waiting = threading.Thread(target=limiter.acquire)
        waiting.start()
        turns = 0
        while waiting.is_alive():
            turns += 1
        assert turns > 100

    def test_a_clock_that_is_moved_meanwhile_lets_it_through(self):
        clock = ManualClock(1_000)
        limiter = Limiter("1/50ms", clock=clock)
        assert limiter.acquire()
        mover = threading.Timer(0.02, clock.advance, (1,))
        mover.start()
        assert limiter.acquire(timeout=10)
        mover.join()

    def test_tasks_wait_side_by_side(self):
        limiter = Limiter("2/100ms")

        async def all_of_them():
            ticks = 0

            async def ticking():
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0.005)

            background = asyncio.ensure_future(ticking())
            decisions = await asyncio.gather(*(limiter.acquire_async(timeout=60) for _ in range(6)))
            background.cancel()
            return decisions, ticks

        begun = time.monotonic()
        decisions, ticks = asyncio.run(all_of_them())
        assert all(decisions)
        assert time.monotonic() - begun >= 0.2
        assert ticks > 5

    def test_bad_arguments(self):
        limiter = Limiter("1/s")
        for timeout in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout must be 0 or more seconds, or None"):
                limiter.acquire(timeout=timeout)
            with pytest.raises(ValueError, match="timeout must be 0 or more seconds, or None"):
                limiter.acquire_async(timeout=timeout)
        with pytest.raises(TypeError, match="timeout must be a number"):
            limiter.acquire(timeout="5")
        with pytest.raises(TypeError, match="cost must be an int"):
            limiter.acquire(1.5)
        with pytest.raises(TypeError, match="key must be a str or bytes"):
            KeyedLimiter("1/s").acquire(5)
        with pytest.raises(TypeError):
            limiter.acquire(1, 5)
        assert limiter.peek().remaining == 1


class TestLimited:
    def test_calls_beyond_the_limit_raise(self):
        clock = ManualClock(1_000)
        calls = []

        @limited(Limiter("2/minute", clock=clock))
        def send(text, *, to="ann"):
            """Send it."""
            calls.append((text, to))
            return len(text)

        assert (send.__name__, send.__doc__) == ("send", "Send it.")
        assert (send("hi"), send("hello", to="ben")) == (2, 5)
        with pytest.raises(LimitExceeded, match="try again in 60 seconds") as raised:
            send("again")
        assert raised.value.decision.retry_after == 60
        again = pickle.loads(pickle.dumps(raised.value))
        assert (again.decision, str(again)) == (raised.value.decision, str(raised.value))
        clock.advance(60)
        assert send("again") == 5
        assert calls == [("hi", "ann"), ("hello", "ben"), ("again", "ann")]

    def test_each_key_has_a_limit_of_its_own(self):
        limiter = KeyedLimiter("1/minute")

        @limited(limiter, lambda user, *_, **__: user)
        def login(user, password):
            return user + password

        @limited(limiter, "ben")
        def other():
            return "other"

        assert login("ann", "x") == "annx"
        with pytest.raises(LimitExceeded):
            login("ann", password="y")
        assert other() == "other"
        with pytest.raises(LimitExceeded):
            login("ben", "z")

    def test_coroutines_and_methods(self):
        limiter = Limiter("2/minute")

        class Service:
            @limited(limiter)
            async def call(self, value):
                await asyncio.sleep(0)
                return value

        assert inspect.iscoroutinefunction(Service.call)
        assert asyncio.run(Service().call(5)) == 5
        # A call that is refused is refused when it is awaited.
        refused = [Service().call(6), Service().call(7)]
        assert asyncio.run(refused[0]) == 6
        with pytest.raises(LimitExceeded):
            asyncio.run(refused[1])

    def test_calls_may_wait(self):
        @limited(Limiter("1/100ms"), timeout=60)
        def call():
            return time.monotonic()

        begun = time.monotonic()
        call()
        assert call() - begun >= 0.1

        @limited(Limiter("1/100ms"), timeout=None)
        async def waits():
            return time.monotonic()

        async def twice():
            await waits()
            return await waits()

        begun = time.monotonic()
        assert asyncio.run(twice()) - begun >= 0.1

    def test_costs_and_what_the_function_raises(self):
        limiter = Limiter("5/minute")

        @limited(limiter, cost=2)
        def fails():
            raise KeyError(5)

        for _ in range(2):
            with pytest.raises(KeyError):
                fails()
        with pytest.raises(LimitExceeded):
            fails()
        assert limiter.peek().remaining == 1
        with pytest.raises(LimitExceeded, match="more than the limit ever lets through"):
            limited(limiter, cost=6)(len)("abc")
        with pytest.raises(TypeError, match="has no keys"):
            limited(limiter, "ann")
        with pytest.raises(TypeError, match="needs a key"):
            limited(KeyedLimiter("1/s"))
        with pytest.raises(TypeError, match="needs a limiter, not str"):
            limited("5/s")
        with pytest.raises(ValueError, match="timeout must be 0 or more"):
            limited(limiter, timeout=-1)

    def test_an_object_whose_call_is_a_coroutine(self):
        class Calls:
            async def __call__(self, value):
                return value

        call = limited(Limiter("1/minute"))(Calls())
        assert inspect.iscoroutinefunction(call)
        assert asyncio.run(call(5)) == 5
        with pytest.raises(LimitExceeded):
            asyncio.run(call(6))

    def test_the_text_says_why(self):
        limiter = Limiter(1, 200_000_000, clock=ManualClock(1_000))
        assert limiter.allow()
        assert str(LimitExceeded(limiter.allow())).endswith("try again in 200000000 seconds")
        assert "too far ahead" in str(LimitExceeded(limiter.allow(at=1e9)))

    @pytest.mark.skipif(sys.platform != "linux", reason="needs a shared file")
    def test_a_shared_limit(self, tmp_path):
        limiter = shared(tmp_path, "1/minute")
        assert limited(limiter)(len)("abc") == 3
        with pytest.raises(LimitExceeded):
            limited(limiter)(len)("abc")
        assert limited(limiter, "other")(len)("abc") == 3
