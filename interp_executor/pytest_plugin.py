"""The pytest fixture ``executor_benchmark``: a benchmark of your own suite on every executor.

pytest finds it by itself where interp_executor is installed. It needs pytest-benchmark
(``pip install 'interp-executor[pytest]'``) once a test asks for it, and nothing else before.
"""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_answers = pytest.StashKey[dict[str, "list[Any]"]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for the fixture once for each executor, the plain loop first."""
    if "executor_benchmark" in metafunc.fixturenames:
        from interp_executor._compare.executors import contenders

        keys = [contender.key for contender in contenders()]
        metafunc.parametrize("executor_benchmark", keys, indirect=True)


class ExecutorBenchmark:
    """What the fixture gives: call it with a function and its items, as ``map``.

    Attributes
    ----------
    executor : str
        Which it is: "serial", "threads", "processes-<start method>", "interpreters" (the standard
        library's) or "ours".
    """

    def __init__(self, executor: str, request: pytest.FixtureRequest) -> None:
        self.executor = executor
        self._request = request
        self._benchmark = _pytest_benchmark(request)

    def __call__(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        workers: int | None = None,
        rounds: int = 5,
    ) -> list[Any]:
        """Time the function for all items with warm workers; return its answers.

        Parameters
        ----------
        fn : callable
            The function, which processes must be able to import.
        *iterables : iterable
            Its arguments, side by side.
        workers : int, optional
            By default one for each processor.
        rounds : int
            How often the job is timed, after one round that is not.

        Raises
        ------
        AssertionError
            If the answers are not those of a plain loop.
        """
        import os

        from interp_executor._compare.executors import Caller, MissingError

        items = list(zip(*iterables, strict=False))
        caller = Caller(self.executor, workers or os.process_cpu_count() or 1)
        try:
            caller.start(fn)
        except MissingError as error:
            pytest.skip(str(error))
        try:
            answers: list[Any] = self._benchmark.pedantic(
                lambda: list(caller.map(fn, items)), rounds=rounds, warmup_rounds=1
            )
        finally:
            caller.stop()
        self._label(caller, len(items))
        self._compare(answers, fn, items)
        return answers

    def _label(self, caller: Any, items: int) -> None:
        # One group for all executors, so that pytest-benchmark's table shows them side by side.
        self._benchmark.group = self._test()
        self._benchmark.extra_info |= {
            "executor": self.executor,
            "workers": caller.workers,
            "items": items,
            "note": caller.note(items),
        }

    def _compare(
        self, answers: list[Any], fn: Callable[..., Any], items: list[tuple[Any, ...]]
    ) -> None:
        from interp_executor._compare.agree import difference

        known = self._request.config.stash.setdefault(_answers, {})
        if self._test() not in known:
            known[self._test()] = [fn(*item) for item in items]
        found = difference(answers, known[self._test()])
        assert found is None, f"{self.executor}: {found}"

    def _test(self) -> str:
        """Return the test's name without the executor."""
        name, _, parameters = str(self._request.node.nodeid).rpartition("[")
        return f"{name}[{parameters.replace(self.executor, '*', 1)}"


@pytest.fixture
def executor_benchmark(request: pytest.FixtureRequest) -> ExecutorBenchmark:
    """Benchmark a function on every executor with pytest-benchmark: see ExecutorBenchmark."""
    return ExecutorBenchmark(request.param, request)


def _pytest_benchmark(request: pytest.FixtureRequest) -> Any:
    try:
        return request.getfixturevalue("benchmark")
    except pytest.FixtureLookupError:
        raise pytest.UsageError(
            "executor_benchmark needs pytest-benchmark: pip install 'interp-executor[pytest]'"
        ) from None
