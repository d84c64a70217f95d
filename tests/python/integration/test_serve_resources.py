"""Resources: made, listed, hit and removed; what a kill leaves of them; a queue that is full."""

import contextlib
import datetime
import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time
import urllib.parse

import pytest

from serving import ask, fill, rest, serving, small_disk, status, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("resources"), "--max-endpoints", "4000") as server:
        yield server


def make(server, name="a page"):
    """Make a resource, and return its id."""
    return server.post("/resources", {"name": name}, 201)["resource_id"]


def listed(server, page=1000):
    """Return all resources by id, read a page at a time."""
    found, after = [], None
    while True:
        query = {"limit": page} if after is None else {"limit": page, "after": after}
        answer = server.get(f"/resources?{urllib.parse.urlencode(query)}")
        assert len(answer["resources"]) <= page
        found += answer["resources"]
        after = answer["next"]
        if after is None:
            assert [one["resource_id"] for one in found] == sorted(one["resource_id"] for one in found)
            return {one["resource_id"]: one for one in found}
        assert after == found[-1]["resource_id"]


def problem(server, method, path, body=None):
    code, _, document = server.ask(method, path, None if body is None else json.dumps(body))
    assert document["status"] == code
    return code, document["type"].rsplit(":", 1)[1]


def test_a_resource_is_made_hit_and_removed(server):
    before = datetime.datetime.now(datetime.timezone.utc)
    code, headers, made = server.ask("POST", "/resources", json.dumps({"name": "My page"}))
    assert code == 201 and sorted(made) == ["created_at", "name", "resource_id"]
    assert headers["location"] == f"/resources/{made['resource_id']}"
    created = datetime.datetime.fromisoformat(made["created_at"].replace("Z", "+00:00"))
    assert abs((created - before).total_seconds()) < 5
    assert server.get(headers["location"]) == made and listed(server)[made["resource_id"]] == made
    hits = f"/hits/{made['resource_id']}"
    answer = server.get(hits)
    assert (answer["count"], answer["period"]["exact"]) == (0, True)
    server.post("/hits", {"resource_id": made["resource_id"], "count": 7}, 202)
    assert server.get(hits)["count"] == 7

    code, headers, nothing = server.ask("DELETE", f"/resources/{made['resource_id']}")
    assert (code, nothing, headers["content-type"], headers["content-length"]) == (204, None, None, None)
    for method, path in [("DELETE", "/resources/"), ("GET", "/resources/"), ("GET", "/hits/")]:
        assert problem(server, method, path + made["resource_id"]) == (404, "unknown")
    assert made["resource_id"] not in listed(server)


def test_resources_that_their_first_hit_made(server):
    made = make(server)
    for name in ["first/hit", "\u00fc", "0"]:
        path = urllib.parse.quote(name, safe="")
        assert problem(server, "GET", f"/resources/{path}") == (404, "unknown")
        server.post("/hits", {"resource_id": name}, 202)
        found = server.get(f"/resources/{path}")
        assert found == {"resource_id": name, "name": name, "created_at": None} == listed(server)[name]
        assert server.ask("DELETE", f"/resources/{path}")[0] == 204
        assert problem(server, "DELETE", f"/resources/{path}") == (404, "unknown")
        # Its next hit makes it again, from 0 on.
        server.post("/hits", {"resource_id": name}, 202)
        assert server.get(f"/hits/{path}")["count"] == 1
    pages = [listed(server, page) for page in (1, 2, 3, 1000)]
    assert all(page == pages[0] for page in pages)
    assert pages[0][made]["name"] == "a page"


def test_wrong_requests(server):
    for body in [{}, {"name": ""}, {"name": "x" * 201}, {"name": 1}, {"name": None}, {"name": "x", "id": "y"}, []]:
        assert problem(server, "POST", "/resources", body) == (400, "schema"), body
    for name in ["x", "\U0001f522" * 200]:
        assert server.post("/resources", {"name": name}, 201)["name"] == name
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "after=",
        "n=1",
        "limit=1&limit=2",
        "after=" + "x" * 1001,
    ]:
        assert problem(server, "GET", f"/resources?{query}") == (400, "schema"), query
    assert problem(server, "DELETE", "/resources") == (405, "method")
    code, headers, _ = server.ask("PUT", "/resources/x", "{}")
    assert code == 405 and {name.strip() for name in headers["allow"].split(",")} == {"GET", "HEAD", "DELETE"}
    assert problem(server, "DELETE", "/resources/" + "x" * 1001) == (400, "schema")


