"""Writes on the disk and writes with a key: what they are answered, and what a kill leaves of them.

`HITRING_SERVER_KILLS` is how often the server is killed (20).
"""

import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time
import uuid

import pytest

from serving import ask, fill, serving, small_disk, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")

ROUNDS = int(os.environ.get("HITRING_SERVER_KILLS", "20"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("ledger"), "--max-endpoints", "2000") as server:
        yield server


def send(server, path, body=None, method="POST", **headers):
    """Return status, headers and document of a write; names of headers have lines for dashes."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.ask(method, path, None if body is None else json.dumps(body), headers)


# Each kind of write: method, path, body, and what reads its hits.
WRITES = {
    "hits": ("/hits", {"resource_id": "{}", "count": 3}, "/hits/{}", "count", 3),
    "counter": ("/v1/counter/t/{}/increment", {"amount": 2}, "/v1/counter/t/{}", "value", 2),
    "visits": ("/visits/{}", None, "/visits/{}", "visits", 1),
}


def filled(kind, name):
    path, body, read, field, amount = WRITES[kind]
    body = None if body is None else {key: name if value == "{}" else value for key, value in body.items()}
    return path.format(name), body, read.format(name), field, amount


@pytest.mark.parametrize("kind", WRITES)
def test_each_level_counts_and_says_so(server, kind):
    name = uuid.uuid4().hex
    path, body, read, field, amount = filled(kind, name)
    counted = 0
    for prefer, applied in [
        (None, None),
        ("durability=process", "durability=process"),
        ("durability=disk", "durability=disk"),
        ("respond-async, durability=disk; x=1", "durability=disk"),
        ("durability=tape", None),
    ]:
        headers = {} if prefer is None else {"prefer": prefer}
        code, answered, document = send(server, path, body, **headers)
        assert code in (200, 202) and answered["preference-applied"] == applied, document
        assert answered["idempotency-replayed"] is None
        counted += amount
        assert server.get(read)[field] == counted
        # What a counter answers has these hits.
        assert document.get("value", document.get("visits", counted)) == counted


@pytest.mark.parametrize("kind", WRITES)
def test_a_key_is_done_once(server, kind):
    name, key = uuid.uuid4().hex, str(uuid.uuid4())
    path, body, read, field, amount = filled(kind, name)
    server.post(path, body, 202 if kind == "hits" else 200)
    first = send(server, path, body, idempotency_key=key, prefer="durability=disk")
    assert first[1]["idempotency-replayed"] is None
    server.post(path, body, 202 if kind == "hits" else 200)
    for form in (key, f'"{key}"'):
        code, headers, document = send(server, path, body, idempotency_key=form)
        assert (code, document, headers["content-type"]) == (first[0], first[2], first[1]["content-type"])
        assert headers["idempotency-replayed"] == "true"
    assert server.get(read)[field] == 3 * amount
    # Another request under it.
    for other in (filled(kind, name + "x")[:2], (path, {**(body or {}), "visitor": "ann"})):
        code, _, document = send(server, *other, idempotency_key=key)
        assert (code, document["type"]) == (422, "urn:hitring:problem:key-reused")
    assert server.get(read)[field] == 3 * amount


def test_resources_take_keys(server):
    key = str(uuid.uuid4())
    first, again = (send(server, "/resources", {"name": "x"}, idempotency_key=key) for _ in range(2))
    assert first[0] == again[0] == 201 and first[2] == again[2]
    assert first[1]["location"] == again[1]["location"] and again[1]["idempotency-replayed"] == "true"
    path, key = first[1]["location"], str(uuid.uuid4())
    gone = [send(server, path, method="DELETE", idempotency_key=key, prefer="durability=disk") for _ in range(2)]
    assert [code for code, _, _ in gone] == [204, 204] and gone[1][1]["idempotency-replayed"] == "true"
    assert gone[0][1]["preference-applied"] == "durability=disk"
    assert send(server, path, method="DELETE")[0] == 404


def test_refused_writes_may_be_tried_again(server):
    name, key, now = uuid.uuid4().hex, str(uuid.uuid4()), int(time.time())
    future = {"resource_id": name, "timestamp": now + 9_999}
    for _ in range(2):
        code, headers, document = send(server, "/hits", future, idempotency_key=key)
        assert (code, document["type"], headers["idempotency-replayed"]) == (409, "urn:hitring:problem:future", None)
    assert server.ask("GET", f"/hits/{name}")[0] == 404
    assert send(server, "/hits", {"resource_id": name}, idempotency_key=key)[0] == 202
    for wrong in ["", '""', "a b", "k" * 256, "\u00fc"]:
        code, _, document = send(server, "/visits/x", idempotency_key=wrong.encode("utf-8").decode("latin-1"))
        assert (code, document["type"]) == (400, "urn:hitring:problem:schema"), wrong


def test_visitors_of_orders_are_seen(server):
    name = uuid.uuid4().hex
    for visitor in ("ann", "ben", "ann"):
        send(server, f"/v1/counter/v/{name}/increment", {"visitor": visitor}, prefer="durability=disk")
    assert server.get(f"/v1/counter/v/{name}/unique")["unique"] == 2


def test_a_server_whose_writes_are_on_the_disk(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16", "--durability", "disk", "--auto-create", "false") as server:
        assert send(server, "/visits/home")[1]["preference-applied"] is None
        assert (
            send(server, "/visits/home", prefer="durability=process")[1]["preference-applied"] == "durability=process"
        )
        code, _, document = send(server, "/hits", {"resource_id": "unknown"}, prefer="durability=disk")
        assert (code, document["type"]) == (404, "urn:hitring:problem:unknown")
        made = server.post("/resources", {"name": "x"}, 201)["resource_id"]
        assert server.post("/hits", {"resource_id": made}, 202)["accepted"] == 1
        server.stop(signal.SIGKILL)
    # Without the ring: what was on the disk is in the database.
    (tmp_path / "data" / "hits.ring").unlink()
    with serving(tmp_path, "--max-endpoints", "16", "--new-ring") as server:
        assert server.get("/visits/home")["visits"] == 1
        assert server.get(f"/hits/{made}")["count"] == 1


class Writer(threading.Thread):
    """Writes at one level until it is told to stop. With keys it sends an unanswered write again."""

    def __init__(self, level, number):
        super().__init__(daemon=True)
        self.level, self.name_of_hits = level, f"{level}-{number}"
        self.sent = self.acknowledged = self.keys = 0
        self.address, self.key = None, None
        self.ended = threading.Event()
        self.wrong = None

    def request(self):
        headers = {"prefer": f"durability={'disk' if self.level == 'disk' else 'process'}"}
        if self.level == "keyed":
            if self.key is None:
                self.key = str(uuid.uuid4())
                self.keys += 1
            headers["idempotency-key"] = self.key
        self.sent += 1
        return headers

    def run(self):
        connection = None
        while not (self.ended.is_set() and self.key is None):
            address = self.address
            if address is None:
                time.sleep(0.001)
                continue
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(address, timeout=20)
                path = f"/v1/counter/kill/{self.name_of_hits}/increment"
                status, _, document = ask(connection, "POST", path, None, self.request())
                if status != 200:
                    self.wrong = document
                    return
                self.acknowledged += 1
                self.key = None
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
                if self.address == address:
                    time.sleep(0.001)
        if connection is not None:
            connection.close()


def test_every_level_survives_kills(tmp_path):
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    writers = [Writer(level, number) for level in ("process", "disk", "keyed") for number in range(3)]
    options = ("--window", "100000", "--max-endpoints", "40")
    for writer in writers:
        writer.start()
    done = 0
    for number in range(ROUNDS):
        with serving(tmp_path, *options) as server:
            for writer in writers:
                writer.address = server.address
            enough = done + 300
            assert until(lambda enough=enough: sum(w.acknowledged for w in writers) > enough, 60), (seed, number)
            time.sleep(draw.uniform(0, 0.1))
            if draw.random() < 0.25:
                server.process.send_signal(signal.SIGSTOP)
                time.sleep(draw.uniform(0, 0.1))
                server.process.send_signal(signal.SIGCONT)
            gentle = draw.random() < 0.25
            assert server.stop(signal.SIGTERM if gentle else signal.SIGKILL) == (0 if gentle else -signal.SIGKILL), seed
            for writer in writers:
                writer.address = None
        done = sum(writer.acknowledged for writer in writers)
    with serving(tmp_path, *options) as server:
        for writer in writers:
            writer.ended.set()
            writer.address = server.address
        for writer in writers:
            writer.join(60)
            assert not writer.is_alive() and writer.wrong is None, (seed, writer.wrong)
        for writer in writers:
            counted = server.get(f"/v1/counter/kill/{writer.name_of_hits}")["value"]
            assert writer.acknowledged <= counted <= writer.sent, (seed, writer.name_of_hits)
            if writer.level == "keyed":
                assert counted == writer.keys, (seed, writer.name_of_hits)
        # A start shows the same.
        before = {w.name_of_hits: server.get(f"/v1/counter/kill/{w.name_of_hits}")["value"] for w in writers}
        server.stop(signal.SIGKILL)
    with serving(tmp_path, *options) as server:
        for name, value in before.items():
            assert server.get(f"/v1/counter/kill/{name}")["value"] == value, seed


def test_keys_are_kept_as_long_and_as_many_as_is_said(tmp_path):
    options = ("--max-endpoints", "16", "--max-keys", "300", "--key-age", "2")
    with serving(tmp_path, *options) as server:
        connection = server.connect()
        for number in range(1_000):
            status, _, document = ask(connection, "POST", "/visits/x", None, {"idempotency-key": str(number)})
            assert (status, document["visits"]) == (200, number + 1)
        connection.close()
        assert send(server, "/visits/x", idempotency_key="999")[1]["idempotency-replayed"] == "true"
        assert send(server, "/visits/x", idempotency_key="0")[1]["idempotency-replayed"] is None
        time.sleep(4)
        assert send(server, "/visits/x", idempotency_key="999")[1]["idempotency-replayed"] is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
def test_a_full_disk_refuses_orders_and_counts_the_rest(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    counted = dict.fromkeys(("disk", "keyed", "process"), 0)
    with small_disk(data, "4m") as filler:
        with serving(tmp_path, "--max-endpoints", "100") as server:

            def write(level):
                headers = {"disk": {"prefer": "durability=disk"}, "keyed": {"idempotency_key": str(uuid.uuid4())}}
                code, _, document = send(server, f"/v1/counter/full/{level}/increment", **headers.get(level, {}))
                counted[level] += code == 200
                return code, document

            for level in counted:
                for _ in range(20):
                    assert write(level)[0] == 200
            fill(filler)
            # The log has a page or two left at most.
            codes = {level: [write(level) for _ in range(50)] for level in counted}
            assert {code for code, _ in codes["process"]} == {200}
            for level in ("disk", "keyed"):
                code, document = codes[level][-1]
                assert (code, document["type"]) == (507, "urn:hitring:problem:disk"), document
                assert {code for code, _ in codes[level]} <= {200, 507}
            assert server.get("/ready")["status"] == "degraded"
            # Refused writes of new names leave the places to hits that are counted.
            for number in range(80):
                refused = send(server, f"/v1/counter/refused/{number}/increment", prefer="durability=disk")
                assert refused[0] == 507 and server.ask("GET", f"/v1/counter/refused/{number}")[0] == 404
            for number in range(40):
                server.post(f"/visits/{number}")
            values = {level: server.get(f"/v1/counter/full/{level}")["value"] for level in counted}
            assert values == counted
            server.stop(signal.SIGKILL)
        os.truncate(data / "filler", 0)
        with serving(tmp_path, "--max-endpoints", "100") as server:
            assert {level: server.get(f"/v1/counter/full/{level}")["value"] for level in counted} == counted
            assert write("disk")[0] == write("keyed")[0] == 200
            server.stop()


@pytest.mark.parametrize("level", ["disk", "keyed"])
def test_a_refused_hit_is_never_counted_when_a_sync_failed(tmp_path, failing_sync, level):
    environment, fails = failing_sync
    headers = {"prefer": "durability=disk"}
    counted = 0
    for number in range(2):
        with serving(tmp_path, "--max-endpoints", "16", environment=environment) as server:
            assert server.ask("GET", "/v1/counter/sync/x")[0] == (200 if counted else 404)
            for attempt in range(6):
                if level == "keyed":
                    headers["idempotency_key"] = f"{number}-{attempt}"
                if attempt % 3 == 2:
                    fails.write_text(f"{1 + number % 2}     ")
                code, _, document = send(server, "/v1/counter/sync/x/increment", **headers)
                assert code == (507 if attempt % 3 == 2 else 200), document
                counted += code == 200
                if code == 200:
                    assert document["value"] == counted
            server.stop(signal.SIGKILL)
    with serving(tmp_path, "--max-endpoints", "16") as server:
        assert server.get("/v1/counter/sync/x")["value"] == counted == 8
        if level == "keyed":
            # A key that was refused is not known, and one that was done is.
            code, answered, document = send(server, "/v1/counter/sync/x/increment", idempotency_key="0-2")
            assert (code, answered["idempotency-replayed"], document["value"]) == (200, None, 9)
            assert (
                send(server, "/v1/counter/sync/x/increment", idempotency_key="0-1")[1]["idempotency-replayed"] == "true"
            )


FAKETIME = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
def test_clock_steps_count_nothing_twice(tmp_path):
    stamp = tmp_path / "clock"
    stamp.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    acknowledged = dict.fromkeys(("process", "disk", "keyed"), 0)
    refused = 0
    with serving(tmp_path, "--max-endpoints", "40", environment=environment) as server:
        for step in ("+0", "-3600", "+3600", "-30", "+86400", "-86400", "+0"):
            stamp.write_text(f"{step}\n")
            for _ in range(10):
                for level in acknowledged:
                    headers = {"disk": {"prefer": "durability=disk"}, "keyed": {"idempotency_key": str(uuid.uuid4())}}
                    path = f"/v1/counter/clock/{level}/increment"
                    code, _, document = send(server, path, **headers.get(level, {}))
                    assert code == 200 or (code, document["type"]) == (409, "urn:hitring:problem:late"), document
                    acknowledged[level] += code == 200
                    refused += code != 200
        first = send(server, "/visits/known", idempotency_key="before")
        stamp.write_text("+172800\n")
        again = send(server, "/visits/known", idempotency_key="before")
        assert again[1]["idempotency-replayed"] == "true" and again[2] == first[2]
        for _ in range(2):
            values = {level: server.get(f"/v1/counter/clock/{level}")["value"] for level in acknowledged}
            assert values == acknowledged
        server.stop(signal.SIGKILL)
    assert refused < sum(acknowledged.values())
    with serving(tmp_path, "--max-endpoints", "40") as server:
        assert {level: server.get(f"/v1/counter/clock/{level}")["value"] for level in acknowledged} == acknowledged


def test_a_beginning_on_the_disk_survives_the_ring(tmp_path):
    """Hits on the disk are there after the ring was lost, and removed ones are not."""
    with serving(tmp_path, "--max-endpoints", "16") as server:
        for name in ("kept", "gone"):
            for _ in range(3):
                send(server, "/hits", {"resource_id": name}, prefer="durability=disk")
        assert server.ask("DELETE", "/resources/gone")[0] == 204
        send(server, "/hits", {"resource_id": "gone", "count": 7}, prefer="durability=disk")
        server.stop()
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "data" / "hits.ring").unlink()
    with serving(tmp_path, "--max-endpoints", "16", "--new-ring") as server:
        assert [server.get(f"/hits/{name}")["count"] for name in ("kept", "gone")] == [3, 7]
