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

    The routes are read at the first request, and again when the application has more of them.
    """

    _app: Any = None
    """The application that has the routes."""
    _routes_read = -1
    _templates: dict[int, list[_Template]]
    """By the identity of an endpoint, which its route keeps alive."""

    def _enter(self, scope: Scope) -> str:
        """Note the application before a mounted one takes its place in the scope; return the root of its paths."""
        if self._app is None:
            self._app = scope.get("app", self.app)
        root: str = scope.get("root_path", "")
        return root

    def _find(self, scope: Scope, entered: str) -> str | None:
        """Return the template of a request, which the routers noted in its scope."""
        found = super()._find(scope, entered)
        endpoint = scope.get("endpoint")
        if found is not None or endpoint is None:
            return found
        routes = getattr(self._app, "routes", ())
        if len(routes) != self._routes_read:
            self._templates = {}
            for endpoint_of, template in _templates(routes):
                known = self._templates.setdefault(id(endpoint_of), [])
                if template is not None:
                    known.append(template)
            self._routes_read = len(routes)
        templates = self._templates.get(id(endpoint))
        if templates is None:
            # A route that a mounted application got later.
            return getattr(scope.get("route"), "path", None)
        if len(templates) > 1:
            path, method = scope["path"][len(entered) :], scope["method"]
            templates = [template for template in templates if template.pattern.match(path)] or templates
            # As the routers do: the first route that takes the method, else the first one.
            templates = [one for one in templates if one.methods is None or method in one.methods] or templates
        return templates[0].path if templates else None


def _templates(routes: Iterable[Any], prefix: str = "", before: str = "") -> Iterator[tuple[Any, _Template | None]]:
    """Return the endpoints of routes with their templates, ``None`` for applications that have routes of their own.

    ``prefix`` is the path of the mounts around them, and ``before`` the regular expression of that path.
    """
    # FastAPI keeps routers that were included apart from the routes of the application.
    included = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", iter)
    for route in included(routes):
        path, inner = getattr(route, "path", None), getattr(route, "routes", None)
        if inner:
            yield route.app, None
            yield from _templates(inner, prefix + (path or ""), before + _expression(path or ""))
        elif path is not None:
            endpoint, methods = getattr(route, "endpoint", None), getattr(route, "methods", None)
            if endpoint is None:
                endpoint, path, rest = route.app, f"{path}/{{path}}", _expression(f"{path}/{{path:path}}")
            else:
                rest = _expression(path)
            pattern = re.compile(f"{before}{rest}$")
            yield endpoint, _Template(prefix + path, None if methods is None else frozenset(methods), pattern)


def _expression(path: str) -> str:
    """Return the regular expression of a part of a path, without names: two parts may have the same."""
    return re.sub(r"\(\?P<\w+>", "(?:", compile_path(path)[0].pattern[1:-1])
