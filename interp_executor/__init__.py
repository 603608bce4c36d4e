"""A concurrent.futures executor whose workers are warm subinterpreters, each with its own GIL.

``InterpreterPoolExecutor`` takes the place of ``ProcessPoolExecutor`` by one changed import. Names
are loaded on first use: every worker imports this package too, and must stay light.
"""

import sys

if sys.implementation.name != "cpython":
    raise ImportError(
        f"interp_executor needs CPython: {sys.implementation.name} has no subinterpreters "
        "with a GIL of their own"
    )
if sys.platform == "win32":
    raise ImportError(
        "interp_executor does not run on Windows yet: it has not been tested there; "
        "use concurrent.futures.ProcessPoolExecutor"
    )
if sys.version_info < (3, 13):
    raise ImportError(
        "interp_executor needs CPython 3.13 or later: this is "
        f"{sys.version_info.major}.{sys.version_info.minor}"
    )
if "t" in getattr(sys, "abiflags", ""):
    raise ImportError(
        "interp_executor does not support free-threaded builds of CPython: "
        "there, concurrent.futures.ThreadPoolExecutor runs in parallel by itself"
    )

TYPE_CHECKING = False  # not from typing, which every worker would have to import
if TYPE_CHECKING:
    from interp_executor._compare.api import compare
    from interp_executor._errors import (
        BrokenInterpreterPool,
        IncompatibleModuleError,
        ProcessCrashError,
        TaskError,
        TaskInterrupt,
        TaskInterrupted,
        TaskTimeoutError,
        TransferError,
    )
    from interp_executor._executor import InterpreterPoolExecutor
    from interp_executor._hive import close_idle_workers, prewarm, set_idle_timeout
    from interp_executor._native import SharedBuffer
    from interp_executor._stats import ExecutorStats

__all__ = [
    "BrokenInterpreterPool",
    "ExecutorStats",
    "IncompatibleModuleError",
    "InterpreterPoolExecutor",
    "ProcessCrashError",
    "SharedBuffer",
    "TaskError",
    "TaskInterrupt",
    "TaskInterrupted",
    "TaskTimeoutError",
    "TransferError",
    "close_idle_workers",
    "compare",
    "prewarm",
    "set_idle_timeout",
]

__version__ = "0.1.0"

_HOMES = {
    "BrokenInterpreterPool": "_errors",
    "ExecutorStats": "_stats",
    "IncompatibleModuleError": "_errors",
    "InterpreterPoolExecutor": "_executor",
    "ProcessCrashError": "_errors",
    "SharedBuffer": "_native",
    "TaskError": "_errors",
    "TaskInterrupt": "_errors",
    "TaskInterrupted": "_errors",
    "TaskTimeoutError": "_errors",
    "TransferError": "_errors",
    "close_idle_workers": "_hive",
    "compare": "_compare.api",
    "prewarm": "_hive",
    "set_idle_timeout": "_hive",
}


if not TYPE_CHECKING:  # for type checkers, every name would be one of this module then

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
