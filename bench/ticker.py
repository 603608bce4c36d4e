"""How responsive an event loop stays while all workers are busy: ``python -m bench.ticker``.

A coroutine sleeps for 10 ms again and again, and notes by how much longer each sleep took. What the
loop's thread waited for a processor is told apart, since that is the machine's doing: workers that
are busy on every core, and other programs. The rest is what the executor costs the loop: waits for
the GIL, and the time in which the loop hands results over.
"""

import argparse
import asyncio
import os
import statistics
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from bench import executors, tasks
from bench.gates import start_all

PERIOD = 0.01
SCHEDULE = "/proc/thread-self/schedstat"
EXECUTORS = (executors.PROCESS, executors.THREAD, executors.INTERPRETER, executors.OURS)


class Delays(NamedTuple):
    """Seconds by which each tick came late, and those that were no wait for a processor."""

    all: list[float]
    own: list[float]


def missing() -> str | None:
    """Say why this system does not tell how long a thread waits for a processor, if so."""
    return None if os.path.exists(SCHEDULE) else f"no {SCHEDULE}"


def waited() -> float:
    """Return the seconds that the calling thread has been ready but without a processor."""
    if missing() is not None:
        return 0.0
    _, delay, _ = Path(SCHEDULE).read_text().split()
    return int(delay) * 1e-9


async def tick(ticks: int) -> Delays:
    """Sleep for 10 ms that many times; return by how much longer each sleep took."""
    delays = Delays([], [])
    for _ in range(ticks):
        before, due = waited(), time.perf_counter() + PERIOD
        await asyncio.sleep(PERIOD)
        late = time.perf_counter() - due
        delays.all.append(late)
        delays.own.append(max(0.0, late - (waited() - before)))
    return delays


async def tick_beside(executor: Executor, ticks: int, workers: int, iterations: int) -> Delays:
    """Tick while that many tasks of pure Python run at any time."""
    loop = asyncio.get_running_loop()
    busy = True
    running: set[asyncio.Future[int]] = set()

    def feed(done: asyncio.Future[int] | None = None) -> None:
        if done is not None:
            running.discard(done)
        if busy:
            task = loop.run_in_executor(executor, tasks.spin, iterations)
            running.add(task)
            task.add_done_callback(feed)

    for _ in range(workers):
        feed()
    delays = await tick(ticks)
    busy = False
    await asyncio.gather(*running)
    return delays


def measure(rounds: int, ticks: int, workers: int, seconds: float) -> dict[str, Delays]:
    """Return the delays of each executor; they take turns."""
    from bench.entries import spin_iterations  # which measures by what is here

    iterations = spin_iterations(seconds)
    names = [name for name in EXECUTORS if executors.missing(name) is None]
    found = {name: Delays([], []) for name in names}
    for _ in range(rounds):
        for name in names:
            with executors.load(name)(workers) as executor:
                start_all(executor, workers)
                delays = asyncio.run(tick_beside(executor, ticks, workers, iterations))
            found[name].all.extend(delays.all)
            found[name].own.extend(delays.own)
    return found


def _row(delays: list[float]) -> str:
    cuts = statistics.quantiles(delays, n=100)
    return " | ".join(f"{1000 * cuts[percent - 1]:.2f}" for percent in (50, 95, 99))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.ticker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=200, help="of each executor in each round")
    parser.add_argument("--workers", type=int, default=os.process_cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=0.01, help="length of one task")
    options = parser.parse_args()
    found = measure(options.rounds, options.ticks, options.workers, options.seconds)
    print("| ms | p50 | p95 | p99 | p50, own | p95, own | p99, own |")
    print("|---|---|---|---|---|---|---|")
    for name, delays in found.items():
        print(f"| {name} | {_row(delays.all)} | {_row(delays.own)} |")


if __name__ == "__main__":
    main()
