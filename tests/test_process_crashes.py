"""Processes of the process lane that crash, are killed or lose their fork server."""

import multiprocessing
import os
import select
import signal
import socket
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import fork_tasks
import lane_tasks as tasks
import pytest
from contract.rig import Gate, Inbox
from contract.tasks import hold

from interp_executor import (
    BrokenInterpreterPool,
    InterpreterPoolExecutor,
    ProcessCrashError,
    TaskInterrupted,
    _child,
)
from interp_executor._lane import Call
from interp_executor._process import WorkerProcess
from interp_executor._process_end import ProcessEnd

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
@pytest.mark.parametrize("others_start", [False, True])
def test_without_its_fork_server_a_process_ends_and_the_next_has_a_new_one(
    others_start: bool, meeting: tuple[Inbox, Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiprocessing.forkserver import _forkserver  # type: ignore[attr-defined]

    wait = ProcessEnd.wait

    def start_others_first(end: ProcessEnd) -> None:
        if others_start:
            multiprocessing.active_children()  # as a start does, to take their exit statuses
        wait(end)

    monkeypatch.setattr(ProcessEnd, "wait", start_others_first)
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

    def kill_before(worker: WorkerProcess, call: Call) -> None:
        if not killed:
            killed.append(worker._process.pid)
            kill(worker._process.pid)
        initialize(worker, call)

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


@needs_pidfd
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_crash_is_told_at_once_while_an_argument_is_being_sent(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = WorkerProcess._wait
    killed: list[int] = []

    def kill_when_full(worker: WorkerProcess, for_room: bool) -> None:
        if for_room and not killed:
            killed.append(process)
            kill(process)
        wait(worker, for_room)

    monkeypatch.setattr(WorkerProcess, "_wait", kill_when_full)
    context = multiprocessing.get_context(method)
    with InterpreterPoolExecutor(1, lane="process", mp_context=context) as executor:
        leave = fork_tasks.leave_a_copy_behind_python
        process, copy = executor.submit(leave).result(PATIENCE)
        try:
            os.kill(process, signal.SIGSTOP)  # reads no more, and the copy never does
            future = executor.submit(len, [str(i) for i in range(500_000)])
            with pytest.raises(ProcessCrashError, match="SIGKILL"):
                future.result(PATIENCE)
        finally:
            os.kill(copy, signal.SIGKILL)
        assert killed == [process]
        assert executor.submit(abs, -1).result(PATIENCE) == 1


@needs_pidfd
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_process_killed_before_it_is_ready_is_a_crash_like_any_other(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = WorkerProcess._watch
    killed: list[int] = []

    def kill_first(worker: WorkerProcess, ours: socket.socket) -> None:
        if not killed:
            killed.append(worker._process.pid)
            kill(worker._process.pid)
            monkeypatch.setattr(_child, "serve", serve)
        watch(worker, ours)

    serve = _child.serve
    monkeypatch.setattr(WorkerProcess, "_watch", kill_first)
    monkeypatch.setattr(_child, "serve", tasks.get_nowhere)
    context = multiprocessing.get_context(method)
    with InterpreterPoolExecutor(1, lane="process", mp_context=context) as executor:
        with pytest.raises(ProcessCrashError, match="SIGKILL.* before the task"):
            executor.submit(tasks.process).result(PATIENCE)
        assert executor.submit(abs, -1).result(PATIENCE) == 1


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_an_initializer_that_ends_its_process_breaks_the_pool(method: str) -> None:
    context = multiprocessing.get_context(method)
    with InterpreterPoolExecutor(
        1, lane="process", mp_context=context, initializer=tasks.leave, initargs=(5,)
    ) as executor:
        with pytest.raises(BrokenInterpreterPool) as caught:
            executor.submit(abs, -1).result(PATIENCE)
        assert isinstance(caught.value.__cause__, ProcessCrashError)
        assert "exit status 5" in str(caught.value.__cause__)
        with pytest.raises(BrokenInterpreterPool):
            executor.submit(abs, -1)


def test_an_initializer_whose_processes_are_killed_breaks_the_pool_at_the_third() -> None:
    with InterpreterPoolExecutor(1, lane="process", initializer=tasks.be_killed) as executor:
        futures = [executor.submit(abs, -1) for _ in range(4)]
        errors = [future.exception(PATIENCE) for future in futures]
    assert [type(error) for error in errors] == [
        *[ProcessCrashError] * 2,
        *[BrokenInterpreterPool] * 2,
    ]


@needs_pidfd
def test_kills_that_an_initializer_survives_do_not_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialize = WorkerProcess._initialize
    began: list[int] = []

    def kill_every_other(worker: WorkerProcess, call: Call) -> None:
        began.append(worker._process.pid)
        if len(began) % 2:
            kill(worker._process.pid)
        initialize(worker, call)

    monkeypatch.setattr(WorkerProcess, "_initialize", kill_every_other)
    with InterpreterPoolExecutor(
        1, lane="process", initializer=tasks.note_in, initargs=(tmp_path / "runs",)
    ) as executor:
        for _ in range(4):
            with pytest.raises(ProcessCrashError, match="SIGKILL"):
                executor.submit(abs, -1).result(PATIENCE)
            assert executor.submit(abs, -1).result(PATIENCE) == 1
            executor.submit(tasks.be_killed).exception(PATIENCE)


def test_an_interrupt_that_ends_an_initializer_is_no_failure_of_it(
    meeting: tuple[Inbox, Gate],
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(
        1, lane="process", initializer=hold, initargs=(inbox.path, gate.path)
    ) as executor:
        for _ in range(4):
            future = executor.submit(abs, -1)
            assert inbox.read() == "held"
            assert future.interrupt()  # type: ignore[attr-defined]
            with pytest.raises(TaskInterrupted):
                future.result(PATIENCE)
        gate.open()
        assert executor.submit(abs, -1).result(PATIENCE) == 1


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
