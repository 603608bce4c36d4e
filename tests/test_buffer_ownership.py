"""A source lives exactly as long as the last view on it, wherever that is."""

import gc
import os
import select
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import buffer_tasks as tasks
import hive_tasks
import pytest

from interp_executor import InterpreterPoolExecutor, close_idle_workers
from interp_executor._hive import Hive, hive
from interp_executor._lease import Departure

PATIENCE = 20.0


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for what happens in another thread, with nothing else to go by."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail(f"this never happened: {what}")


def watched(data: bytes = b"data") -> tuple[memoryview, "weakref.ref[tasks.Source]"]:
    source = tasks.Source(bytearray(data))
    return memoryview(source), weakref.ref(source)


@pytest.fixture
def others() -> Iterator[None]:
    """Leave no worker that waits for views to go."""
    yield
    gc.collect()
    until(lambda: not hive()._lingering, "the last worker with views on it ended")


def test_a_source_is_released_when_the_result_is_there(executor: InterpreterPoolExecutor) -> None:
    view, source = watched()
    future = executor.submit(tasks.size, view)
    del view
    assert future.result() == 4
    until(lambda: source() is None, "the source went")


def test_a_source_stays_while_a_global_of_the_worker_views_it(
    executor: InterpreterPoolExecutor,
) -> None:
    view, source = watched()
    executor.submit(tasks.keep, view).result()
    del view
    gc.collect()
    assert executor.submit(tasks.kept_bytes).result() == [b"data"]
    assert source() is not None
    executor.submit(tasks.forget).result()
    until(lambda: source() is None, "the source went")


def test_a_view_kept_by_a_worker_goes_with_it() -> None:
    view, source = watched()
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(tasks.keep, view).result()
        del view
        assert source() is not None
    until(lambda: source() is None, "the source went")


def test_a_view_kept_by_a_retired_worker_goes_with_it() -> None:
    view, source = watched()
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as executor:
        executor.submit(tasks.keep, view).result()
        del view
        assert executor.submit(tasks.kept_bytes).result() == []
        until(lambda: source() is None, "the source went")


def test_results_stay_valid_after_shutdown(others: None) -> None:
    with InterpreterPoolExecutor(1) as executor:
        view = executor.submit(tasks.make_view, 1000).result()
        unread = executor.submit(tasks.make_view, 500)
    close_idle_workers()
    assert bytes(view) == b"\7" * 1000
    view[0] = 1
    assert bytes(unread.result()) == b"\7" * 500
    assert view[0] == 1


def test_a_view_of_a_view_holds_what_is_behind(others: None) -> None:
    with InterpreterPoolExecutor(1) as executor:
        view = executor.submit(tasks.make_view, 1000).result()
        part = view[10:20]
        back = executor.submit(tasks.echo, part).result()
    del view, part
    gc.collect()
    assert bytes(back) == b"\7" * 10


def test_a_worker_that_is_viewed_outlives_its_retirement(others: None) -> None:
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as executor:
        views = [executor.submit(tasks.make_view, 100, i).result() for i in range(4)]
        assert [bytes(view) for view in views] == [bytes([i]) * 100 for i in range(4)]
        assert executor.stats().workers <= 1
    assert [view[0] for view in views] == [0, 1, 2, 3]


def test_results_outlive_an_executor_that_is_collected(others: None) -> None:
    executor = InterpreterPoolExecutor(1)
    view = executor.submit(tasks.make_view, 100).result()
    pool = weakref.ref(executor._pool)
    del executor
    until(lambda: gc.collect() is not None and pool() is None, "the pool went")
    assert bytes(view) == b"\7" * 100


