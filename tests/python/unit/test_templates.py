"""The templates that frameworks have for a request, in every way that a route can be reached."""

import pytest

from hitring import KeyedLimiter, ManualClock, Registry, labelled
from services import ask_asgi, ask_wsgi


@pytest.fixture
def registry():
    return Registry(clock=ManualClock(1_000))


def routes(registry, ask, *paths, method="GET"):
    """The route that each path is counted under."""
    found = []
    for path in paths:
        before = dict(registry.top(1_000))
        ask(path, method)
        (name,) = [name for name, hits in registry.top(1_000) if hits != before.get(name)]
        found.append(name)
    return found


def starlette(registry):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Host, Mount, Route, Router

    from hitring.starlette import HitMiddleware

    async def page(request):
        return PlainTextResponse("a page")

    async def bare(scope, receive, send):
        await PlainTextResponse("bare")(scope, receive, send)

    class Endpoint:
        def __init__(self, scope, receive, send):
            self.parts = scope, receive, send

        def __await__(self):
            return bare(*self.parts).__await__()

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/items/{id:int}", page),
            Route("/class/{id}", Endpoint),
            Mount(
                "/api/{version}", routes=[Route("/items/{id}", page), Mount("/deep", routes=[Route("/{x:path}", page)])]
            ),
            Mount("/bare", bare),
            Mount("/of/{id}", routes=[Route("/same/{id}", page), Route("/{id}/in$", page)]),
            Host("www.example.org", Router([Route("/host/{id}", page)])),
        ]
    )
    app.add_middleware(HitMiddleware, registry=registry)
    return app, page, lambda path, method="GET": ask_asgi(app, path, method)


def test_starlette(registry):
    app, page, ask = starlette(registry)
    paths = ["/", "/items/7", "/class/7", "/api/2/items/7", "/api/2/deep/a/b", "/bare/a/b", "/bare/"]
    paths += ["/of/1/same/2", "/of/1/2/in$"]
    assert routes(registry, ask, *paths) == [
        "/",
        "/items/{id:int}",
        "/class/{id}",
        "/api/{version}/items/{id}",
        "/api/{version}/deep/{x:path}",
        "/bare/{path}",
        "/bare/{path}",
        "/of/{id}/same/{id}",
        "/of/{id}/{id}/in$",
    ]
    # Below a mount with routes of its own none may fit; a route may not take a method; a path may lack a slash.
    assert routes(registry, ask, "/api/2/nothing", "/items/seven", "/items/7/") == ["(unmatched)"] * 3
    assert routes(registry, ask, "/items/7", method="DELETE") == ["/items/{id:int}"]
    # A route that comes later.
    app.router.add_route("/later", page)
    assert routes(registry, ask, "/later", "/items/8") == ["/later", "/items/{id:int}"]


def test_starlette_below_a_root(registry):
    app, _, _ = starlette(registry)

    async def below(scope, receive, send):
        scope["root_path"] = "/root"
        await app(scope, receive, send)

    def ask(path, method="GET"):
        return ask_asgi(below, f"/root{path}", method)

    assert routes(registry, ask, "/items/7", "/api/2/items/7", "/bare/x") == [
        "/items/{id:int}",
        "/api/{version}/items/{id}",
        "/bare/{path}",
    ]


def test_starlette_by_host(registry):
    app, _, _ = starlette(registry)

    def ask(path, method="GET"):
        return ask_asgi(app, path, method, fields={"Host": "www.example.org"})

    assert routes(registry, ask, "/host/7", "/host/7/8") == ["/host/{id}", "(unmatched)"]


def test_starlette_through_other_middlewares(registry):
    pytest.importorskip("fastapi")
    from fastapi import APIRouter, FastAPI
    from fastapi.middleware.cors import CORSMiddleware

    from hitring.fastapi import HitMiddleware, LimitMiddleware

    router = APIRouter()

    @router.get("/things/{id}")
    async def thing(id: int):  # noqa: A002 (the name of the path's parameter)
        return id

    app = FastAPI()
    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    wrapped = HitMiddleware(LimitMiddleware(CORSMiddleware(app), KeyedLimiter("100/s")), registry)

    async def below(scope, receive, send):
        scope["root_path"] = "/root"
        await wrapped(scope, receive, send)

    def ask(path, method="GET"):
        return ask_asgi(below, path, method)

    # With the root in the path, and without.
    assert routes(registry, ask, "/v1/things/1", "/v2/things/1", "/root/v2/things/1") == [
        "/v1/things/{id}",
        "/v2/things/{id}",
        "/v2/things/{id}",
    ]


