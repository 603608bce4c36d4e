"""The measuring code: one function per kind of work.

Each takes an executor that is up and a number of items, does the work, checks the
answers outside the timed part, and returns a Sample. ``python -m bench`` and the
pytest-benchmark files both measure through these functions and no others.
"""

import asyncio
import concurrent.futures
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future
from importlib import import_module
from typing import Any, NamedTuple

from bench import tasks, ticker

clock = time.perf_counter


class Sample(NamedTuple):
    """One measurement: what an item costs, and how long measuring it took."""

    cost: float  # seconds per item, or bytes
    elapsed: float  # seconds


class WrongAnswerError(Exception):
    """An executor returned something else than the work's result."""


def check(right: bool) -> None:
    """Raise WrongAnswerError unless the answer was right."""
    if not right:
        raise WrongAnswerError("an executor returned a wrong result")


def _per_item(started: float, items: int) -> Sample:
    elapsed = clock() - started
    return Sample(elapsed / items, elapsed)


def _middle(durations: list[float]) -> Sample:
    return Sample(statistics.median(durations), sum(durations))


def timed(call: Callable[[], Any], items: int) -> Sample:
    durations = []
    for _ in range(items):
        started = clock()
        call()
        durations.append(clock() - started)
    return _middle(durations)


def round_trips(executor: Executor, items: int) -> Sample:
    """``submit(noop).result()`` one at a time: the median round trip."""
    submit, noop = executor.submit, tasks.noop
    return timed(lambda: submit(noop).result(), items)


def echoes(executor: Executor, items: int) -> Sample:
    """``submit(echo, i)`` for all items, then every result."""
    submit, echo = executor.submit, tasks.echo
    started = clock()
    futures = [submit(echo, i) for i in range(items)]
    results = [future.result() for future in futures]
    sample = _per_item(started, items)
    check(results == list(range(items)))
    return sample


def mapped(executor: Executor, items: int, chunksize: int | None = None) -> Sample:
    """``list(map(echo, range(n)))``, with the default chunksize or a given one."""
    options = {} if chunksize is None else {"chunksize": chunksize}
    started = clock()
    results = list(executor.map(tasks.echo, range(items), **options))
    sample = _per_item(started, items)
    check(results == list(range(items)))
    return sample


def awaited(executor: Executor, items: int) -> Sample:
    """``await loop.run_in_executor`` one at a time: the median."""

    async def main() -> list[float]:
        run = asyncio.get_running_loop().run_in_executor
        durations = []
        for _ in range(items):
            started = clock()
            await run(executor, tasks.noop)
            durations.append(clock() - started)
        return durations

    return _middle(asyncio.run(main()))


def gathered(executor: Executor, items: int) -> Sample:
    """That many ``run_in_executor`` calls under one ``asyncio.gather``."""

    async def main() -> tuple[Sample, list[int]]:
        run = asyncio.get_running_loop().run_in_executor
        started = clock()
        calls: list[Awaitable[int]] = [run(executor, tasks.echo, i) for i in range(items)]
        results = await asyncio.gather(*calls)
        return _per_item(started, items), results

    sample, results = asyncio.run(main())
    check(results == list(range(items)))
    return sample


def ticker_delay(
    executor: Executor, items: int, worker_count: int, iterations: int, own: bool = False
) -> Sample:
    """How late a 10 ms ticker on the event loop is while every worker is busy: 95th percentile.

    Each worker always has a task of pure Python; ``items`` is the number of ticks. Without waits
    for a processor if only the executor's own share counts.
    """
    started = clock()
    delays = asyncio.run(ticker.tick_beside(executor, items, worker_count, iterations))
    shown = delays.own if own else delays.all
    return Sample(statistics.quantiles(shown, n=20)[-1], clock() - started)


