"""What every framework's middlewares do alike: what a request is counted under, and how it is limited."""

import gc
import json
import sys
import warnings

import pytest

from hitring import ConfigError, KeyedLimiter, Limiter, ManualClock, Registry, asgi, labelled, wsgi
from services import FRAMEWORKS, Failed, service, template


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    pytest.importorskip(request.param.partition("-")[0] if request.param not in ("asgi", "wsgi") else "hitring")
    return request.param


@pytest.fixture
def registry():
    return Registry(clock=ManualClock(1_000))


def counts(registry):
    return dict(registry.top(1_000))


def test_a_route_is_counted_under_its_template(framework, registry):
    ask = service(framework, registry)
    for user in range(5):
        assert ask(f"/users/{user}").status == 200
    assert ask("/health").status == 200
    assert counts(registry) == {template(framework): 5, "/health": 1}


def test_methods_and_statuses_are_labels(framework, registry):
    ask = service(framework, registry, method=True, status=True)
    ask("/users/1")
    ask("/users/2", "POST")
    ask("/nothing")
    of_user = template(framework)
    assert counts(registry) == {
        labelled("http", method="GET", route=of_user, status=200): 1,
        labelled("http", method="POST", route=of_user, status=200): 1,
        labelled("http", method="GET", route="(unmatched)", status=404): 1,
    }


def test_one_label_and_another_name(framework, registry):
    ask = service(framework, registry, status=True, name="web")
    ask("/users/1")
    assert list(counts(registry)) == [labelled("web", route=template(framework), status=200)]


def test_paths_without_a_route_have_one_name(framework, registry):
    ask = service(framework, registry)
    for path in ("/nothing", "/wp-admin.php", "/🦀", "/" + "a" * 5_000):
        assert ask(path).status == 404
    assert counts(registry) == {"(unmatched)": 4}


def test_methods_cannot_be_invented(framework, registry):
    ask = service(framework, registry, method=True)
    for method in ("ONE", "TWO", "THREE"):
        ask("/health", method)
    assert {name.partition(",")[0] for name in counts(registry)} == {'http{method="OTHER"'}
    assert sum(counts(registry).values()) == 3


def test_raw_paths_are_capped(framework, registry):
    ask = service(framework, registry, raw_paths=True, max_routes=3)
    for user in range(6):
        ask(f"/users/{user}")
    ask("/users/1")
    ask("/" + "a" * 2_000)
    assert counts(registry) == {"/users/0": 1, "/users/1": 2, "/users/2": 1, "(other)": 4}


def test_an_exception_is_counted_and_passes(framework, registry):
    ask = service(framework, registry, status=True)
    with warnings.catch_warnings():
        # Django leaves the body of the request open where an exception passes it.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(Failed):
            ask("/fails")
        gc.collect()
    assert counts(registry) == {labelled("http", route="/fails", status=500): 1}


def test_excluded_paths_are_neither_counted_nor_limited(framework, registry):
    ask = service(framework, registry, limiter=Limiter("1/hour"), exclude=["/health", "/users/1*"])
    for _ in range(3):
        assert ask("/health").status == 200
        assert ask("/users/17").status == 200
    assert counts(registry) == {}
    assert [ask("/users/2").status for _ in range(2)] == [200, 429]


def test_a_refused_request_is_answered_with_429(framework, registry):
    clock = ManualClock(1_000)
    ask = service(framework, registry, limiter=KeyedLimiter("2/minute", clock=clock), status=True)
    answers = [ask("/users/1") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.fields["ratelimit"] for answer in answers] == ['"client";r=1', '"client";r=0', '"client";r=0;t=60']
    assert {answer.fields["ratelimit-policy"] for answer in answers} == {'"client";q=2;w=60'}
    assert [answer.fields.get("retry-after") for answer in answers] == [None, None, "60"]
    refused = answers[-1]
    assert refused.fields["content-type"] == "application/problem+json"
    assert int(refused.fields.get("content-length", len(refused.body))) == len(refused.body)
    assert json.loads(refused.body) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "There are too many requests. Try again in 60 s.",
    }
    assert counts(registry) == {
        labelled("http", route=template(framework), status=200): 2,
        labelled("http", route="(limited)", status=429): 1,
    }
    clock.advance(60)
    assert ask("/users/1").status == 200


