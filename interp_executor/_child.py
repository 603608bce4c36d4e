"""What runs in a child process of the process lane: it answers what ``_process.py`` asks.

A child runs one task at a time, in its main thread, with the code that workers run in their
interpreters: see child.c.
"""

from __future__ import annotations

import os
import signal
import sys

from interp_executor import _native, _threads, _worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import FrameType
    from typing import Any

_child: _native.Child | None = None
_running = False


def serve(connection: Connection, name: str, world: bytes) -> None:
    """Answer what the owner asks until it closes the connection.

    A question is the name of a function here and its arguments; the answer is whether it returned,
    and what it returned or raised.
    """
    _start(name, world)
    connection.send(os.getpid())
    while True:
        try:
            question, request = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            answer = True, _ANSWERS[question](*request)
        except BaseException as error:
            answer = False, error
        connection.send(answer)
        del request, answer


def _start(name: str, world: bytes) -> None:
    """Set the process up and name its thread after its worker."""
    global _child
    signal.signal(signal.SIGINT, _on_interrupt)
    _child = _native.Child(tuple(sys.path), world)
    _threads.set_name(name)


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    # Ctrl-C reaches the whole group of processes; one that has no task is not concerned.
    if _running:
        raise KeyboardInterrupt


def update_world(world: bytes) -> bool:
    """Take over the owner's world."""
    return _worker.update_world(world)


def run(
    number: int, form: int, data: bytes, arguments: bytes, attached: list[Any]
) -> tuple[int, bytes, str | None]:
    """Run a call; see Child.run."""
    global _running
    assert _child is not None
    _running = True
    try:
        return _child.run(number, form, data, arguments, attached)
    finally:
        _running = False


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
    global _running
    assert _child is not None
    _running = True
    try:
        return _child.run_items(number, form, data, arity, items, offsets, attached)
    finally:
        _running = False


_ANSWERS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (update_world, run, run_items)
}
