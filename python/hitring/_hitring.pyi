"""The compiled part of hitring. Import these names from ``hitring``; this stub is their manual.

What a method takes:

==============  =======================================================================================================
a timestamp     seconds since 1970-01-01T00:00:00 UTC, up to the end of the year 9999: an ``int`` or anything with
                ``__index__`` (NumPy's integers), a finite ``float``, taken to the nearest microsecond, or an aware
                ``datetime``, exactly
a span          seconds, 0 or more: an ``int`` or anything with ``__index__``, a finite ``float``, taken to the nearest
                microsecond, or a ``timedelta``
an amount       an ``int``, or anything with ``__index__``, from 0 to 2**63 - 1
an endpoint     its name: a ``str``, or ``bytes`` that are UTF-8, of 1 to 1,024 bytes; names are compared as bytes
a strategy      a `Strategy`, or its name, as ``"ring"``, also with an option, as ``"sliding:max_hits=1000"``
an item         a ``str``, or ``bytes`` that are UTF-8 and then the same item as the ``str``; for `HyperLogLog` any
                ``bytes``
a seed          an ``int``, or anything with ``__index__``, from 0 to 2**64 - 1; ``None`` for random numbers of the
                system's
==============  =======================================================================================================

Anything else is a ``TypeError`` if it is of a wrong type (``bool``, ``str``, and ``None`` unless it is the default),
else a ``ValueError`` (negative, NaN, infinite, too large, a ``datetime`` without a time zone, bytes that are not UTF-8,
a ``str`` with lone surrogates). Nothing is ever wrapped around or clamped, and a call that raises has counted nothing.
"""

import os
import pathlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, SupportsIndex, final, overload

from typing_extensions import Buffer, Self, TypeAlias

from hitring._changed import Changed
from hitring._counting import Counted
from hitring._estimate import Estimate
from hitring._events import Subscription
from hitring._metrics import KeyedMetrics, Metrics, SharedRoom, StrategyOf
from hitring._outcome import Outcome, Outcomes

__all__ = [
    "BottomK",
    "Counter",
    "Decision",
    "GCounter",
    "HitCounter",
    "HyperLogLog",
    "KeyedLimiter",
    "Limiter",
    "ManualClock",
    "Marks",
    "Morris",
    "Registry",
    "Reservoir",
    "SharedCounter",
    "SharedLimiter",
    "SharedRegistry",
    "Strategy",
    "SystemClock",
    "TopK",
    "WindowedUniques",
    "_Listener",
    "__version__",
    "_look_up",
    "_open_shared",
    "_restore",
    "_restore_clock",
    "_restore_decision",
    "_restore_registry",
    "_restore_sketch",
    "_restore_strategy",
    "_restore_uniques",
    "_run",
    "compact",
    "default_registry",
]

_Time: TypeAlias = SupportsIndex | float | datetime
_Span: TypeAlias = SupportsIndex | float | timedelta
_Endpoint: TypeAlias = str | bytes
_Item: TypeAlias = str | bytes
_Strategy: TypeAlias = Strategy | str
_Callback: TypeAlias = Callable[[str, dict[str, Any]], object]

__version__: str

