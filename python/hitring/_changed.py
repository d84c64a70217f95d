"""What a `SharedRegistry` tells those who keep its counts elsewhere."""

from __future__ import annotations

from hitring._named import NamedTuple

__all__ = ["Changed"]


class Changed(NamedTuple):
    """An endpoint that has other hits than `SharedRegistry.changed` told before."""

    endpoint: str
    """Its name."""
    writer: str
    """Who counted these hits: the file's `SharedRegistry.replica`, and which of its lives.

    Hits of different writers add up; of one writer and tick, the larger number is the later one.
    """
    epoch: int
    """In which it counts: larger after a removal of the name than before."""
    total: int
    """All hits of the name since it was last removed; of a writer from before a boot, those that are told.

    A few that come meanwhile may be among ``buckets`` and not in this.
    """
    buckets: list[tuple[float, int]]
    """``(start, hits)`` of each tick that has some, oldest first; ``start`` as in `HitCounter.buckets_at`."""


Changed.__module__ = "hitring"
