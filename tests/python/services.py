"""One service in each framework, and a way to ask it.

Each has the routes ``GET /users/{key}``, ``POST /users/{key}``, ``GET /fails``, which raises, and ``GET /health``, and
the page of the hits at ``/hits``. Requests go through the validators of WSGI and ASGI.
"""

import asyncio
import functools
import io
import sys
import warnings
from typing import NamedTuple
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

FRAMEWORKS = ["asgi", "wsgi", "starlette", "fastapi", "flask", "django", "django-asgi"]

USER = {"flask": "/users/<key>", "django": "/users/<key>", "django-asgi": "/users/<key>"}
"""The template of a user where it is not ``/users/{key}``."""


class Failed(Exception):
    """What the route that fails raises."""


class Answer(NamedTuple):
    status: int
    fields: dict
    body: bytes


def template(framework):
    return USER.get(framework, "/users/{key}")


# ------------------------------------------------------------------------------------------------------------- asking


def ask_wsgi(app, path, method="GET", *, fields=(), peer="192.0.2.1", query=""):
    """Ask a WSGI application as a server does, and check that both keep to the protocol."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": peer,
        "wsgi.input": io.BytesIO(b""),
    }
    setup_testing_defaults(environ)
    environ.update({f"HTTP_{field.upper().replace('-', '_')}": value for field, value in dict(fields).items()})
    begun = []

    def start_response(status, headers, _error=None):
        begun[:] = [(status, headers)]
        return lambda _: None

    with warnings.catch_warnings():
        # A method that the validator does not know, such as the invented ones of the tests.
        warnings.filterwarnings("ignore", "Unknown REQUEST_METHOD")
        body = validator(app)(environ, start_response)
        try:
            parts = b"".join(body)
        finally:
            body.close()
    ((status, headers),) = begun
    return Answer(int(status[:3]), {field.lower(): value for field, value in headers}, parts)


def ask_asgi(app, path, method="GET", *, fields=(), peer="192.0.2.1", query=""):
    """Ask an ASGI application as a server does."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(field.lower().encode(), value.encode("latin-1")) for field, value in dict(fields).items()],
        "client": (peer, 50_000) if peer else None,
        "server": ("127.0.0.1", 80),
    }

    sent = []
    is_over = asyncio.Event()

    incoming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if incoming:
            return incoming.pop()
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        assert message["type"] == ("http.response.body" if sent else "http.response.start")
        assert not sent or len(sent) == 1 or sent[-1].get("more_body"), "the answer was over"
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            is_over.set()

    async def asked():
        await app(scope, receive, send)
        assert is_over.is_set(), "the answer has no end"
        fields = {field.decode().lower(): value.decode() for field, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], fields, b"".join(message.get("body", b"") for message in sent[1:]))

    return asyncio.run(asked())


# ----------------------------------------------------------------------------------------------------------- services


def service(framework, registry, *, limiter=None, **options):
    """Return a function that asks a service whose requests ``registry`` counts and ``limiter`` limits."""
    limits = {name: options.pop(name) for name in ("proxies", "key") if name in options}
    return SERVICES[framework](registry, limiter, limits, options)


def wrapped(module, app, registry, limiter, limits, options):
    if limiter is not None:
        app = module.LimitMiddleware(app, limiter, exclude=options.get("exclude", ()), **limits)
    return module.HitMiddleware(app, registry, **options)


def asgi(registry, limiter, limits, options):
    from hitring import asgi

    page = asgi.HitsPage(registry)

    async def app(scope, receive, send):
        path = scope["path"]
        if path == "/hits":
            scope["hitring.route"] = "/hits"
            await page(scope, receive, send)
            return
        if path == "/fails":
            scope["hitring.route"] = "/fails"
            raise Failed
        found = path.startswith("/users/") or path == "/health"
        if found:
            scope["hitring.route"] = path if path == "/health" else "/users/{key}"
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    return functools.partial(ask_asgi, wrapped(asgi, app, registry, limiter, limits, options))


