"""`to_prometheus`, `to_openmetrics` and the collector for prometheus_client, read by prometheus_client's parsers."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitring import ManualClock, QueryError, Registry, WindowExpired, labelled

pytest.importorskip("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from hitring.prometheus import HitringCollector

if sys.platform == "linux":
    from hitring import SharedRegistry


@pytest.fixture
def registry():
    return Registry(clock=ManualClock(1_000))


@pytest.fixture
def shared(tmp_path):
    if sys.platform != "linux":
        pytest.skip("files are shared on Linux only")
    return SharedRegistry(tmp_path / "hits.ring", max_endpoints=64, clock=ManualClock(1_000))


def series(families):
    """Each series once, by name and labels."""
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(found) == len(samples), "a series comes twice"
    return found


def of(families, name, **labels):
    return series(families).get((name, tuple(sorted(labels.items()))))


def test_a_page(registry):
    registry.record_hit("/home", None, 3)
    registry.record_hit(labelled("http", route="/a", status=200))
    registry.record_hit("/home", 5_000)
    assert registry.to_prometheus() == (
        "# HELP hitring_hits_total Hits that were counted.\n"
        "# TYPE hitring_hits_total counter\n"
        "hitring_hits_total 4\n"
        "# HELP hitring_hits_refused_total Hits that were not counted, by what was wrong.\n"
        "# TYPE hitring_hits_refused_total counter\n"
        'hitring_hits_refused_total{reason="future"} 1\n'
        'hitring_hits_refused_total{reason="late"} 0\n'
        'hitring_hits_refused_total{reason="refused"} 0\n'
        'hitring_hits_refused_total{reason="saturated"} 0\n'
        "# HELP hitring_endpoints Endpoints.\n"
        "# TYPE hitring_endpoints gauge\n"
        "hitring_endpoints 2\n"
        "# HELP hitring_endpoint_recent_hits Hits in the last 300 s.\n"
        "# TYPE hitring_endpoint_recent_hits gauge\n"
        'hitring_endpoint_recent_hits{endpoint="/home"} 3\n'
        "# HELP http_recent_hits Hits in the last 300 s.\n"
        "# TYPE http_recent_hits gauge\n"
        'http_recent_hits{route="/a",status="200"} 1\n'
    )


def test_both_formats_and_the_collector_say_the_same(registry):
    for number in range(20):
        registry.record_hit(f"/{number % 5}")
        registry.labels("http", route=f"/{number % 3}", status=200 + number % 2).record()
    metrics = CollectorRegistry()
    metrics.register(HitringCollector(registry))
    collected = generate_latest(metrics).decode()
    pages = [series(parse(registry.to_prometheus())), series(parse(collected))]
    pages.append(series(parse_openmetrics(registry.to_openmetrics())))
    assert pages[0] == pages[1] == pages[2]
    assert len(pages[0]) == 6 + 5 + 6


def test_a_file_has_counters_of_all_that_ever_came(shared):
    shared.record_hit("/home", None, 3)
    shared.labels("http", route="/a").record(2)
    shared.clock.advance(10_000)
    for page in (parse(shared.to_prometheus()), parse_openmetrics(shared.to_openmetrics())):
        families = list(page)
        assert of(families, "hitring_endpoint_hits_total", endpoint="/home") == 3
        assert of(families, "http_hits_total", route="/a") == 2
        assert of(families, "hitring_hits_total") == 5
        assert {family.type for family in families} == {"counter", "gauge"}


ODD = [
    'http{a="b"',
    'http{b="1",a="2"}',
    "http{}",
    'http{a="b",}',
    'http{a="\\x"}',
    'a-b{a="b"}',
    'http{__a="b"}',
    "{",
    '"\\\n',
]


@pytest.mark.parametrize("endpoint", [*ODD, 'hitring_endpoint{endpoint="/a"}'])
def test_names_of_another_form_are_endpoints_like_any_other(registry, endpoint):
    registry.record_hit(endpoint)
    registry.record_hit("/a")
    registry.record_hit('http{a="2",b="1"}')
    families = list(parse(registry.to_prometheus()))
    assert of(families, "hitring_endpoint_recent_hits", endpoint=endpoint) == 1
    assert of(families, "hitring_endpoint_recent_hits", endpoint="/a") == 1


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "route"]), st.text(st.characters(codec="utf-8"), max_size=40), min_size=1
    )
)
def test_labels_come_back(labels):
    registry = Registry()
    registry.labels("http", **labels).record()
    # prometheus_client ends lines at more characters than the format does.
    if all(value.isprintable() or set(value) <= {"\n", '"', "\\"} for value in labels.values()):
        assert of(parse(registry.to_prometheus()), "http_recent_hits", **labels) == 1
    assert registry.to_prometheus().count("\nhttp_recent_hits{") == 1


def test_an_endpoint_that_was_just_pruned_is_left_out(registry):
    registry.record_hit("/a")

    # As if another thread removed it after the names were read.
    class Removing:
        def __getattr__(self, name):
            return getattr(registry, name)

        def endpoints(self):
            return [*registry.endpoints(), "/gone"]

        def query_hits(self, endpoint):
            if endpoint == "/gone":
                raise WindowExpired
            return registry.query_hits(endpoint)

    from hitring._exposition import to_prometheus

    families = list(parse(to_prometheus(Removing())))
    assert of(families, "hitring_endpoint_recent_hits", endpoint="/a") == 1
    assert of(families, "hitring_endpoint_recent_hits", endpoint="/gone") is None


def test_a_file_that_was_cut_has_no_page(shared):
    shared.record_hit("/home")
    metrics = CollectorRegistry()
    metrics.register(HitringCollector(shared))
    shared.path.write_bytes(b"")
    shared.record_hit("/home")
    for page in (shared.to_prometheus, shared.to_openmetrics, shared.totals_ever, lambda: generate_latest(metrics)):
        with pytest.raises(QueryError, match="cut"):
            page()
