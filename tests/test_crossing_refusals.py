"""What cannot cross fails its own future at once, and the error names what and where."""

import asyncio
import contextlib
import gc
import io
import multiprocessing
import os
import pickle
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import crossing_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor, TransferError


def _refusal(future: Future[Any]) -> TransferError:
    """The TransferError of a future, which must come without waiting for anything else."""
    error = future.exception(timeout=30)
    assert isinstance(error, TransferError), repr(error)
    return error


def _names(error: BaseException, *parts: str) -> None:
    for part in parts:
        assert part in str(error), f"{part!r} is not in {str(error)!r}"


@pytest.fixture(autouse=True)
def executor_lives_on(executor: InterpreterPoolExecutor) -> Iterator[None]:
    """Whatever was refused, the worker still works."""
    before = executor.submit(tasks.count_calls).result()
    yield
    assert executor.submit(tasks.count_calls).result() == before + 1


def test_a_transfer_error_is_caught_as_what_pickle_raises() -> None:
    assert issubclass(TransferError, pickle.PicklingError)
    assert issubclass(TransferError, TypeError)


def test_submit_itself_does_not_raise(executor: InterpreterPoolExecutor) -> None:
    future = executor.submit(tasks.echo, threading.Lock())
    assert future.done()
    _refusal(future)


def test_it_fails_at_once_though_all_workers_are_busy(executor: InterpreterPoolExecutor) -> None:
    read, write = os.pipe()
    held = executor.submit(os.read, read, 1)
    try:
        _refusal(executor.submit(tasks.echo, threading.Lock()))
        assert not held.done()
    finally:
        os.write(write, b"!")
        assert held.result(timeout=30) == b"!"
        os.close(read)
        os.close(write)


