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


def wait_at(gate: str, inbox: str = "") -> None:
    """Say so where somebody listens, then wait for what nobody writes."""
    if inbox:
        with open(inbox, "w") as told:
            told.write("there")
    with open(gate):
        pass


def wait_unless_small(value: int | str) -> int | str:
    if isinstance(value, str):
        wait_at(value)
    return value
