"""Large contents reach the process lane, and leave it, in memory that both processes map."""

import array
import contextlib
import gc
import multiprocessing
import pickle
import socket
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import buffer_tasks as tasks
import pytest
from isolated.script import leaves_interpreters, named_memory, run, write

from interp_executor import InterpreterPoolExecutor, ProcessCrashError, _channel

SHARED_FROM = 131072  # IX_SHARED_FROM of codec.h
LARGE = 400_000
HERE = Path(__file__).parent


@pytest.fixture
def lane(nothing_is_left: None) -> Iterator[InterpreterPoolExecutor]:
    """A view of an executor with one worker, all of whose calls run in its process."""
    with InterpreterPoolExecutor(1) as executor:
        yield executor.with_options(lane="process")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the messages that this process sends and receives."""
    lengths: list[int] = []
    send, receive = _channel.Channel._send, _channel.Channel._receive

    def count_sent(self: Any, data: bytes, *rest: Any) -> None:
        lengths.append(len(data))
        send(self, data, *rest)

    def count_received(self: Any) -> Any:
        data, *rest = receive(self)
        lengths.append(len(data))
        return data, *rest

    monkeypatch.setattr(_channel.Channel, "_send", count_sent)
    monkeypatch.setattr(_channel.Channel, "_receive", count_received)
    return lengths


def pattern(length: int) -> bytes:
    """Bytes no two long stretches of which are equal."""
    return b"".join(i.to_bytes(4, "little") for i in range(-(-length // 4)))[:length]


VALUES = [
    pattern(LARGE),
    "漢é" * LARGE,
    bytearray(pattern(LARGE)),
    array.array("d", range(LARGE // 4)),
    [pattern(LARGE), {"a": (pattern(LARGE + 1), b"small")}],
]


# ---- values ----


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_large_values_arrive_and_return_as_they_were_and_not_through_the_pipe(
    lane: InterpreterPoolExecutor, sent: list[int], value: Any
) -> None:
    assert lane.submit(tasks.echo, value).result() == value
    assert list(lane.map(tasks.echo, [value, 1, value])) == [value, 1, value]
    assert max(sent) < 16384


@pytest.mark.parametrize("length", [0, 1, SHARED_FROM - 1, SHARED_FROM, SHARED_FROM + 1, 5 << 20])
def test_memory_of_any_length_arrives_and_returns(
    lane: InterpreterPoolExecutor, length: int
) -> None:
    memory = pattern(length)
    assert lane.submit(tasks.echo, tasks.Matrix(memory)).result().value() == memory
    view = lane.submit(tasks.echo, memoryview(memory)).result()
    assert isinstance(view, memoryview) and view == memory


def test_several_buffers_of_a_call_keep_their_places(lane: InterpreterPoolExecutor) -> None:
    given = [tasks.Matrix(pattern(SHARED_FROM + i)[::-1]) for i in range(20)]
    given += [tasks.Matrix(bytes([i])) for i in range(20)]
    returned = lane.submit(tasks.echo, given).result()
    assert [matrix.value() for matrix in returned] == [matrix.value() for matrix in given]
    mapped = lane.map(tasks.echo, given, chunksize=7)
    assert [matrix.value() for matrix in mapped] == [matrix.value() for matrix in given]


def test_a_view_keeps_its_layout(lane: InterpreterPoolExecutor) -> None:
    flat = memoryview(array.array("d", range(120_000)))
    view = flat.cast("B").cast("d", (300, 400)).toreadonly()
    returned = lane.submit(tasks.echo, view).result()
    assert (returned.format, returned.shape, returned.readonly) == ("d", (300, 400), True)
    assert returned == view
    stepped = view[::3]
    assert lane.submit(tasks.echo, stepped).result() == stepped


def test_ten_thousand_small_buffers_take_no_time_to_speak_of(
    lane: InterpreterPoolExecutor,
) -> None:
    given = [tasks.Matrix(i.to_bytes(2, "little")) for i in range(10_000)]
    started = time.perf_counter()
    returned = lane.submit(tasks.echo, given).result()
    assert [matrix.value() for matrix in returned] == [matrix.value() for matrix in given]
    assert time.perf_counter() - started < 20


def test_what_a_function_carries_goes_in_memory_too(
    lane: InterpreterPoolExecutor, sent: list[int]
) -> None:
    carried, view = pattern(LARGE), memoryview(pattern(LARGE))
    assert lane.submit(lambda: (carried, view.nbytes)).result() == (carried, LARGE)
    assert list(lane.map(lambda i: carried[i], range(3))) == list(carried[:3])
    assert max(sent) < 16384


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_it_works_with_each_way_to_start_a_process(method: str) -> None:
    context = multiprocessing.get_context(method)
    with InterpreterPoolExecutor(1, mp_context=context) as executor:
        lane = executor.with_options(lane="process")
        assert lane.submit(tasks.echo, pattern(LARGE)).result() == pattern(LARGE)


def test_without_memory_files_it_goes_through_the_socket(
    lane: InterpreterPoolExecutor, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_channel, "_HAS_MEMORY_FILES", False)
    value = [pattern(LARGE), tasks.Matrix(bytearray(pattern(LARGE)))]
    returned = lane.submit(tasks.echo, value).result()
    assert returned[0] == value[0] and returned[1].value() == value[0]
    assert max(sent) > LARGE
    assert lane.submit(tasks.raised_by_one, tasks.Matrix(bytearray(LARGE))).result().value()[0] == 1


def test_it_is_counted_as_bytes_copied_or_shared(lane: InterpreterPoolExecutor) -> None:
    lane.submit(tasks.size, pattern(LARGE)).result()
    assert lane.stats().bytes_copied >= LARGE


# ---- who may write ----


@pytest.mark.parametrize("length", [100, LARGE])
def test_what_could_be_written_to_still_can_and_is_the_tasks_own(
    lane: InterpreterPoolExecutor, length: int
) -> None:
    memory = bytearray(length)
    returned = lane.submit(tasks.raised_by_one, tasks.Matrix(memory)).result()
    assert returned.value() == bytes([1]) * length
    assert memory == bytes(length)
    assert not returned.is_read_only()
    assert tasks.raised_by_one(returned).value() == bytes([2]) * length


@pytest.mark.parametrize("length", [100, LARGE])
def test_what_was_read_only_stays_so(lane: InterpreterPoolExecutor, length: int) -> None:
    assert lane.submit(tasks.is_read_only, tasks.Matrix(bytes(length))).result()
    assert not lane.submit(tasks.is_read_only, tasks.Matrix(bytearray(length))).result()
    view = lane.submit(tasks.echo, memoryview(bytes(length))).result()
    with pytest.raises(TypeError):
        view[0] = 1


# ---- how long it lives ----


def test_a_task_may_keep_what_it_was_given(lane: InterpreterPoolExecutor) -> None:
    for i in range(3):
        lane.submit(tasks.keep, memoryview(bytes([i]) * LARGE)).result()
    assert lane.submit(tasks.size, pattern(LARGE)).result() == LARGE
    assert lane.submit(tasks.kept_bytes).result() == [bytes([i]) * LARGE for i in range(3)]


def test_results_outlive_the_task_the_process_and_the_executor() -> None:
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as executor:
        lane = executor.with_options(lane="process")
        results = [
            lane.submit(tasks.echo, memoryview(bytes([i]) * LARGE)).result() for i in range(3)
        ]
        error = lane.submit(tasks.abort_holding, results[1]).exception()
        assert isinstance(error, ProcessCrashError)
    assert results == [bytes([i]) * LARGE for i in range(3)]
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(tasks.describe, results[2]).result()[-1] == results[2]


def test_neither_side_keeps_descriptors_or_memory(lane: InterpreterPoolExecutor) -> None:
    lane.submit(tasks.echo, pattern(LARGE)).result()
    gc.collect()
    here, there = tasks.descriptors(), lane.submit(tasks.descriptors).result()
    mapped, mapped_there = tasks.resident_shared(), lane.submit(tasks.resident_shared).result()
    value = tasks.Matrix(pattern(20 << 20))
    for _ in range(10):
        lane.submit(tasks.echo, value).result()
    assert (tasks.descriptors(), lane.submit(tasks.descriptors).result()) == (here, there)
    assert tasks.resident_shared() < mapped + (10 << 20)
    assert lane.submit(tasks.resident_shared).result() < mapped_there + (10 << 20)


def test_a_crash_leaves_nothing_behind(lane: InterpreterPoolExecutor) -> None:
    names = named_memory()
    lane.submit(tasks.echo, pattern(LARGE)).result()
    gc.collect()  # descriptors of other tests that would close meanwhile, and hide ours
    here = tasks.descriptors()
    for _ in range(3):
        error = lane.submit(tasks.abort_holding, memoryview(pattern(LARGE))).exception()
        assert isinstance(error, ProcessCrashError)
        assert lane.submit(tasks.echo, pattern(LARGE)).result() == pattern(LARGE)
    assert tasks.descriptors() == here
    assert named_memory() <= names


def test_what_has_to_be_asked_again_need_not_be_sent_again(
    lane: InterpreterPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.submit(tasks.size, b"").result()
    (tmp_path / "comes_late_too.py").write_text("def length(value):\n    return len(value)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import comes_late_too  # type: ignore[import-not-found]

    assert lane.submit(comes_late_too.length, pattern(LARGE)).result() == LARGE
    monkeypatch.setattr(comes_late_too, "only_here", exec_length(), raising=False)
    assert lane.submit(comes_late_too.only_here, pattern(LARGE)).result() == LARGE
    items = [pattern(LARGE), memoryview(pattern(LARGE + 1))]
    assert list(lane.map(comes_late_too.only_here, items)) == [LARGE, LARGE + 1]


def exec_length() -> Any:
    """A function that names a module in which a process does not find it."""
    scope: dict[str, Any] = {"__name__": "comes_late_too"}
    exec("def only_here(value):\n    return len(value)", scope)
    return scope["only_here"]


def test_a_buffer_is_a_pickle_buffer_for_pickles_of_the_users_own(
    lane: InterpreterPoolExecutor,
) -> None:
    result = lane.submit(tasks.echo, tasks.Matrix(pattern(LARGE))).result()
    assert pickle.loads(pickle.dumps(result, 5)).value() == result.value()


# ---- forks ----

FORKED = f"""
import os, sys, warnings
warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # is multi-threaded
sys.path.insert(0, {str(HERE)!r})
import buffer_tasks as tasks
from interp_executor import InterpreterPoolExecutor

