"""Large bytes, str, bytearray and array: their value as it was sent, in an object of one's own."""

import array
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import buffer_tasks as tasks
import hive_tasks
import pytest

from interp_executor import InterpreterPoolExecutor, SharedBuffer

LARGE = 1_000_003

VALUES: list[Any] = [
    b"\x05" * LARGE,
    "a" * LARGE,
    "é" * LARGE,
    "漢" * LARGE,
    "\U0001f600" * LARGE,
    "lone surrogate \udc80" * (LARGE // 10),
    bytearray(b"\x07") * LARGE,
    array.array("d", [1.5]) * LARGE,
    array.array("b", [-3]) * LARGE,
    array.array("w" if "w" in array.typecodes else "u", "漢é") * LARGE,
]


def name(value: Any) -> str:
    code = getattr(value, "typecode", "")
    return f"{type(value).__name__}{code}" + (f"-{max(value)!a}" if isinstance(value, str) else "")


@contextmanager
def held(executor: InterpreterPoolExecutor) -> Iterator[None]:
    """The one worker waits, so that nothing is received meanwhile."""
    begun, tell = os.pipe()
    read, write = os.pipe()
    waiting = executor.submit(hive_tasks.tell_and_read, tell, read)
    os.read(begun, 1)
    try:
        yield
    finally:
        os.write(write, b"x")
        waiting.result()
        for end in (begun, tell, read, write):
            os.close(end)


def forget_peak_of_memory() -> int:
    """Return how much memory the process has now; its peak is counted from here."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the peak of memory cannot be measured here")
    return peak_of_memory()


def peak_of_memory() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


@pytest.mark.parametrize("value", VALUES, ids=name)
def test_large_values_cross_alone_and_nested(executor: InterpreterPoolExecutor, value: Any) -> None:
    for sent in (value, (1, value), [value, {"key": value}], tasks.Holder(value)):
        back = executor.submit(tasks.echo, sent).result()
        assert back == sent
        assert type(back) is type(sent)
    assert list(executor.map(tasks.size, [value, [value]])) == [len(value), 1]


@pytest.mark.parametrize("kind", ["bytes", "str", "wide", "bytearray", "array"])
@pytest.mark.parametrize("length", [0, 1, 262_143, 262_144, 262_145, 5_000_000])
def test_results_of_any_size_arrive(
    executor: InterpreterPoolExecutor, kind: str, length: int
) -> None:
    length -= length % 8 if kind == "array" else 0
    expected = tasks.make(kind, length)
    assert executor.submit(tasks.make, kind, length).result() == expected
    assert next(executor.map(tasks.make, [kind], [length])) == expected


def test_a_mutable_value_is_that_of_the_submit(executor: InterpreterPoolExecutor) -> None:
    gate = threading.Event()
    executor.submit(tasks.size, b"").result()
    source = bytearray(b"a") * LARGE
    numbers = array.array("q", [1]) * LARGE
    future = executor.submit(tasks.echo, [source, numbers])
    alone = executor.submit(tasks.echo, source)
    source[:] = b"b" * LARGE
    numbers[0] = 2
    gate.set()
    assert future.result() == [b"a" * LARGE, array.array("q", [1]) * LARGE]
    assert alone.result() == b"a" * LARGE


def test_the_receivers_value_is_its_own(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(LARGE)
    assert executor.submit(tasks.append, source, b"more").result() == bytes(LARGE) + b"more"
    assert len(source) == LARGE
    source.append(1)  # not held by anybody


def test_what_is_one_object_stays_one(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(LARGE)
    assert executor.submit(tasks.are_one, source, source).result()
    assert not executor.submit(tasks.are_one, source, bytearray(LARGE)).result()
    back = executor.submit(tasks.echo, [source, (source,), VALUES[7], VALUES[7]]).result()
    assert back[0] is back[1][0]
    assert back[2] is back[3]


def test_a_bytearray_beside_what_needs_a_pickle(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(b"z") * LARGE
    assert executor.submit(tasks.echo, (source, [1, source])).result() == (source, [1, source])


@pytest.mark.parametrize("nest", [lambda value: [value], tasks.Holder], ids=["list", "instance"])
def test_a_nested_str_is_not_encoded_on_its_way(
    executor: InterpreterPoolExecutor, nest: Callable[[str], Any]
) -> None:
    """A pickler leaves the UTF-8 form that it makes in the str, as long as that lives."""
    text = "é漢" * LARGE
    before = sys.getsizeof(text)
    assert executor.submit(tasks.echo, nest(text)).result() == nest(text)
    assert sys.getsizeof(text) == before


@pytest.mark.parametrize("nest", [lambda value: [value], tasks.Holder], ids=["list", "instance"])
@pytest.mark.parametrize("kind", ["bytes", "bytearray", "array"])
def test_submit_holds_one_copy_of_what_can_change_and_none_of_the_rest(
    executor: InterpreterPoolExecutor, kind: str, nest: Callable[[Any], Any]
) -> None:
    size = 50_000_000
    sent = nest(tasks.make(kind, size))
    with held(executor):
        before = forget_peak_of_memory()
        future = executor.submit(tasks.size, [sent])
        grown = peak_of_memory() - before
    assert future.result() == 1
    assert grown < (0.1 if kind == "bytes" else 1.1) * size


@pytest.mark.parametrize("lane", [None, "process"])
def test_large_values_cross_beside_what_goes_by_value(
    executor: InterpreterPoolExecutor, lane: str | None
) -> None:
    """What has been attached for a pickle that then fails is not what cloudpickle's refers to."""
    view = executor.with_options(lane=lane)
    large, other = b"a" * LARGE, "b" * LARGE

    def count(values: list[Any]) -> int:
        return len(values)

    for sent in ([large, count], [count, large], [large, count, other, large]):
        assert view.submit(tasks.sizes, sent).result() == tasks.sizes(sent)
        assert next(view.map(tasks.sizes, [sent])) == tasks.sizes(sent)
        *values, function = view.submit(tasks.echo, [*sent, count]).result()
        assert (values[0] == large or values[1] == large) and function([1, 2]) == 2
    assert view.submit(tasks.sizes, [memoryview(b"abc"), count, b""]).result() == [3, None, 0]


def test_shared_memory_crosses_beside_what_goes_by_value(
    executor: InterpreterPoolExecutor,
) -> None:
    shared = SharedBuffer(8)
    executor.submit(lambda pair: tasks.fill(pair[0], 5), (shared, lambda: None)).result()
    assert bytes(memoryview(shared)) == b"\x05" * 8


def test_subclasses_keep_their_type(executor: InterpreterPoolExecutor) -> None:
    for value in (tasks.Text("t" * LARGE), tasks.Bytes(b"b" * LARGE), tasks.Bytearray(LARGE)):
        back = executor.submit(tasks.echo, [value]).result()
        assert back == [value]
        assert type(back[0]) is type(value)


@pytest.mark.parametrize("crossing", [2**31 - 1, 2**31, 2**31 + 1])
def test_sizes_around_two_gigabytes(executor: InterpreterPoolExecutor, crossing: int) -> None:
    """Of which nothing is touched, so that it needs no memory."""
    import mmap

    with mmap.mmap(-1, crossing) as memory:
        memory[crossing - 1] = 5
        assert executor.submit(tasks.ends_of, memoryview(memory)).result() == (crossing, 0, 5)
        with executor.submit(tasks.echo, [memoryview(memory)]).result()[0] as back:
            assert (len(back), back[-1]) == (crossing, 5)
        executor.submit(tasks.size, b"").result()  # what is due is back by now


def test_results_that_nobody_reads_do_not_hold_a_worker_back() -> None:
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as executor:
        futures = [executor.submit(tasks.make, "bytes", LARGE) for _ in range(3)]
    assert [len(future.result()) for future in futures] == [LARGE] * 3


@pytest.mark.parametrize("less", [[[]], {str(number): [number] for number in range(10_000)}])
def test_what_pickling_a_large_structure_took_goes_with_the_next_smaller_one(
    less: object, executor: InterpreterPoolExecutor
) -> None:
    """Which is some megabytes: for another as large they are kept."""
    large = {str(number): [number] for number in range(100_000)}

    def memory_after(value: object) -> int:
        executor.submit(len, value).result()  # type: ignore[arg-type]
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = memory_after([[]])
        kept = memory_after(large) - before
        again = memory_after(large) - before
        left = memory_after(less) - before
    finally:
        tracemalloc.stop()
    assert 2e6 < kept < 2e7
    assert abs(again - kept) < 1e5
    assert left < 1e5
