"""`hitring serve` and clients that are slow, or never read, each beside a neighbour that is answered in time.

Slow clients are opened in fixtures and looked at in the last tests, so that their 30 seconds run side by side.
"""

import contextlib
import re
import resource
import select
import sys
import threading
import time
import types

import pytest

from serving import PROGRAM, neighbour, problem, request, rest, serving, status, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server needs Linux")

# How late a shared machine of two cores may notice what is due.
LATE = 6
# A server takes a connection before its client has noted that.
EARLY = 0.1
IDLE = 5_000
# What the kernel's buffers never take of one connection. A server that has read more than this reads on for ever.
MOST_SENT = 16 << 20


class Slow:
    """A client that takes its time: what it sends at first, then byte by byte, and what it was told."""

    def __init__(self, server, first=b"", drips=b"", receive=None):
        self.opened = time.monotonic()
        self.socket = server.open(receive)
        self.socket.setblocking(False)
        if first:
            assert self.socket.send(first) == len(first)
        self.drips = iter(drips)
        self.answer = bytearray()
        self.closed = None

    events = select.EPOLLIN | select.EPOLLRDHUP if sys.platform == "linux" else 0

    def ready(self, _):
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionError:
            part = b""
        if part:
            self.answer += part
        else:
            self.closed = time.monotonic()

    def every_second(self):
        drip = next(self.drips, None)
        if drip is not None:
            self.socket.send(bytes([drip]))


class Deaf(Slow):
    """A client that sends requests as fast as it can, and reads `reads` bytes a second."""

    events = select.EPOLLOUT | select.EPOLLRDHUP if sys.platform == "linux" else 0

    def __init__(self, server, page, reads):
        super().__init__(server, receive=4_096)
        self.page, self.reads = page, reads
        self.request = request(b"/visits/" + page.encode())
        # More than the kernel takes at once: a send need only know where in a request the last one ended.
        self.many = self.request * 2_000
        self.sent = 0
        self.last = self.opened

    def ready(self, events):
        if events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
            self.closed = time.monotonic()
        elif self.sent < MOST_SENT:
            try:
                self.sent += self.socket.send(self.many[self.sent % len(self.request) :])
                self.last = time.monotonic()
            except BlockingIOError:
                pass
            except ConnectionError:
                self.closed = time.monotonic()
        else:
            self.events = select.EPOLLRDHUP

    def full(self):
        return self.closed or self.sent >= MOST_SENT or time.monotonic() - self.last > 1.5

    def every_second(self):
        if self.reads:
            self.answer += self.socket.recv(self.reads)


class Watcher(threading.Thread):
    """Lets slow clients be slow, notes when they are closed, and has their sockets until it ends."""

    def __init__(self):
        super().__init__(daemon=True)
        self.epoll = select.epoll()
        self.clients = {}
        self.all = []
        self.added = []
        self.ended = threading.Event()

    def watch(self, clients):
        self.all += clients
        self.added.append(clients)
        return clients

    def run(self):
        second = time.monotonic()
        while not self.ended.is_set():
            while self.added:
                for client in self.added.pop():
                    self.clients[client.socket.fileno()] = client
                    self.epoll.register(client.socket, client.events)
            for number, events in self.epoll.poll(0.05):
                client = self.clients[number]
                before = client.events
                client.ready(events)
                if client.closed:
                    self.forget(client)
                elif client.events != before:
                    self.epoll.modify(client.socket, client.events)
            if time.monotonic() - second >= 1:
                second += 1
                for client in list(self.clients.values()):
                    # One that was closed says so above.
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        client.every_second()

    def forget(self, client):
        self.epoll.unregister(client.socket)
        del self.clients[client.socket.fileno()]


@pytest.fixture(scope="module")
def watcher():
    watcher = Watcher()
    watcher.start()
    yield watcher
    watcher.ended.set()
    watcher.join(30)
    watcher.epoll.close()
    for client in watcher.all:
        client.socket.close()


def waited(clients):
    """Wait until all are closed, and return how long each was open."""
    assert until(lambda: all(client.closed for client in clients), 30 + 2 * LATE)
    return [client.closed - client.opened for client in clients]


