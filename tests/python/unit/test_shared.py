"""`SharedRegistry`: what the stub promises, one by one."""

from __future__ import annotations

import copy
import errno
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading

import pytest

import hitring
from hitring import (
    ConfigError,
    LimitError,
    ManualClock,
    Outcome,
    QueryError,
    Registry,
    RegistryFull,
    SharedError,
    SharedRegistry,
    SnapshotError,
    SystemClock,
    WindowExpired,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are shared on Linux only")

START = 1_700_000_000


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "hits.ring"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def shared(path: pathlib.Path, clock: ManualClock) -> SharedRegistry:
    return SharedRegistry(path, window=60, max_endpoints=64, clock=clock)


def test_what_one_records_the_others_see(shared, path, clock):
    other = SharedRegistry(path, mode="open", clock=clock)
    assert shared.record_hit("/home") is Outcome.COUNTED
    assert other.record_hit(b"/home", amount=2) is Outcome.COUNTED
    assert other.record_hit("/home", START - 1, 3) is Outcome.COUNTED
    home = other.counter("/home")
    assert home.record() is Outcome.COUNTED
    assert home.record(4) is Outcome.COUNTED
    assert home.record_at(START - 2, 5) is Outcome.COUNTED
    for registry in (shared, other):
        assert registry.query_hits("/home") == registry.query_hits("/home", 60) == 16
        assert registry.query_hits("/home", 1) == 8
        assert registry.query_hits("/home", 2, START - 1) == 8
        assert registry.total_ever("/home") == 16
        assert registry.endpoints() == list(registry) == ["/home"]
        assert len(registry) == 1
        assert "/home" in registry
        assert "/none" not in registry
        assert registry.total(60) == registry.total(prefix="/h") == 16
        assert registry.total(prefix="/x") == 0
        assert registry.top(3, 60) == [("/home", 16)]
    assert (home.count(), home.count(1), home.count_at(START - 1, 1), home.total_ever()) == (16, 8, 3, 16)
    assert (home.endpoint, home.alive) == ("/home", True)
    assert repr(home) == "<hitring.SharedCounter of '/home'>"
    metrics = shared.metrics()
    assert (metrics.total_hits, metrics.endpoints_count, metrics.strategy) == (16, 1, "ring")
    room = shared.room()
    assert (room.lives, room.max_endpoints) == (1, 64)
    assert room.file_bytes == path.stat().st_size


@pytest.mark.usefixtures("shared")
def test_settings_are_the_files(path):
    again = SharedRegistry(path, mode="open")
    assert (again.window, again.resolution, again.slack, again.max_endpoints) == (60, 1, 20, 64)
    assert (again.precision, again.max_skew, again.writable, again.current, again.lost) == (14, 20, True, True, False)
    assert again.path == path
    assert again.clock is None
    assert isinstance(SharedRegistry(path, mode="open", clock=SystemClock()).clock, SystemClock)
    assert repr(again) == f"SharedRegistry({str(path)!r}, window=60)"
    room = again.room()
    assert SharedRegistry(path, window=60, max_endpoints=64, name_bytes=room.max_name_bytes).max_endpoints == 64
    assert SharedRegistry(path, window=60).max_endpoints == 64, "the room matters where it is given"
    others = [{"window": 61}, {"slack": 1}, {"resolution": 0.5}, {"precision": 12}]
    others += [{"max_endpoints": 5}, {"max_endpoints": 65}, {"name_bytes": 64}, {"visitors": 1}, {"limits": 1}]
    for setting in others:
        with pytest.raises(SharedError, match=f"{next(iter(setting))} .*, not .*mode='open'") as caught:
            SharedRegistry(path, **{"window": 60, **setting})
        assert caught.value.errno == errno.EINVAL
        assert caught.value.filename == str(path)
        with pytest.raises(ConfigError, match="give it only with mode"):
            SharedRegistry(path, mode="open", **setting)
    for mode in ("open", "read"):
        for setting in ("name_bytes", "visitors", "limits", "max_endpoints"):
            with pytest.raises(ConfigError, match=setting):
                SharedRegistry(path, mode=mode, **{setting: 1})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"window": 0}, ConfigError),
        ({"window": -1}, ConfigError),
        ({"resolution": 0}, ConfigError),
        ({"max_endpoints": 0}, ConfigError),
        ({"max_endpoints": 2**32}, ConfigError),
        ({"max_endpoints": "many"}, TypeError),
        ({"max_skew": 21}, ConfigError),
        ({"precision": 3}, ConfigError),
        ({"mode": "write"}, ConfigError),
        ({"mode": 1}, TypeError),
        ({"clock": 5}, TypeError),
        ({"visitors": 2**62}, SharedError),
    ],
)
def test_impossible_settings_are_refused_and_nothing_is_made(path, arguments, error):
    with pytest.raises(error):
        SharedRegistry(path, **arguments)
    assert not path.exists()


