"""``python -m bench.demo``."""

import sys

from bench.demo.cli import main

if __name__ == "__main__":
    sys.exit(main())
