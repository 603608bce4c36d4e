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
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import executors
from bench.measures import Sample
from bench.place import environment

WORKERS = 8  # how many the memory of one worker is averaged over
QUEUED = 200_000
VIEWS, VIEWED = 10_000, 1_000_000  # how many, and bytes of each
LENT = 1 << 30  # bytes
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


def peak_missing() -> str | None:
    """Say why the peak of memory cannot be measured here, if so."""
    return None if Path("/proc/self/clear_refs").exists() else "no /proc/self/clear_refs"


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    """Return an amount of memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field} line")


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
            cancelled = sum(future.cancel() for future in futures)
    if cancelled != QUEUED:
        raise RuntimeError("not all tasks were queued")
    return used / QUEUED


def _lend(executor: Executor, views: int) -> None:
    """Submit that many views in a row, each of memory of its own."""
    from bench import buffer_tasks

    futures = [
        executor.submit(buffer_tasks.size, memoryview(bytearray(VIEWED))) for _ in range(views)
    ]
    if sum(future.result() for future in futures) != views * VIEWED:
        raise RuntimeError("an executor returned a wrong result")


def lent_memory(executor: str) -> float:
    """Bytes that many views, submitted in a row, leave behind after as many before them.

    The first ones bring the allocators to their usual size, as a long queue of any tasks does. The
    least of two rounds counts, since one arena of CPython's more or less is 1 MB.
    """
    from bench.gates import start_all

    with executors.load(executor)(1) as running:
        start_all(running, 1)
        _lend(running, VIEWS)
        before, after = (min(_memory_after(running) for _ in range(2)) for _ in range(2))
        return after - before


def _memory_after(executor: Executor) -> int:
    _lend(executor, VIEWS)
    return memory()


def lent_peak(executor: str) -> float:
    """Bytes by which memory grows, at the most, while one large view goes there and back."""
    import mmap

    from bench import buffer_tasks
    from bench.gates import start_all

    with executors.load(executor)(1) as running, mmap.mmap(-1, LENT) as source:
        start_all(running, 1)
        _lend(running, 1)
        source[0], source[-1] = 3, 5
        gc.collect()
        _forget_peak()
        before = _status("VmRSS")
        with memoryview(source) as view:
            back: Any = running.submit(buffer_tasks.echo, view).result()
            with back:
                right = (len(back), back[0], back[-1]) == (LENT, 3, 5)
            right = right and running.submit(buffer_tasks.ends, view).result() == (3, 5)
        if not right:
            raise RuntimeError("an executor returned a wrong result")
        return _status("VmHWM") - before


FIGURES: dict[str, Callable[[str], float]] = {
    "first-result": first_result,
    "first-result-with-import": first_result_with_import,
    "worker-memory": worker_memory,
    "queued-memory": queued_memory,
    "lent-memory": lent_memory,
    "lent-peak": lent_peak,
}


if __name__ == "__main__":
    print(json.dumps(FIGURES[sys.argv[1]](sys.argv[2])), flush=True)
