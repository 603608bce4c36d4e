"""Joshua Zimmerman's create-and-destroy of 2020: interpreters against processes.

A subinterpreter cost three forks then. Cold here is a bare interpreter with its own
GIL, made and destroyed; warm is an executor made on a worker that is there already,
one task, and shutdown.
"""

import multiprocessing
from importlib import import_module
from typing import Any

from bench import executors, measures, tasks
from bench.origins.claim import Case, Claim, needs, repeated


def cold(times: int) -> float:
    """Make and destroy a bare interpreter."""
    interpreters: Any = import_module("_interpreters")
    return repeated(lambda: interpreters.destroy(interpreters.create()), times)


def _no_interpreters() -> str | None:
    try:
        import_module("_interpreters")
    except ImportError as error:
        return str(error)
    return None


def _pooled(executor: str, times: int) -> float:
    opener = executors.load(executor)
    measures.first_result(lambda: opener(1))
    return repeated(lambda: measures.first_result(lambda: opener(1)), times)


def stdlib(times: int) -> float:
    """Make the standard library's executor, run one task, shut it down."""
    return _pooled(executors.INTERPRETER, times)


def warm(times: int) -> float:
    """Make our executor where a worker is idle, run one task, shut it down."""
    return _pooled(executors.OURS, times)


def _processes(method: str, times: int) -> float:
    context: Any = multiprocessing.get_context(method)

    def work() -> None:
        process = context.Process(target=tasks.noop)
        process.start()
        process.join()

    return repeated(work, times)


def _has_no(method: str) -> str | None:
    methods = multiprocessing.get_all_start_methods()
    return None if method in methods else f"no start method {method!r}"


def forks(times: int) -> float:
    """Start a process by fork and join it."""
    return _processes("fork", times)


def spawns(times: int) -> float:
    """Start a process by spawn and join it."""
    return _processes("spawn", times)


CLAIM = Claim(
    "zimmerman",
    "Zimmerman 2020: make and destroy, one after the other",
    "each of 60 (published: of 1,000)",
    1000,
    60,
    (
        Case("cold", "interpreters, cold", cold, 13.5, _no_interpreters),
        Case("warm", "our executor on a warm one", warm, missing=needs(executors.OURS)),
        Case(
            "stdlib",
            "stdlib executor, made and shut down",
            stdlib,
            missing=needs(executors.INTERPRETER),
        ),
        Case("forks", "forks", forks, 4.4, lambda: _has_no("fork")),
        Case("spawns", "spawns", spawns, 60.0, lambda: _has_no("spawn")),
    ),
)
