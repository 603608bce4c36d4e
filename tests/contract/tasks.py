"""Task functions of the contract suite: importable by every kind of worker, and light.

Tasks and tests meet through FIFOs, since those work between threads, interpreters and processes
alike. The test keeps each FIFO open for reading and writing, so no `open` here ever blocks.
"""

import contextvars
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

initialised_with: tuple[Any, ...] | None = None
times_initialised = 0


class Thing:
    """An importable object that can be weakly referenced."""

    def __init__(self, value: object = None) -> None:
        self.value = value

    def method(self, other: object = None) -> tuple[object, object]:
        return self.value, other


class TwoArguments(Exception):
    """An exception whose `args` do not suit its own `__init__`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class PlainError(Exception):
    """An exception that can be weakly referenced, as built-in ones cannot."""


class FalseyError(Exception):
    def __bool__(self) -> bool:
        return False


class EmptyError(Exception):
    def __len__(self) -> int:
        return 0


class NeverPickles:
    """An object that cannot leave its interpreter."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("this object stays where it is")


class NeverLoads:
    """An object that pickles well and cannot be loaded again."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return refuse_to_load, ()


def refuse_to_load() -> NoReturn:
    raise RuntimeError("this object arrives broken")


def nothing() -> None:
    pass


def echo(value: Any) -> Any:
    return value


def add(a: Any, b: Any) -> Any:
    return a + b


def arguments(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def forget(*args: Any, **kwargs: Any) -> None:
    """Take anything, return nothing."""


def make_thing(value: object = None) -> Thing:
    return Thing(value)


def make_never_pickles() -> NeverPickles:
    return NeverPickles()


def make_never_loads() -> NeverLoads:
    return NeverLoads()


def fail(kind: type[BaseException], *args: Any) -> NoReturn:
    raise kind(*args)


def fail_with_notes(text: str, *notes: str) -> NoReturn:
    error = ValueError(text)
    for note in notes:
        error.add_note(note)
    raise error


def fail_because(outer: str, inner: str) -> NoReturn:
    try:
        raise KeyError(inner)
    except KeyError as error:
        raise ValueError(outer) from error


def fail_unless_even(value: int) -> int:
    if value % 2:
        raise ValueError(value)
    return value


def interpreter_id() -> int:
    import _interpreters

    return int(_interpreters.get_current()[0])


def whereabouts() -> tuple[int, int]:
    """The process and the interpreter that run this task."""
    return os.getpid(), interpreter_id()


def thread_name() -> str:
    return threading.current_thread().name


def module_is_loaded(name: str) -> bool:
    return name in sys.modules


def say(fifo: str, text: str) -> None:
    """Send one line to the test."""
    fd = os.open(fifo, os.O_WRONLY)
    try:
        os.write(fd, text.encode() + b"\n")
    finally:
        os.close(fd)


def open_gate(gate: str) -> None:
    fd = os.open(gate, os.O_WRONLY)
    try:
        os.write(fd, b"!")
    finally:
        os.close(fd)


def pass_gate(gate: str) -> None:
    """Wait until the gate is open; an open gate stays open for everybody."""
    try:
        fd = os.open(gate, os.O_RDWR)
    except FileNotFoundError:  # the test is over
        return
    try:
        os.write(fd, os.read(fd, 1))
    finally:
        os.close(fd)


def hold(inbox: str, gate: str, value: Any = None) -> Any:
    """Report that the task runs, then wait at the gate."""
    say(inbox, "held")
    pass_gate(gate)
    return value


def hold_then_fail(inbox: str, gate: str) -> NoReturn:
    hold(inbox, gate)
    raise ValueError("failed after the gate")


def say_and_echo(inbox: str, value: Any) -> Any:
    say(inbox, str(value))
    return value


def perform(step: tuple[Any, ...]) -> Any:
    """Call `step[0]` with the rest: lets the items of one `map` do different things."""
    return step[0](*step[1:])


def initialise(*args: Any) -> None:
    global initialised_with, times_initialised
    initialised_with = args
    times_initialised += 1


def initial_arguments() -> tuple[tuple[Any, ...] | None, int]:
    return initialised_with, times_initialised


def fail_to_initialise(text: str = "error in initializer") -> NoReturn:
    raise ValueError(text)


def hold_then_fail_to_initialise(inbox: str, gate: str) -> NoReturn:
    hold(inbox, gate)
    raise ValueError("error in initializer")


def sum_in_executor(kind: type[Any], options: dict[str, Any], numbers: list[int]) -> int:
    """Square the numbers in an executor of this task's own."""
    with kind(**options) as executor:
        return sum(executor.map(pow, numbers, [2] * len(numbers)))


context_value: contextvars.ContextVar[Any] = contextvars.ContextVar("context_value", default=None)


def read_context() -> Any:
    return context_value.get()
