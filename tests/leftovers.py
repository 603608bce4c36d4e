"""What a test may leave behind: nothing. Compares threads, futures and processes with before."""

import gc
import multiprocessing.process
import os
import re
import threading
import time
from concurrent.futures import Future
from typing import Any

from garbage import collect

PATIENCE = 10.0

KNOWN_THREADS = re.compile(r"interp_executor-(idle|notifier|watchdog)")
"""Threads of the hive that outlive executors by design."""


class Snapshot:
    """The threads, child processes and futures that exist at one moment."""

    def __init__(self) -> None:
        self.threads = set(threading.enumerate())
        self.children = children()
        self.futures = {id(future) for future in _futures()}

    def left(self, *, failed: bool) -> list[str]:
        """Say what has come since and has not gone; a failed test's traceback keeps futures."""
        left = [f"thread {thread.name}" for thread in self._threads_left()]
        left += [f"process {child.name}" for child in self._children_left()]
        if not failed:
            left += [f"future {text}" for text in self._futures_left()]
        return left

    def _threads_left(self) -> list[threading.Thread]:
        deadline = time.monotonic() + PATIENCE
        left = self._foreign_threads()
        while left and time.monotonic() < deadline:
            left[0].join(0.05)  # a worker on its way back to the hive does not end: it is renamed
            left = self._foreign_threads()
        return left

    def _foreign_threads(self) -> list[threading.Thread]:
        return [
            thread
            for thread in threading.enumerate()
            if thread not in self.threads and not KNOWN_THREADS.fullmatch(thread.name)
        ]

    def _children_left(self) -> list[Any]:
        deadline = time.monotonic() + PATIENCE
        left = []
        for child in children() - self.children:
            child.join(max(0.0, deadline - time.monotonic()))
            if child.is_alive():
                left.append(child)
        return left

    def _futures_left(self) -> list[str]:
        # A thread that is gone from threading's list has still to let go of what it holds: the one
        # of ProcessPoolExecutor first closes what leads to its processes.
        deadline = time.monotonic() + PATIENCE
        while self.new_futures():
            collect()
            left = [repr(future) for future in self.new_futures()]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.005)
        return []

    def new_futures(self) -> list[Future[Any]]:
        """Return the futures that have come since and that somebody still holds."""
        return [future for future in _futures() if id(future) not in self.futures]


def children() -> set[Any]:
    """Return the processes that are alive: multiprocessing's active_children() leaves ours out."""
    return {
        child
        for child in _dangling()
        if child._popen is not None and child._parent_pid == os.getpid() and child.is_alive()
    }


def _dangling() -> list[Any]:
    # Copied first: another thread may start a process meanwhile.
    processes = multiprocessing.process._dangling  # type: ignore[attr-defined]
    return [child for ref in processes.data.copy() if (child := ref()) is not None]


def _futures() -> list[Future[Any]]:
    return [thing for thing in gc.get_objects() if issubclass(type(thing), Future)]
