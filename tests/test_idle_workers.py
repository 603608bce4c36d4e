"""Workers that wait for an executor: how they come about, and what ends them."""

import _thread
import os
import threading
from contextlib import ExitStack
from typing import Any

import hive_tasks
import pytest
from hives import idle_threads, thread_that_serves, warm

from interp_executor import (
    InterpreterPoolExecutor,
    _hive,
    close_idle_workers,
    prewarm,
    set_idle_timeout,
)
from interp_executor._hive import Hive
from interp_executor._worker_thread import WorkerThread

pytestmark = pytest.mark.usefixtures("empty_hive")


def test_an_idle_worker_says_what_ends_it() -> None:
    thread_that_serves()
    (idle,) = idle_threads()
    assert "close_idle_workers()" in repr(idle)
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(_thread.get_ident).result() == idle.ident
        assert "close_idle_workers()" not in repr(idle)
    close_idle_workers()
    assert idle_threads() == []
    assert "stopped" in repr(idle)
    assert "close_idle_workers()" not in repr(idle)


def test_closing_the_idle_workers_waits_for_those_that_are_ending() -> None:
    for _ in range(3):
        with InterpreterPoolExecutor(4) as executor:
            list(executor.map(hive_tasks.add_one, range(100), chunksize=1))
        close_idle_workers()
        assert [t for t in threading.enumerate() if t.name.startswith("interp_executor-e")] == []


def test_closing_the_idle_workers_ends_spares_that_are_not_ready_yet() -> None:
    for _ in range(3):
        prewarm(2)
        close_idle_workers()
        assert [t for t in threading.enumerate() if isinstance(t, WorkerThread)] == []


def test_closing_the_idle_workers_waits_for_no_spare_that_a_pool_has(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]
) -> None:
    """A spare one may be leased when it has been parked and has yet to say that it is ready."""
    park, parked, go_on = Hive.park, threading.Event(), threading.Event()

    def park_and_wait(hive: Hive, worker: WorkerThread) -> bool:
        kept = park(hive, worker)
        parked.set()
        go_on.wait()
        return kept

    monkeypatch.setattr(Hive, "park", park_and_wait)
    with ExitStack() as stack:
        prewarm(1)
        parked.wait()
        executor = stack.enter_context(InterpreterPoolExecutor(1))
        future = executor.submit(hive_tasks.read_byte, pipe[0])
        stack.callback(os.write, pipe[1], b"x")
        stack.callback(go_on.set)
        closing = threading.Thread(target=close_idle_workers)
        closing.start()
        closing.join(10)
        waits = closing.is_alive()
    closing.join()
    assert not waits
    assert future.result() == b"x"


def test_closing_the_idle_workers_waits_for_none_that_was_given_up(pipe: tuple[int, int]) -> None:
    read, write = pipe
    executor = InterpreterPoolExecutor(1)
    executor.submit(hive_tasks.leave_thread, read).result()
    (worker,) = executor._threads
    executor.shutdown(wait=False)
    while not worker.ending:
        os.sched_yield()
    close_idle_workers()
    assert worker.is_alive()
    os.write(write, b"x")
    worker.join()


def test_prewarmed_workers_serve_the_next_executors() -> None:
    prewarm(2, wait=True)
    idents = {thread.ident for thread in idle_threads()}
    assert len(idents) == 2
    assert thread_that_serves() in idents


def test_prewarm_takes_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        prewarm(0)


def test_an_idle_worker_ends_after_its_time() -> None:
    set_idle_timeout(0)
    thread_that_serves()
    for thread in idle_threads():
        thread.join(10)
    assert warm() == 0


@pytest.mark.parametrize("seconds", [-1, float("nan"), -float("inf")])
def test_an_idle_timeout_is_at_least_0(seconds: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        set_idle_timeout(seconds)


@pytest.mark.parametrize("seconds", ["60", True])
def test_an_idle_timeout_is_a_number(seconds: Any) -> None:
    with pytest.raises(TypeError, match="number of seconds or None"):
        set_idle_timeout(seconds)


@pytest.mark.parametrize("seconds", [None, float("inf"), 1e300])
def test_an_idle_worker_may_stay_for_ever(seconds: float | None) -> None:
    set_idle_timeout(seconds)
    first = thread_that_serves()
    assert thread_that_serves() == first


def test_idle_workers_close_at_once() -> None:
    prewarm(3, wait=True)
    close_idle_workers()
    assert idle_threads() == []


def test_closing_the_idle_workers_waits_for_one_that_has_just_been_idle_for_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unparked, closing = threading.Event(), threading.Event()
    unpark, join = Hive.unpark, Hive._join

    def unpark_slowly(hive: Hive, worker: WorkerThread) -> bool:
        done = unpark(hive, worker)
        if done:
            unparked.set()
            closing.wait()
        return done

    monkeypatch.setattr(Hive, "unpark", unpark_slowly)
    set_idle_timeout(0)
    prewarm(1)
    unparked.wait()
    (worker,) = _hive.hive().threads()
    monkeypatch.setattr(Hive, "_join", lambda *args: (closing.set(), join(*args)))
    close_idle_workers()
    alive = worker.is_alive()
    closing.set()
    worker.join()
    assert not alive
