"""The ring written down in the database: after kills, in full disks, and at the end."""

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

import hitring
from serving import PROGRAM, Client, fill, serving, small_disk, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def written(folder):
    """Return all hits of each endpoint in the database, and those whose seconds it has."""
    with sqlite3.connect(f"file:{folder / 'data' / 'hitring.db'}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT name, counted + committed, (SELECT sum(count) FROM cell WHERE endpoint = endpoint.id) FROM endpoint"
        ).fetchall()
    database.close()
    return {name: (total, timed) for name, total, timed in rows}


def messages(folder):
    return [json.loads(line)["message"] for line in (folder / "server.log").read_text().splitlines()]


def test_the_ring_is_written_down_within_a_second_or_two(tmp_path):
    with serving(tmp_path, "--max-endpoints", "100") as server:
        for page, visits in (("home", 3), ("about", 1)):
            for _ in range(visits):
                server.post(f"/visits/{page}")
        begun = time.monotonic()
        wanted = {"visits/home": (3, 3), "visits/about": (1, 1)}
        assert until(lambda: written(tmp_path) == wanted), written(tmp_path)
        assert time.monotonic() - begun < 4
        # A worker counts in the file beside the server, and removes a name.
        worker = hitring.SharedRegistry(tmp_path / "data" / "hits.ring", mode="open")
        worker.record_hit("worker", None, 7)
        worker.remove("visits/about")
        wanted = {"visits/home": (3, 3), "worker": (7, 7)}
        assert until(lambda: written(tmp_path) == wanted), written(tmp_path)
        assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
        assert server.metric("hitring_untimed_hits") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_says_how_many_hits_are_not_flushed(tmp_path, number):
    options = ("--max-endpoints", "100", "--flush-every", "150")
    with serving(tmp_path, *options) as server:
        # The first flush is at the start; the next one is not in this test.
        assert until(lambda: server.metric("hitring_flush_seconds") > 0)
        for _ in range(20):
            server.post("/visits/home")
        assert server.metric("hitring_unflushed_hits") == 20
        assert server.stop(number) == 0
    assert messages(tmp_path)[-1] == "stopped: 0 hits not flushed"
    assert written(tmp_path) == {"visits/home": (20, 20)}


def test_a_request_that_never_ends_keeps_no_hits_from_the_database(tmp_path):
    with serving(tmp_path, "--max-endpoints", "100", "--flush-every", "150") as server, server.open() as opened:
        opened.sendall(b"POST /visits/home HTTP/1.1\r\nho")
        for _ in range(5):
            server.post("/visits/home")
        assert server.stop() == 0
    lines = messages(tmp_path)
    assert "takes longer than a second" in lines[-2] and lines[-1] == "stopped: 0 hits not flushed"
    assert written(tmp_path) == {"visits/home": (5, 5)}


def test_a_flush_whose_sync_failed_is_brought_to_the_disk_before_the_next_write(tmp_path, failing_sync):
    environment, fails = failing_sync
    with serving(tmp_path, "--max-endpoints", "100", environment=environment) as server:
        server.post("/visits/home")
        assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
        file = tmp_path / "data" / "hitring.db"
        before = file.stat().st_mtime_ns
        fails.write_text("1     ")
        server.post("/visits/home")
        assert until(lambda: fails.read_text().strip() == "0")
        # The log may have a hole, and nothing after that would be found. So it is taken into the file first.
        assert server.ask("PUT", "/v1/counter/a/b", '{"value": 5}')[0] == 200
        assert file.stat().st_mtime_ns > before
        assert until(lambda: server.get("/ready")["status"] == "ready")
        assert until(lambda: server.metric("hitring_unflushed_hits") == 0)


