"""Figures that need a process of their own: the first executor, and memory.

Run as ``python -m bench.fresh FIGURE EXECUTOR`` this module measures one figure
once and prints it as JSON. Memory is the proportional set size of the process and
its descendants, so pages that processes share are counted once.
"""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import executors
from bench.measures import Sample
from bench.place import environment

WORKERS = 8  # how many the memory of one worker is averaged over
QUEUED = 200_000
TIMEOUT = 60.0


def measure_elsewhere(figure: str, executor: str) -> Sample:
    """Measure the figure in a fresh process."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "bench.fresh", figure, executor]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        check=True,
        env=environment(),
        timeout=TIMEOUT,
        text=True,
    )
    cost = float(json.loads(done.stdout))
    return Sample(cost, time.perf_counter() - started)


def _descendants(parent: int) -> Iterator[int]:
    yield parent
    for task in Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _descendants(int(child))


def _pss(process: int) -> int:
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("smaps_rollup has no Pss line")


def memory() -> int:
    """Return the proportional set size of this process and all below it."""
    gc.collect()
    return sum(_pss(process) for process in _descendants(os.getpid()))


def memory_missing() -> str | None:
    """Say why memory cannot be measured here, if so."""
    if Path("/proc/self/smaps_rollup").exists():
        return None
    return "no /proc/self/smaps_rollup"


@contextmanager
def _standing(executor: str, workers: int) -> Iterator[None]:
    from bench.gates import start_all

    with executors.load(executor)(workers) as running:
        start_all(running, workers)
        yield


def first_result(executor: str) -> float:
    """Seconds from making the first executor to its first result."""
    from bench import measures

    opener = executors.load(executor)
    return measures.first_result(lambda: opener(1)).cost


def first_result_with_import(executor: str) -> float:
    """The same, with the executor's import inside the measured time."""
    from bench import measures

    return measures.first_result(lambda: executors.load(executor)(1)).cost


def worker_memory(executor: str) -> float:
    """Bytes that one idle warm worker takes beside another."""
    with _standing(executor, 1):
        before = memory()
        with _standing(executor, WORKERS):
            return (memory() - before) / WORKERS


def queued_memory(executor: str) -> float:
    """Bytes that a task takes while it is queued, its future included."""
    from bench import tasks
    from bench.gates import held_worker, start_all

    with executors.load(executor)(1) as running:
        start_all(running, 1)
        with held_worker(running):
            before = memory()
            futures = [running.submit(tasks.echo, i) for i in range(QUEUED)]
            used = memory() - before
        if sum(future.result() for future in futures) != sum(range(QUEUED)):
            raise RuntimeError("an executor returned a wrong result")
    return used / QUEUED


FIGURES: dict[str, Callable[[str], float]] = {
    "first-result": first_result,
    "first-result-with-import": first_result_with_import,
    "worker-memory": worker_memory,
    "queued-memory": queued_memory,
}


if __name__ == "__main__":
    print(json.dumps(FIGURES[sys.argv[1]](sys.argv[2])), flush=True)
