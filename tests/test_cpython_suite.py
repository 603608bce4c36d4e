"""CPython's own tests of executors, run with our class.

They come with the running Python (its `test` package); where it is not installed, and Debian's 3.15
has none, this module is skipped. What does not apply to our executor is skipped one by one, each
with its reason; what is adapted is in `cpython_adapter`.
"""

import importlib
import sys
from typing import Any

import pytest

pytest.importorskip("test.test_concurrent_futures", reason="this Python comes without its tests")

from cpython_adapter import adapt


def setup_module() -> None:
    """Forget the event loop policy: AsyncioTest insists that no test before it has used asyncio."""
    events = sys.modules.get("asyncio.events")
    if sys.version_info >= (3, 14) and events is not None:
        events._set_event_loop_policy(None)


def _module(name: str) -> Any:
    return importlib.import_module(f"test.test_concurrent_futures.{name}")


_COPIES = "changes an object of the test's from within a task: tasks work on copies"
_LOCK = "sends a lock or an event, which cannot cross"
_HIVE = "joins the threads of an executor: ours go back to the hive and live on"
_CROSSES = "expects an error for what crosses here"
_SCRIPTS = "strings as tasks: fails with the standard library's executor too"
_EXECUTION_FAILED = "expects ExecutionFailed: our cause is the traceback of the worker"

_executor_tests = _module("executor").ExecutorTest
_shutdown_tests = _module("test_shutdown")
_init_tests = _module("test_init")

ExecutorTest = adapt(_executor_tests, {})

ShutdownTest = adapt(
    _shutdown_tests.ExecutorShutdownTest,
    {
        "test_cancel_futures": "expects a task to have begun at once: an interpreter takes "
        "longer to start, so that all are cancelled; see contract/test_shutdown.py",
    },
)

ThreadPoolShutdownTest = adapt(
    _shutdown_tests.ThreadPoolShutdownTest,
    {
        "test_threads_terminate": _LOCK,
        "test_context_manager_shutdown": _HIVE,
        "test_del_shutdown": _HIVE,
        "test_shutdown_no_wait": _HIVE,
        "test_thread_names_assigned": _HIVE,
        "test_thread_names_default": _HIVE,
    },
    elsewhere=_shutdown_tests.ExecutorShutdownTest,
)

WaitTest = adapt(_module("test_wait").WaitTests, {})

AsCompletedTest = adapt(_module("test_as_completed").AsCompletedTests, {})

InitializerTest = adapt(_init_tests.InitializerMixin, {})

FailingInitializerTest = adapt(_init_tests.FailingInitializerMixin, {})

ThreadPoolExecutorTest = adapt(
    _module("test_thread_pool").ThreadPoolExecutorTest,
    {
        "test_map_submits_without_iteration": _COPIES,
        "test_default_workers": "expects the number of workers that suits I/O",
        "test_saturation": _LOCK,
        "test_executor_map_current_future_cancel": _LOCK,
        "test_hang_global_shutdown_lock": "is about the standard library's own classes",
        "test_process_fork_from_a_threadpool": "is about the standard library's own classes",
    },
    elsewhere=_executor_tests,
)

if sys.version_info >= (3, 14):
    _pool_tests = _module("test_interpreter_pool")

    InterpreterPoolExecutorTest = adapt(
        _pool_tests.InterpreterPoolExecutorTest,
        {
            "test_init_script": _SCRIPTS,
            "test_init_script_args": _SCRIPTS,
            "test_init_exception_in_script": _SCRIPTS,
            "test_submit_script": _SCRIPTS,
            "test_submit_exception_in_script": _SCRIPTS,
            "test_init_closure": _CROSSES,
            "test_init_instance_method": _CROSSES,
            "test_submit_closure": _CROSSES,
            "test_submit_local_instance": _CROSSES,
            "test_submit_instance_method": _CROSSES,
            "test_init_exception_in_func": _EXECUTION_FAILED,
            "test_submit_exception_in_func": _EXECUTION_FAILED,
            "test_pickle_errors_propagate": "expects NotShareableError: ours is TransferError",
            "test_import_interpreter_pool_executor": "is about the standard library's import",
            "test_blocking": "as test_blocking_with_limited_workers, but for 20 s of waits that "
            "add up where there are two CPUs and hence two workers",
            "test_saturation": "counts threads at once after submit: ours start in the background",
        },
        elsewhere=_executor_tests,
    )

    AsyncioTest = adapt(_pool_tests.AsyncioTest, {})
