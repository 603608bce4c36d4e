"""SharedBuffer: one piece of memory, seen and written by every interpreter."""

import ctypes
import gc
import os
import pickle
import time

import buffer_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor, SharedBuffer


def test_new_memory_is_zero_and_of_the_size_asked_for() -> None:
    for size in (0, 1, 1000, 10_000_000):
        buffer = SharedBuffer(size)
        assert (buffer.nbytes, len(buffer), bytes(memoryview(buffer))) == (size, size, bytes(size))
    assert repr(SharedBuffer(7)).startswith("<SharedBuffer of 7 bytes at 0x")


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="nbytes must be at least 0, not -1"):
        SharedBuffer(-1)
    with pytest.raises(TypeError):
        SharedBuffer("10")  # type: ignore[arg-type]
    with pytest.raises(MemoryError):
        SharedBuffer(2**62)


def test_from_buffer_takes_a_copy() -> None:
    source = bytearray(b"abcdef")
    buffer = SharedBuffer.from_buffer(source)
    source[0] = 0
    assert bytes(buffer) == b"abcdef"
    assert bytes(SharedBuffer.from_buffer(memoryview(b"abcdef")[::2])) == b"ace"
    with pytest.raises(TypeError):
        SharedBuffer.from_buffer("text")  # type: ignore[arg-type]


def test_every_interpreter_writes_to_the_same_memory() -> None:
    buffer = SharedBuffer(64_000)
    with InterpreterPoolExecutor(2) as executor:
        parts = buffer.split(8, itemsize=8)
        list(executor.map(tasks.fill_range, parts, range(0, 8000, 1000)))
        assert list(memoryview(buffer).cast("q")) == list(range(8000))
        executor.submit(tasks.fill, buffer, 1).result()
        assert executor.submit(tasks.total, [buffer][0]).result() == 64_000


def test_a_handle_comes_back_and_goes_through_structures(executor: InterpreterPoolExecutor) -> None:
    buffer = SharedBuffer(100)
    back = executor.submit(tasks.echo, {"deep": [(buffer, buffer)]}).result()
    first, second = back["deep"][0]
    assert first is second
    assert isinstance(first, SharedBuffer)
    memoryview(first)[3] = 9
    assert memoryview(buffer)[3] == 9
    assert executor.submit(lambda: memoryview(buffer)[3]).result() == 9


def test_views_of_it_cross_too(executor: InterpreterPoolExecutor) -> None:
    buffer = SharedBuffer(80)
    executor.submit(tasks.fill, memoryview(buffer)[10:20], 2).result()
    numbers = executor.submit(tasks.echo, memoryview(buffer).cast("d")).result()
    assert (numbers.format, len(numbers), numbers.readonly) == ("d", 10, False)
    assert bytes(buffer)[8:24] == bytes(2) + b"\2" * 10 + bytes(4)


def test_the_memory_of_a_task_outlives_its_worker() -> None:
    with InterpreterPoolExecutor(1) as executor:
        buffer = executor.submit(tasks.make_shared, 100).result()
    part = buffer.split(4)[1]
    view = memoryview(buffer)
    del buffer
    gc.collect()
    assert bytes(part) == bytes(range(25, 50))
    assert bytes(view) == bytes(range(100))


def test_splitting_gives_disjoint_parts_that_cover_it() -> None:
    buffer = SharedBuffer.from_buffer(bytes(range(100)))
    for n in (1, 2, 3, 7, 100, 130):
        parts = buffer.split(n)
        assert len(parts) == n
        assert b"".join(map(bytes, parts)) == bytes(range(100))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [len(part) for part in buffer.split(3, itemsize=10)] == [40, 30, 30]
    assert bytes(buffer.split(2)[1].split(2)[0]) == bytes(range(50, 75))
    with pytest.raises(ValueError, match="100 bytes are not a whole number of items of 8"):
        buffer.split(2, itemsize=8)
    with pytest.raises(ValueError, match="at least 1"):
        buffer.split(0)


def test_ctypes_and_struct_take_it() -> None:
    buffer = SharedBuffer(16)
    numbers = (ctypes.c_double * 2).from_buffer(buffer)
    numbers[1] = 2.5
    assert list(memoryview(buffer).cast("d")) == [0.0, 2.5]


def test_cffi_takes_it(executor: InterpreterPoolExecutor) -> None:
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    buffer = SharedBuffer(8)
    memory = ffi.from_buffer("uint8_t[]", buffer, require_writable=True)
    executor.submit(tasks.fill, buffer, 6).result()
    assert list(memory) == [6] * 8


def test_numpy_takes_it() -> None:
    numpy = pytest.importorskip("numpy")
    buffer = SharedBuffer(80)
    numbers = numpy.frombuffer(buffer, dtype="f8")
    numbers[:] = 1.5
    assert list(memoryview(buffer).cast("d")) == [1.5] * 10


def test_pickle_says_what_it_is_for() -> None:
    with pytest.raises(TypeError, match="memory of this process: pass it to tasks"):
        pickle.dumps(SharedBuffer(1))


@pytest.mark.skipif(
    "IX_SANITIZE" in os.environ, reason="sanitizers keep what is freed: their quarantine grows"
)
def test_memory_goes_with_its_last_user(executor: InterpreterPoolExecutor) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    try:
        resident()
    except FileNotFoundError:
        pytest.skip("reads the size of the process from /proc")
    executor.submit(tasks.fill, SharedBuffer(1000), 1).result()
    before = resident()
    for _ in range(5):
        executor.submit(tasks.fill, SharedBuffer(50_000_000), 1).result()
    deadline = time.monotonic() + 20
    while resident() > before + 25_000_000 and time.monotonic() < deadline:
        executor.submit(tasks.size, b"").result()
    assert resident() < before + 25_000_000
