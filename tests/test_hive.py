"""Which workers serve the next executor, and what is left of the last one."""

import _thread
import os
import threading
from collections.abc import Iterator

import hive_tasks
import pytest

import interp_executor
from interp_executor import InterpreterPoolExecutor, close_idle_workers, prewarm, set_idle_timeout


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


def test_a_worker_that_imported_a_module_ends_with_its_executor() -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(hive_tasks.count_calls).result()
    assert warm() == 0
    assert idle_threads() == []


def test_a_worker_that_got_code_by_value_ends_with_its_executor() -> None:
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(lambda: 1).result() == 1
    assert warm() == 0


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
        assert len(executor.submit(hive_tasks.traces).result()) == 8
    assert warm() == 1
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        assert executor.submit(hive_tasks.traces).result() == []


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


def test_an_idle_timeout_is_not_negative() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        set_idle_timeout(-1)


def test_idle_workers_close_at_once() -> None:
    prewarm(3, wait=True)
    close_idle_workers()
    assert idle_threads() == []


def test_the_number_of_interpreters_stays_bounded() -> None:
    for _ in range(20):
        with InterpreterPoolExecutor(2) as executor:
            list(executor.map(abs, range(10)))
    assert len(idle_threads()) <= 2


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
