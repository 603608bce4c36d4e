"""Workers that are replaced, whose initializer fails, or that leave something behind for good."""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor

import hive_tasks as tasks
import interrupt_tasks
import lane_tasks
import pytest
from contract.rig import Gate, Inbox
from contract.tasks import hold

from interp_executor import InterpreterPoolExecutor

PATIENCE = 60.0


def test_an_initializer_that_fails_at_first_start_breaks_the_pool(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.write(write, b"x.")
    with InterpreterPoolExecutor(1, initializer=tasks.fail_while, initargs=(read,)) as executor:
        with pytest.raises(BrokenExecutor):
            executor.submit(abs, -1).result(PATIENCE)
        with pytest.raises(BrokenExecutor):
            executor.submit(abs, -1)


def test_two_failures_on_replacements_are_survived(
    pipe: tuple[int, int], meeting: tuple[Inbox, Gate]
) -> None:
    read, write = pipe
    inbox, gate = meeting
    os.write(write, b".xx.xx.")  # the first worker; its replacement, twice in vain; and another
    with InterpreterPoolExecutor(
        1, initializer=tasks.fail_while, initargs=(read,), max_tasks_per_child=1
    ) as executor:
        futures = [executor.submit(hold, inbox.path, gate.path, 0)]
        futures += [executor.submit(abs, -number) for number in (1, 2)]
        gate.open()
        assert [future.result(PATIENCE) for future in futures] == [0, 1, 2]


def test_three_failures_on_replacements_break_the_pool(
    pipe: tuple[int, int], meeting: tuple[Inbox, Gate], caplog: pytest.LogCaptureFixture
) -> None:
    read, write = pipe
    inbox, gate = meeting
    os.write(write, b".xxx")
    with InterpreterPoolExecutor(
        1, initializer=tasks.fail_while, initargs=(read,), max_tasks_per_child=1
    ) as executor:
        first = executor.submit(hold, inbox.path, gate.path, 1)
        second = executor.submit(abs, -2)
        gate.open()
        assert first.result(PATIENCE) == 1
        with pytest.raises(BrokenExecutor) as caught:
            second.result(PATIENCE)
    assert "not yet" in str(caught.value.__cause__)
    levels = [each.levelno for each in caplog.records if "initializer" in each.getMessage()]
    assert levels == [logging.WARNING, logging.WARNING, logging.CRITICAL]


@pytest.mark.parametrize("leave", [tasks.leave_waiting_thread, tasks.leave_blocking_callback])
@pytest.mark.parametrize("reuse", [False, True])
def test_what_does_not_end_holds_no_shutdown_up(
    leave: Callable[[int], int],
    reuse: bool,
    pipe: tuple[int, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    read, write = pipe
    executor = InterpreterPoolExecutor(1, reuse=reuse)
    assert executor.submit(leave, read).result(PATIENCE) == read
    (thread,) = executor._threads
    executor.shutdown(wait=True)
    assert "do not end" in caplog.text
    assert executor.stats().retired == 1
    os.write(write, b"!")
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize("grace", [1e12, 1e300])
def test_a_grace_of_ages_is_no_fault(grace: float, pipe: tuple[int, int]) -> None:
    read, write = pipe
    with InterpreterPoolExecutor(1, grace=grace) as executor:
        stopped = executor.with_options(timeout=0.01).submit(interrupt_tasks.loop_at, -1)
        with pytest.raises(TimeoutError, match="0.01"):
            stopped.result(PATIENCE)
        executor.submit(tasks.leave_waiting_thread, read).result(PATIENCE)
        (thread,) = executor._threads
        executor.shutdown(wait=False)
        os.write(write, b"!")
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.usefixtures("lasting_patience")
@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="the system does not tell that it computes"
)
def test_an_exit_callback_that_computes_for_long_is_waited_for(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    read, write = pipe
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(tasks.leave_computing_callback, write, 2.5).result(PATIENCE)
    assert os.read(read, 1) == b"!"
    assert caplog.text == ""


def test_a_worn_worker_that_does_not_end_is_replaced(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    read, write = pipe
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as executor:
        futures = [executor.submit(tasks.leave_waiting_thread, read)]
        futures.append(executor.submit(abs, -2))
        stuck = set(executor._threads)
        assert [future.result(PATIENCE) for future in futures] == [read, 2]
    assert caplog.text.count("has been abandoned") == 1
    os.write(write, b"!")
    for thread in stuck:
        thread.join(PATIENCE)


def cancel_tasks(executor: InterpreterPoolExecutor) -> None:
    for _ in range(3):
        assert executor.submit(abs, -1).cancel()


def close_maps(executor: InterpreterPoolExecutor) -> None:
    for _ in range(3):
        executor.map(abs, [-1]).close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("call_off", [cancel_tasks, close_maps])
@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_what_never_runs_wears_no_worker(
    lane: str,
    call_off: Callable[[InterpreterPoolExecutor], None],
    meeting: tuple[Inbox, Gate],
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(1, lane=lane, max_tasks_per_child=3) as executor:
        first = executor.submit(lane_tasks.whereabouts)
        executor.submit(hold, inbox.path, gate.path)
        assert inbox.read() == "held"
        call_off(executor)
        last = executor.submit(lane_tasks.whereabouts)
        gate.open()
        assert last.result(PATIENCE) == first.result(PATIENCE)


def test_interpreters_import_datetime_at_once(pipe: tuple[int, int]) -> None:
    read, write = pipe
    days = ["2000-01-01", "2000-01-02", "2000-01-03", "2000-01-04"]
    for _ in range(5):
        with InterpreterPoolExecutor(4) as executor:
            futures = [executor.submit(tasks.import_datetime, read, n) for n in range(4)]
            os.write(write, b"....")
            assert [future.result(PATIENCE) for future in futures] == days
