"""Initializers of processes: what they are given, and that no task comes before they have run."""

import array
import threading
from typing import Any

import lane_tasks as tasks
import pytest

from interp_executor import (
    BrokenInterpreterPool,
    IncompatibleModuleError,
    InterpreterPoolExecutor,
    SharedBuffer,
    TransferError,
)

PATIENCE = 60


@pytest.mark.parametrize("lane", ["interpreter", "process"])
@pytest.mark.parametrize("n", [3, 100_000])  # 100,000: what goes in memory that is mapped
def test_a_view_arrives_as_a_view(lane: Any, n: int) -> None:
    view = memoryview(array.array("d", [1.5] * n)).toreadonly()
    with InterpreterPoolExecutor(
        1, lane=lane, initializer=tasks.initialise, initargs=(view,)
    ) as executor:
        seen = executor.submit(tasks.describe_initial).result(PATIENCE)
    assert seen == ("memoryview", n, 1.5 * n)


@pytest.mark.parametrize("shared", [SharedBuffer(8), memoryview(bytearray(8))])
def test_shared_memory_keeps_tasks_from_processes_but_not_from_interpreters(shared: Any) -> None:
    with InterpreterPoolExecutor(1, initializer=tasks.initialise, initargs=(shared,)) as executor:
        view = executor.with_options(lane="process")
        for _ in range(2):
            with pytest.raises(IncompatibleModuleError, match="initializer cannot be sent.*shared"):
                view.submit(abs, -1).result(PATIENCE)
        assert executor.submit(abs, -1).result(PATIENCE) == 1
    assert executor.stats().abandoned == 0


@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_an_argument_that_cannot_cross_breaks_the_pool(lane: Any) -> None:
    with InterpreterPoolExecutor(
        1, lane=lane, initializer=tasks.initialise, initargs=(threading.Lock(),)
    ) as executor:
        future = executor.submit(tasks.initial)
        with pytest.raises(BrokenInterpreterPool) as caught:
            future.result(PATIENCE)
        assert isinstance(caught.value.__cause__, TransferError)
        with pytest.raises(BrokenInterpreterPool):
            executor.submit(tasks.initial)