def test_a_refused_request_has_no_path_of_its_own(framework, registry):
    ask = service(framework, registry, limiter=Limiter("1/hour"), raw_paths=True)
    assert [ask(f"/users/{user}").status for user in range(3)] == [200, 429, 429]
    assert counts(registry) == {"/users/0": 1, "(limited)": 2}


def test_clients_are_told_apart(framework, registry):
    ask = service(framework, registry, limiter=KeyedLimiter("1/hour"))
    assert [ask("/health", peer=peer).status for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [200, 200, 429]
    # A client cannot choose what it is taken for.
    assert ask("/health", peer="192.0.2.1", fields={"X-Forwarded-For": "192.0.2.9"}).status == 429


def test_clients_behind_a_proxy_are_told_apart(framework, registry):
    ask = service(framework, registry, limiter=KeyedLimiter("1/hour"), proxies=["10.0.0.0/8"])

    def status(forwarded):
        return ask("/health", peer="10.0.0.1", fields={"X-Forwarded-For": forwarded}).status

    assert [status("192.0.2.1"), status("192.0.2.2, 10.0.0.7"), status("192.0.2.1")] == [200, 200, 429]
    # What the client itself sent stands left of what the proxy added.
    assert status("198.51.100.1, 192.0.2.1") == 429


def test_a_key_of_ones_own(framework, registry):
    def key(request):
        headers = getattr(request, "META", request)  # Django's request, or environ
        if "headers" in headers:
            return dict(headers["headers"]).get(b"x-user", b"").decode() or None
        return headers.get("HTTP_X_USER")

    ask = service(framework, registry, limiter=KeyedLimiter("1/hour"), key=key)
    assert [ask("/health", fields={"X-User": user}).status for user in ("ann", "bob", "ann")] == [200, 200, 429]
    assert [ask("/health").status for _ in range(3)] == [200, 200, 200]


def test_the_page_shows_the_hits(framework, registry):
    ask = service(framework, registry, exclude=["/hits*"])
    for _ in range(3):
        ask("/users/1")
    ask("/health")
    page = "/hits" if framework not in ("starlette", "fastapi") else "/hits/"
    answer = ask(page, query="last=60")
    assert answer.status == 200 and answer.fields["content-type"] == "application/json"
    assert json.loads(answer.body) == {
        "last": 60,
        "window": 300,
        "hits": 4,
        "endpoints": [
            {"endpoint": template(framework), "hits": 3, "rate": 0.05},
            {"endpoint": "/health", "hits": 1, "rate": 0.017},
        ],
        "endpoints_count": 3,  # with (other)
    }
    assert counts(registry) == {template(framework): 3, "/health": 1}
    head = ask(page, "HEAD", query="last=60")
    assert head.body == b""
    assert {**head.fields, "date": 0} == {**answer.fields, "date": 0}
    assert ask(page, "POST").status == 405


def test_a_raw_path_cannot_pose_as_something_else(framework, registry):
    if framework in ("wsgi", "flask") or "django" in framework:
        pytest.skip("a path without a slash does not come this far")
    ask = service(framework, registry, raw_paths=True)
    for path in ("http{route='/admin'}", "(limited)", "*"):
        ask(path)
    assert counts(registry) == {"(other)": 3}


def test_what_the_registry_has_no_room_for_is_counted_together(framework):
    registry = Registry(max_endpoints=3, clock=ManualClock(1_000))
    ask = service(framework, registry, raw_paths=True)
    for user in range(9):
        ask(f"/users/{user}")
    assert counts(registry) == {"(other)": 7, "/users/0": 1, "/users/1": 1}
    registry = Registry(max_endpoints=2, clock=ManualClock(1_000))
    ask = service(framework, registry, method=True, status=True)
    for path in ("/users/1", "/nothing", "/health", "/users/2"):
        ask(path)
    assert counts(registry) == {
        labelled("http", method="GET", route=template(framework), status=200): 2,
        labelled("http", method="OTHER", route="(other)", status="other"): 2,
    }


def test_a_registry_that_is_full_already_counts_what_it_can(framework):
    registry = Registry(max_endpoints=1, clock=ManualClock(1_000))
    registry.record_hit("/health")
    ask = service(framework, registry)
    assert ask("/health").status == ask("/users/1").status == 200
    assert counts(registry) == {"/health": 2}


def test_long_keys_are_told_apart_and_kept_short(framework, registry):
    def key(request):
        headers = getattr(request, "META", request)
        return dict(headers["headers"])[b"x-user"].decode() if "headers" in headers else headers["HTTP_X_USER"]

    limiter = KeyedLimiter("1/hour")
    ask = service(framework, registry, limiter=limiter, key=key)
    users = ["a" * 5_000, "a" * 5_000 + "b", "a" * 5_000]
    assert [ask("/health", fields={"X-User": user}).status for user in users] == [200, 200, 429]
    assert limiter.peek("a" * 5_000), "what is kept is a digest"


@pytest.mark.parametrize("kind", [asgi.HitMiddleware, wsgi.HitMiddleware])
def test_a_registry_that_cannot_count_is_refused(kind, tmp_path):
    for registry in (None, KeyedLimiter("1/s")):
        with pytest.raises(ConfigError, match="cannot count; give a Registry"):
            kind(None, registry)
    if sys.platform == "linux":
        from hitring import SharedRegistry

        kept = SharedRegistry(tmp_path / "hits.ring", max_endpoints=8)
        with pytest.raises(ConfigError, match="or a SharedRegistry that was not opened to read"):
            kind(None, SharedRegistry(kept.path, mode="read"))


def test_a_wrong_option_says_what_is_wrong(framework, registry):
    kind = "ImproperlyConfigured" if "django" in framework else "ConfigError"
    for options, message in [
        ({"exclude": "/health"}, r"exclude is the text '/health'; give a list of paths"),
        ({"exclude": ["health"]}, "'health' cannot be excluded"),
        ({"exclude": [1]}, "1 cannot be excluded"),
        ({"max_routes": 0}, "max_routes must be a whole number, at least 1, not 0"),
        ({"max_routes": "5"}, "max_routes must be a whole number, at least 1, not '5'"),
        ({"name": "a name"}, "'a name' cannot have labels"),
        ({"name": "a" * 1_010, "status": True}, "characters is too long for an endpoint"),
        ({"limiter": Limiter("1/s"), "proxies": ["10.0.0.1/8"]}, "'10.0.0.1/8' is not a proxy's address or network"),
        ({"limiter": Limiter("1/s"), "proxies": "10.0.0.1"}, "proxies is '10.0.0.1'; give a list"),
        ({"limiter": Limiter("1/s"), "proxies": -1}, "proxies is -1"),
        ({"limiter": Limiter("1/s"), "proxies": True}, "proxies is True"),
        ({"limiter": Limiter("1/s"), "proxies": None}, "proxies is None"),
        ({"limiter": Limiter("1/s"), "proxies": [1]}, "1 is not a proxy's address or network"),
        ({"limiter": Limiter("1/s"), "proxies": ["::ffff:10.0.0.0/104"]}, "give the network as IPv4"),
        ({"limiter": Registry()}, "cannot limit; give a Limiter, a KeyedLimiter"),
    ]:
        with pytest.raises(Exception, match=message) as raised:
            service(framework, registry, **options)("/health")
        assert type(raised.value).__name__ == kind
