"""Waiting until a limiter lets a cost through, and functions that are limited.

==========================================  ============================================================================
a decision                                  then
==========================================  ============================================================================
lets the cost through                       it is the answer
refuses it, and waiting does not help       it is the answer
refuses it for longer than is left          it is the answer at once: nothing is gained by sleeping
refuses it                                  sleep as long as it says, and ask again
==========================================  ============================================================================

There is no queue: costs that wait ask again when they wake, beside those that come then. Timeouts are real time,
whatever the limiter's clock is.
"""

from __future__ import annotations

import functools
import time

from hitring._errors import LimitExceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, Callable, TypeVar

    from hitring._hitring import Decision, KeyedLimiter, Limiter, SharedLimiter

    _Function = TypeVar("_Function", bound=Callable[..., Any])

__all__ = ["acquire", "acquire_async", "limited"]


class _Deadline:
    """Until when to wait; ``None`` is for ever."""

    __slots__ = ("_end",)

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and not timeout >= 0:
            message = f"timeout must be 0 or more seconds, or None, not {timeout!r}"
            raise ValueError(message)
        self._end = None if timeout is None else time.monotonic() + timeout

    def sleeps(self, decision: Decision) -> float | None:
        """Return how long to sleep after a decision, or ``None`` if it is the answer."""
        wait = decision.retry_after
        if decision or wait is None:
            return None
        if self._end is not None and wait > self._end - time.monotonic():
            return None
        return wait


def acquire(allow: Callable[[], Decision], timeout: float | None) -> Decision:
    """Ask until a cost is let through, or the timeout is over, and return the last decision."""
    deadline = _Deadline(timeout)
    while True:
        decision = allow()
        wait = deadline.sleeps(decision)
        if wait is None:
            return decision
        time.sleep(wait)


def acquire_async(allow: Callable[[], Decision], timeout: float | None) -> Coroutine[Any, Any, Decision]:
    """Return a coroutine that does the same in asyncio."""
    deadline = _Deadline(timeout)

    async def waiting() -> Decision:
        import asyncio  # noqa: PLC0415  (not needed by those who do not wait in it)

        while True:
            decision = allow()
            wait = deadline.sleeps(decision)
            if wait is None:
                return decision
            await asyncio.sleep(wait)

    return waiting()


def limited(
    limiter: Limiter | KeyedLimiter | SharedLimiter,
    key: str | bytes | Callable[..., str | bytes] | None = None,
    *,
    cost: int = 1,
    timeout: float | None = 0,
) -> Callable[[_Function], _Function]:
    """Return a decorator that limits the calls of a function, also of an ``async def``.

    Parameters
    ----------
    limiter : Limiter, KeyedLimiter or SharedLimiter
        What limits it. Functions that share a limiter share its limit.
    key : str or bytes or callable
        The key of each call, or what returns it, given the call's arguments. A `Limiter` has no keys, and a
        `SharedLimiter` has ``""`` unless it is given one.
    cost : int, default 1
        What a call costs.
    timeout : float, default 0
        For how many seconds a call waits for room; ``None`` is for ever. A call that would wait longer is refused at
        once. A generator is limited when it is called, not when it runs.

    Raises
    ------
    LimitExceeded
        By the decorated function, instead of a call that is refused. Its ``decision`` says when to come again.

    Examples
    --------
    >>> from hitring import LimitExceeded, Limiter, ManualClock, limited
    >>> @limited(Limiter("1/minute", clock=ManualClock(1_000)))
    ... def send(text):
    ...     return len(text)
    >>> send("hello")
    5
    >>> try:
    ...     send("again")
    ... except LimitExceeded as refused:
    ...     print(refused, refused.decision.retry_after)
    the limit refuses this call; try again in 60 seconds 60.0
    """
    import inspect  # noqa: PLC0415  (it is slow to import)

    from hitring._hitring import KeyedLimiter, Limiter  # noqa: PLC0415  (which import this module)

    if not callable(getattr(limiter, "acquire_async", None)):
        message = f"limited needs a limiter, not {type(limiter).__name__}"
        raise TypeError(message)
    if key is not None and isinstance(limiter, Limiter):
        message = "a Limiter has no keys; leave out key, or use a KeyedLimiter"
        raise TypeError(message)
    if key is None and isinstance(limiter, KeyedLimiter):
        message = "a KeyedLimiter needs a key for each call; give key, or use a Limiter"
        raise TypeError(message)
    _Deadline(timeout)

    def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if key is None:
            return (cost,) if isinstance(limiter, Limiter) else ("", cost)
        return (key(*args, **kwargs) if callable(key) else key, cost)

    def decorate(function: _Function) -> _Function:
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  (an object whose call is a coroutine)
        )
        if is_async:

            @functools.wraps(function)
            async def calls_async(*args: Any, **kwargs: Any) -> Any:
                ask = functools.partial(limiter.allow, *arguments(args, kwargs))
                _heed(await acquire_async(ask, timeout))
                return await function(*args, **kwargs)

            return calls_async  # type: ignore[return-value]

        @functools.wraps(function)
        def calls(*args: Any, **kwargs: Any) -> Any:
            _heed(acquire(functools.partial(limiter.allow, *arguments(args, kwargs)), timeout))
            return function(*args, **kwargs)

        return calls  # type: ignore[return-value]

    return decorate


def _heed(decision: Decision) -> None:
    if not decision:
        raise LimitExceeded(decision)


limited.__module__ = "hitring"
