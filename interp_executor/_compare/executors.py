"""The executors that are compared: how each is made, and called, as a user of it would."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from interp_executor._compare.tasks import ignore, meet

SERIAL = "serial"
THREADS = "threads"
PROCESSES = "processes"
INTERPRETERS = "interpreters"
OURS = "ours"

CHUNKS_PER_WORKER = 16


class MissingError(Exception):
    """This Python has no such executor; the message says why."""


class Contender(NamedTuple):
    """One way to call a function for many items."""

    key: str
    title: str


def contenders() -> list[Contender]:
    """Return all that take part on this platform, the plain loop first and ours last."""
    from multiprocessing import get_all_start_methods

    methods = sorted(get_all_start_methods())
    return [
        Contender(SERIAL, "plain loop"),
        Contender(THREADS, "threads"),
        *(Contender(f"{PROCESSES}-{method}", f"processes ({method})") for method in methods),
        Contender(INTERPRETERS, "stdlib interpreters"),
        Contender(OURS, "interp_executor"),
    ]


def make(key: str, workers: int) -> Executor:
    """Import an executor and make one.

    Parameters
    ----------
    key : str
        As in :func:`contenders`; "processes" alone takes the platform's start method.
    workers : int
        How many workers it may have.

    Raises
    ------
    MissingError
        If this Python has no such executor.
    """
    kind, _, method = key.partition("-")
    return _MAKERS[kind](workers, method)


def _threads(workers: int, _: str) -> Executor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers)


def _processes(workers: int, method: str) -> Executor:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(workers, get_context(method or None))


def _interpreters(workers: int, _: str) -> Executor:
    try:
        from concurrent.futures import InterpreterPoolExecutor  # type: ignore[attr-defined]
    except ImportError:
        version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        raise MissingError(f"{version} has none: it came with 3.14") from None
    executor: Executor = InterpreterPoolExecutor(workers)
    return executor


def _ours(workers: int, _: str) -> Executor:
    from interp_executor import InterpreterPoolExecutor

    return InterpreterPoolExecutor(workers)


_MAKERS: dict[str, Callable[[int, str], Executor]] = {
    THREADS: _threads,
    PROCESSES: _processes,
    INTERPRETERS: _interpreters,
    OURS: _ours,
}


def gather(executor: Executor, workers: int, job: object) -> None:
    """Wait until all workers of an executor are there, each with the *job* loaded."""
    with tempfile.TemporaryDirectory(prefix="interp-executor-") as folder:
        arrivals = [executor.submit(meet, folder, i, workers, job) for i in range(workers)]
        for arrival in arrivals:
            arrival.result()


class Caller:
    """Calls a function for many items with one contender, warm workers and all."""

    def __init__(self, key: str, workers: int) -> None:
        self.key = key
        self.workers = workers
        self._executor: Executor | None = None

    def start(self, fn: Callable[..., Any]) -> None:
        """Make the executor and wait until all of its workers have loaded the function."""
        if self.key != SERIAL:
            self._executor = make(self.key, self.workers)
            gather(self._executor, self.workers, fn)

    def map(self, fn: Callable[..., Any], items: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Return an iterator over the function's answers, in order of the items."""
        return self._map(self._executor, fn, items)

    def map_empty(self, items: Sequence[tuple[Any, ...]]) -> Iterator[None]:
        """Call an empty function, there where the user's ran."""
        executor: Any = self._executor
        if self._moved():
            executor = executor.with_options(lane="process")
        return self._map(executor, ignore, items)

    def _map(
        self,
        executor: Executor | None,
        fn: Callable[..., Any],
        items: Sequence[tuple[Any, ...]],
    ) -> Iterator[Any]:
        columns = list(zip(*items, strict=True))
        if executor is None:
            return (fn(*item) for item in items)
        if not columns:  # of no arguments; map() would call nothing
            futures = [executor.submit(fn) for _ in items]
            return (future.result() for future in futures)
        if self.key.startswith(PROCESSES):
            return executor.map(fn, *columns, chunksize=self.chunksize(len(items)))
        return executor.map(fn, *columns)

    def _moved(self) -> tuple[str, ...]:
        """Return the extensions for which our executor ran the function in processes."""
        stats = getattr(self._executor, "stats", None)
        moved: tuple[str, ...] = () if stats is None else stats().moved
        return moved

    def chunksize(self, items: int) -> int:
        """Return what processes are given; their default of 1 is slow for short tasks."""
        return max(1, items // (CHUNKS_PER_WORKER * self.workers))

    def note(self, items: int) -> str:
        """Return what a reader of the table should know about the calls that were made."""
        if self.key.startswith(PROCESSES):
            return f"chunksize={self.chunksize(items)}"
        moved = self._moved()
        return f"in processes, where {', '.join(moved)} loads" if moved else ""

    def stop(self) -> None:
        """Shut the executor down."""
        if self._executor is not None:
            self._executor.shutdown()
