"""Exceptions, one class for each kind of operation.

==================  ==================  =======================================================
class               also a              raised by
==================  ==================  =======================================================
``HitringError``    ``Exception``       nothing; it is what the others have in common
``ConfigError``     ``ValueError``      making a counter, registry or sketch, and what is asked of one
``QueryError``      ``ValueError``      counts, buckets and rates, for a ``last`` that is not possible
``WindowExpired``   ``QueryError``      the same, for a range that newer hits have overwritten
``SnapshotError``   ``ValueError``      ``merge``, ``restore``, ``load``, ``from_bytes``
``SketchError``     ``ValueError``      sketches: ``merge`` of what does not go together, ``from_redis``
``LimitError``      ``ValueError``      ``Limiter(...)``, ``KeyedLimiter(...)``
``LimitExceeded``   ``RuntimeError``    calls of a `limited` function that are refused
``RegistryFull``    ``RuntimeError``    ``Registry.counter``, when there is no room for another endpoint
``SharedError``     ``OSError``         ``SharedRegistry(...)``, and what changes its file; ``compact``
==================  ==================  =======================================================

A value that is not a timestamp, an amount or an endpoint raises a plain ``ValueError``, or a ``TypeError`` if its type
is wrong.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hitring._hitring import Decision

__all__ = [
    "ConfigError",
    "HitringError",
    "LimitError",
    "LimitExceeded",
    "QueryError",
    "RegistryFull",
    "SharedError",
    "SketchError",
    "SnapshotError",
    "WindowExpired",
]


class HitringError(Exception):
    """What all exceptions of hitring's own have in common."""


class ConfigError(HitringError, ValueError):
    """A counter, a registry or something of it cannot be made like that. The message says what would be possible."""


class QueryError(HitringError, ValueError):
    """A count cannot be given: ``last`` is negative, longer than the window, or no whole number of ticks."""


class WindowExpired(QueryError):
    """Part of the range was already overwritten by newer hits, so the exact count is no longer known.

    Ask for a later time, or build the counter with a longer window or more slack. Where hits come with timestamps of
    their own, a stamp far in the future does this too; a counter with a clock refuses such hits.
    """


class SnapshotError(HitringError, ValueError):
    """These bytes are no snapshot, or one that cannot be merged here. Nothing was changed."""


class SketchError(HitringError, ValueError):
    """Two sketches do not go together, or bytes are no HyperLogLog of Redis. Nothing was changed."""


class RegistryFull(HitringError, RuntimeError):
    """There are ``max_endpoints`` endpoints, and no idle one was found.

    Raise ``max_endpoints``, remove some, or let ``when_full="prune"`` drop the idlest. (A hit that finds no room raises
    nothing: it is answered with ``Outcome.REFUSED``.)
    """


class LimitError(HitringError, ValueError):
    """The text is not a rate, or no limiter can keep it. The message says what would be possible."""


class LimitExceeded(HitringError, RuntimeError):
    """A limiter refused the call of a `limited` function.

    ``decision`` says when to come again.
    """

    decision: Decision
    """What the limiter said."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision)
        self.decision = decision

    def __str__(self) -> str:
        wait = self.decision.retry_after
        if self.decision.is_future:
            when = "its time lies too far ahead of the clock"
        elif wait is None:
            when = "it is more than the limit ever lets through"
        else:
            seconds = f"{wait:.6f}".rstrip("0").rstrip(".")
            when = f"try again in {seconds} seconds"
        return f"the limit refuses this call; {when}"


class SharedError(HitringError, OSError):
    """A file of a `SharedRegistry` cannot be made, opened or changed. The message says why, and what to do.

    ``errno`` is the system's number, or the nearest one: ``EINVAL`` for what is not a whole hitring file, or one of
    other settings; ``EBUSY`` when another process has it open; ``EROFS`` when it was opened for reading; ``ENOSPC``
    when the disk or the file is full. ``filename`` is the file.
    """

    def __str__(self) -> str:
        return str(self.strerror) if self.strerror is not None else super().__str__()


for _class in (
    HitringError,
    ConfigError,
    QueryError,
    WindowExpired,
    SnapshotError,
    SketchError,
    RegistryFull,
    LimitError,
    LimitExceeded,
    SharedError,
):
    _class.__module__ = "hitring"
del _class
