"""Makes CPython's own tests of executors run with ours: see test_cpython_suite.

Those tests name the executor class in programs that they start, take for granted that it comes from
`concurrent.futures`, and use `threading.Event` between tasks and test; here is what stands in.
"""

import functools
import sys
import unittest
from concurrent.futures import wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from crossing_tasks import PipeEvent
from test.support import script_helper  # type: ignore[import-not-found]
from test.test_concurrent_futures import test_shutdown, util  # type: ignore[import-not-found]

import interp_executor
from interp_executor import InterpreterPoolExecutor, close_idle_workers

SOURCE = str(Path(interp_executor.__file__).parent.parent)


def assert_python_ok(*arguments: str, **environment: str) -> Any:
    """Run the program of a test with our executor in the place of the standard library's."""
    ours = [_with_our_import(argument) for argument in arguments]
    return script_helper.assert_python_ok(*ours, PYTHONPATH=SOURCE, **environment)


def make_script(folder: str, name: str, source: str, **options: Any) -> str:
    path: str = script_helper.make_script(folder, name, _with_our_import(source), **options)
    return path


def _with_our_import(source: str) -> str:
    ours = "from interp_executor import InterpreterPoolExecutor"
    return source.replace("from concurrent.futures import InterpreterPoolExecutor", ours).replace(
        "from concurrent.futures import ThreadPoolExecutor", f"{ours} as ThreadPoolExecutor"
    )


class OurPoolMixin(util.ExecutorMixin):  # type: ignore[misc]
    """What util.InterpreterPoolMixin is for the standard library's executor."""

    executor_type = InterpreterPoolExecutor

    def setUp(self) -> None:
        _start_notifier()
        self._events: list[PipeEvent] = []
        self._replace(test_shutdown, "assert_python_ok", assert_python_ok)
        if sys.version_info >= (3, 14):
            from test.test_concurrent_futures import test_interpreter_pool

            helper = SimpleNamespace(assert_python_ok=assert_python_ok, make_script=make_script)
            self._replace(test_interpreter_pool, "script_helper", helper)
        super().setUp()

    def _replace(self, place: Any, name: str, value: Any) -> None:
        patch = mock.patch.object(place, name, value)
        patch.start()
        self.addCleanup(patch.stop)

    def tearDown(self) -> None:
        super().tearDown()
        for event in self._events:
            event.close()

    def create_event(self) -> PipeEvent:
        self._events.append(PipeEvent())
        return self._events[-1]


class NoIdleWorkers:
    """Ends the idle workers of the hive before BaseTestCase looks for threads left behind."""

    def tearDown(self) -> None:
        close_idle_workers()
        super().tearDown()  # type: ignore[misc]


@functools.cache
def _start_notifier() -> None:
    """Start the hive's notifier, which lives as long as the process, before threads are counted."""
    with InterpreterPoolExecutor(max_workers=1) as executor:
        wait([executor.submit(abs, -1)])
    close_idle_workers()


def adapt(tests: type, skipped: dict[str, str], elsewhere: type = object) -> type:
    """Return a TestCase of `tests` with our executor.

    `skipped` says what does not apply, and why; the tests of `elsewhere` are left out, since
    another class runs them. Versions differ in what there is: a name that is missing is no error.
    """
    members: dict[str, Any] = dict.fromkeys(
        name for name in vars(elsewhere) if name.startswith("test")
    )
    for name, reason in skipped.items():
        if hasattr(tests, name):
            members[name] = unittest.skip(reason)(_not_run)
    bases = (OurPoolMixin, tests, NoIdleWorkers, util.BaseTestCase)
    return type(f"Our{tests.__name__}", bases, members)


def _not_run(self: unittest.TestCase) -> None:
    raise AssertionError("this test does not apply")
