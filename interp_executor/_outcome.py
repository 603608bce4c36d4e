"""Exceptions across interpreters: taken apart in the worker, put together in the owner.

An exception crosses with its type, arguments, attributes and notes, the exceptions of its
``__cause__``, ``__context__`` and group, and, at the root of the ``__cause__`` chain, the worker's
formatted traceback. It is put together as it was: neither its ``__init__`` nor a ``__new__`` in
Python is called again, unless its class says how it is pickled. What of its arguments and
attributes cannot cross is left out, and a note says so. Each exception is pickled by itself, so
that one whose class cannot cross costs only itself: a ``TaskError`` with its name, message and
traceback then stands in its place. It stands for all of them where one cannot even be looked at,
since its metaclass raises.
"""

from __future__ import annotations

import _pickle
import sys
from collections import namedtuple

from interp_executor._error_parts import (
    members_of,
    of_base,
    put_together,
    take_apart,
    text_of,
    type_name,
)
from interp_executor._errors import (
    NotLoadedError,
    RemoteTraceback,
    TaskError,
    TaskInterrupt,
    TaskInterrupted,
    TaskTimeoutError,
    TransferError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class _Node(NamedTuple):
        data: bytes | None
        type_name: str
        message: str
        cause: int | None
        context: int | None
        suppress: bool
        members: list[int]

else:
    # One exception of the graph; others are named by their place in the list of nodes.
    _Node = namedtuple("_Node", "data type_name message cause context suppress members")


# Through the base class, since a class may have something else of these names, or refuse to be set.
_cause, _context = of_base("__cause__"), of_base("__context__")
_suppress = of_base("__suppress_context__")
_traceback_of = of_base("__traceback__").__get__


def encode(error: BaseException) -> bytes:
    """Take an exception apart. Never raises but for lack of memory."""
    text = _format(error)
    try:
        return _encode(error, text)
    except BaseException as failure:  # a metaclass may raise anything
        stand_in = TaskError(type_name(type(error)), text_of(error), text)
        stand_in.add_note(f"The exception cannot be taken apart: {text_of(failure)}")
        return _encode(stand_in, text)


def _encode(error: BaseException, text: str) -> bytes:
    errors = _reachable(error)
    places = {id(each): place for place, each in enumerate(errors)}
    nodes = [tuple(_node(each, places)) for each in errors]
    return _pickle.dumps((nodes, text), 5)


def _format(error: BaseException) -> str:
    import traceback
    import warnings

    try:
        with warnings.catch_warnings():
            # A module of the user's that linecache finds odd must not cost the traceback.
            warnings.simplefilter("ignore")
            return "".join(traceback.format_exception(error))
    except Exception as failure:  # a property that raises, or a metaclass; no file can be opened
        frames = (
            f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_name}\n'
            for frame, line in traceback.walk_tb(_traceback_of(error))
        )
        reason = f"{type_name(type(failure))}: {text_of(failure)}"
        return "".join(frames) + f"{type_name(type(error))} (it cannot be formatted: {reason})\n"


def _reachable(error: BaseException) -> list[BaseException]:
    """Return the exception and all it refers to, once each. Chains may be longer than the stack."""
    errors = [error]
    seen = {id(error)}
    for each in errors:
        for other in (*members_of(each), _cause.__get__(each), _context.__get__(each)):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                errors.append(other)
    return errors


def _node(error: BaseException, places: dict[int, int]) -> _Node:
    return _Node(
        take_apart(error),
        type_name(type(error)),
        text_of(error),
        places.get(id(_cause.__get__(error))),
        places.get(id(_context.__get__(error))),
        _suppress.__get__(error),
        [places[id(member)] for member in members_of(error)],
    )


def decode(data: bytes) -> BaseException:
    """Put an exception together again."""
    if data[:1] != _pickle_begins:
        return _undescribed(data)
    plain, text = _pickle.loads(data)
    nodes = [_Node(*fields) for fields in plain]
    built: dict[int, BaseException] = {}
    error = _build(0, nodes, built, text)
    for place, node in enumerate(nodes):
        exception = built.get(place)
        if exception is not None:
            _link(exception, node, built)
    _attach(error, text)
    return error


_pickle_begins = b"\x80"


def _undescribed(data: bytes) -> BaseException:
    """Return the exception for what a worker could only name: see put_named() in run.c."""
    import marshal

    kind, message, reason = marshal.loads(data)
    lost = TaskError(kind, message)
    lost.add_note(f"The worker could not take the exception apart: {reason}")
    return lost


def _build(
    place: int, nodes: list[_Node], built: dict[int, BaseException], text: str
) -> BaseException:
    pending = [place]
    while pending:
        current = pending.pop()
        if current in built:
            continue
        node = nodes[current]
        missing = [member for member in node.members if member not in built]
        if missing:
            pending += [current, *missing]
            continue
        built[current] = _rebuild(node, [built[member] for member in node.members], text)
        pending += [other for other in (node.cause, node.context) if other is not None]
    return built[place]


