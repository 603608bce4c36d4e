"""Functions of test graphs; a module that imports nothing, so that workers load it at once."""

import os
import sys


def increment(value: int) -> int:
    return value + 1


def add(first: int, second: int, third: int = 0) -> int:
    return first + second + third


def fail(value: int) -> int:
    raise ValueError("no", value)


def where(_: object = None) -> tuple[int, bool, bool]:
    """Say in which process, and whether dask and distributed are loaded there."""
    return os.getpid(), "dask" in sys.modules, "distributed" in sys.modules


def items_of(mapping: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(mapping.items())


def spin(iterations: int) -> int:
    total = 0
    for i in range(iterations):
        total += i & 3
    return total
