"""One exception, taken apart into what can be pickled, and put together again as it was.

Neither its ``__init__`` nor a ``__new__`` in Python is called again: they may take other arguments
than those that the exception has, and what they did is done. Only a class that says itself how it
is pickled is obeyed. Exceptions that it refers to are taken apart in the same way.
"""

from __future__ import annotations

import copyreg

from interp_executor._serialize import (
    dumps_attaching,
    dumps_by_value,
    loads_attached,
    pack_nothing,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    # An exception's arguments, __dict__, and what it keeps in slots: what it is filled with.
    _Parts = tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]


def of_base(name: str, base: type = BaseException) -> Any:
    """Return what reads and sets an attribute, whatever a class in between has of that name."""
    return vars(base)[name]


_args = of_base("args")
_state_of: Callable[[BaseException], dict[str, Any]] = of_base("__dict__").__get__
_message_of = of_base("message", BaseExceptionGroup).__get__
_exceptions_of = of_base("exceptions", BaseExceptionGroup).__get__


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions of a group; none if it is not one."""
    members: tuple[BaseException, ...] = ()
    # Not isinstance(), which asks the object too, here and below.
    if issubclass(type(error), BaseExceptionGroup):
        members = _exceptions_of(error)
    return members


def take_apart(error: BaseException) -> bytes | None:
    """Pickle an exception, but not the members of a group; None if its class cannot cross."""
    data = _in_its_own_way(error)
    if data is not None:
        return data
    parts = _parts(error)
    try:
        return _dumps(error, error, parts)[0]
    except BaseException:  # a __reduce__ may raise anything
        pass
    try:
        return _dumps(error, error, _without_what_cannot_cross(error, parts))[0]
    except BaseException:  # it is the class that cannot cross
        return None


def put_together(data: bytes, members: Sequence[BaseException]) -> BaseException:
    """Make an exception that was taken apart, a group of these members, as it was."""
    error: BaseException = _loads(data, members)
    return error


def _dumps(value: object, error: BaseException, parts: _Parts | None = None) -> tuple[bytes, Any]:
    """Pickle what can be loaded again, an exception or what it has; return the copy, too.

    The members of a group are named by their places, wherever they are met: they cross by
    themselves. Other exceptions are taken apart, and this one into these parts.
    """
    members = members_of(error)
    pack = _naming(members) if members else pack_nothing

    def reduce(each: object) -> Any:
        if each is error and parts is not None:
            return _reduced(error, parts)
        return _reduce(each)

    try:
        data = dumps_attaching(value, pack, reduce)
        return data, _loads(data, members)
    except BaseException:  # a __reduce__ may raise anything
        data = dumps_by_value(value, pack, reduce)
        return data, _loads(data, members)


def _loads(data: bytes, members: Sequence[BaseException]) -> Any:
    def member(place: Any) -> object:
        return members[place]

    return loads_attached(data, member if members else None)


def _naming(members: tuple[BaseException, ...]) -> Callable[[object], int | None]:
    """Return a pickler's persistent_id that gives the places of the members."""
    places = {id(member): place for place, member in enumerate(members)}

    def pack(value: object) -> int | None:
        pack_nothing(value)
        return places.get(id(value))

    return pack


def _reduce(value: object) -> Any:
    """Be a pickler's reducer_override that takes exceptions apart."""
    kind = type(value)
    if issubclass(kind, BaseException) and not (_says_how(kind) or _keeps_more(kind)):
        return _reduced(value, _parts(value))  # type: ignore[arg-type]
    return NotImplemented


def _reduced(error: BaseException, parts: _Parts) -> tuple[Any, ...]:
    """Return what a __reduce__ returns. It is filled last: its parts may refer to it."""
    what: tuple[Any, ...] = (type(error),)
    if issubclass(type(error), BaseExceptionGroup):
        what += (_message_of(error), members_of(error))
    return _make, what, parts, None, None, _fill


def _make(kind: type[BaseException], *group: Any) -> BaseException:
    make: Callable[..., BaseException] = _maker(kind).__new__
    error = make(kind, *group)
    if issubclass(kind, StopIteration):
        StopIteration.__init__(error)  # CPython crashes on one that never had a value
    return error


def _fill(error: BaseException, parts: _Parts) -> None:
    args, state, values = parts
    _args.__set__(error, args)
    _state_of(error).update(state)
    if values:
        slots = _slots(type(error))
        for name, value in values.items():
            slots[name].__set__(error, value)


def _in_its_own_way(error: BaseException) -> bytes | None:
    """Pickle what has a way of its own for that, if this makes an exception of its class."""
    kind = type(error)
    try:
        says_how = _says_how(kind)
        if not says_how and not _keeps_more(kind):
            return None
        data, copy = _dumps(error, error)
        same = type(copy) is kind and (says_how or _has_args_of(copy, error))
        return data if same else None
    except BaseException:  # as above
        return None


def _says_how(kind: type[BaseException]) -> bool:
    """Whether a class says itself how it is pickled: what it leaves out, it leaves out."""
    return kind in copyreg.dispatch_table or _has_its_own(kind, "__reduce__", "__reduce_ex__")


def _keeps_more(kind: type[BaseException]) -> bool:
    """Whether instances may have what is not in their parts. Pickle then calls __init__ again."""
    return _module_of(_maker(kind)) != "builtins" or _has_its_own(kind, "__setstate__")


def _has_its_own(kind: type[BaseException], *names: str) -> bool:
    return any(
        not vars(each).keys().isdisjoint(names)
        for each in kind.__mro__
        if _module_of(each) != "builtins"
    )


def _has_args_of(copy: BaseException, error: BaseException) -> bool:
    """Whether an __init__ has made the same of the arguments again, as far as they can tell."""
    ours, theirs = _args.__get__(copy), _args.__get__(error)
    return len(ours) == len(theirs) and all(map(_alike, ours, theirs))


def _alike(one: object, other: object) -> bool:
    kind = type(one)
    return kind is type(other) and (kind.__eq__ is object.__eq__ or one == other)


def _parts(error: BaseException) -> _Parts:
    slots = {}
    for name, slot in _slots(type(error)).items():
        try:
            value = slot.__get__(error)
        except AttributeError:  # never set
            continue
        # One that holds nothing reads as None too, and must not be set: an OSError would show it.
        if value is not None:
            slots[name] = value
    return _args.__get__(error), dict(_state_of(error)), slots


def _without_what_cannot_cross(error: BaseException, parts: _Parts) -> _Parts:
    """Leave out of an exception what does not cross, and add notes that say what and why."""
    from interp_executor._diagnose import transfer_error

    notes = []

    def crosses(value: object, name: str, instead: str) -> bool:
        try:
            _dumps(value, error)
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

    args, state, slots = parts
    args = tuple(
        value if crosses(value, f"argument {i}", "Its repr() is in its place") else _shown(value)
        for i, value in enumerate(args)
    )
    state, slots = crossing(state), crossing(slots)
    state["__notes__"] = [*state.get("__notes__", ()), *notes]
    return args, state, slots


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