def _rebuild(node: _Node, members: list[BaseException], text: str) -> BaseException:
    try:
        if node.data is not None:
            return put_together(node.data, members)
    except Exception as failure:
        lost = TaskError(node.type_name, node.message, text)
        reason = f"{type_name(type(failure))}: {text_of(failure)}"
        lost.add_note(f"The exception cannot be loaded here: {reason}")
        return lost
    return TaskError(node.type_name, node.message, text)


def _link(error: BaseException, node: _Node, built: dict[int, BaseException]) -> None:
    if node.cause is not None:
        _cause.__set__(error, built[node.cause])
    if node.context is not None:
        _context.__set__(error, built[node.context])
    _suppress.__set__(error, node.suppress)


def _attach(error: BaseException, text: str) -> None:
    """Put the worker's traceback at the root of the chain of causes."""
    seen = {id(error)}
    root = error
    while (cause := _cause.__get__(root)) is not None and id(cause) not in seen:
        root = cause
        seen.add(id(root))
    if not issubclass(type(root), RemoteTraceback):  # of an exception that crosses a second time
        _cause.__set__(root, RemoteTraceback(text))


def framed(error: BaseException) -> bytes:
    """Encode an exception as the C codec does, for an outcome that is made in the owner."""
    data = encode(error)
    return b"!" + len(data).to_bytes(8, sys.byteorder) + data


def unframed(outcome: bytes) -> BaseException:
    """Decode the exception of an outcome of the C codec's."""
    if outcome[:1] == b"!":
        return decode(outcome[9:])
    return failed(outcome.decode(errors="replace"))


def encode_unloadable(error: BaseException, what: str) -> bytes:
    """Encode that a worker could not load a task's callable or arguments because of error."""
    reason = str(error) or type(error).__name__
    outer = NotLoadedError(
        f"a worker cannot load the task's {what}: {type(error).__name__}: {reason}{_hint(error)}"
    )
    outer.__cause__ = error
    return encode(outer)


def _hint(error: BaseException) -> str:
    """Return what to do about a name that the main script has in the owner alone."""
    from interp_executor import _worker

    script = _worker.main
    if script is None or not isinstance(error, AttributeError):
        return ""
    # Before 3.14, pickle tells the module in its words alone; it may be what stood for the script.
    words = text_of(error)
    in_words = " on <module '__mp_main__'" in words or " on <module '__main__'" in words
    if error.obj is not script and not in_words:
        return ""
    return (
        ". Workers do not run what is under if __name__ == '__main__': what is defined there "
        "belongs at the top level of the script"
    )


def encode_stopped(error: BaseException, late: bool, timeout: float) -> bytes | None:
    """Encode that a task was interrupted; None if error came about by itself."""
    if not _comes_from_interrupt(error):
        return None
    outer = _stopped(late, timeout, "")
    outer.__cause__ = error
    return encode(outer)


def _comes_from_interrupt(error: BaseException) -> bool:
    """Whether it is TaskInterrupt, was raised while that was handled, or is a group of such."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop()
        if issubclass(type(current), TaskInterrupt):
            return True
        seen.add(id(current))
        related = [_cause.__get__(current), _context.__get__(current), *members_of(current)]
        pending += [other for other in related if other is not None and id(other) not in seen]
    return False


def _stopped(late: bool, timeout: float, end: str, abandoned: bool = False) -> TaskInterrupted:
    if late:
        return TaskTimeoutError(
            f"the task was over its time of {timeout:g} s and was interrupted{end}", abandoned
        )
    return TaskInterrupted(f"the task was interrupted{end}", abandoned)


def process_stopped(late: bool, timeout: float) -> TaskInterrupted:
    """Return the exception for a task whose process was ended to stop it."""
    return _stopped(late, timeout, " by the end of its process")


def abandoned(late: bool, killed: bool, timeout: float) -> TaskInterrupted:
    """Return the exception for a task that was not waited for: it did not stop, or was killed."""
    if killed:
        return process_stopped(bool(late), timeout)
    end = (
        ", but did not stop within the grace period: it was abandoned and may still be running, in "
        "a worker that serves no other task"
    )
    return _stopped(bool(late), timeout, end, abandoned=True)


def failed(text: str) -> BaseException:
    """Return the exception for a failure of the machinery, described by text."""
    return MemoryError(text or "no memory for the outcome of a task")


def undecodable(error: Exception) -> BaseException:
    """Return the exception for a result that arrived but cannot be rebuilt here."""
    outer = TransferError(f"the result cannot be rebuilt: {type(error).__name__}: {error}")
    outer.__cause__ = error
    return outer
