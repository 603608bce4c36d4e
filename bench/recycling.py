"""What ``max_tasks_per_child`` costs: ``python -m bench.recycling``.

Each interpreter that ends may leave memory behind, within CPython. Recycled workers are compared
with interpreters of CPython's own that import the same, as often.
"""

import argparse
import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from interp_executor import InterpreterPoolExecutor, close_idle_workers

COUNT = 100
WARM_UP = 10


def megabytes() -> float:
    """Return the resident memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def recycle(times: int) -> int:
    """Have a worker replaced so many times; return how many interpreters ended."""
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as executor:
        for _ in range(times):
            executor.submit(abs, -1).result()
    close_idle_workers()
    return executor.stats().retired


def make_and_end(times: int) -> int:
    """Make and end interpreters of CPython's own."""
    interpreters: Any = import_module("_interpreters")  # CPython's own, and private
    for _ in range(times):
        one = interpreters.create()
        interpreters.exec(one, "import interp_executor._worker, interp_executor._scrub, pickle")
        interpreters.destroy(one)
    return times


def cost(act: Callable[[int], int], times: int) -> tuple[float, int]:
    """Return the MB that each interpreter leaves behind, and how many there were."""
    act(WARM_UP)
    before = megabytes()
    ended = act(times)
    return (megabytes() - before) / ended, ended


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(prog="python -m bench.recycling", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="interpreters of each kind")
    count = parser.parse_args().count
    print(f"Python {sys.version.split()[0]}: MB that stay with each interpreter that ends")
    for title, act in (("a recycled worker", recycle), ("CPython alone", make_and_end)):
        each, ended = cost(act, count)
        print(f"{title:20} {each:6.2f}   ({ended} ended)", flush=True)


if __name__ == "__main__":
    main()