@final
class HitCounter:
    """Counts hits from any thread and answers how many there were in the last N seconds.

    A query at time ``t`` over ``last`` counts the ticks in ``(t - last, t]``: with a window of 300 seconds a hit at
    second 1 is counted at second 300 and no longer at 301. (Some limiters and textbooks close the window on both
    sides; this one does not.)

    Parameters
    ----------
    window : span, default 300
        The longest span that can be asked for: a whole number of ticks, 1 to 2**20 of them.
    resolution : span, default 1
        The width of a tick: a whole number of microseconds, at least 0.001 seconds.
    slack : int, default 20
        How many slots there are beyond the window, 0 to 2**20. So many ticks may hits run ahead of a query, and so
        many ticks behind the window do late hits surely find their slot. A ring never has fewer than 64 slots in all.
    strategy : strategy, default "striped"
        How hits are counted: striped, ring or sliding; see the table. The others are a `Registry`'s.
    max_skew : span, optional
        How far ahead of the clock a hit may be stamped, and how far the clock may step back before ticks follow it:
        rounded down to whole ticks, at most the slack, which is also the default. Giving it, or a clock, makes
        methods with a timestamp refuse hits from the future.
    clock : ManualClock or SystemClock, optional
        Where the time comes from; the system's clock if none is given. Giving one, even the system's, makes methods
        with a timestamp refuse hits from the future.

    Raises
    ------
    ConfigError
        The parts do not fit together; the message says which, and what would. It is also a ``ValueError``.
    TypeError
        A part is of a wrong type.

    Notes
    -----
    ============  =====================================================  ==============================================
    strategy      recording                                              for
    ============  =====================================================  ==============================================
    ``striped``   wait-free: a ring of its own for each thread, nothing  a few counters that many threads write to; a
                  is shared                                              ring's memory for each such thread
    ``ring``      lock-free: one ring for all threads                    many counters, or few threads; least memory
    ``sliding``   takes the lock of one of several shards                hits that leave the window to the microsecond;
                                                                         up to 2**20 distinct ones, 16 bytes each
    ============  =====================================================  ==============================================

    A count taken beside other threads includes every hit whose call returned before the query began and none whose
    call began after it ended; while no thread writes it is exact. Nothing is silently low: a range that newer hits have
    overwritten raises `WindowExpired` (``getHits`` alone answers with what is still there).

    Thread-safe, also without a GIL, which importing hitring does not turn on again. With a GIL, calls do not release
    it: they are over sooner than that takes.

    After ``os.fork`` the child's copy counts on by itself. Counters can be pickled, by any protocol, and copied: the
    result has the same configuration and hits and counts on by itself. ``copy.copy`` shares the clock,
    ``copy.deepcopy`` and pickling copy it. Attributes are read-only, instances weakly referenceable, and compared by
    identity. The class cannot be subclassed.

    Examples
    --------
    >>> counter = HitCounter(window=60, resolution=0.5)
    >>> counter.record_at(1_700_000_000.25)
    <Outcome.COUNTED: 'counted'>
    >>> counter.count_at(1_700_000_030)
    1
    """

    def __new__(
        cls,
        window: _Span = 300,
        *,
        resolution: _Span = 1,
        slack: SupportsIndex = 20,
        strategy: _Strategy = "striped",
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
    ) -> Self: ...
    def hit(self, timestamp: _Time | None = None) -> None:
        """Count one hit at ``timestamp``, or now: LeetCode 362's ``hit``.

        What became of it is told by `record_at`, and in sum by `outcomes`. Guarantees as for `record`.
        """

    def getHits(self, timestamp: _Time | None = None) -> int:
        """Return the hits of the window that ends at ``timestamp``, or now: LeetCode 362's ``getHits``.

        The answer is exact unless newer hits have overwritten part of the window: then it is what is still there.
        (`count_at` raises `WindowExpired` instead.) With timestamps that do not decrease that cannot happen.
        """

    def record(self, amount: SupportsIndex = 1) -> Outcome:
        """Count ``amount`` hits now, and return what became of them.

        An amount of 0 is ``COUNTED`` and does nothing else; one that does not fit into the tick is ``SATURATED`` and
        not counted in part (with the default window a tick holds 8.6e9 hits).

        Wait-free with ``strategy="striped"`` and the system's clock: it writes no memory that other threads write, and
        takes no lock; a thread's first hit allocates its ring. Lock-free with ``"ring"``; takes a shard's lock with
        ``"sliding"``. A `ManualClock` has a lock too.
        """

    def record_at(self, timestamp: _Time, amount: SupportsIndex = 1) -> Outcome:
        """Count ``amount`` hits at ``timestamp``, and return what became of them.

        Timestamps need not come in order. A hit is ``LATE`` when its slot already belongs to a newer tick: that takes a
        hit that is newer by a multiple of ``slots`` ticks (with ``"striped"``, one of the same thread). Where a clock
        or a ``max_skew`` was given, a hit further ahead of the clock than ``max_skew`` is ``FUTURE``; without, a hit
        that is stamped far ahead is believed, and spoils one slot until the ring has come round to it.

        Guarantees as for `record`.
        """

    def record_many(self, timestamps: Buffer | Iterable[_Time]) -> Outcomes:
        """Count one hit at each of ``timestamps``, in their order, and return how many had which outcome.

        All of them are checked before the first is recorded: if one is bad nothing is recorded, and the error names
        its index. Fastest is a one-dimensional buffer of integers or floats (``array.array``, ``memoryview``, a NumPy
        array, ...) of any width, byte order and stride; it is copied once. Anything else is iterated over, and each
        item taken as by `record_at`. ``bytes`` and ``bytearray`` are refused, since they do not say how wide their
        numbers are: ``memoryview(data).cast("q")`` does.

        Raises
        ------
        TypeError, ValueError
            ``timestamps[i]`` is not a timestamp, or they have more than one dimension.
        """

    def count(self, last: _Span | None = None) -> int:
        """Return the hits of the ``last`` seconds up to now; of the whole window by default, of 0 seconds 0.

        As `count_at` otherwise.
        """

    def count_at(self, timestamp: _Time, last: _Span | None = None) -> int:
        """Return the hits in ``(timestamp - last, timestamp]``; of the whole window by default, of 0 seconds 0.

        In the tick that was asked for last, it takes a step for each stripe (with ``"ring"`` one); in a new tick one
        more for each tick since. Wait-free, but with ``"sliding"``, which takes the lock of each shard. A query never
        changes what becomes of a hit.

        Raises
        ------
        WindowExpired
            Newer hits have overwritten part of the range.
        QueryError
            ``last`` is negative, more than the window, or no whole number of ticks (with ``"sliding"``:
            microseconds). It is also a ``ValueError``.
        """

    def buckets(self, last: _Span | None = None) -> list[tuple[float, int]]:
        """Return the hits of each tick of the ``last`` seconds up to now; as `buckets_at`."""

    def buckets_at(self, timestamp: _Time, last: _Span | None = None) -> list[tuple[float, int]]:
        """Return ``(start, hits)`` for each tick in ``(timestamp - last, timestamp]``, oldest first.

        ``start`` is when the tick begins, in seconds since 1970: an ``int`` if the resolution is whole seconds, else a
        ``float``. The last tick, which holds ``timestamp``, counts its hits so far; ticks before 1970 are left out.
        ``last`` must be a whole number of ticks with every strategy. Each tick is read by itself: beside writers the
        sum may differ from a `count`.

        Raises
        ------
        WindowExpired, QueryError
            As `count_at`.
        """

    def rate(self, last: _Span | None = None) -> float:
        """Return the hits a second over the ``last`` seconds up to now; 0.0 if ``last`` is 0. As `count` otherwise."""

    def rate_at(self, timestamp: _Time, last: _Span | None = None) -> float:
        """Return the hits a second in ``(timestamp - last, timestamp]``; 0.0 if ``last`` is 0.

        The hits are divided by ``last``, however short a time there have been hits. As `count_at` otherwise.
        """

    def outcomes(self) -> Outcomes:
        """Return what became of all hits since the counter was made, as sums of amounts.

        Those of merged, copied and unpickled counters are included. The sums only grow, also over a `reset`.
        """

    def reset(self) -> None:
        """Forget all hits, and begin a new epoch: snapshots taken before can no longer be merged.

        Hits whose call returned before are gone, hits whose call begins after are counted; one that is being recorded
        meanwhile may be either.
        """

    def snapshot(self) -> bytes:
        """Return what the counter holds, to be kept, sent and merged anywhere, any number of times.

        The bytes are versioned and checksummed, and later versions of hitring will read them.
        """

    def merge(self, snapshot: Buffer) -> None:
        """Add the hits of another counter, as a `snapshot` of it knows them.

        Merging the same snapshot again changes nothing, and a later one of the same counter adds just what is new.
        Resolution, window and kind of strategy must be the same (a ring and stripes are of one kind). A snapshot of a
        later epoch, that is from after a `reset` there, empties this counter first.

        Raises
        ------
        SnapshotError
            The bytes are no snapshot, or of another geometry, or from before a reset of this counter. Nothing was
            changed. It is also a ``ValueError``.
        """

    @property
    def slots(self) -> int:
        """How many slots a ring has: window and slack in ticks, at least 64; one more with ``"sliding"``."""

    @property
    def window(self) -> float:
        """The longest span that can be asked for, in seconds; an ``int`` if it is whole."""

    @property
    def resolution(self) -> float:
        """The width of a tick, in seconds; an ``int`` if it is whole."""

    @property
    def slack(self) -> int:
        """How many slots were asked for beyond the window."""

    @property
    def strategy(self) -> str:
        """The name of the strategy, with its option if that is not the usual one."""

    @property
    def max_skew(self) -> float | None:
        """How far ahead of the clock a hit may be stamped, in seconds; ``None`` if that is not checked at all."""

    @property
    def clock(self) -> ManualClock | SystemClock | None:
        """The clock that was given; ``None`` stands for the system's."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    def __sizeof__(self) -> int: ...

@final
class Registry:
    """Counts hits by endpoint, and answers how many each had in the last N seconds.

    An endpoint comes into being with its first hit, and goes when all its hits have left the window and room is needed,
    or when `prune` is called. Each has a counter of its own, of the registry's strategy or of another.

    Parameters
    ----------
    window : span, default 300
        The longest span that can be asked for: a whole number of ticks, 1 to 2**20 of them.
    resolution : span, default 1
        The width of a tick: a whole number of microseconds, at least 0.001 seconds.
    slack : int, default 20
        How many slots there are beyond the window, as for `HitCounter`.
    strategy : strategy, default "ring"
        How the hits of endpoints are counted that are not given a strategy of their own; see `Strategy`.
    max_endpoints : int, default 100_000
        The most endpoints there may be.
    when_full : {"refuse", "prune"}, default "refuse"
        What happens when there are as many and no idle one is found: the hits of new ones are ``REFUSED``, or the
        endpoint that has been idle for longest goes, with its hits. A hit looks at a few endpoints, so that it takes no
        longer the more there are: one may be ``REFUSED`` before the idle ones are found, and if all 32 that it looks
        at were hit meanwhile, the idlest of those goes.
    precision : int, default 14
        How finely visitors are told apart: by 4 to 18 bits, as for `HyperLogLog`.
    max_skew : span, optional
        How far ahead of the clock a hit may be stamped, as for `HitCounter`.
    clock : ManualClock or SystemClock, optional
        Where the time comes from; the system's clock if none is given. Giving one, even the system's, refuses hits from
        the future, and lets `prune` go by it.

    Raises
    ------
    ConfigError
        The parts do not fit together; the message says which, and what would. It is also a ``ValueError``.
    TypeError
        A part is of a wrong type.

    Notes
    -----
    A count taken beside other threads includes every hit whose call returned before the query began and none whose call
    began after it ended, endpoint by endpoint; while no thread writes it is exact. Nothing is silently low:
    a range of which part is not known any more raises `WindowExpired`. Counts of ``morris`` endpoints are `Estimate`.

    Thread-safe, also without a GIL. With a GIL, only `save` and `load` release it, while they wait for the disk; walks
    over a million endpoints (`metrics`, `top`, `total`, `snapshot`, ...) hold it for a tenth of a second. After
    ``os.fork`` the child's copy counts on by itself, without subscribers and thresholds.

    ``name in registry``, ``len(registry)`` and iteration (over the names, in order) are about the endpoints. Registries
    can be pickled, by any protocol, and copied: the result has the same configuration and hits and counts on by itself,
    without subscribers. ``copy.copy`` shares the clock, ``copy.deepcopy`` and pickling copy it. ``sys.getsizeof``
    includes all endpoints. Attributes are read-only, instances weakly referenceable, and compared by identity.

    Examples
    --------
    >>> registry = Registry(clock=ManualClock(1_000))
    >>> registry.record_hit("/home"), registry.record_hit("/about", amount=2)
    (<Outcome.COUNTED: 'counted'>, <Outcome.COUNTED: 'counted'>)
    >>> registry.query_hits("/home", 60), registry.total(60), registry.top(1, 60)
    (1, 3, [('/about', 2)])
    """

    def __new__(
        cls,
        window: _Span = 300,
        *,
        resolution: _Span = 1,
        slack: SupportsIndex = 20,
        strategy: _Strategy = "ring",
        max_endpoints: SupportsIndex = 100_000,
        when_full: Literal["refuse", "prune"] = "refuse",
        precision: SupportsIndex = 14,
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
    ) -> Self: ...
    def record_hit(
        self,
        endpoint: _Endpoint,
        timestamp: _Time | None = None,
        amount: SupportsIndex = 1,
        *,
        visitor: _Item | None = None,
    ) -> Outcome:
        """Count ``amount`` hits of ``endpoint`` at ``timestamp``, or now, and return what became of them.

        With ``visitor`` (an address, a user, a session) that one is noted too, for `query_uniques`, if the hits were
        counted. Nothing is kept of it but a few bits of a hash.

        Amounts, times and outcomes are as for `HitCounter.record_at`; ``REFUSED`` also means that there is no room for
        another endpoint. For a name that has an endpoint it is as wait-free as the strategy, after a look-up without a
        lock. A hit of a new name makes the endpoint, and prunes at most 16 idle ones.
        """

    def count(self, endpoint: _Endpoint, amount: SupportsIndex = 1) -> Counted:
        """Return what counts the calls of a function, or the entries of a block, as hits of ``endpoint``.

        Works for functions, coroutines, generators and async generators, which stay what they are. Each is counted
        before it runs, and a hit that is refused changes nothing.

        Examples
        --------
        >>> registry = Registry()
        >>> @registry.count("jobs")
        ... def job(number):
        ...     return 2 * number
        >>> job(4)
        8
        >>> with registry.count("blocks", 3):
        ...     registry.query_hits("jobs"), registry.query_hits("blocks")
        (1, 3)
        """

    def labels(self, name: str, /, **labels: object) -> Counter:
        """Return the counter of the endpoint ``name`` with these labels, as prometheus_client's ``labels`` does.

        Its name is ``name{label="value",...}``, with the labels in order and values escaped as Prometheus has it
        (`labelled`). Give labels few values: each combination is an endpoint.

        Raises
        ------
        ConfigError
            Prometheus does not allow the name or a label.
        RegistryFull
            Another endpoint does not fit.

        Examples
        --------
        >>> registry = Registry()
        >>> registry.labels("http", status=200, route="/a").record()
        <Outcome.COUNTED: 'counted'>
        >>> registry.query_hits('http{route="/a",status="200"}')
        1
        """

    def to_prometheus(self) -> str:
        """Return what the registry holds as a page for Prometheus (``text/plain; version=0.0.4``).

        `metrics` as counters, and the hits of each endpoint in the window as gauges, under their labels if they have
        some (`labels`). For prometheus_client there is ``hitring.prometheus.HitringCollector``.
        """

    def to_openmetrics(self) -> str:
        """Return the same as ``application/openmetrics-text; version=1.0.0``."""

    def query_hits(self, endpoint: _Endpoint, last_seconds: _Span | None = None, at: _Time | None = None) -> int:
        """Return the hits of ``endpoint`` in ``(at - last_seconds, at]``, or up to now; 0 for an unknown endpoint.

        ``None`` is the whole window. The answer is an `Estimate` if hits of the ``morris`` strategy are in it.

        Raises
        ------
        WindowExpired
            Part of the range is not known any more: newer hits have overwritten it, or the endpoint was pruned since.
        QueryError
            ``last_seconds`` is negative, more than the window, or no whole number of ticks (of microseconds with
            ``"sliding"``).
        """

    def query_uniques(
        self, endpoint: _Endpoint, last_seconds: _Span | None = None, at: _Time | None = None
    ) -> Estimate:
        """Return about how many different visitors ``endpoint`` had in ``(at - last_seconds, at]``, or up to now.

        The window is cut into sixteenths, and an answer is of those that it touches. 0 for an unknown endpoint or
        none was told.

        Raises
        ------
        WindowExpired
            Part of the range is not known any more.
        QueryError
            ``last_seconds`` is negative or more than the window.
        """

    def uniques_ever(self, endpoint: _Endpoint) -> Estimate:
        """Return about how many different visitors ``endpoint`` ever had, since it was made."""

    def counter(self, endpoint: _Endpoint, strategy: _Strategy | None = None) -> Counter:
        """Return a handle of ``endpoint``, made if it does not exist; with ``strategy``, it is swapped to that.

        An endpoint that has handles is never pruned.

        Raises
        ------
        RegistryFull
            Another endpoint does not fit. It is also a ``RuntimeError``.
        ConfigError
            The strategy does not suit the window.
        """

    def total(
        self,
        last_seconds: _Span | None = None,
        *,
        prefix: _Endpoint | None = None,
        endpoints: Iterable[_Endpoint] | None = None,
        at: _Time | None = None,
    ) -> int:
        """Return the hits of all endpoints in ``(at - last_seconds, at]``, or up to now.

        With ``prefix``, of those whose names begin with it; with ``endpoints``, of those, each once. As `query_hits`
        otherwise.
        """

    def top(
        self, n: SupportsIndex, last_seconds: _Span | None = None, at: _Time | None = None
    ) -> list[tuple[str, int]]:
        """Return the ``n`` endpoints with the most hits in ``(at - last_seconds, at]``, or up to now, and their hits.

        The busiest is first; those with as many hits are in the order of their names, those without are left out. As
        `query_hits` otherwise.
        """

    def endpoints(self) -> list[str]:
        """Return the names of all endpoints, in order."""

    def remove(self, endpoint: _Endpoint) -> bool:
        """Remove ``endpoint`` with its hits, and return whether there was one.

        Its counters answer ``REFUSED`` from then on, and a later hit of the name makes a new endpoint. No merge brings
        the removed hits back. Hits after the removal count, also those of other registries that never heard of it. Of
        the tick of the removal itself, and of later ones, those hits are removed that this registry had.
        """

    def clear(self) -> None:
        """Remove every endpoint, as `remove` does.

        In a forked child the first call only drops what was inherited, so that the child's snapshots can be merged with
        the parent's.
        """

    def __contains__(self, endpoint: _Endpoint, /) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    def __iter__(self) -> Iterator[str]: ...
    def swap_strategy(self, strategy: _Strategy, endpoint: _Endpoint | None = None) -> int:
        """Let ``strategy`` take the hits of all endpoints and of new ones, or those of ``endpoint`` alone.

        Return how many endpoints were swapped. What was counted before stays countable until it leaves the window.

        Raises
        ------
        ConfigError
            The strategy does not suit the window. Nothing was changed.
        """

    def strategy_of(self, endpoint: _Endpoint) -> StrategyOf | None:
        """Return the strategy of ``endpoint``, and what takes its hits if it is adaptive; ``None`` if it is unknown."""

    def prune(self, now: _Time | None = None) -> int:
        """Drop every endpoint without handles whose hits all left the window and the slack before ``now``.

        Return how many were dropped. Of the others, what is as old goes. Without ``now`` a registry goes by its clock
        if it was given one, else by the newest hit that is not in the future.
        """

    def metrics(self) -> Metrics:
        """Return what the registry has done and holds. Walks over all endpoints."""

    def subscribe(
        self,
        callback: _Callback,
        events: str | Iterable[str] | None = None,
        *,
        capacity: SupportsIndex = 1_024,
    ) -> Subscription:
        """Call ``callback(name, fields)`` with every event of the kinds in ``events``, by default of all kinds.

        =====================  =========================================  ==============================================
        name                   fields                                     when
        =====================  =========================================  ==============================================
        ``hit_recorded``       ``endpoint``, ``ts``, ``amount``           hits were counted
        ``pruned``             ``endpoint``, ``removed``                  so many hits were dropped
        ``strategy_swapped``   ``old``, ``new``, ``endpoint``             ``endpoint`` is ``None`` for all of them
        ``snapshot_taken``     ``endpoints_count``                        also for a pickle and a deep copy
        ``snapshot_restored``
        ``metrics_updated``    ``total_hits``, ``memory_entries``         at most once for all hits since the last one
        ``threshold_crossed``  ``endpoint``, ``hits``, ``limit``,         a count rose to the limit of a threshold
                               ``last``
        ``endpoint_created``   ``endpoint``                               a hit or `counter` made it
        ``endpoint_refused``   ``endpoint``                               there was no room
        =====================  =========================================  ==============================================

        The calls come in a thread of the subscription's own, in order. Up to ``capacity`` events (1 to 2**20) wait;
        further ones are dropped and counted. No recorder ever waits for it, and without a subscription events cost
        nothing.

        Raises
        ------
        ConfigError
            The event does not exist, or the capacity is not possible. It is also a ``ValueError``.
        """

    def on_threshold(
        self, endpoint_or_glob: _Endpoint, last_seconds: _Span, limit: SupportsIndex, callback: _Callback
    ) -> Subscription:
        """Call ``callback("threshold_crossed", fields)`` when an endpoint's hits in ``last_seconds`` reach ``limit``.

        It is told once, and again when they have fallen below and risen again. In ``endpoint_or_glob``, ``*`` stands
        for any characters and ``?`` for any one.

        Raises
        ------
        ConfigError
            ``limit`` or ``last_seconds`` is 0, or the latter is longer than the window or no whole number of ticks.
        """

    def snapshot(self) -> bytes:
        """Return what the registry holds, to be kept, sent, restored and merged anywhere, any number of times.

        The bytes are versioned and checksummed, and later versions of hitring will read them.
        """

    def restore(self, snapshot: Buffer) -> None:
        """Replace everything the registry holds by ``snapshot``, metrics included.

        Counters go on with the endpoints that are put in the place of theirs; those of names that the snapshot has not
        answer ``REFUSED``, for good.

        Raises
        ------
        SnapshotError
            The bytes are no snapshot, of another window or resolution, or of more endpoints than there may be. Nothing
            was changed.
        """

    def merge(self, snapshot: Buffer) -> int:
        """Add the hits of another registry, as a `snapshot` of it knows them.

        Merging the same snapshot again changes nothing, and a later one of the same registry adds just what is new.

        Removals travel along: hits up to a removal that one of the two knows of stay removed, and hits after it count,
        wherever they were recorded. Handles of an endpoint that was removed elsewhere go on.

        Hits of others go when they have left the window and the slack, as idle endpoints go when new ones come. Their
        totals stay in the metrics. Of more than 1,024 registries, those that were silent for longer than that are put
        together in one sum, the longest silent first. From then on hits as old as those in the sum may be missing in
        the metrics if their registry is merged for the first time, or was put into the sum itself. No total counts a
        hit twice. Merges do not pass the sum on, restores do.

        Returns
        -------
        int
            How many hits were left out because they were removed, though the snapshot counts them.

        Raises
        ------
        SnapshotError
            As `restore`; or the snapshot is this registry's own, or from the other side of a fork.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a `snapshot` to the file at ``path``, whole or not at all.

        Raises
        ------
        OSError
            What the system says; a file that was there is as it was.
        """

    def load(self, path: str | os.PathLike[str]) -> None:
        """`restore` the snapshot in the file at ``path``.

        Raises
        ------
        OSError, SnapshotError
            The file cannot be read, or holds no snapshot that can be restored. Nothing was changed.
        """

    @property
    def window(self) -> float:
        """The longest span that can be asked for, in seconds; an ``int`` if it is whole."""

    @property
    def resolution(self) -> float:
        """The width of a tick, in seconds; an ``int`` if it is whole."""

    @property
    def slack(self) -> int:
        """How many slots were asked for beyond the window."""

    @property
    def strategy(self) -> str:
        """The name of new endpoints' strategy, with its option if that is not the usual one."""

    @property
    def max_endpoints(self) -> int:
        """The most endpoints there may be."""

    @property
    def when_full(self) -> Literal["refuse", "prune"]:
        """What happens when there are as many."""

    @property
    def max_skew(self) -> float | None:
        """How far ahead of the clock a hit may be stamped, in seconds; ``None`` if that is not checked at all."""

    @property
    def clock(self) -> ManualClock | SystemClock | None:
        """The clock that was given; ``None`` stands for the system's."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    def __sizeof__(self) -> int: ...

def default_registry() -> Registry:
    """Return the registry of this process: made with the defaults at the first call, and ever after the same."""

@final
class Counter:
    """One endpoint of a registry: records and counts as fast as a `HitCounter`. Made by `Registry.counter`.

    It keeps its endpoint from being pruned. When the endpoint is removed it answers ``REFUSED`` and no hits, for good;
    a new counter is of the new endpoint. When the registry is restored it goes on with the endpoint that was put in its
    place, until that is removed.

    Examples
    --------
    >>> home = Registry().counter("/home")
    >>> home.record(2), home.count()
    (<Outcome.COUNTED: 'counted'>, 2)
    """

    def record(self, amount: SupportsIndex = 1, *, visitor: _Item | None = None) -> Outcome:
        """Count ``amount`` hits now, and return what became of them.

        As `HitCounter.record`; with ``visitor`` that one is noted too, as by `Registry.record_hit`.
        """

    def record_at(self, timestamp: _Time, amount: SupportsIndex = 1, *, visitor: _Item | None = None) -> Outcome:
        """Count ``amount`` hits at ``timestamp``, and return what became of them.

        As `HitCounter.record_at`; with ``visitor`` that one is noted too, as by `Registry.record_hit`.
        """

    def uniques(self, last: _Span | None = None) -> Estimate:
        """Return about how many different visitors there were. As `Registry.query_uniques`."""

    def uniques_ever(self) -> Estimate:
        """Return about how many different visitors there ever were, since the endpoint was made."""

    def count(self, last: _Span | None = None) -> int:
        """Return the hits of the ``last`` seconds up to now, of the window by default. As `Registry.query_hits`."""

    def count_at(self, timestamp: _Time, last: _Span | None = None) -> int:
        """Return the hits in ``(timestamp - last, timestamp]``, of the window by default. As `count` otherwise."""

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""

    @property
    def strategy(self) -> str:
        """The name of the endpoint's strategy, with its option if that is not the usual one."""

    @property
    def alive(self) -> bool:
        """Whether hits are still taken: the endpoint was not removed."""

