"""`hitring.asgi`: the cases that only ASGI has."""

import asyncio
import threading
from http import HTTPStatus

import pytest

from hitring import KeyedLimiter, ManualClock, Registry
from hitring.asgi import HitMiddleware, HitsPage, LimitMiddleware

HTTP = {"type": "http", "method": "GET", "path": "/a", "query_string": b"", "headers": [], "client": ("192.0.2.1", 1)}
START = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]}


@pytest.fixture
def registry():
    return Registry(clock=ManualClock(1_000))


def run(app, scope, *incoming):
    """Run an application to its end, and return what it sent."""
    messages, sent = list(incoming), []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_every_part_of_a_stream_is_sent_as_it_is_and_counted_once(registry):
    parts = [
        START,
        *({"type": "http.response.body", "body": b"%d" % part, "more_body": part < 9} for part in range(10)),
    ]
    seen = []

    async def app(scope, receive, send):
        for part in parts:
            await send(part)
            seen.append(len(registry))  # with (other)

    sent = run(HitMiddleware(app, registry), dict(HTTP))
    assert all(ours is theirs for ours, theirs in zip(sent, parts)) and len(sent) == len(parts)
    assert seen == [2] * 11, "a stream is counted when it begins"
    assert registry.top(9) == [("(unmatched)", 1)]


@pytest.mark.parametrize("kind", ["websocket", "lifespan", "another"])
def test_other_connections_pass_untouched(registry, kind):
    calls = []

    async def app(*arguments):
        calls.append(arguments)

    limiter = KeyedLimiter("1/hour")
    wrapped = HitMiddleware(LimitMiddleware(app, limiter), registry)
    scope, receive, send = {"type": kind}, object(), object()
    for _ in range(3):
        asyncio.run(wrapped(scope, receive, send))
    assert all(ours is theirs for call in calls for ours, theirs in zip(call, (scope, receive, send)))
    assert len(calls) == 3 and scope == {"type": kind} and registry.top(9) == []


def test_an_exception_after_the_answer_began_is_counted_as_the_answer(registry):
    async def app(scope, receive, send):
        await send(START)
        raise OSError

    with pytest.raises(OSError):
        run(HitMiddleware(app, registry, status=True), dict(HTTP))
    assert registry.top(9) == [('http{route="(unmatched)",status="200"}', 1)]


