"""The ``hitring`` program: the console script of the package, and ``python -m hitring``."""

from __future__ import annotations

import signal
import sys

from hitring._hitring import _run

__all__ = ["main"]


def main() -> int:
    """Run the program with the arguments of this process and return its exit status."""
    # Python notes Ctrl-C for its own main loop, which does not run meanwhile: the default action ends the process.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return _run(["hitring", *sys.argv[1:]])
    finally:
        signal.signal(signal.SIGINT, interrupt)