@final
class Marks:
    """What `SharedRegistry.changed` told of a file: nothing at first."""

    def __new__(cls) -> Self: ...
    def forget(self) -> None:
        """Let everything be told once more, as of a process that was killed in the middle of a hit nothing tells."""

@final
class SharedRegistry:
    """Counts hits by endpoint in a file that any number of processes have open: what one records all see, at once.

    It survives restarts, and any of its processes being killed at any time: a hit whose call returned is counted. No
    server, no lock on the way of a hit, no thread in the background. Linux only.

    Parameters
    ----------
    path : str or os.PathLike
        The file. In ``/dev/shm`` it lives until the machine stops, and no disk ever keeps a hit waiting. It is made
        whole: with the default settings it takes 38.8 MB, with ``max_endpoints=1_000`` 5.7 MB.
    window, resolution, slack, precision
        As for `Registry`. Every endpoint is counted by a ring.
    max_endpoints : int, default 10_000
        How many places of endpoints there are. A name that was removed and comes again takes another, and so does each
        endpoint of each merged registry; `compact` gives back what is not alive. An endpoint takes 3.5 KB.
    name_bytes : int, optional
        The room for names: each takes its bytes of UTF-8 and 32, rounded up to 64. 128 an endpoint by default.
    visitors : int, optional
        The room for visitors, in words of 8 bytes: 16 for an endpoint with few, and more as they come. 64 an endpoint
        by
        default.
    limits : int, optional
        How many keys of limiters there is room for; 10,000 by default.
    max_skew : span, optional
        How far ahead of the clock a hit may be stamped: at most the slack, which is also the default.
    clock : ManualClock or SystemClock, optional
        Where this process takes the time from; the system's clock if none is given.
    mode : {"create", "open", "read"}, default "create"
        Make the file, or open the one that is there, which must have the same window, resolution, slack and precision,
        and the same room where any is given; open what is there, with the settings that it has; the same for asking
        only.
    catch_sigbus : bool, default True
        Whether the process outlives it when the file is cut while it is open. A handler of ``SIGBUS`` sees to that: the
        first file installs it, it stays for the life of the process, and it hands on every signal that is not of a cut
        file. Without it, touching a page that was cut off ends the process.

    Raises
    ------
    SharedError
        The file cannot be made or opened; the message says why and what to do. It is also an ``OSError``.
    ConfigError
        The settings are not possible, or were given for a file that has its own.

    Notes
    -----
    Recording is lock-free (two exchanges), asking wait-free (one load a slot). A count beside other processes includes
    every hit whose call returned before the query began and none whose call began after it ended. What a process
    that is killed was about to record is counted or not, never in part, never twice.

    A forked child goes on in the same file. A pickle is the path, so an instance can be handed to a process that is
    spawned; ``copy.copy`` opens the file once more. Events are of the process that subscribed. A file that is copied,
    or
    found after the machine has booted, goes on under another writer, so that snapshots of both merge to the right sum.

    Opening, `merge` and `sync` release the GIL.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "hits.ring")
    >>> registry = SharedRegistry(path, max_endpoints=100)
    >>> registry.record_hit("/home"), SharedRegistry(path, mode="open").record_hit("/home")
    (<Outcome.COUNTED: 'counted'>, <Outcome.COUNTED: 'counted'>)
    >>> registry.query_hits("/home", 60), registry.total_ever("/home")
    (2, 2)
    """

    def __new__(
        cls,
        path: str | os.PathLike[str],
        *,
        window: _Span = 300,
        resolution: _Span = 1,
        slack: SupportsIndex = 20,
        max_endpoints: SupportsIndex = 10_000,
        name_bytes: SupportsIndex | None = None,
        visitors: SupportsIndex | None = None,
        limits: SupportsIndex | None = None,
        precision: SupportsIndex = 14,
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
        mode: Literal["create", "open", "read"] = "create",
        catch_sigbus: bool = True,
    ) -> Self: ...
    def record_hit(
        self,
        endpoint: _Endpoint,
        timestamp: _Time | None = None,
        amount: SupportsIndex = 1,
        *,
        visitor: _Item | None = None,
    ) -> Outcome:
        """Count ``amount`` hits of ``endpoint`` at ``timestamp``, or now, and return what became of them.

        As `Registry.record_hit`. ``REFUSED`` means that there is no room for another endpoint, or that the file was cut
        while it was open. Lock-free, also for a new name.

        Raises
        ------
        SharedError
            The file was opened for reading.
        """

    def count(self, endpoint: _Endpoint, amount: SupportsIndex = 1) -> Counted:
        """Return what counts the calls of a function, or the entries of a block, as hits of ``endpoint``.

        Works for functions, coroutines, generators and async generators, which stay what they are. Each is counted
        before it runs, and a hit that is refused changes nothing.

        Examples
        --------
        >>> registry = Registry()
        >>> @registry.count("jobs")
        ... def job(number):
        ...     return 2 * number
        >>> job(4)
        8
        >>> with registry.count("blocks", 3):
        ...     registry.query_hits("jobs"), registry.query_hits("blocks")
        (1, 3)
        """

    def labels(self, name: str, /, **labels: object) -> SharedCounter:
        """Return the counter of the endpoint ``name`` with these labels, as prometheus_client's ``labels`` does.

        Its name is ``name{label="value",...}``, with the labels in order and values escaped as Prometheus has it
        (`labelled`). Give labels few values: each combination is an endpoint.

        Raises
        ------
        ConfigError
            Prometheus does not allow the name or a label.
        RegistryFull
            Another endpoint does not fit.

        Examples
        --------
        >>> registry = Registry()
        >>> registry.labels("http", status=200, route="/a").record()
        <Outcome.COUNTED: 'counted'>
        >>> registry.query_hits('http{route="/a",status="200"}')
        1
        """

    def to_prometheus(self) -> str:
        """Return what the registry holds as a page for Prometheus (``text/plain; version=0.0.4``).

        `metrics` as counters, and the hits of each endpoint ever as counters, which all workers tell alike, under
        their labels if they have some (`labels`). For prometheus_client there is
        ``hitring.prometheus.HitringCollector``.
        """

    def to_openmetrics(self) -> str:
        """Return the same as ``application/openmetrics-text; version=1.0.0``."""

    def query_hits(self, endpoint: _Endpoint, last_seconds: _Span | None = None, at: _Time | None = None) -> int:
        """Return the hits of ``endpoint`` in ``(at - last_seconds, at]``, or up to now; 0 for an unknown endpoint.

        ``None`` is the whole window.

        Raises
        ------
        WindowExpired
            Part of the range is not known any more.
        QueryError
            ``last_seconds`` is negative, more than the window, or no whole number of ticks; or the file was cut.
        """

    def total_ever(self, endpoint: _Endpoint) -> int:
        """Return how many hits of ``endpoint`` the file ever counted, since it was made or last removed.

        Merged and restored hits are not among them.
        """

    def totals_ever(self) -> dict[str, int]:
        """Return every endpoint with its `total_ever`, in one pass.

        Raises
        ------
        QueryError
            The file was cut while it was open.
        """

    def buckets(
        self, endpoint: _Endpoint, last_seconds: _Span | None = None, at: _Time | None = None
    ) -> list[tuple[float, int]]:
        """Return ``(start, hits)`` for each tick in ``(at - last_seconds, at]``, or up to now, oldest first.

        As `HitCounter.buckets_at`, and raises what `query_hits` does.
        """

    def changed(self, marks: Marks, since: _Time | None = None) -> list[Changed]:
        """Return the endpoints whose totals are not what ``marks`` remembers, which remembers them from now on.

        For those who keep the counts elsewhere, in a database say: hits of a writer and tick are told as what they are
        in all, so telling them twice changes nothing if the larger number stays.

        Parameters
        ----------
        marks : Marks
            What was told before. Of another file, or of this one before a restore or a boot, everything is told.
        since : time, optional
            Only the hits in ticks from then on. Hits may come late, by the slack: go back that much further than the
            last time. All ticks that the file has if none is given.

        Examples
        --------
        >>> import os, tempfile
        >>> registry = SharedRegistry(os.path.join(tempfile.mkdtemp(), "hits.ring"), max_endpoints=100)
        >>> marks = Marks()
        >>> _ = registry.record_hit("/home", amount=3), registry.record_hit("/about")
        >>> [(changed.endpoint, changed.total) for changed in registry.changed(marks)]
        [('/home', 3), ('/about', 1)]
        >>> _ = registry.record_hit("/about")
        >>> [(changed.endpoint, changed.total) for changed in registry.changed(marks)]
        [('/about', 2)]
        """

    @property
    def replica(self) -> str:
        """Under which the hits of this file are known elsewhere, as 32 digits.

        A copy that was opened for writing has another, and so has the file after a boot or a restore.
        """

    def query_uniques(
        self, endpoint: _Endpoint, last_seconds: _Span | None = None, at: _Time | None = None
    ) -> Estimate:
        """Return about how many different visitors ``endpoint`` had. As `Registry.query_uniques`.

        Raises
        ------
        QueryError
            The file had no room for some visitors, so their number is not known.
        """

    def uniques_ever(self, endpoint: _Endpoint) -> Estimate:
        """Return about how many different visitors ``endpoint`` ever had. As `query_uniques` otherwise."""

    def counter(self, endpoint: _Endpoint) -> SharedCounter:
        """Return a handle of ``endpoint``, which is made if it does not exist.

        Raises
        ------
        RegistryFull
            Another endpoint does not fit.
        SharedError
            The file was opened for reading, and has no such endpoint.
        """

    def limiter(
        self,
        name: str,
        limit: str | SupportsIndex,
        window: _Span | None = None,
        *,
        burst: SupportsIndex | None = None,
        max_skew: _Span | None = None,
        when_full: Literal["refuse", "allow"] = "refuse",
    ) -> SharedLimiter:
        """Return the limiter ``name``, which all processes of the file keep together.

        Limiters of the same name are one. If the file has it at another rate, the rate is changed for all processes as
        `SharedLimiter.set_rate` does: when a service is deployed anew with another rate, what was let through before
        counts on. Arguments are as for `KeyedLimiter`; times from the future are refused if the registry has a
        ``clock`` or ``max_skew``, or ``max_skew`` is given here.

        Raises
        ------
        LimitError
            The rate is not possible, the limiter of this name is a window and a burst is given, or the other way
            round, or the file has no room for limiters.
        SharedError
            The file was opened for reading.
        """

    def total(
        self, last_seconds: _Span | None = None, *, prefix: _Endpoint | None = None, at: _Time | None = None
    ) -> int:
        """Return the hits of all endpoints, or of those whose names begin with ``prefix``. As `query_hits`.

        Without those of which a clock that was ahead took slots of the window: `ahead` names them.
        """

    def top(
        self, n: SupportsIndex, last_seconds: _Span | None = None, at: _Time | None = None
    ) -> list[tuple[str, int]]:
        """Return the ``n`` endpoints with the most hits, the busiest first. As `Registry.top`.

        Without those of which a clock that was ahead took slots of the window: `ahead` names them.
        """

    def endpoints(self) -> list[str]:
        """Return the names of all endpoints, in order."""

    def remove(self, endpoint: _Endpoint) -> bool:
        """Remove ``endpoint`` with its hits, and return whether there was one.

        Its counters, in whatever process, answer ``REFUSED`` from then on. A later hit of the name makes a new
        endpoint,
        in another place of the file.

        Raises
        ------
        SharedError
            The file was opened for reading.
        """

    def __contains__(self, endpoint: _Endpoint, /) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    def __iter__(self) -> Iterator[str]: ...
    def metrics(self) -> Metrics:
        """Return what the registry holds, and what became of the hits that all processes gave it."""

    def room(self) -> SharedRoom:
        """Return how much of the file is used."""

    def subscribe(
        self,
        callback: _Callback,
        events: str | Iterable[str] | None = None,
        *,
        capacity: SupportsIndex = 1_024,
    ) -> Subscription:
        """Call ``callback(name, fields)`` with events of what *this* process records. As `Registry.subscribe`."""

    def on_threshold(
        self, endpoint_or_glob: _Endpoint, last_seconds: _Span, limit: SupportsIndex, callback: _Callback
    ) -> Subscription:
        """Call ``callback`` when the hits of all processes reach ``limit`` by a hit of this one.

        As `Registry.on_threshold`.
        """

    def snapshot(self) -> bytes:
        """Return what the file holds. As `Registry.snapshot`, and of the same bytes."""

    def restore(self, snapshot: Buffer) -> None:
        """Replace the file by what ``snapshot`` says, in one step. Only while no other process has it open.

        Counters answer ``REFUSED`` afterwards.

        Raises
        ------
        SharedError
            Another process, or another registry of this one, has the file open: `merge` instead.
        SnapshotError
            The bytes are no snapshot, or one that a file of rings cannot hold. Nothing was changed.
        """

    def merge(self, snapshot: Buffer) -> int:
        """Add the hits of another registry, in a file or in memory. Merging the same again changes nothing.

        Merges of all processes take turns; recorders go on beside them. Removals travel along, as with
        `Registry.merge`.

        Returns
        -------
        int
            How many hits were left out because they were removed, though the snapshot counts them.

        Raises
        ------
        SnapshotError
            As `restore`; or the snapshot is this file's own. Nothing was changed.
        """

    def sync(self) -> None:
        """Bring what was counted to the disk: for the machine's end, not for that of a process.

        Raises
        ------
        SharedError
            What the system says.
        """

    def ahead(self) -> list[str]:
        """Return the endpoints with hits that are stamped further ahead than the slack, in order.

        A process whose clock was ahead brought them. They may have taken slots of the window: then `total` and `top`
        leave such an endpoint out. Its slots are free again when the time has caught up, or when it is removed.
        """

    @property
    def path(self) -> pathlib.Path:
        """The file."""

    @property
    def writable(self) -> bool:
        """Whether hits can be recorded: it was not opened for reading."""

    @property
    def current(self) -> bool:
        """Whether the path still means this file: it was not removed, nor replaced by a restore elsewhere."""

    @property
    def lost(self) -> bool:
        """Whether part of the file was cut off while it was open: hits are ``REFUSED``, queries an error."""

    @property
    def window(self) -> float:
        """The longest span that can be asked for, in seconds; an ``int`` if it is whole."""

    @property
    def resolution(self) -> float:
        """The width of a tick, in seconds; an ``int`` if it is whole."""

    @property
    def slack(self) -> int:
        """How many slots there are beyond the window."""

    @property
    def max_endpoints(self) -> int:
        """How many places of endpoints the file has."""

    @property
    def precision(self) -> int:
        """How many bits tell visitors apart."""

    @property
    def max_skew(self) -> float:
        """How far ahead of the clock a hit may be stamped, in seconds."""

    @property
    def clock(self) -> ManualClock | SystemClock | None:
        """The clock that was given; ``None`` stands for the system's."""

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...

