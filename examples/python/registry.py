"""Many endpoints under many threads: which had the most hits?"""

import threading

from hitring import Registry

registry = Registry(strategy="adaptive", max_endpoints=1_000_000)


def work(number: int) -> None:
    for request in range(1_000):
        registry.record_hit(f"/page/{(request * 7 + number) % 10}")


threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

home = registry.counter("/home")  # records without looking the name up
home.record(500)

for endpoint, hits in registry.top(3, last_seconds=60):
    print(f"{hits:6}  {endpoint}")
assert registry.query_hits("/home", last_seconds=60) == 500
assert registry.total(60) == 4_500

other = Registry()
other.record_hit("/home", amount=100)
registry.merge(other.snapshot())
registry.merge(other.snapshot())  # the same again changes nothing
print("with the other registry:", registry.query_hits("/home", last_seconds=60))
assert registry.query_hits("/home", last_seconds=60) == 600
