"""``hitring top`` on a real screen: a terminal of tmux, which the tests read and type into."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

import hitring
from serving import PROGRAM, serving, until

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and the files of shared registries"),
]

PATIENCE = 20
TOP = f"{shlex.quote(str(PROGRAM))} top"
# What sets a colour: 30 to 38, 40 to 48, 90 to 97 and 100 to 107. 39 and 49 drop it.
COLOUR = re.compile(r"\x1b\[(\d+;)*([34][0-8]|9[0-7]|10[0-7])[;:\d]*m")


class Terminal:
    """A terminal that runs a command, then tells how the command left it, then runs a shell."""

    def __init__(self, folder, command, columns=80, rows=24, **environment):
        self.tmux = ["tmux", "-u", "-L", f"hitring-{os.getpid()}-{time.monotonic_ns()}", "-f", os.devnull]
        inherited = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        self.environment = {**inherited, "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8", **environment}
        whole = f"{command}; echo ended $?; stty -a; export PS1='$ ' ENV=; exec sh"
        self.call("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(folder), whole)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(AssertionError, OSError):
            for process in self.processes():
                os.kill(process, signal.SIGKILL)
        subprocess.run([*self.tmux, "kill-server"], capture_output=True, timeout=PATIENCE, check=False)

    def call(self, *arguments):
        options = {"capture_output": True, "encoding": "utf-8", "timeout": PATIENCE, "check": False}
        ran = subprocess.run([*self.tmux, *arguments], env=self.environment, **options)
        assert ran.returncode == 0, (arguments, ran.stderr)
        return ran.stdout

    def ask(self, name):
        """Return the value of a variable of tmux."""
        return self.call("display-message", "-p", f"#{{{name}}}").rstrip("\n")

    def press(self, *keys):
        self.call("send-keys", *keys)

    def wait(self, shows, patience=PATIENCE):
        """Wait until the screen fulfils a predicate or contains a pattern, and return the screen."""
        if isinstance(shows, str):
            shows = re.compile(shows, re.MULTILINE).search
        end = time.monotonic() + patience
        while not shows(screen := self.call("capture-pane", "-p")):
            assert time.monotonic() < end, f"not shown within {patience} s:\n{screen}"
            time.sleep(0.05)
        return screen

    def processes(self):
        """Return the ids of the programs that run, which are children of the terminal's shell."""
        shell = self.ask("pane_pid")
        return [int(child) for child in pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text().split()]

    def expect_clean(self, status=0):
        """Wait for the end of the program, and assert that the terminal is as it was before."""
        said = self.wait(r"^\$$")
        assert f"ended {status}\n" in said, said
        assert re.search(r"(?<![-\w])icanon\b", said) and re.search(r"(?<![-\w])echo\b", said), said
        assert (self.ask("alternate_on"), self.ask("cursor_flag"), self.ask("mouse_any_flag")) == ("0", "1", "0")
        self.press("-l", "echo is $((6 * 7))")
        self.wait(r"^\$ echo is \$\(\(6 \* 7\)\)$")
        self.press("Enter")
        self.wait(r"^is 42$")


def line(path, status=200, ago=0):
    hit = {"time": int(time.time()) - ago, "remote_addr": "192.0.2.1", "request_uri": path, "status": status}
    return json.dumps(hit) + "\n"


def append(log, *lines):
    with log.open("a") as file:
        file.writelines(lines)


def row(name, hits):
    """Return the pattern of a row."""
    return rf"^ *{hits:,} +[\d.,]+ .* {re.escape(name)} *$"


def rows(screen):
    """Return the names of the rows in their order, and their hits."""
    below = re.split(r"^ *hits  +a second .*$", screen, maxsplit=1, flags=re.MULTILINE)[-1]
    return [(found[2], int(found[1])) for found in re.finditer(r"^ *(\d+)  .* (\S+) *$", below, re.MULTILINE)]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "access.log"
    append(path, line("/a"), line("/b", 404), line("/a"), line("/c", 503), line("/a", 302), line("/b"), "malformed\n")
    return path


def top(source, command=TOP, **named):
    """Return a terminal that shows a file by the name that it has in its folder, because a long path is cut."""
    return Terminal(source.parent, f"{command} {source.name}", **named)


