"""The log of `hitring serve`: its lines, ids of requests, and what happens to lines that are not read."""

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
import time

import pytest

from serving import PROGRAM, ask, request, rest, serving, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def lines(folder):
    return [json.loads(line) for line in (folder / "server.log").read_text().splitlines()]


def told(folder, message):
    """Wait for lines of a message, which a thread of its own writes."""
    assert until(lambda: any(line["message"] == message for line in lines(folder))), lines(folder)
    return [line for line in lines(folder) if line["message"] == message]


def test_elsewhere_than_on_a_terminal_lines_are_json(tmp_path):
    with serving(tmp_path, "--workers", "1") as server:
        for _ in range(3):
            server.post("/visits/home")
        server.ask("GET", "/nowhere")
        assert server.stop() == 0
    listening, stopped = lines(tmp_path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", listening.pop("timestamp"))
    data = str(tmp_path / "data")
    version = listening.pop("version")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", version)
    wanted = {"level": "INFO", "message": "listening", "address": server.address, "data": data, "workers": 1}
    assert listening == wanted
    assert (stopped["level"], stopped["message"]) == ("INFO", "stopped: 0 hits not flushed")


@pytest.mark.parametrize("colours", [True, False])
def test_on_a_terminal_lines_are_text(tmp_path, colours):
    ours, its = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    if not colours:
        environment["NO_COLOR"] = "1"
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, env=environment)
    assert process.stdout.readline().startswith(b"hitring: listening on ")
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()
    os.close(its)
    text = b""
    while not text.endswith(b"flushed\r\n"):
        text += os.read(ours, 4096)
    os.close(ours)
    assert (b"\x1b[" in text) == colours
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", text).decode()
    assert re.search(
        r"^\S+Z +INFO listening version=\"\S+\" address=127\.0\.0\.1:\d+ data=\".+\" workers=\d+\r$",
        plain,
        re.MULTILINE,
    )
    assert re.search(r"^\S+Z +INFO stopped: 0 hits not flushed\r$", plain, re.MULTILINE)


def test_each_request_is_told_if_that_is_asked_for(tmp_path):
    with serving(tmp_path, "--log-level", "debug") as server:
        status, headers, _ = server.ask("POST", "/visits/a%20b?x=1")
        assert status == 400
        made = headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made)
        status, headers, _ = server.ask("GET", "/nowhere", None, {"x-request-id": "from-a-proxy"})
        assert (status, headers["x-request-id"]) == (404, "from-a-proxy")
        server.ask("HEAD", "/v1/top")
        assert until(lambda: len(told(tmp_path, "answered")) == 3)
    found = told(tmp_path, "answered")
    keys = {"timestamp", "level", "message", "method", "path", "status", "micros", "request_id"}
    assert all(set(line) == keys and line["level"] == "DEBUG" and line["micros"] >= 0 for line in found)
    seen = [(line["method"], line["path"], line["status"]) for line in found]
    assert seen == [("POST", "/visits/a%20b", 400), ("GET", "/nowhere", 404), ("HEAD", "/v1/top", 200)]
    assert [line["request_id"] for line in found[:2]] == [made, "from-a-proxy"]


def test_addresses_are_told_only_if_that_is_asked_for(tmp_path):
    with serving(tmp_path, "--log-level", "debug", "--log-addresses", "true") as server:
        server.post("/visits/home")
        assert told(tmp_path, "answered")[0]["client"] == "127.0.0.1"


def test_an_id_comes_back_also_if_nothing_is_told(tmp_path):
    with serving(tmp_path) as server:
        for given in ("1", "a" * 128, "x/y=z"):
            assert server.ask("POST", "/visits/home", None, {"x-request-id": given})[1]["x-request-id"] == given
        for given in (None, "a" * 129, "a b", ""):
            headers = {} if given is None else {"x-request-id": given}
            assert "x-request-id" not in server.ask("POST", "/visits/home", None, headers)[1]
    assert len(lines(tmp_path)) == 1