def test_mounts_through_middlewares_and_paths_that_are_rewritten(registry):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    from hitring.starlette import HitMiddleware

    async def user(request):
        return PlainTextResponse("a user")

    class Rewrites:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "http":
                scope["path"] = scope["path"].replace("/old/", "/v1/")
            await self.app(scope, receive, send)

    inner = Starlette(routes=[Route("/users/{id}", user)])
    app = Starlette(routes=[Route("/people/{id}", user), Mount("/v1", GZipMiddleware(inner))])
    app.add_middleware(Rewrites)
    app.add_middleware(HitMiddleware, registry=registry)

    def ask(path, method="GET"):
        return ask_asgi(app, path, method)

    assert routes(registry, ask, "/people/1", "/v1/users/1", "/old/users/1") == [
        "/people/{id}",
        "/v1/users/{id}",
        "/v1/users/{id}",
    ]


def test_starlette_on_a_mount(registry):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    from hitring.starlette import HitMiddleware

    async def page(request):
        return PlainTextResponse("a page")

    inner = [Route("/a/{id}", page), Route("/b/{id}", page)]
    middleware = [Middleware(HitMiddleware, registry=registry)]
    around = HitMiddleware(Starlette(routes=inner), registry)
    app = Starlette(routes=[Mount("/x", routes=inner, middleware=middleware), Mount("/y", around)])

    def ask(path, method="GET"):
        return ask_asgi(app, path, method)

    assert routes(registry, ask, "/x/b/1", "/y/b/1", "/y/none") == ["/b/{id}", "/b/{id}", "(unmatched)"]


def test_routes_that_come_later_or_are_of_another_kind(registry, monkeypatch):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import BaseRoute, Match, Mount, Route

    import hitring.starlette

    async def page(request):
        return PlainTextResponse("a page")

    async def later(request):
        return PlainTextResponse("later")

    class Odd(BaseRoute):
        path = "/odd"

        def matches(self, scope):
            return (Match.FULL if scope["path"] == "/odd" else Match.NONE), {}

        async def handle(self, scope, receive, send):
            await PlainTextResponse("odd")(scope, receive, send)

    inner = Starlette(routes=[Route("/one", page)])
    app = Starlette(routes=[Odd(), Mount("/sub", inner)])
    app.add_middleware(hitring.starlette.HitMiddleware, registry=registry)

    def ask(path, method="GET"):
        return ask_asgi(app, path, method)

    assert routes(registry, ask, "/odd", "/sub/one") == ["(unmatched)", "/sub/one"]
    inner.router.add_route("/two", later)
    assert routes(registry, ask, "/sub/two", "/sub/one") == ["/sub/two", "/sub/one"]
    # The same endpoint under another path, and one that goes.
    inner.router.add_route("/second/{id}", later)
    assert routes(registry, ask, "/sub/second/1", "/sub/two") == ["/sub/second/{id}", "/sub/two"]
    reads = []
    read = hitring.starlette.HitMiddleware._read
    monkeypatch.setattr(hitring.starlette.HitMiddleware, "_read", lambda *given: reads.append(1) or read(*given))
    assert routes(registry, ask, *["/odd", "/none"] * 5) == ["(unmatched)"] * 10
    assert reads == [], "a client cannot have the routes read again and again"


def test_starlette_around_the_application(registry):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    from hitring.starlette import HitMiddleware

    async def page(request):
        return PlainTextResponse("a page")

    inner = Starlette(routes=[Route("/{id}", page), Route("/also/{id}", page)])
    around = HitMiddleware(Starlette(routes=[Mount("/in", inner)]), registry)

    def ask(path, method="GET"):
        return ask_asgi(around, path, method)

    assert routes(registry, ask, "/in/7", "/in/also/7", "/7") == ["/in/{id}", "/in/also/{id}", "(unmatched)"]


def test_starlette_inside_a_mounted_application(registry):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    from hitring.starlette import HitMiddleware

    async def page(request):
        return PlainTextResponse("a page")

    outer = Registry()
    inner = Starlette(routes=[Route("/one/{id}", page), Route("/two/{id}", page)])
    inner.add_middleware(HitMiddleware, registry=registry)
    app = Starlette(routes=[Mount("/{tenant}", inner)])
    app.add_middleware(HitMiddleware, registry=outer)

    def ask(path, method="GET"):
        return ask_asgi(app, path, method)

    assert routes(registry, ask, "/a/one/7", "/b/two/7") == ["/one/{id}", "/two/{id}"]
    assert sorted(outer) == ["(other)", "/{tenant}/one/{id}", "/{tenant}/two/{id}"]


