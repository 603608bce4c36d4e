"""How soon an interrupt reaches a task: ``python -m bench.interrupts``.

Each task notes the moment at which the interrupt is raised in it, on the clock that all
interpreters share. Under load, as many processes as twice the processors compute all the while,
and so does a thread of the owner.
"""

import argparse
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from interp_executor import InterpreterPoolExecutor

COUNT = 500
TIMEOUT = 0.02  # seconds
FLOOR = 50.0  # ms
PATIENCE = 60.0  # seconds


def until_interrupted(work: Callable[[], object], fd: int | None = None) -> tuple[int, int]:
    """Repeat some work until an interrupt; return when that began and ended, in nanoseconds."""
    began = time.monotonic_ns()
    try:
        if fd is not None:
            os.write(fd, b"!")
        while True:
            work()
    except BaseException:
        return began, time.monotonic_ns()


def count() -> None:
    """Loop, without calling anything."""
    for _ in range(1_000_000):
        pass


def allocate() -> None:
    """Make and drop objects that the collector looks at."""
    kept = [[number] for number in range(100)]
    kept.clear()


def sleep() -> None:
    """Block in a system call."""
    time.sleep(PATIENCE)


class Bench:
    """An executor of one worker, and the pipe on which its tasks say that they have begun."""

    def __init__(self, executor: InterpreterPoolExecutor) -> None:
        self._executor: Any = executor
        self._hurried: Any = executor.with_options(timeout=TIMEOUT)
        self._read, self._write = os.pipe()

    def by_request(self, work: Callable[[], object]) -> float:
        """Return the milliseconds from future.interrupt() to the interrupt in the task."""
        future = self._executor.submit(until_interrupted, work, self._write)
        os.read(self._read, 1)
        time.sleep(random.uniform(0, 0.005))
        asked = time.monotonic_ns()
        future.interrupt()
        return float(future.result(PATIENCE)[1] - asked) / 1e6

    def by_time_limit(self, work: Callable[[], object]) -> float:
        """Return by how many milliseconds a task outlives its time limit."""
        began, ended = self._hurried.submit(until_interrupted, work).result(PATIENCE)
        return float(ended - began) / 1e6 - TIMEOUT * 1e3


Row = tuple[str, Callable[[Bench], float]]
ROWS: list[Row] = [
    ("a loop, interrupt()", lambda bench: bench.by_request(count)),
    ("allocations, interrupt()", lambda bench: bench.by_request(allocate)),
    ("a loop, time limit", lambda bench: bench.by_time_limit(count)),
]
if sys.version_info >= (3, 15):
    ROWS.append(("time.sleep, interrupt()", lambda bench: bench.by_request(sleep)))


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep the processors busy, and the owner's GIL too, unless `processes` is 0."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(1000))

    command = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(processes)]
    thread = threading.Thread(target=compute)
    try:
        if processes:
            thread.start()
        yield
    finally:
        over.set()
        if processes:
            thread.join()
        for process in running:
            process.kill()
            process.wait()


def measure(row: Row, times: int) -> list[float]:
    """Return so many delays of a row, sorted."""
    with InterpreterPoolExecutor(1) as executor:
        bench = Bench(executor)
        bench.by_request(allocate)  # which also has the worker load this module
        return sorted(row[1](bench) for _ in range(times))


def main() -> int:
    """Print the table; return 1 if an interrupt on an idle machine came too late."""
    parser = argparse.ArgumentParser(prog="python -m bench.interrupts", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="interrupts per row and load")
    options = parser.parse_args()
    busy = 2 * (os.cpu_count() or 1)
    print(f"Python {sys.version.split()[0]}, {options.count} interrupts each, milliseconds")
    print(f"{'':26} {'load':>4} {'p50':>7} {'p90':>7} {'p99':>7} {'max':>7}   over {FLOOR:g}")
    late = 0
    for row in ROWS:
        for processes in (0, busy):
            with load(processes):
                delays = measure(row, options.count)
            figures = [delays[round((len(delays) - 1) * q)] for q in (0.5, 0.9, 0.99, 1)]
            over = sum(delay > FLOOR for delay in delays)
            late += over if processes == 0 else 0
            text = " ".join(f"{figure:7.2f}" for figure in figures)
            print(f"{row[0]:26} {processes:4} {text}   {over}", flush=True)
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
