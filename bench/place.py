"""Where benchmarks run: the repository, the environment of children, the cores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """Return the environment in which child processes can import ``bench``.

    They keep bytecode, as an installed package has it: otherwise every interpreter
    of ours would compile our modules, beside a standard library that is compiled.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def no_pinning() -> str | None:
    """Say why this system cannot pin a process to one core, if so."""
    return None if hasattr(os, "sched_setaffinity") else "no os.sched_setaffinity"


@contextmanager
def pinned(wanted: bool) -> Iterator[None]:
    """Keep the calling thread, and what it starts, to one core where wanted."""
    if not wanted:
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