def test_a_log_is_shown_and_followed(log):
    with top(log) as terminal:
        screen = terminal.wait(r"^6 hits, .* 3 paths$")
        assert rows(screen) == [("/a", 3), ("/b", 2), ("/c", 1)]
        assert "2xx 3  3xx 1  4xx 1  5xx 1\n" in screen
        assert "lines 7  malformed 1  late 0  ahead 0  limited 0\n" in screen
        assert screen.splitlines()[-1].startswith("q quit"), screen
        append(log, line("/d") * 9, line("/b", 429))
        terminal.wait(r"ahead 0  limited 1$")
        assert rows(terminal.wait(row("/d", 9))) == [("/d", 9), ("/a", 3), ("/b", 3), ("/c", 1)]


def test_a_rotated_log_is_followed(log):
    with top(log) as terminal:
        terminal.wait(row("/a", 3))
        rotated = log.rename(log.with_suffix(".1"))
        terminal.wait("the file is gone; waiting for another")
        append(rotated, line("/a"))
        append(log, line("/new"), line("/new"))
        assert ("/a", 4) in rows(terminal.wait(row("/new", 2)))
        terminal.wait(lambda screen: "the file is gone" not in screen)


def test_a_truncated_log_is_followed(log):
    with top(log) as terminal:
        terminal.wait(row("/a", 3))
        os.truncate(log, 0)
        append(log, line("/new"))
        assert rows(terminal.wait(row("/new", 1))) == [("/a", 3), ("/b", 2), ("/c", 1), ("/new", 1)]


def test_stdin_is_read_while_keys_work(log):
    with Terminal(log.parent, f"cat {log.name} | {TOP} -") as terminal:
        terminal.wait(row("/a", 3))
        terminal.wait("^the input has ended")
        terminal.press("?")
        terminal.wait("pause the screen")
        terminal.press("q")
        terminal.expect_clean()


def counted(path):
    """Return a shared registry in a new file."""
    registry = hitring.SharedRegistry(path, max_endpoints=100)
    registry.record_hit("/a", amount=3)
    registry.record_hit("/b", amount=2)
    return registry


def test_a_shared_file_is_shown_as_it_is_counted(tmp_path):
    registry = counted(tmp_path / "hits.ring")
    with top(tmp_path / "hits.ring") as terminal:
        assert rows(terminal.wait(r"^5 hits, .* 2 endpoints$")) == [("/a", 3), ("/b", 2)]
        registry.record_hit("/c", amount=1_000)
        terminal.wait(row("/c", 1_000))


def test_a_restored_shared_file_is_followed(tmp_path):
    path, kept = tmp_path / "hits.ring", tmp_path / "kept.ring"
    registry = counted(path)
    shutil.copy(path, kept)
    registry.record_hit("/lost", amount=7)
    with top(path) as terminal:
        terminal.wait(row("/lost", 7))
        os.replace(kept, path)
        assert rows(terminal.wait(lambda screen: "/lost" not in screen)) == [("/a", 3), ("/b", 2)]
        hitring.SharedRegistry(path, mode="open").record_hit("/a", amount=4)
        terminal.wait(row("/a", 7))


