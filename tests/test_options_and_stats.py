"""Views with options of their own, and what executors tell of themselves."""

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import hive_tasks
import pytest

from interp_executor import ExecutorStats, InterpreterPoolExecutor, close_idle_workers


def test_a_view_has_the_full_interface() -> None:
    with InterpreterPoolExecutor(2) as executor:
        view = executor.with_options(chunksize=7)
        assert isinstance(view, InterpreterPoolExecutor)
        assert isinstance(view, ThreadPoolExecutor)
        assert view.submit(abs, -1).result() == 1
        assert list(view.map(abs, range(-3, 0))) == [3, 2, 1]
        assert view._max_workers == 2
        assert view.stats().submitted == 1


def test_options_compose() -> None:
    with InterpreterPoolExecutor(1) as executor:
        view = executor.with_options(chunksize=7).with_options(buffersize=3)
        assert view._options == {"chunksize": 7, "buffersize": 3}
        assert view.with_options(chunksize=2)._options == {"chunksize": 2, "buffersize": 3}
        assert executor._options == {}


def test_a_views_buffersize_bounds_what_is_read_ahead() -> None:
    taken = []

    def numbers() -> "list[int]":
        for number in range(100):
            taken.append(number)
            yield number

    with InterpreterPoolExecutor(1) as executor:
        results = executor.with_options(buffersize=3).map(abs, numbers())
        assert len(taken) == 3
        assert next(results) == 0
        assert len(taken) == 4


def test_a_number_too_large_to_be_reached_is_no_limit() -> None:
    with InterpreterPoolExecutor(1 << 70, max_tasks_per_child=1 << 70) as executor:
        assert executor._max_workers == executor.stats().max_workers == 1 << 70
        assert executor.submit(abs, -1).result() == 1
        huge = executor.with_options(chunksize=1 << 70, buffersize=1 << 70)
        assert list(huge.map(abs, range(-3, 0))) == [3, 2, 1]


def test_unknown_and_unfit_options_are_refused() -> None:
    with InterpreterPoolExecutor(1) as executor:
        with pytest.raises(TypeError, match="no_such_option"):
            executor.with_options(no_such_option=1)  # type: ignore[call-arg]
        with pytest.raises(ValueError, match="chunksize"):
            executor.with_options(chunksize=0)


def test_shutdown_of_a_view_shuts_the_pool() -> None:
    executor = InterpreterPoolExecutor(1)
    executor.with_options().shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)


def test_dropping_a_view_leaves_the_executor_open() -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.with_options()
        assert executor.submit(abs, -1).result() == 1


def test_a_view_keeps_the_pool_when_the_executor_is_dropped() -> None:
    view = InterpreterPoolExecutor(1).with_options()
    assert view.submit(abs, -1).result() == 1
    view.shutdown()


def test_a_view_serves_an_event_loop() -> None:
    async def main(view: InterpreterPoolExecutor) -> int:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(view)
        return await loop.run_in_executor(None, abs, -3)

    with InterpreterPoolExecutor(1) as executor:
        assert asyncio.run(main(executor.with_options())) == 3


def test_stats_count_every_task_once() -> None:
    with InterpreterPoolExecutor(2) as executor:
        assert executor.stats().submitted == 0
        futures = [executor.submit(abs, -1) for _ in range(50)]
        futures += [executor.submit(abs, "x") for _ in range(5)]  # type: ignore[arg-type]
        for future in futures:
            future.exception()
        stats = executor.stats()
        assert isinstance(stats, ExecutorStats)
        assert (stats.submitted, stats.completed, stats.failed) == (55, 55, 5)
        assert (stats.queued, stats.running, stats.max_workers) == (0, 0, 2)


@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_stats_count_the_items_of_maps_apart(lane: str) -> None:
    with InterpreterPoolExecutor(2, lane=lane) as executor:
        assert len(list(executor.map(abs, range(1_000)))) == 1_000
        with pytest.raises(TypeError):
            list(executor.map(abs, [1, 2, "x", 3], chunksize=4))
        executor.submit(abs, -1).result()
    stats = executor.stats()
    assert (stats.mapped, stats.submitted, stats.completed) == (1_003, 1, 1)
    assert "; 1003 items mapped; " in repr(stats)


