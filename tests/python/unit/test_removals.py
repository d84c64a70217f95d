"""Removals and merges: hits up to a removal stay removed, hits after it count, wherever either was recorded."""

from __future__ import annotations

import pathlib
from typing import Union

import pytest

from hitring import ManualClock, Outcome, Registry, SharedRegistry

Made = Union[Registry, SharedRegistry]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


@pytest.fixture(params=["memory", "file"])
def home(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: pathlib.Path) -> Made:
    if request.param == "memory":
        return Registry(clock=clock)
    return SharedRegistry(tmp_path / "hits", max_endpoints=100, clock=clock)


def test_hits_after_a_removal_count_whichever_registry_took_them(home: Made, clock: ManualClock) -> None:
    home.record_hit("/a")
    home.remove("/a")
    clock.advance(100)
    shard = Registry(clock=clock)
    shard.record_hit("/a", None, 3)
    shard.record_hit("/b", None, 4)
    assert home.merge(shard.snapshot()) == 0
    assert (home.query_hits("/a"), home.query_hits("/b")) == (3, 4)


def test_hits_of_the_tick_of_a_removal_count_if_they_were_not_found(home: Made, clock: ManualClock) -> None:
    home.record_hit("/a")
    home.remove("/a")
    home.record_hit("/a", None, 10)
    shard = Registry(clock=clock)
    shard.record_hit("/a", None, 3)
    home.merge(shard.snapshot())
    assert home.query_hits("/a") == 13


def test_a_registry_that_removed_a_name_takes_nothing_from_another(home: Made, clock: ManualClock) -> None:
    home.record_hit("/a")
    home.remove("/a")
    home.record_hit("/a", None, 5)
    other = Registry(clock=clock)
    counter = other.counter("/a")
    counter.record(10)
    assert other.merge(home.snapshot()) == 0
    assert (other.query_hits("/a"), counter.alive, counter.record()) == (15, True, Outcome.COUNTED)


def test_what_was_removed_does_not_come_back(home: Made, clock: ManualClock) -> None:
    worker = Registry(clock=clock)
    worker.record_hit("/a", None, 7)
    before = worker.snapshot()
    home.merge(before)
    home.remove("/a")
    assert home.merge(before) == 7
    assert home.query_hits("/a") == 0
    clock.advance(1)
    worker.record_hit("/a", None, 2)
    assert home.merge(worker.snapshot()) == 7
    assert home.query_hits("/a") == 2


def test_an_aggregator_counts_its_workers_after_a_removal(home: Made, clock: ManualClock) -> None:
    workers = [Registry(clock=clock) for _ in range(2)]

    def turn() -> None:
        for worker in workers:
            worker.record_hit("/login", None, 10)
            home.merge(worker.snapshot())

    turn()
    assert home.query_hits("/login") == 20
    home.remove("/login")
    assert home.query_hits("/login") == 0
    for minute in (1, 2, 3):
        clock.advance(60)
        turn()
        assert home.query_hits("/login") == 20 * minute
