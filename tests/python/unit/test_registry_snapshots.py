"""Snapshots of registries: restored, merged, kept in files, and refused when they are not whole."""

import os
import stat
import subprocess
import sys
import zlib

import pytest

from hitring import HitCounter, ManualClock, Outcome, Registry, SnapshotError, Strategy

NOW = 1_000_000
EXACT = ["ring", "striped", "sliding", "adaptive"]


def registry(strategy="ring", **options):
    return Registry(strategy=strategy, clock=ManualClock(NOW), **options)


def filled(strategy="ring"):
    counts = registry(strategy)
    counts.record_hit("/a", NOW - 100, 3)
    counts.record_hit("/a", NOW, 4)
    counts.record_hit("/b", NOW - 299, 5)
    return counts


@pytest.mark.parametrize("strategy", [*EXACT, "fixed", "morris"])
def test_a_restored_registry_answers_as_the_live_one_for_all_time_to_come(strategy):
    counts = filled(strategy)
    snapshot = counts.snapshot()
    assert type(snapshot) is bytes
    restored = registry("ring")
    restored.restore(snapshot)
    assert restored.strategy == counts.strategy
    assert restored.endpoints() == counts.endpoints()
    for k in range(320):
        for name in ("/a", "/b", "/nobody"):
            assert restored.query_hits(name, at=NOW + k) == counts.query_hits(name, at=NOW + k)
        assert restored.total(60, at=NOW + k) == counts.total(60, at=NOW + k)
    ours, theirs = restored.metrics(), counts.metrics()
    assert ours._replace(memory_bytes=0) == theirs._replace(memory_bytes=0)


def test_restore_replaces_everything():
    """Snapshot, mutate, restore: the seed's fifth scenario."""
    counts = filled()
    handle, gone = counts.counter("/a"), counts.counter("/new")
    counts.remove("/new")
    snapshot = counts.snapshot()
    before = counts.metrics()
    other = counts.counter("/other")
    other.record(100)
    handle.record(100)
    counts.remove("/b")
    counts.swap_strategy("sliding")
    counts.restore(snapshot)
    assert counts.endpoints() == ["/a", "/b"]
    assert [counts.query_hits(name) for name in ("/a", "/b", "/other")] == [7, 5, 0]
    assert counts.metrics()._replace(memory_bytes=0) == before._replace(memory_bytes=0)
    # Counters go on with the endpoints of their names.
    assert handle.record() is Outcome.COUNTED
    assert handle.count() == counts.query_hits("/a") == 8
    assert other.record() is Outcome.REFUSED
    assert gone.record() is Outcome.REFUSED


@pytest.mark.parametrize("strategy", EXACT)
def test_merging_joins_and_repeats_add_nothing(strategy):
    here, there = filled(strategy), registry(strategy)
    there.record_hit("/a", NOW, 10)
    early = there.snapshot()
    there.record_hit("/c", NOW, 1)
    there.record_hit("/a", NOW, 10)
    late = there.snapshot()
    for snapshot in (early, late, early, late):
        here.merge(snapshot)
    assert [here.query_hits(name) for name in ("/a", "/b", "/c")] == [27, 5, 1]
    assert here.metrics().total_hits == 33
    assert there.query_hits("/a") == 20
    here.record_hit("/c")
    # By way of a third: nothing is doubled.
    third = registry(strategy)
    third.merge(late)
    third.merge(here.snapshot())
    third.merge(there.snapshot())
    assert third.total() == 34


def test_a_registrys_own_snapshot_is_not_merged():
    counts = filled()
    with pytest.raises(SnapshotError, match="this registry itself"):
        counts.merge(counts.snapshot())
    assert counts.total() == 12


def test_removed_hits_do_not_come_back():
    here, there = registry(), filled()
    here.merge(there.snapshot())
    old = there.snapshot()
    there.remove("/a")
    there.record_hit("/a", NOW, 1)
    here.merge(there.snapshot())
    here.merge(old)
    assert here.query_hits("/a") == 1
    assert here.query_hits("/b") == 5


def test_all_that_is_bytes_like_is_taken():
    snapshot = filled().snapshot()
    for given in (snapshot, bytearray(snapshot), memoryview(snapshot)):
        here = registry()
        here.merge(given)
        assert here.total() == 12
    for wrong in ("snapshot", None, 5):
        for take in (registry().merge, registry().restore):
            with pytest.raises(TypeError):
                take(wrong)