def test_stats_show_what_runs_and_what_waits() -> None:
    read, write = os.pipe()
    started, tell = os.pipe()
    with InterpreterPoolExecutor(1) as executor:
        running = executor.submit(os.write, tell, b"s")
        running.result()
        blocker = executor.submit(hive_tasks.read_byte, read)
        waiting = [executor.submit(abs, 1) for _ in range(4)]
        while not blocker.running():
            os.sched_yield()
        stats = executor.stats()
        assert (stats.running, stats.queued, stats.workers) == (1, 4, 1)
        assert executor._work_queue.qsize() == 4
        assert waiting[0].cancel()
        os.write(write, b"x")
        assert blocker.result() == b"x"
        assert [future.result() for future in waiting[1:]] == [1, 1, 1]
        with pytest.raises(CancelledError):
            waiting[0].result()
        assert executor.stats().cancelled == 1
    for fd in (read, write, started, tell):
        os.close(fd)


def test_stats_tell_how_long_each_worker_was_busy() -> None:
    with InterpreterPoolExecutor(2, thread_name_prefix="busy") as executor:
        list(executor.map(abs, range(10)))
        executor.submit(time.sleep, 0.25).result()
        stats = executor.stats()
        assert set(stats.busy) <= {"busy_0", "busy_1"}
        assert 0.2 <= max(stats.busy.values()) < 30
        assert stats.busy_before == 0
        before = sum(stats.busy.values())
        executor.submit(time.sleep, 0.1).result()
        assert sum(executor.stats().busy.values()) >= before + 0.05
    stats = executor.stats()
    assert stats.busy == {}
    assert stats.busy_before >= before + 0.05


def test_a_worker_that_waits_is_not_busy() -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(abs, 1).result()
        while executor.stats().idle == 0:
            os.sched_yield()
        (first,) = executor.stats().busy.values()
        time.sleep(0.3)
        (second,) = executor.stats().busy.values()
        assert second - first < 0.1


def test_stats_show_a_running_task_as_busy_time() -> None:
    read, write = os.pipe()
    with InterpreterPoolExecutor(1) as executor:
        future = executor.submit(hive_tasks.read_byte, read)
        while sum(executor.stats().busy.values()) < 0.1:
            assert not future.done()
        os.write(write, b"x")
        future.result()
    os.close(read)
    os.close(write)


def test_stats_count_interpreters_that_are_retired_and_those_kept() -> None:
    close_idle_workers()
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as worn:
        for _ in range(3):
            worn.submit(abs, 1).result()
    assert worn.stats().retired == 3
    with InterpreterPoolExecutor(1) as clean:
        clean.submit(abs, 1).result()
    stats = clean.stats()
    assert (stats.retired, stats.warm) == (0, 1)


def test_stats_count_interpreters_that_have_ended() -> None:
    close_idle_workers()
    executor = InterpreterPoolExecutor(1, max_tasks_per_child=1)
    before = executor.stats().ended
    with executor:
        for _ in range(3):
            executor.submit(abs, 1).result()
    close_idle_workers()
    assert executor.stats().ended == before + 3


def test_the_repr_of_stats_is_a_sentence() -> None:
    with InterpreterPoolExecutor(2) as executor:
        executor.submit(abs, -1).result()
        executor.submit(abs, "x").exception()  # type: ignore[arg-type]
        made_up = {"warm": 4, "moved": ("numpy",), "abandoned": 1, "busy": {"a": 0.25}}
        text = repr(executor.stats()._replace(**made_up, busy_before=0.5))
    start, _, rest = text.partition(" workers, ")
    assert start in ("<ExecutorStats: 1 of 2", "<ExecutorStats: 2 of 2")
    assert "; 0 queued, 0 running; 2 submitted, 2 completed (1 failed), 0 cancelled; " in rest
    assert "; 1 abandoned; busy 0.75 s" in rest
    assert rest.endswith("interpreters: 4 warm, 0 retired; moved by numpy>")


def test_a_context_in_second_place_is_an_mp_context() -> None:
    context = multiprocessing.get_context("spawn")
    with InterpreterPoolExecutor(1, context) as executor:
        assert executor._mp_context is context
        assert executor.submit(abs, -1).result() == 1
    with InterpreterPoolExecutor(1, mp_context=context) as executor:
        assert executor._mp_context is context


def test_an_mp_context_is_checked() -> None:
    with pytest.raises(TypeError, match="must be a multiprocessing context"):
        InterpreterPoolExecutor(1, mp_context="spawn")
    context = multiprocessing.get_context("spawn")
    with pytest.raises(TypeError, match="given twice"):
        InterpreterPoolExecutor(1, context, mp_context=context)
