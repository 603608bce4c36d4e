"""What is kept alive, by whom, and until when."""

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from garbage import collect

from . import tasks
from .differences import differs
from .rig import PATIENCE, Rig


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only reference counts may free things here."""
    collect()
    gc.disable()
    yield
    gc.enable()


def _watched(value: Any) -> threading.Event:
    """An event that is set when `value` dies."""
    gone = threading.Event()
    weakref.finalize(value, gone.set).atexit = False
    return gone


def test_arguments_are_let_go_after_the_task(rig: Rig, no_collector: None) -> None:
    thing, keyword = tasks.Thing(1), tasks.Thing(2)
    gone = [_watched(thing), _watched(keyword)]
    future = rig.executor().submit(tasks.forget, thing, keyword=keyword)
    del thing, keyword
    future.result()
    assert gone[0].wait(PATIENCE)
    assert gone[1].wait(PATIENCE)


def test_a_bound_method_lets_its_object_go_after_the_task(rig: Rig, no_collector: None) -> None:
    thing = tasks.Thing()
    gone = _watched(thing)
    future = rig.executor().submit(thing.method)
    del thing
    assert gone.wait(PATIENCE)
    assert future.result() == (None, None)


def test_arguments_of_a_cancelled_task_are_let_go(rig: Rig, no_collector: None) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    thing = tasks.Thing()
    gone = _watched(thing)
    futures = [executor.submit(tasks.forget, thing) for _ in range(5)]
    futures[-1].cancel()
    del thing
    gate.open()
    assert gone.wait(PATIENCE)


def test_a_result_goes_with_its_future(rig: Rig, no_collector: None) -> None:
    executor = rig.executor()
    future = executor.submit(tasks.make_thing, 1)
    gone = _watched(future.result())
    assert not gone.is_set()
    del future
    assert gone.wait(PATIENCE)


def test_a_failed_future_is_in_no_cycle(rig: Rig, no_collector: None) -> None:
    future = rig.executor().submit(tasks.fail, ValueError, "no cycle")
    assert str(future.exception()) == "no cycle"
    gone = _watched(future)
    del future
    assert gone.wait(PATIENCE)


def test_the_exception_of_a_dropped_future_goes(rig: Rig, no_collector: None) -> None:
    future = rig.executor().submit(tasks.fail, tasks.PlainError, "going")
    gone = _watched(future.exception())
    del future
    assert gone.wait(PATIENCE)


def test_futures_dropped_unread_leave_nothing(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    for number in range(200):
        executor.submit(tasks.make_thing, number)
    executor.submit(tasks.fail, ValueError, "nobody reads this")
    executor.shutdown()


def test_a_future_dropped_before_its_task_runs_is_let_go(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    inbox = rig.inbox()
    future = executor.submit(tasks.say, inbox.path, "ran all the same")
    gone = _watched(future)
    del future
    gate.open()
    assert inbox.read() == "ran all the same"
    assert gone.wait(PATIENCE)


def test_a_future_that_holds_itself_is_collected(rig: Rig) -> None:
    executor = rig.executor()
    future = executor.submit(tasks.nothing)
    future.myself = future
    future.result()
    executor.shutdown()
    gone = _watched(future)
    del future
    collect()
    assert gone.wait(PATIENCE)


def test_an_executor_is_kept_by_nobody(rig: Rig) -> None:
    executor = rig.lane.make(max_workers=1)
    futures = [executor.submit(tasks.echo, number) for number in range(3)]
    assert [future.result() for future in futures] == [0, 1, 2]
    reference = weakref.ref(executor)
    del executor
    collect()
    assert reference() is None


def test_the_initializer_arguments_go_with_the_executor(rig: Rig) -> None:
    thing = tasks.Thing()
    gone = _watched(thing)
    executor = rig.lane.make(max_workers=1, initializer=tasks.forget, initargs=(thing,))
    executor.submit(tasks.nothing).result()
    executor.shutdown()
    del executor, thing
    collect()
    assert gone.wait(PATIENCE)


def test_values_are_copied_between_caller_and_task(rig: Rig) -> None:
    value = ["mine"]
    result = rig.executor().submit(tasks.echo, value).result()
    assert result == value
    assert (result is value) == differs(rig.lane.name, "tasks share nothing with the caller")


def test_a_mutable_argument_travels_as_it_was_at_submit(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    value = [1]
    futures = [executor.submit(tasks.echo, value) for _ in range(6)]
    value.append(2)
    gate.open()
    late = differs(rig.lane.name, "arguments are taken at submit")
    assert futures[-1].result() == ([1, 2] if late else [1])
