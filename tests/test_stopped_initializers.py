"""Initializers that do not end, and what stops them."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import interrupt_tasks
import pytest
from stops import PATIENCE

from interp_executor import (
    InterpreterPoolExecutor,
)

pytestmark = pytest.mark.usefixtures("empty_hive")


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
