"""Many things done to many futures at once: each must still come to exactly one end."""

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, as_completed, wait
from functools import partial
from typing import Any

import pytest

from . import tasks
from .rig import PATIENCE, Rig

COUNT = 200


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Threads take turns far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def _run_threads(*functions: Any) -> None:
    """Run each function in a thread of its own; raise what any of them raises."""
    errors: list[BaseException] = []
    begun = threading.Barrier(len(functions))

    def run(function: Any) -> None:
        begun.wait(PATIENCE)
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_a_task_has_run_if_and_only_if_it_was_not_cancelled(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    inbox = rig.inbox()
    futures, cancelled = [], []
    for number in range(COUNT):
        future = executor.submit(tasks.say, inbox.path, str(number))
        futures.append(future)
        if number % 3 == 0 and future.cancel():
            cancelled.append(number)
    executor.shutdown()
    ran = {int(line) for line in inbox.drain()}
    assert ran == set(range(COUNT)) - set(cancelled)
    assert [n for n, future in enumerate(futures) if future.cancelled()] == cancelled


def test_cancelling_from_two_threads_agrees(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    futures = [executor.submit(tasks.echo, number) for number in range(COUNT)]
    said: dict[int, list[bool]] = {0: [], 1: []}

    def cancel(thread: int) -> None:
        said[thread] += [future.cancel() for future in futures]

    _run_threads(lambda: cancel(0), lambda: cancel(1))
    for number, future in enumerate(futures):
        if future.cancelled():
            assert said[0][number]
            assert said[1][number]
        else:
            assert future.result(timeout=PATIENCE) == number


def test_a_callback_is_called_exactly_once_however_it_meets_the_end(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    calls: Counter[int] = Counter()
    lock = threading.Lock()
    last = threading.Event()

    def note(future: Future[int]) -> None:
        with lock:
            calls[future.result(timeout=0)] += 1
            if calls.total() == 2 * COUNT:
                last.set()

    futures = [executor.submit(tasks.echo, number) for number in range(COUNT)]

    def add() -> None:
        for future in futures:
            future.add_done_callback(note)

    _run_threads(add, add)
    assert last.wait(PATIENCE)
    assert calls == Counter(dict.fromkeys(range(COUNT), 2))


def _set(event: threading.Event, future: Future[int]) -> None:
    event.set()


def _observe(futures: list[Future[int]], seed: int) -> None:
    """Look at every future in some way; none may contradict its result."""
    chance = random.Random(seed)
    for number, future in enumerate(futures):
        match chance.randrange(6):
            case 0:
                assert future.result(timeout=PATIENCE) == number
            case 1:
                assert wait([future], timeout=PATIENCE).done == {future}
            case 2:
                assert next(iter(as_completed([future], timeout=PATIENCE))) is future
            case 3:
                assert future.exception(timeout=PATIENCE) is None
            case 4:
                called = threading.Event()
                future.add_done_callback(partial(_set, called))
                assert called.wait(PATIENCE)
            case _:
                assert repr(future).startswith("<")
                assert not future.cancelled()
        if future.done():
            assert not future.running()
            assert future._state == "FINISHED"
            assert future.result(timeout=0) == number


def test_every_way_of_looking_at_a_future_agrees(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    futures = [executor.submit(tasks.echo, number) for number in range(COUNT)]
    _run_threads(*(partial(_observe, futures, seed) for seed in range(3)))


def test_waiting_for_all_while_others_cancel_comes_to_an_end(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    futures = [executor.submit(tasks.echo, number) for number in range(COUNT)]

    def cancel_some() -> None:
        for future in futures[::-2]:
            future.cancel()

    def wait_for_all() -> None:
        assert not wait(futures, timeout=PATIENCE).not_done

    def complete_all() -> None:
        assert len(list(as_completed(futures, timeout=PATIENCE))) == COUNT

    _run_threads(cancel_some, wait_for_all, complete_all)
    for number, future in enumerate(futures):
        try:
            assert future.result(timeout=0) == number
        except CancelledError:
            assert future.cancelled()


def test_futures_dropped_by_one_thread_while_another_submits(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)

    def submit_and_drop() -> None:
        for number in range(COUNT):
            executor.submit(tasks.make_thing, number)

    def submit_and_read() -> None:
        for number in range(COUNT // 4):
            assert executor.submit(tasks.echo, number).result(timeout=PATIENCE) == number

    _run_threads(submit_and_drop, submit_and_read)


def test_maps_and_submits_from_several_threads_do_not_mix(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)

    def map_numbers() -> None:
        assert list(executor.map(tasks.echo, range(COUNT))) == list(range(COUNT))

    def leave_a_map() -> None:
        for _ in range(5):
            assert next(executor.map(tasks.echo, range(COUNT // 4))) == 0

    def submit_numbers() -> None:
        futures = [executor.submit(tasks.echo, number) for number in range(COUNT)]
        assert [future.result(timeout=PATIENCE) for future in futures] == list(range(COUNT))

    _run_threads(map_numbers, leave_a_map, submit_numbers)


def test_executors_are_made_and_shut_down_by_several_threads(rig: Rig) -> None:
    def come_and_go() -> None:
        for number in range(3):
            with rig.lane.make(max_workers=1) as executor:
                assert executor.submit(tasks.echo, number).result(timeout=PATIENCE) == number

    _run_threads(come_and_go, come_and_go)
