"""Which workers serve the next executor, and what is left of the last one."""

import _thread
import functools
import gc
import os
import re
import signal
import site
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import hive_tasks
import hostile_tasks
import pytest
from garbage import collect

import interp_executor
from interp_executor import (
    InterpreterPoolExecutor,
    _hive,
    close_idle_workers,
    prewarm,
    set_idle_timeout,
)
from interp_executor._hive import Hive
from interp_executor._lease import Lease
from interp_executor._pool import Pool
from interp_executor._worker_thread import WorkerThread


@pytest.fixture(autouse=True)
def empty_hive() -> Iterator[None]:
    close_idle_workers()
    yield
    set_idle_timeout(60)
    close_idle_workers()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def idle_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "interp_executor-idle"]


def warm() -> int:
    with InterpreterPoolExecutor(1) as executor:
        return executor.stats().warm


def thread_that_serves(**options: bool) -> int:
    with InterpreterPoolExecutor(1, **options) as executor:
        return executor.submit(_thread.get_ident).result()


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


def test_an_idle_worker_says_what_ends_it() -> None:
    thread_that_serves()
    (idle,) = idle_threads()
    assert "close_idle_workers()" in repr(idle)
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(_thread.get_ident).result() == idle.ident
        assert "close_idle_workers()" not in repr(idle)
    close_idle_workers()
    assert idle_threads() == []
    assert "stopped" in repr(idle)
    assert "close_idle_workers()" not in repr(idle)


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


def test_closing_the_idle_workers_waits_for_those_that_are_ending() -> None:
    for _ in range(3):
        with InterpreterPoolExecutor(4) as executor:
            list(executor.map(hive_tasks.add_one, range(100), chunksize=1))
        close_idle_workers()
        assert [t for t in threading.enumerate() if t.name.startswith("interp_executor-e")] == []


def test_closing_the_idle_workers_ends_spares_that_are_not_ready_yet() -> None:
    for _ in range(3):
        prewarm(2)
        close_idle_workers()
        assert [t for t in threading.enumerate() if isinstance(t, WorkerThread)] == []


def test_closing_the_idle_workers_waits_for_no_spare_that_a_pool_has(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]
) -> None:
    """A spare one may be leased when it has been parked and has yet to say that it is ready."""
    park, parked, go_on = Hive.park, threading.Event(), threading.Event()

    def park_and_wait(hive: Hive, worker: WorkerThread) -> bool:
        kept = park(hive, worker)
        parked.set()
        go_on.wait()
        return kept

    monkeypatch.setattr(Hive, "park", park_and_wait)
    with ExitStack() as stack:
        prewarm(1)
        parked.wait()
        executor = stack.enter_context(InterpreterPoolExecutor(1))
        future = executor.submit(hive_tasks.read_byte, pipe[0])
        stack.callback(os.write, pipe[1], b"x")
        stack.callback(go_on.set)
        closing = threading.Thread(target=close_idle_workers)
        closing.start()
        closing.join(10)
        waits = closing.is_alive()
    closing.join()
    assert not waits
    assert future.result() == b"x"


def test_closing_the_idle_workers_waits_for_none_that_was_given_up(pipe: tuple[int, int]) -> None:
    read, write = pipe
    executor = InterpreterPoolExecutor(1)
    executor.submit(hive_tasks.leave_thread, read).result()
    (worker,) = executor._threads
    executor.shutdown(wait=False)
    while not worker.ending:
        os.sched_yield()
    close_idle_workers()
    assert worker.is_alive()
    os.write(write, b"x")
    worker.join()


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


def test_prewarmed_workers_serve_the_next_executors() -> None:
    prewarm(2, wait=True)
    idents = {thread.ident for thread in idle_threads()}
    assert len(idents) == 2
    assert thread_that_serves() in idents


def test_prewarm_takes_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        prewarm(0)


def test_an_idle_worker_ends_after_its_time() -> None:
    set_idle_timeout(0)
    thread_that_serves()
    for thread in idle_threads():
        thread.join(10)
    assert warm() == 0


