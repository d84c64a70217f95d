"""Counts and limits the requests of any WSGI application.

>>> from hitring import KeyedLimiter, Registry
>>> from hitring.wsgi import HitMiddleware, LimitMiddleware
>>> def app(environ, start_response):
...     environ["hitring.route"] = "/users/{id}"
...     start_response("200 OK", [("Content-Type", "text/plain")])
...     return [b"hello"]
>>> registry, limiter = Registry(), KeyedLimiter("100/minute")
>>> app = HitMiddleware(LimitMiddleware(app, limiter), registry)

`hitring.flask` and `hitring.django` know the routes of these frameworks. Elsewhere the application sets
``environ["hitring.route"]``, or ``route=`` finds the template in what the framework left in the environ.

=====================================  =================================================================================
an application                         is counted
=====================================  =================================================================================
returns after ``start_response``       then, under the status that was given last. What it returns passes untouched
returns before it (a generator)        when its first part comes
raises                                 under 500; the exception passes
ends without ``start_response``        under 500, which the server sends then
=====================================  =================================================================================

What is returned passes untouched, so an exception that comes while the server reads it is counted under the status that
was given before. Paths are those below ``SCRIPT_NAME``, as the routes of an application are.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable

from hitring._clients import Clients
from hitring._page import Page
from hitring._refusals import decider, refusal
from hitring._requests import LIMITED, ROUTE, Excluded, Requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from hitring import KeyedLimiter, Limiter, Registry, SharedLimiter, SharedRegistry

__all__ = ["HitMiddleware", "HitsPage", "LimitMiddleware"]

_FAILED = "500"
"""The status that a server sends where the application gave none."""


def _path(environ: WSGIEnvironment) -> str:
    """Return the path of a request below the root, whose bytes the server gives as Latin-1."""
    path: str = environ.get("PATH_INFO") or "/"
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")


class _Unbegun:
    """The body of an answer that the application begins only when its first part is asked for."""

    __slots__ = ("_body", "_count", "_is_counted", "_parts")

    def __init__(self, body: Iterable[bytes], count: Callable[[str | None], None]) -> None:
        self._body = body
        self._parts = iter(body)
        self._count = count
        self._is_counted = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        status = None
        try:
            return next(self._parts)
        except StopIteration:
            raise
        except BaseException:
            status = _FAILED
            raise
        finally:
            self._count_once(status)

    def close(self) -> None:
        """Close what the application returned."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._count_once(None)

    def _count_once(self, status: str | None) -> None:
        if not self._is_counted:
            self._is_counted = True
            self._count(status)


class HitMiddleware:
    """Counts each request of an application in a registry, in memory or shared.

    Parameters
    ----------
    app
        The application.
    registry
        Counts the requests. If it refuses a hit, the request goes on.
    method, status
        Also tell apart the methods and the statuses. The endpoint then has labels.
    name
        The name that has the labels. Without labels it is not used.
    route
        Returns the template of a request from its environ, after the application routed it; ``None`` if no route fits.
        The application may set ``environ["hitring.route"]`` instead.
    raw_paths
        Count under the path in place of the template.
    max_routes
        How many different routes, or paths, this process tells apart. Further ones are counted under ``(other)``.
    exclude
        Paths that are not counted: exact ones, or beginnings such as ``/static/*``.

    Raises
    ------
    ConfigError
        An option cannot be used.
    """

    def __init__(
        self,
        app: WSGIApplication,
        registry: Registry | SharedRegistry,
        *,
        method: bool = False,
        status: bool = False,
        name: str = "http",
        route: Callable[[WSGIEnvironment], str | None] | None = None,
        raw_paths: bool = False,
        max_routes: int = 1_000,
        exclude: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._requests = Requests(
            registry,
            name=name,
            method=method,
            status=status,
            raw_paths=raw_paths,
            max_routes=max_routes,
            exclude=exclude,
        )
        self._route = route
        self._reads_path = raw_paths or self._requests.excluded is not None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Run the application, and count."""
        excluded = self._requests.excluded
        path = _path(environ) if self._reads_path else ""
        if excluded is not None and path in excluded:
            return self.app(environ, start_response)
        # The application may change the environ: a dispatcher moves part of the path.
        method = environ["REQUEST_METHOD"]
        begun = ""

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            nonlocal begun
            begun = status
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        try:
            body = self.app(environ, start)
            if not begun:
                return _Unbegun(body, lambda status: self._count(environ, path, method, status or begun))
        except BaseException:
            self._count(environ, path, method, _FAILED)
            raise
        self._count(environ, path, method, begun)
        return body

    def _count(self, environ: WSGIEnvironment, path: str, method: str, begun: Any) -> None:
        """Count a request whose answer began with the status line ``begun``, empty if no answer began."""
        # Some applications give a number, although the protocol wants a text.
        status = begun[:3] if isinstance(begun, str) else begun
        self._requests.count(environ.get(ROUTE), path, lambda: self._find(environ), method, status or _FAILED)

    def _find(self, environ: WSGIEnvironment) -> str | None:
        """Return the template of a request that the application has routed."""
        return self._route(environ) if self._route is not None else None


class LimitMiddleware:
    """Lets through the requests that a limiter lets through, and answers the others with 429.

    Each answer has the fields ``RateLimit-Policy`` and ``RateLimit``; a refusal also has ``Retry-After``. A refused
    request does not reach the application. A `HitMiddleware` around this one counts it under the route ``(limited)``.

    Parameters
    ----------
    app
        The application.
    limiter
        Decides: a `KeyedLimiter` or a `SharedLimiter` about each client, a `Limiter` about all together.
    proxies
        The proxies in front of the service, as a list of addresses and networks, or how many there are. Without them
        a client is the address of its connection, because any client can send ``X-Forwarded-For``.
    key
        Returns the key of a request from its environ, in place of the client's address: a user, say. ``None`` lets the
        request through undecided.
    name
        The name of the limit in the header fields.
    exclude
        Paths that are not limited: exact ones, or beginnings such as ``/static/*``.

    Raises
    ------
    ConfigError
        An option cannot be used.
    """

    def __init__(
        self,
        app: WSGIApplication,
        limiter: Limiter | KeyedLimiter | SharedLimiter,
        *,
        proxies: int | Iterable[str] = (),
        key: Callable[[WSGIEnvironment], str | None] | None = None,
        name: str = "client",
        exclude: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._decide = decider(limiter)
        self._clients = Clients(proxies)
        self._key = key if key is not None else self._client
        self._name = name
        self._excluded = Excluded(exclude)

    def _client(self, environ: WSGIEnvironment) -> str:
        return self._clients.key(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", ""))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Run the application, or refuse the request."""
        key = None if self._excluded and _path(environ) in self._excluded else self._key(environ)
        if key is None:
            return self.app(environ, start_response)
        decision = self._decide(key)
        fields = list(decision.headers(self._name).items())

        def told(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            headers = [*headers, *fields]
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        if decision:
            return self.app(environ, told)
        environ[ROUTE] = LIMITED
        body = refusal(decision)
        fields += [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
        start_response("429 Too Many Requests", fields)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class HitsPage:
    """The page of a registry's hits: HTML for a browser, else JSON.

    Mount it where only those who may see it can reach it: it shows every endpoint. ``docs/python.md`` has its queries.
    """

    def __init__(self, registry: Registry | SharedRegistry) -> None:
        self._page = Page(registry)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        status, headers, body = self._page.answer(
            environ["REQUEST_METHOD"], environ.get("QUERY_STRING", ""), environ.get("HTTP_ACCEPT", "")
        )
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]
