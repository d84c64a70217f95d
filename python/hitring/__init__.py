"""Count hits from any thread without a lock, and ask how many there were in the last N seconds.

>>> from hitring import HitCounter
>>> counter = HitCounter()           # the last 300 seconds, by the second
>>> counter.record()                 # one hit, now
<Outcome.COUNTED: 'counted'>
>>> counter.count(last=60)           # hits of the last minute
1

With timestamps of your own, in any order:

>>> counter = HitCounter(window=300)
>>> for timestamp in (1, 2, 3, 300):
...     counter.hit(timestamp)
>>> counter.getHits(300), counter.getHits(301)
(4, 3)

By endpoint:

>>> from hitring import Registry
>>> registry = Registry()
>>> registry.record_hit("/home")
<Outcome.COUNTED: 'counted'>
>>> registry.query_hits("/home", last_seconds=60), registry.top(3, last_seconds=60)
(1, [('/home', 1)])

A query at time ``t`` over ``last`` counts the ticks in ``(t - last, t]``: a hit at second 1 is counted at second 300,
and no longer at 301.
"""

from __future__ import annotations

import sys

from hitring._changed import Changed
from hitring._counting import Counted
from hitring._errors import (
    ConfigError,
    HitringError,
    LimitError,
    LimitExceeded,
    QueryError,
    RegistryFull,
    SharedError,
    SketchError,
    SnapshotError,
    WindowExpired,
)
from hitring._estimate import Estimate
from hitring._events import Subscription
from hitring._hitring import (
    BottomK,
    Counter,
    Decision,
    GCounter,
    HitCounter,
    HyperLogLog,
    KeyedLimiter,
    Limiter,
    ManualClock,
    Morris,
    Registry,
    Reservoir,
    Strategy,
    SystemClock,
    TopK,
    WindowedUniques,
    __version__,
    _look_up,
    default_registry,
)
from hitring._labels import labelled
from hitring._metrics import KeyedMetrics, Metrics, SharedRoom, StrategyOf
from hitring._outcome import Outcome, Outcomes
from hitring._waiting import limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

if sys.platform == "linux":
    from hitring._hitring import Marks, SharedCounter, SharedLimiter, SharedRegistry, compact
else:

    def __getattr__(name: str) -> NoReturn:
        if name in {"Marks", "SharedCounter", "SharedLimiter", "SharedRegistry", "compact"}:
            # Not an AttributeError, of which `from hitring import` would drop the message.
            message = f"hitring.{name} needs Linux; count by process and merge snapshots instead"
            raise ImportError(message)
        message = f"module 'hitring' has no attribute {name!r}"
        raise AttributeError(message)


_look_up()

__all__ = [
    "BottomK",
    "Changed",
    "ConfigError",
    "Counted",
    "Counter",
    "Decision",
    "Estimate",
    "GCounter",
    "HitCounter",
    "HitringError",
    "HyperLogLog",
    "KeyedLimiter",
    "KeyedMetrics",
    "LimitError",
    "LimitExceeded",
    "Limiter",
    "ManualClock",
    "Metrics",
    "Morris",
    "Outcome",
    "Outcomes",
    "QueryError",
    "Registry",
    "RegistryFull",
    "Reservoir",
    "SharedError",
    "SharedRoom",
    "SketchError",
    "SnapshotError",
    "Strategy",
    "StrategyOf",
    "Subscription",
    "SystemClock",
    "TopK",
    "WindowExpired",
    "WindowedUniques",
    "__version__",
    "default_registry",
    "labelled",
    "limited",
]
if sys.platform == "linux":
    __all__ += ["Marks", "SharedCounter", "SharedLimiter", "SharedRegistry", "compact"]
