"""Mark Shannon's spawn-and-join of 2020: what starting something costs.

He compared a thousand threads with a thousand forks, to ask what interpreters
could win. A task in a warm interpreter is the answer that needs no start at all.
"""

import os
import threading

from bench import executors, tasks
from bench.gates import start_all
from bench.origins.claim import Case, Claim, needs, repeated


def _thread() -> None:
    thread = threading.Thread(target=tasks.noop)
    thread.start()
    thread.join()


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _no_fork() -> str | None:
    return None if hasattr(os, "fork") else "no os.fork"


def threads(times: int) -> float:
    """Start a thread and join it."""
    return repeated(_thread, times)


def forks(times: int) -> float:
    """Fork a process that ends at once, and wait for it."""
    return repeated(_fork, times)


def _warm(executor: str, times: int) -> float:
    with executors.load(executor)(1) as running:
        start_all(running, 1)
        return repeated(lambda: running.submit(tasks.noop).result(), times)


def warm_stdlib(times: int) -> float:
    """Submit a task to the standard library's warm interpreter and wait for it."""
    return _warm(executors.INTERPRETER, times)


def warm_ours(times: int) -> float:
    """Submit a task to our warm interpreter and wait for it."""
    return _warm(executors.OURS, times)


CLAIM = Claim(
    "shannon",
    "Shannon 2020: start and join, one after the other",
    "each of 1,000 starts",
    1000,
    1000,
    (
        Case("threads", "threads", threads, 0.086),
        Case("forks", "forks", forks, 0.370, _no_fork),
        Case(
            "stdlib",
            "tasks in a warm interpreter, stdlib",
            warm_stdlib,
            missing=needs(executors.INTERPRETER),
        ),
        Case(
            "ours",
            "tasks in a warm interpreter, ours",
            warm_ours,
            missing=needs(executors.OURS),
        ),
    ),
)
