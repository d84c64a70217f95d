"""``python -m hitring.bench`` measures on this machine what a call from Python costs.

It times hitring beside an empty method, the textbook solutions of LeetCode 362, `collections.Counter`, and
prometheus_client, limits and redis-py where they are installed. It prints a table, or JSON with ``--json``.

Figures depend on the machine and on what else runs on it. So compare the rows of one run, not those of two
machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import platform
import sys
import time
from typing import TYPE_CHECKING

from hitring import __version__
from hitring._bench_rounds import Effort, Measured, Row, measure
from hitring._bench_rows import FLOOR, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["main"]

_REDIS = "redis://localhost:6379"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _machine() -> dict[str, object]:
    return {
        "processor": _processor(),
        "cores": _cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "date": time.strftime("%Y-%m-%d"),
    }


def _results(measured: Sequence[tuple[Row, Measured]]) -> list[dict[str, object]]:
    """Return the rows as JSON has them, those of a group together."""
    floor = next(cost.median for row, cost in measured if (row.group, row.label) == FLOOR)
    first: dict[str, float] = {}
    groups: dict[str, list[dict[str, object]]] = {}
    for row, cost in measured:
        baseline = first.setdefault(row.group, cost.median)
        result: dict[str, object] = {
            "name": f"{row.group}: {row.label}",
            "group": row.group,
            "label": row.label,
            "statement": row.statement,
            "ns": round(cost.median, 2),
            "least_ns": round(cost.least, 2),
            "threads_ns": None if cost.together is None else round(cost.together, 2),
            "of_floor": round(cost.median / floor, 3),
            "of_first": round(cost.median / baseline, 3),
        }
        groups.setdefault(row.group, []).append(result)
    return [result for group in groups.values() for result in group]


def _lines(machine: dict[str, object], results: list[dict[str, object]], effort: Effort, loop: float) -> Iterator[str]:
    """Yield the table. No line is longer than 80 characters."""
    yield f"hitring {__version__}, {machine['implementation']} {machine['python']}, {machine['date']}"
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"[:80]
    yield f"ns a call: median of {effort.rounds} rounds, net of the loop ({loop:.1f} ns)"
    yield "x floor: divided by the empty method; x first: by the first row of the group"
    if effort.threads > 1:
        yield f"{effort.threads} threads: elapsed time by the calls of all of them. " + (
            "They share the GIL." if machine["gil"] else "There is no GIL."
        )
    column = f"{effort.threads:>4} threads" if effort.threads > 1 else ""
    group = None
    for result in results:
        if result["group"] != group:
            group = result["group"]
            yield ""
            yield f"{group:38}{'ns':>10}{'x floor':>10}{'x first':>10}{column}"
        together = "-" if result["threads_ns"] is None else f"{result['threads_ns']:.1f}"
        ratios = f"{result['of_floor']:10.2f}{result['of_first']:10.2f}"
        yield f"  {result['label']:36}{result['ns']:10.1f}{ratios}" + (f"{together:>12}" if column else "")


def _count_of_threads(text: str) -> int:
    threads = int(text) if text.isdecimal() else 0
    if not 1 <= threads <= 1_024:
        message = f"{text!r} is not a number of threads; give 1 to 1024"
        raise argparse.ArgumentTypeError(message)
    return threads


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hitring.bench",
        description="Measure on this machine what a call from Python costs: hitring beside an empty method, "
        "textbook solutions and other packages.",
        epilog="prometheus_client, limits and redis are measured where they are installed. Redis also needs a server.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--quick", action="store_true", help="take fewer and shorter rounds (under 5 seconds)")
    parser.add_argument(
        "--threads",
        type=_count_of_threads,
        default=_cores(),
        metavar="N",
        help="measure with N threads beside one; 1 leaves that out (default: the cores of this machine, %(default)s)",
    )
    parser.add_argument(
        "--redis", default=_REDIS, metavar="URL", help="the Redis server for redis-py (default: %(default)s)"
    )
    return parser


def _report(options: argparse.Namespace, more: Callable[[], Sequence[Row]]) -> None:
    effort = Effort(5, 0.001, 3, options.threads) if options.quick else Effort(21, 0.008, 5, options.threads)
    with contextlib.ExitStack() as stack:
        timed, left_out = rows(options.redis, stack)
        timed.extend(more())
        loop, costs = measure(timed, effort)
    machine, results = _machine(), _results(list(zip(timed, costs)))
    if options.json:
        said = {
            "hitring": __version__,
            "machine": machine,
            "threads": effort.threads,
            "rounds": effort.rounds,
            "loop_ns": round(loop, 2),
            "rows": results,
            "left_out": left_out,
        }
        print(json.dumps(said, indent=2))
        return
    for line in _lines(machine, results, effort, loop):
        print(line)
    if left_out:
        print("", *left_out, sep="\n")


def main(arguments: Sequence[str] | None = None, more: Callable[[], Sequence[Row]] = tuple) -> int:
    """Measure, print, and return the exit status. ``more`` makes rows to measure beside the usual ones."""
    options = _parser().parse_args(arguments)
    try:
        _report(options, more)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