@pytest.mark.parametrize("seconds", [-1, float("nan"), -float("inf")])
def test_an_idle_timeout_is_at_least_0(seconds: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        set_idle_timeout(seconds)


@pytest.mark.parametrize("seconds", ["60", True])
def test_an_idle_timeout_is_a_number(seconds: Any) -> None:
    with pytest.raises(TypeError, match="number of seconds or None"):
        set_idle_timeout(seconds)


@pytest.mark.parametrize("seconds", [None, float("inf"), 1e300])
def test_an_idle_worker_may_stay_for_ever(seconds: float | None) -> None:
    set_idle_timeout(seconds)
    first = thread_that_serves()
    assert thread_that_serves() == first


def test_idle_workers_close_at_once() -> None:
    prewarm(3, wait=True)
    close_idle_workers()
    assert idle_threads() == []


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupted_start_of_a_worker_loses_no_count(
    begun: bool, monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]
) -> None:
    """Ctrl-C may come while submit() waits for a thread that is on its way."""
    read, write = pipe
    prewarm(1, wait=True)  # so that the notifier has started
    close_idle_workers()
    start = WorkerThread.start

    def interrupted(thread: WorkerThread) -> None:
        if begun:
            start(thread)
            os.read(read, 1)
        raise KeyboardInterrupt

    executor = InterpreterPoolExecutor(2, initializer=hive_tasks.write_byte, initargs=(write, b"x"))
    monkeypatch.setattr(WorkerThread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.submit(abs, -1)
    monkeypatch.undo()
    assert executor.stats().workers == int(begun)
    assert executor.submit(abs, -2).result() == 2
    executor.shutdown()
    assert executor.stats().workers == 0


def test_a_start_that_is_interrupted_at_once_loses_no_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal that came while submit() was in C takes effect where Python begins."""

    def interrupted(pool: Pool) -> bool:
        raise KeyboardInterrupt

    with InterpreterPoolExecutor(1) as executor:
        monkeypatch.setattr(Pool, "start_worker", interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(abs, -1)
        monkeypatch.undo()
        assert executor.stats().workers == 0


def test_a_parked_worker_whose_assignment_is_interrupted_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prewarm(1, wait=True)
    (worker,) = idle_threads()

    def interrupted(thread: WorkerThread, pool: Pool) -> None:
        raise KeyboardInterrupt

    with InterpreterPoolExecutor(1) as executor:
        monkeypatch.setattr(WorkerThread, "assign", interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(abs, -1)
        monkeypatch.undo()
        worker.join(30)
        assert not worker.is_alive()
        assert executor.stats().workers == 0
        assert executor.submit(abs, -2).result() == 2


def test_a_late_thread_that_was_called_off_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    prewarm(1, wait=True)
    close_idle_workers()
    late = []

    def interrupted(thread: WorkerThread) -> None:
        late.append(thread)
        raise KeyboardInterrupt

    with InterpreterPoolExecutor(1) as executor:
        monkeypatch.setattr(WorkerThread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(abs, -1)
        monkeypatch.undo()
        late[0].start()
        late[0].join()
        assert executor.stats().workers == 0


def test_nobody_waits_for_a_thread_that_was_called_off_before_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prewarm(1, wait=True)
    close_idle_workers()
    called_off = threading.Event()
    threads = []
    start, run = WorkerThread.start, WorkerThread.run

    def interrupted(thread: WorkerThread) -> None:
        threads.append(thread)
        start(thread)
        raise KeyboardInterrupt

    def late(thread: WorkerThread) -> None:
        called_off.wait()
        run(thread)

    with InterpreterPoolExecutor(1) as executor:
        monkeypatch.setattr(WorkerThread, "start", interrupted)
        monkeypatch.setattr(WorkerThread, "run", late)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(abs, -1)
        called_off.set()
        threads[0].join()
        assert _hive.hive().threads() == []


def test_closing_the_idle_workers_waits_for_one_that_has_just_been_idle_for_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unparked, closing = threading.Event(), threading.Event()
    unpark, join = Hive.unpark, Hive._join

    def unpark_slowly(hive: Hive, worker: WorkerThread) -> bool:
        done = unpark(hive, worker)
        if done:
            unparked.set()
            closing.wait()
        return done

    monkeypatch.setattr(Hive, "unpark", unpark_slowly)
    set_idle_timeout(0)
    prewarm(1)
    unparked.wait()
    (worker,) = _hive.hive().threads()
    monkeypatch.setattr(Hive, "_join", lambda *args: (closing.set(), join(*args)))
    close_idle_workers()
    alive = worker.is_alive()
    closing.set()
    worker.join()
    assert not alive


class _SubmitsAtItsEnd:
    def __init__(self, submit: Callable[[], object]) -> None:
        self.submit = submit
        self.me = self  # for the collector

    def __del__(self) -> None:
        self.submit()


def _signal(submit: Callable[[], object]) -> None:
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: submit())
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, previous)


def _collect(submit: Callable[[], object]) -> None:
    _SubmitsAtItsEnd(submit)
    collect()


@pytest.mark.parametrize("happen", [_signal, _collect])
def test_a_handler_or_a_finalizer_may_submit_from_within_a_submit(
    happen: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both run on the thread that submits, wherever it is, and it may hold the hive's lock."""
    results = []
    start_notifier = Hive._start_notifier_locked

    def interrupted(hive: Hive) -> None:
        monkeypatch.undo()
        happen(lambda: results.append(other.submit(abs, -1)))
        start_notifier(hive)

    with InterpreterPoolExecutor(1) as executor, InterpreterPoolExecutor(1) as other:
        monkeypatch.setattr(Hive, "_start_notifier_locked", interrupted)
        assert executor.submit(abs, -2).result() == 2
        assert [future.result() for future in results] == [1]


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
