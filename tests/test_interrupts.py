"""Tasks are interrupted, by request or for want of time, and abandoned if they do not stop."""

import asyncio
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import interrupt_tasks
import pytest

from interp_executor import (
    InterpreterPoolExecutor,
    TaskInterrupted,
    TaskTimeoutError,
    close_idle_workers,
)

PATIENCE = 30


@pytest.fixture(autouse=True)
def no_idle_workers() -> Iterator[None]:
    yield
    close_idle_workers()


@pytest.fixture
def begin() -> Iterator[Callable[..., Any]]:
    """Submit a task that tells when it has begun, and wait for that."""
    read, write = os.pipe()

    def submit(executor: InterpreterPoolExecutor, fn: Callable[..., Any], *args: object) -> Any:
        future = executor.submit(fn, write, *args)
        assert os.read(read, 1) == b"!"
        return future

    yield submit
    os.close(read)
    os.close(write)


@pytest.fixture
def gate() -> Iterator[int]:
    """Where tasks hang that nothing can interrupt, until the test is over."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read
    os.close(write)
    os.close(read)


def settled(executor: InterpreterPoolExecutor) -> Any:
    """Return the stats once nothing runs: all futures are done before the workers are free."""
    deadline = time.monotonic() + PATIENCE
    while executor.stats().running and time.monotonic() < deadline:
        time.sleep(0.001)
    return executor.stats()


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
    future.add_done_callback(called.append)
    future.interrupt()
    assert wait([future], PATIENCE).done
    assert isinstance(future.exception(), TaskInterrupted)
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


def test_a_task_over_its_time_is_interrupted(executor: InterpreterPoolExecutor, begin: Any) -> None:
    future = begin(executor.with_options(timeout=0.1), interrupt_tasks.loop)
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


# ---- abandonment ----


def test_a_task_that_cannot_be_stopped_is_abandoned(begin: Any, gate: int) -> None:
    with InterpreterPoolExecutor(1, grace=0.2) as executor:
        future = begin(executor, interrupt_tasks.wait_in_c, gate)
        called: list[Future[Any]] = []
        future.add_done_callback(called.append)
        assert future.interrupt()
        started = time.monotonic()
        with pytest.raises(TaskInterrupted, match="abandoned") as caught:
            future.result(PATIENCE)
        assert caught.value.abandoned
        assert executor.submit(abs, -1).result(PATIENCE) == 1  # by the replacement
        assert time.monotonic() - started < 2.5
        stats = settled(executor)
        assert (stats.workers, stats.abandoned, stats.completed) == (1, 1, 2)
        wait([future], PATIENCE)
        assert called == [future]


def test_the_pool_stays_at_strength(begin: Any, gate: int) -> None:
    with InterpreterPoolExecutor(2) as executor:
        view = executor.with_options(timeout=0.3, grace=0.1)
        lost = [begin(view, interrupt_tasks.wait_in_c, gate) for _ in range(2)]
        for future in lost:
            with pytest.raises(TaskTimeoutError, match="abandoned"):
                future.result(PATIENCE)
        assert list(executor.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
        assert settled(executor).workers == 2
        assert settled(executor).abandoned == 2


def test_shutdown_does_not_wait_for_an_abandoned_task(begin: Any, gate: int) -> None:
    started = time.monotonic()
    with InterpreterPoolExecutor(1, grace=0.0) as executor:
        future = begin(executor, interrupt_tasks.wait_in_c, gate)
        future.interrupt()
        with pytest.raises(TaskInterrupted):
            future.result(PATIENCE)
    assert time.monotonic() - started < 2.5


def test_an_item_that_cannot_be_stopped_is_abandoned(gate: int) -> None:
    with InterpreterPoolExecutor(1) as executor:
        view = executor.with_options(timeout=0.1, grace=0.1)
        results = view.map(interrupt_tasks.wait_at, [0, 0, gate, 0], chunksize=4)
        assert [next(results), next(results)] == [0, 0]
        with pytest.raises(TaskTimeoutError, match="abandoned"):
            next(results)
        assert executor.submit(abs, -1).result(PATIENCE) == 1
        assert (settled(executor).abandoned, settled(executor).mapped) == (1, 3)


# ---- terminate_workers() and kill_workers() ----


def test_terminate_workers_interrupts_what_runs_and_cancels_what_is_pending(begin: Any) -> None:
    executor = InterpreterPoolExecutor(1)
    running = begin(executor, interrupt_tasks.loop)
    pending = executor.submit(abs, -1)
    executor.terminate_workers()
    with pytest.raises(TaskInterrupted):
        running.result(PATIENCE)
    with pytest.raises(CancelledError):
        pending.result(PATIENCE)
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(abs, -1)
    executor.shutdown()
    assert executor.stats().workers == 0


def test_terminate_workers_ends_a_map(begin: Any) -> None:
    with InterpreterPoolExecutor(1) as executor:
        results = executor.map(interrupt_tasks.nap, [0.05] * 500, chunksize=250)
        next(results)
        started = time.monotonic()
        executor.terminate_workers()
        with pytest.raises((TaskInterrupted, CancelledError)):
            list(results)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_an_item_that_outlives_the_end_is_the_last(timeout: float | None) -> None:
    read, write = os.pipe()
    executor = InterpreterPoolExecutor(1)
    view = executor.with_options(timeout=timeout)
    results = view.map(interrupt_tasks.return_all_the_same, [write] * 3, chunksize=3)
    assert os.read(read, 1) == b"!"
    executor.terminate_workers()
    assert next(results) == "TaskInterrupt"
    with pytest.raises(CancelledError):
        next(results)
    executor.shutdown()
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):  # no other item has begun
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_kill_workers_waits_for_nothing(begin: Any, gate: int) -> None:
    executor = InterpreterPoolExecutor(1, grace=60)
    running = begin(executor, interrupt_tasks.wait_in_c, gate)
    pending = executor.submit(abs, -1)
    started = time.monotonic()
    executor.kill_workers()
    with pytest.raises(TaskInterrupted, match="abandoned"):
        running.result(PATIENCE)
    assert pending.cancelled()
    executor.shutdown(wait=True)
    assert time.monotonic() - started < 2.5
    assert executor.stats().abandoned == 1


def test_terminating_an_idle_executor_shuts_it_down() -> None:
    for name in ("terminate_workers", "kill_workers"):
        executor = InterpreterPoolExecutor(1)
        assert executor.submit(abs, -1).result(PATIENCE) == 1
        getattr(executor, name)()
        executor.shutdown()
        assert executor.stats().workers == 0


# ---- initializers that do not end ----


@pytest.fixture
def starting() -> Iterator[Callable[..., InterpreterPoolExecutor]]:
    """Open an executor whose initializer has begun, on behalf of two tasks."""
    read, write = os.pipe()

    def start(
        initializer: Callable[..., object], *args: object, grace: float
    ) -> InterpreterPoolExecutor:
        executor = InterpreterPoolExecutor(
            1, initializer=initializer, initargs=(write, *args), grace=grace
        )
        for _ in range(2):
            executor.submit(abs, -1)
        assert os.read(read, 1) == b"!"
        return executor

    yield start
    os.close(read)
    os.close(write)


def test_terminate_workers_interrupts_an_initializer(
    starting: Callable[..., InterpreterPoolExecutor], caplog: pytest.LogCaptureFixture
) -> None:
    executor = starting(interrupt_tasks.loop, grace=60.0)
    (thread,) = executor._threads
    started = time.monotonic()
    executor.terminate_workers()
    executor.shutdown()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert time.monotonic() - started < 10
    assert caplog.text == ""


@pytest.mark.parametrize("at_once", [False, True])
def test_an_initializer_that_cannot_be_stopped_is_given_up(
    at_once: bool,
    starting: Callable[..., InterpreterPoolExecutor],
    gate: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    executor = starting(interrupt_tasks.wait_in_c, gate, grace=60.0 if at_once else 0.1)
    (thread,) = executor._threads
    started = time.monotonic()
    if at_once:
        executor.kill_workers()
    else:
        executor.terminate_workers()
    executor.shutdown()
    assert time.monotonic() - started < 2.5
    assert caplog.text.count("its initializer could not be stopped") == 1
    assert executor.stats().workers == 0
    assert thread.is_alive()


def test_terminating_an_executor_whose_workers_start_leaves_nothing_behind() -> None:
    read, write = os.pipe()  # where nobody reads
    for round_ in range(40):
        executor = InterpreterPoolExecutor(
            2, initializer=interrupt_tasks.loop, initargs=(write,), reuse=True
        )
        futures = [executor.submit(abs, -1) for _ in range(2)]
        if round_ % 2:  # in half of them an initializer has begun
            assert os.read(read, 1) == b"!"
        executor.terminate_workers()
        executor.shutdown()
        assert all(future.cancelled() for future in futures)
        assert executor.stats().workers == 0
    os.close(read)
    os.close(write)


class Unhurried:
    """Pickles once the test lets it, as the number that it was made with."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked, self.may = threading.Event(), threading.Event()

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        self.asked.set()
        assert self.may.wait(PATIENCE)
        return int, (self.number,)


