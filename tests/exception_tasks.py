"""Exceptions that keep things where pickle does not look, or that do not like to be made again."""

import threading
from collections.abc import Sequence
from typing import Any, NoReturn

# The names of the classes whose __init__ or __new__ has been called, in this interpreter.
made: list[str] = []


def what_was_made() -> list[str]:
    return made


def _with_its_own_init(base: type[BaseException]) -> type[BaseException]:
    """Return a subclass whose __init__ cannot be called with the arguments of its base's."""

    def init(self: BaseException, *, arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
        made.append(type(self).__name__)
        base.__init__(self, *arguments, **more)  # type: ignore[call-arg]

    name = f"Own{base.__name__}"
    return type(name, (base,), {"__init__": init, "__module__": __name__})


# The same with an __init__ of their own, by built-in class.
own: dict[type[BaseException], type[BaseException]] = {
    base: _with_its_own_init(base)
    for base in (
        AttributeError,
        BlockingIOError,
        FileNotFoundError,
        ImportError,
        KeyError,
        NameError,
        OSError,
        StopIteration,
        SyntaxError,
        SystemExit,
        UnicodeDecodeError,
        UnicodeEncodeError,
        UnicodeTranslateError,
    )
}
globals().update((kind.__name__, kind) for kind in own.values())


class ValueErrorFirst(ValueError, OSError):
    def __init__(self, path: str) -> None:
        OSError.__init__(self, 2, "not there", path)


class OSErrorFirst(OSError, ValueError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "not there", path)


class Slotted(ImportError):
    """Has slots, one of which hides one of its base's."""

    __slots__ = ("name", "never_set", "value")

    def __init__(self, value: object) -> None:
        super().__init__("slotted", path="a path")
        self.value = value
        self.name = "in a slot"


class OwnNew(Exception):
    def __new__(cls, *, code: int) -> "OwnNew":
        made.append(cls.__name__)
        self = super().__new__(cls, f"code {code}")
        self.code = code
        return self

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")

    code: int


class CodedGroup(ExceptionGroup[Exception]):
    """The group of CPython's documentation, with something of its own."""

    code: int

    def __new__(cls, message: str, errors: Sequence[Exception], code: int) -> "CodedGroup":
        made.append(cls.__name__)
        self = super().__new__(cls, message, errors)
        self.code = code
        return self

    def derive(self, errors: Sequence[Exception], /) -> "CodedGroup":  # type: ignore[override]
        return CodedGroup(self.message, errors, self.code)


class ReducesItself(Exception):
    """Crosses in its own way, which knows what to do about the lock."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return ReducesItself, self.args


class NoRepr:
    """Neither pickled nor shown."""

    def __reduce__(self) -> NoReturn:
        raise RuntimeError("not to be pickled")

    def __repr__(self) -> NoReturn:
        raise RuntimeError("not to be shown")


def fail_with_filename_set_later() -> NoReturn:
    error = OSError(2, "not there")
    error.filename = "set later"
    raise error


def fail_with_coded_group() -> NoReturn:
    raise CodedGroup("coded", [ValueError("v"), KeyError("k")], 7)


def fail_with_lock(kind: type[Exception] = ValueError) -> NoReturn:
    error: Any = kind("has a lock")
    error.lock = threading.Lock()
    error.position = 17
    error.add_note("noted before")
    raise error


def fail_with_deep_lock() -> NoReturn:
    error: Any = ValueError("has a lock")
    error.settings = {"locks": [threading.Lock()]}
    raise error


def fail_with_lock_in_slot() -> NoReturn:
    raise Slotted(threading.Lock())


def fail_with_lock_in_arguments() -> NoReturn:
    raise ValueError("carries", threading.Lock())


def fail_with_lock_in_group() -> NoReturn:
    group: Any = ExceptionGroup("has a lock", [ValueError("v")])
    group.lock = threading.Lock()
    raise group


def fail_with_no_repr() -> NoReturn:
    raise ValueError(NoRepr())


def fail_with_what_cannot_be_made_again() -> NoReturn:
    error: Any = ValueError("wraps another")
    error.original = OwnNew(code=3)
    raise error
