"""`SharedRegistry` across processes: forked, spawned, and killed in the middle."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import signal
import sys
import time

import pytest

from hitring import Outcome, Registry, SharedError, SharedRegistry

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are shared on Linux only")

WORKERS = 4
HITS = 5_000
WINDOW = 3_600
"""No hit of a test ever leaves it."""


def work(registry: SharedRegistry, worker: int) -> None:
    """What each worker does: hits of a common endpoint by handle, and of its own by name."""
    common = registry.counter("/common")
    for _ in range(HITS):
        assert common.record() is Outcome.COUNTED
        assert registry.record_hit(f"/{worker}") is Outcome.COUNTED
    registry.record_hit("/visited", visitor=f"worker {worker}")


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "hits.ring"


def check(registry: SharedRegistry) -> None:
    assert registry.query_hits("/common") == registry.total_ever("/common") == WORKERS * HITS
    for worker in range(WORKERS):
        assert registry.query_hits(f"/{worker}") == HITS
    assert int(registry.query_uniques("/visited")) == WORKERS
    assert registry.metrics().total_hits == 2 * WORKERS * HITS + WORKERS


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_count_in_one_file(path, method):
    registry = SharedRegistry(path, window=WINDOW, max_endpoints=64)
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=work, args=(registry, worker)) for worker in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    check(registry)
    del registry
    check(SharedRegistry(path, mode="open"))


def child(body) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        # A failed assertion is the exit code's to tell.
        with contextlib.suppress(BaseException):
            body()
            code = 0
        os._exit(code)
    return pid


def test_a_prefork_server(path):
    """As gunicorn does: the parent opens the file, forks its workers, and one that dies is replaced."""
    registry = SharedRegistry(path, window=WINDOW, max_endpoints=64)
    registry.record_hit("/", visitor="parent")

    def serve():
        for _ in range(HITS):
            assert registry.record_hit("/") is Outcome.COUNTED

    workers = [child(serve) for _ in range(3)]
    for worker in workers:
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    replaced = child(serve)
    assert os.waitstatus_to_exitcode(os.waitpid(replaced, 0)[1]) == 0
    assert registry.query_hits("/") == registry.total_ever("/") == 4 * HITS + 1


def test_a_parent_is_not_alone_while_its_child_counts(path):
    registry = SharedRegistry(path, window=WINDOW, max_endpoints=64)
    registry.record_hit("/")
    kept = registry.snapshot()
    read, write = os.pipe()

    def wait():
        os.close(write)
        registry.record_hit("/")
        os.read(read, 1)

    waiting = child(wait)
    os.close(read)
    while registry.total_ever("/") < 2:
        time.sleep(0.001)
    with pytest.raises(SharedError, match="another process"):
        registry.restore(kept)
    os.close(write)
    assert os.waitstatus_to_exitcode(os.waitpid(waiting, 0)[1]) == 0
    registry.restore(kept)
    assert registry.query_hits("/") == 1


def test_what_a_killed_worker_was_told_is_counted(path, tmp_path):
    registry = SharedRegistry(path, window=WINDOW, max_endpoints=512)
    sent, told = 0, 0
    for round_ in range(30):
        log = tmp_path / f"log-{round_}"
        log.write_bytes(b"")

        def count(log=log, round_=round_):
            hits = registry.counter("/killed")
            with log.open("ab", buffering=0) as lines:
                while True:
                    lines.write(b"s")
                    assert hits.record() is Outcome.COUNTED
                    lines.write(b"a")
                    registry.record_hit(f"/{round_}", visitor="x")

        worker = child(count)
        while not log.stat().st_size:
            time.sleep(0.0005)
        time.sleep(0.002 * (round_ % 5))
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        lines = log.read_bytes()
        sent += lines.count(b"s")
        told += lines.count(b"a")
        assert told <= registry.total_ever("/killed") <= sent
        assert told <= registry.query_hits("/killed") <= sent
    # The next one goes on as if nothing had been.
    assert registry.record_hit("/killed") is Outcome.COUNTED
    local = Registry(WINDOW)
    local.merge(registry.snapshot())
    assert local.query_hits("/killed", WINDOW) == registry.query_hits("/killed")


def test_limits_hold_over_processes(path):
    registry = SharedRegistry(path, max_endpoints=1)
    limiter = registry.limiter("all", 1_000, WINDOW)
    context = multiprocessing.get_context("fork")
    allowed = context.Value("i", 0)

    def ask():
        ours = sum(limiter.allow().allowed for _ in range(1_000))
        with allowed.get_lock():
            allowed.value += ours

    workers = [context.Process(target=ask) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert allowed.value == 1_000
    assert not limiter.allow()


@pytest.mark.parametrize("burst", [None, 40])
def test_rates_that_change_while_workers_are_killed_let_no_more_through(path, tmp_path, burst):
    """A deploy that never ends: workers give the limiter one of three rates, ask, and are killed at any time."""
    SharedRegistry(path, max_endpoints=1)
    rates = [f"{limit}/hour" for limit in (30, 40, 35)]
    told = [tmp_path / f"told {nth}" for nth in range(24)]

    def ask(nth: int) -> None:
        limiter = SharedRegistry(path, mode="open").limiter("logins", rates[nth % 3], burst=burst)
        with told[nth].open("ab", buffering=0) as file:
            for turn in range(1_000_000):
                for key in ("ann", "bob"):
                    if limiter.allow(key):
                        file.write(key[:1].encode())
                if turn % 50 == 0:
                    limiter.set_rate(rates[turn // 50 % 3], burst=burst)

    context = multiprocessing.get_context("fork")
    for first in range(0, len(told), 3):
        workers = [context.Process(target=ask, args=(nth,)) for nth in range(first, first + 3)]
        for worker in workers:
            worker.start()
        time.sleep(0.1)
        for worker in workers:
            worker.kill()
            worker.join(60)
    limiter = SharedRegistry(path, mode="open").limiter("logins", "40/hour", burst=burst)
    for key in ("ann", "bob"):
        answers = sum(file.read_bytes().count(key[:1].encode()) for file in told if file.exists())
        # At 40 an hour a token comes in a minute and a half.
        more = sum(bool(limiter.allow(key)) for _ in range(50))
        assert 40 - len(told) <= answers + more <= 40 + (0 if burst is None else 1), (answers, more)
