"""The page of a registry's hits: its queries, and HTML that runs and loads nothing."""

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from hitring import ConfigError, ManualClock, Registry, labelled
from hitring._page import Page


@pytest.fixture
def registry():
    registry = Registry(clock=ManualClock(1_000))
    registry.record_hit("/api/users", None, 30)
    registry.record_hit("/api/items", 900, 20)
    registry.record_hit("/", None, 5)
    return registry


def ask(registry, query="", accept="", method="GET"):
    status, fields, body = Page(registry).answer(method, query, accept)
    fields = {field.lower(): value for field, value in fields}
    assert int(fields["content-length"]) == len(body) or method == "HEAD"
    return status, fields, body


def found(registry, query):
    status, _, body = ask(registry, query)
    assert status == 200, body
    document = json.loads(body)
    return document["hits"], [(row["endpoint"], row["hits"]) for row in document["endpoints"]]


def test_queries(registry):
    everything = [("/api/users", 30), ("/api/items", 20), ("/", 5)]
    assert found(registry, "") == (55, everything)
    assert found(registry, "last=60") == (35, [("/api/users", 30), ("/", 5)])
    assert found(registry, "contains=/api/&last=300") == (50, everything[:2])
    assert found(registry, "contains=%2Fi&limit=1") == (20, everything[1:2])
    assert found(registry, "limit=1") == (55, everything[:1])
    assert found(registry, "last=&limit=&contains=&refresh=") == (55, everything)
    assert found(registry, "contains=nothing") == (0, [])
    assert found(Registry(), "") == (0, [])


def test_endpoints_with_as_many_hits_are_in_order():
    registry = Registry(clock=ManualClock(1_000))
    for name in ("/c", "/a", "/b"):
        registry.record_hit(name)
    assert found(registry, "")[1] == [("/a", 1), ("/b", 1), ("/c", 1)]


def test_a_label_is_found(registry):
    registry.record_hit(labelled("http", method="GET", route="/users/{id}"))
    assert found(registry, "contains=/users/{")[0] == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("last=ten", "last must be a number of seconds, from 0 to 300 in steps of 1, not 'ten'"),
        ("last=301", "not '301'"),
        ("last=-1", "not '-1'"),
        ("last=nan", "not 'nan'"),
        ("last=inf", "not 'inf'"),
        ("limit=0", "limit must be a number of endpoints, from 1 to 10000, not '0'"),
        ("last=1_0", "not '1_0'"),
        ("last=%D9%A3", "not"),
        ("last=1e2", "not '1e2'"),
        ("last=0.5", "not '0.5'"),
        ("limit=1e3", "not '1e3'"),
        ("limit=10001", "not '10001'"),
        ("limit=1.5", "not '1.5'"),
        ("limit=" + "9" * 5_000, "limit must be"),
        ("limit=%D9%A3", "limit must be"),
        ("refresh=0", "refresh must be a number of seconds"),
        ("format=xml", "format must be 'json' or 'html', not 'xml'"),
    ],
)
def test_a_wrong_query_says_what_is_wrong(registry, query, message):
    for accept in ("", "text/html"):
        status, fields, body = ask(registry, query, accept)
        assert (status, fields["content-type"]) == (400, "application/problem+json")
        problem = json.loads(body)
        assert message in problem["detail"] and problem["status"] == 400


def test_methods(registry):
    assert ask(registry, method="HEAD")[2] == b""
    assert ask(registry, method="HEAD")[1] == ask(registry)[1]
    status, fields, _ = ask(registry, method="POST")
    assert (status, fields["allow"]) == (405, "GET, HEAD")


