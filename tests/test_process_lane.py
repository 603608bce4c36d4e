"""The process lane: what runs there, what a crash costs, and what is left of it."""

import logging
import multiprocessing
import os
import socket
import sys
import threading
import time
import types
from concurrent.futures import wait
from pathlib import Path

import lane_tasks as tasks
import pytest
from contract.rig import Gate, Inbox
from contract.tasks import hold, pass_gate, perform
from isolated.script import run
from leftovers import children
from stops import Held

from interp_executor import (
    BrokenInterpreterPool,
    IncompatibleModuleError,
    InterpreterPoolExecutor,
    ProcessCrashError,
    TaskInterrupted,
    TaskTimeoutError,
    TransferError,
    close_idle_workers,
)
from interp_executor._lane import ProcessLane
from interp_executor._process import WorkerProcess

PATIENCE = 60


def test_a_task_runs_in_another_process(lane: InterpreterPoolExecutor) -> None:
    process, interpreter = lane.submit(tasks.whereabouts).result()
    assert process != os.getpid()
    assert interpreter == 0


def test_a_worker_keeps_its_process(lane: InterpreterPoolExecutor) -> None:
    first = lane.submit(tasks.process).result()
    assert lane.submit(tasks.process).result() == first
    assert list(lane.map(tasks.double, range(100))) == list(range(0, 200, 2))
    stats = lane.stats()
    assert stats.processes == 1
    assert stats.sent_to_processes >= 3
    assert stats.moved == ()


def test_the_process_goes_with_the_executor() -> None:
    before = children()
    with InterpreterPoolExecutor(2) as executor:
        executor.with_options(lane="process").submit(tasks.process).result()
        assert children() != before
    assert children() == before
    assert executor.stats().processes == 0


