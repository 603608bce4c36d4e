"""Starts of workers that a signal, a finalizer or a called-off thread comes in the way of."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import hive_tasks
import pytest
from garbage import collect
from hives import idle_threads

from interp_executor import (
    InterpreterPoolExecutor,
    _hive,
    close_idle_workers,
    prewarm,
)
from interp_executor._hive import Hive
from interp_executor._pool import Pool
from interp_executor._worker_thread import WorkerThread

pytestmark = pytest.mark.usefixtures("empty_hive")


def _interrupt_submit(
    executor: InterpreterPoolExecutor,
    at: tuple[type, str],
    before: Callable[[Any], object] = lambda thread_or_pool: None,
) -> None:
    """Submit with a Ctrl-C in this method of a thread or pool, where `before` has been called."""

    def interrupted(thread_or_pool: object, *args: object) -> None:
        before(thread_or_pool)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*at, interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(abs, -1)


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupted_start_of_a_worker_loses_no_count(
    begun: bool, pipe: tuple[int, int]
) -> None:
    """Ctrl-C may come while submit() waits for a thread that is on its way."""
    read, write = pipe
    prewarm(1, wait=True)  # so that the notifier has started
    close_idle_workers()
    start = WorkerThread.start

    def begin(thread: WorkerThread) -> None:
        if begun:
            start(thread)
            os.read(read, 1)

    executor = InterpreterPoolExecutor(2, initializer=hive_tasks.write_byte, initargs=(write, b"x"))
    _interrupt_submit(executor, (WorkerThread, "start"), begin)
    assert executor.stats().workers == int(begun)
    assert executor.submit(abs, -2).result() == 2
    executor.shutdown()
    assert executor.stats().workers == 0


def test_a_start_that_is_interrupted_at_once_loses_no_count() -> None:
    """A signal that came while submit() was in C takes effect where Python begins."""
    with InterpreterPoolExecutor(1) as executor:
        _interrupt_submit(executor, (Pool, "start_worker"))
        assert executor.stats().workers == 0


def test_a_parked_worker_whose_assignment_is_interrupted_ends() -> None:
    prewarm(1, wait=True)
    (worker,) = idle_threads()
    with InterpreterPoolExecutor(1) as executor:
        _interrupt_submit(executor, (WorkerThread, "assign"))
        worker.join(30)
        assert not worker.is_alive()
        assert executor.stats().workers == 0
        assert executor.submit(abs, -2).result() == 2


def test_a_late_thread_that_was_called_off_does_nothing() -> None:
    prewarm(1, wait=True)
    close_idle_workers()
    late: list[WorkerThread] = []
    with InterpreterPoolExecutor(1) as executor:
        _interrupt_submit(executor, (WorkerThread, "start"), late.append)
        late[0].start()
        late[0].join()
        assert executor.stats().workers == 0


def test_nobody_waits_for_a_thread_that_was_called_off_before_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prewarm(1, wait=True)
    close_idle_workers()
    called_off = threading.Event()
    threads = []
    start, run = WorkerThread.start, WorkerThread.run

    def begin(thread: WorkerThread) -> None:
        threads.append(thread)
        start(thread)

    def late(thread: WorkerThread) -> None:
        called_off.wait()
        run(thread)

    with InterpreterPoolExecutor(1) as executor:
        monkeypatch.setattr(WorkerThread, "run", late)
        _interrupt_submit(executor, (WorkerThread, "start"), begin)
        called_off.set()
        threads[0].join()
        assert _hive.hive().threads() == []


class _SubmitsAtItsEnd:
    def __init__(self, submit: Callable[[], object]) -> None:
        self.submit = submit
        self.me = self  # for the collector

    def __del__(self) -> None:
        self.submit()


def _signal(submit: Callable[[], object]) -> None:
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: submit())
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, previous)


def _collect(submit: Callable[[], object]) -> None:
    _SubmitsAtItsEnd(submit)
    collect()


@pytest.mark.parametrize("happen", [_signal, _collect])
def test_a_handler_or_a_finalizer_may_submit_from_within_a_submit(
    happen: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both run on the thread that submits, wherever it is, and it may hold the hive's lock."""
    results = []
    start_notifier = Hive._start_notifier_locked

    def interrupted(hive: Hive) -> None:
        monkeypatch.undo()
        happen(lambda: results.append(other.submit(abs, -1)))
        start_notifier(hive)

    with InterpreterPoolExecutor(1) as executor, InterpreterPoolExecutor(1) as other:
        monkeypatch.setattr(Hive, "_start_notifier_locked", interrupted)
        assert executor.submit(abs, -2).result() == 2
        assert [future.result() for future in results] == [1]
