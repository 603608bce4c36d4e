"""`add_done_callback`: when, in which order, with what, and what becomes of its exceptions."""

import threading
import weakref
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import pytest
from garbage import collect

from . import tasks
from .rig import PATIENCE, Rig


def _note(called: list[tuple[int, Future[Any]]], number: int, future: Future[Any]) -> None:
    called.append((number, future))


def test_callbacks_are_called_with_the_future_in_the_order_they_were_added(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    called: list[tuple[int, Future[Any]]] = []
    finished = threading.Event()
    for number in range(5):
        held.add_done_callback(partial(_note, called, number))
    held.add_done_callback(lambda _: finished.set())
    assert called == []
    gate.open()
    assert finished.wait(PATIENCE)
    assert called == [(number, held) for number in range(5)]


def test_a_callback_finds_the_future_done_and_its_result_there(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    seen: list[Any] = []
    finished = threading.Event()

    def look(future: Future[Any]) -> None:
        seen.append((future.done(), future.running(), future.result(timeout=0)))
        finished.set()

    held.add_done_callback(look)
    gate.open()
    assert finished.wait(PATIENCE)
    assert seen == [(True, False, 0)]


def test_a_callback_of_a_done_future_is_called_at_once_by_the_caller(rig: Rig) -> None:
    future = rig.executor().submit(tasks.nothing)
    future.result()
    callers: list[int] = []
    future.add_done_callback(lambda _: callers.append(threading.get_ident()))
    assert callers == [threading.get_ident()]


def test_a_callback_added_twice_is_called_twice(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    calls: list[Future[Any]] = []
    finished = threading.Event()
    held.add_done_callback(calls.append)
    held.add_done_callback(calls.append)
    held.add_done_callback(lambda _: finished.set())
    gate.open()
    assert finished.wait(PATIENCE)
    assert calls == [held, held]


def test_an_exception_in_a_callback_is_logged_and_the_next_one_called(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    gate, [held] = rig.occupy(rig.executor())
    finished = threading.Event()
    held.add_done_callback(lambda _: tasks.fail(KeyError, "in a callback"))
    held.add_done_callback(lambda _: finished.set())
    gate.open()
    assert finished.wait(PATIENCE)
    assert held.result() == 0
    assert "exception calling callback for <" in caplog.text
    assert "in a callback" in caplog.text
    assert {record.name for record in caplog.records} == {"concurrent.futures"}
    caplog.clear()  # the records hold the future


def test_an_exception_in_a_callback_of_a_done_future_is_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    future = rig.executor().submit(tasks.nothing)
    future.result()
    future.add_done_callback(lambda _: tasks.fail(KeyError, "called at once"))
    assert "called at once" in caplog.text
    caplog.clear()  # the records hold the future


def test_a_callback_sees_the_exception_of_the_task(rig: Rig) -> None:
    executor = rig.executor()
    gate, inbox = rig.gate(), rig.inbox()
    future = executor.submit(tasks.hold_then_fail, inbox.path, gate.path)
    inbox.read()
    errors: list[BaseException | None] = []
    finished = threading.Event()
    future.add_done_callback(lambda future: errors.append(future.exception(timeout=0)))
    future.add_done_callback(lambda _: finished.set())
    gate.open()
    assert finished.wait(PATIENCE)
    assert [type(error) for error in errors] == [ValueError]


def test_cancel_calls_the_callbacks_before_it_returns(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    future = [executor.submit(tasks.nothing) for _ in range(4)][-1]
    called: list[bool] = []
    future.add_done_callback(lambda future: called.append(future.cancelled()))
    assert future.cancel()
    assert called == [True]
    gate.open()
    executor.shutdown()
    assert called == [True]


def test_a_callback_may_add_a_callback(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    finished = threading.Event()
    held.add_done_callback(lambda future: future.add_done_callback(lambda _: finished.set()))
    gate.open()
    assert finished.wait(PATIENCE)


def test_a_callback_may_submit_to_the_same_executor(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    following: list[Future[Any]] = []
    finished = threading.Event()

    def submit_next(future: Future[Any]) -> None:
        following.append(executor.submit(tasks.echo, future.result() + 1))
        finished.set()

    held.add_done_callback(submit_next)
    gate.open()
    assert finished.wait(PATIENCE)
    assert following[0].result(timeout=PATIENCE) == 1


def test_a_chain_of_callbacks_runs_to_its_end(rig: Rig) -> None:
    executor = rig.executor()
    finished = threading.Event()

    def countdown(future: Future[int]) -> None:
        left = future.result()
        if left:
            executor.submit(tasks.echo, left - 1).add_done_callback(countdown)
        else:
            finished.set()

    executor.submit(tasks.echo, 20).add_done_callback(countdown)
    assert finished.wait(PATIENCE)


def test_callbacks_of_many_futures_are_all_called(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    count = 200
    called: list[int] = []
    last = threading.Event()

    def note(future: Future[int]) -> None:
        called.append(future.result(timeout=0))
        if len(called) == count:
            last.set()

    for number in range(count):
        executor.submit(tasks.echo, number).add_done_callback(note)
    assert last.wait(PATIENCE)
    assert sorted(called) == list(range(count))


def test_callbacks_of_shutdown_with_cancel_futures_are_called(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    future = [executor.submit(tasks.nothing) for _ in range(4)][-1]
    cancelled = threading.Event()
    future.add_done_callback(lambda future: cancelled.set() if future.cancelled() else None)
    executor.shutdown(wait=False, cancel_futures=True)
    assert cancelled.wait(PATIENCE)
    gate.open()


def test_a_result_read_by_others_does_not_delay_callbacks(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    called = threading.Event()
    held.add_done_callback(lambda _: called.set())
    gate.open()
    assert held.result() == 0
    assert called.wait(PATIENCE)


def test_wait_returns_for_a_future_with_callbacks(rig: Rig) -> None:
    gate, [held] = rig.occupy(rig.executor())
    called = threading.Event()
    held.add_done_callback(lambda _: called.set())
    gate.open()
    assert wait([held], timeout=PATIENCE).done == {held}
    assert called.wait(PATIENCE)


def _cycle_through_a_callback(future: Future[Any]) -> weakref.ref[Any]:
    """Have the future refer to itself by way of a callback and of an attribute."""
    holder = tasks.Thing(future)
    future.holder = holder  # type: ignore[attr-defined]
    future.add_done_callback(holder.method)
    return weakref.ref(future)


def test_a_cycle_through_a_callback_is_collected(rig: Rig) -> None:
    executor = rig.executor()
    gate, held = rig.occupy(executor)
    references = [_cycle_through_a_callback(held.pop())]
    references.append(_cycle_through_a_callback(executor.submit(tasks.nothing)))
    called = threading.Event()  # after the others: their callbacks have been let go of by then
    executor.submit(tasks.nothing).add_done_callback(lambda _: called.set())
    gate.open()
    executor.shutdown()
    assert called.wait(PATIENCE)
    collect()
    assert [reference() for reference in references] == [None, None]


def test_shutdown_returns_when_the_callbacks_have_been_called(rig: Rig) -> None:
    for _ in range(20):
        called: list[Future[Any]] = []
        executor = rig.executor(2)
        futures = [executor.submit(tasks.echo, i) for i in range(5)]
        for future in futures:
            future.add_done_callback(called.append)
        executor.shutdown()
        assert sorted(future.result() for future in called) == [0, 1, 2, 3, 4]


def test_a_callback_may_shut_its_executor_down(rig: Rig) -> None:
    executor = rig.executor()
    gate, (held,) = rig.occupy(executor)
    ended = threading.Event()

    def end(_: Future[Any]) -> None:
        executor.shutdown(wait=False)
        ended.set()

    held.add_done_callback(end)
    gate.open()
    assert ended.wait(PATIENCE)
    executor.shutdown()


def test_a_callback_is_kept_while_nobody_else_holds_the_future(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    called = threading.Event()
    executor.submit(tasks.nothing).add_done_callback(lambda _: called.set())
    collect()
    gate.open()
    assert called.wait(PATIENCE)
