"""The ``hitring`` program, as the package installs it."""

import gzip
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import sysconfig

import pytest

import hitring

SCRIPT = pathlib.Path(sysconfig.get_path("scripts")) / ("hitring.exe" if os.name == "nt" else "hitring")
PROGRAMS = {"hitring": [str(SCRIPT)], "python -m hitring": [sys.executable, "-m", "hitring"]}
SHARED = pathlib.Path(__file__).resolve().parents[4] / "shared"

LOG = """\
192.0.2.1 - - [01/Jul/1995:00:00:01 -0400] "GET / HTTP/1.0" 200 6245
192.0.2.2 - - [01/Jul/1995:00:00:06 -0400] "GET / HTTP/1.0" 200 6245
192.0.2.1 - - [01/Jul/1995:00:05:01 -0400] "GET /images/ HTTP/1.0" 200 4085
not a line of a log
"""


@pytest.fixture(params=PROGRAMS.values(), ids=PROGRAMS.keys())
def program(request):
    return request.param


def run(command, **options):
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def test_version(program):
    ran = run([*program, "--version"])
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"hitring {hitring.__version__}\n".encode(), b"")


def test_help_calls_it_by_its_name(program):
    ran = run([*program, "--help"])
    assert ran.returncode == 0
    assert b"Usage: hitring <COMMAND>" in ran.stdout


def test_replay(program, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(LOG)
    first = 804_571_201
    ran = run([*program, "replay", "--json", str(log), "--at", str(first + 299), "--at", str(first + 300)])
    assert (ran.returncode, ran.stderr) == (0, b"")
    said = json.loads(ran.stdout)
    assert (said["lines"], said["malformed"], said["events"]) == (4, 1, 3)
    assert said["top"][0] == {"path": "/", "hits": 2, "unique_clients": 2}
    assert [window["hits"] for window in said["windows"]] == [2, 2]
    assert [window["by_path"]["/"] for window in said["windows"]] == [2, 1]


@pytest.mark.parametrize("name", ["elastic_apache_logs.log", "lnav_shop_access.log"])
def test_a_real_log(name):
    log, truth = SHARED / "data" / "raw" / name, SHARED / "data" / "truth" / f"{name}.truth.json"
    if not log.is_file():
        pytest.skip("../shared/data is not there")
    truth = json.loads(truth.read_bytes())
    at = [argument for query in truth["queries"] for argument in ("--at", str(query["T"]))]
    said = json.loads(run([str(SCRIPT), "replay", "--json", str(log), *at]).stdout)
    assert (said["events"], said["malformed"]) == (truth["events"], truth["malformed"])
    assert [window["hits"] for window in said["windows"]] == [query["overall"] for query in truth["queries"]]


def test_a_name_that_is_not_text(program, tmp_path):
    log = os.fsencode(tmp_path) + b"/\xff.log"
    try:
        with open(log, "w") as file:
            file.write(LOG)
    except OSError:
        pytest.skip("this file system has only names that are text")
    ran = run([*program, "replay", "--json", log])
    assert json.loads(ran.stdout)["events"] == 3


def test_failures_are_one_line_and_a_status(program, tmp_path):
    for arguments, status in ([["replay", "no such file"], 1], [["replay", str(tmp_path)], 1]):
        ran = run([*program, *arguments])
        assert (ran.returncode, ran.stdout) == (status, b"")
        assert re.fullmatch(rb"hitring: [^\n]+\n", ran.stderr)
    assert run([*program, "no such command"]).returncode == 2


def test_standard_input_is_read(program):
    assert json.loads(run([*program, "replay", "--json", "-"], input=LOG.encode()).stdout)["lines"] == 4


def test_a_closed_output_is_not_an_error(program, tmp_path):
    log = tmp_path / "access.log"
    log.write_text(LOG)
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [*program, "replay", str(log)], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.skipif(os.name == "nt", reason="wants POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_at_once(program, name):
    running = subprocess.Popen([*program, "replay", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=-1)
    try:
        # More than a pipe holds: when it is written, the program has begun to read.
        running.stdin.write(LOG.encode() * 4_000)
        running.stdin.flush()
        running.send_signal(signal.Signals[name])
        assert running.wait(60) == -signal.Signals[name]
    finally:
        running.kill()
        running.stdin.close()
        assert (running.stdout.read(), running.stderr.read()) == (b"", b"")
        running.stdout.close()
        running.stderr.close()


def test_main_leaves_the_interpreter_as_it_was(monkeypatch, capfd):
    from hitring._program import main

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    assert main() == 0
    assert signal.getsignal(signal.SIGINT) is handler
    assert capfd.readouterr().out == f"hitring {hitring.__version__}\n"


ROOT = pathlib.Path(__file__).parents[3]
# A server runs until it is stopped; test_serve_page.py runs its pages.
COMMANDS = sorted(
    {
        command
        for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for command in re.findall(r"^\$ (hitring .*?)(?: +#.*)?$", page.read_text(encoding="utf-8"), re.MULTILINE)
        if not command.startswith("hitring serve")
    }
)


@pytest.mark.skipif(sys.platform != "linux", reason="some commands need Linux, and all of them a shell")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_page_runs(command, tmp_path):
    (tmp_path / "access.log").write_text(LOG)
    (tmp_path / "access.log.1.gz").write_bytes(gzip.compress(LOG.encode()))
    if command.startswith("hitring top") and "--once" not in command:
        command += " --once"
    path = f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"
    ran = run(command, shell=True, cwd=tmp_path, env={**os.environ, "PATH": path})
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_the_pages_have_commands():
    assert len(COMMANDS) >= 5