def test_a_compacted_shared_file_is_followed(tmp_path):
    path, larger = tmp_path / "hits.ring", tmp_path / "larger.ring"
    # It is closed at once, because a file that a process counts in cannot be compacted. One that is shown can.
    counted(path)
    with top(path) as terminal:
        terminal.wait(row("/a", 3))
        command = [PROGRAM, "compact", path, larger, "--max-endpoints", "1000"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        os.replace(larger, path)
        compacted = hitring.SharedRegistry(path, mode="open")
        compacted.record_hit("/c", amount=5)
        assert rows(terminal.wait(row("/c", 5))) == [("/c", 5), ("/a", 3), ("/b", 2)]


def test_a_server_is_shown_and_awaited(tmp_path):
    with serving(tmp_path) as server:
        server.post("/hits", {"resource_id": "a"}, 202)
        address = server.address
        with Terminal(tmp_path, f"{TOP} http://{address}") as terminal:
            terminal.wait(row("hits/a", 1))
            server.post("/hits", {"resource_id": "b", "count": 3}, 202)
            terminal.wait(row("hits/b", 3))
            server.stop()
            assert rows(terminal.wait("does not answer")) == [("hits/b", 3), ("hits/a", 1)]
            with serving(tmp_path, address=address) as server:
                server.post("/hits", {"resource_id": "c"}, 202)
                terminal.wait(row("hits/c", 1))
                assert "does not answer" not in terminal.call("capture-pane", "-p")
                terminal.press("q")
                terminal.expect_clean()


def test_keys(log):
    append(log, line("/old", ago=200) * 4)
    with top(log) as terminal:
        assert rows(terminal.wait(r"^10 hits")) == [("/old", 4), ("/a", 3), ("/b", 2), ("/c", 1)]
        terminal.press("s")
        assert rows(terminal.wait(r"\(by rate\)"))[0] == ("/a", 3)
        terminal.press("s")
        assert [name for name, _ in rows(terminal.wait(r"\(by name\)"))] == ["/a", "/b", "/c", "/old"]
        terminal.press("-")
        assert ("/old", 4) not in rows(terminal.wait("last 1 min until"))
        terminal.press("+")
        assert ("/old", 4) in rows(terminal.wait("last 5 min until"))
        terminal.press("/", "O", "L", "q")
        assert rows(terminal.wait("/OLq_  0 of 4")) == []
        terminal.press("BSpace", "Enter")
        assert rows(terminal.wait("/OL  1 of 4")) == [("/old", 4)]
        terminal.press("Escape")
        terminal.wait(row("/a", 3))
        terminal.press("j", "Down", "Enter")
        screen = terminal.wait(r"^1 hits?, .* a second$")
        assert "\n/c\n" in screen and "a column has" in screen and "\n5 min ago " in screen
        terminal.press("Enter")
        terminal.wait(row("/a", 3))
        terminal.press("?")
        terminal.wait(r"^q Ctrl-C +quit$")
        terminal.press("?", "Space")
        terminal.wait(r"^paused ")
        append(log, line("/paused"))
        # Longer than one period, in which an unpaused screen is drawn anew.
        time.sleep(1.5)
        assert "/paused" not in terminal.call("capture-pane", "-p")
        terminal.press("Space")
        terminal.wait(row("/paused", 1))
        terminal.press("q")
        terminal.expect_clean()


def test_every_size_is_drawn(log):
    append(log, *(line(f"/page/{number:02}") * 2 for number in range(50)))
    with top(log) as terminal:
        terminal.wait(r"^106 hits, .* 53 paths$")
        for columns, lines in [(40, 12), (1, 1), (20, 5), (2, 40), (300, 100), (80, 24)]:
            terminal.call("resize-window", "-x", str(columns), "-y", str(lines))
            if columns >= 20:
                terminal.wait(r"\A.*\n106 hits,.*\n(.*\n)*q quit")
            if columns >= 40:
                # All rows that there is room for, between a head of 7 lines and the line of the keys.
                terminal.wait(lambda screen, lines=lines: len(rows(screen)) == min(lines - 8, 53))
        terminal.press("End")
        screen = terminal.wait(lambda screen: ("/c", 1) in rows(screen))
        assert rows(screen) == [*((f"/page/{number}", 2) for number in range(35, 50)), ("/c", 1)]
        terminal.call("resize-window", "-x", "300", "-y", "100")
        terminal.wait(lambda screen: len(rows(screen)) == 53)
        terminal.call("resize-window", "-x", "80", "-y", "24")
        terminal.press("Home")
        terminal.wait(lambda screen: rows(screen)[:2] == [("/a", 3), ("/b", 2)])


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["colours", "NO_COLOR"])
def test_colours(log, environment):
    with top(log, **environment) as terminal:
        terminal.wait(row("/a", 3))
        log.unlink()
        terminal.wait("the file is gone")
        assert bool(COLOUR.search(terminal.call("capture-pane", "-e", "-p"))) == (not environment)


def test_a_dumb_terminal_is_refused(log):
    with top(log, f"TERM=dumb {TOP}") as terminal:
        terminal.wait("^hitring: stdout is not a terminal that can show a screen")
        terminal.expect_clean(1)


