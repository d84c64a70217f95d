"""Limits of requests: what is refused and told, and that neither a restart nor a kill forgets what was let through."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

import hitring
from serving import PROGRAM, ask, request, serving, until
from serving import status as status_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def answers(server, requests, path="/visits/home", method="POST"):
    """Return the status and the headers of each answer, over one connection."""
    connection = server.connect()
    found = [ask(connection, method, path) for _ in range(requests)]
    connection.close()
    return [(status, headers) for status, headers, _ in found]


def test_what_is_beyond_a_limit_is_refused_and_told(tmp_path):
    with serving(tmp_path, "--limit-client", "5/hour") as server:
        found = answers(server, 8)
        assert [status for status, _ in found] == [200] * 5 + [429] * 3
        assert {headers["ratelimit-policy"] for _, headers in found} == {'"client";q=5;w=3600'}
        assert [headers["ratelimit"] for _, headers in found[:5]] == [f'"client";r={r}' for r in (4, 3, 2, 1, 0)]
        for _, headers in found[5:]:
            after = int(headers["retry-after"])
            # A small limit is exact.
            assert 3500 < after <= 3601 and headers["ratelimit"] == f'"client";r=0;t={after}'
        # Also on a path without a route, and with other methods.
        for method, path in [("GET", "/visits/home"), ("GET", "/nowhere"), ("HEAD", "/v1/top"), ("PUT", "/hits")]:
            assert answers(server, 1, path, method)[0][0] == 429
        problem = server.post("/visits/home", None, 429)
        assert problem["type"] == "urn:hitring:problem:limited"
        assert re.fullmatch(
            r"the requests of a client are limited to 5 in 3600 s; try again in \d+ s", problem["detail"]
        )
        # What watches the server is not limited, and nothing that was refused was counted.
        for path in ("/health", "/ready"):
            status, headers, _ = server.ask("GET", path)
            assert status == 200 and "ratelimit" not in headers
        assert server.metric("hitring_hits_total") == 5
        assert server.metric('hitring_http_requests_limited_total{limit="client"}') == 8
        assert server.metric("hitring_limit_keys") == 1


def test_a_connection_goes_on_after_a_refused_body(tmp_path):
    with serving(tmp_path, "--limit-global", "1/hour") as server:
        connection = server.connect()
        hit = '{"resource_id":"a"}'
        found = [ask(connection, "POST", "/hits", hit + " " * size)[:2] for size in (0, 0, 20_000, 65_000, 10)]
        assert [status for status, _ in found] == [202, 429, 429, 429, 429]
        assert all("connection" not in headers for _, headers in found)
        # A body that is too large to be read ends the connection, and the answer says so.
        status, headers, _ = ask(connection, "POST", "/hits", hit + " " * 70_000)
        assert (status, headers["connection"]) == (429, "close")
        connection.close()
        # A body that the client holds back until it is asked for is not asked for.
        lines = (b"expect: 100-continue", b"content-type: application/json", b"content-length: 60000")
        begun = time.monotonic()
        answer = server.tell(request(b"/hits", *lines))
        assert (status_of(answer), time.monotonic() - begun < 5) == (429, True)


def test_a_ring_that_was_cut_is_told_as_such(tmp_path):
    with serving(tmp_path, "--limit-client", "5/hour") as server:
        server.post("/visits/home")
        os.truncate(tmp_path / "data" / "hits.ring", 0)
        assert until(lambda: server.ask("GET", "/ready")[0] == 503)
        for method, path in (("POST", "/visits/home"), ("GET", "/v1/top")):
            status, _, problem = server.ask(method, path)
            assert (status, problem["type"]) == (503, "urn:hitring:problem:lost")


def test_a_client_without_room_does_not_hear_that_it_sent_too_many(tmp_path):
    with serving(tmp_path, "--limit-client", "50/hour", "--limit-max-clients", "1") as server:
        ring = hitring.SharedRegistry(tmp_path / "data" / "hits.ring", mode="open")
        limiter = ring.limiter("another", "1/hour")
        for number in range(1_000):
            limiter.allow(str(number))
        assert limiter.without_room[0] > 0
        problem = server.post("/visits/home", None, 503)
        assert (
            problem["type"] == "urn:hitring:problem:busy"
            and "no room for the limit of another client" in problem["detail"]
        )
        assert server.metric('hitring_http_requests_limited_total{limit="room"}') == 1


def test_a_file_without_room_for_limits_is_told(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    hitring.SharedRegistry(data / "hits.ring", window=300, max_endpoints=9, limits=0)
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", data, "--limit-client", "5/hour"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1 and "has no room for limits" in ran.stderr and "--max-limits N" in ran.stderr, ran.stderr


def test_a_limit_is_kept_over_a_restart_and_a_kill(tmp_path):
    options = ("--limit-client", "10/hour", "--limit-global", "100/hour")
    allowed = 0
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        with serving(tmp_path, *options) as server:
            allowed += [status for status, _ in answers(server, 4)].count(200)
            server.stop(number)
    assert allowed == 10
    with serving(tmp_path, *options) as server:
        assert answers(server, 1)[0][0] == 429
        # The one that is refused took nothing from the others.
        status, headers = answers(server, 1)[0]
        assert (status, headers["ratelimit-policy"]) == (429, '"client";q=10;w=3600, "global";q=100;w=3600')
        assert server.metric("hitring_hits_total") == 10


def test_a_burst_comes_at_once_and_then_the_rate(tmp_path):
    file = tmp_path / "hitring.toml"
    file.write_text('[limit]\nclient = "20/second"\nburst = 3\n')
    with serving(tmp_path, "--config", file) as server:
        found = answers(server, 5)
        assert [status for status, _ in found[:3]] == [200] * 3 and found[0][1][
            "ratelimit-policy"
        ] == '"client";q=3;w=1'
        end, allowed = time.monotonic() + 1.5, 0
        began = time.monotonic()
        while time.monotonic() < end:
            allowed += answers(server, 1)[0][0] == 200
            time.sleep(0.002)
        took = time.monotonic() - began
        # All that the rate gives, and no more than what came of it before.
        assert took * 20 * 0.5 <= allowed <= took * 20 + 3


def test_a_file_that_has_other_room_is_told(tmp_path):
    with serving(tmp_path, "--limit-client", "5/hour", "--limit-max-clients", "99") as server:
        assert server.metric("hitring_limit_keys_max") == 99
    options = ("--limit-max-clients", "999")
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", *options]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1 and "limits 99, not 999" in ran.stderr and "hitring compact" in ran.stderr
    # As that says.
    old, new = tmp_path / "data" / "hits.ring", tmp_path / "new.ring"
    subprocess.run([PROGRAM, "compact", old, new, "--max-limits", "999"], check=True, capture_output=True)
    new.replace(old)
    with serving(tmp_path, "--limit-client", "5/hour", *options) as server:
        assert server.metric("hitring_limit_keys_max") == 999
    # Without the option the file's own room is right.
    with serving(tmp_path, "--limit-client", "5/hour") as server:
        assert server.metric("hitring_limit_keys_max") == 999
