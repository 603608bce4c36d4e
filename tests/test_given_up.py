"""Tasks that do not stop are abandoned; terminate_workers() and kill_workers()."""

import os
import threading
import time
from concurrent.futures import CancelledError, Future
from typing import Any

import interrupt_tasks
import pytest
from leftovers import children
from stops import PATIENCE, settled

from interp_executor import (
    InterpreterPoolExecutor,
    TaskInterrupted,
    TaskTimeoutError,
)

pytestmark = pytest.mark.usefixtures("empty_hive")


# ---- abandonment ----


def test_a_task_that_cannot_be_stopped_is_abandoned(begin: Any, gate: int) -> None:
    with InterpreterPoolExecutor(1, grace=0.2) as executor:
        future = begin(executor, interrupt_tasks.wait_in_c, gate)
        called: list[Future[Any]] = []
        finished = threading.Event()
        future.add_done_callback(called.append)
        future.add_done_callback(lambda _: finished.set())
        assert future.interrupt()
        started = time.monotonic()
        with pytest.raises(TaskInterrupted, match="abandoned") as caught:
            future.result(PATIENCE)
        assert caught.value.abandoned
        assert executor.submit(abs, -1).result(PATIENCE) == 1  # by the replacement
        assert time.monotonic() - started < 2.5
        stats = settled(executor)
        assert (stats.workers, stats.abandoned, stats.completed) == (1, 1, 2)
        assert finished.wait(PATIENCE)
        assert called == [future]


def test_the_pool_stays_at_strength(begin: Any, gate: int) -> None:
    with InterpreterPoolExecutor(2, grace=0.1) as executor:
        lost = [begin(executor, interrupt_tasks.wait_in_c, gate) for _ in range(2)]
        for future in lost:
            future.interrupt()
        for future in lost:
            with pytest.raises(TaskInterrupted, match="abandoned"):
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


def test_a_task_over_its_time_that_cannot_be_stopped_is_abandoned(
    pipe: tuple[int, int], gate: int
) -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(interrupt_tasks.count, 1).result(PATIENCE)  # the module is there
        view = executor.with_options(timeout=0.3, grace=0.1)
        future = view.submit(interrupt_tasks.wait_in_c, pipe[1], gate)
        with pytest.raises(TaskTimeoutError, match="abandoned"):
            future.result(PATIENCE)
        assert executor.submit(abs, -1).result(PATIENCE) == 1
        assert settled(executor).abandoned == 1


def test_an_item_that_cannot_be_stopped_is_abandoned(gate: int) -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(interrupt_tasks.count, 1).result(PATIENCE)
        view = executor.with_options(timeout=0.1, grace=0.1)
        results = view.map(interrupt_tasks.wait_at, [0, 0, gate, 0], chunksize=4)
        assert [next(results), next(results)] == [0, 0]
        with pytest.raises(TaskTimeoutError, match="abandoned"):
            next(results)
        assert executor.submit(abs, -1).result(PATIENCE) == 1
        stats = settled(executor)
        assert (stats.abandoned, stats.mapped) == (1, 3)


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
    for child in children():
        child.join(PATIENCE)
    assert children() == set()