def test_fastapi(registry):
    pytest.importorskip("fastapi")
    from fastapi import APIRouter, FastAPI

    from hitring.fastapi import HitMiddleware

    app = FastAPI()
    app.add_middleware(HitMiddleware, registry=registry)
    deep = APIRouter(prefix="/deep/{q}")

    @deep.get("/x/{y:path}")
    async def x(q: str, y: str):
        return [q, y]

    router = APIRouter(prefix="/r")

    @router.get("/items/{id}")
    async def item(id: int):  # noqa: A002 (the name of the path's parameter)
        return id

    router.include_router(deep)
    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    mounted = FastAPI()
    mounted.include_router(router, prefix="/inner")
    app.mount("/sub/{tenant}", mounted)

    def ask(path, method="GET"):
        return ask_asgi(app, path, method)

    paths = ["/v1/r/items/5", "/v2/r/items/5", "/v1/r/deep/7/x/u/v", "/sub/9/inner/r/items/5", "/docs", "/openapi.json"]
    assert routes(registry, ask, *paths) == [
        "/v1/r/items/{id}",
        "/v2/r/items/{id}",
        "/v1/r/deep/{q}/x/{y:path}",
        "/sub/{tenant}/inner/r/items/{id}",
        "/docs",
        "/openapi.json",
    ]
    # A parameter that does not fit was routed; what comes after a mount was not.
    assert routes(registry, ask, "/v1/r/items/five", "/sub/9/none", "/none") == [
        "/v1/r/items/{id}",
        "(unmatched)",
        "(unmatched)",
    ]


def test_a_route_of_fastapi_is_limited_by_a_dependency(registry):
    pytest.importorskip("fastapi")
    from fastapi import Depends, FastAPI

    from hitring.fastapi import HitMiddleware, Limited

    app = FastAPI()
    app.add_middleware(HitMiddleware, registry=registry, status=True)
    limited = Limited(KeyedLimiter("1/hour", clock=ManualClock(1_000)), proxies=1, name="logins")

    @app.get("/login/{user}", dependencies=[Depends(limited)])
    async def login(user: str):
        return user

    @app.get("/free")
    async def free():
        return "free"

    let, refused = (ask_asgi(app, "/login/ann", fields={"X-Forwarded-For": "192.0.2.7"}) for _ in range(2))
    assert (let.status, let.fields["ratelimit"]) == (200, '"logins";r=0')
    assert (refused.status, refused.fields["retry-after"]) == (429, "3600")
    assert b"There are too many requests. Try again in 3600 s." in refused.body
    assert ask_asgi(app, "/login/ann", fields={"X-Forwarded-For": "192.0.2.8"}).status == 200
    assert "ratelimit" not in ask_asgi(app, "/free").fields
    assert dict(registry.top(9)) == {
        labelled("http", route="/login/{user}", status=200): 2,
        labelled("http", route="/login/{user}", status=429): 1,
        labelled("http", route="/free", status=200): 1,
    }


def test_a_websocket_passes_a_dependency():
    pytest.importorskip("fastapi")
    import asyncio

    from fastapi import Depends, FastAPI, WebSocket

    from hitring.fastapi import Limited

    limiter = KeyedLimiter("1/hour")
    app = FastAPI(dependencies=[Depends(Limited(limiter))])

    @app.websocket("/ws")
    async def echo(socket: WebSocket):
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    def talk():
        incoming = [{"type": "websocket.receive", "text": "hello"}, {"type": "websocket.connect"}]
        sent = []

        async def receive():
            return incoming.pop()

        async def send(message):
            sent.append(message)

        scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b"", "subprotocols": []}
        asyncio.run(app({**scope, "client": ("192.0.2.1", 1), "asgi": {"spec_version": "2.4"}}, receive, send))
        return [message.get("text") for message in sent]

    assert [talk() for _ in range(2)] == [[None, "hello", None]] * 2
    assert len(limiter) == 0


