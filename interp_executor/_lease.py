"""The lease of a worker: its time with a pool, how it starts, and how it is counted out of it.

And its departure, where the interpreter ends when the lease is long over.
"""

from __future__ import annotations

import logging
import threading

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from interp_executor._hive import Hive
    from interp_executor._pool import Pool
    from interp_executor._worker_thread import WorkerThread

_LOGGER = logging.getLogger("concurrent.futures")

_STUCK = "threads or exit callbacks that its tasks left behind do not end"


class Ending:
    """What a worker brings to its end or is given up with: whichever is first."""

    def __init__(self, thread: WorkerThread, hive: Hive, patience: float) -> None:
        self.patience = patience  # seconds
        self._thread = thread
        self._hive = hive
        self._once = threading.Lock()  # never released

    def is_over(self) -> bool:
        """Whether it has ended or was given up."""
        return self._once.locked()

    def computed(self) -> float:
        """Return how much of a processor's time the worker has had, and its threads, in seconds."""
        return self._thread.computed()

    def end(self) -> bool:
        """Note that it has ended; False if that is too late. Context: the worker's thread."""
        return self._once.acquire(blocking=False)

    def give_up(self, why: str = _STUCK) -> None:
        """Wait no more for the worker, unless it has just ended this: it goes on for itself."""
        if not self._once.acquire(blocking=False):
            return
        try:
            _LOGGER.warning("%s has been abandoned: %s", self._thread.name, why)
        finally:  # whatever a handler of logs raises, or Ctrl-C
            self._let_go()

    def _let_go(self) -> None:
        self._hive.give_up(self._thread)


class Lease(Ending):
    """A worker's time with a pool, from the assignment until the worker is counted out.

    That happens once, whatever becomes of the worker: it ends its lease itself or, where it is
    stuck because threads, exit callbacks or executors that its tasks left behind do not end, it is
    given up. (One that is abandoned with its task was counted out together with that.)
    """

    def __init__(self, thread: WorkerThread, pool: Pool) -> None:
        super().__init__(thread, pool.hive, pool.patience())
        self.pool = pool
        self.start: Start | None = None  # while the initializer runs
        self.is_worn = False  # after so many tasks another worker takes its place
        self.is_retried = False  # the worker could not be set up, and its successor is to try again

    def end(self) -> bool:
        """Count the worker out, unless that has been done. Context: the worker's thread."""
        worker = self._thread.worker
        if worker.abandoned or not super().end():
            worker.detach()
            return False
        self._count_out(stuck=False)
        return True

    def _let_go(self) -> None:
        with self.pool.lock:
            self.pool.threads.discard(self._thread)
            self.pool.retired += 1
        super()._let_go()
        self._count_out(stuck=True)

    def _count_out(self, *, stuck: bool) -> None:
        """Count the worker out or, where another takes its place, hand its count over to that."""
        if self.is_retried or self._thread.worker.leave(self.pool, self.is_worn, stuck):
            self.pool.start_successor()


class Start(Ending):
    """The initializer at work in one worker, whose executor may be stopped meanwhile."""

    def __init__(self, thread: WorkerThread, lease: Lease) -> None:
        super().__init__(thread, lease.pool.hive, lease.pool.grace)
        self._lease = lease

    def computed(self) -> float:
        """Return 0: it was told to stop, so that it may not go on though it computes."""
        return 0.0

    def give_up(self, why: str = "its initializer could not be stopped") -> None:
        """Give up the worker with its lease, unless the initializer has just ended."""
        if self._once.acquire(blocking=False):
            self._lease.give_up(why)


class Departure(Ending):
    """The end of an interpreter for which no pool waits any more, but the owner's exit does."""

    def hasten(self) -> None:
        """Have the worker wait for nobody any more."""
        self._thread.worker.dismiss()
