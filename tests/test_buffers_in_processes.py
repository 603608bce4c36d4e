"""In the process lane what is large or viewed goes along by value; what is shared stays here."""

import array
from collections.abc import Callable
from typing import Any

import buffer_tasks as tasks
import pytest

from interp_executor import IncompatibleModuleError, InterpreterPoolExecutor, SharedBuffer
from interp_executor._lane import incompatible

LARGE = 300_000


@pytest.fixture
def processes(executor: InterpreterPoolExecutor) -> InterpreterPoolExecutor:
    return executor.with_options(lane="process")


def test_large_values_and_read_only_views_go_along(processes: InterpreterPoolExecutor) -> None:
    values = [
        b"b" * LARGE,
        "漢" * LARGE,
        bytearray(LARGE),
        array.array("d", [1.5]) * LARGE,
        tasks.Holder(b"c" * LARGE),
    ]
    for value in values:
        assert processes.submit(tasks.echo, value).result() == value
        assert processes.submit(tasks.echo, [value, 1]).result() == [value, 1]
    assert list(processes.map(tasks.echo, values)) == values


def test_a_read_only_view_arrives_as_a_view_of_a_copy(processes: InterpreterPoolExecutor) -> None:
    view = memoryview(bytes(range(240))).cast("B", (24, 10))[::2]
    described = processes.submit(tasks.describe, view).result()
    format_, itemsize, ndim, shape, strides, read_only, nbytes, contiguous, data = described
    assert (format_, itemsize, ndim, shape, read_only) == ("B", 1, 2, (12, 10), True)
    assert (strides, nbytes, contiguous, data) == ((10, 1), 120, True, view.tobytes())
    names = processes.submit(tasks.type_names, [view, {"a": view}]).result()
    assert names == ["memoryview", "dict"]


def test_what_a_function_carries_goes_along(processes: InterpreterPoolExecutor) -> None:
    view, large = memoryview(b"carried"), b"x" * LARGE
    call: Callable[[], Any] = lambda: (bytes(view), len(large))  # noqa: E731
    assert processes.submit(call).result() == (b"carried", LARGE)


@pytest.mark.parametrize(
    "shared",
    [SharedBuffer(10), memoryview(bytearray(10)), [SharedBuffer(10)]],
    ids=["shared buffer", "writable view", "list"],
)
def test_what_is_shared_stays_in_this_process(
    processes: InterpreterPoolExecutor, shared: Any
) -> None:
    for call in (
        lambda: processes.submit(tasks.echo, shared).result(),
        lambda: list(processes.map(tasks.echo, [shared])),
        lambda: processes.submit(lambda: shared).result(),
    ):
        with pytest.raises(IncompatibleModuleError, match="a process writes there would be lost"):
            call()
    assert processes.submit(tasks.size, b"12").result() == 2


def test_the_items_of_a_map_before_a_shared_one_run(processes: InterpreterPoolExecutor) -> None:
    results = processes.map(tasks.echo, [0, 1, 2, SharedBuffer(1), 4], chunksize=5)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(IncompatibleModuleError, match="a process writes there would be lost"):
        next(results)


def test_an_array_of_numpy_is_told_how_to_stay() -> None:
    error = incompatible("numpy._core._multiarray_umath", "it was asked to stay")
    assert "To stay, pass memoryview(array): typed, shaped and not copied" in str(error)
    assert "memoryview" not in str(incompatible("lxml.etree", "it was asked to stay"))
