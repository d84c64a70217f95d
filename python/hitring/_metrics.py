"""What a registry, or a limiter of keys, tells of itself."""

from __future__ import annotations

from hitring._named import NamedTuple

__all__ = ["KeyedMetrics", "Metrics", "SharedRoom", "StrategyOf"]


class Metrics(NamedTuple):
    """What a registry holds, and what became of the hits it was given.

    All numbers but those of what is held only grow, also over removals and prunes; a restore replaces them.
    """

    total_hits: int
    """Hits that were counted, those of merged and restored registries included (see `Registry.merge` for those of very
    many); of ``morris`` endpoints an estimate."""
    endpoints_count: int
    """Endpoints there are."""
    pruned_events: int
    """Hits that were pruned: of idle endpoints, and those that newer ones pushed out of a ``sliding`` log."""
    pruned_endpoints: int
    """Endpoints that were pruned."""
    memory_entries: int
    """Cells, timestamps and registers that hold something."""
    memory_bytes: int
    """About how many bytes all that takes."""
    strategy: str
    """The name of the strategy of new endpoints."""
    late: int
    """Hits that were refused because their tick was gone."""
    future: int
    """Hits that were refused because they lay too far ahead of the clock."""
    saturated: int
    """Hits that were refused because they did not fit into their tick."""
    refused: int
    """Hits that were refused for want of room, or by a counter whose endpoint is gone."""
    dropped_events: int
    """Events that were not delivered because a subscriber was too slow."""


class StrategyOf(NamedTuple):
    """How an endpoint's hits are counted."""

    strategy: str
    """Its strategy, by name."""
    shape: str | None
    """What takes its hits if it is adaptive (``few``, ``sparse``, ``ring`` or ``striped``); else ``None``."""
    why: str
    """Why that."""


class KeyedMetrics(NamedTuple):
    """What a `KeyedLimiter` holds and did."""

    keys: int
    """Keys there are."""
    dropped: int
    """Keys that were dropped, being as good as new ones."""
    refused: int
    """Costs of new keys that were refused since there was no room."""
    unlimited: int
    """Costs of new keys that were let through unlimited since there was no room."""
    memory_bytes: int
    """About how many bytes all keys take, what they hold themselves not included."""


class SharedRoom(NamedTuple):
    """How much of a `SharedRegistry`'s file is used. Nothing that is used is given back but by `compact`."""

    lives: int
    """Places of endpoints in use: one for each name, one more after each removal, one for each merged registry's."""
    max_endpoints: int
    """How many there are."""
    name_bytes: int
    """Bytes of names in use."""
    max_name_bytes: int
    """How many there are."""
    visitors: int
    """Words of visitors in use."""
    max_visitors: int
    """How many there are."""
    max_limits: int
    """Keys of limiters that there is room for."""
    file_bytes: int
    """The bytes of the file."""


KeyedMetrics.__module__ = Metrics.__module__ = SharedRoom.__module__ = StrategyOf.__module__ = "hitring"
