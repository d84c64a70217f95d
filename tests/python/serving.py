"""A server as its users start it, and a client that reads what it says."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sysconfig
import threading
import time

import pytest

PROGRAM = pathlib.Path(sysconfig.get_path("scripts"), "hitring")


class Server:
    """A server on a free port of 127.0.0.1, with the data of a folder."""

    def __init__(self, folder, *options, command=(PROGRAM,), environment=None, address="127.0.0.1:0"):
        command = [*command, "serve", "--listen", address, "--data", str(folder / "data"), *options]
        self.log = folder / "server.log"
        with self.log.open("ab") as log:
            environment = {**os.environ, **(environment or {})}
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        line = self.process.stdout.readline().decode()
        found = re.fullmatch(r"hitring: listening on http://(127\.0\.0\.1:\d+)\n", line)
        assert found, (line, self.log.read_text())
        self.address = found[1]
        self.hint = self.process.stdout.readline().decode()

    def stop(self, number=signal.SIGTERM):
        """Send a signal, and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(30)

    def connect(self):
        return http.client.HTTPConnection(self.address, timeout=30)

    def ask(self, method, path, body=None, headers=None):
        """Return status, headers and the document of the answer."""
        connection = self.connect()
        try:
            return ask(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path):
        """Return the document of an answer of 200."""
        status, _, document = self.ask("GET", path)
        assert status == 200, document
        return document

    def metric(self, name):
        """Return the value of a series without labels."""
        answer = self.tell(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").decode()
        return float(re.search(rf"^{name} (\S+)\r?$", answer, re.MULTILINE)[1])

    def post(self, path, document=None, status=200):
        """Return the document of an answer."""
        body = None if document is None else json.dumps(document)
        found, _, answer = self.ask("POST", path, body)
        assert found == status, answer
        return answer

    def open(self, receive=None):
        """Return a socket that is connected; `receive` is how many bytes the kernel may keep for it, about."""
        opened = socket.socket()
        opened.settimeout(10)
        if receive is not None:
            # Before it is connected: the window that is offered at first depends on it.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        host, port = self.address.split(":")
        opened.connect((host, int(port)))
        return opened

    def tell(self, content):
        """Send bytes, and return all bytes of the answer, which ends when the server closes."""
        with self.open() as opened:
            # One that refuses closes before it has read everything. Its answer can be read all the same.
            with contextlib.suppress(ConnectionError):
                opened.sendall(content)
            return rest(opened)

    def listens(self):
        """Return whether connections are taken."""
        host, port = self.address.split(":")
        with socket.socket() as opened:
            return opened.connect_ex((host, int(port))) == 0

    def memory(self):
        """Return the resident kilobytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1])

    def descriptors(self):
        """Return how many files and sockets are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def request(target, *lines, body=b"", method=b"POST"):
    head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"host: x", *lines, b"", b""])
    return head + body


def status(answer):
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return found and int(found[1])


def problem(answer):
    """Return the last part of the type of the only problem that an answer is."""
    head, body = answer.split(b"\r\n\r\n", 1)
    document = json.loads(body)
    assert b"\r\ncontent-type: application/problem+json" in head
    assert document["status"] == status(answer)
    return document["type"].rsplit(":", 1)[1]


def rest(opened):
    """Return all bytes until the other side closes."""
    content = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := opened.recv(1 << 16):
            content += part
    return bytes(content)


def until(condition, patience=10):
    """Wait until a condition holds, and say whether it came to that."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def ask(connection, method, path, body=None, headers=None):
    headers = {} if headers is None else dict(headers)
    if body is not None:
        headers.setdefault("content-type", "application/json")
    connection.putrequest(method, path, skip_accept_encoding=True)
    if body is not None:
        body = body.encode() if isinstance(body, str) else body
        connection.putheader("content-length", str(len(body)))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    content = response.read()
    return response.status, response.headers, json.loads(content) if content else None


@contextlib.contextmanager
def serving(folder, *options, **named):
    server = Server(folder, *options, **named)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)
        server.process.stdout.close()


@contextlib.contextmanager
def small_disk(folder, size):
    """Mount a disk of its own in a folder, and yield a file there that can fill it up."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        with (folder / "filler").open("wb") as filler:
            yield filler
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(filler):
    """Write until nothing more fits on the disk."""
    with contextlib.suppress(OSError):
        while filler.write(bytes(1 << 12)):
            filler.flush()


class Client(threading.Thread):
    """Sends hits of one name until it is told to stop, and keeps a log of its own."""

    def __init__(self, name, send):
        super().__init__(daemon=True)
        self.name_of_hits = name
        self.send = send
        self.sent = self.acknowledged = 0
        self.address = None
        self.ended = threading.Event()

    def run(self):
        connection = None
        while not self.ended.is_set():
            address = self.address
            if address is None:
                self.ended.wait(0.001)
                continue
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(address, timeout=10)
                # Before the hit leaves: what is counted was sent.
                self.sent += 1
                method, path, body = self.send(self.name_of_hits)
                status, _, document = ask(connection, method, path, body)
                assert status in (200, 202), document
                self.acknowledged += 1
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
                # The address that failed may be that of a server that is gone.
                if self.address == address:
                    self.ended.wait(0.001)
        if connection is not None:
            connection.close()


class Neighbour(threading.Thread):
    """A client that does no harm: it visits a page again and again, and notes how long it waited."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.answered = 0
        self.worst = 0.0
        self.begun = self.error = None
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.02):
            self.begun = time.monotonic()
            try:
                self.server.post("/visits/neighbour")
            except Exception as error:
                self.error = error
                return
            self.answered += 1
            self.worst = max(self.worst, time.monotonic() - self.begun)

    def check(self, patience=2):
        """Assert that every answer since the last check came in time, and that one comes now."""
        answered = self.answered
        # Two: the first may be of a request that was under way.
        until(lambda: self.error or self.answered >= answered + 2, 2 * patience)
        assert self.error is None, self.error
        assert self.answered >= answered + 2, f"no answer for {time.monotonic() - self.begun} s"
        assert self.worst < patience
        self.worst = 0.0


@contextlib.contextmanager
def neighbour(server):
    beside = Neighbour(server)
    beside.start()
    try:
        yield beside
        beside.check()
    finally:
        beside.ended.set()
        beside.join(30)
    assert server.get("/visits/neighbour")["visits"] == beside.answered