@final
class SharedCounter:
    """One endpoint of a `SharedRegistry`, without looking its name up. Made by `SharedRegistry.counter`.

    When the endpoint is removed, by whatever process, it answers ``REFUSED`` and no hits, for good.
    """

    def record(self, amount: SupportsIndex = 1, *, visitor: _Item | None = None) -> Outcome:
        """Count ``amount`` hits now, and return what became of them. ``REFUSED`` in a file opened for reading."""

    def record_at(self, timestamp: _Time, amount: SupportsIndex = 1, *, visitor: _Item | None = None) -> Outcome:
        """Count ``amount`` hits at ``timestamp``, and return what became of them."""

    def count(self, last: _Span | None = None) -> int:
        """Return the hits of the ``last`` seconds up to now, of the window by default."""

    def count_at(self, timestamp: _Time, last: _Span | None = None) -> int:
        """Return the hits in ``(timestamp - last, timestamp]``, of the window by default."""

    def total_ever(self) -> int:
        """Return how many hits the file ever counted here."""

    def uniques(self, last: _Span | None = None) -> Estimate:
        """Return about how many different visitors there were. As `SharedRegistry.query_uniques`."""

    def uniques_ever(self) -> Estimate:
        """Return about how many different visitors there ever were."""

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""

    @property
    def alive(self) -> bool:
        """Whether hits are still taken: the endpoint was not removed."""

