"""What is left of a lease when a worker has been scrubbed, and when it ends: nothing."""

import _thread
import gc
import os
import re
import sys
from collections.abc import Callable

import hive_tasks
import hostile_tasks
import pytest
from hives import warm

from interp_executor import (
    InterpreterPoolExecutor,
    close_idle_workers,
)

pytestmark = pytest.mark.usefixtures("empty_hive")


def test_scrubbing_undoes_what_tasks_left_behind() -> None:
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        executor.submit(hive_tasks.leave_traces).result()
        assert len(executor.submit(hive_tasks.traces).result()) == 10
    assert warm() == 1
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        assert executor.submit(hive_tasks.traces).result() == []


def test_scrubbing_makes_the_standard_library_forget() -> None:
    with InterpreterPoolExecutor(1, initializer=hive_tasks.tell_stdlib, reuse=True) as executor:
        assert len(executor.submit(hive_tasks.what_stdlib_knows).result()) == 8
        thread = executor.submit(_thread.get_ident).result()
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        assert executor.submit(_thread.get_ident).result() == thread
        assert executor.submit(hive_tasks.what_stdlib_knows).result() == []


def test_scrubbing_leaves_the_standard_library_its_ways_to_pickle() -> None:
    for told in ((), (hive_tasks.Thing, complex, re.Pattern), ()):
        with InterpreterPoolExecutor(1, reuse=True) as executor:
            assert executor.submit(hive_tasks.pickled_rudely).result() == []
            assert executor.submit(hive_tasks.make_pattern).result() == re.compile("a+")
            executor.submit(hive_tasks.tell_copyreg, *told).result()
            names = executor.submit(hive_tasks.pickled_rudely).result()
            assert sorted(names) == sorted(kind.__name__ for kind in told)


@pytest.mark.parametrize(
    "keep",
    [
        hive_tasks.keep_in_typing,
        hive_tasks.keep_in_context,
        hive_tasks.keep_in_fork_hook,
        hive_tasks.keep_in_ctypes,
        hive_tasks.keep_in_overloads,
        hive_tasks.keep_in_reducer,
        hive_tasks.keep_in_filter,
        hive_tasks.keep_in_function_type,
    ],
)
def test_scrubbing_frees_what_is_remembered_elsewhere(
    pipe: tuple[int, int], keep: Callable[[int], object]
) -> None:
    os.set_blocking(pipe[0], False)
    for _ in range(2):
        with InterpreterPoolExecutor(1, reuse=True) as executor:
            executor.submit(keep, pipe[1]).result()
        assert warm() == 1
        assert os.read(pipe[0], 10) == b"x"


def test_what_the_scrub_frees_changes_nothing_behind_it() -> None:
    for _ in range(2):
        with InterpreterPoolExecutor(1, reuse=True) as executor:
            assert executor.submit(hive_tasks.precisions).result() == (28, 28)
            executor.submit(hive_tasks.leave_decimal_context).result()
            assert executor.submit(hive_tasks.precisions).result() == (6, 7)
        assert warm() == 1


@pytest.mark.parametrize("add", [sys.addaudithook, hive_tasks.add_audit_hook])
@pytest.mark.parametrize("reuse", [False, True])
def test_a_worker_with_an_audit_hook_ends_with_its_executor(
    add: Callable[[object], object], reuse: bool
) -> None:
    with InterpreterPoolExecutor(1, reuse=reuse) as executor:
        executor.submit(add, id).result()
    assert warm() == 0


@pytest.mark.parametrize("hooks", [{}, {"before": 1}, {"after": id}])
def test_hooks_for_a_fork_are_checked(hooks: dict[str, object]) -> None:
    with InterpreterPoolExecutor(1) as executor, pytest.raises(TypeError) as caught:
        executor.submit(os.register_at_fork, **hooks).result()  # type: ignore[arg-type]
    with pytest.raises(TypeError) as expected:
        os.register_at_fork(**hooks)  # type: ignore[arg-type]
    assert str(caught.value) == str(expected.value)


