"""A server as its users start it, and a client that reads what it says."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sysconfig
import threading

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

    def post(self, path, document=None, status=200):
        """Return the document of an answer."""
        body = None if document is None else json.dumps(document)
        found, _, answer = self.ask("POST", path, body)
        assert found == status, answer
        return answer


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
