"""Texts that become endpoints. Only the first so many are told apart, because clients and programs can invent more."""

from __future__ import annotations

import threading

from hitring._errors import ConfigError

__all__ = ["OTHER", "ToldApart", "is_name"]

OTHER = "(other)"
"""What the texts after the first so many are counted under."""
_LONGEST = 1_024
"""Bytes of the longest name of an endpoint."""


def is_name(text: str) -> bool:
    """Return whether a text is short enough to be the name of an endpoint."""
    return len(text) <= _LONGEST and len(text.encode()) <= _LONGEST


class ToldApart:
    """The first ``most`` different texts. Threads that add some at once do not exceed it."""

    __slots__ = ("_lock", "_most", "_texts")

    def __init__(self, option: str, most: int) -> None:
        """``option`` is the name of the option that has ``most``."""
        if not isinstance(most, int) or most < 1:  # pyright: ignore[reportUnnecessaryIsInstance] (callers may be untyped)
            message = f"{option} must be a whole number, at least 1, not {most!r}"
            raise ConfigError(message)
        self._most = most
        self._texts: set[str] = set()
        self._lock = threading.Lock()

    def add(self, text: str) -> bool:
        """Return whether ``text`` is among them, and add it while there is room. Takes no lock when all are there."""
        if text in self._texts:
            return True
        if len(self._texts) >= self._most:
            return False
        with self._lock:
            if len(self._texts) < self._most:
                self._texts.add(text)
            return text in self._texts
