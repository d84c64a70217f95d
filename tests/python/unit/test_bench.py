"""``python -m hitring.bench``: its rows, its table, and what it leaves behind."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from hitring import bench
from hitring._bench_rows import ALLOW, ALLOW_KEY, HIT, NAME, QUERY, RECORD

OURS = {
    "floor": ["empty method", "empty method with an argument", "clock, time.time()"],
    RECORD: ["hitring, striped", "hitring, ring", "hitring, sliding", "deque + Lock + clock"],
    HIT: ["hitring, striped", "hitring, ring", "hitring, sliding", "deque", "300 buckets", "deque + Lock"],
    QUERY: ["hitring, striped", "hitring, ring", "hitring, sliding", "deque", "300 buckets", "deque + Lock"],
    NAME: [
        "hitring, striped",
        "hitring, striped, by handle",
        "collections.Counter, no window",
        "dict of deques + Lock + clock",
    ],
    ALLOW: ["hitring, sliding window", "hitring, token bucket"],
    ALLOW_KEY: ["hitring, sliding window"],
}
SHARED = {NAME: ["hitring, shared file", "hitring, shared file, by handle"], ALLOW_KEY: ["hitring, shared file"]}
PACKAGES = ("prometheus_client", "limits", "redis")
NO_SERVER = "redis://user:secret@127.0.0.1:1"
ONE_THREAD = {f"{HIT}: deque", f"{HIT}: 300 buckets", f"{QUERY}: deque", f"{QUERY}: 300 buckets"}
ONE_THREAD.add(f"{NAME}: collections.Counter, no window")


def run(*arguments, folder, without=(), **options):
    """Run the command. Packages that it is to be without cannot be imported."""
    hidden = pathlib.Path(folder, "hidden")
    for package in without:
        (hidden / package).mkdir(parents=True, exist_ok=True)
        (hidden / package / "__init__.py").write_text("raise ImportError('it is hidden')")
    path = os.pathsep.join(filter(None, [str(hidden), os.environ.get("PYTHONPATH")]))
    temporary = pathlib.Path(folder, "temporary")
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary), "COLUMNS": "80"}
    command = [sys.executable, "-m", "hitring.bench", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False, **options)


def left_behind(folder):
    """What is still there a second later: other tests measure at the same time, and have a folder for a moment."""

    def there():
        return {*pathlib.Path(folder, "temporary").iterdir(), *pathlib.Path("/dev/shm").glob("hitring-bench-*")}

    found = there()
    if found:
        time.sleep(1)
    return found & there()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def said(folder):
    began = time.monotonic()
    ran = run("--quick", "--json", "--threads", "2", "--redis", NO_SERVER, folder=folder)
    # Nothing but the rounds takes time: a loaded machine is given much more than the 5 seconds of the help.
    assert time.monotonic() - began < 60
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "secret" not in ran.stdout
    return json.loads(ran.stdout)


def test_every_expected_row_is_there(said):
    names = [row["name"] for row in said["rows"]]
    assert len(set(names)) == len(names)
    for expected in (OURS, SHARED if sys.platform == "linux" else {}):
        assert {f"{group}: {label}" for group in expected for label in expected[group]} <= set(names)


def test_numbers_are_positive_and_agree(said):
    first = {}
    floor = said["rows"][0]
    assert floor["label"] == "empty method" and floor["of_floor"] == 1
    for row in said["rows"]:
        assert row["ns"] > 0 and row["of_floor"] > 0 and row["of_first"] > 0, row
        assert row["least_ns"] <= row["ns"]
        assert row["of_floor"] == pytest.approx(row["ns"] / floor["ns"], rel=0.02, abs=0.01)
        first.setdefault(row["group"], row["ns"])
        assert row["of_first"] == pytest.approx(row["ns"] / first[row["group"]], rel=0.02, abs=0.01)
        if row["name"] in ONE_THREAD:
            assert row["threads_ns"] is None
        else:
            assert row["threads_ns"] > 0, row


def test_the_machine_is_named(said):
    machine = said["machine"]
    assert machine["processor"] and machine["cores"] >= 1 and isinstance(machine["gil"], bool)
    assert machine["python"] == ".".join(map(str, sys.version_info[:3]))
    assert time.strptime(machine["date"], "%Y-%m-%d")
    assert said["threads"] == 2 and said["rounds"] > 1


def test_each_package_is_measured_or_named(said):
    labels = " ".join(row["label"] for row in said["rows"])
    for package in PACKAGES:
        assert (package in labels) != any(line.startswith(f"{package} is left out") for line in said["left_out"])


def test_nothing_is_left_behind(said, folder):
    assert left_behind(folder) == set()


def test_missing_packages_are_named_under_a_table_of_80_columns(tmp_path):
    ran = run("--quick", "--threads", "1", folder=tmp_path, without=PACKAGES)
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-3:] == [f"{package} is left out: it is not installed" for package in PACKAGES]
    assert "threads" not in ran.stdout
    assert sum(line.startswith("  hitring, ") for line in lines) >= 15
    assert not any("prometheus" in line for line in lines[:-3])
    assert left_behind(tmp_path) == set()


def test_rows_of_many_threads_fit_80_columns():
    row, cost = bench.Row(*bench.FLOOR, "pass", {}), bench.Measured(123_456.7, 1.0, 123_456.7)
    machine = {"implementation": "CPython", "python": "3.14.0", "date": "2026-01-01", "gil": False}
    machine.update(processor="x" * 90, cores=1_024, system="Linux x86_64")
    effort = bench.Effort(21, 0.01, 5, 1_024)
    lines = list(bench._lines(machine, bench._results([(row, cost)]), effort, 10.0))
    assert max(map(len, lines)) <= 80


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_ctrl_c_leaves_nothing_behind(tmp_path):
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-m", "hitring.bench"]
    measuring = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    maps = pathlib.Path(f"/proc/{measuring.pid}/maps")
    deadline = time.monotonic() + 60
    while "hits.ring" not in maps.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    measuring.send_signal(signal.SIGINT)
    out, err = measuring.communicate(timeout=60)
    assert (measuring.returncode, out, err) == (130, "", "interrupted\n")
    assert left_behind(tmp_path) == set()


@pytest.mark.parametrize("arguments", [["--unknown"], ["--threads", "0"], ["--threads", "two"], ["more"]])
def test_a_bad_command_line_exits_with_2(arguments, tmp_path):
    ran = run(*arguments, folder=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("usage: python -m hitring.bench ")


def test_a_bad_redis_url_is_named(tmp_path):
    pytest.importorskip("redis")
    ran = run("--quick", "--json", "--threads", "1", "--redis", "no-url", folder=tmp_path)
    assert ran.returncode == 0
    assert "redis is left out: the address is not a Redis URL; see --redis" in json.loads(ran.stdout)["left_out"]


def test_help_names_every_option(tmp_path):
    ran = run("--help", folder=tmp_path)
    assert ran.returncode == 0
    assert all(option in ran.stdout for option in ("--json", "--quick", "--threads N", "--redis URL"))


def test_importing_it_runs_nothing_and_hitring_does_not_import_it():
    code = (
        "import sys, hitring; print([name for name in sys.modules if 'bench' in name]);"
        "import threading, hitring.bench; print(threading.active_count(), 'prometheus_client' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n1 False\n", "")
