"""Counts and limits the requests of any ASGI application.

>>> from hitring import KeyedLimiter, Registry
>>> from hitring.asgi import HitMiddleware, LimitMiddleware
>>> async def app(scope, receive, send):
...     scope["hitring.route"] = "/users/{id}"
...     await send({"type": "http.response.start", "status": 200, "headers": []})
...     await send({"type": "http.response.body", "body": b"hello"})
>>> registry, limiter = Registry(), KeyedLimiter("100/minute")
>>> app = HitMiddleware(LimitMiddleware(app, limiter), registry)

`hitring.starlette` and `hitring.fastapi` know the routes of these frameworks. Elsewhere the application sets
``scope["hitring.route"]``, or ``route=`` finds the template in what the framework left in the scope.

=======================  ===============================================================================================
a request                is counted
=======================  ===============================================================================================
is answered              when its answer begins, under the status that the application sends
raises                   under 500, if no answer began; the exception passes
ends without an answer   under 500, which the server sends then
is cancelled             under 499, if no answer began: some servers do so when the client is gone
=======================  ===============================================================================================

WebSockets, lifespan and other kinds of connections pass untouched, as do the bodies of requests and answers. Counting
and deciding take about a microsecond and wait for no other request, so they do not hold up the event loop.

Paths are those below ``scope["root_path"]``, as the routes of an application are. A middleware between that passes on a
copy of the scope hides the route: put such a middleware around `HitMiddleware`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Callable

from hitring._clients import Clients
from hitring._page import Page
from hitring._refusals import decider, refusal
from hitring._requests import LIMITED, ROUTE, Excluded, Requests

if TYPE_CHECKING:
    from hitring import KeyedLimiter, Limiter, Registry, SharedLimiter, SharedRegistry

__all__ = ["HitMiddleware", "HitsPage", "LimitMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_FAILED = 500
"""The status that a server sends where the application sent none."""
_GONE = 499
"""What nginx logs where a client did not wait for its answer."""


def below_root(path: str, root: str) -> str:
    """Return the path of a request as the application at ``root`` routes it. Some servers leave the root out of it."""
    if root and path.startswith(root) and path[len(root) :][:1] in {"", "/"}:
        return path[len(root) :] or "/"
    return path


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
        Returns the template of a request from its scope, after the application routed it; ``None`` if no route fits.
        The application may set ``scope["hitring.route"]`` instead.
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
        app: App,
        registry: Registry | SharedRegistry,
        *,
        method: bool = False,
        status: bool = False,
        name: str = "http",
        route: Callable[[Scope], str | None] | None = None,
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

    def _find(self, scope: Scope, root: str) -> str | None:  # noqa: ARG002 (a framework may need the root)
        """Return the template of a request that came in at ``root`` and that the application has routed."""
        return self._route(scope) if self._route is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and count."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        requests = self._requests
        # The application may change the scope.
        method, root = scope["method"], scope.get("root_path", "")
        path = below_root(scope["path"], root)
        if requests.excluded is not None and path in requests.excluded:
            await self.app(scope, receive, send)
            return
        is_counted = False

        def count(status: int) -> None:
            nonlocal is_counted
            is_counted = True
            requests.count(scope.get(ROUTE), path, lambda: self._find(scope, root), method, status)

        def counted(message: Message) -> Awaitable[None]:
            if not is_counted and message["type"] == "http.response.start":
                count(message["status"])
            return send(message)

        try:
            await self.app(scope, receive, counted)
        except BaseException as error:
            if not is_counted:
                # By its name: trio need not be there.
                is_gone = isinstance(error, asyncio.CancelledError) or type(error).__name__ == "Cancelled"
                count(_GONE if is_gone else _FAILED)
            raise
        if not is_counted:
            count(_FAILED)


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
        Returns the key of a request from its scope, in place of the client's address: a user, say. ``None`` lets the
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
        app: App,
        limiter: Limiter | KeyedLimiter | SharedLimiter,
        *,
        proxies: int | Iterable[str] = (),
        key: Callable[[Scope], str | None] | None = None,
        name: str = "client",
        exclude: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._decide = decider(limiter)
        self._clients = Clients(proxies)
        self._key = key if key is not None else self._client
        self._name = name
        self._excluded = Excluded(exclude)

    def _client(self, scope: Scope) -> str:
        client = scope.get("client")
        forwarded = ""
        if self._clients.reads_headers:
            values = [value for field, value in scope["headers"] if field == b"x-forwarded-for"]
            forwarded = b",".join(values).decode("latin-1")
        return self._clients.key(client[0] if client else "", forwarded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, or refuse the request."""
        key = None
        if scope["type"] == "http" and not (
            self._excluded and below_root(scope["path"], scope.get("root_path", "")) in self._excluded
        ):
            key = self._key(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        decision = self._decide(key)
        fields = [(field.lower().encode(), value.encode()) for field, value in decision.headers(self._name).items()]

        def told(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *fields]}
            return send(message)

        if decision:
            await self.app(scope, receive, told)
            return
        scope[ROUTE] = LIMITED
        body = refusal(decision)
        fields += [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 429, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class HitsPage:
    """The page of a registry's hits: HTML for a browser, else JSON.

    Mount it where only those who may see it can reach it: it shows every endpoint. ``docs/python.md`` has its queries.
    """

    def __init__(self, registry: Registry | SharedRegistry) -> None:
        self._page = Page(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a thread of the event loop's pool finds the hits, so that the loop goes on."""
        if scope["type"] == "http":
            await self._answer(scope, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "lifespan":
            await _live(receive, send)

    async def _answer(self, scope: Scope, send: Send) -> None:
        accept = b",".join(value for field, value in scope["headers"] if field == b"accept").decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        asked = (scope["method"], query, accept)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # The loop is not asyncio's.
            status, headers, body = self._page.answer(*asked)
        else:
            status, headers, body = await loop.run_in_executor(None, self._page.answer, *asked)
        fields = [(field.lower().encode(), value.encode()) for field, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    """Answer that startup and shutdown are done, for a page that is served alone."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
