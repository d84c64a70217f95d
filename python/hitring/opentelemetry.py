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
``hitring.endpoint.hits``          observable counter           hits of each endpoint; of a `SharedRegistry`
``hitring.endpoint.recent_hits``   observable gauge             hits of each endpoint in the window; of a `Registry`
=================================  ===========================  ========================================================

An endpoint is the attribute ``hitring.endpoint``; the labels of a labelled one are attributes beside it. The SDK keeps
2,000 endpoints for an instrument unless a view says otherwise, and adds up the others.

Counters begin at 0 when `observe` is called, as OpenTelemetry wants it, and never go down: if an endpoint is removed or
the registry is restored, they count on from there. Every worker of a `SharedRegistry` observes the hits of all workers,
so let one process export them. Where the file was cut, the callbacks raise, and the SDK logs it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation, get_meter

from hitring._exposition import REASONS, check_that_it_is_whole, hits_of_endpoints, kind_of, unlabelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter

    from hitring import Registry, SharedRegistry

__all__ = ["observe"]


class _Rising:
    """Makes numbers that may go down into sums that do not, from 0 on.

    Numbers have to come in the order in which they were read: an older one would look like a fall.
    """

    def __init__(self, now: Mapping[str, int]) -> None:
        self._last = dict(now)
        self._before = {key: -number for key, number in now.items()}

    def __call__(self, key: str, number: int) -> int:
        """Return the sum of a number that is ``number`` now. One that fell began again at 0."""
        last = self._last.get(key, 0)
        if number < last:
            self._before[key] = self._before.get(key, 0) + last
        self._last[key] = number
        return self._before.get(key, 0) + number


def observe(registry: Registry | SharedRegistry, meter: Meter | None = None) -> None:
    """Make the instruments of a registry, whose numbers are read when a reader collects.

    ``meter`` is by default the one called ``hitring`` of the global provider. A meter takes one registry, because the
    instruments of two would have the same names.
    """
    meter = get_meter("hitring") if meter is None else meter
    kind, description = kind_of(registry)

    def numbers() -> dict[str, int]:
        metrics = registry.metrics()
        check_that_it_is_whole(registry)
        return {"": metrics.total_hits, **{reason: getattr(metrics, reason) for reason in REASONS}}

    of_all, of_each = _Rising(numbers()), _Rising(hits_of_endpoints(registry) if kind == "counter" else {})

    # Each reader may collect in a thread of its own.
    lock = threading.Lock()

    def counted(_: CallbackOptions) -> Iterable[Observation]:
        with lock:
            return [Observation(of_all("", numbers()[""]))]

    def refused(_: CallbackOptions) -> Iterable[Observation]:
        with lock:
            now = numbers()
            return [Observation(of_all(reason, now[reason]), {"reason": reason}) for reason in REASONS]

    def endpoints(_: CallbackOptions) -> Iterable[Observation]:
        count = len(registry)
        check_that_it_is_whole(registry)
        return [Observation(count)]

    def of_endpoints(_: CallbackOptions) -> Iterable[Observation]:
        with lock:
            counts = hits_of_endpoints(registry)
            if kind == "counter":
                counts = {endpoint: of_each(endpoint, hits) for endpoint, hits in counts.items()}
        found: list[Observation] = []
        for endpoint, count in counts.items():
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
