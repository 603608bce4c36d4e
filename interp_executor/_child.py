"""What runs in a child process of the process lane: it answers what ``_process.py`` asks.

A child runs one task at a time, in its main thread, with the code that workers run in their
interpreters: see child.c.
"""

from __future__ import annotations

import os
import signal
import sys

from interp_executor import _native, _threads, _worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_child: _native.Child | None = None
_running = False


def start(name: str, world: bytes) -> int:
    """Set the process up and name its thread after its worker; return its number."""
    global _child
    signal.signal(signal.SIGINT, _on_interrupt)
    _child = _native.Child(tuple(sys.path), world)
    _threads.set_name(name)
    return os.getpid()


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    # Ctrl-C reaches the whole group of processes; one that has no task is not concerned.
    if _running:
        raise KeyboardInterrupt


def update_world(world: bytes) -> bool:
    """Take over the owner's world."""
    return _worker.update_world(world)


def run(number: int, form: int, data: bytes, arguments: bytes) -> tuple[int, bytes, str | None]:
    """Run a call; see Child.run."""
    global _running
    assert _child is not None
    _running = True
    try:
        return _child.run(number, form, data, arguments)
    finally:
        _running = False


def run_items(
    number: int,
    form: int,
    data: bytes,
    arity: int,
    items: bytes,
    offsets: bytes,
) -> tuple[int, int, list[bytes], str | None]:
    """Run a callable on items of a map; see Child.run_items."""
    global _running
    assert _child is not None
    _running = True
    try:
        return _child.run_items(number, form, data, arity, items, offsets)
    finally:
        _running = False
