"""Functions and classes that tests send into workers by name: importable, and light."""

import collections
import dataclasses
import enum
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

calls = 0


def echo(value: Any) -> Any:
    return value


def arguments(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def count_calls() -> int:
    global calls
    calls += 1
    return calls


def call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def name_of_stream(stream: object) -> str:
    return next(name for name in ("stdout", "stderr") if stream is getattr(sys, name))


def type_name(value: object) -> str:
    return type(value).__qualname__


def same_object(first: object, second: object) -> bool:
    return first is second


def append_and_return(items: list[Any], value: Any) -> list[Any]:
    items.append(value)
    return items


def holds_itself(items: list[Any]) -> bool:
    return items[0] is items


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that keeps the name of what it decorates."""

    @functools.wraps(function)
    def double(*args: Any) -> Any:
        return 2 * function(*args)

    return double


@doubled
def decorated(value: int) -> int:
    return value + 1


@functools.lru_cache
def cached(value: int) -> int:
    return value * 3


class Account:
    """Methods of every kind, and state."""

    bank = "first"

    def __init__(self, balance: int) -> None:
        self.balance = balance

    def add(self, amount: int) -> int:
        self.balance += amount
        return self.balance

    @classmethod
    def name_of_bank(cls) -> str:
        return cls.bank

    @staticmethod
    def fee(amount: int) -> int:
        return amount // 10

    def __call__(self, amount: int) -> int:
        return self.balance * amount


class Outer:
    class Inner:
        def __init__(self, value: int = 0) -> None:
            self.value = value

        def get(self) -> int:
            return self.value


Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Custom:
    """Pickled by a state of its own making."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.cache = threading.Lock()

    def __getstate__(self) -> int:
        return self.value

    def __setstate__(self, state: int) -> None:
        self.value = state
        self.cache = threading.Lock()


class Holder:
    """Something with an attribute."""

    def __init__(self, content: object) -> None:
        self.content = content

    def get(self) -> object:
        return self.content


class TwoArguments(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class KeywordOnly(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ReduceFails(Exception):
    def __reduce__(self) -> NoReturn:
        raise RuntimeError("this exception does not pickle")


class StrFails(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def fail(kind: type[BaseException], *args: Any, **kwargs: Any) -> NoReturn:
    raise kind(*args, **kwargs)


def fail_with(error: BaseException) -> NoReturn:
    raise error


def fail_with_attributes() -> NoReturn:
    error = ValueError("with attributes")
    error.position = 17  # type: ignore[attr-defined]
    raise error


def fail_with_notes() -> NoReturn:
    error = ValueError("noted")
    error.add_note("first")
    error.add_note("second")
    raise error


def fail_because_twice() -> NoReturn:
    try:
        try:
            raise KeyError("innermost")
        except KeyError as error:
            raise TwoArguments(1, "middle") from error
    except TwoArguments as error:
        raise ValueError("outermost") from error


def fail_while_handling() -> NoReturn:
    try:
        raise KeyError("handled")
    except KeyError:
        raise ValueError("while handling")  # noqa: B904 - the implicit context is the point


def fail_from_none() -> NoReturn:
    try:
        raise KeyError("hidden")
    except KeyError:
        raise ValueError("alone") from None


def fail_with_group() -> NoReturn:
    inner = ExceptionGroup("inner", [TwoArguments(3, "three"), KeyError("k")])
    raise ExceptionGroup("outer", [ValueError("v"), inner])


def fail_with_base_group() -> NoReturn:
    raise BaseExceptionGroup("base", [KeyboardInterrupt("stop"), ValueError("v")])


def ghost_class() -> type[Exception]:
    """An exception class that no other interpreter can import or rebuild."""
    return type("Ghost", (Exception,), {"__module__": "nowhere", "lock": threading.Lock()})


def fail_with_ghost() -> NoReturn:
    raise ghost_class()("boo")


def fail_because_of_ghost() -> NoReturn:
    raise ValueError("seen") from ghost_class()("boo")


def fail_with_ghost_in_group() -> NoReturn:
    raise ExceptionGroup("mixed", [ghost_class()("boo"), ValueError("plain")])


def fail_recursively(depth: int = 0) -> NoReturn:
    fail_recursively(depth + 1)
    raise AssertionError("unreachable")


def fail_after_failures(count: int) -> NoReturn:
    """Raise what has a long history, as a loop of retries does."""
    history: BaseException | None = None
    for number in range(count):
        failure = ValueError(number)
        failure.__context__ = history
        history = failure
    assert history is not None
    raise history


def fail_for_memory() -> bytes:
    return bytes(1 << 62)


def make_lock() -> Any:
    return threading.Lock()


def make_connection() -> Any:
    import multiprocessing

    return multiprocessing.Pipe()[0]


def raise_connection() -> NoReturn:
    raise ValueError(make_connection())


def make_deep_lock() -> dict[str, Any]:
    return {"outer": [1, {"inner": Holder(threading.Lock())}]}


def make_generator() -> Iterator[int]:
    return (number for number in range(3))


def make_local_instance() -> Any:
    class Local:
        value = 7

    return Local()


def make_lambda() -> Callable[[int], int]:
    return lambda value: value + 1


class LoadsNowhereElse:
    """Pickles well; loading it raises."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return refuse_to_load, ()


def refuse_to_load() -> NoReturn:
    raise RuntimeError("arrives broken")


class LoadsWithExit:
    """Loading it raises SystemExit, which must not end anything."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exit_while_loading, ()


def exit_while_loading() -> NoReturn:
    raise SystemExit("while loading")


def make_loads_nowhere_else() -> LoadsNowhereElse:
    return LoadsNowhereElse()


def make_loads_nowhere_else_at(item: int, where: int) -> LoadsNowhereElse | int:
    return LoadsNowhereElse() if item == where else item


class PipeEvent:
    """An event that tasks in any interpreter of the process can wait for."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()

    def set(self) -> None:
        os.write(self.write, b"!")

    def wait(self) -> bool:
        os.write(self.write, os.read(self.read, 1))  # an event that is set stays set
        return True

    def close(self) -> None:
        os.close(self.read)
        os.close(self.write)
