"""What a hit in a shared file costs from Python, beside what else counts across processes.

    python tests/python/performance/shared.py

Prints nanoseconds a call, net of the loop, as the median of many short runs: hitring's file in ``/dev/shm``,
prometheus_client in its multiprocess mode (a file for each process), and redis-py's ``INCR`` over loopback to a
redis-server that this starts. The runs of all rows take turns. It asserts nothing: figures depend on the machine. What
is not installed is left out, and said so.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator

ROUNDS = 31
TARGET = 0.01

# Before prometheus_client is imported: it decides by this how values are kept.
FOLDER = tempfile.mkdtemp(prefix="hitring-bench-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = FOLDER

from hitring import Registry, SharedRegistry, __version__  # noqa: E402


def shared_rows():
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else FOLDER
    path = os.path.join(folder, f"hitring-bench-{os.getpid()}.ring")
    registry = SharedRegistry(path)
    os.unlink(path)  # It lives as long as this has it open.
    local = Registry()
    names = itertools.cycle([f"/api/v1/items/{number:06}" for number in range(1_000)])
    for name in itertools.islice(names, 1_000):
        registry.record_hit(name)
        local.record_hit(name)
    yield "shared, handle", "c.record()", {"c": registry.counter("/held")}
    yield "memory, handle", "c.record()", {"c": local.counter("/held")}
    yield "shared, by name", "r.record_hit(next(names))", {"r": registry, "names": names}
    yield "memory, by name", "r.record_hit(next(names))", {"r": local, "names": names}
    yield "shared, count of a minute", "c.count(60)", {"c": registry.counter("/held")}
    yield "shared, limiter", "l.allow('ann')", {"l": registry.limiter("bench", 10**8, 3_600)}


def prometheus_rows():
    try:
        prometheus = importlib.import_module("prometheus_client")
    except ImportError:
        print("prometheus_client is not installed", file=sys.stderr)
        return
    plain = prometheus.Counter("hits", "Hits")
    labelled = prometheus.Counter("paths", "Hits", ["path"])
    yield "prometheus_client multiprocess", "c.inc()", {"c": plain}
    yield "the same with a label", "c.labels('/').inc()", {"c": labelled}


@contextlib.contextmanager
def redis_rows() -> Iterator[list]:
    try:
        redis = importlib.import_module("redis")
    except ImportError:
        redis = None
    binary = shutil.which(os.environ.get("HITRING_REDIS_SERVER", "redis-server"))
    if redis is None or binary is None:
        print("redis-py or redis-server is not installed", file=sys.stderr)
        yield []
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", FOLDER]
    server = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port)
        for _ in range(200):
            try:
                client.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        yield [("redis-py INCR", "r.incr('/')", {"r": client})]
    finally:
        server.terminate()
        server.wait()


def measure(rows):
    timers = [timeit.Timer(statement, globals=names) for _, statement, names in rows]
    numbers = []
    for timer in timers:
        number = 1
        while timer.timeit(number) < TARGET / 4:
            number *= 4
        numbers.append(number * 2)
    runs = [[] for _ in rows]
    for _ in range(ROUNDS):
        for timer, number, run in zip(timers, numbers, runs):
            run.append(timer.timeit(number) / number * 1e9)
    return [statistics.median(run) for run in runs]


def main():
    try:
        with redis_rows() as redis:
            rows = [("the loop", "pass", {}), *shared_rows(), *prometheus_rows(), *redis]
            medians = measure(rows)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"hitring {__version__}, {python}, {platform.machine()}, {time.strftime('%Y-%m-%d')}")
    loop = medians[0]
    print(f"ns a call, net of the loop ({loop:.1f}), median of {ROUNDS} runs\n")
    net = {row[0]: median - loop for row, median in zip(rows, medians)}
    for name, ns in list(net.items())[1:]:
        print(f"{name:34}{ns:10.1f}")
    print()
    for other in ("prometheus_client multiprocess", "the same with a label", "redis-py INCR"):
        if other in net:
            print(f"{other} / shared, handle {net[other] / net['shared, handle']:20.1f}")


if __name__ == "__main__":
    main()
