"""The watchdog: it interrupts runs that are over their time, and gives up those that do not end.

One thread per hive, started when it is first needed. It sleeps until the next moment at which
something is due: a deadline that a worker has set, or the end of a grace period.

    stop(run) -----> interrupted -----> over by itself
    deadline --^          |
                          +---- grace is over ----> abandoned

    expect(ending) ----> over by itself
                 |
                 +---- found idle at every look, for as long as its patience ----> given up
"""

from __future__ import annotations

import logging
import threading
from collections import namedtuple

from interp_executor import _native
from interp_executor._service import Service

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from typing import NamedTuple

    from interp_executor._hive import Hive
    from interp_executor._lease import Ending
    from interp_executor._process_end import ProcessEnd
    from interp_executor._worker_thread import WorkerThread

    type _Ending = Ending | ProcessEnd

    class _Case(NamedTuple):
        thread: WorkerThread
        run: _native.Run
        late: bool
        began: int
        expires: int

else:
    # A run that has been interrupted: times on the alarm's clock.
    _Case = namedtuple("_Case", "thread run late began expires")

_LOGGER = logging.getLogger("concurrent.futures")

# What is expected to end is looked at so many times in its patience, and given up when it was idle
# at so many looks in a row. A clock alone would take a machine that stands still, or is busy with
# other things, for a worker that is stuck.
_LOOKS = 4

# What still computes is given up all the same, after so many times its patience.
_MOST_PATIENCE = 10

# The share of a processor's time, between two looks, up to which it was idle.
_LEAST_SHARE = 0.02

# Seconds that a worker has to see that its process has been killed, however short the grace.
_TO_BE_REAPED = 2.0

# Seconds: whatever is longer. The alarm's clock counts nanoseconds in 64 bits.
_FOR_EVER = 1e9

# When a run is nudged after its interrupt: an interrupt that finds it just before a system call
# would otherwise be noticed only after that.
_NUDGES = tuple((1 << i) * 1_000_000 for i in range(9))


def _nanoseconds(seconds: float) -> int:
    return int(min(seconds, _FOR_EVER) * 1e9)


class _Vigil:
    """The looks at something that is to end; times on the alarm's clock."""

    def __init__(self, ending: _Ending, now: int) -> None:
        self.ending = ending
        self._interval = _nanoseconds(ending.patience) // _LOOKS
        self.due = now + self._interval
        self._computed = ending.computed() or 0.0  # until the last look
        self._idle = 0  # looks in a row
        self._left = _LOOKS * _MOST_PATIENCE  # looks

    def look(self, now: int) -> bool:
        """Note what it has done since the last look; whether to go on waiting for it."""
        computed = self.ending.computed()
        self.due = now + self._interval
        if computed is None:  # the owner keeps it waiting
            return True
        # Threads take their time with them when they end, which is something done, too.
        idle = abs(computed - self._computed) <= _LEAST_SHARE * self._interval * 1e-9
        self._idle = self._idle + 1 if idle else 0
        self._computed = computed
        self._left -= 1
        return self._idle < _LOOKS and self._left > 0


class Watchdog:
    """Sees to it that what is interrupted ends, or is abandoned."""

    def __init__(self, hive: Hive) -> None:
        self.alarm = _native.Alarm()
        self._hive = hive
        self._lock = threading.RLock()  # a handler of signals may interrupt from within
        self._cases: dict[tuple[WorkerThread, int], _Case] = {}
        self._vigils: list[_Vigil] = []
        self._service = Service("interp_executor-watchdog", self._watch)

    def start(self) -> None:
        """Start the thread, unless it runs already."""
        self._service.start()

    def stop(
        self, thread: WorkerThread, run: _native.Run, grace: float, *, late: bool = False
    ) -> None:
        """Interrupt a run; unless it ends within so many seconds, it is abandoned."""
        key, began = (thread, run.number), self.alarm.now()
        case = _Case(thread, run, late, began, began + _nanoseconds(_FOR_EVER))
        with self._lock:
            self._cases.setdefault(key, case)  # where a run that begins in a process finds it
        try:
            if thread.interrupt(run, late):
                grace = max(grace, _TO_BE_REAPED)
        except RuntimeError as error:
            _LOGGER.warning("a task cannot be interrupted: %s", error)
        finally:
            with self._lock:
                if self._cases.get(key) is case:
                    self._cases[key] = case._replace(expires=began + _nanoseconds(grace))
        self.start()
        self.alarm.ring()

    def stop_under_way(self, thread: WorkerThread) -> tuple[bool, float] | None:
        """Return whether what a thread runs now is to stop: late or not, and its time limit."""
        with self._lock:
            cases = [case for case in self._cases.values() if case.thread is thread]
        for case in cases:
            if not case.run.is_over():
                return case.late, case.run.limits()[0] or 0.0
        return None

    def expect(self, ending: _Ending) -> None:
        """Give up what does not end and has done nothing towards it for as long as its patience."""
        with self._lock:
            if any(ending is each.ending for each in self._vigils):
                return
            self._vigils.append(_Vigil(ending, self.alarm.now()))
        try:
            self.start()
        except RuntimeError as error:  # no thread is to be had; what is not stuck ends by itself
            _LOGGER.warning("nobody sees to it that workers do not get stuck: %s", error)
        self.alarm.ring()

    def close(self) -> None:
        """End the thread: nothing runs any more."""
        self.alarm.close()
        self._service.join()

    def _watch(self) -> None:
        while (ticket := self.alarm.prepare()) is not None:
            moments = [*self._stop_late_runs(), *self._look_after_cases(), *self._see_off()]
            self.alarm.sleep(ticket, min(moments, default=None))

    def _stop_late_runs(self) -> list[int]:
        """Interrupt what is over its time; return the deadlines to come."""
        deadlines = []
        for thread in self._hive.threads():
            due = thread.deadline()
            if due is None or (thread, due[0]) in self._cases:
                continue
            number, deadline = due
            if deadline > self.alarm.now():
                deadlines.append(deadline)
                continue
            run = thread.present()
            if run is not None and run.number == number:
                self.stop(thread, run, thread.grace_of(run), late=True)
        return deadlines

    def _look_after_cases(self) -> list[int]:
        """Nudge or abandon what has been interrupted; return when to look again."""
        with self._lock:
            cases = list(self._cases.items())
        moments = []
        for key, case in cases:
            over = case.run.is_over()
            if not over and self.alarm.now() < case.expires:
                moments.append(self._next_look(case))
                continue
            with self._lock:
                del self._cases[key]
            if not over:
                case.thread.abandon(case.run, case.late)
        return moments

    def _see_off(self) -> list[int]:
        """Give up what does not end; return when to look again."""
        with self._lock:
            self._vigils = [each for each in self._vigils if not each.ending.is_over()]
            vigils = list(self._vigils)
        for vigil in vigils:
            if vigil.due <= self.alarm.now() and not vigil.look(self.alarm.now()):
                vigil.ending.give_up()
        return [each.due for each in vigils if not each.ending.is_over()]

    def _next_look(self, case: _Case) -> int:
        case.run.nudge()
        age = self.alarm.now() - case.began
        nudges = [case.began + after for after in _NUDGES if after > age]
        return min([case.expires, *nudges])