@final
class SharedLimiter:
    """A limit for each key that all processes of a file keep together. Made by `SharedRegistry.limiter`.

    At most the limit is let through in any window, or the burst and what the rate gives, whatever processes do. Limits
    of up to 12 are exact; windows of higher ones slide in tenths. A process that is killed or stopped holds up no
    other, and lets nothing more through.

    Examples
    --------
    >>> import os, tempfile
    >>> registry = SharedRegistry(os.path.join(tempfile.mkdtemp(), "hits.ring"), max_endpoints=1)
    >>> logins = registry.limiter("logins", "5/minute")
    >>> logins.allow("ann", 4).remaining, logins.allow("ann", 2).allowed, logins.allow("bob").allowed
    (1, False, True)
    """

    def allow(self, key: _Item = "", cost: SupportsIndex = 1, *, at: _Time | None = None) -> Decision:
        """Let ``cost`` of ``key`` through at ``at``, or now, or refuse it whole. As `KeyedLimiter.allow`."""

    def acquire(self, key: _Item = "", cost: SupportsIndex = 1, *, timeout: float | None = None) -> Decision:
        """Let a cost of ``key`` through as soon as there is room for it. As `Limiter.acquire`."""

    def acquire_async(
        self, key: _Item = "", cost: SupportsIndex = 1, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Decision]:
        """Do the same in a task of asyncio: ``await limiter.acquire_async()``."""

    def peek(self, key: _Item = "", cost: SupportsIndex = 1, *, at: _Time | None = None) -> Decision:
        """Return what ``allow(key, cost)`` would, but with all that remains. Consumes nothing and makes no key."""

    def reset(self, key: _Item = "") -> bool:
        """Forget what was let through of ``key``, in all processes, and return whether there was anything."""

    def set_rate(
        self,
        limit: str | SupportsIndex,
        window: _Span | None = None,
        *,
        burst: SupportsIndex | None = None,
    ) -> None:
        """Change the rate for all processes; what was let through counts on, as `Limiter.set_rate` says.

        ``burst`` is that of a token bucket, and has to be given for one. Decisions of all processes that begin
        afterwards are by the new rate. What had left the old window may be forgotten when its key is asked for the
        first time at the new rate. Each rate takes the place of a key until the next change after its window, and a key
        that is asked for at several rates takes a place for each until their windows have passed.

        Raises
        ------
        LimitError
            The rate cannot be kept so, a burst is given for a window or none for a bucket, or the file has no room for
            another rate. Nothing is changed then.
        """

    @property
    def rate(self) -> str:
        """The rate as text, as the processes have agreed."""

    @property
    def name(self) -> str:
        """The limiter's name."""

    @property
    def limit(self) -> int:
        """How much is let through in a window."""

    @property
    def window(self) -> float:
        """The window, in seconds; an ``int`` if it is whole."""

    @property
    def keys_in_use(self) -> int:
        """How many keys of all limiters of the file are not as good as new."""

    @property
    def without_room(self) -> tuple[int, int]:
        """How many costs were refused, and let through unlimited, since there was no room for their key."""

def compact(
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
    *,
    max_endpoints: SupportsIndex | None = None,
    window: _Span | None = None,
    limits: SupportsIndex | None = None,
) -> None:
    """Make the file ``new`` of what is alive in ``old``: of a `SharedRegistry` that no process has open.

    Removed endpoints stay behind, so there is room again; with ``max_endpoints``, ``window`` or ``limits`` there is
    another. With another number of ``limits`` all limiters begin anew. What the new file counts is of another writer,
    so snapshots of both files merge to the right sum.

    Raises
    ------
    SharedError
        ``old`` is in use or missing, ``new`` exists already, or the disk is full. Nothing was changed.
    """

@final
class WindowedUniques:
    """About how many different items there were in the last N seconds, and ever.

    The window is cut into sixteenths (of a second at least), each with a `HyperLogLog` of its own, and an answer joins
    those that it touches: it takes in items of up to one sixteenth (`part`) before what was asked for.

    Parameters
    ----------
    window, resolution, slack, max_skew, clock
        As for `HitCounter`.
    precision : int, default 14
        As for `HyperLogLog`.

    Raises
    ------
    ConfigError
        The parts do not fit together; the message says which, and what would.

    Notes
    -----
    Thread-safe and lock-free, also without a GIL. 150 bytes and its clock for up to eight items, 290 KB at most. Can
    be pickled and copied; ``max_skew`` is that of the slack then.

    Examples
    --------
    >>> clock = ManualClock(1_000)
    >>> visitors = WindowedUniques(300, clock=clock)
    >>> [visitors.add(name).value for name in ("ann", "bob", "ann")]
    ['counted', 'counted', 'counted']
    >>> int(visitors.count())
    2
    >>> clock.advance(600)
    1600
    >>> int(visitors.count()), int(visitors.ever())
    (0, 2)
    """

    def __new__(
        cls,
        window: _Span = 300,
        *,
        resolution: _Span = 1,
        slack: SupportsIndex = 20,
        precision: SupportsIndex = 14,
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
    ) -> Self: ...
    def add(self, item: _Item, timestamp: _Time | None = None) -> Outcome:
        """Add an item at ``timestamp``, or now: ``LATE`` if its sixteenth is gone, ``FUTURE`` as for `HitCounter`."""

    def count(self, last: _Span | None = None, at: _Time | None = None) -> Estimate:
        """Return about how many different items ``(at - last, at]`` has, or up to now; of the window by default.

        Raises
        ------
        WindowExpired
            Part of the range is not known any more.
        QueryError
            ``last`` is negative or more than the window.
        """

    def ever(self) -> Estimate:
        """Return about how many different items were ever added."""

    def merge(self, other: WindowedUniques | Buffer) -> None:
        """Add the items of another one, or of its bytes, as often as one likes.

        Raises `SnapshotError` unless window, resolution and precision are the same.
        """

    def to_bytes(self) -> bytes:
        """Return everything but the clock as bytes (``docs/formats.md``)."""

    @staticmethod
    def from_bytes(data: Buffer, *, clock: ManualClock | SystemClock | None = None) -> WindowedUniques:
        """Return what `to_bytes` wrote. Raises `SnapshotError` for anything else."""

    @property
    def error(self) -> float:
        """The relative standard error of a count of many."""

    @property
    def precision(self) -> int:
        """The number of bits that tell items apart."""

    @property
    def window(self) -> int | float:
        """The window in seconds."""

    @property
    def resolution(self) -> int | float:
        """The width of a tick in seconds."""

    @property
    def part(self) -> int | float:
        """How many seconds more than was asked for an answer may cover."""

    def __copy__(self) -> WindowedUniques: ...
    def __deepcopy__(self, memo: Any) -> WindowedUniques: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __sizeof__(self) -> int: ...

