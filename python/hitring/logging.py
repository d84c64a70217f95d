"""A handler for the standard library's logging that counts records instead of writing them.

>>> import logging
>>> from hitring import Registry
>>> from hitring.logging import HitHandler
>>> registry = Registry()
>>> logger = logging.getLogger("shop.payment")
>>> logger.addHandler(HitHandler(registry))
>>> logger.error("card %s was declined", 4711)
>>> registry.top(1)
[('log{level="ERROR",logger="shop.payment"}', 1)]

On the root logger it counts the records of all loggers that propagate them. Counting formats no message, takes no lock
and writes nothing, so that it never holds up a thread that logs. Do not log in a callback of a subscription to the same
registry: each record would be a hit, and each hit another record.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hitring._labels import labelled
from hitring._outcome import Outcome
from hitring._told_apart import OTHER, ToldApart, is_name, recorders

if TYPE_CHECKING:
    from hitring import Registry, SharedRegistry

__all__ = ["HitHandler"]

_MOST_LEVELS = 100
"""How many levels are told apart. Logging itself has five, and a program may name more."""
_LONGEST_LEVEL = 100
"""Characters of the longest name of a level that is told apart."""


class HitHandler(logging.Handler):
    """Counts records by level and logger, under ``log{level="ERROR",logger="shop.payment"}``.

    Parameters
    ----------
    registry
        Counts the records. Where it has no room for another endpoint, the record is counted as level and logger
        ``(other)``.
    level
        Counts records of this level and above, as each handler of logging does.
    name
        The name that has the labels.
    by_logger
        Whether loggers are told apart. Otherwise the level is the only label.
    max_loggers
        How many loggers are told apart, because a program may make loggers without end. Further ones are counted
        under ``(other)``.

    Raises
    ------
    ConfigError
        The name cannot have labels, or ``max_loggers`` is less than 1.
    """

    def __init__(
        self,
        registry: Registry | SharedRegistry,
        *,
        level: int | str = logging.NOTSET,
        name: str = "log",
        by_logger: bool = True,
        max_loggers: int = 1_000,
    ) -> None:
        super().__init__(level)
        # Not `_name`, which is where logging keeps what a configuration calls the handler.
        self._family = name
        self._by_logger = by_logger
        self._loggers = ToldApart("max_loggers", max_loggers)
        self._levels = ToldApart("levels", _MOST_LEVELS)
        self._endpoints: dict[tuple[int, str], str] = {}
        labelled(name, level=OTHER)  # raises if the name cannot have labels
        self._record, self._record_rest = recorders(registry, self._labelled(OTHER, OTHER))

    def handle(self, record: logging.LogRecord) -> Any:
        """Count a record that the filters of the handler let through."""
        passes: Any = self.filter(record)
        if passes:
            # Since Python 3.12 a filter may put another record in its place.
            self.emit(passes if isinstance(passes, logging.LogRecord) else record)
        return passes

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record."""
        try:
            key = (record.levelno, record.name if self._by_logger else "")
            endpoint = self._endpoints.get(key)
            outcome = self._record(endpoint if endpoint is not None else self._endpoint(*key))
            if outcome is Outcome.REFUSED and self._record_rest is not None:
                self._record_rest()
        except Exception:
            # As all handlers of logging do: the program that logs must not fail.
            self.handleError(record)

    def _endpoint(self, number: int, logger: str) -> str:
        """Return the name of an endpoint, and keep it if its parts are among the few."""
        # Not the name that the record has, which a formatter may have coloured.
        level = logging.getLevelName(number)
        if len(level) > _LONGEST_LEVEL or not self._levels.add(level):
            number, level = 0, OTHER
        endpoint = self._labelled(level, logger)
        if self._by_logger and not (is_name(endpoint) and self._loggers.add(logger)):
            logger = OTHER
            endpoint = self._labelled(level, logger)
        if level is not OTHER:
            self._endpoints[number, logger] = endpoint
        return endpoint

    def _labelled(self, level: str, logger: str) -> str:
        labels = {"level": level, "logger": str(logger)} if self._by_logger else {"level": level}
        unicode = {label: text.encode("utf-8", "replace").decode() for label, text in labels.items()}
        return labelled(self._family, **unicode)
