"""`hitring.logging.HitHandler`: records are counted by level and logger, whatever they say."""

import itertools
import logging
import logging.config
import os
import signal
import sys
import threading

import pytest

from hitring import ConfigError, KeyedLimiter, ManualClock, Registry, labelled
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
    assert len(registry) == 4 + 99 + 2
    assert counted(registry)[of("(other)", "service.0")] == 201
    logging.addLevelName(45, "X" * 2_000)
    root.getChild("0").log(45, "a level with a long name")
    assert counted(registry)[of("(other)", "service.0")] == 202


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


def test_what_a_configuration_calls_a_handler_is_its_own(registry):
    made = []

    def make(**options):
        made.append(HitHandler(registry, **options))
        return made[-1]

    logger = logging.getLogger("hitring-configured")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"hits-handler": {"()": make, "name": "counted", "level": "ERROR"}},
            "loggers": {logger.name: {"handlers": ["hits-handler"], "level": "DEBUG", "propagate": False}},
        }
    )
    try:
        logger.error("one")
        logger.warning("not counted")
        of_configured = labelled("counted", level="ERROR", logger=logger.name)
        assert counted(registry) == {of_configured: 1}
        assert made[0].get_name() == "hits-handler"
        made[0].set_name("another")
        logger.error("two")
        assert counted(registry) == {of_configured: 2}
    finally:
        made[0].close()
        logger.handlers.clear()


def test_a_handler_never_raises(registry, root, capsys):
    root.addHandler(HitHandler(registry))
    root.handle(logging.makeLogRecord({"msg": "of a socket", "levelname": "ERROR", "levelno": 40}))
    assert counted(registry) == {of("ERROR", "None"): 1}
    root.handlers[0].handle(logging.makeLogRecord({"levelno": []}))
    assert "TypeError" in capsys.readouterr().err
    assert sum(counted(registry).values()) == 1


def test_a_record_that_a_filter_puts_in_place_is_counted(registry):
    handler = HitHandler(registry)
    handler.filter = lambda record: logging.makeLogRecord({**vars(record), "name": "redacted"})
    handler.handle(logging.makeLogRecord({"levelno": 40, "name": "secret"}))
    assert counted(registry) == {of("ERROR", "redacted"): 1}


def test_a_name_that_a_formatter_changed_is_not_counted(registry):
    HitHandler(registry).handle(logging.makeLogRecord({"levelno": 40, "levelname": "\x1b[31mERROR", "name": "a"}))
    assert counted(registry) == {of("ERROR", "a"): 1}


def test_records_without_room_are_counted_together(root):
    registry = Registry(max_endpoints=2, clock=ManualClock(1_000))
    root.addHandler(HitHandler(registry))
    for number in range(5):
        root.getChild(str(number)).error("one")
    assert counted(registry) == {of("ERROR", "service.0"): 1, of("(other)", "(other)"): 4}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
def test_a_fork_finds_no_lock(registry, root):
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        pytest.skip("a child may find locks of Python's own dictionaries held")
    root.addHandler(HitHandler(registry, max_loggers=10**6))
    is_over = threading.Event()

    def log(worker):
        for number in itertools.count():
            if is_over.is_set():
                break
            root.handle(logging.makeLogRecord({"levelno": 40, "name": f"{worker}.{number}"}))

    threads = [threading.Thread(target=log, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                root.handlers[0].handle(logging.makeLogRecord({"levelno": 40, "name": f"child {number}"}))
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def test_wrong_options(registry, tmp_path):
    for wrong in (None, KeyedLimiter("1/s")):
        with pytest.raises(ConfigError, match="cannot count; give a Registry"):
            HitHandler(wrong)
    with pytest.raises(ConfigError, match="a name of 1050 characters is too long"):
        HitHandler(registry, name="a" * 1_016)
    with pytest.raises(ConfigError, match="max_loggers must be a whole number, at least 1, not 0"):
        HitHandler(registry, max_loggers=0)
    with pytest.raises(ConfigError, match="'a name' cannot have labels"):
        HitHandler(registry, name="a name")
