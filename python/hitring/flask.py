"""Counts and limits the requests of a Flask application, by the rules of its routes.

>>> from flask import Flask
>>> from hitring import KeyedLimiter, Registry
>>> from hitring.flask import Hits
>>> app = Flask("service")
>>> hits = Hits(app, Registry(), method=True, status=True, limiter=KeyedLimiter("100/minute"), page="/hits")
>>> @app.get("/users/<int:id>")
... def user(id): return f"user {id}"
>>> app.test_client().get("/users/7").text
'user 7'
>>> hits.registry.top(1)
[('http{method="GET",route="/users/<int:id>",status="200"}', 1)]

A rule is known once Flask has matched it, so a request with a method that no rule has (405) is ``(unmatched)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from flask import Response, request

from hitring import default_registry
from hitring._page import Page
from hitring._requests import ROUTE
from hitring.wsgi import HitMiddleware, LimitMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from flask import Flask

    from hitring import KeyedLimiter, Limiter, Registry, SharedLimiter, SharedRegistry

__all__ = ["Hits"]


class Hits:
    """An extension of Flask that counts the requests of an application in a registry, in memory or shared.

    Parameters
    ----------
    app
        The application. Where a function makes the application, leave it out and call `init_app` there.
    registry
        Counts the requests. By default it is `hitring.default_registry()`.
    limiter
        Also limits them, as `hitring.wsgi.LimitMiddleware` does: a refused request is answered with 429 and does not
        reach the application.
    page
        The path of a page of the hits; without it the page does not exist. It shows every endpoint to each client that
        can reach it.
    method, status, name, raw_paths, max_routes, exclude
        As for `hitring.wsgi.HitMiddleware`; paths in ``exclude`` are also not limited.
    proxies, key
        As for `hitring.wsgi.LimitMiddleware`.

    Raises
    ------
    ConfigError
        An option cannot be used.
    """

    def __init__(
        self,
        app: Flask | None = None,
        registry: Registry | SharedRegistry | None = None,
        *,
        limiter: Limiter | KeyedLimiter | SharedLimiter | None = None,
        page: str | None = None,
        method: bool = False,
        status: bool = False,
        name: str = "http",
        raw_paths: bool = False,
        max_routes: int = 1_000,
        exclude: Iterable[str] = (),
        proxies: int | Iterable[str] = (),
        key: Callable[[WSGIEnvironment], str | None] | None = None,
    ) -> None:
        self.registry: Registry | SharedRegistry = default_registry() if registry is None else registry
        """Counts the requests."""

        def wrapped(app: WSGIApplication) -> WSGIApplication:
            if limiter is not None:
                app = LimitMiddleware(app, limiter, proxies=proxies, key=key, exclude=exclude)
            return HitMiddleware(
                app,
                self.registry,
                method=method,
                status=status,
                name=name,
                raw_paths=raw_paths,
                max_routes=max_routes,
                exclude=exclude,
            )

        self._wrapped = wrapped
        self._path = page
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Count the requests of ``app``. An application is given once, before its first request."""
        if self._path is not None:
            app.add_url_rule(self._path, f"hitring:{self._path}", self._page)
        # Before the functions of the application, which may answer the request.
        app.before_request_funcs.setdefault(None, []).insert(0, _note_rule)
        app.wsgi_app = self._wrapped(app.wsgi_app)  # type: ignore[method-assign, assignment]

    def _page(self) -> Response:
        # Flask drops the body of an answer to HEAD itself.
        method = "GET" if request.method == "HEAD" else request.method
        status, fields, body = Page(self.registry).answer(
            method, request.query_string.decode("latin-1"), request.headers.get("Accept", "")
        )
        return Response(body, status, fields)


def _note_rule() -> None:
    """Tell `HitMiddleware` the rule of a request: Flask has forgotten it when the middleware asks."""
    if request.url_rule is not None and ROUTE not in request.environ:
        request.environ[ROUTE] = request.url_rule.rule
