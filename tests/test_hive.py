"""Which workers serve the next executor, and how many interpreters there are meanwhile."""

import _thread
import functools
import os
import site
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import hive_tasks
import pytest
from hives import idle_threads, thread_that_serves, warm

import interp_executor
from interp_executor import (
    InterpreterPoolExecutor,
    _hive,
    close_idle_workers,
)
from interp_executor._lease import Lease

pytestmark = pytest.mark.usefixtures("empty_hive")


def test_a_worker_that_ran_builtins_alone_serves_the_next_executor() -> None:
    assert thread_that_serves() == thread_that_serves()
    assert warm() == 1


def test_a_worker_waits_for_the_next_executor_before_the_last_one_is_shut_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who comes next would start another interpreter if it came between the two."""
    end, waiting = Lease.end, []

    def end_when_noted(lease: Lease) -> None:
        waiting.append(_hive.hive().warm())
        end(lease)

    monkeypatch.setattr(Lease, "end", end_when_noted)
    first = thread_that_serves()
    assert [thread_that_serves(), thread_that_serves(reuse=True)] == [first, first]
    assert waiting == [1, 1, 1]


def test_a_worker_that_imported_a_module_ends_with_its_executor() -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(hive_tasks.count_calls).result()
    assert warm() == 0
    assert idle_threads() == []


def test_a_worker_that_got_code_by_value_ends_with_its_executor() -> None:
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(lambda: 1).result() == 1
    assert warm() == 0


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (exec, "import builtins; builtins.left_behind = 1"),
        (eval, "globals().update(left_behind=1)"),
        (functools.partial(exec, "left_behind = 1"), {}),
        (sys.setrecursionlimit, 4321),
        (sys.setswitchinterval, 0.5),
    ],
)
def test_a_worker_that_a_builtin_changed_ends_with_its_executor(
    function: Callable[[object], object], argument: object
) -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(function, argument).result()
    assert warm() == 0


class _UnknownWarning(UserWarning):
    """Of a module that no worker loads."""


@pytest.mark.parametrize("born", ["before", "after"])
def test_a_filter_for_a_class_that_no_worker_knows_keeps_none_from_serving_again(born: str) -> None:
    before = thread_that_serves() if born == "before" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _UnknownWarning)
        threads = {thread_that_serves() for _ in range(3)}
    assert len(threads) == 1
    if before is not None:
        assert threads == {before}


def test_a_worker_that_ran_an_initializer_ends_with_its_executor() -> None:
    with InterpreterPoolExecutor(1, initializer=abs, initargs=(1,)) as executor:
        executor.submit(abs, 1).result()
    assert warm() == 0


def test_globals_do_not_live_on_in_the_next_executor() -> None:
    for options in ({}, {"reuse": True}, {"reuse": True}):
        with InterpreterPoolExecutor(1, **options) as executor:  # type: ignore[arg-type]
            calls = [executor.submit(hive_tasks.count_calls).result() for _ in range(2)]
        assert calls == [1, 2]


def test_a_reused_worker_is_the_same_one() -> None:
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        executor.submit(hive_tasks.count_calls).result()
        thread = executor.submit(_thread.get_ident).result()
    assert thread_that_serves(reuse=True) == thread


def test_a_scrubbed_worker_serves_none_but_those_that_reuse() -> None:
    clean = thread_that_serves()
    scrubbed = thread_that_serves(reuse=True)  # the clean one, which has been one since
    assert scrubbed == clean
    assert thread_that_serves() != scrubbed
    assert warm() == 2
    assert thread_that_serves(reuse=True) == scrubbed


def test_a_worker_in_which_sys_path_has_changed_is_not_kept() -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(site.addsitedir, "/left").result()
    kept = warm()
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(site.makepath, "/left").result()
    assert (kept, warm()) == (0, 1)


def test_a_worker_with_a_thread_left_running_is_not_reused(pipe: tuple[int, int]) -> None:
    read, write = pipe
    executor = InterpreterPoolExecutor(1, reuse=True)
    executor.submit(hive_tasks.leave_thread, read).result()
    (worker,) = executor._threads
    executor.shutdown(wait=False)
    while not worker.ending:  # it has seen the thread, and ends: which waits for its threads
        os.sched_yield()
    os.write(write, b"x")
    executor.shutdown()
    assert executor.stats().warm == 0


def test_shutdown_waits_for_a_thread_that_nobody_joins(pipe: tuple[int, int]) -> None:
    ended, tell = os.pipe()
    executor = InterpreterPoolExecutor(1)
    executor.submit(hive_tasks.leave_raw_thread, pipe[0], tell).result()
    (worker,) = executor._threads
    executor.shutdown(wait=False)
    while not worker.ending:
        os.sched_yield()
    os.write(pipe[1], b"x")
    executor.shutdown()
    os.set_blocking(ended, False)
    assert os.read(ended, 1) == b"!"
    os.close(ended)
    os.close(tell)


def test_the_number_of_interpreters_stays_bounded() -> None:
    for _ in range(20):
        with InterpreterPoolExecutor(2) as executor:
            list(executor.map(abs, range(10)))
    assert len(idle_threads()) <= 2


@pytest.fixture
def let_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Until this is called, interpreters do not get to end behind, as 8 may."""
    monkeypatch.setattr(_hive, "_MOST_ENDING_BEHIND", 8)
    with ExitStack() as held:
        held.enter_context(_hive.hive()._ending)
        yield held.close


def test_so_many_interpreters_end_behind_and_no_more(
    let_end: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hive, "_PATIENCE_OF_NEW_ONES", 0)
    ending_behind = _hive.hive()._ending_behind
    for most in (3, 6, 8, 8):
        with InterpreterPoolExecutor(3) as executor:
            list(executor.map(hive_tasks.add_one, range(30), chunksize=1))
            assert 1 <= executor.stats().workers <= 3
        assert len(ending_behind) <= most
    assert len(ending_behind) >= 4  # one at least per executor
    let_end()
    close_idle_workers()
    assert len(ending_behind) == 0


def test_interpreters_that_end_behind_go_before_new_ones(
    let_end: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hive, "_PATIENCE_OF_NEW_ONES", 60.0)
    monkeypatch.setattr(_hive, "_MOST_BESIDE_NEW_ONES", 0)
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(hive_tasks.add_one, 1).result()
    with InterpreterPoolExecutor(1) as executor:
        future = executor.submit(hive_tasks.add_one, 1)
        with pytest.raises(TimeoutError):
            future.result(0.1)
        let_end()
        assert future.result() == 2


def test_a_worn_worker_is_replaced() -> None:
    with InterpreterPoolExecutor(1, max_tasks_per_child=2) as executor:
        threads = [executor.submit(_thread.get_ident) for _ in range(6)]
        idents = [future.result() for future in threads]
    assert idents[0] == idents[1]
    assert idents[2] == idents[3]
    assert idents[4] == idents[5]


def test_the_worker_carries_the_present_executors_name() -> None:
    for prefix in ("first", "second"):
        with InterpreterPoolExecutor(1, prefix) as executor:
            executor.submit(abs, 1).result()
            assert [thread.name for thread in executor._threads] == [f"{prefix}_0"]


def test_the_package_says_what_it_does_not_have() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        interp_executor.no_such_name  # noqa: B018
    assert "prewarm" in dir(interp_executor)
