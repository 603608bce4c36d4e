"""The executors that are compared, by short name.

Modules are imported when a name is loaded and not before, so that a fresh process
pays for the one it measures only.
"""

import sys
from collections.abc import Callable
from concurrent.futures import Executor
from importlib import import_module

OURS = "ours"
THREAD = "thread"
INTERPRETER = "interp"
PROCESS = "process"
LOKY = "loky"
FORKSERVER = "forkserver"
BY_HAND = "ours-by-hand"
DECIDED = "ours-decided"
IN_PROCESSES = "ours-in-processes"

_WHERE = {
    OURS: ("interp_executor", "InterpreterPoolExecutor"),
    THREAD: ("concurrent.futures", "ThreadPoolExecutor"),
    INTERPRETER: ("concurrent.futures", "InterpreterPoolExecutor"),
    PROCESS: ("concurrent.futures", "ProcessPoolExecutor"),
    LOKY: ("loky", "ProcessPoolExecutor"),
    FORKSERVER: ("bench.variants", "forkserver"),
    BY_HAND: ("bench.variants", "by_hand"),
    DECIDED: ("bench.variants", "decided"),
    IN_PROCESSES: ("bench.variants", "in_processes"),
}

TITLES = {
    OURS: "ours",
    THREAD: "ThreadPool",
    INTERPRETER: "stdlib InterpreterPool",
    PROCESS: "ProcessPool",
    LOKY: "loky",
    FORKSERVER: "ProcessPool (forkserver)",
    BY_HAND: "ours, fallback=None",
    DECIDED: "ours, fallback='process'",
    IN_PROCESSES: "ours, lane='process'",
}

Open = Callable[..., Executor]


def load(name: str) -> Open:
    """Import and return the executor class of that name."""
    module, attribute = _WHERE[name]
    opener: Open = getattr(import_module(module), attribute)
    return opener


def missing(name: str) -> str | None:
    """Say why that executor cannot be used here, or return None."""
    if name == INTERPRETER and sys.version_info < (3, 14):
        return "the standard library has it from 3.14 on"
    try:
        load(name)
    except (ImportError, AttributeError) as error:
        return str(error) or type(error).__name__
    return None
