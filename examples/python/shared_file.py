"""One file in which several processes count. A process that is killed loses none of the hits that it recorded."""

import multiprocessing
import os
import tempfile

from hitring import SharedRegistry


def work(path: str) -> None:
    home = SharedRegistry(path).counter("/home")
    for _ in range(1_000):
        home.record()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hits.ring")
        registry = SharedRegistry(path)
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=work, args=(path,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print("three processes recorded", registry.query_hits("/home", 60))
        assert registry.query_hits("/home", 60) == 3_000


if __name__ == "__main__":
    main()
