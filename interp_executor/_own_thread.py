"""The threads of this package: they begin once or never, and nobody waits for one in vain.

Two things come in the way of a thread's work. A signal may interrupt start() while the thread is on
its way: call_off() then decides whether it begins. And a function that the program has given to
threading.settrace() or setprofile() may raise before the work has begun, where threading lets the
thread end: then miss() is called in its place. CPython unsets such a function when it has raised.
"""

from __future__ import annotations

import sys
import threading
import time

from interp_executor import _native


class OwnThread(threading.Thread):
    """A thread that does its work() or, where that was left early, what is left to do: miss()."""

    def __init__(self, name: str) -> None:
        # Subinterpreters allow no daemon threads; in the main interpreter, a task that cannot be
        # stopped must not keep the process alive.
        super().__init__(name=name, daemon=_native.is_main_interpreter())
        # Taken once and for good: to begin, or to call it off. Its thread may ask again whether it
        # has it, after a fault between taking it and noting that.
        self.claim = threading.RLock()
        self._begun = False
        self._done = False
        self._clock: int | None = None  # of its processor time

    def work(self) -> None:
        """Do what the thread is for."""
        raise NotImplementedError

    def miss(self) -> None:
        """See to what the thread was for, after work() raised or could not be called."""
        raise NotImplementedError

    def call_off(self) -> bool:
        """After start() was interrupted, keep it from beginning; False if it has begun."""
        return self.claim.acquire(blocking=False)

    def run(self) -> None:
        """Work, unless that has been called off."""
        if self._begins():
            self._clock = _clock_of_this_thread()
            self.work()
        self._done = True

    def computed(self) -> float:
        """Return how much of a processor's time it has had, in seconds; 0 where nobody can tell."""
        try:
            return 0.0 if self._clock is None else time.clock_gettime(self._clock)
        except OSError:  # it has ended
            return 0.0

    def report(self) -> None:
        """Report the exception that is being handled, as threading does."""
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self)))

    def _begins(self) -> bool:
        self._begun = self._begun or self.claim.acquire(blocking=False)
        return self._begun

    def _bootstrap_inner(self) -> None:  # threading's own: it calls run()
        try:
            super()._bootstrap_inner()  # type: ignore[misc]
        except BaseException:
            self.report()
        if not self._done and self._begins():
            self.miss()


def _clock_of_this_thread() -> int | None:
    if not hasattr(time, "pthread_getcpuclockid"):  # macOS
        return None
    return time.pthread_getcpuclockid(threading.get_ident())
