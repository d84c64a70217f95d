"""Texts that become endpoints. Only the first so many are told apart, because clients and programs can invent more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from hitring._errors import ConfigError, RegistryFull

if TYPE_CHECKING:
    from hitring._hitring import Registry, SharedRegistry
    from hitring._outcome import Outcome

__all__ = ["OTHER", "ToldApart", "is_name", "recorders"]

OTHER = "(other)"
"""What the texts after the first so many are counted under."""
_LONGEST = 1_024
"""Bytes of the longest name of an endpoint."""


def is_name(text: str) -> bool:
    """Return whether a text is short enough to be the name of an endpoint."""
    return len(text) <= _LONGEST and len(text.encode()) <= _LONGEST


def recorders(
    registry: Registry | SharedRegistry, rest: str
) -> tuple[Callable[[str], Outcome], Callable[[], Outcome] | None]:
    """Return what records a hit of an endpoint, and what records one of the endpoint ``rest``.

    ``rest`` is made now, so that it has its place when the registry is full. The second is ``None`` if it already is.
    """
    if not hasattr(registry, "record_hit") or not getattr(registry, "writable", True):
        message = f"{registry!r} cannot count; give a Registry, or a SharedRegistry that was not opened to read"
        raise ConfigError(message)
    if not is_name(rest):
        message = f"a name of {len(rest)} characters is too long for an endpoint; shorten it"
        raise ConfigError(message)
    try:
        return registry.record_hit, registry.counter(rest).record
    except RegistryFull:
        return registry.record_hit, None


class ToldApart:
    """The first ``most`` different texts.

    It takes no lock, which a fork or a signal could leave held. Threads that add at once may exceed ``most`` by one
    each.
    """

    __slots__ = ("_most", "_texts")

    def __init__(self, option: str, most: int) -> None:
        """``option`` is the name of the option that has ``most``."""
        if not isinstance(most, int) or most < 1:  # pyright: ignore[reportUnnecessaryIsInstance] (callers may be untyped)
            message = f"{option} must be a whole number, at least 1, not {most!r}"
            raise ConfigError(message)
        self._most = most
        self._texts: set[str] = set()

    def add(self, text: str) -> bool:
        """Return whether ``text`` is among them, and add it while there is room."""
        if text not in self._texts:
            if len(self._texts) >= self._most:
                return False
            self._texts.add(text)
        return True
