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
and writes nothing, so that it never holds up a thread that logs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hitring._labels import labelled
from hitring._told_apart import OTHER, ToldApart, is_name

if TYPE_CHECKING:
    from hitring import Registry, SharedRegistry

__all__ = ["HitHandler"]

_MOST_LEVELS = 100
"""How many levels are told apart. Logging itself has five, and a program may name more."""


class HitHandler(logging.Handler):
    """Counts records by level and logger, under ``log{level="ERROR",logger="shop.payment"}``.

    Parameters
    ----------
    registry
        Counts the records. A hit that it refuses changes nothing.
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
        labelled(name)
        self._record = registry.record_hit
        self._name = name
        self._by_logger = by_logger
        self._loggers = ToldApart("max_loggers", max_loggers)
        self._levels = ToldApart("levels", _MOST_LEVELS)
        self._names: dict[tuple[str, str], str] = {}

    def handle(self, record: logging.LogRecord) -> bool:
        """Count a record that the filters of the handler let through."""
        passes = self.filter(record)
        if passes:
            self.emit(record)
        return bool(passes)

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record."""
        key = (record.levelname, record.name if self._by_logger else "")
        name = self._names.get(key)
        self._record(name if name is not None else self._named(*key))

    def _named(self, level: str, logger: str) -> str:
        """Return the name of an endpoint, and keep it if its parts are among the few."""
        if not self._levels.add(level):
            level = OTHER
        name = self._labelled(level, logger)
        if self._by_logger and not (is_name(name) and self._loggers.add(logger)):
            logger = OTHER
            name = self._labelled(level, logger)
        self._names[level, logger] = name
        return name

    def _labelled(self, level: str, logger: str) -> str:
        labels = {"level": level, "logger": logger} if self._by_logger else {"level": level}
        return labelled(
            self._name, **{label: text.encode("utf-8", "replace").decode() for label, text in labels.items()}
        )
