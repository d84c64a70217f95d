"""What became of a hit, and of many.

The compiled module looks these classes up once, when it is imported.
"""

from __future__ import annotations

import enum

from hitring._named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Outcome", "Outcomes"]


class Outcome(str, enum.Enum):
    """What became of a hit. True only if it was counted: ``if not counter.record(): ...``.

    A member is a ``str`` of its value, so JSON takes it, and it equals that text.
    """

    COUNTED = "counted"
    """The hit is in the count of its tick."""
    LATE = "late"
    """Refused: the slot of its tick already belongs to a newer tick. More ``slack`` accepts later hits."""
    FUTURE = "future"
    """Refused: it lies further ahead of the counter's clock than ``max_skew``."""
    SATURATED = "saturated"
    """Refused whole: the amount does not fit into its tick."""
    REFUSED = "refused"
    """Refused: the strategy is bounded, and full."""

    if TYPE_CHECKING:
        # An enum's, not that of str.
        def __new__(cls, value: object) -> Self: ...

    # As of an enum, in all versions of Python.
    __str__ = enum.Enum.__str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        """Whether the hit is in the count."""
        return self is Outcome.COUNTED


class Outcomes(NamedTuple):
    """How many hits had each outcome, as sums of amounts."""

    counted: int = 0
    """Hits that were counted."""
    late: int = 0
    """Hits that were too late."""
    future: int = 0
    """Hits that were too far ahead of the clock."""
    saturated: int = 0
    """Hits whose amount did not fit into their tick."""
    refused: int = 0
    """Hits that a full strategy refused."""


# Both are the package's, wherever they happen to be written: in tracebacks, in reprs, in pickles.
Outcome.__module__ = Outcomes.__module__ = "hitring"