def _observed(
    executor: Executor,
    items: int,
    finish: Callable[[list[Future[int]]], Iterator[Future[int]] | set[Future[int]]],
) -> Sample:
    submit, echo = executor.submit, tasks.echo
    started = clock()
    futures = [submit(echo, i) for i in range(items)]
    total = 0
    for future in finish(futures):
        total += future.result()
    sample = _per_item(started, items)
    check(total == items * (items - 1) // 2)
    return sample


def completed(executor: Executor, items: int) -> Sample:
    """Submit all, then ``as_completed`` over the futures."""
    return _observed(executor, items, concurrent.futures.as_completed)


def waited(executor: Executor, items: int) -> Sample:
    """Submit all, then ``wait`` for the futures."""
    return _observed(executor, items, lambda futures: concurrent.futures.wait(futures).done)


def spins(executor: Executor, items: int, iterations: int) -> Sample:
    """Pure-Python tasks of a fixed size, submitted all at once."""
    submit, spin = executor.submit, tasks.spin
    started = clock()
    for future in [submit(spin, iterations) for _ in range(items)]:
        future.result()
    return _per_item(started, items)


def numpy_waves(executor: Executor, items: int) -> Sample:
    """Tasks that need NumPy, submitted all at once; the start of processes is not timed."""
    wave = import_module("bench.numpy_tasks").wave
    for future in [executor.submit(wave, i) for i in range(4)]:
        future.result()
    started = clock()
    futures = [executor.submit(wave, i) for i in range(items)]
    results = [future.result() for future in futures]
    sample = _per_item(started, items)
    check(results[0] == wave(0))
    return sample


def bytes_there(executor: Executor, items: int, size: int) -> Sample:
    """Send bytes to be measured, one after the other."""
    data = bytes(size)
    started = clock()
    for _ in range(items):
        check(executor.submit(len, data).result() == size)
    return _per_item(started, items)


def bytes_back(executor: Executor, items: int, size: int) -> Sample:
    """Have bytes made and sent here, one after the other."""
    started = clock()
    for _ in range(items):
        check(len(executor.submit(bytes, size).result()) == size)
    return _per_item(started, items)


def uneven_map(executor: Executor, sizes: list[int], chunksize: int | None = None) -> Sample:
    """``map(spin, sizes)`` where the sizes differ; the time of the whole map."""
    options = {} if chunksize is None else {"chunksize": chunksize}
    started = clock()
    for _ in executor.map(tasks.spin, sizes, **options):
        pass
    return _per_item(started, 1)


def make_closure() -> Callable[[int], int]:
    """Return a function that can only cross by value."""
    offset = 17

    def add(value: int) -> int:
        return value + offset

    return add


def closures(executor: Executor, items: int) -> Sample:
    """A closure, submit to result, one at a time: the median."""
    add = make_closure()
    check(executor.submit(add, 1).result() == 18)
    return timed(lambda: executor.submit(add, 1).result(), items)


def pickled_closures(executor: Executor, items: int) -> Sample:
    """The same through cloudpickle by hand, for executors that only pickle."""
    cloudpickle: Any = import_module("cloudpickle")

    add = make_closure()

    def call() -> object:
        payload = cloudpickle.dumps(add)
        return executor.submit(tasks.run_pickled, payload, 1).result()

    check(call() == 18)
    return timed(call, items)


def first_result(open_executor: Callable[[], Executor]) -> Sample:
    """Make an executor and get one result; its shutdown is not timed.

    The task is a builtin, ``int()``: the import of the caller's own modules by a new
    worker, which depends on the modules, is not what is measured.
    """
    started = clock()
    executor = open_executor()
    executor.submit(int).result()
    elapsed = clock() - started
    executor.shutdown()
    return Sample(elapsed, clock() - started)


def first_results(
    open_executor: Callable[[], Executor],
    items: int,
    prepare: Callable[[], None] = lambda: None,
) -> Sample:
    """That many executors one after the other: the median first result."""
    started = clock()
    costs = []
    for _ in range(items):
        prepare()
        costs.append(first_result(open_executor).cost)
    return Sample(statistics.median(costs), clock() - started)


def shutdown_time(executor: Executor) -> Sample:
    """How long ``shutdown(wait=True)`` takes."""
    started = clock()
    executor.shutdown(wait=True)
    return _per_item(started, 1)
