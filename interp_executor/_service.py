"""A service: what one thread of the owner's does for all its executors, from its first need on."""

from __future__ import annotations

import threading

from interp_executor._own_thread import OwnThread

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable


class Service:
    """Runs a function on a thread of its own until it returns, whatever raises in it.

    Executors would wait for ever for a service that has ended: so an exception, a fault of our own
    or of a tracing hook, is reported as threading does, and the function is called again.
    """

    def __init__(self, name: str, function: Callable[[], None]) -> None:
        self._name = name
        self._function = function
        self._lock = threading.RLock()  # a handler of signals may come here while it is held
        self._thread: _ServiceThread | None = None

    def start(self) -> None:
        """Start the thread, unless that has been done; a signal that interrupts it does no harm."""
        with self._lock:
            if self._thread is not None:
                return
            thread = _ServiceThread(self._name, self._function)
            try:
                self._thread = thread
                thread.start()
            except BaseException:
                if thread.call_off():
                    self._thread = None
                raise

    def is_started(self) -> bool:
        """Whether the thread has been started, or is about to be."""
        return self._thread is not None

    def join(self, timeout: float | None = None) -> None:
        """Wait until the function has returned, if it was ever called, or for so many seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def is_current(self) -> bool:
        """Whether the calling thread is the service's."""
        return self._thread is not None and self._thread.ident == threading.get_ident()


class _ServiceThread(OwnThread):
    def __init__(self, name: str, function: Callable[[], None]) -> None:
        super().__init__(name)
        self._function = function

    def work(self) -> None:
        while True:
            try:
                self._function()
                return
            except BaseException:
                self.report()

    miss = work
