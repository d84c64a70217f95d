"""`hitring.opentelemetry`: what a reader of OpenTelemetry's SDK collects of a registry."""

import sys

import pytest

from hitring import ManualClock, Registry, labelled

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from hitring.opentelemetry import observe


def collected(registry):
    """Return a function that collects: each instrument's kind, and its numbers by attributes."""
    reader = InMemoryMetricReader()
    observe(registry, MeterProvider([reader], shutdown_on_exit=False).get_meter("tests"))

    def collect():
        (scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
        return {
            metric.name: (
                (type(metric.data).__name__, getattr(metric.data, "is_monotonic", None)),
                {tuple(sorted(point.attributes.items())): point.value for point in metric.data.data_points},
            )
            for metric in scope.metrics
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
    assert numbers["hitring.endpoint.hits"] == (("Sum", True), OF_ENDPOINTS)
    assert numbers["hitring.hits"][1] == {(): 5}
    assert "hitring.endpoint.recent_hits" not in numbers
