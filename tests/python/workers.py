"""What child processes run. They find it by name, whatever the tests' own modules are called."""

from hitring import HitCounter


def record(counter, hits):
    """Count in a counter that came over from another process, and send it back."""
    for _ in range(hits):
        counter.hit(5)
    return counter


def snapshot_of_hits(hits):
    counter = HitCounter()
    for _ in range(hits):
        counter.hit(5)
    return counter.snapshot()


GLOBAL = HitCounter()


def record_in_global(hits):
    """Count in this process's own copy of a global counter."""
    for _ in range(hits):
        GLOBAL.hit(5)
    return GLOBAL.count_at(5)
