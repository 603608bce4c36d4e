"""What the soak's tasks do; workers import this."""

import os
import resource
import threading
import time


class OddError(Exception):
    """An exception of our own, with a number."""


def echo(number: int) -> int:
    """Return the number."""
    return number


def fail(number: int) -> None:
    """Raise with the number."""
    raise OddError(number)


def make_lock(number: int) -> object:
    """Return what cannot cross."""
    return (number, threading.Lock())


def spin(number: int) -> int:
    """Run for ever."""
    while number >= 0:
        pass
    return number


def spin_for_a_while(number: int) -> int:
    """Run until somebody interrupts it, but not for ever: others may wait behind it."""
    end = time.monotonic() + 0.1
    while time.monotonic() < end:
        pass
    return number


def count(number: int) -> int:
    """Work for some microseconds."""
    return sum(range(number % 200))


def nest(number: int) -> int:
    """Have an executor of one's own negate the number."""
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1) as executor:
        return executor.submit(int.__neg__, number).result()


def crash() -> None:
    """End the process at once, without leaving a core file behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.abort()
