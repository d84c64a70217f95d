"""The endpoints that HTTP requests are counted under.

==================================  ====================================================================================
options                             the endpoint of a request
==================================  ====================================================================================
none                                the template of its route, as the framework has it: ``/users/{id}``
``method=True``, ``status=True``    ``http{method="GET",route="/users/{id}",status="200"}``, as `labelled` writes it
``raw_paths=True``                  the same with the path of the request in place of the template
==================================  ====================================================================================

A client must not be able to make endpoints at will, so each part has few values:

* **route**: ``(unmatched)`` where there is no template, ``(limited)`` where a `LimitMiddleware` refused the request,
  and ``(other)`` for all routes after the first ``max_routes``, for one that is too long for a name, and for a raw
  path that does not begin with ``/``. What the registry has no room for is counted under ``(other)`` too, which is
  made first; its method and status are ``OTHER`` and ``other`` then.
* **method**: the methods of RFC 9110 and ``PATCH``. Any other is ``OTHER``.
* **status**: 100 to 599. Any other is ``other``.

Names are kept once they are made, so that a request costs one look into a dictionary. Counting never raises: a request
does not fail because it could not be counted.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from hitring._errors import ConfigError
from hitring._labels import labelled
from hitring._outcome import Outcome
from hitring._told_apart import OTHER, ToldApart, is_name, recorders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Callable

    from hitring._hitring import Registry, SharedRegistry

__all__ = ["LIMITED", "ROUTE", "UNMATCHED", "Excluded", "Requests"]

ROUTE = "hitring.route"
"""Where the scope of ASGI or the environ of WSGI has a template that was set by hand, or `LIMITED`."""
UNMATCHED = "(unmatched)"
LIMITED = "(limited)"
_APART = frozenset({UNMATCHED, LIMITED, OTHER})
"""Routes besides the first ``max_routes``."""
_REFUSED = Outcome.REFUSED
_QUIET = 10.0
"""Seconds between two lines of the log."""
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
            is_path = isinstance(pattern, str) and pattern.startswith(("/", "*"))  # pyright: ignore[reportUnnecessaryIsInstance] (callers may be untyped)
            if not is_path or "*" in pattern[:-1]:
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

    Any thread may call it, and it takes no lock.
    """

    __slots__ = (
        "_logged",
        "_method",
        "_name",
        "_names",
        "_record",
        "_record_rest",
        "_routes",
        "_status",
        "excluded",
        "raw_paths",
    )

    excluded: Excluded | None
    """The paths that are not counted; ``None`` if there are none."""
    raw_paths: bool
    """Whether requests are counted by path, so that it has to be given."""

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
        self._name = name
        self._method = method
        self._status = status
        labels = {"method": "OTHER"} if method else {}
        if status:
            labels["status"] = "other"
        labelled(name, route=OTHER)  # raises if the name cannot have labels
        rest = labelled(name, route=OTHER, **labels) if labels else OTHER
        self._record, self._record_rest = recorders(registry, rest)
        self.raw_paths = raw_paths
        self.excluded = Excluded(exclude) or None
        self._names: dict[tuple[str, str, int | str], str] = {}
        self._routes = ToldApart("max_routes", max_routes)
        self._logged = -_QUIET

    def count(
        self, noted: str | None, path: str, find: Callable[[], str | None], method: str, status: int | str
    ) -> None:
        """Count a request that came with ``path``.

        ``noted`` is the route that was noted beside it, if any, and ``find`` finds the one that a framework knows. A
        status may be text of three digits.
        """
        try:
            if self.raw_paths and noted is not LIMITED:
                # A path must not look like a name with labels, which none does that begins with a slash.
                noted = path if path.startswith("/") else OTHER
            elif noted is None:
                noted = find()
            self._count(noted or UNMATCHED, method, status)
        except Exception:
            self._failed(method)

    def _count(self, route: str, method: str, status: int | str) -> None:
        key = (route, method if self._method else "", status if self._status else 0)
        name = self._names.get(key)
        outcome = self._record(name if name is not None else self._named(*key))
        if outcome is _REFUSED and self._record_rest is not None:
            self._record_rest()

    def _failed(self, method: str) -> None:
        """Count a request whose route or status is not understood, and log the exception that is being handled.

        It is logged at most every ten seconds.
        """
        self._count(UNMATCHED, method, "other")
        now = time.monotonic()
        if now - self._logged >= _QUIET:
            self._logged = now
            logging.getLogger("hitring").exception("a request is counted as %s, because counting it failed", UNMATCHED)

    def _named(self, route: str, method: str, status: int | str) -> str:
        """Return the name of an endpoint, and keep it if its parts are among the few."""
        if not isinstance(route, str):  # pyright: ignore[reportUnnecessaryIsInstance] (what an application notes may be anything)
            message = f"a route must be a str, not {route!r}"
            raise TypeError(message)
        labels: dict[str, object] = {}
        if self._method:
            labels["method"] = method = method if method in _METHODS else "OTHER"
        if self._status:
            # A status may be an HTTPStatus, which is a number that does not look like one.
            text = status if isinstance(status, str) else str(int(status))
            labels["status"] = text if text in _STATUSES else "other"
            status = status if text in _STATUSES else "other"

        def named(route: str) -> str:
            # A text that is not Unicode cannot be the name of an endpoint.
            route = route.encode("utf-8", "replace").decode()
            return labelled(self._name, route=route, **labels) if labels else route

        if route not in _APART and not self._routes.add(route):
            route = OTHER
        name = self._names.get((route, method, status)) or named(route)
        if not is_name(name):
            route, name = OTHER, named(OTHER)
        self._names[route, method, status] = name
        return name
