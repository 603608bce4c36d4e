"""Tasks are interrupted, by request or for want of time."""

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import interrupt_tasks
import pytest
from stops import PATIENCE, settled

from interp_executor import (
    InterpreterPoolExecutor,
    TaskInterrupted,
    TaskTimeoutError,
)

pytestmark = pytest.mark.usefixtures("empty_hive")


# ---- future.interrupt() ----


def test_a_loop_is_interrupted(executor: InterpreterPoolExecutor, begin: Any) -> None:
    future = begin(executor, interrupt_tasks.loop)
    assert future.interrupt() is True
    with pytest.raises(TaskInterrupted, match="interrupted") as caught:
        future.result(PATIENCE)
    assert not caught.value.abandoned
    assert "in loop" in str(caught.value.__cause__.__cause__)  # where it was
    assert settled(executor).interrupted == 1


def test_an_interrupt_arrives_within_50_ms_at_best(
    executor: InterpreterPoolExecutor, begin: Any
) -> None:
    times = []
    for _ in range(10):
        future = begin(executor, interrupt_tasks.loop)
        started = time.monotonic()
        future.interrupt()
        with pytest.raises(TaskInterrupted):
            future.result(PATIENCE)
        times.append(time.monotonic() - started)
    assert min(times) < 0.05


def test_except_exception_does_not_swallow_an_interrupt(
    executor: InterpreterPoolExecutor, begin: Any
) -> None:
    future = begin(executor, interrupt_tasks.loop_past_exceptions)
    assert future.interrupt()
    with pytest.raises(TaskInterrupted):
        future.result(PATIENCE)


@pytest.mark.parametrize(
    "task", [interrupt_tasks.loop_in_a_finalizer, interrupt_tasks.loop_in_a_callback]
)
def test_no_finalizer_swallows_an_interrupt(
    begin: Any, capfd: pytest.CaptureFixture[str], task: Any
) -> None:
    with InterpreterPoolExecutor(1, grace=PATIENCE) as executor:
        future = begin(executor, task)
        assert future.interrupt()
        with pytest.raises(TaskInterrupted) as caught:
            future.result(PATIENCE)
        assert not caught.value.abandoned
        assert executor.submit(abs, -1).result(PATIENCE) == 1
    assert capfd.readouterr().err == ""


def test_a_finalizer_that_swallows_an_interrupt_costs_the_next_ones_nothing(
    executor: InterpreterPoolExecutor, begin: Any
) -> None:
    read, write = os.pipe()
    number = 100
    with os.fdopen(read, "rb") as told:
        with os.fdopen(write, "wb"):
            future = begin(executor, interrupt_tasks.free_many, write, number)
            assert future.interrupt()
            with pytest.raises(TaskInterrupted):
                future.result(PATIENCE)
        assert len(told.read()) > number // 2  # it may come again while they go


