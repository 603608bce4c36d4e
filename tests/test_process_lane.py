"""The process lane: what runs there, what a crash costs, and what is left of it."""

import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
import types
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import lane_tasks as tasks
import pytest
from contract.rig import Gate, Inbox
from contract.tasks import hold, pass_gate, perform
from isolated.script import run
from stops import Held

from interp_executor import (
    BrokenInterpreterPool,
    IncompatibleModuleError,
    InterpreterPoolExecutor,
    ProcessCrashError,
    TaskInterrupted,
    TaskTimeoutError,
    TransferError,
    _child,
    close_idle_workers,
)
from interp_executor._lane import ProcessLane
from interp_executor._process import WorkerProcess

PATIENCE = 60

needs_pidfd = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="who knows when a stranger ends?"
)


def kill(process: int) -> None:
    """Kill a process, whoever's child it is, and wait for its end."""
    its_end = select.poll()
    its_end.register(fd := os.pidfd_open(process), select.POLLIN)
    os.kill(process, signal.SIGKILL)
    assert its_end.poll(PATIENCE * 1000)
    os.close(fd)


@pytest.fixture
def lane(nothing_is_left: None) -> Iterator[InterpreterPoolExecutor]:
    """A view of an executor with one worker, all of whose calls run in its process."""
    with InterpreterPoolExecutor(1) as executor:
        yield executor.with_options(lane="process")


@pytest.fixture
def meeting(tmp_path: Path) -> Iterator[tuple[Inbox, Gate]]:
    """Where tasks report that they run, and a gate at which they then wait."""
    inbox, gate = Inbox(tmp_path / "inbox"), Gate(tmp_path / "gate")
    yield inbox, gate
    gate.close()
    inbox.close()


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
    before = set(multiprocessing.active_children())
    with InterpreterPoolExecutor(2) as executor:
        executor.with_options(lane="process").submit(tasks.process).result()
        assert set(multiprocessing.active_children()) != before
    assert set(multiprocessing.active_children()) == before
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


@pytest.mark.parametrize(
    ("task", "sign"),
    [
        (tasks.abort, "SIGABRT"),
        pytest.param(
            tasks.segfault,
            "SIGSEGV",
            marks=pytest.mark.skipif(
                "IX_SANITIZE" in os.environ, reason="a sanitizer reports it and exits"
            ),
        ),
        (tasks.be_killed, "SIGKILL"),
    ],
)
def test_a_crash_fails_its_future_and_names_the_signal(
    lane: InterpreterPoolExecutor, task: object, sign: str
) -> None:
    first = lane.submit(tasks.process).result()
    error = lane.submit(task).exception()  # type: ignore[arg-type]
    assert isinstance(error, ProcessCrashError) and isinstance(error, BrokenProcessPool)
    assert sign in str(error)
    assert lane.submit(tasks.process).result() != first


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="a sentinel that children keep open")
def test_a_crash_is_told_at_once_where_the_task_has_left_a_child(
    method: str, tmp_path: Path, nothing_is_left: None
) -> None:
    pid_file = tmp_path / "pid"
    context = multiprocessing.get_context(method)
    with InterpreterPoolExecutor(1, lane="process", mp_context=context) as executor:
        future = executor.submit(tasks.leave_a_child_and_be_killed, pid_file)
        try:
            with pytest.raises(ProcessCrashError, match="SIGKILL"):
                future.result(PATIENCE)
        finally:
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        assert executor.submit(abs, -1).result(PATIENCE) == 1


def test_an_exit_of_the_process_tells_its_status(lane: InterpreterPoolExecutor) -> None:
    error = lane.submit(tasks.leave, 7).exception()
    assert isinstance(error, ProcessCrashError)
    assert "exit status 7" in str(error)


