"""Tasks for isolated/no_memory.py."""

import os


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