def test_an_interrupt_finds_its_way_past_failing_finalizers(
    begin: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with InterpreterPoolExecutor(1, grace=PATIENCE) as executor:
        for _ in range(5):
            future = begin(executor, interrupt_tasks.fail_in_finalizers)
            assert future.interrupt()
            with pytest.raises(TaskInterrupted) as caught:
                future.result(PATIENCE)
            assert not caught.value.abandoned
    assert "of a finalizer" in capfd.readouterr().err


def test_what_else_a_finalizer_raises_is_told_of(
    executor: InterpreterPoolExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    executor.submit(interrupt_tasks.fail_in_a_finalizer).result(PATIENCE)
    told = capfd.readouterr().err
    assert "Exception ignored" in told
    assert "ValueError: of a finalizer" in told


def test_a_task_that_returns_all_the_same_has_its_result(
    executor: InterpreterPoolExecutor, begin: Any
) -> None:
    future = begin(executor, interrupt_tasks.return_all_the_same)
    assert future.interrupt()
    assert future.result(PATIENCE) == "TaskInterrupt"
    assert settled(executor).interrupted == 0


def test_what_a_task_makes_of_the_interrupt_is_the_cause(
    executor: InterpreterPoolExecutor, begin: Any
) -> None:
    future = begin(executor, interrupt_tasks.raise_another)
    assert future.interrupt()
    with pytest.raises(TaskInterrupted) as caught:
        future.result(PATIENCE)
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_is_interrupted_while_it_loads_does_not_go_on_in_a_process(
    executor: InterpreterPoolExecutor,
) -> None:
    read, write = os.pipe()
    future: Any = executor.submit(str, interrupt_tasks.LoadedBadly(write))
    assert os.read(read, 1) == b"!"
    assert future.interrupt()
    with pytest.raises(TaskInterrupted):
        future.result(PATIENCE)
    assert executor.stats().sent_to_processes == 0
    os.close(read)
    os.close(write)


def test_an_interrupt_cancels_a_pending_task(executor: InterpreterPoolExecutor, begin: Any) -> None:
    running = begin(executor, interrupt_tasks.loop)
    pending: Any = executor.submit(abs, -1)
    assert pending.interrupt() is True
    assert pending.cancelled()
    assert running.interrupt()
    wait([running], PATIENCE)


def test_a_finished_task_cannot_be_interrupted(executor: InterpreterPoolExecutor) -> None:
    future: Any = executor.submit(abs, -1)
    assert future.result(PATIENCE) == 1
    assert future.interrupt() is False
    assert future.result() == 1


def test_an_observed_task_is_interrupted(executor: InterpreterPoolExecutor, begin: Any) -> None:
    future = begin(executor, interrupt_tasks.loop)
    called: list[Future[Any]] = []
    finished = threading.Event()
    future.add_done_callback(called.append)
    future.add_done_callback(lambda _: finished.set())
    future.interrupt()
    assert wait([future], PATIENCE).done
    assert isinstance(future.exception(), TaskInterrupted)
    assert finished.wait(PATIENCE)  # callbacks come after wait() and result() may return
    assert called == [future]


def test_a_late_interrupt_never_hits_the_next_task() -> None:
    """Each task is interrupted at about its end; others follow at once, and must be unharmed."""
    with InterpreterPoolExecutor(2) as executor:
        for number in range(300):
            victim: Any = executor.submit(interrupt_tasks.count, number)
            others = [executor.submit(interrupt_tasks.count, i) for i in range(5)]
            if number % 3:
                time.sleep(number % 7 * 2e-5)
            victim.interrupt()
            assert [other.result(PATIENCE) for other in others] == list(range(5))
            try:
                assert victim.result(PATIENCE) == number
            except (TaskInterrupted, CancelledError):
                pass
        stats = settled(executor)
    assert stats.completed + stats.cancelled == stats.submitted == 1800
    assert stats.abandoned == 0


def test_a_worker_serves_on_after_an_interrupt(
    executor: InterpreterPoolExecutor, begin: Any
) -> None:
    ident = executor.submit(os.getpid).result(PATIENCE)
    future = begin(executor, interrupt_tasks.loop)
    future.interrupt()
    with pytest.raises(TaskInterrupted):
        future.result(PATIENCE)
    assert executor.submit(os.getpid).result(PATIENCE) == ident
    assert settled(executor).workers == 1


@pytest.mark.skipif(sys.version_info < (3, 15), reason="CPython notices only after the sleep")
def test_a_sleep_is_interrupted(executor: InterpreterPoolExecutor, begin: Any) -> None:
    future = begin(executor, interrupt_tasks.sleep, 60)
    future.interrupt()
    with pytest.raises(TaskInterrupted) as caught:
        future.result(PATIENCE)
    assert not caught.value.abandoned


def test_a_task_that_waits_for_another_executor_is_interrupted(begin: Any) -> None:
    with InterpreterPoolExecutor(1, grace=PATIENCE) as executor:
        future = begin(executor, interrupt_tasks.wait_for_an_executor)
        future.interrupt()
        with pytest.raises(TaskInterrupted) as caught:
            future.result(PATIENCE)
        assert not caught.value.abandoned


# ---- time limits ----


def test_a_task_over_its_time_is_interrupted(
    executor: InterpreterPoolExecutor, pipe: tuple[int, int]
) -> None:
    future = executor.with_options(timeout=0.1).submit(interrupt_tasks.loop, pipe[1])
    with pytest.raises(TaskTimeoutError, match=r"0\.1 s") as caught:
        future.result(PATIENCE)
    assert isinstance(caught.value, TimeoutError)
    assert not caught.value.abandoned
    assert settled(executor).timed_out == 1


def test_the_clock_starts_with_the_task(executor: InterpreterPoolExecutor) -> None:
    view = executor.with_options(timeout=5)
    naps = [view.submit(interrupt_tasks.nap, 0.01) for _ in range(3)]
    short = executor.with_options(timeout=0.5)
    executor.submit(interrupt_tasks.nap, 0.8)
    queued = short.submit(abs, -1)  # waits for longer than it may take
    assert [nap.result(PATIENCE) for nap in naps] == [0.01] * 3
    assert queued.result(PATIENCE) == 1


def test_many_tasks_within_their_time_are_left_alone(executor: InterpreterPoolExecutor) -> None:
    view = executor.with_options(timeout=30)
    futures = [view.submit(interrupt_tasks.count, i) for i in range(500)]
    assert [future.result(PATIENCE) for future in futures] == list(range(500))
    assert settled(executor).timed_out == 0


def test_the_limit_of_a_map_is_each_items(executor: InterpreterPoolExecutor) -> None:
    view = executor.with_options(timeout=1.0)
    assert list(view.map(interrupt_tasks.nap, [0.2] * 8, chunksize=8)) == [0.2] * 8


def test_the_limit_holds_while_the_callable_of_a_map_loads(
    executor: InterpreterPoolExecutor,
) -> None:
    results = executor.with_options(timeout=0.2).map(interrupt_tasks.LoadedForEver(), [1, 2])
    with pytest.raises(TaskTimeoutError):
        next(results)
    assert settled(executor).timed_out == 1


def test_an_item_over_its_time_ends_the_map(executor: InterpreterPoolExecutor) -> None:
    executor.submit(interrupt_tasks.count, 1).result(PATIENCE)  # the module is there
    results = executor.with_options(timeout=0.2).map(
        interrupt_tasks.loop_at, [1, 2, 3, -1, 4], chunksize=5
    )
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(TaskTimeoutError):
        next(results)
    assert next(results, None) is None
    assert settled(executor).timed_out == 1


@pytest.mark.parametrize("option", ["timeout", "grace"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(-1, ValueError), (float("nan"), ValueError), (float("inf"), ValueError), ("1", TypeError)],
)
def test_bad_limits_are_refused(
    executor: InterpreterPoolExecutor, option: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=option):
        executor.with_options(**{option: value})


def test_other_bad_options_are_refused(executor: InterpreterPoolExecutor) -> None:
    with pytest.raises(ValueError, match="timeout"):
        executor.with_options(timeout=0)
    with pytest.raises(TypeError, match="interrupt_on_cancel"):
        executor.with_options(interrupt_on_cancel="yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="grace"):
        InterpreterPoolExecutor(1, grace=-1)


# ---- asyncio ----


def test_run_in_executor_takes_a_view(executor: InterpreterPoolExecutor) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        view = executor.with_options(timeout=0.1)
        assert await loop.run_in_executor(view, abs, -1) == 1
        with pytest.raises(TaskTimeoutError):
            await loop.run_in_executor(view, interrupt_tasks.loop_at, -1)

    asyncio.run(main())


def test_cancelling_the_await_stops_the_work(executor: InterpreterPoolExecutor) -> None:
    read, write = os.pipe()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        view = executor.with_options(interrupt_on_cancel=True)
        awaiting = loop.run_in_executor(view, interrupt_tasks.loop, write)
        assert await asyncio.to_thread(os.read, read, 1) == b"!"
        awaiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await awaiting
        assert await loop.run_in_executor(executor, abs, -1) == 1  # the worker is free again

    asyncio.run(main())
    os.close(read)
    os.close(write)
    assert settled(executor).interrupted == 1


def test_cancel_of_a_running_task_returns_false_and_interrupts(
    executor: InterpreterPoolExecutor, begin: Any
) -> None:
    future = begin(executor.with_options(interrupt_on_cancel=True), interrupt_tasks.loop)
    assert future.cancel() is False
    with pytest.raises(TaskInterrupted):
        future.result(PATIENCE)


def test_an_interrupted_task_stops_what_it_waits_for() -> None:
    with InterpreterPoolExecutor(1, grace=PATIENCE) as executor:
        future = executor.with_options(timeout=0.3).submit(interrupt_tasks.wait_for_nested)
        with pytest.raises(TaskTimeoutError) as caught:
            future.result(PATIENCE)
        assert not caught.value.abandoned
