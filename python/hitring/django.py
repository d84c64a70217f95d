"""Counts and limits the requests of a Django project, by the routes of its URL patterns.

In the settings::

    MIDDLEWARE = [
        "hitring.django.HitMiddleware",    # first, so that it counts what the others answer
        "hitring.django.LimitMiddleware",  # if the settings have a LIMITER
        ...
    ]
    HITRING = {"REGISTRY": "mysite.hits.registry", "LIMITER": "mysite.hits.limiter", "METHOD": True, "STATUS": True}

and for the page of the hits, in the URL patterns::

    path("hits/", hitring.django.hits)

=================================================================  =====================================================
a setting in ``HITRING``                                           is
=================================================================  =====================================================
``REGISTRY``                                                       the registry, or the dotted path of it. By default it
                                                                   is `hitring.default_registry()`
``METHOD``, ``STATUS``, ``NAME``, ``RAW_PATHS``, ``MAX_ROUTES``    an option of `hitring.wsgi.HitMiddleware`
``EXCLUDE``                                                        paths that are neither counted nor limited
``LIMITER``                                                        the limiter, or the dotted path of it
``PROXIES``, ``LIMIT_NAME``                                        ``proxies`` and ``name`` of
                                                                   `hitring.wsgi.LimitMiddleware`
``KEY``                                                            a function of the request that returns its key, or
                                                                   the dotted path of it
=================================================================  =====================================================

A route is written as Django keeps it, with a ``/`` before: ``/users/<int:id>/``. Both middlewares work under WSGI and
ASGI.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.utils.module_loading import import_string

from hitring import ConfigError, default_registry
from hitring._clients import Clients
from hitring._page import Page
from hitring._refusals import decider, refusal
from hitring._requests import LIMITED, ROUTE, Excluded, Requests

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from hitring import Decision

__all__ = ["HitMiddleware", "LimitMiddleware", "hits"]

_COUNTING = {"METHOD": False, "STATUS": False, "NAME": "http", "RAW_PATHS": False, "MAX_ROUTES": 1_000, "EXCLUDE": ()}
_OTHERS = {"REGISTRY": None, "LIMITER": None, "PROXIES": (), "LIMIT_NAME": "client", "KEY": None}
_FAILED = 500
"""The status that a server sends where an exception passes Django."""
_GONE = 499
"""What nginx logs where a client did not wait for its answer."""


def _setting(name: str) -> Any:
    """Return a setting; a dotted path as what it leads to."""
    given: dict[str, Any] = getattr(settings, "HITRING", None) or {}
    defaults = {**_COUNTING, **_OTHERS}
    for key in given:
        if key not in defaults:
            message = f"HITRING has the unknown setting {key!r}; it may have {', '.join(sorted(defaults))}"
            raise ImproperlyConfigured(message)
    value = given.get(name, defaults[name])
    if name in {"REGISTRY", "LIMITER", "KEY"} and isinstance(value, str):
        return import_string(value)
    return value


def _registry() -> Any:
    registry = _setting("REGISTRY")
    return default_registry() if registry is None else registry


class _Middleware(ABC):
    """A middleware for requests of both kinds."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Answer the request; where Django is asynchronous, return a coroutine that does."""
        return self._run(request) if self._is_async else self._call(request)

    @abstractmethod
    def _call(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""

    @abstractmethod
    async def _run(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request where Django is asynchronous."""


class HitMiddleware(_Middleware):
    """Counts each request in the registry of the settings."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        options = {name.lower(): _setting(name) for name in _COUNTING}
        try:
            self._requests = Requests(_registry(), **options)
        except ConfigError as error:
            message = f"HITRING: {error}"
            raise ImproperlyConfigured(message) from error

    def _call(self, request: HttpRequest) -> HttpResponseBase:
        status = _FAILED
        try:
            response: HttpResponseBase = self._get_response(request)
            status = response.status_code
        finally:
            self._count(request, status)
        return response

    async def _run(self, request: HttpRequest) -> HttpResponseBase:
        status = _FAILED
        try:
            response: HttpResponseBase = await self._get_response(request)
            status = response.status_code
        except asyncio.CancelledError:
            status = _GONE
            raise
        finally:
            self._count(request, status)
        return response

    def _count(self, request: HttpRequest, status: int) -> None:
        excluded = self._requests.excluded
        if excluded is not None and request.path_info in excluded:
            return

        def find() -> str | None:
            match = request.resolver_match
            return None if match is None else f"/{match.route}"

        noted: str | None = request.META.get(ROUTE)
        self._requests.count(noted, request.path_info, find, request.method or "", status)


class LimitMiddleware(_Middleware):
    """Answers 429 where the limiter of the settings refuses. `HitMiddleware` counts that as the route ``(limited)``."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        limiter = _setting("LIMITER")
        if limiter is None:
            message = (
                "hitring.django.LimitMiddleware needs a limiter: set LIMITER in HITRING, or leave the middleware out"
            )
            raise ImproperlyConfigured(message)
        self._name: str = _setting("LIMIT_NAME")
        self._key: Callable[[HttpRequest], str | None] = _setting("KEY") or self._client
        try:
            self._decide = decider(limiter)
            self._clients = Clients(_setting("PROXIES"))
            self._excluded = Excluded(_setting("EXCLUDE"))
        except ConfigError as error:
            message = f"HITRING: {error}"
            raise ImproperlyConfigured(message) from error

    def _client(self, request: HttpRequest) -> str:
        return self._clients.key(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))

    def _decided(self, request: HttpRequest) -> Decision | None:
        key = None if request.path_info in self._excluded else self._key(request)
        return None if key is None else self._decide(key)

    def _call(self, request: HttpRequest) -> HttpResponseBase:
        decision = self._decided(request)
        refused = self._refused(request, decision)
        return self._told(self._get_response(request) if refused is None else refused, decision)

    async def _run(self, request: HttpRequest) -> HttpResponseBase:
        decision = self._decided(request)
        refused = self._refused(request, decision)
        return self._told(await self._get_response(request) if refused is None else refused, decision)

    def _refused(self, request: HttpRequest, decision: Decision | None) -> HttpResponse | None:
        if decision is None or decision.allowed:
            return None
        request.META[ROUTE] = LIMITED
        return HttpResponse(refusal(decision), status=429, content_type="application/problem+json")

    def _told(self, response: HttpResponseBase, decision: Decision | None) -> HttpResponseBase:
        if decision is not None:
            for field, value in decision.headers(self._name).items():
                # Beside what a view says of a limit of its own.
                own = response.headers.get(field)
                response.headers[field] = value if own is None or field == "Retry-After" else f"{own}, {value}"
        return response


def hits(request: HttpRequest) -> HttpResponse:
    """Answer with the page of the hits. It shows every endpoint, so wrap it in what decides who may see it."""
    status, fields, body = Page(_registry()).answer(
        request.method or "", request.META.get("QUERY_STRING", ""), request.headers.get("Accept", "")
    )
    return HttpResponse(body, status=status, headers=dict(fields))