if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as executor:
        lane = executor.with_options(lane="process")
        result = lane.submit(tasks.echo, tasks.Matrix(bytearray(400_000))).result()
        child = os.fork()
        if child == 0:
            tasks.raised_by_one(result)
            with InterpreterPoolExecutor(1) as own:
                again = own.with_options(lane="process").submit(tasks.echo, result).result()
            sys.exit(0 if again.value() == result.value() == bytes([1]) * 400_000 else 1)
        print(os.waitpid(child, 0)[1], result.value() == bytes(400_000))
        print(lane.submit(tasks.size, result.value()).result())
"""


@leaves_interpreters
def test_a_forked_child_has_its_own_copy_and_may_send_it_on(tmp_path: Path) -> None:
    assert run(write(tmp_path / "forked.py", FORKED)).stdout == "0 True\n400000\n"


@pytest.mark.parametrize("how", ["crash", "stop", "raise"])
def test_what_a_task_that_failed_was_given_is_let_go(
    lane: InterpreterPoolExecutor, how: str
) -> None:
    memory = array.array("b", bytes(LARGE))
    gone = weakref.ref(memory)
    view = memoryview(memory).toreadonly()
    lane.submit(tasks.size, b"").result()
    gc.disable()
    try:
        if how == "stop":
            future = lane.with_options(timeout=0.2).submit(tasks.wait_holding, view)
        else:
            what = tasks.abort_holding if how == "crash" else tasks.raise_holding
            future = lane.submit(what, view)
        assert future.exception() is not None
        del future, memory, view
        lane.submit(tasks.size, b"").result()  # the worker is done with what came before
        assert gone() is None
    finally:
        gc.enable()


def test_what_arrives_of_a_message_that_breaks_off_is_let_go() -> None:
    end, other = socket.socketpair()
    with contextlib.closing(_channel.Channel(end)) as channel, open("/dev/null") as file:
        before = tasks.descriptors()
        with other:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))]
            header = _channel._HEADER.pack(1000, False)
            other.sendmsg([header, b"not all of it"], rights)
        with pytest.raises(EOFError):
            channel.receive()
        assert tasks.descriptors() == before - 1  # without the other end
