"""Who takes part, and how each one is made and called: as a user of it would."""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from bench.demo.job import Measure, measure_file
from interp_executor._compare.executors import gather, make


class Contender(NamedTuple):
    """One way to run the job: a runner process, or, if *independent*, one per worker."""

    key: str
    title: str
    runner: str
    independent: bool = False


OURS = "ours"
SERIAL = "serial"
INDEPENDENT = "independent"
CONTENDERS = (
    Contender(SERIAL, "serial", "serial"),
    Contender("threads", "ThreadPoolExecutor", "threads"),
    Contender("processes", "ProcessPoolExecutor", "processes"),
    Contender("interpreters", "stdlib InterpreterPoolExecutor", "interpreters"),
    Contender(OURS, "interp_executor", "ours"),
    Contender(INDEPENDENT, "independent processes", "serial", independent=True),
)


class Serial:
    """A plain loop: the reference, and each of the independent processes."""

    def start(self) -> None:
        """Get ready to measure."""

    def map(self, paths: list[str]) -> Iterator[Measure]:
        """Measure the files."""
        return map(measure_file, paths)

    def stop(self) -> None:
        """Let go of what start made."""

    def note(self) -> str:
        """Say what a reader of the table should know."""
        return "a plain loop"


class Pool(Serial):
    """An executor, called as its users call it: ``executor.map(measure_file, paths)``."""

    key: str

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def start(self) -> None:
        """Make the executor and wait until all of its workers are there, the job imported."""
        self._executor = make(self.key, self.workers)
        gather(self._executor, self.workers, measure_file)

    def map(self, paths: list[str]) -> Iterator[Measure]:
        return self._executor.map(measure_file, paths)

    def stop(self) -> None:
        self._executor.shutdown()

    def note(self) -> str:
        return "defaults"


class Threads(Pool):
    """ThreadPoolExecutor."""

    key = "threads"

    def note(self) -> str:
        has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        return "defaults, one GIL" if has_gil else "defaults, free-threaded"


class Processes(Pool):
    """ProcessPoolExecutor, with the chunksize that it needs and the others do without."""

    key = "processes"

    def map(self, paths: list[str]) -> Iterator[Measure]:
        return self._executor.map(measure_file, paths, chunksize=self._chunksize(len(paths)))

    def note(self) -> str:
        import multiprocessing

        method = multiprocessing.get_context().get_start_method()
        return f"{method}, chunksize={self._longest_chunk()}"

    def _chunksize(self, files: int) -> int:
        return max(1, min(self._longest_chunk(), files // (16 * self.workers)))

    def _longest_chunk(self) -> int:
        # The default of 1 costs some percent. Files take milliseconds each, and the largest
        # come first, so that long chunks would leave the workers with unequal work.
        return max(1, 8 // self.workers)


class StdlibInterpreters(Pool):
    """The standard library's InterpreterPoolExecutor, from Python 3.14 on."""

    key = "interpreters"


class Ours(Pool):
    """interp_executor.InterpreterPoolExecutor."""

    key = "ours"


POOLS: dict[str, type[Pool]] = {
    pool.key: pool for pool in (Threads, Processes, StdlibInterpreters, Ours)
}


def open_runner(runner: str, workers: int) -> Serial:
    """Make what a runner process of that name runs."""
    return Serial() if runner == "serial" else POOLS[runner](workers)
