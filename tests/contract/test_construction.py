"""What the constructor accepts, its defaults, initializers, and the names of workers."""

import os
from concurrent.futures import BrokenExecutor
from concurrent.futures.process import BrokenProcessPool
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

import pytest

from . import tasks
from .differences import differs
from .lanes import OURS, OURS_ALONE, OURS_IN_PROCESSES, PROCESSES, SPAWNED, STDLIB, THREADS
from .rig import PATIENCE, Rig


def test_the_default_number_of_workers(rig: Rig) -> None:
    cpus = os.process_cpu_count() or 1
    expected = cpus
    if differs(rig.lane.name, "as many workers as CPUs"):
        expected = min(32, cpus + 4)
    assert rig.executor(max_workers=None)._max_workers == expected


@pytest.mark.parametrize("number", [0, -1])
def test_fewer_than_one_worker_is_refused(rig: Rig, number: int) -> None:
    with pytest.raises(ValueError, match="^max_workers must be greater than 0$"):
        rig.lane.make(max_workers=number)


@pytest.mark.parametrize("number", ["two", [2]])
def test_a_number_of_workers_that_is_no_number_is_refused(rig: Rig, number: Any) -> None:
    with pytest.raises(TypeError):
        rig.lane.make(max_workers=number)


def test_an_unknown_option_is_refused(rig: Rig) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        rig.lane.make(max_workers=1, no_such_option=1)


def test_submit_needs_a_function(rig: Rig) -> None:
    executor = rig.executor()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
        executor.submit()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
        executor.submit(fn=tasks.nothing)


def test_map_needs_a_function(rig: Rig) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
        rig.executor().map()


def test_an_initializer_that_is_not_callable_is_refused(rig: Rig) -> None:
    with pytest.raises(TypeError, match="^initializer must be a callable$"):
        rig.lane.make(max_workers=1, initializer=17)


def test_the_initializer_runs_before_the_first_task(rig: Rig) -> None:
    executor = rig.executor(initializer=tasks.initialise, initargs=("spam", 2))
    try:
        assert executor.submit(tasks.initial_arguments).result()[0] == ("spam", 2)
    finally:
        tasks.initialised_with = None
        tasks.times_initialised = 0


def test_the_initializer_runs_once_in_each_worker(rig: Rig) -> None:
    inbox = rig.inbox()
    executor = rig.executor(
        max_workers=2, initializer=tasks.say, initargs=(inbox.path, "initialised")
    )
    gate, _ = rig.occupy(executor, workers=2)
    gate.open()
    assert list(executor.map(tasks.echo, range(20))) == list(range(20))
    times = 2 if differs(rig.lane.name, "the initializer runs once in each worker") else 1
    assert inbox.drain() == ["initialised"] * 2 * times


BROKEN_ALSO = {
    THREADS: (BrokenThreadPool,),
    PROCESSES: (BrokenProcessPool,),
    SPAWNED: (BrokenProcessPool,),
    STDLIB: (BrokenThreadPool,),
    OURS: (BrokenThreadPool, BrokenProcessPool),
    OURS_IN_PROCESSES: (BrokenThreadPool, BrokenProcessPool),
    OURS_ALONE: (BrokenThreadPool, BrokenProcessPool),
}
"""The classes by which existing `except` clauses know a broken executor of each lane."""


