"""The pool: what an executor and its views share, and what their workers need to know of it.

It counts its workers in before their threads exist, so that shutdown waits for those too, and out
when nothing of its tasks is left: see _lease.py and _worker_thread.py.
"""

from __future__ import annotations

import itertools
import logging
import threading

from interp_executor import _exit, _native, _outcome, _serialize, _world
from interp_executor._lane import ProcessLane

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from interp_executor._hive import Hive
    from interp_executor._worker_thread import WorkerThread

_LOGGER = logging.getLogger("concurrent.futures")

# Seconds that what tasks left behind has to end, where the pool's grace is shorter.
_LEAST_TO_END = 2.0

# Failures of the initializer, one after the other, that break a pool which already had workers.
_MOST_FAILURES = 3


class Pool(ProcessLane):
    """The queue of an executor and what its workers need to know of it.

    Executors and their views share it, and workers hold it while they serve it; it knows none of
    them, so that an executor can be collected while its last tasks run.
    """

    def __new__(cls, max_workers: int, hive: Hive) -> Self:
        return super().__new__(cls, max_workers, hive.outbox, hive.watchdog.alarm)

    def __init__(self, max_workers: int, hive: Hive) -> None:
        super().__init__()
        self.max_workers = max_workers
        self.thread_name_prefix = ""
        self.initializer: Callable[..., object] | None = None
        self.initargs: tuple[object, ...] = ()
        self.max_tasks_per_child: int | None = None
        self.reuse = False
        self.grace = 2.0
        self.hive = hive
        self.forward_output = False
        self.lock = threading.RLock()
        self.threads: set[WorkerThread] = set()
        self.busy_before = 0.0  # seconds, of the workers that have left
        self.retired = 0  # interpreters that ended here
        self.failure: BaseException | None = None  # why the pool is broken
        self.shortage: str | None = None  # why a worker could not be started, the last time
        self.shut_down = False
        self._failures = 0  # of the initializer, since it last went well
        self._names = itertools.count()

    def start_worker(self, *, replaces: bool = False) -> bool:
        """Start the worker that the queue has counted in; otherwise the caller counts it out.

        One that replaces another may fail in its initializer without breaking the pool at once. If
        no thread is to be had, those that the pool has do the work; without any, it raises.
        """
        try:
            self.hive.lease(self, replaces)
        except BaseException as error:
            first, self.shortage = self.shortage is None, f"{type(error).__name__}: {error}"
            if not isinstance(error, RuntimeError) or self.counts()[6] <= 1:  # that one
                raise
            if first:
                _LOGGER.warning("a worker cannot be started, others do its work: %s", error)
            return False
        return True

    def start_successor(self) -> None:
        """Start the worker that takes another's place; it has been counted in."""
        try:
            if not self.start_worker(replaces=True):
                self.leave()
        except BaseException as error:
            self.fail(error)
            self.leave()
            if not isinstance(error, RuntimeError):  # no thread to be had
                raise

    def next_name(self) -> str:
        """Return the name of the next worker's thread."""
        return f"{self.thread_name_prefix}_{next(self._names)}"

    def refuse(self) -> None:
        """Raise why nothing more can be submitted."""
        if self.failure is not None:
            raise broken_error(self)
        if self.hive.closed:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        raise RuntimeError("cannot schedule new futures after shutdown")

    def world(self) -> bytes:
        """Return the owner's world as it is now."""
        return _world.encode()

    def by_value(self, form: int, data: bytes) -> bytes:
        """Encode by value a callable that a worker cannot find by reference."""
        encoded = _serialize.send_by_value(form, data)
        _native.forget_callables()
        return encoded

    def deliver_output(self, data: bytes | bytearray) -> None:
        """Write and log here what a worker has written and logged."""
        from interp_executor import _forward

        _forward.deliver(data)

    def fail(self, error: BaseException) -> None:
        """Break the pool: nothing that is queued will run."""
        with self.lock:
            if self.failure is None:
                self.failure = error
        self.break_()

    def note_set_up(self) -> None:
        """Note that the initializer went well."""
        self._failures = 0

    def note_failure(self, error: BaseException, *, replacement: bool) -> bool:
        """Note that the initializer failed; whether another worker is to try it."""
        with self.lock:
            self._failures += 1
            again = replacement and self.failure is None and self._failures < _MOST_FAILURES
        level = logging.WARNING if again else logging.CRITICAL
        _LOGGER.log(level, "Exception in initializer:", exc_info=error)
        if not again:
            self.fail(error)
        return again

    def interrupt(self, future: object) -> bool:
        """Interrupt the running task of a future of this pool; whether there was one to stop."""
        for thread in self._snapshot():
            run = thread.present(future)
            if run is not None:
                self.hive.watchdog.stop(thread, run, self.grace_of(run))
                return True
        return False

    def stop_running(self, *, at_once: bool = False) -> None:
        """Interrupt all that runs, and do not wait for it to end if that is to be at once."""
        self.stopped = True
        for thread in self._snapshot():
            thread.stop_start(self, at_once=at_once)
            run = thread.present(self)
            if run is not None:
                self.hive.watchdog.stop(thread, run, 0.0 if at_once else self.grace_of(run))
            if run is not None and at_once:
                thread.abandon(run, late=False)
        if at_once:
            self.hurry_processes()

    def grace_of(self, run: _native.Run) -> float:
        """Return how long a run may take to end once it is interrupted, in seconds."""
        grace = run.limits()[1]
        return self.grace if grace is None else grace

    def patience(self) -> float:
        """Return how long what tasks left behind may take to end, in seconds, and not compute."""
        return max(self.grace, _LEAST_TO_END)

    def record(self) -> tuple[dict[str, float], float, int]:
        """Return what stats() tells of the workers: see ExecutorStats.busy and what follows it."""
        with self.lock:
            busy = {thread.name: thread.busy() for thread in self.threads if thread.serving}
            return busy, self.busy_before, self.retired

    def begin_lease(self, worker: WorkerThread) -> None:
        """Count a worker among those that serve; those that have ended are forgotten."""
        with self.lock:
            self.threads = {thread for thread in self.threads if thread.is_alive()}
            self.threads.add(worker)
            worker.serving = True

    def end_lease(self, worker: WorkerThread) -> None:
        """Add what stats() tells of a worker to what it tells of those before."""
        with self.lock:
            if worker.serving:
                worker.serving = False
                self.busy_before += worker.busy()

    def _snapshot(self) -> list[WorkerThread]:
        if self.is_inherited():  # the workers are the parent process's, and so may be the lock
            return []
        with self.lock:
            return list(self.threads)

    def stop(self) -> None:
        """Cancel what is pending and interrupt what runs."""
        self.cancel_pending()
        self.stop_running()

    def leave_behind(self) -> None:
        """Wait no more for what does not stop, not even at the end of the process."""
        self.stop_running(at_once=True)
        if not self.join(_exit.MOMENT):
            self.hive.leave_behind(self, self._snapshot())

    def join_threads(self) -> None:
        """Wait for the threads that have left and are about to end."""
        with self.lock:
            ending = [thread for thread in self.threads if thread.ending]
        for thread in ending:
            if thread is not threading.current_thread():
                thread.join()


def broken_error(pool: Pool) -> BaseException:
    """Return a BrokenInterpreterPool with the reason as its cause."""
    from interp_executor._errors import BrokenInterpreterPool

    if pool.failure is None and pool.shortage is not None:
        return BrokenInterpreterPool(f"no worker could be started for it: {pool.shortage}")
    if pool.failure is None:  # a map ends as if broken where an outcome is lost
        return _outcome.failed("")
    error = BrokenInterpreterPool(
        "A worker could not be set up (its initializer failed, or its interpreter could not be "
        "started) or has broken down, the pool is not usable anymore"
    )
    error.__cause__ = pool.failure
    return error