@final
class Decision:
    """What a limiter says. True if the cost was let through; unpacks into its three parts."""

    @property
    def allowed(self) -> bool:
        """Whether the cost was let through."""

    @property
    def remaining(self) -> int:
        """How much more would be, right after it."""

    @property
    def retry_after(self) -> float | None:
        """How many seconds to wait until this cost is let through, if no other cost comes.

        A cost that comes after exactly that time is let through. 0.0 if it was let through; ``None`` if waiting does
        not help, because the cost is more than the limit or `is_future`.
        """

    @property
    def is_future(self) -> bool:
        """Whether the cost was refused because its time lies further ahead of the clock than ``max_skew``."""

    @property
    def which(self) -> int:
        """Which of several limits it is about, counted from 0.

        The one that makes the cost wait longest, or that lets the least more through.
        """

    def headers(self, name: str = "default") -> dict[str, str]:
        """Return the header fields of HTTP that tell a client about its limit.

        ``RateLimit-Policy`` and ``RateLimit`` of draft-ietf-httpapi-ratelimit-headers-10, under ``name`` (of several
        limits ``name-0``, ``name-1``, ...); after a refusal that waiting helps also ``Retry-After``, in whole seconds,
        rounded up.
        """

    def as_dict(self) -> dict[str, bool | int | float | None]:
        """Return the three parts by name, as JSON takes them."""

    def __bool__(self) -> bool: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Limiter:
    """Lets through no more than so much in so much time, exactly, from any number of threads.

    A sliding window, or with ``burst`` a token bucket. In any span of the window at most ``limit`` is let through. A
    limit of up to 64 is kept as a log of what was let through, so a client that keeps to the rate is never refused;
    with a higher limit a cost may wait for up to a sixtieth of the window (``resolution``) longer. A bucket lets
    through ``burst`` at once, and then as much as the rate says, however the rate divides a second.

    Parameters
    ----------
    limit : int or str
        How much, 1 to 2**32; or a rate like ``"100/minute"``, ``"5/s"``, ``"10 per 30 seconds"``. Up to four rates with
        ``;`` between them, like ``"5/second;100/hour"``, are decided together: a cost is let through if all let it
        through, and else takes nothing from any; with a limit above 64 it may wait for up to a thirtieth of the window
        longer, with keys a sixth. A month is 30 days, and a year 365.
    window : span
        In how much time, 0.001 seconds to 100 years; not with a rate.
    burst : int, optional
        Makes it a token bucket of so many.
    resolution : span, optional
        The step in which the window slides. By default a limit of up to 64 has none, and a higher one a sixtieth of
        the window. Finer steps take 8 bytes each.
    max_skew : span, optional
        How far ``at`` may lie ahead of the clock: a window by default. Giving it, or a clock, refuses times from the
        future.
    clock : ManualClock or SystemClock, optional
        Where the time comes from: a steady clock by default, that no change of the wall clock moves.

    Raises
    ------
    LimitError
        This is not a rate, or the parts do not fit together. It is also a ``ValueError``.

    Notes
    -----
    Thread-safe and lock-free, also without a GIL: the word that a decision is made on is the word that it changes, by
    one exchange that expects it unchanged, so of two who want the last unit one is refused.

    Examples
    --------
    >>> limiter = Limiter("2/minute", clock=ManualClock(1_000))
    >>> limiter.allow(), limiter.allow(2)
    (Decision(allowed=True, remaining=1, retry_after=0.0), Decision(allowed=False, remaining=1, retry_after=60.0))
    >>> if not limiter.allow(3):
    ...     print("never")
    never
    """

    @overload
    def __new__(
        cls,
        limit: str,
        window: None = None,
        *,
        burst: SupportsIndex | None = None,
        resolution: _Span | None = None,
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
    ) -> Self: ...
    @overload
    def __new__(
        cls,
        limit: SupportsIndex,
        window: _Span,
        *,
        burst: SupportsIndex | None = None,
        resolution: _Span | None = None,
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
    ) -> Self: ...
    def allow(self, cost: SupportsIndex = 1, *, at: _Time | None = None) -> Decision:
        """Let ``cost`` through at ``at``, or now, or refuse it whole; a refused cost consumes nothing.

        Time does not go back: what is earlier than the newest time at which something was let through is decided as of
        that, and in a bucket finds fewer tokens than there are. With a ``clock`` or ``max_skew``, a time that lies
        further ahead than ``max_skew`` is refused (`Decision.is_future`); without, it shuts the limiter until then.
        """

    def acquire(self, cost: SupportsIndex = 1, *, timeout: float | None = None) -> Decision:
        """Let ``cost`` through as soon as there is room for it, and sleep until then.

        After ``timeout`` seconds (``None`` is for ever), or if waiting does not help, return the decision that refused
        it. It is known beforehand whether a wait ends in time, so a cost that would wait longer is refused at once.
        There is no queue: costs that wait ask again when they wake, beside those that come then, so a large one may
        wait for long while small ones pass. Other threads run meanwhile.
        """

    def acquire_async(self, cost: SupportsIndex = 1, *, timeout: float | None = None) -> Coroutine[Any, Any, Decision]:
        """Do the same in a task of asyncio: ``await limiter.acquire_async()``."""

    def peek(self, cost: SupportsIndex = 1, *, at: _Time | None = None) -> Decision:
        """Return what ``allow(cost)`` would, but with all that remains. Consumes nothing."""

    def set_rate(
        self,
        limit: str | SupportsIndex,
        window: _Span | None = None,
        *,
        burst: SupportsIndex | None = None,
        at: _Time | None = None,
    ) -> None:
        """Change the rate while the limiter is used; what was let through counts on.

        A window counts what came within the new window, as far as it lies within the old one; from one that slides in
        parts, a cost counts as of the end of its part, with each change of the window anew. A limit of up to 64 that
        was higher before slides in parts, too. A bucket lacks as many tokens as before, also if that is more than it
        holds, and is refilled at the new rate from now on, or from ``at``, which is not earlier than the newest cost;
        it keeps its burst unless there is another. Decisions go on meanwhile; those that begin afterwards are
        by the new rate. The same rate again changes nothing.

        Raises
        ------
        LimitError
            This is not a rate, it cannot be kept so, or a burst is given for a window. Nothing is changed then.
        """

    def reset(self) -> None:
        """Forget what was let through. A cost that is decided meanwhile counts or does not."""

    @property
    def rate(self) -> str:
        """The rate as text, or all of several."""

    @property
    def limit(self) -> int:
        """How much; of several rates the first."""

    @property
    def window(self) -> int | float:
        """In how many seconds."""

    def __sizeof__(self) -> int: ...

@final
class KeyedLimiter:
    """A limit for each key: for a user, an address, a tenant.

    As `Limiter`, for at most ``max_keys`` keys; those that are as good as new are forgotten, which changes no
    decision. A key takes itself twice and about 120 bytes and 8 for each unit of a limit of up to 64, 220 bytes with a
    higher limit, whose window slides in twelfths by default, and 100 in a bucket.

    Parameters
    ----------
    limit, window, burst, resolution, max_skew, clock
        As for `Limiter`.
    max_keys : int, default 100_000
        The most keys.
    when_full : {"refuse", "allow"}, default "refuse"
        What happens to the costs of a new key when there are as many and no idle one is found: they are refused, or
        let through unlimited. Both are counted. Each new key looks at 32 others at most.

    Examples
    --------
    >>> limiter = KeyedLimiter("100/minute", clock=ManualClock(1_000))
    >>> limiter.allow("198.51.100.7").remaining, limiter.allow("2001:db8::1", 60).remaining
    (99, 40)
    """

    @overload
    def __new__(
        cls,
        limit: str,
        window: None = None,
        *,
        max_keys: SupportsIndex = 100_000,
        when_full: Literal["refuse", "allow"] = "refuse",
        burst: SupportsIndex | None = None,
        resolution: _Span | None = None,
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
    ) -> Self: ...
    @overload
    def __new__(
        cls,
        limit: SupportsIndex,
        window: _Span,
        *,
        max_keys: SupportsIndex = 100_000,
        when_full: Literal["refuse", "allow"] = "refuse",
        burst: SupportsIndex | None = None,
        resolution: _Span | None = None,
        max_skew: _Span | None = None,
        clock: ManualClock | SystemClock | None = None,
    ) -> Self: ...
    def allow(self, key: _Item, cost: SupportsIndex = 1, *, at: _Time | None = None) -> Decision:
        """Let a cost of ``key`` through at ``at``, or now, or refuse it whole. As `Limiter.allow`."""

    def acquire(self, key: _Item, cost: SupportsIndex = 1, *, timeout: float | None = None) -> Decision:
        """Let a cost of ``key`` through as soon as there is room for it. As `Limiter.acquire`."""

    def acquire_async(
        self, key: _Item, cost: SupportsIndex = 1, *, timeout: float | None = None
    ) -> Coroutine[Any, Any, Decision]:
        """Do the same in a task of asyncio: ``await limiter.acquire_async()``."""

    def peek(self, key: _Item, cost: SupportsIndex = 1, *, at: _Time | None = None) -> Decision:
        """Return what ``allow(key, cost)`` would, but with all that remains. Consumes nothing and makes no key."""

    def reset(self, key: _Item) -> bool:
        """Forget what was let through of ``key``, and return whether there was anything."""

    def prune(self, *, at: _Time | None = None) -> int:
        """Drop every key that is as good as a new one, and return how many."""

    def metrics(self) -> KeyedMetrics:
        """Return what the limiter holds and did."""

    def set_rate(
        self,
        limit: str | SupportsIndex,
        window: _Span | None = None,
        *,
        burst: SupportsIndex | None = None,
        at: _Time | None = None,
    ) -> None:
        """Change the rate of all keys; what was let through counts on, as `Limiter.set_rate` says.

        Takes about a microsecond for each key. Decisions go on meanwhile, by the old rate or the new one.

        Raises
        ------
        LimitError
            This is not a rate, it cannot be kept so, or a burst is given for a window. Nothing is changed then.
        """

    @property
    def rate(self) -> str:
        """The rate as text, or all of several."""

    @property
    def limit(self) -> int:
        """How much each key may; of several rates the first."""

    @property
    def window(self) -> int | float:
        """In how many seconds."""

    @property
    def max_keys(self) -> int:
        """The most keys there may be."""

    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...
    def __sizeof__(self) -> int: ...