def test_a_request_whose_client_is_gone_has_a_status_of_its_own(registry):
    async def app(scope, receive, send):
        await asyncio.sleep(3_600)

    async def cancelled():
        task = asyncio.ensure_future(HitMiddleware(app, registry, status=True)(dict(HTTP), None, None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert registry.top(9) == [('http{route="(unmatched)",status="499"}', 1)]


def test_an_answer_that_begins_twice_is_counted_once(registry):
    async def app(scope, receive, send):
        await send(START)
        await send(START)

    run(HitMiddleware(app, registry), dict(HTTP))
    assert registry.top(9) == [("(unmatched)", 1)]


def test_a_path_that_is_not_unicode_is_counted(registry):
    async def app(scope, receive, send):
        await send(START)

    for status in (False, True):
        run(HitMiddleware(app, registry, raw_paths=True, status=status), {**HTTP, "path": "/\ud800"})
    assert dict(registry.top(9)) == {"/?": 1, 'http{route="/?",status="200"}': 1}


def test_no_answer_is_counted_as_failed(registry):
    async def app(scope, receive, send):
        pass

    assert run(HitMiddleware(app, registry, status=True), dict(HTTP)) == []
    assert registry.top(9) == [('http{route="(unmatched)",status="500"}', 1)]


def test_an_answer_that_cannot_be_sent_is_counted(registry):
    async def app(scope, receive, send):
        await send(START)

    async def send(message):
        raise OSError("the client is gone")

    with pytest.raises(OSError):
        asyncio.run(HitMiddleware(app, registry)(dict(HTTP), None, send))
    assert registry.top(9) == [("(unmatched)", 1)]


def test_a_function_finds_the_route(registry):
    async def app(scope, receive, send):
        scope["path_template"] = "/users/{id}"
        await send(START)

    run(HitMiddleware(app, registry, route=lambda scope: scope.get("path_template")), dict(HTTP))
    assert registry.top(9) == [("/users/{id}", 1)]


def test_servers_take_it_for_an_application():
    import inspect

    for app in (HitMiddleware(None, Registry()), LimitMiddleware(None, KeyedLimiter("1/s")), HitsPage(Registry())):
        assert inspect.iscoroutinefunction(app.__call__)


def test_fields_of_the_limit_stand_beside_those_of_the_application():
    async def app(scope, receive, send):
        await send(START)

    (start,) = run(LimitMiddleware(app, KeyedLimiter("2/hour"), name="hourly"), dict(HTTP))
    assert start["headers"] == [
        (b"x", b"y"),
        (b"ratelimit-policy", b'"hourly";q=2;w=3600'),
        (b"ratelimit", b'"hourly";r=1'),
    ]
    assert START["headers"] == [(b"x", b"y")], "the message is the application's"


def test_several_fields_of_proxies_are_one_list():
    async def app(scope, receive, send):
        await send(START)

    limited = LimitMiddleware(app, KeyedLimiter("1/hour"), proxies=2)
    told = [(b"x-forwarded-for", b"198.51.100.1, 192.0.2.7"), (b"x-forwarded-for", b"10.0.0.2")]
    assert run(limited, {**HTTP, "headers": told})[0]["status"] == 200
    other = [(b"x-forwarded-for", b"198.51.100.2, 192.0.2.7"), (b"x-forwarded-for", b"10.0.0.2")]
    assert run(limited, {**HTTP, "headers": other})[0]["status"] == 429, "the same client"


def test_a_head_request_is_refused_without_a_body():
    limiter = KeyedLimiter("1/hour")
    limiter.allow("192.0.2.1")
    limited = LimitMiddleware(None, limiter)
    start, body = run(limited, {**HTTP, "method": "HEAD"})
    assert start["status"] == 429 and body["body"] == b""
    assert dict(start["headers"])[b"content-length"] != b"0"


def test_a_page_can_be_served_alone(registry):
    sent = run(HitsPage(registry), {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    sent = run(HitsPage(registry), {"type": "websocket"}, {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close", "code": 1000}]


def test_the_page_does_not_hold_up_the_event_loop(registry, monkeypatch):
    page, is_asked, may_answer = HitsPage(registry), threading.Event(), threading.Event()
    answer = page._page.answer

    def waits(*asked):
        is_asked.set()
        assert may_answer.wait(30)
        return answer(*asked)

    monkeypatch.setattr(page._page, "answer", waits)

    async def asked():
        sent = []

        async def send(message):
            sent.append(message)

        task = asyncio.ensure_future(page({**HTTP}, None, send))
        while not is_asked.is_set():
            await asyncio.sleep(0)
        assert sent == []
        may_answer.set()
        await task
        return sent

    assert [message["type"] for message in asyncio.run(asked())] == ["http.response.start", "http.response.body"]


def test_a_route_that_is_not_found_breaks_nothing(registry, caplog):
    async def app(scope, receive, send):
        await send(START)

    def route(scope):
        raise KeyError("path_template")

    wrapped = HitMiddleware(app, registry, route=route)
    for _ in range(3):
        assert run(wrapped, dict(HTTP)) == [START]
    assert registry.top(9) == [("(unmatched)", 3)]
    (record,) = caplog.records
    assert record.name == "hitring" and record.exc_info[0] is KeyError


@pytest.mark.parametrize("route", [["/a"], 7, object()])
def test_a_route_that_is_not_text_breaks_nothing(registry, caplog, route):
    async def app(scope, receive, send):
        scope["hitring.route"] = route
        await send(START)

    assert run(HitMiddleware(app, registry, status=True), dict(HTTP)) == [START]
    assert registry.top(9) == [('http{route="(unmatched)",status="other"}', 1)]
    assert [record.exc_info[0] for record in caplog.records] == [TypeError]


def test_only_what_is_cancelled_has_its_own_status(registry):
    class Cancelled(BaseException):
        """As trio's."""

    for error, status in ((SystemExit, 500), (KeyboardInterrupt, 500), (Cancelled, 499)):

        async def app(scope, receive, send, error=error):
            raise error

        with pytest.raises(error):
            run(HitMiddleware(app, registry, status=True), dict(HTTP))
        registry.remove(f'http{{route="(unmatched)",status="{status}"}}')
    assert registry.top(9) == []


def test_an_exception_passes_also_if_its_route_is_not_found(registry):
    async def app(scope, receive, send):
        raise OSError

    with pytest.raises(OSError):
        run(HitMiddleware(app, registry, route=lambda scope: scope["nothing"]), dict(HTTP))


def test_a_status_may_be_a_name(registry):
    async def app(scope, receive, send):
        await send({**START, "status": scope["as"]})

    wrapped = HitMiddleware(app, registry, status=True)
    for status in (HTTPStatus.CREATED, 201, HTTPStatus.CREATED):
        run(wrapped, {**HTTP, "as": status})
    assert registry.top(9) == [('http{route="(unmatched)",status="201"}', 3)]


@pytest.mark.parametrize(
    ("root", "path"),
    [("", "/health"), ("/api", "/api/health"), ("/api", "/health"), ("/he", "/health"), ("/root", "/root")],
)
def test_excluded_paths_are_those_below_the_root(registry, root, path):
    async def app(scope, receive, send):
        await send(START)

    limited = LimitMiddleware(app, KeyedLimiter("1/hour"), exclude=["/health", "/"])
    wrapped = HitMiddleware(limited, registry, exclude=["/health", "/"])
    for _ in range(2):
        assert run(wrapped, {**HTTP, "path": path, "root_path": root}) == [START]
    assert registry.top(9) == []


def test_what_came_in_is_counted_whatever_the_application_makes_of_it(registry):
    async def app(scope, receive, send):
        scope.update(path="/other", method="TRACE")
        await send(START)

    run(HitMiddleware(app, registry, method=True, raw_paths=True), dict(HTTP))
    assert registry.top(9) == [('http{method="GET",route="/a"}', 1)]


def test_asgiref_drives_it(registry):
    testing = pytest.importorskip("asgiref.testing")

    async def app(scope, receive, send):
        request = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": request["body"], "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})
        assert (await receive())["type"] == "http.disconnect"

    wrapped = HitMiddleware(LimitMiddleware(app, KeyedLimiter("1/hour")), registry, status=True)

    async def drive():
        service = testing.ApplicationCommunicator(wrapped, dict(HTTP))
        await service.send_input({"type": "http.request", "body": b"hello"})
        start = await service.receive_output(10)
        parts = [await service.receive_output(10) for _ in range(2)]
        assert await service.receive_nothing()
        await service.send_input({"type": "http.disconnect"})
        await service.wait(10)
        refused = testing.ApplicationCommunicator(wrapped, dict(HTTP))
        again = await refused.receive_output(10)
        await refused.receive_output(10)
        await refused.wait(10)
        return start["status"], b"".join(part["body"] for part in parts), again["status"]

    assert asyncio.run(drive()) == (200, b"hello!", 429)
    assert dict(registry.top(9)) == {
        'http{route="(unmatched)",status="200"}': 1,
        'http{route="(limited)",status="429"}': 1,
    }
