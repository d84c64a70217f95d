"""One counter, hit by several threads: how many hits were there in the last minute?"""

import threading

from hitring import HitCounter, ManualClock

counter = HitCounter()  # the last 300 seconds, by the second


def work() -> None:
    for _ in range(1_000):
        counter.record()


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("last minute:", counter.count(60))
assert counter.count() == 4_000

clock = ManualClock(1_000)  # a clock that a test moves
counter = HitCounter(60, clock=clock)
counter.record(5)
clock.set(1_059)
assert counter.count() == 5  # the window is (999, 1059]
clock.set(1_060)
assert counter.count() == 0  # the hits are 60 seconds old
print("a minute later:", counter.count())
