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

import math
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.routing import compile_path

from hitring.asgi import HitMiddleware as AnyHitMiddleware
from hitring.asgi import HitsPage, LimitMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hitring.asgi import Scope

__all__ = ["HitMiddleware", "HitsPage", "LimitMiddleware"]


class _Template(NamedTuple):
    """The template of one of the routes that lead to an endpoint."""

    path: str
    methods: frozenset[str] | None
    pattern: re.Pattern[str]


class HitMiddleware(AnyHitMiddleware):
    """Counts each request of a Starlette application. Its parameters are those of `hitring.asgi.HitMiddleware`.

    The routes are those of the application that it wraps, directly or through other middlewares. They are read at the
    first request. They are read again for an endpoint that is not known yet, at most once a second.
    """

    _app: Any = None
    """The application that has the routes."""
    _read_at = -math.inf
    _templates: dict[int, list[_Template]]
    """By the identity of an endpoint, which its route keeps alive."""

    def _find(self, scope: Scope, path: str) -> str | None:
        """Return the template of a request, whose endpoint the routers noted in its scope."""
        found = super()._find(scope, path)
        endpoint = scope.get("endpoint")
        if found is not None or endpoint is None:
            return found
        templates = self._templates_of(endpoint, scope)
        if templates is not None and len(templates) > 1:
            templates = [template for template in templates if template.pattern.match(path)]
            # As the routers do: the first route that takes the method, else the first one.
            taking = [one for one in templates if one.methods is None or scope["method"] in one.methods]
            templates = taking or templates or None
        if templates is None:
            # A route that came a moment ago, or a path that was rewritten in between.
            route = scope.get("route")
            return getattr(route, "path", None) if getattr(route, "endpoint", None) is endpoint else None
        return templates[0].path

    def _templates_of(self, endpoint: object, scope: Scope) -> list[_Template] | None:
        """Return the templates of the routes that lead to an endpoint; ``None`` if there is no such route."""
        if self._app is None:
            self._app = _routed(self.app) or scope.get("app")
            self._templates = {}
        if id(endpoint) not in self._templates and (now := time.monotonic()) - self._read_at >= 1:
            self._read_at = now
            read: dict[int, list[_Template]] = {}
            for leads_to, template in _templates(getattr(self._app, "routes", ())):
                read.setdefault(id(leads_to), []).append(template)
            self._templates = read
        return self._templates.get(id(endpoint))


def _routed(app: Any) -> Any:
    """Return the application with routes that middlewares lead to."""
    while app is not None and not hasattr(app, "routes"):
        app = getattr(app, "app", None)
    return app


def _templates(routes: Iterable[Any], prefix: str = "", before: str = "") -> Iterator[tuple[Any, _Template]]:
    """Return the endpoints of routes with their templates.

    ``prefix`` is the path of the mounts around them, and ``before`` the regular expression of that path.
    """
    # FastAPI keeps routers that were included apart from the routes of the application.
    included = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", iter)
    for route in included(routes):
        path, inner = getattr(route, "path", None), getattr(route, "routes", None)
        endpoint, methods = getattr(route, "endpoint", None), getattr(route, "methods", None)
        app = getattr(route, "app", None)
        if inner:
            yield from _templates(inner, prefix + (path or ""), before + _expression(path or ""))
        elif isinstance(path, str):
            rest = path
            if endpoint is None:
                # A mount of an application whose routes are not known.
                endpoint, path, rest = app, f"{path}/{{path}}", f"{path}/{{path:path}}"
            pattern = re.compile(f"{before}{_expression(rest)}$")
            yield endpoint, _Template(prefix + path, None if methods is None else frozenset(methods), pattern)


def _expression(path: str) -> str:
    """Return the regular expression of a part of a path, without names: two parts may have the same."""
    return re.sub(r"\(\?P<\w+>", "(?:", compile_path(path)[0].pattern[1:-1])
