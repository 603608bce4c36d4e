"""Arrays of NumPy's, to the process lane and back, as ProcessPoolExecutor has them."""

from collections.abc import Iterator
from typing import Any

import pytest

from interp_executor import InterpreterPoolExecutor, ProcessCrashError

np = pytest.importorskip("numpy")

import array_tasks as tasks

SHAPES = [(3,), (400, 300), (50, 40, 30)]


@pytest.fixture
def executor(nothing_is_left: None) -> Iterator[InterpreterPoolExecutor]:
    with InterpreterPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_an_array_arrives_and_returns_with_its_layout(
    executor: InterpreterPoolExecutor, shape: tuple[int, ...], order: str
) -> None:
    given = tasks.make(shape, order)
    returned = executor.submit(tasks.make, shape, order).result()
    assert returned.flags[f"{order}_CONTIGUOUS"] and (returned == given).all()
    assert executor.submit(tasks.total, given).result() == given.sum()
    assert executor.submit(tasks.total, given[::2]).result() == given[::2].sum()
    assert executor.submit(tasks.total, {"a": [given, 1]}["a"][0].T).result() == given.sum()


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_task_may_change_its_array_and_the_owner_the_result(
    executor: InterpreterPoolExecutor, shape: tuple[int, ...]
) -> None:
    given = np.ones(shape)
    returned = executor.submit(tasks.double_in_place, given).result()
    assert (given == 1).all() and (returned == 2).all()
    returned += 1
    assert (executor.submit(tasks.double_in_place, returned).result() == 6).all()
    assert (returned == 3).all()


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_an_array_that_is_read_only_stays_so(
    executor: InterpreterPoolExecutor, shape: tuple[int, ...]
) -> None:
    given = np.ones(shape)
    assert executor.submit(tasks.is_writeable, given).result()
    given.flags.writeable = False
    assert not executor.submit(tasks.is_writeable, given).result()


def test_dtypes_and_objects_cross(executor: InterpreterPoolExecutor) -> None:
    records = np.zeros(20_000, dtype=[("name", "U8"), ("value", "f8")])
    records["name"][5] = "fifth"
    objects = np.array([1, "two", None] * 1000, dtype=object)
    for given in (records, objects, np.array(3.5), np.zeros((0, 4)), np.ma.masked_less([1, 2], 2)):
        returned = executor.submit(np.copy, given).result()
        assert returned.dtype == given.dtype and np.array_equal(returned, np.asarray(given))


def test_a_task_may_keep_its_array_and_results_outlive_the_executor() -> None:
    with InterpreterPoolExecutor(1) as executor:
        for i in range(3):
            executor.submit(tasks.keep, np.full(200_000, float(i))).result()
        assert executor.submit(tasks.kept_totals).result() == [i * 200_000.0 for i in range(3)]
        results = list(executor.map(tasks.double_in_place, [np.full(50_000, 1.0)] * 5))
    assert all((result == 2).all() for result in results)


def test_an_abort_in_a_claim_of_a_map_costs_that_map_and_nothing_else(
    executor: InterpreterPoolExecutor,
) -> None:
    others = [executor.submit(tasks.total, np.ones(i)) for i in range(25)]
    doomed = executor.map(tasks.abort_at, range(20), [7] * 20)
    others += [executor.submit(tasks.total, np.ones(i)) for i in range(25)]
    results: list[Any] = []
    with pytest.raises(ProcessCrashError, match="SIGABRT"):
        results.extend(doomed)
    assert results == [2 * i for i in range(len(results))] and len(results) <= 7
    assert [other.result() for other in others] == [float(i) for i in range(25)] * 2
