"""`hitring serve` over real sockets: every route, with its right and wrong requests; starting and ending."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

import hitring
from serving import PROGRAM, ask, serving, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("serve"), "--max-endpoints", "4000") as server:
        yield server


# What a name may hold, and how a path writes it.
NAMES = {
    "plain": "plain",
    "a/b": "a%2Fb",
    "..": "..",
    ".": "%2E",
    "a b": "a%20b",
    "a+b": "a+b",
    "\u00fc\U0001f522": "%C3%BC%F0%9F%94%A2",
    "%2F": "%252F",
    "x" * 900: "x" * 900,
}


def test_pages(server):
    for name, path in NAMES.items():
        assert server.get(f"/visits/{path}") == {"visits": 0, "served_via": "in_memory"}
        for visits in (1, 2):
            assert server.post(f"/visits/{path}") == {"visits": visits, "served_via": "in_memory"}
        assert server.post(f"/visits/{path}", {"visitor": "ann"})["visits"] == 3
        assert server.get(f"/visits/{path}")["visits"] == 3, name


def test_hits(server):
    for name, path in NAMES.items():
        now = int(time.time())
        assert server.ask("GET", f"/hits/{path}")[0] == 404
        assert server.post("/hits", {"resource_id": name}, 202) == {"resource_id": name, "accepted": 1}
        hits = {"resource_id": name, "count": 668.0, "timestamp": now - 10, "visitor": "ann"}
        assert server.post("/hits", hits, 202) == {"resource_id": name, "accepted": 668}
        answer = server.get(f"/hits/{path}")
        assert (answer["resource_id"], answer["count"]) == (name, 669)
        assert answer["period"]["exact"] is True and answer["period"]["resolution"] == 1.0
        ago = server.get(f"/hits/{path}?start_time={now - 10}&end_time={now - 10}")
        assert ago["count"] == 668
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 10))
        assert ago["period"] == {"start_time": text, "end_time": text, "resolution": 1.0, "exact": True}
        assert server.get(f"/hits/{path}?start={text}&end={text}")["count"] == 668
        zone = time.strftime("%Y-%m-%dT%H:%M:%S%%2B02:00", time.gmtime(now - 10 + 7_200))
        assert server.get(f"/hits/{path}?start={zone}&end={now - 10}.5")["count"] == 668
        assert server.get(f"/hits/{path}?start={now - 9}")["count"] == 1
        assert server.get(f"/hits/{path}?end={now - 11}")["count"] == 0


def test_late_hits(server):
    now = int(time.time())
    server.post("/hits", {"resource_id": "late", "timestamp": now}, 202)
    # The ring has 320 slots: this second needs the slot of the one above.
    problem = server.post("/hits", {"resource_id": "late", "timestamp": now - 320}, 409)
    assert problem["type"] == "urn:hitring:problem:late" and "longer window" in problem["detail"]
    assert server.get(f"/hits/late?start=0&end={now}")["count"] == 1


def test_a_range_beyond_the_window(server):
    server.post("/hits", {"resource_id": "young"}, 202)
    # All of it is known: nothing was counted before the window.
    assert server.get("/hits/young?start=0&end=253402300799")["period"]["exact"] is True
    assert server.get("/hits/young?start=0&end=253402300799")["count"] == 1
    now = int(time.time())
    # The ring still knows that these seconds had none.
    old = server.get(f"/hits/young?start={now - 340}&end={now - 330}")
    assert (old["count"], old["period"]["exact"]) == (0, True)
    # Not so that of which a hit of now has the slot.
    server.post("/hits", {"resource_id": "young", "timestamp": now}, 202)
    old = server.get(f"/hits/young?start={now - 320}&end={now - 320}")
    assert (old["count"], old["period"]["exact"]) == (0, False)


def test_counters(server):
    for name, path in NAMES.items():
        counter = f"/v1/counter/video.v2_-/{path}"
        assert server.ask("GET", counter)[0] == server.ask("GET", counter + "/unique")[0] == 404
        value = {"type": "video.v2_-", "id": name, "value": 1}
        assert server.post(counter + "/increment") == value
        assert server.post(counter + "/increment", {"amount": 41}) == {**value, "value": 42}
        assert server.get(counter) == {**value, "value": 42}
        for visitor in ("ann", "bob", "ann"):
            server.post(counter + "/increment", {"visitor": visitor, "timestamp": time.time()})
        unique = server.get(counter + "/unique")
        assert (unique["type"], unique["id"], unique["unique"]) == ("video.v2_-", name, 2)
        assert abs(unique["error"] - 0.0081) < 0.0001
        # Nothing but the increments has counted.
        assert server.get(counter)["value"] == 45


def test_health(server):
    assert server.get("/health") == {"status": "ok"}
    status, _, document = server.ask("HEAD", "/health")
    assert (status, document) == (200, None)


BIG = 10**30
COUNTER = "/v1/counter/t/wrong/increment"
WRONG = [
    # method, path, body, status, type of the problem, what it names
    ("POST", "/hits", None, 415, "media-type", "application/json"),
    ("POST", "/hits", "", 400, "schema", "line 1 column 0"),
    ("POST", "/hits", "{", 400, "schema", "line 1 column 1"),
    ("POST", "/hits", b'{"resource_id":"\xff"}', 400, "schema", "line 1"),
    ("POST", "/hits", "[]", 400, "schema", "object"),
    ("POST", "/hits", '["a"]', 400, "schema", "object"),
    ("POST", "/hits", "7", 400, "schema", "object"),
    ("POST", "/hits", "{}", 400, "schema", "resource_id"),
    ("POST", "/hits", {"resource_id": 5}, 400, "schema", "5"),
    ("POST", "/hits", {"resource_id": None}, 400, "schema", "null"),
    ("POST", "/hits", {"resource_id": ""}, 400, "schema", "1 to 1000"),
    ("POST", "/hits", {"resource_id": "x" * 1_001}, 400, "schema", "1001"),
    ("POST", "/hits", {"resource_id": "\u00fc" * 501}, 400, "schema", "1002"),
    ("POST", "/hits", {"resource_id": "a", "other": 1}, 400, "schema", "other"),
    ("POST", "/hits", '{"resource_id":"a","resource_id":"b"}', 400, "schema", "resource_id"),
    ("POST", "/hits", {"resource_id": "a", "count": 668.5}, 400, "schema", "668.5"),
    ("POST", "/hits", {"resource_id": "a", "count": -1}, 400, "schema", "-1"),
    ("POST", "/hits", {"resource_id": "a", "count": 1_000_001}, 400, "schema", "1000001"),
    ("POST", "/hits", {"resource_id": "a", "count": BIG}, 400, "schema", "1000000"),
    ("POST", "/hits", {"resource_id": "a", "count": "1"}, 400, "schema", "number"),
    ("POST", "/hits", {"resource_id": "a", "count": None}, 400, "schema", "null"),
    ("POST", "/hits", {"resource_id": "a", "timestamp": "yesterday"}, 400, "schema", "yesterday"),
    ("POST", "/hits", {"resource_id": "a", "timestamp": "2026-01-31T12:00:00"}, 400, "schema", "offset"),
    ("POST", "/hits", {"resource_id": "a", "timestamp": -1}, 400, "schema", "1970"),
    ("POST", "/hits", {"resource_id": "a", "timestamp": BIG}, 400, "schema", "9999"),
    ("POST", "/hits", {"resource_id": "a", "timestamp": None}, 400, "schema", "null"),
    ("POST", "/hits", {"resource_id": "a", "visitor": ""}, 400, "schema", "256"),
    ("POST", "/hits", {"resource_id": "a", "visitor": "x" * 257}, 400, "schema", "257"),
    ("POST", "/hits", {"resource_id": "a", "visitor": 5}, 400, "schema", "visitor"),
    ("POST", "/hits", {"resource_id": "a", "timestamp": 253_402_300_799}, 409, "future", "clock"),
    ("POST", "/hits?x=1", {"resource_id": "a"}, 400, "schema", "x"),
    ("POST", "/hits", "x" * 65_537, 413, "too-large", "65536"),
    ("GET", "/hits/plain?start=1&start=2", None, 400, "schema", "twice"),
    ("GET", "/hits/plain?start=1&start_time=2", None, 400, "schema", "start_time"),
    ("GET", "/hits/plain?begin=1", None, 400, "schema", "begin"),
    ("GET", "/hits/plain?start=", None, 400, "schema", "not a time"),
    ("GET", "/hits/plain?start=1e", None, 400, "schema", "1e"),
    ("GET", "/hits/plain?start=1e300", None, 400, "schema", "1e300"),
    ("GET", "/hits/plain?start=2026-01-31T12:00:00+02:00", None, 400, "schema", "%2B"),
    ("GET", "/hits/plain?start=%ff", None, 400, "schema", "UTF-8"),
    ("GET", "/hits/plain?start=2&end=1", None, 400, "range", "exchange"),
    ("GET", "/hits/%ff", None, 400, "schema", "UTF-8"),
    ("GET", "/hits/" + "x" * 1_001, None, 400, "schema", "1001"),
    ("GET", "/hits/never-seen", None, 404, "unknown", "no hit"),
    ("GET", "/hits/", None, 404, "route", "/hits/{resource_id}"),
    ("POST", COUNTER, {"amount": 668.5}, 400, "schema", "668.5"),
    ("POST", COUNTER, {"amount": -1}, 400, "schema", "-1"),
    ("POST", COUNTER, {"value": 1}, 400, "schema", "value"),
    ("POST", COUNTER, "null", 400, "schema", "object"),
    ("POST", COUNTER, "[]", 400, "schema", "object"),
    ("POST", "/v1/counter/a%2Fb/c/increment", None, 400, "schema", "a/b"),
    ("POST", "/v1/counter/" + "t" * 65 + "/c/increment", None, 400, "schema", "65"),
    ("POST", "/v1/counter/t/" + "x" * 901 + "/increment", None, 400, "schema", "901"),
    ("POST", "/v1/counter/t//increment", None, 400, "schema", "1 to 900"),
    ("GET", "/v1/counter/t/wrong", None, 404, "unknown", "no hit"),
    ("GET", "/v1/counter/t/wrong/unique", None, 404, "unknown", "no hit"),
    ("POST", "/visits/wrong", {"visitor": 1}, 400, "schema", "visitor"),
    ("POST", "/visits/wrong", {"count": 1}, 400, "schema", "count"),
    ("POST", "/visits/wrong?x", None, 400, "schema", "x"),
    ("GET", "/visits/%C3%28", None, 400, "schema", "UTF-8"),
    ("DELETE", "/visits/wrong", None, 405, "method", "DELETE"),
    ("PUT", "/hits", "{}", 405, "method", "PUT"),
    ("TRACE", "/health", None, 405, "method", "TRACE"),
    ("OPTIONS", "/health", None, 405, "method", "OPTIONS"),
    ("GET", "/nowhere", None, 404, "route", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind", "named"), WRONG)
def test_wrong_requests_say_what_to_change(server, method, path, body, status, kind, named):
    if isinstance(body, dict):
        body = json.dumps(body)
    found, headers, problem = server.ask(method, path, body)
    assert found == status, problem
    assert headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:hitring:problem:{kind}"
    assert problem["status"] == status and problem["title"]
    assert named in problem["detail"]
    if status == 405:
        assert headers["allow"]


def test_wrong_requests_count_nothing(server):
    for name in ("a", "wrong"):
        assert server.ask("GET", f"/hits/{name}")[0] == 404
        assert server.get(f"/visits/{name}")["visits"] == 0


def test_other_media_types_are_refused(server):
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        status, _, problem = server.ask("POST", "/hits", '{"resource_id":"a"}', {"content-type": media_type})
        assert (status, problem["type"]) == (415, "urn:hitring:problem:media-type"), media_type
    with_charset = {"content-type": "Application/JSON; charset=utf-8"}
    assert server.ask("POST", "/hits", '{"resource_id":"charset"}', with_charset)[0] == 202


def test_a_body_of_another_media_type_is_not_read(server):
    head = b"POST /hits HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n"
    for length in (10, 100_000):
        with server.open() as opened:
            # Nothing of it is sent.
            opened.sendall(head % length)
            assert b" 415 " in opened.recv(1_000)
    with server.open() as opened:
        opened.sendall((head % 100_000).replace(b"text/plain", b"application/json"))
        assert b" 413 " in opened.recv(1_000)


def test_a_full_ring_refuses_new_names_alone(tmp_path):
    with serving(tmp_path, "--max-endpoints", "2") as server:
        for page in ("a", "b", "a"):
            server.post(f"/visits/{page}")
        problem = server.post("/visits/c", status=507)
        assert problem["type"] == "urn:hitring:problem:full" and "--max-endpoints" in problem["detail"]
        assert server.post("/visits/a")["visits"] == 3


def test_a_full_ring_is_made_larger_as_it_says(tmp_path):
    with serving(tmp_path, "--max-endpoints", "2") as server:
        for page in ("a", "b"):
            server.post(f"/visits/{page}")
        cure = server.post("/visits/c", status=507)["detail"]
    command = cure[cure.index("`") + 1 : cure.rindex("`")]
    assert command == "hitring compact hits.ring NEW --max-endpoints N"
    data = tmp_path / "data"
    larger = [PROGRAM, *command.replace("NEW", "larger.ring").replace("N", "20").split()[1:]]
    subprocess.run(larger, cwd=data, check=True, timeout=60)
    (data / "larger.ring").rename(data / "hits.ring")
    with serving(tmp_path, "--max-endpoints", "20") as server:
        assert server.post("/visits/c")["visits"] == 1
        assert server.get("/visits/a")["visits"] == 1


def test_a_full_ring_of_long_names_says_so(tmp_path):
    # Each name has room for 128 bytes on average.
    with serving(tmp_path, "--max-endpoints", "20") as server:
        for number in range(2):
            server.post(f"/visits/{number}{'x' * 990}")
        problem = server.post(f"/visits/{'y' * 990}", status=507)
        assert "2 of 20 places" in problem["detail"] and "of 2560 bytes" in problem["detail"]
        assert server.get("/ready")["status"] == "degraded"


def test_others_see_the_same_numbers(server, tmp_path):
    with serving(tmp_path) as server:
        server.post("/hits", {"resource_id": "home", "count": 5}, 202)
        ring = tmp_path / "data" / "hits.ring"
        registry = hitring.SharedRegistry(ring)
        assert registry.query_hits("hits/home") == 5
        registry.record_hit("hits/home", None, 2)
        assert server.get("/hits/home")["count"] == 7
        shown = subprocess.run([PROGRAM, "inspect", ring], capture_output=True, text=True, check=True, timeout=60)
        assert "hits/home" in shown.stdout
        del registry


COMMANDS = {"script": (PROGRAM,), "module": (sys.executable, "-m", "hitring")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", COMMANDS)
def test_signals_drain_and_exit_with_0(tmp_path, command, number):
    with serving(tmp_path, command=COMMANDS[command]) as server:
        assert server.hint == f"try: curl -X POST http://{server.address}/visits/home\n"
        idle = server.connect()
        assert ask(idle, "POST", "/visits/home")[0] == 200
        # One whose request is half sent is answered.
        half = socket.create_connection(server.address.split(":"), timeout=30)
        body = b'{"resource_id":"half"}'
        lines = ["POST /hits HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(body)}"]
        head = "\r\n".join([*lines, "", ""])
        half.sendall(head.encode() + body[:5])
        # Connections are taken in their order, so the server has that one.
        server.get("/health")
        server.process.send_signal(number)
        assert until(lambda: not server.listens())
        half.sendall(body[5:])
        assert b" 202 " in half.recv(1_000)
        half.close()
        begun = time.monotonic()
        assert server.process.wait(30) == 0
        assert time.monotonic() - begun < 5, "an idle connection holds nobody up"
        idle.close()
    with serving(tmp_path) as server:
        assert server.get("/visits/home")["visits"] == 1
        assert server.get("/hits/half")["count"] == 1


def test_settings_from_the_environment(tmp_path):
    environment = {"HITRING_WINDOW": "60", "HITRING_MAX_ENDPOINTS": "7", "HITRING_WORKERS": "2"}
    with serving(tmp_path, environment=environment):
        registry = hitring.SharedRegistry(tmp_path / "data" / "hits.ring", mode="open")
        assert (registry.window, registry.max_endpoints) == (60, 7)
        del registry


def failed(*options, environment=None):
    """The exit code and what a server that does not start says, which is one line."""
    command = [PROGRAM, "serve", *map(str, options)]
    environment = {**os.environ, **(environment or {})}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert ended.stdout == ""
    if not ended.stderr.startswith("{"):
        return ended.returncode, ended.stderr
    line = json.loads(ended.stderr)
    assert line["level"] == "ERROR" and ended.stderr.count("\n") == 1
    return ended.returncode, line["message"]


def test_what_cannot_start_says_so_in_one_line(tmp_path):
    anywhere = ("--listen", "127.0.0.1:0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, line = failed("--listen", address, "--data", tmp_path / "a")
        assert (code, line) == (
            1,
            f"{address} is in use by another process; stop it, or give another address (--listen)",
        )
        assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("no directory")
    code, line = failed(*anywhere, "--data", tmp_path / "file")
    assert code == 1 and "--data" in line, line
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "hits.ring").write_bytes(b"no ring" * 1_000)
    code, line = failed(*anywhere, "--data", tmp_path / "foreign")
    assert code == 1 and "hits.ring" in line, line
    assert (tmp_path / "foreign" / "hits.ring").read_bytes() == b"no ring" * 1_000
    with serving(tmp_path) as server:
        code, line = failed(*anywhere, "--data", tmp_path / "data")
        assert code == 1, line
        assert f"process {server.process.pid} at http://{server.address}" in line
    code, line = failed(*anywhere, "--data", tmp_path / "data", "--max-endpoints", "30000")
    assert code == 1, line
    assert "max_endpoints 20000, not 30000" in line and "hitring compact" in line and "leave the option out" in line, (
        line
    )
    code, line = failed(*anywhere, "--data", tmp_path / "data", "--window", "60")
    assert code == 1 and "window" in line, line
    for wrong in (("--listen", "nowhere"), ("--window", "0"), ("--max-endpoints", "many"), ("--workers", "0")):
        assert failed(*wrong)[0] == 2
    assert failed(environment={"HITRING_LISTEN": "nowhere"})[0] == 2
