"""Collecting garbage so that a test may rely on it."""

import gc
import threading
from typing import Any


def collect() -> None:
    """Collect all that is garbage now.

    `gc.collect()` alone returns at once, with nothing done, while another thread is in the middle
    of a collection: one that calls a finalizer or a weak reference's callback, say.
    """
    started: list[int] = []
    caller = threading.get_ident()

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start" and threading.get_ident() == caller:
            started.append(info["generation"])

    gc.callbacks.append(note)
    try:
        while 2 not in started:  # it was refused, or the start of a smaller one of its own accord
            gc.collect()
    finally:
        gc.callbacks.remove(note)