def test_without_auto_create_hits_make_nothing(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16", "--auto-create", "false") as server:
        hit = {"resource_id": "unknown", "visitor": "ann"}
        assert problem(server, "POST", "/hits", hit) == (404, "unknown")
        assert problem(server, "GET", "/resources/unknown") == (404, "unknown")
        made = make(server)
        now = int(time.time())
        for more in [{}, {"visitor": "ann"}, {"timestamp": now}, {"timestamp": now - 5, "visitor": "bob", "count": 4}]:
            server.post("/hits", {"resource_id": made, **more}, 202)
        assert server.get(f"/hits/{made}")["count"] == 7
        assert problem(server, "POST", "/hits", {"resource_id": made, "timestamp": now + 999}) == (409, "future")
        # Pages and counters are not resources.
        assert server.post("/visits/home")["visits"] == 1
        assert server.ask("DELETE", f"/resources/{made}")[0] == 204
        assert problem(server, "POST", "/hits", {"resource_id": made}) == (404, "unknown")
        assert listed(server) == {}


def test_a_hit_beside_a_removal_makes_nothing(tmp_path):
    """Without auto_create a resource that was removed stays away, whatever was on its way."""
    with serving(tmp_path, "--max-endpoints", "2000", "--auto-create", "false", "--workers", "2") as server:
        for _ in range(30):
            made, ended = make(server), threading.Event()

            def hit(made=made, ended=ended):
                connection = server.connect()
                while not ended.is_set():
                    code, _, _ = ask(connection, "POST", "/hits", json.dumps({"resource_id": made}))
                    assert code in (202, 404)
                connection.close()

            hitters = [threading.Thread(target=hit) for _ in range(3)]
            for hitter in hitters:
                hitter.start()
            time.sleep(0.01)
            assert server.ask("DELETE", f"/resources/{made}")[0] == 204
            ended.set()
            for hitter in hitters:
                hitter.join(30)
            assert problem(server, "GET", f"/hits/{made}") == (404, "unknown")
        assert listed(server) == {}


def test_a_resource_is_seen_whole_or_not_at_all(tmp_path):
    """A reader does not find a nameless resource while resources are made and removed."""
    with serving(tmp_path, "--max-endpoints", "6000", "--auto-create", "false") as server:
        ended, made, wrong = threading.Event(), [make(server)], []

        def look():
            while not ended.is_set():
                current = made[-1]
                code, _, found = server.ask("GET", f"/resources/{current}")
                wrong.extend([found] if code == 200 and found["name"] != "a page" else [])

        def read():
            while not ended.is_set():
                wrong.extend(one for one in server.get("/resources")["resources"] if one["created_at"] is None)

        readers = [threading.Thread(target=work) for work in (look, read)]
        for reader in readers:
            reader.start()
        for _ in range(500):
            assert server.ask("DELETE", f"/resources/{made[-1]}")[0] == 204
            made.append(make(server))
        ended.set()
        for reader in readers:
            reader.join(30)
        assert wrong == []
        # Later ones have higher ids.
        assert made == sorted(made)


def test_a_ring_without_room_makes_no_resource(tmp_path):
    with serving(tmp_path, "--max-endpoints", "2") as server:
        made = [make(server), make(server)]
        assert problem(server, "POST", "/resources", {"name": "third"}) == (507, "full")
        assert sorted(listed(server)) == made
        server.post("/hits", {"resource_id": made[1]}, 202)


def test_the_database_reads_as_a_manual(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        made = make(server, "My page")
        # Beside the server, as the shell `sqlite3` does it.
        database = sqlite3.connect(f"file:{tmp_path / 'data' / 'hitring.db'}?mode=ro", uri=True)
        assert database.execute("SELECT id, name FROM resource").fetchall() == [(made, "My page")]
        assert database.execute("PRAGMA application_id").fetchone() == (0x48495452,)
        schema = [sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")]
        assert len(schema) == 7 and all("    -- " in sql for sql in schema)
        database.close()
        assert server.stop() == 0
    # The log is in the file, and gone.
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert names == ["hitring.db", "hits.ring", "lock"]


def test_a_full_queue_refuses_with_a_time_and_does_nothing(tmp_path):
    many = 6_000
    with serving(tmp_path, "--max-endpoints", "8000") as server, contextlib.ExitStack() as closes:
        locker = sqlite3.connect(tmp_path / "data" / "hitring.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        body = json.dumps({"name": "x"}).encode()
        request = (
            b"POST /resources HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(body), body)
        )
        opened = [closes.enter_context(server.open()) for _ in range(many)]
        for one in opened:
            one.sendall(request)
        # Hits do not wait for the database.
        assert server.post("/visits/home")["visits"] == 1
        locker.execute("ROLLBACK")
        took = time.monotonic() - begun
        answers = [rest(one) for one in opened]
        made = sum(status(answer) == 201 for answer in answers)
        refused = [answer for answer in answers if status(answer) != 201]
        assert all(status(answer) == 503 and b"\r\nretry-after: 1\r\n" in answer for answer in refused)
        # What the queue holds, and the one or the thousand that the thread had taken. After 5 seconds it gives up.
        assert made <= 4_096 + 1_024 and made + len(refused) == many
        assert made > 4_096 or took > 4
        assert locker.execute("SELECT count(*) FROM resource").fetchone() == (made,)
        locker.close()


def test_another_process_with_the_lock_is_told(tmp_path):
    with serving(tmp_path, "--max-endpoints", "16") as server:
        locker = sqlite3.connect(tmp_path / "data" / "hitring.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        code, headers, document = server.ask("POST", "/resources", '{"name": "x"}')
        assert (code, headers["retry-after"]) == (503, "1") and "sqlite3" in document["detail"]
        locker.execute("ROLLBACK")
        make(server)
        locker.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
def test_a_full_disk_is_told_and_nothing_is_made(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with small_disk(data, "4m") as filler:
        with serving(tmp_path, "--max-endpoints", "100") as server:
            made = make(server)
            fill(filler)
            assert problem(server, "POST", "/resources", {"name": "x"}) == (507, "disk")
            assert problem(server, "DELETE", f"/resources/{made}") == (507, "disk")
            ready = server.get("/ready")
            assert ready["status"] == "degraded" and "disk is full" in ready["reasons"][0]
            # Hits need no room.
            for path in ("/visits/home", "/v1/counter/a/b/increment"):
                server.post(path)
            server.post("/hits", {"resource_id": made}, 202)
            os.truncate(data / "filler", 0)
            more = make(server)
            assert set(listed(server)) == {made, more}
            os.truncate(data / "filler", 1 << 12)
            server.stop(signal.SIGKILL)
        with serving(tmp_path, "--max-endpoints", "100") as server:
            assert set(listed(server)) == {made, more}
            assert (server.get(f"/hits/{made}")["count"], server.get(f"/hits/{more}")["count"]) == (1, 0)
            server.stop()


class Maker(threading.Thread):
    """Makes, hits and removes resources until it is told to stop, and keeps a log of its own."""

    def __init__(self, seed):
        super().__init__(daemon=True)
        self.draw = random.Random(seed)
        self.address = None
        self.ended = threading.Event()
        # By id: the hits that were sent and acknowledged.
        self.alive = {}
        self.removed = set()
        # Those whose removal was sent and not answered.
        self.unsure = set()
        self.unanswered = 0
        self.done = 0

    def run(self):
        while not self.ended.is_set():
            server = self.address
            if server is None:
                self.ended.wait(0.001)
                continue
            try:
                self.step(server)
                self.done += 1
            except OSError:
                self.ended.wait(0.001)

    def step(self, server):
        act = self.draw.random()
        if act < 0.3 or not self.alive:
            self.unanswered += 1
            made = make(server)
            self.unanswered -= 1
            self.alive[made] = [0, 0]
            return
        chosen = self.draw.choice(sorted(self.alive))
        hits = self.alive[chosen]
        if act < 0.8:
            hits[0] += 1
            server.post("/hits", {"resource_id": chosen}, 202)
            hits[1] += 1
            return
        self.unsure.add(chosen)
        del self.alive[chosen]
        code, _, document = server.ask("DELETE", f"/resources/{chosen}")
        assert code == 204, document
        self.unsure.remove(chosen)
        self.removed.add(chosen)


def test_kills_bring_nothing_back_and_lose_nothing(tmp_path):
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    makers = [Maker(seed + number) for number in range(4)]
    options = ("--window", "100000", "--max-endpoints", "3000", "--auto-create", "false")
    for maker in makers:
        maker.start()
    for number in range(20):
        with serving(tmp_path, *options) as server:
            done = sum(maker.done for maker in makers)
            for maker in makers:
                maker.address = server
            assert until(lambda done=done: sum(maker.done for maker in makers) > done + 20, 60), (seed, number)
            time.sleep(draw.uniform(0, 0.05))
            server.stop(signal.SIGKILL)
            for maker in makers:
                maker.address = None
    for maker in makers:
        maker.ended.set()
        maker.join(60)
        assert not maker.is_alive(), seed
    with serving(tmp_path, *options) as server:
        there = set(listed(server))
        for maker in makers:
            assert not there & maker.removed, seed
            assert set(maker.alive) <= there, seed
            for made, (sent, acknowledged) in maker.alive.items():
                assert acknowledged <= server.get(f"/hits/{made}")["count"] <= sent, (seed, made)
            for made in maker.removed:
                assert problem(server, "GET", f"/hits/{made}") == (404, "unknown"), seed
        # Beside those there are at most the ones whose making or removal was not answered.
        known = set().union(*(maker.alive for maker in makers))
        unsure = set().union(*(maker.unsure for maker in makers))
        assert len(there - known - unsure) <= sum(maker.unanswered for maker in makers), seed
        # Every one that the database has can be hit.
        for made in there:
            server.post("/hits", {"resource_id": made}, 202)
    assert sum(len(maker.removed) for maker in makers) > 50, seed
