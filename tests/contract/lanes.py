"""The executors that share the contract, how each is made, and what it leaves to look at.

`IX_LANES` chooses lanes by name (comma-separated). Processes that are spawned obey the same rules
as those from the fork server and start slower, so that lane runs only when it is asked for.
"""

import concurrent.futures
import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import interp_executor

THREADS = "threads"
PROCESSES = "processes"
SPAWNED = "spawned-processes"
STDLIB = "stdlib-interpreters"
OURS = "ours"
OURS_IN_PROCESSES = "ours-in-processes"
OURS_ALONE = "ours-without-fallback"

DEFAULT_LANES = (THREADS, PROCESSES, STDLIB, OURS, OURS_IN_PROCESSES, OURS_ALONE)


@dataclass(frozen=True)
class Lane:
    """One kind of executor under test."""

    name: str
    kind: type[Executor]
    start: Callable[..., Executor]
    tasks_left: Callable[[Any], list[str]]

    def make(self, **options: Any) -> Executor:
        return self.start(self.kind, **options)

    def subclass(self, **members: Any) -> "Lane":
        """The same lane with methods of a subclass on top."""
        kind = type(f"Special{self.kind.__name__}", (self.kind,), members)
        return Lane(self.name, kind, self.start, self.tasks_left)


def _plain(kind: type[Executor], **options: Any) -> Executor:
    return kind(**options)


def _processes(method: str, kind: type[Executor], **options: Any) -> Executor:
    context = multiprocessing.get_context(method)
    return kind(**{"mp_context": context, **options})


def _in_processes(kind: type[Executor], **options: Any) -> Executor:
    """Our executor, all of whose tasks run in its process lane."""
    executor: Any = kind(**options)
    view: Executor = executor.with_options(lane="process")
    return view


def _without_fallback(kind: type[Executor], **options: Any) -> Executor:
    return kind(**{"fallback": None, **options})  # type: ignore[call-arg]


def _queue_left(executor: Any) -> list[str]:
    """Tasks still in the queue of an executor made of threads."""
    left = []
    while executor._work_queue.qsize():
        item = executor._work_queue.get_nowait()
        if item is not None:  # None is the wake-up that shutdown leaves for workers
            left.append(f"queued task {item.future!r}")
    executor._work_queue.put(None)
    return left


def _process_tasks_left(executor: Any) -> list[str]:
    """Tasks that do not end: a second `shutdown` does not wait, so they may still be ending."""
    futures = [item.future for item in (executor._pending_work_items or {}).values()]
    unfinished = [future for future in futures if not future.done()]
    not_done = concurrent.futures.wait(unfinished, timeout=10).not_done
    return [f"pending task {future!r}" for future in not_done]


def _our_tasks_left(executor: Any) -> list[str]:
    stats = executor.stats()
    if stats.queued or stats.running or executor._work_queue.qsize():
        return [f"tasks left: {stats}"]
    return []


def _known_lanes() -> dict[str, Lane]:
    lanes = [
        Lane(THREADS, ThreadPoolExecutor, _plain, _queue_left),
        Lane(
            PROCESSES, ProcessPoolExecutor, partial(_processes, "forkserver"), _process_tasks_left
        ),
        Lane(SPAWNED, ProcessPoolExecutor, partial(_processes, "spawn"), _process_tasks_left),
        Lane(OURS, interp_executor.InterpreterPoolExecutor, _plain, _our_tasks_left),
        Lane(
            OURS_IN_PROCESSES,
            interp_executor.InterpreterPoolExecutor,
            _in_processes,
            _our_tasks_left,
        ),
        Lane(
            OURS_ALONE,
            interp_executor.InterpreterPoolExecutor,
            _without_fallback,
            _our_tasks_left,
        ),
    ]
    if sys.version_info >= (3, 14):
        from .stdlib_pool import StdlibInterpreterPoolExecutor

        lanes.append(Lane(STDLIB, StdlibInterpreterPoolExecutor, _plain, _queue_left))
    return {lane.name: lane for lane in lanes}


def lanes_under_test() -> list[Lane]:
    known = _known_lanes()
    chosen = os.environ.get("IX_LANES")
    names = chosen.split(",") if chosen else [name for name in DEFAULT_LANES if name in known]
    return [known[name] for name in names]
