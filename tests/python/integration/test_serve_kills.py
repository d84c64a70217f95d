"""Whatever kills the server: acknowledged <= counted <= sent, by the logs of the clients themselves.

`HITRING_SERVER_KILLS` is how often it is killed (20).
"""

import json
import os
import random
import signal
import sys
import time

import pytest

from serving import Client, serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")

ROUNDS = int(os.environ.get("HITRING_SERVER_KILLS", "20"))
# A round in which fewer hits are acknowledged would prove nothing.
LEAST = 1_000


def by_page(name):
    return "POST", f"/visits/{name}", None


def by_hit(name):
    return "POST", "/hits", json.dumps({"resource_id": name})


def by_counter(name):
    return "POST", f"/v1/counter/kill/{name}/increment", json.dumps({"amount": 1})


def test_acknowledged_hits_are_counted_and_nothing_twice(tmp_path):
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    ways = [by_page, by_hit, by_counter]
    clients = [Client(f"name-{index}", ways[index % len(ways)]) for index in range(6)]
    for client in clients:
        client.start()
    acknowledged = 0
    for number in range(ROUNDS):
        with serving(tmp_path, "--window", "100000", "--max-endpoints", "16") as server:
            for client in clients:
                client.address = server.address
            patience = time.monotonic() + 60
            while sum(client.acknowledged for client in clients) < acknowledged + LEAST:
                assert time.monotonic() < patience, (seed, number)
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 0.3))
            gentle = draw.random() < 0.25
            code = server.stop(signal.SIGTERM if gentle else signal.SIGKILL)
            assert code == (0 if gentle else -signal.SIGKILL), (seed, number)
            for client in clients:
                client.address = None
        acknowledged = sum(client.acknowledged for client in clients)
    for client in clients:
        client.ended.set()
        client.join(30)
    with serving(tmp_path, "--window", "100000", "--max-endpoints", "16") as server:
        paths = {
            by_page: ("/visits/{}", "visits"),
            by_hit: ("/hits/{}", "count"),
            by_counter: ("/v1/counter/kill/{}", "value"),
        }
        for client in clients:
            path, field = paths[client.send]
            counted = server.get(path.format(client.name_of_hits))[field]
            assert client.acknowledged <= counted <= client.sent, (seed, client.name_of_hits)
