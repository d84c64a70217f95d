"""What the server's disk costs: writes that are on the disk, writes with a key, hits beside them, and starts.

    python tests/python/performance/serve.py [--seconds 5] [--rounds 5] [--only growth]

Needs ``wrk`` (Debian: wrk) and a machine that does nothing else. 64 connections write to 1,000 names, each level in
turn; the figures are medians of the rounds. Then a server is started beside 100,000 resources, and beside 100,000
endpoints whose hits the database decided on: with the ring that shows them, and with a new one. At last 100,000
endpoints are flushed, with new hits and without, and more and more endpoints are hit over more and more connections. It
asserts nothing: figures depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import platform
import re
import signal
import sqlite3
import statistics
import subprocess
import sysconfig
import tempfile
import threading
import time
import urllib.request

import hitring

PROGRAM = pathlib.Path(sysconfig.get_path("scripts"), "hitring")
UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

LUA = """
math.randomseed(os.time())
local disk, keyed = %s, %s
local run, n = tostring(math.random(1000000000)), 0
request = function()
  n = n + 1
  local headers = {["Host"] = "x"}
  if disk then headers["Prefer"] = "durability=disk" end
  if keyed then headers["Idempotency-Key"] = run .. "-" .. n end
  return wrk.format("POST", "/v1/counter/bench/" .. math.random(1000) .. "/increment", headers)
end
"""

LEVELS = {
    "process": (False, False),
    "disk": (True, False),
    "key": (False, True),
    "key and disk": (True, True),
}


class Server:
    """A server with one worker, and the time that it took to start."""

    def __init__(self, data, *options):
        command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--data", data, *options]
        begun = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = self.process.stdout.readline().decode()
        self.took = time.perf_counter() - begun
        self.address = line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.process.stdout.close()


def load(folder, address, level, seconds, connections=64):
    """Return requests a second, and the milliseconds that 99 of 100 took at most."""
    script = folder / f"{level.replace(' ', '-')}.lua"
    script.write_text(LUA % tuple(str(flag).lower() for flag in LEVELS[level]))
    return wrk(script, address, seconds, connections)


def wrk(script, address, seconds, connections):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, address]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text, text
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), float(number) * UNITS[unit]


def writes(folder, seconds, rounds):
    print(f"{'64 connections, 1,000 names':<34} {'writes/s':>10} {'p99 ms':>8}")
    with Server(folder / "writes") as server:
        load(folder, server.address, "process", 1)
        found = {level: [] for level in LEVELS}
        for _ in range(rounds):
            for level, rows in found.items():
                rows.append(load(folder, server.address, level, seconds))
        for level, rows in found.items():
            rate, p99 = (statistics.median(column) for column in zip(*rows))
            print(f"{level:<34} {rate:>10,.0f} {p99:>8.2f}")
        beside, alone = [], []
        for _ in range(rounds):
            alone.append(load(folder, server.address, "process", seconds, connections=4)[1])
            other = threading.Thread(target=load, args=(folder, server.address, "disk", seconds + 1))
            other.start()
            time.sleep(0.5)
            beside.append(load(folder, server.address, "process", seconds, connections=4)[1])
            other.join()
        print(f"{'process, 4 connections, alone':<34} {'':>10} {statistics.median(alone):>8.2f}")
        print(f"{'the same beside 64 of disk':<34} {'':>10} {statistics.median(beside):>8.2f}")


def started(data, *options):
    """Return the seconds that a server takes to listen."""
    with Server(data, *options) as server:
        return server.took


def starts(folder, rounds):
    many = 100_000
    options = ("--max-endpoints", str(2 * many))
    resources = folder / "resources"
    made = started(resources, *options)
    print(f"a start with a new ring of {2 * many:,} places: {made:.2f} s")
    numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})"
    with sqlite3.connect(resources / "hitring.db") as database:
        database.execute(f"{numbers} INSERT INTO resource SELECT printf('%032d', i), 'name ' || i, i FROM n")
    database.close()
    first = started(resources)
    again = statistics.median(started(resources) for _ in range(rounds))
    print(f"{many:,} resources: {first:.2f} s once, as their endpoints begin; then {again:.2f} s")
    ledger = folder / "ledger"
    started(ledger, *options)
    now = int(time.time())
    with sqlite3.connect(ledger / "hitring.db") as database:
        database.execute(f"{numbers} INSERT INTO endpoint SELECT i, 'counter/bench/' || i, 0, 0, 3, 0 FROM n")
        database.execute(
            f"{numbers} INSERT INTO cell SELECT i, 0, 0, 0, {now} - s.t, 1 FROM n,"
            " (SELECT 1 AS t UNION SELECT 2 UNION SELECT 3) AS s"
        )
    database.close()
    first = started(ledger)
    again = statistics.median(started(ledger) for _ in range(rounds))
    print(
        f"{many:,} endpoints of the ledger, 300,000 cells: {first:.2f} s once, as their lives begin; then {again:.2f} s"
    )


def metric(server, name):
    """Return the value of a series without labels."""
    with urllib.request.urlopen(f"{server.address}/metrics") as page:
        return float(re.search(rf"^{name} (\S+)$", page.read().decode(), re.MULTILINE)[1])


def flushed(server):
    """Wait until all hits are in the database, and return how long the last flush took."""
    while metric(server, "hitring_unflushed_hits"):
        time.sleep(0.05)
    return metric(server, "hitring_flush_seconds")


def waits(worker, calls):
    """Return the microseconds that 99 and 999 of 1,000 hits of a worker took at most."""
    clock, record = time.perf_counter_ns, worker.record_hit
    took = []
    for number in range(calls):
        begun = clock()
        record(names[number % len(names)])
        took.append(clock() - begun)
    took.sort()
    return took[calls * 99 // 100] / 1e3, took[calls * 999 // 1000] / 1e3


names = [f"worker/{number}" for number in range(100_000)]


def flushes(folder, rounds):
    many = len(names)
    changed, quiet = [], []
    data = folder / "flushes"
    with Server(data, "--max-endpoints", str(many + 1_000), "--flush-every", "4") as server:
        worker = hitring.SharedRegistry(data / "hits.ring", mode="open")
        for _ in range(rounds):
            for name in names:
                worker.record_hit(name)
            changed.append(flushed(server))
            time.sleep(5)
            quiet.append(metric(server, "hitring_flush_seconds"))
    changed, quiet = (1e3 * statistics.median(rows) for rows in (changed, quiet))
    print(f"a flush of {many:,} endpoints with new hits: {changed:.0f} ms; without: {quiet:.1f} ms")
    with Server(data) as server:
        worker = hitring.SharedRegistry(data / "hits.ring", mode="open")
        flushed(server)
        time.sleep(3)
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        memory = int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) / 1024
        ticks = [idle(server)]
        time.sleep(30)
        ticks.append(idle(server))
        share = (ticks[1] - ticks[0]) / 30
        print(f"idle, {many:,} endpoints: {share:.2f} % of a core, {memory:.0f} MB resident")
        rows = [waits(worker, 1_000_000) for _ in range(rounds)]
        beside = [statistics.median(column) for column in zip(*rows)]
    alone = hitring.SharedRegistry(data / "hits.ring", mode="open")
    rows = [waits(alone, 1_000_000) for _ in range(rounds)]
    alone = [statistics.median(column) for column in zip(*rows)]
    print(f"a hit of a worker, 99 and 99.9 %: {alone[0]:.2f} and {alone[1]:.2f} us alone,", end=" ")
    print(f"{beside[0]:.2f} and {beside[1]:.2f} us while all its endpoints are flushed every second")


def idle(server):
    """Return the hundredths of a second of a processor that the server has used."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 100 / os.sysconf("SC_CLK_TCK")


