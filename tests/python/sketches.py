"""The sketches, and what is alike in them."""

import threading

from hitring import BottomK, GCounter, HyperLogLog, Morris, Reservoir, TopK

# How one is made, how something is added to it, what it then shows.
ALL = {
    "HyperLogLog": (HyperLogLog, lambda sketch, item: sketch.add(item), lambda sketch: sketch.count()),
    "GCounter": (lambda: GCounter("web-1"), lambda sketch, _: sketch.record(), lambda sketch: sketch.count()),
    "Morris": (lambda: Morris(0.1), lambda sketch, _: sketch.record(), lambda sketch: sketch.estimate()),
    "Reservoir": (lambda: Reservoir(10), lambda sketch, item: sketch.add(item), lambda sketch: sketch.items()),
    "BottomK": (lambda: BottomK(10), lambda sketch, item: sketch.add(item), lambda sketch: sketch.items()),
    "TopK": (lambda: TopK(10), lambda sketch, item: sketch.add(item), lambda sketch: sketch.items()),
}


def filled(name, items):
    """A sketch of that class with ``items`` of its own kind."""
    make, add, _ = ALL[name]
    sketch = make()
    for item in range(items):
        add(sketch, f"item {item}")
    return sketch


def shown(sketch):
    """What a sketch shows of its contents."""
    return ALL[type(sketch).__name__][2](sketch)


def together(*functions):
    """Run the functions at once and pass on what they raise."""
    raised = []
    start = threading.Barrier(len(functions))

    def guarded(function):
        try:
            start.wait()
            function()
        except BaseException as error:  # raised again below
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
