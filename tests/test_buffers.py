"""Views cross without a copy: the same memory, in the same shape, there and back, at any depth."""

import array
import ctypes
import mmap
import pickle
from typing import Any

import buffer_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor, TransferError

DATA = bytes(range(240))

VIEWS: list[memoryview] = [
    memoryview(DATA),
    memoryview(bytearray(DATA)),
    memoryview(b""),
    memoryview(b"1"),
    memoryview(array.array("d", [1.5, 2.5, 3.5])),
    memoryview(array.array("h", range(12))).cast("B").cast("h", (3, 4)),
    memoryview(DATA).cast("B", (2, 3, 40)),
    memoryview(DATA)[10:200:3],
    memoryview(DATA)[::-1],
    memoryview(bytearray(DATA)).cast("B", (24, 10))[::5],
    memoryview((ctypes.c_double * 5)(1, 2, 3)),
    memoryview(ctypes.c_int(5)),
    memoryview(bytearray(DATA)).toreadonly(),
    memoryview(memoryview(DATA)[4:100])[5:20],
]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.format}{view.shape}")
def test_a_view_keeps_format_shape_strides_and_state(
    executor: InterpreterPoolExecutor, view: memoryview
) -> None:
    assert executor.submit(tasks.describe, view).result() == tasks.describe(view)
    assert tasks.describe(executor.submit(tasks.echo, view).result()) == tasks.describe(view)
    assert tasks.describe(executor.submit(tasks.echo, [view]).result()[0]) == tasks.describe(view)


