"""What runs in a child process of the process lane: it answers what ``_process.py`` asks.

A child runs one task at a time, in its main thread, with the code that workers run in their
interpreters: see child.c.

A copy of it that a task forks is not the owner's: it has no way to it, writes to the terminal, and
ends where its task does, if that has not ended it before.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import get_ident, main_thread

from interp_executor import _native, _output, _threads, _worker
from interp_executor._channel import Channel, LargeFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, NoReturn

    from interp_executor._channel import Large

    # What is pickled, and what goes in memory.
    type Answer = tuple[object, Large]

# A kind of outcome, and a verdict on a claim: see _lane.py, which is not imported here.
_VALUE, _STOPPED = 1, 1

_child: _native.Child
_channel: Channel
_running = False  # a task, which Ctrl-C interrupts
_telling = False  # the owner what the task has written, which nothing must break into
_interrupted = False  # meanwhile
_is_copy = False  # forked by a task


def serve(end: socket.socket, name: str, world: bytes, levels: _output.Levels | None) -> None:
    """Answer what the owner asks until it closes the other end.

    A question is the name of a function here and its arguments, the last of which comes in memory.
    The answer is whether it returned, and what it returned or raised; before it, as words, comes
    what tasks have written, if the owner has asked for that by the levels of its loggers.
    """
    _start(end, name, world)
    if levels is not None:
        _output.forward(levels, _tell)
    try:
        ready = _greet()
        while ready and _answer():
            _child.let_go()
    finally:  # a handler of signals, which a task has left behind, may raise
        _channel.hang_up()  # threads may keep the process, and the owner would wait for answers
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
        answer, large = _answer_next()
        if _is_copy:
            _end_copy(*answer)
        try:
            _channel.send(answer, large)
        except LargeFailed as error:
            _channel.send((False, error))
    except (EOFError, ConnectionError):
        return False
    return True


def _answer_next() -> tuple[tuple[bool, object], Large]:
    try:
        (question, request), large = _channel.receive()
    except LargeFailed as error:
        return (False, error), []
    return _answer_to(question, request, large)


def _answer_to(
    question: str, request: tuple[Any, ...], large: Large
) -> tuple[tuple[bool, object], Large]:
    try:
        returned, large = _ANSWERS[question](*request, large)
        return (True, returned), large
    except BaseException as error:
        return (False, error), []


def _begin_copy() -> None:
    """Let go, in a process that a task has forked, of the way to the owner: two would use it."""
    global _is_copy, _telling
    _is_copy, _telling = True, False
    _channel.close()
    _native.begin_child()
    _output.begin_copy()


def _end_copy(returned: bool, answer: Any) -> NoReturn:
    """End a forked process whose task has returned or raised, as a program that does so ends.

    Exit callbacks and the like are for the process that it is a copy of.
    """
    status = 1
    try:
        if returned:
            status = 0
        elif isinstance(answer, SystemExit) and isinstance(answer.code, int | None):
            status = (answer.code or 0) & 0xFF
        elif isinstance(answer, SystemExit):
            print(answer.code, file=sys.stderr)
        else:
            import traceback

            traceback.print_exception(answer)
        _output.flush()
    finally:  # where nothing can be written, the status says it
        os._exit(status)


def _start(end: socket.socket, name: str, world: bytes) -> None:
    """Set the process up and name its thread after its worker."""
    global _child, _channel
    _channel = Channel(end)
    signal.signal(signal.SIGINT, _on_interrupt)
    _child = _native.Child(world)
    os.register_at_fork(before=_output.flush, after_in_child=_begin_copy)
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
        _channel.say(data)
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
    kind, outcome, *rest, large = _work(_child.run, *call)
    if _is_copy and kind != _VALUE:
        _raise(outcome)
    return (kind, outcome, *rest), large


def run_items(*items: Any) -> Answer:
    """Run a callable on items of a map; see Child.run_items."""
    verdict, elapsed, outcomes, *rest, large = _work(_child.run_items, *items)
    if _is_copy and verdict == _STOPPED:
        _raise(outcomes[-1])
    return (verdict, elapsed, outcomes, *rest), large


def _raise(outcome: bytes | tuple[bytes, object]) -> NoReturn:
    """Raise, in a copy, what its task has raised."""
    from interp_executor import _outcome

    raise _outcome.unframed(outcome if isinstance(outcome, bytes) else outcome[0])


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