GROWTH = """
math.randomseed(os.time())
wrk.headers["Host"] = "x"
request = function() return wrk.format("%s", string.format("%s", math.random(%d))) end
"""


def growth(folder, seconds, rounds):
    """Print how many requests are answered by the number of endpoints and of connections."""
    connections = (1, 64, 1_000)
    titles = "".join(f"{f'{count} conn., p99 ms':>26}" for count in connections)
    print(f"{'requests/s':<34}{titles}")
    for many in (1, 10_000, 100_000):
        with Server(folder / f"growth-{many}", "--max-endpoints", str(2 * many + 10)) as server:
            worker = hitring.SharedRegistry(folder / f"growth-{many}" / "hits.ring", mode="open")
            for number in range(many):
                worker.record_hit(f"visits/{number + 1}")
            del worker
            for title, method, path in (
                ("POST /visits/{page}", "POST", "/visits/%d"),
                ("GET /v1/hits/{endpoint}?last=5m", "GET", "/v1/hits/visits%%2F%d?last=5m"),
            ):
                script = folder / f"{method}-{many}.lua"
                script.write_text(GROWTH % (method, path, many))
                cells = []
                for count in connections:
                    rows = [wrk(script, server.address, seconds, count) for _ in range(rounds)]
                    rate, p99 = (statistics.median(column) for column in zip(*rows))
                    cells.append(f"{rate:>18,.0f} {p99:>7.2f}")
                print(f"{f'{many:,} endpoints, {title}':<34.34}{''.join(cells)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["writes", "starts", "flushes", "growth"])
    options = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="hitring-serve-") as folder:
        folder = pathlib.Path(folder)
        parts = {
            "writes": lambda: writes(folder, options.seconds, options.rounds),
            "starts": lambda: starts(folder, options.rounds),
            "flushes": lambda: flushes(folder, options.rounds),
            "growth": lambda: growth(folder, options.seconds, options.rounds),
        }
        for name, part in parts.items():
            if options.only in (None, name):
                part()


if __name__ == "__main__":
    main()
