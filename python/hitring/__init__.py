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

A query at time ``t`` over ``last`` counts the ticks in ``(t - last, t]``: a hit at second 1 is counted at second 300,
and no longer at 301.
"""

from hitring._errors import ConfigError, HitringError, QueryError, SnapshotError, WindowExpired
from hitring._hitring import HitCounter, ManualClock, SystemClock, __version__
from hitring._outcome import Outcome, Outcomes

__all__ = [
    "ConfigError",
    "HitCounter",
    "HitringError",
    "ManualClock",
    "Outcome",
    "Outcomes",
    "QueryError",
    "SnapshotError",
    "SystemClock",
    "WindowExpired",
    "__version__",
]
