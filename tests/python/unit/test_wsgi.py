"""`hitring.wsgi`: the cases that only WSGI has, through the validator of the standard library."""

from http import HTTPStatus
from wsgiref.validate import validator

import pytest

from hitring import KeyedLimiter, ManualClock, Registry
from hitring.wsgi import HitMiddleware, HitsPage, LimitMiddleware
from services import ask_wsgi

PLAIN = [("Content-Type", "text/plain")]


@pytest.fixture
def registry():
    return Registry(clock=ManualClock(1_000))


def counted(status):
    return [(f'http{{route="(unmatched)",status="{status}"}}', 1)]


def test_what_an_application_returns_passes_untouched(registry):
    class File:
        def close(self):
            pass

    file = File()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return file

    assert HitMiddleware(app, registry)({"REQUEST_METHOD": "GET"}, lambda *_: None) is file
    assert registry.top(9) == [("(unmatched)", 1)]


def test_a_generator_is_counted_when_its_answer_begins(registry):
    def app(environ, start_response):
        start_response("201 Created", PLAIN)
        for part in range(5):
            assert len(registry) == 1 + (part > 0)  # with (other)
            yield b"%d" % part

    answer = ask_wsgi(HitMiddleware(validator(app), registry, status=True), "/a")
    assert (answer.status, answer.body) == (201, b"01234")
    assert registry.top(9) == counted(201)


@pytest.mark.parametrize("is_generator", [True, False])
def test_an_exception_after_start_response_is_counted_as_failed(registry, is_generator):
    def raises(environ, start_response):
        start_response("200 OK", PLAIN)
        raise OSError

    def generates(environ, start_response):
        raises(environ, start_response)
        yield b""

    app = HitMiddleware(generates if is_generator else raises, registry, status=True)
    with pytest.raises(OSError):
        list(app({"REQUEST_METHOD": "GET"}, lambda *_: None))
    assert registry.top(9) == counted(500)


def test_start_response_takes_the_exception_by_name(registry):
    told = []

    def app(environ, start_response):
        start_response("200 OK", PLAIN, exc_info=None)
        start_response("500 Failed", PLAIN, exc_info=("an", "error", "here"))
        return []

    wrapped = HitMiddleware(LimitMiddleware(app, KeyedLimiter("9/s")), registry)
    wrapped({"REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.1"}, lambda *given: told.append(given[2:]))
    assert told == [(), (("an", "error", "here"),)]


def test_a_route_that_is_not_found_breaks_nothing(registry, caplog):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return [b""]

    wrapped = HitMiddleware(app, registry, route=lambda environ: environ["nothing"])
    for _ in range(3):
        assert ask_wsgi(wrapped, "/").status == 200
    assert registry.top(9) == [("(unmatched)", 3)] and len(caplog.records) == 1


def test_excluded_paths_are_those_below_the_script(registry):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return [b""]

    limited = LimitMiddleware(app, KeyedLimiter("1/hour"), exclude=["/health"])
    wrapped = HitMiddleware(limited, registry, exclude=["/health"])
    for script in ("", "/api", "/api"):
        environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": script, "PATH_INFO": "/health", "REMOTE_ADDR": "192.0.2.1"}
        assert wrapped(environ, lambda *_: None) == [b""]
    assert registry.top(9) == []


def test_a_generator_that_raises_is_counted_as_failed(registry):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/a":
            raise OSError
        start_response("200 OK", PLAIN)
        yield b""

    with pytest.raises(OSError):
        next(iter(HitMiddleware(app, registry, status=True)({"REQUEST_METHOD": "GET", "PATH_INFO": "/a"}, None)))
    assert registry.top(9) == counted(500)


@pytest.mark.parametrize("has_close", [True, False])
def test_a_body_that_is_never_read_is_closed_and_counted_as_failed(registry, has_close):
    closed = []

    class Body:
        def __iter__(self):
            return self

        def __next__(self):
            raise AssertionError

    if has_close:
        Body.close = lambda _: closed.append(1)
    body = HitMiddleware(lambda *_: Body(), registry, status=True)({"REQUEST_METHOD": "GET"}, None)
    body.close()
    assert closed == [1] * has_close
    assert registry.top(9) == counted(500)


def test_the_status_that_was_given_last_is_counted(registry):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        try:
            raise OSError
        except OSError:
            import sys

            start_response("503 Service Unavailable", PLAIN, sys.exc_info())
        return [b""]

    assert ask_wsgi(HitMiddleware(validator(app), registry, status=True), "/a").status == 503
    assert registry.top(9) == counted(503)


def test_what_start_response_returns_writes(registry):
    written = []

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(b"one")
        return [b"two"]

    limited = LimitMiddleware(app, KeyedLimiter("1/hour"))
    body = HitMiddleware(limited, registry)({"REQUEST_METHOD": "GET", "REMOTE_ADDR": ""}, lambda *_: written.append)
    assert written == [b"one"] and body == [b"two"]


def test_a_function_finds_the_route(registry):
    def app(environ, start_response):
        environ["a.framework"] = "/users/{id}"
        start_response("200 OK", PLAIN)
        return [b""]

    ask_wsgi(HitMiddleware(app, registry, route=lambda environ: environ.get("a.framework")), "/users/1")
    assert registry.top(9) == [("/users/{id}", 1)]


def test_a_path_is_counted_as_the_client_sent_it(registry):
    def app(environ, start_response):
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/moved", ""
        start_response("200 OK", PLAIN)
        return [b""]

    wrapped = HitMiddleware(app, registry, raw_paths=True)
    for path in ("/grüße/🦀", "/a"):
        ask_wsgi(wrapped, path)
    # Bytes that are not UTF-8.
    wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/\xff"}, lambda *_: None)
    assert dict(registry.top(9)) == {"/grüße/🦀": 1, "/a": 1, "/\ufffd": 1}


@pytest.mark.parametrize("status", ["200", "200 OK", "999 Odd", "odd"])
def test_any_status_is_counted(registry, status):
    def app(environ, start_response):
        start_response(status, PLAIN)
        return [b""]

    HitMiddleware(app, registry, status=True)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
    assert registry.top(9) == counted("200" if status.startswith("200") else "other")


@pytest.mark.parametrize(("status", "as_what"), [(201, "201"), (HTTPStatus.CREATED, "201"), ([1], "other")])
def test_a_status_that_is_not_text_breaks_nothing(registry, caplog, status, as_what):
    def app(environ, start_response):
        start_response(status, PLAIN)
        return [b""]

    assert HitMiddleware(app, registry, status=True)({"REQUEST_METHOD": "GET"}, lambda *_: None) == [b""]
    assert registry.top(9) == counted(as_what) and len(caplog.records) == (as_what == "other")


def test_a_head_request_is_refused_without_a_body():
    limiter = KeyedLimiter("1/hour")
    limiter.allow("192.0.2.1")
    answer = ask_wsgi(LimitMiddleware(None, limiter), "/a", "HEAD")
    assert answer.status == 429 and answer.body == b"" and answer.fields["content-length"] != "0"


def test_the_page_keeps_to_the_protocol(registry):
    registry.record_hit("/a")
    for method in ("GET", "HEAD", "POST"):
        for fields in ({}, {"Accept": "text/html"}):
            for query in ("", "last=1e9"):
                ask_wsgi(HitsPage(registry), "/", method, fields=fields, query=query)