def test_both_lanes_draw_on_one_queue_with_so_many_workers_as_there_are(
    meeting: tuple[Inbox, Gate],
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(2) as executor:
        lane = executor.with_options(lane="process")
        held = [view.submit(hold, inbox.path, gate.path) for view in (lane, executor)]
        waiting = [lane.submit(tasks.process), executor.submit(tasks.process)]
        assert [inbox.read() for _ in held] == ["held", "held"]
        stats = executor.stats()
        assert (stats.running, stats.queued, stats.workers) == (2, 2, 2)
        assert not any(future.running() or future.done() for future in waiting)
        gate.open()
        assert waiting[1].result(PATIENCE) == os.getpid() != waiting[0].result(PATIENCE)


def test_the_initializer_runs_in_each_process() -> None:
    with InterpreterPoolExecutor(1, initializer=tasks.initialise, initargs=(1, "a")) as executor:
        lane = executor.with_options(lane="process")
        assert executor.submit(tasks.initial).result() == (1, "a")
        assert lane.submit(tasks.initial).result() == (1, "a")
        lane.submit(tasks.abort).exception()
        assert lane.submit(tasks.initial).result() == (1, "a")


def test_an_initializer_that_fails_in_the_process_breaks_the_pool(
    caplog: pytest.LogCaptureFixture,
) -> None:
    parent = os.getpid()

    def fail_elsewhere() -> None:
        if os.getpid() != parent:
            raise ValueError("no model")

    with InterpreterPoolExecutor(1, initializer=fail_elsewhere) as executor:
        lane = executor.with_options(lane="process")
        with pytest.raises(BrokenInterpreterPool) as caught:
            lane.submit(tasks.process).result()
        assert isinstance(caught.value.__cause__, ValueError)
        assert "Exception in initializer:" in caplog.messages
        with pytest.raises(BrokenInterpreterPool):
            lane.submit(tasks.process)


def test_max_tasks_per_child_replaces_the_process() -> None:
    with InterpreterPoolExecutor(1, max_tasks_per_child=2) as executor:
        lane = executor.with_options(lane="process")
        processes = [lane.submit(tasks.process).result() for _ in range(4)]
    assert processes[0] == processes[1] != processes[2] == processes[3]


def test_a_queued_task_can_be_cancelled(
    lane: InterpreterPoolExecutor, meeting: tuple[Inbox, Gate]
) -> None:
    inbox, gate = meeting
    running = lane.submit(hold, inbox.path, gate.path)
    assert inbox.read() == "held"
    queued = lane.submit(tasks.process)
    assert queued.cancel() and not running.cancel()
    gate.open()
    assert running.result() is None


def test_closures_and_local_classes_cross(lane: InterpreterPoolExecutor) -> None:
    base = 10

    class Local:
        value = base

    assert lane.submit(lambda: (base + 1, Local().value)).result() == (11, 10)
    assert list(lane.map(lambda x: x + base, range(3))) == [10, 11, 12]


def test_an_exception_arrives_with_notes_cause_and_the_remote_traceback(
    lane: InterpreterPoolExecutor,
) -> None:
    def fail() -> None:
        error = KeyError("outer")
        error.add_note("a note")
        raise error from ValueError("inner")

    error = lane.submit(fail).exception()
    assert isinstance(error, KeyError) and error.__notes__ == ["a note"]
    assert isinstance(error.__cause__, ValueError)
    assert "in fail" in str(error.__cause__.__cause__)


def test_what_cannot_cross_fails_its_future(lane: InterpreterPoolExecutor) -> None:
    assert isinstance(lane.submit(len, threading.Lock()).exception(), TransferError)
    assert isinstance(lane.submit(threading.Lock).exception(), TransferError)
    assert isinstance(lane.submit(tasks.import_by_name, "nowhere_at_all").exception(), ImportError)
    assert lane.submit(tasks.double, 2).result() == 4


def test_changes_of_the_path_reach_the_process(
    lane: InterpreterPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.submit(tasks.process).result()
    (tmp_path / "comes_late.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    import comes_late  # type: ignore[import-not-found]

    assert lane.submit(comes_late.answer).result() == 42


def test_output_is_written_before_the_result_is_seen() -> None:
    program = """
from interp_executor import InterpreterPoolExecutor
with InterpreterPoolExecutor(1) as executor:
    lane = executor.with_options(lane="process")
    for word in "one", "two":
        assert lane.submit(lambda: print("task", word)).result() is None
        print("main", word, flush=True)
"""
    assert run("-c", program).stdout.split("\n") == [
        "task one",
        "main one",
        "task two",
        "main two",
        "",
    ]


def test_a_view_may_choose_the_interpreter(lane: InterpreterPoolExecutor) -> None:
    back = lane.with_options(lane="interpreter")
    assert back.submit(tasks.process).result() == os.getpid()


def test_an_executor_of_processes_starts_no_interpreters(nothing_is_left: None) -> None:
    close_idle_workers()
    ended = InterpreterPoolExecutor(1).stats().ended
    known = interpreters()
    with InterpreterPoolExecutor(
        2, lane="process", initializer=tasks.initialise, initargs=(3,), max_tasks_per_child=2
    ) as executor:
        assert {executor.submit(tasks.initial).result() for _ in range(5)} == {(3,)}
        assert list(executor.map(tasks.double, range(10))) == list(range(0, 20, 2))
        assert executor.submit(tasks.process).result() != os.getpid()
        assert isinstance(executor.submit(tasks.abort).exception(), ProcessCrashError)
        assert interpreters() == known
        assert executor.stats().moved == ()
        late = executor.with_options(timeout=0.1).submit(time.sleep, 60)
        assert isinstance(late.exception(), TaskTimeoutError)
        inside = executor.with_options(lane="interpreter").submit(tasks.process)
        with pytest.raises(IncompatibleModuleError, match="was made with lane='process'"):
            inside.result()
    assert executor.stats().ended == ended


def interpreters() -> set[int]:
    """The interpreters of this process."""
    import _interpreters

    return {entry[0] for entry in _interpreters.list_all()}


def test_an_executor_of_interpreters_moves_nothing() -> None:
    with InterpreterPoolExecutor(1, lane="interpreter") as executor:
        assert executor.submit(tasks.process).result() == os.getpid()
        by_hand = executor.with_options(lane="process")
        assert by_hand.submit(tasks.process).result() != os.getpid()


def test_an_unknown_lane_is_refused(executor: InterpreterPoolExecutor) -> None:
    with pytest.raises(ValueError, match="lane must be"):
        executor.with_options(lane="thread")
    with pytest.raises(ValueError, match="lane must be"):
        InterpreterPoolExecutor(1, lane="thread")
    with pytest.raises(ValueError, match="fallback must be"):
        InterpreterPoolExecutor(1, fallback="thread")


def test_a_given_context_starts_the_processes() -> None:
    with InterpreterPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        assert executor.with_options(lane="process").submit(tasks.process).result() != os.getpid()


def test_a_default_timeout_of_sockets_is_not_for_processes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    socket.setdefaulttimeout(60)
    try:
        with InterpreterPoolExecutor(
            1, lane="process", mp_context=multiprocessing.get_context("spawn")
        ) as executor:
            process = executor.submit(tasks.process).result(PATIENCE)
            assert executor.submit(tasks.process).result(PATIENCE) == process
    finally:
        socket.setdefaulttimeout(None)
    assert capfd.readouterr().err == ""


def test_an_executor_is_made_while_another_thread_imports_multiprocessing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half_loaded = types.ModuleType("multiprocessing.context")
    monkeypatch.setitem(sys.modules, half_loaded.__name__, half_loaded)
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(abs, -1).result() == 1


def test_a_context_that_forks_is_refused() -> None:
    with InterpreterPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
        error = executor.with_options(lane="process").submit(tasks.process).exception()
        assert isinstance(error, ImportError)
        assert "forkserver" in str(error)
        assert executor.submit(tasks.process).result() == os.getpid()


def test_nothing_is_logged_of_a_lane_that_was_chosen(
    lane: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "interp_executor")
    lane.submit(tasks.process).result()
    assert [record for record in caplog.records if record.name == "interp_executor"] == []


# ---- stopping ----


def test_a_timeout_replaces_the_process_and_fails_one_future(
    lane: InterpreterPoolExecutor, meeting: tuple[Inbox, Gate]
) -> None:
    inbox, gate = meeting
    first = lane.submit(tasks.process).result()
    late = lane.with_options(timeout=0.2).submit(hold, inbox.path, gate.path)
    queued = lane.submit(tasks.process)
    with pytest.raises(TaskTimeoutError, match=r"0\.2 s"):
        late.result(PATIENCE)
    assert queued.result(PATIENCE) not in (first, os.getpid())
    assert lane.stats().timed_out == 1


def test_an_interrupt_replaces_the_process_and_fails_one_future(
    lane: InterpreterPoolExecutor, meeting: tuple[Inbox, Gate]
) -> None:
    inbox, gate = meeting
    running = lane.submit(hold, inbox.path, gate.path)
    queued = lane.submit(tasks.double, 4)
    assert inbox.read() == "held"
    assert running.interrupt()  # type: ignore[attr-defined]
    with pytest.raises(TaskInterrupted):
        running.result(PATIENCE)
    assert queued.result(PATIENCE) == 8
    assert lane.stats().interrupted == 1


@pytest.mark.parametrize("where", ["making", "beginning"])
def test_an_interrupt_that_comes_before_the_process_begins_is_not_lost(
    lane: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    held = (
        Held(monkeypatch, ProcessLane, "_process")  # nothing is there yet that could be stopped
        if where == "making"
        else Held(monkeypatch, WorkerProcess, "begin")
    )
    running = lane.submit(tasks.abort)
    queued = lane.submit(tasks.double, 4)
    held.await_call()
    assert running.interrupt()  # type: ignore[attr-defined]
    held.release()
    with pytest.raises(TaskInterrupted):
        running.result(PATIENCE)
    assert queued.result(PATIENCE) == 8
    assert (lane.stats().interrupted, lane.stats().abandoned) == (1, 0)


@pytest.mark.parametrize("lane_name", ["interpreter", "process"])
def test_the_time_limit_of_a_task_begins_when_its_worker_is_ready(
    lane_name: str, meeting: tuple[Inbox, Gate]
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(
        1, lane=lane_name, initializer=hold, initargs=(inbox.path, gate.path)
    ) as executor:
        view = executor.with_options(timeout=1.0)
        results = view.map(abs, [-1, -2], chunksize=2)
        future = view.submit(abs, -3)
        assert inbox.read() == "held"
        assert wait([future], 1.2).not_done
        gate.open()
        assert [*results, future.result(PATIENCE)] == [1, 2, 3]


@pytest.mark.parametrize("stop", ["interrupt", "terminate_workers"])
def test_a_task_with_a_time_limit_can_be_stopped_while_its_process_starts(
    stop: str, meeting: tuple[Inbox, Gate]
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(
        1, lane="process", initializer=hold, initargs=(inbox.path, gate.path)
    ) as executor:
        future = executor.with_options(timeout=PATIENCE).submit(tasks.double, 1)
        assert inbox.read() == "held"
        if stop == "interrupt":
            assert future.interrupt()  # type: ignore[attr-defined]
        else:
            executor.terminate_workers()
        with pytest.raises(TaskInterrupted):
            future.result(PATIENCE)


def test_an_item_of_a_map_has_a_time_limit(
    lane: InterpreterPoolExecutor, meeting: tuple[Inbox, Gate]
) -> None:
    _, gate = meeting
    items = [(tasks.double, 1), (tasks.double, 2), (pass_gate, gate.path), (tasks.double, 3)]
    results = lane.with_options(timeout=1.0).map(perform, items, chunksize=4)
    assert [next(results), next(results)] == [2, 4]
    with pytest.raises(TaskTimeoutError):
        next(results)
    assert lane.submit(tasks.double, 5).result(PATIENCE) == 10
