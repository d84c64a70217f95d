"""``python -m hitring``: the same program as the console script ``hitring``."""

import sys

from hitring._program import main

if __name__ == "__main__":
    sys.exit(main())