@final
class Strategy:
    """How hits are counted, with its options. Wherever one is wanted its name does, too, for the usual options.

    ============  ========================================================  ============================================
    name          recording                                                 counts are
    ============  ========================================================  ============================================
    ``ring``      lock-free: one ring for all threads                       exact to the tick
    ``striped``   wait-free: a ring of its own for each thread              exact to the tick
    ``fixed``     lock-free: whole buckets                                  of whole buckets
    ``sliding``   takes the lock of one of several shards                   exact to the microsecond
    ``morris``    lock-free: small registers                                an `Estimate`
    ``adaptive``  compact at first, then as ``ring`` or ``striped``         exact to the tick
    ============  ========================================================  ============================================

    Immutable, hashable, and equal to another of the same name and options.

    Examples
    --------
    >>> Strategy.fixed(window_size=30)
    Strategy.fixed(window_size=30)
    >>> Strategy.sliding() == Strategy.sliding(max_hits=2**20)
    True
    """

    @staticmethod
    def ring() -> Strategy:
        """Use one ring for all threads: lock-free, the least memory of those that are exact and dense."""

    @staticmethod
    def striped() -> Strategy:
        """Use a single-writer ring for each live thread: wait-free records that share nothing."""

    @staticmethod
    def fixed(window_size: _Span = 60) -> Strategy:
        """Use whole buckets of ``window_size``, a whole number of ticks and no more than the window.

        A query counts every bucket that it touches, so it may count hits up to one ``window_size`` older (and, for a
        time in the past, newer) than it asks for.
        """

    @staticmethod
    def sliding(max_hits: SupportsIndex = 1_048_576) -> Strategy:
        """Keep every hit at its exact microsecond: up to ``max_hits`` distinct ones, 16 bytes each."""

    @staticmethod
    def morris(error: float | None = None, *, base: float | None = None) -> Strategy:
        """Estimate, with small registers that are raised with a probability that falls as they grow.

        Give the relative standard ``error``, 0.001 to 0.5 (0.05 by default), or the ``base`` by which a step multiplies
        the estimate, above 1 and at most 2.
        """

    @staticmethod
    def adaptive() -> Strategy:
        """Begin with a few cells, go on with a ring or stripes as traffic and contention ask for it, and back."""

    @property
    def name(self) -> str:
        """The strategy's name."""

    @property
    def options(self) -> dict[str, float]:
        """The options, by name: ``getattr(Strategy, s.name)(**s.options) == s``."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class HyperLogLog:
    """Estimates how many different items were added, in memory that does not grow with them.

    Takes 56 bytes for the first eight items and, at the default precision, never more than 16 KB. Registers, hash and
    estimate are those of Redis, so that `to_redis` and `from_redis` exchange sketches with it.

    Parameters
    ----------
    precision : int, default 14
        There are ``2**precision`` registers: 4 to 18, and 14 for Redis. `error` says how good that makes the estimate;
        one more takes twice the memory for an error smaller by a factor of 1.4.

    Raises
    ------
    ConfigError
        The precision is not possible. It is also a ``ValueError``.

    Notes
    -----
    Do not use it against somebody who chooses the items to deceive it: the hash has no secret.

    Sketches merge in any order, as often as one likes: what comes out is the sketch of both sets of items, exactly.

    Thread-safe and without a lock, also without a GIL. `add` is wait-free on x86-64 and recent AArch64, but for the
    allocator while the sketch grows. After ``os.fork`` the child's copy goes on by itself.

    This and the other sketches can be copied (``copy.copy`` and ``copy.deepcopy`` are one) and pickled, by any
    protocol. Attributes are read-only, instances weakly referenceable, and compared by identity. The classes cannot be
    subclassed.

    Examples
    --------
    >>> monday, tuesday = HyperLogLog(), HyperLogLog()
    >>> monday.update(f"visitor {i}" for i in range(1_000))
    >>> tuesday.update(f"visitor {i}" for i in range(500, 1_500))
    >>> monday.merge(tuesday)
    >>> abs(monday.count() / 1_500 - 1) < 4 * monday.error
    True
    """

    def __new__(cls, precision: SupportsIndex = 14) -> Self: ...
    def add(self, item: _Item) -> bool:
        """Add an item: a ``str``, or ``bytes``, which need not be UTF-8; ``"a"`` and ``b"a"`` are the same item.

        ``True`` if that changed the sketch, as Redis's ``PFADD`` tells it: the item is new. ``False`` if it was there,
        or is hidden by others.
        """

    def update(self, items: Iterable[_Item]) -> None:
        """Add all ``items``, or none if one is bad; the error names its index. It keeps 8 bytes an item meanwhile."""

    def count(self) -> int:
        """Return how many different items were added, about: an estimate with a relative standard error of `error`.

        Beside writers: of every item whose `add` returned before, and of none whose `add` began after.
        """

    def merge(self, other: Self | Buffer) -> None:
        """Add all items of ``other``: another sketch, or its bytes, in hitring's form or in Redis's.

        Raises
        ------
        SketchError
            The precisions differ, or Redis's bytes are broken. Nothing was changed. It is also a ``ValueError``.
        SnapshotError
            The bytes are neither hitring's nor Redis's.
        """

    @property
    def error(self) -> float:
        """The relative standard error: two of three estimates are within it, 19 of 20 within twice of it.

        Better while there are fewer items than registers; at precisions 4 to 6 up to a fifth worse, and 2 to 8 % too
        high.
        """

    @property
    def precision(self) -> int:
        """The number of bits that choose a register."""

    def to_redis(self) -> bytes:
        """Return the sketch as Redis keeps it, for ``SET``: ``PFCOUNT``, ``PFADD`` and ``PFMERGE`` go on with it.

        In Redis's sparse form where Redis itself would use that.

        Raises
        ------
        ConfigError
            The precision is not 14, and Redis knows no other.
        """

    @staticmethod
    def from_redis(data: Buffer) -> HyperLogLog:
        """Return the sketch of what Redis answers to ``GET`` for a key of ``PFADD`` or ``PFMERGE``, in either form.

        Clients that decode replies as text spoil the bytes; switch that off for the call.

        Raises
        ------
        SketchError
            The bytes are no such sketch, are cut off, or hold what no item could have made. It is also a
            ``ValueError``.
        """

    def to_bytes(self) -> bytes:
        """Return the sketch as bytes of hitring's own: of any precision, versioned and checksummed."""

    @staticmethod
    def from_bytes(data: Buffer) -> HyperLogLog:
        """Return the sketch that `to_bytes` wrote.

        Raises
        ------
        SnapshotError
            The bytes are not exactly that. It is also a ``ValueError``.
        """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    def __sizeof__(self) -> int: ...

@final
class GCounter:
    """A count that replicas keep apart and merge: nothing is lost, nothing counted twice.

    Each replica counts by itself and takes in what others know, as often as one likes and in any order (a state-based
    grow-only counter). Every counter that comes into being under a name, by construction, copy, `from_bytes`,
    unpickling or fork, begins a new generation of the replica, so that one which is restarted from empty loses nothing.

    Parameters
    ----------
    replica : str or bytes of UTF-8
        The name of this replica: 1 to 1,024 bytes.

    Raises
    ------
    ConfigError
        The name is empty or too long. It is also a ``ValueError``.

    Notes
    -----
    Memory: a cell for each replica and generation that has counted anything.

    Thread-safe, also without a GIL: `record` is lock-free, `count` wait-free; `merge`, copies and `to_bytes` lock what
    is known of others, and without a GIL another thread must not fork meanwhile. After ``os.fork`` both sides go on
    and can be merged.

    Examples
    --------
    >>> one, two = GCounter("web-1"), GCounter("web-2")
    >>> one.record(3), two.record(4)
    (<Outcome.COUNTED: 'counted'>, <Outcome.COUNTED: 'counted'>)
    >>> one.merge(two.to_bytes())
    >>> one.merge(two)
    >>> one.count(), two.count()
    (7, 4)
    """

    def __new__(cls, replica: str | bytes) -> Self: ...
    def record(self, amount: SupportsIndex = 1) -> Outcome:
        """Count ``amount`` hits. ``SATURATED``, and none counted, if the count would be more than 2**63 - 1."""

    def count(self) -> int:
        """Return the hits of all replicas that are known here, at most 2**63 - 1."""

    def merge(self, other: Self | Buffer) -> None:
        """Take in what ``other`` knows: another counter, or its bytes. Again, or an older copy, changes nothing.

        Raises
        ------
        SnapshotError
            The bytes are not those of a `GCounter`. Nothing was changed. It is also a ``ValueError``.
        """

    @property
    def replica(self) -> str:
        """The replica's name."""

    def to_bytes(self) -> bytes:
        """Return what it knows, to be kept, sent and merged anywhere, any number of times."""

    @staticmethod
    def from_bytes(data: Buffer) -> GCounter:
        """Return a counter of the same replica that knows what ``data`` holds and counts in a generation of its own.

        Raises
        ------
        SnapshotError
            The bytes are not exactly what `to_bytes` wrote. It is also a ``ValueError``.
        """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...

@final
class Morris:
    """An approximate count in one word, which says how far it may be off.

    Parameters
    ----------
    error : float, default 0.05
        The relative standard error of an estimate: 0.001 to 0.5.
    base : float, optional
        The same, said by the base of the register: 1.000002 to 2, the coarsest. Give one of the two.
    seed : seed, optional
        Draw the random numbers from a seed: the same amounts in the same order give the same estimate.

    Raises
    ------
    ConfigError
        Error, base or seed is not possible. It is also a ``ValueError``.

    Notes
    -----
    Estimates are unbiased, under threads too. Merged counters add their estimates, of each writer the newest that was
    heard of; the relative error of the sum is not larger. A copy, a counter from bytes and a forked child go on as
    writers of their own, a copy of a seeded one by a seed drawn from the first, one from bytes by random numbers.

    Thread-safe, also without a GIL: `record` is lock-free; `estimate`, `merge`, copies and `to_bytes` lock what is
    known of others, and without a GIL another thread must not fork meanwhile.

    Examples
    --------
    >>> counter = Morris(error=0.05, seed=7)
    >>> counter.record(1_000_000)
    <Outcome.COUNTED: 'counted'>
    >>> abs(counter.estimate() / 1_000_000 - 1) < 4 * counter.error
    True
    """

    def __new__(
        cls, error: float | None = None, base: float | None = None, seed: SupportsIndex | None = None
    ) -> Self: ...
    def record(self, amount: SupportsIndex = 1) -> Outcome:
        """Count ``amount`` hits. ``SATURATED``, and none counted, if the register would stand for more than 2**63."""

    def estimate(self) -> float:
        """Return how many hits there were, about, here and where others that were merged came from."""

    def merge(self, other: Self | Buffer) -> None:
        """Take in what ``other`` counted: another counter, or its bytes. Again, or an older copy, changes nothing.

        Raises
        ------
        SketchError
            The bases differ. Nothing was changed. It is also a ``ValueError``.
        SnapshotError
            The bytes are not those of a `Morris`.
        """

    @property
    def error(self) -> float:
        """The relative standard error: about two thirds of all estimates are no further off than that."""

    @property
    def base(self) -> float:
        """The base: what a raise of the register multiplies the estimate by, about."""

    def to_bytes(self) -> bytes:
        """Return what it knows, to be kept, sent and merged anywhere, any number of times."""

    @staticmethod
    def from_bytes(data: Buffer) -> Morris:
        """Return a counter that knows what ``data`` holds and goes on as a writer of its own.

        Raises
        ------
        SnapshotError
            The bytes are not exactly what `to_bytes` wrote. It is also a ``ValueError``.
        """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...