def test_what_a_task_writes_is_in_the_source(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(100)
    executor.submit(tasks.fill, memoryview(source)[10:20], 3).result()
    assert source == bytes(10) + b"\3" * 10 + bytes(80)
    executor.submit(tasks.fill, {"nested": [memoryview(source)]}["nested"][0], 4).result()
    assert source == b"\4" * 100


def test_a_result_is_the_memory_of_the_worker(executor: InterpreterPoolExecutor) -> None:
    view = executor.submit(tasks.make_view, 100).result()
    executor.submit(tasks.keep, view).result()
    view[0] = 99
    assert executor.submit(tasks.kept_bytes).result() == [b"\x63" + b"\7" * 99]


def test_a_view_that_comes_back_looks_at_the_source(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(b"abc")
    back = executor.submit(tasks.slice_of, memoryview(source), 1, 3).result()
    source[1] = ord("x")
    assert back == b"xc"
    again = executor.submit(tasks.echo, back).result()
    again[1] = ord("y")
    assert source == b"axy"


def test_what_is_read_only_stays_so(executor: InterpreterPoolExecutor) -> None:
    with pytest.raises(TypeError, match="cannot modify read-only memory"):
        executor.submit(tasks.fill, memoryview(b"constant"), 1).result()


def test_pickle_buffers_and_what_pickles_out_of_band_cross_as_views(
    executor: InterpreterPoolExecutor,
) -> None:
    source = bytearray(DATA)
    names = executor.submit(tasks.type_names, [pickle.PickleBuffer(source)]).result()
    assert names == ["memoryview"]
    back = executor.submit(tasks.echo, {"deep": [tasks.Array(source, "first")]}).result()
    (result,) = back["deep"]
    assert (result.name, bytes(result.data)) == ("first", DATA)
    source[0] = 77
    assert result.data[0] == 77


def test_strided_memory_crosses_out_of_band_too(executor: InterpreterPoolExecutor) -> None:
    strided = memoryview(DATA)[::2]
    back = executor.submit(tasks.echo, tasks.Array(strided, "strided")).result()
    assert tasks.describe(back.data) == tasks.describe(strided)


def test_views_are_found_wherever_they_are(executor: InterpreterPoolExecutor) -> None:
    view = memoryview(DATA)
    value = (1, {"key": [view, {view}]}, tasks.Holder(view))
    back = executor.submit(tasks.echo, value).result()
    assert back[1]["key"][0] == view
    assert back[1]["key"][1] == {view}
    assert back[2].value == view
    assert executor.submit(lambda: view[5]).result() == 5


def test_the_same_view_is_one_object_within_a_pickle(executor: InterpreterPoolExecutor) -> None:
    view = memoryview(bytearray(DATA))
    back = executor.submit(tasks.echo, [view, view]).result()
    assert back[0] is back[1]


def test_map_lends_its_items_and_its_results(executor: InterpreterPoolExecutor) -> None:
    sources = [bytearray([i]) * (i + 1) for i in range(100)]
    results = list(executor.map(tasks.echo, map(memoryview, sources)))
    assert [bytes(view) for view in results] == sources
    results[3][0] = 255
    assert sources[3][0] == 255
    lengths = executor.map(lambda view, n: len(view) + n, map(memoryview, sources), range(100))
    assert list(lengths) == [2 * i + 1 for i in range(100)]


def test_map_results_come_one_by_one_with_their_views(executor: InterpreterPoolExecutor) -> None:
    results = executor.map(tasks.make_view, range(1, 200), range(1, 200), chunksize=50)
    for i, view in enumerate(results, start=1):
        assert view.tobytes() == bytes([i]) * i


def test_resizing_what_a_task_views_is_refused(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(100)
    executor.submit(tasks.keep, memoryview(source)).result()
    with pytest.raises(BufferError, match="cannot be re-sized"):
        source.append(1)
    executor.submit(tasks.forget).result()
    executor.submit(tasks.forget).result()  # whoever waits for a result gets back what is due
    source.append(1)
    assert len(source) == 101


def test_the_sender_may_release_its_view_at_once(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(DATA)
    with memoryview(source) as view:
        future = executor.submit(tasks.describe, view)
    assert future.result()[-1] == DATA
    with executor.submit(tasks.echo, memoryview(source)).result() as back:
        assert back == DATA
    source.append(1)  # nobody views it any more


def test_a_released_view_is_named(executor: InterpreterPoolExecutor) -> None:
    view = memoryview(DATA)
    view.release()
    with pytest.raises(TransferError, match="argument 0 cannot cross.*released memoryview"):
        executor.submit(tasks.size, view).result()
    with pytest.raises(TransferError, match=r"argument 1\['a'\]\[0\] cannot.*released memoryview"):
        executor.submit(tasks.echo, 1, {"a": [view]}).result()
    with pytest.raises(TransferError, match="released memoryview"):
        list(executor.map(tasks.size, [view]))
    assert executor.submit(tasks.size, b"12").result() == 2


def test_a_result_that_is_released_is_named(executor: InterpreterPoolExecutor) -> None:
    with pytest.raises(TransferError, match="the result cannot cross.*released memoryview"):
        executor.submit(_released).result()


def _released() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


def test_an_exporter_that_raises_fails_its_own_future(executor: InterpreterPoolExecutor) -> None:
    with pytest.raises(TransferError, match=r"argument 0\[0\] cannot cross.*not today"):
        executor.submit(tasks.size, [tasks.Unwilling()]).result()
    with pytest.raises(TransferError, match="not today"):
        executor.submit(tasks.Unwilling).result()
    assert executor.submit(tasks.size, b"12").result() == 2


class Buffer(ctypes.Structure):
    """Py_buffer"""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
        ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)),
        ("internal", ctypes.c_void_p),
    )


def test_memory_in_several_pieces_is_refused(executor: InterpreterPoolExecutor) -> None:
    """Rows that lie apart, behind pointers: a view with suboffsets, as only extensions make."""
    pair = ctypes.c_ssize_t * 2
    rows = [ctypes.create_string_buffer(row, 3) for row in (b"abc", b"def")]
    pointers = (ctypes.c_void_p * 2)(*(ctypes.addressof(row) for row in rows))
    buffer = Buffer(ctypes.addressof(pointers), len=6, itemsize=1, ndim=2, format=b"B")
    buffer.shape, buffer.strides, buffer.suboffsets = (
        pair(2, 3),
        pair(ctypes.sizeof(ctypes.c_void_p), 1),
        pair(0, -1),
    )
    from_buffer = ctypes.pythonapi.PyMemoryView_FromBuffer
    from_buffer.restype = ctypes.py_object
    with from_buffer(ctypes.byref(buffer)) as view:
        assert (view.suboffsets, view.tobytes()) == ((0, -1), b"abcdef")
        with pytest.raises(TransferError, match=r"argument 0 cannot cross.*suboffsets.*tobytes"):
            executor.submit(tasks.size, view).result()
        with pytest.raises(TransferError, match=r"argument 0\['a'\] cannot cross.*suboffsets"):
            executor.submit(tasks.size, {"a": view}).result()
        with pytest.raises(TransferError, match="suboffsets"):
            list(executor.map(tasks.size, [view]))
        assert executor.submit(tasks.size, view.tobytes()).result() == 6


def test_memory_of_mmap_and_ctypes_can_be_lent(executor: InterpreterPoolExecutor) -> None:
    with mmap.mmap(-1, 4096) as memory:
        executor.submit(tasks.fill, memoryview(memory), 9).result()
        assert memory[:] == b"\x09" * 4096
    numbers = (ctypes.c_uint8 * 16)()
    executor.submit(tasks.fill, memoryview(numbers), 5).result()
    assert list(numbers) == [5] * 16


def test_views_go_through_nested_executors(executor: InterpreterPoolExecutor) -> None:
    source = bytearray(DATA)
    back = executor.submit(_through_another, memoryview(source)).result()
    source[7] = 200
    assert back == source[:100]


def _through_another(view: memoryview) -> Any:
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1) as inner:
        return inner.submit(tasks.slice_of, view, 0, 100).result()


def test_stats_tell_that_nothing_moved(executor: InterpreterPoolExecutor) -> None:
    source, copied = bytearray(1_000_000), b"c" * 500_000
    executor.submit(tasks.echo, memoryview(source)).result()
    executor.submit(tasks.size, [memoryview(source)]).result()
    stats = executor.stats()
    assert (stats.bytes_shared, stats.bytes_copied < 1000) == (3_000_000, True)
    executor.submit(tasks.echo, copied).result()
    list(executor.map(tasks.size, [copied, memoryview(copied)]))
    after = executor.stats()
    assert after.bytes_shared == 3_500_000
    assert 1_500_000 <= after.bytes_copied < 1_502_000
