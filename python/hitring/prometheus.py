"""A collector for prometheus_client: the hits of a registry beside the other metrics of a service.

>>> from prometheus_client import CollectorRegistry, generate_latest
>>> from hitring import Registry
>>> from hitring.prometheus import HitringCollector
>>> registry, metrics = Registry(), CollectorRegistry()
>>> _ = registry.record_hit("/home")
>>> metrics.register(HitringCollector(registry))
>>> 'hitring_endpoint_recent_hits{endpoint="/home"} 1.0' in generate_latest(metrics).decode()
True

Of a `SharedRegistry` each worker tells the same numbers, those of all workers. So it needs no multiprocess mode, whose
files would be added up: leave the collector out of a registry that has a ``MultiProcessCollector``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from hitring._exposition import families

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from hitring import Registry, SharedRegistry

__all__ = ["HitringCollector"]


class HitringCollector(Collector):
    """Tells prometheus_client what a registry holds, under the names that ``registry.to_prometheus()`` has.

    Each scrape asks the registry once for each endpoint; nothing is kept in between.
    """

    def __init__(self, registry: Registry | SharedRegistry) -> None:
        """Collect from ``registry``."""
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Return all families as they are now."""
        for name, kind, help_text, samples in families(self._registry):
            family = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(name, help_text)
            for labels, value in samples:
                family.add_sample(f"{name}_total" if kind == "counter" else name, labels, value)
            yield family

    def describe(self) -> Iterator[Metric]:
        """Return nothing: which endpoints there will be is not known when the collector is registered."""
        return iter(())
