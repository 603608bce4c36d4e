"""map() as one job: claims, fairness towards submit(), and results that come while work goes on."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import hive_tasks
import pytest

from interp_executor import InterpreterPoolExecutor


@pytest.mark.parametrize("workers", [1, 2])
def test_a_later_submit_waits_for_one_claim_at_most(workers: int, pipe: tuple[int, int]) -> None:
    read, write = pipe
    with InterpreterPoolExecutor(workers) as executor:
        results = executor.map(hive_tasks.read_byte, [read] * 20)  # unmeasured: claims of one
        while executor.stats().running < workers:
            os.sched_yield()
        later = executor.submit(abs, -1)
        os.write(write, b"0")
        assert later.result(30) == 1
        os.write(write, b"1" * 19)
        assert sorted(results) == [b"0"] + [b"1"] * 19


def test_a_long_item_does_not_hold_back_those_before_it_in_its_claim(
    executor: InterpreterPoolExecutor, pipe: tuple[int, int]
) -> None:
    read, write = pipe
    where = 500
    items = range(1000)
    results = executor.map(
        hive_tasks.read_at, [read] * 1000, [where] * 1000, items, chunksize=1000, timeout=60
    )
    assert [next(results) for _ in range(where)] == list(items[:where])
    os.write(write, b"x")
    assert list(results) == list(items[where:])


def test_what_a_claim_under_way_has_done_is_there_within_50_ms_at_best(
    executor: InterpreterPoolExecutor, pipe: tuple[int, int]
) -> None:
    read, write = pipe
    reached, tell = os.pipe()
    where = 500
    times = []
    for _ in range(5):
        arguments = ([tell] * 1000, [read] * 1000, [where] * 1000, range(1000))
        results = executor.map(hive_tasks.tell_and_read_at, *arguments, chunksize=1000)
        os.read(reached, 1)
        started = time.monotonic()
        assert [next(results) for _ in range(where)] == list(range(where))
        times.append(time.monotonic() - started)
        os.write(write, b"x")
        assert list(results) == list(range(where, 1000))
    os.close(reached)
    os.close(tell)
    assert min(times) < 0.05


def test_an_explicit_chunksize_is_one_claim(executor: InterpreterPoolExecutor) -> None:
    before = executor.stats().submitted
    assert list(executor.map(abs, range(-100, 0), chunksize=7)) == list(range(100, 0, -1))
    assert executor.stats().submitted == before, "a map is a job, not tasks"


def test_work_starts_before_the_inputs_end(
    executor: InterpreterPoolExecutor, pipe: tuple[int, int]
) -> None:
    read, write = pipe

    def inputs() -> Iterator[int]:
        yield write
        assert os.read(read, 1) == b"x"  # written by the first item's task
        yield write

    assert list(executor.map(hive_tasks.write_byte, inputs(), [b"x"] * 2)) == [None, None]
    assert os.read(read, 1) == b"x"


def test_closing_the_iterator_stops_a_claim_under_way(
    executor: InterpreterPoolExecutor, pipe: tuple[int, int]
) -> None:
    read, write = pipe
    items = range(1000)
    results = executor.map(hive_tasks.read_at, [read] * 1000, [10] * 1000, items, chunksize=1000)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    os.write(write, b"x")
    assert list(results) == []
    assert executor.submit(abs, -1).result() == 1


def test_cancelling_shutdown_ends_a_map() -> None:
    read, write = os.pipe()
    executor = InterpreterPoolExecutor(1)
    results = executor.map(hive_tasks.read_byte, [read] * 50)
    pending = executor.submit(abs, 1)
    stopper = threading.Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
    stopper.start()
    while not pending.cancelled():  # the map has left the queue together with it
        os.sched_yield()
    os.write(write, b"x" * 50)
    stopper.join()
    with pytest.raises(CancelledError):
        while True:
            assert next(results) == b"x"
    os.close(read)
    os.close(write)


def test_a_map_may_not_be_read_while_it_is_being_read(executor: InterpreterPoolExecutor) -> None:
    refusals = []

    def inputs() -> Iterator[int]:
        yield 1
        with pytest.raises(ValueError, match="already executing") as caught:
            next(results)
        refusals.append(caught)
        yield 2

    results = executor.map(abs, inputs(), buffersize=1)
    assert list(results) == [1, 2]
    assert len(refusals) == 1


def test_a_map_may_not_be_closed_while_it_is_being_fed(executor: InterpreterPoolExecutor) -> None:
    refusals = []

    def inputs() -> Iterator[int]:
        yield 1
        with pytest.raises(ValueError, match="already executing") as caught:
            results.close()  # type: ignore[attr-defined]
        refusals.append(caught)
        yield 2

    results = executor.map(max, inputs(), [0, 0], buffersize=1)
    assert list(results) == [1, 2]
    assert len(refusals) == 1


def test_many_items_of_all_sizes_come_back_in_order() -> None:
    sizes = [0, 1, 10, 1000, 100_000]
    items = [b"x" * sizes[i % 5] + str(i).encode() for i in range(2000)]
    with InterpreterPoolExecutor(2) as executor:
        assert list(executor.map(bytes, items)) == items
        assert list(executor.map(bytes, items, chunksize=3)) == items
        assert list(executor.map(bytes, items, buffersize=5)) == items