def test_a_path_without_a_hitring_file_is_refused(path, tmp_path):
    with pytest.raises(SharedError) as caught:
        SharedRegistry(path, mode="open")
    assert caught.value.errno == errno.ENOENT
    assert isinstance(caught.value, OSError)
    with pytest.raises(SharedError):
        SharedRegistry(tmp_path / "no" / "folder.ring")
    with pytest.raises(SharedError):
        SharedRegistry(tmp_path)
    path.write_bytes(b"something else")
    with pytest.raises(SharedError, match="not a hitring file"):
        SharedRegistry(path)
    assert path.read_bytes() == b"something else"
    with pytest.raises(TypeError):
        SharedRegistry(5)


def test_bad_hits_are_refused_in_the_users_terms(shared):
    for endpoint in ("", "x" * 1_025, b"\xff", "\ud800"):
        with pytest.raises(ValueError, match=r"."):
            shared.record_hit(endpoint)
    for endpoint in (None, 5):
        with pytest.raises(TypeError):
            shared.record_hit(endpoint)
    with pytest.raises(ValueError, match=r"."):
        shared.record_hit("/", amount=-1)
    with pytest.raises(ValueError, match=r"."):
        shared.record_hit("/", float("nan"))
    with pytest.raises(QueryError):
        shared.query_hits("/", 61)
    with pytest.raises(QueryError):
        shared.query_hits("/", -1)
    assert shared.record_hit("/", START + 21) is Outcome.FUTURE
    assert shared.record_hit("/", amount=2**60) is Outcome.SATURATED
    assert shared.record_hit("/", START + 20) is Outcome.COUNTED
    assert shared.record_hit("/", START - 60) is Outcome.LATE
    with pytest.raises(WindowExpired):
        shared.query_hits("/", 60, START - 20)


def test_a_removed_endpoint(shared):
    home = shared.counter("/home")
    assert home.record() is Outcome.COUNTED
    assert shared.remove("/home")
    assert not shared.remove("/home")
    assert (home.record(), home.count(), home.alive) == (Outcome.REFUSED, 0, False)
    assert "removed" in repr(home)
    assert shared.record_hit("/home", amount=2) is Outcome.COUNTED
    assert shared.query_hits("/home", 60) == 2


def test_a_full_file(path):
    registry = SharedRegistry(path, max_endpoints=1)
    assert registry.record_hit("/a") is Outcome.COUNTED
    assert registry.record_hit("/b") is Outcome.REFUSED
    with pytest.raises(RegistryFull):
        registry.counter("/b")
    assert registry.metrics().refused == 1


def test_visitors(shared, clock):
    for visitor in ("ann", b"bob", "ann"):
        assert shared.record_hit("/home", visitor=visitor) is Outcome.COUNTED
    home = shared.counter("/home")
    assert home.record(visitor="cid") is Outcome.COUNTED
    assert home.record_at(START, visitor="cid") is Outcome.COUNTED
    assert int(shared.query_uniques("/home", 60)) == int(home.uniques(60)) == 3
    clock.advance(100)
    assert int(shared.query_uniques("/home")) == 0
    assert int(shared.uniques_ever("/home")) == int(home.uniques_ever()) == 3
    assert int(shared.uniques_ever("/none")) == 0


