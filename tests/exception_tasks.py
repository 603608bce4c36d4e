"""Exceptions that keep things where pickle does not look, or that do not like to be made again."""

import dataclasses
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


class OwnArgumentsGroup(ExceptionGroup[Exception]):
    """A group whose arguments are not those of its base class."""

    code: int

    def __new__(cls, code: int, *errors: Exception, more: object = None) -> "OwnArgumentsGroup":
        made.append(cls.__name__)
        self = super().__new__(cls, "own", errors)
        self.code = code
        self.more = more
        return self

    def __init__(self, code: int, *errors: Exception, more: object = None) -> None:
        super().__init__(code, *errors)

    more: object


class ListedGroup(ExceptionGroup[Exception]):
    """A group whose members come first, and which makes others of its arguments."""

    code: int

    def __new__(cls, errors: Sequence[Exception], code: int) -> "ListedGroup":
        made.append(cls.__name__)
        self = super().__new__(cls, "listed", errors)
        self.code = code
        return self

    def derive(self, errors: Sequence[Exception], /) -> "ListedGroup":  # type: ignore[override]
        return ListedGroup(errors, self.args[1])


class ReducedGroup(CodedGroup):
    """A group that says how it is pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ReducedGroup, (self.message, self.exceptions, self.code + 1)


class HidesArguments(Exception):
    """Has a field of its own with the name of an attribute of all exceptions."""

    args: Any = None

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ShowsOtherArguments(Exception):
    args = property(lambda self: ("others",))  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    name: str


class SetsNothing(Exception):
    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"no setting of {name}")


class ShowsNoDict(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.position = 17

    __dict__ = property(lambda self: {"no": "dict"})  # type: ignore[assignment]


class NoEq:
    """Equal to no other, as most objects."""


class ReducesItselfAndMore(Exception):
    """Crosses in its own way, with what does not know whether it is the same there."""

    def __init__(self, name: str, more: NoEq) -> None:
        super().__init__(name, more)
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return ReducesItselfAndMore, self.args


class Masked(Exception):
    """Keeps its argument to itself."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Masked, ("***",)


class SetsItsState(Exception):
    """Is made again by its __init__, and keeps aside what it has been told then."""

    def __init__(self, name: str, more: object) -> None:
        super().__init__(name, more)
        self.told = "init"

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        self.told += " and state"


class SetsItsStateOfOtherArguments(SetsItsState):
    def __init__(self, name: str, more: object) -> None:
        super().__init__(name + "!", more)


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
    error.original = MadeOnce("original")
    raise error


class MadeOnce(Exception):
    """Pickles in its own way, but cannot be loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return MadeOnce._again, ()

    @staticmethod
    def _again() -> NoReturn:
        raise RuntimeError("not again")


def fail_and_link(kind: type[Exception]) -> NoReturn:
    error = kind("linked")
    vars(BaseException)["__dict__"].__get__(error)["__notes__"] = ["noted"]
    raise error from KeyError("cause")


def fail_with_group_of_its_own_arguments() -> NoReturn:
    first, second = ValueError("v"), OwnNew(code=3)
    second.__cause__ = KeyError("cause of a member")
    raise OwnArgumentsGroup(7, first, second, more={"worst": second})


def fail_with_listed_group() -> NoReturn:
    raise ListedGroup([ValueError("v"), KeyError("k")], 7)


def fail_with_reduced_group() -> NoReturn:
    raise ReducedGroup("reduced", [OwnNew(code=3)], 7)


def fail_with_more_than_a_name(kind: Any) -> NoReturn:
    raise kind("name", NoEq())


def fail_with_others_within() -> NoReturn:
    inner: Any = CodedGroup("inner", [OwnNew(code=3)], 7)
    error: Any = ValueError("wraps others", OwnNew(code=4))
    error.inner = inner
    inner.outer = error
    raise error


def fail_with_local_within() -> NoReturn:
    class LocalError(Exception):
        def __init__(self, *, code: int) -> None:
            super().__init__(f"code {code}")

    raise ValueError("wraps another", LocalError(code=5))
