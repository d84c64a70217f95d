"""`hitring.opentelemetry`: what a reader of OpenTelemetry's SDK collects of a registry."""

import sys
import threading

import pytest

from hitring import ManualClock, Registry, labelled

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from hitring import opentelemetry
from hitring.opentelemetry import observe


def collected(registry, **options):
    """Return a function that collects: each instrument's kind, and its numbers by attributes."""
    reader = InMemoryMetricReader(**options)
    observe(registry, MeterProvider([reader], shutdown_on_exit=False).get_meter("tests"))

    def collect():
        found = reader.get_metrics_data()
        if found is None:
            return {}
        (scope,) = found.resource_metrics[0].scope_metrics
        return {
            metric.name: (
                (type(metric.data).__name__, getattr(metric.data, "is_monotonic", None)),
                {tuple(sorted(point.attributes.items())): point.value for point in metric.data.data_points},
            )
            for metric in scope.metrics
            if metric.data.data_points
        }

    return collect


def fill(registry):
    registry.record_hit("/home", None, 3)
    registry.record_hit(labelled("http", route='/"a"\n', status=200), None, 2)
    registry.record_hit("/home", 10_000)


OF_ENDPOINTS = {
    (("hitring.endpoint", "/home"),): 3,
    (("hitring.endpoint", "http"), ("route", '/"a"\n'), ("status", "200")): 2,
}


def test_a_registry():
    clock = ManualClock(1_000)
    registry = Registry(clock=clock)
    collect = collected(registry)
    fill(registry)
    numbers = collect()
    assert numbers["hitring.hits"] == (("Sum", True), {(): 5})
    assert numbers["hitring.hits.refused"] == (
        ("Sum", True),
        {(("reason", reason),): int(reason == "future") for reason in ("future", "late", "refused", "saturated")},
    )
    assert numbers["hitring.endpoints"] == (("Sum", False), {(): 2})
    assert numbers["hitring.endpoint.recent_hits"] == (("Gauge", None), OF_ENDPOINTS)
    clock.advance(299)
    registry.record_hit("/home")
    assert collect()["hitring.endpoint.recent_hits"][1] == {**OF_ENDPOINTS, (("hitring.endpoint", "/home"),): 4}
    assert "hitring.endpoint.hits" not in numbers


@pytest.mark.skipif(sys.platform != "linux", reason="files are shared on Linux only")
def test_a_shared_registry(tmp_path):
    from hitring import SharedRegistry

    clock = ManualClock(1_000)
    registry = SharedRegistry(tmp_path / "hits.ring", max_endpoints=8, clock=clock)
    collect = collected(SharedRegistry(tmp_path / "hits.ring", mode="open", clock=clock))
    fill(registry)
    clock.advance(10_000)
    numbers = collect()
    assert numbers["hitring.endpoint.hits"] == (("Sum", True), OF_ENDPOINTS), "what came since it observes"
    assert numbers["hitring.hits"][1] == {(): 5}
    assert "hitring.endpoint.recent_hits" not in numbers


@pytest.fixture
def shared(tmp_path):
    if sys.platform != "linux":
        pytest.skip("files are shared on Linux only")
    from hitring import SharedRegistry

    return SharedRegistry(tmp_path / "hits.ring", max_endpoints=8, clock=ManualClock(1_000))


def test_sums_begin_at_0_and_never_go_down(shared):
    shared.record_hit("/home", None, 100)
    sums = collected(shared)
    steps = collected(shared, preferred_temporality={ObservableCounter: AggregationTemporality.DELTA})
    home, seen = (("hitring.endpoint", "/home"),), []

    def both():
        now, step = sums(), steps()
        of_home = [numbers["hitring.endpoint.hits"][1].get(home) for numbers in (now, step)]
        seen.append((now["hitring.hits"][1][()], step["hitring.hits"][1][()], *of_home))
        return seen[-1]

    assert both() == (0, 0, 0, 0)
    shared.record_hit("/home", None, 5)
    assert both() == (5, 5, 5, 5)
    shared.remove("/home")
    shared.record_hit("/home", None, 2)
    assert both() == (7, 2, 7, 2)
    empty = Registry(clock=ManualClock(1_000)).snapshot()
    shared.restore(empty)
    shared.record_hit("/home", None, 1)
    assert both() == (8, 1, 8, 1)


def test_a_file_that_was_cut_is_not_a_registry_without_hits(shared, caplog):
    shared.record_hit("/home", None, 100)
    collect = collected(shared)
    assert collect()["hitring.hits"][1] == {(): 0}
    shared.path.write_bytes(b"")
    shared.record_hit("/home")
    assert collect() == {}
    assert any("QueryError" in str(record.exc_info) for record in caplog.records)


def test_readers_that_collect_at_once_do_not_count_twice(shared, monkeypatch):
    meter = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False).get_meter("tests")
    made = {}
    monkeypatch.setattr(
        meter, "create_observable_counter", lambda name, callbacks, *_: made.update({name: callbacks[0]})
    )
    observe(shared, meter)
    shared.record_hit("/home", None, 5)
    read, first_has_read, second_is_done = opentelemetry.hits_of_endpoints, threading.Event(), threading.Event()

    def slow(registry):
        numbers = read(registry)
        if not first_has_read.is_set():
            first_has_read.set()
            # Without a lock the second reader passes here, with a larger number.
            second_is_done.wait(0.5)
        return numbers

    monkeypatch.setattr(opentelemetry, "hits_of_endpoints", slow)
    of_endpoints = made["hitring.endpoint.hits"]
    first = threading.Thread(target=of_endpoints, args=(None,))
    first.start()
    assert first_has_read.wait(10)
    shared.record_hit("/home", None, 2)
    second = threading.Thread(target=lambda: of_endpoints(None) and second_is_done.set())
    second.start()
    for thread in (first, second):
        thread.join(10)
    assert [observation.value for observation in of_endpoints(None)] == [7]
