"""What runs in a child process of the process lane: it answers what ``_process.py`` asks.

A child runs one task at a time, in its main thread, with the code that workers run in their
interpreters: see child.c.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import get_ident, main_thread

from interp_executor import _native, _output, _threads, _worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import FrameType
    from typing import Any

_child: _native.Child
_connection: Connection
_running = False  # a task, which Ctrl-C interrupts
_telling = False  # the owner what the task has written, which nothing must break into
_interrupted = False  # meanwhile


def serve(connection: Connection, name: str, world: bytes, levels: _output.Levels | None) -> None:
    """Answer what the owner asks until it closes the connection.

    A question is the name of a function here and its arguments. The answer is whether it returned,
    and what it returned or raised; before it, with None in the first place, comes what tasks have
    written, if the owner has asked for that by the levels of its loggers.
    """
    _start(connection, name, world)
    if levels is not None:
        _output.forward(levels, _tell)
    connection.send((True, os.getpid()))
    while True:
        try:
            question, request = connection.recv()
        except (EOFError, ConnectionError):
            break
        try:
            answer = True, _ANSWERS[question](*request)
        except BaseException as error:
            answer = False, error
        connection.send(answer)
        del request, answer
    if levels is not None:
        _output.forward(None)  # exit callbacks may print


def _start(connection: Connection, name: str, world: bytes) -> None:
    """Set the process up and name its thread after its worker."""
    global _child, _connection
    _connection = connection
    signal.signal(signal.SIGINT, _on_interrupt)
    _child = _native.Child(tuple(sys.path), world)
    _threads.set_name(name)


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    # Ctrl-C reaches the whole group of processes; one that has no task is not concerned.
    global _interrupted
    if _telling:
        _interrupted = True
    elif _running:
        raise KeyboardInterrupt


def _tell(data: bytes) -> bool:
    """Let the owner have what was written, as far as it listens: while the main thread works."""
    global _telling, _interrupted
    if not _running or _telling or get_ident() != main_thread().ident:
        return False
    _telling, _interrupted = True, False
    try:
        _connection.send((None, data))
    except ConnectionError:
        return False  # the owner has ended, and so does this process soon
    finally:
        _telling = False
    if _interrupted:
        raise KeyboardInterrupt
    return True


def update_world(world: bytes) -> bool:
    """Take over the owner's world."""
    return _worker.update_world(world)


def run(
    number: int, form: int, data: bytes, arguments: bytes, attached: list[Any]
) -> tuple[int, bytes, str | None]:
    """Run a call; see Child.run."""
    return _work(_child.run, number, form, data, arguments, attached)


def run_items(
    number: int,
    form: int,
    data: bytes,
    arity: int,
    items: bytes,
    offsets: bytes,
    attached: list[Any],
) -> tuple[int, int, list[bytes], str | None]:
    """Run a callable on items of a map; see Child.run_items."""
    return _work(_child.run_items, number, form, data, arity, items, offsets, attached)


def flush() -> None:
    """Let the owner have what threads have written since the last task."""
    _work(_output.flush)


def _work[T](what: Callable[..., T], *args: Any) -> T:
    global _running
    _running = True
    try:
        return what(*args)
    finally:
        _running = False


_ANSWERS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (update_world, run, run_items, flush)
}