def resealed(snapshot):
    body = snapshot[:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_what_is_not_whole_changes_nothing():
    snapshot = filled().snapshot()
    here = filled()
    before = here.metrics(), here.top(10)
    broken = [snapshot[:length] for length in range(len(snapshot))]
    broken += [snapshot + b"\0", b"", b"\0" * 100, b"HITRING\0"]
    broken += [
        snapshot[:place] + bytes([snapshot[place] ^ 1 << bit]) + snapshot[place + 1 :]
        for place in range(len(snapshot))
        for bit in (0, 7)
    ]
    for given in broken:
        for take in (here.restore, here.merge):
            with pytest.raises(SnapshotError):
                take(given)
    assert (here.metrics(), here.top(10)) == before


def test_newer_foreign_and_other_kinds_are_named():
    snapshot = filled().snapshot()
    newer = bytearray(snapshot)
    newer[8] += 1
    with pytest.raises(SnapshotError, match="upgrade hitring"):
        registry().restore(resealed(bytes(newer)))
    counter = HitCounter()
    counter.hit(5)
    with pytest.raises(SnapshotError, match="HitCounter"):
        registry().merge(counter.snapshot())
    with pytest.raises(SnapshotError, match="Registry"):
        counter.merge(snapshot)
    for other in ({"window": 60}, {"window": 300, "resolution": 60}):
        with pytest.raises(SnapshotError, match=r"otherwise|both alike"):
            Registry(**other).restore(snapshot)
    with pytest.raises(SnapshotError, match="max_endpoints"):
        registry(max_endpoints=1).restore(snapshot)
    full = registry(max_endpoints=1)
    full.record_hit("/z")
    with pytest.raises(SnapshotError, match="max_endpoints"):
        full.merge(snapshot)
    assert full.endpoints() == ["/z"]


def test_files_are_written_whole(tmp_path):
    path = tmp_path / "counts"
    counts = filled()
    counts.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["counts"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    counts.record_hit("/a")
    counts.save(str(path))
    restored = registry()
    restored.load(os.fspath(path))
    assert restored.total() == 13
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotError):
        restored.load(path)
    assert restored.total() == 13
    with pytest.raises(FileNotFoundError) as raised:
        restored.load(tmp_path / "nowhere")
    assert raised.value.filename == str(tmp_path / "nowhere")
    assert str(raised.value) == f"[Errno 2] No such file or directory: '{tmp_path / 'nowhere'}'"
    with pytest.raises(FileNotFoundError):
        restored.save(tmp_path / "nowhere" / "counts")
    with pytest.raises(TypeError):
        restored.save(7)
    assert restored.total() == 13


def test_a_swap_is_kept_in_a_snapshot():
    counts = filled("ring")
    counts.swap_strategy(Strategy.sliding(max_hits=1_000))
    counts.record_hit("/a", NOW, 1)
    restored = registry()
    restored.restore(counts.snapshot())
    assert restored.strategy == "sliding:max_hits=1000"
    assert restored.query_hits("/a") == 8
    assert restored.query_hits("/a", 100) == 5


def test_processes_are_joined(tmp_path):
    program = (
        "import sys, hitring\n"
        f"counts = hitring.Registry(clock=hitring.ManualClock({NOW}))\n"
        "for name in ('/a', '/b'): counts.record_hit(name, None, int(sys.argv[2]))\n"
        "counts.save(sys.argv[1])\n"
    )
    here = registry()
    for number in (1, 10, 100):
        path = tmp_path / str(number)
        subprocess.run([sys.executable, "-c", program, str(path), str(number)], check=True)
        for _ in range(2):
            here.merge(path.read_bytes())
    assert here.top(2) == [("/a", 111), ("/b", 111)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_childs_hits_are_merged_after_it_cleared(tmp_path):
    here = filled()
    paths = [tmp_path / "inherited", tmp_path / "own"]
    child = os.fork()
    if child == 0:
        try:
            here.record_hit("/a", NOW, 1_000)
            here.save(paths[0])
            here.clear()
            here.record_hit("/a", NOW, 50)
            here.save(paths[1])
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(SnapshotError, match="fork"):
        here.merge(paths[0].read_bytes())
    assert here.total() == 12
    for _ in range(2):
        here.merge(paths[1].read_bytes())
    assert here.query_hits("/a") == 57
