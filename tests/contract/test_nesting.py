"""Many threads on one executor, executors inside tasks, and several executors side by side."""

import threading
from concurrent.futures import Future
from typing import Any

from . import tasks
from .rig import PATIENCE, Rig


def test_many_threads_submit_at_once(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    begun = threading.Barrier(8)
    results: dict[int, list[int]] = {}

    def submit_many(thread: int) -> None:
        begun.wait(PATIENCE)
        numbers = range(thread * 100, thread * 100 + 25)
        futures = [executor.submit(tasks.echo, number) for number in numbers]
        results[thread] = [future.result(timeout=PATIENCE) for future in futures]

    threads = [threading.Thread(target=submit_many, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {n: list(range(n * 100, n * 100 + 25)) for n in range(8)}


def test_many_threads_map_at_once(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    results: dict[int, list[int]] = {}

    def map_many(thread: int) -> None:
        results[thread] = list(executor.map(tasks.add, range(25), [thread] * 25))

    threads = [threading.Thread(target=map_many, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {n: [i + n for i in range(25)] for n in range(4)}


def test_a_task_may_use_an_executor_of_its_own(rig: Rig) -> None:
    kind = rig.lane.kind
    future = rig.executor().submit(tasks.sum_in_executor, kind, {"max_workers": 1}, [1, 2, 3])
    assert future.result(timeout=PATIENCE) == 14


def test_two_executors_work_side_by_side(rig: Rig) -> None:
    first, second = rig.executor(), rig.executor()
    gate, [held] = rig.occupy(first)
    assert second.submit(tasks.echo, "second").result(timeout=PATIENCE) == "second"
    assert not held.done()
    gate.open()
    assert held.result() == 0


def test_a_second_executor_works_after_the_first_is_shut_down(rig: Rig) -> None:
    for number in range(3):
        with rig.lane.make(max_workers=1) as executor:
            assert executor.submit(tasks.echo, number).result() == number


def test_a_future_is_read_by_another_thread_than_submitted_it(rig: Rig) -> None:
    executor = rig.executor()
    futures: list[Future[Any]] = []
    submitter = threading.Thread(target=lambda: futures.append(executor.submit(tasks.echo, 5)))
    submitter.start()
    submitter.join(PATIENCE)
    assert futures[0].result(timeout=PATIENCE) == 5


def test_an_executor_made_in_a_thread_that_has_ended_still_works(rig: Rig) -> None:
    made: list[Any] = []
    maker = threading.Thread(target=lambda: made.append(rig.executor()))
    maker.start()
    maker.join(PATIENCE)
    assert made[0].submit(tasks.echo, 1).result(timeout=PATIENCE) == 1


def test_tasks_run_in_the_order_they_were_submitted_with_one_worker(rig: Rig) -> None:
    executor = rig.executor()
    inbox = rig.inbox()
    for number in range(50):
        executor.submit(tasks.say, inbox.path, str(number))
    executor.shutdown()
    assert inbox.drain() == [str(number) for number in range(50)]


def test_two_workers_run_two_tasks_at_once(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, held = rig.occupy(executor, workers=2)
    assert [future.running() for future in held] == [True, True]
    gate.open()
    assert [future.result(timeout=PATIENCE) for future in held] == [0, 1]


def test_tasks_wait_for_each_other_across_workers(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, inbox = rig.gate(), rig.inbox()
    waiting = executor.submit(tasks.hold, inbox.path, gate.path, "let through")
    inbox.read()
    executor.submit(tasks.open_gate, gate.path).result(timeout=PATIENCE)
    assert waiting.result(timeout=PATIENCE) == "let through"
