"""The compiled part of hitring. Import these names from ``hitring``; this stub is their manual.

What a method takes:

==============  =======================================================================================================
a timestamp     seconds since 1970-01-01T00:00:00 UTC, up to the end of the year 9999: an ``int`` or anything with
                ``__index__`` (NumPy's integers), a finite ``float``, taken to the nearest microsecond, or an aware
                ``datetime``, exactly
a span          seconds, 0 or more: an ``int`` or anything with ``__index__``, a finite ``float``, taken to the nearest
                microsecond, or a ``timedelta``
an amount       an ``int``, or anything with ``__index__``, from 0 to 2**63 - 1
==============  =======================================================================================================

Anything else is a ``TypeError`` if it is of a wrong type (``bool``, ``str``, and ``None`` unless it is the default),
else a ``ValueError`` (negative, NaN, infinite, too large, a ``datetime`` without a time zone). Nothing is ever wrapped
around or clamped, and a call that raises has counted nothing.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, SupportsIndex, final

from typing_extensions import Buffer, Self, TypeAlias

from hitring._outcome import Outcome, Outcomes

__all__ = [
    "HitCounter",
    "ManualClock",
    "SystemClock",
    "_FastFloor",
    "_Floor",
    "__version__",
    "_restore",
    "_restore_clock",
    "_run",
]

_Time: TypeAlias = SupportsIndex | float | datetime
_Span: TypeAlias = SupportsIndex | float | timedelta
_Strategy: TypeAlias = Literal["striped", "ring", "sliding"]

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
    strategy : {"striped", "ring", "sliding"}, default "striped"
        How hits are counted; see the table.
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
    call began after it ended; when nobody writes it is exact. Nothing is silently low: a range that newer hits have
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
            ``timestamps[i]`` is no timestamp, or they have more than one dimension.
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
    def strategy(self) -> _Strategy:
        """The name of the strategy."""

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
class _Floor:
    """Empty methods, for the benchmarks: what a call costs that counts nothing."""

    def __new__(cls) -> Self: ...
    def hit(self, timestamp: int | None = None) -> None: ...
    def getHits(self, timestamp: int | None = None) -> None: ...
    def record(self, amount: int = 1) -> None: ...

@final
class _FastFloor:
    """Empty methods that are entered as quickly as those of `HitCounter`."""

    def __new__(cls) -> Self: ...
    def hit(self, timestamp: int | None = None) -> None: ...
    def getHits(self, timestamp: int | None = None) -> None: ...
    def record(self, amount: int = 1) -> None: ...

def _restore(
    configuration: tuple[int, int, int, str, int | None],
    clock: ManualClock | SystemClock | None,
    snapshot: Buffer,
) -> HitCounter: ...
def _restore_clock(secs: int, nanos: int) -> ManualClock: ...
def _run(arguments: list[str]) -> int: ...
