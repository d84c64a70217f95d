"""Forked children of the test run."""

import os
import warnings

import pytest

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_a_forked_child(function):
    """What ``function`` returns, as text, in a fork of this process; it has a minute."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        import signal

        signal.alarm(60)
        try:
            os.write(writing, repr(function()).encode())
            os._exit(0)
        except BaseException as error:  # it must not come back into the test run
            os.write(writing, repr(error).encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, text
    return text
