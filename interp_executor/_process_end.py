"""The end of a worker's process: waited for, told of, and brought about where it does not come.

A process that is asked for no more ends as programs do: it waits for its threads and the processes
it has started, and runs exit callbacks. Where this neither ends nor computes for as long as its
executor's patience, or somebody stops all that runs, it is killed.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import select
import signal
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_LOGGER = logging.getLogger("concurrent.futures")


class ProcessEnd:
    """The end of one process, which the worker's thread waits for and others may hasten.

    Parameters
    ----------
    process : multiprocessing.Process
        A process that has nothing more to do, if it has not ended already.
    served : bool
        Whether it is a child of a fork server, not of this process.
    name : str
        Of its worker.
    patience : float
        Seconds that what tasks have left behind in it may take to end without computing.
    """

    def __init__(self, process: Any, served: bool, name: str, patience: float) -> None:
        self.patience = patience
        self.orphaned = False  # its fork server had ended, which would tell how it ends
        self.killed = False  # by a signal
        self.waits_for_us = False  # its words are being delivered
        self._process = process  # None once it is over: it keeps descriptors
        self._pid: int = process.pid
        self._exit_code: int | None = None  # None if somebody else has taken it, too
        self._given_up = False  # by the watchdog
        self._served = served
        self._name = name
        self._lock = threading.RLock()  # a handler of signals may interrupt its holder, and kill
        self._is_over = False  # protected by it: whoever kills must not find another process

    def has_come(self) -> bool:
        """Whether the process has ended already."""
        if self._served:
            return bool(self._sentinel().poll(0))
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        try:
            return os.waitid(os.P_PID, self._pid, flags) is not None
        except ChildProcessError:  # somebody else has taken its status
            return True

    def wait(self) -> None:
        """Wait for the end of the process, and take its exit status.

        A process whose fork server has ended is ended, too: nobody would tell how it ends.
        """
        end = self._sentinel()
        if self._served:
            end.poll()
        else:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            # Otherwise somebody has taken its status in the moment after its start.
            if self._served and self._process._popen.returncode is None:
                ((_, event),) = end.poll()
                self.orphaned = not event & select.POLLIN  # hung up, and no status
            if self.orphaned:
                self._process.kill()
            self._process.join()
            self._exit_code = self._process.exitcode
            self.killed = not self.orphaned and (self._exit_code or 0) < 0
            self._process, self._is_over = None, True

    def kill(self) -> None:
        """End the process, whatever it still does."""
        with self._lock:
            if not self._is_over:
                self._process.kill()

    def epitaph(self) -> str:
        """Say how the process ended that has been waited for."""
        if self.orphaned:
            return "the fork server ended, and with it the process that ran the task"
        code = self._exit_code
        if self._given_up and code in (None, -signal.SIGKILL):
            return "the process that ran the task closed its connection, went on, and was killed"
        if code is None:
            return "the process that ran the task ended unexpectedly"
        if code >= 0:
            return f"the process that ran the task ended with exit status {code}"
        name = _signal_name(-code)
        hint = ": it may have run out of memory" if name == "SIGKILL" else ""
        return f"the process that ran the task was killed by {name}{hint}"

    # ---- for the watchdog ----

    def is_over(self) -> bool:
        """Whether the process has ended and its status been taken."""
        return self._is_over

    def computed(self) -> float | None:
        """Return how much of a processor's time it and its children have had, in seconds.

        0 where nobody can tell; None while it is for us to do something.
        """
        if self.waits_for_us:
            return None
        return sum(_computed(process) for process in _descent(self._pid))

    def give_up(self) -> None:
        """End the process, since it does not come to its end."""
        self._given_up = True
        try:
            _LOGGER.warning(
                "the process of %s has been killed: threads, exit callbacks or processes that its "
                "tasks left behind do not end",
                self._name,
            )
        finally:  # whatever a handler of logs raises, or Ctrl-C
            self.kill()

    def _sentinel(self) -> select.poll:
        end = select.poll()
        end.register(self._process.sentinel, select.POLLIN)
        return end


def _descent(process: int) -> Iterator[int]:
    """Iterate over a process and its children, and theirs, where the system tells of them."""
    yield process
    for file in glob.glob(f"/proc/{process}/task/*/children"):
        try:
            with open(file, encoding="ascii") as names:
                children = names.read().split()
        except OSError:  # the thread, or the process, has ended
            continue
        for child in children:
            yield from _descent(int(child))


def _computed(process: int) -> float:
    try:
        return time.clock_gettime(_clock_of(process))
    except OSError:  # it has ended, or a system without
        return 0.0


def _clock_of(process: int) -> int:
    """Return the clock of a process's processor time: clock_getcpuclockid(3) of Linux."""
    return (~process << 3) | 2


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
