"""`GET /v1/hits/{endpoint}` and `GET /v1/top`: what was counted last, and answers that take long beside hits."""

import http.client
import socket
import sys
import threading
import time

import pytest

import hitring
from serving import ask, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path, "--max-endpoints", "100") as server:
        yield server


def test_hits_of_the_last_seconds(server):
    now = int(time.time())
    for ago, count in ((200, 5), (100, 3), (0, 1)):
        server.post("/hits", {"resource_id": "a/b", "count": count, "timestamp": now - ago}, 202)
    path = "/v1/hits/hits%2Fa%2Fb"
    # Not given: the window.
    assert server.get(path) == {"endpoint": "hits/a/b", "count": 9, "last": 300, "exact": True}
    for last, seconds, count in (("5m", 300, 9), ("150", 150, 4), ("150s", 150, 4), ("30s", 30, 1), ("1h", 3_600, 9)):
        answer = server.get(f"{path}?last={last}")
        assert (answer["last"], answer["count"]) == (seconds, count)
        # Longer than the window, but there never were others.
        assert answer["exact"] is True
    assert server.get("/v1/hits/hits%2Fnever") == {"endpoint": "hits/never", "count": 0, "last": 300, "exact": True}


def test_seconds_that_the_ring_no_longer_has_are_not_exact(server):
    now = int(time.time())
    server.post("/hits", {"resource_id": "a", "timestamp": now - 310}, 202)
    whole = server.get("/v1/hits/hits%2Fa?last=1d")
    assert (whole["count"], whole["exact"]) == (1, True)
    # The ring has 320 slots, so this hit takes the slot of that one.
    server.post("/hits", {"resource_id": "a", "timestamp": now + 10}, 202)
    whole = server.get("/v1/hits/hits%2Fa?last=1d")
    assert (whole["count"], whole["exact"]) == (0, False)
    assert server.get("/v1/hits/hits%2Fa?last=60s")["exact"] is True
    assert server.get("/v1/top?last=1d")["exact"] is False
    assert server.get("/v1/top?last=5m")["exact"] is True


def test_the_busiest_come_first_and_names_decide_between_equals(server, tmp_path):
    assert server.get("/v1/top") == {"last": 300, "exact": True, "top": []}
    now = int(time.time())
    for page, hits, ago in (("b", 2, 0), ("a", 2, 0), ("c", 5, 100)):
        server.post("/hits", {"resource_id": page, "count": hits, "timestamp": now - ago}, 202)
    server.post("/visits/home")
    server.post("/v1/counter/video/7/increment", {"amount": 4})
    # What another process counts is seen as well.
    registry = hitring.SharedRegistry(tmp_path / "data" / "hits.ring", mode="open")
    registry.record_hit("worker", None, 3)
    del registry
    names = ["hits/c", "counter/video/7", "worker", "hits/a", "hits/b", "visits/home"]
    top = server.get("/v1/top")["top"]
    assert [(place["endpoint"], place["count"]) for place in top] == list(zip(names, [5, 4, 3, 2, 2, 1]))
    assert server.get("/v1/top?n=2")["top"] == top[:2]
    assert [place["endpoint"] for place in server.get("/v1/top?last=30s&n=1000")["top"]] == names[1:]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/hits/a?last=", '""'),
        ("/v1/hits/a?last=0", "0"),
        ("/v1/hits/a?last=-5", "-5"),
        ("/v1/hits/a?last=5w", "5w"),
        ("/v1/hits/a?last=1.5", "1.5"),
        ("/v1/hits/a?last=1000000000", "1000000000"),
        ("/v1/hits/a?last=5m&last=5m", "twice"),
        ("/v1/hits/a?first=5m", "first"),
        ("/v1/hits/" + "x" * 1_025, "1025"),
        ("/v1/top?n=0", "1 to 1000"),
        ("/v1/top?n=1001", "1 to 1000"),
        ("/v1/top?n=ten", "ten"),
        ("/v1/top?n=-1", "-1"),
        ("/v1/top?n=%2B1", "+1"),
        ("/v1/top?n=99999999999999999999", "1 to 1000"),
        ("/v1/top?last=yesterday", "yesterday"),
        ("/v1/top?endpoint=a", "endpoint"),
    ],
)
def test_wrong_questions_say_what_to_change(server, path, named):
    status, _, problem = server.ask("GET", path)
    assert (status, problem["type"]) == (400, "urn:hitring:problem:schema")
    assert named in problem["detail"]


def test_answers_that_take_long_are_bounded_and_stall_no_hit(tmp_path):
    endpoints, asking = 30_000, 60
    with serving(tmp_path, "--max-endpoints", str(endpoints), "--window", "60", "--workers", "1") as server:
        registry = hitring.SharedRegistry(tmp_path / "data" / "hits.ring", mode="open")
        for number in range(endpoints):
            registry.record_hit(f"visits/{number}")
        del registry
        stop, times, wrong, scraped = threading.Event(), [], [], []

        def hit():
            connection = server.connect()
            while not stop.is_set():
                begun = time.monotonic()
                status, _, document = ask(connection, "POST", "/visits/0")
                times.append(time.monotonic() - begun)
                if status != 200:
                    wrong.append(document)
            connection.close()

        def scrape():
            connection = server.connect()
            while not stop.is_set():
                connection.request("GET", "/metrics")
                response = connection.getresponse()
                response.read()
                scraped.append(response.status)
            connection.close()

        threads = [threading.Thread(target=work) for work in (hit, scrape)]
        for thread in threads:
            thread.start()
        try:
            host, port = server.address.split(":")
            sockets = [socket.create_connection((host, int(port)), timeout=60) for _ in range(asking)]
            for connection in sockets:
                connection.sendall(b"GET /v1/top?n=3 HTTP/1.1\r\nhost: x\r\n\r\n")
            statuses = []
            for connection in sockets:
                response = http.client.HTTPResponse(connection, method="GET")
                response.begin()
                body = response.read()
                statuses.append(response.status)
                if response.status == 503:
                    assert response.headers["retry-after"] == "1"
                    assert b"urn:hitring:problem:busy" in body and b"later" in body
                else:
                    assert b"visits/0" in body
                connection.close()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        # One was under way and eight waited, at least; as each ends there is room for another.
        assert set(statuses) == {200, 503} and statuses.count(200) >= 9, statuses
        assert not wrong and len(times) > 20 and max(times) < 2, max(times)
        # Scrapes have a place of their own, so the numbers of the server can be had meanwhile.
        assert scraped and set(scraped) == {200}, scraped
        # All of it is over, and long answers are given again.
        assert len(server.get("/v1/top?n=1000")["top"]) == 1_000
