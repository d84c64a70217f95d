"""Subscriptions: a thread that calls back with the events of a registry.

Nothing is started before the first subscription. Each has a thread of the system, which waits in the compiled
``_Listener`` with the GIL released. After a ``monkey.patch_all()`` of gevent or eventlet a ``threading.Thread`` is a
greenlet, which would stop all others while it waits; so the thread is started, and waited for, by the functions of
``_thread`` from before the patch. Callbacks run in that thread, not in a greenlet of another.

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

import _thread
import atexit
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType, TracebackType
    from typing import Any, Callable

    from hitring._hitring import _Listener

__all__ = ["Subscription"]

_PATIENCE = 1.0
"""For how many seconds the end of the interpreter waits for callbacks."""

_QUIET = 10.0
"""For how many seconds further failures of callbacks are only counted, after one was logged."""

_open: set[Subscription] = set()
"""The subscriptions whose threads run."""


def _original(name: str) -> Any:
    """Return the function ``name`` of ``_thread`` from before gevent or eventlet patched it."""
    gevent: ModuleType | Any = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_object_patched("_thread", name):
        return gevent.get_original("_thread", name)
    eventlet: ModuleType | Any = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return getattr(eventlet.original("_thread"), name)
    return getattr(_thread, name)


class _Thread:
    """A thread of the system, whatever was patched, that does not keep the interpreter from ending."""

    __slots__ = ("_ended", "_ident", "_runs")

    def __init__(self, runs: Callable[[], None]) -> None:
        self._runs = runs
        self._ident: int | None = None
        self._ended = _original("allocate_lock")()
        self._ended.acquire()
        _original("start_new_thread")(self._run, ())

    def _run(self) -> None:
        self._ident = _original("get_ident")()
        try:
            self._runs()
        finally:
            self._ended.release()

    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return bool(self._ended.locked())

    def is_current(self) -> bool:
        """Whether this is it."""
        return bool(self._ident == _original("get_ident")())

    def join(self, timeout: float = -1) -> None:
        """Wait until it has ended, for ``timeout`` seconds at most."""
        if self._ended.acquire(True, timeout):
            self._ended.release()


class Subscription:
    """Calls back with events, in a thread of its own, until it is closed; made by `Registry.subscribe`.

    It goes on when nothing refers to it. If a callback raises, the exception is counted in `failed` and logged by the
    logger ``hitring`` at most once in ten seconds, and the next event is told. One that is too slow misses events,
    which are counted in `dropped`; it never keeps a recorder waiting.

    The thread is one of the system also where gevent or eventlet have patched those of Python; a callback that wants
    something of a greenlet hands it over as from any other thread.

    As a context manager it is closed at the end of the block.
    """

    __slots__ = ("__weakref__", "_callback", "_closing", "_failed", "_listener", "_logged", "_process", "_thread")

    def __init__(self, listener: _Listener, callback: Callable[[str, dict[str, Any]], object]) -> None:
        """Start the thread that calls ``callback`` with what ``listener`` hears."""
        self._listener = listener
        self._callback = callback
        self._closing = False
        self._failed = 0
        self._logged = (-_QUIET, 0)
        self._process = os.getpid()
        _open.add(self)
        try:
            self._thread = _Thread(self._pump)
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
            # The interpreter may be about to end.
            try:  # noqa: SIM105 (an import of contextlib would be for this alone)
                self._log(name)
            except BaseException:
                pass

    def _log(self, name: str) -> None:
        """Log the exception that is being handled, unless one was logged a moment ago."""
        at, failed = self._logged
        now = time.monotonic()
        if now - at < _QUIET:
            return
        self._logged = (now, self._failed)
        import logging  # noqa: PLC0415 (not at the import of hitring: it takes some milliseconds)

        more = self._failed - failed - 1
        others = f" ({more} failures before it were not logged)" if more else ""
        logging.getLogger("hitring").exception("a callback failed with an event %r%s", name, others)

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
        if self._process == os.getpid() and not self._thread.is_current():
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
