"""A worker that cannot have its own GIL: a thread that a task has left there does not let go."""

import os
import select
import threading
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from contextlib import ExitStack, contextmanager
from itertools import islice

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


def pipes(stack: ExitStack, *names: str) -> dict[str, tuple[int, int]]:
    """Make pipes, which close with the stack."""
    made = {name: os.pipe() for name in names}
    for read, write in made.values():
        stack.callback(os.close, read)
        stack.callback(os.close, write)
    return made


class Stalling:
    """An executor with idle workers, one or two: the one that is woken next stalls when told to."""

    def __init__(self, stack: ExitStack, workers: int, most: int) -> None:
        self._pipes = pipes(stack, "start", "other", "go", "ready", "stop")
        self.executor = stack.enter_context(InterpreterPoolExecutor(most))
        for name in self._pipes:
            stack.callback(self._tell, name)
        ends = [("start", 0), ("go", 0), ("ready", 1), ("stop", 0)]
        self.executor.submit(
            hive_tasks.leave_gil_holder, *[self._pipes[name][end] for name, end in ends]
        )
        if workers == 2:
            self.executor.submit(hive_tasks.read_byte, self._pipes["other"][0])
            self._tell("other")
            self._wait_until_idle(1)
        self._tell("start")
        self._wait_until_idle(workers)

    def begin(self) -> None:
        """Keep the worker from its GIL, from now on or as soon as it lets go of it."""
        self._tell("go")

    def wait_until_begun(self) -> None:
        """Return when it is kept from it."""
        os.read(self._pipes["ready"][0], 1)

    def end(self) -> None:
        """Let it have its GIL."""
        self._tell("stop")

    def _tell(self, name: str) -> None:
        os.write(self._pipes[name][1], b"!")

    def _wait_until_idle(self, number: int) -> None:
        end = time.monotonic() + PATIENCE
        while self.executor.stats().idle < number:
            assert time.monotonic() < end
            os.sched_yield()


@pytest.fixture(params=[(1, 2), (2, 2)])
def stalling(request: pytest.FixtureRequest) -> Iterator[Stalling]:
    """There are so many workers, and there may be so many."""
    workers, most = request.param
    with ExitStack() as stack:
        stack.enter_context(one_core())
        yield Stalling(stack, workers, most)


@pytest.fixture
def executor(stalling: Stalling) -> InterpreterPoolExecutor:
    """An executor whose one worker has stalled."""
    stalling.begin()
    stalling.wait_until_begun()
    return stalling.executor


def test_a_task_that_nobody_asks_for_is_run_by_another_worker(
    executor: InterpreterPoolExecutor,
) -> None:
    told, tell = os.pipe()
    with os.fdopen(told), os.fdopen(tell):
        executor.submit(hive_tasks.write_byte, tell, b"!")
        assert select.select([told], [], [], PATIENCE)[0]


def test_a_callback_is_called_for_what_another_worker_has_run(
    executor: InterpreterPoolExecutor,
) -> None:
    done = threading.Event()
    executor.submit(abs, -1).add_done_callback(lambda _: done.set())
    assert done.wait(PATIENCE)


def test_a_result_that_is_waited_for_comes_from_another_worker(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(abs, -1).result(PATIENCE) == 1


def test_a_map_that_is_read_is_run_by_another_worker(executor: InterpreterPoolExecutor) -> None:
    assert list(executor.map(abs, range(-3, 0), timeout=PATIENCE)) == [3, 2, 1]


@pytest.mark.parametrize("number", [1000, 4000])
def test_a_stream_goes_past_a_worker_that_stalls_meanwhile(stalling: Stalling, number: int) -> None:
    """But for the task that it may have in hand."""
    futures = [stalling.executor.submit(abs, -i) for i in range(number // 2)]
    stalling.begin()
    futures += [stalling.executor.submit(abs, -i) for i in range(number // 2, number)]
    stalling.wait_until_begun()
    done = list(islice(as_completed(futures, PATIENCE), number - 1))
    stalling.end()
    assert len(done) == number - 1
    assert [future.result(PATIENCE) for future in futures] == list(range(number))


def test_what_a_finalizer_leaves_behind_holds_no_task_up() -> None:
    """An idle worker lets go of what it lent, and cannot have its GIL afterwards."""
    with ExitStack() as stack:
        made = pipes(stack, "start", "go", "ready", "stop")
        stack.enter_context(one_core())
        executor = stack.enter_context(InterpreterPoolExecutor(2))
        for name in ("go", "stop"):
            stack.callback(os.write, made[name][1], b"!")
        os.write(made["start"][1], b"!!")
        ends = [("start", 0), ("go", 0), ("ready", 1), ("stop", 0)]
        view = executor.submit(
            hive_tasks.lend_and_leave_gil_holder, *[made[name][end] for name, end in ends]
        ).result(PATIENCE)
        del view
        os.write(made["go"][1], b"!")
        os.read(made["ready"][0], 1)
        assert executor.submit(abs, -1).result(PATIENCE) == 1
