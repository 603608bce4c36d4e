"""The hive: an owner's workers, from the start of their threads to their end.

Each interpreter that uses executors is an owner and has one hive. It starts workers and keeps those
that are idle (see _worker_thread.py), and at the owner's exit it ends them all.
"""

from __future__ import annotations

import atexit
import itertools
import os
import sys
import threading
import warnings
import weakref

from interp_executor import _exit, _native, _recursion, _serialize, _worker
from interp_executor._service import Service
from interp_executor._watchdog import Watchdog
from interp_executor._worker_thread import WorkerThread

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from interp_executor._lease import Departure
    from interp_executor._pool import Pool

# 3.13 corrupts memory when these are first imported in several interpreters at once; imported in
# the main interpreter first, they are safe.
_IMPORT_BEFORE_WORKERS = ("datetime",) if sys.version_info < (3, 14) else ()

# Empty interpreters that end behind their executor, at most: each holds some megabytes.
_MOST_ENDING_BEHIND = 128

# Where more than these are ending, others are not begun, or not for so many seconds: they end one
# by one and would get no further beside many that begin, until a shutdown had to wait for them.
_MOST_BESIDE_NEW_ONES = 64
_PATIENCE_OF_NEW_ONES = 1.0


class Hive:
    """The workers of one owner, and the notifier that publishes the futures somebody observes."""

    def __init__(self) -> None:
        self.outbox = _native.Outbox()
        self._notifier = Service("interp_executor-notifier", self.outbox.serve)
        self.watchdog = Watchdog(self)
        self.closed = False
        self.hurried = False  # the process ends by Ctrl-C
        # Reentrant, as Pool.lock: a handler of signals or a __del__ may submit from within.
        self._lock = threading.RLock()
        self._ending = threading.Lock()  # one at a time: there is no hurry
        self._ending_behind: set[WorkerThread] = set()
        self._one_less = threading.Condition(self._lock)  # worker that ends, or is waited for
        self._parked: list[WorkerThread] = []
        self._threads: set[WorkerThread] = set()
        self._abandoned: set[WorkerThread] = set()  # their tasks could not be stopped
        self._lingering: set[Departure] = set()
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._idle_timeout = 60.0
        self._spares = itertools.count()

    def lease(self, pool: Pool, replaces: bool = False) -> None:
        """Give the pool a worker: a parked one, or a new thread.

        Where none comes, it raises. So it does if a signal interrupts it, and a worker may come
        all the same: that one gets the count which the caller takes back.
        """
        worker = None
        try:
            _refuse_while_loading_main()
            importing = _recursion.importing()
            with self._lock:
                if self.closed and pool not in self._pools:
                    raise RuntimeError("cannot schedule new futures after interpreter shutdown")
                self._start_notifier_locked()
                self._pools.add(pool)
                place = self._place_of_idle(pool)
                if place is not None:
                    worker = self._parked[place]
                    del self._parked[place]
                    worker.replaces, worker.importing = replaces, importing
                    worker.assign(pool)  # a worker that is on neither has been called off
            if worker is None:
                worker = WorkerThread(self, pool, pool.next_name(), replaces, importing)
                self._start(worker)
        except BaseException:
            if worker is not None and not worker.call_off():
                pool.count_in()
            raise

    def _place_of_idle(self, pool: Pool) -> int | None:
        """Return where a parked worker stands that the pool may have; a scrubbed one, rather."""
        scrubbed = [place for place, worker in enumerate(self._parked) if worker.scrubbed]
        clean = [place for place, worker in enumerate(self._parked) if not worker.scrubbed]
        fit = scrubbed or clean if pool.reuse else clean
        return fit[-1] if fit else None

    def _start(self, thread: WorkerThread) -> None:
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _start_notifier_locked(self) -> None:
        if not self._notifier.is_started():
            _warn_of_tracemalloc()
            for module in _IMPORT_BEFORE_WORKERS:
                __import__(module)
            self._notifier.start()

    def prewarm(self, n: int, wait: bool) -> None:
        """Make n spare interpreters."""
        _refuse_while_loading_main()
        with self._lock:
            if self.closed:
                raise RuntimeError("cannot start interpreters after interpreter shutdown")
            self._start_notifier_locked()
        names = (f"interp_executor-spare_{next(self._spares)}" for _ in range(n))
        threads = [WorkerThread(self, None, name) for name in names]
        for thread in threads:
            try:
                self._start(thread)
            except BaseException:
                thread.call_off()
                raise
        if wait:
            for thread in threads:
                thread.ready.wait()

    def park(self, worker: WorkerThread) -> bool:
        """Keep a clean worker for the next pool; False if nobody will want it."""
        with self._lock:
            kept = not self.closed and not worker.unwanted
            if kept:
                self._parked.append(worker)
            return kept

    def is_parked(self, worker: WorkerThread) -> bool:
        """Whether a worker waits for a pool; may change at any time, unless the lock is held."""
        return worker in self._parked

    def unpark(self, worker: WorkerThread) -> bool:
        """Let a parked worker end by itself; False if it has been taken off the parked ones."""
        with self._lock:
            if not self.is_parked(worker):
                return False
            self._parked.remove(worker)
            worker.ending = True  # under the lock: it is on one list or the other
            return True

    def begin_lingering(self, departure: Departure) -> None:
        """Note a worker that waits for views on its memory to go; once closed, none need wait."""
        with self._lock:
            self._lingering.add(departure)
            if self.closed:
                departure.hasten()
        if self.closed:
            self.watchdog.expect(departure)

    def end_lingering(self, departure: Departure) -> None:
        """Note that it waits no more, so that it is not hastened when it is gone."""
        with self._lock:
            self._lingering.discard(departure)

    def forget(self, worker: WorkerThread) -> None:
        """Count a thread out that ends."""
        with self._lock:
            self._threads.discard(worker)
            self._abandoned.discard(worker)
            self._ending_behind.discard(worker)
            self._one_less.notify_all()

    def give_up(self, worker: WorkerThread) -> None:
        """Wait no more for a worker whose task cannot be stopped; it ends when the task does."""
        with self._lock:
            if worker in self._threads:
                self._threads.discard(worker)
                self._abandoned.add(worker)
                self._one_less.notify_all()

    def threads(self) -> list[WorkerThread]:
        """Return the workers, but for those that were given up."""
        with self._lock:
            return list(self._threads)

    def leave_behind(self, pool: Pool, threads: list[WorkerThread]) -> None:
        """Count a pool out that does not come to its end, and its workers."""
        with self._lock:
            self._pools.discard(pool)
            self._threads.difference_update(threads)

    def idle_timeout(self) -> float:
        """Return how long a worker stays parked, in seconds; -1: for ever."""
        return self._idle_timeout

    def set_idle_timeout(self, seconds: float | None) -> None:
        """Set how long workers stay parked from now on."""
        self._idle_timeout = -1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)

    def may_end_behind(self, worker: WorkerThread) -> bool:
        """Whether this one may end its interpreter when its executor is gone already."""
        with self._lock:
            if len(self._ending_behind) < _MOST_ENDING_BEHIND:
                self._ending_behind.add(worker)
            return worker in self._ending_behind

    def end_behind(self, worker: _native.Worker, pool: Pool) -> None:
        """End an interpreter that is empty: after those who wait for the pool, and one by one."""
        pool.join(1.0)
        with self._ending:
            self.end(worker)

    def wait_to_begin(self) -> None:
        """Let those that end behind go first, if they are many, before an interpreter is made."""
        with self._one_less:
            self._one_less.wait_for(
                lambda: self.closed or len(self._ending_behind) <= _MOST_BESIDE_NEW_ONES,
                _PATIENCE_OF_NEW_ONES,
            )

    def end(self, worker: _native.Worker) -> None:
        """End an interpreter, unless the process ends and does so in a hurry."""
        if self.hurried:
            worker.leave_open()
        else:
            worker.close()

    def close_idle_workers(self, left: Callable[[], float | None] = _exit.without_limit) -> None:
        """End the parked workers and wait for them, and for those that are ending or not ready."""
        with self._lock:
            parked, self._parked = self._parked, []
            others = [worker for worker in self._threads if worker.ending or worker.is_coming()]
            for worker in others:
                worker.unwanted = True
        for worker in parked:
            worker.assign(None)
        for worker in parked + others:
            if worker is not threading.current_thread():
                self._join(worker, left)

    def _join(self, worker: WorkerThread, left: Callable[[], float | None]) -> None:
        """Wait for a worker to end, unless it is given up meanwhile."""
        with self._one_less:
            self._one_less.wait_for(lambda: worker not in self._threads, left())
            given_up = worker in self._abandoned
        if not given_up:
            worker.join(left())

    def close(self, *, hurried: bool = False) -> None:
        """At the interpreter's exit: finish what was submitted, then end every worker.

        After Ctrl-C, or hurried, cancel and interrupt it instead, and leave behind what does not
        stop.
        """
        by_ctrl_c = _exit.comes_from_ctrl_c()
        if by_ctrl_c:
            _exit.end_by_ctrl_c()  # before anything that more of it could interrupt
        if not (hurried or by_ctrl_c):
            try:
                self._end(self._close_pools(), _exit.without_limit)
                return
            except KeyboardInterrupt:
                _exit.end_by_ctrl_c()
        self.hurried = True
        pools = self._close_pools()  # again: that may be what Ctrl-C has cut short
        for pool in pools:
            pool.stop()
        self._end(pools, _exit.at_most(_exit.PATIENCE))

    def _close_pools(self) -> list[Pool]:
        """Take nothing more, and let no worker linger; return the pools there are."""
        with self._lock:
            self.closed = True
            pools = list(self._pools)
            departures = list(self._lingering)
            for departure in departures:
                departure.hasten()
        for departure in departures:
            self.watchdog.expect(departure)
        for pool in pools:
            pool.close()
        return pools

    def _end(self, pools: list[Pool], left: Callable[[], float | None]) -> None:
        for pool in pools:
            if not pool.join(left()):
                pool.leave_behind()
        self.close_idle_workers(left)
        for thread in self.threads():  # one may be about to be given up: its task is over already
            self._join(thread, left)
        self.watchdog.close()
        self.outbox.close()
        self._notifier.join(left())

    def has_workers(self) -> bool:
        """Return whether any worker lives, at work or parked."""
        return bool(self._threads)

    def is_notifier(self) -> bool:
        """Whether the calling thread is the one that runs callbacks."""
        return self._notifier.is_current()

    def warm(self) -> int:
        """Return how many interpreters wait for work."""
        with self._lock:
            return len(self._parked)


