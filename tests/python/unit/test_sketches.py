"""What all sketches have in common: bytes, copies, pickles, merging, bad input."""

import copy
import gc
import pickle
import sys
import weakref

import pytest

import hitring
from hitring import GCounter, HitCounter, HitringError, SnapshotError
from sketches import ALL, filled, shown, together

NAMES = list(ALL)
WAYS = {
    "bytes": lambda sketch: type(sketch).from_bytes(sketch.to_bytes()),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda sketch, protocol=protocol: pickle.loads(pickle.dumps(sketch, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request):
    return request.param


@pytest.mark.parametrize("items", [0, 1, 7, 1_000])
def test_what_comes_back_is_the_same_and_goes_on_by_itself(name, way, items):
    sketch = filled(name, items)
    before = shown(sketch)
    back = way(sketch)
    assert type(back) is type(sketch)
    assert repr(back) == repr(sketch)
    assert shown(back) == before
    for item in range(10_000):
        ALL[name][1](back, f"other {item}")
    assert shown(sketch) == before
    assert shown(back) != before


def test_merging_again_changes_nothing(name, way):
    sketch = filled(name, 1_000)
    other = way(sketch)
    for item in range(1_000):
        ALL[name][1](other, f"other {item}")
    sketch.merge(other)
    merged = shown(sketch)
    for again in (other, other.to_bytes(), bytearray(other.to_bytes()), memoryview(other.to_bytes()), sketch):
        sketch.merge(again)
        assert shown(sketch) == merged
    other.merge(sketch)
    assert shown(other) == merged


def test_merging_into_itself_changes_nothing(name):
    sketch = filled(name, 100)
    before = sketch.to_bytes()
    sketch.merge(sketch)
    sketch.merge(before)
    assert sketch.to_bytes() == before


def test_bytes_that_are_broken_are_refused_and_change_nothing(name):
    sketch = filled(name, 3)
    before = data = sketch.to_bytes()
    for at in range(len(data)):
        changed = bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]])
        for bad in (data[:at], changed):
            with pytest.raises(SnapshotError):
                type(sketch).from_bytes(bad)
            with pytest.raises(SnapshotError):
                sketch.merge(bad)
    assert sketch.to_bytes() == before


def test_bytes_of_something_else_are_named(name):
    sketch = filled(name, 3)
    for other in [HitCounter().snapshot(), *(filled(other, 3).to_bytes() for other in NAMES if other != name)]:
        with pytest.raises(SnapshotError, match=f"not of a {name}; give it to a"):
            type(sketch).from_bytes(other)
        with pytest.raises(SnapshotError, match=f"not of a {name}; give it to a"):
            sketch.merge(other)
    with pytest.raises(SnapshotError, match="not a hitring snapshot"):
        sketch.merge(b"junk")


@pytest.mark.parametrize("other", [None, 5, "text", object(), HitCounter(), [b"x"]])
def test_only_the_same_class_and_bytes_are_merged(name, other):
    sketch = filled(name, 3)
    with pytest.raises(TypeError, match=f"merge takes another {name}, or bytes"):
        sketch.merge(other)
    with pytest.raises(TypeError, match="data must be bytes"):
        type(sketch).from_bytes(other)


def test_a_sketch_of_another_class_is_not_merged(name):
    other = HitCounter() if name == "GCounter" else GCounter("a")
    with pytest.raises(TypeError, match=f"merge takes another {name}, or bytes as its to_bytes"):
        filled(name, 3).merge(other)


def test_a_pickle_of_the_future_is_refused():
    restore = filled("TopK", 1).__reduce__()[0]
    with pytest.raises(SnapshotError, match="upgrade hitring"):
        restore("TopKOfTheFuture", b"")


def test_errors_are_value_errors_of_ours():
    assert issubclass(hitring.SketchError, ValueError) and issubclass(hitring.SketchError, HitringError)
    assert hitring.SketchError.__module__ == "hitring"


def test_objects(name):
    sketch = filled(name, 1)
    kind = type(sketch)
    assert kind.__module__ == "hitring" and getattr(hitring, name) is kind
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Derived", (kind,), {})
    for attribute in ("anything", *(name for name in vars(kind) if not name.startswith("_"))):
        with pytest.raises(AttributeError):
            setattr(sketch, attribute, 5)
    for attribute, member in vars(kind).items():
        assert attribute.startswith("_") or member.__doc__, attribute
    assert sketch == sketch and sketch != copy.copy(sketch)
    alive = weakref.ref(sketch)
    del sketch
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    "text",
    [
        "HyperLogLog(precision=14)",
        "HyperLogLog(precision=4)",
        "GCounter('web-1')",
        'GCounter("it\'s")',
        "Morris(base=1.005)",
        "Morris(base=2.0)",
        "Reservoir(10)",
        "BottomK(1)",
        "TopK(1048576)",
    ],
)
def test_reprs_evaluate_to_the_same(text):
    assert repr(eval(text, vars(hitring))) == text


def test_threads_and_everything_at_once(name):
    make, add, _ = ALL[name]
    sketch, other = make(), make()

    def adder(of):
        def run():
            for item in range(2_000):
                add(of, f"item {item}")

        return run

    def read():
        for _ in range(50):
            shown(sketch)
            sketch.to_bytes()
            copy.copy(sketch)

    def merge(into, of):
        def run():
            for _ in range(50):
                into.merge(of)

        return run

    together(adder(sketch), adder(sketch), adder(other), read, merge(sketch, other), merge(other, sketch))
    sketch.merge(other)
    other.merge(sketch)
    assert shown(other) == shown(sketch)


def test_calls_leak_no_references(name):
    sketch = ALL[name][0]()
    item, bad = "an item of its own", object()
    method = sketch.add if hasattr(sketch, "add") else sketch.record
    argument = item if hasattr(sketch, "add") else 10**9 + 7

    def calls():
        method(argument)
        method(*[argument])
        with pytest.raises(TypeError):
            method(bad)
        with pytest.raises(TypeError):
            method(argument, argument, argument)

    calls()
    before = [sys.getrefcount(thing) for thing in (argument, bad, sketch)]
    for _ in range(1_000):
        calls()
    after = [sys.getrefcount(thing) for thing in (argument, bad, sketch)]
    assert all(now <= then + 5 for now, then in zip(after, before))
