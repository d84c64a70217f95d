"""What a registry holds, in the text formats of Prometheus: ``registry.to_prometheus()`` and ``to_openmetrics()``.

==========================================  ====================================================================
``hitring_hits_total``                      hits that were counted
``hitring_hits_refused_total{reason=}``     hits that were not, as ``metrics()`` has them
``hitring_endpoints``                       endpoints there are
``hitring_endpoint_hits_total{endpoint=}``  hits of an endpoint ever: of a `SharedRegistry`, which knows them
``hitring_endpoint_recent_hits{...}``       hits of an endpoint in the window: of a `Registry`
``http_hits_total{route=,...}``             the same of an endpoint with labels (`labelled`), here of ``http``
``http_recent_hits{route=,...}``
==========================================  ====================================================================

Counters never go down but when an endpoint is removed or a registry is restored, which Prometheus takes for a restart.
A name that looks like one with labels, but is not as `labelled` writes it, is an endpoint like any other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hitring._errors import WindowExpired
from hitring._labels import escaped, labelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hitring._hitring import Registry, SharedRegistry

__all__ = [
    "REASONS",
    "Family",
    "check_that_it_is_whole",
    "families",
    "hits_of_endpoints",
    "kind_of",
    "to_openmetrics",
    "to_prometheus",
    "unlabelled",
]

REASONS = ("future", "late", "refused", "saturated")
"""Why a hit is not counted."""
_PLAIN = "hitring_endpoint"
"""The name of endpoints without labels."""

_LABELLED = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\}", re.DOTALL)
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|\Z)')
_UNESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class Family(NamedTuple):
    """Series of one name."""

    name: str
    """The name, of a counter without ``_total``."""
    kind: str
    """``counter`` or ``gauge``."""
    help: str
    """What it is."""
    samples: list[tuple[dict[str, str], int]]
    """The labels and the value of each series."""


def unlabelled(endpoint: str) -> tuple[str, dict[str, str]] | None:
    """Return the name and the labels of an endpoint that `labelled` named; ``None`` of any other."""
    found = _LABELLED.fullmatch(endpoint)
    if found is None:
        return None
    name, inner = found.groups()
    labels = {label: re.sub(r"\\.", lambda it: _UNESCAPES[it[0]], value) for label, value in _PAIR.findall(inner)}
    try:
        # Any other form is another endpoint, and must not get the same labels.
        is_one = labels and name != _PLAIN and labelled(name, **labels) == endpoint
        return (name, labels) if is_one else None
    except ValueError:
        return None


def check_that_it_is_whole(registry: Registry | SharedRegistry) -> None:
    """Raise the error that a query raises, if the registry's file was cut."""
    if getattr(registry, "lost", False):
        registry.total()


def kind_of(registry: Registry | SharedRegistry) -> tuple[str, str]:
    """Return the kind of the hits of an endpoint, and what they are. A file keeps those that ever came."""
    if hasattr(registry, "totals_ever"):
        return "counter", "Hits ever."
    return "gauge", f"Hits in the last {registry.window} s."


def hits_of_endpoints(registry: Registry | SharedRegistry) -> dict[str, int]:
    """Return the hits of each endpoint, of the kind that `kind_of` says."""
    ever: Any = getattr(registry, "totals_ever", None)
    if ever is not None:
        return ever()  # type: ignore[no-any-return]
    hits: dict[str, int] = {}
    for endpoint in registry.endpoints():
        try:
            hits[endpoint] = int(registry.query_hits(endpoint))
        except WindowExpired:  # noqa: PERF203 (of one that was pruned just now)
            continue
    return hits


def families(registry: Registry | SharedRegistry) -> list[Family]:
    """Return what ``registry`` holds, each family once and its series in order.

    Raises
    ------
    QueryError
        The registry's file was cut while it was open, so that its numbers would be too low.
    """
    metrics, (kind, help_text) = registry.metrics(), kind_of(registry)
    end = "hits" if kind == "counter" else "recent_hits"
    found = {
        "hitring_hits": Family("hitring_hits", "counter", "Hits that were counted.", [({}, metrics.total_hits)]),
        "hitring_hits_refused": Family(
            "hitring_hits_refused",
            "counter",
            "Hits that were not counted, by what was wrong.",
            [({"reason": reason}, getattr(metrics, reason)) for reason in REASONS],
        ),
        "hitring_endpoints": Family("hitring_endpoints", "gauge", "Endpoints.", [({}, metrics.endpoints_count)]),
    }
    for endpoint, count in sorted(hits_of_endpoints(registry).items()):
        name, labels = unlabelled(endpoint) or (_PLAIN, {"endpoint": endpoint})
        name = f"{name}_{end}"
        family = found.setdefault(name, Family(name, kind, help_text, []))
        family.samples.append((labels, count))
    check_that_it_is_whole(registry)
    return list(found.values())


def _lines(registry: Registry | SharedRegistry, *, is_open: bool) -> Iterator[str]:
    for name, kind, help_text, samples in families(registry):
        total = f"{name}_total" if kind == "counter" else name
        described = name if is_open else total
        yield f"# HELP {described} {help_text}"
        yield f"# TYPE {described} {kind}"
        for labels, value in samples:
            pairs = ",".join(f'{label}="{escaped(of)}"' for label, of in labels.items())
            yield f"{total}{{{pairs}}} {value}" if pairs else f"{total} {value}"


def to_prometheus(registry: Registry | SharedRegistry) -> str:
    """Return what ``registry`` holds as ``text/plain; version=0.0.4``."""
    return "".join(f"{line}\n" for line in _lines(registry, is_open=False))


def to_openmetrics(registry: Registry | SharedRegistry) -> str:
    """Return what ``registry`` holds as ``application/openmetrics-text; version=1.0.0``."""
    return "".join(f"{line}\n" for line in (*_lines(registry, is_open=True), "# EOF"))
