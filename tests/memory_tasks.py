"""Tasks for isolated/no_memory.py."""

import os

from interp_executor import SharedBuffer


class Refusal(Exception):
    """What a task raises."""


def echo(value: object) -> object:
    """Return it."""
    return value


def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


def refuse() -> None:
    """Raise."""
    raise Refusal("no")


def fill(letter: str, size: int) -> str:
    """Return a long text."""
    return letter * size


def length(value: bytes | memoryview) -> int:
    """Return how long it is."""
    return len(value)


def wait_for_byte(gate: int) -> bytes:
    """Wait until something can be read from a pipe."""
    return os.read(gate, 1)


def wait_without_memory(flag: SharedBuffer) -> None:
    """Set the flag to 1, and wait until it is 2; in between, nothing is allocated."""
    with memoryview(flag) as view:
        view[0] = 1
        while view[0] != 2:
            pass