def test_limits_are_kept_together(shared, path, clock):
    other = SharedRegistry(path, mode="open", clock=clock)
    here, there = shared.limiter("logins", "5/minute"), other.limiter("logins", 5, 60)
    assert here.allow("ann", 4).remaining == 1
    assert not there.allow(b"ann", 2)
    assert there.peek("ann").remaining == 1
    assert there.allow("ann")
    refused = here.allow("ann")
    assert not refused.allowed
    assert refused.retry_after > 0
    assert here.allow(cost=5).allowed, "one for all"
    assert not there.allow()
    assert shared.limiter("posts", "5/minute", burst=5).allow("ann", 5), "another name, another limiter"
    assert (here.name, here.limit, here.window) == ("logins", 5, 60)
    assert here.keys_in_use == 3
    assert here.without_room == (0, 0)
    assert "logins" in repr(here)
    with pytest.raises(LimitError):
        shared.limiter("logins", "fast")
    with pytest.raises(LimitError):
        shared.limiter("logins", 0, 60)
    with pytest.raises(LimitError):
        shared.limiter("logins", "5/s", when_full="maybe")
    with pytest.raises(ValueError, match="cost"):
        here.allow("ann", -1)


def test_the_last_rate_that_was_given_holds_for_all(shared, path, clock):
    old = shared.limiter("logins", "5/minute")
    assert old.allow("ann", 5)
    worker = SharedRegistry(path, mode="open", clock=clock)
    new = worker.limiter("logins", "8/minute")
    assert (old.rate, old.limit, new.peek("ann").remaining) == ("8/60s", 8, 3)
    assert old.allow("ann", 3)
    assert not new.allow("ann")
    assert old.peek("ann").headers("a")["RateLimit-Policy"] == '"a";q=8;w=60'
    assert new.set_rate(6, 60) is None
    assert (old.rate, old.peek("ann").remaining, old.peek("bob").remaining) == ("6/60s", 0, 6)
    with pytest.raises(LimitError, match="a burst of 5 is a token bucket's"):
        shared.limiter("logins", "5/minute", burst=5)
    bucket = shared.limiter("posts", "5/minute", burst=5)
    with pytest.raises(LimitError, match="a token bucket with a burst of 5; give a burst"):
        bucket.set_rate("5/minute")
    with pytest.raises(LimitError, match="keeps one rate, not 2"):
        new.set_rate("5/minute;50/hour")


def test_snapshots_go_both_ways(shared, clock):
    local = Registry(60, clock=clock)
    shared.record_hit("/home", amount=3, visitor="ann")
    local.record_hit("/home", amount=5)
    for _ in range(2):
        local.merge(shared.snapshot())
        shared.merge(local.snapshot())
    assert shared.query_hits("/home", 60) == local.query_hits("/home", 60) == 8
    assert int(local.query_uniques("/home", 60)) == 1
    with pytest.raises(SnapshotError):
        shared.merge(b"nonsense")
    with pytest.raises(SnapshotError):
        shared.merge(Registry(61).snapshot())
    estimates = Registry(60, strategy="morris", clock=clock)
    estimates.record_hit("/home")
    with pytest.raises(SnapshotError, match="morris"):
        shared.merge(estimates.snapshot())


def test_restore_only_alone(shared, path, clock):
    shared.record_hit("/home", amount=3)
    kept = shared.snapshot()
    shared.record_hit("/home")
    other = SharedRegistry(path, mode="open", clock=clock)
    with pytest.raises(SharedError, match="another process") as caught:
        shared.restore(kept)
    assert caught.value.errno == errno.EBUSY
    del other
    home = shared.counter("/home")
    shared.restore(kept)
    assert shared.query_hits("/home", 60) == 3
    assert home.record() is Outcome.REFUSED
    assert shared.current


def test_reading_only(shared, path, clock):
    shared.record_hit("/home", amount=3)
    reader = SharedRegistry(path, mode="read", clock=clock)
    assert (reader.query_hits("/home", 60), reader.writable) == (3, False)
    assert "mode='read'" in repr(reader)
    assert reader.counter("/home").record() is Outcome.REFUSED
    for change in (
        lambda: reader.record_hit("/home"),
        lambda: reader.remove("/home"),
        lambda: reader.counter("/new"),
        lambda: reader.merge(shared.snapshot()),
        lambda: reader.restore(shared.snapshot()),
        lambda: reader.limiter("x", "1/s"),
    ):
        with pytest.raises(SharedError, match="reading") as caught:
            change()
        assert caught.value.errno == errno.EROFS