@pytest.fixture(scope="module")
def many_descriptors():
    """Enough descriptors, if the system allows them, for the servers as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(hard, 2 * IDLE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (many, hard))
    yield many
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


HALF = {
    "of a head": b"POST /visits/half HTTP/1.1\r\nhost: x\r\n",
    "of a name of a header": b"POST /visits/half HTTP/1.1\r\nhos",
    "of a method": b"PO",
    "of nothing but empty lines": b"\r\n\r\n\r\n",
}
HALF_OF_BODY = {
    "of a length": request(b"/visits/half", b"content-type: application/json", b"content-length: 10", body=b'{"vis'),
    "of which nothing comes": request(b"/visits/half", b"content-type: application/json", b"content-length: 10"),
    "in chunks": request(
        b"/visits/half", b"content-type: application/json", b"transfer-encoding: chunked", body=b"1\r\n{\r\n5\r\n"
    ),
    "in a chunk of 16 EiB": request(b"/visits/half", b"transfer-encoding: chunked", body=b"ffffffffffffffff\r\n{}\r\n"),
}


@pytest.fixture(scope="module")
def slow(tmp_path_factory, watcher, many_descriptors):
    """All slow clients that do read, and 5,000 that do nothing."""
    slow = types.SimpleNamespace()
    # The rest is for this process itself.
    slow.number = min(IDLE, many_descriptors - 500)
    if slow.number < IDLE:
        print(f"the limit of descriptors is {many_descriptors}: {slow.number} idle connections, not {IDLE}")
    with serving(tmp_path_factory.mktemp("slow")) as server, neighbour(server) as beside:
        slow.server, slow.beside = server, beside
        for _ in range(300):
            server.get("/health")
        before = server.memory()
        slow.idle = []
        while len(slow.idle) < slow.number:
            slow.idle += watcher.watch([Slow(server) for _ in range(min(100, slow.number - len(slow.idle)))])
            # The listener's queue is short. A client that was answered has left it, and so have those before it.
            server.get("/health")
        slow.grown = server.memory() - before
        slow.answered = watcher.watch([Slow(server, request(b"/visits/answered")) for _ in range(5)])
        slow.heads = watcher.watch([Slow(server, half) for half in HALF.values()])
        drips = b"POST /visits/half HTTP/1.1\r\nhost: " + b"x" * 100
        slow.dripped_heads = watcher.watch([Slow(server, drips=drips) for _ in range(5)])
        slow.bodies = watcher.watch([Slow(server, half) for half in HALF_OF_BODY.values()])
        half = request(b"/visits/half", b"content-type: application/json", b"content-length: 1000")
        slow.dripped_bodies = watcher.watch([Slow(server, half, drips=b" " * 100) for _ in range(5)])
        yield slow


@pytest.fixture(scope="module")
def deaf(tmp_path_factory, watcher):
    """Clients that never read, and clients that read a byte a second."""
    deaf = types.SimpleNamespace()
    with serving(tmp_path_factory.mktemp("deaf")) as server, neighbour(server) as beside:
        deaf.server, deaf.beside = server, beside
        server.tell(request(b"/visits/warm") * 10_000 + request(b"/visits/warm", b"connection: close"))
        before = server.memory()
        deaf.never = watcher.watch([Deaf(server, f"never-{index}", reads=0) for index in range(2)])
        deaf.slowly = watcher.watch([Deaf(server, f"slowly-{index}", reads=1) for index in range(2)])
        deaf.all = deaf.never + deaf.slowly
        deaf.filled = until(lambda: all(client.full() for client in deaf.all), 30)
        deaf.grown = server.memory() - before
        yield deaf


def test_idle_connections_take_little_memory_and_do_not_disturb_others(slow):
    assert slow.server.descriptors() > slow.number
    slow.beside.check()
    assert slow.grown / slow.number < 12, "kB a connection"


def test_clients_that_do_not_read_do_not_disturb_others(deaf):
    assert deaf.filled
    deaf.beside.check()


def test_who_does_not_read_is_not_read_either(deaf):
    assert all(client.sent < MOST_SENT for client in deaf.all)
    assert deaf.grown < 4_096


# Clients that are fast.

MILLION = 1_000_000


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """A million visits, sent over one connection, whose answers are read when no more can be sent."""
    with serving(tmp_path_factory.mktemp("million")) as server, neighbour(server) as beside:
        many = request(b"/visits/x") * 1_000
        server.tell(many + request(b"/visits/x", b"connection: close"))
        before = server.get("/visits/x")["visits"]
        memory = most = server.memory()
        with server.open() as opened:
            sent = []

            def send():
                for _ in range(MILLION // 1_000):
                    opened.sendall(many)
                    sent.append(time.monotonic())

            sender = threading.Thread(target=send)
            sender.start()
            # By then all buffers are full, and the server's are as large as they get.
            assert until(lambda: not sender.is_alive() or (sent and time.monotonic() - sent[-1] > 1))
            visits, kept = [], b""
            while len(visits) < MILLION:
                most = max(most, server.memory())
                part = opened.recv(1 << 18)
                if not part:
                    break
                kept += part
                end = kept.rfind(b"}") + 1
                visits += map(int, re.findall(rb'{"visits":(\d+),', kept[:end]))
                kept = kept[end:]
            sender.join(30)
        beside.check()
        counted = server.get("/visits/x")["visits"] - before
        yield types.SimpleNamespace(before=before, visits=visits, rest=kept, counted=counted, grown=most - memory)


def test_a_million_requests_at_once_are_answered_and_counted(million):
    assert million.counted == len(million.visits) == MILLION
    # Each is counted once, and they are answered in their order.
    assert million.visits == list(range(million.before + 1, million.before + 1 + MILLION))
    assert million.rest == b""


def test_a_million_requests_at_once_take_little_memory(million):
    assert million.grown < 4_096


def test_large_answers_that_are_not_read_share_a_room(tmp_path):
    names, asking = 200, 400
    with serving(tmp_path, "--max-endpoints", "2000") as server, neighbour(server) as beside:
        for number in range(names):
            # Six characters of JSON each.
            server.post(f"/visits/{number}-{'%01' * 900}")
        large = request(b"/v1/top?n=1000&last=5m", method=b"GET")
        size = len(server.tell(request(b"/v1/top?n=1000", b"connection: close", method=b"GET")))
        assert size > 1_000_000
        before = server.memory()
        with contextlib.ExitStack() as opened:
            answers = []
            for _ in range(asking):
                client = opened.enter_context(server.open(4_096))
                client.sendall(large)
                # One after the other, so that few are refused for want of a turn.
                answers.append(client.recv(12))
                assert answers[-1] in (b"HTTP/1.1 200", b"HTTP/1.1 503")
            # Of those that were begun no more than 64 MiB wait to be read.
            begun = answers.count(b"HTTP/1.1 200")
            assert begun < asking and (64 << 20) // size <= begun, begun
            assert server.memory() - before < 100 << 10
            beside.check()
            # Small answers need no room.
            assert server.get("/v1/top?n=1")["top"]
        # A client that goes away gives its room back.
        assert until(lambda: server.ask("GET", "/v1/top?n=1000")[0] == 200)


def test_the_soft_limit_of_descriptors_does_not_keep_clients_out(tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 256
    limited = ("sh", "-c", 'ulimit -Sn 64 && exec "$@"', "sh", PROGRAM)
    with serving(tmp_path, command=limited) as server, contextlib.ExitStack() as idle:
        for _ in range(100):
            idle.enter_context(server.open())
        opened = idle.enter_context(server.open())
        opened.settimeout(10)
        opened.sendall(request(b"/health", method=b"GET"))
        assert status(opened.recv(1_000)) == 200


# Clients that were slow all the while.


def test_half_bodies_are_answered_408_after_10_seconds(slow):
    clients = slow.bodies + slow.dripped_bodies
    for seconds in waited(clients):
        assert 10 - EARLY <= seconds < 10 + LATE
    for client in clients:
        assert (status(client.answer), problem(client.answer)) == (408, "slow")


def test_half_heads_are_closed_after_30_seconds(slow):
    clients = slow.heads + slow.dripped_heads
    for seconds in waited(clients):
        assert 30 - EARLY <= seconds < 30 + LATE
    assert all(client.answer == b"" for client in clients)


def test_idle_connections_are_closed_after_30_seconds(slow):
    for seconds in waited(slow.idle) + waited(slow.answered):
        assert 30 - EARLY <= seconds < 30 + LATE
    assert all(client.answer == b"" for client in slow.idle)
    assert all(status(client.answer) == 200 for client in slow.answered)


def test_slow_clients_did_not_disturb_others_and_counted_nothing(slow):
    slow.beside.check()
    assert slow.server.get("/visits/half")["visits"] == 0
    assert slow.server.get("/visits/answered")["visits"] == len(slow.answered)


def test_who_does_not_read_is_closed_after_30_seconds(deaf):
    assert all(client.sent < MOST_SENT for client in deaf.all)
    for seconds in waited(deaf.all):
        assert seconds >= 30
    for client in deaf.all:
        # The server stops earlier than the kernel's buffers are full.
        assert client.closed < client.last + 30 + LATE
        client.socket.setblocking(True)
        acknowledged = (bytes(client.answer) + rest(client.socket)).count(b'"visits":')
        counted = deaf.server.get(f"/visits/{client.page}")["visits"]
        assert 0 < acknowledged <= counted <= client.sent // len(client.request)


def test_clients_that_did_not_read_did_not_disturb_others(deaf):
    deaf.beside.check()
