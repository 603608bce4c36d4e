"""`concurrent.futures.wait` and `as_completed`, alone and mixed with other executors' futures."""

import threading
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from typing import Any

import pytest

from . import tasks
from .rig import PATIENCE, Rig


def test_wait_for_all_returns_when_the_last_is_done(rig: Rig) -> None:
    executor = rig.executor()
    futures = [executor.submit(tasks.echo, number) for number in range(10)]
    futures.append(executor.submit(tasks.fail, ValueError))
    done, not_done = wait(futures, timeout=PATIENCE, return_when=ALL_COMPLETED)
    assert (done, not_done) == (set(futures), set())


def test_wait_for_the_first_returns_when_one_is_done(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, [held] = rig.occupy(executor)
    quick = executor.submit(tasks.echo, 1)
    done, not_done = wait([held, quick], timeout=PATIENCE, return_when=FIRST_COMPLETED)
    assert (done, not_done) == ({quick}, {held})
    gate.open()


def test_wait_for_the_first_exception_returns_when_one_has_failed(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, [held] = rig.occupy(executor)
    quick = executor.submit(tasks.echo, 1)
    failing = executor.submit(tasks.fail, ValueError)
    futures = [held, quick, failing]
    done, not_done = wait(futures, timeout=PATIENCE, return_when=FIRST_EXCEPTION)
    assert failing in done
    assert not_done >= {held}
    gate.open()
    assert wait(futures, timeout=PATIENCE).done == set(futures)


def test_wait_for_the_first_exception_waits_for_all_when_none_fails(rig: Rig) -> None:
    executor = rig.executor()
    futures = [executor.submit(tasks.echo, number) for number in range(5)]
    done, _ = wait(futures, timeout=PATIENCE, return_when=FIRST_EXCEPTION)
    assert done == set(futures)


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_wait_times_out_and_says_what_is_done(rig: Rig, timeout: float) -> None:
    executor = rig.executor(max_workers=2)
    gate, [held] = rig.occupy(executor)
    quick = executor.submit(tasks.echo, 1)
    quick.result()
    done, not_done = wait([held, quick], timeout=timeout)
    assert (done, not_done) == ({quick}, {held})
    gate.open()


def test_wait_takes_duplicates_and_nothing(rig: Rig) -> None:
    future = rig.executor().submit(tasks.echo, 1)
    assert wait([future, future], timeout=PATIENCE).done == {future}
    assert wait([]) == (set(), set())


def test_wait_counts_a_future_that_was_cancelled(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    queued = [executor.submit(tasks.echo, number) for number in range(4)]
    assert queued[-1].cancel()
    gate.open()
    done, not_done = wait([held, *queued], timeout=PATIENCE)
    assert (done, not_done) == ({held, *queued}, set())


def test_wait_returns_when_the_future_it_waits_for_is_cancelled(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    queued = [executor.submit(tasks.nothing) for _ in range(4)][-1]
    waiter = threading.Thread(target=wait, args=([queued], PATIENCE))
    waiter.start()
    assert queued.cancel()
    gate.open()
    waiter.join(PATIENCE)
    assert not waiter.is_alive()


def test_many_threads_wait_for_the_same_futures(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, held = rig.occupy(executor, workers=2)
    futures = held + [executor.submit(tasks.echo, number) for number in range(20)]
    complete: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: complete.append(not wait(futures, timeout=PATIENCE).not_done)
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    gate.open()
    for thread in threads:
        thread.join(PATIENCE)
    assert complete == [True] * 6


def test_as_completed_yields_each_future_once(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    futures = [executor.submit(tasks.echo, number) for number in range(200)]
    seen = [future.result(timeout=0) for future in as_completed(futures, timeout=PATIENCE)]
    assert sorted(seen) == list(range(200))


def test_as_completed_yields_in_the_order_of_completion(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, [held] = rig.occupy(executor)
    quick = [executor.submit(tasks.echo, number) for number in range(3)]
    order = as_completed([held, *quick], timeout=PATIENCE)
    first = [next(order) for _ in quick]
    assert set(first) == set(quick)
    gate.open()
    assert list(order) == [held]


def test_as_completed_takes_duplicates_any_iterable_and_nothing(rig: Rig) -> None:
    future = rig.executor().submit(tasks.echo, 1)
    assert list(as_completed(iter([future, future]), timeout=PATIENCE)) == [future]
    assert list(as_completed([])) == []


def test_as_completed_times_out_with_a_count(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    with pytest.raises(TimeoutError, match=r"^1 \(of 1\) futures unfinished$"):
        list(as_completed([held], timeout=0.01))
    gate.open()


def test_as_completed_can_be_left_early(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, [held] = rig.occupy(executor)
    quick = executor.submit(tasks.echo, 1)
    order = as_completed([held, quick], timeout=PATIENCE)
    assert next(order) is quick
    order.close()  # type: ignore[attr-defined]
    gate.open()
    assert held.result() == 0


def test_as_completed_yields_cancelled_futures(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    queued = [executor.submit(tasks.nothing) for _ in range(4)]
    assert queued[-1].cancel()
    gate.open()
    assert set(as_completed(queued, timeout=PATIENCE)) == set(queued)


def _futures_of_every_kind(rig: Rig, threads: ThreadPoolExecutor) -> list[Future[Any]]:
    executor = rig.executor(max_workers=2)
    by_hand: Future[Any] = Future()
    by_hand.set_result("by hand")
    return [
        *(executor.submit(tasks.echo, number) for number in range(10)),
        *(threads.submit(tasks.echo, number) for number in range(10)),
        executor.submit(tasks.fail, ValueError),
        by_hand,
    ]


def test_wait_mixes_futures_of_several_executors(rig: Rig) -> None:
    with ThreadPoolExecutor(1) as threads:
        futures = _futures_of_every_kind(rig, threads)
        assert wait(futures, timeout=PATIENCE).done == set(futures)


def test_as_completed_mixes_futures_of_several_executors(rig: Rig) -> None:
    with ThreadPoolExecutor(1) as threads:
        futures = _futures_of_every_kind(rig, threads)
        assert set(as_completed(futures, timeout=PATIENCE)) == set(futures)


def test_wait_for_the_first_is_woken_by_the_other_executor(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(tasks.echo, 1)
        done, not_done = wait([held, other], timeout=PATIENCE, return_when=FIRST_COMPLETED)
    assert (done, not_done) == ({other}, {held})
    gate.open()


def test_wait_is_woken_by_this_executor_while_another_is_busy(rig: Rig) -> None:
    release = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        blocked = threads.submit(release.wait, PATIENCE)
        mine = rig.executor().submit(tasks.echo, 1)
        done, _ = wait([blocked, mine], timeout=PATIENCE, return_when=FIRST_COMPLETED)
        release.set()
    assert done == {mine}


def test_a_future_waited_for_before_is_read_afterwards(rig: Rig) -> None:
    executor = rig.executor()
    futures = [executor.submit(tasks.echo, number) for number in range(50)]
    wait(futures[::2], timeout=PATIENCE)
    assert [future.result() for future in futures] == list(range(50))
    assert list(as_completed(futures[1::2]))
    assert wait(futures).done == set(futures)
