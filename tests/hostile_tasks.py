"""Objects that resist being pickled, looked at or described, and tasks that spoil their worker."""

import atexit
import builtins
import gc
import sys
import threading
from dataclasses import dataclass
from typing import Any


class Unpicklable:
    """Raises when pickled."""

    def __reduce__(self) -> Any:
        raise ValueError("not to be pickled")


class NoAttributes(Unpicklable):
    """Raises for each attribute, even its class."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"never {name}")


class NoClass(Unpicklable):
    """Raises when isinstance() asks."""

    __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class NoDict(Unpicklable):
    """Raises when its attributes are listed."""

    __dict__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class NoRepr(Unpicklable):
    """Raises when shown."""

    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")


class NoItems(dict[str, Any]):
    """A mapping that raises when its items are listed."""

    __reduce_ex__ = None  # type: ignore[assignment]

    def items(self) -> Any:
        raise RuntimeError("not to be listed")


class NoText(Exception):
    """Raises when shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class RaisesNoText:
    """Raises something without a text when pickled."""

    def __reduce__(self) -> Any:
        raise NoText


class _NoNames(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__"):
            raise RuntimeError(f"never {name}")
        return super().__getattribute__(name)


class NoNames(metaclass=_NoNames):
    """A class that does not tell its name."""


HOSTILE = {
    "attributes": NoAttributes,
    "class": NoClass,
    "dict": NoDict,
    "repr of a key": lambda: {NoRepr(): Unpicklable()},
    "items": lambda: NoItems(a=1),
    "text of the error": RaisesNoText,
    "names of a class": lambda: NoNames,
}


def make_hostile(name: str) -> Any:
    return HOSTILE[name]()


class NoCause(Exception):
    """Raises when its cause is read."""

    __cause__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class NoArguments(Exception):
    """Raises when its arguments are read."""

    args = property(lambda self: 1 / 0)  # type: ignore[assignment]


class NoClassError(Exception):
    """Raises when isinstance() asks."""

    __class__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


class _NoMro(type):
    __mro__ = property(lambda cls: 1 / 0)  # type: ignore[assignment]


class NoMroError(Exception, metaclass=_NoMro):
    """An exception of a class that does not tell its bases."""


class NoNamesError(Exception, metaclass=_NoNames):
    """An exception of a class that does not tell its name."""


class InterruptsPickling(Exception):
    """Raises what is no Exception when pickled."""

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class InterruptsLoading(Exception):
    """Raises what is no Exception when it is loaded."""

    def __reduce__(self) -> Any:
        return sys.exit, (3,)


def fail(name: str) -> None:
    raise globals()[name]("look here")


@dataclass(slots=True)
class Slotted:
    """Has no __dict__."""

    content: Any


LOCK = threading.Lock()


def make_user_of_default() -> Any:
    def use_default(first: int = 1, lock: Any = LOCK) -> Any:
        return first, lock

    return use_default


def make_user_of_keyword() -> Any:
    def use_keyword(*, lock: Any = LOCK) -> Any:
        return lock

    return use_keyword


# ---- tasks that spoil their worker ----


def lose_path() -> None:
    """Leave nothing from which anything could be imported."""
    sys.path[:] = []
    sys.path_importer_cache.clear()


def import_and_fail() -> None:
    import there_is_no_such_module  # type: ignore[import-not-found]  # noqa: F401


def import_and_fail_at(number: int) -> None:
    import_and_fail()


def break_builtins() -> None:
    """Leave an interpreter in which no import works."""
    builtins.__import__ = None  # type: ignore[assignment]


def replace_streams(how: str) -> None:
    """Do to the standard output what programs do."""
    print("printed before")
    if how == "delete":
        del sys.stdout
    elif how == "close":
        sys.stdout.close()
    elif how == "detach":
        sys.stdout.detach()  # type: ignore[union-attr]
    elif how == "replace":
        sys.stdout = _Stream()  # type: ignore[assignment]


class _Stream:
    """All that print() asks of a stream, and less than an io.IOBase has."""

    def write(self, text: str) -> int:
        return len(text)


def fail_at_exit() -> None:
    """Leave exit callbacks behind that raise."""
    atexit.register(fail, "NoText")
    atexit.register(sys.exit, 3)


def leave_settings() -> None:
    """Change what has no module, hook or handler."""
    gc.disable()
    gc.set_threshold(12345)
    gc.callbacks.append(print)
    sys.set_coroutine_origin_tracking_depth(3)


def settings() -> tuple[bool, bool, int, int]:
    """Tell what leave_settings() changes."""
    depth = sys.get_coroutine_origin_tracking_depth()
    return gc.isenabled(), gc.get_threshold()[0] == 12345, len(gc.callbacks), depth
