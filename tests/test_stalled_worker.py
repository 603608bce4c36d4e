"""A worker that cannot have its own GIL: a thread that a task has left there does not let go."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager

import hive_tasks
import pytest

from interp_executor import InterpreterPoolExecutor

PATIENCE = 30.0


@contextmanager
def one_core() -> Iterator[None]:
    """Pin this thread, and those it starts: then one worker at a time is being woken."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def wait_until_idle(executor: InterpreterPoolExecutor, number: int) -> None:
    end = time.monotonic() + PATIENCE
    while executor.stats().idle < number:
        assert time.monotonic() < end
        os.sched_yield()


@pytest.fixture
def executor() -> Iterator[InterpreterPoolExecutor]:
    """An executor with two idle workers, of which the one that is woken next stalls."""
    with ExitStack() as stack:
        pipes = {name: os.pipe() for name in ("start", "other", "go", "ready", "stop")}
        for read, write in pipes.values():
            stack.callback(os.close, read)
            stack.callback(os.close, write)

        def tell(name: str) -> None:
            os.write(pipes[name][1], b"!")

        stack.enter_context(one_core())
        executor = stack.enter_context(InterpreterPoolExecutor(2))
        fds = [pipes["start"][0], pipes["go"][0], pipes["ready"][1], pipes["stop"][0]]
        executor.submit(hive_tasks.leave_gil_holder, *fds)
        executor.submit(hive_tasks.read_byte, pipes["other"][0])
        tell("other")
        wait_until_idle(executor, 1)
        tell("start")
        wait_until_idle(executor, 2)
        tell("go")
        os.read(pipes["ready"][0], 1)
        stack.callback(tell, "stop")
        yield executor


def test_a_result_that_is_waited_for_comes_from_another_worker(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(abs, -1).result(PATIENCE) == 1


def test_a_map_that_is_read_is_run_by_another_worker(executor: InterpreterPoolExecutor) -> None:
    assert list(executor.map(abs, range(-3, 0), timeout=PATIENCE)) == [3, 2, 1]


def test_later_submits_wake_another_worker(executor: InterpreterPoolExecutor) -> None:
    end = time.monotonic() + PATIENCE
    while not wait([executor.submit(abs, -1)], timeout=0.01).done:
        assert time.monotonic() < end
