"""The independent judges of ../shared, where that folder is there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SHARED = HERE.parents[3] / "shared"
JUDGES = SHARED / "judges"
STRATEGIES = ["Striped", "Ring", "Sliding"]
LOGS = sorted(path.name[: -len(".tsv.gz")] for path in (SHARED / "data" / "norm").glob("*.tsv.gz"))
# What is there today; a file that goes missing must not go unnoticed.
assert not JUDGES.is_dir() or LOGS

pytestmark = pytest.mark.skipif(not JUDGES.is_dir(), reason="../shared/judges is not there")


def judge(tmp_path, script, *arguments, **environment):
    """Run a judge and return how many cases passed; it must have failed none."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis"),
        **environment,
    }
    ran = subprocess.run(
        [sys.executable, str(JUDGES / script), *arguments],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    verdict = re.search(r"(\d+) passed, (\d+) failed\n\Z", ran.stdout)
    assert ran.returncode == 0 and verdict, ran.stdout[-4000:]
    assert verdict[2] == "0"
    return int(verdict[1])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_leetcode(tmp_path, strategy):
    assert judge(tmp_path, "j_leetcode.py", HITS_ADAPTER=f"judge_adapters:{strategy}") >= 37


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("order", ["time", "file"])
@pytest.mark.parametrize("log", LOGS)
def test_replay(tmp_path, log, order, strategy):
    # STRICT: not even those hits of a file may be dropped that are a whole window late.
    environment = {"HITS_ADAPTER": f"judge_adapters:{strategy}", "STRICT": "1"}
    assert judge(tmp_path, "j_replay.py", log, "--order", order, **environment) >= 50


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seconds_of_two_months(tmp_path, strategy):
    everything = ["--seconds", "6000000"]
    assert judge(tmp_path, "j_persec.py", "nasa", *everything, HITS_ADAPTER=f"judge_adapters:{strategy}") > 5_000


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("order", ["chron", "any"])
def test_fuzz(tmp_path, strategy, order):
    assert judge(tmp_path, "j_fuzz.py", HITS_ADAPTER=f"judge_adapters:{strategy}", ORDER=order) == 1


def test_ports_of_other_counters(tmp_path):
    # All of them: those of 71 seconds in 5 buckets too, whose width of 14.2 seconds is a whole number of microseconds.
    assert judge(tmp_path, "j_ports.py", PORT_ADAPTER="judge_adapters:Buckets") >= 29


def test_the_judges_fail_a_counter_with_a_fault(tmp_path):
    with pytest.raises(AssertionError, match="FAIL"):
        judge(tmp_path, "j_leetcode.py", HITS_ADAPTER="adapter:MutClosedWindow")


@pytest.fixture
def redis_path(tmp_path):
    """A ``PATH`` on which the judge finds redis-server."""
    pytest.importorskip("redis", reason="the package redis is not there, by which the judge asks")
    program = shutil.which(os.environ.get("HITRING_REDIS_SERVER", "redis-server"))
    if program is None:
        pytest.skip("no redis-server here; install it or set HITRING_REDIS_SERVER")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "redis-server").symlink_to(program)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def test_different_items_by_redis(tmp_path, redis_path):
    assert judge(tmp_path, "j_hll.py", PATH=redis_path, BIG="1", HLL_ADAPTER="judge_adapters:Different") >= 59


def test_the_judge_fails_a_sketch_of_another_hash(tmp_path, redis_path):
    with pytest.raises(AssertionError, match="registers differ"):
        judge(tmp_path, "j_hll.py", PATH=redis_path, HLL_ADAPTER="judge_adapters:OtherHash")


@pytest.mark.parametrize("adapter", ["Replica", "DistantReplica"])
def test_laws_of_a_count_of_replicas(tmp_path, adapter):
    assert judge(tmp_path, "j_crdt.py", CRDT_ADAPTER=f"judge_adapters:{adapter}") == 1


def test_the_judge_fails_a_count_that_adds(tmp_path):
    with pytest.raises(AssertionError, match="FAIL"):
        judge(tmp_path, "j_crdt.py", CRDT_ADAPTER="judge_adapters:SummingReplica")


@pytest.mark.parametrize("adapter", ["Sampled", "Tagged"])
def test_approximate_counts_and_samples(tmp_path, adapter):
    adapters = {"MORRIS_ADAPTER": "judge_adapters:Approximate", "RESERVOIR_ADAPTER": f"judge_adapters:{adapter}"}
    assert judge(tmp_path, "j_stats.py", **adapters) == 2
