"""What `python -m hitring.bench` measures, beside an empty method that is written in Rust.

    python tests/python/performance/bench.py [--quick] [--json]

There are two empty methods, which Cargo builds from ``floor``: one as PyO3 makes it, and one that is entered as quickly
as hitring's own methods. Rows of less common calls are measured as well. It asserts nothing, because figures depend on
the machine.
"""

from __future__ import annotations

import array
import importlib.machinery
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import time

from hitring import HitCounter, HyperLogLog, Limiter, Registry, bench
from hitring._bench_rounds import NAMES, Row
from hitring._bench_rows import ALLOW, HIT, NAME, QUERY, RECORD

NOW = int(time.time())


def built_floors():
    """The empty objects by label, if they can be built."""
    here = pathlib.Path(__file__).resolve().parent
    cargo = shutil.which("cargo")
    # A published crate has no other package in it.
    if cargo is None or not (here / "floor").is_dir():
        print("The empty methods in Rust are left out: they need cargo and a clone of the repository.", file=sys.stderr)
        return {}
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", here.parents[2] / "target"), "floor")
    command = [cargo, "build", "--release", "--locked", "--quiet", "--target-dir", target]
    # Python has loaded its library already.
    environment = {**os.environ, "PYO3_BUILD_EXTENSION_MODULE": "1", "PYO3_PYTHON": sys.executable}
    subprocess.run(command, cwd=here / "floor", env=environment, check=True)
    prefix, suffix = {"darwin": ("lib", ".dylib"), "win32": ("", ".dll")}.get(sys.platform, ("lib", ".so"))
    loader = importlib.machinery.ExtensionFileLoader(
        "hitring_floor", str(target / "release" / f"{prefix}hitring_floor{suffix}")
    )
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return {"empty, PyO3": module.Floor(), "empty, entered as hitring": module.FastFloor()}


def floor_rows():
    calls = {RECORD: "record()", HIT: "hit(ts)", QUERY: "getHits(ts)", NAME: "record_hit(name)"}
    for label, floor in built_floors().items():
        for group, call in calls.items():
            yield Row(group, label, f"floor.{call}", {"floor": floor, "ts": NOW})


def more_rows():
    given = {"counter": HitCounter(), "ts": NOW, "part": NOW + 0.5}
    for call in ("hit()", "record(5)", "record_at(ts)", "record_at(ts, 5)", "count_at(ts)", "getHits()"):
        yield Row("other calls", call, f"counter.{call}", given)
    yield Row("other calls", "hit(timestamp=ts)", "counter.hit(timestamp=ts)", given)
    yield Row("other calls", "hit(float)", "counter.hit(part)", given)
    many = {"counter": HitCounter(), "many": array.array("q", [NOW] * 1_000)}
    statement = "counter.record_many(many)"
    yield Row("other calls", "record_many(array), a hit", statement, many, names=NAMES[:10], calls=1_000)
    handle = Registry(strategy="adaptive").counter("/")
    yield Row("other calls", "record() of an adaptive handle", "handle.record()", {"handle": handle})
    refusing = Limiter(1, 86_400)
    refusing.allow()
    yield Row(ALLOW, "hitring, refused", "limiter.allow()", {"limiter": refusing})
    sketch = HyperLogLog()
    sketch.update(f"visitor {number}" for number in range(20_000))
    yield Row("sketches", "HyperLogLog.add, dense", "sketch.add(name)", {"sketch": sketch})
    statement = "registry.record_hit('/home', visitor=name)"
    yield Row("sketches", "record_hit(visitor=)", statement, {"registry": Registry()})


if __name__ == "__main__":
    sys.exit(bench.main(more=lambda: [*floor_rows(), *more_rows()]))