def test_a_name_never_reaches_the_terminal_raw(log):
    names = ["/\x1b]0;stolen\x07", "/\x1b[2J\x1b[31m", "/\u202egpj", "/tab\there", "/\u0085\u009b31m", "/\r/over"]
    append(log, *map(line, names), line("/\U0001f600"))
    with top(log) as terminal:
        title = terminal.ask("pane_title")
        screen = terminal.wait(r"^13 hits, .* 10 paths$")
        shown = [name for name, _ in rows(screen)]
        assert all(re.fullmatch(r"/[!-~\U0001f600]*", name) for name in shown), shown
        assert len(shown) == 10 and r"/\x1b[2J\x1b[31m" in shown
        assert not COLOUR.search(terminal.call("capture-pane", "-e", "-p"))
        assert terminal.ask("pane_title") == title


def test_a_name_of_a_shared_file_is_escaped(tmp_path):
    registry = hitring.SharedRegistry(tmp_path / "hits.ring", max_endpoints=100)
    registry.record_hit("/\t\x1b[31m\u202egpj")
    ran = subprocess.run(
        [PROGRAM, "top", tmp_path / "hits.ring", "--once"], capture_output=True, timeout=60, check=True
    )
    assert ran.stdout.decode().endswith("  /\\x09\\x1b[31m\\xe2\\x80\\xaegpj\n")
    with top(tmp_path / "hits.ring") as terminal:
        terminal.wait(r"/\\x09\\x1b\[31m")


@pytest.mark.parametrize("end", ["q", "C-c", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"])
def test_the_terminal_is_clean_after(log, end):
    with top(log) as terminal:
        terminal.wait(row("/a", 3))
        assert (terminal.ask("alternate_on"), terminal.ask("cursor_flag")) == ("1", "0")
        if end.startswith("SIG"):
            os.kill(terminal.processes()[0], signal.Signals[end])
            # The signal ends the program, which a shell tells so.
            terminal.expect_clean(128 + signal.Signals[end])
        else:
            terminal.press(end)
            terminal.expect_clean()


def test_a_terminal_that_is_closed_ends_the_program(log):
    with top(log) as terminal:
        terminal.wait(row("/a", 3))
        process = pathlib.Path(f"/proc/{terminal.processes()[0]}")
        terminal.call("kill-server")
        assert until(lambda: not process.exists())


def test_a_terminal_is_not_a_log(tmp_path):
    for source in ("-", "/dev/tty"):
        with Terminal(tmp_path, f"{TOP} {source}") as terminal:
            terminal.wait(r"is a terminal; pipe a log into the program")
            terminal.expect_clean(1)


def test_the_terminal_is_clean_after_an_error(tmp_path):
    counted(tmp_path / "hits.ring")
    with top(tmp_path / "hits.ring") as terminal:
        terminal.wait(row("/a", 3))
        os.truncate(tmp_path / "hits.ring", 4096)
        terminal.expect_clean(1)


def test_memory_does_not_grow_while_the_screen_is_paused(log):
    def kilobytes(name):
        status = pathlib.Path(f"/proc/{terminal.processes()[0]}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[1])

    with top(log) as terminal:
        terminal.wait(row("/a", 3))
        # The first many lines make every buffer as large as it becomes.
        append(log, *(line(f"/{number % 100}") for number in range(2_000)))
        terminal.wait(r"^2,006 hits, ")
        terminal.press("Space")
        terminal.wait(r"^paused ")
        before = kilobytes("VmHWM")
        for _ in range(10):
            append(log, "".join(line(f"/{number}") for number in range(100)) * 200)
        # The reader of the log reaches its end, although the screen rests. A slow build takes a while.
        size, opened = log.stat().st_size, pathlib.Path(f"/proc/{terminal.processes()[0]}/fdinfo")
        assert until(lambda: any(f"pos:\t{size}\n" in file.read_text() for file in opened.iterdir()), 120)
        assert kilobytes("VmHWM") - before < 8_192
        assert "\n2,006 hits" in terminal.call("capture-pane", "-p")
        terminal.press("Space")
        terminal.wait(r"^202,006 hits, ")
