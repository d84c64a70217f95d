"""What counting costs a request, beside the bare application and a counter of prometheus_client.

    python tests/python/performance/web.py

The application answers at once, without a server or a socket, so that the difference is what the middleware adds.
Each row is the median of many rounds, and the rounds of all rows take turns. `prometheus_client` is a middleware of the
same shape whose line is ``REQUESTS.labels(method, route, status).inc()``.
"""

import statistics
import time

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PrometheusCounter

from hitring import KeyedLimiter, Registry, SharedRegistry
from hitring.asgi import HitMiddleware as AsgiHits
from hitring.asgi import LimitMiddleware as AsgiLimits
from hitring.wsgi import HitMiddleware as WsgiHits
from hitring.wsgi import LimitMiddleware as WsgiLimits

ROUNDS = 101
REQUESTS = 2_000

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY = {"type": "http.response.body", "body": b"hello"}
PLAIN = [("Content-Type", "text/plain")]


async def asgi_app(scope, receive, send):
    scope["hitring.route"] = "/users/{id}"
    await send(START)
    await send(BODY)


def wsgi_app(environ, start_response):
    environ["hitring.route"] = "/users/{id}"
    start_response("200 OK", PLAIN)
    return [b"hello"]


def counter():
    return PrometheusCounter("requests", "Requests.", ["method", "route", "status"], registry=CollectorRegistry())


class AsgiPrometheus:
    def __init__(self, app):
        self.app, self.counter = app, counter()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def told(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, told)
        finally:
            self.counter.labels(scope["method"], scope["hitring.route"], status).inc()


class WsgiPrometheus:
    def __init__(self, app):
        self.app, self.counter = app, counter()

    def __call__(self, environ, start_response):
        status = "500"

        def told(given, headers, *error):
            nonlocal status
            status = given[:3]
            return start_response(given, headers, *error)

        try:
            return self.app(environ, told)
        finally:
            self.counter.labels(environ["REQUEST_METHOD"], environ["hitring.route"], status).inc()


async def send(message):
    pass


def start_response(status, headers, *error):
    return print


def asgi(app):
    scope = {"type": "http", "method": "GET", "path": "/users/7", "headers": [], "client": ("192.0.2.1", 1)}

    async def run():
        start = time.perf_counter_ns()
        for _ in range(REQUESTS):
            await app(dict(scope), None, send)
        return (time.perf_counter_ns() - start) / REQUESTS

    def ran():
        try:
            run_ = run()
            run_.send(None)
        except StopIteration as over:
            return over.value

    return ran


def wsgi(app):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/users/7", "REMOTE_ADDR": "192.0.2.1", "SCRIPT_NAME": ""}

    def ran():
        start = time.perf_counter_ns()
        for _ in range(REQUESTS):
            app(dict(environ), start_response)
        return (time.perf_counter_ns() - start) / REQUESTS

    return ran


def rows(folder):
    shared = SharedRegistry(f"{folder}/hits.ring", max_endpoints=1_000)
    labels = {"method": True, "status": True}
    for kind, bare, hits, limits, prometheus in (
        (asgi, asgi_app, AsgiHits, AsgiLimits, AsgiPrometheus),
        (wsgi, wsgi_app, WsgiHits, WsgiLimits, WsgiPrometheus),
    ):
        name = kind.__name__
        yield name, "bare", kind(bare)
        yield name, "prometheus_client", kind(prometheus(bare))
        yield name, "route", kind(hits(bare, Registry()))
        yield name, "method, route, status", kind(hits(bare, Registry(), **labels))
        yield name, "the same, shared", kind(hits(bare, shared, **labels))
        yield name, "limit", kind(limits(bare, KeyedLimiter("1000000/s")))


def main():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        table = list(rows(folder))
        taken = {row[:2]: [] for row in table}
        for round_ in range(ROUNDS + 5):
            for kind, name, run in table:
                took = run()
                if round_ >= 5:
                    taken[kind, name].append(took)
    for (kind, name), took in taken.items():
        median = statistics.median(took)
        added = median - statistics.median(taken[kind, "bare"])
        print(f"{kind}  {name:24} {median / 1_000:6.2f} us   {added / 1_000:+6.2f} us")


if __name__ == "__main__":
    main()
