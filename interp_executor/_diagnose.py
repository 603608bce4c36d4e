"""Which part of a value cannot cross, in words. Imported only once something has failed.

What does not cross may not like to be looked at either: whatever its attributes raise, there is a
TransferError in the end.
"""

import functools
from collections import deque
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType

from interp_executor._error_parts import text_of, type_name
from interp_executor._errors import TransferError
from interp_executor._serialize import dumps_attaching, dumps_by_value, pack_nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from interp_executor._serialize import Pack

_DEPTH = 20

# What to use instead: {module of the type: hint}.
_HINTS = {
    "_multiprocessing": "it belongs to processes; instead, let tasks return what the main "
    "interpreter then combines",
    "multiprocessing.synchronize": "it belongs to processes; instead, let tasks return what the "
    "main interpreter then combines",
    "multiprocessing.queues": "it belongs to processes; return values from tasks instead, or on "
    "Python 3.14 and later pass a concurrent.interpreters queue",
    "multiprocessing.sharedctypes": "it belongs to processes; share memory with an "
    "interp_executor.SharedBuffer instead",
    "multiprocessing.connection": "it belongs to processes; return values from tasks instead",
    "_thread": "locks do not work across interpreters; create it inside the task, or let tasks "
    "return what the main interpreter then combines",
    "threading": "thread primitives do not work across interpreters; create it inside the task, "
    "or let tasks return what the main interpreter then combines",
    "_io": "open the file inside the task and pass its path",
    "_socket": "open the socket inside the task and pass its address",
    "socket": "open the socket inside the task and pass its address",
    "sqlite3": "open the connection inside the task and pass the path",
    "generator": "pass a list of its items",
    "coroutine": "pass the function and its arguments, and run it inside the task",
}


def transfer_error(
    value: object, place: str, error: BaseException, pack: "Pack" = pack_nothing
) -> TransferError:
    """Return the error that says which part of value, called place, cannot cross, and why."""
    where, culprit = _find(value, place, 0, pack)
    return _describe(where, culprit, error)


def transfer_error_of_call(
    args: tuple[object, ...], kwargs: dict[str, object], error: BaseException, pack: "Pack"
) -> TransferError:
    """Return the error that says which argument of a call cannot cross, and why."""
    places = [(f"argument {i}", value) for i, value in enumerate(args)]
    places += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for place, value in places:
        if not _crosses(value, pack):
            return transfer_error(value, place, error, pack)
    return _describe("the arguments", args, error)


def _describe(where: str, culprit: object, error: BaseException) -> TransferError:
    reason = text_of(error) or type_name(type(error))
    name = type_name(type(culprit))
    text = f"{where} cannot cross to another interpreter: {name} object ({reason})"
    hint = _hint(culprit)
    return TransferError(f"{text}; {hint}" if hint else text)


def _hint(value: object) -> str | None:
    name = type_name(type(value))
    return _HINTS.get(name.rpartition(".")[0]) or _HINTS.get(name)


def _crosses(value: object, pack: "Pack") -> bool:
    try:
        dumps_attaching(value, pack)
    except Exception:
        try:
            dumps_by_value(value, pack)
        except Exception:
            return False
    return True


def _find(value: object, place: str, depth: int, pack: "Pack") -> tuple[str, object]:
    """Return the place and the innermost part of value that does not cross."""
    if depth < _DEPTH and not type_name(type(value)).startswith("multiprocessing."):
        try:
            for step, part in _parts(value):
                if not _crosses(part, pack):
                    return _find(part, place + step, depth + 1, pack)
        except Exception:  # it resists: then it is what is named
            return place, value
    return place, value


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """Iterate over what a value is made of, each with how it is reached."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"[{key!r}]", part
            yield f" key {key!r}", key
    elif isinstance(value, (list, tuple, deque)):
        yield from ((f"[{i}]", part) for i, part in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f" item {part!r}", part) for part in value)
    elif isinstance(value, BaseException):
        yield from ((f".args[{i}]", part) for i, part in enumerate(value.args))
    elif isinstance(value, functools.partial):
        yield ".func", value.func
        yield from ((f".args[{i}]", part) for i, part in enumerate(value.args))
        yield from ((f".keywords[{name!r}]", part) for name, part in value.keywords.items())
    if isinstance(value, FunctionType):
        yield from _parts_of_function(value)
    yield from _attributes(value)


def _parts_of_function(fn: FunctionType) -> Iterator[tuple[str, object]]:
    code, names = fn.__code__, fn.__globals__
    for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
        yield f"'s variable {name!r}", _cell(cell)
    yield from ((f"'s global {name!r}", names[name]) for name in code.co_names if name in names)
    yield from ((f".__defaults__[{i}]", part) for i, part in enumerate(fn.__defaults__ or ()))
    yield from (
        (f"'s default of {name!r}", part) for name, part in (fn.__kwdefaults__ or {}).items()
    )


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    owner = getattr(value, "__self__", None)
    if owner is not None and callable(value) and not isinstance(owner, ModuleType):
        yield ".__self__", owner
    if isinstance(value, type):
        return
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield f".{name}", getattr(value, name)
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        yield from ((f".{name}", part) for name, part in attributes.items())


def _cell(cell: object) -> object:
    try:
        return cell.cell_contents  # type: ignore[attr-defined]
    except ValueError:  # not filled yet
        return None
