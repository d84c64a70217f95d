"""`GET /metrics` and `GET /ready`: the server's own numbers, and whether it counts."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

import hitring
from serving import serving, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def scrape(server):
    """The page, and its series with their values."""
    connection = server.connect()
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    page = response.read().decode()
    connection.close()
    assert response.status == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    series = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name not in series
            series[name] = float(value)
    return page, series


def requests(series, method, route, status):
    return series[f'hitring_http_requests_total{{method="{method}",route="{route}",status="{status}"}}']


def test_requests_and_hits_are_counted_exactly(tmp_path):
    with serving(tmp_path, "--max-endpoints", "3") as server:
        _, before = scrape(server)
        assert before["hitring_hits_total"] == 0 and before["hitring_ready"] == 1
        for _ in range(5):
            server.post("/visits/a")
        now = int(time.time())
        server.post("/hits", {"resource_id": "b", "count": 10, "timestamp": now}, 202)
        # The ring has 320 slots, so this second needs the slot of the one above.
        server.post("/hits", {"resource_id": "b", "count": 7, "timestamp": now - 320}, 409)
        server.post("/hits", {"resource_id": "b", "count": 4, "timestamp": 253_402_300_799}, 409)
        server.post("/hits", {"resource_id": "b", "count": -1}, 400)
        server.post("/visits/c")
        server.post("/visits/d", status=507)
        for path in ("/nowhere", "/visits/a/b", "/hits/"):
            assert server.ask("GET", path)[0] == 404
        assert server.ask("PATCH", "/hits")[0] == 405
        page, after = scrape(server)
        assert requests(after, "POST", "/visits/{page}", "2xx") == 6
        assert requests(after, "POST", "/visits/{page}", "5xx") == 1
        assert requests(after, "POST", "/hits", "2xx") == 1
        assert requests(after, "POST", "/hits", "4xx") == 3
        assert requests(after, "GET", "/metrics", "2xx") == 1
        assert requests(after, "other", "other", "4xx") == 4
        for method, route, count in (("POST", "/visits/{page}", 7), ("POST", "/hits", 4), ("other", "other", 4)):
            labels = f'method="{method}",route="{route}"'
            assert after[f"hitring_http_request_seconds_count{{{labels}}}"] == count
            assert after[f'hitring_http_request_seconds_bucket{{{labels},le="+Inf"}}'] == count
            assert 0 < after[f"hitring_http_request_seconds_sum{{{labels}}}"] < 10
        assert after["hitring_hits_total"] == 16
        assert after['hitring_hits_refused_total{reason="late"}'] == 7
        assert after['hitring_hits_refused_total{reason="future"}'] == 4
        assert after['hitring_hits_refused_total{reason="refused"}'] == 1
        assert after['hitring_hits_refused_total{reason="saturated"}'] == 0
        assert after["hitring_endpoints"] == after["hitring_ring_lives"] == after["hitring_ring_lives_max"] == 3
        assert after["hitring_ring_bytes"] == os.path.getsize(tmp_path / "data" / "hits.ring")
        assert after["hitring_ring_window_seconds"] == 300
        assert after[f'hitring_build_info{{version="{hitring.__version__}"}}'] == 1
        assert after["hitring_connections"] >= 1
        # A counter never goes down, and a page always has the same series.
        assert set(before) == set(after)
        for name, value in before.items():
            if "_total" in name or "_bucket" in name:
                assert after[name] >= value, name
        assert page.endswith("\n")
    # Hits are of the ring file, requests of this server.
    with serving(tmp_path) as server:
        _, series = scrape(server)
        assert series["hitring_hits_total"] == 16
        assert requests(series, "POST", "/hits", "2xx") == 0


def test_names_make_no_series(tmp_path):
    with serving(tmp_path, "--max-endpoints", "300") as server:
        _, before = scrape(server)
        connection = server.connect()
        for number in range(200):
            for method, path in (("POST", f"/visits/{number}"), ("GET", f"/{number}"), (f"M{number}", "/hits")):
                connection.request(method, path)
                connection.getresponse().read()
        connection.close()
        _, after = scrape(server)
        assert set(before) == set(after)
        assert requests(after, "other", "other", "4xx") == 400


def test_promtool_accepts_the_page(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: install prometheus (Debian, Ubuntu)")
    with serving(tmp_path, "--max-endpoints", "4") as server:
        server.post("/visits/a")
        page, _ = scrape(server)
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_ready_says_why_not(tmp_path):
    with serving(tmp_path, "--max-endpoints", "20") as server:
        assert server.get("/ready") == {"status": "ready", "reasons": []}
        for page in range(20):
            server.post(f"/visits/{page}")
        full = server.get("/ready")
        assert full["status"] == "degraded"
        assert len(full["reasons"]) == 1 and "--max-endpoints" in full["reasons"][0]
        # The file of another ring in its place: what is counted now would be seen by no other process.
        ring = tmp_path / "data" / "hits.ring"
        ring.rename(tmp_path / "former.ring")
        status, _, lost = server.ask("GET", "/ready")
        assert (status, lost["status"]) == (503, "unready")
        assert len(lost["reasons"]) == 1 and "restart" in lost["reasons"][0]
        # What a lost file says is not told, so that no counter goes down.
        series = scrape(server)[1]
        assert series["hitring_ready"] == 0 and "hitring_hits_total" not in series
        # Nothing is counted in a file that no other process sees, and it is not read.
        for method, path in (("POST", "/visits/1"), ("GET", "/visits/1"), ("GET", "/v1/top"), ("GET", "/v1/hits/a")):
            status, _, problem = server.ask(method, path)
            assert (status, problem["type"]) == (503, "urn:hitring:problem:lost"), path
        # It still lives.
        assert server.get("/health") == {"status": "ok"}
        (tmp_path / "former.ring").rename(ring)
        assert server.get("/ready")["status"] == "degraded"
        assert server.post("/visits/1")["visits"] == 2


def test_visitors_without_room_are_told(tmp_path):
    with serving(tmp_path, "--max-endpoints", "20") as server:
        for number in range(3_000):
            server.post("/v1/counter/t/a/increment", {"visitor": f"v{number}"})
            if server.ask("GET", "/v1/counter/t/a/unique")[0] != 200:
                break
        # The hits count all the same.
        assert server.get("/v1/counter/t/a")["value"] == number + 1
        status, _, problem = server.ask("GET", "/v1/counter/t/a/unique")
        assert (status, problem["type"]) == (507, "urn:hitring:problem:full") and "hitring compact" in problem["detail"]
        ready = server.get("/ready")
        assert ready["status"] == "degraded" and "visitors" in ready["reasons"][0]


def test_a_server_notices_by_itself_that_its_file_is_gone(tmp_path):
    with serving(tmp_path) as server:
        (tmp_path / "data" / "hits.ring").unlink()
        assert until(lambda: server.ask("POST", "/visits/a")[0] == 503, 5)


def test_a_server_that_ends_is_not_ready(tmp_path):
    with serving(tmp_path) as server:
        host, port = server.address.split(":")
        # A request that is half sent when the signal comes is still answered.
        with socket.create_connection((host, int(port)), timeout=30) as half:
            half.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n")
            # Connections are taken in their order, so the server has that one.
            server.get("/health")
            server.process.send_signal(signal.SIGTERM)
            assert until(lambda: not server.listens())
            half.sendall(b" ")
            answer = half.recv(10_000).decode()
        assert re.match(r"HTTP/1.1 503 ", answer), answer
        assert '"status":"unready"' in answer and "the server is ending" in answer
        assert server.process.wait(30) == 0