def test_an_abort_costs_one_future_with_others_running_and_fifty_queued(
    meeting: tuple[Inbox, Gate],
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(3) as executor:
        lane = executor.with_options(lane="process")
        others = [view.submit(hold, inbox.path, gate.path, 1) for view in (lane, executor)]
        assert [inbox.read() for _ in others] == ["held", "held"]
        fatal = lane.submit(tasks.abort)
        views = (lane, executor)
        queued = [views[i % 2].submit(tasks.double, i) for i in range(50)]
        assert isinstance(fatal.exception(PATIENCE), ProcessCrashError)
        assert [future.result(PATIENCE) for future in queued] == [2 * i for i in range(50)]
        assert not any(future.done() for future in others)
        gate.open()
        assert [future.result(PATIENCE) for future in others] == [1, 1]
        stats = executor.stats()
        assert (stats.completed, stats.failed, stats.queued) == (53, 1, 0)


@needs_pidfd
def test_without_its_fork_server_a_process_ends_and_the_next_has_a_new_one(
    meeting: tuple[Inbox, Gate],
) -> None:
    from multiprocessing.forkserver import _forkserver  # type: ignore[attr-defined]

    inbox, gate = meeting
    with InterpreterPoolExecutor(1, lane="process") as executor:
        process = executor.submit(tasks.process).result()
        its_end = select.poll()
        its_end.register(fd := os.pidfd_open(process), select.POLLIN)
        running = executor.submit(hold, inbox.path, gate.path)
        assert inbox.read() == "held"
        os.kill(_forkserver._forkserver_pid, signal.SIGKILL)
        with pytest.raises(ProcessCrashError, match="fork server ended"):
            running.result(PATIENCE)
        assert executor.submit(tasks.process).result(PATIENCE) not in (process, os.getpid())
    assert its_end.poll(PATIENCE * 1000)
    os.close(fd)


@needs_pidfd
def test_a_fork_server_that_is_ending_is_not_asked_for_the_next_process(
    lane: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiprocessing.forkserver import _forkserver  # type: ignore[attr-defined]

    process = lane.submit(tasks.process).result()
    kill(server := _forkserver._forkserver_pid)
    # What multiprocessing sees between the end of the server's sockets and its own.
    first_looks = [(0, 0)]
    waitpid = os.waitpid

    def look(pid: int, options: int) -> tuple[int, int]:
        return first_looks.pop() if pid == server and first_looks else waitpid(pid, options)

    monkeypatch.setattr(os, "waitpid", look)
    assert lane.submit(tasks.process).result(PATIENCE) not in (process, os.getpid())
    assert (first_looks, _forkserver._forkserver_pid != server) == ([], True)


@needs_pidfd
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_process_killed_between_tasks_takes_no_task_with_it(method: str) -> None:
    context = multiprocessing.get_context(method)
    with InterpreterPoolExecutor(1, lane="process", mp_context=context) as executor:
        process = executor.submit(tasks.process).result()
        kill(process)
        assert executor.submit(tasks.process).result(PATIENCE) not in (process, os.getpid())


@needs_pidfd
def test_a_process_whose_fork_server_ends_before_it_is_ready_is_made_again(
    lane: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiprocessing.forkserver import _forkserver  # type: ignore[attr-defined]

    made: list[int] = []
    watch, serve = WorkerProcess._watch, _child.serve

    def orphan(worker: WorkerProcess, ours: socket.socket) -> None:
        if not made:
            monkeypatch.setattr(_child, "serve", serve)
            kill(_forkserver._forkserver_pid)
        made.append(worker._process.pid)
        watch(worker, ours)

    monkeypatch.setattr(WorkerProcess, "_watch", orphan)
    monkeypatch.setattr(_child, "serve", tasks.get_nowhere)
    assert lane.submit(tasks.process).result(PATIENCE) == made[1]


@needs_pidfd
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_an_initializer_runs_once_in_a_process_whose_predecessor_never_ran_it(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = multiprocessing.get_context(method)
    runs = tmp_path / "runs"
    initialize = WorkerProcess._initialize
    killed: list[int] = []

    def kill_before(worker: WorkerProcess) -> None:
        if not killed:
            killed.append(worker._process.pid)
            kill(worker._process.pid)
        initialize(worker)

    monkeypatch.setattr(WorkerProcess, "_initialize", kill_before)
    with InterpreterPoolExecutor(
        1,
        lane="process",
        mp_context=context,
        initializer=tasks.note_in,
        initargs=(runs,),
    ) as executor:
        with pytest.raises(ProcessCrashError, match="SIGKILL"):
            executor.submit(tasks.process).result(PATIENCE)
        process = executor.submit(tasks.process).result(PATIENCE)
    assert runs.read_text() == f"{process}\n"


@pytest.mark.parametrize(("method", "crashes"), [("forkserver", 60), ("spawn", 12)])
def test_each_of_many_crashes_at_once_names_its_signal(method: str, crashes: int) -> None:
    context = multiprocessing.get_context(method)
    with InterpreterPoolExecutor(4, lane="process", mp_context=context) as executor:
        fatal = [executor.submit(tasks.be_killed) for _ in range(crashes)]
        errors = [str(future.exception(PATIENCE)) for future in fatal]
    assert [error for error in errors if "killed by SIGKILL" not in error] == []


def test_a_crash_in_a_map_raises_where_it_happened(lane: InterpreterPoolExecutor) -> None:
    results = lane.map(tasks.abort_at, range(5), [3] * 5, chunksize=1)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ProcessCrashError, match="SIGABRT"):
        next(results)
    assert list(lane.map(tasks.double, range(5))) == [0, 2, 4, 6, 8]


def test_an_argument_that_crashes_the_process_fails_its_future_only(
    lane: InterpreterPoolExecutor,
) -> None:
    assert isinstance(lane.submit(len, tasks.Explodes()).exception(), ProcessCrashError)
    assert lane.submit(tasks.double, 1).result() == 2


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
