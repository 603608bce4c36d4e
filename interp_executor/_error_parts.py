"""One exception, taken apart into what can be pickled, and put together again as it was.

Neither its ``__init__`` nor a ``__new__`` in Python is called again: they may take other arguments
than those that the exception has, and what they did is done.
"""

from __future__ import annotations

import _pickle
import copyreg

from interp_executor._serialize import dumps_by_value, dumps_plain, pack_nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # An exception's class, arguments, __dict__, and what it keeps in slots.
    _Parts = tuple[type[BaseException], tuple[Any, ...], dict[str, Any], dict[str, Any]]

# How an exception is rebuilt.
_PICKLED = 0  # pickle of the exception, in its class's own way
_PARTS = 1  # pickle of its _Parts
LOST = 2  # nothing crosses but the texts


def take_apart(error: BaseException) -> tuple[int, bytes]:
    """Return how an exception is to be rebuilt, and of what."""
    data = _in_its_own_way(error)
    if data is not None:
        return _PICKLED, data
    parts = _parts(error)
    try:
        return _PARTS, _dumps(parts)[0]
    except BaseException:  # a __reduce__ may raise anything
        pass
    try:
        return _PARTS, _dumps(_without_what_cannot_cross(*parts))[0]
    except BaseException:  # it is the class that cannot cross
        return LOST, b""


def _dumps(value: object) -> tuple[bytes, Any]:
    """Pickle what can be loaded again; return what that makes of it, too."""
    try:
        data = dumps_plain(value)
        return data, _pickle.loads(data)
    except BaseException:  # a __reduce__ may raise anything
        data = dumps_by_value(value, pack_nothing)
        return data, _pickle.loads(data)


_HOOKS = {"__reduce__", "__reduce_ex__", "__setstate__"}


def _in_its_own_way(error: BaseException) -> bytes | None:
    """Pickle what has a way of its own for that, if it makes the same exception again."""
    kind = type(error)
    try:
        if isinstance(error, BaseExceptionGroup) or not _has_its_own_way(kind):
            return None
        data, copy = _dumps(error)
        return data if type(copy) is kind and copy.args == error.args else None
    except BaseException:  # as above
        return None


def _has_its_own_way(kind: type[BaseException]) -> bool:
    """Whether a class, or an extension that keeps things where only it can see them, says how."""
    return (
        kind in copyreg.dispatch_table
        or _module_of(_maker(kind)) != "builtins"
        or any(
            not _HOOKS.isdisjoint(vars(each))
            for each in kind.__mro__
            if _module_of(each) != "builtins"
        )
    )


def _parts(error: BaseException) -> _Parts:
    args = error.args
    if isinstance(error, BaseExceptionGroup):
        args = (error.message, None, *args[2:])  # the members cross by themselves
    slots = {}
    for name, slot in _slots(type(error)).items():
        try:
            value = slot.__get__(error)
        except AttributeError:  # never set
            continue
        # One that holds nothing reads as None too, and must not be set: an OSError would show it.
        if value is not None:
            slots[name] = value
    return type(error), args, dict(vars(error)), slots


def _without_what_cannot_cross(
    kind: type[BaseException],
    args: tuple[Any, ...],
    state: dict[str, Any],
    slots: dict[str, Any],
) -> _Parts:
    """Leave out of an exception what does not cross, and add notes that say what and why."""
    from interp_executor._diagnose import transfer_error

    notes = []

    def crosses(value: object, name: str, instead: str) -> bool:
        try:
            _dumps(value)
        except BaseException as failure:  # as above
            reason = transfer_error(value, f"the exception's {name}", failure)
            notes.append(f"{reason}. {instead}.")
            return False
        return True

    def crossing(attributes: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in attributes.items()
            if crosses(value, f"attribute {name!r}", "It is left out")
        }

    args = tuple(
        value if crosses(value, f"argument {i}", "Its repr() is in its place") else _shown(value)
        for i, value in enumerate(args)
    )
    state, slots = crossing(state), crossing(slots)
    state["__notes__"] = [*state.get("__notes__", ()), *notes]
    return kind, args, state, slots


def _shown(value: object) -> str:
    try:
        return repr(value)
    except BaseException:  # as above
        return f"<{type_name(type(value))} object>"


# The types of what a class has for each slot, be it of C or named in __slots__.
_SLOT_TYPES = {type(vars(OSError)[name]) for name in ("filename", "characters_written")}
# Their slots are seen to one by one.
_ROOTS = (object, BaseException, BaseExceptionGroup)


def _slots(kind: type[BaseException]) -> dict[str, Any]:
    """Return what reads and sets the attributes that are not in __dict__, as OSError.filename."""
    return {
        name: slot
        for each in reversed(kind.__mro__)
        if each not in _ROOTS
        for name, slot in vars(each).items()
        if type(slot) in _SLOT_TYPES and not name.startswith("__") and slot is not _OBJ
    }


# An AttributeError's object stays where it is, as when CPython pickles one: it may be anything.
_OBJ = vars(AttributeError)["obj"]


def _maker(kind: type) -> type:
    """Return the class of C whose __new__ makes instances; their layout comes from it."""
    while type(vars(kind).get("__new__")) is not _BuiltinFunctionType:
        kind = kind.__base__  # type: ignore[assignment]  # None for object alone
    return kind


_BuiltinFunctionType = type(len)


def put_together(how: int, data: bytes, members: list[BaseException]) -> BaseException:
    """Make an exception that was taken apart, a group of these members, as it was."""
    loaded = _pickle.loads(data)
    if how == _PICKLED:
        error: BaseException = loaded
        return error
    kind, args, state, values = loaded
    make: Callable[..., BaseException] = _maker(kind).__new__
    if issubclass(kind, BaseExceptionGroup):
        error = make(kind, args[0], members)
        args = (args[0], members, *args[2:])
    else:
        error = make(kind)
    if isinstance(error, StopIteration):
        StopIteration.__init__(error)  # CPython crashes on one that never had a value
    error.args = args
    vars(error).update(state)
    if values:
        slots = _slots(kind)
        for name, value in values.items():
            slots[name].__set__(error, value)
    return error


_module_of = type.__dict__["__module__"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__


def type_name(kind: type) -> str:
    """Return a class's name with its module, whatever its metaclass makes of these attributes."""
    return f"{_module_of(kind)}.{_qualname_of(kind)}".removeprefix("builtins.")


def text_of(error: BaseException) -> str:
    """Return str() of an exception, whatever its class makes of that."""
    try:
        return str(error)
    except BaseException as failure:
        return f"(str() of it raises {type_name(type(failure))})"
