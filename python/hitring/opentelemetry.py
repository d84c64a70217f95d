"""Observable instruments of OpenTelemetry for the hits of a registry.

>>> from hitring import Registry
>>> from hitring.opentelemetry import observe
>>> from opentelemetry.sdk.metrics import MeterProvider
>>> from opentelemetry.sdk.metrics.export import InMemoryMetricReader
>>> reader = InMemoryMetricReader()
>>> registry = Registry()
>>> observe(registry, MeterProvider([reader], shutdown_on_exit=False).get_meter("service"))
>>> _ = registry.record_hit("/home")
>>> [metric.name for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics]
['hitring.hits', 'hitring.hits.refused', 'hitring.endpoints', 'hitring.endpoint.recent_hits']

=================================  ===========================  ========================================================
instrument                         kind                         of
=================================  ===========================  ========================================================
``hitring.hits``                   observable counter           hits that were counted
``hitring.hits.refused``           observable counter           hits that were not, by ``reason``
``hitring.endpoints``              observable up-down counter   endpoints
``hitring.endpoint.hits``          observable counter           hits of each endpoint ever; of a `SharedRegistry`
``hitring.endpoint.recent_hits``   observable gauge             hits of each endpoint in the window; of a `Registry`
=================================  ===========================  ========================================================

An endpoint is the attribute ``hitring.endpoint``; the labels of a labelled one are attributes beside it. Each worker of
a `SharedRegistry` observes the same numbers, those of all workers, so let one of them export, or tell the workers apart
by a resource attribute and take the largest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation, get_meter

from hitring._exposition import REASONS, hits_of_endpoints, kind_of, unlabelled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

    from hitring import Registry, SharedRegistry

__all__ = ["observe"]


def observe(registry: Registry | SharedRegistry, meter: Meter | None = None) -> None:
    """Make the instruments of a registry, whose numbers are read when a reader collects.

    ``meter`` is by default the one called ``hitring`` of the global provider. A meter takes one registry, because the
    instruments of two would have the same names.
    """
    meter = get_meter("hitring") if meter is None else meter
    kind, description = kind_of(registry)

    def counted(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(registry.metrics().total_hits)]

    def refused(_: CallbackOptions) -> Iterable[Observation]:
        metrics = registry.metrics()
        return [Observation(getattr(metrics, reason), {"reason": reason}) for reason in REASONS]

    def endpoints(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(len(registry))]

    def of_endpoints(_: CallbackOptions) -> Iterable[Observation]:
        found: list[Observation] = []
        for endpoint, count in hits_of_endpoints(registry).items():
            name, labels = unlabelled(endpoint) or (endpoint, {})
            found.append(Observation(count, {"hitring.endpoint": name, **labels}))
        return found

    meter.create_observable_counter("hitring.hits", [counted], "{hit}", "Hits that were counted.")
    meter.create_observable_counter("hitring.hits.refused", [refused], "{hit}", "Hits that were not counted.")
    meter.create_observable_up_down_counter("hitring.endpoints", [endpoints], "{endpoint}", "Endpoints.")
    if kind == "counter":
        meter.create_observable_counter("hitring.endpoint.hits", [of_endpoints], "{hit}", description)
    else:
        meter.create_observable_gauge("hitring.endpoint.recent_hits", [of_endpoints], "{hit}", description)
