"""Whether an installed hitring works at all: for every wheel on every Python that it is offered to.

Run with the Python that has hitring installed. Needs nothing else, and no file of the repository but this one.
"""

import json
import logging
import os
import pathlib
import pickle
import queue
import subprocess
import sys
import sysconfig
import tempfile
import threading
import urllib.request

import hitring
from hitring.asgi import HitMiddleware as Asgi
from hitring.logging import HitHandler
from hitring.wsgi import HitMiddleware as Wsgi
from hitring.wsgi import HitsPage, LimitMiddleware

LOG = """\
192.0.2.1 - - [01/Jul/1995:00:00:01 -0400] "GET / HTTP/1.0" 200 6245
192.0.2.2 - - [01/Jul/1995:00:00:06 -0400] "GET / HTTP/1.0" 200 6245
192.0.2.1 - - [01/Jul/1995:00:00:09 -0400] "GET /images/ HTTP/1.0" 200 4085
not a line of a log
"""


def count_as_leetcode_does() -> None:
    counter = hitring.HitCounter()
    for timestamp in (1, 2, 3):
        counter.hit(timestamp)
    assert counter.getHits(4) == 3
    counter.hit(300)
    assert counter.getHits(300) == 4
    assert counter.getHits(301) == 3


def count_from_threads() -> None:
    clock = hitring.ManualClock(1_000)
    counter = hitring.HitCounter(clock=clock)

    def record() -> None:
        for _ in range(10_000):
            counter.record()

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.count() == 40_000
    assert pickle.loads(pickle.dumps(counter)).count_at(1_000) == 40_000


def count_by_endpoint() -> None:
    told = queue.Queue()
    registry = hitring.Registry(strategy="adaptive", clock=hitring.ManualClock(1_000))
    with registry.subscribe(lambda name, fields: told.put((name, fields["endpoint"])), "hit_recorded"):
        assert registry.record_hit("/home", None, 2) is hitring.Outcome.COUNTED
        assert told.get(timeout=10) == ("hit_recorded", "/home")
    registry.swap_strategy(hitring.Strategy.morris(base=2))
    assert registry.counter("/home").count() == 2
    other = hitring.Registry(clock=hitring.ManualClock(1_000))
    for _ in range(2):
        other.merge(registry.snapshot())
    assert other.top(1) == [("/home", 2)]
    assert other.metrics().endpoints_count == len(other) == 1


def sketch() -> None:
    one, two = hitring.HyperLogLog(), hitring.HyperLogLog()
    one.update(["a", "b", b"b"])
    two.merge(one.to_redis())
    assert (one.count(), two.count()) == (2, 2)
    web, other = hitring.GCounter("web-1"), hitring.GCounter("web-2")
    web.record(5)
    for _ in range(2):
        other.merge(web.to_bytes())
    assert other.count() == 5
    top, sample, tagged = hitring.TopK(3), hitring.Reservoir(3, seed=1), hitring.BottomK(3, seed=1)
    for item in "abracadabra":
        top.add(item)
        sample.add(item)
        tagged.add(item)
    assert top.items()[0][0] == "a"
    assert len(sample.items()) == len(pickle.loads(pickle.dumps(tagged)).items()) == 3
    about = hitring.Morris(error=0.01, seed=1)
    about.record(100_000)
    assert 90_000 < about.estimate() < 110_000


def count_requests_and_records() -> None:
    registry = hitring.Registry()
    limiter = hitring.KeyedLimiter("1/hour")
    answers = []
    app = Wsgi(LimitMiddleware(HitsPage(registry), limiter), registry, status=True)
    for _ in range(2):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "REMOTE_ADDR": "2001:db8::1"}
        app(environ, lambda status, _: answers.append(status))
    assert [answer[:3] for answer in answers] == ["200", "429"]

    async def raises(*_):
        raise KeyError

    try:
        Asgi(raises, registry, status=True)({"type": "http", "method": "GET", "path": "/"}, None, None).send(None)
    except KeyError:
        answers.append("500")
    logger = logging.Logger("smoke")
    logger.addHandler(HitHandler(registry))
    logger.error("one")
    assert len(answers) == 3
    assert dict(registry.top(9)) == {
        'http{route="(unmatched)",status="200"}': 1,
        'http{route="(limited)",status="429"}': 1,
        'http{route="(unmatched)",status="500"}': 1,
        'log{level="ERROR",logger="smoke"}': 1,
    }


def replay_a_log() -> None:
    program = pathlib.Path(sysconfig.get_path("scripts"), "hitring" + (".exe" if os.name == "nt" else ""))
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "access.log")
        log.write_text(LOG)
        said = json.loads(subprocess.check_output([str(program), "replay", "--json", str(log)]))
    assert (said["lines"], said["malformed"], said["events"]) == (4, 1, 3), said
    assert said["top"][0] == {"path": "/", "hits": 2, "unique_clients": 2}, said
    missing = subprocess.run([str(program), "replay", "no such file"], stderr=subprocess.PIPE)
    assert missing.returncode != 0 and len(missing.stderr.splitlines()) == 1, missing


def serve() -> None:
    if sys.platform != "linux":
        return
    program = pathlib.Path(sysconfig.get_path("scripts"), "hitring")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(program), "serve", "--listen", "127.0.0.1:0", "--data", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            url = server.stdout.readline().split()[-1]
            for visits in (1, 2):
                with urllib.request.urlopen(urllib.request.Request(url + "/visits/home", method="POST")) as answer:
                    assert json.load(answer) == {"visits": visits, "served_via": "in_memory"}
            server.terminate()
            assert server.wait(30) == 0


def keep_the_gil_off() -> None:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()


if __name__ == "__main__":
    for check in (
        count_as_leetcode_does,
        count_from_threads,
        count_by_endpoint,
        sketch,
        count_requests_and_records,
        replay_a_log,
        serve,
        keep_the_gil_off,
    ):
        check()
        print("ok:", check.__name__.replace("_", " "))
    print(f"hitring {hitring.__version__} works on {sys.version.split()[0]}, {sysconfig.get_platform()}")