def _warn_of_tracemalloc() -> None:
    """Say that CPython crashes where it traces memory, before the first worker starts."""
    if not _native.is_main_interpreter():
        return  # it does not load here, and the main interpreter has been told
    import _tracemalloc  # built in

    if _tracemalloc.is_tracing():
        warnings.warn(
            "tracemalloc is tracing: CPython crashes when subinterpreters work or end meanwhile, "
            "those of its own InterpreterPoolExecutor included; call tracemalloc.stop() before",
            RuntimeWarning,
            stacklevel=2,
        )


def _is_loading_main() -> bool:
    """Whether the main script is being loaded for its definitions: by a worker, or in a process."""
    process = sys.modules.get("multiprocessing.process")
    current = getattr(process, "current_process", None)  # a thread of ours may be importing it
    inheriting = current is not None and getattr(current(), "_inheriting", False)
    return _worker.loading_main or inheriting


def _refuse_while_loading_main() -> None:
    if _is_loading_main():
        raise RuntimeError(
            "An attempt has been made to use an InterpreterPoolExecutor while a worker loads the "
            "main script. Workers load it to find the functions it defines, so what is to run "
            "only once must be guarded:\n\n"
            "    if __name__ == '__main__':\n"
            "        main()\n"
        )


_hive = Hive()


