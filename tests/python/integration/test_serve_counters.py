"""Counters that are set and removed: what is answered, beside clients that count, and after kills."""

import http.client
import json
import random
import signal
import sys
import threading

import pytest

from serving import ask, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


def put(server, path, value, headers=None):
    code, given, document = server.ask("PUT", path, json.dumps({"value": value}), headers)
    return code, given, document


def test_a_counter_is_set_counts_on_and_is_removed(tmp_path):
    path = "/v1/counter/likes/a%2Fb"
    with serving(tmp_path, "--max-endpoints", "64") as server:
        assert server.ask("DELETE", path)[0] == 404
        for _ in range(3):
            server.post(f"{path}/increment")
        code, headers, document = put(server, path, 100, {"prefer": "durability=disk"})
        assert (code, document) == (200, {"type": "likes", "id": "a/b", "value": 100})
        assert headers["preference-applied"] == "durability=disk"
        assert server.post(f"{path}/increment", {"amount": 5})["value"] == 105
        assert server.get(path)["value"] == 105
        # The hits stay hits: eight of them.
        assert server.get("/v1/hits/counter%2Flikes%2Fa%2Fb")["count"] == 8
        assert put(server, path, 0)[0] == 200
        assert put(server, "/v1/counter/likes/new", 2**53 - 1)[2]["value"] == 2**53 - 1
        assert server.stop(signal.SIGKILL)
    with serving(tmp_path) as server:
        assert (server.get(path)["value"], server.get("/v1/counter/likes/new")["value"]) == (0, 2**53 - 1)
        assert server.post(f"{path}/increment")["value"] == 1
        assert server.ask("DELETE", path)[:1] == (204,)
        assert server.ask("GET", path)[0] == server.ask("DELETE", path)[0] == 404
        assert server.post(f"{path}/increment")["value"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"value": 1e3}', 200),
        ('{"value": 7.0}', 200),
        ('{"value": -1}', 400),
        ('{"value": 0.5}', 400),
        ('{"value": 9007199254740992}', 400),
        ('{"value": "1"}', 400),
        ('{"value": null}', 400),
        ('{"value": 1, "amount": 1}', 400),
        ("{}", 400),
        ("[1]", 400),
        ("", 400),
    ],
)
def test_what_a_counter_is_set_to_is_checked(tmp_path, body, code):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        found, _, document = server.ask("PUT", "/v1/counter/a/b", body)
        assert found == code, document
        assert server.ask("GET", "/v1/counter/a/b")[0] == (200 if code == 200 else 404)
        assert server.ask("PUT", "/v1/counter/a/b", "{}", {"content-type": "text/plain"})[0] == 415
        assert server.ask("PUT", "/v1/counter/a%20b/c", '{"value": 1}')[0] == 400


def test_a_set_with_a_key_is_done_once(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        path, key = "/v1/counter/a/b", {"idempotency-key": "one"}
        for replayed in (None, "true"):
            code, headers, document = put(server, path, 50, key)
            assert (code, document["value"], headers["idempotency-replayed"]) == (200, 50, replayed)
            server.post(f"{path}/increment")
        assert server.get(path)["value"] == 52
        assert put(server, path, 51, key)[0] == 422
        for replayed in (None, "true"):
            code, headers, _ = server.ask("DELETE", path, None, {"idempotency-key": "two"})
            assert (code, headers["idempotency-replayed"]) == (204, replayed)
            assert server.post(f"{path}/increment")["value"] == (1 if replayed is None else 2)


class Hitter(threading.Thread):
    """Counts, and notes the values that it was answered."""

    def __init__(self, server, path, keyed):
        super().__init__(daemon=True)
        self.server, self.path, self.keyed = server, path, keyed
        self.begun, self.values = 0, []
        self.ended = threading.Event()

    def run(self):
        connection = self.server.connect()
        while not self.ended.is_set():
            self.begun += 1
            headers = {"idempotency-key": f"{id(self)}-{self.begun}"} if self.keyed else {}
            status, _, document = ask(connection, "POST", f"{self.path}/increment", None, headers)
            assert status == 200, document
            self.values.append(document["value"])
        connection.close()


def test_a_set_beside_hitters_has_all_hits_that_came_after_it(tmp_path):
    path = "/v1/counter/busy/x"
    with serving(tmp_path, "--max-endpoints", "64") as server:
        hitters = [Hitter(server, path, keyed) for keyed in (False, False, True)]
        for hitter in hitters:
            hitter.start()
        try:
            for number in range(60):
                base = random.choice([0, 1_000, 1 << 40]) + number
                acknowledged = sum(len(hitter.values) for hitter in hitters)
                assert put(server, path, base)[2]["value"] == base
                after = sum(len(hitter.values) for hitter in hitters)
                value = server.get(path)["value"]
                begun = sum(hitter.begun for hitter in hitters)
                # Those that were acknowledged since, at least, and those that were sent since the set was, at most.
                assert base <= value <= base + begun - acknowledged
                values = server.get(path)["value"]
                assert values >= value
                later = sum(len(hitter.values) for hitter in hitters)
                assert server.get(path)["value"] >= base + later - after
        finally:
            for hitter in hitters:
                hitter.ended.set()
                hitter.join(30)
        # Quiet: exactly.
        put(server, path, 7)
        for hits in range(1, 4):
            assert server.post(f"{path}/increment")["value"] == 7 + hits
        # Each was counted, whatever was set.
        assert server.get("/v1/hits/counter%2Fbusy%2Fx")["count"] == sum(hitter.begun for hitter in hitters) + 3


def test_sets_and_removals_survive_kills_at_any_time(tmp_path):
    # The last that was acknowledged, or the one that was sent and not.
    known, unsure = {}, {}
    for number in range(20):
        with serving(tmp_path, "--max-endpoints", "2000") as server:
            for name, value in {**known, **unsure}.items():
                code, _, document = server.ask("GET", f"/v1/counter/kill/{name}")
                found = document["value"] if code == 200 else None
                possible = [known.get(name), unsure.get(name, known.get(name))]
                # One that was to be made is in the ring before its value is in the database.
                possible += [0] if name in unsure and known.get(name) is None else []
                assert found in possible, (number, name, value)
                known[name] = found
            unsure = {}
            timer = threading.Timer(random.uniform(0, 0.15), server.process.kill)
            timer.start()
            connection = server.connect()
            try:
                while True:
                    name, value = random.choice("abcdef"), random.choice([None, random.randrange(1_000)])
                    unsure = {name: value}
                    path = f"/v1/counter/kill/{name}"
                    if value is None:
                        code, _, document = ask(connection, "DELETE", path)
                        assert code in (204, 404), document
                    else:
                        code, _, document = ask(connection, "PUT", path, json.dumps({"value": value}))
                        assert code == 200, document
                    known[name], unsure = value, {}
            except (OSError, http.client.HTTPException):
                # The server was killed.
                pass
            finally:
                timer.join()
                connection.close()
