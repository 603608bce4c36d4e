"""`shutdown` in all its forms, the context manager, and executors that nobody shuts down."""

import threading
import time
import weakref
from concurrent.futures import CancelledError, Future, as_completed
from typing import Any

import pytest
from garbage import collect

from . import tasks
from .differences import differs
from .rig import PATIENCE, SHUTDOWN_LIMIT, Rig

AFTER_SHUTDOWN = "^cannot schedule new futures after shutdown$"


def test_shutdown_waits_for_running_and_queued_tasks(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    queued = [executor.submit(tasks.echo, number) for number in range(5)]
    closing = threading.Thread(target=executor.shutdown)
    closing.start()
    assert not held.done()
    gate.open()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert [future.result(timeout=0) for future in (held, *queued)] == [0, 0, 1, 2, 3, 4]


def test_shutdown_without_waiting_returns_while_tasks_run(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    queued = executor.submit(tasks.echo, "queued")
    executor.shutdown(wait=False)
    assert held.running()
    gate.open()
    assert (held.result(), queued.result()) == (0, "queued")


def _all_waiting_are_cancelled(rig: Rig, futures: list[Future[Any]]) -> None:
    """Those that a worker had not taken are cancelled, the others have run."""
    ran = []
    for number, future in enumerate(futures):
        try:
            ran.append(future.result(timeout=PATIENCE) == number)
        except CancelledError:
            pass
    prefetched = 2 if differs(rig.lane.name, "a waiting task can always be cancelled") else 0
    assert all(ran)
    assert len(ran) <= prefetched


def test_shutdown_cancels_what_waits_when_asked_to(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    queued = [executor.submit(tasks.echo, number) for number in range(6)]
    closing = threading.Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
    closing.start()
    with pytest.raises(CancelledError):
        queued[-1].result(timeout=PATIENCE)
    gate.open()
    closing.join(PATIENCE)
    assert held.result(timeout=0) == 0
    _all_waiting_are_cancelled(rig, queued)


def test_shutdown_cancels_without_waiting(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    queued = [executor.submit(tasks.echo, number) for number in range(6)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert held.running()
    gate.open()
    assert held.result() == 0
    _all_waiting_are_cancelled(rig, queued)


def test_shutdown_may_be_called_again(rig: Rig) -> None:
    executor = rig.executor()
    executor.submit(tasks.nothing).result()
    executor.shutdown(wait=False)
    executor.shutdown()
    executor.shutdown(cancel_futures=True)


def test_a_second_shutdown_may_cancel_what_the_first_left(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    queued = [executor.submit(tasks.echo, number) for number in range(6)]
    executor.shutdown(wait=False)
    executor.shutdown(wait=False, cancel_futures=True)
    gate.open()
    executor.shutdown()
    _all_waiting_are_cancelled(rig, queued)


def test_many_threads_shut_down_at_once(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    futures = [executor.submit(tasks.echo, number) for number in range(20)]
    threads = [threading.Thread(target=executor.shutdown) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert [future.result(timeout=0) for future in futures] == list(range(20))


def test_an_executor_that_was_never_used_shuts_down_at_once(rig: Rig) -> None:
    started = time.monotonic()
    rig.executor(max_workers=4).shutdown()
    assert time.monotonic() - started < SHUTDOWN_LIMIT


def test_shutdown_takes_cancel_futures_by_keyword_only(rig: Rig) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        rig.executor().shutdown(True, True)


def test_submit_and_map_refuse_after_shutdown(rig: Rig) -> None:
    executor = rig.executor()
    executor.shutdown()
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(tasks.nothing)
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.map(tasks.echo, [1])


def test_submit_refuses_after_shutdown_though_tasks_still_run(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(tasks.nothing)
    gate.open()
    assert held.result() == 0


def test_the_context_manager_gives_the_executor_and_waits(rig: Rig) -> None:
    executor = rig.executor()
    with executor as entered:
        futures = [entered.submit(tasks.echo, number) for number in range(10)]
    assert entered is executor
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
        executor.submit(tasks.nothing)


def test_the_context_manager_lets_exceptions_through(rig: Rig) -> None:
    with pytest.raises(LookupError, match="in the block"), rig.executor() as executor:
        future = executor.submit(tasks.echo, 1)
        raise LookupError("in the block")
    assert future.done()


def test_shutdown_after_a_cancelled_task_does_not_hang(rig: Rig) -> None:
    executor = rig.executor()
    executor.submit(tasks.nothing).result()
    executor.submit(tasks.nothing).cancel()
    started = time.monotonic()
    executor.shutdown()
    assert time.monotonic() - started < SHUTDOWN_LIMIT


def test_shutdown_with_more_workers_than_work_is_quick(rig: Rig) -> None:
    executor = rig.executor(max_workers=4)
    executor.submit(tasks.nothing).result()
    started = time.monotonic()
    executor.shutdown()
    assert time.monotonic() - started < SHUTDOWN_LIMIT


def test_results_are_collected_while_another_thread_shuts_down(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    futures = [executor.submit(tasks.echo, number) for number in range(50)]
    closing = threading.Thread(target=executor.shutdown)
    closing.start()
    seen = {future.result() for future in as_completed(futures, timeout=PATIENCE)}
    closing.join(PATIENCE)
    assert seen == set(range(50))


def test_threads_that_submit_during_shutdown_get_a_future_or_an_error(rig: Rig) -> None:
    executor = rig.executor()
    executor.submit(tasks.nothing).result()
    begun = threading.Barrier(4)
    futures: list[Future[Any]] = []
    errors: list[str] = []

    def submit_until_refused() -> None:
        begun.wait(PATIENCE)
        try:
            while True:
                futures.append(executor.submit(tasks.echo, 1))
        except RuntimeError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=submit_until_refused) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait(PATIENCE)
    executor.shutdown()
    for thread in threads:
        thread.join(PATIENCE)
    assert errors == ["cannot schedule new futures after shutdown"] * 3
    assert [future.result(timeout=PATIENCE) for future in futures] == [1] * len(futures)


def test_a_dropped_executor_finishes_its_work(rig: Rig) -> None:
    executor = rig.lane.make(max_workers=1)
    gate, [held] = rig.occupy(executor)
    queued = [executor.submit(tasks.echo, number) for number in range(5)]
    del executor
    collect()
    gate.open()
    assert held.result(timeout=PATIENCE) == 0
    assert [future.result(timeout=PATIENCE) for future in queued] == list(range(5))


def test_a_dropped_executor_is_collected_though_tasks_run(rig: Rig) -> None:
    executor = rig.lane.make(max_workers=1)
    gate, [held] = rig.occupy(executor)
    reference = weakref.ref(executor)
    del executor
    collect()
    assert reference() is None
    gate.open()
    assert held.result(timeout=PATIENCE) == 0


def test_a_dropped_idle_executor_ends_its_workers(rig: Rig) -> None:
    executor = rig.lane.make(max_workers=2)
    assert list(executor.map(tasks.echo, range(4))) == list(range(4))
    del executor  # the check after the test finds any thread or process that stays


def test_an_executor_in_a_reference_cycle_ends_its_workers(rig: Rig) -> None:
    executor: Any = rig.lane.make(max_workers=1)
    executor.myself = executor
    assert executor.submit(tasks.echo, 1).result() == 1
    reference = weakref.ref(executor)
    del executor
    collect()
    assert reference() is None


def test_an_executor_made_and_dropped_unused_leaves_nothing(rig: Rig) -> None:
    for _ in range(10):
        rig.lane.make(max_workers=2)