def wsgi(registry, limiter, limits, options):
    from hitring import wsgi

    page = wsgi.HitsPage(registry)

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/hits":
            environ["hitring.route"] = "/hits"
            return page(environ, start_response)
        if path == "/fails":
            environ["hitring.route"] = "/fails"
            raise Failed
        found = path.startswith("/users/") or path == "/health"
        if found:
            environ["hitring.route"] = path if path == "/health" else "/users/{key}"
        start_response("200 OK" if found else "404 Not Found", [("Content-Type", "text/plain")])
        return [b"one", b"two"]

    return functools.partial(ask_wsgi, wrapped(wsgi, validator(app), registry, limiter, limits, options))


def starlette(registry, limiter, limits, options):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    from hitring.starlette import HitMiddleware, HitsPage, LimitMiddleware

    async def user(_):
        return PlainTextResponse("a user")

    def fails(_):
        raise Failed

    async def health(_):
        return PlainTextResponse("ok")

    app = Starlette(
        routes=[
            Route("/users/{key}", user, methods=["GET"]),
            Route("/users/{key}", user, methods=["POST"]),
            Route("/fails", fails),
            Route("/health", health),
            Mount("/hits", HitsPage(registry)),
        ]
    )
    if limiter is not None:
        app.add_middleware(LimitMiddleware, limiter=limiter, exclude=options.get("exclude", ()), **limits)
    app.add_middleware(HitMiddleware, registry=registry, **options)
    return functools.partial(ask_asgi, app)


def fastapi(registry, limiter, limits, options):
    from fastapi import FastAPI

    from hitring.fastapi import HitMiddleware, HitsPage, LimitMiddleware

    app = FastAPI(openapi_url=None)
    if limiter is not None:
        app.add_middleware(LimitMiddleware, limiter=limiter, exclude=options.get("exclude", ()), **limits)
    app.add_middleware(HitMiddleware, registry=registry, **options)
    app.mount("/hits", HitsPage(registry))

    @app.api_route("/users/{key}", methods=["GET", "POST"])
    async def user(key: str):
        return key

    @app.get("/fails")
    async def fails():
        raise Failed

    @app.get("/health")
    def health():
        return "ok"

    return functools.partial(ask_asgi, app)


def flask(registry, limiter, limits, options):
    from flask import Flask

    from hitring.flask import Hits

    app = Flask("service")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    Hits(app, registry, limiter=limiter, page="/hits", **limits, **options)

    @app.route("/users/<key>", methods=["GET", "POST"])
    def user(key):
        return f"user {key}"

    @app.get("/fails")
    def fails():
        raise Failed

    @app.get("/health")
    def health():
        return "ok"

    return functools.partial(ask_wsgi, app)


# Django keeps one project in a process.
sys.modules.setdefault("services", sys.modules[__name__])


def django_user(_, key):
    from django.http import HttpResponse

    return HttpResponse(f"user {key}")


def django_fails(_):
    raise Failed


def django_health(_):
    from django.http import HttpResponse

    return HttpResponse("ok")


def project(registry, limiter, limits, options):
    """Set the settings of a Django project."""
    import django
    from django.conf import settings
    from django.urls import clear_url_caches, path

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, DEBUG_PROPAGATE_EXCEPTIONS=True)
        django.setup()
    import hitring.django

    globals()["urlpatterns"] = [
        path("users/<key>", django_user),
        path("fails", django_fails),
        path("health", django_health),
        path("hits", hitring.django.hits),
    ]
    clear_url_caches()
    settings.MIDDLEWARE = ["hitring.django.HitMiddleware"]
    settings.HITRING = {"REGISTRY": registry, **{name.upper(): value for name, value in options.items()}}
    if limiter is not None:
        settings.MIDDLEWARE += ["hitring.django.LimitMiddleware"]
        settings.HITRING.update(LIMITER=limiter, **{name.upper(): value for name, value in limits.items()})


def django(registry, limiter, limits, options):
    project(registry, limiter, limits, options)
    from django.core.handlers.wsgi import WSGIHandler

    return functools.partial(ask_wsgi, WSGIHandler())


def django_asgi(registry, limiter, limits, options):
    project(registry, limiter, limits, options)
    from django.core.handlers.asgi import ASGIHandler

    return functools.partial(ask_asgi, ASGIHandler())


SERVICES = {
    "asgi": asgi,
    "wsgi": wsgi,
    "starlette": starlette,
    "fastapi": fastapi,
    "flask": flask,
    "django": django,
    "django-asgi": django_asgi,
}
