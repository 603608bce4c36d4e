"""Bring every worker of an executor up, or hold it, through FIFOs.

A FIFO has a name, so it works the same for threads, interpreters and processes
however they were started, and needs no polling and no sleep.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import tasks


@contextmanager
def _fifos(*names: str) -> Iterator[tuple[list[str], list[int]]]:
    """Make FIFOs and open them for reading and writing; yield paths and fds."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        paths = [str(Path(folder, name)) for name in names]
        descriptors: list[int] = []
        try:
            for path in paths:
                os.mkfifo(path)
                descriptors.append(os.open(path, os.O_RDWR))
            yield paths, descriptors
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def start_all(executor: Executor, workers: int) -> None:
    """Return when ``workers`` workers have started and are idle again."""
    with _fifos("arrivals", "gate") as (paths, (arrivals, gate)):
        held: list[Future[Any]] = [
            executor.submit(tasks.rendezvous, *paths) for _ in range(workers)
        ]
        for _ in range(workers):
            _next_arrival(arrivals, held)
        os.write(gate, b"x" * workers)
        for future in held:
            future.result()


def _next_arrival(arrivals: int, held: list[Future[Any]]) -> None:
    """Wait for one arrival, but raise where a task failed instead of arriving."""
    import select

    while not select.select([arrivals], [], [], 1.0)[0]:
        for future in held:
            if future.done():
                future.result()
    os.read(arrivals, 1)


def start_all_with_builtins(executor: Executor, workers: int) -> None:
    """The same for workers in this process, by a builtin alone.

    The workers import nothing, so executors that look whether a worker is as it was
    born find that it is. Opening a FIFO to read blocks until somebody writes.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "gate")
        os.mkfifo(path)
        held = [executor.submit(os.open, str(path), os.O_RDONLY) for _ in range(workers)]
        while not all(future.running() or future.done() for future in held):
            time.sleep(0.001)
        writer = os.open(path, os.O_WRONLY)
        for future in held:
            os.close(future.result())
        os.close(writer)


@contextmanager
def held_worker(executor: Executor) -> Iterator[None]:
    """Hold one worker of the executor for the length of the block."""
    with _fifos("gate") as (paths, (gate,)):
        future = executor.submit(tasks.wait_for_byte, *paths)
        try:
            yield
        finally:
            os.write(gate, b"x")
            future.result()