class Read(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def shown(registry, query=""):
    status, fields, body = ask(registry, query, "text/html,application/xhtml+xml,*/*;q=0.8")
    assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
    return fields, body.decode()


def test_a_browser_gets_html(registry):
    fields, text = shown(registry)
    page = Read(text)
    assert page.open == []
    for expected in ("55", "/api/users", "30", "3 of 3 endpoints are shown."):
        assert any(expected in text for text in page.texts), expected
    assert ask(registry, "format=json", "text/html")[1]["content-type"] == "application/json"
    assert ask(registry, "format=html")[1]["content-type"].startswith("text/html")
    assert fields["cache-control"] == "no-store" and fields["vary"] == "Accept"


def test_the_html_loads_and_runs_nothing(registry):
    fields, text = shown(registry)
    page = Read(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not any(name in attributes for _, attributes in page.tags for name in ("style", "src", "onclick"))
    policy = fields["content-security-policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_what_clients_sent_is_escaped(registry):
    hostile = '"><script>alert(1)</script>&amp;'
    registry.record_hit(hostile)
    registry.record_hit(labelled("http", route=hostile))
    page = Read(shown(registry)[1])
    assert hostile in page.texts and "script" not in {tag for tag, _ in page.tags}
    page = Read(shown(registry, "contains=%22%3E%3Cscript%3E%00")[1])
    assert ("input", {"name": "contains", "value": '"><script>\ufffd'}) in page.tags


def test_the_html_loads_itself_again_if_asked(registry):
    def of(query, wanted, attribute):
        tags = Read(shown(registry, query)[1]).tags
        return [attributes.get(attribute) for tag, attributes in tags if tag == wanted and attribute in attributes]

    assert of("last=60", "meta", "http-equiv") == []
    assert of("last=60&refresh=7", "meta", "content")[1:] == ["7"]
    assert of("last=60&contains=%26&limit=7", "a", "href") == [
        "?last=60&contains=%26&limit=7&format=html&refresh=5",
        "?last=60&contains=%26&limit=7&format=json",
    ]
    assert of("refresh=7", "a", "href")[0] == "?last=300&contains=&limit=100&format=html"
    # A form that is sent keeps what it does not ask for.
    assert of("refresh=7&limit=9", "input", "value") == ["", "9", "html", "7"]


def test_the_spans_that_are_offered_are_answered():
    registry = Registry(window=3_600, resolution=60, clock=ManualClock(1_000))
    offered = [attributes["value"] for tag, attributes in Read(shown(registry)[1]).tags if tag == "option"]
    assert offered == ["60", "300", "3600"]
    for span in offered:
        assert ask(registry, f"last={span}")[0] == 200


def test_a_registry_of_finer_ticks():
    registry = Registry(window=2, resolution=0.1, clock=ManualClock(1_000))
    registry.record_hit("/", None, 3)
    assert json.loads(ask(registry, "last=0.5")[2])["last"] == 0.5
    assert b"in steps of 0.1, not '0.55'" in ask(registry, "last=0.55")[2]
    page = Read(shown(registry, "last=0.5")[1])
    assert ("option", {"value": "0.5", "selected": None}) in page.tags


def test_estimates_are_numbers():
    registry = Registry(strategy="morris", clock=ManualClock(1_000))
    registry.record_hit("/", None, 1_000)
    assert found(registry, "")[0] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="files are shared on Linux only")
def test_a_shared_registry(tmp_path):
    from hitring import SharedRegistry

    registry = SharedRegistry(tmp_path / "hits.ring", max_endpoints=8, clock=ManualClock(1_000))
    registry.record_hit("/a", None, 3)
    assert found(registry, "prefix=/") == (3, [("/a", 3)])


@pytest.mark.skipif(sys.platform != "linux", reason="files are shared on Linux only")
def test_a_file_that_was_cut_is_not_blamed_on_the_client(tmp_path):
    from hitring import SharedRegistry

    registry = SharedRegistry(tmp_path / "hits.ring", max_endpoints=8, clock=ManualClock(1_000))
    registry.record_hit("/a")
    (tmp_path / "hits.ring").write_bytes(b"")
    status, fields, body = ask(registry)
    assert (status, fields["content-type"]) == (503, "application/problem+json"), body


def test_a_page_of_something_else():
    with pytest.raises(ConfigError, match="has no hits to show; give a Registry"):
        Page(None)
