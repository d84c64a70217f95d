"""A count that is an estimate.

The compiled module looks this class up when a ``morris`` endpoint is asked for the first time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import disjoint_base
else:

    def disjoint_base(kind: type) -> type:
        """Tell type checkers that no class has this one and another such one for its bases."""
        return kind


__all__ = ["Estimate"]


@disjoint_base
class Estimate(int):
    """An estimated number of hits: an ``int``, so it adds up and compares as one, that knows how exact it is.

    >>> hits = Estimate(1_023, error=0.05)
    >>> hits, hits + 1, f"{hits:,}", hits.error
    (Estimate(1023, error=0.05), 1024, '1,023', 0.05)
    """

    _error: float

    def __new__(cls, count: int, error: float = float("nan")) -> Estimate:  # noqa: PYI034 (typing.Self is younger)
        """Make an estimate of ``count`` hits with a relative standard error of ``error``, or an unknown one.

        An unknown one is ``nan``. Python's own ``statistics`` makes such estimates of others.
        """
        estimate = super().__new__(cls, count)
        estimate._error = error
        return estimate

    @property
    def error(self) -> float:
        """The relative standard error: about two thirds of all estimates are no further off than that."""
        return self._error

    def __getnewargs__(self) -> tuple[int, float]:  # type: ignore[override]  # int's own has one argument
        return (int(self), self._error)

    def __repr__(self) -> str:
        return f"Estimate({int(self)}, error={self._error!r})"

    __str__ = int.__repr__


Estimate.__module__ = "hitring"
