"""`hitring.logging.HitHandler`: records are counted by level and logger, whatever they say."""

import logging
import threading

import pytest

from hitring import ConfigError, ManualClock, Registry, labelled
from hitring.logging import HitHandler


@pytest.fixture
def registry():
    return Registry(clock=ManualClock(1_000))


@pytest.fixture
def root():
    """A logger that the loggers below it hand their records to, apart from those of the process."""
    return logging.Manager(logging.RootLogger(logging.DEBUG)).getLogger("service")


def counted(registry):
    return dict(registry.top(1_000))


def of(level, logger):
    return labelled("log", level=level, logger=logger)


def test_records_are_counted_by_level_and_logger(registry, root):
    root.addHandler(HitHandler(registry))
    root.warning("one")
    root.getChild("a").error("two %s %d", "has too few")
    root.getChild("a").error("three")
    assert counted(registry) == {of("ERROR", "service.a"): 2, of("WARNING", "service"): 1}


def test_levels_and_filters_of_the_handler_hold(registry, root):
    handler = HitHandler(registry, level="WARNING")
    handler.addFilter(lambda record: "secret" not in record.msg)
    root.addHandler(handler)
    for text in ("one", "a secret"):
        root.info(text)
        root.error(text)
    assert counted(registry) == {of("ERROR", "service"): 1}


def test_by_level_alone_and_under_another_name(registry, root):
    root.addHandler(HitHandler(registry, name="records", by_logger=False))
    root.error("one")
    root.getChild("a").error("two")
    assert counted(registry) == {labelled("records", level="ERROR"): 2}


def test_loggers_and_levels_without_end_are_capped(registry, root):
    root.addHandler(HitHandler(registry, max_loggers=3))
    for number in range(10):
        root.getChild(str(number)).error("one")
    root.getChild("0").error("again")
    root.getChild("x" * 2_000).error("a long name")
    assert counted(registry) == {
        of("ERROR", "service.0"): 2,
        of("ERROR", "service.1"): 1,
        of("ERROR", "service.2"): 1,
        of("ERROR", "(other)"): 8,
    }
    for level in range(100, 400):
        root.getChild("0").log(level, "a level of its own")
    assert len(registry) == 4 + 99 + 1
    assert counted(registry)[of("(other)", "service.0")] == 201


def test_texts_that_are_not_unicode_are_counted(registry, root):
    root.addHandler(HitHandler(registry))
    root.getChild("\ud800").error("one")
    assert counted(registry) == {of("ERROR", "service.?"): 1}


def test_no_lock_is_taken(registry, root):
    handler = HitHandler(registry)
    root.addHandler(handler)
    root.error("its name is known from now on")
    with handler.lock:
        thread = threading.Thread(target=root.error, args=("while another thread has the lock",), daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    assert counted(registry) == {of("ERROR", "service"): 2}


def test_wrong_options(registry):
    with pytest.raises(ConfigError, match="max_loggers must be a whole number, at least 1, not 0"):
        HitHandler(registry, max_loggers=0)
    with pytest.raises(ConfigError, match="'a name' cannot have labels"):
        HitHandler(registry, name="a name")