@final
class Reservoir:
    """A uniform sample of at most ``k`` of everything that was added, by any threads.

    Each item that was added, and not each different one, is in the sample with the same chance (Li's algorithm L).

    Parameters
    ----------
    k : int
        The most items of a sample: 1 to 2**20.
    seed : seed, optional
        Draw the random numbers from a seed: the same items in the same order give the same sample.

    Raises
    ------
    ConfigError
        The size or the seed is not possible. It is also a ``ValueError``.

    Notes
    -----
    Merging carries a sample for each writer, and a copy, one from bytes and a forked child are writers of their own
    once they add something: to merge between very many, take a `BottomK`. Replicas that know of the same samples read
    the same items.

    Thread-safe, also without a GIL: most adds take no lock; without a GIL do not fork while another thread uses it.

    Examples
    --------
    >>> sample = Reservoir(3, seed=7)
    >>> sample.update(f"visitor {i}" for i in range(1_000))
    >>> len(sample.items()), sample.seen
    (3, 1000)
    """

    def __new__(cls, k: SupportsIndex, seed: SupportsIndex | None = None) -> Self: ...
    def add(self, item: _Item) -> None:
        """Add an item; the ``bytes`` of a ``str`` are that ``str``."""

    def update(self, items: Iterable[_Item]) -> None:
        """Add all ``items``, or none if one is bad; the error names its index."""

    def items(self) -> list[str]:
        """Return the sample: all items, while there are at most ``k``. In no order that means anything."""

    @property
    def seen(self) -> int:
        """How many items were added, here and where others that were merged came from."""

    @property
    def k(self) -> int:
        """The most items of a sample."""

    def merge(self, other: Self | Buffer) -> None:
        """Take in what ``other`` has seen: another sample, or its bytes. Again, or an older copy, changes nothing.

        Raises
        ------
        SketchError
            The sizes ``k`` differ. Nothing was changed. It is also a ``ValueError``.
        SnapshotError
            The bytes are not those of a `Reservoir`.
        """

    def to_bytes(self) -> bytes:
        """Return what it knows, to be kept, sent and merged anywhere, any number of times."""

    @staticmethod
    def from_bytes(data: Buffer) -> Reservoir:
        """Return a sample that knows what ``data`` holds and goes on by itself, with random numbers of the system's.

        Raises
        ------
        SnapshotError
            The bytes are not exactly what `to_bytes` wrote. It is also a ``ValueError``.
        """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...

@final
class BottomK:
    """A uniform sample of at most ``k`` items that merges with others in any order, as often as one likes.

    Each added item draws a random tag; the ``k`` smallest stay. Where nothing is merged, a `Reservoir` is cheaper.

    Parameters
    ----------
    k : int
        The most items of a sample: 1 to 2**20.
    seed : seed, optional
        Draw the tags from a seed: the same items in the same order give the same sample. Samples that are to be merged
        need different seeds.

    Raises
    ------
    ConfigError
        The size or the seed is not possible. It is also a ``ValueError``.

    Notes
    -----
    Thread-safe, also without a GIL: an item that is not taken takes no lock; without a GIL do not fork while another
    thread uses it. A seeded one and its forked copy draw the same tags: make a new one in the child.

    Examples
    --------
    >>> few, many = BottomK(10), BottomK(10)
    >>> few.update(f"few {i}" for i in range(20))
    >>> many.update(f"many {i}" for i in range(2_000))
    >>> few.merge(many)                      # of 2,020 items, each with the same chance
    >>> len(few.items())
    10
    """

    def __new__(cls, k: SupportsIndex, seed: SupportsIndex | None = None) -> Self: ...
    def add(self, item: _Item) -> None:
        """Add an item; the ``bytes`` of a ``str`` are that ``str``."""

    def update(self, items: Iterable[_Item]) -> None:
        """Add all ``items``, or none if one is bad; the error names its index."""

    def items(self) -> list[str]:
        """Return the sample: all items, while there are at most ``k``. In the order of their tags, which is random."""

    @property
    def k(self) -> int:
        """The most items of a sample."""

    def merge(self, other: Self | Buffer) -> None:
        """Take in what ``other`` has sampled: another sample, or its bytes. Again, or an older copy, changes nothing.

        Raises
        ------
        SketchError
            The sizes ``k`` differ. Nothing was changed. It is also a ``ValueError``.
        SnapshotError
            The bytes are not those of a `BottomK`.
        """

    def to_bytes(self) -> bytes:
        """Return the sample with its tags, to be kept, sent and merged anywhere, any number of times."""

    @staticmethod
    def from_bytes(data: Buffer) -> BottomK:
        """Return the sample that ``data`` holds, which goes on with random numbers of the system's.

        Raises
        ------
        SnapshotError
            The bytes are not exactly what `to_bytes` wrote. It is also a ``ValueError``.
        """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...

@final
class TopK:
    """The ``k`` most frequent items, each with its count and how much of that may be others' (Space-Saving).

    With ``n`` hits in all, every item with more than ``n / k`` of them is listed, and no error is more than ``n / k``.

    Parameters
    ----------
    k : int
        The most items that are listed: 1 to 2**20. Several times as many as are wanted make the counts better.

    Raises
    ------
    ConfigError
        The size is not possible. It is also a ``ValueError``.

    Notes
    -----
    Memory: ``k`` items for each of the threads that add, of which up to 16 are told apart, and ``k`` for each writer
    that was merged. A copy, a list from bytes and a forked child go on as writers of their own.

    Thread-safe, also without a GIL: each thread's list has a lock; without a GIL do not fork while another thread uses
    it.

    Examples
    --------
    >>> top = TopK(2)
    >>> for path, hits in [("/a", 50), ("/b", 30), ("/c", 1)]:
    ...     _ = top.add(path, hits)
    >>> top.items()                          # "/c" had between 1 and 31
    [('/a', 50, 0), ('/c', 31, 30)]
    """

    def __new__(cls, k: SupportsIndex) -> Self: ...
    def add(self, item: _Item, amount: SupportsIndex = 1) -> Outcome:
        """Count ``amount`` hits of ``item``; the ``bytes`` of a ``str`` are that ``str``.

        ``SATURATED``, and none counted, if this thread's list would have more than 2**63 - 1 hits in all.
        """

    def items(self) -> list[tuple[str, int, int]]:
        """Return ``(item, count, error)`` of the most frequent, the largest count first.

        The item was hit at most ``count`` and at least ``count - error`` times, merged hits included.
        """

    @property
    def k(self) -> int:
        """The most items that are listed."""

    def merge(self, other: Self | Buffer) -> None:
        """Take in what ``other`` counted: another list, of any ``k``, or its bytes.

        Merging it again, or an older copy, changes nothing.

        Raises
        ------
        SnapshotError
            The bytes are not those of a `TopK`. Nothing was changed. It is also a ``ValueError``.
        """

    def to_bytes(self) -> bytes:
        """Return what it knows, to be kept, sent and merged anywhere, any number of times."""

    @staticmethod
    def from_bytes(data: Buffer) -> TopK:
        """Return a list that knows what ``data`` holds and goes on as a writer of its own.

        Raises
        ------
        SnapshotError
            The bytes are not exactly what `to_bytes` wrote. It is also a ``ValueError``.
        """

    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...

@final
class ManualClock:
    """A clock that stands still until it is moved: for tests, replays and simulations.

    Counters that were given the same clock share its time, on all threads. ``start`` is a timestamp.

    Examples
    --------
    >>> clock = ManualClock(1_000)
    >>> counter = HitCounter(clock=clock)
    >>> counter.hit()
    >>> clock.advance(299), counter.count()
    (1299, 1)
    >>> clock.advance(1), counter.count()
    (1300, 0)
    """

    def __new__(cls, start: _Time = 0) -> Self: ...
    def now(self) -> float:
        """Return the time that the clock shows, in seconds since 1970; an ``int`` if it is whole."""

    def set(self, timestamp: _Time) -> None:
        """Set the clock, ahead or back."""

    def advance(self, seconds: _Span) -> float:
        """Move the clock ahead and return the new time. Beyond the year 9999: ``ValueError``, and it stays."""

@final
class SystemClock:
    """The operating system's real-time clock.

    A counter reads the coarse one, where there is one and the resolution allows: it costs 3 ns and moves every 1 to
    10 ms. Ticks do not go back while the clock is behind by no more than ``max_skew``.
    """

    def __new__(cls) -> Self: ...
    def now(self) -> float:
        """Return the time now, by the precise clock, in seconds since 1970."""

@final
class _Listener:
    """A queue of events, iterated over by the thread of a `Subscription`; each is a name and its fields."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[str, dict[str, Any]]: ...
    def close(self) -> None: ...
    @property
    def dropped(self) -> int: ...

def _restore(
    configuration: tuple[int, int, int, str, int | None],
    clock: ManualClock | SystemClock | None,
    snapshot: Buffer,
) -> HitCounter: ...
def _restore_registry(
    configuration: tuple[int, int, int, str, int | None, int, str, int],
    clock: ManualClock | SystemClock | None,
    snapshot: Buffer,
) -> Registry: ...
def _restore_sketch(kind: str, data: Buffer) -> BottomK | GCounter | HyperLogLog | Morris | Reservoir | TopK: ...
def _restore_uniques(data: Buffer, clock: ManualClock | SystemClock | None) -> WindowedUniques: ...
def _restore_strategy(text: str) -> Strategy: ...
def _restore_clock(secs: int, nanos: int) -> ManualClock: ...
def _restore_decision(
    allowed: bool,
    remaining: int,
    retry_after: tuple[int, int] | None,
    is_future: bool,
    which: int,
    of: tuple[int, tuple[int, int], int | None, bool],
) -> Decision: ...
def _open_shared(path: str | os.PathLike[str], options: dict[str, Any]) -> SharedRegistry: ...
def _look_up() -> None: ...
def _run(arguments: list[str]) -> int: ...
