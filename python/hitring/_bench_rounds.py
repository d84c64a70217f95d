"""How `hitring.bench` times a statement: many short rounds, with one thread and with several.

The rounds of all rows take turns, so that anything else the machine does meets every row. A round repeats the statement
in a loop over names. An empty loop is timed beside the rows, and its cost is subtracted.
"""

from __future__ import annotations

import gc
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["NAMES", "Effort", "Measured", "Row", "measure"]

NAMES = tuple(f"/api/v1/endpoint/{number:04}" for number in range(1_000))
"""Endpoints to hit. They are the same objects in each pass, as those of routes are."""


class Row(NamedTuple):
    """A statement to time, and what it is compared with."""

    group: str
    """The call. The first row of a group is the one that the others are compared with."""
    label: str
    """What answers the call."""
    statement: str
    """Python text. ``name`` in it is one of ``names``."""
    given: Mapping[str, object]
    """The other variables of the statement."""
    safe: bool = True
    """Whether several threads may run it at once without losing a hit."""
    names: Sequence[str] = NAMES
    """Few of them for a slow statement: a pass over all of them is the shortest round."""
    calls: int = 1
    """How many calls, or hits, the statement is."""


class Effort(NamedTuple):
    """How much time the measurement takes."""

    rounds: int
    seconds: float
    """How long one round of one row lasts."""
    rounds_of_threads: int
    threads: int


class Measured(NamedTuple):
    """What a row costs: nanoseconds a call, net of the loop."""

    median: float
    least: float
    together: float | None
    """With several threads, their time from the first start to the last end, divided by the calls of all of them."""


class _Loop:
    """A compiled statement with the number of passes that fill a round."""

    def __init__(self, row: Row, seconds: float) -> None:
        scope: dict[str, Any] = {**row.given, "names": row.names}
        source = f"def run(passes):\n for _ in range(passes):\n  for name in names:\n   {row.statement}\n"
        exec(source, scope)
        self.row = row
        self._run: Callable[[int], None] = scope["run"]
        self._run(1)  # The first pass makes an endpoint of each name.
        self.passes = max(1, int(seconds / max(self._elapsed(1), 1e-9)))

    def _elapsed(self, passes: int) -> float:
        began = time.perf_counter()
        self._run(passes)
        return time.perf_counter() - began

    def _a_statement(self, elapsed: float, passes: int) -> float:
        return elapsed / passes / len(self.row.names) * 1e9

    def alone(self) -> float:
        """Return nanoseconds a statement of one round. The caches are full of other rows, so it runs before that."""
        self._run(self.passes // 5)
        return self._a_statement(self._elapsed(self.passes), self.passes)

    def together(self, threads: int) -> float:
        """Return nanoseconds a statement where the threads share the passes of two rounds.

        Two, so that the start of the threads matters less.
        """
        each = max(1, 2 * self.passes // threads)
        barrier = threading.Barrier(threads)
        spans: list[tuple[float, float]] = []

        def work() -> None:
            barrier.wait()
            began = time.perf_counter()
            self._run(each)
            spans.append((began, time.perf_counter()))

        # Daemons: if Ctrl-C comes before all have started, the others wait at the barrier and must not delay the exit.
        workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        elapsed = max(end for _, end in spans) - min(began for began, _ in spans)
        return self._a_statement(elapsed, each * threads)


def _turns(loops: Sequence[_Loop], effort: Effort) -> tuple[list[list[float]], list[list[float]]]:
    """Return the rounds of each loop with one thread, and with several: the second lie evenly among the first."""
    alone: list[list[float]] = [[] for _ in loops]
    together: list[list[float]] = [[] for _ in loops]
    for turn in range(effort.rounds):
        for loop, rounds in zip(loops, alone):
            rounds.append(loop.alone())
        if effort.threads > 1 and turn * effort.rounds_of_threads % effort.rounds < effort.rounds_of_threads:
            for loop, rounds in zip(loops, together):
                if loop.row.safe:
                    rounds.append(loop.together(effort.threads))
    return alone, together


def _timed(rows: Sequence[Row], effort: Effort) -> tuple[float, list[Measured]]:
    # The first loop is empty. Its cost is subtracted from the others.
    loops = [_Loop(row, effort.seconds) for row in (Row("", "the loop", "pass", {}), *rows)]
    alone, together = _turns(loops, effort)
    empty = statistics.median(alone[0])
    shared_empty = statistics.median(together[0] or [0.0])
    measured: list[Measured] = []
    for row, rounds, shared in zip(rows, alone[1:], together[1:]):
        median, least = (statistics.median(rounds) - empty) / row.calls, (min(rounds) - empty) / row.calls
        measured.append(
            Measured(median, least, (statistics.median(shared) - shared_empty) / row.calls if shared else None)
        )
    return empty, measured


def measure(rows: Sequence[Row], effort: Effort) -> tuple[float, list[Measured]]:
    """Return the nanoseconds of the empty loop, and what each row costs beyond it.

    The garbage collector waits meanwhile, as it does for `timeit`.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return _timed(rows, effort)
    finally:
        if collects:
            gc.enable()