def test_nothing_monitors_a_scrubbed_worker(pipe: tuple[int, int]) -> None:
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        assert executor.submit(hive_tasks.monitor, pipe[1], True).result() == [None] * 6
        thread = executor.submit(_thread.get_ident).result()
    assert os.read(pipe[0], 100_000)  # what the scrub itself called, at the least
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        assert executor.submit(_thread.get_ident).result() == thread
        assert executor.submit(hive_tasks.monitor, pipe[1], False).result() == [None] * 6
        executor.submit(hive_tasks.count_calls).result()
    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 100_000)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_each_lease_may_set_how_processes_start(method: str) -> None:
    for each in ("spawn", method):
        with InterpreterPoolExecutor(1, reuse=True) as executor:
            assert executor.submit(hive_tasks.set_start_method, each).result() == each


def test_exit_callbacks_that_were_taken_back_do_not_run(pipe: tuple[int, int]) -> None:
    read, write = pipe
    for reuse in (False, True, True):
        with InterpreterPoolExecutor(1, reuse=reuse) as executor:
            executor.submit(hive_tasks.take_back_exit, write, b"x").result()
        close_idle_workers()
    os.write(write, b"!")
    assert os.read(read, 10) == b"!"


def test_threads_end_before_exit_callbacks_run(pipe: tuple[int, int]) -> None:
    read, write = pipe
    for reuse in (False, True):
        with InterpreterPoolExecutor(1, reuse=reuse) as executor:
            executor.submit(hive_tasks.leave_thread_and_exit, write).result()
        close_idle_workers()
        assert os.read(read, 10) == b"12"


def test_daemonic_processes_end_with_every_lease() -> None:
    for _ in range(2):
        with InterpreterPoolExecutor(1, reuse=True) as executor:
            child = executor.submit(hive_tasks.leave_daemon_child).result()
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_exit_callbacks_run_when_a_lease_ends(pipe: tuple[int, int]) -> None:
    read, write = pipe
    for reuse in (False, True, True):
        with InterpreterPoolExecutor(1, reuse=reuse) as executor:
            executor.submit(hive_tasks.register_exit, write, b"x").result()
        assert os.read(read, 10) == b"x"


def test_finalizers_work_in_every_lease(pipe: tuple[int, int]) -> None:
    read, write = pipe
    for reuse in (False, True, True):
        with InterpreterPoolExecutor(1, reuse=reuse) as executor:
            assert executor.submit(hive_tasks.leave_finalizer, write, b"x").result()
        assert os.read(read, 10) == b"x"


def test_shutdown_has_destroyed_what_tasks_kept(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(read, False)
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(hive_tasks.keep_cycle, write, b"x").result()
    assert os.read(read, 10) == b"x"  # although the interpreter may be ending still


def test_a_scrubbed_worker_sends_results_by_value_again() -> None:
    for _ in range(2):
        with InterpreterPoolExecutor(1, reuse=True) as executor:
            double = executor.submit(hive_tasks.make_doubler).result()
            assert double(4) == 8


def test_settings_of_builtins_do_not_live_on_in_the_next_executor() -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(gc.disable).result()
    assert warm() == 0
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        executor.submit(hostile_tasks.leave_settings).result()
        assert executor.submit(hostile_tasks.settings).result() == (False, True, 1, 3)
    assert warm() == 1
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        assert executor.submit(hostile_tasks.settings).result() == (True, False, 0, 0)


def test_exit_callbacks_that_raise_are_shown_and_the_worker_is_kept(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        executor.submit(hostile_tasks.fail_at_exit).result()
    assert warm() == 1
    shown = capfd.readouterr().err
    assert shown.count("Exception ignored in atexit callback") == 2
    assert "SystemExit: 3" in shown
    assert not caplog.records


@pytest.mark.parametrize("how", ["delete", "close", "detach", "replace"])
@pytest.mark.parametrize("reuse", [False, True])
def test_what_a_task_does_to_its_output_is_quiet_and_ends_with_its_executor(
    how: str,
    reuse: bool,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with InterpreterPoolExecutor(1, reuse=reuse) as executor:
        executor.submit(hostile_tasks.replace_streams, how).result()
        assert executor.submit(abs, -1).result() == 1
    with InterpreterPoolExecutor(1, reuse=reuse) as executor:
        executor.submit(print, "printed after").result()
    assert capfd.readouterr() == ("printed before\nprinted after\n", "")
    assert not caplog.records
