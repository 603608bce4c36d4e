"""What the tests of stopping share, but for the fixtures."""

import threading
import time
from typing import Any

import pytest

from interp_executor import InterpreterPoolExecutor

PATIENCE = 30


def settled(executor: InterpreterPoolExecutor) -> Any:
    """Return the stats once nothing runs: all futures are done before the workers are free."""
    deadline = time.monotonic() + PATIENCE
    while executor.stats().running and time.monotonic() < deadline:
        time.sleep(0.001)
    return executor.stats()


class Held:
    """Holds up the calls of a method until they are released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        method = getattr(owner, name)
        self._called, self._released = threading.Event(), threading.Event()

        def call_late(*args: object) -> object:
            self._called.set()
            assert self._released.wait(PATIENCE)
            return method(*args)

        monkeypatch.setattr(owner, name, call_late)

    def await_call(self) -> None:
        """Wait until the method has been called."""
        assert self._called.wait(PATIENCE)

    def release(self) -> None:
        """Let the calls go on, and those to come."""
        self._released.set()