def test_pickles_and_copies_are_the_same_file(shared, path):
    shared.record_hit("/home")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(shared, protocol))
        assert other.record_hit("/home") in (Outcome.COUNTED, Outcome.LATE)
        assert other.path == path
    for other in (copy.copy(shared), copy.deepcopy(shared)):
        assert other.record_hit("/copied") is Outcome.COUNTED
    assert shared.query_hits("/copied", 60) == 2
    assert shared.total_ever("/home") == 2 + pickle.HIGHEST_PROTOCOL
    reader = pickle.loads(pickle.dumps(SharedRegistry(path, mode="read")))
    assert not reader.writable


def test_compact(path, tmp_path, clock):
    registry = SharedRegistry(path, window=60, max_endpoints=2, clock=clock)
    registry.record_hit("/home", amount=3)
    registry.record_hit("/gone")
    registry.remove("/gone")
    new = tmp_path / "new.ring"
    with pytest.raises(SharedError) as caught:
        hitring.compact(path, new)
    assert caught.value.errno == errno.EBUSY
    del registry
    hitring.compact(path, new, max_endpoints=10, window=120)
    with pytest.raises(SharedError) as caught:
        hitring.compact(path, new)
    assert caught.value.errno == errno.EEXIST
    larger = SharedRegistry(new, mode="open", clock=clock)
    assert (larger.max_endpoints, larger.window, larger.room().lives) == (10, 120, 1)
    assert larger.query_hits("/home", 60) == larger.total_ever("/home") == 3
    for wrong in (0, -1, 2**32):
        with pytest.raises(ConfigError):
            hitring.compact(path, tmp_path / "other.ring", max_endpoints=wrong)
    with pytest.raises(ConfigError):
        hitring.compact(path, tmp_path / "other.ring", limits=-1)
    hitring.compact(path, tmp_path / "limits.ring", limits=77)
    assert SharedRegistry(tmp_path / "limits.ring", mode="open", clock=clock).room().max_limits == 77


def test_a_file_that_is_cut_raises_and_does_not_end_the_process(shared, path):
    home = shared.counter("/home")
    assert home.record() is Outcome.COUNTED
    os.truncate(path, 4_096)
    assert home.record() is Outcome.REFUSED
    assert shared.record_hit("/home") is Outcome.REFUSED
    assert shared.lost
    with pytest.raises(QueryError, match="cut"):
        shared.query_hits("/home", 60)
    with pytest.raises(SharedError, match="cut or copied in part"):
        SharedRegistry(path, mode="open")


CUT = """
import faulthandler, os, sys, hitring
if sys.argv[1] == "before":
    faulthandler.enable()
registry = hitring.SharedRegistry(sys.argv[2], max_endpoints=10)
registry.record_hit("/home")
if sys.argv[1] == "after":
    faulthandler.enable()
os.truncate(sys.argv[2], 0)
print(registry.record_hit("/home"), registry.lost)
"""


@pytest.mark.parametrize("enabled", ["never", "before", "after"])
def test_a_fault_handler_of_pythons_does_not_end_what_a_cut_file_would_not(tmp_path, enabled):
    command = [sys.executable, "-c", CUT, enabled, str(tmp_path / "cut.ring")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "Outcome.REFUSED True\n"), ended.stderr
    # One that was installed later tells of the fault; then it is handled.
    assert ("Bus error" in ended.stderr) == (enabled == "after")


UNCAUGHT = """
import copy, os, pickle, sys, hitring
def caught():
    return bool(int(open("/proc/self/status").read().split("SigCgt:")[1].split()[0], 16) >> 6 & 1)
first = hitring.SharedRegistry(sys.argv[1], max_endpoints=10, catch_sigbus=False)
assert first.record_hit("/home") and len([pickle.loads(pickle.dumps(first)), copy.copy(first)]) == 2
restored = first.restore(first.snapshot())
print(caught(), hitring.SharedRegistry(sys.argv[2], max_endpoints=10) is None, caught(), flush=True)
os.truncate(sys.argv[1], 0)
first.record_hit("/home")
"""


def test_without_a_handler_a_cut_file_ends_the_process(tmp_path):
    files = [str(tmp_path / "first.ring"), str(tmp_path / "second.ring")]
    command = [sys.executable, "-c", UNCAUGHT, *files]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (-signal.SIGBUS, "False False True\n"), ended.stderr


