"""How processes of the process lane end, and what becomes of those that do not."""

import gc
import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import lane_tasks as tasks
import pytest
from buffer_tasks import descriptors
from contract.rig import Gate, Inbox
from contract.tasks import hold
from crowding import crowding

from interp_executor import InterpreterPoolExecutor, ProcessCrashError, _watchdog
from interp_executor._process import WorkerProcess
from interp_executor._process_end import ProcessEnd

PATIENCE = 60
GRACE = 2.0  # seconds: the least that what tasks have left behind is waited for

pytestmark = pytest.mark.usefixtures("empty_hive")


@pytest.fixture(params=["forkserver", "spawn"])
def one(request: pytest.FixtureRequest, nothing_is_left: None) -> InterpreterPoolExecutor:
    """An executor with one process."""
    context = multiprocessing.get_context(request.param)
    return InterpreterPoolExecutor(1, lane="process", mp_context=context)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Check how long it takes: in as much longer as the machine has more to do than processors."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds * crowding(), took


def is_there(process: int) -> bool:
    """Whether a process is alive, or its exit status is still to be taken."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_whose_threads_do_not_end_is_killed(
    one: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    process = one.submit(tasks.leave_thread).result(PATIENCE)
    with within(3 * GRACE):
        one.shutdown()
    assert not is_there(process)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the process of InterpreterPoolExecutor-" in record.message
    assert "has been killed: threads, exit callbacks or processes" in record.message


def test_a_stop_that_comes_after_the_answer_leaves_time_to_hand_it_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[bool] = []
    finish = WorkerProcess.finish

    def finish_and_stop(self: WorkerProcess) -> Any:
        stopped = finish(self)
        run = threading.current_thread().present()  # type: ignore[attr-defined]
        said.append(self.stop(run, False))
        return stopped

    monkeypatch.setattr(WorkerProcess, "finish", finish_and_stop)
    with InterpreterPoolExecutor(1, lane="process", grace=0) as executor:
        assert executor.submit(tasks.double, 1).result(PATIENCE) == 2
        assert list(executor.map(tasks.double, range(3), chunksize=3)) == [0, 2, 4]
    assert len(said) > 1 and all(said)  # a claim may take several questions


def test_a_process_whose_children_do_not_end_is_killed(
    one: InterpreterPoolExecutor, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    process = one.submit(tasks.leave_process, left).result(PATIENCE)
    try:
        with within(3 * GRACE):
            one.shutdown()
        assert not is_there(process)
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


def test_a_worn_process_that_does_not_end_holds_nothing_up() -> None:
    with (
        within(6 * GRACE),
        InterpreterPoolExecutor(1, lane="process", max_tasks_per_child=1) as executor,
    ):
        first = executor.submit(tasks.leave_thread).result(PATIENCE)
        assert executor.submit(tasks.process).result(PATIENCE) != first


@pytest.mark.usefixtures("lasting_patience")
def test_a_process_that_computes_at_its_end_is_waited_for(
    one: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    one.submit(tasks.leave_computation, 1.5 * GRACE).result(PATIENCE)
    one.shutdown()
    assert caplog.text == ""


def test_kill_workers_ends_a_process_that_does_not_end(
    one: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    process = one.submit(tasks.leave_thread).result(PATIENCE)
    one.shutdown(wait=False)
    with within(GRACE):
        one.kill_workers()
        one.shutdown()
    assert not is_there(process)
    assert caplog.text == ""


def test_kill_workers_does_not_wait_for_the_start_of_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts, goes_on, ends = threading.Event(), threading.Event(), threading.Event()
    start, wait = BaseProcess.start, ProcessEnd.wait

    def start_late(process: BaseProcess) -> None:
        starts.set()
        goes_on.wait(PATIENCE)
        start(process)

    def tell_and_wait(end: ProcessEnd) -> None:
        ends.set()
        wait(end)

    killed = InterpreterPoolExecutor(1, lane="process")
    killed.submit(tasks.leave_thread).result(PATIENCE)
    monkeypatch.setattr(BaseProcess, "start", start_late)
    monkeypatch.setattr(ProcessEnd, "wait", tell_and_wait)
    with InterpreterPoolExecutor(1, lane="process") as other:
        future = other.submit(tasks.double, 1)
        assert starts.wait(PATIENCE)
        killed.shutdown(wait=False)
        assert ends.wait(PATIENCE)
        kills = threading.Thread(target=killed.kill_workers)
        kills.start()
        kills.join(PATIENCE / 2)
        waits = kills.is_alive()
        goes_on.set()
        assert not waits
        assert future.result(PATIENCE) == 2
    killed.shutdown()


def test_kill_workers_says_that_the_process_of_a_task_has_ended(
    meeting: tuple[Inbox, Gate], caplog: pytest.LogCaptureFixture
) -> None:
    inbox, gate = meeting
    executor = InterpreterPoolExecutor(1, lane="process")
    future = executor.submit(hold, inbox.path, gate.path)
    assert inbox.read() == "held"
    executor.kill_workers()
    error = future.exception(0)  # there already
    assert str(error) == "the task was interrupted by the end of its process"
    assert not error.abandoned  # type: ignore[union-attr]
    assert caplog.text == ""
    executor.shutdown()


def test_without_grace_a_task_in_a_process_costs_no_worker(
    meeting: tuple[Inbox, Gate], caplog: pytest.LogCaptureFixture
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(1, lane="process", grace=0) as executor:
        for _ in range(3):
            future = executor.submit(hold, inbox.path, gate.path)
            assert inbox.read() == "held"
            assert future.interrupt()  # type: ignore[attr-defined]
            assert "by the end of its process" in str(future.exception(PATIENCE))
        assert executor.stats().abandoned == 0
    assert caplog.text == ""


@pytest.mark.parametrize("error", [OSError("no flush"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("most", [1, None])
def test_output_that_cannot_be_flushed_costs_nothing_else(
    error: BaseException, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: reported.append(args.exc_value))
    with InterpreterPoolExecutor(
        1, lane="process", forward_output=True, max_tasks_per_child=most
    ) as executor:
        process = executor.submit(tasks.spoil_output, error).result(PATIENCE)
        assert executor.submit(tasks.double, 1).result(PATIENCE) == 2
    assert not is_there(process)
    assert [repr(each) for each in reported] == [repr(error)]


def test_a_process_whose_output_does_not_end_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    executor = InterpreterPoolExecutor(1, lane="process", forward_output=True)
    process = executor.submit(tasks.block_output).result(PATIENCE)
    with within(3 * GRACE):
        executor.shutdown()
    assert not is_there(process)
    assert "has been killed" in caplog.text


def test_output_that_the_owner_takes_its_time_for_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = threading.Semaphore(0)
    computed = ProcessEnd.computed

    def tell_of_look(end: ProcessEnd) -> float | None:
        looks.release()
        return computed(end)

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            for _ in range(2 * _watchdog._LOOKS):  # somebody reads page by page
                assert looks.acquire(timeout=PATIENCE)
            return super().write(text)

    slow = Slow()
    executor = InterpreterPoolExecutor(1, lane="process", forward_output=True)
    with monkeypatch.context() as patched:
        patched.setattr(ProcessEnd, "computed", tell_of_look)
        patched.setattr(sys, "stdout", slow)
        executor.submit(tasks.leave_words, "words").result(PATIENCE)
        executor.shutdown()
    assert slow.getvalue() == "words"
    assert caplog.text == ""


@pytest.mark.parametrize("stop", ["timeout", "terminate_workers"])
def test_a_process_that_has_closed_its_way_is_stopped(
    one: InterpreterPoolExecutor, stop: str, meeting: tuple[Inbox, Gate]
) -> None:
    inbox, _ = meeting
    process = one.submit(tasks.process).result(PATIENCE)
    if stop == "timeout":
        future = one.with_options(timeout=0.5).submit(tasks.close_all_and_compute)
    else:
        future = one.submit(tasks.report_and_close_all, inbox.path)
        assert inbox.read() == "here"
        one.terminate_workers()
    error = future.exception(PATIENCE)
    assert "by the end of its process" in str(error)
    with within(GRACE):
        one.shutdown()
    assert not is_there(process)


def test_a_signal_handler_that_ends_the_answers_of_a_process_leaves_nobody_waiting(
    one: InterpreterPoolExecutor,
) -> None:
    process = one.submit(tasks.leave_thread_and_handler).result(PATIENCE)
    os.kill(process, signal.SIGALRM)
    error = one.submit(tasks.process).exception(PATIENCE)
    assert error is None or isinstance(error, ProcessCrashError)  # it may have been asked before
    assert one.submit(tasks.process).result(PATIENCE) != process
    one.shutdown()


def test_a_process_that_has_closed_its_way_and_is_idle_is_said_to_have_done_so(
    one: InterpreterPoolExecutor,
) -> None:
    error = one.submit(tasks.close_all_and_sleep).exception(PATIENCE)
    one.shutdown()
    assert isinstance(error, ProcessCrashError)
    assert str(error).endswith("closed its connection, went on, and was killed")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_of_the_owner_keeps_no_process(
    one: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    process = one.submit(tasks.process).result(PATIENCE)
    child = os.fork()
    if child == 0:
        try:
            signal.pause()
        finally:
            os._exit(0)
    try:
        with within(GRACE):
            one.shutdown()
        assert not is_there(process)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert caplog.text == ""


def test_a_program_that_ignores_the_ends_of_its_children_keeps_nothing_of_them() -> None:
    context = multiprocessing.get_context("spawn")
    previous = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with InterpreterPoolExecutor(1, lane="process", mp_context=context) as executor:
            executor.submit(tasks.double, 1).result(PATIENCE)
            gc.collect()
            before = descriptors()
            for _ in range(2):
                assert executor.submit(tasks.abort).exception(PATIENCE) is not None
                executor.submit(tasks.double, 1).result(PATIENCE)
            gc.collect()
            assert descriptors() == before
    finally:
        signal.signal(signal.SIGCHLD, previous)


@pytest.mark.usefixtures("lasting_patience")
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the system tells of no children")
def test_a_process_whose_children_compute_is_waited_for(
    one: InterpreterPoolExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = tmp_path / "notes"
    one.submit(tasks.leave_computing_process, 2 * GRACE, notes).result(PATIENCE)
    one.shutdown()
    assert notes.read_text() == "computed"
    assert caplog.text == ""