def test_a_viewed_worker_ends_when_its_last_view_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    lingers = threading.Event()
    begin_lingering = Hive.begin_lingering

    def begin_lingering_and_tell(self: Hive, departure: Departure) -> None:
        begin_lingering(self, departure)
        lingers.set()

    monkeypatch.setattr(Hive, "begin_lingering", begin_lingering_and_tell)
    with InterpreterPoolExecutor(1, initializer=tasks.forget) as executor:
        view = executor.submit(tasks.make_view, 100).result()
    assert lingers.wait(PATIENCE)
    assert len(hive()._lingering) == 1
    del view
    until(lambda: not hive()._lingering, "the worker ended")


def test_an_idle_worker_gets_its_memory_back(executor: InterpreterPoolExecutor) -> None:
    view = executor.submit(_make_watched).result()
    assert executor.submit(_is_watched_alive).result()
    del view
    until(lambda: not _seen_alive(executor), "the idle worker let its source go")


@pytest.mark.parametrize("shared", [False, True])
def test_a_worker_need_not_be_woken_to_get_its_memory_back(shared: bool) -> None:
    """Nor where a thread that a task has left shares its GIL."""
    with InterpreterPoolExecutor(1) as executor, ExitStack() as stack:
        fds = [fd for _ in range(2) for fd in os.pipe()]
        for fd in fds:
            stack.callback(os.close, fd)
        told, tell, end, end_thread = fds
        if shared:
            executor.submit(hive_tasks.leave_thread, end).result()
            stack.callback(os.write, end_thread, b"!")
        for _ in range(3):
            view = executor.submit(_make_telling, tell).result()
            until(lambda: executor.stats().idle == 1, "the worker was idle")
            del view
            assert select.select([told], [], [], PATIENCE)[0]
            os.read(told, 1)


def _make_telling(fd: int) -> memoryview:
    view, source = watched()
    weakref.finalize(source(), os.write, fd, b"!").atexit = False
    return view


_watched: "weakref.ref[tasks.Source] | None" = None


def _make_watched() -> memoryview:
    global _watched
    view, _watched = watched()
    return view


def _is_watched_alive() -> bool:
    assert _watched is not None
    return _watched() is not None


def _seen_alive(executor: InterpreterPoolExecutor) -> bool:
    return executor.submit(_is_watched_alive).result()


def test_an_idle_owner_gets_its_memory_back_without_a_call(
    executor: InterpreterPoolExecutor,
) -> None:
    view, source = watched()
    future = executor.submit(_keep_for_a_moment, view)
    del view
    until(future.done, "the task ended")
    until(lambda: source() is None, "the source went although nobody asked for the result")
    assert future.result() is None


def _keep_for_a_moment(view: memoryview) -> None:
    assert len(view) == 4


def test_a_cancelled_task_gives_its_views_back() -> None:
    entered = threading.Event()
    view, source = watched()
    executor = InterpreterPoolExecutor(1, initializer=tasks.forget)
    first = executor.submit(tasks.size, b"")
    second = executor.submit(tasks.size, view)
    del view
    cancelled = second.cancel()
    entered.set()
    executor.shutdown()
    assert first.result() == 0
    assert cancelled == second.cancelled()
    del second
    until(lambda: source() is None, "the source went")


def test_a_submit_that_is_refused_keeps_nothing() -> None:
    executor = InterpreterPoolExecutor(1)
    executor.shutdown()
    view, source = watched()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(tasks.size, view)
    del view
    until(lambda: source() is None, "the source went")


def test_a_future_that_is_dropped_gives_its_result_back(others: None) -> None:
    executor = InterpreterPoolExecutor(1)
    future = executor.submit(tasks.make_view, 100)
    until(future.done, "the task ended")
    executor.shutdown()
    del future
    until(lambda: not hive()._lingering, "the worker ended")


def test_tasks_of_a_broken_pool_give_their_views_back() -> None:
    view, source = watched()
    executor = InterpreterPoolExecutor(1, initializer=_fail)
    future = executor.submit(tasks.size, view)
    del view
    assert future.exception(PATIENCE) is not None
    executor.shutdown()
    del future
    until(lambda: gc.collect() is not None and source() is None, "the source went")


def _fail() -> None:
    raise ValueError("no")