@pytest.mark.parametrize(
    ("make", "type_name"),
    [
        (threading.Lock, "lock"),
        (threading.RLock, "RLock"),
        (threading.Event, "lock"),
        (lambda: sys._getframe(), "frame"),
        (lambda: (number for number in range(3)), "generator"),
        (lambda: io.TextIOWrapper(io.BytesIO()), "TextIOWrapper"),
        (Future, "lock"),
        (lambda: sqlite3.connect(":memory:"), "Connection"),
        (socket.socket, "socket"),
        (threading.current_thread, "lock"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_type_is_named(
    executor: InterpreterPoolExecutor, make: Callable[[], Any], type_name: str
) -> None:
    thing = make()
    try:
        _names(_refusal(executor.submit(tasks.echo, thing)), type_name)
    finally:
        getattr(thing, "close", lambda: None)()


@pytest.mark.parametrize("mode", ["r", "r+", "a", "rb"])
def test_an_open_file_is_refused_in_every_mode(
    executor: InterpreterPoolExecutor, tmp_path: Path, mode: str
) -> None:
    """Cloudpickle alone would send the text of one that can be read."""
    path = tmp_path / "file"
    path.write_text("text")
    with path.open(mode) as file:
        for future in (executor.submit(tasks.echo, file), executor.submit(lambda: file)):
            _names(_refusal(future), "_io.", "open the file inside the task and pass its path")


def test_an_open_file_as_result_is_refused(executor: InterpreterPoolExecutor) -> None:
    error = _refusal(executor.submit(open, __file__))
    _names(error, "TextIOWrapper", "open the file inside the task")


def test_the_standard_streams_are_those_of_the_worker(executor: InterpreterPoolExecutor) -> None:
    with open(os.devnull, "w") as out, open(os.devnull, "w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            names = [executor.submit(tasks.name_of_stream, each).result() for each in (out, err)]
        _names(_refusal(executor.submit(tasks.name_of_stream, out)), "open the file")
    assert names == ["stdout", "stderr"]


def test_the_position_of_an_argument_is_named(executor: InterpreterPoolExecutor) -> None:
    error = _refusal(executor.submit(tasks.arguments, 0, 1, threading.Lock(), 3))
    _names(error, "lock", "2")


def test_the_name_of_a_keyword_is_named(executor: InterpreterPoolExecutor) -> None:
    error = _refusal(executor.submit(tasks.arguments, 0, guard=threading.Lock()))
    _names(error, "lock", "guard")


def test_keys_indexes_and_attributes_on_the_way_are_named(
    executor: InterpreterPoolExecutor,
) -> None:
    value = {"outer": [1, {"inner": tasks.Holder(threading.Lock())}]}
    error = _refusal(executor.submit(tasks.arguments, value))
    _names(error, "lock", "outer", "1", "inner", "content")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda thing: [thing],
        lambda thing: (1, thing),
        lambda thing: {"key": thing},
        lambda thing: {1, thing},
        lambda thing: [[[[thing]]]],
        tasks.Holder,
    ],
    ids=["list", "tuple", "dict", "set", "deep", "attribute"],
)
def test_it_is_found_inside_every_container(
    executor: InterpreterPoolExecutor, wrap: Callable[[Any], Any]
) -> None:
    _names(_refusal(executor.submit(tasks.echo, wrap(threading.Lock()))), "lock")


def test_a_callable_is_named(executor: InterpreterPoolExecutor) -> None:
    lock = threading.Lock()
    _names(_refusal(executor.submit(lambda: lock)), "lock")
    _names(_refusal(executor.submit(tasks.Holder(lock).get)), "lock")
    _names(_refusal(executor.submit(lock.acquire)), "lock")


def test_a_method_that_reads_a_file_is_refused(executor: InterpreterPoolExecutor) -> None:
    """Each call would read a copy, from the same place."""
    file = io.BytesIO(b"text")
    for method in (file.readinto, file.readinto1, io.BufferedReader(file).readinto):
        _names(_refusal(executor.submit(method, bytearray(2))), "a copy", "threads")
    assert executor.submit(file.getvalue).result() == b"text"


def test_a_method_of_an_event_loop_says_what_to_do(executor: InterpreterPoolExecutor) -> None:
    loop = asyncio.new_event_loop()
    try:
        _names(_refusal(executor.submit(loop.time)), "event loop", "run_in_executor()")
        _names(_refusal(executor.submit(loop.is_running)), "event loop", "debug mode")
    finally:
        loop.close()


def test_a_return_value_is_named(executor: InterpreterPoolExecutor) -> None:
    error = _refusal(executor.submit(tasks.make_lock))
    _names(error, "lock", "return")


def test_the_place_inside_a_return_value_is_named(executor: InterpreterPoolExecutor) -> None:
    error = _refusal(executor.submit(tasks.make_deep_lock))
    _names(error, "lock", "outer", "inner", "content")


def test_a_generator_as_return_value_is_refused(executor: InterpreterPoolExecutor) -> None:
    _names(_refusal(executor.submit(tasks.make_generator)), "generator")


def test_an_argument_that_arrives_broken_is_refused_with_its_reason(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _refusal(executor.submit(tasks.echo, tasks.LoadsNowhereElse()))
    _names(error, "arrives broken")


def test_a_result_of_map_that_arrives_broken_is_refused_likewise(
    executor: InterpreterPoolExecutor,
) -> None:
    results = executor.map(tasks.make_loads_nowhere_else_at, range(3), [1] * 3)
    assert next(results) == 0
    with pytest.raises(TransferError, match="arrives broken") as caught:
        next(results)
    assert type(caught.value.__cause__) is RuntimeError


def test_a_result_that_arrives_broken_is_refused_with_its_reason(
    executor: InterpreterPoolExecutor,
) -> None:
    future = executor.submit(tasks.make_loads_nowhere_else)
    _names(_refusal(future), "arrives broken")
    assert future.exception() is future.exception()


def test_an_argument_that_exits_while_it_is_loaded_ends_nothing(
    executor: InterpreterPoolExecutor,
) -> None:
    error = executor.submit(tasks.echo, tasks.LoadsWithExit()).exception(timeout=30)
    assert isinstance(error, (TransferError, SystemExit))


def test_an_argument_whose_module_the_worker_cannot_import_is_refused(
    executor: InterpreterPoolExecutor, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vanishing_module.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    thing = __import__("vanishing_module").Thing()
    (tmp_path / "vanishing_module.py").unlink()
    monkeypatch.undo()
    try:
        error = _refusal(executor.submit(tasks.echo, thing))
        _names(error, "vanishing_module")
    finally:
        del sys.modules["vanishing_module"]


def test_map_raises_it_where_the_item_stands(executor: InterpreterPoolExecutor) -> None:
    results = executor.map(tasks.echo, [1, 2, threading.Lock(), 4])
    seen = []
    with pytest.raises(TransferError, match="lock"):
        for result in results:
            seen.append(result)  # noqa: PERF402 - what came before the error counts
    assert seen == [1, 2]
    assert next(results, "over") == "over"


def test_map_names_a_result_that_cannot_cross(executor: InterpreterPoolExecutor) -> None:
    with pytest.raises(TransferError, match="lock"):
        list(executor.map(tasks.call, [tasks.make_lock]))


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "Event", "Condition", "Queue"])
def test_a_multiprocessing_primitive_says_what_to_use_instead(
    executor: InterpreterPoolExecutor, kind: str
) -> None:
    thing = getattr(multiprocessing.get_context("spawn"), kind)()
    error = _refusal(executor.submit(tasks.echo, thing))
    text = str(error)
    assert "multiprocessing" in text
    assert "instead" in text or "use " in text
    if kind == "Queue":
        assert "queue" in text.lower()
        thing.close()
        thing.join_thread()


@pytest.fixture
def connection() -> Iterator[Connection]:
    """An end of a pipe, which must be open in the end, and nobody else's."""
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        yield theirs
        gc.collect()
        theirs.send("still open")
        assert ours.recv() == "still open"


@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_a_connection_is_refused_wherever_it_is(
    executor: InterpreterPoolExecutor, connection: Connection, lane: Any
) -> None:
    """Pickle would send the number of its file descriptor, which the copy closes in the end."""
    view = executor.with_options(lane=lane)
    large = memoryview(bytes(1 << 20))  # with it, arguments are pickled in another way
    futures = [
        view.submit(tasks.echo, connection),
        view.submit(tasks.echo, [{"key": connection}]),
        view.submit(tasks.echo, tasks.Holder(connection)),
        view.submit(tasks.echo, large, connection),
        view.submit(tasks.echo, [lambda: 1, connection]),
        view.submit(lambda: connection),
        view.submit(connection.fileno),
        view.submit(tasks.Holder(connection).get),
    ]
    for future in futures:
        error = _refusal(future)
        _names(error, "multiprocessing.connection.Connection", "return values from tasks instead")


@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_a_connection_as_result_is_refused(executor: InterpreterPoolExecutor, lane: Any) -> None:
    view = executor.with_options(lane=lane)
    _names(_refusal(view.submit(tasks.make_connection)), "Connection", "instead")
    error = view.submit(tasks.raise_connection).exception()
    assert isinstance(error, ValueError)
    assert "Connection" in error.__notes__[0]


@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_a_connection_for_an_initializer_is_refused(connection: Connection, lane: Any) -> None:
    with InterpreterPoolExecutor(1, "", abs, (connection,), lane=lane) as executor:
        error = executor.submit(abs, 1).exception(timeout=30)
    assert error is not None
    _names(Exception(error, error.__cause__), "multiprocessing.connection.Connection")


def test_a_shared_value_of_multiprocessing_says_what_to_use_instead(
    executor: InterpreterPoolExecutor,
) -> None:
    value = multiprocessing.get_context("spawn").Value("i")
    _names(_refusal(executor.submit(tasks.echo, value)), "SharedBuffer instead")


def test_refusals_among_tasks_that_work_stay_with_their_futures(
    executor: InterpreterPoolExecutor,
) -> None:
    futures = [
        executor.submit(tasks.echo, threading.Lock() if number % 3 == 0 else number)
        for number in range(30)
    ]
    for number, future in enumerate(futures):
        if number % 3 == 0:
            _refusal(future)
        else:
            assert future.result() == number


def test_an_initializer_argument_that_cannot_cross_is_an_error_not_a_hang() -> None:
    def start() -> None:
        with InterpreterPoolExecutor(
            1, initializer=tasks.echo, initargs=(threading.Lock(),)
        ) as executor:
            executor.submit(tasks.echo, 1).result(timeout=30)

    with pytest.raises((TransferError, RuntimeError)) as caught:
        start()
    chain = f"{caught.value} {caught.value.__cause__}"
    assert "lock" in chain