def test_an_interrupt_that_comes_before_the_initializer_begins_is_not_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read, write = os.pipe()
    argument = Unhurried(write)
    executor = InterpreterPoolExecutor(
        1, initializer=interrupt_tasks.loop, initargs=(argument,), grace=60.0
    )
    executor.submit(abs, -1)
    assert argument.asked.wait(PATIENCE)
    (thread,) = executor._threads
    executor.terminate_workers()
    argument.may.set()
    executor.shutdown()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert caplog.text == ""
    os.close(read)
    os.close(write)


def test_stopping_an_executor_stops_nothing_of_the_next_one_of_its_worker(
    starting: Callable[..., InterpreterPoolExecutor],
    begin: Any,
    gate: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = InterpreterPoolExecutor(1)
    busy = InterpreterPoolExecutor(1)
    running = begin(busy, interrupt_tasks.wait_in_c, gate)
    initializing = starting(interrupt_tasks.nap_first, 0.3, grace=60.0)
    # As if its workers had gone on to these since it has looked.
    threads = [*busy._threads, *initializing._threads]
    monkeypatch.setattr(left._pool, "_snapshot", lambda: threads)
    left._pool.stop_running(at_once=True)
    assert initializing.submit(abs, -3).result(PATIENCE) == 3
    assert running.running()
    assert busy.stats().abandoned == initializing.stats().abandoned == 0
    initializing.shutdown()
    busy.kill_workers()


def test_a_log_handler_that_raises_keeps_no_worker_from_being_counted_out(
    starting: Callable[..., InterpreterPoolExecutor], gate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    executor = starting(interrupt_tasks.wait_in_c, gate, grace=60.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(logging.getLogger("concurrent.futures"), "warning", interrupted)
        executor.kill_workers()
    executor.shutdown()
    assert executor.stats().workers == 0


def test_a_worker_that_is_given_up_before_it_has_a_process_keeps_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from interp_executor._lane import ProcessLane

    make = ProcessLane._process

    def killed_before(pool: Any, own: int) -> Any:
        executor.kill_workers()
        return make(pool, own)

    monkeypatch.setattr(ProcessLane, "_process", killed_before)
    executor = InterpreterPoolExecutor(1, lane="process", grace=60.0)
    future = executor.submit(time.sleep, 1000)
    with pytest.raises(TaskInterrupted, match="abandoned"):
        future.result(PATIENCE)
    executor.shutdown()
    started = time.monotonic()
    while multiprocessing.active_children() and time.monotonic() - started < PATIENCE:
        time.sleep(0.01)
    assert multiprocessing.active_children() == []
