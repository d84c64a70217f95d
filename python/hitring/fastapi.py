"""Counts and limits the requests of a FastAPI application, by the templates of its routes.

>>> from fastapi import Depends, FastAPI
>>> from hitring import KeyedLimiter, Registry
>>> from hitring.fastapi import HitMiddleware, HitsPage, Limited
>>> registry, logins = Registry(), KeyedLimiter("5/minute")
>>> app = FastAPI()
>>> app.add_middleware(HitMiddleware, registry=registry, method=True, status=True)
>>> app.mount("/hits", HitsPage(registry))
>>> @app.post("/login", dependencies=[Depends(Limited(logins))])
... def login(): ...

The middlewares and the page are those of `hitring.starlette`, which also know the routers that an application includes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from fastapi import HTTPException, Response
from fastapi.requests import HTTPConnection

from hitring._clients import Clients
from hitring._refusals import decider, refusal_text
from hitring.starlette import HitMiddleware, HitsPage, LimitMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hitring import KeyedLimiter, Limiter, SharedLimiter

__all__ = ["HitMiddleware", "HitsPage", "LimitMiddleware", "Limited"]


class Limited:
    """A dependency that answers 429 where a limiter refuses: ``Depends(Limited(limiter))``.

    It limits the routes that have it, and `HitMiddleware` counts what it refuses under their templates. FastAPI reads
    the body of a request first, so one with a wrong body is answered with 422 and not limited; where that matters, use
    `LimitMiddleware`. A refusal has the fields ``Retry-After``, ``RateLimit-Policy`` and ``RateLimit``. So has an
    answer that FastAPI makes of what a route returns, but not a ``Response`` or an exception of the route's own.
    WebSockets pass.

    Parameters
    ----------
    limiter
        Decides: a `KeyedLimiter` or a `SharedLimiter` about each client, a `Limiter` about all together.
    proxies, key, name
        As for `hitring.asgi.LimitMiddleware`, but ``key`` takes the request, an ``HTTPConnection``.
    """

    def __init__(
        self,
        limiter: Limiter | KeyedLimiter | SharedLimiter,
        *,
        proxies: int | Iterable[str] = (),
        key: Callable[[HTTPConnection], str | None] | None = None,
        name: str = "client",
    ) -> None:
        self._decide = decider(limiter)
        self._clients = Clients(proxies)
        self._key = key if key is not None else self._client
        self._name = name

    def _client(self, request: HTTPConnection) -> str:
        forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
        return self._clients.key(request.client.host if request.client else "", forwarded)

    async def __call__(self, request: HTTPConnection, response: Response) -> None:
        """Let the request through, or raise the exception that FastAPI answers with 429."""
        key = self._key(request) if request.scope["type"] == "http" else None
        if key is None:
            return
        decision = self._decide(key)
        fields = decision.headers(self._name)
        if not decision:
            raise HTTPException(429, refusal_text(decision), fields)
        for field, value in fields.items():
            response.headers.append(field, value)
