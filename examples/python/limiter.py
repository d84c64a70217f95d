"""Limits: at most so many hits in any window, for all callers together and for each of them."""

from hitring import KeyedLimiter, Limiter, ManualClock

clock = ManualClock(1_000)
limiter = Limiter("3/minute", clock=clock)
for call in range(1, 5):
    decision = limiter.allow()
    if decision.allowed:
        print(f"call {call}: allowed, {decision.remaining} left")
    else:
        print(f"call {call}: refused, try again in {decision.retry_after} s")
assert not limiter.allow()
clock.set(1_060)
assert limiter.allow()  # the first hits have left the window

clients = KeyedLimiter("2/second", max_keys=10_000, clock=clock)
assert clients.allow("192.0.2.1") and clients.allow("192.0.2.1") and not clients.allow("192.0.2.1")
assert clients.allow("192.0.2.2")  # each client has a limit of its own
print("192.0.2.1 is over its limit, 192.0.2.2 is not")