def test_a_failing_initializer_breaks_the_executor(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    executor = rig.executor(initializer=tasks.fail_to_initialise)
    with pytest.raises(BrokenExecutor, match="initializer|terminated") as caught:
        executor.submit(tasks.nothing).result(timeout=PATIENCE)
    assert isinstance(caught.value, BROKEN_ALSO[rig.lane.name])
    with pytest.raises(BrokenExecutor):
        executor.submit(tasks.nothing)
    with pytest.raises(BrokenExecutor):
        executor.map(tasks.echo, [1])
    executor.shutdown()
    logged = not differs(rig.lane.name, "a failing initializer is logged by the caller")
    assert ("error in initializer" in caplog.text) == logged


def test_a_broken_executor_names_the_exception_of_its_initializer(rig: Rig) -> None:
    executor = rig.executor(initializer=tasks.fail_to_initialise, initargs=("the reason",))
    with pytest.raises(BrokenExecutor) as caught:
        executor.submit(tasks.nothing).result(timeout=PATIENCE)
    if differs(rig.lane.name, "a broken executor tells the cause"):
        assert not isinstance(caught.value.__cause__, ValueError)
        return
    assert isinstance(caught.value.__cause__, ValueError)
    assert str(caught.value.__cause__) == "the reason"
    with pytest.raises(BrokenExecutor) as caught:
        executor.submit(tasks.nothing)
    assert str(caught.value.__cause__) == "the reason"


def test_a_failing_initializer_fails_the_tasks_that_wait(rig: Rig) -> None:
    gate, inbox = rig.gate(), rig.inbox()
    executor = rig.executor(
        initializer=tasks.hold_then_fail_to_initialise, initargs=(inbox.path, gate.path)
    )
    futures = [executor.submit(tasks.nothing) for _ in range(5)]
    assert inbox.read() == "held"
    gate.open()
    for future in futures:
        assert isinstance(future.exception(timeout=PATIENCE), BrokenExecutor)


def test_a_thread_name_prefix_names_the_workers(rig: Rig) -> None:
    if differs(rig.lane.name, "workers have names"):
        with pytest.raises(TypeError, match="thread_name_prefix"):
            rig.lane.make(max_workers=1, thread_name_prefix="mine")
        return
    executor = rig.executor(thread_name_prefix="mine")
    assert executor.submit(tasks.thread_name).result() == "mine_0"


def test_workers_have_a_sensible_name_by_default(rig: Rig) -> None:
    if differs(rig.lane.name, "workers have names"):
        pytest.skip("the main thread of a process has the name that threading gives it")
    executor = rig.executor()
    name = executor.submit(tasks.thread_name).result()
    assert "PoolExecutor-" in name
    assert name.endswith("_0")


def test_prefix_initializer_and_its_arguments_go_by_position(rig: Rig) -> None:
    if differs(rig.lane.name, "workers have names"):
        pytest.skip("the second argument of ProcessPoolExecutor is a multiprocessing context")
    executor = rig.keep(rig.lane.kind(1, "by position", tasks.initialise, (7,)))  # type: ignore[call-arg]
    try:
        assert executor.submit(tasks.initial_arguments).result() == ((7,), 1)
        assert executor._thread_name_prefix == "by position"
    finally:
        tasks.initialised_with = None
        tasks.times_initialised = 0


def test_there_are_never_more_workers_than_tasks(rig: Rig) -> None:
    executor = rig.executor(max_workers=4)
    places = {executor.submit(tasks.whereabouts).result() for _ in range(2)}
    assert len(places) <= 2
    workers = getattr(executor, "_processes", None) or executor._threads
    assert len(workers) <= 2


def test_all_workers_work_when_there_is_enough_to_do(rig: Rig) -> None:
    executor = rig.executor(max_workers=3)
    gate, held = rig.occupy(executor, workers=3)
    assert all(future.running() for future in held)
    gate.open()


def test_monitors_can_read_the_length_of_the_queue(rig: Rig) -> None:
    if differs(rig.lane.name, "the queue tells its length"):
        pytest.skip("ProcessPoolExecutor has no _work_queue")
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    for _ in range(3):
        executor.submit(tasks.nothing)
    assert executor._work_queue.qsize() == 3
    gate.open()


def test_workers_run_elsewhere(rig: Rig) -> None:
    here, there = tasks.whereabouts(), rig.executor().submit(tasks.whereabouts).result()
    if differs(rig.lane.name, "tasks share nothing with the caller"):
        assert there == here
    else:
        assert there != here
