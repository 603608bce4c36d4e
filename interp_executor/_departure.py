"""The departure of a worker from its pool, which one of two threads completes: see Departure."""

from __future__ import annotations

import logging
import threading

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from interp_executor._pool import Pool
    from interp_executor._worker_thread import WorkerThread

_LOGGER = logging.getLogger("concurrent.futures")

# Seconds that what tasks left in an interpreter has to end, where the pool's grace is shorter.
_LEAST_TO_END = 2.0


class Departure:
    """How a worker leaves its pool at the end of a lease: by itself or, if it is stuck, without it.

    It is stuck where threads, exit callbacks or executors that its tasks left behind do not end.
    """

    def __init__(self, thread: WorkerThread, pool: Pool, arrived: bool, worn: bool) -> None:
        self.patience = max(pool.grace, _LEAST_TO_END)  # seconds
        self._thread = thread
        self._pool = pool
        self._arrived = arrived
        self._worn = worn
        self._once = threading.Lock()  # never released: whoever gets it counts the worker out

    def is_over(self) -> bool:
        """Whether the worker has been counted out."""
        return self._once.locked()

    def complete(self) -> None:
        """Count the worker out, unless that has been done."""
        if self._once.acquire(blocking=False):
            self._count_out(stuck=False)
        elif self._arrived:
            self._thread.worker.detach()

    def give_up(self) -> None:
        """Count out a worker that is stuck and let it go on for itself, for as long as it likes."""
        if not self._once.acquire(blocking=False):
            return
        thread, pool = self._thread, self._pool
        _LOGGER.warning(
            "%s has been abandoned: threads or exit callbacks that its tasks left behind do not "
            "end",
            thread.name,
        )
        with pool.lock:
            pool.threads.discard(thread)
            pool.retired += 1
        pool.hive.give_up(thread)
        self._count_out(stuck=True)

    def _count_out(self, *, stuck: bool) -> None:
        thread, pool = self._thread, self._pool
        if self._arrived:
            successor = thread.worker.leave(pool, self._worn, stuck)
        else:
            successor = thread.is_retried
            if not successor:
                pool.leave()
        if successor:
            thread.start_successor(pool)
