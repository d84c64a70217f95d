"""The endpoints that HTTP requests are counted under.

====================================  ==================================================================================
asked for                             the endpoint of a request
====================================  ==================================================================================
neither                               the template of its route, as the framework has it: ``/users/{id}``
``method=True``, ``status=True``      ``http{method="GET",route="/users/{id}",status="200"}``, as `labelled` writes it
``raw_paths=True``                    the same with the path of the request in place of the template
====================================  ==================================================================================

A client must not be able to make endpoints at will, so each part has few values:

* **route**: ``(unmatched)`` where no route fits, ``(limited)`` where a `LimitMiddleware` refused the request, and
  ``(other)`` for all routes after the first ``max_routes``, and for a route too long for a name.
* **method**: the methods of RFC 9110 and ``PATCH``. Any other is ``OTHER``.
* **status**: 100 to 599. Any other is ``other``.

Names are kept once they are made, so that a request costs one look into a dictionary.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hitring._errors import ConfigError
from hitring._labels import labelled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hitring._hitring import Registry, SharedRegistry

__all__ = ["LIMITED", "ROUTE", "UNMATCHED", "Excluded", "Requests"]

ROUTE = "hitring.route"
"""Where the scope of ASGI or the environ of WSGI has a template that was set by hand, or `LIMITED`."""
UNMATCHED = "(unmatched)"
LIMITED = "(limited)"
_OTHER = "(other)"
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_STATUSES = range(100, 600)
_LONGEST = 1_024
"""Bytes of the longest name of an endpoint."""


class Excluded:
    """Paths that are left alone: exact ones, and those that begin with the part before a final ``*``."""

    __slots__ = ("_begins", "_exact")

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            message = f"exclude is the text {patterns!r}; give a list of paths, such as [{patterns!r}]"
            raise ConfigError(message)
        patterns = tuple(patterns)
        for pattern in patterns:
            if not pattern.startswith(("/", "*")) or "*" in pattern[:-1]:
                message = (
                    f"{pattern!r} cannot be excluded; give a path, such as '/health', or its beginning, '/static/*'"
                )
                raise ConfigError(message)
        self._exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._begins = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))

    def __contains__(self, path: str) -> bool:
        return path in self._exact or path.startswith(self._begins)


class Requests:
    """Counts requests in a registry, each under the endpoint that the options say.

    Any thread may call it. A request whose route, method and status came before takes no lock.
    """

    __slots__ = (
        "_lock",
        "_method",
        "_name",
        "_names",
        "_record",
        "_room",
        "_routes",
        "_status",
        "excluded",
        "raw_paths",
    )

    def __init__(
        self,
        registry: Registry | SharedRegistry,
        *,
        name: str,
        method: bool,
        status: bool,
        raw_paths: bool,
        max_routes: int,
        exclude: Iterable[str],
    ) -> None:
        if max_routes < 1:
            message = f"max_routes must be at least 1, not {max_routes!r}"
            raise ConfigError(message)
        labelled(name, route="")  # raises if the name cannot have labels
        self._record = registry.record_hit
        self._name = name
        self._method = method
        self._status = status
        self.raw_paths = raw_paths
        self.excluded = Excluded(exclude)
        self._names: dict[tuple[str, str, int], str] = {}
        self._routes: set[str] = {UNMATCHED, LIMITED, _OTHER}
        self._room = max_routes + len(self._routes)
        self._lock = threading.Lock()

    def record(self, route: str | None, method: str, status: int) -> None:
        """Count a request of ``route``, which is ``None`` if none fits."""
        key = (route or UNMATCHED, method if self._method else "", status if self._status else 0)
        name = self._names.get(key)
        self._record(name if name is not None else self._named(*key))

    def _named(self, route: str, method: str, status: int) -> str:
        """Return the name of an endpoint, and keep it if its parts are among the few."""
        labels: dict[str, object] = {}
        if self._method:
            method = method if method in _METHODS else "OTHER"
            labels["method"] = method
        if self._status:
            status = status if status in _STATUSES else 0
            labels["status"] = status or "other"
        # A text that is not Unicode cannot be the name of an endpoint.
        shown = route.encode("utf-8", "replace").decode()
        name = labelled(self._name, route=shown, **labels) if labels else shown
        with self._lock:
            if len(name.encode()) > _LONGEST or (route not in self._routes and len(self._routes) >= self._room):
                route = _OTHER
                name = labelled(self._name, route=route, **labels) if labels else route
            self._routes.add(route)
            self._names[route, method, status] = name
        return name
