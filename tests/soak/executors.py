"""Executors made and shut down in every way, and the memory that they leave behind."""

import ctypes
import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from interp_executor import InterpreterPoolExecutor, close_idle_workers
from interp_executor._worker_thread import WorkerThread

from . import work
from .report import Progress, complain

LIMIT = 25.0  # MB that the allocators may scatter, however long the run
PATIENCE = 60.0  # seconds after which a future is lost
CPYTHON_LOSES = sys.version_info < (3, 14)  # memory, with each interpreter that ends
_MOST_LOSSES = 150  # interpreters that are made to end where each costs megabytes

Futures = list[Future[Any]]


def _leave_block(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    with executor:
        futures.append(executor.submit(abs, -1))


def _raise_in_block(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    try:
        with executor:
            raise work.OddError
    except work.OddError:
        pass


def _wait(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    executor.shutdown(wait=True)


def _do_not_wait(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    executor.shutdown(wait=False)


def _cancel(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    executor.shutdown(wait=True, cancel_futures=True)


def _shut_down_twice(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    thread = threading.Thread(target=executor.shutdown)
    thread.start()
    executor.shutdown(wait=False, cancel_futures=True)
    thread.join()


def _terminate(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    futures.append(executor.submit(sum, range(10_000)))
    executor.terminate_workers()


def _kill(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    futures.append(executor.submit(sum, range(10_000)))
    executor.kill_workers()


def _drop(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    """Leave it to the caller to let go of it."""


def _drop_in_a_cycle(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    executor.itself = executor  # type: ignore[attr-defined]


def _leave_map(executor: InterpreterPoolExecutor, futures: Futures) -> None:
    results = executor.map(abs, range(-50, 0))
    if next(results) != 50:
        raise AssertionError("a map's first result is wrong")
    executor.shutdown(wait=False)


WAYS: list[Callable[[InterpreterPoolExecutor, Futures], None]] = [
    _leave_block,
    _raise_in_block,
    _wait,
    _do_not_wait,
    _cancel,
    _shut_down_twice,
    _terminate,
    _kill,
    _drop,
    _drop_in_a_cycle,
    _leave_map,
]


def _make(dice: random.Random, wears: bool) -> InterpreterPoolExecutor:
    options: dict[str, Any] = {}
    if wears:
        options = dice.choice(
            [
                {},
                {"reuse": True},
                {"max_tasks_per_child": 1},
                {"initializer": work.count, "initargs": (1,)},
            ]
        )
    return InterpreterPoolExecutor(dice.choice([1, 1, 2]), **options)


def _is_settled(future: "Future[Any]") -> bool:
    """Wait for the end of a future; whichever it is."""
    if future.cancelled():
        return True
    try:
        future.exception(PATIENCE)
    except TimeoutError:
        return False
    except BaseException:  # cancelled meanwhile
        return future.cancelled()
    return True


def _try_one(dice: random.Random, wears: bool) -> tuple[str, int]:
    """Make one, use it and shut it down; return the way, and how many futures never ended."""
    way = dice.choice(WAYS)
    executor = _make(dice, wears)
    calls = dice.choice([0, 1, 1, 5])
    fn = work.echo if wears else abs
    futures = [executor.submit(fn, number) for number in range(calls)]
    way(executor, futures)
    del executor
    return way.__name__.strip("_"), sum(not _is_settled(future) for future in futures)


def _workers() -> int:
    return sum(isinstance(thread, WorkerThread) for thread in threading.enumerate())


def _await_workers() -> bool:
    """Wait until all workers are gone: not every way to shut down does."""
    deadline = time.monotonic() + PATIENCE
    while _workers() and time.monotonic() < deadline:
        gc.collect()
        close_idle_workers()
        time.sleep(0.01)
    return _workers() == 0


def _megabytes() -> float:
    """Return the resident memory, without what the C library keeps of what has been freed."""
    if not _await_workers():
        complain(f"{_workers()} workers do not end")
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _ended() -> int:
    with InterpreterPoolExecutor(1) as executor:
        return executor.stats().ended


_LOSS = """
import gc, os
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def megabytes():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def cycle():
    one = interpreters.create()
    interpreters.exec(one, "import interp_executor._worker, pickle, threading, random, logging")
    interpreters.destroy(one)

for _ in range(5):
    cycle()
before = megabytes()
for _ in range(20):
    cycle()
print((megabytes() - before) / 20)
"""


def measure_loss() -> float:
    """Return the MB that CPython itself loses with an interpreter that imported the same."""
    command = [sys.executable, "-c", _LOSS]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def soak(executors: int, seconds: float | None, seed: int) -> int:
    """Make so many executors; return how many futures, and whether memory, got lost."""
    dice = random.Random(seed)
    progress = Progress("executors", executors, seconds)
    share = _MOST_LOSSES / executors if CPYTHON_LOSES else 0.3
    ways: Counter[str] = Counter()
    lost = done = most = 0
    warm_up = max(20, min(executors // 5, 500))
    before = ended_before = 0.0
    while done < executors and not progress.is_over():
        if done == warm_up:
            before, ended_before = _megabytes(), _ended()
        way, unsettled = _try_one(dice, dice.random() < share)
        ways[way] += 1
        done += 1
        most = max(most, _workers())
        if unsettled:
            complain(f"{unsettled} futures of an executor that ended by {way} never ended")
            lost += unsettled
        progress.show(done, f", {most} workers at most")
    if done <= warm_up:
        complain("too few executors to tell of memory")
        return progress.close(done, lost + 1, "memory unknown")
    grown, ended = _megabytes() - before, _ended() - ended_before
    allowed = LIMIT + (ended * measure_loss() * 1.25 if CPYTHON_LOSES else 0.0)
    if grown > allowed:
        complain(f"memory grew by {grown:.1f} MB, and {allowed:.1f} MB are explained")
        lost += 1
    note = f"{ended:.0f} interpreters ended, at most {most} lived at once, "
    note += f"{grown:+.1f} MB (of {allowed:.0f} MB explained)"
    return progress.close(done, lost, note)