def _close_hive() -> None:
    _hive.close()


def close_late() -> None:
    """Close what threading's exit hooks have not: none have run, or ours was not reached.

    Where the program runs its exit callbacks itself, it goes on after that and will not have them
    run again. Where another's hook has raised, that was Ctrl-C, or ThreadPoolExecutor's work would
    be cut short as well: nothing is waited for.
    """
    if not _hive.closed:
        _hive.close(hurried=threading._SHUTTING_DOWN)  # type: ignore[attr-defined]


# Whether CPython's runtime can be made to forget interpreters: see _native/runtime.h.
_knows_runtime = _native.knows_runtime()


def _warn_of_fork() -> None:
    """Say what comes of a fork on a version of CPython that is not known: no hook can stop it."""
    if _knows_runtime or not _hive.has_workers():
        return
    warnings.warn(
        "this version of CPython kills a forked child as long as interpreters live: before a fork, "
        "shut the executors down and call interp_executor.close_idle_workers()",
        RuntimeWarning,
        stacklevel=2,
    )


def _begin_child() -> None:
    """Begin anew in a forked child: the workers are the parent's, and so may be their locks."""
    global _hive
    _native.begin_child()
    _serialize.begin_child()
    _hive = Hive()


# When the main thread has ended, and before the others are joined: as ThreadPoolExecutor does.
threading._register_atexit(_close_hive)  # type: ignore[attr-defined]
if _native.is_main_interpreter():
    atexit.register(close_late)  # to be called before _exit.py's
os.register_at_fork(before=_warn_of_fork, after_in_child=_begin_child)


def hive() -> Hive:
    """Return the hive of the calling interpreter."""
    return _hive


def prewarm(n: int = 1, *, wait: bool = False) -> None:
    """Make n spare interpreters in the background, for the executors to come.

    Parameters
    ----------
    n : int
        How many; at least 1.
    wait : bool
        Return only when they are ready.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    hive().prewarm(n, wait)


def close_idle_workers() -> None:
    """End the interpreters that wait for an executor, and wait until they are gone.

    This is what to call before a fork, and before a check for threads or interpreters that are left
    behind: an idle worker is a thread named ``interp_executor-idle``, whose ``repr`` names this
    function. The threads ``interp_executor-notifier`` and ``interp_executor-watchdog``, which start
    when first needed, serve every executor to come and stay until the program ends.
    """
    hive().close_idle_workers()


def set_idle_timeout(seconds: float | None) -> None:
    """Set how long an interpreter waits for the next executor before it ends.

    Parameters
    ----------
    seconds : float or None
        At least 0; None means without limit. The default is 60.
    """
    if seconds is not None:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"seconds must be a number of seconds or None, not {seconds!r}")
        if not seconds >= 0:  # NaN is not either
            raise ValueError(f"seconds must be at least 0 or None, not {seconds!r}")
    hive().set_idle_timeout(seconds)