def test_an_endpoint_that_was_hit_ahead_is_left_out_and_named(shared, path):
    for name in ("/a", "/b", "/b"):
        assert shared.record_hit(name, START)
    ahead = SharedRegistry(path, mode="open", clock=ManualClock(START + 3_600))
    assert ahead.record_hit("/a") and ahead.record_hit("/later")
    assert (shared.total(60), shared.top(3, 60), shared.ahead()) == (2, [("/b", 2)], ["/a", "/later"])
    with pytest.raises(WindowExpired):
        shared.query_hits("/a", 60)
    assert shared.remove("/a") and shared.ahead() == ["/later"]


def test_a_signal_that_is_sent_still_ends_the_process(tmp_path):
    code = (
        "import signal, sys, hitring; registry = hitring.SharedRegistry(sys.argv[1], max_endpoints=10);"
        "signal.raise_signal(signal.SIGBUS)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.ring")], capture_output=True, timeout=60)
    assert ended.returncode == -signal.SIGBUS


def test_events_are_of_this_process(shared, path, clock):
    heard = []
    told = threading.Event()

    def hear(name, fields):
        heard.append((name, fields["endpoint"]))
        told.set()

    with_threshold = shared.on_threshold("/*", 60, 3, hear)
    other = SharedRegistry(path, mode="open", clock=clock)
    other.record_hit("/home", amount=2)
    shared.record_hit("/home")
    assert told.wait(10)
    assert heard == [("threshold_crossed", "/home")]
    with_threshold.close()
    told.clear()
    subscription = shared.subscribe(lambda name, _: (heard.append(name), told.set()), "metrics_updated")
    shared.record_hit("/home")
    assert told.wait(10)
    subscription.close()


def test_threads(shared):
    def record():
        home = shared.counter("/home")
        for number in range(2_000):
            home.record()
            shared.record_hit(f"/{number % 20}")

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.query_hits("/home", 60) == 8_000
    assert shared.total(60) == 16_000


def test_what_has_changed_is_told_once(shared, path, clock):
    marks = hitring.Marks()
    assert shared.changed(marks) == []
    shared.record_hit("/home", amount=3)
    clock.set(START + 2)
    shared.record_hit("/home", START - 1, 4)
    shared.record_hit("/about")
    home, about = shared.changed(marks)
    writer, generation = home.writer.rsplit("-", 1)
    assert (writer, generation, about.writer) == (shared.replica, "1", f"{shared.replica}-2")
    assert home == ("/home", home.writer, 0, 7, [(START - 1, 4), (START, 3)])
    assert (about.endpoint, about.total, about.buckets) == ("/about", 1, [(START + 2, 1)])
    assert isinstance(home, hitring.Changed)
    assert shared.changed(marks) == []
    shared.record_hit("/home", START, 1)
    assert [told.buckets for told in shared.changed(marks, since=START)] == [[(START, 4)]]
    marks.forget()
    assert {told.endpoint: told.total for told in shared.changed(marks)} == {"/home": 8, "/about": 1}
    assert shared.totals_ever() == {"/home": 8, "/about": 1}
    shared.remove("/home")
    shared.record_hit("/home")
    (home,) = shared.changed(marks)
    assert (home.writer, home.epoch, home.total) == (f"{shared.replica}-3", 1, 1)
    assert SharedRegistry(path, mode="read", clock=clock).replica == shared.replica
    assert len(bytes.fromhex(shared.replica)) == 16
    with pytest.raises(TypeError):
        shared.changed(None)


def test_the_buckets_of_an_endpoint(shared, clock):
    shared.record_hit("/home", amount=3)
    clock.set(START + 2)
    shared.record_hit("/home")
    assert shared.buckets("/home", 4) == [(START - 1, 0), (START, 3), (START + 1, 0), (START + 2, 1)]
    assert shared.buckets("/home", 2, at=START) == [(START - 1, 0), (START, 3)]
    assert sum(count for _, count in shared.buckets("/home")) == 4
    assert all(isinstance(start, int) for start, _ in shared.buckets("/none"))
    with pytest.raises(QueryError):
        shared.buckets("/home", 61)
