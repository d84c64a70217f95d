"""Services of several workers count each request that they answer once, whatever becomes of the workers.

The services are the recipes of docs/python.md, run by gunicorn and uvicorn. Clients note what was answered. A request
whose connection broke may have been counted or not, so what is counted lies between those answered and those sent.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time

import pytest

import recipes
from hitring import SharedRegistry, labelled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are shared on Linux only")

SERVERS = {"gunicorn": "gunicorn, Flask, four workers", "uvicorn": "uvicorn, FastAPI, two workers"}
WORKERS = {"gunicorn": 4, "uvicorn": 2}
ROUTES = {"gunicorn": "/users/<int:user>", "uvicorn": "/users/{user}"}
JUDGE = pathlib.Path(__file__).parents[4] / "shared/judges/j_metrics.py"


class Service:
    """A recipe as its command runs it, on a free port, with its counts in a file."""

    def __init__(self, server, folder):
        pytest.importorskip(server)
        ((self.command, _),) = recipes.write(SERVERS[server], folder)
        self.server, self.folder, self.hits = server, folder, folder / "hits.ring"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = self.command.replace("8000", str(self.port))
        if server == "uvicorn":
            # On a busy machine five seconds are too few for a worker to begin, and those that wait hold up the end.
            self.command += " --timeout-worker-healthcheck 60 --timeout-graceful-shutdown 5"
        self.start()

    def start(self):
        environment = {
            **os.environ,
            "HITS": str(self.hits),
            "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        }
        with (self.folder / "server.log").open("ab") as log:
            # Its own group, so that a test can end it with its workers.
            self.process = subprocess.Popen(
                self.command.split(), cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.wait(lambda: len(self.workers()) == WORKERS[self.server] and self.answers())

    def wait(self, is_so, seconds=60):
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end and self.process.poll() is None, (self.folder / "server.log").read_text()
            time.sleep(0.05)

    def answers(self):
        with contextlib.suppress(OSError):
            return self.ask("/metrics")[0] == 200

    def workers(self):
        """The processes that answer, by their id."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        # uvicorn also starts a process that tracks resources.
        return [int(child) for child in children if "resource_tracker" not in _command(child)]

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def end(self, number=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            raise

    def counted(self):
        """The requests of users that were counted, read by a process that is not one of the workers."""
        name = labelled("http", method="GET", route=ROUTES[self.server], status=200)
        return SharedRegistry(self.hits, mode="read").total_ever(name)


def _command(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    return ""


class Load:
    """Clients that ask again and again until the block ends, and note what became of it."""

    def __init__(self, service, clients=6):
        self.service = service
        self.answered = self.broken = 0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(client,)) for client in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def run(self, client):
        connection = None
        asked = 0
        while not self.is_over.is_set():
            asked += 1
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=10)
                    connection.connect()
                connection.request("GET", f"/users/{client * 1_000_000 + asked}")
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
            except ConnectionRefusedError:
                connection.close()
                connection = None
                time.sleep(0.01)
            except (OSError, http.client.HTTPException):
                with self.lock:
                    self.broken += 1
                connection.close()
                connection = None
            else:
                with self.lock:
                    self.answered += 1
        if connection is not None:
            connection.close()

    def reach(self, more):
        """Wait for so many more answers."""
        end = self.answered + more
        self.service.wait(lambda: self.answered >= end)


@pytest.fixture(params=SERVERS)
def service(request, tmp_path):
    service = Service(request.param, tmp_path)
    yield service
    service.end(signal.SIGKILL)


def test_every_worker_tells_the_sum_of_all(service):
    with Load(service) as load:
        # Without TCP_NODELAY an answer of uvicorn's workers takes 40 ms.
        load.reach(1_500 if service.server == "gunicorn" else 300)
    assert load.broken == 0
    assert service.counted() == load.answered
    name = "http_hits_total"
    for _ in range(12):
        status, page = service.ask("/metrics")
        assert status == 200
        (told,) = re.findall(
            rf'^{name}{{method="GET",route="{re.escape(ROUTES[service.server])}",status="200"}} (\d+)$',
            page,
            re.MULTILINE,
        )
        assert int(told) == load.answered
    hits = json.loads(service.ask("/hits" if service.server == "gunicorn" else "/hits/")[1])
    assert hits["hits"] == load.answered, "neither the page nor the metrics are counted"


def test_the_page_of_metrics_is_judged(service, tmp_path):
    if not JUDGE.exists() or shutil.which("promtool") is None:
        pytest.skip("no judge of pages for Prometheus here")
    name = labelled("http_hits_total", method="GET", route=ROUTES[service.server], status=200)
    for asked in (1, 2):
        assert service.ask("/users/1")[0] == 200
        (tmp_path / f"{asked}.txt").write_text(service.ask("/metrics")[1])
    ran = subprocess.run(
        [sys.executable, JUDGE, tmp_path / "1.txt", tmp_path / "2.txt"],
        env={**os.environ, "EXPECT": f"{name}=1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0 and " 0 failed" in ran.stdout, ran.stdout + ran.stderr


def test_workers_are_restarted_reloaded_and_killed_and_nothing_is_lost(service):
    with Load(service) as load:
        load.reach(50)
        for number in (signal.SIGTERM, signal.SIGKILL):
            before = service.workers()
            os.kill(before[0], number)
            service.wait(lambda before=before: len(set(service.workers()) - {before[0]}) == WORKERS[service.server])
            load.reach(50)
        # All of them anew.
        before = service.workers()
        service.process.send_signal(signal.SIGHUP)
        service.wait(
            lambda: not set(before) & set(service.workers()) and len(service.workers()) == WORKERS[service.server]
        )
        load.reach(50)
        # All of them at once, and then the one that started them as well.
        for worker in service.workers():
            os.kill(worker, signal.SIGKILL)
        load.reach(50)
        service.end(signal.SIGKILL)
        service.start()
        load.reach(50)
        service.end()
        service.start()
        load.reach(50)
    assert load.answered <= service.counted() <= load.answered + load.broken
    # Nothing that is over changes what is asked for now.
    counted = service.counted()
    assert service.ask("/users/1")[0] == 200
    assert service.counted() == counted + 1
