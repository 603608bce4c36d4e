"""What runs in a child process of the process lane: it answers what ``_process.py`` asks.

A child runs one task at a time, in its main thread, with the code that workers run in their
interpreters: see child.c.
"""

from __future__ import annotations

import os
import signal
from threading import get_ident, main_thread

from interp_executor import _native, _output, _threads, _worker
from interp_executor._channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from interp_executor._channel import Large

    # What is pickled, and what goes in memory.
    type Answer = tuple[object, Large]

_child: _native.Child
_channel: Channel
_running = False  # a task, which Ctrl-C interrupts
_telling = False  # the owner what the task has written, which nothing must break into
_interrupted = False  # meanwhile


def serve(end: socket.socket, name: str, world: bytes, levels: _output.Levels | None) -> None:
    """Answer what the owner asks until it closes the other end.

    A question is the name of a function here and its arguments, the last of which comes in memory.
    The answer is whether it returned, and what it returned or raised; before it, with None in the
    first place, comes what tasks have written, if the owner has asked for that by the levels of
    its loggers.
    """
    _start(end, name, world)
    if levels is not None:
        _output.forward(levels, _tell)
    ready = _greet()
    while ready and _answer():
        _child.let_go()
    if levels is not None:
        _output.forward(None)  # exit callbacks may print


def _greet() -> bool:
    """Tell the owner that questions may come; False if it has ended meanwhile."""
    try:
        _channel.send((True, os.getpid()))
    except ConnectionError:
        return False
    return True


def _answer() -> bool:
    """Answer one question, and keep nothing of it; False if the owner has closed its end."""
    try:
        (question, request), large = _channel.receive()
        _channel.send(*_answer_to(question, request, large))
    except (EOFError, ConnectionError):
        return False
    return True


def _answer_to(
    question: str, request: tuple[Any, ...], large: Large
) -> tuple[tuple[bool, object], Large]:
    try:
        returned, large = _ANSWERS[question](*request, large)
        return (True, returned), large
    except BaseException as error:
        return (False, error), []


def _start(end: socket.socket, name: str, world: bytes) -> None:
    """Set the process up and name its thread after its worker."""
    global _child, _channel
    _channel = Channel(end)
    signal.signal(signal.SIGINT, _on_interrupt)
    _child = _native.Child(world)
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
        _channel.send((None, data))
    except ConnectionError:
        return False  # the owner has ended, and so does this process soon
    finally:
        _telling = False
    if _interrupted:
        raise KeyboardInterrupt
    return True


def refresh_world(world: bytes, large: Large) -> Answer:
    """Take over where the owner finds modules now; whether that has changed."""
    return _worker.refresh_world(world), large


def run(*call: Any) -> Answer:
    """Run a call; see Child.run."""
    *outcome, large = _work(_child.run, *call)
    return outcome, large


def run_items(*items: Any) -> Answer:
    """Run a callable on items of a map; see Child.run_items."""
    *outcomes, large = _work(_child.run_items, *items)
    return outcomes, large


def flush(large: Large) -> Answer:
    """Let the owner have what threads have written since the last task."""
    return _work(_output.flush), large


def _work[T](what: Callable[..., T], *args: Any) -> T:
    global _running
    _running = True
    try:
        return what(*args)
    finally:
        _running = False


_ANSWERS: dict[str, Callable[..., Answer]] = {
    function.__name__: function for function in (refresh_world, run, run_items, flush)
}