def test_failed_requests_are_told_but_not_without_end(tmp_path):
    with serving(tmp_path, "--max-endpoints", "1") as server:
        server.post("/visits/home")
        connection = server.connect()
        ids = [ask(connection, "POST", f"/visits/{number}")[1].get("x-request-id") for number in range(300)]
        connection.close()
        time.sleep(1.2)
        last = server.ask("POST", "/visits/last")[1]["x-request-id"]
        assert until(lambda: told(tmp_path, "a request failed")[-1]["request_id"] == last)
        more = told(tmp_path, "more requests failed")
    found = told(tmp_path, "a request failed")
    assert [line["request_id"] for line in found] == [*filter(None, ids), last]
    assert all((line["level"], line["method"], line["status"]) == ("WARN", "POST", 507) for line in found)
    assert 10 < len(found) <= 31
    assert sum(line["requests"] for line in more) + len(found) == 301


@pytest.mark.parametrize(("level", "wanted"), [("debug", 40), ("error", 0)])
def test_debug_tells_of_each_failed_request_and_error_of_none(tmp_path, level, wanted):
    with serving(tmp_path, "--max-endpoints", "1", "--log-level", level) as server:
        server.post("/visits/home")
        ids = [server.ask("POST", f"/visits/{number}")[1].get("x-request-id") for number in range(40)]
        assert until(lambda: sum(line.get("status") == 507 for line in lines(tmp_path)) == wanted)
        assert sum(given is not None for given in ids) == wanted


def test_a_path_is_told_in_ascii(tmp_path):
    with serving(tmp_path, "--log-level", "debug") as server:
        server.tell(request("/visits/\x9b31mX\u202e".encode(), b"connection: close"))
        assert told(tmp_path, "answered")[0]["path"] == "/visits/%C2%9B31mX%E2%80%AE"


@contextlib.contextmanager
def unread(folder, many):
    """Start a server whose log nothing reads, send many requests, and yield the process and how many were answered."""
    command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", folder / "data", "--log-level", "debug"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        host, port = process.stdout.readline().split(b"//")[1].strip().decode().split(":")
        with socket.create_connection((host, int(port)), timeout=30) as opened:
            opened.sendall(request(b"/visits/home") * (many - 1) + request(b"/visits/home", b"connection: close"))
            yield process, rest(opened).count(b"HTTP/1.1 200")


def test_a_reader_that_does_not_read_holds_no_request_up(tmp_path):
    # More lines than a pipe holds.
    with unread(tmp_path, 5_000) as (process, answered):
        assert answered == 5_000
        process.terminate()
        assert process.wait(30) == 0


def test_a_slow_reader_has_the_last_line_and_the_number_of_those_that_were_dropped(tmp_path):
    # More lines than may wait.
    many = 20_000
    with unread(tmp_path, many) as (process, answered):
        assert answered == many
        process.terminate()
        time.sleep(0.5)
        found = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert process.wait(30) == 0
    told = sum(line["message"] == "answered" for line in found)
    dropped = sum(line["lines"] for line in found if line["message"].startswith("lines of the log were dropped"))
    assert told > 8_000 and dropped > 0
    assert (told + dropped, found[-1]["message"]) == (many, "stopped: 0 hits not flushed")


def test_a_start_that_fails_is_told(tmp_path):
    with serving(tmp_path) as server:
        command = [PROGRAM, "serve", "--listen", server.address, "--data", tmp_path / "other"]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert (ran.returncode, ran.stdout) == (1, "")
        line = json.loads(ran.stderr)
        assert line["level"] == "ERROR" and line["message"].startswith(f"{server.address} is in use by another process")
        ran = subprocess.run([*command, "--log-format", "text"], capture_output=True, text=True)
        assert re.fullmatch(r"\S+Z ERROR \S+ is in use by another process; stop it, .*\n", ran.stderr), ran.stderr


def test_a_ring_that_is_gone_is_told_once(tmp_path):
    with serving(tmp_path) as server:
        server.post("/visits/home")
        ring = tmp_path / "data" / "hits.ring"
        ring.rename(tmp_path / "away.ring")
        assert until(lambda: lines(tmp_path)[-1]["level"] == "WARN")
        time.sleep(1.5)
        (tmp_path / "away.ring").rename(ring)
        told(tmp_path, "the ring and the database serve again")
    assert [line["level"] for line in lines(tmp_path)] == ["INFO", "WARN", "INFO"]