def test_flask_with_two_pages(registry):
    pytest.importorskip("flask")
    from flask import Flask

    from hitring.flask import Hits

    app, other = Flask(__name__), Registry(clock=ManualClock(1_000))
    Hits(app, registry, page="/hits")
    Hits(app, other, page="/other")
    ask_wsgi(app, "/hits")
    assert registry.top(9) == other.top(9) == [("/hits", 1)]
    assert ask_wsgi(app, "/other").status == 200


def test_flask(registry):
    pytest.importorskip("flask")
    from flask import Blueprint, Flask, abort

    from hitring.flask import Hits

    hits = Hits(registry=registry, method=True)
    app = Flask(__name__)
    part = Blueprint("part", __name__, url_prefix="/part")

    @part.get("/<int:id>")
    def item(id):  # noqa: A002 (the name of the path's parameter)
        return f"{id}"

    @app.before_request
    def before():
        from flask import request

        if request.args.get("no"):
            abort(403)

    app.register_blueprint(part)
    hits.init_app(app)

    def ask(path, method="GET"):
        return ask_wsgi(app, path, method)

    assert routes(registry, ask, "/part/7", "/static/none.css", "/part/seven", "/part/7/") == [
        labelled("http", method="GET", route=route)
        for route in ("/part/<int:id>", "/static/<path:filename>", "(unmatched)", "(unmatched)")
    ]
    assert ask_wsgi(app, "/part/7", query="no=1").status == 403
    assert registry.query_hits(labelled("http", method="GET", route="/part/<int:id>")) == 2


def test_flask_counts_in_the_default_registry():
    pytest.importorskip("flask")
    from flask import Flask

    from hitring import default_registry
    from hitring.flask import Hits

    app = Flask(__name__)
    assert Hits(app).registry is default_registry()


def test_django(registry):
    pytest.importorskip("django")
    import services

    services.project(registry, None, {}, {})
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import clear_url_caches, include, path, re_path

    services.urlpatterns = [
        path("users/<int:key>/", services.django_user),
        path(
            "part/",
            include([path("<slug:key>", services.django_user), re_path(r"^y/(?P<key>\d{4})$", services.django_user)]),
        ),
    ]
    clear_url_caches()
    app = WSGIHandler()

    def ask(path, method="GET"):
        return ask_wsgi(app, path, method)

    assert routes(registry, ask, "/users/7/", "/part/a-b", "/part/y/2026", "/users/seven/") == [
        "/users/<int:key>/",
        "/part/<slug:key>",
        r"/part/y/(?P<key>\d{4})$",
        "(unmatched)",
    ]


def test_a_wrong_setting_of_django_is_named(registry):
    pytest.importorskip("django")
    import services

    services.project(registry, None, {}, {"exclud": []})
    from django.core.exceptions import ImproperlyConfigured
    from django.core.handlers.wsgi import WSGIHandler

    with pytest.raises(
        ImproperlyConfigured, match="HITRING has the unknown setting 'EXCLUD'; it may have EXCLUDE, KEY"
    ):
        WSGIHandler()
    services.project(registry, None, {}, {})
    from django.conf import settings

    settings.MIDDLEWARE = ["hitring.django.LimitMiddleware"]
    with pytest.raises(ImproperlyConfigured, match="needs a limiter: set LIMITER in HITRING"):
        WSGIHandler()


def test_settings_of_django_are_dotted_paths_or_absent():
    pytest.importorskip("django")
    import services
    from hitring import default_registry

    services.project(None, "services.LIMITER", {"key": "services.key_of"}, {"name": "django"})
    services.LIMITER, services.key_of = KeyedLimiter("1/hour"), lambda request: request.headers.get("x-user")
    from django.core.handlers.wsgi import WSGIHandler

    app = WSGIHandler()
    before = default_registry().query_hits("/health")
    assert [ask_wsgi(app, "/health", fields={"X-User": "ann"}).status for _ in range(2)] == [200, 429]
    assert default_registry().query_hits("/health") == before + 1


def test_a_limit_of_a_view_of_django_stands_beside_ours(registry):
    pytest.importorskip("django")
    import services

    services.project(registry, KeyedLimiter("9/hour"), {}, {})
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import clear_url_caches, path

    services.urlpatterns = [path("own", lambda _: HttpResponse(headers={"RateLimit": '"own";r=3'}))]
    clear_url_caches()
    assert ask_wsgi(WSGIHandler(), "/own").fields["ratelimit"] == '"own";r=3, "client";r=8'
