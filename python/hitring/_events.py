"""Subscriptions: a thread that calls back with the events of a registry.

Nothing is started before the first subscription. Each has a daemon thread, which waits in the compiled ``_Listener``
with the GIL released.

====================  ==================================================================================================
a subscription ends   how
====================  ==================================================================================================
``close``             the thread finishes the call it is in and makes no other; ``close`` waits for that
the registry is gone  and its counters too: the thread tells what waits, and ends
the interpreter ends  as ``close``, but a callback that does not return is waited for no longer than a second
``os.fork``           the child has no such thread, and its copy of the subscription is closed
====================  ==================================================================================================
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from types import TracebackType

    from hitring._hitring import _Listener

__all__ = ["Subscription"]

_PATIENCE = 1.0
"""For how many seconds the end of the interpreter waits for callbacks."""

_open: set[Subscription] = set()
"""The subscriptions whose threads run."""


class Subscription:
    """Calls back with events, in a thread of its own, until it is closed; made by `Registry.subscribe`.

    It goes on when nobody refers to it. A callback that raises harms nobody: the exception goes to
    ``threading.excepthook``, is counted in `failed`, and the next event is told. One that is too slow misses events,
    which are counted in `dropped`; it never keeps a recorder waiting.

    As a context manager it is closed at the end of the block.
    """

    __slots__ = ("__weakref__", "_callback", "_closing", "_failed", "_listener", "_process", "_thread")

    def __init__(self, listener: _Listener, callback: Callable[[str, dict[str, Any]], object]) -> None:
        """Start the thread that calls ``callback`` with what ``listener`` hears."""
        self._listener = listener
        self._callback = callback
        self._closing = False
        self._failed = 0
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._pump, name="hitring-events", daemon=True)
        _open.add(self)
        try:
            self._thread.start()
        except BaseException:
            _open.discard(self)
            listener.close()
            raise

    def _pump(self) -> None:
        for name, fields in self._listener:
            self._tell(name, fields)
        _open.discard(self)

    def _tell(self, name: str, fields: dict[str, Any]) -> None:
        try:
            self._callback(name, fields)
        except BaseException:  # whatever it is, the next event is told
            self._failed += 1
            with contextlib.suppress(BaseException):
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))

    @property
    def dropped(self) -> int:
        """How many events were dropped because the callback was too slow for the queue."""
        return self._listener.dropped

    @property
    def failed(self) -> int:
        """How many calls raised."""
        return self._failed

    @property
    def closed(self) -> bool:
        """Whether there are no further calls, but perhaps one that is under way."""
        return self._closing or self._process != os.getpid() or not self._thread.is_alive()

    def close(self) -> None:
        """End the subscription: after the return there is no call under way and none follows.

        Called in the callback itself it returns at once, and that call is the last. What waited is dropped. Further
        calls do nothing.
        """
        self._closing = True
        self._listener.close()
        if self._process == os.getpid() and threading.current_thread() is not self._thread:
            self._thread.join()

    @staticmethod
    def _close_all() -> None:
        """End all threads before the interpreter does: none may then be on its way out of compiled code."""
        ours = [subscription for subscription in list(_open) if subscription._process == os.getpid()]
        for subscription in ours:
            subscription._closing = True
            subscription._listener.close()
        deadline = time.monotonic() + _PATIENCE
        for subscription in ours:
            subscription._thread.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Subscription:  # noqa: PYI034 (typing.Self is younger than Python 3.9)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<hitring.Subscription, {state}, {self.dropped} dropped, {self.failed} failed>"


atexit.register(Subscription._close_all)  # pyright: ignore[reportPrivateUsage]
Subscription.__module__ = "hitring"
