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

from typing import TYPE_CHECKING

from hitring._errors import ConfigError
from hitring._labels import labelled
from hitring._told_apart import OTHER, ToldApart, is_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hitring._hitring import Registry, SharedRegistry

__all__ = ["LIMITED", "ROUTE", "UNMATCHED", "Excluded", "Requests"]

ROUTE = "hitring.route"
"""Where the scope of ASGI or the environ of WSGI has a template that was set by hand, or `LIMITED`."""
UNMATCHED = "(unmatched)"
LIMITED = "(limited)"
_APART = frozenset({UNMATCHED, LIMITED, OTHER})
"""Routes besides the first ``max_routes``."""
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_STATUSES = frozenset(str(status) for status in range(100, 600))


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

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._exact or self._begins)

    def __contains__(self, path: str) -> bool:
        return path in self._exact or path.startswith(self._begins)


class Requests:
    """Counts requests in a registry, each under the endpoint that the options say.

    Any thread may call it. A request whose route, method and status came before takes no lock.
    """

    __slots__ = ("_method", "_name", "_names", "_record", "_routes", "_status", "excluded", "raw_paths")

    excluded: Excluded | None
    """The paths that are not counted; ``None`` if there are none."""
    raw_paths: bool
    """Whether requests are counted by path."""

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
        labelled(name, route="")  # raises if the name cannot have labels
        self._record = registry.record_hit
        self._name = name
        self._method = method
        self._status = status
        self.raw_paths = raw_paths
        self.excluded = Excluded(exclude) or None
        self._names: dict[tuple[str, str, int | str], str] = {}
        self._routes = ToldApart("max_routes", max_routes)

    def record(self, route: str | None, method: str, status: int | str) -> None:
        """Count a request of ``route``, which is ``None`` if none fits. A status is a number or its three digits."""
        key = (route or UNMATCHED, method if self._method else "", status if self._status else 0)
        name = self._names.get(key)
        self._record(name if name is not None else self._named(*key))

    def _named(self, route: str, method: str, status: int | str) -> str:
        """Return the name of an endpoint, and keep it if its parts are among the few."""
        labels: dict[str, object] = {}
        if self._method:
            method = method if method in _METHODS else "OTHER"
            labels["method"] = method
        if self._status:
            status = status if str(status) in _STATUSES else "other"
            labels["status"] = status

        def named(route: str) -> str:
            return labelled(self._name, route=route, **labels) if labels else route

        # A text that is not Unicode cannot be the name of an endpoint.
        name = named(route.encode("utf-8", "replace").decode())
        if route not in _APART and not (is_name(name) and self._routes.add(route)):
            route, name = OTHER, named(OTHER)
        self._names[route, method, status] = name
        return name