def test_a_flush_that_is_too_seldom_is_refused(tmp_path):
    command = [PROGRAM, "serve", "--data", tmp_path / "data", "--window", "10", "--flush-every", "6"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "--flush-every" in done.stderr and "5" in done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
def test_a_full_disk_keeps_the_hits_in_the_ring_until_there_is_room(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    options = ("--max-endpoints", "400")
    with small_disk(data, "8m") as filler:
        with serving(tmp_path, *options) as server:
            server.post("/visits/before")
            assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
            fill(filler)
            # More than the rest of a page.
            for page in range(300):
                server.post(f"/visits/{page}")
            assert until(lambda: server.get("/ready")["status"] == "degraded")
            time.sleep(1.2)
            assert server.get("/ready")["status"] == "degraded"
            backlog = server.metric("hitring_unflushed_hits")
            assert 0 < backlog <= 300
            assert server.stop() == 1
        line = messages(tmp_path)[-1]
        assert int(re.search(r"stopped: (\d+) hits not flushed", line)[1]) == backlog, line
        assert len(written(tmp_path)) == 301 - backlog
        # It starts all the same, and counts.
        with serving(tmp_path, *options) as server:
            assert server.post("/visits/0")["visits"] == 2
            os.truncate(data / "filler", 0)
            assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
            assert until(lambda: server.get("/ready")["status"] == "ready")
            assert server.stop() == 0
        wanted = {f"visits/{page}": (1, 1) for page in range(1, 300)}
        assert written(tmp_path) == {**wanted, "visits/0": (2, 2), "visits/before": (1, 1)}


def test_seconds_that_leave_the_ring_unwritten_are_told(tmp_path):
    # A ring of a minute has 80 places: 20 are for late hits and clocks that differ.
    with serving(tmp_path, "--max-endpoints", "100", "--window", "60") as server:
        locker = sqlite3.connect(tmp_path / "data" / "hitring.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        second = int(time.time())
        for _ in range(5):
            server.post("/hits", {"resource_id": "x", "timestamp": second - 78}, 202)
        # A hit of a second that has the same place in the ring.
        assert until(lambda: time.time() > second + 2)
        server.post("/hits", {"resource_id": "x", "timestamp": second + 2}, 202)
        assert server.metric("hitring_unflushed_hits") == 6
        # A pass that has read the ring before that waits for the lock, but not for so long.
        time.sleep(2)
        locker.execute("ROLLBACK")
        locker.close()
        assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
        assert server.metric("hitring_untimed_hits") == 5
    assert written(tmp_path) == {"hits/x": (6, 1)}


def test_kills_lose_nothing_that_is_in_the_ring(tmp_path):
    names = [f"k/{number}" for number in range(4)]
    sends = [lambda name: ("POST", f"/visits/{name.replace('/', '%2F')}", None)]
    sends.append(lambda name: ("POST", "/hits", f'{{"resource_id": "{name}", "visitor": "v"}}'))
    clients = [Client(name, sends[number % 2]) for number, name in enumerate(names)]
    for client in clients:
        client.start()
    for _ in range(10):
        with serving(tmp_path, "--max-endpoints", "100", "--window", "60") as server:
            for client in clients:
                client.address = server.address
            time.sleep(random.uniform(0.05, 1.3))
            server.stop(signal.SIGKILL)
            for client in clients:
                client.address = None
    for client in clients:
        client.ended.set()
        client.join(30)
    with serving(tmp_path, "--window", "60") as server:
        assert until(lambda: server.metric("hitring_unflushed_hits") == 0)
        assert server.stop() == 0
    found = written(tmp_path)
    ring = hitring.SharedRegistry(tmp_path / "data" / "hits.ring", mode="read")
    for number, client in enumerate(clients):
        endpoint = f"{('visits', 'hits')[number % 2]}/{client.name_of_hits}"
        total, timed = found[endpoint]
        assert total == ring.total_ever(endpoint)
        assert client.acknowledged <= total <= client.sent
        # A hit that was killed between its slot and its total is in the one alone.
        assert total <= timed <= client.sent


def test_flushes_do_not_delay_requests(tmp_path):
    with serving(tmp_path, "--max-endpoints", "20000") as server:
        worker = hitring.SharedRegistry(tmp_path / "data" / "hits.ring", mode="open")
        ended = threading.Event()

        def count():
            while not ended.is_set():
                for number in range(10_000):
                    worker.record_hit(f"worker/{number}")

        thread = threading.Thread(target=count)
        thread.start()
        try:
            assert until(lambda: len(written(tmp_path)) == 10_000, 30)
            for number in range(100):
                code, _, document = server.ask("POST", "/visits/x", None, {"idempotency-key": str(number)})
                assert (code, document["visits"]) == (200, number + 1)
        finally:
            ended.set()
            thread.join()
        assert server.stop() == 0
        hits = sum(worker.totals_ever().values())
    found = written(tmp_path)
    assert sum(total for total, _ in found.values()) == sum(timed for _, timed in found.values()) == hits
