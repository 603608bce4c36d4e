"""Tasks of the process lane that fork: the copy of the process leaves the owner alone."""

import multiprocessing
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import fork_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor

PATIENCE = 60

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.fixture(params=["forkserver", "spawn"])
def one(request: pytest.FixtureRequest, nothing_is_left: None) -> Iterator[InterpreterPoolExecutor]:
    """An executor with one process."""
    context = multiprocessing.get_context(request.param)
    with InterpreterPoolExecutor(1, lane="process", mp_context=context) as executor:
        yield executor


@pytest.fixture
def heard(
    capfd: pytest.CaptureFixture[str], nothing_is_left: None
) -> Iterator[InterpreterPoolExecutor]:
    """An executor whose process writes to where the test reads: a fork server may be older."""
    context = multiprocessing.get_context("spawn")
    with InterpreterPoolExecutor(1, lane="process", mp_context=context) as executor:
        yield executor


def check_answers(executor: InterpreterPoolExecutor) -> None:
    """Check that each task gets an answer, and its own."""
    futures = [executor.submit(abs, -i) for i in range(10)]
    assert [future.result(PATIENCE) for future in futures] == list(range(10))


def test_a_copy_that_returns_answers_no_task(one: InterpreterPoolExecutor) -> None:
    assert one.submit(tasks.return_in_both).result(PATIENCE) == ("task", 0)
    check_answers(one)


def test_a_copy_that_raises_answers_no_task(one: InterpreterPoolExecutor) -> None:
    future = one.submit(tasks.execute_what_there_is_not)
    assert future.result(PATIENCE) == ("task", 1)
    check_answers(one)


def test_what_a_copy_raises_is_printed(
    heard: InterpreterPoolExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    heard.submit(tasks.execute_what_there_is_not).result(PATIENCE)
    assert "FileNotFoundError" in capfd.readouterr().err


@pytest.mark.parametrize(("code", "status"), [(None, 0), (3, 3), (-1, 255), ("no luck", 1)])
def test_a_copy_exits_with_the_status_that_it_wants(
    heard: InterpreterPoolExecutor, capfd: pytest.CaptureFixture[str], code: object, status: int
) -> None:
    assert heard.submit(tasks.exit_in_the_copy, code).result(PATIENCE) == status
    assert capfd.readouterr().err == ("no luck\n" if code == "no luck" else "")


@pytest.mark.parametrize(("at", "status"), [(1, 1), (2, 0)])
def test_a_copy_runs_one_item_of_a_map(
    lane: InterpreterPoolExecutor, tmp_path: Path, at: int, status: int
) -> None:
    notes = tmp_path / "notes"
    results = lane.map(tasks.fork_at, range(4), [at] * 4, [notes] * 4, chunksize=4)
    assert list(results) == [(i, status if i == at else 0) for i in range(4)]
    assert sorted(notes.read_text().splitlines()) == [
        f"copy {at}",
        *(f"task {i}" for i in range(4)),
    ]
    check_answers(lane)


@pytest.mark.parametrize("forward", [False, True])
def test_a_copy_writes_to_the_terminal_what_it_prints(
    forward: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    context = multiprocessing.get_context("spawn")
    with InterpreterPoolExecutor(
        1, lane="process", mp_context=context, forward_output=forward
    ) as executor:
        assert executor.submit(tasks.print_in_both).result(PATIENCE) == 0
        check_answers(executor)
    assert sorted(capfd.readouterr().out.splitlines()) == ["before", "copy", "task"]


def test_a_copy_prints_although_a_thread_was_writing(
    heard: InterpreterPoolExecutor, capfd: pytest.CaptureFixture[str]
) -> None:
    future = heard.submit(tasks.print_in_a_copy_while_a_thread_writes)
    assert future.result(PATIENCE) == 0
    assert capfd.readouterr().out == "copy\n"


def test_a_copy_may_have_an_executor_of_its_own(lane: InterpreterPoolExecutor) -> None:
    assert lane.submit(tasks.fork_in_an_executor_of_the_copy).result(PATIENCE) == 7
    check_answers(lane)


def test_a_task_may_use_processes_that_are_forked(lane: InterpreterPoolExecutor) -> None:
    assert lane.submit(tasks.double_in_a_copy, 21).result(PATIENCE) == 42
    check_answers(lane)


def test_a_copy_that_lives_on_does_not_keep_the_connection(
    one: InterpreterPoolExecutor,
) -> None:
    process, copy = one.submit(tasks.leave_a_copy).result(PATIENCE)
    try:
        (worker,) = one._pool.processes
        assert worker._channel is not None
        connection = select.poll()
        connection.register(worker._channel._socket, select.POLLIN)
        os.kill(process, signal.SIGKILL)
        assert connection.poll(PATIENCE * 1000), "nobody else has the other end"
        check_answers(one)
    finally:
        os.kill(copy, signal.SIGKILL)
