"""How a process with workers ends, and what Ctrl-C changes about that.

the main thread is over ---> the hive closes: what is pending finishes; after Ctrl-C it is
                             cancelled, and what runs is interrupted
the user's exit callbacks -> see all futures done
our exit callback ---------> workers that are stuck all the same are stopped for good, and CPython
                             finalises as if they had never been
"""

from __future__ import annotations

import atexit
import sys
from time import monotonic

from interp_executor import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 0.5
"""Seconds that all tasks together have to stop after Ctrl-C: the process is gone within two."""

MOMENT = 0.1
"""Seconds that workers have to go once their tasks were abandoned."""


def without_limit() -> None:
    """Return the seconds that are left to wait, where there is no limit: None."""
    return


def at_most(seconds: float) -> Callable[[], float]:
    """Return a function that tells how many of these seconds are left."""
    deadline = monotonic() + seconds
    return lambda: max(0.0, deadline - monotonic())


def comes_from_ctrl_c() -> bool:
    """Return whether an uncaught KeyboardInterrupt ended the main program.

    At a prompt it ended one line alone.
    """
    return isinstance(getattr(sys, "last_exc", None), KeyboardInterrupt) and not hasattr(sys, "ps1")


def end_by_ctrl_c() -> None:
    """Make the process end, when all is done, as one that Ctrl-C has ended; ignore any more of it.

    CPython does so by itself where the KeyboardInterrupt was the main program's, unless other
    interpreters get in the way.
    """
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _native.end_by_interrupt()


def _leave_stuck_workers() -> None:
    """Keep workers that still run from meeting an interpreter that is being taken apart."""
    if not _native.has_interpreters():
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    if not _native.hide_interpreters():
        # On a version of CPython that is not known: its end may hang, but not for long.
        _native.exit_soon(1 if hasattr(sys, "last_exc") else 0)


if _native.is_main_interpreter():
    atexit.register(_leave_stuck_workers)
