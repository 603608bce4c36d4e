"""A module of a user's that imports an extension which refuses to load in an interpreter."""

import lane_tasks
import refusing_extension


def where() -> tuple[int, int]:
    return lane_tasks.whereabouts()


def name() -> str:
    return refusing_extension.__name__


def double(value: int) -> int:
    return value * 2


def fail(value: int) -> int:
    if value == 3:
        raise ValueError(value)
    return value
