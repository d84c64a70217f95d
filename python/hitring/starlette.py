"""Counts and limits the requests of a Starlette application, by the templates of its routes.

>>> from hitring import KeyedLimiter, Registry
>>> from hitring.starlette import HitMiddleware, HitsPage, LimitMiddleware
>>> from starlette.applications import Starlette
>>> registry = Registry()
>>> app = Starlette()
>>> app.add_middleware(LimitMiddleware, limiter=KeyedLimiter("100/minute"))
>>> app.add_middleware(HitMiddleware, registry=registry, method=True, status=True)   # around the one before
>>> app.mount("/hits", HitsPage(registry))

A template is the paths of the mounts and of the route, as they were written: ``/api/users/{id:int}``. A mounted
application without routes of its own, such as static files, has the template of the mount: ``/static/{path}``. The host
is not part of a template.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.routing import compile_path

from hitring.asgi import HitMiddleware as AnyHitMiddleware
from hitring.asgi import HitsPage, LimitMiddleware, below_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hitring.asgi import Scope

__all__ = ["HitMiddleware", "HitsPage", "LimitMiddleware"]

_MOST_UNKNOWN = 1_000
"""After so many endpoints that no route has, routes are not read again for others."""
_MOST_MIDDLEWARES = 100
"""How many middlewares there may be around an application."""


class _Template(NamedTuple):
    """The template of one of the routes that lead to an endpoint."""

    endpoint: object
    path: str
    methods: frozenset[str] | None
    pattern: re.Pattern[str]


class HitMiddleware(AnyHitMiddleware):
    """Counts each request of a Starlette application. Its parameters are those of `hitring.asgi.HitMiddleware`.

    The routes are those of the application that it wraps, directly or through other middlewares. They are read at the
    first request, and again for an endpoint or a path that no known route has.
    """

    _templates: dict[int, list[_Template]]
    """By the identity of an endpoint."""
    _unknown: set[int]
    """Endpoints that reading again did not help. There are few, since an application has few endpoints."""

    def _find(self, scope: Scope, root: str) -> str | None:
        """Return the template of a request, whose endpoint the routers noted in its scope."""
        found = super()._find(scope, root)
        endpoint = scope.get("endpoint")
        if found is not None or endpoint is None:
            return found
        if not hasattr(self, "_templates"):
            self._unknown = set()
            self._read(scope)
        # A middleware in between may have changed the path, but a mount has not.
        path = below_root(scope["path"], root)
        found = self._known(endpoint, path, scope["method"])
        if found is None and id(endpoint) not in self._unknown and len(self._unknown) < _MOST_UNKNOWN:
            self._read(scope)
            found = self._known(endpoint, path, scope["method"])
            if found is None:
                self._unknown.add(id(endpoint))
        return found

    def _read(self, scope: Scope) -> None:
        """Read the routes."""
        templates: dict[int, list[_Template]] = {}
        for template in _templates(getattr(_routed(self.app) or scope.get("app"), "routes", ())):
            templates.setdefault(id(template.endpoint), []).append(template)
        self._templates = templates

    def _known(self, endpoint: object, path: str, method: str) -> str | None:
        """Return the template of the route that a request took, if the route is known.

        As the routers do: the first route that has the path and takes the method, else the first one that has the path.
        """
        found = None
        for template in self._templates.get(id(endpoint), ()):
            if template.endpoint is endpoint and template.pattern.match(path):
                if template.methods is None or method in template.methods:
                    return template.path
                found = found or template.path
        return found


def _routed(app: Any) -> Any:
    """Return the application with routes that middlewares lead to, if any."""
    for _ in range(_MOST_MIDDLEWARES):
        if app is None or hasattr(app, "routes"):
            return app
        app = getattr(app, "app", None)
    return None


def _templates(routes: Iterable[Any], prefix: str = "", before: str = "") -> Iterator[_Template]:
    """Return the templates of routes.

    ``prefix`` is the path of the mounts around them, and ``before`` the regular expression of that path.
    """
    # FastAPI keeps routers that were included apart from the routes of the application.
    included = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", iter)
    for route in included(routes):
        path, app = getattr(route, "path", None), getattr(route, "app", None)
        endpoint, methods = getattr(route, "endpoint", None), getattr(route, "methods", None)
        inner = (
            None if endpoint is not None else getattr(route, "routes", None) or getattr(_routed(app), "routes", None)
        )
        if inner:
            yield from _templates(inner, prefix + (path or ""), before + _expression(path or ""))
        elif isinstance(path, str):
            rest = path
            if endpoint is None:
                # A mount of an application whose routes are not known.
                endpoint, path, rest = app, f"{path}/{{path}}", f"{path}/{{path:path}}"
            pattern = re.compile(f"{before}{_expression(rest)}$")
            yield _Template(endpoint, prefix + path, None if methods is None else frozenset(methods), pattern)


def _expression(path: str) -> str:
    """Return the regular expression of a part of a path, without names: two parts may have the same."""
    return re.sub(r"\(\?P<\w+>", "(?:", compile_path(path)[0].pattern[1:-1])
